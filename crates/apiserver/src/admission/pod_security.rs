//! Pod Security Standards, chosen by labels of the namespace: `enforce` refuses
//! pods, `warn` tells about pods and about workloads that would make them.
//! Audit annotations are not kept.
//!
//! <https://kubernetes.io/docs/concepts/security/pod-security-standards/>

use coracle_machinery::kind::Kind;
use serde_json::Value;

use super::pod_spec;
use crate::context::Context;
use crate::options::cause;
use crate::resource;
use crate::status::{ApiError, ApiResult, Cause};

const PREFIX: &str = "pod-security.kubernetes.io/";
const BASELINE_CAPABILITIES: &[&str] = &[
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];
const SAFE_SYSCTLS: &[&str] = &[
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.ping_group_range",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
    "net.ipv4.tcp_rmem",
    "net.ipv4.tcp_wmem",
];
const RESTRICTED_VOLUMES: &[&str] = &[
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "image",
    "persistentVolumeClaim",
    "projected",
    "secret",
];
const SELINUX_TYPES: &[&str] = &[
    "",
    "container_t",
    "container_init_t",
    "container_kvm_t",
    "container_engine_t",
];

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    Privileged,
    Baseline,
    Restricted,
}

impl Level {
    fn read(text: &str) -> Option<Level> {
        match text {
            "privileged" => Some(Level::Privileged),
            "baseline" => Some(Level::Baseline),
            "restricted" => Some(Level::Restricted),
            _ => None,
        }
    }
}

/// Judges a new or changed object by the labels of its namespace.
///
/// # Errors
/// 403 for a pod the namespace does not take, 422 for labels that say nothing.
pub fn check(
    context: &Context,
    kind: &'static Kind,
    object: &Value,
    live: Option<&Value>,
) -> ApiResult<()> {
    if kind.kind == "Namespace" && kind.group.is_empty() {
        return check_labels(kind, object);
    }
    let is_pod = kind.kind == "Pod" && kind.group.is_empty();
    if is_pod && live.is_some_and(|live| !is_significant(&object["spec"], &live["spec"])) {
        return Ok(());
    }
    let Some((_, spec)) = pod_spec::of(kind, object) else {
        return Ok(());
    };
    let namespaces = resource::builtin("", "namespaces");
    let Some(namespace) =
        context
            .core
            .store
            .get(&resource::key(namespaces, "", context.namespace()))
    else {
        return Ok(());
    };
    let label = |name: &str| {
        namespace
            .meta
            .labels
            .get(&format!("{PREFIX}{name}"))
            .cloned()
    };
    let asks = |mode: &str| {
        let text = label(mode)?;
        let level = Level::read(&text).filter(|level| *level > Level::Privileged)?;
        let version = label(&format!("{mode}-version")).unwrap_or_else(|| "latest".to_owned());
        let faults = faults(level, spec);
        (!faults.is_empty()).then(|| {
            format!(
                "violate PodSecurity \"{text}:{version}\": {}",
                faults.join(", ")
            )
        })
    };
    if is_pod && let Some(why) = asks("enforce") {
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        return Err(ApiError::forbidden(
            kind,
            name,
            &why.replacen("violate", "violates", 1),
        ));
    }
    if let Some(why) = asks("warn") {
        context.warn(format!("would {why}"));
    }
    Ok(())
}

/// Whether an update changes what the standards look at: containers come, or
/// run another image.
fn is_significant(spec: &Value, before: &Value) -> bool {
    let list = |spec: &Value, list: &str| spec[list].as_array().cloned().unwrap_or_default();
    let same_image = |new: &Value, old: &Value| new["image"] == old["image"];
    let fixed = ["containers", "initContainers"].iter().any(|name| {
        let (new, old) = (list(spec, name), list(before, name));
        new.len() != old.len() || !new.iter().zip(&old).all(|(new, old)| same_image(new, old))
    });
    let old = list(before, "ephemeralContainers");
    let added = list(spec, "ephemeralContainers").iter().any(|new| {
        let known = old.iter().find(|old| old["name"] == new["name"]);
        !known.is_some_and(|old| same_image(new, old))
    });
    fixed || added
}

