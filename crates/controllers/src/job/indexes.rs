//! Sets of completion indexes, written as the API writes them: `0-2,5`
//! (upstream: job/indexed_job_utils.go).

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;

/// Annotation and label with the index that a pod works on.
pub const INDEX: &str = "batch.kubernetes.io/job-completion-index";

/// More indexes than this the API does not allow.
const INDEXES_MAX: i32 = 10_000_000;

/// Completion indexes.
pub type Indexes = BTreeSet<i32>;

/// Reads indexes; what cannot be read or is not below `completions` is left out.
pub fn parse(text: &str, completions: i32) -> Indexes {
    let mut indexes = Indexes::new();
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        if let (Ok(first), Ok(last)) = (first.trim().parse::<i32>(), last.trim().parse::<i32>()) {
            let last = last.min(completions.min(INDEXES_MAX) - 1);
            indexes.extend(first.max(0)..=last);
        }
    }
    indexes
}

/// Writes indexes; three or more in a row become a range.
pub fn format(indexes: &Indexes) -> String {
    let mut ranges: Vec<(i32, i32)> = Vec::new();
    for &index in indexes {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == index => *last = index,
            _ => ranges.push((index, index)),
        }
    }
    let words = ranges.into_iter().map(|(first, last)| match last - first {
        0 => first.to_string(),
        1 => format!("{first},{last}"),
        _ => format!("{first}-{last}"),
    });
    words.collect::<Vec<_>>().join(",")
}

/// Returns the index that a pod works on.
pub fn of(pod: &Pod) -> Option<i32> {
    pod.annotations().get(INDEX)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Upstream: indexed_job_utils_test.go, TestSucceededIndexesString, TestParseIndexesFromString.
    #[test]
    fn indexes_are_read_and_written() {
        let check = |text: &str, expected: &[i32]| {
            let indexes = parse(text, 20);
            assert_eq!(indexes.iter().copied().collect::<Vec<_>>(), expected);
            assert_eq!(format(&indexes), text);
        };
        check("", &[]);
        check("3", &[3]);
        check("0,1", &[0, 1]);
        check("0-2", &[0, 1, 2]);
        check("1,3-5,9", &[1, 3, 4, 5, 9]);
    }

    #[test]
    fn what_is_no_index_is_left_out() {
        let check = |text: &str, expected: &[i32]| {
            let indexes = parse(text, 4);
            assert_eq!(indexes.into_iter().collect::<Vec<_>>(), expected, "{text}");
        };
        check("2-9", &[2, 3]);
        check("x,1", &[1]);
        check("5", &[]);
        check("3-1", &[]);
    }
}
