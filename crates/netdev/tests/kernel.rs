//! The encoder against the real kernel, in namespaces of the test's own.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use coracle_netdev::nft::expr::{self, Expr, Reg, Reject, Rule};
use coracle_netdev::nft::{
    Base, ChainType, Data, Fragment, Hook, Kernel, Key, SetKind, Table, Type, Verdict,
};
use coracle_netdev::testing::in_namespace;
use coracle_netdev::{AddressPlan, Error, Netlink, base, conntrack, netns, pod};

const POD_A: Ipv4Addr = Ipv4Addr::new(10, 244, 0, 20);
const POD_B: Ipv4Addr = Ipv4Addr::new(10, 244, 0, 21);
const VIP: Ipv4Addr = Ipv4Addr::new(10, 96, 0, 50);

/// A cluster's namespace with two pods.
fn cluster() -> [OwnedFd; 2] {
    let plan = AddressPlan::default();
    base::setup(&plan).expect("base");
    [(POD_A, "cor-a"), (POD_B, "cor-b")].map(|(address, host_interface)| {
        let netns = netns::create().expect("namespace");
        let attach = pod::Attach {
            netns: netns.as_fd(),
            address,
            node: plan.node(),
            host_interface,
            mtu: pod::MTU_DEFAULT,
        };
        pod::attach(&attach).expect("attached");
        netns
    })
}

/// Answers each connection with `name` and the caller's address.
fn serve(netns: &OwnedFd, address: Ipv4Addr, name: &'static str) -> SocketAddr {
    let listener = netns::enter(netns.as_fd(), || TcpListener::bind((address, 0))).expect("inside");
    let listener = listener.expect("bound");
    let local = listener.local_addr().expect("address");
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("accepted");
            let peer = stream.peer_addr().expect("peer").ip();
            let _ = stream.write_all(format!("{name} {peer}").as_bytes());
        }
    });
    local
}

fn ask(target: SocketAddr) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&target, Duration::from_secs(60))?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    Ok(text)
}

fn ask_from(netns: &OwnedFd, target: SocketAddr) -> std::io::Result<String> {
    netns::enter(netns.as_fd(), || ask(target)).expect("inside")
}

fn nat(hook: Hook, priority: i32) -> Option<Base> {
    Some(Base {
        kind: ChainType::Nat,
        hook,
        priority,
    })
}

/// The chains and sets every service needs.
fn constant() -> Fragment {
    let mut fragment = Fragment::default();
    fragment
        .set(
            "svc",
            &[Type::Address, Type::Protocol, Type::Port],
            SetKind::VerdictMap,
        )
        .set("hairpin", &[Type::Address, Type::Address], SetKind::Plain)
        .chain(
            "services",
            None,
            vec![Rule::new().load_service(Reg(0)).verdict_map("svc", Reg(0))],
        )
        .chain(
            "pre",
            nat(Hook::Prerouting, -100),
            vec![Rule::new().jump("services")],
        )
        .chain(
            "out",
            nat(Hook::Output, -100),
            vec![Rule::new().jump("services")],
        )
        .chain(
            "post",
            nat(Hook::Postrouting, 100),
            vec![
                Rule::new()
                    .load_source(Reg(0))
                    .load_destination(Reg(1))
                    .in_set("hairpin", Reg(0))
                    .snat_to(AddressPlan::default().node()),
            ],
        );
    for address in [POD_A, POD_B] {
        let key = Key::default().address(address).address(address);
        fragment.element("hairpin", key, Data::None);
    }
    fragment
}

