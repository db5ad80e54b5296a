//! Warnings about pods and pod templates (`pkg/api/pod/warnings.go` upstream).

use super::super::{At, quote};
use super::{address, fraction, old_label, old_labels_of, paths, ports, storage};

/// A pod's lists of containers in the order in which upstream walks them.
pub(super) const CONTAINERS: [&str; 3] = ["initContainers", "containers", "ephemeralContainers"];

const SECCOMP: &str = "seccomp.security.alpha.kubernetes.io/pod";
const SECCOMP_CONTAINER: &str = "container.seccomp.security.alpha.kubernetes.io/";
const SECCOMP_TEXT: &str = "non-functional in v1.27+; use the \"seccompProfile\" field instead";
const APP_ARMOR: &str = "container.apparmor.security.beta.kubernetes.io/";
const APP_ARMOR_TEXT: &str = "deprecated since v1.30; use the \"appArmorProfile\" field instead";

/// Annotations without effect.
const OLD_ANNOTATIONS: &[(&str, &str)] = &[
    (
        "scheduler.alpha.kubernetes.io/critical-pod",
        "non-functional in v1.16+; use the \"priorityClassName\" field instead",
    ),
    (
        "security.alpha.kubernetes.io/sysctls",
        "non-functional in v1.11+; use the \"sysctls\" field instead",
    ),
    (
        "security.alpha.kubernetes.io/unsafe-sysctls",
        "non-functional in v1.11+; use the \"sysctls\" field instead",
    ),
];

/// Sources of volumes that only pods still have.
const OLD_SOURCES: &[(&str, &str)] = &[
    (
        "gitRepo",
        "deprecated in v1.11, and disabled by default in v1.33+",
    ),
    ("flocker", "deprecated in v1.22, non-functional in v1.25+"),
    ("quobyte", "deprecated in v1.22, non-functional in v1.25+"),
];

const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
const PREFERRED: &str = "preferredDuringSchedulingIgnoredDuringExecution";
const NO_SELECTOR: &str = "a null labelSelector results in matching no pod";

/// A pod.
pub(super) fn pod(object: &At<'_>, found: &mut Vec<String>) {
    judge(object, found);
    let (metadata, spec) = (object.field("metadata"), object.field("spec"));
    app_armor_taken(&spec, &metadata.field("annotations"), found);
}

/// A `PodTemplateSpec`.
pub(super) fn template(template: &At<'_>, found: &mut Vec<String>) {
    judge(template, found);
    let metadata = template.field("metadata");
    app_armor(
        &template.field("spec"),
        &metadata.field("annotations"),
        found,
    );
}

fn judge(object: &At<'_>, found: &mut Vec<String>) {
    let (metadata, spec) = (object.field("metadata"), object.field("spec"));
    let annotations = metadata.field("annotations");
    node_labels(&spec, found);
    for (key, text) in OLD_ANNOTATIONS {
        if annotations.value.get(*key).is_some() {
            found.push(format!("{}: {text}", annotations.path.key(key)));
        }
    }
    volumes(&spec.field("volumes"), found);
    hosts_and_secrets(&spec, found);
    for name in ["memory", "ephemeral-storage"] {
        fraction(&spec.field("overhead"), name, found);
    }
    seccomp(&spec.field("securityContext"), &annotations, SECCOMP, found);
    for list in CONTAINERS {
        for container in spec.field(list).items() {
            self::container(&container, &annotations, found);
        }
    }
    ports::ports(&spec, found);
    let grace = spec.field("terminationGracePeriodSeconds");
    if grace.int().is_some_and(|seconds| seconds < 0) {
        found.push(format!(
            "{}: must be >= 0; negative values are invalid and will be treated as 1",
            grace.path
        ));
    }
    selectors(&spec, found);
    let dns = spec.field("dnsConfig");
    for server in dns.field("nameservers").items() {
        address::ip(&server, found);
    }
    for alias in spec.field("hostAliases").items() {
        address::ip(&alias.field("ip"), found);
    }
}

/// Labels of nodes that pass out of use.
fn node_labels(spec: &At<'_>, found: &mut Vec<String>) {
    let selector = spec.field("nodeSelector");
    for (label, _) in selector.entries() {
        if let Some(text) = old_label(label) {
            found.push(format!("{}: {text}", selector.path.key(label)));
        }
    }
    let affinity = spec.field("affinity");
    let node = affinity.field("nodeAffinity");
    let required = node.field(REQUIRED);
    for term in required.field("nodeSelectorTerms").items() {
        old_labels_of(&term, false, found);
    }
    for term in node.field(PREFERRED).items() {
        old_labels_of(&term.field("preference"), true, found);
    }
    for constraint in spec.field("topologySpreadConstraints").items() {
        let key = constraint.field("topologyKey");
        if let Some(text) = old_label(key.text()) {
            found.push(format!("{}: {} is {text}", key.path, key.text()));
        }
        no_selector(&constraint, found);
    }
}

