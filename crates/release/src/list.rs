//! Which releases a list shows, and in which order.
//!
//! Reference: `pkg/action/list.go` of Helm.

use std::collections::BTreeMap;

use regex::Regex;

use crate::ReleaseError;
use crate::record::{Record, Status};

/// What a list shows.
#[derive(Debug, Clone, Default)]
pub struct Listing {
    /// Statuses that are shown; all if none is named.
    pub statuses: Vec<Status>,
    /// Pattern of names.
    pub filter: Option<String>,
    /// Label selector.
    pub selector: String,
    /// Newest first instead of by name.
    pub by_date: bool,
    /// The other way round.
    pub reverse: bool,
    /// The first that is shown.
    pub offset: usize,
    /// How many are shown; 0 for all.
    pub max: usize,
}

impl Listing {
    /// Picks the releases that are shown from all records.
    ///
    /// # Errors
    /// Fails if the pattern or the selector is wrong.
    pub fn pick(&self, records: Vec<Record>) -> Result<Vec<Record>, ReleaseError> {
        let invalid = |error: &dyn std::fmt::Display| ReleaseError::Invalid(error.to_string());
        let filter = self.filter.as_deref().map(Regex::new).transpose();
        let filter = filter.map_err(|error| invalid(&error))?;
        let selector = parse_selector(&self.selector)?;
        let fits = |record: &Record| {
            filter
                .as_ref()
                .is_none_or(|filter| filter.is_match(&record.name))
        };
        let mut found: Vec<Record> = records.into_iter().filter(fits).collect();
        if self.statuses != [Status::Superseded] {
            found = newest(found);
        }
        found.retain(|record| {
            let status = record.info.status;
            (self.statuses.is_empty() && status != Status::Unknown
                || self.statuses.contains(&status))
                && selector.iter().all(|one| one.fits(&record.labels))
        });
        self.sort(&mut found);
        let max = if self.max == 0 { found.len() } else { self.max };
        Ok(found.into_iter().skip(self.offset).take(max).collect())
    }

    fn sort(&self, records: &mut [Record]) {
        if self.by_date {
            records.sort_by(|a, b| a.info.last_deployed.cmp(&b.info.last_deployed));
        } else {
            records.sort_by(|a, b| (&a.name, &a.namespace).cmp(&(&b.name, &b.namespace)));
        }
        if self.reverse {
            records.reverse();
        }
    }
}

/// Leaves of every release its newest revision.
fn newest(records: Vec<Record>) -> Vec<Record> {
    let mut newest: BTreeMap<(String, String), Record> = BTreeMap::new();
    for record in records {
        let key = (record.namespace.clone(), record.name.clone());
        let is_newer = newest
            .get(&key)
            .is_none_or(|known| known.version <= record.version);
        if is_newer {
            newest.insert(key, record);
        }
    }
    newest.into_values().collect()
}

/// A demand on labels.
#[derive(Debug, PartialEq, Eq)]
enum Demand {
    In(String, Vec<String>),
    NotIn(String, Vec<String>),
    Has(String),
    HasNot(String),
}

impl Demand {
    fn fits(&self, labels: &BTreeMap<String, String>) -> bool {
        match self {
            Demand::In(key, values) => labels.get(key).is_some_and(|value| values.contains(value)),
            Demand::NotIn(key, values) => {
                labels.get(key).is_none_or(|value| !values.contains(value))
            }
            Demand::Has(key) => labels.contains_key(key),
            Demand::HasNot(key) => !labels.contains_key(key),
        }
    }
}

/// Parses a label selector (Kubernetes API conventions, "Label selectors").
fn parse_selector(text: &str) -> Result<Vec<Demand>, ReleaseError> {
    let mut demands = Vec::new();
    for part in split_outside_parentheses(text) {
        let part = part.trim();
        if part.is_empty() {
            continue;
        }
        demands.push(parse_demand(part).ok_or_else(|| {
            ReleaseError::Invalid(format!("unable to parse requirement: {part:?}"))
        })?);
    }
    Ok(demands)
}

