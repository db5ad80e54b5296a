//! `GET` with `watch`: an endless answer of events, with bookmarks and, for
//! watch lists, the present state first.
//!
//! <https://kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes>

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use coracle_machinery::kind::Kind;
use coracle_store::{Event, EventKind, Watch, WatchError};
use futures::Stream;
use http::{HeaderValue, Response, header};
use rand::Rng;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::list::{NOT_WITH_CONTINUE, number};
use crate::accept::{self, Shape};
use crate::body::{self, Body};
use crate::context::Context;
use crate::object::{Stored, to_vec};
use crate::options::{cause, invalid_options};
use crate::resource;
use crate::respond::{self, Include, ListMeta};
use crate::select::Selection;
use crate::status::{ApiError, ApiResult, Cause};

/// How often an idle watch is told the revision it has reached.
const BOOKMARK_EVERY: Duration = Duration::from_secs(60);
/// A watch without `timeoutSeconds` lasts between one and two of these, as
/// upstream's `--min-request-timeout`.
const TIMEOUT_MIN: Duration = Duration::from_secs(1800);

struct Stage {
    kind: &'static Kind,
    selection: Selection,
    shape: Shape,
    include: Include,
    columns_sent: bool,
}

/// A watch under way.
struct Watching {
    stage: Stage,
    /// Lines that are due.
    due: VecDeque<Bytes>,
    /// A watch list is still to be closed by its bookmark.
    initial_end: Option<u64>,
    events: Watch<Stored>,
    /// Changes up to this revision are not told.
    after: u64,
    bookmarks: bool,
    bookmark_at: Instant,
    deadline: Instant,
}

/// Answers with the events of the path's collection, or of one object.
///
/// # Errors
/// 400 and 422 for wrong parameters; a revision out of the history is told in
/// the stream.
pub fn run(context: &Context, kind: &'static Kind) -> ApiResult<Response<Body>> {
    let query = &context.query;
    let timeout = timeout(number(query.text("timeoutSeconds"))?);
    let selection = Selection::read(kind, query)?.named(context.path.name.as_deref())?;
    let send_initial = query
        .get("sendInitialEvents")
        .filter(|text| !text.is_empty())
        .map(|_| query.flag("sendInitialEvents"));
    let bookmarks = query.flag("allowWatchBookmarks");
    let wanted = query.text("resourceVersionMatch");
    let causes = check(wanted, query.text("continue"), send_initial);
    if !causes.is_empty() {
        return Err(invalid_options("ListOptions", causes));
    }
    let form = accept::choose(&context.headers)?;
    let stage = Stage {
        kind,
        selection,
        shape: form.shape,
        include: respond::include_object(context)?,
        columns_sent: false,
    };
    let version = query.text("resourceVersion");
    let from = match version {
        "" => 0,
        text => super::get::parse_revision(text).map_err(ApiError::unknown)?,
    };
    let mut prefix = resource::prefix(kind, context.path.namespace.as_deref());
    if let Some(name) = &context.path.name {
        prefix.push_str(name);
    }
    let initial = send_initial.unwrap_or(from == 0);
    match start(context, stage, &prefix, from, initial) {
        Ok(mut watching) => {
            watching.initial_end =
                (send_initial == Some(true)).then_some(watching.initial_end.unwrap_or_default());
            watching.bookmarks = bookmarks;
            watching.deadline = Instant::now() + timeout;
            Ok(answer(body::stream(
                watching.into_stream(context.core.closing()),
            )))
        }
        Err(error) => Ok(answer(body::full(error_line(&error)))),
    }
}

