//! Documents 003 and 004, which hold manifests.

use serde_json::{Value, json};

use crate::document::{check_object, fixture};
use crate::engines::{Engines, container, find};
use crate::{CHART, FIXTURES, SECRETS_003, SECRETS_004};

#[test]
fn document_003_is_rendered_field_by_field() {
    let engines = Engines::find();
    let profile = ["-f", "profiles/003-local-k8s.yaml", "--set", SECRETS_003];
    let objects = engines.render(&profile);
    let check = |file: &str| {
        let document = fixture(&format!("003/{file}"));
        let kind = document["kind"].as_str().expect("kind");
        let name = document["metadata"]["name"].as_str().expect("name");
        check_object(find(&objects, kind, name), &document);
    };
    check("namespace");
    check("configmap");
    check("secret");
    check("backend-deployment");
    check("backend-service");
    check("frontend-deployment");
    check("frontend-service");
    assert_eq!(
        objects.iter().filter(|one| one["kind"] != "Pod").count(),
        7,
        "7 core resources"
    );
    let in_namespace = objects.iter().filter(|one| one["kind"] != "Namespace");
    for object in in_namespace {
        assert_eq!(object["metadata"]["namespace"], "todo-app");
    }
}

#[test]
fn document_003_with_its_volume() {
    let engines = Engines::find();
    let profile = [
        "-f",
        "profiles/003-local-k8s.yaml",
        "-f",
        "profiles/003-persistent.yaml",
        "--set",
        SECRETS_003,
    ];
    let objects = engines.render(&profile);
    check_object(
        find(&objects, "PersistentVolume", "backend-uploads-pv"),
        &fixture("003/volume"),
    );
    check_object(
        find(&objects, "PersistentVolumeClaim", "backend-uploads-pvc"),
        &fixture("003/claim"),
    );
    let pod = &find(&objects, "Deployment", "backend")["spec"]["template"]["spec"];
    let claim =
        json!({"name": "uploads", "persistentVolumeClaim": {"claimName": "backend-uploads-pvc"}});
    assert_eq!(pod["volumes"], json!([claim]));
    assert_eq!(
        pod["initContainers"][0]["args"],
        json!(["prepare", "/app/uploads"])
    );
    assert_eq!(pod["initContainers"][0]["securityContext"]["runAsUser"], 0);
}

#[test]
fn document_004_is_rendered_field_by_field() {
    let engines = Engines::find();
    let objects = engines.render(&[
        "-f",
        "profiles/004-k8s-deployment.yaml",
        "--set",
        SECRETS_004,
    ]);
    let check = |file: &str| {
        let document = fixture(&format!("004/{file}"));
        let kind = document["kind"].as_str().expect("kind");
        let name = document["metadata"]["name"].as_str().expect("name");
        check_object(find(&objects, kind, name), &document);
    };
    check("backend-deployment");
    check("frontend-deployment");
    check("backend-service");
    check("frontend-service");
    check("configmap");
    check("secret");
    for (component, name) in [("backend", "todo-backend"), ("frontend", "todo-frontend")] {
        let container = container(&objects, name);
        let values = fixture("004/values");
        for (probe, field) in [
            ("liveness", "livenessProbe"),
            ("readiness", "readinessProbe"),
        ] {
            for (key, number) in values["healthCheck"][probe].as_object().expect("numbers") {
                assert_eq!(&container[field][key], number, "{component} {field} {key}");
            }
        }
    }
}

/// Document 004 also holds a Chart.yaml and a values.yaml; both are taken.
#[test]
fn document_004_chart_and_values_are_accepted() {
    let engines = Engines::find();
    let text = std::fs::read_to_string(format!("{CHART}/Chart.yaml")).expect("Chart.yaml");
    let chart: Value = serde_saphyr::from_str(&text).expect("YAML");
    assert_eq!(chart, fixture("004/chart"));
    let values = format!("{FIXTURES}/004/values.yaml");
    let objects = engines.render(&[
        "-f",
        "profiles/004-k8s-deployment.yaml",
        "-f",
        &values,
        "--set",
        SECRETS_004,
    ]);
    check_object(
        find(&objects, "Deployment", "todo-backend"),
        &fixture("004/backend-deployment"),
    );
}
