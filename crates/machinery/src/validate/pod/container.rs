//! Containers of a pod: regular, init and ephemeral ones.

use std::collections::BTreeSet;

use super::super::{At, Causes, names, resources};
use super::volume::Volumes;
use super::{env, probe, security};

/// What containers are judged by beside themselves.
struct Pod<'a> {
    volumes: &'a Volumes<'a>,
    grace_seconds: i64,
    never_restarts: bool,
    shares_users: bool,
}

/// All containers of a pod spec.
pub(super) fn containers(spec: &At<'_>, volumes: &Volumes<'_>, causes: &mut Causes) {
    let grace = spec.field("terminationGracePeriodSeconds").int();
    let pod = Pod {
        volumes,
        grace_seconds: grace.unwrap_or(0),
        never_restarts: spec.field("restartPolicy").text() == "Never",
        shares_users: security::shares_users(spec),
    };
    let mut names = BTreeSet::new();
    regular(spec, &pod, &mut names, causes);
    init(spec, &pod, &mut names, causes);
    ephemeral(spec, &pod, &mut names, causes);
    if spec.field("hostNetwork").flag() {
        host_network_ports(&spec.field("containers"), causes);
    }
}

fn regular<'a>(spec: &At<'a>, pod: &Pod<'_>, seen: &mut BTreeSet<&'a str>, causes: &mut Causes) {
    let list = spec.value["containers"].as_array();
    let containers = spec.field("containers");
    if containers.is_empty() {
        causes.required(&containers.path, "");
        return;
    }
    for (index, value) in list.into_iter().flatten().enumerate() {
        let container = At {
            value,
            path: containers.path.index(index),
        };
        common(&container, pod, causes);
        unique_name(
            value["name"].as_str().unwrap_or_default(),
            &container,
            seen,
            causes,
        );
        probes(&container, pod.grace_seconds, causes);
        restart_policy(&container, false, causes);
    }
    host_port_conflicts(containers.items(), causes);
}

fn init<'a>(spec: &At<'a>, pod: &Pod<'_>, seen: &mut BTreeSet<&'a str>, causes: &mut Causes) {
    let containers = spec.field("initContainers");
    let list = spec.value["initContainers"].as_array();
    for (index, value) in list.into_iter().flatten().enumerate() {
        let container = At {
            value,
            path: containers.path.index(index),
        };
        restart_policy(&container, true, causes);
        common(&container, pod, causes);
        unique_name(
            value["name"].as_str().unwrap_or_default(),
            &container,
            seen,
            causes,
        );
        // These run one by one, and upstream counts each of them as the first.
        let alone = At {
            value,
            path: containers.path.index(0),
        };
        host_port_conflicts(std::iter::once(alone), causes);
        if container.field("restartPolicy").text() == "Always" {
            probes(&container, pod.grace_seconds, causes);
            continue;
        }
        for policy in container.field("resizePolicy").items() {
            let restart = policy.field("restartPolicy");
            if restart.text() == "RestartContainer" {
                let detail = "must not be set to 'RestartContainer' for non-sidecar initContainers";
                causes.invalid(&restart.path, restart.text(), detail);
            }
        }
        for name in [
            "lifecycle",
            "livenessProbe",
            "readinessProbe",
            "startupProbe",
        ] {
            let at = container.field(name);
            if at.is_set() {
                let detail = "may not be set for init containers without restartPolicy=Always";
                causes.forbidden(&at.path, detail);
            }
        }
    }
}

/// Fields that an ephemeral container has no use for.
const NOT_EPHEMERAL: [&str; 8] = [
    "ports",
    "livenessProbe",
    "readinessProbe",
    "startupProbe",
    "lifecycle",
    "resizePolicy",
    "restartPolicy",
    "restartPolicyRules",
];

