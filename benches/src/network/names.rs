//! Questions to cluster DNS.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use coracle_dataplane::config::{Config, Dns, Record};
use coracle_dataplane::host::{Direct, Policy, Resolver};
use coracle_dataplane::{Options, Report};
use coracle_netdev::{AddressPlan, base, netns};
use coracle_tests::names::question;
use tokio::sync::watch;

use crate::table::Table;

const NAMES: usize = 2000;
const ASKERS: usize = 4;
const WHILE: Duration = Duration::from_secs(2);

/// Asks for names of the cluster, as many as can be answered.
pub fn questions(table: &mut Table) -> anyhow::Result<()> {
    let inside = netns::create()?;
    netns::enter(inside.as_fd(), || base::setup(&AddressPlan::default()))??;
    let joined = inside.try_clone()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .on_thread_start(move || {
            // A thread that is not inside answers nobody, which shows.
            let _ = netns::join(&joined);
        })
        .build()?;
    let listen: SocketAddr = (AddressPlan::default().dns(), 53).into();
    let (_config, wanted) = watch::channel(Arc::new(config(listen)));
    let (report, mut reports) = watch::channel(Arc::new(Report::default()));
    runtime.spawn(coracle_dataplane::run(Options {
        config: wanted,
        host: Arc::new(Direct::new(Policy::default(), Resolver::default())),
        held: coracle_dataplane::Held::default(),
        report,
    }));
    runtime.block_on(reports.wait_for(|report| report.generation == 1))?;
    let answered: usize = std::thread::scope(|scope| {
        let askers: Vec<_> = (0..ASKERS)
            .map(|_| scope.spawn(|| netns::enter(inside.as_fd(), || ask(listen))))
            .collect();
        let counts = askers.into_iter().map(|asker| match asker.join() {
            Ok(Ok(Ok(count))) => count,
            _ => 0,
        });
        counts.sum()
    });
    let rate = answered as f64 / WHILE.as_secs_f64();
    table.figure(format!("DNS, {ASKERS} askers"), rate, "/s");
    Ok(())
}

fn config(listen: SocketAddr) -> Config {
    let mut dns = Dns {
        listen: vec![listen],
        zones: vec!["cluster.local".to_owned()],
        ttl: 5,
        ..Dns::default()
    };
    for number in 0..NAMES {
        let name = format!("s{number}.default.svc.cluster.local");
        dns.records
            .insert(name, vec![Record::A(Ipv4Addr::new(10, 96, 1, 1))]);
    }
    Config {
        generation: 1,
        dns: Some(dns),
        ..Config::default()
    }
}

/// Asks one question after another; returns how many were answered.
fn ask(server: SocketAddr) -> std::io::Result<usize> {
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    socket.connect(server)?;
    socket.set_read_timeout(Some(WHILE))?;
    let query = question("s7.default.svc.cluster.local");
    let (since, mut count, mut answer) = (Instant::now(), 0, [0; 512]);
    while since.elapsed() < WHILE {
        socket.send(&query)?;
        socket.recv(&mut answer)?;
        count += 1;
    }
    Ok(count)
}
