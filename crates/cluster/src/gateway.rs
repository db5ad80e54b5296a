//! The gateway of a running cluster, as commands start and replace it. What
//! the process itself does is no concern of this file; `keeper` keeps it.
//!
//! A gateway holds the host's listening sockets. One that replaces another
//! takes them from it, so that no port is closed for a moment:
//! [`succeed`] starts it beside the old one, [`retire`] ends the old one when
//! the new one has them all.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::home::ClusterDir;
use crate::init;
use crate::launch::{LaunchError, file, gone, inherit, open_log, own_command, signal};
use crate::record::{Process, Record};
use crate::sys;

/// Environment variable that names the socket of the gateway before.
pub const PREDECESSOR: &str = "CORACLE_PREDECESSOR";

const SOCKET: &str = "gateway.sock";
const OLD_SOCKET: &str = "gateway-before.sock";

/// How long a new gateway may take to get the sockets of the old one.
const SUCCESSION: Duration = Duration::from_secs(5);

/// Starts the gateway's keeper for the cluster whose pid 1 is `init`.
///
/// # Errors
/// Fails if its socket cannot be made or the process cannot be started.
pub fn start_gateway(cluster: &ClusterDir, init: Process) -> Result<Process, LaunchError> {
    start(cluster, init, None)
}

fn start(
    cluster: &ClusterDir,
    init: Process,
    predecessor: Option<&Path>,
) -> Result<Process, LaunchError> {
    let path = cluster.run().join(SOCKET);
    let _ = fs::remove_file(&path);
    let listener = listen(&path).map_err(file(&path))?;
    // User 0 inside is not the one who makes the socket; the folder keeps all others out.
    fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).map_err(file(&path))?;
    let mut command = own_command(&["gateway", cluster.name()]);
    command
        .env(
            init::DESCRIPTORS,
            format!("gateway={}", listener.as_raw_fd()),
        )
        .env("CORACLE_INIT", init.pid.to_string())
        .stdin(Stdio::null())
        .stdout(open_log(cluster, "gateway")?)
        .stderr(open_log(cluster, "gateway")?);
    match predecessor {
        Some(path) => command.env(PREDECESSOR, path),
        None => command.env_remove(PREDECESSOR),
    };
    inherit(&mut command, [listener.as_fd()].into_iter());
    // SAFETY: setsid is async-signal-safe and touches no memory of the parent.
    unsafe { command.pre_exec(sys::setsid) };
    let child = command.spawn().map_err(|source| LaunchError::Spawn {
        process: "gateway",
        source,
    })?;
    Process::of(child.id() as i32).ok_or(LaunchError::Spawn {
        process: "gateway",
        source: io::Error::other("it ended at once"),
    })
}

/// Starts this binary as the cluster's gateway beside the one that runs, which
/// is asked for its sockets; the record names both from now on.
///
/// # Errors
/// Fails if the new one cannot be started or the record not be written.
pub fn succeed(cluster: &ClusterDir, record: &mut Record) -> Result<(), LaunchError> {
    retire(cluster, record)?;
    let old = cluster.run().join(OLD_SOCKET);
    let predecessor = record.gateway.filter(Process::is_alive);
    // The socket goes on listening under its new name.
    let renamed = fs::rename(cluster.run().join(SOCKET), &old).is_ok();
    let from = (renamed && predecessor.is_some()).then_some(old.as_path());
    record.gateway = Some(start(cluster, record.init, from)?);
    record.predecessor = predecessor;
    record.write(cluster).map_err(file(&cluster.run()))
}

/// Ends the gateway of the version before, as soon as its successor has every
/// socket of it.
///
/// # Errors
/// Fails if the record cannot be written.
pub fn retire(cluster: &ClusterDir, record: &mut Record) -> Result<(), LaunchError> {
    let Some(old) = record.predecessor.take() else {
        return Ok(());
    };
    let until = Instant::now() + SUCCESSION;
    while let Some(new) = record.gateway
        && old.is_alive()
        && !ports(old.pid).is_subset(&ports(new.pid))
        && Instant::now() < until
    {
        std::thread::sleep(Duration::from_millis(5));
    }
    let _ = signal(old, libc::SIGKILL);
    gone(old, Duration::from_secs(2));
    let _ = fs::remove_file(cluster.run().join(OLD_SOCKET));
    record.write(cluster).map_err(file(&cluster.run()))
}

/// Returns the inodes of the listening sockets that a keeper's worker holds.
fn ports(keeper: i32) -> BTreeSet<String> {
    let children = fs::read_to_string(format!("/proc/{keeper}/task/{keeper}/children"));
    let Some(worker) = children
        .unwrap_or_default()
        .split_whitespace()
        .next()
        .map(str::to_owned)
    else {
        return BTreeSet::new();
    };
    let held: BTreeSet<String> = fs::read_dir(format!("/proc/{worker}/fd"))
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let link = fs::read_link(entry.path()).ok()?;
            let inode = link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?;
            Some(inode.to_owned())
        })
        .collect();
    let listening = ["tcp", "tcp6", "udp", "udp6"]
        .into_iter()
        .flat_map(|table| {
            let text =
                fs::read_to_string(format!("/proc/{worker}/net/{table}")).unwrap_or_default();
            bound(&text, table.starts_with("tcp"))
        });
    listening.filter(|inode| held.contains(inode)).collect()
}

/// Returns the inodes in a table of sockets (proc(5), /proc/net/tcp): those
/// that listen (state 0A) of streams, those without a peer (07) of datagrams.
fn bound(table: &str, is_stream: bool) -> Vec<String> {
    let wanted = if is_stream { "0A" } else { "07" };
    table
        .lines()
        .skip(1)
        .filter_map(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let inode = fields.get(9)?;
            (*fields.get(3)? == wanted).then(|| (*inode).to_owned())
        })
        .collect()
}

/// Listens on a socket of whole messages, whose path may be longer than an
/// address can hold (unix(7): 108 bytes), by way of its folder's descriptor.
fn listen(path: &Path) -> io::Result<OwnedFd> {
    use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
    let folder = fs::File::open(path.parent().unwrap_or(Path::new("/")))?;
    let name = path.file_name().unwrap_or_default();
    let short = PathBuf::from(format!("/proc/self/fd/{}", folder.as_raw_fd())).join(name);
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
    rustix::net::bind(&socket, &SocketAddrUnix::new(&short)?)?;
    rustix::net::listen(&socket, 16)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bound_sockets_are_found_in_the_kernels_tables() {
        let tcp = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n   0: 0100007F:0050 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1 0\n   1: 0100007F:0050 0100007F:9C40 01 00000000:00000000 00:00000000 00000000     0        0 4712 1 0\n";
        assert_eq!(bound(tcp, true), ["4711"]);
        let udp = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops\n  99: 0100007F:0035 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 815 2 0 0\n";
        assert_eq!(bound(udp, false), ["815"]);
        assert!(bound("", true).is_empty());
    }
}
