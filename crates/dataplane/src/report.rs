//! What the data plane could not do, for events and `status`.
//!
//! Main type: [`Report`]; the parts of the data plane write it on a [`Board`].

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::config::Proto;

/// Refused attempts that are remembered.
const REFUSALS_MAX: usize = 64;

/// The state of affairs.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Report {
    /// The configuration it speaks of.
    pub generation: u64,
    /// Every listener, bound or not.
    pub listeners: Vec<Listener>,
    /// The latest connections that were not let out.
    pub refusals: Vec<Refusal>,
}

/// A listener and whether it is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listener {
    /// The forward's name, or `dns`, `egress`, `ingress/http`, `ingress/https`.
    pub name: String,
    /// Its protocol.
    pub proto: Proto,
    /// Its address.
    pub address: SocketAddr,
    /// Why it is not there; `None` when it is.
    pub failure: Option<Failure>,
}

/// Why a listener is not there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// What kind of reason.
    pub reason: Reason,
    /// In words.
    pub message: String,
}

/// The kinds of reasons.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reason {
    /// Another program, or another forward, has the port.
    PortTaken,
    /// The user may not bind it.
    NotPermitted,
    /// The machine has no such address.
    NoSuchAddress,
    /// Anything else.
    Other,
}

/// A connection that was not let out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// Who asked.
    pub source: SocketAddr,
    /// For where.
    pub destination: SocketAddr,
    /// Why not.
    pub message: String,
}

impl From<&io::Error> for Failure {
    fn from(error: &io::Error) -> Self {
        let reason = match error.kind() {
            io::ErrorKind::AddrInUse => Reason::PortTaken,
            io::ErrorKind::PermissionDenied => Reason::NotPermitted,
            io::ErrorKind::AddrNotAvailable => Reason::NoSuchAddress,
            _ => Reason::Other,
        };
        Failure {
            reason,
            message: error.to_string(),
        }
    }
}

type Place = (String, Proto, SocketAddr);

/// Where the parts of the data plane write what happened.
#[derive(Clone)]
pub(crate) struct Board {
    state: Arc<Mutex<State>>,
    sender: watch::Sender<Arc<Report>>,
}

#[derive(Default)]
struct State {
    generation: u64,
    listeners: BTreeMap<Place, Option<Failure>>,
    refusals: VecDeque<Refusal>,
}

impl Board {
    pub(crate) fn new(sender: watch::Sender<Arc<Report>>) -> Self {
        Board {
            state: Arc::default(),
            sender,
        }
    }

    /// Notes whether a listener is there.
    pub(crate) fn listener(&self, place: Place, result: Result<(), Failure>) {
        self.state.lock().listeners.insert(place, result.err());
    }

    /// Forgets a listener that is wanted no more.
    pub(crate) fn forget(&self, place: &Place) {
        self.state.lock().listeners.remove(place);
    }

    /// Notes a connection that was not let out, and publishes it if it is new.
    pub(crate) fn refuse(&self, refusal: Refusal) {
        let mut state = self.state.lock();
        // Whoever tries again and again is noted once.
        let is_same = |known: &Refusal| {
            known.source.ip() == refusal.source.ip() && known.destination == refusal.destination
        };
        if state.refusals.iter().any(is_same) {
            return;
        }
        if state.refusals.len() == REFUSALS_MAX {
            state.refusals.pop_front();
        }
        state.refusals.push_back(refusal);
        self.publish(&state);
    }

    /// Publishes the state as that of a configuration.
    pub(crate) fn settle(&self, generation: u64) {
        let mut state = self.state.lock();
        state.generation = generation;
        self.publish(&state);
    }

    /// Tells whether a listener is missing that may come later.
    pub(crate) fn failing(&self) -> bool {
        self.state
            .lock()
            .listeners
            .values()
            .flatten()
            .any(|failure| !matches!(failure.reason, Reason::NoSuchAddress | Reason::NotPermitted))
    }

    fn publish(&self, state: &State) {
        let report = Report {
            generation: state.generation,
            listeners: state
                .listeners
                .iter()
                .map(|((name, proto, address), failure)| Listener {
                    name: name.clone(),
                    proto: *proto,
                    address: *address,
                    failure: failure.clone(),
                })
                .collect(),
            refusals: state.refusals.iter().cloned().collect(),
        };
        self.sender.send_if_modified(|current| {
            let changed = **current != report;
            if changed {
                *current = Arc::new(report);
            }
            changed
        });
    }
}
