//! What every form does: it comes from one of our own pages, asks the API for a
//! change, and goes back to its page with the words of a refusal.

use axum::response::Response;
use http::{Method, StatusCode};
use serde_json::Value;

use super::{failure, sentence};
use crate::api::{Answer, ApiFailure, call};
use crate::server::App;
use crate::visitor::Visitor;

/// Why a form did not do what it should.
pub enum Failed {
    /// The API's reason, to be shown beside the form.
    Refused(StatusCode, String),
    /// Everything else has a page of its own.
    Page(Box<Response>),
}

/// Asks the API for a change on behalf of a form.
///
/// # Errors
/// As [`Failed`] says.
pub async fn submit(
    app: &App,
    visitor: &Visitor,
    method: Method,
    path: &str,
    body: Option<&Value>,
) -> Result<Answer, Failed> {
    let page = |response: Response| Failed::Page(Box::new(response));
    if !visitor.same_origin {
        return Err(page(failure::foreign_form(visitor)));
    }
    let answer = call(app.client(), visitor, method, path, body).await;
    answer.map_err(|failure| match failure {
        ApiFailure::Refused { status, detail } if !status.is_server_error() => {
            Failed::Refused(status, sentence(&detail))
        }
        failure => page(failure::page(app, visitor, &failure)),
    })
}
