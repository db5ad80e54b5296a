//! `namespaces/finalize`: who empties a namespace lets it go.

use bytes::Bytes;
use coracle_machinery::kind::Kind;
use http::Response;

use crate::body::Body;
use crate::context::Context;
use crate::status::ApiResult;
use crate::verbs;

/// Replaces the finalizers of a namespace.
///
/// # Errors
/// Whatever stands against it.
pub async fn run(
    context: &Context,
    kind: &'static Kind,
    body: &Bytes,
) -> ApiResult<Response<Body>> {
    verbs::update::run(context, kind, body).await
}
