//! Containers that may run as root.

use super::list;
use crate::report::Severity;
use crate::sink::Sink;
use crate::workload::{Container, Workload};
use crate::world::World;
use serde_json::Value;

/// Checks who containers run as.
pub fn check(world: &World<'_>, sink: &mut Sink) {
    for workload in world.workloads() {
        if workload.object.test || workload.object.hook {
            continue;
        }
        root(&workload, sink);
        contradiction(&workload, sink);
    }
}

fn context<'c>(workload: &Workload<'c>, container: &Container<'c>, field: &str) -> &'c Value {
    match &container.value["securityContext"][field] {
        Value::Null => &workload.spec()["securityContext"][field],
        value => value,
    }
}

fn root(workload: &Workload<'_>, sink: &mut Sink) {
    let (mut may, mut does) = (Vec::new(), Vec::new());
    for container in workload.containers() {
        let user = context(workload, &container, "runAsUser");
        let non_root = context(workload, &container, "runAsNonRoot") == true;
        match user.as_i64() {
            // A step that prepares a volume and ends says so on purpose.
            Some(0) if container.is_init() => {}
            Some(0) => does.push(container.name().to_owned()),
            None if !non_root => may.push(container.name().to_owned()),
            _ => {}
        }
    }
    let fix = "set securityContext: {runAsNonRoot: true, runAsUser: 1001}, and a numeric USER in the image";
    let field = workload.field("securityContext");
    if !does.is_empty() {
        let verb = if does.len() == 1 { "runs" } else { "run" };
        let message = format!("{} {verb} as root", list(&does));
        sink.add(Severity::Note, "root", workload.object, &*field, message)
            .fix(fix);
    }
    if !may.is_empty() {
        let message = format!("nothing keeps {} from running as root", list(&may));
        sink.add(Severity::Note, "root", workload.object, &*field, message)
            .fix(fix);
    }
}

/// `runAsNonRoot` with user 0 never starts.
fn contradiction(workload: &Workload<'_>, sink: &mut Sink) {
    for container in workload.containers() {
        let user = context(workload, &container, "runAsUser");
        let non_root = context(workload, &container, "runAsNonRoot");
        if user == 0 && *non_root == true {
            let message = format!(
                "{} must not run as root (runAsNonRoot) but is told to (runAsUser: 0): it never starts",
                container.name()
            );
            let field = workload.in_container(&container, "securityContext");
            sink.add(
                Severity::Error,
                "root-contradiction",
                workload.object,
                field,
                message,
            )
            .fix("remove one of the two");
        }
    }
}
