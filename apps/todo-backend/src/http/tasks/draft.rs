//! What a body sets of a task, checked field by field.

use serde_json::{Map, Value, json};

use crate::http::error::ApiError;
use crate::http::input::text_of;
use crate::model::recurrence::{Frequency, Recurrence};
use crate::model::tasks::{Draft, Priority, Reminder};
use crate::time;

/// Lays the fields of a body over a draft and checks the result.
///
/// # Errors
/// 422 naming the field.
pub fn draft_of(mut draft: Draft, body: &Map<String, Value>) -> Result<Draft, ApiError> {
    if draft.title.is_empty() || body.contains_key("title") {
        draft.title = text_of(body.get("title"), "title", 1, 200)?;
    }
    if body.contains_key("description") {
        draft.description = text_of(body.get("description"), "description", 0, 1000)?;
    }
    match body.get("completed") {
        None | Some(Value::Null) => {}
        Some(Value::Bool(truth)) => draft.completed = *truth,
        Some(_) => return Err(ApiError::invalid("completed must be true or false")),
    }
    match body.get("priority") {
        None | Some(Value::Null) => {}
        Some(Value::String(text)) => draft.priority = priority_of(text)?,
        Some(_) => return Err(ApiError::invalid(PRIORITY_RULE)),
    }
    match body.get("due_date") {
        None => {}
        Some(Value::Null) => draft.due_date = None,
        Some(Value::String(text)) if text.trim().is_empty() => draft.due_date = None,
        Some(Value::String(text)) => draft.due_date = Some(due_of(text)?),
        Some(_) => return Err(ApiError::invalid("due_date must be an RFC 3339 date")),
    }
    if let Some(tags) = body.get("tags") {
        draft.tags = tags_of(tags)?;
    }
    if let Some(recurrence) = body.get("recurrence") {
        draft.recurrence = recurrence_of(recurrence)?;
    }
    if let Some(reminders) = body.get("reminders") {
        draft.reminders = reminders_of(reminders)?;
    }
    if !draft.reminders.is_empty() && draft.due_date.is_none() {
        return Err(ApiError::invalid("reminders need a due_date"));
    }
    Ok(draft)
}

const PRIORITY_RULE: &str = "priority must be low, medium, high or urgent";

/// Reads a priority.
pub(super) fn priority_of(text: &str) -> Result<Priority, ApiError> {
    Priority::parse(text.trim()).ok_or_else(|| ApiError::invalid(PRIORITY_RULE))
}

/// Reads an instant; `field` is named when it is none.
pub(super) fn instant_of(text: &str, field: &str) -> Result<time::Millis, ApiError> {
    let at = time::parse(text.trim());
    at.ok_or_else(|| ApiError::invalid(format!("{field} must be an RFC 3339 date")))
}

/// Reads a due date; a day alone lasts until its end, as on the pages and for
/// the assistant.
fn due_of(text: &str) -> Result<time::Millis, ApiError> {
    let text = text.trim();
    let is_day = text.len() == 10 && text.parse::<jiff::civil::Date>().is_ok();
    match is_day {
        true => instant_of(&format!("{text}T23:59:00Z"), "due_date"),
        false => instant_of(text, "due_date"),
    }
}

fn tags_of(value: &Value) -> Result<Vec<String>, ApiError> {
    let list = match value {
        Value::Null => return Ok(Vec::new()),
        Value::Array(list) => list,
        _ => return Err(ApiError::invalid("tags must be a list")),
    };
    let mut tags: Vec<String> = Vec::new();
    for value in list {
        let tag = text_of(Some(value), "tags", 1, 50)?;
        if !tags.iter().any(|known| known.eq_ignore_ascii_case(&tag)) {
            tags.push(tag);
        }
    }
    if tags.len() > 10 {
        return Err(ApiError::invalid("at most 10 tags are allowed"));
    }
    Ok(tags)
}

fn recurrence_of(value: &Value) -> Result<Option<Recurrence>, ApiError> {
    if value.is_null() {
        return Ok(None);
    }
    let rule = "recurrence needs frequency daily, weekly or monthly, and fitting fields";
    // The unit alone will do: "daily".
    let whole = match value {
        Value::String(unit) => json!({"frequency": unit}),
        other => other.clone(),
    };
    let recurrence: Recurrence =
        serde_json::from_value(whole).map_err(|_| ApiError::invalid(rule))?;
    let days = &recurrence.days_of_week;
    let fits = match recurrence.frequency {
        Frequency::Daily => days.is_empty() && recurrence.day_of_month.is_none(),
        Frequency::Weekly => days.len() <= 7 && recurrence.day_of_month.is_none(),
        Frequency::Monthly => days.is_empty(),
    };
    let ranges = (1..=365).contains(&recurrence.interval)
        && days.iter().all(|day| *day <= 6)
        && recurrence
            .day_of_month
            .is_none_or(|day| (1..=31).contains(&day));
    if fits && ranges {
        Ok(Some(recurrence))
    } else {
        Err(ApiError::invalid(rule))
    }
}

