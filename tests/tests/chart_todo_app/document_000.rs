//! Document 000: lists of fields without a number; what was chosen for those is
//! asserted too.

use serde_json::{Value, json};

use crate::SECRETS_000;
use crate::engines::{Engines, check_fields, container, find};

const PROFILE: [&str; 6] = [
    "-f",
    "profiles/000-ingress-autoscaling.yaml",
    "--set",
    SECRETS_000,
    "--set",
    "ingress.tls.enabled=true",
];

/// Labels by which a component is found.
fn labels(component: &str) -> Value {
    json!({
        "app.kubernetes.io/name": "todo-app",
        "app.kubernetes.io/instance": "todo",
        "app.kubernetes.io/component": component,
    })
}

/// Sections "Containerized Applications", "Deployments" and "Services".
#[test]
fn deployments_and_services_of_000() {
    let objects = Engines::find().render(&PROFILE);
    for (component, name, port, memory) in [
        ("backend", "todo-backend", 8000, "256Mi"),
        ("frontend", "todo-frontend", 3000, "128Mi"),
    ] {
        let found = labels(component);
        check_fields(
            &objects,
            "Deployment",
            name,
            &json!({
                // The autoscaler owns the count.
                "/spec/replicas": null,
                "/spec/selector/matchLabels": found,
                "/spec/template/metadata/labels": found,
                "/spec/template/spec/securityContext/runAsNonRoot": true,
                "/spec/template/spec/securityContext/runAsUser": 1001,
                "/spec/template/spec/securityContext/runAsGroup": 1001,
                "/spec/template/spec/securityContext/seccompProfile": {"type": "RuntimeDefault"},
                "/spec/template/spec/automountServiceAccountToken": false,
                "/spec/template/spec/terminationGracePeriodSeconds": 30,
            }),
        );
        let container = container(&objects, name);
        let field = |name: &str| &container[name];
        assert_eq!(*field("image"), format!("{name}:latest"));
        assert_eq!(
            *field("securityContext"),
            json!({
                "allowPrivilegeEscalation": false,
                "readOnlyRootFilesystem": true,
                "capabilities": {"drop": ["ALL"]},
            })
        );
        assert_eq!(
            *field("resources"),
            json!({
                "requests": {"cpu": "100m", "memory": memory},
                "limits": {"cpu": "500m", "memory": "512Mi"},
            })
        );
        for probe in ["livenessProbe", "readinessProbe"] {
            assert_eq!(field(probe)["httpGet"]["port"], port, "{name} {probe}");
        }
        check_fields(
            &objects,
            "Service",
            name,
            &json!({
                "/spec/type": "ClusterIP",
                "/spec/selector": found,
                "/spec/ports": [
                    {"name": "http", "port": port, "targetPort": port, "protocol": "TCP"}
                ],
            }),
        );
        let budget = json!({"/spec/minAvailable": 1, "/spec/selector/matchLabels": found});
        check_fields(&objects, "PodDisruptionBudget", name, &budget);
    }
    let frontend = container(&objects, "todo-frontend");
    let address = json!([{"name": "NEXT_PUBLIC_API_URL", "value": "http://todo-backend:8000"}]);
    assert_eq!(frontend["env"], address);
}

/// Fields "registry" and "image name, tag" of both images.
#[test]
fn images_come_from_a_registry_that_is_named() {
    let set = "backend.image.registry=ghcr.io/boats/,frontend.image.registry=ghcr.io/boats";
    let objects = Engines::find().render(&[&PROFILE[..], &["--set", set]].concat());
    for name in ["todo-backend", "todo-frontend"] {
        let image = &container(&objects, name)["image"];
        assert_eq!(*image, format!("ghcr.io/boats/{name}:latest"));
    }
}

/// Section "Ingress": host, path rules, TLS, the Services behind them.
#[test]
fn the_ingress_of_000() {
    let objects = Engines::find().render(&PROFILE);
    let path = |path: &str, kind: &str, name: &str, port: u16| {
        let service = json!({"name": name, "port": {"number": port}});
        json!({"path": path, "pathType": kind, "backend": {"service": service}})
    };
    check_fields(
        &objects,
        "Ingress",
        "todo-todo-app",
        &json!({
            "/spec/tls": [{"secretName": "todo-tls", "hosts": ["todo.localhost"]}],
            "/spec/rules": [{"host": "todo.localhost", "http": {"paths": [
                path("/health", "Exact", "todo-backend", 8000),
                path("/api", "Prefix", "todo-backend", 8000),
                path("/", "Prefix", "todo-frontend", 3000),
            ]}}],
        }),
    );
}

/// Section "Configuration": three keys as files, the rest as variables.
#[test]
fn configuration_of_000() {
    let objects = Engines::find().render(&PROFILE);
    let secret = find(&objects, "Secret", "todo-secrets");
    let mut keys: Vec<_> = secret["data"].as_object().expect("data").keys().collect();
    keys.sort();
    let expected = ["BETTER_AUTH_SECRET", "COHERE_API_KEY", "DATABASE_URL"];
    assert_eq!(keys, expected);
    let backend = container(&objects, "todo-backend");
    let mut variables = vec![json!({"name": "PORT", "value": "8000"})];
    variables.extend(expected.map(|key| {
        let path = format!("/etc/todo/secrets/{key}");
        json!({"name": format!("{key}_FILE"), "value": path})
    }));
    assert_eq!(backend["env"], json!(variables));
    let config = json!([{"configMapRef": {"name": "todo-config"}}]);
    assert_eq!(backend["envFrom"], config);
    let data = json!({"/data": {"ENVIRONMENT": "development", "LOG_LEVEL": "info"}});
    check_fields(&objects, "ConfigMap", "todo-config", &data);
}

