//! The HTTP proxy in front of the cluster's sites.
//!
//! [`Ingress`] keeps its listeners equal to the configuration: [`route`]
//! chooses a rule, [`proxy`] carries a request, [`pool`] holds connections to
//! servers, [`certificate`] what clients are shown. It knows names, paths and
//! addresses; where they come from is decided in `network`.

mod believe;
mod body;
pub mod certificate;
mod header;
mod listen;
mod page;
mod pool;
mod proxy;
pub mod route;

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use tokio::net::TcpSocket;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use crate::config::{self, Entrance, Proto};
use crate::host::{HostPorts, give_up};
use crate::report::{Board, Failure, Reason};

use certificate::Certificates;
use listen::Server;
use proxy::Proxy;

/// Connections that wait to be accepted; cut to `net.core.somaxconn`.
const BACKLOG: u32 = 4096;

/// The running proxy.
pub(crate) struct Ingress {
    host: Arc<dyn HostPorts>,
    board: Board,
    proxy: Arc<Proxy>,
    certificates: Arc<Certificates>,
    tls: TlsAcceptor,
    /// Ports of HTTPS on the host and inside.
    secure: [Arc<AtomicU16>; 2],
    running: HashMap<Place, Running>,
    failed: Vec<Place>,
}

/// An address, and whether it is the cluster's own.
type Place = (bool, SocketAddr);

struct Running {
    tls: bool,
    task: JoinHandle<()>,
}

impl Ingress {
    pub(crate) fn new(host: Arc<dyn HostPorts>, board: Board) -> Result<Self, rustls::Error> {
        let certificates = Arc::new(Certificates::default());
        Ok(Ingress {
            host,
            board,
            proxy: Arc::new(Proxy::new()?),
            tls: certificate::server(certificates.clone())?.into(),
            certificates,
            secure: Default::default(),
            running: HashMap::new(),
            failed: Vec::new(),
        })
    }

    /// Returns the host addresses that are held.
    pub(crate) fn held(&self) -> BTreeSet<SocketAddr> {
        let on_host = self.running.keys().filter(|(inside, _)| !inside);
        on_host.map(|(_, address)| *address).collect()
    }

    /// Makes routes, certificates and listeners equal to the configuration.
    /// `taken` are host addresses that lead elsewhere.
    pub(crate) async fn apply(
        &mut self,
        wanted: Option<&config::Ingress>,
        taken: &BTreeSet<SocketAddr>,
    ) {
        let nothing = config::Ingress::default();
        let wanted = wanted.unwrap_or(&nothing);
        self.proxy.set(wanted);
        self.certificates.set(&wanted.certificates);
        for (inside, address) in std::mem::take(&mut self.failed) {
            for tls in [false, true] {
                self.forget(tls, (inside, address));
            }
        }
        self.stop_unwanted(wanted).await;
        for entrance in &wanted.entrances {
            self.open(entrance, taken).await;
        }
        for (inside, secure) in self.secure.iter().enumerate() {
            let ports = self
                .running
                .iter()
                .filter(|((inner, _), running)| usize::from(*inner) == inside && running.tls);
            let port = ports.map(|((_, address), _)| address.port()).min();
            secure.store(port.unwrap_or(0), Ordering::Relaxed);
        }
    }

    async fn open(&mut self, entrance: &Entrance, taken: &BTreeSet<SocketAddr>) {
        for address in &entrance.addresses {
            let place = (entrance.inside, *address);
            if self.running.contains_key(&place) {
                return;
            }
            let result = match !entrance.inside && taken.contains(address) {
                true => Err(Failure {
                    reason: Reason::PortTaken,
                    message: "taken by a Service".to_owned(),
                }),
                false => self
                    .start(entrance, *address)
                    .await
                    .map_err(|error| (&error).into()),
            };
            let is_open = result.is_ok();
            let named = (name(entrance.tls).to_owned(), Proto::Tcp, *address);
            self.board.listener(named, result);
            if is_open {
                return;
            }
            self.failed.push(place);
        }
    }

    async fn start(&mut self, entrance: &Entrance, address: SocketAddr) -> io::Result<()> {
        let fd = match entrance.inside {
            true => bind(address)?,
            false => self.host.bind(Proto::Tcp, address).await?,
        };
        let server = Server {
            proxy: self.proxy.clone(),
            tls: entrance.tls.then(|| self.tls.clone()),
            secure: self.secure[usize::from(entrance.inside)].clone(),
        };
        let running = Running {
            tls: entrance.tls,
            task: listen::start(fd, server)?,
        };
        self.running.insert((entrance.inside, address), running);
        Ok(())
    }

    /// Closes what no entrance names. One that came in place of another stays
    /// when that can be had again: its address has been told to people.
    async fn stop_unwanted(&mut self, wanted: &config::Ingress) {
        let is_wanted = |(inside, address): &Place, running: &Running| {
            wanted.entrances.iter().any(|entrance| {
                entrance.inside == *inside
                    && entrance.tls == running.tls
                    && entrance.addresses.contains(address)
            })
        };
        let unwanted = |place: &Place, running: &mut Running| !is_wanted(place, running);
        let gone: Vec<_> = self.running.extract_if(unwanted).collect();
        for (place, running) in gone {
            running.task.abort();
            self.forget(running.tls, place);
            let (inside, address) = place;
            if !inside {
                give_up(&*self.host, Proto::Tcp, address).await;
            }
        }
    }

    fn forget(&self, tls: bool, (_, address): Place) {
        self.board
            .forget(&(name(tls).to_owned(), Proto::Tcp, address));
    }
}

impl Drop for Ingress {
    fn drop(&mut self) {
        for running in self.running.values() {
            running.task.abort();
        }
    }
}

/// Returns the name under which a listener is reported.
fn name(tls: bool) -> &'static str {
    match tls {
        true => HTTPS,
        false => HTTP,
    }
}

/// The name of listeners for plain HTTP in a report.
pub const HTTP: &str = "ingress/http";
/// The name of listeners for HTTPS in a report.
pub const HTTPS: &str = "ingress/https";

/// Binds a listener beside the one of the data plane before, if that is still
/// there: what that has not accepted when it closes comes here (tcp_migrate_req).
fn bind(address: SocketAddr) -> io::Result<OwnedFd> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    socket.set_reuseaddr(true)?;
    socket.set_reuseport(true)?;
    socket.bind(address)?;
    Ok(socket.listen(BACKLOG)?.into_std()?.into())
}
