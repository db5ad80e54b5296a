//! Who talks to whom, as environment variables show it: Services that do not
//! exist, ports they do not have, policies in between.

use super::environment::{self, Address, Variable};
use super::policies::{Peer, Policies, Way};
use super::{did_you_mean, list, selected};
use crate::object::Object;
use crate::report::Severity;
use crate::sink::Sink;
use crate::workload::Workload;
use crate::world::{Found, World};
use serde_json::Value;
use std::collections::BTreeSet;

/// Checks all flows.
pub fn check(world: &World<'_>, sink: &mut Sink) {
    let workloads = world.workloads();
    let policies = Policies::of(world);
    let mut said = BTreeSet::new();
    for workload in workloads.iter().filter(|workload| !workload.object.test) {
        let mut flow = Flow {
            world,
            workloads: &workloads,
            policies: &policies,
            from: workload,
            said: &mut said,
        };
        for container in workload.containers() {
            for variable in environment::of(world, workload, &container) {
                for address in environment::addresses(&variable.value) {
                    flow.address(&variable, &address, sink);
                }
            }
        }
    }
}

struct Flow<'f, 'w> {
    world: &'f World<'w>,
    workloads: &'f [Workload<'f>],
    policies: &'f Policies<'f>,
    from: &'f Workload<'f>,
    said: &'f mut BTreeSet<String>,
}

impl Flow<'_, '_> {
    fn address(&mut self, variable: &Variable, address: &Address, sink: &mut Sink) {
        let own = self.from.namespace();
        let Some((name, namespace)) = environment::service_of(&address.host, own) else {
            self.outside(variable, address, sink);
            return;
        };
        match self.world.find("Service", &namespace, &name) {
            Found::Here(service) => self.towards_service(variable, address, service, sink),
            Found::There(service) => {
                self.port_of(variable, address, &name, service, sink);
            }
            found => {
                let missing = matches!(found, Found::Missing);
                self.no_service(variable, address, (&name, &namespace), missing, sink);
            }
        }
    }

    /// A pod of a StatefulSet is `pod.service`.
    fn is_pod_name(&self, address: &Address) -> bool {
        let parts: Vec<&str> = address.host.split('.').collect();
        let Some(service) = parts.get(1) else {
            return false;
        };
        let namespace = parts.get(2).copied().unwrap_or(self.from.namespace());
        self.world
            .find("Service", namespace, service)
            .value()
            .is_some()
    }

    fn no_service(
        &mut self,
        variable: &Variable,
        address: &Address,
        (name, namespace): (&str, &str),
        missing: bool,
        sink: &mut Sink,
    ) {
        if self.is_pod_name(address) || namespace != self.from.namespace() {
            return;
        }
        let near = did_you_mean(name, self.world.names("Service", namespace));
        let is_url = !address.scheme.is_empty() || environment::is_internal(&address.host);
        let severity = match (&near, missing) {
            (Some(_), _) if is_url => Severity::Error,
            (None, true) if is_url => Severity::Warning,
            _ => return,
        };
        if self.world.has_makers() && !missing {
            return;
        }
        let object = &self.world.objects[variable.at.0];
        let message = format!(
            "{} leads to Service {name}, which does not exist in {namespace}",
            variable.name
        );
        if self.said.insert(format!("{} {message}", object.index)) {
            let names = self.world.names("Service", namespace);
            let draft = sink.add(
                severity,
                "missing-service",
                object,
                &*variable.at.1,
                message,
            );
            draft.fix(near.unwrap_or_else(|| format!("the Services are {}", list(&names))));
            draft.secret = variable.secret;
        }
    }

    /// Whether the Service has the port; says so if not.
    fn port_of(
        &mut self,
        variable: &Variable,
        address: &Address,
        name: &str,
        service: &Value,
        sink: &mut Sink,
    ) -> Option<Value> {
        let wanted = address.port?;
        let ports: Vec<&Value> = service["spec"]["ports"].as_array()?.iter().collect();
        if let Some(port) = ports.iter().find(|port| port["port"] == wanted) {
            return Some((*port).clone());
        }
        // Without a virtual address every port of the pods can be reached.
        if service["spec"]["clusterIP"] == "None" || service["spec"]["type"] == "ExternalName" {
            return None;
        }
        let has: Vec<String> = ports.iter().map(|port| port["port"].to_string()).collect();
        let object = &self.world.objects[variable.at.0];
        let message = format!(
            "{} leads to port {wanted} of Service {name}, which has {}",
            variable.name,
            list(&has)
        );
        if self.said.insert(format!("{} {message}", object.index)) {
            let draft = sink.add(
                Severity::Error,
                "service-port",
                object,
                &*variable.at.1,
                message,
            );
            draft.fix(format!(
                "write port {}",
                has.first().map_or("", String::as_str)
            ));
            draft.secret = variable.secret;
        }
        None
    }