/// Section "Persistent Storage": size, access modes, class, and where the
/// claim and the Secret are mounted.
#[test]
fn storage_of_000() {
    let engines = Engines::find();
    let objects = engines.render(&PROFILE);
    let claim = |class: Value| {
        json!({
            "/spec/resources/requests/storage": "1Gi",
            "/spec/accessModes": ["ReadWriteOnce"],
            "/spec/storageClassName": class,
        })
    };
    let kind = "PersistentVolumeClaim";
    check_fields(&objects, kind, "todo-data", &claim(Value::Null));
    let pod = &find(&objects, "Deployment", "todo-backend")["spec"]["template"]["spec"];
    let volumes = json!([
        {"name": "data", "persistentVolumeClaim": {"claimName": "todo-data"}},
        {"name": "uploads", "emptyDir": {}},
        {"name": "tmp", "emptyDir": {}},
        {"name": "secrets", "secret": {"secretName": "todo-secrets"}},
    ]);
    assert_eq!(pod["volumes"], volumes);
    let mounts = json!([
        {"name": "data", "mountPath": "/app/data"},
        {"name": "uploads", "mountPath": "/app/uploads"},
        {"name": "tmp", "mountPath": "/tmp"},
        {"name": "secrets", "mountPath": "/etc/todo/secrets", "readOnly": true},
    ]);
    assert_eq!(pod["containers"][0]["volumeMounts"], mounts);
    let set = ["--set", "persistence.database.storageClassName=fast"];
    let classed = engines.render(&[&PROFILE[..], &set].concat());
    check_fields(&classed, kind, "todo-data", &claim(json!("fast")));
}

/// Section "Horizontal Pod Autoscaler".
#[test]
fn autoscalers_of_000() {
    let objects = Engines::find().render(&PROFILE);
    let used = |resource: &str, percent: u32| {
        let target = json!({"type": "Utilization", "averageUtilization": percent});
        json!({"type": "Resource", "resource": {"name": resource, "target": target}})
    };
    let counted = |name: &str, value: &str| {
        let target = json!({"type": "AverageValue", "averageValue": value});
        json!({"type": "Pods", "pods": {"metric": {"name": name}, "target": target}})
    };
    let usual = vec![used("cpu", 70), used("memory", 80)];
    let own = vec![
        counted("todo_http_inflight_requests", "8"),
        counted("todo_chat_inflight", "2"),
    ];
    for (name, most, metrics) in [
        ("todo-frontend", 4, usual.clone()),
        ("todo-backend", 6, [usual, own].concat()),
    ] {
        check_fields(
            &objects,
            "HorizontalPodAutoscaler",
            name,
            &json!({
                "/spec/scaleTargetRef":
                    {"apiVersion": "apps/v1", "kind": "Deployment", "name": name},
                "/spec/minReplicas": 2,
                "/spec/maxReplicas": most,
                "/spec/metrics": metrics,
                "/spec/behavior/scaleUp/stabilizationWindowSeconds": 0,
                "/spec/behavior/scaleDown/stabilizationWindowSeconds": 120,
                "/spec/behavior/scaleDown/policies":
                    [{"type": "Pods", "value": 1, "periodSeconds": 60}],
            }),
        );
    }
}

/// Section "Network Policies": necessary traffic only.
#[test]
fn policies_of_000() {
    let objects = Engines::find().render(&PROFILE);
    let tcp = |port: u16| json!([{"protocol": "TCP", "port": port}]);
    let pods = |component: &str| json!({"podSelector": {"matchLabels": labels(component)}});
    let names = json!({
        "to": [{
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}},
            "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}},
        }],
        "ports": [{"protocol": "UDP", "port": 53}, {"protocol": "TCP", "port": 53}],
    });
    check_fields(
        &objects,
        "NetworkPolicy",
        "todo-frontend",
        &json!({
            "/spec/podSelector/matchLabels": labels("frontend"),
            "/spec/policyTypes": ["Ingress", "Egress"],
            "/spec/ingress": [{"ports": tcp(3000)}],
            "/spec/egress": [names, {"to": [pods("backend")], "ports": tcp(8000)}],
        }),
    );
    let ingress = json!({"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "ingress-nginx"}}});
    let clients = json!({"podSelector": {"matchLabels": {"todo-mcp-client": "true"}}});
    let outside = json!([
        {"ipBlock": {"cidr": "0.0.0.0/0", "except": ["169.254.169.254/32"]}},
        {"ipBlock": {"cidr": "::/0"}},
    ]);
    check_fields(
        &objects,
        "NetworkPolicy",
        "todo-backend",
        &json!({
            "/spec/podSelector/matchLabels": labels("backend"),
            "/spec/policyTypes": ["Ingress", "Egress"],
            "/spec/ingress": [
                {"from": [pods("frontend"), ingress], "ports": tcp(8000)},
                {"from": [clients], "ports": tcp(8001)},
            ],
            "/spec/egress": [names, {"to": outside, "ports": tcp(443)}],
        }),
    );
}