fn ephemeral<'a>(spec: &At<'a>, pod: &Pod<'_>, seen: &mut BTreeSet<&'a str>, causes: &mut Causes) {
    let containers = spec.field("ephemeralContainers");
    let list = spec.value["ephemeralContainers"].as_array();
    let others: Vec<&str> = seen.iter().copied().collect();
    for (index, value) in list.into_iter().flatten().enumerate() {
        let container = At {
            value,
            path: containers.path.index(index),
        };
        common(&container, pod, causes);
        unique_name(
            value["name"].as_str().unwrap_or_default(),
            &container,
            seen,
            causes,
        );
        for name in NOT_EPHEMERAL {
            let at = container.field(name);
            if at.is_set() && !(at.value.is_array() && at.is_empty()) {
                causes.forbidden(&at.path, "cannot be set for an Ephemeral Container");
            }
        }
        if !container.field("resources").is_empty() {
            let at = container.field("resources");
            causes.forbidden(&at.path, "cannot be set for an Ephemeral Container");
        }
        let target = container.field("targetContainerName");
        if !target.is_empty() && !others.contains(&target.text()) {
            causes.not_found(&target.path, target.text());
        }
        for mount in container.field("volumeMounts").items() {
            for name in ["subPath", "subPathExpr"] {
                let at = mount.field(name);
                if !at.is_empty() {
                    causes.forbidden(&at.path, "cannot be set for an Ephemeral Container");
                }
            }
        }
    }
}

fn unique_name<'a>(
    name: &'a str,
    container: &At<'_>,
    seen: &mut BTreeSet<&'a str>,
    causes: &mut Causes,
) {
    if !name.is_empty() && !seen.insert(name) {
        causes.duplicate(&container.field("name").path, name);
    }
}

/// What holds for every container.
fn common(container: &At<'_>, pod: &Pod<'_>, causes: &mut Causes) {
    let name = container.field("name");
    if name.is_empty() {
        causes.required(&name.path, "");
    } else {
        causes.invalid_text(&name.path, name.text(), names::label(name.text()));
    }
    let image = container.field("image");
    if image.is_empty() {
        causes.required(&image.path, "");
    }
    let policy = container.field("terminationMessagePolicy");
    match policy.text() {
        "" => causes.required(&policy.path, ""),
        _ => causes.one_of(&policy, &["File", "FallbackToLogsOnError"]),
    }
    ports(&container.field("ports"), causes);
    env::variables(&container.field("env"), causes);
    env::sources(&container.field("envFrom"), causes);
    mounts(container, pod.volumes, causes);
    devices(container, pod.volumes, causes);
    let pull = container.field("imagePullPolicy");
    match pull.text() {
        "" => causes.required(&pull.path, ""),
        _ => causes.one_of(&pull, &["Always", "IfNotPresent", "Never"]),
    }
    resources::requirements(&container.field("resources"), causes);
    resize_policies(&container.field("resizePolicy"), pod.never_restarts, causes);
    let context = container.field("securityContext");
    security::container(&context, pod.shares_users, causes);
}

fn restart_policy(container: &At<'_>, is_init: bool, causes: &mut Causes) {
    let policy = container.field("restartPolicy");
    let rules = container.field("restartPolicyRules");
    if policy.is_set() {
        causes.one_of(&policy, &["Always", "Never", "OnFailure"]);
    } else if !rules.is_empty() {
        let detail = "must specify restartPolicy when restart rules are used";
        causes.required(&policy.path, detail);
        if is_init {
            return;
        }
    }
    restart_rules(&rules, causes);
}

/// When a container is restarted otherwise than its policy says.
fn restart_rules(rules: &At<'_>, causes: &mut Causes) {
    if rules.len() > RESTART_RULES_MAX {
        causes.too_many(&rules.path, rules.len(), RESTART_RULES_MAX);
    }
    for rule in rules.items() {
        let action = rule.field("action");
        causes.one_of(&action, &["Restart", "RestartAllContainers"]);
        let codes = rule.field("exitCodes");
        if !codes.is_set() {
            causes.required(&codes.path, "must be specified");
            continue;
        }
        causes.one_of(&codes.field("operator"), &["In", "NotIn"]);
        let values = codes.field("values");
        if values.len() > EXIT_CODES_MAX {
            causes.too_many(&values.path, values.len(), EXIT_CODES_MAX);
        }
    }
}

/// Most rules of a container.
const RESTART_RULES_MAX: usize = 20;
/// Most exit codes of a rule.
const EXIT_CODES_MAX: usize = 255;

