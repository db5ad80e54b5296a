//! A small definition, its rows, and objects judged against it.

use serde_json::{Value, json};

use super::*;
use crate::validate::Causes;
use crate::{canonical, default, strategy, strict, validate};

fn definition() -> Value {
    json!({"spec": {
        "group": "example.test",
        "scope": "Namespaced",
        "names": {"plural": "widgets", "singular": "widget", "kind": "Widget", "shortNames": ["wd"]},
        "versions": [
            {
                "name": "v1", "served": true, "storage": true,
                "subresources": {
                    "status": {},
                    "scale": {"specReplicasPath": ".spec.size", "statusReplicasPath": ".status.size"}
                },
                "additionalPrinterColumns": [
                    {"name": "Size", "type": "integer", "jsonPath": ".spec.size"},
                    {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}
                ],
                "schema": {"openAPIV3Schema": {"type": "object", "properties": {
                    "spec": {"type": "object", "required": ["name"], "properties": {
                        "name": {"type": "string", "maxLength": 5, "pattern": "^[a-z]+$"},
                        "size": {"type": "integer", "default": 3, "minimum": 1, "maximum": 10},
                        "mode": {"type": "string", "enum": ["a", "b"]},
                        "when": {"type": "string", "format": "date-time", "nullable": true},
                        "either": {"x-kubernetes-int-or-string": true},
                        "tags": {"type": "array", "x-kubernetes-list-type": "set", "maxItems": 2,
                                 "items": {"type": "string"}},
                        "ports": {"type": "array", "x-kubernetes-list-type": "map",
                            "x-kubernetes-list-map-keys": ["port", "proto"],
                            "items": {"type": "object", "required": ["port"], "properties": {
                                "port": {"type": "integer"},
                                "proto": {"type": "string", "default": "TCP"}}}},
                        "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
                        "one": {"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "string"}},
                                "oneOf": [{"required": ["a"]}, {"required": ["b"]}]}
                    }},
                    "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}
                }}}
            },
            {"name": "v2", "served": true, "storage": false,
             "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}}
        ]
    }})
}

fn kind() -> &'static Kind {
    kinds(&definition()).expect("a sound definition")[0]
}

#[test]
fn a_definition_becomes_rows() {
    let rows = kinds(&definition()).expect("a sound definition");
    assert_eq!(rows.len(), 2);
    let kind = rows[0];
    assert_eq!((kind.plural, kind.short_names), ("widgets", &["wd"][..]));
    assert!(kind.has_status() && kind.subresource("scale").is_some());
    assert_eq!(kind.scale.expect("scales").spec_replicas, "spec.size");
    assert_eq!(
        kind.schema().at("metadata.labels").map(Node::shape),
        Some(Shape::Map)
    );
    assert!(std::ptr::eq(rows[1].storage(), kind));
}

#[test]
fn objects_are_pruned_and_defaulted() {
    let mut object = json!({
        "apiVersion": "example.test/v1", "kind": "Widget",
        "metadata": {"name": "x", "bogus": 1, "labels": {}},
        "spec": {"name": "abc", "bogus": 1, "free": {"any": {"thing": [1]}}, "ports": [{"port": 1}]},
        "junk": 5
    });
    let unknown = strict::read(kind(), &mut object).expect("metadata has its type");
    assert_eq!(
        unknown,
        [
            "unknown field \"metadata.bogus\"",
            "unknown field \"spec.bogus\"",
            "unknown field \"junk\""
        ]
    );
    default::apply(kind(), &mut object);
    canonical::apply(kind(), &mut object);
    assert_eq!(
        object,
        json!({
            "apiVersion": "example.test/v1", "kind": "Widget", "metadata": {"name": "x"},
            "spec": {
                "name": "abc", "free": {"any": {"thing": [1]}},
                "ports": [{"port": 1, "proto": "TCP"}], "size": 3
            }
        })
    );
}

#[track_caller]
fn refused(spec: Value, expected: &[&str]) {
    let object = json!({
        "apiVersion": "example.test/v1", "kind": "Widget",
        "metadata": {"name": "x", "namespace": "n"}, "spec": spec
    });
    let causes = validate::create(kind(), &object);
    let texts: Vec<String> = causes
        .iter()
        .map(|cause| format!("{}: {}", cause.field, cause.message))
        .collect();
    assert_eq!(texts, expected);
}

