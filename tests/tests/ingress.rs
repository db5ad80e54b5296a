//! Ingress as a user meets it: hosts and TLS on the host's ports, policies,
//! classes, and what is said about what is not served.

use std::fs;
use std::net::SocketAddr;
use std::process::Command;

use coracle_tests::cluster::{Cluster, repository};
use coracle_tests::private::in_private_network;
use coracle_tests::site::{self, HOST};
use coracle_tests::skip;
use coracle_tests::wait::until;
use coracle_tests::web::Visitor;
use serde_json::{Value, json};

const HTTP: ([u8; 4], u16) = ([127, 0, 0, 1], 80);
const HTTPS: ([u8; 4], u16) = ([127, 0, 0, 1], 443);

fn visitor(address: ([u8; 4], u16), host: &str) -> Visitor {
    Visitor::new(SocketAddr::from(address)).named(host)
}

fn kubectl(cluster: &Cluster, args: &[&str]) -> String {
    cluster.kubectl(args).expect("kubectl is fetched by CI")
}

/// Waits until a page has this status.
fn answers(visitor: &Visitor, path: &str, status: u16) {
    until(&format!("status {status}"), || {
        match visitor.clone().get(path) {
            Ok(answer) if answer.status == status => Ok(()),
            Ok(answer) => Err(format!("{} {}", answer.status, answer.body)),
            Err(error) => Err(error.to_string()),
        }
    });
}

/// Waits for an event about an Ingress.
fn event(cluster: &Cluster, ingress: &str, reason: &str) -> String {
    let mut message = String::new();
    until(reason, || {
        let text = kubectl(cluster, &["get", "events", "-o", "json"]);
        let list: Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
        let found = list["items"]
            .as_array()
            .into_iter()
            .flatten()
            .find(|event| event["involvedObject"]["name"] == ingress && event["reason"] == reason);
        message = found.ok_or("no such event")?["message"].to_string();
        Ok(())
    });
    message
}

fn ingress(name: &str, class: Value, spec: Value) -> Value {
    let mut object = json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
        "metadata": {"name": name}, "spec": spec,
    });
    if !class.is_null() {
        object["spec"]["ingressClassName"] = class;
    }
    object
}

