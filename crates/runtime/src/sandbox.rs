//! Namespaces that several containers share: network, host name, IPC and, on
//! request, process ids. The main type is [`Sandbox`]. They are kept alive as
//! mounts at paths, not by a process or a descriptor, so that an engine which
//! starts anew only opens the paths again.
//!
//! Not here: anything in the network namespace, not even its loopback.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, WaitOptions};
use rustix::thread::UnshareFlags;

use crate::mount;
use crate::record;
use crate::shim::PAUSE_WORD;
use crate::spec::{Namespace, Namespaces};
use crate::sys;

const PAUSE: &str = "pause.json";
/// A mark: processes are the caller's.
const HOST_PIDS: &str = "host-pids";
const NSFS_MAGIC: i64 = 0x6e73_6673;

/// What a sandbox is.
#[derive(Debug, Clone, Default)]
pub struct SandboxSpec {
    /// Names the sandbox; also the name of its directory, so no slashes.
    pub id: String,
    /// The host name in it. Empty leaves the caller's.
    pub hostname: String,
    /// Whether the network is the caller's instead of a new one.
    pub host_network: bool,
    /// Whether message queues and shared memory are the caller's.
    pub host_ipc: bool,
    /// Whether its containers see all processes of the caller.
    pub host_pids: bool,
    /// Whether its containers see each other's processes.
    pub share_pids: bool,
    /// Kernel settings of its namespaces, such as `net.core.somaxconn`.
    pub sysctls: Vec<(String, String)>,
}

/// Why a sandbox could not be made or removed.
#[derive(Debug, thiserror::Error)]
#[error("sandbox {id}: {step}")]
pub struct SandboxError {
    /// Its id.
    pub id: String,
    /// What was being done.
    pub step: String,
    /// Why it failed.
    #[source]
    pub source: io::Error,
}

/// Namespaces that wait at paths.
#[derive(Debug, Clone)]
pub struct Sandbox {
    directory: PathBuf,
}

impl Sandbox {
    pub(crate) fn at(directory: PathBuf) -> Self {
        Self { directory }
    }

    /// The id of its spec.
    pub fn id(&self) -> &str {
        self.directory
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or("")
    }

    /// Tells whether its namespaces exist. They do not after the machine or
    /// the cluster was started anew; then it is only good for removal.
    pub fn is_alive(&self) -> bool {
        is_namespace(&self.directory.join("uts"))
    }

    /// The file that names its network namespace; `None` with the caller's.
    pub fn net(&self) -> Option<PathBuf> {
        Some(self.directory.join("net")).filter(|path| path.exists())
    }

    /// What a container in this sandbox puts in its spec.
    pub fn namespaces(&self) -> Namespaces {
        let at = |name: &str| Some(self.directory.join(name)).filter(|path| path.exists());
        let or_host = |path: Option<PathBuf>| path.map_or(Namespace::Host, Namespace::Path);
        Namespaces {
            net: or_host(self.net()),
            ipc: or_host(at("ipc")),
            uts: Namespace::Path(self.directory.join("uts")),
            pid: match at("pid") {
                Some(path) => Namespace::Path(path),
                None if at(HOST_PIDS).is_some() => Namespace::Host,
                None => Namespace::Own,
            },
        }
    }

    /// Lets the namespaces go. Processes still in them keep them a while;
    /// those in a shared pid namespace are killed.
    ///
    /// # Errors
    ///
    /// When the kernel refuses. Everything is tried.
    pub async fn remove(&self) -> Result<(), SandboxError> {
        let sandbox = self.clone();
        let removed = tokio::task::spawn_blocking(move || sandbox.clear());
        removed
            .await
            .unwrap_or_else(|error| Err(self.failed("remove")(io::Error::other(error))))
    }

    fn clear(&self) -> Result<(), SandboxError> {
        self.end_pause();
        let mut result = Ok(());
        for name in ["net", "ipc", "uts", "pid"] {
            result = result.and(mount::unmount(&self.directory.join(name)));
        }
        let removed = match fs::remove_dir_all(&self.directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        };
        result
            .and(removed)
            .map_err(|source| self.failed("remove")(source))
    }

    /// Kills the first process of the shared pid namespace, and all others
    /// with it.
    fn end_pause(&self) {
        let Ok(Some(pid)) = record::read::<i32>(&self.directory, PAUSE) else {
            return;
        };
        let namespace = |path: PathBuf| fs::metadata(path).ok().map(|meta| meta.ino());
        let ours = namespace(self.directory.join("pid"));
        // The number may be someone else's by now.
        if ours.is_none() || namespace(format!("/proc/{pid}/ns/pid").into()) != ours {
            return;
        }
        if let Some(pid) = Pid::from_raw(pid) {
            let _ = rustix::process::kill_process(pid, Signal::KILL);
            // Ours to reap only if this engine started it.
            let _ = rustix::process::waitpid(Some(pid), WaitOptions::empty());
        }
    }

