//! Runs `RUN` steps for real: `unshare`, overlay mounts, `chroot`.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;

use coracle_image::build::{Execute, ExecuteError, ExecuteRequest, ExecuteSource, Stream};

/// Runs commands by `unshare` and `chroot`, and remembers what it was asked.
#[derive(Default)]
pub struct Chroot {
    pub requests: Mutex<Vec<ExecuteRequest>>,
}

impl Execute for Chroot {
    fn execute(
        &self,
        request: &ExecuteRequest,
        output: &mut dyn FnMut(Stream, &[u8]),
    ) -> Result<(), ExecuteError> {
        self.requests.lock().expect("lock").push(request.clone());
        let mut command = Command::new("unshare");
        command.args(["-Urm", "sh", "-ec", &script(request), "sh"]);
        command.args(&request.arguments).stdin(Stdio::null());
        let done = command.output().expect("unshare runs");
        output(Stream::Stdout, &done.stdout);
        output(Stream::Stderr, &done.stderr);
        match done.status.code() {
            Some(0) => Ok(()),
            code => Err(ExecuteError::Exit {
                code: code.unwrap_or(-1),
            }),
        }
    }
}

fn script(request: &ExecuteRequest) -> String {
    let join = |paths: &[PathBuf]| {
        let paths: Vec<_> = paths
            .iter()
            .map(|path| path.display().to_string())
            .collect();
        paths.join(":")
    };
    let root = request.work.with_file_name("root").display().to_string();
    let mut script = format!(
        "mkdir -p {root}; mount -t overlay overlay -o userxattr,lowerdir={},upperdir={},workdir={} {root}\n",
        join(&request.lowers),
        request.upper.display(),
        request.work.display()
    );
    for mount in &request.mounts {
        let target = format!("{root}{}", mount.target.display());
        let (make, command) = match &mount.source {
            ExecuteSource::Path(path) if path.is_file() => (
                format!("mkdir -p $(dirname {target}); touch {target}"),
                format!("mount --bind {} {target}", path.display()),
            ),
            ExecuteSource::Path(path) => (
                format!("mkdir -p {target}"),
                format!("mount --bind {} {target}", path.display()),
            ),
            ExecuteSource::Layers(dirs) if dirs.len() == 1 => (
                format!("mkdir -p {target}"),
                format!("mount --bind {} {target}", dirs[0].display()),
            ),
            ExecuteSource::Layers(dirs) => (
                format!("mkdir -p {target}"),
                format!(
                    "mount -t overlay overlay -o userxattr,lowerdir={} {target}",
                    join(dirs)
                ),
            ),
            ExecuteSource::Tmpfs { .. } => (
                format!("mkdir -p {target}"),
                format!("mount -t tmpfs none {target}"),
            ),
        };
        script.push_str(&format!("{make}\n{command}\n"));
        if !mount.writable {
            script.push_str(&format!("mount -o remount,bind,ro {target}\n"));
        }
    }
    let environment: Vec<_> = request
        .environment
        .iter()
        .map(|(name, value)| format!("'{name}={value}'"))
        .collect();
    script.push_str(&format!(
        "exec chroot {root} /bin/busybox env -i {} /bin/busybox sh -c 'cd {} && exec \"$@\"' sh \"$@\"\n",
        environment.join(" "),
        request.working_dir
    ));
    script
}

/// A shell for the containers; `None` when this machine cannot run the tests.
pub fn busybox() -> Option<PathBuf> {
    let paths = ["/bin/busybox", "/usr/bin/busybox"].map(Path::new);
    let busybox = paths.iter().find(|path| path.is_file());
    let allowed = Command::new("unshare").args(["-Urm", "true"]).status();
    match busybox {
        Some(path) if allowed.is_ok_and(|status| status.success()) => Some(path.to_path_buf()),
        _ => {
            assert!(
                std::env::var_os("CI").is_none(),
                "busybox-static and user namespaces are needed in CI"
            );
            skip();
            None
        }
    }
}

#[allow(clippy::print_stderr, reason = "a skipped test must be seen")]
fn skip() {
    eprintln!("SKIPPED: busybox (static) or user namespaces are missing, RUN is not tested");
}
