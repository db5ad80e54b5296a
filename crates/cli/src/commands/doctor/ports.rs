//! The ports that applications ask for: whether they are free, who has them.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};

use super::super::target::Target;
use super::finding::Finding;
use crate::remedy;

/// Ports with the name of their finding: HTTP and HTTPS of Ingress, the
/// NodePort that most charts choose.
const PORTS: [(u16, &str); 3] = [(80, "port 80"), (443, "port 443"), (30080, "port 30080")];

/// Looks at the ports.
pub fn look(target: &Target) -> Vec<Finding> {
    let ours = target.running().is_some();
    PORTS
        .iter()
        .map(|(port, name)| one(*port, name, ours))
        .collect()
}

fn one(port: u16, name: &'static str, cluster_runs: bool) -> Finding {
    let error = match TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
        Ok(_) => return Finding::good(name, "free"),
        Err(error) => error,
    };
    match error.kind() {
        std::io::ErrorKind::AddrInUse => match holder(port) {
            Some((_, program)) if cluster_runs && program.starts_with("coracle") => {
                Finding::good(name, "used by the cluster")
            }
            Some((pid, program)) => {
                Finding::fair(name, format!("taken by {program} (process {pid})"))
                    .remedy(format!("{} (kill {pid} ends it)", remedy::PORT))
            }
            None => Finding::fair(name, "taken by another user's program")
                .remedy(format!("see which: sudo ss -ltnp 'sport = :{port}'")),
        },
        std::io::ErrorKind::PermissionDenied => {
            Finding::fair(name, "only root may open it: Ingress gets another port").remedy(format!(
                "sudo sysctl -w net.ipv4.ip_unprivileged_port_start={}",
                port.min(80)
            ))
        }
        _ => Finding::fair(name, error.to_string()),
    }
}

/// Returns the process that listens on a port of the loopback, if it can be seen.
pub fn holder(port: u16) -> Option<(i32, String)> {
    let inode = ["/proc/net/tcp", "/proc/net/tcp6"]
        .iter()
        .find_map(|path| listening_inode(&fs::read_to_string(path).ok()?, port))?;
    let link = format!("socket:[{inode}]");
    for entry in fs::read_dir("/proc").ok()?.flatten() {
        let Some(pid) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse::<i32>().ok())
        else {
            continue;
        };
        let Ok(descriptors) = fs::read_dir(entry.path().join("fd")) else {
            continue;
        };
        let holds = descriptors.flatten().any(|fd| {
            fs::read_link(fd.path()).is_ok_and(|target| target.as_os_str() == link.as_str())
        });
        if holds {
            let name = fs::read_to_string(entry.path().join("comm")).unwrap_or_default();
            return Some((pid, name.trim().to_owned()));
        }
    }
    None
}

/// Finds the inode of a listening socket in the text of /proc/net/tcp (proc(5)).
fn listening_inode(table: &str, port: u16) -> Option<u64> {
    const LISTEN: &str = "0A";
    table.lines().skip(1).find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (_, number) = fields.get(1)?.rsplit_once(':')?;
        let is_it = u16::from_str_radix(number, 16) == Ok(port) && fields.get(3) == Some(&LISTEN);
        is_it.then(|| fields.get(9)?.parse().ok())?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_holder_of_a_port_is_found() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port is free");
        let port = listener.local_addr().expect("it is bound").port();
        let until = |expected: Option<i32>| {
            // A child of another test has it, too, until it becomes its program.
            for _ in 0..10_000 {
                if holder(port).map(|(pid, _)| pid) == expected {
                    return;
                }
                std::thread::sleep(std::time::Duration::from_millis(5));
            }
            panic!("{expected:?} never was the holder: {:?}", holder(port));
        };
        until(Some(std::process::id() as i32));
        drop(listener);
        until(None);
    }
}
