//! The chart of the todo application against the requirement documents, as
//! the real Helm renders it.
//!
//! `fixtures/requirements` holds the manifests of documents 003 and 004 word
//! for word; every field of them must stand in the rendered objects with the
//! same value, and what is there beyond them must be on a short list. For 000
//! to 002, which hold tables and no manifests, the tables are asserted.

use std::path::{Path, PathBuf};
use std::process::Command;

use coracle_helm::print::{self, Parts};
use coracle_helm::{Capabilities, Chart, File, Level, NoCluster, Release, Values, render};
use serde_json::{Value, json};

const CHART: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../charts/todo-app");
const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/requirements");

/// Our own engine, and the real Helm beside it where there is one.
struct Engines {
    helm: Option<PathBuf>,
}

/// What an engine made of the chart: its output, or its refusal.
type Rendering = Result<String, String>;

impl Engines {
    fn find() -> Self {
        let oracle = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/oracles/helm");
        let mut candidates = [oracle, PathBuf::from("helm")].into_iter();
        let helm = candidates.find(|path| {
            let output = Command::new(path).args(["version", "--short"]).output();
            output.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).starts_with("v4.2.3"))
        });
        if helm.is_none() {
            assert_ne!(
                std::env::var("CI").as_deref(),
                Ok("true"),
                "helm 4.2.3 is missing on CI"
            );
            eprintln!(
                "SKIPPED: no helm 4.2.3 in target/oracles or PATH, only our own engine is tested"
            );
        }
        Self { helm }
    }

    /// Renders with both engines, which must agree to the byte.
    fn template(&self, arguments: &[&str]) -> Rendering {
        let ours = render_here(arguments);
        if let Some(helm) = &self.helm {
            match (&ours, run_helm(helm, arguments)) {
                (Ok(ours), Ok(theirs)) => {
                    assert_eq!(masked(ours), masked(&theirs), "{arguments:?}")
                }
                (Err(ours), Err(theirs)) => {
                    assert!(
                        theirs.contains(ours.trim()),
                        "{arguments:?}\nours: {ours}\nHelm: {theirs}"
                    );
                }
                (ours, theirs) => panic!("{arguments:?}\nours: {ours:?}\nHelm: {theirs:?}"),
            }
        }
        ours
    }

    fn render(&self, arguments: &[&str]) -> Vec<Value> {
        let output = self.template(arguments);
        documents(&output.unwrap_or_else(|error| panic!("{arguments:?}: {error}")))
    }
}

/// A secret made at random differs by nature.
fn masked(text: &str) -> String {
    let lines = text
        .lines()
        .map(|line| match line.split_once("BETTER_AUTH_SECRET: \"") {
            Some((before, _)) => format!("{before}BETTER_AUTH_SECRET: made"),
            None => line.to_owned(),
        });
    lines.collect::<Vec<_>>().join("\n")
}

fn run_helm(helm: &Path, arguments: &[&str]) -> Rendering {
    let mut command = Command::new(helm);
    command
        .args(["template", "todo", CHART])
        .args(arguments)
        .current_dir(CHART);
    let output = command.output().expect("helm was started before");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() {
        Ok(text(&output.stdout))
    } else {
        Err(text(&output.stderr))
    }
}

fn render_here(arguments: &[&str]) -> Rendering {
    let mut files = Vec::new();
    collect(Path::new(CHART), Path::new(CHART), &mut files);
    let chart = Chart::load(files).map_err(|error| error.to_string())?;
    let mut values = Values::default();
    // As Helm does: all files first, then what was set.
    for pair in arguments.chunks(2).filter(|pair| pair[0] == "-f") {
        let text =
            std::fs::read(Path::new(CHART).join(pair[1])).map_err(|error| error.to_string())?;
        values
            .add_file(pair[1], &text)
            .map_err(|error| error.to_string())?;
    }
    for pair in arguments.chunks(2).filter(|pair| pair[0] == "--set") {
        values.set(pair[1]).map_err(|error| error.to_string())?;
    }
    let capabilities = Capabilities::of(Level::default());
    let rendered = render(
        &chart,
        &values,
        &Release::named("todo"),
        &capabilities,
        &NoCluster,
    );
    rendered
        .map(|rendered| print::template(&rendered, Parts::default()))
        .map_err(|error| error.helm)
}

