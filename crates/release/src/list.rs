//! Which releases a list shows, and in which order.
//!
//! Reference: `pkg/action/list.go` of Helm.

use std::collections::BTreeMap;

use coracle_machinery::selector::LabelSelector;
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
    /// Selects by the labels of the record's Secret.
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
        let selector = LabelSelector::parse(&self.selector).map_err(|error| invalid(&error))?;
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
                && selector.matches(&record.secret_labels)
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
            secret_labels: [("team", team), ("owner", "helm")]
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .into(),
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
        check(
            &Listing {
                selector: "owner=helm,team=red".into(),
                ..listing()
            },
            &["b2"],
        );
    }

    #[test]
    fn selectors_are_refused_in_upstreams_words() {
        let check = |selector: &str, expected: &str| {
            let listing = Listing {
                selector: selector.into(),
                ..Listing::default()
            };
            let error = listing.pick(Vec::new()).expect_err(selector);
            assert_eq!(error.to_string(), expected);
        };
        check(
            "a b",
            "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt",
        );
        check(
            "=x",
            "found '=', expected: !, identifier, or 'end of string'",
        );
    }
}
