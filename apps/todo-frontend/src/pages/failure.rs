//! The page for what did not work: it says what, and what to do next.

use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use http::header::{ALLOW, CONTENT_TYPE};
use http::{HeaderValue, StatusCode, Uri};
use maud::html;

use super::frame::{Page, Width};
use super::{encode, sentence};
use crate::api::ApiFailure;
use crate::net::upstream::UpstreamError;
use crate::server::App;
use crate::visitor::Visitor;

/// Answers a page whose call to the API failed.
pub fn page(app: &App, visitor: &Visitor, failure: &ApiFailure) -> Response {
    match failure {
        ApiFailure::SignIn => {
            let here = visitor.here.as_deref().filter(|here| *here != "/dashboard");
            let next = here.map(|here| format!("?next={}", encode(here)));
            Redirect::to(&format!("/signin{}", next.unwrap_or_default())).into_response()
        }
        ApiFailure::Away(error) => {
            tracing::warn!("{error}");
            // Which key is missing is for everyone to know; addresses are not.
            let show = !app.config().production || matches!(error, UpstreamError::NotConfigured);
            let cause = show.then(|| error.to_string());
            away(visitor, cause.as_deref())
        }
        ApiFailure::Refused { status, detail } if status.is_server_error() => {
            away(visitor, Some(detail.as_str()))
        }
        ApiFailure::Refused { status, detail } => {
            simple(visitor, *status, "That did not work", &sentence(detail))
        }
    }
}

fn away(visitor: &Visitor, cause: Option<&str>) -> Response {
    let body = html! {
        section.card.stack.failure {
            h1 { (visitor.t("We cannot reach your tasks")) }
            p { (visitor.t("The service behind this page does not answer at the moment. Nothing is lost; try again shortly.")) }
            @if let Some(cause) = cause { p.hint { code { (cause) } } }
            div.row {
                a.button href="" { (visitor.t("Try again")) }
                a.button.quiet href="/status" { (visitor.t("Look at the status")) }
            }
        }
    };
    let page = Page {
        title: "Not reachable",
        path: "",
        width: Width::Medium,
        body,
    };
    let mut response = page.answer(visitor, StatusCode::BAD_GATEWAY);
    // The page looks again by itself: nobody has to press a key when the
    // service is back.
    response
        .headers_mut()
        .insert("refresh", HeaderValue::from_static("5"));
    response
}

/// Answers with a heading and a sentence.
pub fn simple(visitor: &Visitor, status: StatusCode, heading: &str, detail: &str) -> Response {
    let body = html! {
        section.card.stack.failure {
            h1 { (visitor.t(heading)) }
            p { (visitor.t(detail)) }
            div { a.button href="/" { (visitor.t("Go to the start page")) } }
        }
    };
    Page {
        title: heading,
        path: "",
        width: Width::Medium,
        body,
    }
    .answer(visitor, status)
}

/// Answers a path that has no page.
pub async fn not_found(State(_): State<App>, visitor: Visitor, uri: Uri) -> Response {
    let detail = format!("There is no page at {}.", uri.path());
    simple(&visitor, StatusCode::NOT_FOUND, "Page not found", &detail)
}

/// Makes a page of a refusal that never reached one: a path or form that
/// cannot be read, a method that a page does not answer to.
pub fn dressed(visitor: &Visitor, response: Response) -> Response {
    let status = response.status();
    let kind = response.headers().get(CONTENT_TYPE);
    let bare = kind.is_none_or(|kind| kind.as_bytes().starts_with(b"text/plain"));
    if !status.is_client_error() || !bare {
        return response;
    }
    let detail = "The address or the form cannot be read.";
    let mut page = simple(visitor, status, "That did not work", detail);
    if let Some(allow) = response.headers().get(ALLOW) {
        page.headers_mut().insert(ALLOW, allow.clone());
    }
    page
}

/// Answers a form that another site sent.
pub fn foreign_form(visitor: &Visitor) -> Response {
    let detail = "This form was sent from another site, so nothing was changed.";
    simple(visitor, StatusCode::FORBIDDEN, "Not from here", detail)
}
