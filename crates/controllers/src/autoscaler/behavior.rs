//! How fast a target may change: stabilization windows and policies
//! (upstream: pkg/controller/podautoscaler/horizontal.go, "normalize…" and
//! "convert…").

use k8s_openapi::api::autoscaling::v2::{HPAScalingRules, HorizontalPodAutoscalerBehavior};
use k8s_openapi::jiff::{SignedDuration, Timestamp};

/// How long a lower recommendation waits by default
/// (upstream: --horizontal-pod-autoscaler-downscale-stabilization).
const DOWN_WINDOW_SECONDS: i32 = 300;

/// What an autoscaler recommended and did lately.
#[derive(Debug, Clone, Default)]
pub struct History {
    recommendations: Vec<(Timestamp, i32)>,
    /// When the target was changed, and by how much.
    changes: Vec<(Timestamp, i32)>,
}

/// A word for a condition: its reason and its message.
pub type Words = (&'static str, &'static str);

/// The least and the most replicas, and how many there should be now.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// How many there should be now.
    pub current: i32,
    /// The least.
    pub min: i32,
    /// The most.
    pub max: i32,
}

/// The number of replicas that is allowed now, and why it is that.
#[derive(Debug, PartialEq)]
pub struct Decision {
    /// How many replicas there are to be.
    pub replicas: i32,
    /// For the condition `AbleToScale`.
    pub able: Words,
    /// For the condition `ScalingLimited`.
    pub limit: Words,
    /// Whether the condition `ScalingLimited` is true.
    pub limited: bool,
}

const READY: Words = ("ReadyForNewScale", "recommended size matches current size");
const DOWN_STABILIZED: Words = (
    "ScaleDownStabilized",
    "recent recommendations were higher than current one, applying the highest recent recommendation",
);
const UP_STABILIZED: Words = (
    "ScaleUpStabilized",
    "recent recommendations were lower than current one, applying the lowest recent recommendation",
);
const WITHIN: Words = (
    "DesiredWithinRange",
    "the desired count is within the acceptable range",
);
const TOO_FEW: Words = (
    "TooFewReplicas",
    "the desired replica count is less than the minimum replica count",
);
const TOO_MANY: Words = (
    "TooManyReplicas",
    "the desired replica count is more than the maximum replica count",
);
const UP_LIMIT: Words = (
    "ScaleUpLimit",
    "the desired replica count is increasing faster than the maximum scale rate",
);
const DOWN_LIMIT: Words = (
    "ScaleDownLimit",
    "the desired replica count is decreasing faster than the maximum scale rate",
);

impl History {
    /// Remembers the present size as the first recommendation.
    pub fn begin(&mut self, current: i32, now: Timestamp) {
        if self.recommendations.is_empty() {
            self.recommendations.push((now, current));
        }
    }

    /// Remembers that the target was changed.
    pub fn changed(&mut self, from: i32, to: i32, now: Timestamp) {
        self.changes.push((now, to - from));
    }

    /// Returns what `desired` comes to.
    pub fn decide(
        &mut self,
        behavior: Option<&HorizontalPodAutoscalerBehavior>,
        bounds: Bounds,
        desired: i32,
        now: Timestamp,
    ) -> Decision {
        let nothing = HPAScalingRules::default();
        let (up, down) = match behavior {
            Some(behavior) => (
                behavior.scale_up.as_ref().unwrap_or(&nothing),
                behavior.scale_down.as_ref().unwrap_or(&nothing),
            ),
            None => (&nothing, &nothing),
        };
        self.forget(up, down, now);
        let stable = self.stabilize(up, down, bounds.current, desired, now);
        self.recommendations.push((now, desired));
        let (replicas, limit) = match behavior {
            None => plain(bounds, stable),
            Some(_) => self.rated(up, down, bounds, stable, now),
        };
        Decision {
            replicas,
            able: match stable {
                _ if stable == desired => READY,
                _ if stable > desired => DOWN_STABILIZED,
                _ => UP_STABILIZED,
            },
            limit,
            limited: replicas != stable,
        }
    }

    /// Forgets what no window and no period reaches any more.
    fn forget(&mut self, up: &HPAScalingRules, down: &HPAScalingRules, now: Timestamp) {
        let window = window(up, 0).max(window(down, DOWN_WINDOW_SECONDS));
        self.recommendations.retain(|(at, _)| *at > now - window);
        let periods = up.policies.iter().chain(&down.policies).flatten();
        let longest = periods.map(|policy| policy.period_seconds).max();
        let longest = SignedDuration::from_secs(longest.unwrap_or(0).into());
        self.changes.retain(|(at, _)| *at > now - longest);
    }

