//! Document 002: lists of fields, an autoscaler that may be off.

use serde_json::{Value, json};

use crate::SECRETS_002;
use crate::engines::{Engines, check_fields, find};

const PROFILE: [&str; 4] = ["-f", "profiles/002-cloud-native.yaml", "--set", SECRETS_002];

/// Sections Deployment and Service, and how the two find each other.
#[test]
fn deployments_and_services_of_002() {
    let objects = Engines::find().render(&PROFILE);
    for (component, name, port, kind) in [
        ("backend", "todo-backend", 8000, "ClusterIP"),
        ("frontend", "todo-frontend", 3000, "NodePort"),
    ] {
        let labels = json!({"app": name});
        let common = json!({
            "helm.sh/chart": "todo-app-1.0.0",
            "app.kubernetes.io/name": "todo-app",
            "app.kubernetes.io/instance": "todo",
            "app.kubernetes.io/version": "1.0.0",
            "app.kubernetes.io/managed-by": "Helm",
            "app.kubernetes.io/component": component,
        });
        check_fields(
            &objects,
            "Deployment",
            name,
            &json!({
                "/apiVersion": "apps/v1",
                "/metadata/labels": common,
                "/spec/replicas": 1,
                "/spec/selector/matchLabels": labels,
                "/spec/template/metadata/labels": labels,
                "/spec/template/spec/containers/0/image": format!("{name}:latest"),
                "/spec/template/spec/containers/0/imagePullPolicy": "IfNotPresent",
                "/spec/template/spec/containers/0/livenessProbe/httpGet/port": port,
                "/spec/template/spec/containers/0/readinessProbe/httpGet/port": port,
            }),
        );
        check_fields(
            &objects,
            "Service",
            name,
            &json!({
                "/apiVersion": "v1",
                "/metadata/labels": common,
                "/spec/selector": labels,
                "/spec/type": kind,
                "/spec/ports": [
                    {"name": "http", "port": port, "targetPort": port, "protocol": "TCP"}
                ],
            }),
        );
    }
    // Found by the name of its Service; told by a variable.
    check_fields(
        &objects,
        "Deployment",
        "todo-frontend",
        &json!({"/spec/template/spec/containers/0/env": [
            {"name": "NEXT_PUBLIC_BACKEND_URL", "value": "http://todo-backend:8000"}
        ]}),
    );
}

/// Sections ConfigMap and Secret, and how pods come by them.
#[test]
fn configuration_of_002() {
    let objects = Engines::find().render(&PROFILE);
    check_fields(
        &objects,
        "Secret",
        "todo-secrets",
        &json!({
            "/apiVersion": "v1",
            "/type": "Opaque",
            // As it was given, not encoded once more.
            "/data": {
                "DATABASE_URL": "cG9zdGdyZXNxbDovL3U6cEBoL2Q=",
                "BETTER_AUTH_SECRET": "czNjcmV0",
                "JWT_SECRET": "ajNjcmV0",
                "OPENAI_API_KEY": "c2stdGVzdA==",
            },
        }),
    );
    check_fields(
        &objects,
        "ConfigMap",
        "todo-config",
        &json!({
            "/apiVersion": "v1",
            "/data": {"ENVIRONMENT": "development", "LOG_LEVEL": "info"},
        }),
    );
    check_fields(
        &objects,
        "Deployment",
        "todo-backend",
        &json!({"/spec/template/spec/containers/0/envFrom": [
            {"configMapRef": {"name": "todo-config"}},
            {"secretRef": {"name": "todo-secrets"}},
        ]}),
    );
}

/// What the document calls optional is not there until it is asked for.
#[test]
fn what_002_leaves_open() {
    let engines = Engines::find();
    let objects = engines.render(&PROFILE);
    for kind in ["HorizontalPodAutoscaler", "NetworkPolicy", "Ingress"] {
        let found = objects.iter().find(|one| one["kind"] == kind);
        assert_eq!(found, None, "{kind}");
    }
    let set = ["--set", "frontend.service.type=LoadBalancer"];
    let balanced = engines.render(&[&PROFILE[..], &set].concat());
    let service = json!({"/spec/type": "LoadBalancer"});
    check_fields(&balanced, "Service", "todo-frontend", &service);

    let scaling = ["-f", "profiles/002-autoscaling.yaml"];
    let scaled = engines.render(&[&PROFILE[..2], &scaling, &PROFILE[2..]].concat());
    for name in ["todo-backend", "todo-frontend"] {
        let metric = |resource: &str, percent: u32| {
            let target = json!({"type": "Utilization", "averageUtilization": percent});
            json!({"type": "Resource", "resource": {"name": resource, "target": target}})
        };
        check_fields(
            &scaled,
            "HorizontalPodAutoscaler",
            name,
            &json!({
                "/apiVersion": "autoscaling/v2",
                "/metadata/labels/app.kubernetes.io~1instance": "todo",
                "/spec/scaleTargetRef":
                    {"apiVersion": "apps/v1", "kind": "Deployment", "name": name},
                "/spec/minReplicas": 1,
                "/spec/maxReplicas": 10,
                "/spec/metrics": [metric("cpu", 70), metric("memory", 80)],
            }),
        );
        let deployment = find(&scaled, "Deployment", name);
        assert_eq!(deployment["spec"].get("replicas"), None::<&Value>, "{name}");
    }
}
