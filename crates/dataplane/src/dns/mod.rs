//! Cluster DNS: a small server of our own names that asks the host for others.
//!
//! [`Server`] listens by UDP and TCP, [`zone`] knows the cluster's names,
//! [`cache`] keeps the host's answers, [`answer`] puts messages together. It
//! transfers no zones, signs nothing and takes no updates.

pub mod answer;
mod cache;
mod listen;
pub mod zone;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use parking_lot::RwLock;
use tokio::task::JoinHandle;

use crate::config::{self, Proto};
use crate::held::Held;
use crate::host::HostPorts;
use crate::report::Board;

use answer::Answerer;
use zone::Zones;

const NAME: &str = "dns";

/// The running server.
pub(crate) struct Server {
    answerer: Arc<Answerer>,
    held: Arc<Held>,
    board: Board,
    running: HashMap<(Proto, SocketAddr), JoinHandle<()>>,
    failed: Vec<(Proto, SocketAddr)>,
}

/// The names as they are now; replaced while questions are answered.
#[derive(Debug, Default)]
pub(crate) struct Names {
    current: RwLock<Arc<Zones>>,
}

impl Names {
    pub(crate) fn get(&self) -> Arc<Zones> {
        self.current.read().clone()
    }

    pub(crate) fn set(&self, zones: Zones) {
        *self.current.write() = Arc::new(zones);
    }
}

impl Server {
    pub(crate) fn new(host: Arc<dyn HostPorts>, held: Arc<Held>, board: Board) -> Self {
        Server {
            answerer: Arc::new(Answerer::new(host)),
            held,
            board,
            running: HashMap::new(),
            failed: Vec::new(),
        }
    }

    /// Makes names and listeners equal to the configuration.
    pub(crate) fn apply(&mut self, wanted: Option<&config::Dns>) {
        let nothing = config::Dns::default();
        let wanted = wanted.unwrap_or(&nothing);
        self.answerer.names.set(Zones::new(wanted));
        for (proto, address) in self.failed.drain(..) {
            self.board.forget(&(NAME.to_owned(), proto, address));
        }
        let board = &self.board;
        self.running.retain(|(proto, address), task| {
            let keep = wanted.listen.contains(address);
            if !keep {
                task.abort();
                board.forget(&(NAME.to_owned(), *proto, *address));
            }
            keep
        });
        for address in &wanted.listen {
            for proto in [Proto::Udp, Proto::Tcp] {
                if !self.running.contains_key(&(proto, *address)) {
                    self.start(proto, *address);
                }
            }
        }
    }

    fn start(&mut self, proto: Proto, address: SocketAddr) {
        let started = listen::start(&self.held, proto, address, self.answerer.clone());
        let place = (NAME.to_owned(), proto, address);
        match started {
            Ok(task) => {
                self.running.insert((proto, address), task);
                self.board.listener(place, Ok(()));
            }
            Err(error) => {
                self.failed.push((proto, address));
                self.board.listener(place, Err((&error).into()));
            }
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        for task in self.running.values() {
            task.abort();
        }
    }
}
