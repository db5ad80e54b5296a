//! Makes the namespaces in which the suite runs, as the starter of a cluster
//! does: a user namespace always, and everything else in it.
#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Command, exit};

use coracle_runtime::Delegation;

/// Where the ids of a shifted map begin on the host.
const SHIFT: u32 = 700_000;
const NOBODY: u32 = 65_534;

/// How the suite's ids are mapped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Mode {
    Shifted,
    Single,
}

pub fn main(filters: &[String]) -> i32 {
    if filters.iter().any(|word| word == "--list") {
        return 0;
    }
    // Read now: inside a namespace without a map they are unknown.
    OWN.with(|_| ());
    let root = unsafe { libc::geteuid() } == 0;
    let modes: &[Mode] = if root {
        &[Mode::Shifted, Mode::Single]
    } else {
        &[Mode::Single]
    };
    if !root {
        println!("SKIPPED: the shifted id map and cgroups, which need root");
    }
    let failed = modes
        .iter()
        .filter(|mode| run(**mode, root, filters) != 0)
        .count();
    i32::from(failed > 0)
}

fn run(mode: Mode, root: bool, filters: &[String]) -> i32 {
    let base = tempfile::Builder::new()
        .prefix("coracle-")
        .tempdir()
        .expect("a temporary folder");
    let owner = match mode {
        Mode::Shifted => SHIFT,
        Mode::Single if root => NOBODY,
        Mode::Single => unsafe { libc::geteuid() },
    };
    let exe = base.path().join("suite");
    fs::copy("/proc/self/exe", &exe).expect("a copy of this program");
    for path in [base.path(), &exe] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("permissions");
        std::os::unix::fs::chown(path, Some(owner), Some(owner)).expect("the owner is ours to set");
    }
    let name = format!("coracle-test-{}", std::process::id());
    let delegation = match mode {
        // Without cgroups too, once.
        Mode::Single if root => None,
        _ => Delegation::create(&name, owner, owner)
            .inspect_err(|error| {
                println!(
                    "SKIPPED: limits: {error}: {:?}",
                    std::error::Error::source(error)
                )
            })
            .ok(),
    };
    println!("\n{mode:?} ids, cgroups: {}", delegation.is_some());
    let code = in_namespaces(mode, root, delegation.as_ref(), &exe, base.path(), filters);
    if let Some(delegation) = delegation {
        delegation
            .remove()
            .expect("no process remains in the cgroups");
        assert!(Delegation::find(&name).is_none());
    }
    clean(base.path());
    code
}

/// Overlays leave a directory without any permission behind.
fn clean(base: &Path) {
    let _ = Command::new("chmod")
        .args(["-R", "u+rwx"])
        .arg(base)
        .status();
}

fn in_namespaces(
    mode: Mode,
    root: bool,
    delegation: Option<&Delegation>,
    exe: &Path,
    base: &Path,
    filters: &[String],
) -> i32 {
    // What the two processes have to tell each other, in turns.
    let (mut from_child, mut to_parent) = std::io::pipe().expect("a pipe");
    let (mut from_parent, mut to_child) = std::io::pipe().expect("a pipe");
    let child = unsafe { libc::fork() };
    if child == 0 {
        drop((from_child, to_child));
        become_owner(mode, root);
        check(
            unsafe { libc::unshare(libc::CLONE_NEWUSER) },
            "user namespace",
        );
        if mode == Mode::Single {
            map_single();
        }
        tell(&mut to_parent, 0);
        hear(&mut from_parent);
        become_root(mode);
        let rest = libc::CLONE_NEWNS
            | libc::CLONE_NEWPID
            | libc::CLONE_NEWNET
            | libc::CLONE_NEWUTS
            | libc::CLONE_NEWIPC;
        check(unsafe { libc::unshare(rest) }, "namespaces");
        let init = unsafe { libc::fork() };
        if init == 0 {
            drop(to_parent);
            hear(&mut from_parent);
            check(
                unsafe { libc::unshare(libc::CLONE_NEWCGROUP) },
                "cgroup namespace",
            );
            exit(be_init(delegation, exe, base, filters));
        }
        tell(&mut to_parent, init as u32);
        exit(wait_for(init));
    }
    drop((to_parent, from_parent));
    hear(&mut from_child);
    if mode == Mode::Shifted {
        let map = format!("0 {SHIFT} 65536");
        for file in ["gid_map", "uid_map"] {
            fs::write(format!("/proc/{child}/{file}"), &map).expect("root may map any id");
        }
    }
    tell(&mut to_child, 0);
    let init = hear(&mut from_child);
    if let Some(delegation) = delegation {
        delegation.join(init).expect("the cgroup is ours");
    }
    tell(&mut to_child, 0);
    wait_for(child)
}

