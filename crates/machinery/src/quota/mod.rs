//! What counts against a ResourceQuota (upstream: pkg/quota/v1/evaluator): what
//! an object uses, and which quotas it falls under.
//!
//! <https://kubernetes.io/docs/concepts/policy/resource-quotas/>

pub mod totals;

use serde_json::Value;

use crate::kind::Kind;
use crate::quantity::{Format, Quantity};

pub use totals::Amounts;

/// Returns the group and the plural of the objects that a quota counts under
/// `name`, or `None` where nothing is counted under it.
pub fn counted(name: &str) -> Option<(&str, &str)> {
    if let Some(resource) = name.strip_prefix("count/") {
        let (plural, group) = resource.split_once('.').unwrap_or((resource, ""));
        return Some((group, plural));
    }
    let plural = match name {
        "configmaps"
        | "secrets"
        | "replicationcontrollers"
        | "resourcequotas"
        | "services"
        | "persistentvolumeclaims"
        | "pods" => name,
        "services.nodeports" | "services.loadbalancers" => "services",
        "requests.storage" => "persistentvolumeclaims",
        "cpu" | "memory" | "ephemeral-storage" => "pods",
        _ if name.contains(".storageclass.storage.k8s.io/") => "persistentvolumeclaims",
        _ if ["requests.", "limits.", "hugepages-"]
            .iter()
            .any(|prefix| name.starts_with(prefix)) =>
        {
            "pods"
        }
        _ => return None,
    };
    Some(("", plural))
}

/// Returns whether a write is one that quotas count: every creation, and the
/// updates that can change what an object uses (`Handles` of the evaluators).
pub fn counts(
    kind: &Kind,
    subresource: Option<&str>,
    object: &Value,
    live: Option<&Value>,
) -> bool {
    let Some(live) = live else {
        return subresource.is_none();
    };
    match (kind.group, kind.plural, subresource) {
        ("", "services" | "persistentvolumeclaims", None) => true,
        ("", "pods", None) => is_terminating(object) != is_terminating(live),
        ("", "pods", Some("resize")) => true,
        _ => false,
    }
}

fn one() -> Quantity {
    Quantity::new(1, Format::DecimalSi)
}

/// Returns what an object of this kind uses, by the names that a quota limits.
pub fn usage(kind: &Kind, object: &Value) -> Amounts {
    let mut usage = Amounts::from([(format!("count/{}", kind.qualified_resource()), one())]);
    let mut count = |name: &str, number: i64| {
        usage.insert(name.to_owned(), Quantity::new(number, Format::DecimalSi));
    };
    match (kind.group, kind.plural) {
        ("", "configmaps" | "secrets" | "replicationcontrollers" | "resourcequotas") => {
            count(kind.plural, 1)
        }
        ("", "services") => {
            count("services", 1);
            let ports = object["spec"]["ports"].as_array().map_or(0, Vec::len);
            let ports = i64::try_from(ports).unwrap_or(i64::MAX);
            match object["spec"]["type"].as_str() {
                Some("NodePort") => count("services.nodeports", ports),
                Some("LoadBalancer") => {
                    let given = object["spec"]["ports"].as_array().into_iter().flatten();
                    let given = given
                        .filter(|port| port["nodePort"].as_i64() > Some(0))
                        .count();
                    let given = i64::try_from(given).unwrap_or(i64::MAX);
                    let allocates = object["spec"]["allocateLoadBalancerNodePorts"] != false;
                    count("services.nodeports", if allocates { ports } else { given });
                    count("services.loadbalancers", 1);
                }
                _ => {}
            }
        }
        ("", "persistentvolumeclaims") => {
            count("persistentvolumeclaims", 1);
            let class = object["spec"]["storageClassName"]
                .as_str()
                .unwrap_or_default();
            let prefix = format!("{class}.storageclass.storage.k8s.io");
            if !class.is_empty() {
                count(&format!("{prefix}/persistentvolumeclaims"), 1);
            }
            if let Some(size) =
                totals::read(&object["spec"]["resources"]["requests"]).get("storage")
            {
                usage.insert("requests.storage".to_owned(), *size);
                if !class.is_empty() {
                    usage.insert(format!("{prefix}/requests.storage"), *size);
                }
            }
        }
        ("", "pods") => {
            count("pods", 1);
            for (name, amount) in totals::of_pod(&object["spec"], "requests") {
                if matches!(name.as_str(), "cpu" | "memory" | "ephemeral-storage")
                    || name.starts_with("hugepages-")
                {
                    usage.insert(name.clone(), amount);
                }
                usage.insert(format!("requests.{name}"), amount);
            }
            for (name, amount) in totals::of_pod(&object["spec"], "limits") {
                usage.insert(format!("limits.{name}"), amount);
            }
        }
        _ => {}
    }
    usage
}

