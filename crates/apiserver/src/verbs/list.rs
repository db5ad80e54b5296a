//! `GET` of a collection: selectors, pages, older revisions.
//!
//! <https://kubernetes.io/docs/reference/using-api/api-concepts/#resource-versions>

use std::num::{IntErrorKind, ParseIntError};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use coracle_machinery::kind::Kind;
use coracle_store::{Page, ReadError};
use http::Response;
use serde_json::{Value, json};

use crate::body::Body;
use crate::context::Context;
use crate::gojson;
use crate::object::Stored;
use crate::options::{cause, invalid_options};
use crate::resource;
use crate::respond::{self, ListMeta};
use crate::select::Selection;
use crate::status::{ApiError, ApiResult, Cause};

/// What a listing asks for.
struct Request {
    selection: Selection,
    prefix: String,
    limit: usize,
    /// Go on after this key.
    after: Option<String>,
    /// As it was at this revision.
    at: Option<u64>,
}

/// Answers with the objects of the path's collection.
///
/// # Errors
/// 400 and 422 for wrong parameters, 410 for a revision out of the history.
pub fn run(context: &Context, kind: &'static Kind) -> ApiResult<Response<Body>> {
    let request = Request::read(context, kind)?;
    let (meta, items) = request.collect(context)?;
    respond::list(context, kind, &meta, items)
}

impl Request {
    fn read(context: &Context, kind: &'static Kind) -> ApiResult<Request> {
        let query = &context.query;
        let mut limit: i64 = number(query.text("limit"))?;
        number(query.text("timeoutSeconds"))?;
        // What a cache has at hand is given whole (`computeListLimit` upstream).
        if query.text("resourceVersion") == "0" && query.text("continue").is_empty() {
            limit = 0;
        }
        let selection = Selection::read(kind, query)?;
        let mut causes = check_match(
            query.text("resourceVersion"),
            query.text("resourceVersionMatch"),
            query.get("continue"),
        );
        if query
            .get("sendInitialEvents")
            .is_some_and(|text| !text.is_empty())
        {
            let message = "Forbidden: sendInitialEvents is forbidden for list".to_owned();
            causes.push(cause("FieldValueForbidden", "sendInitialEvents", message));
        }
        if !causes.is_empty() {
            return Err(invalid_options("ListOptions", causes));
        }
        let prefix = resource::prefix(kind, context.path.namespace.as_deref());
        let mut request = Request {
            selection,
            prefix,
            limit: usize::try_from(limit)
                .ok()
                .filter(|&limit| limit > 0)
                .unwrap_or(usize::MAX),
            after: None,
            at: None,
        };
        request.read_position(context)?;
        Ok(request)
    }

    fn read_position(&mut self, context: &Context) -> ApiResult<()> {
        let version = context.query.text("resourceVersion");
        if let Some(token) = context
            .query
            .get("continue")
            .filter(|token| !token.is_empty())
        {
            if !matches!(version, "" | "0") {
                return Err(ApiError::bad_request(
                    "specifying resource version is not allowed when using continue",
                ));
            }
            let (revision, start) = read_token(token)?;
            self.after = Some(format!("{}{start}", self.prefix));
            self.at = revision;
            return Ok(());
        }
        if version.is_empty() {
            return Ok(());
        }
        let wanted = super::get::parse_revision(version)
            .map_err(|error| ApiError::bad_request(format!("invalid resource version: {error}")))?;
        let current = context.core.store.revision();
        if wanted > current {
            return Err(ApiError::too_large_revision(wanted, current));
        }
        let exact = match context.query.text("resourceVersionMatch") {
            "Exact" => true,
            "NotOlderThan" => false,
            // The old rule: with a limit the revision is taken exactly.
            _ => self.limit != usize::MAX && wanted > 0,
        };
        self.at = exact.then_some(wanted);
        Ok(())
    }