fn collect(root: &Path, folder: &Path, files: &mut Vec<File>) {
    let entries = std::fs::read_dir(folder).expect("the chart is there");
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("entry").path()).collect();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            collect(root, &path, files);
        } else {
            let name = path
                .strip_prefix(root)
                .expect("below the root")
                .to_string_lossy()
                .into_owned();
            files.push(File::new(name, std::fs::read(&path).expect("readable")));
        }
    }
}

fn documents(yaml: &str) -> Vec<Value> {
    let parts = yaml
        .split("\n---\n")
        .map(str::trim)
        .filter(|part| !part.is_empty());
    let values = parts
        .map(|part| serde_saphyr::from_str::<Value>(part.trim_start_matches("---\n")).expect(part));
    values.filter(|value| !value.is_null()).collect()
}

fn find<'a>(objects: &'a [Value], kind: &str, name: &str) -> &'a Value {
    let found = objects
        .iter()
        .find(|object| object["kind"] == kind && object["metadata"]["name"] == name);
    found.unwrap_or_else(|| panic!("no {kind} {name}"))
}

fn fixture(path: &str) -> Value {
    let text = std::fs::read_to_string(format!("{FIXTURES}/{path}.yaml")).expect(path);
    serde_saphyr::from_str(&text).expect(path)
}

/// Settings without which a profile refuses to render.
const SECRETS_001: &str = "secrets.databaseUrl=postgresql://u:p@h/d,secrets.betterAuthSecret=s3cret,secrets.openaiApiKey=sk-test";
const SECRETS_003: &str =
    "secrets.databaseUrl=postgresql://u:p@h/d,secrets.jwtSecret=s3cret,secrets.geminiApiKey=g";
const SECRETS_004: &str = "secrets.databaseUrl=postgresql://u:p@h/d,secrets.betterAuthSecret=s3cret,secrets.cohereApiKey=c";
// base64 of postgresql://u:p@h/d, s3cret, j3cret, sk-test
const SECRETS_002: &str = "secrets.databaseUrl=cG9zdGdyZXNxbDovL3U6cEBoL2Q=,secrets.betterAuthSecret=czNjcmV0,secrets.jwtSecret=ajNjcmV0,secrets.openaiApiKey=c2stdGVzdA==";

/// What a rendered object may hold beyond its document.
const EXTRAS: &[&str] = &[
    "metadata.namespace",
    "metadata.labels.helm.sh/chart",
    "metadata.labels.app.kubernetes.io/",
    "spec.template.metadata.annotations.checksum/",
    "spec.template.metadata.annotations",
    "spec.template.spec.automountServiceAccountToken",
    "spec.template.spec.securityContext",
    "spec.template.spec.terminationGracePeriodSeconds",
    "spec.template.spec.containers[backend].securityContext",
    "spec.template.spec.containers[frontend].securityContext",
    "spec.template.spec.containers[backend].env[PORT]",
    // Set by the document's healthCheck values, absent from its manifests.
    "spec.template.spec.containers[backend].livenessProbe.timeoutSeconds",
    "spec.template.spec.containers[backend].livenessProbe.failureThreshold",
    "spec.template.spec.containers[backend].readinessProbe.timeoutSeconds",
    "spec.template.spec.containers[backend].readinessProbe.failureThreshold",
    "spec.template.spec.containers[frontend].livenessProbe.timeoutSeconds",
    "spec.template.spec.containers[frontend].livenessProbe.failureThreshold",
    "spec.template.spec.containers[frontend].readinessProbe.timeoutSeconds",
    "spec.template.spec.containers[frontend].readinessProbe.failureThreshold",
];

