//! Roles and their bindings.

use super::{At, Causes, labels, names};

/// The group of roles.
const GROUP: &str = "rbac.authorization.k8s.io";

/// A kind of the rbac.authorization.k8s.io group.
pub(super) fn check(kind: &str, object: &At<'_>, causes: &mut Causes) {
    match kind {
        "Role" => rules(object, true, causes),
        "ClusterRole" => {
            rules(object, false, causes);
            aggregation(&object.field("aggregationRule"), causes);
        }
        _ => binding(kind, object, causes),
    }
}

fn rules(object: &At<'_>, namespaced: bool, causes: &mut Causes) {
    for rule in object.field("rules").items() {
        let verbs = rule.field("verbs");
        if verbs.is_empty() {
            causes.required(&verbs.path, "verbs must contain at least one value");
        }
        let urls = rule.field("nonResourceURLs");
        let (groups, kinds) = (rule.field("apiGroups"), rule.field("resources"));
        if !urls.is_empty() {
            if namespaced {
                let detail = "namespaced rules cannot apply to non-resource URLs";
                causes.invalid(&urls.path, urls.value, detail);
            }
            let others = [&groups, &kinds].iter().any(|at| !at.is_empty())
                || !rule.field("resourceNames").is_empty();
            if others {
                let detail = "rules cannot apply to both regular resources and non-resource URLs";
                causes.invalid(&urls.path, urls.value, detail);
            }
            continue;
        }
        if groups.is_empty() {
            causes.required(
                &groups.path,
                "resource rules must supply at least one api group",
            );
        }
        if kinds.is_empty() {
            causes.required(
                &kinds.path,
                "resource rules must supply at least one resource",
            );
        }
    }
}

fn aggregation(rule: &At<'_>, causes: &mut Causes) {
    if !rule.is_set() {
        return;
    }
    let selectors = rule.field("clusterRoleSelectors");
    if selectors.is_empty() {
        let detail = "at least one clusterRoleSelector required if aggregationRule is non-nil";
        causes.required(&selectors.path, detail);
    }
    for selector in selectors.items() {
        labels::selector(&selector, causes);
        if !labels::is_readable(&selector) {
            let null = &serde_json::Value::Null;
            causes.invalid(&selector.path, null, "invalid label selector.");
        }
    }
}

fn binding(kind: &str, object: &At<'_>, causes: &mut Causes) {
    let role = object.field("roleRef");
    let group = role.field("apiGroup");
    if group.text() != GROUP {
        causes.not_supported(&group.path, group.text(), &[GROUP]);
    }
    let kinds: &[&str] = match kind {
        "RoleBinding" => &["Role", "ClusterRole"],
        _ => &["ClusterRole"],
    };
    causes.one_of(&role.field("kind"), kinds);
    let name = role.field("name");
    if name.is_empty() {
        causes.required(&name.path, "");
    } else {
        causes.invalid_text(&name.path, name.text(), names::path_segment(name.text()));
    }
    for subject in object.field("subjects").items() {
        self::subject(&subject, kind == "RoleBinding", causes);
    }
}

fn subject(subject: &At<'_>, namespaced: bool, causes: &mut Causes) {
    let name = subject.field("name");
    if name.is_empty() {
        causes.required(&name.path, "");
    }
    let kind = subject.field("kind");
    let group = subject.field("apiGroup");
    match kind.text() {
        "ServiceAccount" => {
            if !name.is_empty() {
                causes.invalid_text(&name.path, name.text(), names::subdomain(name.text()));
            }
            if !group.is_empty() {
                causes.not_supported(&group.path, group.text(), &[""]);
            }
            let namespace = subject.field("namespace");
            if !namespaced && namespace.is_empty() {
                causes.required(&namespace.path, "");
            }
        }
        "User" | "Group" => {
            if group.text() != GROUP {
                causes.not_supported(&group.path, group.text(), &[GROUP]);
            }
        }
        _ => causes.one_of(&kind, &["ServiceAccount", "User", "Group"]),
    }
}
