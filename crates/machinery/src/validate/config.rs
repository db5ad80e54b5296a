//! Configuration, namespaces, quotas, leases, classes and token requests.

use serde_json::Value;

use super::pod;
use super::{At, Bad, Causes, labels, meta, names, resources};
use crate::path::Path;

/// Most bytes of data in a ConfigMap or Secret.
const DATA_MAX: usize = 1024 * 1024;

/// A `ConfigMap`.
pub(super) fn config_map(object: &At<'_>, causes: &mut Causes) {
    let (data, binary) = (object.field("data"), object.field("binaryData"));
    let mut size = 0;
    for (key, value) in data.entries() {
        let path = data.path.key(key);
        causes.invalid_text(&path, key, names::config_key(key));
        if binary.value.get(key).is_some() {
            causes.invalid(&path, key, "duplicate of key present in binaryData");
        }
        size += value.as_str().map_or(0, str::len);
    }
    for (key, value) in binary.entries() {
        causes.invalid_text(&binary.path.key(key), key, names::config_key(key));
        size += decoded_length(value);
    }
    if size > DATA_MAX {
        causes.too_long(&Path::WHOLE, DATA_MAX);
    }
}

fn decoded_length(value: &Value) -> usize {
    let text = value.as_str().unwrap_or_default();
    let padding = text.bytes().rev().take_while(|byte| *byte == b'=').count();
    (text.len() / 4 * 3).saturating_sub(padding)
}

/// A `Secret`.
pub(super) fn secret(object: &At<'_>, causes: &mut Causes) {
    let data = object.field("data");
    let mut size = 0;
    for (key, value) in data.entries() {
        causes.invalid_text(&data.path.key(key), key, names::config_key(key));
        size += decoded_length(value);
    }
    if size > DATA_MAX {
        causes.too_long(&data.path, DATA_MAX);
    }
    let required = |key: &str, causes: &mut Causes| {
        if data.value.get(key).is_none() {
            causes.required(&data.path.key(key), "");
        }
    };
    match object.field("type").text() {
        "kubernetes.io/service-account-token" => {
            let metadata = object.field("metadata");
            let annotations = metadata.field("annotations");
            let key = "kubernetes.io/service-account.name";
            if annotations.value.get(key).is_none_or(|name| *name == "") {
                causes.required(&annotations.path.key(key), "");
            }
        }
        "kubernetes.io/dockercfg" => docker(&data, ".dockercfg", causes),
        "kubernetes.io/dockerconfigjson" => docker(&data, ".dockerconfigjson", causes),
        "kubernetes.io/basic-auth" => {
            let has = |key: &str| data.value.get(key).is_some();
            if !has("username") && !has("password") {
                required("username", causes);
                required("password", causes);
            }
        }
        "kubernetes.io/ssh-auth"
            if data
                .value
                .get("ssh-privatekey")
                .is_none_or(|key| *key == "") =>
        {
            causes.required(&data.path.key("ssh-privatekey"), "");
        }
        "kubernetes.io/tls" => {
            required("tls.crt", causes);
            required("tls.key", causes);
        }
        _ => {}
    }
}

fn docker(data: &At<'_>, key: &str, causes: &mut Causes) {
    use base64::Engine as _;
    let path = data.path.key(key);
    let Some(text) = data.value.get(key).and_then(Value::as_str) else {
        causes.required(&path, "");
        return;
    };
    let bytes = base64::engine::general_purpose::STANDARD.decode(text);
    if let Err(message) = go_json_error(&bytes.unwrap_or_default()) {
        causes.invalid(&path, "<secret contents redacted>", &message);
    }
}

/// Whether bytes are a JSON object; the error begins as Go's does.
fn go_json_error(bytes: &[u8]) -> Result<(), String> {
    match serde_json::from_slice::<Value>(bytes) {
        Ok(Value::Object(_) | Value::Null) => Ok(()),
        Ok(_) => {
            Err("json: cannot unmarshal value into Go value of type map[string]interface {}".into())
        }
        Err(error) if error.is_eof() => Err("unexpected end of JSON input".into()),
        Err(error) => {
            let found = bytes
                .get(error.column().saturating_sub(1))
                .copied()
                .unwrap_or(b'?');
            Err(format!(
                "invalid character '{}' looking for beginning of value",
                char::from(found)
            ))
        }
    }
}

