//! Health checks answer what they are told to, outside and inside.

mod world;

use std::net::{Ipv4Addr, SocketAddr};

use coracle_dataplane::config::{Answer, Check, Config};
use coracle_dataplane::host::Policy;
use coracle_netdev::AddressPlan;
use coracle_netdev::testing::in_namespace;
use world::{ask, free_port, world};

fn config(port: u16, status: u16) -> Config {
    let check = Check {
        name: "health/shop/web".into(),
        listen: vec![(Ipv4Addr::LOCALHOST, port).into()],
        inside: vec![(AddressPlan::default().node(), port).into()],
        answer: Answer {
            status,
            headers: vec![("x-count".into(), "2".into())],
            body: "two".into(),
        },
    };
    Config {
        checks: vec![check],
        ..Config::default()
    }
}

#[test]
fn whoever_balances_is_told() {
    in_namespace("whoever_balances_is_told", || {
        let world = world(Policy::default());
        let port = free_port();
        let running = world.start(config(port, 200));
        let outside = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let inside = SocketAddr::from((AddressPlan::default().node(), port));
        let request = "GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n";
        let from_a_pod = || world.in_pod(0, || ask(inside, request).expect("answered"));
        for text in [ask(outside, request).expect("answered"), from_a_pod()] {
            assert!(text.starts_with("HTTP/1.1 200 OK\r\n"), "{text}");
            assert!(text.contains("x-count: 2\r\n"), "{text}");
            assert!(text.ends_with("\r\n\r\ntwo"), "{text}");
        }
        running.apply(config(port, 503));
        assert!(from_a_pod().starts_with("HTTP/1.1 503 "));
        // The port is free again when nobody is to be told any more.
        let moved = free_port();
        running.apply(config(moved, 200));
        assert!(ask(outside, request).is_err());
        assert!(ask((Ipv4Addr::LOCALHOST, moved).into(), request).is_ok());
    });
}
