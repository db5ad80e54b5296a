//! Tasks over HTTP: the verbs. What they are given is read in `query` and
//! `draft`.

mod draft;
mod query;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode};
use serde_json::{Value, json};

pub use draft::draft_of;

use query::{Asked, ListQuery, accepted, filter_of};

use super::AppState;
use super::error::ApiError;
use super::input::Body;
use crate::auth::caller::Owner;
use crate::model::tasks::{self, Draft, Page, Task};

/// `GET /api/{user_id}/tasks`: an array, or an envelope when asked for.
pub async fn list_bare(
    State(state): State<AppState>,
    owner: Owner,
    query: Asked,
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
    query: Asked,
) -> Result<Response, ApiError> {
    let page = page(&state, &owner, accepted(query)?).await?;
    Ok(envelope(&page))
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
