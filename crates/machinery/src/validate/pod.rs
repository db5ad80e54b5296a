//! Pods and pod templates (`ValidatePodSpec` and its neighbours upstream).

mod annotations;
mod container;
mod env;
mod gated;
mod pod_level;
mod probe;
mod resize;
mod scheduling;
mod security;
mod source;
mod status;
mod system;
mod update;
mod volume;

use serde_json::Value;

use super::{At, Bad, Causes, internal, ip, labels, names, resources};

pub(super) use resize::resize;
pub(super) use status::status;
pub(super) use update::{update as update_spec, update_ephemeral};
pub(super) use volume::{no_backsteps, source_fields};

/// A pod: its spec, and what holds for pods but not for templates.
pub(super) fn pod(object: &At<'_>, old: Option<&Value>, causes: &mut Causes) {
    let pod_spec = object.field("spec");
    let metadata = object.field("metadata");
    annotations::check(&metadata.field("annotations"), &pod_spec, causes);
    spec(&pod_spec, causes);
    for list in ["containers", "initContainers", "ephemeralContainers"] {
        for container in pod_spec.field(list).items() {
            let image = container.field("image");
            if image.text().trim() != image.text() {
                let detail = "must not have leading or trailing whitespace";
                causes.invalid(&image.path, image.text(), detail);
            }
        }
    }
    tokens_need_account(&pod_spec, causes);
    for volume in pod_spec.field("volumes").items() {
        let image = volume.field("image");
        let reference = image.field("reference");
        // A template may leave it to the pods.
        if image.is_set() && reference.is_empty() {
            causes.required(&reference.path, "");
        }
    }
    match old {
        None => create(&pod_spec, causes),
        Some(old) => {
            annotations::update(object, old, causes);
            update_spec(object, old, causes);
        }
    }
}

fn create(spec: &At<'_>, causes: &mut Causes) {
    let ephemeral = spec.field("ephemeralContainers");
    if !ephemeral.is_empty() {
        causes.forbidden(&ephemeral.path, "cannot be set on create");
    }
    let node = spec.field("nodeName");
    if !node.is_empty() && !spec.field("schedulingGates").is_empty() {
        let detail = "cannot be set until all schedulingGates have been cleared";
        causes.forbidden(&node.path, detail);
    }
}

fn tokens_need_account(spec: &At<'_>, causes: &mut Causes) {
    if !spec.field("serviceAccountName").is_empty() {
        return;
    }
    for volume in spec.field("volumes").items() {
        let projected = volume.field("projected");
        for source in projected.field("sources").items() {
            let token = source.field("serviceAccountToken");
            if token.is_set() {
                let detail = "must not be specified when serviceAccountName is not set";
                causes.forbidden(&token.path, detail);
            }
        }
    }
}

/// A `PodTemplateSpec`.
pub(super) fn template(template: &At<'_>, causes: &mut Causes) {
    template_labels(template, causes);
    let pod_spec = template.field("spec");
    let metadata = template.field("metadata");
    let annotations = At {
        value: &metadata.value["annotations"],
        path: template.path.field("annotations"),
    };
    annotations::check(&annotations, &pod_spec, causes);
    spec(&pod_spec, causes);
    let ephemeral = pod_spec.field("ephemeralContainers");
    if !ephemeral.is_empty() {
        let detail = "ephemeral containers not allowed in pod template";
        causes.forbidden(&ephemeral.path, detail);
    }
}

