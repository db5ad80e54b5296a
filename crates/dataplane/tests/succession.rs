//! One data plane follows another, and who asks meanwhile waits and is answered.

mod world;

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use coracle_dataplane::Held;
use coracle_dataplane::config::{Config, Dns, Record};
use coracle_dataplane::host::Policy;
use coracle_netdev::testing::in_namespace;
use coracle_netdev::{AddressPlan, netns};
use world::{PATIENCE, World, world};

const NAME: [&str; 2] = ["web", "local"];

fn server() -> SocketAddr {
    (AddressPlan::default().dns(), 53).into()
}

fn config() -> Config {
    let mut dns = Dns {
        listen: vec![server()],
        zones: vec![NAME[1].into()],
        ttl: 5,
        ..Dns::default()
    };
    let address = Record::A(Ipv4Addr::new(10, 96, 0, 50));
    dns.records.insert(NAME.join("."), vec![address]);
    Config {
        generation: 1,
        dns: Some(dns),
        ..Config::default()
    }
}

/// The question for the one name that is known (RFC 1035, section 4).
fn question() -> Vec<u8> {
    let mut question = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00".to_vec();
    for label in NAME.into_iter().chain([""]) {
        question.push(label.len() as u8);
        question.extend(label.bytes());
    }
    question.extend([0, 1, 0, 1]);
    question
}

/// The sockets as pid 1 holds them.
fn sockets(world: &World) -> Vec<OwnedFd> {
    let bind = || -> std::io::Result<Vec<OwnedFd>> {
        let datagrams = UdpSocket::bind(server())?.into();
        Ok(vec![datagrams, TcpListener::bind(server())?.into()])
    };
    let bound = netns::enter(world.cluster.as_fd(), bind).expect("inside");
    bound.expect("bound")
}

fn held(sockets: &[OwnedFd]) -> Held {
    Held::new(sockets.iter().map(|fd| fd.try_clone().expect("fd")))
}

#[test]
fn no_question_is_lost() {
    in_namespace("no_question_is_lost", || {
        let world = world(Policy::default());
        let sockets = sockets(&world);
        let (done, asked) = (AtomicBool::new(false), AtomicUsize::new(0));
        let ask = || {
            let socket = UdpSocket::bind("0.0.0.0:0").expect("bound");
            socket.set_read_timeout(Some(PATIENCE)).expect("set");
            socket.connect(server()).expect("connected");
            let mut answer = [0; 512];
            while !done.load(Ordering::Relaxed) {
                socket.send(&question()).expect("somebody listens");
                let length = socket.recv(&mut answer).expect("answered");
                assert_eq!(answer[6..8], [0, 1], "{:?}", &answer[..length]);
                asked.fetch_add(1, Ordering::Relaxed);
            }
        };
        std::thread::scope(|scope| {
            let asking = scope.spawn(|| world.in_pod(0, ask));
            for turn in 1..=10 {
                let running = world.start_with(config(), held(&sockets));
                while asked.load(Ordering::Relaxed) < turn * 100 && !asking.is_finished() {
                    std::thread::yield_now();
                }
                drop(running);
            }
            // The last answers are for those who wait.
            let _running = world.start_with(config(), held(&sockets));
            done.store(true, Ordering::Relaxed);
            asking.join().expect("every question is answered");
        });
    });
}

#[test]
fn a_connection_waits_for_the_next_data_plane() {
    in_namespace("a_connection_waits_for_the_next_data_plane", || {
        let world = world(Policy::default());
        let sockets = sockets(&world);
        let mut stream = world.in_pod(0, || TcpStream::connect(server()).expect("queued"));
        stream.set_read_timeout(Some(PATIENCE)).expect("set");
        let question = question();
        let length = (question.len() as u16).to_be_bytes();
        let whole = [&length[..], &question].concat();
        stream.write_all(&whole).expect("sent");
        let _running = world.start_with(config(), held(&sockets));
        let mut answer = [0; 14];
        stream.read_exact(&mut answer).expect("answered");
        assert_eq!(answer[8..10], [0, 1], "{answer:?}");
    });
}
