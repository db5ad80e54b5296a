//! Probes and lifecycle hooks.

use super::super::{At, Causes, names, resources};

/// A liveness or startup probe.
pub(super) fn liveness(probe: &At<'_>, grace: i64, causes: &mut Causes) {
    if !probe.is_set() {
        return;
    }
    common(probe, grace, causes);
    let successes = probe.field("successThreshold");
    let number = successes.int().unwrap_or(0);
    if number != 1 {
        causes.invalid(&successes.path, number, "must be 1");
    }
}

/// A readiness probe.
pub(super) fn readiness(probe: &At<'_>, grace: i64, causes: &mut Causes) {
    if !probe.is_set() {
        return;
    }
    common(probe, grace, causes);
    let seconds = probe.field("terminationGracePeriodSeconds");
    if let Some(number) = seconds.int() {
        causes.invalid(&seconds.path, number, "must not be set for readinessProbes");
    }
}

fn common(probe: &At<'_>, grace: i64, causes: &mut Causes) {
    handler(probe, grace, causes);
    for name in [
        "initialDelaySeconds",
        "timeoutSeconds",
        "periodSeconds",
        "successThreshold",
        "failureThreshold",
    ] {
        causes.not_negative(&probe.field(name));
    }
    let seconds = probe.field("terminationGracePeriodSeconds");
    if let Some(number) = seconds.int().filter(|number| *number <= 0) {
        causes.invalid(&seconds.path, number, "must be greater than 0");
    }
}

/// A container's `lifecycle`.
pub(super) fn lifecycle(lifecycle: &At<'_>, grace: i64, causes: &mut Causes) {
    for name in ["postStart", "preStop"] {
        let hook = lifecycle.field(name);
        if hook.is_set() {
            handler(&hook, grace, causes);
        }
    }
}

/// Exactly one way to probe or to run a hook.
fn handler(at: &At<'_>, grace: i64, causes: &mut Causes) {
    let mut found = false;
    for name in ["exec", "httpGet", "tcpSocket", "grpc", "sleep"] {
        let action = at.field(name);
        if !action.is_set() {
            continue;
        }
        if found {
            causes.forbidden(&action.path, "may not specify more than 1 handler type");
            continue;
        }
        found = true;
        match name {
            "exec" => {
                let command = action.field("command");
                if command.is_empty() {
                    causes.required(&command.path, "");
                }
            }
            "httpGet" => http_get(&action, causes),
            "sleep" => sleep(&action, grace, causes),
            _ => resources::port(&action.field("port"), causes),
        }
    }
    if !found {
        causes.required(&at.path, "must specify a handler type");
    }
}

fn http_get(get: &At<'_>, causes: &mut Causes) {
    let path = get.field("path");
    if path.is_empty() {
        causes.required(&path.path, "");
    }
    resources::port(&get.field("port"), causes);
    causes.one_of(&get.field("scheme"), &["HTTP", "HTTPS"]);
    let headers = get.field("httpHeaders");
    for header in headers.items() {
        let name = header.field("name").text().to_owned();
        causes.invalid_text(&headers.path, &name, names::header_name(&name));
    }
}

fn sleep(sleep: &At<'_>, grace: i64, causes: &mut Causes) {
    let seconds = sleep.field("seconds").int().unwrap_or(0);
    if seconds < 0 || seconds > grace {
        let detail =
            format!("must be non-negative and less than terminationGracePeriodSeconds ({grace})");
        causes.invalid(&sleep.path, seconds, &detail);
    }
}
