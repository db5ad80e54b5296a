//! The life of custom resource definitions.

mod common;

use common::{Fixture, fixture};
use http::StatusCode;
use serde_json::{Value, json};

const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
const DEFINITION: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/widgets.a.test";
const OBJECTS: &str = "/apis/a.test/v1/namespaces/default/widgets";

async fn defined() -> Fixture {
    let fixture = fixture();
    let definition = json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "widgets.a.test"},
        "spec": {
            "group": "a.test",
            "scope": "Namespaced",
            "names": {"plural": "widgets", "kind": "Widget"},
            "versions": [{
                "name": "v1", "served": true, "storage": true,
                "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}},
                "subresources": {"scale": {
                    "specReplicasPath": ".spec.replicas",
                    "statusReplicasPath": ".status.replicas",
                    "labelSelectorPath": ".status.selector",
                }},
            }],
        },
    });
    fixture.ok("POST", DEFINITIONS, Some(definition)).await;
    fixture
}

fn widget(name: &str, finalizers: &[&str]) -> Option<Value> {
    Some(json!({
        "apiVersion": "a.test/v1",
        "kind": "Widget",
        "metadata": {"name": name, "finalizers": finalizers},
    }))
}

#[tokio::test]
async fn a_definition_stays_until_its_objects_are_gone() {
    let fixture = defined().await;
    fixture.ok("POST", OBJECTS, widget("free", &[])).await;
    fixture
        .ok("POST", OBJECTS, widget("held", &["a.test/x"]))
        .await;
    fixture.ok("DELETE", DEFINITION, None).await;
    let held = format!("{OBJECTS}/held");
    let marked = loop {
        let object = fixture.ok("GET", &held, None).await;
        if !object["metadata"]["deletionTimestamp"].is_null() {
            break object;
        }
        tokio::task::yield_now().await;
    };
    assert_eq!(marked["metadata"]["generation"], 2);
    let (status, _) = fixture.call("GET", &format!("{OBJECTS}/free"), None).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    let definition = fixture.ok("GET", DEFINITION, None).await;
    let conditions = definition["status"]["conditions"].as_array().unwrap();
    let terminating = conditions.iter().find(|one| one["type"] == "Terminating");
    assert_eq!(terminating.unwrap()["status"], "True");
    let (status, refused) = fixture.call("POST", OBJECTS, widget("late", &[])).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    let message = "widgets.a.test \"late\" is forbidden: create not allowed while custom resource definition is terminating";
    assert_eq!(refused["message"], message);

    let release = json!({"metadata": {"finalizers": null}});
    fixture.ok("PATCH", &held, Some(release)).await;
    let (status, _) = fixture.call("GET", DEFINITION, None).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn an_empty_list_of_stored_versions_changes_nothing() {
    let fixture = defined().await;
    let before = fixture.ok("GET", DEFINITION, None).await;
    assert_eq!(before["status"]["storedVersions"], json!(["v1"]));
    let patch = json!({"status": {"storedVersions": []}});
    let status = format!("{DEFINITION}/status");
    let after = fixture.ok("PATCH", &status, Some(patch)).await;
    assert_eq!(after, before);
    // Upstream leaves the metadata to writers of the status, too.
    let patch = json!({"metadata": {"labels": {"a": "b"}}});
    let after = fixture.ok("PATCH", &status, Some(patch)).await;
    assert_eq!(after["metadata"]["labels"], json!({"a": "b"}));
}

#[tokio::test]
async fn a_scale_needs_replicas() {
    let fixture = defined().await;
    fixture.ok("POST", OBJECTS, widget("x", &[])).await;
    let scale = format!("{OBJECTS}/x/scale");
    let (status, refused) = fixture.call("GET", &scale, None).await;
    assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
    let message =
        "Internal error occurred: the spec replicas field \".spec.replicas\" does not exist";
    assert_eq!(refused["message"], message);
    let (status, refused) = fixture.call("PATCH", &scale, Some(json!({}))).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    let message = "the spec replicas field \".spec.replicas\" cannot be empty";
    assert_eq!(refused["message"], message);
    let patch = json!({"spec": {"replicas": 2}});
    fixture.ok("PATCH", &scale, Some(patch)).await;
    assert_eq!(fixture.ok("GET", &scale, None).await["spec"]["replicas"], 2);
    for (field, fault) in [
        (
            json!({"spec": {"replicas": "2"}}),
            ".spec.replicas: Invalid value: 0: .spec.replicas accessor error: 2 is of the type string, expected int64",
        ),
        (
            json!({"status": {"selector": true}}),
            ".status.selector: Invalid value: \"\": .status.selector accessor error: true is of the type bool, expected string",
        ),
    ] {
        let (_, refused) = fixture
            .call("PATCH", &format!("{OBJECTS}/x"), Some(field))
            .await;
        let message = format!("Widget.a.test \"x\" is invalid: {fault}");
        assert_eq!(refused["message"], message);
    }
}