fn reminders_of(value: &Value) -> Result<Vec<Reminder>, ApiError> {
    let rule = "reminders are a list of {before: ISO 8601 duration, channel: push or email}";
    if value.is_null() {
        return Ok(Vec::new());
    }
    // The duration alone will do: "PT30M".
    let whole = |one: &Value| match one {
        Value::String(before) => json!({"before": before}),
        other => other.clone(),
    };
    let list = value.as_array().ok_or_else(|| ApiError::invalid(rule))?;
    let list: Value = list.iter().map(whole).collect();
    let reminders: Vec<Reminder> =
        serde_json::from_value(list).map_err(|_| ApiError::invalid(rule))?;
    if reminders.len() > 5 {
        return Err(ApiError::invalid("at most 5 reminders are allowed"));
    }
    let good = |reminder: &Reminder| {
        reminder
            .before
            .parse::<jiff::SignedDuration>()
            .is_ok_and(|before| !before.is_negative())
            && matches!(reminder.channel.as_str(), "push" | "email")
    };
    if reminders.iter().all(good) {
        Ok(reminders)
    } else {
        Err(ApiError::invalid(rule))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_alone_lasts_until_its_end() {
        let check = |given: &str, expected: &str| {
            let due = due_of(given).ok().map(time::text);
            assert_eq!(due.as_deref(), Some(expected), "{given}");
        };
        check("2026-01-02", "2026-01-02T23:59:00Z");
        check("2026-01-02T00:00:00Z", "2026-01-02T00:00:00Z");
        check("2026-01-02T17:30", "2026-01-02T17:30:00Z");
    }

    #[test]
    fn rules_name_the_field() {
        let check = |body: Value, expected: Result<&str, &str>| {
            let Value::Object(object) = body else {
                panic!("object")
            };
            let found = draft_of(Draft::default(), &object);
            let found = found
                .map(|draft| draft.title)
                .map_err(|error| error.detail().to_owned());
            assert_eq!(
                found.as_deref().map_err(String::as_str),
                expected,
                "{object:?}"
            );
        };
        check(json!({"title": " Buy milk "}), Ok("Buy milk"));
        check(json!({}), Err("title is required"));
        check(json!({"title": "  "}), Err("title is required"));
        check(json!({"title": 5}), Err("title must be text"));
        check(
            json!({"title": "x".repeat(201)}),
            Err("title has 201 characters, 200 are allowed"),
        );
        check(json!({"title": "é".repeat(200)}), Ok(&"é".repeat(200)));
        check(json!({"title": "a\0b"}), Err("title must not contain NUL"));
        check(
            json!({"title": "t", "description": "x".repeat(1001)}),
            Err("description has 1001 characters, 1000 are allowed"),
        );
        check(
            json!({"title": "t", "priority": "later"}),
            Err(PRIORITY_RULE),
        );
        check(
            json!({"title": "t", "due_date": "soon"}),
            Err("due_date must be an RFC 3339 date"),
        );
        check(
            json!({"title": "t", "tags": "a"}),
            Err("tags must be a list"),
        );
        let many: Vec<_> = (0..11).map(|number| number.to_string()).collect();
        check(
            json!({"title": "t", "tags": many}),
            Err("at most 10 tags are allowed"),
        );
        check(
            json!({"title": "t", "reminders": [{"before": "PT5M"}]}),
            Err("reminders need a due_date"),
        );
        check(
            json!({"title": "t", "due_date": "2026-01-02", "reminders": [{"before": "PT5M"}]}),
            Ok("t"),
        );
        check(
            json!({"title": "t", "recurrence": {"frequency": "weekly", "days_of_week": [0, 6]}}),
            Ok("t"),
        );
        check(
            json!({"title": "t", "recurrence": "daily", "due_date": "2026-01-02", "reminders": ["PT5M"]}),
            Ok("t"),
        );
        check(json!({"title": "t", "priority": "med"}), Ok("t"));
        check(
            json!({"title": "t", "due_date": "2026-01-02", "reminders": "PT5M"}),
            Err("reminders are a list of {before: ISO 8601 duration, channel: push or email}"),
        );
        check(
            json!({"title": "t", "recurrence": {"frequency": "daily", "days_of_week": [1]}}),
            Err("recurrence needs frequency daily, weekly or monthly, and fitting fields"),
        );
    }
}
