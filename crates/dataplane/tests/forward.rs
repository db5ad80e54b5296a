//! Host ports lead to pods, and keep doing so.

mod world;

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use coracle_dataplane::config::Proto;
use coracle_dataplane::control;
use coracle_dataplane::host::Policy;
use coracle_dataplane::report::Reason;
use coracle_netdev::AddressPlan;
use coracle_netdev::testing::in_namespace;
use world::{PATIENCE, POD_A, POD_B, ask, config, forward, free_port, serve, world};

#[test]
fn a_host_port_spreads_over_pods_and_passes_over_dead_ones() {
    in_namespace(
        "a_host_port_spreads_over_pods_and_passes_over_dead_ones",
        || {
            let world = world(Policy::default());
            let port = free_port();
            let dead = SocketAddr::from((POD_A, 9));
            let targets = [
                serve(&world, 0, POD_A, "a"),
                serve(&world, 1, POD_B, "b"),
                dead,
            ];
            let running = world.start(config(vec![forward("web", Proto::Tcp, port, &targets)]));
            assert!(
                running
                    .settled()
                    .listeners
                    .iter()
                    .all(|l| l.failure.is_none())
            );

            let mut seen = BTreeMap::new();
            for turn in 0..60 {
                let target: SocketAddr = match turn % 2 {
                    0 => (Ipv4Addr::LOCALHOST, port).into(),
                    _ => (Ipv6Addr::LOCALHOST, port).into(),
                };
                *seen
                    .entry(ask(target, "hi").expect("answered"))
                    .or_insert(0) += 1;
            }
            let source = AddressPlan::default().forwarder();
            let expected = [format!("a {source} hi"), format!("b {source} hi")];
            assert_eq!(seen.keys().cloned().collect::<Vec<_>>(), expected);

            // Without a target the client is told at once.
            running.apply(config(vec![forward("web", Proto::Tcp, port, &[dead])]));
            let error = ask((Ipv4Addr::LOCALHOST, port).into(), "").expect_err("reset");
            assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);

            running.apply(config(vec![forward("other", Proto::Tcp, free_port(), &[])]));
            assert!(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err());
        },
    );
}

#[test]
fn a_new_configuration_cuts_no_connection() {
    in_namespace("a_new_configuration_cuts_no_connection", || {
        let world = world(Policy::default());
        let port = free_port();
        let listener = world
            .in_pod(0, || TcpListener::bind((POD_A, 0)))
            .expect("bound");
        let echo = listener.local_addr().expect("address");
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("accepted");
            let mut copy = stream.try_clone().expect("fd");
            let _ = std::io::copy(&mut stream, &mut copy);
        });
        let b = serve(&world, 1, POD_B, "b");
        let running = world.start(config(vec![forward("web", Proto::Tcp, port, &[echo])]));
        let mut open = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("connected");
        let mut exchange = |text: &[u8; 5]| {
            open.write_all(text).expect("sent");
            let mut back = [0; 5];
            open.read_exact(&mut back).expect("answered");
            assert_eq!(&back, text);
        };
        exchange(b"first");
        running.apply(config(vec![forward("web", Proto::Tcp, port, &[b])]));
        let local = (Ipv4Addr::LOCALHOST, port).into();
        assert!(ask(local, "").expect("answered").starts_with('b'));
        exchange(b"again");
        running.apply(config(vec![forward("x", Proto::Tcp, free_port(), &[])]));
        exchange(b"still");
    });
}

#[test]
fn a_taken_port_is_reported_and_bound_once_free() {
    in_namespace("a_taken_port_is_reported_and_bound_once_free", || {
        let world = world(Policy::default());
        let holder = TcpListener::bind("127.0.0.1:0").expect("bound");
        let taken = holder.local_addr().expect("address").port();
        let target = serve(&world, 0, POD_A, "a");
        let running = world.start(config(vec![
            forward("web", Proto::Tcp, taken, &[target]),
            forward("web-too", Proto::Tcp, taken, &[target]),
        ]));
        let report = running.settled();
        let failure = |name: &str, address: SocketAddr| {
            report
                .listeners
                .iter()
                .find(|l| l.name == name && l.address == address)
                .and_then(|l| l.failure.clone())
        };
        let (v4, v6) = (
            SocketAddr::from((Ipv4Addr::LOCALHOST, taken)),
            SocketAddr::from((Ipv6Addr::LOCALHOST, taken)),
        );
        assert_eq!(failure("web", v4).expect("taken").reason, Reason::PortTaken);
        assert_eq!(failure("web", v6), None);
        let second = failure("web-too", v6).expect("taken");
        assert_eq!(second.message, "taken by web");
        drop(holder);
        running.wait(|report| {
            report
                .listeners
                .iter()
                .all(|l| l.name != "web" || l.failure.is_none())
        });
        assert!(ask(v4, "").is_ok());
    });
}

