//! Aggregated ClusterRoles: the rules of `admin`, `edit` and `view` are those of
//! the roles that their selectors match (upstream:
//! pkg/controller/clusterroleaggregation).

use std::sync::Arc;

use coracle_client::{Cache, Key, Outcome, Queue, key_of};
use k8s_openapi::api::rbac::v1::{ClusterRole, PolicyRule};
use kube::api::PostParams;
use kube::core::{Selector, SelectorExt};
use kube::{Api, Client, ResourceExt};

use crate::context::Context;

struct Controller {
    client: Client,
    roles: Cache<ClusterRole>,
}

/// Runs the controller for ever.
pub async fn run(context: Context) {
    let controller = Arc::new(Controller {
        client: context.client("clusterrole-aggregation-controller"),
        roles: context.caches.of(),
    });
    controller.roles.ready().await;
    let queue: Queue<Key> = Queue::default();
    let own = queue.clone();
    let roles = controller.roles.clone();
    controller.roles.on_change(move |changed| {
        for role in roles.all().iter().chain([changed]) {
            if role.aggregation_rule.is_some() {
                own.add(key_of(&**role));
            }
        }
    });
    coracle_client::run("aggregation", queue, 1, move |key| {
        let controller = controller.clone();
        async move { controller.reconcile(&key.name).await }
    })
    .await;
}

impl Controller {
    async fn reconcile(&self, name: &str) -> Result<Outcome, kube::Error> {
        let Some(role) = self.roles.get("", name) else {
            return Ok(Outcome::Done);
        };
        if role.aggregation_rule.is_none() {
            return Ok(Outcome::Done);
        }
        let rules = aggregated(&role, &self.roles.all());
        if role.rules.as_deref().unwrap_or_default() != rules {
            let changed = ClusterRole {
                rules: Some(rules),
                ..(*role).clone()
            };
            let api: Api<ClusterRole> = Api::all(self.client.clone());
            api.replace(name, &PostParams::default(), &changed).await?;
        }
        Ok(Outcome::Done)
    }
}

/// Returns the rules of all roles that the role's selectors match, each once,
/// in the order of the roles' names.
fn aggregated(role: &ClusterRole, roles: &[Arc<ClusterRole>]) -> Vec<PolicyRule> {
    let selectors = role
        .aggregation_rule
        .iter()
        .flat_map(|rule| rule.cluster_role_selectors.iter().flatten());
    let selectors: Vec<Selector> = selectors
        .filter_map(|selector| Selector::try_from(selector.clone()).ok())
        .collect();
    let mut rules: Vec<PolicyRule> = Vec::new();
    for other in roles {
        let matched = selectors
            .iter()
            .any(|selector| selector.matches(other.labels()));
        if !matched || other.name_any() == role.name_any() {
            continue;
        }
        for rule in other.rules.iter().flatten() {
            if !rules.contains(rule) {
                rules.push(rule.clone());
            }
        }
    }
    rules
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn role(name: &str, more: serde_json::Value) -> Arc<ClusterRole> {
        let mut role = json!({"metadata": {"name": name, "labels": {}}});
        for (key, value) in more.as_object().expect("a mapping") {
            role[key.as_str()] = value.clone();
        }
        Arc::new(serde_json::from_value(role).expect("a role"))
    }

    #[test]
    fn rules_of_matching_roles_are_joined_once() {
        let rule =
            |resource: &str| json!({"apiGroups": [""], "resources": [resource], "verbs": ["get"]});
        let label = json!({"name": "x", "labels": {"to-view": "true"}});
        let view = role(
            "view",
            json!({"aggregationRule": {"clusterRoleSelectors": [{"matchLabels": {"to-view": "true"}}]}}),
        );
        let roles = [
            role(
                "a",
                json!({"metadata": label, "rules": [rule("pods"), rule("services")]}),
            ),
            role("b", json!({"metadata": label, "rules": [rule("pods")]})),
            role("c", json!({"rules": [rule("secrets")]})),
        ];
        let names: Vec<String> = aggregated(&view, &roles)
            .into_iter()
            .filter_map(|rule| Some(rule.resources?[0].clone()))
            .collect();
        assert_eq!(names, ["pods", "services"]);
    }
}