    fn towards_service(
        &mut self,
        variable: &Variable,
        address: &Address,
        service: &Object,
        sink: &mut Sink,
    ) {
        let found = self.port_of(variable, address, &service.id.name, &service.value, sink);
        let Some(port) = found else {
            return;
        };
        let spec = &service.value["spec"];
        let to = selected(self.workloads, &service.id.namespace, &spec["selector"]);
        let protocol = port["protocol"].as_str().unwrap_or("TCP").to_owned();
        for pods in &to {
            let ports = target_ports(pods, &port);
            let ports: Vec<(i64, &str)> =
                ports.iter().map(|(n, name)| (*n, name.as_str())).collect();
            let out =
                self.policies
                    .denied(self.from, Way::Egress, Peer::Pods(pods), &ports, &protocol);
            let into =
                self.policies
                    .denied(pods, Way::Ingress, Peer::Pods(self.from), &ports, &protocol);
            let number = ports.first().map_or(0, |(number, _)| *number);
            self.cut(variable, &out, pods, number, "egress", sink);
            self.cut(variable, &into, pods, number, "ingress", sink);
        }
        self.names(variable, sink);
    }

    fn cut(
        &mut self,
        variable: &Variable,
        policies: &[&Object],
        to: &Workload<'_>,
        port: i64,
        way: &str,
        sink: &mut Sink,
    ) {
        let Some(policy) = policies.first() else {
            return;
        };
        let from = &self.from.object.id;
        let message = format!(
            "cuts the way of {from} to {} on port {port}, which {} shows to be needed",
            to.object.id, variable.name
        );
        if !self
            .said
            .insert(format!("{} {way} {message}", policy.index))
        {
            return;
        }
        let labels = |workload: &Workload<'_>| {
            let labels: Vec<String> = workload
                .labels()
                .iter()
                .map(|(key, value)| format!("{key}: {}", value.as_str().unwrap_or_default()))
                .collect();
            labels.join(", ")
        };
        let (word, other) = match way {
            "egress" => ("to", labels(to)),
            _ => ("from", labels(self.from)),
        };
        sink.add(
            Severity::Error,
            "policy-cuts-flow",
            policy,
            format!("spec.{way}"),
            message,
        )
        .fix(format!(
            "allow it: {way}: [{{{word}: [{{podSelector: {{matchLabels: {{{other}}}}}}}], ports: [{{port: {port}}}]}}]"
        ));
    }

    /// Whoever calls by name must be able to ask for the address.
    fn names(&mut self, variable: &Variable, sink: &mut Sink) {
        let udp = self
            .policies
            .denied(self.from, Way::Egress, Peer::Names, &[(53, "dns")], "UDP");
        let Some(policy) = udp.first() else {
            return;
        };
        let message = format!(
            "cuts {} off from the name service, but {} calls a Service by name",
            self.from.object.id, variable.name
        );
        if self
            .said
            .insert(format!("{} dns {}", policy.index, self.from.object.index))
        {
            sink.add(Severity::Error, "policy-cuts-names", policy, "spec.egress", message)
                .fix("allow it: egress: [{to: [{namespaceSelector: {}}], ports: [{port: 53, protocol: UDP}, {port: 53, protocol: TCP}]}]");
        }
    }

    fn outside(&mut self, variable: &Variable, address: &Address, sink: &mut Sink) {
        let Some(port) = address.port else {
            return;
        };
        if address.scheme.is_empty()
            || address.host == "localhost"
            || address.host.starts_with("127.")
        {
            return;
        }
        let ports = [(i64::from(port), "")];
        let denied = self
            .policies
            .denied(self.from, Way::Egress, Peer::Outside, &ports, "TCP");
        let Some(policy) = denied.first() else {
            return;
        };
        let from = &self.from.object.id;
        let message = format!(
            "lets {from} not out to port {port}, which {} shows to be needed",
            variable.name
        );
        if self.said.insert(format!("{} out {message}", policy.index)) {
            sink.add(Severity::Warning, "policy-cuts-flow", policy, "spec.egress", message)
                .fix(format!(
                    "allow it: egress: [{{to: [{{ipBlock: {{cidr: 0.0.0.0/0}}}}], ports: [{{port: {port}}}]}}]"
                ));
        }
    }
}

/// Numbers and names of the pods' ports behind a port of a Service.
fn target_ports(pods: &Workload<'_>, port: &Value) -> Vec<(i64, String)> {
    let target = match &port["targetPort"] {
        Value::Null => &port["port"],
        target => target,
    };
    let own = pods.ports();
    let same: Vec<(i64, String)> = own
        .iter()
        .filter(|own| match target {
            Value::String(name) => own.name == name,
            number => Some(own.number) == number.as_i64(),
        })
        .map(|own| (own.number, own.name.to_owned()))
        .collect();
    match (same.is_empty(), target.as_i64()) {
        (true, Some(number)) => vec![(number, String::new())],
        _ => same,
    }
}
