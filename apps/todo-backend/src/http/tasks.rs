//! Tasks over HTTP: reading drafts and filters, and the eight verbs.

use axum::Json;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::AppState;
use super::error::ApiError;
use super::input::{Body, text_of};
use crate::auth::caller::Owner;
use crate::model::tasks::{
    self, Draft, Filter, Frequency, Page, Priority, Recurrence, Reminder, Sort, Task,
};
use crate::time;

/// The query of a list.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct ListQuery {
    status: Option<String>,
    completed: Option<bool>,
    priority: Option<String>,
    tag: Option<String>,
    q: Option<String>,
    search: Option<String>,
    due_before: Option<String>,
    due_after: Option<String>,
    sort: Option<String>,
    sort_by: Option<String>,
    order: Option<String>,
    limit: Option<i64>,
    offset: Option<i64>,
    envelope: Option<String>,
}

/// `GET /api/{user_id}/tasks`: an array, or an envelope when asked for.
pub async fn list_bare(
    State(state): State<AppState>,
    owner: Owner,
    query: Result<Query<ListQuery>, axum::extract::rejection::QueryRejection>,
) -> Result<Response, ApiError> {
    let query = accepted(query)?;
    let enveloped = query
        .envelope
        .as_deref()
        .is_some_and(|flag| flag != "0" && flag != "false");
    let page = page(&state, &owner, query).await?;
    Ok(if enveloped {
        envelope(&page)
    } else {
        array(&page)
    })
}

/// `GET /api/tasks`: an envelope with counts.
pub async fn list(
    State(state): State<AppState>,
    owner: Owner,
    query: Result<Query<ListQuery>, axum::extract::rejection::QueryRejection>,
) -> Result<Response, ApiError> {
    let page = page(&state, &owner, accepted(query)?).await?;
    Ok(envelope(&page))
}

fn accepted(
    query: Result<Query<ListQuery>, axum::extract::rejection::QueryRejection>,
) -> Result<ListQuery, ApiError> {
    let query = query.map_err(|error| ApiError::invalid(error.body_text()))?;
    Ok(query.0)
}

async fn page(state: &AppState, owner: &Owner, query: ListQuery) -> Result<Page, ApiError> {
    let filter = filter_of(query)?;
    Ok(tasks::list(state.database(), &owner.id, &filter).await?)
}

fn array(page: &Page) -> Response {
    let tasks: Vec<Value> = page.tasks.iter().map(Task::json).collect();
    with_total(Json(tasks).into_response(), page.total)
}

fn envelope(page: &Page) -> Response {
    let body = json!({
        "tasks": page.tasks.iter().map(Task::json).collect::<Vec<_>>(),
        "total": page.total,
        "completed": page.completed,
        "pending": page.total - page.completed,
    });
    with_total(Json(body).into_response(), page.total)
}

fn with_total(mut response: Response, total: i64) -> Response {
    response
        .headers_mut()
        .insert("x-total-count", HeaderValue::from(total));
    response
}

fn filter_of(query: ListQuery) -> Result<Filter, ApiError> {
    let completed = match query.status.as_deref() {
        None | Some("all" | "") => query.completed,
        Some("pending" | "active" | "todo") => Some(false),
        Some("completed" | "done") => Some(true),
        Some(_) => {
            return Err(ApiError::invalid(
                "status must be all, pending or completed",
            ));
        }
    };
    let sort = match query.sort.or(query.sort_by).as_deref() {
        None | Some("created" | "created_at" | "") => Sort::Created,
        Some("title") => Sort::Title,
        Some("due_date" | "due") => Sort::DueDate,
        Some("priority") => Sort::Priority,
        Some(_) => {
            return Err(ApiError::invalid(
                "sort must be created, title, due_date or priority",
            ));
        }
    };
    let descending = match query.order.as_deref() {
        Some("asc") => false,
        Some("desc") => true,
        // Newest and most urgent first, A before Z, soonest first.
        None | Some("") => matches!(sort, Sort::Created | Sort::Priority),
        Some(_) => return Err(ApiError::invalid("order must be asc or desc")),
    };
    let given = |text: Option<String>| text.filter(|text| !text.trim().is_empty());
    Ok(Filter {
        completed,
        priority: given(query.priority)
            .map(|text| priority_of(&text))
            .transpose()?,
        tag: given(query.tag),
        text: given(query.q).or(given(query.search)),
        due_before: given(query.due_before)
            .map(|text| instant_of(&text, "due_before"))
            .transpose()?,
        due_after: given(query.due_after)
            .map(|text| instant_of(&text, "due_after"))
            .transpose()?,
        sort,
        descending,
        limit: within(query.limit.unwrap_or(100), 1, 100, "limit")?,
        offset: within(query.offset.unwrap_or(0), 0, 1_000_000, "offset")?,
    })
}