    /// Returns the size that recent recommendations allow.
    fn stabilize(
        &self,
        up: &HPAScalingRules,
        down: &HPAScalingRules,
        current: i32,
        desired: i32,
        now: Timestamp,
    ) -> i32 {
        let since = |window| {
            let recent = self.recommendations.iter();
            recent
                .filter(move |(at, _)| *at > now - window)
                .map(|(_, size)| *size)
        };
        let low = since(window(up, 0)).fold(desired, i32::min);
        let high = since(window(down, DOWN_WINDOW_SECONDS)).fold(desired, i32::max);
        current.max(low).min(high)
    }

    /// Returns the size that the policies allow.
    fn rated(
        &self,
        up: &HPAScalingRules,
        down: &HPAScalingRules,
        bounds: Bounds,
        desired: i32,
        now: Timestamp,
    ) -> (i32, Words) {
        if desired > bounds.current {
            let limit = self.up_limit(up, bounds.current, now).max(bounds.current);
            let (most, words) = if bounds.max > limit {
                (limit, UP_LIMIT)
            } else {
                (bounds.max, TOO_MANY)
            };
            if desired > most {
                return (most, words);
            }
        } else if desired < bounds.current {
            let limit = self
                .down_limit(down, bounds.current, now)
                .min(bounds.current);
            let (least, words) = if bounds.min < limit {
                (limit, DOWN_LIMIT)
            } else {
                (bounds.min, TOO_FEW)
            };
            if desired < least {
                return (least, words);
            }
        }
        (desired, WITHIN)
    }

    /// Returns what was added and what was removed within a policy's period.
    fn changed_within(&self, seconds: i32, now: Timestamp) -> (i32, i32) {
        let cutoff = now - SignedDuration::from_secs(seconds.into());
        let recent = self.changes.iter().filter(|(at, _)| *at > cutoff);
        recent.fold((0, 0), |(added, removed), (_, change)| {
            (added + (*change).max(0), removed - (*change).min(0))
        })
    }

    fn up_limit(&self, rules: &HPAScalingRules, current: i32, now: Timestamp) -> i32 {
        let limits = rules.policies.iter().flatten().map(|policy| {
            let (added, removed) = self.changed_within(policy.period_seconds, now);
            let start = current - added + removed;
            match policy.type_.as_str() {
                "Pods" => start.saturating_add(policy.value),
                _ => percent(start, 100.0 + f64::from(policy.value)).ceil() as i32,
            }
        });
        match rules.select_policy.as_deref() {
            Some("Disabled") => current,
            Some("Min") => limits.min().unwrap_or(i32::MAX),
            _ => limits.max().unwrap_or(i32::MAX),
        }
    }

    fn down_limit(&self, rules: &HPAScalingRules, current: i32, now: Timestamp) -> i32 {
        let limits = rules.policies.iter().flatten().map(|policy| {
            let (added, removed) = self.changed_within(policy.period_seconds, now);
            let start = current + removed - added;
            match policy.type_.as_str() {
                "Pods" => start.saturating_sub(policy.value),
                _ => percent(start, 100.0 - f64::from(policy.value)) as i32,
            }
        });
        match rules.select_policy.as_deref() {
            Some("Disabled") => current,
            // The smallest change leaves the most.
            Some("Min") => limits.max().unwrap_or(0),
            _ => limits.min().unwrap_or(0),
        }
    }
}

fn percent(count: i32, percent: f64) -> f64 {
    f64::from(count) * percent / 100.0
}

fn window(rules: &HPAScalingRules, default: i32) -> SignedDuration {
    let seconds = rules.stabilization_window_seconds.unwrap_or(default);
    SignedDuration::from_secs(seconds.into())
}

