//! The chart of this repository in all its profiles: nothing to complain
//! about, its own refusals in their exact words, and the clash of two.

mod common;

use common::{folder, lines, report, report_as};
use coracle_helm::{Capabilities, Chart, Level, NoCluster, Release, Rendered, Values, render};
use coracle_preflight::{Severity, Target};
use std::path::PathBuf;

fn root() -> PathBuf {
    PathBuf::from(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../charts/todo-app"
    ))
}

fn profile(names: &[&str], sets: &[&str]) -> Values {
    let mut values = Values::new();
    for name in names {
        let path = root().join("profiles").join(name);
        let text = std::fs::read(&path).expect("the profile exists");
        values
            .add_file(&format!("profiles/{name}"), &text)
            .expect("it is YAML");
    }
    for set in sets {
        values.set(set).expect("it is a value");
    }
    values
}

const URL: &str = "secrets.databaseUrl=postgresql://todo:pass@db.example.com/todo";
const P001: &[&str] = &["001-kubernetes-deployment.yaml"];
const P004: &[&str] = &["004-k8s-deployment.yaml"];
const S001: &[&str] = &[
    URL,
    "secrets.openaiApiKey=sk-x",
    "secrets.betterAuthSecret=y",
];
const S004: &[&str] = &[URL, "secrets.cohereApiKey=x", "secrets.betterAuthSecret=y"];

#[test]
fn every_profile_is_fine() {
    let encoded = |text: &str| {
        use base64::Engine as _;
        base64::engine::general_purpose::STANDARD.encode(text)
    };
    let key = |name: &str, text: &str| format!("secrets.{name}={}", encoded(text));
    let s002 = [
        key("databaseUrl", "postgresql://db.example.com/todo"),
        key("openaiApiKey", "sk-x"),
        key("betterAuthSecret", "y"),
        key("jwtSecret", "z"),
    ];
    let s002: Vec<&str> = s002.iter().map(String::as_str).collect();
    let s003 = [URL, "secrets.jwtSecret=y", "secrets.geminiApiKey=x"];
    let chart = folder(&root());
    let cases: &[(&[&str], &[&str])] = &[
        (&[], &[]),
        (
            &["000-ingress-autoscaling.yaml"],
            &["secrets.cohereApiKey=x"],
        ),
        (P001, S001),
        (&["002-cloud-native.yaml"], &s002),
        (&["002-cloud-native.yaml", "002-autoscaling.yaml"], &s002),
        (&["003-local-k8s.yaml"], &s003),
        (&["003-local-k8s.yaml", "003-persistent.yaml"], &s003),
        (P004, S004),
    ];
    for (names, sets) in cases {
        let report = report(&chart, &profile(names, sets), None);
        assert!(report.objects > 0, "{names:?}");
        assert_eq!(lines(&report), Vec::<String>::new(), "{names:?}");
    }
}

#[test]
fn the_chart_refuses_in_the_words_of_its_documents() {
    let chart = folder(&root());
    let check = |names: &[&str], sets: &[&str], expected: &str| {
        let report = report(&chart, &profile(names, sets), None);
        let found: Vec<&str> = report.findings.iter().map(|f| f.message.as_str()).collect();
        assert_eq!(found, [expected], "{sets:?}");
        let finding = &report.findings[0];
        assert_eq!(
            (finding.severity, finding.rule),
            (Severity::Error, "values")
        );
        assert!(finding.place.is_some());
    };
    let without = |gone: &str| -> Vec<&'static str> {
        let all = S001.iter().chain(&S004[1..2]);
        all.copied().filter(|set| !set.contains(gone)).collect()
    };
    check(P001, &without("databaseUrl"), "Database URL is required");
    check(
        P001,
        &without("openaiApiKey"),
        "Valid OpenAI API key required",
    );
    check(
        P001,
        &without("betterAuthSecret"),
        "Better Auth secret is required",
    );
    check(P004, &without("databaseUrl"), "Database URL is required");
    check(P004, &without("cohereApiKey"), "Cohere API key is required");
    let with = |more: &'static str| [S001, &[more]].concat();
    check(
        P001,
        &with("frontend.replicaCount=0"),
        "At least 1 frontend replica required",
    );
    check(
        P001,
        &with("backend.replicaCount=0"),
        "At least 1 backend replica required",
    );
    check(
        P001,
        &with("backend.resources.requests.memory=1Gi"),
        "Request cannot exceed limit",
    );
}

fn rendered(chart: &Chart, values: &Values, release: &Release) -> Rendered {
    let capabilities = Capabilities::of(Level::default());
    render(chart, values, release, &capabilities, &NoCluster).expect("it renders")
}

/// What a cluster holds after a release was installed.
fn installed(rendered: &Rendered, release: &Release) -> Target {
    let mut target = Target::named("one");
    let mut services = Vec::new();
    for manifest in rendered.manifests.iter().filter(|m| m.kind == "Service") {
        let text = coracle_goyaml::from_slice(manifest.body.as_bytes()).expect("it is YAML");
        let mut value = json(&text);
        value["metadata"]["namespace"] = release.namespace.clone().into();
        value["metadata"]["annotations"]["meta.helm.sh/release-name"] = release.name.clone().into();
        services.push(value);
    }
    target.list("Service", services);
    target
}

fn json(value: &coracle_goyaml::Value) -> serde_json::Value {
    use coracle_goyaml::Value;
    match value {
        Value::Null => serde_json::Value::Null,
        Value::Bool(flag) => (*flag).into(),
        Value::Int(number) => (*number).into(),
        Value::Uint(number) => (*number).into(),
        Value::Float(number) => (*number).into(),
        Value::Str(text) => text.as_str().into(),
        Value::Seq(items) => items.iter().map(json).collect(),
        Value::Map(map) => {
            serde_json::Value::Object(map.iter().map(|(k, v)| (k.clone(), json(v))).collect())
        }
    }
}

#[test]
fn two_profiles_ask_for_one_node_port() {
    let chart = folder(&root());
    let first = Release {
        namespace: "one".into(),
        ..Release::named("todo-001")
    };
    let values = profile(P001, S001);
    let target = installed(&rendered(&chart, &values, &first), &first);
    let second = Release {
        namespace: "four".into(),
        ..Release::named("todo-004")
    };
    let report = report_as(&chart, &profile(P004, S004), Some(&target), &second);
    let clash = report
        .findings
        .iter()
        .find(|finding| finding.rule == "node-port-taken")
        .expect("the clash is found");
    assert_eq!(clash.severity, Severity::Error);
    assert_eq!(
        clash.message,
        "nodePort 30080 is taken by Service todo-frontend-svc in namespace one of release todo-001"
    );
    let (value, origin) = &clash.values[0];
    assert_eq!(value, "frontend.service.nodePort = 30080");
    let origin = origin.as_ref().expect("the profile says it");
    assert_eq!(origin.source, "profiles/004-k8s-deployment.yaml");
    let place = clash.place.as_ref().expect("a template says it");
    assert_eq!(place.file, "todo-app/templates/service.yaml");
    // With another port both fit.
    let other = [S004, &["frontend.service.nodePort=30081"]].concat();
    let report = report_as(&chart, &profile(P004, &other), Some(&target), &second);
    let clash = report.findings.iter().any(|f| f.rule == "node-port-taken");
    assert!(!clash, "{:#?}", lines(&report));
}
