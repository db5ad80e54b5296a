//! Pods reach the outside through a process in the host's namespace.

mod world;

use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::os::fd::AsFd;

use coracle_dataplane::config::{Config, Egress};
use coracle_dataplane::host::Policy;
use coracle_netdev::addr::Scope;
use coracle_netdev::nft::expr::{self, Rule};
use coracle_netdev::nft::{Base, ChainType, Fragment, Hook, Kernel, Table};
use coracle_netdev::testing::in_namespace;
use coracle_netdev::{AddressPlan, Netlink, base, netns};
use world::{PATIENCE, answer, ask, free_port, world};

const OUTSIDE: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 7);

/// Sends what leaves the pods to the proxy.
fn redirect(plan: &AddressPlan) {
    let mut fragment = Fragment::default();
    let place = Base {
        kind: ChainType::Nat,
        hook: Hook::Prerouting,
        priority: -100,
    };
    let rule = Rule::new()
        .source(plan.pods, true)
        .destination(plan.pods, false)
        .protocol(expr::TCP)
        .dnat_to(plan.node(), plan.egress_port);
    fragment.chain("pre", Some(place), vec![rule]);
    let place = Base {
        kind: ChainType::Filter,
        hook: Hook::Prerouting,
        priority: -140,
    };
    let rule = Rule::new()
        .source(plan.pods, true)
        .destination(plan.pods, false)
        .protocol(expr::UDP)
        .take_in(plan.node(), plan.egress_port, base::MARK_TAKEN);
    fragment.chain("take", Some(place), vec![rule]);
    Table::new("coracle", Kernel::open().expect("nf_tables"))
        .apply(vec![("base".into(), Some(fragment))])
        .expect("applied");
}

#[test]
fn pods_reach_the_outside_and_not_the_host() {
    in_namespace("pods_reach_the_outside_and_not_the_host", || {
        let plan = AddressPlan::default();
        let mut netlink = Netlink::route().expect("netlink");
        let loopback = netlink.link_index("lo").expect("lo");
        netlink
            .address_add(loopback, OUTSIDE, 32, Scope::Global)
            .expect("an outside address");
        let listed = TcpListener::bind("127.0.0.1:0").expect("bound");
        let unlisted = TcpListener::bind("127.0.0.1:0").expect("bound");
        let policy = Policy {
            host_ports: vec![listed.local_addr().expect("address").port()],
            ..Policy::default()
        };
        let world = world(policy);
        netns::enter(world.cluster.as_fd(), || redirect(&plan)).expect("inside");
        let running = world.start(Config {
            egress: Some(Egress {
                listen: (plan.node(), plan.egress_port).into(),
                host: Some(plan.host()),
            }),
            ..Config::default()
        });

        let server = answer(TcpListener::bind((OUTSIDE, 0)).expect("bound"), "outside");
        let text = world.in_pod(0, || ask(server, "hello")).expect("let out");
        assert_eq!(text, format!("outside {OUTSIDE} hello"));

        let nobody = SocketAddr::from((OUTSIDE, free_port()));
        let error = world.in_pod(0, || ask(nobody, "")).expect_err("reset");
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);

        let on_host = |port| SocketAddr::from((plan.host(), port));
        let (listed, unlisted) = (answer(listed, "host"), answer(unlisted, "secret"));
        let text = world
            .in_pod(0, || ask(on_host(listed.port()), ""))
            .expect("listed");
        assert_eq!(text, "host 127.0.0.1 ");
        for refused in [
            on_host(unlisted.port()),
            SocketAddr::from(([169, 254, 169, 254], 80)),
        ] {
            let error = world.in_pod(0, || ask(refused, "")).expect_err("refused");
            assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{refused}");
        }
        let report = running.wait(|report| report.refusals.len() == 2);
        let flag = format!("--host-port {}", unlisted.port());
        assert!(report.refusals[0].message.contains(&flag), "{report:?}");
        let proxy = SocketAddr::from((plan.node(), plan.egress_port));
        assert!(world.in_pod(0, || ask(proxy, "")).is_err(), "no loop");
    });
}

#[test]
fn datagrams_leave_and_their_answers_come_back() {
    in_namespace("datagrams_leave_and_their_answers_come_back", || {
        let plan = AddressPlan::default();
        let mut netlink = Netlink::route().expect("netlink");
        let loopback = netlink.link_index("lo").expect("lo");
        netlink
            .address_add(loopback, OUTSIDE, 32, Scope::Global)
            .expect("an outside address");
        let world = world(Policy::default());
        netns::enter(world.cluster.as_fd(), || redirect(&plan)).expect("inside");
        let running = world.start(Config {
            egress: Some(Egress {
                listen: (plan.node(), plan.egress_port).into(),
                host: Some(plan.host()),
            }),
            ..Config::default()
        });
        let report = running.settled();
        assert!(
            report.listeners.iter().all(|l| l.failure.is_none()),
            "{report:?}"
        );

        let server = UdpSocket::bind((OUTSIDE, 0)).expect("bound");
        let target = server.local_addr().expect("address");
        let count = std::sync::Arc::new(std::sync::Mutex::new(std::collections::BTreeSet::new()));
        let seen = count.clone();
        std::thread::spawn(move || {
            let mut buffer = [0; 64];
            while let Ok((length, from)) = server.recv_from(&mut buffer) {
                seen.lock().expect("not poisoned").insert(from);
                let _ = server.send_to(&buffer[..length], from);
            }
        });
        for pod in [0, 1] {
            world.in_pod(pod, || {
                let socket = UdpSocket::bind("0.0.0.0:4000").expect("bound");
                socket.set_read_timeout(Some(PATIENCE)).expect("set");
                socket.connect(target).expect("a route");
                for text in ["one", "two", "three"] {
                    socket.send(text.as_bytes()).expect("sent");
                    let mut buffer = [0; 64];
                    // Connected: only answers from the destination arrive.
                    let length = socket.recv(&mut buffer).expect("answered");
                    assert_eq!(&buffer[..length], text.as_bytes());
                }
            });
        }
        assert_eq!(
            count.lock().expect("not poisoned").len(),
            2,
            "one socket per flow"
        );
        let metadata = SocketAddr::from(([169, 254, 169, 254], 53));
        world.in_pod(0, || {
            let socket = UdpSocket::bind("0.0.0.0:0").expect("bound");
            socket.send_to(b"?", metadata).expect("sent");
        });
        running.wait(|report| report.refusals.iter().any(|r| r.destination == metadata));
    });
}
