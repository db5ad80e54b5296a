//! Records are Helm's own: the real helm continues what we began, and we
//! continue what helm began.

use crate::common::{CHART_YAML, Fixture, chart, options, real_helm, source};
use base64::Engine;
use coracle_release::{
    Status, history, install, records, revision, rollback, uninstall_release, upgrade,
};
use serde_json::Value;

const TEMPLATE: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {{ .Release.Name }}\n  labels: {chart: {{ .Chart.Name }}}\ndata:\n  message: {{ .Values.message | quote }}\n  size: {{ .Values.size | toString | quote }}\n  revision: \"{{ .Release.Revision }}\"\n";
const HOOK: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {{ .Release.Name }}-hook\n  annotations: {helm.sh/hook: \"pre-install,pre-upgrade,pre-rollback\", helm.sh/hook-weight: \"-5\"}\ndata: {revision: \"{{ .Release.Revision }}\"}\n";

fn files() -> Vec<(&'static str, &'static str)> {
    vec![
        ("Chart.yaml", CHART_YAML),
        (
            "values.yaml",
            "message: hello\nsize: 1000000\nratio: 0.5\nlist: [a, 1]\n",
        ),
        ("values.schema.json", "{\"type\": \"object\"}\n"),
        ("README.md", "read me\n"),
        ("templates/map.yaml", TEMPLATE),
        ("templates/hook.yaml", HOOK),
        (
            "templates/NOTES.txt",
            "Thanks for {{ .Release.Name }} <b>\n",
        ),
    ]
}

async fn message(fixture: &Fixture, name: &str) -> String {
    let map = fixture.read("v1", "ConfigMap", name).await;
    map["data"]["message"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

fn statuses(table: &str) -> Vec<&str> {
    table
        .lines()
        .skip(1)
        .filter_map(|line| line.split('\t').nth(2))
        .map(str::trim)
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn ours_then_helms_then_ours() {
    if real_helm().is_none() {
        return;
    }
    let fixture = Fixture::new();
    let kubeconfig = fixture.listen();
    let path = fixture.write_chart(&files());
    let session = fixture.session();
    let ours = source("web", chart(&files()), &["message=one"]);
    install(&session, &ours, &options(), &mut fixture.ear())
        .await
        .unwrap();
    assert_eq!(message(&fixture, "web").await, "one");

    fixture
        .helm(
            &kubeconfig,
            &["upgrade", "web", &path, "--set", "message=two"],
        )
        .await;
    assert_eq!(message(&fixture, "web").await, "two");

    rollback(&session, "web", Some(1), &options(), &mut fixture.ear())
        .await
        .unwrap();
    assert_eq!(message(&fixture, "web").await, "one");

    let table = fixture.helm(&kubeconfig, &["history", "web"]).await;
    assert_eq!(
        statuses(&table),
        ["superseded", "superseded", "deployed"],
        "{table}"
    );
    let values = fixture
        .helm(&kubeconfig, &["get", "values", "web", "-o", "json"])
        .await;
    assert_eq!(values.trim(), r#"{"message":"one"}"#);
    let manifest = fixture.helm(&kubeconfig, &["get", "manifest", "web"]).await;
    assert!(
        manifest.contains("# Source: demo/templates/map.yaml"),
        "{manifest}"
    );
    fixture.helm(&kubeconfig, &["uninstall", "web"]).await;
    assert!(fixture.read("v1", "ConfigMap", "web").await.is_null());
    assert!(records(&session).await.unwrap().0.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn helms_then_ours_then_helms() {
    if real_helm().is_none() {
        return;
    }
    let fixture = Fixture::new();
    let kubeconfig = fixture.listen();
    let path = fixture.write_chart(&files());
    let session = fixture.session();
    fixture
        .helm(
            &kubeconfig,
            &[
                "install",
                "web",
                &path,
                "--set",
                "message=one",
                "--labels",
                "team=blue",
            ],
        )
        .await;
    let ours = source("web", chart(&files()), &["message=two"]);
    let record = upgrade(&session, &ours, &options(), &mut fixture.ear())
        .await
        .unwrap();
    assert_eq!(
        (record.version, message(&fixture, "web").await.as_str()),
        (2, "two")
    );
    assert_eq!(record.labels["team"], "blue");

    fixture.helm(&kubeconfig, &["rollback", "web", "1"]).await;
    assert_eq!(message(&fixture, "web").await, "one");
    let found = history(&session, "web").await.unwrap();
    let seen: Vec<(i64, Status)> = found
        .iter()
        .map(|record| (record.version, record.info.status))
        .collect();
    assert_eq!(
        seen,
        [
            (3, Status::Deployed),
            (2, Status::Superseded),
            (1, Status::Superseded)
        ]
    );
    assert_eq!(found[0].config, serde_json::json!({"message": "one"}));
    let removed = uninstall_release(
        &session,
        "web",
        &Default::default(),
        &options(),
        &mut fixture.ear(),
    )
    .await
    .unwrap();
    assert_eq!(removed.removed.len(), 1);
    let listed = fixture.helm(&kubeconfig, &["list", "-q"]).await;
    assert_eq!(listed.trim(), "");
}

/// Reads the JSON of a record as it stands in its Secret.
async fn raw(fixture: &Fixture, name: &str, version: i64) -> Value {
    let secret = fixture
        .read(
            "v1",
            "Secret",
            &format!("sh.helm.release.v1.{name}.v{version}"),
        )
        .await;
    let once = base64::engine::general_purpose::STANDARD
        .decode(secret["data"]["release"].as_str().unwrap())
        .unwrap();
    let twice = base64::engine::general_purpose::STANDARD
        .decode(once)
        .unwrap();
    let mut text = String::new();
    std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(&twice[..]), &mut text)
        .unwrap();
    serde_json::from_str(&text).unwrap()
}

/// Takes away what cannot be equal: times, and names.
fn timeless(mut value: Value) -> Value {
    match &mut value {
        Value::Object(map) => {
            map.retain(|key, _| {
                !matches!(
                    key.as_str(),
                    "first_deployed"
                        | "last_deployed"
                        | "modtime"
                        | "schemamodtime"
                        | "started_at"
                        | "completed_at"
                )
            });
            for value in map.values_mut() {
                *value = timeless(value.take());
            }
        }
        Value::Array(items) => {
            for item in items {
                *item = timeless(item.take());
            }
        }
        Value::String(text) => *text = text.replace("theirs", "ours"),
        _ => {}
    }
    value
}

#[tokio::test(flavor = "multi_thread")]
async fn records_are_equal_to_helms() {
    if real_helm().is_none() {
        return;
    }
    let fixture = Fixture::new();
    let kubeconfig = fixture.listen();
    let path = fixture.write_chart(&files());
    let sets = ["message=one", "n=5", "deep.list[0]=x"];
    let ours = source("ours", chart(&files()), &sets);
    install(&fixture.session(), &ours, &options(), &mut fixture.ear())
        .await
        .unwrap();
    let mut args = vec!["install", "theirs", &path];
    for set in sets {
        args.extend(["--set", set]);
    }
    fixture.helm(&kubeconfig, &args).await;
    let mut theirs = timeless(raw(&fixture, "theirs", 1).await);
    let mut ours = timeless(raw(&fixture, "ours", 1).await);
    // Files are read from the disk in another order than from memory.
    for record in [&mut theirs, &mut ours] {
        for list in ["templates", "files"] {
            let files = record["chart"][list].as_array_mut().unwrap();
            files.sort_by_key(|file| file["name"].to_string());
        }
    }
    assert_eq!(
        serde_json::to_string_pretty(&ours).unwrap(),
        serde_json::to_string_pretty(&theirs).unwrap()
    );
    let labels = |secret: Value| secret["metadata"]["labels"].clone();
    let mut mine = labels(
        fixture
            .read("v1", "Secret", "sh.helm.release.v1.ours.v1")
            .await,
    );
    assert_eq!(mine["status"], "deployed");
    assert_eq!(mine["owner"], "helm");
    assert!(mine["modifiedAt"].take().is_string());
    let record = revision(&fixture.session(), "theirs", None).await.unwrap();
    assert_eq!(record.chart_title(), "demo-0.1.0");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_older_helm_merged_itself_becomes_the_servers_to_merge() {
    if real_helm().is_none() {
        return;
    }
    let fixture = Fixture::new();
    let kubeconfig = fixture.listen();
    let before: &[(&str, &str)] = &[
        ("Chart.yaml", CHART_YAML),
        (
            "templates/map.yaml",
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: web}\ndata: {a: one, b: two}\n",
        ),
    ];
    let path = fixture.write_chart(before);
    fixture
        .helm(
            &kubeconfig,
            &["install", "web", &path, "--server-side=false"],
        )
        .await;
    let after = chart(&[(
        "templates/map.yaml",
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: web}\ndata: {a: three}\n",
    )]);
    let record = upgrade(
        &fixture.session(),
        &source("web", after, &[]),
        &options(),
        &mut fixture.ear(),
    )
    .await
    .unwrap();
    assert_eq!(record.apply_method, "ssa");
    let map = fixture.read("v1", "ConfigMap", "web").await;
    assert_eq!(map["data"], serde_json::json!({"a": "three"}));
}
