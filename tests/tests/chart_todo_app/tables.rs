//! Documents 000 to 002, which hold tables.

use serde_json::{Value, json};

use crate::engines::{Engines, container, find};
use crate::{SECRETS_001, SECRETS_002};

#[test]
fn tables_of_001() {
    let engines = Engines::find();
    let objects = engines.render(&[
        "-f",
        "profiles/001-kubernetes-deployment.yaml",
        "--set",
        SECRETS_001,
    ]);
    let check = |kind: &str, name: &str, pointer: &str, expected: Value| {
        let object = find(&objects, kind, name);
        assert_eq!(
            object.pointer(pointer),
            Some(&expected),
            "{kind} {name} {pointer}"
        );
    };
    for (name, app) in [("todo-backend", "backend"), ("todo-frontend", "frontend")] {
        check("Deployment", name, "/spec/replicas", json!(2));
        check(
            "Deployment",
            name,
            "/spec/template/metadata/labels",
            json!({"app": app}),
        );
        check("Deployment", name, "/metadata/namespace", json!("default"));
        let container = "/spec/template/spec/containers/0";
        check(
            "Deployment",
            name,
            &format!("{container}/image"),
            json!(format!("{name}:v1.0.0")),
        );
        check(
            "Deployment",
            name,
            &format!("{container}/imagePullPolicy"),
            json!("IfNotPresent"),
        );
        check(
            "Deployment",
            name,
            &format!("{container}/envFrom"),
            json!([
                {"configMapRef": {"name": "todo-config"}}, {"secretRef": {"name": "todo-secrets"}}
            ]),
        );
        let memory = if app == "backend" { "256Mi" } else { "128Mi" };
        check(
            "Deployment",
            name,
            &format!("{container}/resources"),
            json!({
                "requests": {"cpu": "100m", "memory": memory}, "limits": {"cpu": "500m", "memory": "512Mi"}
            }),
        );
        check(
            "Deployment",
            name,
            "/spec/template/spec/securityContext/runAsNonRoot",
            json!(true),
        );
    }
    check(
        "Service",
        "todo-frontend-svc",
        "/spec/type",
        json!("NodePort"),
    );
    check(
        "Service",
        "todo-frontend-svc",
        "/spec/ports/0/nodePort",
        json!(30080),
    );
    check(
        "Service",
        "todo-frontend-svc",
        "/spec/ports/0/port",
        json!(3000),
    );
    check(
        "Service",
        "todo-frontend-svc",
        "/spec/selector",
        json!({"app": "frontend"}),
    );
    check(
        "Service",
        "todo-backend-svc",
        "/spec/type",
        json!("ClusterIP"),
    );
    check(
        "Service",
        "todo-backend-svc",
        "/spec/ports/0/port",
        json!(8000),
    );
    check("Secret", "todo-secrets", "/type", json!("Opaque"));
    check(
        "Secret",
        "todo-secrets",
        "/data",
        json!({
            "DATABASE_URL": "cG9zdGdyZXNxbDovL3U6cEBoL2Q=", "BETTER_AUTH_SECRET": "czNjcmV0", "OPENAI_API_KEY": "c2stdGVzdA=="
        }),
    );
    check(
        "ConfigMap",
        "todo-config",
        "/data",
        json!({
            "NEXT_PUBLIC_API_URL": "http://todo-backend-svc:8000", "NODE_ENV": "production", "LOG_LEVEL": "info"
        }),
    );
    let backend = container(&objects, "todo-backend");
    assert_eq!(
        backend["livenessProbe"]["httpGet"],
        json!({"path": "/health", "port": 8000})
    );
    let frontend = container(&objects, "todo-frontend");
    let env = json!([{"name": "NEXT_PUBLIC_API_URL", "value": "http://todo-backend-svc:8000"}]);
    assert_eq!(frontend["env"], env);
}