fn check_labels(kind: &'static Kind, namespace: &Value) -> ApiResult<()> {
    let mut causes: Vec<Cause> = Vec::new();
    for mode in ["enforce", "audit", "warn"] {
        let label = |name: String| {
            namespace["metadata"]["labels"][&name]
                .as_str()
                .map(|text| (name, text.to_owned()))
        };
        if let Some((name, text)) = label(format!("{PREFIX}{mode}"))
            && Level::read(&text).is_none()
        {
            let message =
                format!("Invalid value: {text:?}: must be one of privileged, baseline, restricted");
            causes.push(cause(
                "FieldValueInvalid",
                &format!("metadata.labels[{name}]"),
                message,
            ));
        }
        if let Some((name, text)) = label(format!("{PREFIX}{mode}-version"))
            && !is_version(&text)
        {
            let message = format!("Invalid value: {text:?}: must be \"latest\" or \"v1.x\"");
            causes.push(cause(
                "FieldValueInvalid",
                &format!("metadata.labels[{name}]"),
                message,
            ));
        }
    }
    if causes.is_empty() {
        return Ok(());
    }
    let name = namespace["metadata"]["name"].as_str().unwrap_or_default();
    Err(ApiError::invalid(kind.group, kind.kind, name, causes))
}

fn is_version(text: &str) -> bool {
    text == "latest"
        || text
            .strip_prefix("v1.")
            .is_some_and(|minor| minor.parse::<u16>().is_ok())
}

fn faults(level: Level, spec: &Value) -> Vec<String> {
    let restricted = level == Level::Restricted;
    let windows = spec["os"]["name"] == "windows";
    let mut faults = Vec::new();
    let mut add = |name: &str, details: Vec<String>| {
        if !details.is_empty() {
            faults.push(format!("{name} ({})", details.join("; ")));
        }
    };
    if restricted && !windows {
        let bad = names(spec, |container| {
            container["securityContext"]["allowPrivilegeEscalation"] != false
        });
        add(
            "allowPrivilegeEscalation != false",
            must(
                &bad,
                "must set securityContext.allowPrivilegeEscalation=false",
            ),
        );
    }
    add("forbidden AppArmor profile", app_armor(spec));
    if restricted && !windows {
        add("unrestricted capabilities", restricted_capabilities(spec));
    } else {
        add(
            "non-default capabilities",
            capabilities(spec, BASELINE_CAPABILITIES),
        );
    }
    let host: Vec<String> = ["hostNetwork", "hostPID", "hostIPC"]
        .iter()
        .filter(|name| spec[**name] == true)
        .map(|name| format!("{name}=true"))
        .collect();
    add(
        "host namespaces",
        if host.is_empty() {
            vec![]
        } else {
            vec![host.join(", ")]
        },
    );
    let paths = volumes(spec, |volume| volume["hostPath"].is_object());
    add(
        "hostPath volumes",
        plural("volume", &paths).into_iter().collect(),
    );
    add("hostPort", host_ports(spec));
    let bad = names(spec, |container| {
        container["securityContext"]["privileged"] == true
    });
    add(
        "privileged",
        must(&bad, "must not set securityContext.privileged=true"),
    );
    let bad = names(spec, |container| {
        container["securityContext"]["procMount"]
            .as_str()
            .is_some_and(|mount| mount != "Default")
    });
    add(
        "procMount",
        must(
            &bad,
            "must not set securityContext.procMount to \"Unmasked\"",
        ),
    );
    if restricted {
        add("restricted volume types", restricted_volumes(spec));
        add("runAsNonRoot != true", run_as_non_root(spec));
        add("runAsUser=0", run_as_user(spec));
    }
    if restricted && !windows {
        add("seccompProfile", restricted_seccomp(spec));
    } else {
        add("seccompProfile", seccomp(spec));
    }
    add("seLinuxOptions", selinux(spec));
    let sysctls: Vec<&str> = spec["securityContext"]["sysctls"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|sysctl| sysctl["name"].as_str())
        .filter(|name| !SAFE_SYSCTLS.contains(name))
        .collect();
    add(
        "forbidden sysctls",
        if sysctls.is_empty() {
            vec![]
        } else {
            vec![sysctls.join(", ")]
        },
    );
    let bad = names(spec, |container| {
        container["securityContext"]["windowsOptions"]["hostProcess"] == true
    });
    add(
        "hostProcess",
        must(
            &bad,
            "must not set securityContext.windowsOptions.hostProcess=true",
        ),
    );
    faults
}

fn name(value: &Value) -> String {
    format!("{:?}", value["name"].as_str().unwrap_or_default())
}

fn names(spec: &Value, bad: impl Fn(&Value) -> bool) -> Vec<String> {
    pod_spec::containers(spec)
        .filter(|(_, _, one)| bad(one))
        .map(|(_, _, one)| name(one))
        .collect()
}