fn probes(container: &At<'_>, grace: i64, causes: &mut Causes) {
    probe::lifecycle(&container.field("lifecycle"), grace, causes);
    probe::liveness(&container.field("livenessProbe"), grace, causes);
    probe::readiness(&container.field("readinessProbe"), grace, causes);
    probe::liveness(&container.field("startupProbe"), grace, causes);
}

fn ports(ports: &At<'_>, causes: &mut Causes) {
    let mut seen = BTreeSet::new();
    for port in ports.items() {
        let name = port.field("name");
        if !name.is_empty() {
            let wrong = names::port_name(name.text());
            if !wrong.is_empty() {
                causes.invalid_text(&name.path, name.text(), wrong);
            } else if !seen.insert(name.text().to_owned()) {
                causes.duplicate(&name.path, name.text());
            }
        }
        let number = port.field("containerPort");
        match number.int().unwrap_or(0) {
            0 => causes.required(&number.path, ""),
            given => resources::port_number(&number.path, given, causes),
        }
        let host = port.field("hostPort");
        if let Some(given) = host.int().filter(|given| *given != 0) {
            resources::port_number(&host.path, given, causes);
        }
        let protocol = port.field("protocol");
        match protocol.text() {
            "" => causes.required(&protocol.path, ""),
            _ => causes.one_of(&protocol, &["SCTP", "TCP", "UDP"]),
        }
    }
}

fn host_port_conflicts<'a>(containers: impl Iterator<Item = At<'a>>, causes: &mut Causes) {
    let mut taken = BTreeSet::new();
    for container in containers {
        for port in container.field("ports").items() {
            let host = port.field("hostPort");
            let Some(number) = host.int().filter(|number| *number != 0) else {
                continue;
            };
            let protocol = port.field("protocol").text().to_owned();
            let key = format!("{protocol}/{}/{number}", port.field("hostIP").text());
            if taken.contains(&key) {
                causes.duplicate(&host.path, &key);
            }
            taken.insert(key);
        }
    }
}

fn host_network_ports(containers: &At<'_>, causes: &mut Causes) {
    for container in containers.items() {
        for port in container.field("ports").items() {
            let outer = port.field("hostPort");
            let host = outer.int().unwrap_or(0);
            let number = port.field("containerPort").int().unwrap_or(0);
            // In a template the port of the host may be left to the pod.
            if host != 0 && host != number {
                let detail = "must match `containerPort` when `hostNetwork` is true";
                causes.invalid(&outer.path, host, detail);
            }
        }
    }
}

fn mounts(container: &At<'_>, volumes: &Volumes<'_>, causes: &mut Causes) {
    let mounts = container.field("volumeMounts");
    let devices = container.field("volumeDevices");
    let privileged = container
        .field("securityContext")
        .field("privileged")
        .flag();
    let mut paths = BTreeSet::new();
    for mount in mounts.items() {
        let name = mount.field("name");
        if name.is_empty() {
            causes.required(&name.path, "");
        }
        if !volumes.contains(name.text()) {
            causes.not_found(&name.path, name.text());
        }
        let path = mount.field("mountPath");
        if path.is_empty() {
            causes.required(&path.path, "");
        }
        if !paths.insert(path.text().to_owned()) {
            causes.invalid(&path.path, path.text(), "must be unique");
        }
        for device in devices.items() {
            if device.value["name"] == *name.value {
                let detail = "must not already exist in volumeDevices";
                causes.invalid(&name.path, name.text(), detail);
            }
            if device.value["devicePath"] == *path.value {
                let detail = "must not already exist as a path in volumeDevices";
                causes.invalid(&path.path, path.text(), detail);
            }
        }
        sub_paths(&mounts, &mount, causes);
        propagation(&mounts, &mount, privileged, causes);
    }
}

fn sub_paths(mounts: &At<'_>, mount: &At<'_>, causes: &mut Causes) {
    let (plain, expanded) = (mount.field("subPath"), mount.field("subPathExpr"));
    if !plain.is_empty() {
        super::volume::descending(&mounts.path.field("subPath"), plain.text(), causes);
    }
    if !expanded.is_empty() {
        if !plain.is_empty() {
            let detail = "subPathExpr and subPath are mutually exclusive";
            causes.invalid(&expanded.path, expanded.text(), detail);
        }
        super::volume::descending(&mounts.path.field("subPathExpr"), expanded.text(), causes);
    }
}