#[test]
fn tables_of_002() {
    let engines = Engines::find();
    let base = ["-f", "profiles/002-cloud-native.yaml", "--set", SECRETS_002];
    let objects = engines.render(&base);
    assert!(
        !objects
            .iter()
            .any(|one| one["kind"] == "HorizontalPodAutoscaler")
    );
    let secret = find(&objects, "Secret", "todo-secrets");
    assert_eq!(
        secret["data"],
        json!({
            "DATABASE_URL": "cG9zdGdyZXNxbDovL3U6cEBoL2Q=", "BETTER_AUTH_SECRET": "czNjcmV0",
            "JWT_SECRET": "ajNjcmV0", "OPENAI_API_KEY": "c2stdGVzdA=="
        })
    );
    let frontend = container(&objects, "todo-frontend");
    let env = json!([{"name": "NEXT_PUBLIC_BACKEND_URL", "value": "http://todo-backend:8000"}]);
    assert_eq!(frontend["env"], env);
    assert_eq!(
        find(&objects, "Deployment", "todo-backend")["spec"]["replicas"],
        1
    );
    assert_eq!(
        find(&objects, "Service", "todo-frontend")["spec"]["type"],
        "NodePort"
    );
    assert_eq!(
        find(&objects, "Service", "todo-backend")["spec"]["type"],
        "ClusterIP"
    );

    let scaled = engines.render(
        &[
            &base[..2],
            &["-f", "profiles/002-autoscaling.yaml"],
            &base[2..],
        ]
        .concat(),
    );
    for name in ["todo-backend", "todo-frontend"] {
        let scaler = find(&scaled, "HorizontalPodAutoscaler", name);
        assert_eq!(scaler["apiVersion"], "autoscaling/v2");
        assert_eq!(
            scaler["spec"]["scaleTargetRef"],
            json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": name})
        );
        assert_eq!(scaler["spec"]["minReplicas"], 1);
        assert_eq!(scaler["spec"]["maxReplicas"], 10);
        assert_eq!(scaler["spec"]["metrics"].as_array().map(Vec::len), Some(2));
        assert!(
            find(&scaled, "Deployment", name)["spec"]
                .get("replicas")
                .is_none()
        );
    }
}

#[test]
fn tables_of_000() {
    let engines = Engines::find();
    let objects = engines.render(&[
        "-f",
        "profiles/000-ingress-autoscaling.yaml",
        "--set",
        "secrets.cohereApiKey=c",
        "--set",
        "ingress.tls.enabled=true",
    ]);
    for name in ["todo-backend", "todo-frontend"] {
        let deployment = find(&objects, "Deployment", name);
        assert!(
            deployment["spec"].get("replicas").is_none(),
            "the autoscaler owns the count"
        );
        let container = container(&objects, name);
        assert_eq!(container["securityContext"]["readOnlyRootFilesystem"], true);
        assert_eq!(
            container["securityContext"]["capabilities"]["drop"],
            json!(["ALL"])
        );
        assert_eq!(
            deployment["spec"]["template"]["spec"]["securityContext"]["runAsNonRoot"],
            true
        );
        assert!(container["livenessProbe"].is_object() && container["readinessProbe"].is_object());
        let policy = find(&objects, "NetworkPolicy", name);
        assert_eq!(policy["spec"]["policyTypes"], json!(["Ingress", "Egress"]));
        assert!(policy["spec"]["ingress"].is_array() && policy["spec"]["egress"].is_array());
        let scaler = find(&objects, "HorizontalPodAutoscaler", name);
        let kinds: Vec<_> = scaler["spec"]["metrics"]
            .as_array()
            .expect("metrics")
            .iter()
            .map(|metric| metric["type"].as_str().unwrap_or_default())
            .collect();
        let expected: &[&str] = if name == "todo-backend" {
            &["Resource", "Resource", "Pods", "Pods"]
        } else {
            &["Resource", "Resource"]
        };
        assert_eq!(kinds, expected);
        assert!(scaler["spec"]["behavior"]["scaleDown"]["policies"].is_array());
        assert_eq!(
            find(&objects, "PodDisruptionBudget", name)["spec"]["minAvailable"],
            1
        );
    }
    let secret = find(&objects, "Secret", "todo-secrets");
    let mut keys: Vec<_> = secret["data"].as_object().expect("data").keys().collect();
    keys.sort();
    assert_eq!(
        keys,
        ["BETTER_AUTH_SECRET", "COHERE_API_KEY", "DATABASE_URL"]
    );
    let pod = &find(&objects, "Deployment", "todo-backend")["spec"]["template"]["spec"];
    let mounts = pod["containers"][0]["volumeMounts"].to_string();
    assert!(
        mounts.contains("/etc/todo/secrets") && mounts.contains("/app/data"),
        "{mounts}"
    );
    let claim = find(&objects, "PersistentVolumeClaim", "todo-data");
    assert_eq!(claim["spec"]["resources"]["requests"]["storage"], "1Gi");
    assert_eq!(claim["spec"]["accessModes"], json!(["ReadWriteOnce"]));
    let ingress = objects
        .iter()
        .find(|one| one["kind"] == "Ingress")
        .expect("Ingress");
    let paths = ingress["spec"]["rules"][0]["http"]["paths"]
        .as_array()
        .expect("paths");
    let routes: Vec<_> = paths
        .iter()
        .map(|path| {
            (
                path["path"].as_str().unwrap_or_default(),
                path["backend"]["service"]["name"]
                    .as_str()
                    .unwrap_or_default(),
            )
        })
        .collect();
    assert_eq!(
        routes,
        [
            ("/health", "todo-backend"),
            ("/api", "todo-backend"),
            ("/", "todo-frontend")
        ]
    );
    assert_eq!(ingress["spec"]["tls"][0]["secretName"], "todo-tls");
}

