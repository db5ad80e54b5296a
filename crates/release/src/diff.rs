//! What an operation would change, as unified diffs of YAML: what stands
//! against what the API says would stand, Secrets masked.
//!
//! Main function: [`unified`]; [`texts`] writes the two sides of an object.

use serde_json::{Map, Value, json};

use crate::json::to_yaml_text;

/// Lines shown around a change.
const CONTEXT: usize = 3;
/// Cells of the table of common lines; larger texts are shown whole.
const CELLS_MAX: usize = 16_000_000;
/// What the server fills in and nobody asked for.
const SERVERS_OWN: [&str; 6] = [
    "managedFields",
    "resourceVersion",
    "uid",
    "generation",
    "creationTimestamp",
    "selfLink",
];

/// Returns the YAML of an object before and after, without what the server
/// fills in; values of a Secret are hidden.
pub fn texts(before: Option<&Value>, after: Option<&Value>) -> (String, String) {
    let hide = |side: Option<&Value>, other: Option<&Value>, is_after: bool| {
        side.map_or_else(String::new, |value| {
            let mut value = value.clone();
            clean(&mut value);
            mask(&mut value, other, is_after);
            to_yaml_text(&value)
        })
    };
    (hide(before, after, false), hide(after, before, true))
}

fn clean(value: &mut Value) {
    if let Some(object) = value.as_object_mut() {
        object.remove("status");
    }
    let Some(meta) = value["metadata"].as_object_mut() else {
        return;
    };
    for key in SERVERS_OWN {
        meta.remove(key);
    }
    if let Some(annotations) = meta.get_mut("annotations").and_then(Value::as_object_mut) {
        annotations.remove("deployment.kubernetes.io/revision");
        annotations.remove("kubectl.kubernetes.io/last-applied-configuration");
    }
}

/// Hides the values of a Secret; one that changes says so.
fn mask(value: &mut Value, other: Option<&Value>, is_after: bool) {
    if value["kind"] != "Secret" || value["apiVersion"] != "v1" {
        return;
    }
    for list in ["data", "stringData"] {
        let others = other.and_then(|other| other[list].as_object()).cloned();
        if let Some(pairs) = value[list].as_object_mut() {
            mask_pairs(pairs, others.as_ref(), is_after);
        }
    }
}

fn mask_pairs(pairs: &mut Map<String, Value>, others: Option<&Map<String, Value>>, is_after: bool) {
    for (key, value) in pairs {
        let other = others.and_then(|others| others.get(key));
        let is_changed = is_after && other.is_some_and(|other| other != value);
        let length = value.as_str().map_or(0, str::len);
        let note = if is_changed { ", changed" } else { "" };
        *value = json!(format!("(hidden, {length} characters{note})"));
    }
}

/// Returns the unified diff of two texts, without headers; empty if they are
/// equal.
pub fn unified(before: &str, after: &str) -> String {
    let before: Vec<&str> = before.lines().collect();
    let after: Vec<&str> = after.lines().collect();
    let edits = edits(&before, &after);
    let mut out = String::new();
    for hunk in hunks(&edits) {
        let part = &edits[hunk.clone()];
        let count = |sign: char| {
            part.iter()
                .filter(|(of, _)| *of == ' ' || *of == sign)
                .count()
        };
        let start = |sign: char| {
            let passed = edits[..hunk.start]
                .iter()
                .filter(|(of, _)| *of == ' ' || *of == sign)
                .count();
            passed + usize::from(count(sign) > 0)
        };
        out.push_str(&format!(
            "@@ -{},{} +{},{} @@\n",
            start('-'),
            count('-'),
            start('+'),
            count('+')
        ));
        for (sign, line) in part {
            out.push_str(&format!("{sign}{line}\n"));
        }
    }
    out
}

/// Ranges of edits with their context, joined where they touch.
fn hunks(edits: &[(char, &str)]) -> Vec<std::ops::Range<usize>> {
    let mut hunks: Vec<std::ops::Range<usize>> = Vec::new();
    for (at, (sign, _)) in edits.iter().enumerate() {
        if *sign == ' ' {
            continue;
        }
        let (start, end) = (
            at.saturating_sub(CONTEXT),
            (at + CONTEXT + 1).min(edits.len()),
        );
        match hunks.last_mut() {
            Some(last) if last.end >= start => last.end = end,
            _ => hunks.push(start..end),
        }
    }
    hunks
}

