//! Words that people type because other programs have them: what does the same
//! here. They stand below the refusal of the command line.

use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::paint::{Colour, Stream, paint};

/// Verbs of kubectl that no command of ours has.
const KUBECTL: [&str; 34] = [
    "annotate",
    "api-resources",
    "api-versions",
    "apply",
    "attach",
    "auth",
    "autoscale",
    "certificate",
    "cluster-info",
    "cordon",
    "cp",
    "create",
    "debug",
    "describe",
    "diff",
    "drain",
    "edit",
    "events",
    "exec",
    "explain",
    "expose",
    "label",
    "kustomize",
    "patch",
    "port-forward",
    "proxy",
    "replace",
    "rollout",
    "scale",
    "set",
    "taint",
    "top",
    "uncordon",
    "wait",
];

/// What else is typed, and what does the same.
const OTHERS: [(&str, &str); 23] = [
    ("addons", "Ingress, metrics and storage are built in"),
    ("build", "coracle image build -t NAME DIR"),
    ("dashboard", "everything at once: coracle status --watch"),
    ("deploy", "coracle up"),
    ("destroy", "coracle delete"),
    (
        "docker-env",
        "coracle image build takes a Dockerfile as it is; under the name minikube: eval $(minikube docker-env)",
    ),
    ("images", "coracle image ls"),
    ("init", "coracle start"),
    ("load", "coracle image load FILE"),
    (
        "mount",
        "coracle start --share FOLDER:PATH shows a folder to hostPath volumes",
    ),
    (
        "node",
        "there is one, of the cluster's name: coracle kubectl get nodes",
    ),
    ("profile", "every command takes --cluster NAME"),
    ("ps", "coracle status"),
    ("pull", "coracle image pull NAME"),
    ("push", "coracle image push NAME"),
    (
        "repo",
        "charts are not fetched; download the archive, then: coracle install NAME CHART.tgz",
    ),
    ("restart", "coracle stop, then: coracle start"),
    ("run", "coracle kubectl run NAME --image=IMAGE"),
    ("search", "https://artifacthub.io finds charts"),
    (
        "ssh",
        "there is no virtual machine; look into a pod: coracle kubectl exec -it POD -- sh",
    ),
    (
        "tunnel",
        "none is needed: ports answer on this machine; see them: coracle service",
    ),
    ("update-context", "coracle config use-context"),
    (
        "version",
        "coracle --version; of Kubernetes: coracle kubectl version",
    ),
];

/// What our own `get` knows.
const PARTS: [&str; 6] = ["all", "hooks", "manifest", "metadata", "notes", "values"];

/// Prints why the command line is refused and what does the same; ends with
/// clap's exit code.
pub fn refuse(error: &clap::Error) -> ! {
    // A closed standard error has no one left to tell.
    let _ = error.print();
    let words: Vec<OsString> = std::env::args_os().skip(1).collect();
    if error.kind() == ErrorKind::InvalidSubcommand
        && let Some(ContextValue::String(word)) = error.get(ContextKind::InvalidSubcommand)
        && let Some(hint) = hint(word, &words)
    {
        eprintln!("\n{} {hint}", paint(Stream::Err, Colour::Yellow, "hint:"));
    }
    std::process::exit(error.exit_code())
}

/// Returns what does the same as `word`, in a line of `words`.
fn hint(word: &str, words: &[OsString]) -> Option<String> {
    let line = |from: &str| {
        let at = words.iter().position(|one| one == from)?;
        let rest: Vec<_> = words[at..]
            .iter()
            .map(|one| one.to_string_lossy())
            .collect();
        Some(rest.join(" "))
    };
    let asks_get = words.iter().any(|one| one == "get") && !PARTS.contains(&word);
    if asks_get {
        return Some(format!(
            "kubectl has that: coracle kubectl {}",
            line("get")?
        ));
    }
    if KUBECTL.contains(&word) {
        return Some(format!("kubectl has that: coracle kubectl {}", line(word)?));
    }
    let (_, same) = OTHERS.iter().find(|(name, _)| *name == word)?;
    Some((*same).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_other_programs_are_answered() {
        let check = |line: &str, word: &str, expected: Option<&str>| {
            let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
            assert_eq!(hint(word, &words).as_deref(), expected, "{line}");
        };
        check(
            "get pods -A",
            "pods",
            Some("kubectl has that: coracle kubectl get pods -A"),
        );
        check(
            "--cluster c apply -f a.yaml",
            "apply",
            Some("kubectl has that: coracle kubectl apply -f a.yaml"),
        );
        check("images", "images", Some("coracle image ls"));
        let versions = "coracle --version; of Kubernetes: coracle kubectl version";
        check("version", "version", Some(versions));
        check("fly", "fly", None);
    }

    #[test]
    fn nothing_that_is_ours_is_said_to_be_elsewhere() {
        let ours = super::super::command_line();
        for word in KUBECTL.into_iter().chain(OTHERS.map(|(word, _)| word)) {
            assert!(ours.find_subcommand(word).is_none(), "{word} is a command");
        }
    }
}
