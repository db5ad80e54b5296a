//! Commands of minikube that have no counterpart: each says why, and what to
//! do instead.

use crate::failure::{Failure, Outcome};

/// Commands, why they have no meaning here, and what does the same.
const REFUSED: [(&str, &str, &str); 8] = [
    (
        "mount",
        "nothing is mounted while a cluster runs",
        "share the folder when the cluster starts, for hostPath volumes: minikube start --mount-string DIR:PATH; into one pod: kubectl cp DIR POD:PATH",
    ),
    (
        "podman-env",
        "there is no Podman in the cluster",
        "eval $(minikube docker-env) makes `docker build` build for it; or: minikube image build -t NAME DIR",
    ),
    (
        "cache",
        "images are not kept for clusters to come",
        "layers are shared by all clusters of yours; load an image with: minikube image load NAME",
    ),
    (
        "pause",
        "a cluster is not paused",
        "it is silent while nothing happens; to end it for now: minikube stop",
    ),
    (
        "unpause",
        "a cluster is not paused",
        "it runs: minikube status",
    ),
    (
        "cp",
        "there is no virtual machine to copy to",
        "into a pod: kubectl cp FILE POD:PATH",
    ),
    (
        "ssh-key",
        "there is no virtual machine to log into",
        "look into a pod: minikube kubectl -- exec -it POD -- sh",
    ),
    (
        "ssh-host",
        "there is no virtual machine to log into",
        "look into a pod: minikube kubectl -- exec -it POD -- sh",
    ),
];

/// Answers a command that is not among ours.
pub fn answer(words: &[String]) -> Outcome {
    let word = words.first().map(String::as_str).unwrap_or_default();
    if word == "update-check" {
        println!("CurrentVersion: v{}", coracle_cluster::build::version());
        eprintln!("· nothing is asked of the network; releases stand where you got this one");
        return Ok(());
    }
    match REFUSED.iter().find(|(name, ..)| *name == word) {
        Some((_, why, instead)) => {
            Err(Failure::usage(format!("minikube {word}: {why}")).hint(*instead))
        }
        None => Err(
            Failure::usage(format!("minikube has no command {word:?} here"))
                .hint("all there are: minikube --help"),
        ),
    }
}

/// Answers `ssh`: what people look for inside is found in other places.
pub fn ssh(words: &[String]) -> Failure {
    let failure = Failure::usage("minikube ssh: there is no virtual machine to log into");
    let line = words.join(" ");
    if line.contains("docker") || line.contains("crictl") {
        return failure
            .hint("images: minikube image ls; containers: minikube kubectl -- get pods -A");
    }
    if line.contains("mkdir") || line.contains("ls ") {
        return failure.hint(
            "hostPath volumes live in the cluster and are made when a pod asks for them (type DirectoryOrCreate)",
        );
    }
    failure.hint("look into a pod: minikube kubectl -- exec -it POD -- sh")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_meaning_is_answered_plainly() {
        let check = |line: &str, expected: &str| {
            let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
            let said = match words[0].as_str() {
                "ssh" => ssh(&words[1..]).to_string(),
                _ => answer(&words).expect_err("it has no meaning").to_string(),
            };
            assert!(said.contains(expected), "{line}: {said}");
        };
        check("mount /a:/b", "hostPath volumes");
        check("podman-env", "docker-env");
        check("cache add web:1", "minikube image load");
        check("pause", "minikube stop");
        check("ssh docker images", "minikube image ls");
        check("ssh -- ls /data", "DirectoryOrCreate");
        check("ssh", "exec -it POD");
        check("nonsense", "minikube --help");
    }
}
