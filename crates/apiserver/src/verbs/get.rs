//! `GET` of one object.

use std::sync::Arc;

use coracle_machinery::kind::Kind;
use http::{Response, StatusCode};

use crate::accept;
use crate::body::Body;
use crate::context::Context;
use crate::object::Stored;
use crate::resource;
use crate::respond;
use crate::status::{ApiError, ApiResult};

/// Answers with the object of the path.
///
/// # Errors
/// 404 when it does not exist.
pub fn run(context: &Context, kind: &'static Kind) -> ApiResult<Response<Body>> {
    accept::choose(&context.headers)?;
    check_revision(context)?;
    let stored = find(context, kind, context.namespace(), context.name())?;
    respond::stored(context, kind, StatusCode::OK, &stored)
}

/// Returns a stored object.
///
/// # Errors
/// 404 when it does not exist.
pub fn find(
    context: &Context,
    kind: &'static Kind,
    namespace: &str,
    name: &str,
) -> ApiResult<Arc<Stored>> {
    context
        .core
        .store
        .get(&resource::key(kind, namespace, name))
        .ok_or_else(|| ApiError::not_found(kind, name))
}

fn check_revision(context: &Context) -> ApiResult<()> {
    let text = context.query.text("resourceVersion");
    if text.is_empty() {
        return Ok(());
    }
    let wanted = parse_revision(text).map_err(ApiError::unknown)?;
    let current = context.core.store.revision();
    if wanted > current {
        Err(ApiError::too_large_revision(wanted, current))
    } else {
        Ok(())
    }
}

/// Reads a resource version.
///
/// # Errors
/// Upstream's words for a text that is no number.
pub fn parse_revision(text: &str) -> Result<u64, String> {
    text.parse().map_err(|error| {
        let why = super::list::number_fault(&error);
        format!(
            "resourceVersion: Invalid value: {text:?}: strconv.ParseUint: parsing {text:?}: {why}"
        )
    })
}