#[test]
fn ports_beyond_loopback_need_permission() {
    in_namespace("ports_beyond_loopback_need_permission", || {
        let world = world(Policy::default());
        let mut open = forward("web", Proto::Tcp, free_port(), &[]);
        open.listen = vec![(Ipv4Addr::UNSPECIFIED, free_port()).into()];
        let running = world.start(config(vec![open]));
        let report = running.settled();
        let failure = report.listeners[0].failure.clone().expect("refused");
        assert_eq!(failure.reason, Reason::NotPermitted);
        assert!(failure.message.contains("--listen"), "{}", failure.message);
    });
}

#[test]
fn datagrams_go_and_come_back() {
    in_namespace("datagrams_go_and_come_back", || {
        let world = world(Policy::default());
        let port = free_port();
        let echo = |pod: usize, address: Ipv4Addr| {
            let socket = world
                .in_pod(pod, || UdpSocket::bind((address, 0)))
                .expect("bound");
            let local = socket.local_addr().expect("address");
            std::thread::spawn(move || {
                let mut buffer = [0; 64];
                while let Ok((length, from)) = socket.recv_from(&mut buffer) {
                    let mut text = local.ip().to_string().into_bytes();
                    text.extend_from_slice(&buffer[..length]);
                    let _ = socket.send_to(&text, from);
                }
            });
            local
        };
        let (a, b) = (echo(0, POD_A), echo(1, POD_B));
        let running = world.start(config(vec![forward("dns", Proto::Udp, port, &[a])]));
        let clients: Vec<_> = (0..3)
            .map(|_| {
                let client = UdpSocket::bind("127.0.0.1:0").expect("bound");
                client.set_read_timeout(Some(PATIENCE)).expect("set");
                client.connect((Ipv4Addr::LOCALHOST, port)).expect("route");
                client
            })
            .collect();
        let exchange = |client: &UdpSocket, text: &str| {
            client.send(text.as_bytes()).expect("sent");
            let mut buffer = [0; 64];
            let length = client.recv(&mut buffer).expect("answered");
            String::from_utf8_lossy(&buffer[..length]).into_owned()
        };
        for (number, client) in clients.iter().enumerate() {
            let text = format!(" {number}");
            assert_eq!(exchange(client, &text), format!("{POD_A}{text}"));
        }
        running.apply(config(vec![forward("dns", Proto::Udp, port, &[b])]));
        assert_eq!(exchange(&clients[0], "!"), format!("{POD_B}!"));
    });
}

/// The gateway keeps the bound socket, so a client that comes while the data
/// plane restarts waits instead of being refused.
#[test]
fn a_restart_refuses_nobody() {
    in_namespace("a_restart_refuses_nobody", || {
        let world = world(Policy::default());
        let port = free_port();
        let target = serve(&world, 0, POD_A, "a");
        let saved = tempfile::tempfile().expect("file");
        let first = world.start_process(saved.try_clone().expect("fd"));
        let path = world.folder.path().join("control.sock");
        first.block_on(async {
            let (mut sender, mut reports) = control::connect(&path).await.expect("connected");
            let mut wanted = config(vec![forward("web", Proto::Tcp, port, &[target])]);
            wanted.generation = 7;
            sender.send(&wanted).await.expect("sent");
            while reports
                .next()
                .await
                .expect("read")
                .expect("a report")
                .generation
                != 7
            {}
        });
        let local = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        assert!(ask(local, "").is_ok());
        first.shutdown_timeout(PATIENCE);
        let waiting = std::thread::spawn(move || ask(local, "patient"));
        let _second = world.start_process(saved);
        let text = waiting.join().expect("client").expect("answered");
        assert!(text.ends_with("patient"), "{text}");
    });
}

/// Targets come and go, one of them always dead, while clients connect.
#[test]
fn no_request_is_lost_while_targets_change() {
    in_namespace("no_request_is_lost_while_targets_change", || {
        let world = world(Policy::default());
        let port = free_port();
        let dead = SocketAddr::from((POD_A, 9));
        let (a, b) = (serve(&world, 0, POD_A, "a"), serve(&world, 1, POD_B, "b"));
        let running = world.start(config(vec![forward("web", Proto::Tcp, port, &[a, b])]));
        let local = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let (done, changes) = (AtomicBool::new(false), AtomicUsize::new(0));
        // Each asks often, and until there were enough changes.
        let goes_on = |asked: &usize| *asked < 500 || changes.load(Ordering::Relaxed) <= 10;
        let ask_on = || {
            let asked = (0..).take_while(goes_on);
            asked.filter(|_| ask(local, "x").is_err()).count()
        };
        std::thread::scope(|scope| {
            let clients: Vec<_> = (0..4).map(|_| scope.spawn(ask_on)).collect();
            scope.spawn(|| {
                let some: [&[SocketAddr]; 4] = [&[a, dead], &[b], &[dead, a, b], &[b, dead]];
                while !done.load(Ordering::Relaxed) {
                    let targets = some[changes.load(Ordering::Relaxed) % some.len()];
                    running.apply(config(vec![forward("web", Proto::Tcp, port, targets)]));
                    changes.fetch_add(1, Ordering::Relaxed);
                }
            });
            let lost: usize = clients.into_iter().map(|c| c.join().expect("client")).sum();
            done.store(true, Ordering::Relaxed);
            assert_eq!(lost, 0);
        });
    });
}
