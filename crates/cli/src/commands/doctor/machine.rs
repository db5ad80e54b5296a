//! The machine: the home folder, disk, memory, clock, resolver, proxies, and
//! whether this binary is the static one.

use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use super::super::image::size;
use super::super::target::Target;
use super::finding::Finding;
use crate::failure::Failure;
use crate::remedy;

/// Disk space below which images do not fit.
const DISK: u64 = 2 << 30;
/// Below this not even a cluster of nothing can write what it must, in bytes.
const DISK_LEAST: u64 = 0x0400_0000;
/// Memory below which applications do not fit.
const MEMORY: u64 = 512 << 20;

/// Looks at the machine.
pub fn look(target: &Target) -> Vec<Finding> {
    vec![
        binary(),
        home(target),
        disk(target.home.path()),
        memory(),
        clock(),
        resolver(),
        proxies(),
    ]
}

fn binary() -> Finding {
    if needs_libraries() {
        return Finding::bad(
            "binary",
            "needs libraries of this machine, which containers do not have",
        )
        .remedy(remedy::STATIC);
    }
    Finding::good(
        "binary",
        format!("static, version {}", coracle_cluster::build::version()),
    )
}

/// Returns whether this program needs libraries: a static one names no
/// interpreter (ELF, PT_INTERP).
pub fn needs_libraries() -> bool {
    let mut head = Vec::new();
    let read =
        fs::File::open("/proc/self/exe").and_then(|file| file.take(4096).read_to_end(&mut head));
    read.is_ok() && is_dynamic(&head)
}

/// Returns whether an ELF file of 64 bits names an interpreter.
fn is_dynamic(head: &[u8]) -> bool {
    const PT_INTERP: u32 = 3;
    let number = |at: usize, bytes: usize| -> Option<u64> {
        let field = head.get(at..at + bytes)?;
        Some(
            field
                .iter()
                .rev()
                .fold(0, |value, byte| value << 8 | u64::from(*byte)),
        )
    };
    let (Some(start), Some(step), Some(count)) = (number(32, 8), number(54, 2), number(56, 2))
    else {
        return false;
    };
    (0..count).any(|at| {
        let at = usize::try_from(start + at * step).unwrap_or(usize::MAX - 8);
        number(at, 4) == Some(u64::from(PT_INTERP))
    })
}

fn home(target: &Target) -> Finding {
    let path = target.home.path().to_owned();
    let shown = path.display().to_string();
    let probe = path.join(format!(".doctor-{}", std::process::id()));
    let written = fs::create_dir_all(&path)
        .and_then(|()| fs::write(&probe, b""))
        .and_then(|()| fs::remove_file(&probe));
    match written {
        Ok(()) => Finding::good("home", shown),
        Err(error) => Finding::bad("home", format!("{shown} cannot be written: {error}")).remedy(
            format!("{}, or: sudo chown -R $(id -un) {shown}", remedy::HOME),
        ),
    }
}

/// Refuses to start a cluster where it could write next to nothing.
pub fn check_disk(home: &Path) -> Result<(), Failure> {
    let place = home.ancestors().find(|place| place.exists());
    let Some(stat) = place.and_then(|place| rustix::fs::statvfs(place).ok()) else {
        return Ok(());
    };
    let free = stat.f_bavail * stat.f_frsize;
    // What has no size at all, such as /proc, is refused with another reason.
    if free >= DISK_LEAST || stat.f_blocks == 0 {
        return Ok(());
    }
    Err(Failure::machine(format!(
        "the disk is full: {} free in {}, a cluster needs {}",
        size(free),
        home.display(),
        size(DISK_LEAST)
    ))
    .hint(remedy::DISK))
}

