//! The page for what did not work: it says what, and what to do next.

use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use http::{StatusCode, Uri};
use maud::html;

use super::frame::Page;
use crate::api::ApiFailure;
use crate::server::App;
use crate::visitor::Visitor;

/// Answers a page whose call to the API failed.
pub fn page(app: &App, visitor: &Visitor, failure: &ApiFailure) -> Response {
    match failure {
        ApiFailure::SignIn => Redirect::to("/signin").into_response(),
        ApiFailure::Away(error) => {
            tracing::warn!("{error}");
            let cause = (!app.config().production).then(|| error.to_string());
            away(visitor, cause.as_deref())
        }
        ApiFailure::Refused { status, detail } => {
            simple(visitor, *status, "That did not work", detail)
        }
    }
}

fn away(visitor: &Visitor, cause: Option<&str>) -> Response {
    let body = html! {
        section.card.stack {
            h1 { "We cannot reach your tasks" }
            p { "The service behind this page does not answer at the moment. Nothing is lost; try again shortly." }
            @if let Some(cause) = cause { p.hint { code { (cause) } } }
            div.row {
                a.button href="" { "Try again" }
                a.button.quiet href="/status" { "Look at the status" }
            }
        }
    };
    let page = Page {
        title: "Not reachable",
        path: "",
        narrow: false,
        body,
    };
    page.answer(visitor, StatusCode::BAD_GATEWAY)
}

/// Answers with a heading and a sentence.
pub fn simple(visitor: &Visitor, status: StatusCode, heading: &str, detail: &str) -> Response {
    let body = html! {
        section.card.stack {
            h1 { (heading) }
            p { (detail) }
            div { a.button href="/" { "Go to the start page" } }
        }
    };
    Page {
        title: heading,
        path: "",
        narrow: false,
        body,
    }
    .answer(visitor, status)
}

/// Answers a path that has no page.
pub async fn not_found(State(_): State<App>, visitor: Visitor, uri: Uri) -> Response {
    let detail = format!("There is no page at {}.", uri.path());
    simple(&visitor, StatusCode::NOT_FOUND, "Page not found", &detail)
}

/// Answers a form that another site sent.
pub fn foreign_form(visitor: &Visitor) -> Response {
    let detail = "This form was sent from another site, so nothing was changed.";
    simple(visitor, StatusCode::FORBIDDEN, "Not from here", detail)
}