/// Returns whether an object falls under the scopes of a quota's `spec`.
pub fn covers(spec: &Value, kind: &Kind, object: &Value) -> bool {
    let plain = spec["scopes"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str);
    let mut all: Vec<(&str, &str, Vec<&str>)> =
        plain.map(|scope| (scope, "Exists", Vec::new())).collect();
    for expression in spec["scopeSelector"]["matchExpressions"]
        .as_array()
        .into_iter()
        .flatten()
    {
        let values = expression["values"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        let text = |key: &str| expression[key].as_str().unwrap_or_default();
        all.push((text("scopeName"), text("operator"), values));
    }
    if all.is_empty() {
        return true;
    }
    kind.kind == "Pod"
        && all
            .iter()
            .all(|(scope, operator, values)| scope_matches(object, scope, operator, values))
}

/// Whether a pod has a deadline.
fn is_terminating(pod: &Value) -> bool {
    let deadline = pod["spec"]["activeDeadlineSeconds"].as_i64();
    deadline.is_some_and(|seconds| seconds >= 0)
}

/// Whether a pod's affinity looks at pods of other namespaces.
fn looks_across_namespaces(pod: &Value) -> bool {
    let across = |term: &Value| {
        term.get("namespaceSelector").is_some_and(Value::is_object)
            || term["namespaces"]
                .as_array()
                .is_some_and(|list| !list.is_empty())
    };
    ["podAffinity", "podAntiAffinity"].iter().any(|kind| {
        let affinity = &pod["spec"]["affinity"][*kind];
        let terms = |list: &str| affinity[list].as_array().into_iter().flatten();
        terms("requiredDuringSchedulingIgnoredDuringExecution").any(across)
            || terms("preferredDuringSchedulingIgnoredDuringExecution")
                .any(|term| across(&term["podAffinityTerm"]))
    })
}

fn scope_matches(pod: &Value, scope: &str, operator: &str, values: &[&str]) -> bool {
    let terminating = is_terminating(pod);
    let best_effort = crate::strategy::qos_class(&pod["spec"]) == "BestEffort";
    match scope {
        "Terminating" => terminating,
        "NotTerminating" => !terminating,
        "BestEffort" => best_effort,
        "NotBestEffort" => !best_effort,
        "CrossNamespacePodAffinity" => looks_across_namespaces(pod),
        "PriorityClass" => {
            let class = pod["spec"]["priorityClassName"]
                .as_str()
                .unwrap_or_default();
            match operator {
                "In" => values.contains(&class),
                "NotIn" => !values.contains(&class),
                "DoesNotExist" => class.is_empty(),
                _ => !class.is_empty(),
            }
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::kinds;

    #[test]
    fn every_name_counts_one_kind() {
        let check = |name: &str, expected: Option<(&str, &str)>| {
            assert_eq!(counted(name), expected, "{name}")
        };
        check("pods", Some(("", "pods")));
        check("requests.cpu", Some(("", "pods")));
        check("requests.nvidia.com/gpu", Some(("", "pods")));
        check("requests.storage", Some(("", "persistentvolumeclaims")));
        check(
            "fast.storageclass.storage.k8s.io/requests.storage",
            Some(("", "persistentvolumeclaims")),
        );
        check("services.nodeports", Some(("", "services")));
        check("count/deployments.apps", Some(("apps", "deployments")));
        check("count/secrets", Some(("", "secrets")));
        check("bananas", None);
    }

    #[test]
    fn a_pod_uses_what_its_containers_ask_for() {
        let kind = kinds::by_plural("", "v1", "pods").expect("a kind");
        let pod = json!({"spec": {"containers": [
            {"resources": {"requests": {"cpu": "100m", "memory": "1Gi"}, "limits": {"cpu": "1"}}},
            {"resources": {"requests": {"cpu": "200m"}}},
        ]}});
        let used = usage(kind, &pod);
        let text = |name: &str| used.get(name).map(ToString::to_string);
        assert_eq!(text("pods").as_deref(), Some("1"));
        assert_eq!(text("count/pods").as_deref(), Some("1"));
        assert_eq!(text("cpu").as_deref(), Some("300m"));
        assert_eq!(text("requests.cpu").as_deref(), Some("300m"));
        assert_eq!(text("requests.memory").as_deref(), Some("1Gi"));
        assert_eq!(text("limits.cpu").as_deref(), Some("1"));
        assert_eq!(text("limits.memory"), None);
    }
}
