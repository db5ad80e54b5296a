//! The one place where an error becomes a Kubernetes `Status`. [`ApiError`]
//! carries code, reason, message and details with upstream's wording; it does
//! not decide when they apply.
//!
//! Kubernetes API conventions, "Response Status Kind":
//! <https://github.com/kubernetes/community/blob/master/contributors/devel/sig-architecture/api-conventions.md#response-status-kind>

use http::StatusCode;
use serde_json::{Map, Value, json};

use coracle_machinery::kind::Kind;

/// Result of anything a request may fail at.
pub type ApiResult<T> = Result<T, ApiError>;

/// One field that was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause {
    /// Machine-readable reason, such as `FieldValueRequired`.
    pub reason: String,
    /// What is wrong, for people.
    pub message: String,
    /// Path of the field; empty when there is none.
    pub field: String,
}

/// What the error is about.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Details {
    /// Name of the object.
    pub name: String,
    /// API group of the resource.
    pub group: String,
    /// Resource or kind.
    pub kind: String,
    /// Uid of the object.
    pub uid: String,
    /// The fields that were refused.
    pub causes: Vec<Cause>,
    /// Seconds after which a retry makes sense; 0 for none.
    pub retry_after_seconds: u32,
}

/// A failed request, as the client is told.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{message}")]
pub struct ApiError {
    /// HTTP status.
    pub code: u16,
    /// Machine-readable reason; empty for none.
    pub reason: &'static str,
    /// Message for people.
    pub message: String,
    /// What it is about; `None` leaves the member out.
    pub details: Option<Box<Details>>,
    /// A token to go on with, of an expired listing.
    pub continue_token: Option<String>,
    /// The answer is plain text instead of a `Status`.
    pub plain: bool,
}

impl ApiError {
    /// An error without details.
    pub fn new(code: u16, reason: &'static str, message: impl Into<String>) -> ApiError {
        ApiError {
            code,
            reason,
            message: message.into(),
            details: None,
            continue_token: None,
            plain: false,
        }
    }

    /// Sets the details.
    #[must_use]
    pub fn with(mut self, details: Details) -> ApiError {
        self.details = Some(Box::new(details));
        self
    }

    /// 400.
    pub fn bad_request(message: impl Into<String>) -> ApiError {
        ApiError::new(400, "BadRequest", message)
    }

    /// 401.
    pub fn unauthorized() -> ApiError {
        ApiError::new(401, "Unauthorized", "Unauthorized")
    }

    /// 404 for an object.
    pub fn not_found(kind: &Kind, name: &str) -> ApiError {
        let message = format!("{} \"{name}\" not found", kind.qualified_resource());
        ApiError::new(404, "NotFound", message).with(about(kind, name))
    }

    /// 404 for a resource or path inside a known group.
    pub fn no_such_resource() -> ApiError {
        ApiError::new(
            404,
            "NotFound",
            "the server could not find the requested resource",
        )
        .with(Details::default())
    }

    /// 404 for a path nobody knows, as plain text.
    pub fn no_such_path() -> ApiError {
        let mut error = ApiError::new(404, "NotFound", "404 page not found\n");
        error.plain = true;
        error
    }

    /// 405.
    pub fn method_not_allowed() -> ApiError {
        let message = "the server does not allow this method on the requested resource";
        ApiError::new(405, "MethodNotAllowed", message).with(Details::default())
    }

    /// 406.
    pub fn not_acceptable(accepted: &str) -> ApiError {
        let message = format!("only the following media types are accepted: {accepted}");
        ApiError::new(406, "NotAcceptable", message)
    }

    /// 406 of the router, which knows media types alone.
    pub fn no_representation(available: &str) -> ApiError {
        let message = format!("406: Not Acceptable\n\nAvailable representations: {available}");
        ApiError::new(406, "NotAcceptable", message).with(Details::default())
    }

    /// 415 of the router, which knows media types alone.
    pub fn no_such_media_type() -> ApiError {
        ApiError::new(415, "UnsupportedMediaType", "415: Unsupported Media Type")
            .with(Details::default())
    }

    /// 415.
    pub fn unsupported_media_type(accepted: &str) -> ApiError {
        let message = format!(
            "the body of the request was in an unknown format - accepted media types include: {accepted}"
        );
        ApiError::new(415, "UnsupportedMediaType", message)
    }

    /// 409 because the name is taken.
    pub fn already_exists(kind: &Kind, name: &str) -> ApiError {
        let message = format!("{} \"{name}\" already exists", kind.qualified_resource());
        ApiError::new(409, "AlreadyExists", message).with(about(kind, name))
    }

    /// 409 with a reason of the caller.
    pub fn conflict(kind: &Kind, name: &str, why: &str) -> ApiError {
        let resource = kind.qualified_resource();
        let message = format!("Operation cannot be fulfilled on {resource} \"{name}\": {why}");
        ApiError::new(409, "Conflict", message).with(about(kind, name))
    }

    /// 409 because someone else was faster.
    pub fn modified(kind: &Kind, name: &str) -> ApiError {
        ApiError::conflict(
            kind,
            name,
            "the object has been modified; please apply your changes to the latest version and try again",
        )
    }

