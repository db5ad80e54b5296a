//! The start page for those who are not signed in.

use axum::response::{IntoResponse, Redirect, Response};
use http::StatusCode;
use maud::html;

use super::frame::Page;
use crate::visitor::Visitor;

/// `GET /`.
pub async fn show(visitor: Visitor) -> Response {
    if visitor.session.is_some() {
        return Redirect::to("/dashboard").into_response();
    }
    let body = html! {
        section.hero {
            div.stack {
                h1 { "A clear head, one task at a time." }
                p.lead { "Write down what is on your mind, in a list or in plain words. Everything stays on your own machine." }
                div.row {
                    a.button href="/signup" { "Get started" }
                    a.button.quiet href="/signin" { "Sign in" }
                }
            }
            div aria-hidden="true" {
                ul.tasks {
                    li.task.done { span.tick { "✓" } span.body { span.title { "Call the dentist" } } }
                    li.task { span.tick {} span.body { span.title { "Buy groceries" } span.meta { span.chip { "today" } } } }
                    li.task { span.tick {} span.body { span.title { "Prepare the talk" } span.meta { span.chip.high { "high" } } } }
                }
            }
        }
    };
    Page {
        title: "Tasks you can talk to",
        path: "/",
        narrow: false,
        body,
    }
    .answer(&visitor, StatusCode::OK)
}