    fn failed(&self, step: &str) -> impl FnOnce(io::Error) -> SandboxError {
        let (id, step) = (self.id().to_owned(), step.to_owned());
        move |source| SandboxError { id, step, source }
    }
}

/// Makes a sandbox in a thread that ends right afterwards: the thread enters
/// the new namespaces and cannot leave them.
pub(crate) async fn create(
    exe: &Path,
    parent: &Path,
    spec: SandboxSpec,
) -> Result<Sandbox, SandboxError> {
    let sandbox = Sandbox::at(parent.join(&spec.id));
    let plain = !spec.id.is_empty() && !spec.id.contains('/') && !spec.id.starts_with('.');
    if !plain {
        return Err(SandboxError {
            id: spec.id,
            step: "use the id as a file name".into(),
            source: io::ErrorKind::InvalidInput.into(),
        });
    }
    fs::DirBuilder::new()
        .mode(0o700)
        .create(&sandbox.directory)
        .map_err(sandbox.failed("make"))?;
    let (done, result) = tokio::sync::oneshot::channel();
    let (maker, exe) = (sandbox.clone(), exe.to_owned());
    let spawned = std::thread::Builder::new()
        .name("sandbox".into())
        .spawn(move || {
            // A caller that has gone away has cancelled the request.
            if done.send(make(&maker, &exe, &spec)).is_err() {
                let _ = maker.clear();
            }
        });
    let made = match spawned {
        Ok(_detached) => result.await.unwrap_or_else(|_| {
            Err(sandbox.failed("make")(io::Error::other(
                "the thread ended early",
            )))
        }),
        Err(error) => Err(sandbox.failed("start a thread")(error)),
    };
    match made {
        Ok(()) => Ok(sandbox),
        Err(error) => {
            let _ = sandbox.clear();
            Err(error)
        }
    }
}

/// Runs in the throw-away thread.
fn make(sandbox: &Sandbox, exe: &Path, spec: &SandboxSpec) -> Result<(), SandboxError> {
    let mut flags = UnshareFlags::NEWUTS;
    flags.set(UnshareFlags::NEWIPC, !spec.host_ipc);
    flags.set(UnshareFlags::NEWNET, !spec.host_network);
    sys::unshare(flags).map_err(sandbox.failed("make namespaces"))?;
    if !spec.hostname.is_empty() {
        rustix::system::sethostname(spec.hostname.as_bytes())
            .map_err(|error| sandbox.failed("set the host name")(error.into()))?;
    }
    for (name, value) in &spec.sysctls {
        set_sysctl(name, value).map_err(sandbox.failed(&format!("set {name}")))?;
    }
    let names = [
        ("uts", true),
        ("ipc", !spec.host_ipc),
        ("net", !spec.host_network),
    ];
    for (name, _) in names.into_iter().filter(|(_, own)| *own) {
        pin(
            Path::new("/proc/thread-self/ns").join(name),
            &sandbox.directory.join(name),
        )
        .map_err(sandbox.failed("keep a namespace"))?;
    }
    if spec.host_pids {
        File::create(sandbox.directory.join(HOST_PIDS))
            .map_err(sandbox.failed("note whose processes are seen"))?;
    } else if spec.share_pids {
        make_pid_namespace(sandbox, exe, &spec.id).map_err(sandbox.failed("share process ids"))?;
    }
    Ok(())
}

/// The next child of this thread is the first process of a new pid namespace.
fn make_pid_namespace(sandbox: &Sandbox, exe: &Path, id: &str) -> io::Result<()> {
    sys::unshare(UnshareFlags::NEWPID)?;
    let child = Command::new(exe)
        .arg0("coracle")
        .args(["shim", PAUSE_WORD, id])
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let pid = child.id() as i32;
    record::write(&sandbox.directory, PAUSE, &pid)?;
    pin(
        format!("/proc/{pid}/ns/pid").into(),
        &sandbox.directory.join("pid"),
    )
}

/// Keeps a namespace alive at `path`.
fn pin(namespace: PathBuf, path: &Path) -> io::Result<()> {
    File::create(path)?;
    Ok(rustix::mount::mount_bind(namespace, path)?)
}

/// Settings of namespaces are those of the thread that writes them.
fn set_sysctl(name: &str, value: &str) -> io::Result<()> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-/".contains(&byte);
    if name.contains("..") || !name.bytes().all(plain) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    // sysctl(8): with a slash first, dots belong to names.
    let path = match name.find(['.', '/']) {
        Some(at) if name.as_bytes()[at] == b'/' => name.to_owned(),
        _ => name.replace('.', "/"),
    };
    fs::write(Path::new("/proc/sys").join(path), value)
}

fn is_namespace(path: &Path) -> bool {
    rustix::fs::statfs(path).is_ok_and(|stat| stat.f_type == NSFS_MAGIC)
}
