//! JSON for people: indented where a query asks for it or a browser or curl asks
//! at all (upstream: apiserver/pkg/endpoints/handlers/negotiation, isPrettyPrint).
//! Texts are not parsed, so that nothing in them changes but the blanks.

use http::{Request, Response, header};
use http_body::Body as _;
use http_body_util::BodyExt;

use crate::body::{self, Body};
use crate::request::Query;

/// How the programs begin their names that people look through.
const READERS: [&str; 3] = ["curl", "Wget", "Mozilla/5.0"];

/// Whether a person reads the answer, and it is the server's own.
pub fn is_wanted<B>(request: &Request<B>) -> bool {
    let path = request.uri().path();
    if path.starts_with("/openapi") || is_proxied(path) {
        return false;
    }
    let query = Query::parse(request.uri().query().unwrap_or_default());
    match query.text("pretty") {
        "" => {
            let agent = request.headers().get(header::USER_AGENT);
            let agent = agent.and_then(|agent| agent.to_str().ok());
            let agent = agent.unwrap_or_default();
            READERS.iter().any(|reader| agent.starts_with(reader))
        }
        // As Go's strconv.ParseBool reads it.
        text => matches!(text, "1" | "t" | "T" | "true" | "TRUE" | "True"),
    }
}

/// Whether somebody else answers, as below /api/v1/nodes/NAME/proxy and
/// /api/v1/namespaces/NAMESPACE/pods/NAME/proxy.
fn is_proxied(path: &str) -> bool {
    let mut segments = path.split('/').skip(5).step_by(2).take(2);
    segments.any(|segment| segment == "proxy")
}

/// Indents an answer that is JSON and complete.
pub async fn indented(response: Response<Body>) -> Response<Body> {
    let content_type = response.headers().get(header::CONTENT_TYPE);
    let is_json = content_type.is_some_and(|of| of == "application/json");
    if !is_json || response.body().size_hint().exact().is_none() {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    parts.headers.remove(header::CONTENT_LENGTH);
    let bytes = match body.collect().await {
        Ok(collected) => indent(&collected.to_bytes()),
        // It was there already.
        Err(_) => Vec::new(),
    };
    Response::from_parts(parts, body::full(bytes))
}

/// Writes JSON with an indent of two blanks, as Go's `json.Indent` does.
fn indent(json: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(json.len() * 2);
    let mut depth = 0_usize;
    let mut in_text = false;
    let mut escaped = false;
    let mut opened = false;
    for &byte in json {
        if in_text {
            out.push(byte);
            in_text = escaped || byte != b'"';
            escaped = !escaped && byte == b'\\';
            continue;
        }
        if byte.is_ascii_whitespace() {
            continue;
        }
        let closes = matches!(byte, b'}' | b']');
        if closes {
            depth = depth.saturating_sub(1);
        }
        // What is empty stays on its line.
        if opened != closes {
            new_line(&mut out, depth);
        }
        opened = matches!(byte, b'{' | b'[');
        in_text = byte == b'"';
        out.push(byte);
        match byte {
            b'{' | b'[' => depth += 1,
            b',' => new_line(&mut out, depth),
            b':' => out.push(b' '),
            _ => {}
        }
    }
    out.push(b'\n');
    out
}

fn new_line(out: &mut Vec<u8>, depth: usize) {
    out.push(b'\n');
    out.resize(out.len() + 2 * depth, b' ');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_indented() {
        let check = |json: &str, expected: &str| {
            let indented = String::from_utf8(indent(json.as_bytes())).expect("it is text");
            assert_eq!(indented, format!("{expected}\n"));
        };
        check("{}", "{}");
        check(
            r#"{"a":[],"b":{"c":[1,{"d":"x"}]}}"#,
            "{\n  \"a\": [],\n  \"b\": {\n    \"c\": [\n      1,\n      {\n        \"d\": \"x\"\n      }\n    ]\n  }\n}",
        );
        check(r#"{"a":"{\"[,:\\"}"#, "{\n  \"a\": \"{\\\"[,:\\\\\"\n}");
        check("1.0", "1.0");
    }

    #[test]
    fn a_query_wins_over_the_program() {
        let check = |agent: &str, path: &str, expected| {
            let request = Request::get(path).header(header::USER_AGENT, agent);
            assert_eq!(is_wanted(&request.body(()).expect("a request")), expected);
        };
        check("curl/8.1", "/api", true);
        check("curl/8.1", "/api?pretty=false", false);
        check("kubectl/v1.36", "/api", false);
        check("kubectl/v1.36", "/api?pretty=true", true);
        check("curl/8.1", "/openapi/v2", false);
        check("curl/8.1", "/api/v1/nodes/n/proxy/x", false);
        check("curl/8.1", "/api/v1/namespaces/n/pods/p/proxy/", false);
        check("curl/8.1", "/api/v1/namespaces/n/pods/proxy", true);
    }
}