fn volumes(spec: &Value, bad: impl Fn(&Value) -> bool) -> Vec<String> {
    spec["volumes"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|volume| bad(volume))
        .map(name)
        .collect()
}

/// `container "a"` or `containers "a", "b"`.
fn plural(word: &str, names: &[String]) -> Option<String> {
    match names {
        [] => None,
        [one] => Some(format!("{word} {one}")),
        many => Some(format!("{word}s {}", many.join(", "))),
    }
}

fn must(names: &[String], what: &str) -> Vec<String> {
    plural("container", names)
        .map(|who| format!("{who} {what}"))
        .into_iter()
        .collect()
}

fn app_armor(spec: &Value) -> Vec<String> {
    let unconfined =
        |value: &Value| value["securityContext"]["appArmorProfile"]["type"] == "Unconfined";
    let what = "must not set AppArmor profile type to \"Unconfined\"";
    let mut details = Vec::new();
    if unconfined(spec) {
        details.push(format!("pod {what}"));
    }
    details.extend(must(&names(spec, unconfined), what));
    details
}

fn added(container: &Value) -> Vec<&str> {
    let list = container["securityContext"]["capabilities"]["add"].as_array();
    list.into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect()
}

fn capabilities(spec: &Value, allowed: &[&str]) -> Vec<String> {
    let mut forbidden: Vec<&str> = Vec::new();
    let bad: Vec<String> = pod_spec::containers(spec)
        .filter(|(_, _, container)| {
            let own: Vec<&str> = added(container)
                .into_iter()
                .filter(|name| !allowed.contains(name))
                .collect();
            forbidden.extend(&own);
            !own.is_empty()
        })
        .map(|(_, _, container)| name(container))
        .collect();
    forbidden.sort_unstable();
    forbidden.dedup();
    let list: Vec<String> = forbidden.iter().map(|name| format!("{name:?}")).collect();
    must(
        &bad,
        &format!(
            "must not include {} in securityContext.capabilities.add",
            list.join(", ")
        ),
    )
}

fn restricted_capabilities(spec: &Value) -> Vec<String> {
    let drops_all = |container: &Value| {
        let list = container["securityContext"]["capabilities"]["drop"].as_array();
        list.into_iter().flatten().any(|name| name == "ALL")
    };
    let bad = names(spec, |container| !drops_all(container));
    let mut details = must(&bad, "must set securityContext.capabilities.drop=[\"ALL\"]");
    details.extend(capabilities(spec, &["NET_BIND_SERVICE"]));
    details
}

fn host_ports(spec: &Value) -> Vec<String> {
    let mut ports: Vec<u64> = Vec::new();
    let own = |container: &Value| -> Vec<u64> {
        let list = container["ports"].as_array().into_iter().flatten();
        list.filter_map(|port| port["hostPort"].as_u64())
            .filter(|&port| port != 0)
            .collect()
    };
    let bad = names(spec, |container| !own(container).is_empty());
    pod_spec::containers(spec).for_each(|(_, _, container)| ports.extend(own(container)));
    ports.sort_unstable();
    ports.dedup();
    let list: Vec<String> = ports.iter().map(u64::to_string).collect();
    let verb = if bad.len() == 1 { "uses" } else { "use" };
    let noun = if ports.len() == 1 {
        "hostPort"
    } else {
        "hostPorts"
    };
    plural("container", &bad)
        .map(|who| format!("{who} {verb} {noun} {}", list.join(", ")))
        .into_iter()
        .collect()
}

fn restricted_volumes(spec: &Value) -> Vec<String> {
    let kind_of = |volume: &Value| -> String {
        let map = volume.as_object();
        let kind = map.and_then(|map| map.keys().find(|key| *key != "name"));
        kind.cloned().unwrap_or_else(|| "emptyDir".to_owned())
    };
    let bad = |volume: &Value| !RESTRICTED_VOLUMES.contains(&kind_of(volume).as_str());
    let names = volumes(spec, bad);
    let list = spec["volumes"].as_array().into_iter().flatten();
    let mut kinds: Vec<String> = list
        .filter(|volume| bad(volume))
        .map(|volume| format!("{:?}", kind_of(volume)))
        .collect();
    kinds.sort_unstable();
    kinds.dedup();
    let verb = if names.len() == 1 { "uses" } else { "use" };
    let noun = if kinds.len() == 1 { "type" } else { "types" };
    plural("volume", &names)
        .map(|who| format!("{who} {verb} restricted volume {noun} {}", kinds.join(", ")))
        .into_iter()
        .collect()
}

