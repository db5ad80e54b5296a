//! The status of a pod (`ValidatePodStatusUpdate` upstream).

use serde_json::Value;

use super::super::{At, Causes, ip, names};
use super::annotations;

/// An update through `status`.
pub(in super::super) fn status(object: &At<'_>, old: &Value, causes: &mut Causes) {
    annotations::update(object, old, causes);
    let (status, before) = (object.field("status"), &old["status"]);
    conditions(&status.field("conditions"), causes);
    let node = status.field("nominatedNodeName");
    if !node.is_empty() && *node.value != before["nominatedNodeName"] {
        causes.invalid_text(&node.path, node.text(), names::subdomain(node.text()));
        let bound = old["spec"]["nodeName"].as_str();
        if bound.is_some_and(|bound| !bound.is_empty()) {
            let detail = "may not be set on pods that are already bound to a node";
            causes.forbidden(&node.path, detail);
        }
    }
    observed(&status.field("observedGeneration"), causes);
    let class = status.field("qosClass");
    if *class.value != before["qosClass"] {
        causes.invalid(&class.path, class.text(), names::IMMUTABLE);
    }
    ended_stays_ended(&status, old, causes);
    claims(object, &status.field("resourceClaimStatuses"), causes);
    extended_claim(object, &status.field("extendedResourceClaimStatus"), causes);
    addresses(&status.field("podIPs"), &before["podIPs"], causes);
    let hosts = status.field("hostIPs");
    for host in hosts.items().take(1) {
        let first = host.field("ip");
        if *first.value != status.value["hostIP"] {
            causes.invalid(&first.path, first.text(), "must be equal to `hostIP`");
        }
    }
    addresses(&hosts, &before["hostIPs"], causes);
}

fn observed(generation: &At<'_>, causes: &mut Causes) {
    if let Some(number) = generation.int().filter(|number| *number < 0) {
        causes.invalid(&generation.path, number, "must be a non-negative integer");
    }
}

fn conditions(conditions: &At<'_>, causes: &mut Causes) {
    for condition in conditions.items() {
        observed(&condition.field("observedGeneration"), causes);
        let kind = condition.field("type").text().to_owned();
        if !matches!(kind.as_str(), "PodScheduled" | "Ready" | "Initialized") {
            let path = condition.path.field("Type");
            causes.invalid_text(&path, &kind, names::qualified(&kind));
        }
    }
}

/// A container that has ended for good does not run again.
fn ended_stays_ended(status: &At<'_>, old: &Value, causes: &mut Causes) {
    let spec = &old["spec"];
    let before = old["status"]["containerStatuses"].as_array();
    for old in before.into_iter().flatten() {
        let ended = &old["state"]["terminated"];
        let code = ended["exitCode"].as_i64().unwrap_or(0);
        if !ended.is_object() || restarts(spec, &old["name"], code) {
            continue;
        }
        let statuses = status.field("containerStatuses");
        let mut named = statuses
            .items()
            .filter(|new| new.value["name"] == old["name"]);
        let state = named.next().map(|new| {
            let state = new.path.field("state").to_string();
            (state, new.value["state"]["terminated"].is_null())
        });
        if let Some((path, true)) = state {
            let detail = "may not be transitioned to non-terminated state";
            causes.forbidden(&crate::path::Path::new(&path), detail);
        }
    }
}

/// Whether a container that ended with this code is started again, by a rule of
/// its own, its policy or the pod's (`ContainerShouldRestart` upstream).
fn restarts(spec: &Value, name: &Value, code: i64) -> bool {
    let mut containers = spec["containers"].as_array().into_iter().flatten();
    let container = containers.find(|container| container["name"] == *name);
    let own = container.and_then(|container| container["restartPolicy"].as_str());
    let rules = container.and_then(|container| container["restartPolicyRules"].as_array());
    let applies = |rule: &Value| {
        let codes = &rule["exitCodes"];
        let mut values = codes["values"].as_array().into_iter().flatten();
        let among = values.any(|value| *value == code);
        codes["operator"] == "In" && among || codes["operator"] == "NotIn" && !among
    };
    if own.is_some() && rules.is_some_and(|rules| rules.iter().any(applies)) {
        return true;
    }
    match own.or(spec["restartPolicy"].as_str()) {
        Some("Never") => false,
        Some("OnFailure") => code != 0,
        _ => true,
    }
}