fn service(targets: &[SocketAddr], protocol: u8) -> Fragment {
    let mut fragment = Fragment::default();
    let Ok(count) = u32::try_from(targets.len()) else {
        return fragment;
    };
    fragment
        .set(
            "m-1",
            &[Type::Number],
            SetKind::Map(vec![Type::Address, Type::Port]),
        )
        .chain(
            "svc-1",
            None,
            vec![
                Rule::new()
                    .protocol(protocol)
                    .expr(Expr::Random(count, Reg(0)))
                    .expr(Expr::Map("m-1".into(), Reg(0), Reg(0)))
                    .expr(Expr::Dnat(Reg(0), Some(Reg(1)))),
                // Met only when the count changes between the two look-ups.
                Rule::new()
                    .protocol(protocol)
                    .expr(Expr::Immediate(0u32.to_ne_bytes().to_vec(), Reg(0)))
                    .expr(Expr::Map("m-1".into(), Reg(0), Reg(0)))
                    .expr(Expr::Dnat(Reg(0), Some(Reg(1)))),
            ],
        );
    for (slot, target) in (0u32..).zip(targets) {
        let SocketAddr::V4(target) = target else {
            continue;
        };
        let value = Key::default().address(*target.ip()).port(target.port());
        fragment.element("m-1", Key::default().number(slot), Data::Value(value));
    }
    let key = Key::default().address(VIP).protocol(protocol).port(80);
    let verdict = Data::Verdict(Verdict::Goto("svc-1".into()));
    fragment.element("svc", key, verdict);
    fragment
}

fn table(fragments: Vec<(&str, Fragment)>) -> Table<Kernel> {
    let mut table = Table::new("coracle", Kernel::open().expect("nf_tables"));
    let wanted = fragments
        .into_iter()
        .map(|(owner, fragment)| (owner.to_owned(), Some(fragment)))
        .collect();
    table.apply(wanted).expect("applied");
    table
}

#[test]
fn a_pod_has_an_address_a_way_out_and_a_way_back() {
    in_namespace("a_pod_has_an_address_a_way_out_and_a_way_back", || {
        let [a, b] = cluster();
        let mut netlink = Netlink::route().expect("netlink");
        let names: Vec<_> = netlink
            .links()
            .expect("links")
            .into_iter()
            .filter(|link| link.up)
            .map(|link| link.name)
            .collect();
        assert!(names.contains(&"cor-a".to_owned()), "{names:?}");
        let mut inside = Netlink::route_in(a.as_fd()).expect("netlink");
        let routes = inside.routes().expect("routes");
        assert_eq!(routes.len(), 1);
        assert_eq!(routes[0].gateway, Some(pod_gateway()));
        let addresses = inside.addresses().expect("addresses");
        assert!(addresses.iter().any(|found| found.address == POD_A));

        let server = serve(&b, POD_B, "b");
        assert_eq!(
            ask_from(&a, server).expect("pod to pod"),
            format!("b {POD_A}")
        );
        let node = AddressPlan::default().node();
        assert_eq!(ask(server).expect("node to pod"), format!("b {node}"));

        pod::detach("cor-b").expect("detached");
        pod::detach("cor-b").expect("gone already is fine");
        assert!(ask_from(&a, server).is_err());
    });
}

fn pod_gateway() -> Ipv4Addr {
    AddressPlan::default().gateway()
}

#[test]
fn a_service_spreads_and_reaches_its_own_caller() {
    in_namespace("a_service_spreads_and_reaches_its_own_caller", || {
        let [a, b] = cluster();
        let targets = [serve(&a, POD_A, "a"), serve(&b, POD_B, "b")];
        let mut table = table(vec![
            ("base", constant()),
            ("one", service(&targets, expr::TCP)),
        ]);
        let vip = SocketAddr::from((VIP, 80));
        let mut answers = std::collections::BTreeMap::new();
        for _ in 0..100 {
            *answers.entry(ask_from(&a, vip).expect("VIP")).or_insert(0) += 1;
        }
        let node = AddressPlan::default().node();
        // Itself by hairpin is seen as the node, the other pod as it is.
        let expected = [format!("a {node}"), format!("b {POD_A}")];
        assert_eq!(answers.keys().cloned().collect::<Vec<_>>(), expected);
        assert!(answers.values().all(|count| *count > 20), "{answers:?}");
        assert!(ask(vip).is_ok(), "node to VIP");

        let edits = table
            .apply(vec![(
                "one".into(),
                Some(service(&targets[1..], expr::TCP)),
            )])
            .expect("smaller");
        assert!(edits > 0);
        for _ in 0..20 {
            assert_eq!(ask_from(&a, vip).expect("VIP"), format!("b {POD_A}"));
        }
        table.apply(vec![("one".into(), None)]).expect("gone");
        assert!(ask_from(&a, vip).is_err());
        table.delete().expect("deleted");
    });
}

