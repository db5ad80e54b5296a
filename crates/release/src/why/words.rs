//! Small things of language: lists, misspelled names, states.

use serde_json::Value;

/// Returns the name of `known` that `name` was probably meant to be: one that
/// is a few letters away, or that contains it.
pub fn similar<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let limit = (name.chars().count() / 3).max(1);
    let mut best: Option<(usize, &str)> = None;
    for candidate in known {
        let contained = name.len() >= 3 && (candidate.contains(name) || name.contains(candidate));
        let away = distance(name, candidate);
        if (away <= limit || contained) && best.is_none_or(|(least, _)| away < least) {
            best = Some((away, candidate));
        }
    }
    best.map(|(_, candidate)| candidate)
}

/// Returns how many insertions, removals, replacements and swaps of
/// neighbours lead from one word to the other (optimal string alignment).
fn distance(from: &str, to: &str) -> usize {
    let (from, to): (Vec<char>, Vec<char>) = (from.chars().collect(), to.chars().collect());
    let mut rows: Vec<Vec<usize>> = vec![(0..=to.len()).collect()];
    for i in 1..=from.len() {
        let mut row = vec![i];
        for j in 1..=to.len() {
            let replaced = rows[i - 1][j - 1] + usize::from(from[i - 1] != to[j - 1]);
            let mut best = replaced.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            let swapped = i > 1 && j > 1 && from[i - 1] == to[j - 2] && from[i - 2] == to[j - 1];
            if swapped {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[from.len()][to.len()]
}

/// Writes names as a list, at most `most` of them.
pub fn list(names: &[String], most: usize) -> String {
    let mut text = names
        .iter()
        .take(most)
        .cloned()
        .collect::<Vec<_>>()
        .join(", ");
    if names.len() > most {
        text.push_str(&format!(" and {} more", names.len() - most));
    }
    text
}

/// Writes labels as a selector.
pub fn labels(map: &Value) -> String {
    let pairs = map.as_object().into_iter().flatten();
    pairs
        .filter_map(|(key, value)| Some(format!("{key}={}", value.as_str()?)))
        .collect::<Vec<_>>()
        .join(",")
}

/// Returns the items of a list, or none.
pub fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// Returns a text, or an empty one.
pub fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// Finds a condition of an object's status.
pub fn condition<'a>(live: &'a Value, name: &str) -> Option<&'a Value> {
    items(&live["status"]["conditions"]).find(|condition| condition["type"] == name)
}

/// Returns how an object stands, in a few words.
pub fn state(kind: &str, live: &Value) -> String {
    let status = &live["status"];
    let number = |value: &Value| value.as_i64().unwrap_or(0);
    match kind {
        "Pod" => {
            let containers: Vec<&Value> = items(&status["containerStatuses"]).collect();
            let ready = containers.iter().filter(|one| one["ready"] == true).count();
            format!(
                "{}, {ready} of {} containers ready",
                text(&status["phase"]),
                containers.len()
            )
        }
        "Deployment" => format!(
            "{} of {} pods available",
            number(&status["availableReplicas"]),
            live["spec"]["replicas"].as_i64().unwrap_or(1)
        ),
        "StatefulSet" | "ReplicaSet" => format!(
            "{} of {} pods ready",
            number(&status["readyReplicas"]),
            live["spec"]["replicas"].as_i64().unwrap_or(1)
        ),
        "DaemonSet" => format!(
            "{} of {} pods ready",
            number(&status["numberReady"]),
            number(&status["desiredNumberScheduled"])
        ),
        "Job" => format!(
            "{} of {} completions, {} failures",
            number(&status["succeeded"]),
            live["spec"]["completions"].as_i64().unwrap_or(1),
            number(&status["failed"])
        ),
        "Service" => format!("type {}", text(&live["spec"]["type"])),
        "PersistentVolumeClaim" => text(&status["phase"]).to_owned(),
        "Ingress" => {
            let hosts: Vec<String> = items(&live["spec"]["rules"])
                .filter_map(|rule| Some(rule["host"].as_str()?.to_owned()))
                .collect();
            match hosts.is_empty() {
                true => "any host".to_owned(),
                false => list(&hosts, 4),
            }
        }
        "HorizontalPodAutoscaler" => format!(
            "{} running, {} wanted",
            number(&status["currentReplicas"]),
            number(&status["desiredReplicas"])
        ),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn misspelled_names_are_recognised() {
        let check = |name: &str, known: &[&str], expected: Option<&str>| {
            assert_eq!(similar(name, known.iter().copied()), expected, "{name}");
        };
        check(
            "todo-sercets",
            &["todo-secrets", "other"],
            Some("todo-secrets"),
        );
        check("secrets", &["todo-secrets"], Some("todo-secrets"));
        check("wbe", &["crash", "web"], Some("web"));
        check("imagse", &["images", "chart"], Some("images"));
        check("web", &["database"], None);
        check("a", &[], None);
    }
}
