//! What pods may reach outside stays judged while a cluster is upgraded: nothing
//! that is refused gets through, nothing that is allowed is refused.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use coracle_tests::cluster::Cluster;
use coracle_tests::lab::{self, Lab};
use coracle_tests::mishap::Said;
use coracle_tests::private::{OUTSIDE, in_private_network};
use coracle_tests::wait::until;
use serde_json::json;

const ALLOWED: u16 = 9101;
const REFUSED: u16 = 9102;
const UPGRADES: usize = 2;
const AT_ONCE: usize = 8;
/// So many attempts are seen before and after each upgrade.
const ATTEMPTS: usize = 30;

/// Greets everybody outside the cluster; returns how many have come.
fn greeter(port: u16) -> Arc<AtomicUsize> {
    let listener = TcpListener::bind((OUTSIDE, port)).expect("the network is this test's own");
    let count = Arc::new(AtomicUsize::new(0));
    let greeted = count.clone();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            greeted.fetch_add(1, Ordering::Relaxed);
            // A client that breaks off notes that it was not greeted.
            let _ = stream.write_all(b"hello\n");
        }
    });
    count
}

/// Asks a greeter from where it stands; whoever asked before has been counted then.
fn until_counted(port: u16) {
    let mut text = String::new();
    let stream =
        TcpStream::connect((OUTSIDE, port)).and_then(|mut stream| stream.read_to_string(&mut text));
    assert_eq!(text, "hello\n", "{stream:?}");
}

/// Tries a port again and again, once told to, and notes each outcome; an attempt
/// may take so many seconds. The kernel tells of refusals once a second, so several
/// try at a time.
fn trying(port: u16, seconds: u32, expected: &str) -> String {
    let again = format!(
        "while :; do said=$(timeout {seconds} nc {OUTSIDE} {port} </dev/null 2>/dev/null); \
         if [ \"$said\" = \"{expected}\" ]; then echo >>/tmp/right; \
         else echo \"[$said]\" >>/tmp/wrong; fi; done"
    );
    format!(
        "until [ -e /tmp/go ]; do sleep 1; done; for i in $(seq {AT_ONCE}); do {{ {again}; }} & done; wait"
    )
}

/// Returns how often a container met what it should, and what else it met.
fn met(lab: &Lab, container: &str) -> (usize, String) {
    let script = "wc -l </tmp/right; cat /tmp/wrong 2>/dev/null || true";
    let said = lab.inside("client", container, script);
    let (right, wrong) = said.split_once('\n').unwrap_or((&said, ""));
    (right.trim().parse().unwrap_or(0), wrong.to_owned())
}

/// Waits until both have tried more often, with the outcome that they should have.
fn go_on(lab: &Lab) {
    for container in ["allowed", "refused"] {
        let (before, _) = met(lab, container);
        until(&format!("{container} goes on"), || {
            match met(lab, container) {
                (right, wrong) if wrong.is_empty() && right >= before + ATTEMPTS => Ok(()),
                other => Err(format!("{other:?}")),
            }
        });
    }
}

#[test]
fn egress_is_judged_all_through_an_upgrade() {
    in_private_network("egress_is_judged_all_through_an_upgrade", || {
        let Some(lab) = Lab::of(Cluster::new("upgrade-egress")) else {
            return;
        };
        let (allowed, refused) = (greeter(ALLOWED), greeter(REFUSED));
        let container = |name: &str, port: u16, seconds: u32, expected: &str| {
            let script = trying(port, seconds, expected);
            json!({"name": name, "image": lab::IMAGE, "command": ["sh", "-c", script]})
        };
        let containers = json!([
            container("allowed", ALLOWED, 60, "hello"),
            container("refused", REFUSED, 5, ""),
        ]);
        let rule = json!({
            "to": [{"ipBlock": {"cidr": format!("{OUTSIDE}/32")}}],
            "ports": [{"protocol": "TCP", "port": ALLOWED}],
        });
        let policy = json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
            "metadata": {"name": "outside"},
            "spec": {"podSelector": {}, "policyTypes": ["Egress"], "egress": [rule]},
        });
        let pod = lab::pod("client", json!({"containers": containers}), json!({}));
        lab.apply(&[policy, pod]);
        lab.ready(&["client"]);
        let try_once = format!("timeout 5 nc {OUTSIDE} {REFUSED} </dev/null 2>/dev/null; true");
        until("the policy is in force", || {
            match lab.inside("client", "refused", &try_once).as_str() {
                "" => Ok(()),
                said => Err(said.to_owned()),
            }
        });
        until_counted(REFUSED);
        let came_before = refused.load(Ordering::Relaxed);
        for container in ["allowed", "refused"] {
            lab.inside("client", container, "touch /tmp/go");
        }
        for turn in 1..=UPGRADES {
            go_on(&lab);
            let said = Said::by(&lab.cluster, &["start", "--upgrade"]);
            assert_eq!(said.code, Some(0), "upgrade {turn}: {}", said.text);
            go_on(&lab);
        }
        assert_eq!(refused.load(Ordering::Relaxed), came_before);
        assert!(allowed.load(Ordering::Relaxed) >= 2 * UPGRADES * ATTEMPTS);
    });
}