fn start(
    context: &Context,
    mut stage: Stage,
    prefix: &str,
    from: u64,
    initial: bool,
) -> Result<Watching, ApiError> {
    let store = &context.core.store;
    let mut due = VecDeque::new();
    let mut initial_end = None;
    let events = if initial {
        let (page, events) = store.list_and_watch(prefix).map_err(watch_error)?;
        if from > page.revision {
            return Err(ApiError::too_large_revision(from, page.revision));
        }
        initial_end = Some(page.revision);
        for (_, item) in &page.items {
            if stage.selection.matches(item) {
                due.push_back(stage.line("ADDED", item));
            }
        }
        events
    } else if from == 0 {
        store.watch(prefix, store.revision()).map_err(watch_error)?
    } else {
        // A watch from the future is silent until that comes.
        let since = from.min(store.revision());
        store.watch(prefix, since).map_err(watch_error)?
    };
    let now = Instant::now();
    Ok(Watching {
        stage,
        due,
        initial_end,
        events,
        after: from,
        bookmarks: false,
        bookmark_at: now + BOOKMARK_EVERY,
        deadline: now,
    })
}

fn timeout(seconds: i64) -> Duration {
    match u64::try_from(seconds) {
        Ok(seconds) if seconds > 0 => Duration::from_secs(seconds),
        _ => TIMEOUT_MIN.mul_f64(1.0 + rand::rng().random::<f64>()),
    }
}

fn check(wanted: &str, token: &str, send_initial: Option<bool>) -> Vec<Cause> {
    let mut causes = Vec::new();
    let forbidden = |field: &str, message: &str| {
        cause(
            "FieldValueForbidden",
            field,
            format!("Forbidden: {message}"),
        )
    };
    if send_initial.is_some() && wanted != "NotOlderThan" {
        causes.push(forbidden(
            "resourceVersionMatch",
            "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
        ));
    }
    if send_initial.is_none() && !wanted.is_empty() {
        causes.push(forbidden(
            "resourceVersionMatch",
            "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided",
        ));
    }
    if !matches!(wanted, "" | "NotOlderThan") {
        let message = format!("Unsupported value: {wanted:?}: supported values: \"NotOlderThan\"");
        causes.push(cause(
            "FieldValueNotSupported",
            "resourceVersionMatch",
            message,
        ));
    }
    if !wanted.is_empty() && !token.is_empty() {
        causes.push(forbidden("resourceVersionMatch", NOT_WITH_CONTINUE));
    }
    causes
}

fn watch_error(error: WatchError) -> ApiError {
    match error {
        WatchError::Expired { requested, oldest } => {
            ApiError::expired(format!("too old resource version: {requested} ({oldest})"))
        }
        WatchError::Future { requested, current } => {
            ApiError::too_large_revision(requested, current)
        }
    }
}

fn error_line(error: &ApiError) -> Vec<u8> {
    line("ERROR", &to_vec(&error.to_value())).to_vec()
}

fn answer(body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    response
}

fn line(kind: &str, object: &[u8]) -> Bytes {
    let mut out = Vec::with_capacity(object.len() + 32);
    out.extend_from_slice(b"{\"type\":\"");
    out.extend_from_slice(kind.as_bytes());
    out.extend_from_slice(b"\",\"object\":");
    out.extend_from_slice(object);
    out.extend_from_slice(b"}\n");
    Bytes::from(out)
}

impl Stage {
    fn line(&mut self, event: &str, object: &Stored) -> Bytes {
        match self.shape {
            Shape::Plain => line(event, &respond::served_json(self.kind, object)),
            _ => line(
                event,
                &to_vec(&self.shaped(respond::served(self.kind, object))),
            ),
        }
    }

    fn shaped(&mut self, value: Value) -> Value {
        match self.shape {
            Shape::Table(version) => {
                let revision = value["metadata"]["resourceVersion"]
                    .as_str()
                    .unwrap_or_default()
                    .to_owned();
                let meta = ListMeta {
                    revision,
                    ..ListMeta::default()
                };
                let columns = !std::mem::replace(&mut self.columns_sent, true);
                respond::table_of(self.kind, version, self.include, &meta, &[value], columns)
            }
            Shape::Metadata(version) | Shape::MetadataList(version) => {
                respond::partial(&value, version)
            }
            Shape::Plain => value,
        }
    }

