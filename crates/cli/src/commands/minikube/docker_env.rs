//! `eval $(minikube docker-env)`: a shell function called `docker` that builds
//! and lists the cluster's images. There is no Docker behind it.

use crate::failure::Outcome;

/// Prints the function, or what removes it.
pub fn print(profile: &str, unset: bool) -> Outcome {
    if unset {
        println!("unset -f docker;");
        return Ok(());
    }
    let program = std::env::current_exe()?;
    print!("{}", function(&program.display().to_string(), profile));
    Ok(())
}

/// Returns the function. `eval $(…)` joins lines by blanks, so every statement
/// ends with its own semicolon.
fn function(program: &str, profile: &str) -> String {
    let program = program.replace('\'', "'\\''");
    let ours = format!("'{program}' image --cluster {profile}");
    // The program's own name may be minikube; it is called as minikube then.
    let ours = if program.ends_with("/minikube") {
        format!("'{program}' --profile {profile} image")
    } else {
        ours
    };
    format!(
        "docker() {{ \
case \"$1\" in \
build) shift; {ours} build \"$@\" ;; \
buildx) shift 2; {ours} build \"$@\" ;; \
images) {ours} ls ;; \
tag) {ours} tag \"$2\" \"$3\" ;; \
rmi) shift; {ours} rm \"$@\" ;; \
pull) {ours} pull \"$2\" ;; \
push) {ours} push \"$2\" ;; \
load) if [ \"$2\" = -i ] || [ \"$2\" = --input ]; then {ours} load \"$3\"; else {ours} load -; fi ;; \
save) shift; {ours} save \"$@\" ;; \
image) shift; {ours} \"$@\" ;; \
*) echo \"docker $1: the cluster has no Docker; images: build, images, tag, load, save, rmi, pull, push\" >&2; return 1 ;; \
esac; }};\n"
    )
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    fn check(script: &str, expected: &str) {
        // The program only says what it was called with.
        let dir = tempfile::tempdir().expect("a folder for the test");
        let program = dir.path().join("says it's");
        std::fs::write(&program, "#!/bin/sh\necho \"$@\"\n").expect("a file for the test");
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&program, mode).expect("it is ours");
        let function = dir.path().join("function");
        std::fs::write(
            &function,
            super::function(&program.display().to_string(), "minikube"),
        )
        .expect("a file for the test");
        let script = format!("eval $(cat {}); {script}", function.display());
        let output = Command::new("sh")
            .args(["-c", &script])
            .output()
            .expect("sh is there");
        let said = String::from_utf8_lossy(&output.stdout);
        assert_eq!(
            said.trim(),
            expected,
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }

    #[test]
    fn docker_means_our_images() {
        check(
            "docker build -t a:1 -f D .",
            "image --cluster minikube build -t a:1 -f D .",
        );
        check("docker images", "image --cluster minikube ls");
        check(
            "docker load -i f.tar",
            "image --cluster minikube load f.tar",
        );
        check("docker rmi a b", "image --cluster minikube rm a b");
        check("docker run a 2>/dev/null || echo no", "no");
    }
}
