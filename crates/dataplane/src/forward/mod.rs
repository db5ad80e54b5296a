//! Host ports that lead into the cluster.
//!
//! [`Forwards`] keeps the bound sockets equal to the configuration. Changing
//! the targets of a port touches no socket and no open connection.

mod tcp;
mod udp;

use std::collections::{BTreeSet, HashMap};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::sync::Arc;

use futures::future::join_all;
use parking_lot::RwLock;
use tokio::task::JoinHandle;

use crate::config::{Config, Forward, Proto};
use crate::host::{HostPorts, give_up};
use crate::report::{Board, Failure, Reason};

type Place = (Proto, SocketAddr);

/// All running forwarders.
pub(crate) struct Forwards {
    host: Arc<dyn HostPorts>,
    board: Board,
    running: HashMap<Place, Running>,
    /// Names under which failures stand on the board.
    failed: Vec<(String, Proto, SocketAddr)>,
}

struct Running {
    name: String,
    route: Arc<Route>,
    task: JoinHandle<()>,
}

/// Where connections go; replaced while they are accepted.
#[derive(Debug, Default)]
struct Route {
    current: RwLock<Arc<Targets>>,
}

/// The targets of one port.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct Targets {
    source: Option<Ipv4Addr>,
    addresses: Vec<SocketAddr>,
    sticky: bool,
}

impl Route {
    fn get(&self) -> Arc<Targets> {
        self.current.read().clone()
    }

    fn set(&self, targets: Targets) {
        *self.current.write() = Arc::new(targets);
    }
}

impl Targets {
    fn of(forward: &Forward, source: Option<Ipv4Addr>) -> Self {
        Targets {
            source,
            addresses: forward.targets.clone(),
            sticky: forward.sticky,
        }
    }

    /// Returns all targets in the order to be tried for a client.
    fn in_turn(&self, client: SocketAddr) -> impl Iterator<Item = SocketAddr> + '_ {
        let count = self.addresses.len();
        let first = match (count, self.sticky) {
            (0, _) => 0,
            (_, true) => self.preferred(client),
            (_, false) => rand::random_range(0..count),
        };
        (0..count).map(move |turn| self.addresses[(first + turn) % count])
    }

    /// The target a client keeps while it exists (rendezvous hashing).
    fn preferred(&self, client: SocketAddr) -> usize {
        let weight = |target: &SocketAddr| {
            use std::hash::{DefaultHasher, Hash, Hasher};
            let mut hasher = DefaultHasher::new();
            (client.ip(), target).hash(&mut hasher);
            hasher.finish()
        };
        (0..self.addresses.len())
            .max_by_key(|at| weight(&self.addresses[*at]))
            .unwrap_or(0)
    }
}

impl Forwards {
    pub(crate) fn new(host: Arc<dyn HostPorts>, board: Board) -> Self {
        Forwards {
            host,
            board,
            running: HashMap::new(),
            failed: Vec::new(),
        }
    }

    /// Returns the addresses that are held for streams.
    pub(crate) fn held(&self) -> BTreeSet<SocketAddr> {
        let streams = self
            .running
            .keys()
            .filter(|(proto, _)| *proto == Proto::Tcp);
        streams.map(|(_, address)| *address).collect()
    }

    /// Makes the forwarders equal to the configuration. `taken` are addresses
    /// for streams that another part of the data plane holds.
    pub(crate) async fn apply(&mut self, config: &Config, taken: &BTreeSet<SocketAddr>) {
        for place in self.failed.drain(..) {
            self.board.forget(&place);
        }
        let wanted = self.wanted(config, taken);
        self.stop_unwanted(&wanted).await;
        let mut missing = Vec::new();
        for (place, forward) in wanted {
            let targets = Targets::of(forward, config.forward_source);
            match self.running.get_mut(&place) {
                Some(running) => {
                    running.route.set(targets);
                    if running.name != forward.name {
                        let (proto, address) = place;
                        self.board.forget(&(running.name.clone(), proto, address));
                        running.name.clone_from(&forward.name);
                        let named = (forward.name.clone(), proto, address);
                        self.board.listener(named, Ok(()));
                    }
                }
                None => missing.push((place, forward.name.clone(), targets)),
            }
        }
        let host = self.host.clone();
        let bound = join_all(
            missing
                .iter()
                .map(|(place, ..)| host.bind(place.0, place.1)),
        )
        .await;
        for ((place, name, targets), result) in missing.into_iter().zip(bound) {
            let started = result.and_then(|fd| self.start(place, &name, targets, fd));
            self.note(place, name, started.map_err(|error| (&error).into()));
        }
    }

    /// Picks one forward for each address; a second one is noted as refused.
    fn wanted<'a>(
        &mut self,
        config: &'a Config,
        taken: &BTreeSet<SocketAddr>,
    ) -> HashMap<Place, &'a Forward> {
        let mut wanted: HashMap<Place, &Forward> = HashMap::new();
        for forward in &config.forwards {
            for address in &forward.listen {
                let place = (forward.proto, *address);
                match wanted.get(&place) {
                    _ if forward.proto == Proto::Tcp && taken.contains(address) => {
                        let failure = Failure {
                            reason: Reason::PortTaken,
                            message: "taken by the Ingress".to_owned(),
                        };
                        self.note(place, forward.name.clone(), Err(failure));
                    }
                    Some(first) if first.name != forward.name => {
                        let failure = Failure {
                            reason: Reason::PortTaken,
                            message: format!("taken by {}", first.name),
                        };
                        self.note(place, forward.name.clone(), Err(failure));
                    }
                    _ => {
                        wanted.insert(place, forward);
                    }
                }
            }
        }
        wanted
    }

    async fn stop_unwanted(&mut self, wanted: &HashMap<Place, &Forward>) {
        let unwanted = |place: &Place, _: &mut Running| !wanted.contains_key(place);
        let gone: Vec<_> = self.running.extract_if(unwanted).collect();
        for ((proto, address), running) in gone {
            running.task.abort();
            self.board.forget(&(running.name, proto, address));
            give_up(&*self.host, proto, address).await;
        }
    }

    fn start(
        &mut self,
        place: Place,
        name: &str,
        targets: Targets,
        fd: OwnedFd,
    ) -> std::io::Result<()> {
        let route = Arc::new(Route::default());
        route.set(targets);
        let task = match place.0 {
            Proto::Tcp => tcp::start(fd, route.clone())?,
            Proto::Udp => udp::start(fd, route.clone())?,
        };
        let name = name.to_owned();
        self.running.insert(place, Running { name, route, task });
        Ok(())
    }

    fn note(&mut self, (proto, address): Place, name: String, result: Result<(), Failure>) {
        let place = (name, proto, address);
        if result.is_err() {
            self.failed.push(place.clone());
        }
        self.board.listener(place, result);
    }
}

impl Drop for Forwards {
    fn drop(&mut self) {
        for running in self.running.values() {
            running.task.abort();
        }
    }
}
