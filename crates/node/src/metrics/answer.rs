//! The paths of the metrics groups and the form of their answers.

use std::time::{Duration, Instant};

use coracle_machinery::selector::{FieldSelector, LabelSelector};
use http::{HeaderMap, Response, StatusCode, header};
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};

use super::{custom, meter, resource};
use crate::kubelet::{Body, Kubelet, Query, text};

/// A request that is answered with a `Status`.
#[derive(Debug, PartialEq, Eq)]
pub struct Refused {
    code: StatusCode,
    reason: &'static str,
    message: String,
}

impl Refused {
    /// 404.
    pub fn not_found(message: impl Into<String>) -> Refused {
        Refused {
            code: StatusCode::NOT_FOUND,
            reason: "NotFound",
            message: message.into(),
        }
    }

    /// 404 for what has no place in the group at all.
    pub fn no_such_resource() -> Refused {
        Refused::not_found("the server could not find the requested resource")
    }

    /// 400.
    pub fn bad(message: impl Into<String>) -> Refused {
        Refused {
            code: StatusCode::BAD_REQUEST,
            reason: "BadRequest",
            message: message.into(),
        }
    }

    fn value(&self) -> Value {
        json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": self.message, "reason": self.reason, "code": self.code.as_u16(),
        })
    }
}

/// The selectors of a request.
pub struct Selection {
    labels: LabelSelector,
    fields: FieldSelector,
}

impl Selection {
    /// Reads the selectors of a query.
    pub fn of(query: &Query) -> Result<Selection, Refused> {
        let labels = LabelSelector::parse(query.get("labelSelector").unwrap_or_default())
            .map_err(|error| Refused::bad(error.to_string()))?;
        let fields = FieldSelector::parse(query.get("fieldSelector").unwrap_or_default())
            .map_err(|error| Refused::bad(error.to_string()))?;
        Ok(Selection { labels, fields })
    }

    /// Whether an object passes.
    pub fn matches(
        &self,
        namespace: &str,
        name: &str,
        labels: &std::collections::BTreeMap<String, String>,
    ) -> bool {
        self.labels.matches(labels)
            && self.fields.matches(|label| match label {
                "metadata.name" => Some(name),
                "metadata.namespace" => Some(namespace),
                _ => None,
            })
    }
}

/// Answers a request below `/apis/`; `path` is what follows.
pub async fn serve(
    kubelet: &Kubelet,
    path: &[&str],
    query: &Query,
    headers: &HeaderMap,
) -> Response<Body> {
    let answer = route(kubelet, path, query).await;
    let (code, value) = match answer {
        Ok(value) => (StatusCode::OK, as_asked(value, headers)),
        Err(refused) => (refused.code, refused.value()),
    };
    text(code, "application/json", value.to_string())
}

async fn route(kubelet: &Kubelet, path: &[&str], query: &Query) -> Result<Value, Refused> {
    match path {
        ["metrics.k8s.io", "v1beta1"] => Ok(resource::discovery()),
        ["metrics.k8s.io", "v1beta1", rest @ ..] => {
            meter::observe(&kubelet.shared, &kubelet.workers).await;
            resource::answer(kubelet, rest, query)
        }
        ["custom.metrics.k8s.io", version @ ("v1beta1" | "v1beta2")] => {
            Ok(custom::discovery(kubelet, version))
        }
        [
            "custom.metrics.k8s.io",
            version @ ("v1beta1" | "v1beta2"),
            rest @ ..,
        ] => custom::answer(kubelet, version, rest, query),
        _ => Err(Refused::no_such_resource()),
    }
}

/// Turns an answer into a table, if the client asks for one.
fn as_asked(value: Value, headers: &HeaderMap) -> Value {
    let accept = headers
        .get(header::ACCEPT)
        .and_then(|accept| accept.to_str().ok())
        .unwrap_or_default();
    let first = accept.split(',').next().unwrap_or_default();
    let measured = value["apiVersion"] == "metrics.k8s.io/v1beta1";
    if first.contains("as=Table") && measured {
        resource::table(&value)
    } else {
        value
    }
}

/// Returns the metadata of a list.
pub fn list(kind: &str, version: &str, items: Vec<Value>) -> Value {
    let mut list = Map::new();
    list.insert("kind".into(), json!(kind));
    list.insert("apiVersion".into(), json!(version));
    list.insert("metadata".into(), json!({}));
    list.insert("items".into(), json!(items));
    Value::Object(list)
}

/// Returns an instant as the API writes times.
pub fn time(at: Instant) -> String {
    let ago = SignedDuration::try_from(at.elapsed()).unwrap_or_default();
    let then = Timestamp::now() - ago;
    then.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// Returns a duration as Go writes it, to the millisecond.
pub fn go_duration(duration: Duration) -> String {
    let millis = duration.as_millis();
    let (minutes, rest) = (millis / 60_000, millis % 60_000);
    let seconds = match (rest / 1000, rest % 1000) {
        (whole, 0) => format!("{whole}s"),
        (whole, part) => {
            let digits = format!("{part:03}");
            format!("{whole}.{}s", digits.trim_end_matches('0'))
        }
    };
    if minutes > 0 {
        format!("{minutes}m{seconds}")
    } else {
        seconds
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_written_as_go_does() {
        let check = |millis, expected: &str| {
            assert_eq!(go_duration(Duration::from_millis(millis)), expected);
        };
        check(10_000, "10s");
        check(12_340, "12.34s");
        check(75_001, "1m15.001s");
        check(0, "0s");
    }
}
