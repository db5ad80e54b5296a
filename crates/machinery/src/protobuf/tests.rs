//! Bodies written by hand, field by field.

use serde_json::json;

use super::*;

fn varint(mut value: usize) -> Vec<u8> {
    let mut out = Vec::new();
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
    out
}

/// A field of bytes: text, or a message.
fn bytes(tag: usize, content: impl AsRef<[u8]>) -> Vec<u8> {
    let content = content.as_ref();
    [
        varint(tag << 3 | 2),
        varint(content.len()),
        content.to_vec(),
    ]
    .concat()
}

fn number(tag: usize, value: usize) -> Vec<u8> {
    [varint(tag << 3), varint(value)].concat()
}

fn message(fields: &[Vec<u8>]) -> Vec<u8> {
    fields.concat()
}

fn body(api_version: &str, kind: &str, fields: &[Vec<u8>]) -> Vec<u8> {
    let meta = message(&[bytes(1, api_version), bytes(2, kind)]);
    [MAGIC.to_vec(), bytes(1, meta), bytes(2, message(fields))].concat()
}

#[track_caller]
fn check(body: &[u8], expected: Value) {
    assert_eq!(decode(body), Ok(expected));
}

#[test]
fn config_map() {
    let meta = message(&[bytes(1, "m"), bytes(3, "ns"), number(7, 0), bytes(8, "")]);
    let entry = message(&[bytes(1, "k"), bytes(2, "v")]);
    let empty = bytes(1, "e");
    let body = body(
        "v1",
        "ConfigMap",
        &[bytes(1, meta), bytes(2, entry), bytes(2, empty)],
    );
    let data = json!({"k": "v", "e": ""});
    check(
        &body,
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m", "namespace": "ns"}, "data": data}),
    );
}

#[test]
fn secret_bytes_become_base64() {
    let entry = message(&[bytes(1, "k"), bytes(2, [0xff, 0x00])]);
    let body = body("v1", "Secret", &[bytes(2, entry)]);
    check(
        &body,
        json!({"apiVersion": "v1", "kind": "Secret", "data": {"k": "/wA="}}),
    );
}

#[test]
fn zeros_of_pointers_stay_and_others_go() {
    let port = message(&[bytes(1, ""), number(2, 0), number(3, 80), bytes(4, "TCP")]);
    let container = message(&[bytes(1, "c"), bytes(2, "i"), bytes(6, port), number(16, 0)]);
    let template = bytes(2, bytes(2, container));
    let spec = message(&[number(1, 0), bytes(3, template)]);
    let body = body("apps/v1", "Deployment", &[bytes(2, spec), bytes(3, "")]);
    let decoded = decode(&body).expect("valid");
    assert_eq!(decoded["spec"]["replicas"], json!(0));
    let container = &decoded["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(
        container["ports"],
        json!([{"containerPort": 80, "protocol": "TCP"}])
    );
    assert_eq!(decoded["status"], json!({}));
}

#[test]
fn inlined_messages_stand_in_their_owner() {
    let empty_dir = bytes(2, bytes(2, ""));
    let volume = message(&[bytes(1, "v"), empty_dir]);
    let body = body("v1", "Pod", &[bytes(2, bytes(1, volume))]);
    check(
        &body,
        json!({"apiVersion": "v1", "kind": "Pod", "spec": {"volumes": [{"name": "v", "emptyDir": {}}]}}),
    );
}

#[test]
fn times_numbers_and_quantities() {
    let time = message(&[number(1, 31_536_000), number(2, 5)]);
    let body_time = body("v1", "Pod", &[bytes(1, bytes(9, time))]);
    assert_eq!(
        decode(&body_time).expect("valid")["metadata"]["deletionTimestamp"],
        json!("1971-01-01T00:00:00Z")
    );
    let no_time = body("v1", "Pod", &[bytes(1, bytes(8, ""))]);
    assert_eq!(decode(&no_time).expect("valid")["metadata"], json!({}));
    let target = |fields: &[Vec<u8>]| bytes(4, message(fields));
    let ports = [
        bytes(1, target(&[number(1, 0), number(2, 80)])),
        bytes(1, target(&[number(1, 1), bytes(3, "http")])),
    ];
    let service = body("v1", "Service", &[bytes(2, message(&ports))]);
    assert_eq!(
        decode(&service).expect("valid")["spec"]["ports"],
        json!([{"targetPort": 80}, {"targetPort": "http"}])
    );
}

