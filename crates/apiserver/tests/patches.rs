//! Patches that make of an object what it may not be, or say too much.

mod common;

use bytes::Bytes;
use common::{Fixture, fixture};
use coracle_apiserver::Identity;
use http::Request;
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};
use tower::Service;

const MAP: &str = "/api/v1/namespaces/default/configmaps/x";

/// Sends a patch; returns the code, the answer and the warnings.
async fn patch(fixture: &Fixture, form: &str, body: &str) -> (u16, Value, Vec<String>) {
    let request = Request::builder()
        .method("PATCH")
        .uri(format!("{MAP}?fieldManager=m"))
        .header("content-type", format!("application/{form}"))
        .body(Full::new(Bytes::from(body.to_owned())))
        .unwrap();
    let mut service = fixture.server.service(Identity::admin());
    let response = service.call(request).await.unwrap();
    let code = response.status().as_u16();
    let warnings = response.headers().get_all("warning").iter();
    let warnings = warnings
        .map(|text| text.to_str().unwrap().to_owned())
        .collect();
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    (code, serde_json::from_slice(&bytes).unwrap(), warnings)
}

async fn with_map() -> Fixture {
    let fixture = fixture();
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}, "data": {"a": "b"}});
    let maps = MAP.trim_end_matches("/x");
    fixture.ok("POST", maps, Some(map)).await;
    fixture
}

#[tokio::test]
async fn what_a_patch_makes_is_read_as_its_own_kind() {
    let fixture = with_map().await;
    let unnamed =
        "the name of the object (x based on URL) was undeterminable: name must be provided";
    for (form, body, code, end) in [
        (
            "merge-patch+json",
            r#"{"kind":"Secret"}"#,
            422,
            "illegal base64 data at input byte 0",
        ),
        (
            "merge-patch+json",
            r#"{"kind":"Secret","data":null}"#,
            422,
            "converting (v1.Secret) to (core.ConfigMap): unknown conversion",
        ),
        ("merge-patch+json", r#"{"apiVersion":null}"#, 400, unnamed),
        (
            "strategic-merge-patch+json",
            r#"{"$retainKeys":["data"],"data":{"a":"c"}}"#,
            400,
            unnamed,
        ),
        (
            "apply-patch+yaml",
            "- a",
            400,
            "error decoding YAML: error unmarshaling JSON: while decoding JSON: json: cannot unmarshal array into Go value of type map[string]interface {}",
        ),
    ] {
        let (found, answer, _) = patch(&fixture, form, body).await;
        let message = answer["message"].as_str().unwrap_or_default();
        assert_eq!(found, code, "{body}: {message}");
        assert!(message.ends_with(end), "{body}: {message}");
    }
    let (code, answer, _) =
        patch(&fixture, "strategic-merge-patch+json", r#"{"kind":"Foo"}"#).await;
    assert_eq!((code, &answer["kind"]), (200, &json!("ConfigMap")));
}

#[tokio::test]
async fn members_that_no_operation_has_are_named() {
    let fixture = with_map().await;
    let body = r#"[{"op":"test","op":"test","path":"/data/a","value":"b","val":1}]"#;
    let (code, _, warnings) = patch(&fixture, "json-patch+json", body).await;
    assert_eq!(code, 200);
    assert_eq!(
        warnings,
        [
            r#"299 - "json patch duplicate field \"[0].op\"""#,
            r#"299 - "json patch unknown field \"[0].val\"""#,
        ]
    );
}