/// Immutability by choice: once `immutable` is set nothing of it changes.
pub(super) fn frozen(object: &At<'_>, old: &Value, parts: &[&str], causes: &mut Causes) {
    if old["immutable"] != true {
        return;
    }
    const DETAIL: &str = "field is immutable when `immutable` is set";
    let immutable = object.field("immutable");
    if !immutable.flag() {
        causes.forbidden(&immutable.path, DETAIL);
    }
    for part in parts {
        let at = object.field(part);
        if !super::immutable::equal(at.value, &old[*part]) {
            causes.forbidden(&at.path, DETAIL);
        }
    }
}

/// A `Namespace`.
pub(super) fn namespace(object: &At<'_>, causes: &mut Causes) {
    let spec = object.field("spec");
    let finalizers = spec.field("finalizers");
    for finalizer in finalizers.items() {
        namespace_finalizer(&finalizers.path, finalizer.text(), causes);
    }
}

/// A `Namespace` through `finalize`.
pub(super) fn namespace_finalize(object: &At<'_>, causes: &mut Causes) {
    let spec = object.field("spec");
    for finalizer in spec.field("finalizers").items() {
        namespace_finalizer(&finalizer.path, finalizer.text(), causes);
    }
}

fn namespace_finalizer(path: &Path<'_>, text: &str, causes: &mut Causes) {
    causes.invalid_text(path, text, names::qualified(text));
    if !text.contains('/') && !matches!(text, "kubernetes" | "orphan" | "foregroundDeletion") {
        causes.invalid(path, text, meta::UNQUALIFIED_FINALIZER);
    }
}

/// The status of a `Namespace`: its phase follows its deletion.
pub(super) fn namespace_status(object: &At<'_>, causes: &mut Causes) {
    let deleting = object.value["metadata"].get("deletionTimestamp").is_some();
    let status = object.field("status");
    let phase = status.field("phase");
    let path = status.path.field("Phase");
    match (deleting, phase.text()) {
        (false, "Active") | (true, "Terminating") => {}
        (false, other) => {
            let detail = "may only be 'Active' if `deletionTimestamp` is empty";
            causes.invalid(&path, other, detail);
        }
        (true, other) => {
            let detail = "may only be 'Terminating' if `deletionTimestamp` is not empty";
            causes.invalid(&path, other, detail);
        }
    }
}

/// A `Lease`.
pub(super) fn lease(object: &At<'_>, causes: &mut Causes) {
    let spec = object.field("spec");
    let duration = spec.field("leaseDurationSeconds");
    if let Some(seconds) = duration.int().filter(|seconds| *seconds <= 0) {
        causes.invalid(&duration.path, seconds, "must be greater than 0");
    }
    causes.not_negative(&spec.field("leaseTransitions"));
    let strategy = spec.field("strategy");
    if strategy.is_set() {
        causes.one_of(&strategy, &["OldestEmulationVersion"]);
    }
    let preferred = spec.field("preferredHolder");
    if !preferred.is_empty() && strategy.is_empty() {
        let detail = "may only be specified if `strategy` is defined";
        causes.forbidden(&preferred.path, detail);
    }
}

/// Highest value of a class that users make.
const PRIORITY_MAX: i64 = 1_000_000_000;
/// Classes of the system with their values.
const SYSTEM_CLASSES: [(&str, i64); 2] = [
    ("system-node-critical", 2_000_001_000),
    ("system-cluster-critical", 2_000_000_000),
];

/// A `PriorityClass`.
pub(super) fn priority_class(object: &At<'_>, causes: &mut Causes) {
    let metadata = object.field("metadata");
    let name = metadata.field("name");
    let value = object.field("value");
    let number = value.int().unwrap_or(0);
    if name.text().starts_with("system-") {
        if let Some(reason) = not_the_system_class(object, name.text(), number) {
            let detail = format!(
                "priority class names with 'system-' prefix are reserved for system use only. error: {reason}"
            );
            causes.forbidden(&name.path, &detail);
        }
    } else if number > PRIORITY_MAX {
        let detail = format!("maximum allowed value of a user defined priority is {PRIORITY_MAX}");
        causes.forbidden(&value.path, &detail);
    }
    let policy = object.field("preemptionPolicy");
    if policy.is_set() {
        match policy.text() {
            "" => causes.required(&policy.path, ""),
            _ => causes.one_of(&policy, &["PreemptLowerPriority", "Never"]),
        }
    }
}

fn not_the_system_class(object: &At<'_>, name: &str, value: i64) -> Option<String> {
    let known = SYSTEM_CLASSES.iter().find(|(known, _)| *known == name);
    match known {
        None => Some(format!("{name} is not a known system priority class")),
        Some((_, expected)) if *expected != value => {
            Some(format!("value of {name} PriorityClass must be {expected}"))
        }
        Some(_) if object.field("globalDefault").flag() => Some(format!(
            "globalDefault of {name} PriorityClass must be false"
        )),
        Some(_) => None,
    }
}

