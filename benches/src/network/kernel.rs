//! What a change costs on its way to the kernel, and a Service a stream.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use coracle_client::Key;
use coracle_netdev::nft::Kernel;
use coracle_netdev::{AddressPlan, base, netns, pod};
use coracle_network::{Core, Settings};
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use serde_json::json;

use super::SERVICES;
use crate::table::{Table, median};

const CHANGES: usize = 500;
const PORT: u16 = 8080;
/// How long a stream is measured.
const STREAM: Duration = Duration::from_secs(2);

fn service(number: u32) -> anyhow::Result<Arc<Service>> {
    let address = Ipv4Addr::from_bits(Ipv4Addr::new(10, 96, 1, 0).to_bits() + number);
    Ok(Arc::new(serde_json::from_value(json!({
        "metadata": {"name": format!("s{number}"), "namespace": "a"},
        "spec": {"clusterIP": address, "ports": [{"name": "http", "port": 80}]},
    }))?))
}

fn slices(endpoints: &[Ipv4Addr]) -> anyhow::Result<Vec<Arc<EndpointSlice>>> {
    let endpoints: Vec<_> = endpoints
        .iter()
        .map(|address| json!({"addresses": [address]}))
        .collect();
    Ok(vec![Arc::new(serde_json::from_value(json!({
        "metadata": {"name": "s", "namespace": "a"}, "addressType": "IPv4",
        "ports": [{"name": "http", "port": PORT}], "endpoints": endpoints,
    }))?)])
}

/// One endpoint of one Service changes while there are many.
pub fn endpoint_change(table: &mut Table) -> anyhow::Result<()> {
    let inside = netns::create()?;
    let times = netns::enter(inside.as_fd(), || -> anyhow::Result<Vec<f64>> {
        base::setup(&AddressPlan::default())?;
        let mut core = Core::new(Settings::new(AddressPlan::default()), Kernel::open()?);
        let pods = [20, 21, 22].map(|last| Ipv4Addr::new(10, 244, 0, last));
        let two = slices(&pods[..2])?;
        for number in 0..SERVICES {
            let key = Key::new("a", format!("s{number}"));
            core.set_service(&key, Some(service(number)?), two.clone());
        }
        core.resume()?;
        let key = Key::new("a", "s1000");
        let changed = service(1000)?;
        let ways = [slices(&[pods[0], pods[2]])?, two];
        let mut times = Vec::new();
        for turn in 0..CHANGES {
            let since = Instant::now();
            core.set_service(&key, Some(changed.clone()), ways[turn % 2].clone());
            core.commit()?;
            times.push(since.elapsed().as_secs_f64() * 1e3);
        }
        Ok(times)
    })??;
    table.row(
        format!("endpoint change -> kernel, {SERVICES} Services (median)"),
        median(times),
        1.0,
        "ms",
    );
    Ok(())
}

/// A stream from pod to pod, and the same by the Service's address.
pub fn throughput(table: &mut Table) -> anyhow::Result<()> {
    let inside = netns::create()?;
    let plan = AddressPlan::default();
    let (one, other, _core) = netns::enter(inside.as_fd(), || -> anyhow::Result<_> {
        base::setup(&plan)?;
        let mut core = Core::new(Settings::new(plan.clone()), Kernel::open()?);
        let one = attach(&plan, 20)?;
        let other = attach(&plan, 21)?;
        core.set_service(
            &Key::new("a", "s0"),
            Some(service(0)?),
            slices(&[address(21)])?,
        );
        core.resume()?;
        Ok((one, other, core))
    })??;
    let listener = netns::enter(other.as_fd(), || TcpListener::bind((address(21), PORT)))??;
    std::thread::spawn(move || drain(&listener));
    let pour = |target: SocketAddr| -> anyhow::Result<f64> {
        netns::enter(one.as_fd(), || pour(target))?.context("the stream broke off")
    };
    let direct = pour((address(21), PORT).into())?;
    let by_service = pour(([10, 96, 1, 0], 80).into())?;
    table.figure("pod to pod", direct, "Gbit/s");
    table.row(
        "pod to Service (pod to pod in place of a budget)",
        by_service,
        direct,
        "Gbit/s",
    );
    Ok(())
}

fn address(last: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 244, 0, last)
}

fn attach(plan: &AddressPlan, last: u8) -> anyhow::Result<OwnedFd> {
    let inside = netns::create()?;
    pod::attach(&pod::Attach {
        netns: inside.as_fd(),
        address: address(last),
        node: plan.node(),
        host_interface: &format!("cor-{last}"),
        mtu: pod::MTU_DEFAULT,
    })?;
    Ok(inside)
}

fn drain(listener: &TcpListener) {
    let mut buffer = vec![0; 256 << 10];
    for mut stream in listener.incoming().flatten() {
        while stream.read(&mut buffer).is_ok_and(|length| length > 0) {}
    }
}

/// Sends for a while; returns Gbit/s.
fn pour(target: SocketAddr) -> std::io::Result<f64> {
    let mut stream = TcpStream::connect(target)?;
    let buffer = vec![0; 256 << 10];
    let (since, mut bytes) = (Instant::now(), 0usize);
    while since.elapsed() < STREAM {
        stream.write_all(&buffer)?;
        bytes += buffer.len();
    }
    Ok(bytes as f64 * 8.0 / since.elapsed().as_secs_f64() / 1e9)
}