/// Compares a rendered object with its document, both ways.
fn check_object(rendered: &Value, document: &Value) {
    let mut wrong = Vec::new();
    compare(rendered, document, "", &mut wrong);
    assert!(
        wrong.is_empty(),
        "{}:\n{}",
        document["metadata"]["name"],
        wrong.join("\n")
    );
}

fn compare(rendered: &Value, document: &Value, path: &str, wrong: &mut Vec<String>) {
    match (rendered, document) {
        (Value::Object(have), Value::Object(want)) => {
            for (key, value) in want {
                let path = join(path, key);
                match have.get(key) {
                    Some(found) => compare(found, value, &path, wrong),
                    None => wrong.push(format!("{path} is missing")),
                }
            }
            // A list that the document leaves out is an empty one: its members
            // are judged one by one.
            let empty = json!([]);
            for (key, found) in have
                .iter()
                .filter(|(key, found)| !want.contains_key(*key) && found.is_array())
            {
                compare(found, &empty, &join(path, key), wrong);
            }
            let more = have
                .iter()
                .filter(|(key, found)| !want.contains_key(*key) && !found.is_array())
                .map(|(key, _)| key);
            wrong.extend(
                more.map(|key| join(path, key))
                    .filter(|path| !is_extra(path))
                    .map(|path| format!("{path} is too much")),
            );
        }
        (Value::Array(have), Value::Array(want)) => {
            for (place, value) in want.iter().enumerate() {
                let path = format!("{path}[{}]", name_of(value, place));
                match have
                    .iter()
                    .enumerate()
                    .find(|(i, one)| name_of(one, *i) == name_of(value, place))
                {
                    Some((_, found)) => compare(found, value, &path, wrong),
                    None => wrong.push(format!("{path} is missing")),
                }
            }
            for (place, value) in have.iter().enumerate() {
                let name = name_of(value, place);
                let path = format!("{path}[{name}]");
                if !want
                    .iter()
                    .enumerate()
                    .any(|(i, one)| name_of(one, i) == name)
                    && !is_extra(&path)
                {
                    wrong.push(format!("{path} is too much"));
                }
            }
        }
        (_, Value::String(text)) if text.starts_with("<base64") => {}
        (have, want) if have == want => {}
        (have, want) => wrong.push(format!("{path} is {have}, the document says {want}")),
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    }
}

/// Members of lists are told apart by name, else by place.
fn name_of(value: &Value, place: usize) -> String {
    value["name"]
        .as_str()
        .map_or_else(|| place.to_string(), ToOwned::to_owned)
}

fn is_extra(path: &str) -> bool {
    EXTRAS
        .iter()
        .any(|extra| path == *extra || (extra.ends_with('/') && path.starts_with(extra)))
}

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

fn container<'a>(objects: &'a [Value], deployment: &str) -> &'a Value {
    &find(objects, "Deployment", deployment)["spec"]["template"]["spec"]["containers"][0]
}

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

/// What the backend may call outside follows what it was told to use.
#[test]
fn policies_open_what_is_used() {
    let engines = Engines::find();
    let check = |set: &str, expected: &[u64]| {
        let all = format!("networkPolicy.enabled=true,{set}");
        let objects = engines.render(&["--set", &all]);
        let egress = &find(&objects, "NetworkPolicy", "todo-backend")["spec"]["egress"];
        let ports = egress[1]["ports"].as_array().cloned().unwrap_or_default();
        let ports: Vec<_> = ports
            .iter()
            .filter_map(|one| one["port"].as_u64())
            .collect();
        assert_eq!(ports, expected, "{set}");
    };
    check("a=b", &[]);
    check("ai.provider=cohere,secrets.cohereApiKey=c", &[443]);
    let external = |url: &str| format!("database.mode=external,secrets.databaseUrl={url}");
    check(&external("postgresql://u:p@h/d"), &[5432]);
    check(
        &external("postgresql://u:p@h:6543/d?sslmode=require"),
        &[6543],
    );
    check(&external("postgresql://u:p@h:6543"), &[6543]);
    check("config.data.EMAIL_PROVIDER=gmail", &[465, 587]);
    check("config.data.EMAIL_PROVIDER=Resend", &[443]);
    check("secrets.gmailAppPassword=p", &[465, 587]);
}

