//! The query of a list.

use axum::extract::Query;
use axum::extract::rejection::QueryRejection;
use serde::Deserialize;

use super::draft::{instant_of, priority_of};
use crate::http::error::ApiError;
use crate::model::tasks::{Filter, Sort};

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
    pub(super) envelope: Option<String>,
}

/// A query that may not have been readable.
pub type Asked = Result<Query<ListQuery>, QueryRejection>;

/// Returns the query, or a refusal that says what is wrong with it.
pub(super) fn accepted(query: Asked) -> Result<ListQuery, ApiError> {
    let query = query.map_err(|error| ApiError::invalid(error.body_text()))?;
    Ok(query.0)
}

/// Returns which tasks are asked for.
pub(super) fn filter_of(query: ListQuery) -> Result<Filter, ApiError> {
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