/// Without a behavior the size at most doubles at a time
/// (upstream: convertDesiredReplicasWithRules).
fn plain(bounds: Bounds, desired: i32) -> (i32, Words) {
    let limit = bounds.current.saturating_mul(2).max(4);
    let (most, words) = if bounds.max > limit {
        (limit, UP_LIMIT)
    } else {
        (bounds.max, TOO_MANY)
    };
    if desired < bounds.min {
        (bounds.min, TOO_FEW)
    } else if desired > most {
        (most, words)
    } else {
        (desired, WITHIN)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_000_000 + second).expect("a time")
    }

    fn bounds(current: i32) -> Bounds {
        Bounds {
            current,
            min: 1,
            max: 100,
        }
    }

    /// Upstream: horizontal_test.go, TestConvertDesiredReplicasWithRules.
    #[test]
    fn without_a_behavior_the_size_doubles_at_most() {
        let check = |current, desired, max, expected, reason| {
            let bounds = Bounds {
                current,
                min: 2,
                max,
            };
            let (replicas, words) = plain(bounds, desired);
            assert_eq!(
                (replicas, words.0),
                (expected, reason),
                "{current} to {desired}"
            );
        };
        check(3, 4, 7, 4, "DesiredWithinRange");
        check(3, 1, 7, 2, "TooFewReplicas");
        check(3, 10, 7, 6, "ScaleUpLimit");
        check(4, 10, 7, 7, "TooManyReplicas");
        check(1, 10, 70, 4, "ScaleUpLimit");
    }

    #[test]
    fn a_lower_recommendation_waits_for_its_window() {
        let mut history = History::default();
        history.begin(6, at(0));
        let decide = |history: &mut History, second, desired| {
            history.decide(None, bounds(6), desired, at(second))
        };
        let early = decide(&mut history, 15, 2);
        assert_eq!((early.replicas, early.able), (6, DOWN_STABILIZED));
        let later = decide(&mut history, 301, 2);
        assert_eq!(
            (later.replicas, later.able, later.limit),
            (2, READY, WITHIN)
        );
    }

    fn behavior(value: serde_json::Value) -> HorizontalPodAutoscalerBehavior {
        serde_json::from_value(value).expect("a behavior")
    }

    /// Upstream: horizontal_test.go, TestScaleUpRCPolicies, TestNormalizeDesiredReplicasWithBehavior.
    #[test]
    fn policies_bound_the_rate() {
        let check =
            |rules: serde_json::Value, current, desired, changes: &[(i64, i32)], expected| {
                let mut history = History {
                    recommendations: Vec::new(),
                    changes: changes
                        .iter()
                        .map(|(second, change)| (at(*second), *change))
                        .collect(),
                };
                let behavior = behavior(rules.clone());
                let decision = history.decide(Some(&behavior), bounds(current), desired, at(100));
                assert_eq!(
                    (decision.replicas, decision.limit.0),
                    expected,
                    "{current} to {desired} by {rules}"
                );
            };
        let pods = |value| json!({"type": "Pods", "value": value, "periodSeconds": 60});
        let share = |value| json!({"type": "Percent", "value": value, "periodSeconds": 60});
        let up = |select: &str, policies: serde_json::Value| json!({"scaleUp": {"selectPolicy": select, "policies": policies}});
        check(
            up("Max", json!([pods(4), share(100)])),
            3,
            50,
            &[],
            (7, "ScaleUpLimit"),
        );
        check(
            up("Max", json!([pods(4), share(100)])),
            10,
            50,
            &[],
            (20, "ScaleUpLimit"),
        );
        check(
            up("Min", json!([pods(4), share(100)])),
            10,
            50,
            &[],
            (14, "ScaleUpLimit"),
        );
        check(
            up("Disabled", json!([pods(4)])),
            10,
            50,
            &[],
            (10, "ScaleUpLimit"),
        );
        // What was added in the period counts; what is older does not.
        check(
            up("Max", json!([pods(4)])),
            10,
            50,
            &[(90, 3)],
            (11, "ScaleUpLimit"),
        );
        check(
            up("Max", json!([pods(4)])),
            10,
            50,
            &[(10, 3)],
            (14, "ScaleUpLimit"),
        );
        check(
            up("Max", json!([pods(4)])),
            10,
            50,
            &[(90, 9)],
            (10, "ScaleUpLimit"),
        );
        let down = |select: &str, policies: serde_json::Value| json!({"scaleDown": {"stabilizationWindowSeconds": 0, "selectPolicy": select, "policies": policies}});
        check(
            down("Max", json!([pods(4), share(10)])),
            20,
            1,
            &[],
            (16, "ScaleDownLimit"),
        );
        check(
            down("Min", json!([pods(4), share(10)])),
            20,
            1,
            &[],
            (18, "ScaleDownLimit"),
        );
        check(
            down("Disabled", json!([pods(4)])),
            20,
            1,
            &[],
            (20, "ScaleDownLimit"),
        );
        check(
            down("Max", json!([share(100)])),
            20,
            0,
            &[],
            (1, "TooFewReplicas"),
        );
        check(
            down("Max", json!([pods(4)])),
            20,
            1,
            &[(90, -3)],
            (19, "ScaleDownLimit"),
        );
        check(
            down("Max", json!([pods(4)])),
            20,
            18,
            &[],
            (18, "DesiredWithinRange"),
        );
    }

    #[test]
    fn a_higher_recommendation_waits_where_a_window_says_so() {
        let rules = behavior(json!({
            "scaleUp": {"stabilizationWindowSeconds": 60, "policies": [{"type": "Percent", "value": 900, "periodSeconds": 15}]},
        }));
        let mut history = History::default();
        history.begin(2, at(0));
        let early = history.decide(Some(&rules), bounds(2), 5, at(15));
        assert_eq!((early.replicas, early.able), (2, UP_STABILIZED));
        let later = history.decide(Some(&rules), bounds(2), 5, at(61));
        assert_eq!((later.replicas, later.able), (5, READY));
    }
}
