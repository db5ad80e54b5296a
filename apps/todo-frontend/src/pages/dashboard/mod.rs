//! The list of tasks: show, add, complete, delete. What the address says is
//! read in `filter`, the page is made in `view` and `list`.

mod filter;
mod list;
mod view;

use axum::extract::{Form, Path, Query, State};
use axum::response::{IntoResponse, Redirect, Response};
use http::{Method, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

pub use view::priority_options;

use filter::{Filter, Stretch};

use super::failure;
use super::form::{Failed, submit};
use super::frame::{Page, Width};
use crate::api::call;
use crate::dates;
use crate::server::App;
use crate::visitor::Visitor;

/// The form that adds a task.
#[derive(Deserialize, Default)]
#[serde(default)]
pub struct Addition {
    title: String,
    priority: String,
    due_date: String,
    tags: String,
}

/// Where a form goes back to.
#[derive(Deserialize, Default)]
#[serde(default)]
pub struct Back {
    back: String,
}

/// `GET /dashboard`.
pub async fn show(
    State(app): State<App>,
    visitor: Visitor,
    Query(filter): Query<Filter>,
) -> Response {
    render(&app, &visitor, &filter, StatusCode::OK, None).await
}

async fn render(
    app: &App,
    visitor: &Visitor,
    filter: &Filter,
    status: StatusCode,
    error: Option<&str>,
) -> Response {
    let due = dates::due_before(&filter.due, &visitor.now());
    let list = filter.request(due.as_deref());
    let (list, stats) = tokio::join!(
        call(app.client(), visitor, Method::GET, &list, None),
        call(app.client(), visitor, Method::GET, "/api/stats", None),
    );
    match (list, stats) {
        (Ok(list), Ok(stats)) => {
            // The last task of the last page may be gone.
            let total = list.body["total"].as_u64().unwrap_or_default();
            let pages = Stretch::of(filter.page(), total).pages;
            if filter.page() > pages {
                return Redirect::to(&filter.at(pages).path()).into_response();
            }
            let body = view::body(visitor, filter, &list.body, &stats.body, error);
            Page {
                title: "Tasks",
                path: "/dashboard",
                width: Width::Wide,
                body,
            }
            .answer(visitor, status)
        }
        (Err(failure), _) | (_, Err(failure)) => failure::page(app, visitor, &failure),
    }
}

/// `POST /tasks`.
pub async fn add(
    State(app): State<App>,
    visitor: Visitor,
    Form(addition): Form<Addition>,
) -> Response {
    let mut body = json!({"title": addition.title, "tags": tags(&addition.tags)});
    if !addition.priority.is_empty() {
        body["priority"] = addition.priority.into();
    }
    if let Some(due) = dates::read(&addition.due_date, &visitor.zone) {
        body["due_date"] = due.into();
    }
    let asked = (Method::POST, "/api/tasks", Some(&body));
    change(&app, &visitor, asked, "/dashboard").await
}

/// Reads tags that are written with commas.
pub fn tags(text: &str) -> Value {
    text.split(',')
        .map(|tag| tag.trim().trim_start_matches('#'))
        .filter(|tag| !tag.is_empty())
        .collect()
}

/// `POST /tasks/{id}/toggle`.
pub async fn toggle(
    State(app): State<App>,
    visitor: Visitor,
    Path(id): Path<i64>,
    Form(back): Form<Back>,
) -> Response {
    let path = format!("/api/tasks/{id}/complete");
    change(&app, &visitor, (Method::PATCH, &path, None), back.path()).await
}

/// `POST /tasks/{id}/delete`.
pub async fn delete(
    State(app): State<App>,
    visitor: Visitor,
    Path(id): Path<i64>,
    Form(back): Form<Back>,
) -> Response {
    let path = format!("/api/tasks/{id}");
    change(&app, &visitor, (Method::DELETE, &path, None), back.path()).await
}

impl Back {
    /// Only to the list: a form must not become a way to other sites.
    fn path(&self) -> &str {
        if self.back.starts_with("/dashboard") {
            &self.back
        } else {
            "/dashboard"
        }
    }
}

/// Asks the API for a change, then leads back to the list; a refusal is shown
/// above it.
async fn change(
    app: &App,
    visitor: &Visitor,
    (method, path, body): (Method, &str, Option<&Value>),
    back: &str,
) -> Response {
    match submit(app, visitor, method, path, body).await {
        Ok(_) => Redirect::to(back).into_response(),
        Err(Failed::Refused(status, reason)) => {
            render(app, visitor, &Filter::default(), status, Some(&reason)).await
        }
        Err(Failed::Page(page)) => *page,
    }
}