#[test]
fn schemas_of_custom_resources() {
    let list = message(&[bytes(5, "array"), bytes(24, bytes(1, bytes(5, "string")))]);
    let free = message(&[
        bytes(5, "object"),
        bytes(30, message(&[number(1, 1), bytes(2, bytes(5, "integer"))])),
    ]);
    let closed = message(&[bytes(5, "object"), bytes(30, number(1, 0))]);
    let default = bytes(8, bytes(1, r#"{"a":[1]}"#));
    let property =
        |name: &str, schema: &[u8]| bytes(29, message(&[bytes(1, name), bytes(2, schema)]));
    let schema = message(&[
        property("l", &list),
        property("f", &free),
        property("c", &closed),
        default,
    ]);
    let version = message(&[
        bytes(1, "v1"),
        number(2, 1),
        number(3, 0),
        bytes(4, bytes(1, schema)),
    ]);
    let body = body(
        "apiextensions.k8s.io/v1",
        "CustomResourceDefinition",
        &[bytes(2, bytes(7, version))],
    );
    let decoded = decode(&body).expect("valid");
    let version = &decoded["spec"]["versions"][0];
    assert_eq!(version["storage"], json!(false));
    let expected = json!({
        "properties": {
            "l": {"type": "array", "items": {"type": "string"}},
            "f": {"type": "object", "additionalProperties": {"type": "integer"}},
            "c": {"type": "object", "additionalProperties": false},
        },
        "default": {"a": [1]},
    });
    assert_eq!(version["schema"]["openAPIV3Schema"], expected);
}

#[test]
fn delete_options_of_any_group() {
    let body = body(
        "apps/v1",
        "DeleteOptions",
        &[number(1, 0), bytes(4, "Background")],
    );
    let expected = json!({
        "apiVersion": "apps/v1", "kind": "DeleteOptions", "gracePeriodSeconds": 0, "propagationPolicy": "Background",
    });
    check(&body, expected);
}

#[test]
fn unknown_fields_are_noted() {
    let spec = message(&[bytes(10, "n"), number(1007, 1)]);
    let body = body("v1", "Pod", &[bytes(2, spec)]);
    let mut unknown = Vec::new();
    assert_eq!(
        decode_noting(&body, &mut unknown).expect("valid")["spec"],
        json!({"nodeName": "n"})
    );
    assert_eq!(unknown, ["spec.1007"]);
}

#[test]
fn broken_bodies_are_refused() {
    assert_eq!(decode(b"{}"), Err(DecodeError::NoEnvelope));
    assert_eq!(decode(MAGIC), Err(DecodeError::NoType));
    assert!(matches!(
        decode(&body("v9", "Pod", &[])),
        Err(DecodeError::UnknownType { .. })
    ));
    let whole = body("v1", "Pod", &[bytes(1, bytes(1, "name"))]);
    for end in MAGIC.len()..whole.len() {
        let _ = decode(&whole[..end]);
    }
    assert_eq!(
        decode(&whole[..whole.len() - 1]),
        Err(DecodeError::Truncated)
    );
    let wrong = body("v1", "Pod", &[number(1, 1)]);
    assert_eq!(
        decode(&wrong),
        Err(DecodeError::Malformed("metadata".to_owned()))
    );
}

#[test]
fn depth_is_bounded() {
    let nested = |depth: usize| {
        // Field 28 is `not`: a schema inside a schema.
        let schema = (0..depth).fold(bytes(5, "object"), |schema, _| bytes(28, schema));
        let version = bytes(4, bytes(1, schema));
        body(
            "apiextensions.k8s.io/v1",
            "CustomResourceDefinition",
            &[bytes(2, bytes(7, version))],
        )
    };
    assert!(decode(&nested(100)).is_ok());
    assert_eq!(decode(&nested(300)), Err(DecodeError::TooDeep));
    let envelopes = (0..200).fold(b"{}".to_vec(), |inner, _| {
        body(
            "apps/v1",
            "ControllerRevision",
            &[bytes(2, bytes(1, inner))],
        )
    });
    assert_eq!(decode(&envelopes), Err(DecodeError::TooDeep));
}