#[test]
fn the_environment_and_annotations_are_given() {
    let engines = Engines::find();
    let env = |set: &str| {
        let objects = engines.render(&["--set", set]);
        let env = container(&objects, "todo-backend")["env"].clone();
        let list = env.as_array().cloned().unwrap_or_default();
        list.iter()
            .find(|one| one["name"] == "ENVIRONMENT")
            .map(|one| one["value"].clone())
    };
    assert_eq!(env("a=b"), None);
    assert_eq!(
        env("global.environment=production"),
        Some(json!("production"))
    );
    let set = "backend.annotations.team=boats,frontend.annotations.team=pages";
    let objects = engines.render(&["--set", set]);
    for (name, team) in [("todo-backend", "boats"), ("todo-frontend", "pages")] {
        let metadata = &find(&objects, "Deployment", name)["metadata"];
        assert_eq!(metadata["annotations"], json!({"team": team}), "{name}");
    }
}

/// Every key that a profile hands out is read by one of the programs: the
/// applications behind the documents ignored half of theirs.
#[test]
fn no_key_of_a_profile_is_dead() {
    let engines = Engines::find();
    let apps = concat!(env!("CARGO_MANIFEST_DIR"), "/../apps");
    let read = |path: &str| std::fs::read_to_string(format!("{apps}/{path}")).expect(path);
    let sources = read("todo-backend/src/config.rs") + &read("todo-frontend/src/config.rs");
    let check = |files: &[&str], set: &str| {
        let mut arguments: Vec<&str> = files.iter().flat_map(|file| ["-f", *file]).collect();
        arguments.extend(["--set", set]);
        let objects = engines.render(&arguments);
        let mut keys: Vec<String> = Vec::new();
        for object in &objects {
            let data = object["data"].as_object().into_iter().flatten();
            keys.extend(data.map(|(key, _)| key.replace('-', "_").to_uppercase()));
            let containers = object.pointer("/spec/template/spec/containers");
            let containers = containers.and_then(Value::as_array).into_iter().flatten();
            let env = containers.filter_map(|one| one["env"].as_array()).flatten();
            keys.extend(env.filter_map(|one| Some(one["name"].as_str()?.to_owned())));
        }
        assert!(keys.len() > 3, "{files:?}");
        for key in keys {
            let name = key.strip_suffix("_FILE").unwrap_or(&key);
            assert!(
                sources.contains(&format!("\"{name}\"")),
                "{files:?}: nobody reads {key}"
            );
        }
    };
    check(
        &["profiles/000-ingress-autoscaling.yaml"],
        "secrets.cohereApiKey=c",
    );
    check(&["profiles/001-kubernetes-deployment.yaml"], SECRETS_001);
    check(&["profiles/002-cloud-native.yaml"], SECRETS_002);
    check(&["profiles/003-local-k8s.yaml"], SECRETS_003);
    check(&["profiles/004-k8s-deployment.yaml"], SECRETS_004);
}

/// HELM-1 to HELM-3 and HELM-7: files and helpers that the documents name.
#[test]
fn the_chart_has_the_files_of_the_documents() {
    for file in [
        "deployment.yaml",
        "service.yaml",
        "secrets.yaml",
        "_helpers.tpl",
        "autoscaling.yaml",
    ] {
        assert!(
            Path::new(CHART).join("templates").join(file).is_file(),
            "{file}"
        );
    }
    let helpers = std::fs::read_to_string(format!("{CHART}/templates/_helpers.tpl")).expect("read");
    for name in ["name", "fullname", "chart", "labels", "selectorLabels"] {
        assert!(
            helpers.contains(&format!("define \"todo-app.{name}\"")),
            "{name}"
        );
    }
    for word in [
        "default",
        "trunc 63",
        "trimSuffix \"-\"",
        "contains",
        "printf",
        "include",
        "quote",
        ".Release.Name",
        ".Release.Service",
        ".Chart.AppVersion",
    ] {
        assert!(helpers.contains(word), "{word}");
    }
    for profile in ["000-", "001-", "002-", "003-", "004-"] {
        let folder = std::fs::read_dir(format!("{CHART}/profiles")).expect("read");
        let found = folder
            .flatten()
            .any(|entry| entry.file_name().to_string_lossy().starts_with(profile));
        assert!(found, "{profile}");
    }
}

