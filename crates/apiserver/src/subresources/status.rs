//! `status` and the other subresources that are a view of the object itself.

use bytes::Bytes;
use coracle_machinery::kind::Kind;
use http::Response;

use crate::body::Body;
use crate::context::Context;
use crate::status::{ApiError, ApiResult};
use crate::verbs;

/// Answers by the ordinary verbs; which part may change is `machinery`'s to know.
///
/// # Errors
/// Whatever stands against it.
pub async fn run(
    context: &Context,
    kind: &'static Kind,
    verb: &str,
    body: &Bytes,
) -> ApiResult<Response<Body>> {
    match verb {
        "get" => verbs::get::run(context, kind),
        "update" => verbs::update::run(context, kind, body).await,
        "patch" => verbs::patch::run(context, kind, body).await,
        _ => Err(ApiError::method_not_allowed()),
    }
}
