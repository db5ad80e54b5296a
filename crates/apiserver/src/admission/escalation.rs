//! Nobody grants rights they do not have (the RBAC registry upstream):
//! roles may hold what their writer holds, bindings may name roles whose
//! rights the writer holds, unless `escalate` or `bind` is among them.
//!
//! <https://kubernetes.io/docs/reference/access-authn-authz/rbac/#privilege-escalation-prevention-and-bootstrapping>

use std::collections::BTreeMap;
use std::sync::Arc;

use coracle_machinery::kind::Kind;
use serde_json::Value;

use crate::authz::Attributes;
use crate::authz::rbac::{self, Rule};
use crate::context::Context;
use crate::identity::MASTERS;
use crate::status::{ApiError, ApiResult};

const GROUP: &str = "rbac.authorization.k8s.io";

/// One right: verb, group or nothing, resource or path, object name or nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Right {
    verb: String,
    group: String,
    resource: String,
    name: String,
    url: String,
}

/// Refuses a role or binding that grants more than its writer has.
///
/// # Errors
/// 403 naming the rights, 404 for a role that does not exist.
pub fn check(context: &Context, kind: &'static Kind, object: &Value) -> ApiResult<()> {
    if kind.group != GROUP || context.user.is_in(MASTERS) {
        return Ok(());
    }
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    let wanted = match kind.plural {
        "roles" | "clusterroles" => {
            if may(context, "escalate", kind.plural, context.namespace(), name) {
                return Ok(());
            }
            if object
                .get("aggregationRule")
                .is_some_and(|rule| !rule.is_null())
                && !holds_everything(context)
            {
                let why = "must have cluster-admin privileges to use the aggregationRule";
                return Err(ApiError::forbidden(kind, name, why));
            }
            Arc::new(rbac::rules(&object["rules"]))
        }
        _ => {
            let role = object["roleRef"]["name"].as_str().unwrap_or_default();
            let (plural, namespace) = if object["roleRef"]["kind"] == "Role" {
                ("roles", context.namespace())
            } else {
                ("clusterroles", "")
            };
            if may(context, "bind", plural, context.namespace(), role) {
                return Ok(());
            }
            let rules = context.core.authorizer.role(namespace, role);
            rules.ok_or_else(|| ApiError::not_found(kind, role))?
        }
    };
    let missing = missing(context, &wanted);
    if missing.is_empty() {
        return Ok(());
    }
    let groups: Vec<String> = context
        .user
        .groups
        .iter()
        .map(|group| format!("{group:?}"))
        .collect();
    let why = format!(
        "user {:?} (groups=[{}]) is attempting to grant RBAC permissions not currently held:\n{}",
        context.user.user,
        groups.join(" "),
        compact(&missing).join("\n")
    );
    Err(ApiError::forbidden(kind, name, &why))
}

fn may(context: &Context, verb: &str, resource: &str, namespace: &str, name: &str) -> bool {
    let attributes = Attributes {
        user: &context.user,
        verb,
        group: GROUP,
        resource,
        subresource: "",
        namespace,
        name,
    };
    context.core.authorizer.allows(&attributes).is_some()
}

fn holds_everything(context: &Context) -> bool {
    let all = || vec!["*".to_owned()];
    let everything = [
        Rule {
            verbs: all(),
            groups: all(),
            resources: all(),
            ..Rule::default()
        },
        Rule {
            verbs: all(),
            urls: all(),
            ..Rule::default()
        },
    ];
    missing(context, &everything).is_empty()
}

fn missing(context: &Context, wanted: &[Rule]) -> Vec<Right> {
    let held: Vec<Rule> = context
        .core
        .authorizer
        .grants(&context.user, context.namespace())
        .iter()
        .flat_map(|(_, rules)| rules.iter().cloned())
        .collect();
    let mut missing: Vec<Right> = wanted.iter().flat_map(rights).collect();
    missing.retain(|right| !held.iter().any(|rule| covers(rule, right)));
    missing
}

fn rights(rule: &Rule) -> Vec<Right> {
    let none = [String::new()];
    let names = if rule.names.is_empty() {
        &none[..]
    } else {
        &rule.names
    };
    let mut rights = Vec::new();
    for verb in &rule.verbs {
        for url in &rule.urls {
            let empty = String::new;
            rights.push(Right {
                verb: verb.clone(),
                group: empty(),
                resource: empty(),
                name: empty(),
                url: url.clone(),
            });
        }
        for group in &rule.groups {
            for resource in &rule.resources {
                for name in names {
                    rights.push(Right {
                        verb: verb.clone(),
                        group: group.clone(),
                        resource: resource.clone(),
                        name: name.clone(),
                        url: String::new(),
                    });
                }
            }
        }
    }
    rights
}

fn covers(rule: &Rule, right: &Right) -> bool {
    let has = |list: &[String], wanted: &str| list.iter().any(|one| one == "*" || one == wanted);
    if !has(&rule.verbs, &right.verb) {
        return false;
    }
    if !right.url.is_empty() {
        return rule.urls.iter().any(|url| {
            url == "*"
                || *url == right.url
                || url
                    .strip_suffix('*')
                    .is_some_and(|prefix| right.url.starts_with(prefix))
        });
    }
    let resource = has(&rule.resources, &right.resource)
        || right
            .resource
            .split_once('/')
            .is_some_and(|(_, sub)| rule.resources.contains(&format!("*/{sub}")));
    let name =
        rule.names.is_empty() || (!right.name.is_empty() && rule.names.contains(&right.name));
    has(&rule.groups, &right.group) && resource && name
}

/// Writes rights as upstream's `CompactString`, verbs of one resource together.
fn compact(missing: &[Right]) -> Vec<String> {
    let mut by_place: BTreeMap<(String, String, String, String), Vec<String>> = BTreeMap::new();
    for right in missing {
        let place = (
            right.group.clone(),
            right.resource.clone(),
            right.name.clone(),
            right.url.clone(),
        );
        by_place
            .entry(place)
            .or_default()
            .push(format!("{:?}", right.verb));
    }
    let mut lines: Vec<String> = by_place
        .into_iter()
        .map(|((group, resource, name, url), verbs)| {
            let verbs = verbs.join(" ");
            if !url.is_empty() {
                return format!("{{NonResourceURLs:[{url:?}], Verbs:[{verbs}]}}");
            }
            let names = if name.is_empty() {
                String::new()
            } else {
                format!("ResourceNames:[{name:?}], ")
            };
            format!("{{APIGroups:[{group:?}], Resources:[{resource:?}], {names}Verbs:[{verbs}]}}")
        })
        .collect();
    lines.sort();
    lines
}
