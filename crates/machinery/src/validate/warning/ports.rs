//! Ports of a pod that say the same twice.

use serde_json::Value;

use super::super::{At, quote};

struct Port {
    path: String,
    name: String,
    number: i64,
    protocol: String,
    host_ip: String,
    host_port: i64,
}

impl Port {
    fn read(at: &At<'_>) -> Port {
        let text = |name: &str| at.value[name].as_str().unwrap_or_default().to_owned();
        let number = |name: &str| at.value[name].as_i64().unwrap_or(0);
        Port {
            path: at.path.to_string(),
            name: text("name"),
            number: number("containerPort"),
            protocol: text("protocol"),
            host_ip: text("hostIP"),
            host_port: number("hostPort"),
        }
    }

    /// As Go prints the structure.
    fn shown(&self) -> String {
        format!(
            "{{Name:{} HostPort:{} ContainerPort:{} Protocol:{} HostIP:{}}}",
            self.name, self.host_port, self.number, self.protocol, self.host_ip
        )
    }

    /// What is wrong with having this port beside `other`.
    fn clash(&self, other: &Port) -> Option<&'static str> {
        if self.number != other.number || self.protocol != other.protocol {
            return None;
        }
        let same_port = self.host_port == other.host_port;
        if same_port && self.host_ip == other.host_ip {
            Some("duplicate port definition")
        } else if self.host_port == 0 || other.host_port == 0 {
            Some("overlapping port definition")
        } else if same_port && self.host_ip.is_empty() != other.host_ip.is_empty() {
            Some("dangerously ambiguous port definition")
        } else {
            None
        }
    }
}

/// The ports of all containers.
pub(super) fn ports(spec: &At<'_>, found: &mut Vec<String>) {
    let mut known: Vec<Port> = Vec::new();
    let mut names: Vec<String> = Vec::new();
    for list in super::pod::CONTAINERS {
        for container in spec.field(list).items() {
            for port in container.field("ports").items() {
                let port = Port::read(&port);
                one(&port, &known, found);
                named(&port, &known, &mut names);
                known.push(port);
            }
        }
    }
    found.append(&mut names);
}

fn one(port: &Port, known: &[Port], found: &mut Vec<String>) {
    if !port.host_ip.is_empty() && port.host_port == 0 {
        found.push(format!(
            "{}: hostIP set without hostPort: {}",
            port.path,
            port.shown()
        ));
    }
    for other in known {
        if let Some(clash) = port.clash(other) {
            found.push(format!("{}: {clash} with {}", port.path, other.path));
        }
    }
}

fn named(port: &Port, known: &[Port], found: &mut Vec<String>) {
    let mut others = known.iter().filter(|other| other.name == port.name);
    if let Some(other) = others.next().filter(|_| !port.name.is_empty()) {
        found.push(format!(
            "{}: duplicate port name {} with {other}, services and probes that select ports by name will use {other}",
            port.path,
            quote(&port.name),
            other = other.path
        ));
    }
}

/// Variables that stand twice in a container's environment.
pub(super) fn hidden_variables(container: &At<'_>, found: &mut Vec<String>) {
    let env = container.field("env");
    let mut known: Vec<&str> = Vec::new();
    for (index, variable) in env.value.as_array().into_iter().flatten().enumerate() {
        let text = |name: &str| variable[name].as_str().unwrap_or_default();
        let (name, value) = (text("name"), text("value"));
        if !known.contains(&name) {
            known.push(name);
            continue;
        }
        // Adding to its own former value is the one use of defining it twice.
        let reference = format!("$({name})");
        let adds = value.contains(&reference) && value != reference;
        if !adds || variable.get("valueFrom").is_some_and(Value::is_object) {
            found.push(format!(
                "{}: hides previous definition of {}, which may be dropped when using apply",
                env.path.index(index),
                quote(name)
            ));
        }
    }
}