fn no_selector(at: &At<'_>, found: &mut Vec<String>) {
    let selector = at.field("labelSelector");
    if !selector.is_set() {
        found.push(format!("{}: {NO_SELECTOR}", selector.path));
    }
}

fn selectors(spec: &At<'_>, found: &mut Vec<String>) {
    let affinity = spec.field("affinity");
    for kind in ["podAffinity", "podAntiAffinity"] {
        let pods = affinity.field(kind);
        for term in pods.field(REQUIRED).items() {
            no_selector(&term, found);
        }
        for term in pods.field(PREFERRED).items() {
            no_selector(&term.field("podAffinityTerm"), found);
        }
    }
}

fn volumes(volumes: &At<'_>, found: &mut Vec<String>) {
    for volume in volumes.items() {
        for (kind, text) in storage::OLD_SOURCES.iter().chain(OLD_SOURCES) {
            let source = volume.field(kind);
            if source.is_set() {
                // Upstream spells one of them otherwise here.
                let name = if *kind == "storageos" {
                    "storageOS"
                } else {
                    kind
                };
                found.push(format!("{}: {text}", volume.path.field(name)));
            }
        }
        let ephemeral = volume.field("ephemeral");
        let template = ephemeral.field("volumeClaimTemplate");
        storage::claim_spec(&template.field("spec"), found);
    }
    paths::overlaps(volumes, found);
}

fn hosts_and_secrets(spec: &At<'_>, found: &mut Vec<String>) {
    for (list, name) in [("hostAliases", "ip"), ("imagePullSecrets", "name")] {
        let mut seen = Vec::new();
        for item in spec.field(list).items() {
            let at = item.field(name);
            let text = quote(at.text());
            if seen.contains(&text) {
                found.push(format!("{}: duplicate {name} {text}", at.path));
            }
            if at.is_empty() && name == "name" {
                found.push(format!("{}: invalid empty name {text}", at.path));
            }
            seen.push(text);
        }
    }
}

fn seccomp(context: &At<'_>, annotations: &At<'_>, key: &str, found: &mut Vec<String>) {
    if !context.field("seccompProfile").is_set() && annotations.value.get(key).is_some() {
        found.push(format!("{}: {SECCOMP_TEXT}", annotations.path.key(key)));
    }
}

fn container(container: &At<'_>, annotations: &At<'_>, found: &mut Vec<String>) {
    let key = format!("{SECCOMP_CONTAINER}{}", container.field("name").text());
    seccomp(
        &container.field("securityContext"),
        annotations,
        &key,
        found,
    );
    let resources = container.field("resources");
    for name in ["memory", "ephemeral-storage"] {
        for list in ["limits", "requests"] {
            fraction(&resources.field(list), name, found);
        }
    }
    ports::hidden_variables(container, found);
}

/// The annotation of a template that names a profile no field says.
fn app_armor(spec: &At<'_>, annotations: &At<'_>, found: &mut Vec<String>) {
    let of_pod = &spec.value["securityContext"]["appArmorProfile"];
    for list in CONTAINERS {
        for container in spec.field(list).items() {
            let key = format!("{APP_ARMOR}{}", container.field("name").text());
            let Some(value) = annotations.value.get(&key).and_then(|value| value.as_str()) else {
                continue;
            };
            let context = container.field("securityContext");
            let said =
                crate::strategy::app_armor_profile(value).is_some_and(|said| said == *of_pod);
            if !context.field("appArmorProfile").is_set() && !said {
                found.push(format!("{}: {APP_ARMOR_TEXT}", annotations.path.key(&key)));
            }
        }
    }
}

/// The annotation of a pod whose profile became the container's, or is none.
fn app_armor_taken(spec: &At<'_>, annotations: &At<'_>, found: &mut Vec<String>) {
    let of_pod = &spec.value["securityContext"]["appArmorProfile"];
    for list in CONTAINERS {
        for container in spec.field(list).items() {
            let key = format!("{APP_ARMOR}{}", container.field("name").text());
            let Some(value) = annotations.value.get(&key).and_then(|value| value.as_str()) else {
                continue;
            };
            let context = container.field("securityContext");
            let own = context.field("appArmorProfile");
            let deprecated = match crate::strategy::app_armor_profile(value) {
                Some(said) => said == *own.value && said != *of_pod,
                None => !own.is_set(),
            };
            if deprecated {
                found.push(format!("{}: {APP_ARMOR_TEXT}", annotations.path.key(&key)));
            }
        }
    }
}
