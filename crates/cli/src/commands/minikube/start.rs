//! `minikube start`: the flags that quickstarts pass and what becomes of them.

use super::{Minikube, addons};
use crate::failure::{Failure, Outcome};

/// Flags that stand alone.
const ALONE: [&str; 8] = [
    "--mount",
    "--force",
    "--no-vtx-check",
    "--embed-certs",
    "--install-addons",
    "--keep-context",
    "--native-ssh",
    "--alsologtostderr",
];

/// What the flags of a start come to.
#[derive(Debug, Default, PartialEq, Eq)]
struct Wishes {
    profile: Option<String>,
    addons: Vec<String>,
    /// What `--share` is given.
    share: Option<String>,
    ignored: Vec<String>,
}

/// Starts the cluster.
pub fn run(minikube: &Minikube, flags: &[String]) -> Outcome {
    if flags.iter().any(|flag| flag == "--help" || flag == "-h") {
        println!(
            "minikube start [-p PROFILE] [--addons NAME,…] [--mount-string DIR:PATH | --mount=false] [flags of minikube, ignored]"
        );
        return Ok(());
    }
    let wishes = wishes(flags)?;
    if !wishes.ignored.is_empty() {
        eprintln!("· no meaning here: {}", wishes.ignored.join(" "));
    }
    let with_profile;
    let minikube = match wishes.profile {
        Some(profile) => {
            with_profile = Minikube {
                profile: super::super::cluster_name(&profile).map_err(Failure::usage)?,
                alsologtostderr: false,
                v: None,
                command: super::Command::Ip,
            };
            &with_profile
        }
        None => minikube,
    };
    let share = wishes.share.map(|share| format!("--share={share}"));
    minikube.ours(["start"].into_iter().chain(share.as_deref()))?;
    for addon in &wishes.addons {
        addons::enable(addon)?;
    }
    Ok(())
}

fn wishes(flags: &[String]) -> Result<Wishes, Failure> {
    let mut wishes = Wishes::default();
    let mut mount = true;
    let mut flags = flags.iter().peekable();
    while let Some(word) = flags.next() {
        if !word.starts_with('-') {
            return Err(Failure::usage(format!("unexpected {word:?}")));
        }
        let (name, value) = match word.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None if ALONE.contains(&word.as_str()) => (word.as_str(), None),
            None => {
                let next = flags.next_if(|next| !next.starts_with('-'));
                (word.as_str(), next.cloned())
            }
        };
        match (name, value) {
            ("-p" | "--profile", Some(value)) => wishes.profile = Some(value),
            ("--addons", Some(value)) => {
                wishes.addons.extend(value.split(',').map(str::to_owned));
            }
            ("--mount-string", Some(folder)) => wishes.share = Some(folder),
            // It goes with the folder's name.
            ("--mount", None) => mount = true,
            ("--mount", Some(value)) => mount = value != "false",
            ("-n" | "--nodes", Some(value)) if value != "1" => {
                return Err(Failure::usage("a cluster has one node here")
                    .hint("leave out --nodes; for several machines: coracle up --context NAME"));
            }
            (name, Some(value)) => wishes.ignored.push(format!("{name}={value}")),
            (name, None) => wishes.ignored.push(name.to_owned()),
        }
    }
    if !mount {
        wishes.share = Some("none".to_owned());
    }
    Ok(wishes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_told_apart() {
        let of = |line: &str| {
            let flags: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
            wishes(&flags)
        };
        let found =
            of("--driver=docker --memory 4096 --force --addons=ingress,metrics-server -p demo --mount --mount-string=/srv:/data")
                .expect("they are flags");
        assert_eq!(found.share.as_deref(), Some("/srv:/data"));
        assert_eq!(found.profile.as_deref(), Some("demo"));
        assert_eq!(found.addons, ["ingress", "metrics-server"]);
        assert_eq!(
            found.ignored,
            ["--driver=docker", "--memory=4096", "--force"]
        );
        let unmounted = of("--mount-string=/srv:/data --mount=false").expect("they are flags");
        assert_eq!(unmounted.share.as_deref(), Some("none"));
        assert!(of("--nodes 3").is_err());
        assert!(of("demo").is_err());
    }
}
