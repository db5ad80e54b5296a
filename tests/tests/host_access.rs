//! What a cluster has of the host: ports on an address of its own, beside
//! other clusters and other programs, and the ports that pods may reach.

use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use coracle_tests::cluster::{Cluster, repository};
use coracle_tests::private::{OUTSIDE, in_private_network};
use coracle_tests::site::{self, HOST};
use coracle_tests::skip;
use coracle_tests::wait::until;
use coracle_tests::web::Visitor;
use serde_json::json;

const NODE_PORT: u16 = 31_483;

fn answers(address: SocketAddr) {
    let visitor = Visitor::new(address).named(HOST);
    until(&format!("{address} answers"), || {
        match visitor.clone().get("/") {
            Ok(answer) if answer.status == 200 => Ok(()),
            Ok(answer) => Err(format!("{} {}", answer.status, answer.body)),
            Err(error) => Err(error.to_string()),
        }
    });
}

/// Starts the site in a cluster of the same home.
fn start(cluster: &Cluster, flags: &[&str]) {
    let args: Vec<&str> = ["start"].iter().chain(flags).copied().collect();
    cluster.run(&args);
    site::build(cluster);
    site::apply(cluster, &site::objects(NODE_PORT));
}

/// A port that another program has is said where people look, and had as soon
/// as it is free.
fn a_taken_port(cluster: &Cluster) {
    let port = 31_484;
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).expect("it is free");
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "late"},
        "spec": {"type": "NodePort", "selector": {"app": "site"}, "ports": [
            {"port": 80, "targetPort": "http", "nodePort": port},
        ]},
    });
    site::apply(cluster, &service);
    let expected = format!("TCP port 127.0.0.1:{port} of the host is taken by another program");
    until("status says it", || {
        let status = cluster.run(&["status"]);
        match status.contains(&expected) {
            true => Ok(()),
            false => Err(status),
        }
    });
    until("an event says it", || {
        let events = cluster.kubectl(&["get", "events"]);
        match events.expect("kubectl is fetched by CI") {
            events if events.contains("PortTaken") && events.contains(&expected) => Ok(()),
            events => Err(events),
        }
    });
    drop(taken);
    answers((Ipv4Addr::LOCALHOST, port).into());
    until("status is quiet again", || {
        let status = cluster.run(&["status"]);
        match status.contains("taken by") {
            true => Err(status),
            false => Ok(()),
        }
    });
}

/// Pods reach the host's ports that are listed, from that moment on.
fn host_ports(cluster: &Cluster) {
    let server = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port is free");
    let port = server.local_addr().expect("it is bound").port();
    std::thread::spawn(move || {
        for stream in server.incoming() {
            let _ = stream.expect("accepted").write_all(b"the host");
        }
    });
    let place = format!("10.243.0.3:{port}");
    let ask = ["exec", "deploy/site", "--", "/site", "ask", &place];
    let refused = cluster.kubectl_command(&ask).output();
    let refused = refused.expect("kubectl is fetched by CI");
    assert!(!refused.status.success(), "{refused:?}");
    cluster.run(&["start", "--host-port", &port.to_string()]);
    until("the port is open", || {
        let answer = cluster.kubectl_command(&ask).output();
        let answer = answer.expect("kubectl is fetched by CI");
        match String::from_utf8_lossy(&answer.stdout).trim() == "the host" {
            true => Ok(()),
            false => Err(format!("{answer:?}")),
        }
    });
}

#[test]
fn clusters_share_the_host() {
    if !repository().join("target/oracles/kubectl").exists() {
        return skip("run `cargo xtask oracles` first");
    }
    in_private_network("clusters_share_the_host", || {
        let first = Cluster::new("first");
        start(&first, &["--listen", &OUTSIDE.to_string()]);
        answers(([127, 0, 0, 1], NODE_PORT).into());
        answers((OUTSIDE, NODE_PORT).into());
        answers((OUTSIDE, 80).into());
        assert_eq!(first.run(&["ip"]).trim(), "127.0.0.1");
        a_taken_port(&first);
        host_ports(&first);

        // The same ports once more, at an address of its own.
        let second = first.beside("second");
        start(&second, &[]);
        answers(([127, 0, 0, 2], NODE_PORT).into());
        answers(([127, 0, 0, 2], 80).into());
        assert_eq!(second.run(&["ip"]).trim(), "127.0.0.2");
        let status = second.run(&["status"]);
        assert!(status.contains("ports at 127.0.0.2"), "{status}");
        assert!(
            status.contains(&format!("http://127.0.0.2:{NODE_PORT}")),
            "{status}"
        );
        answers(([127, 0, 0, 1], NODE_PORT).into());
        second.run(&["delete"]);
        answers(([127, 0, 0, 1], NODE_PORT).into());
    });
}