/// What of a `PriorityClass` an update may change.
pub(super) fn priority_class_update(object: &At<'_>, old: &Value, causes: &mut Causes) {
    let value = object.field("value");
    if value.int().unwrap_or(0) != old["value"].as_i64().unwrap_or(0) {
        causes.forbidden(&value.path, "may not be changed in an update.");
    }
    let policy = object.field("preemptionPolicy");
    super::immutable::field(&policy, &old["preemptionPolicy"], causes);
}

/// A `RuntimeClass`.
pub(super) fn runtime_class(object: &At<'_>, causes: &mut Causes) {
    let handler = object.field("handler");
    if handler.is_empty() {
        causes.required(&handler.path, "");
    } else {
        causes.invalid_text(&handler.path, handler.text(), names::label(handler.text()));
    }
    let overhead = object.field("overhead");
    let fixed = At {
        value: &overhead.value["podFixed"],
        path: overhead.path,
    };
    resources::overhead(&fixed, causes);
    let scheduling = object.field("scheduling");
    labels::labels(&scheduling.field("nodeSelector"), causes);
    let tolerations = scheduling.field("tolerations");
    pod::tolerations(&tolerations, causes);
    pod::unique_tolerations(&tolerations, causes);
}

/// A `TokenRequest`.
pub(super) fn token_request(object: &At<'_>, causes: &mut Causes) {
    let spec = object.field("spec");
    pod::token_seconds(&spec.field("expirationSeconds"), causes);
}

/// `domain/path`.
pub(super) fn domain_prefixed_path(at: &At<'_>, causes: &mut Causes) {
    let text = at.text();
    if text.is_empty() {
        causes.required(&at.path, "");
        return;
    }
    let split = text
        .split_once('/')
        .filter(|(host, path)| !host.is_empty() && !path.is_empty());
    let Some((host, path)) = split else {
        let detail = "must be a domain-prefixed path (such as \"acme.io/foo\")";
        causes.invalid(&at.path, text, detail);
        return;
    };
    causes.invalid_text(&at.path, host, names::subdomain(host));
    let fits = |b: u8| b.is_ascii_alphanumeric() || b"/-._~%!$&'()*+,;=:".contains(&b);
    if !path.bytes().all(fits) {
        let detail =
            "Invalid path (regex used for validation is '[A-Za-z0-9/\\-._~%!$&'()*+,;=:]+')";
        causes.invalid(&at.path, path, detail);
    }
}

/// A `ResourceQuota`.
pub(super) fn resource_quota(object: &At<'_>, causes: &mut Causes) {
    let spec = object.field("spec");
    quota_amounts(&spec.field("hard"), causes);
    quota_scopes(&spec, causes);
}

fn quota_amounts(list: &At<'_>, causes: &mut Causes) {
    for (name, value) in list.entries() {
        let path = list.path.key(name);
        resources::quota_name(&path, name, causes);
        resources::value(&path, name, value, causes);
    }
}

/// The status of a `ResourceQuota`.
pub(super) fn quota_status(object: &At<'_>, causes: &mut Causes) {
    let status = object.field("status");
    for list in ["hard", "used"] {
        quota_amounts(&status.field(list), causes);
    }
}

const SCOPES: [&str; 7] = [
    "BestEffort",
    "CrossNamespacePodAffinity",
    "NotBestEffort",
    "NotTerminating",
    "PriorityClass",
    "Terminating",
    "VolumeAttributesClass",
];

/// Scopes that leave nothing between them.
const CONFLICTS: [(&str, &str); 2] = [
    ("BestEffort", "NotBestEffort"),
    ("Terminating", "NotTerminating"),
];

fn quota_scopes(spec: &At<'_>, causes: &mut Causes) {
    let scopes = spec.field("scopes");
    let hard: Vec<&str> = spec.field("hard").entries().map(|(name, _)| name).collect();
    let mut set = Vec::new();
    for scope in scopes.items() {
        let text = scope.text();
        if !SCOPES.contains(&text) {
            causes.invalid(&scopes.path, scopes.value, "unsupported scope");
            continue;
        }
        for resource in &hard {
            if !resource.contains('/') && !tracks(text, resource) {
                let detail = "unsupported scope applied to resource";
                causes.invalid(&scopes.path, scopes.value, detail);
            }
        }
        set.push(text.to_owned());
    }
    for (one, other) in CONFLICTS {
        let has = |name: &str| set.iter().any(|scope| scope == name);
        if has(one) && has(other) {
            causes.invalid(&scopes.path, scopes.value, "conflicting scopes");
        }
    }
    scope_selector(&spec.field("scopeSelector"), &hard, causes);
}

