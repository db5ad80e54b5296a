//! Requests through the HTTP proxy meet the server that the rules name.

mod site;
mod world;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};

use coracle_dataplane::config::{
    Backend, Certificate, Config, Entrance, HttpRoute, Ingress, PathKind, Protocol,
};
use coracle_dataplane::host::Policy;
use coracle_dataplane::report::Reason;
use coracle_netdev::AddressPlan;
use coracle_netdev::testing::in_namespace;
use site::{Client, Pki, Site};
use world::{PATIENCE, POD_A, POD_B, world};

const LOCAL: Ipv4Addr = Ipv4Addr::LOCALHOST;

fn route(host: &str, path: &str, backend: &str) -> HttpRoute {
    HttpRoute {
        host: host.into(),
        path: path.into(),
        kind: PathKind::Prefix,
        backend: backend.into(),
        ..HttpRoute::default()
    }
}

fn backend(protocol: Protocol, targets: &[SocketAddr]) -> Backend {
    Backend {
        protocol,
        targets: targets.to_vec(),
    }
}

fn config(routes: Vec<HttpRoute>, backends: &[(&str, Backend)]) -> Config {
    let entrance = |tls, ports: [u16; 2]| Entrance {
        tls,
        inside: false,
        addresses: ports.map(|port| (LOCAL, port).into()).to_vec(),
    };
    Config {
        ingress: Some(Ingress {
            entrances: vec![entrance(false, [80, 8080]), entrance(true, [443, 8443])],
            source: Some(AddressPlan::default().ingress()),
            routes,
            backends: backends
                .iter()
                .map(|(name, backend)| ((*name).to_owned(), backend.clone()))
                .collect(),
            certificates: Vec::new(),
            era: 0,
        }),
        ..Config::default()
    }
}

#[test]
fn a_request_meets_the_server_of_its_rule() {
    in_namespace("a_request_meets_the_server_of_its_rule", || {
        let world = world(Policy::default());
        let a = Site::start(&world, 0, (POD_A, 8080).into(), "a");
        let b = Site::start(&world, 1, (POD_B, 8080).into(), "b");
        let mut rewritten = route("b.localhost", "/app(/|$)(.*)", "b");
        rewritten.kind = PathKind::Pattern;
        rewritten.rewrite = Some("/$2".into());
        rewritten.body_bytes_max = 4;
        let mut safe = route("safe.localhost", "/", "a");
        safe.redirect = true;
        let routes = vec![
            route("a.localhost", "/", "a"),
            rewritten,
            route("none.localhost", "/", "none"),
            route("dead.localhost", "/", "dead"),
            safe,
        ];
        let dead: SocketAddr = (POD_A, 9).into();
        let backends = [
            ("a", backend(Protocol::Http, &[dead, a.address])),
            ("b", backend(Protocol::Http, &[b.address])),
            ("none", backend(Protocol::Http, &[])),
            ("dead", backend(Protocol::Http, &[dead])),
        ];
        let running = world.start(config(routes, &backends));
        assert!(
            running
                .settled()
                .listeners
                .iter()
                .all(|l| l.failure.is_none())
        );
        let mut client = Client::plain((LOCAL, 80).into());

        // The dead one is passed over each time its turn comes.
        for _ in 0..6 {
            let answer = client.get("a.localhost", "/x?y=z");
            assert_eq!(answer.status, 200, "{}", answer.text);
            assert_eq!(answer.fact("site"), "a");
        }
        let answer = client.get("A.localhost:80", "/x?y=z");
        assert_eq!(answer.fact("target"), "/x?y=z");
        assert_eq!(
            answer.fact("peer"),
            AddressPlan::default().ingress().to_string()
        );
        assert_eq!(answer.fact("host"), "A.localhost:80");
        assert_eq!(answer.fact("x-forwarded-for"), "127.0.0.1");
        assert_eq!(answer.fact("x-forwarded-proto"), "http");
        assert_eq!(answer.fact("x-forwarded-host"), "A.localhost:80");
        assert_eq!(answer.fact("x-real-ip"), "127.0.0.1");
        assert_eq!(answer.fact("x-request-id").len(), 32);

        assert_eq!(
            client.get("b.localhost", "/app/in?q").fact("target"),
            "/in?q"
        );
        assert_eq!(
            client.post("b.localhost", "/app", "four").fact("body"),
            "four"
        );
        assert_eq!(client.post("b.localhost", "/app", "longer").status, 413);

        let answer = client.get("b.localhost", "/other");
        assert_eq!(answer.status, 404);
        assert!(answer.text.contains("b.localhost/other"), "{}", answer.text);
        assert!(
            answer.text.contains("\n  none.localhost"),
            "{}",
            answer.text
        );
        assert_eq!(client.get("none.localhost", "/").status, 503);
        assert_eq!(client.get("dead.localhost", "/").status, 502);
        let answer = client.get("safe.localhost:80", "/p?q");
        assert_eq!(answer.status, 308);
        assert_eq!(answer.header("location"), "https://safe.localhost/p?q");
    });
}