fn rule(host: &str, backend: Value) -> Value {
    json!({"host": host, "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}})
}

fn backend() -> Value {
    json!({"service": {"name": "site", "port": {"name": "web"}}})
}

fn status(cluster: &Cluster, name: &str) -> Value {
    let text = kubectl(cluster, &["get", "ingress", name, "-o", "json"]);
    let object: Value = serde_json::from_str(&text).expect("it is JSON");
    object["status"]["loadBalancer"]["ingress"].clone()
}

/// A host with TLS whose Secret is not there yet, and then is.
fn tls(cluster: &Cluster) {
    let spec = json!({
        "tls": [{"hosts": ["safe.localhost"], "secretName": "safe"}],
        "rules": [rule("safe.localhost", backend())],
    });
    site::apply(cluster, &ingress("safe", Value::Null, spec));
    let plain = visitor(HTTP, "safe.localhost");
    answers(&plain, "/", 308);
    let moved = plain.clone().get("/a?b=c").expect("it answers");
    let location = moved.header("location");
    assert_eq!(location.as_deref(), Some("https://safe.localhost/a?b=c"));
    let trusting = visitor(HTTPS, "safe.localhost").trusting(&cluster.authority());
    answers(&trusting, "/", 200);
    assert!(event(cluster, "safe", "OwnCertificate").contains("no Secret default/safe"));
    by_curl(cluster);

    let names = vec!["safe.localhost".to_owned()];
    let own = rcgen::generate_simple_self_signed(names).expect("a certificate");
    let (chain, key) = (
        cluster.home().join("tls.crt"),
        cluster.home().join("tls.key"),
    );
    fs::write(&chain, own.cert.pem()).expect("a file for the test");
    fs::write(&key, own.signing_key.serialize_pem()).expect("a file for the test");
    let (chain, key) = (chain.display().to_string(), key.display().to_string());
    let (chain, key) = (format!("--cert={chain}"), format!("--key={key}"));
    kubectl(cluster, &["create", "secret", "tls", "safe", &chain, &key]);
    let trusting = visitor(HTTPS, "safe.localhost").trusting(own.cert.pem().as_bytes());
    answers(&trusting, "/", 200);
}

/// The same with a client that everybody has, and HTTP/2.
fn by_curl(cluster: &Cluster) {
    let authority = cluster.home().join("ca.crt");
    fs::write(&authority, cluster.authority()).expect("a file for the test");
    let output = Command::new("curl")
        .args([
            "-sS",
            "--http2",
            "--resolve",
            "safe.localhost:443:127.0.0.1",
            "--cacert",
        ])
        .arg(&authority)
        .args([
            "-w",
            " %{http_version} %{http_code}",
            "https://safe.localhost/",
        ])
        .output();
    let Ok(output) = output else {
        return skip("curl is not on the machine");
    };
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.ends_with(" 2 200"), "{text} {output:?}");
}

fn policies(cluster: &Cluster) {
    let policy = |name: &str, rules: Value| {
        let spec = json!({"podSelector": {}, "policyTypes": ["Ingress"], "ingress": rules});
        let object = json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
            "metadata": {"name": name}, "spec": spec,
        });
        site::apply(cluster, &object);
    };
    policy("deny", json!([]));
    let page = visitor(HTTP, HOST);
    answers(&page, "/", 502);
    let controller = json!({
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "ingress-nginx"}},
        "podSelector": {"matchLabels": {"app.kubernetes.io/name": "ingress-nginx"}},
    });
    policy("allow", json!([{"from": [controller]}]));
    answers(&page, "/", 200);
    kubectl(cluster, &["delete", "networkpolicy", "deny", "allow"]);
}

fn what_is_not_served(cluster: &Cluster) {
    let other = json!({"rules": [rule("other.localhost", backend())]});
    site::apply(cluster, &ingress("other", json!("traefik"), other));
    let resource = json!({"resource": {"apiGroup": "example.com", "kind": "Bucket", "name": "b"}});
    let mut object = ingress(
        "odd",
        Value::Null,
        json!({"rules": [rule("odd.localhost", resource)]}),
    );
    object["metadata"]["annotations"] = json!({"nginx.ingress.kubernetes.io/auth-url": "http://x"});
    site::apply(cluster, &object);
    answers(&visitor(HTTP, "odd.localhost"), "/", 503);
    answers(&visitor(HTTP, "other.localhost"), "/", 404);
    assert!(status(cluster, "other").is_null());
    assert!(event(cluster, "odd", "ResourceBackend").contains("Bucket b is not served"));
    assert!(event(cluster, "odd", "UnsupportedAnnotation").contains("auth-url"));
}

#[test]
fn sites_are_served_by_host() {
    if !repository().join("target/oracles/kubectl").exists() {
        return skip("run `cargo xtask oracles` first");
    }
    in_private_network("sites_are_served_by_host", || {
        let cluster = Cluster::new("ingress");
        cluster.run(&["start"]);
        site::build(&cluster);
        site::apply(&cluster, &site::objects(31_482));
        let page = visitor(HTTP, HOST);
        answers(&page, "/", 200);
        let ports = json!([{"port": 80, "protocol": "TCP"}, {"port": 443, "protocol": "TCP"}]);
        let told = json!([{"ip": "127.0.0.1", "ports": ports}]);
        until("its status is told", || match status(&cluster, "site") {
            found if found == told => Ok(()),
            found => Err(found.to_string()),
        });
        let listed = cluster.run(&["status"]);
        assert!(listed.contains("http://site.localhost/"), "{listed}");
        tls(&cluster);
        policies(&cluster);
        what_is_not_served(&cluster);
        kubectl(&cluster, &["delete", "ingress", "--all"]);
        page.clone().until_closed();
    });
}