fn propagation(mounts: &At<'_>, mount: &At<'_>, privileged: bool, causes: &mut Causes) {
    let mode = mount.value["mountPropagation"].as_str();
    let path = mounts.path.field("mountPropagation");
    match mode {
        None | Some("None" | "HostToContainer") => {}
        Some("Bidirectional") if privileged => {}
        Some("Bidirectional") => causes.forbidden(
            &path,
            "Bidirectional mount propagation is available only to privileged containers",
        ),
        Some(other) => {
            causes.not_supported(&path, other, &["Bidirectional", "HostToContainer", "None"]);
        }
    }
    let recursive = mount.field("recursiveReadOnly");
    let path = mounts.path.field("recursiveReadOnly");
    match recursive.value.as_str() {
        None | Some("Disabled") => {}
        Some("Enabled" | "IfPossible") => {
            if !mount.field("readOnly").flag() {
                let detail = "may only be specified when readOnly is true";
                causes.forbidden(&path, detail);
            }
            let propagation = mount.field("mountPropagation");
            if !matches!(propagation.text(), "" | "None") {
                let detail = "may only be specified when mountPropagation is None or not specified";
                causes.forbidden(&path, detail);
            }
        }
        Some(other) => causes.not_supported(&path, other, &["Disabled", "Enabled", "IfPossible"]),
    }
}

fn devices(container: &At<'_>, volumes: &Volumes<'_>, causes: &mut Causes) {
    let mut paths = BTreeSet::new();
    let mut names = BTreeSet::new();
    for device in container.field("volumeDevices").items() {
        let (name, path) = (device.field("name"), device.field("devicePath"));
        if name.is_empty() {
            causes.required(&name.path, "");
        }
        if !names.insert(name.text().to_owned()) && !name.is_empty() {
            causes.invalid(&name.path, name.text(), "must be unique");
        }
        match volumes.kind(name.text()) {
            None => causes.not_found(&name.path, name.text()),
            Some("persistentVolumeClaim" | "ephemeral") => {}
            Some(_) => {
                let detail = "can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode";
                causes.invalid(&name.path, name.text(), detail);
            }
        }
        if path.is_empty() {
            causes.required(&path.path, "");
        }
        if paths.contains(path.text()) {
            causes.invalid(&path.path, path.text(), "must be unique");
        }
        if path.text().split('/').any(|part| part == "..") {
            let detail = "can not contain backsteps ('..')";
            causes.invalid(&path.path, path.text(), detail);
        } else {
            paths.insert(path.text().to_owned());
        }
        for mount in container.field("volumeMounts").items() {
            if mount.value["name"] == *name.value {
                let detail = "must not already exist in volumeMounts";
                causes.invalid(&name.path, name.text(), detail);
            }
            if mount.value["mountPath"] == *path.value {
                let detail = "must not already exist as a path in volumeMounts";
                causes.invalid(&path.path, path.text(), detail);
            }
        }
    }
}

/// Upstream names the list in most faults, not its element.
fn resize_policies(policies: &At<'_>, never_restarts: bool, causes: &mut Causes) {
    let mut seen = BTreeSet::new();
    for policy in policies.items() {
        let name = policy.field("resourceName").text().to_owned();
        match name.as_str() {
            "" => causes.required(&policies.path, ""),
            "cpu" | "memory" => {}
            other => causes.not_supported(&policies.path, other, &["cpu", "memory"]),
        }
        if !seen.insert(name.clone()) {
            causes.duplicate(&policy.path, &name);
        }
        let restart = policy.field("restartPolicy").text().to_owned();
        match restart.as_str() {
            "" => causes.required(&policies.path, ""),
            "NotRequired" | "RestartContainer" => {}
            other => {
                causes.not_supported(&policies.path, other, &["NotRequired", "RestartContainer"]);
            }
        }
        if never_restarts && restart != "NotRequired" {
            let detail = "must be 'NotRequired' when pod `restartPolicy` is 'Never'";
            causes.invalid(&policies.path, &restart, detail);
        }
    }
}
