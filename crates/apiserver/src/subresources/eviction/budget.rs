//! What the disruption budgets say to an eviction, and its entry in the one
//! that lets it pass (`checkAndDecrement` upstream).

use std::sync::Arc;

use coracle_machinery::kind::Kind;
use coracle_machinery::selector::LabelSelector;
use coracle_store::{Expect, WriteError};
use serde_json::{Value, json};

use crate::context::Context;
use crate::managed::{self, Writer};
use crate::object::Stored;
use crate::resource;
use crate::status::{ApiError, ApiResult, Cause, Details};
use crate::verbs::{get, write};

const REFUSED: &str = "Cannot evict pod as it would violate the pod's disruption budget.";
/// So many evictions at once wait for the controller to see them.
const DISRUPTED_MAX: usize = 2000;

/// What becomes of an eviction.
pub(super) enum Verdict {
    /// No budget is concerned, or one had room.
    Free,
    /// A pod that is not ready does not count.
    Unready {
        /// Name of its budget.
        budget: String,
    },
    /// More than one budget selects the pod.
    Several,
}

/// Asks the budgets that select the pod.
///
/// # Errors
/// 429 when there is no room, 403 when the budget's status makes no sense.
pub(super) async fn ask(context: &Context, pod: &Stored, dry_run: bool) -> ApiResult<Verdict> {
    let kind = resource::builtin("policy", "poddisruptionbudgets");
    let prefix = resource::prefix(kind, Some(&pod.meta.namespace));
    let matching: Vec<Arc<Stored>> = context
        .core
        .store
        .list(&prefix, None, usize::MAX)
        .items
        .into_iter()
        .map(|(_, budget)| budget)
        .filter(|budget| selects(&budget.to_plain_value(), pod))
        .collect();
    let [budget] = matching.as_slice() else {
        return Ok(match matching.is_empty() {
            true => Verdict::Free,
            false => Verdict::Several,
        });
    };
    if !is_ready(&pod.to_plain_value()) && may_evict_unready(&budget.to_plain_value()) {
        let budget = budget.meta.name.clone();
        return Ok(Verdict::Unready { budget });
    }
    spend(context, kind, budget.clone(), pod, dry_run).await?;
    Ok(Verdict::Free)
}

fn selects(budget: &Value, pod: &Stored) -> bool {
    LabelSelector::from_object(budget["spec"].get("selector"))
        .is_ok_and(|selector| selector.matches(&pod.meta.labels))
}

fn is_ready(pod: &Value) -> bool {
    let conditions = pod["status"]["conditions"].as_array();
    conditions
        .into_iter()
        .flatten()
        .any(|one| one["type"] == "Ready" && one["status"] == "True")
}

fn number(value: &Value) -> i64 {
    value.as_i64().unwrap_or(0)
}

fn may_evict_unready(budget: &Value) -> bool {
    let status = &budget["status"];
    let wanted = number(&status["desiredHealthy"]);
    budget["spec"]["unhealthyPodEvictionPolicy"] == "AlwaysAllow"
        || (number(&status["currentHealthy"]) >= wanted && wanted > 0)
}

async fn spend(
    context: &Context,
    kind: &'static Kind,
    mut stored: Arc<Stored>,
    pod: &Stored,
    dry_run: bool,
) -> ApiResult<()> {
    loop {
        let live = stored.to_value();
        check(&live)?;
        if dry_run {
            return Ok(());
        }
        let mut budget = live.clone();
        enter(&mut budget["status"], &pod.meta.name);
        let writer = Writer {
            manager: "kube-apiserver",
            subresource: "status",
        };
        managed::update(kind, &live, &mut budget, &writer);
        let expect = Expect::Revision(stored.revision);
        match write::put(&context.core, kind, &budget, expect).await {
            Ok(_) => return Ok(()),
            Err(WriteError::Conflict { .. }) => {
                stored = get::find(context, kind, &stored.meta.namespace, &stored.meta.name)?;
            }
            Err(error) => return Err(write::refused(kind, &stored.meta.name, &error)),
        }
    }
}

/// Takes one disruption from the status and names the pod in it, so that the
/// controller counts it as gone.
fn enter(status: &mut Value, pod: &str) {
    let now = coracle_machinery::time::seconds(jiff::Timestamp::now());
    let left = number(&status["disruptionsAllowed"]) - 1;
    status["disruptionsAllowed"] = json!(left);
    if left == 0 {
        forbid_more(status, &now);
    }
    status["disruptedPods"][pod] = json!(now);
}

/// The last disruption turns the condition (`UpdateDisruptionAllowedCondition`).
fn forbid_more(status: &mut Value, now: &str) {
    let generation = status["observedGeneration"].clone();
    let mut condition = json!({
        "type": ALLOWED, "status": "False", "lastTransitionTime": now,
        "reason": "InsufficientPods", "message": "",
    });
    if number(&generation) != 0 {
        condition["observedGeneration"] = generation;
    }
    if !status["conditions"].is_array() {
        status["conditions"] = json!([]);
    }
    let Some(conditions) = status["conditions"].as_array_mut() else {
        return;
    };
    match conditions.iter_mut().find(|one| one["type"] == ALLOWED) {
        Some(before) => {
            if before["status"] == "False" {
                condition["lastTransitionTime"] = before["lastTransitionTime"].clone();
            }
            *before = condition;
        }
        None => conditions.push(condition),
    }
}

