//! Cluster DNS answers a pod's resolver.

mod world;

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use coracle_dataplane::config::{Config, Dns, Record};
use coracle_dataplane::host::Policy;
use coracle_netdev::AddressPlan;
use coracle_netdev::testing::{in_namespace, skip};
use hickory_proto::op::{Message, Query, ResponseCode};
use hickory_proto::rr::{Name, RData, Record as Rr, RecordType};
use world::{PATIENCE, World, world};

const UPSTREAM: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 9);

fn dns() -> Dns {
    let plan = AddressPlan::default();
    let mut dns = Dns {
        listen: vec![(plan.dns(), 53).into()],
        zones: vec!["cluster.local".into()],
        dashed: vec!["default.pod.cluster.local".into()],
        ttl: 5,
        ..Dns::default()
    };
    let mut put = |name: &str, records: Vec<Record>| {
        dns.records.insert(name.to_owned(), records);
    };
    put(
        "web.default.svc.cluster.local",
        vec![Record::A(Ipv4Addr::new(10, 96, 0, 50))],
    );
    put(
        "out.default.svc.cluster.local",
        vec![Record::Cname("outside.example".into())],
    );
    let many = (0..200).map(|last| Record::A(Ipv4Addr::new(10, 244, 1, last)));
    put("many.default.svc.cluster.local", many.collect());
    put(
        "_http._tcp.web.default.svc.cluster.local",
        vec![Record::Srv {
            priority: 0,
            weight: 100,
            port: 80,
            target: "web.default.svc.cluster.local".into(),
        }],
    );
    put(
        "50.0.96.10.in-addr.arpa",
        vec![Record::Ptr("web.default.svc.cluster.local".into())],
    );
    dns
}

/// A name server of the host that knows one name.
fn upstream() -> Arc<AtomicUsize> {
    let socket = UdpSocket::bind("127.0.0.53:53").expect("bound");
    let count = Arc::new(AtomicUsize::new(0));
    let counted = count.clone();
    std::thread::spawn(move || {
        let mut buffer = [0; 512];
        while let Ok((length, from)) = socket.recv_from(&mut buffer) {
            counted.fetch_add(1, Ordering::SeqCst);
            let query = Message::from_vec(&buffer[..length]).expect("a query");
            let asked = query.queries[0].clone();
            let mut reply = Message::response(query.metadata.id, query.metadata.op_code);
            if asked.name.to_ascii() == "outside.example." {
                let data = RData::A(UPSTREAM.into());
                reply.add_answer(Rr::from_rdata(asked.name.clone(), 300, data));
            } else {
                reply.metadata.response_code = ResponseCode::NXDomain;
            }
            reply.add_query(asked);
            let _ = socket.send_to(&reply.to_vec().expect("encoded"), from);
        }
    });
    count
}

fn query(world: &World, name: &str, kind: RecordType) -> Message {
    let mut query = Message::query();
    query.metadata.recursion_desired = true;
    query.add_query(Query::query(Name::from_ascii(name).expect("a name"), kind));
    let bytes = query.to_vec().expect("encoded");
    let server = SocketAddr::from((AddressPlan::default().dns(), 53));
    let answer = world.in_pod(0, || {
        let socket = UdpSocket::bind("0.0.0.0:0").expect("bound");
        socket.set_read_timeout(Some(PATIENCE)).expect("set");
        socket.send_to(&bytes, server).expect("sent");
        let mut buffer = [0; 2048];
        let length = socket.recv(&mut buffer).expect("answered");
        buffer[..length].to_vec()
    });
    let answer = Message::from_vec(&answer).expect("a message");
    assert_eq!(answer.metadata.id, query.metadata.id);
    assert_eq!(answer.queries, query.queries);
    answer
}

