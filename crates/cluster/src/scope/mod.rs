//! A scope of the user's service manager: how a cluster of an ordinary user
//! comes to cgroups of its own where systemd looks after them
//! (systemd, CGROUP_DELEGATION.md). The entry is [`enter`].
//!
//! Not here: what is done with the cgroup, see [`Delegation`].

mod dbus;

use std::fs;
use std::io;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use coracle_runtime::{Delegation, DelegationError};

use crate::idmap::IdMap;
use dbus::{Call, Peer, Writer};

/// How long the service manager may take.
const PATIENCE: Duration = Duration::from_secs(3);
const TREE: &str = "/sys/fs/cgroup";

/// Why there is no scope.
#[derive(Debug, thiserror::Error)]
pub enum ScopeError {
    /// There is no cgroup tree of version 2 alone.
    #[error("cgroups are not of version 2 alone")]
    NoTree,
    /// Nobody listens where the service manager of a session does.
    #[error("no service manager of a session at {}", .0.display())]
    NoManager(PathBuf),
    /// The conversation broke off.
    #[error("ask the session's service manager")]
    Manager(#[source] io::Error),
    /// It said no.
    #[error("the session's service manager refused: {0}")]
    Refused(String),
    /// It said yes and did nothing.
    #[error("process {0} was not put into its scope")]
    Late(u32),
    /// The scope's cgroup cannot be used.
    #[error("use the scope's cgroup")]
    Delegation(#[from] DelegationError),
    /// The process could not be moved within it.
    #[error("join the scope's cgroup")]
    Join(#[source] io::Error),
}

/// Has a process of the caller put into a scope called after `name`, and makes
/// the cgroup `name` in there with the process in it. The scope and all in it
/// are gone when the last of its processes has ended.
///
/// # Errors
/// Fails without a service manager, and if it refuses.
pub fn enter(name: &str, pid: u32, ids: &IdMap) -> Result<Delegation, ScopeError> {
    if !Path::new(TREE).join("cgroup.controllers").exists() {
        return Err(ScopeError::NoTree);
    }
    // A name that was never used: an old scope may not have gone yet.
    let unit = format!("{name}-{pid}.scope");
    start(&mut manager()?, &unit, pid)?;
    let scope = Path::new(TREE).join(await_group(&unit, pid)?);
    let (uid, gid) = ids.root();
    let delegation = Delegation::below(&scope, name, uid, gid)?;
    delegation.join(pid).map_err(ScopeError::Join)?;
    Ok(delegation)
}

/// Tries with a process that does nothing whether [`enter`] would work.
///
/// # Errors
/// As [`enter`].
pub fn try_out(name: &str, ids: &IdMap) -> Result<(), ScopeError> {
    let mut idle = Command::new("cat")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .map_err(ScopeError::Join)?;
    let result = enter(name, idle.id(), ids);
    // Its end of the pipe closes, and it ends.
    drop(idle.stdin.take());
    let _ = idle.wait();
    result.map(drop)
}

/// Whether the caller's processes end when the last session does.
pub fn ends_with_session() -> bool {
    let uid = rustix::process::geteuid().as_raw();
    let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let name = crate::idmap::user_name(&passwd, uid);
    // loginctl(1), enable-linger.
    !name.is_some_and(|name| Path::new("/var/lib/systemd/linger").join(name).exists())
}

/// Connects to the service manager: over the user's bus, or directly where
/// there is none.
fn manager() -> Result<Peer<UnixStream>, ScopeError> {
    let uid = rustix::process::geteuid().as_raw();
    let folder = std::env::var_os("XDG_RUNTIME_DIR")
        .map_or_else(|| format!("/run/user/{uid}").into(), PathBuf::from);
    for (socket, is_bus) in [("bus", true), ("systemd/private", false)] {
        let Ok(stream) = UnixStream::connect(folder.join(socket)) else {
            continue;
        };
        stream
            .set_read_timeout(Some(PATIENCE))
            .map_err(ScopeError::Manager)?;
        let mut peer = Peer::new(stream, uid).map_err(ScopeError::Manager)?;
        if is_bus {
            peer.ask(&Call {
                destination: "org.freedesktop.DBus",
                path: "/org/freedesktop/DBus",
                member: "Hello",
                ..Call::default()
            })?;
        }
        return Ok(peer);
    }
    Err(ScopeError::NoManager(folder))
}

/// Asks for a transient unit (org.freedesktop.systemd1(5), StartTransientUnit).
fn start<S: io::Read + io::Write>(
    manager: &mut Peer<S>,
    unit: &str,
    pid: u32,
) -> Result<(), ScopeError> {
    let mut body = Writer::default();
    body.text(unit);
    body.text("fail");
    body.array(8, |properties| {
        properties.property("Description", "s", |value| value.text("coracle cluster"));
        properties.property("Delegate", "b", |value| value.number(1));
        properties.property("CollectMode", "s", |value| value.text("inactive-or-failed"));
        properties.property("PIDs", "au", |value| {
            value.array(4, |pids| pids.number(pid));
        });
    });
    // No further units come with it.
    body.array(8, |_| {});
    manager.ask(&Call {
        destination: "org.freedesktop.systemd1",
        path: "/org/freedesktop/systemd1",
        interface: "org.freedesktop.systemd1.Manager",
        member: "StartTransientUnit",
        signature: "ssa(sv)a(sa(sv))",
        body: body.bytes(),
    })
}

/// Waits until a process is in its scope; returns the scope's path in the tree.
fn await_group(unit: &str, pid: u32) -> Result<PathBuf, ScopeError> {
    let until = Instant::now() + PATIENCE;
    while Instant::now() < until {
        let text = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
        if let Some(path) = group_of(&text).filter(|path| path.ends_with(unit)) {
            return Ok(path.to_owned());
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    Err(ScopeError::Late(pid))
}

/// Returns a process's place in the tree of version 2 (cgroups(7), /proc/pid/cgroup).
fn group_of(text: &str) -> Option<&Path> {
    let path = text.lines().find_map(|line| line.strip_prefix("0::/"))?;
    Some(Path::new(path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};

    /// A manager that gives one answer to whatever it is asked.
    struct Script {
        answer: io::Cursor<Vec<u8>>,
        heard: Vec<u8>,
    }

    impl Read for Script {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            self.answer.read(into)
        }
    }

    impl Write for Script {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.heard.extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn asked(kind: u8, body: &[u8]) -> (Result<(), ScopeError>, Vec<u8>) {
        let mut answer = b"OK 0123456789abcdef\r\n".to_vec();
        // A signal comes first, as it may at any time.
        answer.extend(dbus::message(4, 1, &Call::default()));
        let signature = if body.is_empty() { "" } else { "s" };
        let body = body.to_vec();
        answer.extend(dbus::message(
            kind,
            2,
            &Call {
                signature,
                body,
                ..Call::default()
            },
        ));
        let script = Script {
            answer: io::Cursor::new(answer),
            heard: Vec::new(),
        };
        let mut peer = Peer::new(script, 1000).expect("it lets everyone in");
        let result = start(&mut peer, "coracle-x.scope", 4711);
        (result, peer.into_inner().heard)
    }

    #[test]
    fn a_scope_is_asked_for() {
        let (result, heard) = asked(2, b"");
        result.expect("it said yes");
        let auth = b"\0AUTH EXTERNAL 31303030\r\nBEGIN\r\n";
        assert!(heard.starts_with(auth), "{heard:?}");
        let call = &heard[auth.len()..];
        // As sd-bus of systemd 252 writes it: little endian, a call, version 1.
        assert_eq!(call[..4], [b'l', 1, 0, 1]);
        let length = u32::from_le_bytes(call[4..8].try_into().expect("four bytes"));
        let body = &call[call.len() - length as usize..];
        assert_eq!(body[..4], 15_u32.to_le_bytes());
        assert_eq!(&body[4..20], b"coracle-x.scope\0");
        assert!(body.windows(4).any(|four| four == 4711_u32.to_le_bytes()));
        assert_eq!((call.len() - length as usize) % 8, 0, "the body is aligned");
    }

    #[test]
    fn a_refusal_is_told() {
        let mut body = Writer::default();
        body.text("Unit coracle-x.scope already exists.");
        let (result, _) = asked(3, &body.bytes());
        assert_eq!(
            result.expect_err("it said no").to_string(),
            "the session's service manager refused: Unit coracle-x.scope already exists."
        );
        // An answer that breaks off.
        assert!(matches!(asked(1, b"").0, Err(ScopeError::Manager(_))));
    }

    #[test]
    fn groups_of_version_two_are_found() {
        let check = |text: &str, expected: Option<&str>| {
            assert_eq!(group_of(text), expected.map(Path::new), "{text}");
        };
        check("0::/user.slice/a.scope\n", Some("user.slice/a.scope"));
        check("4:memory:/x\n0::/y\n", Some("y"));
        check("4:memory:/x\n", None);
        check("", None);
    }
}
