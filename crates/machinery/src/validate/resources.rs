//! Resource names and amounts.

use serde_json::Value;

use super::{At, Bad, Causes, names};
use crate::path::Path;
use crate::quantity::Quantity;
use crate::quota::totals;

/// Names that need no domain.
const STANDARD: &[&str] = &[
    "cpu",
    "memory",
    "ephemeral-storage",
    "requests.cpu",
    "requests.memory",
    "requests.ephemeral-storage",
    "limits.cpu",
    "limits.memory",
    "limits.ephemeral-storage",
    "pods",
    "resourcequotas",
    "services",
    "replicationcontrollers",
    "secrets",
    "configmaps",
    "persistentvolumeclaims",
    "storage",
    "requests.storage",
    "services.nodeports",
    "services.loadbalancers",
];

/// Names that count whole things.
const WHOLE: &[&str] = &[
    "pods",
    "resourcequotas",
    "services",
    "replicationcontrollers",
    "secrets",
    "configmaps",
    "persistentvolumeclaims",
    "services.nodeports",
    "services.loadbalancers",
];

/// Reads an amount; absent and unreadable ones (which decoding refused) are zero.
pub(super) fn amount(value: &Value) -> Quantity {
    Quantity::from_json(value).unwrap_or_default()
}

/// Whether a resource is Kubernetes' own.
pub(super) fn is_native(name: &str) -> bool {
    !name.contains('/') || name.contains("kubernetes.io/")
}

pub(super) fn is_huge_page(name: &str) -> bool {
    name.starts_with("hugepages-")
}

fn is_extended(name: &str) -> bool {
    !is_native(name)
        && !name.starts_with("requests.")
        && names::qualified(&format!("requests.{name}")).is_empty()
}

/// Whether more of a resource may be promised than there is.
pub(super) fn allows_overcommit(name: &str) -> bool {
    is_native(name) && !is_huge_page(name)
}

/// The form of a resource's name.
pub(super) fn name(path: &Path<'_>, name: &str, causes: &mut Causes) {
    let wrong = names::qualified(name);
    if !wrong.is_empty() {
        causes.invalid_text(path, name, wrong);
    } else if !name.contains('/') && !STANDARD.contains(&name) && !is_huge_page(name) {
        causes.invalid(
            path,
            name,
            "must be a standard resource type or fully qualified",
        );
    }
}

/// The name of a resource that containers have.
pub(super) fn container_name(path: &Path<'_>, name: &str, causes: &mut Causes) {
    self::name(path, name, causes);
    if !name.contains('/') {
        let known = matches!(name, "cpu" | "memory" | "ephemeral-storage") || is_huge_page(name);
        if !known {
            causes.invalid(path, name, "must be a standard resource for containers");
        }
    } else if !is_native(name) && !is_extended(name) {
        causes.invalid(path, name, "doesn't follow extended resource name standard");
    }
}

/// The name of a resource that a pod has as a whole.
fn pod_name(path: &Path<'_>, name: &str, causes: &mut Causes) {
    let before = causes.len();
    self::name(path, name, causes);
    if causes.len() == before && !totals::is_of_pods(name) {
        causes.not_supported(path, name, &["cpu", "hugepages-", "memory"]);
    }
}

/// The name of a resource in a quota.
pub(super) fn quota_name(path: &Path<'_>, name: &str, causes: &mut Causes) {
    self::name(path, name, causes);
    let standard = |name: &str| {
        STANDARD.contains(&name)
            || is_huge_page(name)
            || name.starts_with("requests.hugepages-")
            || name.starts_with("count/")
    };
    if !name.contains('/') && !standard(name) {
        causes.invalid(path, name, "must be a standard resource for quota");
    }
}

/// The amount of a resource: not negative, whole where things are counted.
pub(super) fn value(path: &Path<'_>, name: &str, value: &Value, causes: &mut Causes) {
    let amount = amount(value);
    if amount.signum() < 0 {
        causes.invalid(path, &*amount.to_string(), names::NOT_NEGATIVE);
    }
    if (WHOLE.contains(&name) || is_extended(name)) && amount.milli_value() % 1000 != 0 {
        causes.invalid(path, &*amount.to_string(), "must be an integer");
    }
}

/// A container's `resources`.
pub(super) fn requirements(resources: &At<'_>, causes: &mut Causes) {
    requirements_of(resources, container_name, causes);
}

/// The `resources` of a pod as a whole.
pub(super) fn pod_requirements(resources: &At<'_>, causes: &mut Causes) {
    requirements_of(resources, pod_name, causes);
}