#[test]
fn names_of_the_cluster_and_of_the_world() {
    in_namespace("names_of_the_cluster_and_of_the_world", || {
        let world = world(Policy::default());
        let asked = upstream();
        let running = world.start(Config {
            dns: Some(dns()),
            ..Config::default()
        });
        assert!(
            running
                .settled()
                .listeners
                .iter()
                .all(|l| l.failure.is_none())
        );
        let check = |name: &str, kind: RecordType, code: ResponseCode, expected: &[&str]| {
            let answer = query(&world, name, kind);
            let got: Vec<_> = answer.answers.iter().map(|r| r.data.to_string()).collect();
            assert_eq!(answer.metadata.response_code, code, "{name} {kind}");
            assert_eq!(got, expected, "{name} {kind}");
            answer
        };
        use RecordType as T;
        use ResponseCode as C;
        let web = "Web.default.svc.cluster.local.";
        let answer = check(web, T::A, C::NoError, &["10.96.0.50"]);
        assert!(answer.metadata.authoritative);
        assert_eq!(answer.answers[0].ttl, 5);
        let answer = check(web, T::AAAA, C::NoError, &[]);
        assert_eq!(answer.authorities.len(), 1, "SOA");
        check("no.default.svc.cluster.local.", T::A, C::NXDomain, &[]);
        check(
            "outside.example.default.svc.cluster.local.",
            T::A,
            C::NXDomain,
            &[],
        );
        assert_eq!(
            asked.load(Ordering::SeqCst),
            0,
            "ours are not asked outside"
        );
        let answer = check(
            "_http._tcp.web.default.svc.cluster.local.",
            T::SRV,
            C::NoError,
            &["0 100 80 web.default.svc.cluster.local."],
        );
        assert_eq!(answer.additionals.len(), 1, "the target's address");
        check(
            "50.0.96.10.in-addr.arpa.",
            T::PTR,
            C::NoError,
            &["web.default.svc.cluster.local."],
        );
        check(
            "10-244-0-9.default.pod.cluster.local.",
            T::A,
            C::NoError,
            &["10.244.0.9"],
        );
        check("outside.example.", T::A, C::NoError, &["198.51.100.9"]);
        check(
            "out.default.svc.cluster.local.",
            T::A,
            C::NoError,
            &["outside.example.", "198.51.100.9"],
        );
        assert_eq!(asked.load(Ordering::SeqCst), 1, "kept for the second");
        check("nowhere.example.", T::A, C::NXDomain, &[]);
        let answer = query(&world, "many.default.svc.cluster.local.", T::A);
        assert!(answer.metadata.truncation && answer.answers.is_empty());
        by_dig(&world);

        // The host changes its name servers: nobody answers there.
        let resolv = world.folder.path().join("resolv.conf");
        std::fs::write(
            resolv,
            "nameserver 127.0.0.54\noptions timeout:1 attempts:1\n",
        )
        .expect("written");
        check("new.example.", T::A, C::ServFail, &[]);
    });
}

/// The same by a real resolver, where one is installed.
fn by_dig(world: &World) {
    let server = format!("@{}", AddressPlan::default().dns());
    let dig = |arguments: &[&str]| {
        world.in_pod(0, || {
            Command::new("dig").arg(&server).args(arguments).output()
        })
    };
    let Ok(output) = dig(&["+short", "web.default.svc.cluster.local"]) else {
        return skip("the part with dig", "dig is not installed");
    };
    let text = |output: std::process::Output| String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(text(output), "10.96.0.50\n");
    let check = |arguments: &[&str], expected: &str| {
        let got = text(dig(arguments).expect("dig runs"));
        assert!(got.contains(expected), "{arguments:?}: {got}");
    };
    check(&["-x", "10.96.0.50"], "web.default.svc.cluster.local.");
    check(
        &["+tcp", "web.default.svc.cluster.local"],
        "flags: qr aa rd ra;",
    );
    check(&["many.default.svc.cluster.local"], "ANSWER: 200");
    check(&["nowhere.cluster.local"], "status: NXDOMAIN");
    check(
        &["-t", "AAAA", "web.default.svc.cluster.local"],
        "ANSWER: 0",
    );
    check(&["outside.example"], "198.51.100.9");
}