    fn page(
        &self,
        context: &Context,
        after: Option<&str>,
        limit: usize,
    ) -> ApiResult<Page<Stored>> {
        let store = &context.core.store;
        let Some(revision) = self.at else {
            return Ok(store.list(&self.prefix, after, limit));
        };
        store
            .list_at(&self.prefix, after, limit, revision)
            .map_err(|error| match error {
                ReadError::Expired { .. } if self.after.is_some() => self.expired_token(context),
                ReadError::Expired { .. } => {
                    ApiError::expired("The resourceVersion for the provided list is too old.")
                }
                ReadError::Future { requested, current } => {
                    ApiError::too_large_revision(requested, current)
                }
            })
    }

    /// A fresh token lets the client go on with what is there now.
    fn expired_token(&self, context: &Context) -> ApiError {
        let mut error = ApiError::expired(
            "The provided continue parameter is too old to display a consistent list result. You can start a new list without the continue parameter, or use the continue token in this response to retrieve the remainder of the results. Continuing with the provided token results in an inconsistent list - objects that were created, modified, or deleted between the time the first chunk was returned and now may show up in the list.",
        );
        let start = self
            .after
            .as_deref()
            .and_then(|after| after.strip_prefix(&self.prefix))
            .unwrap_or_default();
        let _ = context;
        error.continue_token = Some(write_token(None, start));
        error
    }

    fn collect(&self, context: &Context) -> ApiResult<(ListMeta, Vec<Arc<Stored>>)> {
        if self.selection.is_everything() {
            let page = self.page(context, self.after.as_deref(), self.limit)?;
            let remaining = page.remaining;
            let last = page.items.last().map(|(key, _)| key.to_string());
            let meta = self.meta(
                page.revision,
                (remaining > 0).then_some(last).flatten(),
                Some(remaining),
            );
            return Ok((meta, page.items.into_iter().map(|(_, item)| item).collect()));
        }
        let page = self.page(context, self.after.as_deref(), usize::MAX)?;
        let mut found = page
            .items
            .iter()
            .filter(|(_, item)| self.selection.matches(item));
        let mut items = Vec::new();
        let mut last = None;
        for (key, item) in found.by_ref().take(self.limit) {
            last = Some(key.to_string());
            items.push(item.clone());
        }
        let more = found.next().is_some();
        let meta = self.meta(page.revision, more.then_some(last).flatten(), None);
        Ok((meta, items))
    }

    fn meta(&self, revision: u64, last: Option<String>, remaining: Option<usize>) -> ListMeta {
        let start = last
            .as_deref()
            .and_then(|key| key.strip_prefix(&self.prefix));
        ListMeta {
            revision: revision.to_string(),
            continue_token: start
                .map(|start| write_token(Some(revision), start))
                .unwrap_or_default(),
            remaining: remaining.filter(|_| start.is_some()),
        }
    }
}

/// Lists what a request selects, for verbs that act on a collection.
///
/// # Errors
/// As [`run`].
pub fn select(context: &Context, kind: &'static Kind) -> ApiResult<(ListMeta, Vec<Arc<Stored>>)> {
    Request::read(context, kind)?.collect(context)
}

/// Reads a number of the query.
///
/// # Errors
/// Upstream's words for a text that is no number.
pub fn number(text: &str) -> ApiResult<i64> {
    if text.is_empty() {
        return Ok(0);
    }
    text.parse().map_err(|error| {
        let why = number_fault(&error);
        ApiError::bad_request(format!("strconv.ParseInt: parsing {text:?}: {why}"))
    })
}

/// Why a text is no number, in Go's words.
pub fn number_fault(error: &ParseIntError) -> &'static str {
    match error.kind() {
        IntErrorKind::PosOverflow | IntErrorKind::NegOverflow => "value out of range",
        _ => "invalid syntax",
    }
}

/// What is said of `resourceVersionMatch` beside a token.
pub const NOT_WITH_CONTINUE: &str = "resourceVersionMatch is forbidden when continue is provided";