/// What the documents leave open, and what was chosen for it.
#[test]
fn numbers_of_000() {
    let engines = Engines::find();
    let profile = "profiles/000-ingress-autoscaling.yaml";
    let objects = engines.render(&["-f", profile, "--set", "secrets.cohereApiKey=c"]);
    let check = |kind: &str, name: &str, pointer: &str, expected: Value| {
        let found = find(&objects, kind, name).pointer(pointer);
        assert_eq!(found, Some(&expected), "{kind} {name} {pointer}");
    };
    let scaler = "HorizontalPodAutoscaler";
    for (name, most) in [("todo-frontend", 4), ("todo-backend", 6)] {
        check(scaler, name, "/spec/minReplicas", json!(2));
        check(scaler, name, "/spec/maxReplicas", json!(most));
        for (place, resource, percent) in [(0, "cpu", 70), (1, "memory", 80)] {
            let target = json!({"type": "Utilization", "averageUtilization": percent});
            let metric =
                json!({"type": "Resource", "resource": {"name": resource, "target": target}});
            check(scaler, name, &format!("/spec/metrics/{place}"), metric);
        }
        let behavior = "/spec/behavior";
        check(
            scaler,
            name,
            &format!("{behavior}/scaleUp/stabilizationWindowSeconds"),
            json!(0),
        );
        check(
            scaler,
            name,
            &format!("{behavior}/scaleDown/stabilizationWindowSeconds"),
            json!(120),
        );
        let one = json!([{"type": "Pods", "value": 1, "periodSeconds": 60}]);
        check(scaler, name, &format!("{behavior}/scaleDown/policies"), one);
    }
    for (place, name, value) in [
        (2, "todo_http_inflight_requests", "8"),
        (3, "todo_chat_inflight", "2"),
    ] {
        let target = json!({"type": "AverageValue", "averageValue": value});
        let metric = json!({"type": "Pods", "pods": {"metric": {"name": name}, "target": target}});
        check(
            scaler,
            "todo-backend",
            &format!("/spec/metrics/{place}"),
            metric,
        );
    }
    // Necessary traffic only.
    let policy = "NetworkPolicy";
    let anyone = json!([{"ports": [{"protocol": "TCP", "port": 3000}]}]);
    check(policy, "todo-frontend", "/spec/ingress", anyone);
    let names = json!([{"protocol": "UDP", "port": 53}, {"protocol": "TCP", "port": 53}]);
    for name in ["todo-frontend", "todo-backend"] {
        check(policy, name, "/spec/egress/0/ports", names.clone());
    }
    let api = json!([{"protocol": "TCP", "port": 8000}]);
    check(policy, "todo-frontend", "/spec/egress/1/ports", api.clone());
    check(policy, "todo-backend", "/spec/ingress/0/ports", api);
    let clients = json!([{"podSelector": {"matchLabels": {"todo-mcp-client": "true"}}}]);
    check(policy, "todo-backend", "/spec/ingress/1/from", clients);
    let outside = "/spec/egress/1";
    check(
        policy,
        "todo-backend",
        &format!("{outside}/ports"),
        json!([{"protocol": "TCP", "port": 443}]),
    );
    check(
        policy,
        "todo-backend",
        &format!("{outside}/to/0/ipBlock/except"),
        json!(["169.254.169.254/32"]),
    );
    let pod = &find(&objects, "Deployment", "todo-backend")["spec"]["template"]["spec"];
    let security = json!({"runAsNonRoot": true, "runAsUser": 1001, "runAsGroup": 1001,
        "fsGroup": 1001, "seccompProfile": {"type": "RuntimeDefault"}});
    assert_eq!(pod["securityContext"], security);
    assert_eq!(
        pod["containers"][0]["securityContext"]["allowPrivilegeEscalation"],
        false
    );
    assert_eq!(pod["automountServiceAccountToken"], false);
    assert_eq!(pod["terminationGracePeriodSeconds"], 30);
}