#[test]
fn values_are_judged_in_the_words_of_the_reference() {
    refused(json!({"name": "abc"}), &[]);
    refused(json!({}), &["spec.name: Required value"]);
    refused(
        json!({"name": "abcdefg", "size": 99, "mode": "z", "tags": ["a", "a", "c"]}),
        &[
            "spec.name: Too long: may not be more than 5 bytes",
            "spec.size: Invalid value: 99: spec.size in body should be less than or equal to 10",
            "spec.mode: Unsupported value: \"z\": supported values: \"a\", \"b\"",
            "spec.tags: Too many: 3: must have at most 2 items",
            "spec.tags[1]: Duplicate value: \"a\"",
        ],
    );
    refused(
        json!({"name": "x", "either": true, "when": "yesterday",
               "ports": [{"port": 1, "proto": "TCP"}, {"port": 1, "proto": "TCP"}]}),
        &[
            "spec.either: Invalid value: \"boolean\": spec.either in body must be of type integer,string: \"boolean\"",
            "spec.when: Invalid value: \"yesterday\": spec.when in body must be of type date-time: \"yesterday\"",
            "spec.ports[1]: Duplicate value: {\"port\":1,\"proto\":\"TCP\"}",
        ],
    );
    refused(
        json!({"name": "A", "when": null, "one": {"a": "x", "b": "y"}}),
        &[
            "spec.name: Invalid value: \"A\": spec.name in body should match '^[a-z]+$'",
            "spec.one: Invalid value: \"\": spec.one in body must validate one and only one schema (oneOf). Found 2 valid alternatives",
        ],
    );
}

#[test]
fn what_an_update_leaves_alone_is_not_judged_again() {
    let object = |size: i64, name: &str| {
        json!({
            "apiVersion": "example.test/v1", "kind": "Widget",
            "metadata": {"name": "x", "namespace": "n", "resourceVersion": "1"},
            "spec": {"name": name, "size": size}
        })
    };
    let causes = validate::update(kind(), None, &object(99, "b"), &object(99, "a"));
    assert_eq!(causes, []);
    let causes = validate::update(kind(), None, &object(98, "b"), &object(99, "a"));
    assert_eq!(causes.len(), 1);
}

#[test]
fn status_and_generation_follow_the_subresource() {
    let now = Timestamp::UNIX_EPOCH;
    let mut object = json!({"metadata": {}, "spec": {"size": 1}, "status": {"size": 9}});
    strategy::prepare_create(kind(), &mut object, now);
    assert_eq!(
        object,
        json!({"metadata": {"generation": 1}, "spec": {"size": 1}})
    );
    let old = json!({"metadata": {"generation": 1}, "spec": {"size": 1}, "status": {"size": 1}});
    let mut object = json!({"metadata": {}, "spec": {"size": 2}, "status": {"size": 9}});
    strategy::prepare_update(kind(), None, &mut object, &old, now);
    assert_eq!(object["metadata"]["generation"], 2);
    assert_eq!(object["status"], json!({"size": 1}));
    let mut object =
        json!({"metadata": {"labels": {"a": "b"}}, "spec": {"size": 2}, "status": {"size": 9}});
    strategy::prepare_update(kind(), Some("status"), &mut object, &old, now);
    assert_eq!(
        object,
        json!({"metadata": {"generation": 1}, "spec": {"size": 1}, "status": {"size": 9}})
    );
}

#[test]
fn columns_show_what_their_paths_find() {
    let object = json!({
        "metadata": {"name": "x", "creationTimestamp": "1970-01-01T00:00:00Z"}, "spec": {"size": 4}
    });
    let now = "1970-01-01T00:01:30Z".parse().expect("a time");
    let row = table::row(kind(), &object, now);
    assert_eq!(row.cells, [json!("x"), json!(4), json!("90s")]);
    assert_eq!(table::definitions(kind())[1]["name"], "Size");
}

#[test]
fn a_scale_shows_sensible_numbers() {
    let object = json!({"apiVersion": "example.test/v1", "kind": "Widget", "metadata": {"name": "x", "namespace": "n"},
        "spec": {"name": "abc"}, "status": {"size": -1}});
    let mut causes = Causes::default();
    create(kind(), &object, &mut causes);
    let texts: Vec<String> = causes
        .into_list()
        .iter()
        .map(|cause| format!("{}: {}", cause.field, cause.message))
        .collect();
    assert_eq!(
        texts,
        [".status.size: Invalid value: -1: should be a non-negative integer"]
    );
}

#[test]
fn finalizers_without_a_domain_are_warned_of() {
    let with = |finalizers: Value| json!({"metadata": {"name": "x", "finalizers": finalizers}});
    let check = |new: Value, old: Option<Value>, expected: &[&str]| {
        let found = validate::warnings(kind(), None, &with(new), old.map(with).as_ref());
        assert_eq!(found, expected);
    };
    let plain = "metadata.finalizers: \"own\": prefer a domain-qualified finalizer name to avoid accidental conflicts with other finalizer writers";
    let dotted = "metadata.finalizers: \"own.test\": prefer a domain-qualified finalizer name including a path (/) to avoid accidental conflicts with other finalizer writers";
    check(
        json!(["own", "own.test", "a.test/x", "orphan"]),
        None,
        &[plain, dotted],
    );
    check(json!(["own", "own.test"]), Some(json!(["own"])), &[dotted]);
}
