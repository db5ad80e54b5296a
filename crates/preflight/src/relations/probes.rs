//! Probes that ask a port nobody opens.

use super::services::spoken;
use crate::report::Severity;
use crate::sink::Sink;
use crate::workload::{Container, Workload};
use crate::world::World;
use serde_json::Value;

/// Checks all probes and lifecycle handlers.
pub fn check(world: &World<'_>, sink: &mut Sink) {
    for workload in world.workloads() {
        for container in workload.containers() {
            for probe in ["startupProbe", "livenessProbe", "readinessProbe"] {
                for action in ["httpGet", "tcpSocket", "grpc"] {
                    let field = format!("{probe}.{action}");
                    let value = &container.value[probe][action];
                    check_one(&workload, &container, &field, value, sink);
                }
            }
            for hook in ["postStart", "preStop"] {
                let value = &container.value["lifecycle"][hook]["httpGet"];
                let field = format!("lifecycle.{hook}.httpGet");
                check_one(&workload, &container, &field, value, sink);
            }
        }
    }
}

fn check_one(
    workload: &Workload<'_>,
    container: &Container<'_>,
    action: &str,
    value: &Value,
    sink: &mut Sink,
) {
    if value["port"].is_null() || value["host"].is_string() {
        return;
    }
    let ports = container.ports();
    let field = workload.in_container(container, &format!("{action}.port"));
    let opened: Vec<String> = ports
        .iter()
        .map(|port| match port.name {
            "" => port.number.to_string(),
            name => format!("{} ({name})", port.number),
        })
        .collect();
    let opened = super::list(&opened);
    let what = action.split('.').next().unwrap_or(action);
    let name = container.name();
    match &value["port"] {
        Value::String(wanted) => {
            if ports.iter().any(|port| port.name == wanted) {
                return;
            }
            let message =
                format!("{what} of {name} asks port {wanted}, but the container opens {opened}");
            let names = ports.iter().map(|port| port.name.to_owned()).collect();
            let fix = super::did_you_mean(wanted, names)
                .unwrap_or_else(|| format!("name a port of the container {wanted}"));
            sink.add(
                Severity::Error,
                "probe-port",
                workload.object,
                field,
                message,
            )
            .fix(fix);
        }
        number => {
            let others = workload.ports();
            let known = others
                .iter()
                .any(|port| Some(port.number) == number.as_i64());
            if ports.is_empty() || known || spoken(workload, number) {
                return;
            }
            // Not every port is listed; a lone one that differs, or one that
            // looks alike, is most likely a mistake.
            let wanted = number.to_string();
            let alike = ports
                .iter()
                .any(|port| !coracle_helm::nearest(&wanted, [port.number.to_string()]).is_empty());
            if ports.len() > 1 && !alike {
                return;
            }
            let message =
                format!("{what} of {name} asks port {number}, but the container opens {opened}");
            sink.add(
                Severity::Warning,
                "probe-port",
                workload.object,
                field,
                message,
            )
            .fix(format!("ask {}, or open {number}", ports[0].number));
        }
    }
}
