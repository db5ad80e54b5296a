//! The status of an autoscaler: its conditions, in upstream's words and order.

use coracle_client::now;
use k8s_openapi::api::autoscaling::v2::{
    HorizontalPodAutoscalerCondition, HorizontalPodAutoscalerStatus, MetricStatus,
};

/// Sets a condition; the time of transition changes with its status alone.
pub fn set(
    status: &mut HorizontalPodAutoscalerStatus,
    type_: &str,
    value: bool,
    reason: &str,
    message: impl Into<String>,
) {
    let conditions = status.conditions.get_or_insert_default();
    let word = if value { "True" } else { "False" };
    let position = conditions.iter().position(|one| one.type_ == type_);
    let index = position.unwrap_or_else(|| {
        conditions.push(HorizontalPodAutoscalerCondition {
            type_: type_.into(),
            ..Default::default()
        });
        conditions.len() - 1
    });
    let condition = &mut conditions[index];
    if condition.status != word {
        condition.last_transition_time = Some(now());
    }
    condition.status = word.into();
    condition.reason = Some(reason.into());
    condition.message = Some(message.into());
}

/// Puts the counts and measured values into a status, which does not say of
/// which generation it is (upstream: setStatus).
pub fn measured(
    status: &mut HorizontalPodAutoscalerStatus,
    current: i32,
    desired: i32,
    metrics: Vec<MetricStatus>,
) {
    status.observed_generation = None;
    status.current_replicas = Some(current);
    status.desired_replicas = desired;
    status.current_metrics = (!metrics.is_empty()).then_some(metrics);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_keeps_its_place_and_time() {
        let mut status = HorizontalPodAutoscalerStatus::default();
        set(&mut status, "AbleToScale", true, "A", "a");
        set(&mut status, "ScalingActive", false, "B", "b");
        let before = status.conditions.clone().unwrap();
        set(&mut status, "AbleToScale", true, "C", "c");
        let after = status.conditions.unwrap();
        assert_eq!(after.len(), 2);
        assert_eq!(after[0].reason.as_deref(), Some("C"));
        assert_eq!(
            after[0].last_transition_time,
            before[0].last_transition_time
        );
    }
}