    /// Turns a change into what a watcher with this selection sees: an object
    /// that starts to match is added, one that ceases to match is deleted.
    fn event(&mut self, event: &Event<Stored>) -> Option<Bytes> {
        let before = event
            .previous
            .as_ref()
            .is_some_and(|previous| self.selection.matches(previous));
        let now = event.kind != EventKind::Deleted && self.selection.matches(&event.value);
        match (before, now) {
            (false, false) => None,
            (false, true) => Some(self.line("ADDED", &event.value)),
            (true, true) => Some(self.line("MODIFIED", &event.value)),
            (true, false) if event.kind == EventKind::Deleted => {
                Some(self.line("DELETED", &event.value))
            }
            (true, false) => {
                // The old object with the revision of the change.
                use coracle_store::Value as _;
                let gone = event.previous.as_ref()?.tombstone(event.revision);
                Some(self.line("DELETED", &gone))
            }
        }
    }

    fn bookmark(&mut self, revision: u64, initial_end: bool) -> Bytes {
        let mut metadata =
            json!({"resourceVersion": revision.to_string(), "creationTimestamp": null});
        if initial_end {
            metadata["annotations"] = json!({"k8s.io/initial-events-end": "true"});
        }
        let object = json!({"kind": self.kind.kind, "apiVersion": self.kind.api_version(), "metadata": metadata});
        let object = match self.shape {
            Shape::Table(version) => {
                let meta = ListMeta {
                    revision: revision.to_string(),
                    ..ListMeta::default()
                };
                let mut table =
                    respond::table_of(self.kind, version, self.include, &meta, &[], false);
                if initial_end {
                    let row = json!({"cells": [], "object": respond::partial(&object, version)});
                    table["rows"] = json!([row]);
                }
                table
            }
            _ => self.shaped(object),
        };
        line("BOOKMARK", &to_vec(&object))
    }
}

impl Watching {
    fn into_stream(
        self,
        closing: tokio::sync::watch::Receiver<bool>,
    ) -> impl Stream<Item = Bytes> + Send {
        futures::stream::unfold((self, closing), |(mut watching, mut closing)| async move {
            let chunk = watching.next(&mut closing).await?;
            Some((chunk, (watching, closing)))
        })
    }

    async fn next(&mut self, closing: &mut tokio::sync::watch::Receiver<bool>) -> Option<Bytes> {
        loop {
            if let Some(chunk) = self.drain_due() {
                return Some(chunk);
            }
            if let Some(revision) = self.initial_end.take() {
                return Some(self.stage.bookmark(revision, true));
            }
            let wake = if self.bookmarks {
                self.deadline.min(self.bookmark_at)
            } else {
                self.deadline
            };
            tokio::select! {
                event = self.events.next() => { let event = event?; self.take(&event) },
                () = tokio::time::sleep_until(wake) => {
                    if Instant::now() >= self.deadline {
                        return None;
                    }
                    self.remind();
                }
                _ = closing.wait_for(|closing| *closing) => return None,
            }
        }
    }

    fn take(&mut self, event: &Event<Stored>) {
        self.tell(event);
        // What is there already goes out together.
        while self.due.len() < 64
            && let Some(event) = self.events.try_next()
        {
            self.tell(&event);
        }
    }

    fn tell(&mut self, event: &Event<Stored>) {
        if event.revision > self.after {
            self.due.extend(self.stage.event(event));
        }
    }

    fn remind(&mut self) {
        self.bookmark_at = Instant::now() + BOOKMARK_EVERY;
        let revision = self.events.revision();
        while let Some(event) = self.events.try_next() {
            self.tell(&event);
        }
        let bookmark = self.stage.bookmark(revision, false);
        self.due.push_back(bookmark);
    }

    fn drain_due(&mut self) -> Option<Bytes> {
        match self.due.len() {
            0 => None,
            1 => self.due.pop_front(),
            _ => Some(Bytes::from(self.due.drain(..).collect::<Vec<_>>().concat())),
        }
    }
}