fn within(number: i64, least: i64, most: i64, field: &str) -> Result<i64, ApiError> {
    if (least..=most).contains(&number) {
        return Ok(number);
    }
    Err(ApiError::invalid(format!(
        "{field} must be from {least} to {most}"
    )))
}

/// `POST …/tasks`.
pub async fn create(
    State(state): State<AppState>,
    owner: Owner,
    body: Body,
) -> Result<Response, ApiError> {
    let draft = draft_of(Draft::default(), &body.0)?;
    let task = tasks::create(state.database(), &owner.id, &draft).await?;
    // A valid token of a user that is gone finds no row to count in.
    let task = task.ok_or_else(ApiError::not_found)?;
    state.tasks_changed().notify_one();
    Ok((StatusCode::CREATED, Json(task.json())).into_response())
}

/// `GET …/tasks/{id}`.
pub async fn read(State(state): State<AppState>, owner: Owner) -> Result<Json<Value>, ApiError> {
    Ok(Json(find(&state, &owner).await?.json()))
}

async fn find(state: &AppState, owner: &Owner) -> Result<Task, ApiError> {
    let task = tasks::find(state.database(), &owner.id, owner.number("id")?).await?;
    task.ok_or_else(ApiError::not_found)
}

/// `PUT` and `PATCH …/tasks/{id}`: absent fields stay.
pub async fn update(
    State(state): State<AppState>,
    owner: Owner,
    body: Body,
) -> Result<Json<Value>, ApiError> {
    let task = find(&state, &owner).await?;
    let draft = draft_of(task.draft(), &body.0)?;
    let task = tasks::update(state.database(), &owner.id, &task, &draft).await?;
    state.tasks_changed().notify_one();
    Ok(Json(task.ok_or_else(ApiError::not_found)?.json()))
}

/// `PATCH …/tasks/{id}/complete`: turns done into not done and back.
pub async fn toggle(State(state): State<AppState>, owner: Owner) -> Result<Json<Value>, ApiError> {
    let task = find(&state, &owner).await?;
    let database = state.database();
    let task = tasks::set_completed(database, &owner.id, &task, !task.completed).await?;
    Ok(Json(task.ok_or_else(ApiError::not_found)?.json()))
}

/// `DELETE …/tasks/{id}`.
pub async fn delete(State(state): State<AppState>, owner: Owner) -> Result<StatusCode, ApiError> {
    if tasks::delete(state.database(), &owner.id, owner.number("id")?).await? {
        return Ok(StatusCode::NO_CONTENT);
    }
    Err(ApiError::not_found())
}

/// `GET /api/{user_id}/stats`.
pub async fn stats(State(state): State<AppState>, owner: Owner) -> Result<Json<Value>, ApiError> {
    Ok(Json(
        tasks::stats(state.database(), &owner.id).await?.json(),
    ))
}

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

fn priority_of(text: &str) -> Result<Priority, ApiError> {
    Priority::parse(text.trim()).ok_or_else(|| ApiError::invalid(PRIORITY_RULE))
}

fn instant_of(text: &str, field: &str) -> Result<time::Millis, ApiError> {
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