#[test]
fn the_name_asked_for_chooses_the_certificate() {
    in_namespace("the_name_asked_for_chooses_the_certificate", || {
        let world = world(Policy::default());
        let a = Site::start(&world, 0, (POD_A, 8080).into(), "a");
        let pki = Pki::new();
        let certificate = |hosts: &[&str], names: &[&str]| {
            let (chain, key) = pki.issue(names);
            Certificate {
                hosts: hosts.iter().map(|host| (*host).to_owned()).collect(),
                chain,
                key,
            }
        };
        let mut wanted = config(
            vec![route("", "/", "a")],
            &[("a", backend(Protocol::Http, &[a.address]))],
        );
        if let Some(ingress) = wanted.ingress.as_mut() {
            ingress.certificates = vec![
                certificate(&["one.test"], &["one.test"]),
                certificate(&["*.two.test"], &["*.two.test"]),
                certificate(&[], &["else.test"]),
                Certificate {
                    hosts: vec!["bad.test".into()],
                    chain: "no".into(),
                    key: "no".into(),
                },
            ];
        }
        let running = world.start(wanted.clone());
        let https: SocketAddr = (LOCAL, 443).into();
        for http2 in [false, true] {
            let check = |name: &str, expected: Option<&str>| {
                let client = Client::tls(https, name, &pki, http2);
                let Some(expected) = expected else {
                    return assert!(client.is_err(), "{name}");
                };
                let answer = client.expect("a handshake").get(name, "/");
                assert_eq!(answer.fact("x-forwarded-proto"), expected, "{name}");
                assert_eq!(answer.fact("x-forwarded-port"), "443");
            };
            check("one.test", Some("https"));
            check("sub.two.test", Some("https"));
            check("else.test", Some("https"));
            // Shown the one for everybody else, which has another name.
            check("bad.test", None);
            check("deep.sub.two.test", None);
        }
        // A new certificate is shown from then on; open connections stay.
        let mut open = Client::tls(https, "one.test", &pki, false).expect("a handshake");
        if let Some(ingress) = wanted.ingress.as_mut() {
            ingress.certificates.remove(0);
        }
        running.apply(wanted);
        assert_eq!(open.get("one.test", "/").status, 200);
        assert!(Client::tls(https, "one.test", &pki, false).is_err());
    });
}

#[test]
fn streams_pass_as_they_come() {
    in_namespace("streams_pass_as_they_come", || {
        let world = world(Policy::default());
        let a = Site::start(&world, 0, (POD_A, 8080).into(), "a");
        let running = world.start(config(
            vec![route("", "/", "a"), route("grpc.test", "/", "grpc")],
            &[
                ("a", backend(Protocol::Http, &[a.address])),
                ("grpc", backend(Protocol::Grpc, &[a.address])),
            ],
        ));
        // The server sends a part only after the client has sent the next.
        let mut client = Client::plain((LOCAL, 80).into());
        client.converse("a.test", "/echo");
        let mut client = Client::http2((LOCAL, 80).into());
        client.converse("a.test", "/echo");
        // gRPC: HTTP/2 on both sides, and trailers at the end.
        client.converse("grpc.test", "/echo");
        let answer = client.post("grpc.test", "/facts", "hi");
        assert_eq!(answer.fact("version"), "HTTP/2.0");
        assert_eq!(answer.fact("te"), "trailers");
        assert_eq!(answer.trailer("grpc-status"), "0");

        // A protocol of its own, as WebSocket is.
        let mut stream = TcpStream::connect((LOCAL, 80)).expect("connected");
        stream.set_read_timeout(Some(PATIENCE)).expect("set");
        let request = "GET /upgrade HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: echo\r\n\r\n";
        stream.write_all(request.as_bytes()).expect("sent");
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).expect("an answer");
            head.extend(byte);
        }
        let head = String::from_utf8_lossy(&head).to_lowercase();
        assert!(head.starts_with("http/1.1 101"), "{head}");
        assert!(head.contains("upgrade: echo"), "{head}");
        for text in [b"first", b"again"] {
            stream.write_all(text).expect("sent");
            let mut back = [0; 5];
            stream.read_exact(&mut back).expect("answered");
            assert_eq!(&back, text);
            // A new configuration does not cut it.
            running.apply(config(vec![], &[]));
        }
    });
}

