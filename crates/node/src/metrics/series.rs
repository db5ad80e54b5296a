//! What a metric's name stands for in the series of a pod: a gauge's value, a
//! counter's rate. The main type is [`Track`].

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use coracle_machinery::selector::LabelSelector;

use super::exposition::{Kind, Sample};

/// The time over which a rate is taken, where there is a choice.
const WINDOW: Duration = Duration::from_secs(10);
/// A shorter time tells too little of a counter.
const WINDOW_MIN: Duration = Duration::from_secs(4);
/// What was read longer ago says nothing of now.
const STALE: Duration = Duration::from_secs(30);

/// The readings of one pod, oldest first.
#[derive(Debug, Default)]
pub struct Track(VecDeque<(Instant, Vec<Sample>)>);

/// A metric's value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Value {
    /// When it was read.
    pub at: Instant,
    /// The time a rate was taken over; `None` for a gauge.
    pub window: Option<Duration>,
    /// The value, or the increase per second.
    pub value: f64,
}

/// Returns whether series called `series` may stand behind the metric `metric`.
///
/// Counters are known under upstream adapters' names too: `x_total` also as
/// `x`, `x_per_second`, and `x_seconds_total` as `x`
/// (prometheus-adapter, default configuration).
pub fn names(metric: &str, series: &str) -> bool {
    if metric == series {
        return true;
    }
    let base = metric.strip_suffix("_per_second").unwrap_or(metric);
    let rest = series.strip_prefix(base);
    rest == Some("_total") || rest == Some("_seconds_total") || (base != metric && rest == Some(""))
}

impl Track {
    /// Notes what was read.
    pub fn push(&mut self, at: Instant, samples: Vec<Sample>) {
        self.0.push_back((at, samples));
        while self.0.get(1).is_some_and(|(next, _)| *next + WINDOW <= at) {
            self.0.pop_front();
        }
    }

    /// Returns the value of a metric over the series that `selector` lets
    /// through, as of `now`; `None` where there is none, or not yet.
    pub fn value(&self, metric: &str, selector: &LabelSelector, now: Instant) -> Option<Value> {
        let (at, newest) = self.0.back()?;
        if now.duration_since(*at) > STALE {
            return None;
        }
        let series = self.name_of(metric)?;
        let chosen = |samples: &'_ [Sample]| -> Vec<Sample> {
            let of_name = samples.iter().filter(|sample| sample.name == series);
            of_name
                .filter(|sample| selector.matches(&labels(sample)))
                .cloned()
                .collect()
        };
        let after = chosen(newest);
        let kind = after.first()?.kind;
        if kind == Kind::Gauge {
            let value = after.iter().map(|sample| sample.value).sum();
            let (at, window) = (*at, None);
            return (series == metric).then_some(Value { at, window, value });
        }
        let (since, oldest) = self.0.front()?;
        let window = at.duration_since(*since);
        if window < WINDOW_MIN {
            return None;
        }
        Some(Value {
            at: *at,
            window: Some(window),
            value: increase(&chosen(oldest), &after) / window.as_secs_f64(),
        })
    }

    /// Returns the series that stand behind a metric; its own name goes first.
    fn name_of(&self, metric: &str) -> Option<String> {
        let (_, newest) = self.0.back()?;
        let exact = newest.iter().find(|sample| sample.name == metric);
        exact
            .or_else(|| newest.iter().find(|sample| names(metric, &sample.name)))
            .map(|sample| sample.name.clone())
    }
}

fn labels(sample: &Sample) -> std::collections::BTreeMap<String, String> {
    sample.labels.iter().cloned().collect()
}

/// Sums up by how much counters grew. One that shrank was restarted at zero;
/// one that was not there yet began at zero.
fn increase(before: &[Sample], after: &[Sample]) -> f64 {
    after
        .iter()
        .map(|sample| {
            let earlier = before.iter().find(|one| one.labels == sample.labels);
            match earlier {
                Some(one) if one.value <= sample.value => sample.value - one.value,
                _ => sample.value,
            }
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::super::exposition::parse;
    use super::*;

    /// Reads texts at these seconds and expects a metric's value at the end.
    fn check(texts: &[(u64, &str)], metric: &str, selector: &str, expected: Option<f64>) {
        let start = Instant::now();
        let mut track = Track::default();
        let mut now = start;
        for (second, text) in texts {
            now = start + Duration::from_secs(*second);
            track.push(now, parse(text, |_| true));
        }
        let selector = LabelSelector::parse(selector).expect("a selector");
        let value = track.value(metric, &selector, now).map(|value| value.value);
        assert_eq!(value, expected, "{texts:?} {metric} {selector:?}");
    }

    #[test]
    fn gauges_are_values_and_counters_rates() {
        check(&[(0, "busy 4")], "busy", "", Some(4.0));
        check(
            &[(0, "busy{a=\"1\"} 4\nbusy{a=\"2\"} 3")],
            "busy",
            "",
            Some(7.0),
        );
        check(
            &[(0, "busy{a=\"1\"} 4\nbusy{a=\"2\"} 3")],
            "busy",
            "a=2",
            Some(3.0),
        );
        check(
            &[(0, "hits_total 10"), (10, "hits_total 60")],
            "hits_total",
            "",
            Some(5.0),
        );
    }

    #[test]
    fn a_rate_needs_two_readings() {
        check(&[(0, "hits_total 10")], "hits_total", "", None);
        check(
            &[(0, "hits_total 10"), (1, "hits_total 20")],
            "hits_total",
            "",
            None,
        );
    }

    #[test]
    fn counters_have_adapters_names() {
        let texts = [(0, "hits_total 0"), (10, "hits_total 50")];
        check(&texts, "hits", "", Some(5.0));
        check(&texts, "hits_per_second", "", Some(5.0));
        check(&texts, "hit", "", None);
        check(&[(0, "busy 4")], "busy_per_second", "", None);
    }

    #[test]
    fn restarted_and_new_counters_begin_at_zero() {
        check(
            &[(0, "h_total 100"), (10, "h_total 20")],
            "h_total",
            "",
            Some(2.0),
        );
        check(
            &[(0, "x 1"), (10, "h_total{new=\"1\"} 20")],
            "h_total",
            "",
            Some(2.0),
        );
    }

    #[test]
    fn old_readings_say_nothing() {
        let mut track = Track::default();
        let start = Instant::now();
        track.push(start, parse("busy 4", |_| true));
        let everything = LabelSelector::parse("").expect("a selector");
        let late = start + Duration::from_secs(31);
        assert_eq!(track.value("busy", &everything, late), None);
    }
}
