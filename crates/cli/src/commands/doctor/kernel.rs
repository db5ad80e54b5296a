//! The kernel: its version, namespaces, file systems, packet filter, cgroups.

use std::fs;
use std::io::Read;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use coracle_cluster::IdMap;
use coracle_cluster::probe::Trial;
use coracle_cluster::scope::{self, ScopeError};
use coracle_runtime::Delegation;

use super::finding::Finding;
use crate::remedy;

/// The first kernel with overlay file systems in user namespaces.
const OLDEST: (u32, u32) = (5, 11);

/// Looks at the kernel.
pub fn look() -> Vec<Finding> {
    let mut findings = vec![version()];
    findings.extend(namespaces());
    findings.push(ids());
    findings.push(cgroups());
    findings.push(inotify());
    findings
}

fn read(path: &str) -> Option<String> {
    Some(fs::read_to_string(path).ok()?.trim().to_owned())
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn version() -> Finding {
    let release = rustix::system::uname()
        .release()
        .to_string_lossy()
        .into_owned();
    let mut numbers = release
        .split(['.', '-'])
        .map_while(|part| part.parse::<u32>().ok());
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    if version >= OLDEST {
        return Finding::good("kernel", format!("Linux {release}"));
    }
    Finding::bad(
        "kernel",
        format!("Linux {release} is older than {}.{}", OLDEST.0, OLDEST.1),
    )
    .remedy("install a newer kernel")
}

/// Tries the namespaces in a process of its own.
fn namespaces() -> Vec<Finding> {
    let trials = match trials() {
        Ok(trials) => trials,
        Err(error) => {
            return vec![Finding::bad(
                "namespaces",
                format!("could not be tried: {error}"),
            )];
        }
    };
    let mut findings = Vec::new();
    for trial in trials {
        let (name, what, remedy): (_, _, fn() -> String) = match trial.name.as_str() {
            "user" => ("user namespaces", "can be made", user_namespaces),
            "namespaces" => (
                "namespaces",
                "mount, pid, network, IPC, host name, cgroup",
                || {
                    "is this inside a container? Start that with more rights, or use the machine itself".into()
                },
            ),
            "mount" => ("mounts", "can be made", || {
                "is this inside a container? Its seccomp profile forbids mount(2)".into()
            }),
            "overlay" => ("overlay", "works inside a user namespace", || {
                remedy::OVERLAY.into()
            }),
            "network" => ("network", "can be set up", || {
                "is /proc/sys read-only here? Start the surrounding container with --privileged"
                    .into()
            }),
            "nftables" => ("nftables", "can be used", || remedy::NFTABLES.into()),
            _ => ("processes", "have their own /proc", || {
                "is this inside a container? It hides parts of /proc: --security-opt systempaths=unconfined".into()
            }),
        };
        findings.push(match trial.error {
            None => Finding::good(name, what),
            Some(error) => {
                let finding = Finding::bad(name, error).remedy(remedy());
                match name {
                    "user namespaces" if is_root() => finding.mended_by(allow_user_namespaces),
                    _ => finding,
                }
            }
        });
    }
    findings
}

/// Runs the trials: this binary again, as a process with one thread.
fn trials() -> anyhow::Result<Vec<Trial>> {
    let mut child = Command::new("/proc/self/exe")
        .arg0("coracle")
        .arg("probe")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let mut text = Vec::new();
    if let Some(stdout) = &mut child.stdout {
        stdout.read_to_end(&mut text)?;
    }
    child.wait()?;
    Ok(serde_json::from_slice(&text)?)
}

/// Settings that forbid user namespaces, with the value that allows them.
const SWITCHES: [(&str, &str, &str); 2] = [
    ("kernel.unprivileged_userns_clone", "0", "1"),
    ("kernel.apparmor_restrict_unprivileged_userns", "1", "0"),
];

fn path_of(switch: &str) -> String {
    format!("/proc/sys/{}", switch.replace('.', "/"))
}

/// Returns what allows user namespaces here.
pub fn user_namespaces() -> String {
    for (switch, forbids, allows) in SWITCHES {
        if read(&path_of(switch)).as_deref() == Some(forbids) {
            return format!(
                "sudo sysctl -w {switch}={allows}   (to keep it: echo {switch}={allows} | sudo tee /etc/sysctl.d/60-coracle.conf)"
            );
        }
    }
    if read("/proc/sys/user/max_user_namespaces").as_deref() == Some("0") {
        return "sudo sysctl -w user.max_user_namespaces=65536".into();
    }
    if std::path::Path::new("/.dockerenv").exists()
        || std::path::Path::new("/run/.containerenv").exists()
    {
        return "this is inside a container that forbids them: start it with --privileged, or use the machine itself".into();
    }
    "run as root, or have the administrator allow user namespaces".into()
}

fn allow_user_namespaces() -> std::io::Result<()> {
    for (switch, forbids, allows) in SWITCHES {
        if read(&path_of(switch)).as_deref() == Some(forbids) {
            fs::write(path_of(switch), allows)?;
        }
    }
    if read("/proc/sys/user/max_user_namespaces").as_deref() == Some("0") {
        fs::write("/proc/sys/user/max_user_namespaces", "65536")?;
    }
    Ok(())
}

fn ids() -> Finding {
    match IdMap::choose() {
        IdMap::Shifted { base } => Finding::good("ids", format!("65536, from {base} on (started by root)")),
        IdMap::Subordinate { count, .. } => Finding::good("ids", format!("your own and {count} subordinate ones")),
        IdMap::Single { uid, .. } => Finding::fair(
            "ids",
            "only your own: containers that need several users are refused",
        )
        .remedy(format!(
            "sudo apt-get install uidmap && sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 $(id -un {uid})"
        )),
    }
}

/// Makes cgroups as a cluster does, and removes them again.
fn cgroups() -> Finding {
    let ids = IdMap::choose();
    let name = format!("coracle-doctor-{}", std::process::id());
    let scope = match is_root() {
        true => Err(ScopeError::NoTree),
        false => scope::try_out(&name, &ids),
    };
    match scope {
        Ok(()) => in_scope(),
        Err(ScopeError::NoTree | ScopeError::NoManager(_)) => own_cgroups(&name, &ids, None),
        Err(error) => own_cgroups(&name, &ids, Some(error)),
    }
}

fn in_scope() -> Finding {
    let text = "v2, limits are kept in a scope of your session";
    match scope::ends_with_session() {
        false => Finding::good("cgroups", text),
        true => Finding::good(
            "cgroups",
            format!(
                "{text}; it and the cluster outlive your last session after: loginctl enable-linger"
            ),
        ),
    }
}

/// Makes a cgroup where the caller may; `refused` is why its session gives none.
fn own_cgroups(name: &str, ids: &IdMap, refused: Option<ScopeError>) -> Finding {
    let is_unified = std::path::Path::new("/sys/fs/cgroup/cgroup.controllers").exists();
    let version = if is_unified { "v2" } else { "v1" };
    let (uid, gid) = ids.root();
    let error = match Delegation::create(name, uid, gid) {
        Ok(delegation) => {
            let kinds: Vec<&str> = delegation.directories().map(|(kind, _)| kind).collect();
            let kinds = match kinds[..] {
                [""] => String::new(),
                _ => format!(": {}", kinds.join(", ")),
            };
            let _ = delegation.remove();
            return Finding::good("cgroups", format!("{version}, limits are kept{kinds}"));
        }
        Err(error) => refused.map_or(anyhow::Error::from(error), anyhow::Error::from),
    };
    let text = format!("{version}, containers run without limits: {error:#}");
    Finding::fair("cgroups", text).remedy(match (is_root(), is_unified) {
        (true, _) => "is this inside a container? Mount /sys/fs/cgroup writable there",
        (_, true) => "log in to a session of systemd, or start the cluster as root",
        _ => "start the cluster as root, or boot with systemd.unified_cgroup_hierarchy=1",
    })
}

fn inotify() -> Finding {
    const PATH: &str = "/proc/sys/fs/inotify/max_user_instances";
    let limit: u32 = read(PATH).and_then(|text| text.parse().ok()).unwrap_or(0);
    if limit >= 128 {
        return Finding::good("inotify", format!("{limit} instances"));
    }
    let finding = Finding::fair(
        "inotify",
        format!("only {limit} instances: programs that watch files may fail"),
    )
    .remedy("sudo sysctl -w fs.inotify.max_user_instances=512");
    if is_root() {
        return finding.mended_by(|| fs::write(PATH, "512"));
    }
    finding
}
