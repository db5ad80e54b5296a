//! Parameters of requests that are refused, and in which words.

mod common;

use common::{Fixture, fixture};
use coracle_apiserver::Identity;
use http_body_util::{BodyExt, Empty};
use serde_json::{Value, json};
use tower::Service;

const MAPS: &str = "/api/v1/namespaces/default/configmaps";

/// Sends a request and compares the message of the refusal.
async fn check(
    fixture: &Fixture,
    method: &str,
    path: &str,
    body: Option<Value>,
    expected: (u16, &str),
) {
    let (status, answer) = fixture.call(method, path, body.clone()).await;
    let found = (status.as_u16(), answer["message"].as_str());
    let (code, message) = expected;
    assert_eq!(found, (code, Some(message)), "{method} {path} {body:?}");
}

#[tokio::test]
async fn wrong_parameters_of_lists_are_named() {
    let fixture = fixture();
    let maps = |query: &str| format!("{MAPS}?{query}");
    for (query, expected) in [
        (
            "limit=99999999999999999999",
            "strconv.ParseInt: parsing \"99999999999999999999\": value out of range",
        ),
        (
            "continue=abc",
            "invalid continue token: continue key is not valid: invalid character 'i' looking for beginning of value",
        ),
    ] {
        check(&fixture, "GET", &maps(query), None, (400, expected)).await;
        check(&fixture, "DELETE", &maps(query), None, (400, expected)).await;
    }
    let watch = "watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&continue=x";
    let expected = "ListOptions.meta.k8s.io \"\" is invalid: resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden when continue is provided";
    check(&fixture, "GET", &maps(watch), None, (422, expected)).await;
    let one = "/api/v1/watch/namespaces/default/configmaps/a?fieldSelector=metadata.name%3Db";
    let expected = "fieldSelector metadata.name doesn't match requested name";
    check(&fixture, "GET", one, None, (400, expected)).await;
}

#[tokio::test]
async fn a_field_manager_is_printable() {
    let fixture = fixture();
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}});
    let fault = |shown: &str, character: &str| {
        format!(
            "fieldManager: Invalid value: {shown}: invalid character {character} (at position 1)"
        )
    };
    for (manager, fault) in [
        ("a%01", fault("\"a\\x01\"", "U+0001")),
        ("a%E2%80%8B", fault("\"a\\u200b\"", "U+200B")),
    ] {
        let path = format!("{MAPS}?fieldManager={manager}");
        let expected = format!("CreateOptions.meta.k8s.io \"\" is invalid: {fault}");
        let body = Some(map.clone());
        check(&fixture, "POST", &path, body, (422, &expected)).await;
    }
}

#[tokio::test]
async fn options_of_a_deletion_have_types() {
    let fixture = fixture();
    let path = format!("{MAPS}/a");
    for (body, expected) in [
        (
            json!({"gracePeriodSeconds": "1"}),
            (
                400,
                "json: cannot unmarshal string into Go struct field DeleteOptions.gracePeriodSeconds of type int64",
            ),
        ),
        (
            json!({"dryRun": "All"}),
            (
                400,
                "json: cannot unmarshal string into Go struct field DeleteOptions.dryRun of type []string",
            ),
        ),
        (
            json!({"propagationPolicy": "Orphan", "orphanDependents": true}),
            (
                422,
                "DeleteOptions.meta.k8s.io \"\" is invalid: propagationPolicy: Invalid value: \"Orphan\": orphanDependents and deletionPropagation cannot be both set",
            ),
        ),
        (json!({"unknown": 1}), (404, "configmaps \"a\" not found")),
    ] {
        check(&fixture, "DELETE", &path, Some(body), expected).await;
    }
}

#[tokio::test]
async fn people_read_indented_json() {
    let fixture = fixture();
    let text = async |path: &str, agent: &str| {
        let request = http::Request::get(path)
            .header("user-agent", agent)
            .body(Empty::<bytes::Bytes>::new())
            .expect("a request");
        let mut service = fixture.server.service(Identity::admin());
        let answer = service.call(request).await.expect("it answers");
        let bytes = answer.into_body().collect().await.expect("a body");
        String::from_utf8(bytes.to_bytes().to_vec()).expect("it is text")
    };
    let namespace = "/api/v1/namespaces/kube-system";
    for path in ["/version", "/api", namespace, "/api/v1/pods/nothing"] {
        assert!(
            text(path, "curl/8.1").await.starts_with("{\n  \""),
            "{path}"
        );
        assert!(text(path, "test/1.0").await.starts_with("{\""), "{path}");
    }
    let asked = text(&format!("{namespace}?pretty=true"), "test/1.0").await;
    assert_eq!(asked, text(namespace, "curl/8.1").await);
}