fn run_as_non_root(spec: &Value) -> Vec<String> {
    let own = |value: &Value| value["securityContext"]["runAsNonRoot"].as_bool();
    let pod = own(spec);
    let explicit = names(spec, |container| own(container) == Some(false));
    let implicit = names(spec, |container| own(container).is_none());
    let mut details = Vec::new();
    if pod == Some(false) && !implicit.is_empty() {
        details.push("pod must not set securityContext.runAsNonRoot=false".to_owned());
    }
    details.extend(must(
        &explicit,
        "must not set securityContext.runAsNonRoot=false",
    ));
    if pod.is_none()
        && let Some(who) = plural("container", &implicit)
    {
        details.push(format!(
            "pod or {who} must set securityContext.runAsNonRoot=true"
        ));
    }
    details
}

fn run_as_user(spec: &Value) -> Vec<String> {
    let root = |value: &Value| value["securityContext"]["runAsUser"] == 0;
    let mut details = Vec::new();
    if root(spec) {
        details.push("pod must not set runAsUser=0".to_owned());
    }
    details.extend(must(&names(spec, root), "must not set runAsUser=0"));
    details
}

fn seccomp_type(value: &Value) -> Option<&str> {
    value["securityContext"]["seccompProfile"]["type"].as_str()
}

fn seccomp(spec: &Value) -> Vec<String> {
    let what = "must not set securityContext.seccompProfile.type to \"Unconfined\"";
    let bad = |value: &Value| seccomp_type(value) == Some("Unconfined");
    let mut details = Vec::new();
    if bad(spec) {
        details.push(format!("pod {what}"));
    }
    details.extend(must(&names(spec, bad), what));
    details
}

fn restricted_seccomp(spec: &Value) -> Vec<String> {
    let mut details = seccomp(spec);
    let implicit = names(spec, |container| seccomp_type(container).is_none());
    if seccomp_type(spec).is_none()
        && let Some(who) = plural("container", &implicit)
    {
        details.push(format!(
            "pod or {who} must set securityContext.seccompProfile.type to \"RuntimeDefault\" or \"Localhost\""
        ));
    }
    details
}

fn selinux(spec: &Value) -> Vec<String> {
    let bad = |value: &Value| {
        let options = &value["securityContext"]["seLinuxOptions"];
        let text = |key: &str| options[key].as_str().unwrap_or_default();
        !SELINUX_TYPES.contains(&text("type"))
            || !text("user").is_empty()
            || !text("role").is_empty()
    };
    let what = "set forbidden securityContext.seLinuxOptions";
    let mut details = Vec::new();
    if bad(spec) {
        details.push(format!("pod {what}"));
    }
    details.extend(must(&names(spec, bad), what));
    details
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(level: Level, spec: Value, expected: &[&str]) {
        assert_eq!(faults(level, &spec), expected, "{spec}");
    }

    #[test]
    fn names_what_violates_a_level() {
        let plain = json!({"containers": [{"name": "c"}]});
        check(Level::Baseline, plain.clone(), &[]);
        check(
            Level::Restricted,
            plain,
            &[
                "allowPrivilegeEscalation != false (container \"c\" must set securityContext.allowPrivilegeEscalation=false)",
                "unrestricted capabilities (container \"c\" must set securityContext.capabilities.drop=[\"ALL\"])",
                "runAsNonRoot != true (pod or container \"c\" must set securityContext.runAsNonRoot=true)",
                "seccompProfile (pod or container \"c\" must set securityContext.seccompProfile.type to \"RuntimeDefault\" or \"Localhost\")",
            ],
        );
        let bold = json!({"hostNetwork": true, "volumes": [{"name": "v", "hostPath": {}}], "containers": [
            {"name": "a", "securityContext": {"privileged": true, "capabilities": {"add": ["NET_ADMIN"]}}},
            {"name": "b", "securityContext": {"privileged": true}, "ports": [{"hostPort": 80}]}]});
        check(
            Level::Baseline,
            bold,
            &[
                "non-default capabilities (container \"a\" must not include \"NET_ADMIN\" in securityContext.capabilities.add)",
                "host namespaces (hostNetwork=true)",
                "hostPath volumes (volume \"v\")",
                "hostPort (container \"b\" uses hostPort 80)",
                "privileged (containers \"a\", \"b\" must not set securityContext.privileged=true)",
            ],
        );
        let good = json!({"securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [{"name": "c", "securityContext": {"allowPrivilegeEscalation": false,
                "capabilities": {"drop": ["ALL"]}}}]});
        check(Level::Restricted, good, &[]);
    }
}