#[test]
fn datagrams_find_their_service() {
    in_namespace("datagrams_find_their_service", || {
        let [a, b] = cluster();
        let socket = netns::enter(b.as_fd(), || UdpSocket::bind((POD_B, 0)))
            .expect("inside")
            .expect("bound");
        let target = socket.local_addr().expect("address");
        let mut table = table(vec![
            ("base", constant()),
            ("one", service(&[target], expr::UDP)),
        ]);
        let client = netns::enter(a.as_fd(), || UdpSocket::bind("0.0.0.0:0"))
            .expect("inside")
            .expect("bound");
        client.connect((VIP, 80)).expect("a route");
        client.send(b"ping").expect("sent");
        let mut buffer = [0; 16];
        let (length, from) = socket.recv_from(&mut buffer).expect("received");
        assert_eq!(from.ip(), POD_A);
        socket.send_to(&buffer[..length], from).expect("sent");
        assert_eq!(client.recv(&mut buffer).expect("answered"), 4);

        // The endpoint moves; the client's flow must be forgotten to notice.
        let other = netns::enter(b.as_fd(), || UdpSocket::bind((POD_B, 0)))
            .expect("inside")
            .expect("bound");
        let moved = service(&[other.local_addr().expect("address")], expr::UDP);
        table
            .apply(vec![("one".into(), Some(moved))])
            .expect("applied");
        let mut netlink = Netlink::netfilter().expect("netlink");
        let gone = |flow: &conntrack::Flow| SocketAddr::V4(flow.reply.source) == target;
        assert_eq!(conntrack::forget(&mut netlink, gone).expect("forgotten"), 1);
        client.send(b"pong").expect("sent");
        let (_, from) = other.recv_from(&mut buffer).expect("received");
        assert_eq!(from.ip(), POD_A);
    });
}

#[test]
fn endpoints_change_under_load_without_a_lost_connection() {
    in_namespace(
        "endpoints_change_under_load_without_a_lost_connection",
        || {
            let [a, b] = cluster();
            let targets = [serve(&a, POD_A, "a"), serve(&b, POD_B, "b")];
            let mut table = table(vec![
                ("base", constant()),
                ("one", service(&targets, expr::TCP)),
            ]);
            let done = std::sync::atomic::AtomicBool::new(false);
            std::thread::scope(|scope| {
                let clients: Vec<_> = (0..2)
                    .map(|_| {
                        scope.spawn(|| {
                            let vip = SocketAddr::from((VIP, 80));
                            netns::enter(a.as_fd(), || {
                                (0..1000).filter(|_| ask(vip).is_err()).count()
                            })
                            .expect("inside")
                        })
                    })
                    .collect();
                let storm = scope.spawn(|| {
                    let mut commits = 0;
                    while !done.load(std::sync::atomic::Ordering::Relaxed) {
                        let some = &targets[..1 + commits % 2];
                        let wanted = service(some, expr::TCP);
                        table
                            .apply(vec![("one".into(), Some(wanted))])
                            .expect("applied");
                        commits += 1;
                    }
                    commits
                });
                let lost: usize = clients
                    .into_iter()
                    .map(|client| client.join().expect("client"))
                    .sum();
                done.store(true, std::sync::atomic::Ordering::Relaxed);
                assert!(storm.join().expect("storm") > 10);
                assert_eq!(lost, 0);
            });
        },
    );
}