/// Returns every line with its sign: blank, `-` or `+`.
fn edits<'t>(before: &[&'t str], after: &[&'t str]) -> Vec<(char, &'t str)> {
    let same = |(a, b): &(&&str, &&str)| a == b;
    let head = before.iter().zip(after).take_while(same).count();
    let (before_rest, after_rest) = (&before[head..], &after[head..]);
    let tail = before_rest
        .iter()
        .rev()
        .zip(after_rest.iter().rev())
        .take_while(same)
        .count();
    let old = &before_rest[..before_rest.len() - tail];
    let new = &after_rest[..after_rest.len() - tail];
    let mut edits: Vec<(char, &str)> = before[..head].iter().map(|line| (' ', *line)).collect();
    edits.extend(middle(old, new));
    let last = &before_rest[before_rest.len() - tail..];
    edits.extend(last.iter().map(|line| (' ', *line)));
    edits
}

/// The longest common subsequence, by the textbook table.
fn middle<'t>(old: &[&'t str], new: &[&'t str]) -> Vec<(char, &'t str)> {
    let all = |sign: char, lines: &[&'t str]| -> Vec<(char, &'t str)> {
        lines.iter().map(|line| (sign, *line)).collect()
    };
    if old.len().saturating_mul(new.len()) > CELLS_MAX {
        return [all('-', old), all('+', new)].concat();
    }
    let width = new.len() + 1;
    let mut common = vec![0_u32; (old.len() + 1) * width];
    for a in (0..old.len()).rev() {
        for b in (0..new.len()).rev() {
            common[a * width + b] = if old[a] == new[b] {
                common[(a + 1) * width + b + 1] + 1
            } else {
                common[(a + 1) * width + b].max(common[a * width + b + 1])
            };
        }
    }
    let (mut a, mut b) = (0, 0);
    let mut edits = Vec::new();
    while a < old.len() && b < new.len() {
        if old[a] == new[b] {
            edits.push((' ', old[a]));
            (a, b) = (a + 1, b + 1);
        } else if common[(a + 1) * width + b] >= common[a * width + b + 1] {
            edits.push(('-', old[a]));
            a += 1;
        } else {
            edits.push(('+', new[b]));
            b += 1;
        }
    }
    edits.extend(all('-', &old[a..]));
    edits.extend(all('+', &new[b..]));
    edits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn diffs_are_unified() {
        let check = |before: &str, after: &str, expected: &str| {
            assert_eq!(unified(before, after), expected);
        };
        check("a\nb\n", "a\nb\n", "");
        check(
            "a\nb\nc\n",
            "a\nB\nc\n",
            "@@ -1,3 +1,3 @@\n a\n-b\n+B\n c\n",
        );
        check("", "a\nb\n", "@@ -0,0 +1,2 @@\n+a\n+b\n");
        check("a\n", "", "@@ -1,1 +0,0 @@\n-a\n");
        let before = "1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n11\n12\n";
        let after = "1\nX\n3\n4\n5\n6\n7\n8\n9\n10\n11\n12\n13\n";
        check(
            before,
            after,
            "@@ -1,5 +1,5 @@\n 1\n-2\n+X\n 3\n 4\n 5\n@@ -10,3 +10,4 @@\n 10\n 11\n 12\n+13\n",
        );
    }

    #[test]
    fn secrets_and_what_the_server_fills_in_are_not_shown() {
        let secret = |value: &str| json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", "uid": "u", "managedFields": []}, "data": {"k": value, "same": "x"}});
        let (before, after) = texts(Some(&secret("b2xk")), Some(&secret("bmV3")));
        assert_eq!(
            unified(&before, &after),
            "@@ -1,6 +1,6 @@\n apiVersion: v1\n data:\n-  k: (hidden, 4 characters)\n+  k: (hidden, 4 characters, changed)\n   same: (hidden, 1 characters)\n kind: Secret\n metadata:\n"
        );
        assert_eq!(texts(None, None), (String::new(), String::new()));
    }
}
