//! Pods that send before anything else, beside a policy that restricts them.

use coracle_tests::lab::{self, Lab};
use coracle_tests::private::in_private_network;
use coracle_tests::wait::until;
use serde_json::{Value, json};

/// Pods that start at the same time.
const NEWCOMERS: usize = 30;
/// Policies that say the same: judging a pod by so many takes its time.
const POLICIES: usize = 300;

/// A pod that answers HTTP with its name.
fn server(name: &str) -> Value {
    let serve = "mkdir -p /tmp/w; hostname > /tmp/w/index.html; exec httpd -f -p 8080 -h /tmp/w";
    let probe = json!({"httpGet": {"path": "/", "port": 8080}, "periodSeconds": 1});
    let container = json!({"command": ["sh", "-c", serve], "readinessProbe": probe});
    lab::pod(name, json!({}), container)
}

fn address(lab: &Lab, pod: &str) -> String {
    let address = lab.object("pod", pod)["status"]["podIP"].clone();
    address.as_str().expect("an address").to_owned()
}

/// Fails if the kernel had to repeat the first packet of a connection.
const NONE_WAS_HELD: &str = r#"awk '
    /^TcpExt/ { for (i = 1; i <= NF; i++) { if ($i == "TCPSynRetrans") { at = i } } n = $at }
    END { exit (n > 0) }' /proc/net/netstat"#;

/// A pod that asks both servers at once and tells by its exit code what it saw.
/// Every other one begins with the allowed one, which must not take a second try.
fn newcomer(number: usize, denied: &str, allowed: &str) -> Value {
    let ask = |address: &str| {
        format!("printf 'GET / HTTP/1.0\\r\\n\\r\\n' | timeout 60 nc {address} 8080 | tail -n 1")
    };
    let denied = format!("test \"$({})\" = denied && exit 1", ask(denied));
    let allowed = format!("test \"$({})\" = allowed || exit 2", ask(allowed));
    let script = match number % 2 {
        0 => format!("{denied}; {allowed}"),
        _ => format!("{allowed}; {NONE_WAS_HELD} || exit 3; {denied}; exit 0"),
    };
    let container = json!({"command": ["sh", "-c", script]});
    let name = format!("newcomer-{number}");
    let mut pod = lab::pod(&name, json!({"restartPolicy": "Never"}), container);
    pod["metadata"]["labels"] = json!({"app": "newcomer"});
    pod
}

#[test]
fn a_pod_sends_nothing_before_its_policy_is_in_force() {
    in_private_network("a_pod_sends_nothing_before_its_policy_is_in_force", || {
        let Some(lab) = Lab::new("newcomers") else {
            return;
        };
        lab.apply(&[server("denied"), server("allowed")]);
        lab.ready(&["denied", "allowed"]);
        let of = |app: &str| json!({"podSelector": {"matchLabels": {"app": app}}});
        let mut spec = of("newcomer");
        lab::merge(
            &mut spec,
            json!({"policyTypes": ["Egress"], "egress": [{"to": [of("allowed")]}]}),
        );
        let policies: Vec<Value> = (0..POLICIES)
            .map(|number| {
                json!({
                    "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
                    "metadata": {"name": format!("newcomers-{number}")}, "spec": spec,
                })
            })
            .collect();
        lab.apply(&policies);
        let (denied, allowed) = (address(&lab, "denied"), address(&lab, "allowed"));
        let newcomers: Vec<Value> = (0..NEWCOMERS)
            .map(|number| newcomer(number, &denied, &allowed))
            .collect();
        lab.apply(&newcomers);
        until("all newcomers have asked", || {
            let columns = "custom-columns=P:.status.phase,C:.status.containerStatuses[*].state.terminated.exitCode";
            let selected = [
                "get",
                "pods",
                "-l",
                "app=newcomer",
                "--no-headers",
                "-o",
                columns,
            ];
            let said = lab.kubectl(&selected);
            let ended = said.lines().filter(|line| line.starts_with("Succeeded"));
            assert!(
                !said.contains("Failed"),
                "1: the denied one answered, 2: the allowed one did not, 3: it took two tries\n{said}"
            );
            match ended.count() {
                NEWCOMERS => Ok(()),
                _ => Err(said),
            }
        });
    });
}
