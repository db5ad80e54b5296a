//! What flows through the proxy: nothing, a text of our own, or a stream that
//! is passed on as it comes.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

/// The body of a request or an answer.
#[derive(Debug, Default)]
pub(super) enum Payload {
    /// Nothing.
    #[default]
    Empty,
    /// A text of our own.
    Text(Bytes),
    /// A stream that is passed on.
    Stream {
        /// What comes in.
        body: Incoming,
        /// The number of bytes it may still have.
        left: u64,
        /// Counts frames, for who wants to know whether it goes on.
        passed: Option<Arc<AtomicU64>>,
    },
}

/// A body that could not be passed on.
#[derive(Debug, thiserror::Error)]
pub(super) enum BodyError {
    /// The other side ended it.
    #[error("the body ended early")]
    Ended(#[from] hyper::Error),
    /// It is larger than the rule allows.
    #[error("the body is larger than allowed")]
    TooLarge,
}

impl Payload {
    /// Returns the body of a request of at most this many bytes, 0 for any
    /// number, whose frames are counted.
    pub(super) fn of_request(body: Incoming, bytes_max: u64, passed: &Arc<AtomicU64>) -> Self {
        if body.is_end_stream() {
            return Payload::Empty;
        }
        Payload::Stream {
            body,
            left: if bytes_max == 0 { u64::MAX } else { bytes_max },
            passed: Some(passed.clone()),
        }
    }

    /// Returns the body of an answer.
    pub(super) fn of_answer(body: Incoming) -> Self {
        Payload::Stream {
            body,
            left: u64::MAX,
            passed: None,
        }
    }

    /// Whether there is nothing in it, so that it can be sent again.
    pub(super) fn is_empty(&self) -> bool {
        matches!(self, Payload::Empty)
    }
}

impl Body for Payload {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self.get_mut() {
            Payload::Empty => Poll::Ready(None),
            whole @ Payload::Text(_) => {
                let Payload::Text(text) = std::mem::take(whole) else {
                    return Poll::Ready(None);
                };
                Poll::Ready(Some(Ok(Frame::data(text))))
            }
            Payload::Stream { body, left, passed } => {
                let frame = match Pin::new(body).poll_frame(context) {
                    Poll::Ready(Some(Ok(frame))) => frame,
                    other => return other.map_err(BodyError::Ended),
                };
                if let Some(passed) = passed {
                    passed.fetch_add(1, Ordering::Relaxed);
                }
                let length = frame.data_ref().map_or(0, Bytes::len) as u64;
                match left.checked_sub(length) {
                    Some(rest) => *left = rest,
                    None => return Poll::Ready(Some(Err(BodyError::TooLarge))),
                }
                Poll::Ready(Some(Ok(frame)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Payload::Empty => true,
            Payload::Text(text) => text.is_empty(),
            Payload::Stream { body, .. } => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Payload::Empty => SizeHint::with_exact(0),
            Payload::Text(text) => SizeHint::with_exact(text.len() as u64),
            Payload::Stream { body, .. } => body.size_hint(),
        }
    }
}
