//! Reads `roles.txt`, the roles and bindings a cluster begins with: the default
//! policy of Kubernetes 1.36 in a compact form.
//!
//! ```text
//! role NAMESPACE NAME [LABEL…]        NAMESPACE is - for cluster roles
//!   VERBS | GROUPS | RESOURCES [| NAMES]
//!   url | VERBS | PATHS
//! aggregate NAME SELECTED-LABEL [LABEL…]
//! bind NAMESPACE NAME ROLE-KIND ROLE [user=… group=… account=NAMESPACE/NAME]
//! own-role NAME [LABEL…]              not among upstream's, so not labelled as such
//! own-bind NAME ROLE-KIND ROLE SUBJECT…
//! ```

use serde_json::{Map, Value, json};

const TEXT: &str = include_str!("roles.txt");
const VERSION: &str = "rbac.authorization.k8s.io/v1";

/// Returns every role and binding: plural and object.
pub fn all() -> Vec<(&'static str, Value)> {
    let mut objects: Vec<(&'static str, Value)> = Vec::new();
    for line in TEXT.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            _ if line.starts_with(' ') => {
                if let Some((_, role)) = objects.last_mut() {
                    add_rule(role, line);
                }
            }
            ["role", namespace, name, labels @ ..] => objects.push(role(namespace, name, labels)),
            ["own-role", name, labels @ ..] => {
                let (plural, role) = role("-", name, labels);
                objects.push((plural, own(role)));
            }
            ["own-bind", name, kind, role, subjects @ ..] => {
                let (plural, binding) = binding("-", name, kind, role, subjects);
                objects.push((plural, own(binding)));
            }
            ["aggregate", name, selected, labels @ ..] => {
                objects.push(aggregate(name, selected, labels))
            }
            ["bind", namespace, name, kind, role, subjects @ ..] => {
                objects.push(binding(namespace, name, kind, role, subjects));
            }
            _ => {}
        }
    }
    objects
}

fn metadata(namespace: &str, name: &str, labels: &[&str]) -> Value {
    let mut own = Map::new();
    own.insert(
        "kubernetes.io/bootstrapping".to_owned(),
        json!("rbac-defaults"),
    );
    for label in labels {
        own.insert(format!("rbac.authorization.k8s.io/{label}"), json!("true"));
    }
    let mut metadata = json!({
        "name": name,
        "labels": own,
        "annotations": {"rbac.authorization.kubernetes.io/autoupdate": "true"},
    });
    if namespace != "-" {
        metadata["namespace"] = json!(namespace);
    }
    metadata
}

/// Takes off what marks a part of upstream's default policy.
fn own(mut object: Value) -> Value {
    let metadata = &mut object["metadata"];
    if let Some(labels) = metadata["labels"].as_object_mut() {
        labels.shift_remove("kubernetes.io/bootstrapping");
    }
    if let Some(metadata) = metadata.as_object_mut() {
        metadata.shift_remove("annotations");
        metadata.retain(|_, value| value.as_object().is_none_or(|map| !map.is_empty()));
    }
    object
}

fn role(namespace: &str, name: &str, labels: &[&str]) -> (&'static str, Value) {
    let (kind, plural) = if namespace == "-" {
        ("ClusterRole", "clusterroles")
    } else {
        ("Role", "roles")
    };
    let object = json!({
        "apiVersion": VERSION, "kind": kind, "metadata": metadata(namespace, name, labels), "rules": [],
    });
    (plural, object)
}

fn aggregate(name: &str, selected: &str, labels: &[&str]) -> (&'static str, Value) {
    let (plural, mut object) = role("-", name, labels);
    let label = format!("rbac.authorization.k8s.io/{selected}");
    object["aggregationRule"] = json!({"clusterRoleSelectors": [{"matchLabels": {label: "true"}}]});
    (plural, object)
}

fn list(text: &str) -> Vec<&str> {
    text.split(',')
        .map(|word| if word == "\"\"" { "" } else { word })
        .collect()
}

fn add_rule(role: &mut Value, line: &str) {
    let parts: Vec<&str> = line.split('|').map(str::trim).collect();
    let rule = match parts.as_slice() {
        ["url", verbs, paths] => json!({"verbs": list(verbs), "nonResourceURLs": list(paths)}),
        [verbs, groups, resources] => {
            json!({"verbs": list(verbs), "apiGroups": list(groups), "resources": list(resources)})
        }
        [verbs, groups, resources, names] => json!({
            "verbs": list(verbs), "apiGroups": list(groups), "resources": list(resources), "resourceNames": list(names),
        }),
        _ => return,
    };
    if let Some(rules) = role["rules"].as_array_mut() {
        rules.push(rule);
    }
}

fn binding(
    namespace: &str,
    name: &str,
    kind: &str,
    role: &str,
    subjects: &[&str],
) -> (&'static str, Value) {
    let (own, plural) = if namespace == "-" {
        ("ClusterRoleBinding", "clusterrolebindings")
    } else {
        ("RoleBinding", "rolebindings")
    };
    let group = "rbac.authorization.k8s.io";
    let subjects: Vec<Value> = subjects
        .iter()
        .filter_map(|subject| match subject.split_once('=')? {
            ("user", name) => Some(json!({"kind": "User", "apiGroup": group, "name": name})),
            ("group", name) => Some(json!({"kind": "Group", "apiGroup": group, "name": name})),
            (_, account) => {
                let (namespace, name) = account.split_once('/')?;
                Some(json!({"kind": "ServiceAccount", "name": name, "namespace": namespace}))
            }
        })
        .collect();
    let mut object = json!({
        "apiVersion": VERSION, "kind": own, "metadata": metadata(namespace, name, &[]),
        "roleRef": {"apiGroup": group, "kind": kind, "name": role},
    });
    if !subjects.is_empty() {
        object["subjects"] = json!(subjects);
    }
    (plural, object)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_read() {
        let objects = all();
        let lines = TEXT.lines().filter(|line| !line.starts_with(' ')).count();
        assert_eq!(objects.len(), lines);
        assert!(
            objects
                .iter()
                .any(|(_, object)| object["metadata"]["name"] == "admin")
        );
        let empty = objects.iter().filter(|(plural, object)| {
            plural.ends_with("roles") && object["rules"].as_array().is_some_and(Vec::is_empty)
        });
        assert_eq!(
            empty.count(),
            3,
            "only the aggregated roles begin without rules"
        );
    }
}
