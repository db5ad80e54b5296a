//! Document 001: tables of fields, and a schema of values. Its validation rules
//! are in `refusals`.

use serde_json::{Value, json};

use crate::engines::{Engines, check_fields};
use crate::{FIXTURES, SECRETS_001};

const PROFILE: [&str; 4] = [
    "-f",
    "profiles/001-kubernetes-deployment.yaml",
    "--set",
    SECRETS_001,
];

/// Sections 1 (Deployment) and 5 (Pod).
#[test]
fn deployments_and_pods_of_001() {
    let objects = Engines::find().render(&PROFILE);
    for (name, app, port, health, ready, memory) in [
        (
            "todo-backend",
            "backend",
            8000,
            "/health",
            "/ready",
            "256Mi",
        ),
        (
            "todo-frontend",
            "frontend",
            3000,
            "/api/health",
            "/api/health",
            "128Mi",
        ),
    ] {
        let labels = json!({"app": app});
        let container = "/spec/template/spec/containers/0";
        let mut fields = json!({
            "/apiVersion": "apps/v1",
            "/metadata/namespace": "default",
            "/spec/replicas": 2,
            "/spec/selector/matchLabels": labels,
            "/spec/template/metadata/labels": labels,
            "/spec/template/spec/securityContext/runAsNonRoot": true,
            "/spec/template/spec/containers/1": null,
        });
        for (field, expected) in [
            ("image", json!(format!("{name}:v1.0.0"))),
            ("imagePullPolicy", json!("IfNotPresent")),
            ("ports/0/containerPort", json!(port)),
            ("ports/1", Value::Null),
            (
                "envFrom",
                json!([
                    {"configMapRef": {"name": "todo-config"}},
                    {"secretRef": {"name": "todo-secrets"}},
                ]),
            ),
            (
                "resources",
                json!({
                    "requests": {"cpu": "100m", "memory": memory},
                    "limits": {"cpu": "500m", "memory": "512Mi"},
                }),
            ),
            (
                "livenessProbe/httpGet",
                json!({"path": health, "port": port}),
            ),
            (
                "readinessProbe/httpGet",
                json!({"path": ready, "port": port}),
            ),
        ] {
            fields[format!("{container}/{field}")] = expected;
        }
        check_fields(&objects, "Deployment", name, &fields);
    }
}

/// Sections 2 (Service), 3 (Secret) and 4 (ConfigMap).
#[test]
fn services_and_configuration_of_001() {
    let objects = Engines::find().render(&PROFILE);
    let check = |kind: &str, name: &str, fields: Value| {
        check_fields(&objects, kind, name, &fields);
    };
    check(
        "Service",
        "todo-frontend-svc",
        json!({
            "/spec/type": "NodePort",
            "/spec/ports/0/port": 3000,
            "/spec/ports/0/targetPort": 3000,
            "/spec/ports/0/nodePort": 30080,
            "/spec/ports/1": null,
            "/spec/selector": {"app": "frontend"},
        }),
    );
    check(
        "Service",
        "todo-backend-svc",
        json!({
            "/spec/type": "ClusterIP",
            "/spec/ports/0/port": 8000,
            "/spec/ports/0/targetPort": 8000,
            "/spec/ports/0/nodePort": null,
            "/spec/ports/1": null,
            "/spec/selector": {"app": "backend"},
        }),
    );
    check(
        "Secret",
        "todo-secrets",
        json!({
            "/type": "Opaque",
            // base64 of what SECRETS_001 sets.
            "/data": {
                "DATABASE_URL": "cG9zdGdyZXNxbDovL3U6cEBoL2Q=",
                "BETTER_AUTH_SECRET": "czNjcmV0",
                "OPENAI_API_KEY": "c2stdGVzdA==",
            },
        }),
    );
    check(
        "ConfigMap",
        "todo-config",
        json!({"/data": {
            "NEXT_PUBLIC_API_URL": "http://todo-backend-svc:8000",
            "NODE_ENV": "production",
            "LOG_LEVEL": "info",
        }}),
    );
}

/// The document's schema, with its defaults for values, changes nothing.
#[test]
fn the_values_of_001_are_the_profile() {
    let engines = Engines::find();
    let values = format!("{FIXTURES}/001/values.yaml");
    let with_values = engines.render(&[&PROFILE[..], &["-f", &values]].concat());
    assert_eq!(with_values, engines.render(&PROFILE));
}

/// Every key of the document's schema does what its name says.
#[test]
fn every_value_of_001_has_an_effect() {
    let engines = Engines::find();
    let check = |set: &str, kind: &str, name: &str, pointer: &str, expected: Value| {
        let objects = engines.render(&[&PROFILE[..], &["--set", set]].concat());
        check_fields(&objects, kind, name, &json!({pointer: expected}));
    };
    for (component, name) in [("backend", "todo-backend"), ("frontend", "todo-frontend")] {
        let service = format!("{name}-svc");
        let container = "/spec/template/spec/containers/0";
        for (key, value, field, expected) in [
            ("image.repository", "boat", "image", json!("boat:v1.0.0")),
            ("image.tag", "v2", "image", json!(format!("{name}:v2"))),
            (
                "resources.requests.cpu",
                "90m",
                "resources/requests/cpu",
                json!("90m"),
            ),
            (
                "resources.requests.memory",
                "64Mi",
                "resources/requests/memory",
                json!("64Mi"),
            ),
            (
                "resources.limits.cpu",
                "2",
                "resources/limits/cpu",
                json!(2),
            ),
            (
                "resources.limits.memory",
                "1Gi",
                "resources/limits/memory",
                json!("1Gi"),
            ),
            (
                "healthPath",
                "/up",
                "livenessProbe/httpGet/path",
                json!("/up"),
            ),
        ] {
            let set = format!("{component}.{key}={value}");
            let pointer = format!("{container}/{field}");
            check(&set, "Deployment", name, &pointer, expected);
        }
        let set = format!("{component}.replicaCount=3");
        check(&set, "Deployment", name, "/spec/replicas", json!(3));
        let set = format!("{component}.service.port=81");
        check(&set, "Service", &service, "/spec/ports/0/port", json!(81));
        let set = format!("{component}.service.type=LoadBalancer");
        check(
            &set,
            "Service",
            &service,
            "/spec/type",
            json!("LoadBalancer"),
        );
        check(
            "global.imagePullPolicy=Always",
            "Deployment",
            name,
            &format!("{container}/imagePullPolicy"),
            json!("Always"),
        );
        check(
            "global.namespace=boats",
            "Deployment",
            name,
            "/metadata/namespace",
            json!("boats"),
        );
        let set = format!("{component}.enabled=false");
        let objects = engines.render(&[&PROFILE[..], &["--set", &set]].concat());
        let of_component = |object: &&Value| {
            let label = &object["metadata"]["labels"]["app.kubernetes.io/component"];
            *label == component
        };
        assert_eq!(objects.iter().find(of_component), None, "{set}");
    }
    check(
        "frontend.service.nodePort=30090",
        "Service",
        "todo-frontend-svc",
        "/spec/ports/0/nodePort",
        json!(30090),
    );
    check(
        "frontend.env.NEXT_PUBLIC_API_URL=http://elsewhere:1",
        "Deployment",
        "todo-frontend",
        "/spec/template/spec/containers/0/env",
        json!([{"name": "NEXT_PUBLIC_API_URL", "value": "http://elsewhere:1"}]),
    );
}