fn disk(path: &Path) -> Finding {
    let mut place = path;
    while !place.exists() {
        match place.parent() {
            Some(parent) => place = parent,
            None => break,
        }
    }
    let Ok(stat) = rustix::fs::statvfs(place) else {
        return Finding::fair("disk", format!("{} could not be asked", place.display()));
    };
    let free = stat.f_bavail * stat.f_frsize;
    let says = format!("{} free in {}", size(free), place.display());
    if stat.f_files > 0 && stat.f_favail < 10_000 {
        return Finding::fair(
            "disk",
            format!(
                "only {} inodes are free in {}",
                stat.f_favail,
                place.display()
            ),
        )
        .remedy(remedy::DISK);
    }
    match free {
        0..DISK_LEAST => Finding::bad("disk", says).remedy(remedy::DISK),
        _ if free < DISK => Finding::fair("disk", says).remedy(remedy::DISK),
        _ => Finding::good("disk", says),
    }
}

fn memory() -> Finding {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let available = text
        .lines()
        .find_map(|line| {
            line.strip_prefix("MemAvailable:")?
                .trim()
                .strip_suffix(" kB")?
                .trim()
                .parse::<u64>()
                .ok()
        })
        .unwrap_or(0)
        * 1024;
    let says = format!("{} available", size(available));
    if available < MEMORY {
        return Finding::fair("memory", says)
            .remedy("close other programs; a cluster itself takes some 40 MB");
    }
    Finding::good("memory", says)
}

/// Certificates fail on a machine whose clock is far off.
fn clock() -> Finding {
    let now = SystemTime::now();
    let built = fs::metadata("/proc/self/exe")
        .and_then(|metadata| metadata.modified())
        .unwrap_or(SystemTime::UNIX_EPOCH);
    let day = Duration::from_secs(86_400);
    if now + day < built {
        return Finding::bad(
            "clock",
            "it stands before the day on which this program was made",
        )
        .remedy("sudo timedatectl set-ntp true, or: sudo date -s 'YYYY-MM-DD HH:MM'");
    }
    Finding::good("clock", "plausible")
}

fn resolver() -> Finding {
    let text = fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    let servers: Vec<&str> = text
        .lines()
        .filter_map(|line| {
            line.trim()
                .strip_prefix("nameserver")?
                .split_whitespace()
                .next()
        })
        .collect();
    if servers.is_empty() {
        return Finding::fair("resolver", "/etc/resolv.conf names no server: pods resolve only names of the cluster")
            .remedy("no matter when offline; otherwise: echo nameserver ADDRESS | sudo tee /etc/resolv.conf");
    }
    Finding::good("resolver", servers.join(", "))
}

fn proxies() -> Finding {
    let set = |name: &str| {
        [name.to_owned(), name.to_lowercase()]
            .iter()
            .find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
    };
    let Some(proxy) = set("HTTPS_PROXY").or_else(|| set("HTTP_PROXY")) else {
        return Finding::good("proxy", "none");
    };
    // What stands before an @ is a secret.
    let shown = proxy
        .rsplit_once('@')
        .map_or(proxy.as_str(), |(_, host)| host)
        .to_owned();
    let authority = shown
        .trim_start_matches("http://")
        .trim_start_matches("https://");
    let authority = authority.split('/').next().unwrap_or_default();
    let reachable = std::net::ToSocketAddrs::to_socket_addrs(authority)
        .ok()
        .and_then(|mut addresses| addresses.next())
        .is_some_and(|address| {
            std::net::TcpStream::connect_timeout(&address, Duration::from_secs(2)).is_ok()
        });
    if reachable {
        return Finding::good("proxy", format!("{shown}, used for registries and builds"));
    }
    Finding::fair(
        "proxy",
        format!("{shown} does not answer: nothing can be pulled"),
    )
    .remedy("correct HTTPS_PROXY, or unset it: unset HTTPS_PROXY HTTP_PROXY")
}

/// Sets a file's mode to 0600.
pub fn close(path: &Path) -> std::io::Result<()> {
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_with_an_interpreter_are_told_from_static_ones() {
        let elf = |kind: u8| {
            let mut head = vec![0u8; 120];
            head[32] = 64;
            head[54] = 56;
            head[56] = 1;
            head[64] = kind;
            head
        };
        assert!(is_dynamic(&elf(3)));
        assert!(!is_dynamic(&elf(1)));
        assert!(!is_dynamic(b"short"));
    }
}