fn tell(pipe: &mut impl Write, number: u32) {
    let _ = pipe.write_all(&number.to_le_bytes());
}

/// Waits for the other side; 0 when it is gone.
fn hear(pipe: &mut impl Read) -> u32 {
    let mut bytes = [0; 4];
    let _ = pipe.read_exact(&mut bytes);
    u32::from_le_bytes(bytes)
}

fn become_owner(mode: Mode, root: bool) {
    if mode == Mode::Single && root {
        unsafe {
            check(libc::setgroups(0, std::ptr::null()), "setgroups");
            check(libc::setresgid(NOBODY, NOBODY, NOBODY), "setresgid");
            check(libc::setresuid(NOBODY, NOBODY, NOBODY), "setresuid");
            check(libc::prctl(libc::PR_SET_DUMPABLE, 1), "dumpable");
        }
    }
}

fn become_root(mode: Mode) {
    unsafe {
        if mode == Mode::Shifted {
            check(libc::setgroups(0, std::ptr::null()), "setgroups");
        }
        check(libc::setresgid(0, 0, 0), "setresgid");
        check(libc::setresuid(0, 0, 0), "setresuid");
        check(libc::prctl(libc::PR_SET_DUMPABLE, 1), "dumpable");
    }
}

fn map_single() {
    let status = fs::read_to_string("/proc/self/status").expect("/proc");
    assert!(status.contains("Uid:"), "{status}");
    let (uid, gid) = OWN.with(|own| *own);
    fs::write("/proc/self/setgroups", "deny").expect("setgroups");
    fs::write("/proc/self/gid_map", format!("0 {gid} 1")).expect("gid_map");
    fs::write("/proc/self/uid_map", format!("0 {uid} 1")).expect("uid_map");
}

thread_local! {
    /// The ids on the host; inside a namespace without a map they are unknown.
    static OWN: (u32, u32) = match unsafe { (libc::getuid(), libc::getgid()) } {
        (0, _) => (NOBODY, NOBODY),
        ids => ids,
    };
}

/// The first process of the namespaces: mounts, then reaps.
fn be_init(delegation: Option<&Delegation>, exe: &Path, base: &Path, filters: &[String]) -> i32 {
    mount("none", "/", "", libc::MS_REC | libc::MS_PRIVATE);
    mount(
        "proc",
        "/proc",
        "proc",
        libc::MS_NOSUID | libc::MS_NODEV | libc::MS_NOEXEC,
    );
    let cgroups = base.join("cgroup");
    fs::create_dir(&cgroups).expect("the folder is ours");
    for (name, directory) in delegation
        .iter()
        .flat_map(|delegation| delegation.directories())
    {
        let target = cgroups.join(name);
        fs::create_dir_all(&target).expect("the folder is ours");
        mount(
            directory.to_str().unwrap(),
            target.to_str().unwrap(),
            "",
            libc::MS_BIND,
        );
    }
    let mut suite = Command::new(exe);
    suite.arg0("suite").arg("inside").arg(base).args(filters);
    let suite = suite.spawn().expect("this program can run").id() as i32;
    loop {
        let mut status = 0;
        let pid = unsafe { libc::wait(&raw mut status) };
        if pid == suite {
            return code(status);
        }
        if pid < 0 {
            return 1;
        }
    }
}

fn mount(source: &str, target: &str, kind: &str, flags: libc::c_ulong) {
    let c = |text: &str| std::ffi::CString::new(text).unwrap();
    let (source, at, kind) = (c(source), c(target), c(kind));
    let answer = unsafe {
        libc::mount(
            source.as_ptr(),
            at.as_ptr(),
            kind.as_ptr(),
            flags,
            std::ptr::null(),
        )
    };
    check(answer, target);
}

fn wait_for(pid: i32) -> i32 {
    let mut status = 0;
    check(
        if unsafe { libc::waitpid(pid, &raw mut status, 0) } < 0 {
            -1
        } else {
            0
        },
        "wait",
    );
    code(status)
}

fn code(status: i32) -> i32 {
    let status = std::process::ExitStatus::from_raw(status);
    status
        .code()
        .unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
}

fn check(answer: i32, what: &str) {
    if answer != 0 {
        eprintln!("{what}: {}", std::io::Error::last_os_error());
        exit(1);
    }
}
