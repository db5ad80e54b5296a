//! Content negotiation: which form of an answer the client wants ([`Form`]).
//! Parsing follows RFC 9110, section 12.5.1, as far as Kubernetes clients use it.

use http::HeaderMap;

use crate::status::{ApiError, ApiResult};

/// Media types that objects are served as; protobuf is named as upstream does,
/// although answers in it are not given.
pub const SERVED: &str = "application/json, application/yaml, application/vnd.kubernetes.protobuf";

/// How bytes are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Encoding {
    /// `application/json`.
    #[default]
    Json,
    /// `application/yaml`.
    Yaml,
}

/// What an object is turned into.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Shape {
    /// As it is.
    #[default]
    Plain,
    /// A `Table` of the given version of `meta.k8s.io`.
    Table(&'static str),
    /// `PartialObjectMetadata` of the given version.
    Metadata(&'static str),
    /// `PartialObjectMetadataList` of the given version.
    MetadataList(&'static str),
}

/// The form of an answer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Form {
    /// What is written.
    pub shape: Shape,
    /// How it is written.
    pub encoding: Encoding,
}

/// One range of an `Accept` header.
#[derive(Debug)]
pub struct MediaRange {
    /// `type/subtype`, lower case.
    pub media: String,
    /// Parameters, lower-case names.
    pub parameters: Vec<(String, String)>,
}

impl MediaRange {
    /// Returns a parameter.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }
}

/// Reads the `Accept` headers, most wanted first. Without any, everything is accepted.
pub fn ranges(headers: &HeaderMap) -> Vec<MediaRange> {
    let mut ranges: Vec<(f32, MediaRange)> = headers
        .get_all(http::header::ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter(|range| !range.trim().is_empty())
        .map(|range| {
            let range = media_range(range);
            (
                range
                    .parameter("q")
                    .and_then(|q| q.parse().ok())
                    .unwrap_or(1.0),
                range,
            )
        })
        .collect();
    if ranges.is_empty() {
        ranges.push((1.0, media_range("*/*")));
    }
    ranges.sort_by(|(left, _), (right, _)| right.total_cmp(left));
    ranges.into_iter().map(|(_, range)| range).collect()
}

/// Reads `type/subtype;name=value;…`.
pub fn media_range(text: &str) -> MediaRange {
    let mut parts = text.split(';').map(str::trim);
    let media = parts.next().unwrap_or_default().to_ascii_lowercase();
    let parameters = parts
        .filter_map(|part| part.split_once('='))
        .map(|(name, value)| {
            (
                name.trim().to_ascii_lowercase(),
                value.trim().trim_matches('"').to_owned(),
            )
        })
        .collect();
    MediaRange { media, parameters }
}

/// Media types of an object, and of a list besides.
const OF_OBJECTS: &str = SERVED;
const OF_LISTS: &str = "application/json, application/yaml, application/vnd.kubernetes.protobuf, application/json;stream=watch, application/vnd.kubernetes.protobuf;stream=watch";

/// Chooses the form of an object.
///
/// # Errors
/// 406 when nothing asked for is served.
pub fn choose(headers: &HeaderMap) -> ApiResult<Form> {
    choose_of(headers, OF_OBJECTS)
}

/// Chooses the form of a list.
///
/// # Errors
/// 406 when nothing asked for is served.
pub fn choose_list(headers: &HeaderMap) -> ApiResult<Form> {
    choose_of(headers, OF_LISTS)
}

fn choose_of(headers: &HeaderMap, representations: &str) -> ApiResult<Form> {
    let ranges = ranges(headers);
    if !ranges.iter().any(is_known) {
        // Upstream's router answers this, before anything knows of forms.
        return Err(ApiError::no_representation(representations));
    }
    for range in ranges {
        let encoding = match range.media.as_str() {
            "application/json" | "application/*" | "*/*" => Encoding::Json,
            "application/yaml" => Encoding::Yaml,
            _ => continue,
        };
        if let Some(shape) = shape(&range) {
            return Ok(Form { shape, encoding });
        }
    }
    Err(ApiError::not_acceptable(SERVED))
}

fn is_known(range: &MediaRange) -> bool {
    matches!(range.media.as_str(), "*/*" | "application/*")
        || SERVED.split(", ").any(|served| served == range.media)
}

fn shape(range: &MediaRange) -> Option<Shape> {
    let Some(wanted) = range.parameter("as") else {
        return Some(Shape::Plain);
    };
    if range.parameter("g") != Some("meta.k8s.io") {
        return None;
    }
    let version = match range.parameter("v")? {
        "v1" => "v1",
        "v1beta1" => "v1beta1",
        _ => return None,
    };
    match wanted {
        "Table" => Some(Shape::Table(version)),
        "PartialObjectMetadata" => Some(Shape::Metadata(version)),
        "PartialObjectMetadataList" => Some(Shape::MetadataList(version)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(accept: &str, expected: Option<Form>) {
        let mut headers = HeaderMap::new();
        headers.insert("accept", accept.parse().unwrap());
        assert_eq!(choose(&headers).ok(), expected, "{accept}");
    }

    #[test]
    fn chooses_the_first_served_form() {
        let form = |shape, encoding| Some(Form { shape, encoding });
        check("application/json", form(Shape::Plain, Encoding::Json));
        check(
            "application/vnd.kubernetes.protobuf,application/json",
            form(Shape::Plain, Encoding::Json),
        );
        check(
            "application/json;as=Table;v=v1;g=meta.k8s.io,application/json",
            form(Shape::Table("v1"), Encoding::Json),
        );
        check(
            "application/json;as=Table;v=v9;g=meta.k8s.io, application/yaml",
            form(Shape::Plain, Encoding::Yaml),
        );
        check("text/html", None);
        check(
            "application/json;q=0.5, application/yaml",
            form(Shape::Plain, Encoding::Yaml),
        );
    }
}