/// Scopes that are asked for by name alone.
const BARE_SCOPES: [&str; 5] = [
    "BestEffort",
    "CrossNamespacePodAffinity",
    "NotBestEffort",
    "NotTerminating",
    "Terminating",
];
const BARE: &str = "must be 'Exists' when scope is any of ResourceQuotaScopeTerminating, ResourceQuotaScopeNotTerminating, ResourceQuotaScopeBestEffort, ResourceQuotaScopeNotBestEffort or ResourceQuotaScopeCrossNamespacePodAffinity";

/// Causes name the list of expressions, not the expression.
fn scope_selector(selector: &At<'_>, hard: &[&str], causes: &mut Causes) {
    let expressions = selector.field("matchExpressions");
    let at = |name: &'static str| expressions.path.field(name);
    let mut set = Vec::new();
    for expression in expressions.items() {
        let scope = expression.field("scopeName").text();
        if !SCOPES.contains(&scope) {
            causes.invalid(&at("scopeName"), scope, "unsupported scope");
        }
        for resource in hard {
            if !resource.contains('/') && !tracks(scope, resource) {
                let detail = "unsupported scope applied to resource";
                let shown = Bad::raw(scope_selector_shown(&expressions));
                causes.invalid(&expressions.path, shown, detail);
            }
        }
        let (operator, values) = (
            expression.field("operator").text(),
            expression.field("values"),
        );
        if BARE_SCOPES.contains(&scope) && operator != "Exists" {
            causes.invalid(&at("operator"), operator, BARE);
        }
        match operator {
            "In" | "NotIn" if values.is_empty() => causes.required(
                &at("values"),
                "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector",
            ),
            "Exists" | "DoesNotExist" if !values.is_empty() => causes.invalid(
                &at("values"),
                values.value,
                "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector",
            ),
            "In" | "NotIn" | "Exists" | "DoesNotExist" => {}
            other => causes.invalid(&at("operator"), other, "not a valid selector operator"),
        }
        set.push(scope.to_owned());
    }
    for (one, other) in CONFLICTS {
        let has = |name: &str| set.iter().any(|scope| scope == name);
        if has(one) && has(other) {
            let shown = scope_selector_shown(&expressions);
            let list = shown.trim_start_matches("{\"MatchExpressions\":");
            let list = Bad::raw(list.strip_suffix('}').unwrap_or(list));
            causes.invalid(&expressions.path, list, "conflicting scopes");
        }
    }
}

/// A selector of scopes as upstream's internal type prints it.
fn scope_selector_shown(expressions: &At<'_>) -> String {
    let parts: Vec<String> = expressions
        .items()
        .map(|one| {
            format!(
                "{{\"ScopeName\":{},\"Operator\":{},\"Values\":{}}}",
                one.value["scopeName"], one.value["operator"], one.value["values"]
            )
        })
        .collect();
    format!("{{\"MatchExpressions\":[{}]}}", parts.join(","))
}

/// Whether a scope makes sense for a resource.
fn tracks(scope: &str, resource: &str) -> bool {
    match scope {
        "BestEffort" => resource == "pods",
        "Terminating"
        | "NotTerminating"
        | "NotBestEffort"
        | "PriorityClass"
        | "CrossNamespacePodAffinity" => matches!(
            resource,
            "pods"
                | "cpu"
                | "memory"
                | "requests.cpu"
                | "requests.memory"
                | "limits.cpu"
                | "limits.memory"
        ),
        _ => true,
    }
}

/// A `LimitRange`.
pub(super) fn limit_range(object: &At<'_>, causes: &mut Causes) {
    let spec = object.field("spec");
    let mut kinds = Vec::new();
    for limit in spec.field("limits").items() {
        let kind = limit.field("type");
        let text = kind.text().to_owned();
        if text.is_empty() || (!text.contains('/') && !is_limit_type(&text)) {
            let wrong = names::qualified(&text);
            if wrong.is_empty() {
                let detail = "must be a standard limit type or fully qualified";
                causes.invalid(&kind.path, &text, detail);
            } else {
                causes.invalid_text(&kind.path, &text, wrong);
            }
        }
        if kinds.contains(&text) {
            causes.duplicate(&kind.path, &text);
        }
        kinds.push(text.clone());
        limit_item(&limit, &text, causes);
    }
}

fn is_limit_type(kind: &str) -> bool {
    matches!(kind, "Pod" | "Container" | "PersistentVolumeClaim")
}

