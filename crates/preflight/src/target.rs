//! What is known of the cluster that a chart is meant for.
//!
//! Main type: [`Target`]. The caller gathers it; a list that is `None` was not
//! asked for, and no rule draws conclusions from its absence.

use serde_json::Value;
use std::collections::BTreeSet;

/// What is known of a cluster and its host.
#[derive(Clone, Debug, Default)]
pub struct Target {
    /// Name for messages: the context; empty when only the host is known.
    pub name: String,
    /// Whether it is a Coracle cluster of this machine.
    pub is_coracle: bool,
    /// Group version and kind of everything it serves: `apps/v1/Deployment`.
    pub served: Option<BTreeSet<String>>,
    /// Objects of the cluster, of the kinds in `listed`; Secrets with their
    /// keys, values may be left empty.
    pub objects: Vec<Value>,
    /// Kinds of which `objects` holds every object: `Secret`, `Service`, ….
    pub listed: BTreeSet<String>,
    /// Ports of the host that somebody else holds.
    pub taken_ports: Vec<TakenPort>,
    /// Images that the nodes have; full names with registry and tag.
    pub images: Option<BTreeSet<String>>,
    /// Images in this machine's own store, for hints about pushing.
    pub local_images: BTreeSet<String>,
    /// Whether nodes can pull what they lack.
    pub can_pull: bool,
    /// What the user may not do.
    pub denied: Vec<Denied>,
    /// First and last port that NodePorts may have; `None`: the default range.
    pub node_ports: Option<(u16, u16)>,
}

impl Target {
    /// Names a target of which nothing is known yet.
    pub fn named(name: impl Into<String>) -> Target {
        Target {
            name: name.into(),
            can_pull: true,
            ..Target::default()
        }
    }

    /// Adds all objects of a kind.
    pub fn list(&mut self, kind: &str, objects: impl IntoIterator<Item = Value>) {
        self.listed.insert(kind.to_owned());
        for mut object in objects {
            if let Some(map) = object.as_object_mut() {
                map.entry("kind").or_insert_with(|| kind.into());
            }
            self.objects.push(object);
        }
    }

    /// Returns all objects of a kind, where they are known.
    pub fn all(&self, kind: &str) -> Option<impl Iterator<Item = &Value>> {
        let kind = kind.to_owned();
        self.listed.contains(&kind).then(|| {
            self.objects
                .iter()
                .filter(move |object| object["kind"] == *kind)
        })
    }
}

/// A port of the host that somebody else holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TakenPort {
    /// The port.
    pub port: u16,
    /// Who holds it, for the message: `cluster other`, `a process`.
    pub by: String,
}

/// Something the user may not do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denied {
    /// Verb.
    pub verb: String,
    /// Group of the resource.
    pub group: String,
    /// Kind of the objects.
    pub kind: String,
    /// Namespace; empty for the whole cluster.
    pub namespace: String,
}