const ALLOWED: &str = "DisruptionAllowed";

/// Whether the budget lets one more pod go.
fn check(budget: &Value) -> ApiResult<()> {
    let status = &budget["status"];
    let name = budget["metadata"]["name"].as_str().unwrap_or_default();
    if number(&status["observedGeneration"]) < number(&budget["metadata"]["generation"]) {
        return Err(still_processed(name));
    }
    match number(&status["disruptionsAllowed"]) {
        left if left < 0 => Err(forbidden(name, "pdb disruptions allowed is negative")),
        _ if status["disruptedPods"]
            .as_object()
            .is_some_and(|pods| pods.len() > DISRUPTED_MAX) =>
        {
            let why =
                "DisruptedPods map too big - too many evictions not confirmed by PDB controller";
            Err(forbidden(name, why))
        }
        0 => Err(refused(name, &why_none(status), 0)),
        _ => Ok(()),
    }
}

/// Why no disruption is allowed, in upstream's words.
fn why_none(status: &Value) -> String {
    let conditions = status["conditions"].as_array();
    let condition = conditions
        .into_iter()
        .flatten()
        .find(|one| one["type"] == ALLOWED && one["status"] == "False");
    let text = |key: &str| condition.and_then(|one| one[key].as_str()).unwrap_or("");
    let (reason, message) = (text("reason"), text("message"));
    let (wanted, healthy) = (
        number(&status["desiredHealthy"]),
        number(&status["currentHealthy"]),
    );
    if !message.is_empty() && reason == "SyncFailed" {
        format!("does not allow evicting pods currently because it failed sync: {message}")
    } else if healthy <= wanted {
        format!("needs {wanted} healthy pods and has {healthy} currently")
    } else if !message.is_empty() {
        format!("does not allow evicting pods currently ({reason}): {message}")
    } else {
        "does not allow evicting pods currently".to_owned()
    }
}

/// 429 for a budget whose status is older than itself.
pub(super) fn still_processed(budget: &str) -> ApiError {
    refused(budget, "is still being processed by the server.", 10)
}

fn refused(budget: &str, why: &str, retry_after_seconds: u32) -> ApiError {
    ApiError::new(429, "TooManyRequests", REFUSED).with(Details {
        causes: vec![Cause {
            reason: "DisruptionBudget".to_owned(),
            message: format!("The disruption budget {budget} {why}"),
            field: String::new(),
        }],
        retry_after_seconds,
        ..Details::default()
    })
}

/// Upstream names the resource in the singular here.
fn forbidden(budget: &str, why: &str) -> ApiError {
    let resource = "poddisruptionbudget";
    let message = format!("{resource}.policy {budget:?} is forbidden: {why}");
    ApiError::new(403, "Forbidden", message).with(Details {
        name: budget.to_owned(),
        group: "policy".to_owned(),
        kind: resource.to_owned(),
        ..Details::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `checkAndDecrement`, case by case.
    #[test]
    fn a_budget_says_why_it_has_no_room() {
        let says = |status: Value, expected: Option<&str>| {
            let budget = json!({"metadata": {"name": "b", "generation": 1}, "status": status});
            let found = check(&budget).err().map(|error| {
                let details = error.details.unwrap_or_default();
                let cause = details.causes.first().map(|cause| cause.message.clone());
                cause.unwrap_or(error.message)
            });
            assert_eq!(found.as_deref(), expected, "{budget}");
        };
        let status = |allowed: i64, healthy: i64, reason: &str, message: &str| {
            json!({
                "observedGeneration": 1, "disruptionsAllowed": allowed,
                "currentHealthy": healthy, "desiredHealthy": 2,
                "conditions": [{"type": ALLOWED, "status": "False", "reason": reason, "message": message}],
            })
        };
        says(status(1, 3, "", ""), None);
        says(
            json!({"disruptionsAllowed": 1}),
            Some("The disruption budget b is still being processed by the server."),
        );
        says(
            status(-1, 3, "", ""),
            Some(
                "poddisruptionbudget.policy \"b\" is forbidden: pdb disruptions allowed is negative",
            ),
        );
        says(
            status(0, 2, "InsufficientPods", ""),
            Some("The disruption budget b needs 2 healthy pods and has 2 currently"),
        );
        says(
            status(0, 3, "SyncFailed", "why"),
            Some(
                "The disruption budget b does not allow evicting pods currently because it failed sync: why",
            ),
        );
        says(
            status(0, 3, "Other", "why"),
            Some("The disruption budget b does not allow evicting pods currently (Other): why"),
        );
        says(
            status(0, 3, "Other", ""),
            Some("The disruption budget b does not allow evicting pods currently"),
        );
    }

    #[test]
    fn the_last_disruption_turns_the_condition() {
        let mut status = json!({"disruptionsAllowed": 2, "observedGeneration": 3});
        enter(&mut status, "p");
        assert_eq!(status["disruptionsAllowed"], 1);
        assert!(status["disruptedPods"]["p"].is_string());
        assert!(status.get("conditions").is_none());
        enter(&mut status, "q");
        let condition = &status["conditions"][0];
        assert_eq!(condition["reason"], "InsufficientPods");
        assert_eq!(condition["observedGeneration"], 3);
    }
}
