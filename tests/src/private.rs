//! A network of a test's own, in which any port is free, with an address that
//! stands for a machine outside the cluster. What it mounts is its own too.

use std::net::Ipv4Addr;
use std::process::Command;

const INSIDE: &str = "CORACLE_TEST_PRIVATE_NETWORK";

/// The address of services outside the cluster (RFC 5737, TEST-NET-1).
pub const OUTSIDE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 10);

/// Runs `body` in a network namespace of its own, and a mount namespace in which
/// files of the host may be covered; `test` is the test's name.
///
/// The first time round the test runs itself again in there, as root.
///
/// # Panics
/// Panics when the body does. A user who is not root skips the test loudly.
pub fn in_private_network(test: &str, body: impl FnOnce()) {
    if std::env::var_os(INSIDE).is_some() {
        ip(&["link", "set", "lo", "up"]);
        ip(&["address", "add", &format!("{OUTSIDE}/32"), "dev", "lo"]);
        return body();
    }
    let own = std::env::current_exe().expect("a test knows its own file");
    let status = Command::new("unshare")
        .args(["--net", "--mount", "--"])
        .arg(own)
        .args([test, "--exact", "--nocapture", "--test-threads=1"])
        .env(INSIDE, "1")
        .status()
        .expect("unshare is part of every Linux");
    if status.code() == Some(1) && !is_root() {
        return crate::skip(&format!("{test}: only root may make a network"));
    }
    assert!(status.success(), "{test} failed in its network");
}

/// Whether root runs the tests.
pub fn is_root() -> bool {
    std::fs::read_to_string("/proc/self/status")
        .unwrap_or_default()
        .contains("Uid:\t0\t")
}

/// Returns the user for whom `.ci/run` sets ids aside; `None`, with a loud
/// line, where there is none.
pub fn user_with_range() -> Option<u32> {
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let line = passwd
        .lines()
        .find(|line| line.starts_with("coracle-test:"));
    let uid = line.and_then(|line| line.split(':').nth(2)?.parse().ok());
    if uid.is_none() {
        crate::skip("there is no user coracle-test with ids in /etc/subuid");
    }
    uid
}

fn ip(args: &[&str]) {
    let status = Command::new("ip").args(args).status();
    assert!(
        status.is_ok_and(|status| status.success()),
        "ip {} failed",
        args.join(" ")
    );
}
