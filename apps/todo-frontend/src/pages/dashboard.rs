//! The list of tasks: add, complete, delete, filter.

use axum::extract::{Form, Path, Query, State};
use axum::response::{IntoResponse, Redirect, Response};
use http::{Method, StatusCode};
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::{Value, json};

use super::entry::sentence;
use super::failure;
use super::frame::Page;
use crate::api::{ApiFailure, call};
use crate::server::App;
use crate::visitor::Visitor;

/// The filter in the address.
#[derive(Deserialize, Default)]
#[serde(default)]
pub struct Filter {
    status: String,
}

/// The form that adds a task.
#[derive(Deserialize, Default)]
#[serde(default)]
pub struct Addition {
    title: String,
    priority: String,
    due_date: String,
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
    let wanted = match filter.status.as_str() {
        "pending" | "completed" => filter.status.as_str(),
        _ => "all",
    };
    let path = format!("/api/tasks?status={wanted}");
    match call(app.client(), visitor, Method::GET, &path, None).await {
        Ok(answer) => {
            let body = page_body(&answer.body, wanted, error);
            Page {
                title: "Tasks",
                path: "/dashboard",
                narrow: false,
                body,
            }
            .answer(visitor, status)
        }
        Err(failure) => failure::page(app, visitor, &failure),
    }
}

/// `POST /tasks`.
pub async fn add(
    State(app): State<App>,
    visitor: Visitor,
    Form(addition): Form<Addition>,
) -> Response {
    if !visitor.same_origin {
        return failure::foreign_form(&visitor);
    }
    let mut body = json!({"title": addition.title});
    if !addition.priority.is_empty() {
        body["priority"] = addition.priority.into();
    }
    if !addition.due_date.is_empty() {
        body["due_date"] = addition.due_date.into();
    }
    let made = call(
        app.client(),
        &visitor,
        Method::POST,
        "/api/tasks",
        Some(&body),
    )
    .await;
    after(&app, &visitor, made.map(|_| ())).await
}

/// `POST /tasks/{id}/toggle`.
pub async fn toggle(State(app): State<App>, visitor: Visitor, Path(id): Path<i64>) -> Response {
    if !visitor.same_origin {
        return failure::foreign_form(&visitor);
    }
    let path = format!("/api/tasks/{id}/complete");
    let done = call(app.client(), &visitor, Method::PATCH, &path, None).await;
    after(&app, &visitor, done.map(|_| ())).await
}

/// `POST /tasks/{id}/delete`.
pub async fn delete(State(app): State<App>, visitor: Visitor, Path(id): Path<i64>) -> Response {
    if !visitor.same_origin {
        return failure::foreign_form(&visitor);
    }
    let path = format!("/api/tasks/{id}");
    let done = call(app.client(), &visitor, Method::DELETE, &path, None).await;
    after(&app, &visitor, done.map(|_| ())).await
}

async fn after(app: &App, visitor: &Visitor, outcome: Result<(), ApiFailure>) -> Response {
    match outcome {
        Ok(()) => Redirect::to("/dashboard").into_response(),
        Err(ApiFailure::Refused { status, detail }) => {
            render(app, visitor, &Filter::default(), status, Some(&detail)).await
        }
        Err(failure) => failure::page(app, visitor, &failure),
    }
}

fn page_body(list: &Value, wanted: &str, error: Option<&str>) -> Markup {
    let empty = Vec::new();
    let tasks = list["tasks"].as_array().unwrap_or(&empty);
    html! {
        div.head {
            h1 { "Your tasks" }
            dl.counts {
                div { dt { "open" } dd { (list["pending"].as_i64().unwrap_or_default()) } }
                div { dt { "done" } dd { (list["completed"].as_i64().unwrap_or_default()) } }
            }
        }
        div.stack {
            @if let Some(error) = error { p.note.bad role="alert" { (sentence(error)) } }
            (add_form())
            (filters(wanted))
            @if tasks.is_empty() {
                div.card.empty {
                    h2 { "Nothing here" }
                    p { "Add a task above and it will wait for you in this place." }
                }
            } @else {
                ul.tasks aria-label="Tasks" { @for task in tasks { (row(task)) } }
            }
        }
    }
}

fn add_form() -> Markup {
    html! {
        form.card method="post" action="/tasks" {
            div.row {
                div.grow {
                    label.hidden for="title" { "New task" }
                    input id="title" name="title" placeholder="What needs doing?" required maxlength="200" autocomplete="off";
                }
                div {
                    label.hidden for="priority" { "Priority" }
                    select id="priority" name="priority" {
                        option value="low" { "Low" }
                        option value="medium" selected { "Medium" }
                        option value="high" { "High" }
                        option value="urgent" { "Urgent" }
                    }
                }
                div {
                    label.hidden for="due_date" { "Due date" }
                    input id="due_date" name="due_date" type="date";
                }
                button type="submit" { "Add" }
            }
        }
    }
}

fn filters(wanted: &str) -> Markup {
    let choices = [("all", "All"), ("pending", "Open"), ("completed", "Done")];
    html! {
        nav.row aria-label="Filter" {
            @for (value, text) in choices {
                a.button.quiet href={ "/dashboard?status=" (value) } aria-current=[(value == wanted).then_some("true")] { (text) }
            }
        }
    }
}

fn row(task: &Value) -> Markup {
    let id = task["id"].as_i64().unwrap_or_default();
    let done = task["completed"].as_bool().unwrap_or_default();
    let title = task["title"].as_str().unwrap_or_default();
    let priority = task["priority"].as_str().unwrap_or("medium");
    let due = task["due_date"].as_str().and_then(|due| due.get(..10));
    html! {
        li.task.done[done] {
            form method="post" action={ "/tasks/" (id) "/toggle" } {
                button.tick type="submit" aria-label={ @if done { "Reopen " } @else { "Complete " } (title) } { "✓" }
            }
            div.body {
                span.title { (title) }
                span.meta {
                    span { "#" (id) }
                    @if priority != "medium" { span.chip class=(priority) { (priority) } }
                    @if let Some(due) = due { span.chip { "due " (due) } }
                }
            }
            form method="post" action={ "/tasks/" (id) "/delete" } {
                button.plain type="submit" aria-label={ "Delete " (title) } { "Delete" }
            }
        }
    }
}
