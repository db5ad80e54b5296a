//! Reads what a program tells about itself: the text format of Prometheus,
//! version 0.0.4, and the parts of OpenMetrics that are spelled the same
//! (<https://prometheus.io/docs/instrumenting/exposition_formats/>).
//!
//! The text comes from outside: lines that cannot be read are passed over, and
//! nothing grows beyond [`SAMPLES_MAX`].

use std::collections::HashMap;

/// More series than this are not kept.
pub const SAMPLES_MAX: usize = 50_000;

/// How a series behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It only grows, until its program is restarted.
    Counter,
    /// It goes up and down.
    Gauge,
}

/// One series and its value.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// Name of the metric.
    pub name: String,
    /// Labels in the order they were written.
    pub labels: Vec<(String, String)>,
    /// The value; never NaN or infinite.
    pub value: f64,
    /// How it behaves.
    pub kind: Kind,
}

/// Reads the series whose names `wanted` lets through.
pub fn parse(text: &str, wanted: impl Fn(&str) -> bool) -> Vec<Sample> {
    let mut types: HashMap<&str, &str> = HashMap::new();
    let mut samples = Vec::new();
    for line in text.lines().map(str::trim) {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            if let Some((name, kind)) = rest.trim().split_once([' ', '\t'])
                && types.len() < SAMPLES_MAX
            {
                types.insert(name, kind.trim());
            }
        } else if !line.starts_with('#')
            && samples.len() < SAMPLES_MAX
            && let Some((name, labels, value)) = series(line, &wanted)
        {
            samples.push(Sample {
                kind: kind(&types, name),
                name: name.to_owned(),
                labels,
                value,
            });
        }
    }
    samples
}

/// The parts of histograms and summaries count up, whatever is not declared
/// goes by its name.
fn kind(types: &HashMap<&str, &str>, name: &str) -> Kind {
    let counts = |suffix: &str, declared: &[&str]| {
        name.strip_suffix(suffix)
            .and_then(|base| types.get(base))
            .is_some_and(|kind| declared.contains(kind))
    };
    let parts = ["histogram", "summary"];
    match types.get(name).copied() {
        Some("counter") => Kind::Counter,
        Some("gauge" | "summary") => Kind::Gauge,
        _ if counts("_total", &["counter"])
            || counts("_count", &parts)
            || counts("_sum", &parts)
            || counts("_bucket", &["histogram"]) =>
        {
            Kind::Counter
        }
        _ if name.ends_with("_total") => Kind::Counter,
        _ => Kind::Gauge,
    }
}

type Series<'a> = (&'a str, Vec<(String, String)>, f64);

fn series<'a>(line: &'a str, wanted: &impl Fn(&str) -> bool) -> Option<Series<'a>> {
    let end = line.find(|letter: char| letter == '{' || letter.is_ascii_whitespace())?;
    let (name, rest) = line.split_at(end);
    if name.is_empty() || !wanted(name) {
        return None;
    }
    let (labels, rest) = match rest.strip_prefix('{') {
        Some(rest) => labels(rest)?,
        None => (Vec::new(), rest),
    };
    // What follows the value is a time or an exemplar: when it was read counts.
    let value: f64 = rest.split_ascii_whitespace().next()?.parse().ok()?;
    value.is_finite().then_some((name, labels, value))
}

/// Reads `a="b",c="d"}` and returns what follows it.
fn labels(text: &str) -> Option<(Vec<(String, String)>, &str)> {
    let mut labels = Vec::new();
    let mut rest = text.trim_start();
    loop {
        if let Some(rest) = rest.strip_prefix('}') {
            return Some((labels, rest));
        }
        let (name, after) = rest.split_once('=')?;
        let (value, after) = quoted(after.trim_start().strip_prefix('"')?)?;
        labels.push((name.trim().to_owned(), value));
        rest = after.trim_start();
        rest = rest.strip_prefix(',').unwrap_or(rest).trim_start();
    }
}

/// Reads up to the closing quotation mark and returns what follows it.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut letters = text.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => match letters.next()?.1 {
                'n' => value.push('\n'),
                other => value.push(other),
            },
            letter => value.push(letter),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes samples shortly: `name{labels} value C|G`.
    fn check(text: &str, expected: &[&str]) {
        let found: Vec<String> = parse(text, |_| true)
            .into_iter()
            .map(|sample| {
                let labels: Vec<String> = sample
                    .labels
                    .iter()
                    .map(|(name, value)| format!("{name}={value}"))
                    .collect();
                let kind = match sample.kind {
                    Kind::Counter => 'C',
                    Kind::Gauge => 'G',
                };
                format!(
                    "{}[{}] {} {kind}",
                    sample.name,
                    labels.join(","),
                    sample.value
                )
            })
            .collect();
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn series_are_read() {
        check("up 1", &["up[] 1 G"]);
        check(
            "# HELP up Is it?\n# TYPE up gauge\nup 1 1700000000\n",
            &["up[] 1 G"],
        );
        check(
            "# TYPE http_requests_total counter\nhttp_requests_total{code=\"200\", method=\"get\",} 5\n",
            &["http_requests_total[code=200,method=get] 5 C"],
        );
        check("a{b=\"x\\\"y\\\\z\\n\"} 1.5e3", &["a[b=x\"y\\z\n] 1500 G"]);
        check("a{b=\"}\"} 2", &["a[b=}] 2 G"]);
        // OpenMetrics declares the family without the suffix.
        check(
            "# TYPE jobs counter\njobs_total 3 # {id=\"1\"} 1\n",
            &["jobs_total[] 3 C"],
        );
    }

    #[test]
    fn kinds_are_declared_or_guessed() {
        check("seen_total 3", &["seen_total[] 3 C"]);
        check("# TYPE x_total gauge\nx_total 3", &["x_total[] 3 G"]);
        check(
            "# TYPE t histogram\nt_bucket{le=\"1\"} 1\nt_sum 2\nt_count 3",
            &["t_bucket[le=1] 1 C", "t_sum[] 2 C", "t_count[] 3 C"],
        );
    }

    #[test]
    fn what_cannot_be_read_is_passed_over() {
        check("", &[]);
        check(
            "no_value\n{} 1\nx{a=b} 1\nx{a=\"b 1\ny{ 1\nz NaN\nz +Inf\nz one\nok 1",
            &["ok[] 1 G"],
        );
    }

    #[test]
    fn only_what_is_wanted_is_kept() {
        let samples = parse("a 1\nb 2\n", |name| name == "b");
        assert_eq!(samples.len(), 1);
        assert_eq!(samples[0].name, "b");
    }
}