/// Labels and annotations of a template, which upstream names without `metadata`.
pub(super) fn template_labels(template: &At<'_>, causes: &mut Causes) {
    let metadata = template.field("metadata");
    for (name, rule) in [
        ("labels", labels::labels as fn(&At<'_>, &mut Causes)),
        ("annotations", labels::annotations),
    ] {
        let at = At {
            value: metadata.field(name).value,
            path: template.path.field(name),
        };
        rule(&at, causes);
    }
}

/// A `PodSpec`.
pub(super) fn spec(spec: &At<'_>, causes: &mut Causes) {
    let volumes = volume::volumes(&spec.field("volumes"), causes);
    container::containers(spec, &volumes, causes);
    pod_level::resources(spec, causes);
    env::files(spec, causes);
    policies(spec, causes);
    labels::labels(&spec.field("nodeSelector"), causes);
    security::pod(spec, causes);
    scheduling::affinity(&spec.field("affinity"), causes);
    dns_config(spec, causes);
    gates(spec, causes);
    scheduling::spread(&spec.field("topologySpreadConstraints"), causes);
    referenced_names(spec, causes);
    let deadline = spec.field("activeDeadlineSeconds");
    if let Some(seconds) = deadline.int()
        && !(1..=i64::from(i32::MAX)).contains(&seconds)
    {
        let detail = names::range(1, i32::MAX.into());
        causes.invalid(&deadline.path, seconds, &detail);
    }
    scheduling::tolerations(&spec.field("tolerations"), causes);
    host_aliases(&spec.field("hostAliases"), causes);
    resources::overhead(&spec.field("overhead"), causes);
    resource_claims(spec, causes);
    system::system(spec, causes);
}

fn policies(spec: &At<'_>, causes: &mut Causes) {
    let restart = spec.field("restartPolicy");
    match restart.text() {
        "" => causes.required(&restart.path, ""),
        _ => causes.one_of(&restart, &["Always", "OnFailure", "Never"]),
    }
    let dns = spec.field("dnsPolicy");
    match dns.text() {
        "" => causes.required(&dns.path, ""),
        _ => causes.one_of(
            &dns,
            &["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"],
        ),
    }
    let preemption = spec.field("preemptionPolicy");
    if preemption.is_set() {
        match preemption.text() {
            "" => causes.required(&preemption.path, ""),
            _ => causes.one_of(&preemption, &["PreemptLowerPriority", "Never"]),
        }
    }
}

fn dns_config(spec: &At<'_>, causes: &mut Causes) {
    let config = spec.field("dnsConfig");
    let servers = config.field("nameservers");
    if spec.field("dnsPolicy").text() == "None" {
        if !config.is_set() {
            let detail = "must provide `dnsConfig` when `dnsPolicy` is None";
            causes.required(&config.path, detail);
            return;
        }
        if servers.is_empty() {
            let detail = "must provide at least one DNS nameserver when `dnsPolicy` is None";
            causes.required(&servers.path, detail);
            return;
        }
    }
    if servers.len() > 3 {
        causes.invalid(
            &servers.path,
            servers.value,
            "must not have more than 3 nameservers",
        );
    }
    for server in servers.items() {
        ip::legacy(&server.path, server.text(), causes);
    }
    let searches = config.field("searches");
    if searches.len() > 32 {
        causes.invalid(
            &searches.path,
            searches.value,
            "must not have more than 32 search paths",
        );
    }
    let total: usize = searches.items().map(|search| search.len() + 1).sum();
    if total > 2049 {
        let detail =
            "must not have more than 2048 characters (including spaces) in the search list";
        causes.invalid(&searches.path, searches.value, detail);
    }
    for search in searches.items().filter(|search| search.text() != ".") {
        let text = search.text().strip_suffix('.').unwrap_or(search.text());
        let wrong = names::subdomain_with_underscore(text);
        causes.invalid_text(&search.path, text, wrong);
    }
    for option in config.field("options").items() {
        if option.field("name").is_empty() {
            causes.required(&option.path, "must not be empty");
        }
    }
}

fn gates(spec: &At<'_>, causes: &mut Causes) {
    for gate in spec.field("readinessGates").items() {
        let kind = gate.field("conditionType");
        causes.invalid_text(&kind.path, kind.text(), names::qualified(kind.text()));
    }
    let mut seen: Vec<&str> = Vec::new();
    let gates = spec.field("schedulingGates");
    for gate in gates.value.as_array().into_iter().flatten().enumerate() {
        let (index, value) = gate;
        let name = value["name"].as_str().unwrap_or_default();
        let path = gates.path.index(index);
        causes.invalid_text(&path.field("name"), name, names::qualified(name));
        if seen.contains(&name) {
            causes.duplicate(&path, name);
        }
        seen.push(name);
    }
}

fn referenced_names(spec: &At<'_>, causes: &mut Causes) {
    for name in [
        "serviceAccountName",
        "nodeName",
        "priorityClassName",
        "runtimeClassName",
    ] {
        let at = spec.field(name);
        let given = match name {
            "runtimeClassName" => at.is_set(),
            _ => !at.is_empty(),
        };
        if given {
            causes.invalid_text(&at.path, at.text(), names::subdomain(at.text()));
        }
    }
    let over = spec.field("hostnameOverride");
    if over.is_set() {
        for name in ["setHostnameAsFQDN", "hostNetwork"] {
            if spec.field(name).flag() {
                let detail = format!("may not be specified when {name} is true");
                causes.forbidden(&over.path, &detail);
            }
        }
        if over.len() > 64 {
            causes.too_long(&over.path, 64);
        }
        causes.invalid_text(&over.path, over.text(), names::subdomain(over.text()));
    }
    for name in ["hostname", "subdomain"] {
        let at = spec.field(name);
        if !at.is_empty() {
            causes.invalid_text(&at.path, at.text(), names::label(at.text()));
        }
    }
}

fn host_aliases(aliases: &At<'_>, causes: &mut Causes) {
    for alias in aliases.items() {
        let address = alias.field("ip");
        ip::legacy(&address.path, address.text(), causes);
        let hosts = alias.field("hostnames");
        for host in hosts.items() {
            causes.invalid_text(&host.path, host.text(), names::subdomain(host.text()));
        }
    }
}

/// The claims that a pod's containers may use.
fn resource_claims(spec: &At<'_>, causes: &mut Causes) {
    let claims = spec.field("resourceClaims");
    let mut known: Vec<String> = Vec::new();
    for claim in claims.items() {
        let name = claim.field("name");
        if name.is_empty() {
            causes.required(&name.path, "");
        } else if known.iter().any(|known| known == name.text()) {
            causes.duplicate(&name.path, name.text());
        } else {
            causes.invalid_text(&name.path, name.text(), names::label(name.text()));
            known.push(name.text().to_owned());
        }
        let (own, template) = (
            claim.field("resourceClaimName"),
            claim.field("resourceClaimTemplateName"),
        );
        let detail = match (own.is_set(), template.is_set()) {
            (true, true) => {
                "at most one of `resourceClaimName` or `resourceClaimTemplateName` may be specified"
            }
            (false, false) => {
                "must specify one of: `resourceClaimName`, `resourceClaimTemplateName`"
            }
            _ => "",
        };
        if !detail.is_empty() {
            let shown = internal::shown("PodResourceClaim", claim.value);
            causes.invalid(&claim.path, shown, detail);
        }
        for at in [&own, &template] {
            if at.is_set() {
                causes.invalid_text(&at.path, at.text(), names::subdomain(at.text()));
            }
        }
    }
    known.sort();
    for list in ["initContainers", "containers"] {
        for container in spec.field(list).items() {
            let resources = container.field("resources");
            used_claims(&resources.field("claims"), &known, causes);
        }
    }
}

fn used_claims(claims: &At<'_>, known: &[String], causes: &mut Causes) {
    for claim in claims.items() {
        let name = claim.field("name");
        if name.is_empty() || known.iter().any(|known| known == name.text()) {
            continue;
        }
        let listed = match known.is_empty() {
            true => " which is empty".to_owned(),
            false => format!(": {}", known.join(", ")),
        };
        let detail = format!("must be one of the names in pod.spec.resourceClaims{listed}");
        let bad = Some(Bad::from(name.text()));
        causes.push(super::Reason::NotFound, &claim.path, bad, &detail);
    }
}

/// Tolerations outside of a pod.
pub(super) fn tolerations(tolerations: &At<'_>, causes: &mut Causes) {
    scheduling::tolerations(tolerations, causes);
}

/// Tolerations that are told apart by all but their seconds.
pub(super) fn unique_tolerations(tolerations: &At<'_>, causes: &mut Causes) {
    scheduling::unique_tolerations(tolerations, causes);
}

/// A node selector outside of a pod.
pub(super) fn node_selector(selector: &At<'_>, causes: &mut Causes) {
    scheduling::node_selector(selector, causes);
}

/// The life time of a requested token.
pub(super) fn token_seconds(seconds: &At<'_>, causes: &mut Causes) {
    volume::token_seconds(seconds, causes);
}

/// What taints may do.
pub(super) const TAINT_EFFECTS: &[&str] = scheduling::TAINT_EFFECTS;