const LISTS: [&str; 5] = [
    "max",
    "min",
    "default",
    "defaultRequest",
    "maxLimitRequestRatio",
];

fn limit_item(limit: &At<'_>, kind: &str, causes: &mut Causes) {
    let mut names_seen: Vec<&str> = Vec::new();
    let judged = |list: &str| kind != "Pod" || !list.starts_with("default");
    for list in LISTS.into_iter().filter(|list| judged(list)) {
        let at = limit.field(list);
        for (name, _) in at.entries() {
            let path = at.path.key(name);
            match kind {
                "Pod" | "Container" => resources::container_name(&path, name, causes),
                _ => resources::name(&path, name, causes),
            }
            if !names_seen.contains(&name) {
                names_seen.push(name);
            }
        }
    }
    for list in ["default", "defaultRequest"] {
        let at = limit.field(list);
        if kind == "Pod" && !at.is_empty() {
            causes.forbidden(&at.path, "may not be specified when `type` is 'Pod'");
        }
    }
    let has = |list: &str| limit.value[list].get("storage").is_some();
    if kind == "PersistentVolumeClaim" && !has("max") && !has("min") {
        let path = limit.path.field("limits");
        let detail =
            "either minimum or maximum storage value is required, but neither was provided";
        causes.required(&path, detail);
    }
    names_seen.sort_unstable();
    for name in names_seen {
        limit_order(limit, kind, name, causes);
    }
}

/// A pair of lists whose amounts must be in order.
struct Order {
    low: &'static str,
    high: &'static str,
    /// The list whose field is named.
    at: &'static str,
    /// The list whose amount is shown.
    shown: &'static str,
    /// What the two are called.
    words: (&'static str, &'static str),
}

const ORDERS: [Order; 6] = [
    Order {
        low: "min",
        high: "max",
        at: "min",
        shown: "min",
        words: ("min", "max"),
    },
    Order {
        low: "min",
        high: "defaultRequest",
        at: "defaultRequest",
        shown: "defaultRequest",
        words: ("min", "default request"),
    },
    Order {
        low: "defaultRequest",
        high: "max",
        at: "defaultRequest",
        shown: "defaultRequest",
        words: ("default request", "max"),
    },
    Order {
        low: "defaultRequest",
        high: "default",
        at: "defaultRequest",
        shown: "defaultRequest",
        words: ("default request", "default limit"),
    },
    Order {
        low: "min",
        high: "default",
        at: "default",
        shown: "min",
        words: ("min", "default"),
    },
    Order {
        low: "default",
        high: "max",
        at: "default",
        shown: "max",
        words: ("default", "max"),
    },
];

fn limit_order(limit: &At<'_>, kind: &str, name: &str, causes: &mut Causes) {
    let get = |list: &str| {
        // A pod has no defaults; that they stand there is told of as such.
        let given = kind != "Pod" || !list.starts_with("default");
        let amount = limit.value[list].get(name).filter(|_| given)?;
        Some(resources::amount(amount))
    };
    for order in &ORDERS {
        let (Some(small), Some(large)) = (get(order.low), get(order.high)) else {
            continue;
        };
        if small > large {
            let (low, high) = order.words;
            let detail = format!("{low} value {small} is greater than {high} value {large}");
            let list = limit.path.field(order.at);
            let shown = resources::shown(&limit.value[order.shown][name]);
            causes.invalid(&list.key(name), shown, &detail);
        }
    }
    if let (Some(limit_default), Some(request)) = (get("default"), get("defaultRequest"))
        && !resources::allows_overcommit(name)
        && limit_default != request
    {
        let list = limit.path.field("defaultRequest");
        let detail = format!(
            "default value {limit_default} must equal to defaultRequest value {request} in {name}"
        );
        let shown = resources::shown(&limit.value["defaultRequest"][name]);
        causes.invalid(&list.key(name), shown, &detail);
    }
    let Some(ratio) = get("maxLimitRequestRatio") else {
        return;
    };
    let list = limit.path.field("maxLimitRequestRatio");
    let path = list.key(name);
    if ratio.to_f64() < 1.0 {
        causes.invalid(
            &path,
            &*ratio.to_string(),
            &format!("ratio {ratio} is less than 1"),
        );
    }
    if let (Some(min), Some(max)) = (get("min"), get("max")) {
        let most = max.to_f64() / min.to_f64();
        if ratio.to_f64() > most {
            let detail = format!("ratio {ratio} is greater than max/min = {most:.6}");
            causes.invalid(&path, &*ratio.to_string(), &detail);
        }
    }
}