#[test]
fn a_forbidden_flow_is_refused_and_an_open_one_goes_on() {
    in_namespace(
        "a_forbidden_flow_is_refused_and_an_open_one_goes_on",
        || {
            let [a, b] = cluster();
            let server = serve(&b, POD_B, "b");
            let forward = |priority| {
                Some(Base {
                    kind: ChainType::Filter,
                    hook: Hook::Forward,
                    priority,
                })
            };
            let mut policy = Fragment::default();
            policy
                .set("blocks", &[Type::Address], SetKind::Intervals)
                .element(
                    "blocks",
                    Key::default().address(Ipv4Addr::new(10, 244, 0, 0)),
                    Data::To(Ipv4Addr::new(10, 244, 0, 20)),
                )
                .chain(
                    "fwd",
                    forward(0),
                    vec![
                        Rule::new()
                            .state(expr::STATE_ESTABLISHED | expr::STATE_RELATED)
                            .accept(),
                        Rule::new()
                            .load_source(Reg(0))
                            .in_set("blocks", Reg(0))
                            .reject(Reject::Icmp(expr::ICMP_PROHIBITED)),
                    ],
                );
            let open = netns::enter(a.as_fd(), || TcpStream::connect(server))
                .expect("inside")
                .expect("before the policy");
            let mut table = table(vec![("policy", policy.clone())]);
            let refused = ask_from(&a, server).expect_err("refused");
            assert_eq!(refused.raw_os_error(), Some(libc::EHOSTUNREACH));
            let mut text = String::new();
            (&open).read_to_string(&mut text).expect("still open");
            assert!(text.starts_with('b'));

            // The range now ends before the pod.
            let blocks = policy.elements.get_mut("blocks").expect("there");
            for last in blocks.values_mut() {
                *last = Data::To(Ipv4Addr::new(10, 244, 0, 19));
            }
            table
                .apply(vec![("policy".into(), Some(policy))])
                .expect("applied");
            assert!(ask_from(&a, server).is_ok());
        },
    );
}

#[test]
fn a_refusal_names_the_object_and_changes_nothing() {
    in_namespace("a_refusal_names_the_object_and_changes_nothing", || {
        let mut table = table(vec![("base", constant())]);
        let mut wrong = Fragment::default();
        wrong.chain("stray", None, vec![Rule::new().jump("nowhere")]);
        let error = table
            .apply(vec![("wrong".into(), Some(wrong))])
            .expect_err("no such chain");
        assert!(matches!(error, Error::Refused { .. }), "{error:?}");
        assert!(error.to_string().contains("coracle stray"), "{error}");
        let mut fine = Fragment::default();
        fine.chain("stray", None, vec![]);
        table
            .apply(vec![("wrong".into(), Some(fine))])
            .expect("nothing is left of the failed one");
    });
}

#[test]
fn a_large_first_load_is_cut_and_arrives_whole() {
    in_namespace("a_large_first_load_is_cut_and_arrives_whole", || {
        let mut table = Table::new("coracle", Kernel::open().expect("nf_tables"));
        table.sink().limit(16 << 10);
        let mut wanted = vec![("base".to_owned(), Some(constant()))];
        for number in 0..500u32 {
            let mut fragment = Fragment::default();
            let chain = format!("svc-{number}");
            fragment.chain(&chain, None, vec![Rule::new().dnat_to(POD_A, 80)]);
            let address = Ipv4Addr::from_bits(Ipv4Addr::new(10, 96, 1, 0).to_bits() + number);
            fragment.element(
                "svc",
                Key::default().address(address).protocol(6).port(80),
                Data::Verdict(Verdict::Goto(chain)),
            );
            wanted.push((format!("svc/{number}"), Some(fragment)));
        }
        table.apply(wanted).expect("applied in pieces");
        let [a, _b] = cluster();
        let target = serve(&a, POD_A, "a");
        let mut last = Fragment::default();
        last.chain(
            "svc-499",
            None,
            vec![Rule::new().dnat_to(POD_A, target.port())],
        );
        let address = Ipv4Addr::from_bits(Ipv4Addr::new(10, 96, 1, 0).to_bits() + 499);
        last.element(
            "svc",
            Key::default().address(address).protocol(6).port(80),
            Data::Verdict(Verdict::Goto("svc-499".into())),
        );
        table
            .apply(vec![("svc/499".into(), Some(last))])
            .expect("edited");
        assert!(ask(SocketAddr::from((address, 80))).is_ok());
    });
}

