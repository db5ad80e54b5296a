//! Rows of tables as text, kept beside their objects: all of a row but the age
//! is made once. A row that tells of other times too is made anew each time.

use coracle_machinery::kind::Kind;
use coracle_machinery::{table, time};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use crate::object::to_vec;

/// Long enough for every duration that a cell shows to show another one.
const LATER: SignedDuration = SignedDuration::from_hours(24 * 400);

/// A row whose age alone changes as time goes by.
#[derive(Debug, Clone)]
pub struct KeptRow {
    before: Box<[u8]>,
    created: Timestamp,
    after: Box<[u8]>,
}

impl KeptRow {
    /// Makes the row of an object; `None` where it cannot be kept.
    #[must_use]
    pub fn of(kind: &'static Kind, object: &Value, now: Timestamp) -> Option<KeptRow> {
        let created = time::read(object["metadata"]["creationTimestamp"].as_str()?)?;
        let row = table::row(kind, object, now);
        let later = table::row(kind, object, now.checked_add(LATER).ok()?);
        let differs = |(one, other): (&Value, &Value)| one != other;
        let mut changing = row.cells.iter().zip(&later.cells).enumerate();
        let age = changing.find(|(_, pair)| differs(*pair))?.0;
        let more = changing.any(|(_, pair)| differs(pair));
        let shown = time::human(now.duration_since(created));
        if more || row.conditions != later.conditions || row.cells[age] != shown.as_str() {
            return None;
        }
        let (mut before, mut after) = (b"{\"cells\":[".to_vec(), Vec::new());
        for cell in &row.cells[..age] {
            before.extend_from_slice(&to_vec(cell));
            before.push(b',');
        }
        for cell in &row.cells[age + 1..] {
            after.push(b',');
            after.extend_from_slice(&to_vec(cell));
        }
        after.push(b']');
        if !row.conditions.is_empty() {
            after.extend_from_slice(b",\"conditions\":");
            after.extend_from_slice(&to_vec(&Value::Array(row.conditions)));
        }
        Some(KeptRow {
            before: before.into(),
            created,
            after: after.into(),
        })
    }

    /// Appends the row as JSON, its closing brace left off.
    pub fn write(&self, now: Timestamp, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.before);
        out.push(b'"');
        // Ages are letters and digits.
        out.extend_from_slice(time::human(now.duration_since(self.created)).as_bytes());
        out.push(b'"');
        out.extend_from_slice(&self.after);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pod(status: Value) -> Value {
        json!({"metadata": {"name": "x", "creationTimestamp": "2024-01-01T00:00:00Z"},
            "spec": {"containers": [{"name": "c"}]}, "status": status})
    }

    fn kept(object: &Value, now: &str) -> Option<KeptRow> {
        let kind = coracle_machinery::kinds::by_plural("", "v1", "pods").unwrap();
        KeptRow::of(kind, object, now.parse().unwrap())
    }

    #[test]
    fn a_kept_row_grows_old_as_a_new_one() {
        let kind = coracle_machinery::kinds::by_plural("", "v1", "pods").unwrap();
        let done = pod(json!({"phase": "Succeeded"}));
        for object in [pod(json!({"phase": "Running"})), done] {
            let kept = kept(&object, "2024-01-01T00:00:05Z").unwrap();
            for now in ["2024-01-01T00:00:05Z", "2024-01-01T01:00:00Z"] {
                let now = now.parse().unwrap();
                let mut text = Vec::new();
                kept.write(now, &mut text);
                text.push(b'}');
                let row = crate::table::row_at(kind, &object, now);
                assert_eq!(serde_json::from_slice::<Value>(&text).unwrap(), row);
            }
        }
    }

    #[test]
    fn a_row_with_another_time_is_not_kept() {
        let last = json!({"terminated": {"finishedAt": "2024-01-01T00:00:01Z"}});
        let container = json!({"name": "c", "restartCount": 1, "lastState": last});
        let object = pod(json!({"phase": "Running", "containerStatuses": [container]}));
        assert!(kept(&object, "2024-01-01T00:00:05Z").is_none());
    }
}
