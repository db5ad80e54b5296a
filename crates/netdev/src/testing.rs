//! Private namespaces for tests: nothing outside them is touched.
//!
//! A test calls [`in_namespace`] with its own name. The first time round it
//! runs itself again in a child that has a user and network namespace of its
//! own, which works for root and for a plain user alike; in that child the
//! body runs.

use std::fs;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

use crate::base::loopback_up;
use crate::socket::Netlink;

const INSIDE: &str = "CORACLE_TEST_NAMESPACE";

/// Runs `body` in a private namespace; `test` is the test's full name.
///
/// # Panics
/// When the body panics. Where user namespaces are forbidden the test is
/// skipped with a loud line, or fails when `CI=true`.
pub fn in_namespace(test: &str, body: impl FnOnce()) {
    if std::env::var_os(INSIDE).is_some() {
        loopback_up(&mut Netlink::route().expect("netlink")).expect("loopback rises");
        return body();
    }
    let executable = std::env::current_exe().expect("the test knows its own file");
    let mut command = Command::new(executable);
    command
        .args([test, "--exact", "--nocapture", "--test-threads=1"])
        .env(INSIDE, "1");
    // SAFETY: between fork and exec the child has one thread and makes plain
    // system calls; the few short allocations happen before threads exist in it.
    unsafe { command.pre_exec(enter) };
    match command.status() {
        Ok(status) => assert!(status.success(), "{test} failed inside its namespace"),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            skip(test, &format!("no user namespaces here ({error})"));
        }
        Err(error) => panic!("{test} cannot run itself: {error}"),
    }
}

/// Says loudly that a test, or a part of it, is left out.
///
/// # Panics
/// When `CI=true`: there, nothing may be left out.
pub fn skip(test: &str, why: &str) {
    assert!(
        std::env::var("CI").as_deref() != Ok("true"),
        "{test} cannot be left out: {why}"
    );
    // Written by hand, as libraries have no business with print macros.
    let line = format!("\n*** SKIPPED {test}: {why} ***\n");
    let _ = io::Write::write_all(&mut io::stderr(), line.as_bytes());
}

fn enter() -> io::Result<()> {
    let (uid, gid) = (rustix::process::geteuid(), rustix::process::getegid());
    // SAFETY: no arguments point anywhere; the process has one thread.
    if unsafe { libc::unshare(libc::CLONE_NEWUSER | libc::CLONE_NEWNET) } < 0 {
        return Err(io::Error::last_os_error());
    }
    fs::write("/proc/self/setgroups", "deny")?;
    fs::write("/proc/self/gid_map", format!("0 {} 1", gid.as_raw()))?;
    fs::write("/proc/self/uid_map", format!("0 {} 1", uid.as_raw()))
}