#[test]
fn refusals_use_the_words_of_the_documents() {
    let engines = Engines::find();
    let check = |arguments: &[&str], expected: Option<&str>| {
        let outcome = engines.template(arguments);
        match (expected, &outcome) {
            (None, outcome) => assert!(outcome.is_ok(), "{arguments:?}: {outcome:?}"),
            (Some(words), Err(error)) => {
                assert!(
                    error.trim().ends_with(&format!(": {words}")),
                    "{arguments:?}: {error}"
                );
            }
            (Some(_), Ok(_)) => panic!("{arguments:?} is accepted"),
        }
    };
    let profile = [
        "-f",
        "profiles/001-kubernetes-deployment.yaml",
        "--set",
        SECRETS_001,
    ];
    let check_001 = |set: &str, expected: Option<&str>| {
        check(&[&profile[..], &["--set", set]].concat(), expected);
    };
    check_001("secrets.databaseUrl=", Some("Database URL is required"));
    check_001(
        "secrets.openaiApiKey=",
        Some("Valid OpenAI API key required"),
    );
    check_001(
        "secrets.openaiApiKey=pk-1",
        Some("Valid OpenAI API key required"),
    );
    check_001(
        "secrets.betterAuthSecret=",
        Some("Better Auth secret is required"),
    );
    check_001(
        "frontend.replicaCount=0",
        Some("At least 1 frontend replica required"),
    );
    check_001(
        "backend.replicaCount=0",
        Some("At least 1 backend replica required"),
    );
    check_001(
        "backend.resources.requests.memory=1Gi",
        Some("Request cannot exceed limit"),
    );
    check_001(
        "frontend.resources.requests.memory=0.5Gi",
        Some("Request cannot exceed limit"),
    );
    check_001(
        "frontend.resources.requests.memory=512Mi",
        Some("Request cannot exceed limit"),
    );
    check_001(
        "frontend.resources.requests.memory=512Mi,validation.allowEqualMemory=true",
        None,
    );
    check_001("backend.resources.requests.memory=500M", None);
    check_001(
        "backend.resources.requests.memory=536870913,validation.allowEqualMemory=true",
        Some("Request cannot exceed limit"),
    );
    check_001(
        "backend.resources.requests.memory=lots",
        Some(r#""lots" is no quantity of memory"#),
    );
    check_001("secrets.existingSecret=mine,secrets.databaseUrl=", None);
    check_001(
        "backend.replicas=3",
        Some("backend.replicaCount is 2 and backend.replicas is 3: set one of them"),
    );
    check_001("backend.replicas=2", None);
    // The rule about sk- is OpenAI's alone.
    check(
        &[
            "-f",
            "profiles/003-local-k8s.yaml",
            "--set",
            SECRETS_003,
            "--set",
            "secrets.openaiApiKey=pk-1",
        ],
        None,
    );
    check(
        &[
            "-f",
            "profiles/004-k8s-deployment.yaml",
            "--set",
            SECRETS_004,
            "--set",
            "secrets.cohereApiKey=",
        ],
        Some("Cohere API key is required"),
    );
    check(
        &[
            "-f",
            "profiles/004-k8s-deployment.yaml",
            "--set",
            SECRETS_004,
            "--set",
            "backend.replicas=0",
        ],
        Some("At least 1 backend replica required"),
    );
    check(
        &[
            "-f",
            "profiles/003-local-k8s.yaml",
            "--set",
            SECRETS_003,
            "--set",
            "secrets.geminiApiKey=",
        ],
        Some("Gemini API key is required"),
    );
    check(
        &[
            "-f",
            "profiles/002-cloud-native.yaml",
            "--set",
            SECRETS_002,
            "--set",
            "secrets.databaseUrl=postgresql://u",
        ],
        Some("secrets.databaseUrl is not base64, but secrets.encoded is true"),
    );
    check(
        &["--set", "backend.replicaCount=2"],
        Some(
            "several backend replicas need a common database: set database.mode=external or persistence.database.enabled=true",
        ),
    );
    check(
        &["--set", "database.mode=cloud"],
        Some(r#"database.mode is "cloud", expected embedded or external"#),
    );
    for (set, component) in [
        ("frontend.replicas=0", "frontend"),
        ("frontend.replicaCount=0", "frontend"),
        ("backend.replicas=0", "backend"),
        ("backend.replicaCount=0", "backend"),
    ] {
        let words = format!("At least 1 {component} replica required");
        check(&["--set", set], Some(&words));
    }
    check(
        &["--set", "backend.enabled=false,backend.replicaCount=0"],
        None,
    );
    check(&[], None);
}

#[test]
fn both_spellings_are_taken() {
    let engines = Engines::find();
    let of = |set: &str, pointer: &str| {
        let objects = engines.render(&["--set", set]);
        find(&objects, "Deployment", "todo-frontend")
            .pointer(pointer)
            .cloned()
    };
    let (count, policy) = (
        "/spec/replicas",
        "/spec/template/spec/containers/0/imagePullPolicy",
    );
    assert_eq!(of("frontend.replicas=3", count), Some(json!(3)));
    assert_eq!(of("frontend.replicaCount=3", count), Some(json!(3)));
    assert_eq!(
        of("frontend.replicas=3,frontend.replicaCount=3", count),
        Some(json!(3))
    );
    assert_eq!(
        of("global.imagePullPolicy=Always", policy),
        Some(json!("Always"))
    );
    let both = "global.imagePullPolicy=Always,frontend.image.pullPolicy=Never";
    assert_eq!(
        of(both, policy),
        Some(json!("Never")),
        "the component's own wins"
    );
}

#[test]
fn the_default_is_lean() {
    let engines = Engines::find();
    let objects = engines.render(&[]);
    let kinds: Vec<_> = objects
        .iter()
        .map(|one| one["kind"].as_str().unwrap_or_default())
        .collect();
    assert_eq!(
        kinds,
        [
            "Secret",
            "Service",
            "Service",
            "Deployment",
            "Deployment",
            "Pod"
        ]
    );
    let backend = find(&objects, "Deployment", "todo-backend");
    assert_eq!(backend["spec"]["replicas"], 1);
    assert_eq!(backend["spec"]["strategy"], json!({"type": "Recreate"}));
    assert_eq!(
        find(&objects, "Service", "todo-frontend")["spec"]["ports"][0]["nodePort"],
        30080
    );
}

#[test]
fn no_profile_draws_a_warning() {
    let engines = Engines::find();
    let check = |files: &[&str], set: &str| {
        let Some(helm) = &engines.helm else { return };
        let mut command = Command::new(helm);
        command
            .args(["lint", "--strict", CHART, "--set", set])
            .current_dir(CHART);
        for file in files {
            command.args(["-f", file]);
        }
        let output = command.output().expect("helm was started before");
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{files:?}: {text}");
        assert!(
            !text.contains("[WARNING]") && !text.contains("[ERROR]"),
            "{files:?}: {text}"
        );
    };
    check(&[], "a=b");
    check(
        &["profiles/000-ingress-autoscaling.yaml"],
        "secrets.cohereApiKey=c",
    );
    check(&["profiles/001-kubernetes-deployment.yaml"], SECRETS_001);
    check(
        &[
            "profiles/002-cloud-native.yaml",
            "profiles/002-autoscaling.yaml",
        ],
        SECRETS_002,
    );
    check(
        &[
            "profiles/003-local-k8s.yaml",
            "profiles/003-persistent.yaml",
        ],
        SECRETS_003,
    );
    check(&["profiles/004-k8s-deployment.yaml"], SECRETS_004);
}