fn check_match(version: &str, wanted: &str, token: Option<&str>) -> Vec<Cause> {
    let mut causes = Vec::new();
    if wanted.is_empty() {
        return causes;
    }
    let field = "resourceVersionMatch";
    let mut forbid = |message: &str| {
        causes.push(cause(
            "FieldValueForbidden",
            field,
            format!("Forbidden: {message}"),
        ))
    };
    if version.is_empty() {
        forbid("resourceVersionMatch is forbidden unless resourceVersion is provided");
    }
    if token.is_some_and(|token| !token.is_empty()) {
        forbid(NOT_WITH_CONTINUE);
    }
    if !matches!(wanted, "Exact" | "NotOlderThan") {
        let message = format!(
            "Unsupported value: {wanted:?}: supported values: \"Exact\", \"NotOlderThan\", \"\""
        );
        causes.push(cause("FieldValueNotSupported", field, message));
    } else if wanted == "Exact" && version == "0" {
        forbid("resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"");
    }
    causes
}

/// The version of the tokens that follow.
const TOKEN_VERSION: &str = "meta.k8s.io/v1";

/// The token of upstream's storage: version, revision (-1 for "now"), start key.
fn write_token(revision: Option<u64>, after: &str) -> String {
    let revision = revision.map_or(json!(-1), |revision| json!(revision));
    let token = json!({"v": TOKEN_VERSION, "rv": revision, "start": format!("{after}\u{0}")});
    URL_SAFE_NO_PAD.encode(token.to_string())
}

fn read_token(token: &str) -> ApiResult<(Option<u64>, String)> {
    let invalid = |why: String| {
        ApiError::bad_request(format!(
            "invalid continue token: continue key is not valid: {why}"
        ))
    };
    let bytes = URL_SAFE_NO_PAD
        .decode(token.trim_end_matches('='))
        .map_err(|error| {
            let at = match error {
                base64::DecodeError::InvalidByte(at, _)
                | base64::DecodeError::InvalidLastSymbol(at, _) => at,
                _ => token.len() / 4 * 4,
            };
            invalid(format!("illegal base64 data at input byte {at}"))
        })?;
    let value: Value = serde_json::from_slice(&bytes)
        .map_err(|error| invalid(gojson::fault(&bytes).unwrap_or_else(|| error.to_string())))?;
    let text = |name: &str| value[name].as_str().unwrap_or_default();
    let (version, start) = (text("v"), text("start"));
    let why = if version != TOKEN_VERSION {
        format!("server does not recognize this encoded version {version}")
    } else if value["rv"].as_i64().unwrap_or(0) == 0 {
        format!("incorrect encoded start resourceVersion (version {TOKEN_VERSION})")
    } else if start.is_empty() {
        format!("encoded start key empty (version {TOKEN_VERSION})")
    } else if !is_clean(start) {
        start.to_owned()
    } else {
        let revision = value["rv"].as_u64();
        return Ok((revision, start.trim_end_matches('\u{0}').to_owned()));
    };
    Err(invalid(why))
}

/// Whether a key stays below the prefix that is put before it (`path.Clean` in Go).
fn is_clean(key: &str) -> bool {
    let key = key.strip_prefix('/').unwrap_or(key);
    key.split('/').all(|part| !matches!(part, "" | "." | ".."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_come_back() {
        assert_eq!(
            read_token(&write_token(Some(7), "n/x")).unwrap(),
            (Some(7), "n/x".to_owned())
        );
        assert_eq!(
            read_token(&write_token(None, "x")).unwrap(),
            (None, "x".to_owned())
        );
        assert_eq!(
            read_token("bogus").unwrap_err().message,
            "invalid continue token: continue key is not valid: illegal base64 data at input byte 4"
        );
    }

    #[test]
    fn tokens_of_others_are_refused() {
        let check = |token: &str, expected: &str| {
            let error = read_token(&URL_SAFE_NO_PAD.encode(token)).unwrap_err();
            let prefix = "invalid continue token: continue key is not valid: ";
            assert_eq!(error.message, format!("{prefix}{expected}"), "{token}");
        };
        check("i", "invalid character 'i' looking for beginning of value");
        check(
            r#"{"v":"v2","rv":1,"start":"a"}"#,
            "server does not recognize this encoded version v2",
        );
        check(
            r#"{"v":"meta.k8s.io/v1","start":"a"}"#,
            "incorrect encoded start resourceVersion (version meta.k8s.io/v1)",
        );
        check(
            r#"{"v":"meta.k8s.io/v1","rv":1}"#,
            "encoded start key empty (version meta.k8s.io/v1)",
        );
        check(r#"{"v":"meta.k8s.io/v1","rv":1,"start":"../b"}"#, "../b");
    }
}