#[test]
fn a_server_that_ends_connections_costs_no_request() {
    in_namespace("a_server_that_ends_connections_costs_no_request", || {
        let world = world(Policy::default());
        let rude = world
            .in_pod(0, || TcpListener::bind((POD_A, 8080)))
            .expect("bound");
        std::thread::spawn(move || {
            // Answers once, promises more by its silence, and goes.
            for stream in rude.incoming() {
                let mut stream = stream.expect("accepted");
                let mut head = [0; 4096];
                let _ = stream.read(&mut head);
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nrude");
            }
        });
        let b = Site::start(&world, 1, (POD_B, 8080).into(), "b");
        let both = [(POD_A, 8080).into(), b.address];
        let running = world.start(config(
            vec![route("", "/", "a")],
            &[("a", backend(Protocol::Http, &both))],
        ));
        let mut client = Client::plain((LOCAL, 80).into());
        let mut seen = BTreeMap::new();
        for _ in 0..100 {
            let answer = client.get("a.test", "/");
            assert_eq!(answer.status, 200, "{}", answer.text);
            *seen.entry(answer.text == "rude").or_insert(0) += 1;
        }
        assert_eq!(seen.into_values().collect::<Vec<_>>(), [50, 50]);

        // Once it has left, nobody asks it again, kept connections or not.
        running.apply(config(
            vec![route("", "/", "a")],
            &[("a", backend(Protocol::Http, &[b.address]))],
        ));
        for _ in 0..10 {
            assert_eq!(client.get("a.test", "/").fact("site"), "b");
        }
    });
}

#[test]
fn a_taken_port_is_told_and_another_used() {
    in_namespace("a_taken_port_is_told_and_another_used", || {
        let world = world(Policy::default());
        let a = Site::start(&world, 0, (POD_A, 8080).into(), "a");
        let taken = TcpListener::bind((LOCAL, 80)).expect("bound");
        let mut safe = route("safe.test", "/", "a");
        safe.redirect = true;
        let running = world.start(config(
            vec![route("", "/", "a"), safe],
            &[("a", backend(Protocol::Http, &[a.address]))],
        ));
        let report = running.settled();
        let open: BTreeSet<u16> = report
            .listeners
            .iter()
            .filter(|l| l.failure.is_none())
            .map(|l| l.address.port())
            .collect();
        assert_eq!(open, BTreeSet::from([443, 8080]));
        let missed = report.listeners.iter().find_map(|l| l.failure.as_ref());
        assert_eq!(
            missed.map(|failure| failure.reason),
            Some(Reason::PortTaken)
        );
        let mut other = Client::plain((LOCAL, 8080).into());
        assert_eq!(other.get("a.test", "/").status, 200);

        // It is had as soon as it is free; the other stays open.
        drop(taken);
        running.wait(|report| report.listeners.iter().all(|l| l.failure.is_none()));
        assert_eq!(
            Client::plain((LOCAL, 80).into()).get("a.test", "/").status,
            200
        );
        assert_eq!(other.get("a.test", "/").status, 200);
        assert_eq!(
            Client::plain((LOCAL, 8080).into())
                .get("a.test", "/")
                .status,
            200
        );

        // Without sites nothing is open.
        running.apply(Config {
            dns: Some(coracle_dataplane::config::Dns {
                listen: vec![(AddressPlan::default().dns(), 53).into()],
                ..Default::default()
            }),
            ..Config::default()
        });
        assert!(TcpStream::connect((LOCAL, 80)).is_err());
        assert!(TcpStream::connect((LOCAL, 443)).is_err());
    });
}
