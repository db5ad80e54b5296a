//! Whether a container that has ended is started again: its own rules and policy
//! come before the pod's (upstream: pkg/api/v1/pod/util.go, ContainerShouldRestart).

use k8s_openapi::api::core::v1::{Container, ContainerRestartRule};

/// Returns whether an init container runs beside the others (Kubernetes: Sidecar
/// Containers).
pub fn is_sidecar(container: &Container) -> bool {
    container.restart_policy.as_deref() == Some("Always")
}

/// Returns whether a container that ended with this code is started again.
pub fn restarts(container: &Container, of_pod: &str, exit_code: i32) -> bool {
    let own = container.restart_policy.as_deref();
    let mut rules = container.restart_policy_rules.iter().flatten();
    // Each action there is starts the container again.
    if own.is_some() && rules.any(|rule| applies(rule, exit_code)) {
        return true;
    }
    match own.unwrap_or(of_pod) {
        "Never" => false,
        "OnFailure" => exit_code != 0,
        _ => true,
    }
}

fn applies(rule: &ContainerRestartRule, exit_code: i32) -> bool {
    let Some(codes) = &rule.exit_codes else {
        return false;
    };
    let among = codes.values.iter().flatten().any(|code| *code == exit_code);
    match codes.operator.as_str() {
        "In" => among,
        "NotIn" => !among,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// Upstream: pkg/api/v1/pod/util_test.go, TestContainerShouldRestart.
    #[test]
    fn rules_come_before_the_policy_and_the_containers_before_the_pods() {
        #[track_caller]
        fn check(own: Value, of_pod: &str, code: i32, expected: bool) {
            let mut container = json!({"name": "c"});
            for (key, value) in own.as_object().expect("a mapping") {
                container[key.as_str()] = value.clone();
            }
            let container: Container = serde_json::from_value(container).expect("a container");
            assert_eq!(restarts(&container, of_pod, code), expected, "{own}");
        }
        check(json!({}), "Always", 0, true);
        check(json!({}), "OnFailure", 0, false);
        check(json!({}), "OnFailure", 1, true);
        check(json!({}), "Never", 1, false);
        check(json!({"restartPolicy": "Always"}), "Never", 0, true);
        check(json!({"restartPolicy": "OnFailure"}), "Never", 0, false);
        check(json!({"restartPolicy": "Never"}), "Always", 1, false);
        let rules = |operator: &str| {
            json!({"restartPolicy": "Never", "restartPolicyRules": [
                {"action": "Restart", "exitCodes": {"operator": operator, "values": [42]}},
            ]})
        };
        check(rules("In"), "Never", 42, true);
        check(rules("In"), "Never", 1, false);
        check(rules("NotIn"), "Never", 42, false);
        check(rules("NotIn"), "Never", 1, true);
    }
}