type NameRule = fn(&Path<'_>, &str, &mut Causes);

fn requirements_of(resources: &At<'_>, name_rule: NameRule, causes: &mut Causes) {
    let limits = resources.field("limits");
    let requests = resources.field("requests");
    let (mut computes, mut huge) = (false, false);
    let mut each = |list: &At<'_>, causes: &mut Causes| {
        for (name, value) in list.entries() {
            let path = list.path.key(name);
            name_rule(&path, name, causes);
            self::value(&path, name, value, causes);
            if is_huge_page(name) {
                huge = true;
                huge_page_multiple(&path, name, value, causes);
            }
            computes |= matches!(name, "cpu" | "memory");
        }
    };
    each(&limits, causes);
    each(&requests, causes);
    for (name, value) in requests.entries() {
        within_limit(name, value, &limits, &requests, causes);
    }
    if huge && !computes {
        causes.forbidden(&resources.path, "HugePages require cpu or memory");
    }
    claims(&resources.field("claims"), causes);
}

fn huge_page_multiple(path: &Path<'_>, name: &str, value: &Value, causes: &mut Causes) {
    let size = name
        .strip_prefix("hugepages-")
        .and_then(|size| size.parse::<Quantity>().ok());
    let amount = amount(value);
    if let Some(size) = size.filter(|size| size.value() > 0)
        && amount.value() % size.value() != 0
    {
        let detail = format!("{amount} is not positive integer multiple of {name}");
        causes.invalid(path, &*amount.to_string(), &detail);
    }
}

fn within_limit(
    name: &str,
    value: &Value,
    limits: &At<'_>,
    requests: &At<'_>,
    causes: &mut Causes,
) {
    let request = amount(value);
    match limits.value.get(name).filter(|limit| !limit.is_null()) {
        Some(limit) => {
            let limit = amount(limit);
            let rule = if request != limit && !allows_overcommit(name) {
                "must be equal to"
            } else if request > limit {
                "must be less than or equal to"
            } else {
                return;
            };
            let detail = format!("{rule} {name} limit of {limit}");
            causes.invalid(&requests.path, &*request.to_string(), &detail);
        }
        None if !allows_overcommit(name) => {
            causes.required(
                &limits.path,
                "Limit must be set for non overcommitable resources",
            );
        }
        None => {}
    }
}

fn claims(claims: &At<'_>, causes: &mut Causes) {
    let mut seen: Vec<String> = Vec::new();
    for claim in claims.items() {
        let (name, request) = (claim.field("name"), claim.field("request"));
        if name.is_empty() {
            causes.required(&claim.path, "");
            continue;
        }
        let whole = name.text().to_owned();
        if seen.contains(&whole) {
            causes.duplicate(&claim.path, &whole);
            continue;
        }
        let part = format!("{whole}/{}", request.text());
        if request.is_empty() {
            for _ in seen.iter().filter(|key| key.starts_with(&part)) {
                causes.duplicate(&claim.path, &whole);
            }
            seen.push(whole);
            continue;
        }
        causes.invalid_text(&request.path, request.text(), names::label(request.text()));
        if seen.contains(&part) {
            causes.duplicate(&claim.path, &part);
        }
        seen.push(part);
    }
}

/// A list of resources of a container, such as a pod's overhead.
pub(super) fn overhead(list: &At<'_>, causes: &mut Causes) {
    let path = list.path.field("limits");
    for (name, value) in list.entries() {
        let path = path.key(name);
        container_name(&path, name, causes);
        self::value(&path, name, value, causes);
    }
}

/// An int-or-string that is a port's number or name.
pub(super) fn port(at: &At<'_>, causes: &mut Causes) {
    match at.value {
        Value::String(text) => causes.invalid_text(&at.path, text, names::port_name(text)),
        value => {
            let number = value.as_i64().unwrap_or(0);
            port_number(&at.path, number, causes);
        }
    }
}

/// The number of a port.
pub(super) fn port_number(path: &Path<'_>, number: i64, causes: &mut Causes) {
    for message in names::port_number(number) {
        causes.invalid(path, number, &message);
    }
}

/// An int-or-string that is a count or a percentage.
pub(super) fn count_or_percent(at: &At<'_>, causes: &mut Causes) {
    match at.value {
        Value::String(text) => causes.invalid_text(&at.path, text, names::percent(text)),
        Value::Null => {}
        _ => causes.not_negative(at),
    }
}

/// A percentage of at most 100.
pub(super) fn not_over_hundred(at: &At<'_>, causes: &mut Causes) {
    if percent(at.value).is_some_and(|percent| percent > 100) {
        causes.invalid(&at.path, at.text(), "must not be greater than 100%");
    }
}

/// The number of a percentage.
pub(super) fn percent(value: &Value) -> Option<i64> {
    let text = value.as_str()?;
    names::percent(text)
        .is_empty()
        .then(|| text.trim_end_matches('%').parse().ok())?
}

/// An amount as messages print it.
pub(super) fn shown(value: &Value) -> Bad {
    Bad::from(&*amount(value).to_string())
}
