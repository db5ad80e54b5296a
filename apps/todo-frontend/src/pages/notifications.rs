//! Reminders that fired, and what is due today.

use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use http::{Method, StatusCode};
use maud::{Markup, html};
use serde_json::Value;

use super::frame::{Page, Width};
use super::{failure, icons};
use crate::api::call;
use crate::dates;
use crate::server::App;
use crate::visitor::Visitor;

/// `GET /notifications`.
pub async fn show(State(app): State<App>, visitor: Visitor) -> Response {
    match call(
        app.client(),
        &visitor,
        Method::GET,
        "/api/notifications",
        None,
    )
    .await
    {
        Ok(answer) => {
            let body = body(&visitor, &answer.body);
            Page {
                title: "Reminders",
                path: "/notifications",
                width: Width::Medium,
                body,
            }
            .answer(&visitor, StatusCode::OK)
        }
        Err(failure) => failure::page(&app, &visitor, &failure),
    }
}

/// `POST /notifications`: all of them are read.
pub async fn mark_all(State(app): State<App>, visitor: Visitor) -> Response {
    if !visitor.same_origin {
        return failure::foreign_form(&visitor);
    }
    match call(
        app.client(),
        &visitor,
        Method::POST,
        "/api/notifications/mark-all-read",
        None,
    )
    .await
    {
        Ok(_) => Redirect::to("/notifications").into_response(),
        Err(failure) => failure::page(&app, &visitor, &failure),
    }
}

fn body(visitor: &Visitor, answer: &Value) -> Markup {
    let empty = Vec::new();
    let list = |key: &str| answer[key].as_array().unwrap_or(&empty);
    let now = visitor.now();
    html! {
        div.head { h1 { (visitor.t("Reminders")) } }
        div.stack {
            @if list("notifications").is_empty() {
                div.card.empty { span.big { (icons::bell()) } h2 { (visitor.t("Nothing new")) } }
            } @else {
                ul.tasks {
                    @for one in list("notifications") {
                        li.task.done[!one["read_at"].is_null()] {
                            div.body {
                                a.title href={ "/tasks/" (one["task_id"]) } { bdi { (one["title"].as_str().unwrap_or_default()) } }
                                span.meta { (dates::label(one["created_at"].as_str().unwrap_or_default(), visitor, &now)) }
                            }
                        }
                    }
                }
                form method="post" action="/notifications" { button.quiet type="submit" { (visitor.t("Mark all read")) } }
            }
            @if !list("due_today").is_empty() {
                section {
                    h2.group { (visitor.t("Due today")) span { (list("due_today").len()) } }
                    ul.tasks {
                        @for task in list("due_today") {
                            li.task { div.body {
                                a.title href={ "/tasks/" (task["id"]) } { bdi { (task["title"].as_str().unwrap_or_default()) } }
                                span.meta { (dates::label(task["due_date"].as_str().unwrap_or_default(), visitor, &now)) }
                            } }
                        }
                    }
                }
            }
        }
    }
}
