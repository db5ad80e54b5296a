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
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {"type": "object"}}}],
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