fn claims(object: &At<'_>, statuses: &At<'_>, causes: &mut Causes) {
    let known = object.value["spec"]["resourceClaims"].as_array();
    let mut seen = Vec::new();
    for status in statuses.items() {
        let name = status.field("name");
        let mut claims = known.into_iter().flatten();
        if !claims.any(|claim| claim["name"] == *name.value) {
            let detail = "must match the name of an entry in `spec.resourceClaims`";
            causes.invalid(&name.path, name.text(), detail);
        }
        if seen.contains(name.value) {
            causes.duplicate(&name.path, name.text());
        }
        seen.push(name.value.clone());
        let claim = status.field("resourceClaimName");
        if claim.is_set() {
            causes.invalid_text(&claim.path, claim.text(), names::subdomain(claim.text()));
        }
    }
}

/// The claim made for extended resources that containers ask for by name.
fn extended_claim(object: &At<'_>, status: &At<'_>, causes: &mut Causes) {
    if !status.is_set() {
        return;
    }
    let spec = &object.value["spec"];
    let containers = ["containers", "initContainers"].into_iter();
    let containers: Vec<&Value> = containers
        .filter_map(|name| spec[name].as_array())
        .flatten()
        .collect();
    let mappings = status.field("requestMappings");
    if mappings.is_empty() {
        let detail = "at least one request mapping is required";
        causes.required(&mappings.path, detail);
    }
    let mut seen = Vec::new();
    for mapping in mappings.items() {
        let fields = ["containerName", "resourceName", "requestName"];
        let [container, resource, request] = fields.map(|name| mapping.value[name].as_str());
        let (container, resource, request) = (
            container.unwrap_or_default(),
            resource.unwrap_or_default(),
            request.unwrap_or_default(),
        );
        let named = containers.iter().find(|one| one["name"] == container);
        match named {
            None => {
                let detail = "must match the name of an entry in spec.initContainers.name or spec.containers.name";
                causes.invalid(&mapping.path.field("containerName"), container, detail);
            }
            Some(one) if one["resources"]["requests"].get(resource).is_none() => {
                let detail = "must match the extended resource name of an entry in spec.initContainers.resources.requests or spec.containers.resources.requests";
                causes.invalid(&mapping.path.field("resourceName"), resource, detail);
            }
            Some(_) => {}
        }
        // Upstream names the field without the list.
        let path = status.path.field("requestName");
        causes.invalid_text(&path, request, names::label(request));
        let key = [container, resource, request];
        if seen.contains(&key) {
            for (name, text) in fields.into_iter().zip(key) {
                causes.duplicate(&mapping.path.field(name), text);
            }
        }
        seen.push(key);
    }
    let claim = status.field("resourceClaimName");
    match claim.is_empty() {
        true => causes.required(&claim.path, ""),
        false => causes.invalid_text(&claim.path, claim.text(), names::subdomain(claim.text())),
    }
}

/// New addresses are addresses, one of each family.
fn addresses(list: &At<'_>, old: &Value, causes: &mut Causes) {
    let kept = |text: &str| {
        let mut old = old.as_array().into_iter().flatten();
        old.any(|old| old["ip"] == text)
    };
    let mut families = Vec::new();
    for item in list.items() {
        let text = item.value["ip"].as_str().unwrap_or_default();
        families.extend(ip::sloppy(text).map(|address| address.is_ipv4()));
        if !kept(text) {
            ip::strict(&item.path, text, causes);
        }
    }
    let both = families.contains(&true) && families.contains(&false);
    if list.len() > 1 && (!both || list.len() > 2) {
        let parts: Vec<String> = list
            .items()
            .map(|item| super::super::go_json(item.value))
            .collect();
        let shown = format!("[{}]", parts.join(",")).replace("\"Ip\"", "\"IP\"");
        let detail = "may specify no more than one IP for each IP family";
        causes.invalid(&list.path, super::super::Bad::raw(shown), detail);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Upstream: pkg/api/v1/pod/util_test.go, TestContainerShouldRestart.
    #[test]
    fn a_container_is_restarted_by_its_rules_its_policy_or_the_pods() {
        #[track_caller]
        fn check(pod: &str, own: Value, code: i64, expected: bool) {
            let mut container = json!({"name": "c"});
            for (key, value) in own.as_object().expect("a mapping") {
                container[key.as_str()] = value.clone();
            }
            let spec = json!({"restartPolicy": pod, "containers": [container]});
            assert_eq!(restarts(&spec, &json!("c"), code), expected, "{spec}");
        }
        check("Always", json!({}), 0, true);
        check("OnFailure", json!({}), 0, false);
        check("OnFailure", json!({}), 1, true);
        check("Never", json!({}), 1, false);
        check("Never", json!({"restartPolicy": "Always"}), 0, true);
        check("Always", json!({"restartPolicy": "Never"}), 1, false);
        let rule = json!([{"action": "Restart", "exitCodes": {"operator": "In", "values": [42]}}]);
        let own = json!({"restartPolicy": "Never", "restartPolicyRules": rule});
        check("Never", own.clone(), 42, true);
        check("Never", own, 1, false);
    }
}