    /// 403 by admission.
    pub fn forbidden(kind: &Kind, name: &str, why: &str) -> ApiError {
        let resource = kind.qualified_resource();
        let message = match name {
            "" => format!("{resource} is forbidden: {why}"),
            name => format!("{resource} \"{name}\" is forbidden: {why}"),
        };
        ApiError::new(403, "Forbidden", message).with(about(kind, name))
    }

    /// 422 with the fields that were refused.
    pub fn invalid(group: &str, kind: &str, name: &str, causes: Vec<Cause>) -> ApiError {
        let qualified = if group.is_empty() {
            kind.to_owned()
        } else {
            format!("{kind}.{group}")
        };
        let mut list: Vec<String> = Vec::new();
        for cause in &causes {
            let field = if cause.field.is_empty() {
                "<nil>"
            } else {
                &cause.field
            };
            let text = format!("{field}: {}", cause.message);
            if !list.contains(&text) {
                list.push(text);
            }
        }
        let text = match list.as_slice() {
            [one] => one.clone(),
            many => format!("[{}]", many.join(", ")),
        };
        let message = format!("{qualified} \"{name}\" is invalid: {text}");
        ApiError::new(422, "Invalid", message).with(Details {
            name: name.to_owned(),
            group: group.to_owned(),
            kind: kind.to_owned(),
            causes,
            ..Details::default()
        })
    }

    /// 422 for one field of an object of `kind`.
    pub fn invalid_field(
        kind: &Kind,
        name: &str,
        reason: &str,
        field: &str,
        message: String,
    ) -> ApiError {
        let cause = Cause {
            reason: reason.to_owned(),
            message,
            field: field.to_owned(),
        };
        ApiError::invalid(kind.group, kind.kind, name, vec![cause])
    }

    /// 410 for a revision out of the history.
    pub fn expired(message: impl Into<String>) -> ApiError {
        ApiError::new(410, "Expired", message)
    }

    /// 504 for a revision not handed out yet.
    pub fn too_large_revision(requested: u64, current: u64) -> ApiError {
        let message =
            format!("Timeout: Too large resource version: {requested}, current: {current}");
        ApiError::new(504, "Timeout", message).with(Details {
            causes: vec![Cause {
                reason: "ResourceVersionTooLarge".to_owned(),
                message: "Too large resource version".to_owned(),
                field: String::new(),
            }],
            retry_after_seconds: 1,
            ..Details::default()
        })
    }

    /// 500 with a reason.
    pub fn internal(message: impl std::fmt::Display) -> ApiError {
        let message = message.to_string();
        ApiError::new(
            500,
            "InternalError",
            format!("Internal error occurred: {message}"),
        )
        .with(Details {
            causes: vec![Cause {
                reason: String::new(),
                message,
                field: String::new(),
            }],
            ..Details::default()
        })
    }

    /// 500 for what upstream's storage reports without a reason.
    pub fn unknown(message: impl std::fmt::Display) -> ApiError {
        ApiError::new(500, "", message.to_string())
    }

    /// Returns the HTTP status.
    pub fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(self.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// Returns the `Status` object.
    pub fn to_value(&self) -> Value {
        let mut metadata = Map::new();
        if let Some(token) = &self.continue_token {
            metadata.insert("continue".to_owned(), json!(token));
        }
        let mut status = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": metadata,
            "status": "Failure", "message": self.message,
        });
        if !self.reason.is_empty() {
            status["reason"] = json!(self.reason);
        }
        if let Some(details) = &self.details {
            status["details"] = details.to_value();
        }
        status["code"] = json!(self.code);
        status
    }
}

impl Details {
    /// Returns the `details` member of a `Status`.
    pub fn to_value(&self) -> Value {
        let mut map = Map::new();
        for (key, text) in [
            ("name", &self.name),
            ("group", &self.group),
            ("kind", &self.kind),
            ("uid", &self.uid),
        ] {
            if !text.is_empty() {
                map.insert(key.to_owned(), json!(text));
            }
        }
        if !self.causes.is_empty() {
            let causes: Vec<Value> = self.causes.iter().map(Cause::to_value).collect();
            map.insert("causes".to_owned(), json!(causes));
        }
        if self.retry_after_seconds > 0 {
            map.insert(
                "retryAfterSeconds".to_owned(),
                json!(self.retry_after_seconds),
            );
        }
        Value::Object(map)
    }
}

impl Cause {
    fn to_value(&self) -> Value {
        let mut map = Map::new();
        for (key, text) in [
            ("reason", &self.reason),
            ("message", &self.message),
            ("field", &self.field),
        ] {
            if !text.is_empty() {
                map.insert(key.to_owned(), json!(text));
            }
        }
        Value::Object(map)
    }
}

/// Details naming one object of a resource.
pub fn about(kind: &Kind, name: &str) -> Details {
    Details {
        name: name.to_owned(),
        group: kind.group.to_owned(),
        kind: kind.plural.to_owned(),
        ..Details::default()
    }
}

/// The `Status` of a deletion that left nothing behind.
pub fn deleted(kind: &Kind, name: &str, uid: &str) -> Value {
    let details = Details {
        uid: uid.to_owned(),
        ..about(kind, name)
    };
    json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success",
        "details": details.to_value(),
    })
}
