//! What reminders left, and what is due today.

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use serde_json::{Value, json};

use super::AppState;
use super::error::ApiError;
use crate::auth::caller::Owner;
use crate::model::notifications;
use crate::model::tasks::{self, Filter, Sort, Task};
use crate::model::users;

/// `GET /api/notifications`.
pub async fn list(State(state): State<AppState>, owner: Owner) -> Result<Json<Value>, ApiError> {
    let database = state.database();
    let user = users::by_id(database, &owner.id)
        .await?
        .ok_or_else(ApiError::not_found)?;
    let zone = jiff::tz::TimeZone::get(&user.prefs.timezone).unwrap_or(jiff::tz::TimeZone::UTC);
    let today = jiff::Timestamp::now().to_zoned(zone);
    let end = today
        .tomorrow()
        .and_then(|tomorrow| tomorrow.start_of_day());
    let due_before = end.ok().map(|end| end.timestamp().as_millisecond());
    let filter = Filter {
        completed: Some(false),
        due_before,
        sort: Sort::DueDate,
        limit: 20,
        ..Filter::default()
    };
    let due = tasks::list(database, &owner.id, &filter).await?;
    let found = notifications::list(database, &owner.id).await?;
    let unread = found.iter().filter(|one| one["read_at"].is_null()).count();
    Ok(Json(json!({
        "notifications": found,
        "unread": unread,
        "due_today": due.tasks.iter().map(Task::json).collect::<Vec<_>>(),
    })))
}

/// `PATCH /api/notifications/{nid}/read`.
pub async fn mark_read(
    State(state): State<AppState>,
    owner: Owner,
) -> Result<Json<Value>, ApiError> {
    let found = notifications::mark_read(state.database(), &owner.id, owner.number("nid")?).await?;
    found.map(Json).ok_or_else(ApiError::not_found)
}

/// `POST /api/notifications/mark-all-read`.
pub async fn mark_all(State(state): State<AppState>, owner: Owner) -> Result<StatusCode, ApiError> {
    notifications::mark_all_read(state.database(), &owner.id).await?;
    Ok(StatusCode::NO_CONTENT)
}
