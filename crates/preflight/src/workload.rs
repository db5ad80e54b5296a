//! Everything that makes pods, seen as pods.
//!
//! Main type: [`Workload`].

use crate::object::{Object, at};
use serde_json::{Map, Value};

/// An object that makes pods, or a pod.
#[derive(Clone, Copy)]
pub struct Workload<'w> {
    /// The object.
    pub object: &'w Object,
    /// Path of the pod template: empty for a pod.
    pub prefix: &'static str,
    /// The pod template.
    template: &'w Value,
}

/// A container of a workload.
#[derive(Clone, Copy)]
pub struct Container<'c> {
    /// The list it stands in and its index.
    list: &'static str,
    index: usize,
    /// The container.
    pub value: &'c Value,
}

impl<'c> Container<'c> {
    /// Returns its name.
    pub fn name(&self) -> &'c str {
        self.value["name"].as_str().unwrap_or_default()
    }

    /// Whether it runs before the others and ends.
    pub fn is_init(&self) -> bool {
        self.list == "initContainers" && self.value["restartPolicy"] != "Always"
    }

    /// Returns its ports: name, number, protocol.
    pub fn ports(&self) -> Vec<Port<'c>> {
        let list = self.value["ports"].as_array();
        list.into_iter().flatten().filter_map(Port::read).collect()
    }
}

/// A port that a container opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Port<'p> {
    /// Its name; empty if none.
    pub name: &'p str,
    /// Its number.
    pub number: i64,
    /// `TCP`, `UDP` or `SCTP`.
    pub protocol: &'p str,
}

impl<'p> Port<'p> {
    fn read(value: &'p Value) -> Option<Port<'p>> {
        Some(Port {
            name: value["name"].as_str().unwrap_or_default(),
            number: value["containerPort"].as_i64()?,
            protocol: value["protocol"].as_str().unwrap_or("TCP"),
        })
    }
}

/// Returns an object as a workload if it makes pods.
pub fn of(object: &Object) -> Option<Workload<'_>> {
    object.kind?;
    let prefix = match object.id.kind.as_str() {
        "Pod" => "",
        "Deployment"
        | "ReplicaSet"
        | "StatefulSet"
        | "DaemonSet"
        | "Job"
        | "ReplicationController" => "spec.template",
        "CronJob" => "spec.jobTemplate.spec.template",
        _ => return None,
    };
    let template = at(&object.value, prefix);
    template["spec"].is_object().then_some(Workload {
        object,
        prefix,
        template,
    })
}

impl<'w> Workload<'w> {
    /// Returns the pods' spec.
    pub fn spec(&self) -> &'w Value {
        &self.template["spec"]
    }

    /// Returns the pods' labels.
    pub fn labels(&self) -> Map<String, Value> {
        self.template["metadata"]["labels"]
            .as_object()
            .cloned()
            .unwrap_or_default()
    }

    /// Returns the namespace of the pods.
    pub fn namespace(&self) -> &'w str {
        &self.object.id.namespace
    }

    /// Returns the path of a field of the pods' spec in the object.
    pub fn field(&self, name: &str) -> String {
        match self.prefix {
            "" => format!("spec.{name}"),
            prefix => format!("{prefix}.spec.{name}"),
        }
    }

    /// Returns the path of a field of a container in the object.
    pub fn in_container(&self, container: &Container<'_>, name: &str) -> String {
        let inside = format!("{}[{}]", container.list, container.index);
        match name {
            "" => self.field(&inside),
            name => self.field(&format!("{inside}.{name}")),
        }
    }

    /// Returns all containers, those that run first first.
    pub fn containers(&self) -> Vec<Container<'w>> {
        let spec = self.spec();
        let of = |list: &'static str| {
            let values = spec[list].as_array();
            values
                .into_iter()
                .flatten()
                .enumerate()
                .map(move |(index, value)| Container { list, index, value })
        };
        of("initContainers").chain(of("containers")).collect()
    }

    /// Returns the ports of all containers that keep running.
    pub fn ports(&self) -> Vec<Port<'w>> {
        self.containers()
            .iter()
            .filter(|container| !container.is_init())
            .flat_map(Container::ports)
            .collect()
    }

    /// How many pods are wanted at the same time.
    pub fn replicas(&self) -> i64 {
        match self.object.id.kind.as_str() {
            "Deployment" | "ReplicaSet" | "StatefulSet" | "ReplicationController" => {
                self.object.value["spec"]["replicas"].as_i64().unwrap_or(1)
            }
            _ => 1,
        }
    }
}