fn split_outside_parentheses(text: &str) -> Vec<&str> {
    let (mut depth, mut start) = (0_usize, 0);
    let mut parts = Vec::new();
    for (at, c) in text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

fn parse_demand(part: &str) -> Option<Demand> {
    let key = |text: &str| {
        let text = text.trim();
        let fits = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
        (!text.is_empty() && text.chars().all(fits)).then(|| text.to_owned())
    };
    let values = |text: &str| -> Option<Vec<String>> {
        let inside = text.trim().strip_prefix('(')?.strip_suffix(')')?;
        Some(inside.split(',').map(|one| one.trim().to_owned()).collect())
    };
    if let Some((name, value)) = part.split_once("!=") {
        return Some(Demand::NotIn(key(name)?, vec![value.trim().to_owned()]));
    }
    if let Some((name, value)) = part.split_once("==").or_else(|| part.split_once('=')) {
        return Some(Demand::In(key(name)?, vec![value.trim().to_owned()]));
    }
    if let Some((name, list)) = part.split_once(" notin ") {
        return Some(Demand::NotIn(key(name)?, values(list)?));
    }
    if let Some((name, list)) = part.split_once(" in ") {
        return Some(Demand::In(key(name)?, values(list)?));
    }
    match part.strip_prefix('!') {
        Some(name) => Some(Demand::HasNot(key(name)?)),
        None => Some(Demand::Has(key(part)?)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Info;

    fn record(name: &str, version: i64, status: Status, time: &str, team: &str) -> Record {
        Record {
            name: name.into(),
            namespace: "n".into(),
            version,
            info: Info {
                status,
                last_deployed: time.into(),
                ..Info::default()
            },
            labels: [("team".to_owned(), team.to_owned())].into(),
            ..Record::default()
        }
    }

    fn check(listing: &Listing, expected: &[&str]) {
        let records = vec![
            record("b", 1, Status::Superseded, "2026-01-01T00:00:00Z", "red"),
            record("b", 2, Status::Deployed, "2026-01-03T00:00:00Z", "red"),
            record("a", 1, Status::Failed, "2026-01-02T00:00:00Z", "blue"),
            record("c", 1, Status::Uninstalled, "2026-01-01T00:00:00Z", "blue"),
        ];
        let found = listing.pick(records).expect("it is a listing");
        let names: Vec<String> = found
            .iter()
            .map(|record| format!("{}{}", record.name, record.version))
            .collect();
        assert_eq!(names, expected, "{listing:?}");
    }

    #[test]
    fn lists_show_the_newest_of_each() {
        let listing = Listing::default;
        check(&listing(), &["a1", "b2", "c1"]);
        check(
            &Listing {
                by_date: true,
                ..listing()
            },
            &["c1", "a1", "b2"],
        );
        check(
            &Listing {
                reverse: true,
                ..listing()
            },
            &["c1", "b2", "a1"],
        );
        check(
            &Listing {
                max: 1,
                offset: 1,
                ..listing()
            },
            &["b2"],
        );
        check(
            &Listing {
                filter: Some("^[bc]$".into()),
                ..listing()
            },
            &["b2", "c1"],
        );
        check(
            &Listing {
                statuses: vec![Status::Failed],
                ..listing()
            },
            &["a1"],
        );
        check(
            &Listing {
                statuses: vec![Status::Superseded],
                ..listing()
            },
            &["b1"],
        );
        check(
            &Listing {
                selector: "team=blue".into(),
                ..listing()
            },
            &["a1", "c1"],
        );
        check(
            &Listing {
                selector: "team in (red, green)".into(),
                ..listing()
            },
            &["b2"],
        );
        check(
            &Listing {
                selector: "team!=red,!tier".into(),
                ..listing()
            },
            &["a1", "c1"],
        );
        let wrong = Listing {
            selector: "a b".into(),
            ..listing()
        };
        assert!(wrong.pick(Vec::new()).is_err());
    }
}