/// A datagram sent right after a pod was connected used to vanish now and then:
/// the pod's end of the pair had a carrier, but its queue was not open yet.
#[test]
fn the_first_packet_of_a_pod_is_not_lost() {
    in_namespace("the_first_packet_of_a_pod_is_not_lost", || {
        let plan = AddressPlan::default();
        base::setup(&plan).expect("base");
        let server = UdpSocket::bind((plan.node(), 0)).expect("bound");
        server
            .set_read_timeout(Some(Duration::from_secs(60)))
            .expect("set");
        let target = server.local_addr().expect("address");
        for last in 0..100 {
            let address = Ipv4Addr::new(10, 244, 1, last);
            let netns = netns::create().expect("namespace");
            let attach = pod::Attach {
                netns: netns.as_fd(),
                address,
                node: plan.node(),
                host_interface: &format!("cor-{last}"),
                mtu: pod::MTU_DEFAULT,
            };
            pod::attach(&attach).expect("attached");
            netns::enter(netns.as_fd(), || {
                let socket = UdpSocket::bind("0.0.0.0:0").expect("bound");
                socket.send_to(b"first", target).expect("sent");
            })
            .expect("inside");
            let mut buffer = [0; 8];
            let (_, from) = server.recv_from(&mut buffer).expect("not lost");
            assert_eq!(from.ip(), address);
        }
    });
}

#[test]
fn a_restarted_process_goes_on_with_the_table() {
    in_namespace("a_restarted_process_goes_on_with_the_table", || {
        let targets = [
            SocketAddr::from((POD_A, 8080)),
            SocketAddr::from((POD_B, 8080)),
        ];
        let mut blocks = Fragment::default();
        blocks
            .set("blocks", &[Type::Address], SetKind::Intervals)
            .set(
                "seen",
                &[Type::Address],
                SetKind::Expiring(Duration::from_secs(60)),
            );
        for (first, last) in [([10, 0, 0, 0], [10, 0, 0, 255]), ([200, 0, 0, 0], [255; 4])] {
            let key = Key::default().address(first.into());
            blocks.element("blocks", key, Data::To(last.into()));
        }
        let wanted = |targets: &[SocketAddr]| {
            std::collections::BTreeMap::from([
                ("base".to_owned(), constant()),
                ("blocks".to_owned(), blocks.clone()),
                ("one".to_owned(), service(targets, expr::TCP)),
            ])
        };
        let fresh = || Table::new("coracle", Kernel::open().expect("nf_tables"));
        let first = fresh().resume(wanted(&targets)).expect("made");
        assert!(first > 10);
        assert_eq!(fresh().resume(wanted(&targets)).expect("same"), 0);

        let mut third = fresh();
        let edits = third.resume(wanted(&targets[1..])).expect("changed");
        assert!(edits > 0 && edits < first, "{edits} of {first}");
        assert_eq!(
            third
                .apply(
                    wanted(&targets[1..])
                        .into_iter()
                        .map(|(o, f)| (o, Some(f)))
                        .collect()
                )
                .expect("same"),
            0
        );
        // A set of another form cannot be kept.
        let mut other = wanted(&targets);
        other.insert("blocks".into(), {
            let mut fragment = Fragment::default();
            fragment.set("blocks", &[Type::Port], SetKind::Plain);
            fragment
        });
        fresh().resume(other.clone()).expect("replaced");
        assert_eq!(fresh().resume(other).expect("same"), 0);
    });
}
