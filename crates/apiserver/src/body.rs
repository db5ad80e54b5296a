//! Bodies of requests and answers: the one body type of answers ([`Body`]),
//! reading a request's body within bounds, and its media type.

use std::convert::Infallible;

use bytes::{Bytes, BytesMut};
use futures::Stream;
use http::HeaderMap;
use http_body::Frame;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};

use crate::status::{ApiError, ApiResult};

/// Error of a body that ends early.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Body of requests and answers inside the server.
pub type Body = UnsyncBoxBody<Bytes, BoxError>;

/// Largest request body, as upstream's `--max-request-bytes` default.
pub const BODY_BYTES_MAX: usize = 3 * 1024 * 1024;

/// A body that is there already.
pub fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into())
        .map_err(|never: Infallible| match never {})
        .boxed_unsync()
}

/// A body that is written as it comes.
pub fn stream(chunks: impl Stream<Item = Bytes> + Send + 'static) -> Body {
    use futures::StreamExt;
    StreamBody::new(chunks.map(|chunk| Ok::<_, BoxError>(Frame::data(chunk)))).boxed_unsync()
}

/// Boxes any body.
pub fn boxed<B>(body: B) -> Body
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    body.map_err(Into::into).boxed_unsync()
}

/// Reads a whole body.
///
/// # Errors
/// 413 when it is too large, 400 when the client breaks off.
pub async fn read(mut body: Body) -> ApiResult<Bytes> {
    let mut read = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame
            .map_err(|error| ApiError::bad_request(format!("the body cannot be read: {error}")))?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        if read.len() + data.len() > BODY_BYTES_MAX {
            let message = format!("Request entity too large: limit is {BODY_BYTES_MAX}");
            return Err(ApiError::new(413, "RequestEntityTooLarge", message));
        }
        read.extend_from_slice(&data);
    }
    Ok(read.freeze())
}

/// Returns the media type of a request's body, without parameters; empty for none.
pub fn content_type(headers: &HeaderMap) -> String {
    headers
        .get(http::header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .map(|value| {
            value
                .split(';')
                .next()
                .unwrap_or_default()
                .trim()
                .to_ascii_lowercase()
        })
        .unwrap_or_default()
}
