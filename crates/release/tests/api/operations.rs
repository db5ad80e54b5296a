//! Operations on our own API: what the cluster and the records look like after.

use std::sync::Arc;
use std::time::Duration;

use crate::common::{Fixture, chart, config_map, options, source};
use coracle_release::{
    Apply, Change, DryRun, Event, OldValues, Options, Record, ReleaseError, Removal, Session,
    Status, Storage, history, install, latest, rollback, uninstall_release, upgrade,
    upgrade_or_install,
};
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

fn maps(pairs: &[(&str, &str)]) -> coracle_helm::Chart {
    let files: Vec<(String, String)> = pairs
        .iter()
        .map(|(name, value)| (format!("templates/{name}.yaml"), config_map(name, value)))
        .collect();
    let files: Vec<(&str, &str)> = files
        .iter()
        .map(|(name, text)| (name.as_str(), text.as_str()))
        .collect();
    chart(&files)
}

async fn value(fixture: &Fixture, name: &str) -> Value {
    fixture.read("v1", "ConfigMap", name).await["data"]["value"].clone()
}

async fn put(fixture: &Fixture, pairs: &[(&str, &str)]) -> Result<Record, ReleaseError> {
    let source = source("web", maps(pairs), &[]);
    let options = options();
    upgrade_or_install(&fixture.session(), &source, &options, &mut fixture.ear()).await
}

async fn statuses(session: &Session) -> Vec<(i64, &'static str)> {
    let history = history(session, "web").await.unwrap();
    history
        .iter()
        .map(|record| (record.version, record.info.status.word()))
        .collect()
}

#[tokio::test]
async fn an_upgrade_changes_makes_and_removes() {
    let fixture = Fixture::new();
    put(&fixture, &[("a", "1"), ("b", "1")]).await.unwrap();
    put(&fixture, &[("a", "2"), ("c", "1")]).await.unwrap();
    assert_eq!(value(&fixture, "a").await, "2");
    assert_eq!(value(&fixture, "b").await, Value::Null);
    assert_eq!(value(&fixture, "c").await, "1");
    assert_eq!(
        statuses(&fixture.session()).await,
        [(2, "deployed"), (1, "superseded")]
    );
    let told: Vec<(String, Change)> = fixture
        .told
        .lock()
        .unwrap()
        .iter()
        .filter_map(|event| match event {
            Event::Object { title, change } => Some((title.clone(), *change)),
            _ => None,
        })
        .skip(2)
        .collect();
    assert_eq!(
        told,
        [
            ("ConfigMap/a".to_owned(), Change::Configured),
            ("ConfigMap/c".to_owned(), Change::Created),
            ("ConfigMap/b".to_owned(), Change::Deleted),
        ]
    );
    let map = fixture.read("v1", "ConfigMap", "a").await;
    assert_eq!(
        map["metadata"]["labels"]["app.kubernetes.io/managed-by"],
        "Helm"
    );
    assert_eq!(
        map["metadata"]["annotations"]["meta.helm.sh/release-name"],
        "web"
    );
}

#[tokio::test]
async fn what_a_policy_keeps_stays() {
    let fixture = Fixture::new();
    let kept = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: data\n  annotations: {helm.sh/resource-policy: keep}\n";
    let map = config_map("a", "1");
    let files = [
        ("templates/kept.yaml", kept),
        ("templates/a.yaml", map.as_str()),
    ];
    let session = fixture.session();
    install(
        &session,
        &source("web", chart(&files), &[]),
        &options(),
        &mut fixture.ear(),
    )
    .await
    .unwrap();
    put(&fixture, &[("a", "1")]).await.unwrap();
    assert_eq!(
        fixture.read("v1", "ConfigMap", "data").await["kind"],
        "ConfigMap"
    );
    rollback(&session, "web", Some(1), &options(), &mut fixture.ear())
        .await
        .unwrap();
    let removed = uninstall_release(
        &session,
        "web",
        &Removal::default(),
        &options(),
        &mut fixture.ear(),
    )
    .await
    .unwrap();
    assert_eq!((removed.removed.len(), removed.kept.len()), (1, 1));
    assert_eq!(
        fixture.read("v1", "ConfigMap", "data").await["kind"],
        "ConfigMap"
    );
    assert!(
        latest(&fixture.client(), "default", "web")
            .await
            .unwrap()
            .is_none()
    );
}

#[tokio::test]
async fn history_has_a_limit_and_keeps_what_is_deployed() {
    let fixture = Fixture::new();
    for at in 0..5 {
        let source = source("web", maps(&[("a", &at.to_string())]), &[]);
        let options = Options {
            history_max: 3,
            ..options()
        };
        upgrade_or_install(&fixture.session(), &source, &options, &mut fixture.ear())
            .await
            .unwrap();
    }
    assert_eq!(
        statuses(&fixture.session()).await,
        [(5, "deployed"), (4, "superseded"), (3, "superseded")]
    );
}

#[tokio::test]
async fn a_failed_upgrade_leaves_what_ran_deployed_and_the_next_removes_its_rest() {
    let fixture = Fixture::new();
    put(&fixture, &[("a", "1")]).await.unwrap();
    let bad =
        "apiVersion: v1\nkind: Service\nmetadata: {name: bad}\nspec: {ports: [{port: 99999}]}\n";
    let rest = config_map("rest", "1");
    let broken = chart(&[("templates/bad.yaml", bad), ("templates/rest.yaml", &rest)]);
    let error = upgrade(
        &fixture.session(),
        &source("web", broken, &[]),
        &options(),
        &mut fixture.ear(),
    )
    .await
    .unwrap_err();
    assert!(error.line().contains("default/bad"), "{}", error.line());
    assert_eq!(
        statuses(&fixture.session()).await,
        [(2, "failed"), (1, "deployed")]
    );
    assert_eq!(value(&fixture, "rest").await, "1");
    put(&fixture, &[("a", "2")]).await.unwrap();
    assert_eq!(
        value(&fixture, "rest").await,
        Value::Null,
        "nobody would remove it later"
    );
    assert_eq!(
        statuses(&fixture.session()).await,
        [(3, "deployed"), (2, "failed"), (1, "superseded")]
    );
}

#[tokio::test]
async fn a_failure_is_undone_where_that_was_asked_for() {
    let fixture = Fixture::new();
    let bad =
        "apiVersion: v1\nkind: Service\nmetadata: {name: bad}\nspec: {ports: [{port: 99999}]}\n";
    let a = config_map("a", "9");
    let broken = || {
        source(
            "web",
            chart(&[("templates/a.yaml", &a), ("templates/bad.yaml", bad)]),
            &[],
        )
    };
    let undo = Options {
        rollback_on_failure: true,
        ..options()
    };
    let session = fixture.session();
    let error = install(&session, &broken(), &undo, &mut fixture.ear())
        .await
        .unwrap_err();
    assert!(
        error
            .to_string()
            .contains("has been uninstalled due to rollback-on-failure"),
        "{error}"
    );
    assert_eq!(value(&fixture, "a").await, Value::Null);
    assert!(
        latest(&fixture.client(), "default", "web")
            .await
            .unwrap()
            .is_none()
    );

    put(&fixture, &[("a", "1")]).await.unwrap();
    let error = upgrade(&session, &broken(), &undo, &mut fixture.ear())
        .await
        .unwrap_err();
    assert!(
        error
            .to_string()
            .contains("has been rolled back due to rollback-on-failure"),
        "{error}"
    );
    assert_eq!(value(&fixture, "a").await, "1");
    assert_eq!(
        statuses(&session).await,
        [(3, "deployed"), (2, "failed"), (1, "superseded")]
    );
}

#[tokio::test]
async fn an_interrupted_operation_is_ended_by_the_next() {
    let fixture = Fixture::new();
    let first = put(&fixture, &[("a", "1")]).await.unwrap();
    let session =
        Session::new(fixture.client(), "default").held_by("me", |holder| holder == "ghost");
    let storage = Storage::new(fixture.client(), "default");
    let mut pending = first.clone();
    pending.version = 2;
    pending.set(Status::PendingUpgrade, "Preparing upgrade");
    storage.create(&pending, "ghost").await.unwrap();
    let next = source("web", maps(&[("a", "3")]), &[]);
    let record = upgrade(&session, &next, &options(), &mut fixture.ear())
        .await
        .unwrap();
    assert_eq!(record.version, 3);
    assert_eq!(
        statuses(&session).await,
        [(3, "deployed"), (2, "failed"), (1, "superseded")]
    );
    assert!(fixture.told.lock().unwrap().contains(&Event::Recovered {
        version: 2,
        status: "pending-upgrade",
        holder: Some("ghost".into()),
    }));
    let middle = &history(&session, "web").await.unwrap()[1];
    assert!(
        middle
            .info
            .description
            .starts_with("Interrupted during pending-upgrade")
    );
}

#[tokio::test]
async fn an_interrupted_installation_leaves_the_name_free() {
    let fixture = Fixture::new();
    let record = put(&fixture, &[("a", "1")]).await.unwrap();
    let session = Session::new(fixture.client(), "default").held_by("me", |_| true);
    let storage = Storage::new(fixture.client(), "default");
    let mut pending = record.clone();
    pending.set(Status::PendingInstall, "Initial install underway");
    storage.remove("web", 1).await.unwrap();
    storage.create(&pending, "ghost").await.unwrap();
    let again = source("web", maps(&[("a", "2")]), &[]);
    let record = install(&session, &again, &options(), &mut fixture.ear())
        .await
        .unwrap();
    assert_eq!(
        (record.version, value(&fixture, "a").await),
        (2, json!("2"))
    );
}

#[tokio::test]
async fn two_at_once_are_told_of_each_other() {
    let fixture = Fixture::new();
    let first = put(&fixture, &[("a", "1")]).await.unwrap();
    let storage = Storage::new(fixture.client(), "default");
    let mut pending = first.clone();
    pending.version = 2;
    pending.set(Status::PendingUpgrade, "Preparing upgrade");
    storage.create(&pending, "ann@host (pid 7)").await.unwrap();
    // Ann is alive: her record changes while we look.
    let alive = tokio::spawn({
        let storage = storage.clone();
        async move {
            loop {
                tokio::time::sleep(Duration::from_millis(300)).await;
                let _ = storage.update(&pending).await;
            }
        }
    });
    let error = put(&fixture, &[("a", "2")]).await.unwrap_err();
    alive.abort();
    assert_eq!(
        error.line(),
        "revision 2 of release web is being made right now by ann@host (pid 7)"
    );
    assert_eq!(value(&fixture, "a").await, "1");
}

#[tokio::test]
async fn the_user_may_interrupt() {
    let fixture = Fixture::new();
    let bell = Arc::new(tokio::sync::Notify::new());
    let options = Options {
        interrupt: Some(bell.clone()),
        wait: coracle_release::Wait::Watcher,
        ..options()
    };
    let never = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: never}\nspec:\n  selector: {matchLabels: {app: never}}\n  template:\n    metadata: {labels: {app: never}}\n    spec: {containers: [{name: a, image: b}]}\n";
    let source = source("web", chart(&[("templates/d.yaml", never)]), &[]);
    let ring = async {
        // When there is something to wait for.
        let deployments = fixture.api("apps/v1", "Deployment");
        while deployments.get_opt("never").await.unwrap().is_none() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        bell.notify_one();
        std::future::pending::<()>().await;
    };
    let session = fixture.session();
    let mut ear = fixture.ear();
    let error = tokio::select! {
        result = install(&session, &source, &options, &mut ear) => result.unwrap_err(),
        () = ring => unreachable!("it rings and waits"),
    };
    assert!(matches!(error, ReleaseError::Interrupted), "{error}");
    assert_eq!(statuses(&session).await, [(1, "failed")]);
}

#[tokio::test]
async fn others_own_what_they_own() {
    let fixture = Fixture::new();
    fixture
        .create(json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"own": "x"}}))
        .await;
    let error = put(&fixture, &[("a", "1")]).await.unwrap_err();
    assert!(
        error.to_string().contains("invalid ownership metadata"),
        "{error}"
    );
    let help = error.help().unwrap();
    assert!(
        help.contains("demo/templates/a.yaml") && help.contains("--take-ownership"),
        "{help}"
    );
    assert!(
        latest(&fixture.client(), "default", "web")
            .await
            .unwrap()
            .is_none()
    );
    let options = Options {
        take_ownership: true,
        ..options()
    };
    let source = source("web", maps(&[("a", "1")]), &[]);
    install(&fixture.session(), &source, &options, &mut fixture.ear())
        .await
        .unwrap();
    let map = fixture.read("v1", "ConfigMap", "a").await;
    assert_eq!(map["data"], json!({"own": "x", "value": "1"}));
}

#[tokio::test]
async fn a_contested_field_is_named_with_its_owner() {
    let fixture = Fixture::new();
    put(&fixture, &[("a", "1")]).await.unwrap();
    let patch = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"value": "mine"}});
    fixture
        .api("v1", "ConfigMap")
        .patch(
            "a",
            &PatchParams::apply("boss").force(),
            &Patch::Apply(&patch),
        )
        .await
        .unwrap();
    let error = put(&fixture, &[("a", "2")]).await.unwrap_err();
    assert_eq!(
        error.line(),
        "conflict occurred while applying object default/a /v1, Kind=ConfigMap: Apply failed with 1 conflict: conflict with \"boss\": .data.value"
    );
    assert!(
        error
            .help()
            .unwrap()
            .contains(".data.value is owned by boss: it is \"mine\", the chart wants \"2\""),
        "{:?}",
        error.help()
    );
    let force = Options {
        force_conflicts: true,
        ..options()
    };
    let source = source("web", maps(&[("a", "2")]), &[]);
    upgrade(&fixture.session(), &source, &force, &mut fixture.ear())
        .await
        .unwrap();
    assert_eq!(value(&fixture, "a").await, "2");
}

#[tokio::test]
async fn merging_here_removes_what_the_chart_dropped_and_keeps_the_rest() {
    let fixture = Fixture::new();
    let csa = Options {
        apply: Apply::Client,
        ..options()
    };
    let chart_of = |data: &str| {
        let text =
            format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: a}}\ndata: {data}\n");
        chart(&[("templates/a.yaml", &text)])
    };
    let session = fixture.session();
    let first = source("web", chart_of("{a: one, b: two}"), &[]);
    let record = install(&session, &first, &csa, &mut fixture.ear())
        .await
        .unwrap();
    assert_eq!(record.apply_method, "csa");
    let patch = Patch::Merge(json!({"data": {"c": "by hand"}}));
    fixture
        .api("v1", "ConfigMap")
        .patch("a", &PatchParams::default(), &patch)
        .await
        .unwrap();
    let second = source("web", chart_of("{a: three}"), &[]);
    upgrade(&session, &second, &csa, &mut fixture.ear())
        .await
        .unwrap();
    let map = fixture.read("v1", "ConfigMap", "a").await;
    assert_eq!(map["data"], json!({"a": "three", "c": "by hand"}));
}

#[tokio::test]
async fn old_values_stay_or_go_as_asked() {
    let fixture = Fixture::new();
    let chart_of = |default: &str| {
        chart(&[
            ("values.yaml", default),
            (
                "templates/a.yaml",
                "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {value: \"{{ .Values.one }}-{{ .Values.two }}-{{ .Values.three }}\"}\n",
            ),
        ])
    };
    let session = fixture.session();
    let old = chart_of("one: d1\ntwo: d1\nthree: d1\n");
    install(
        &session,
        &source("web", old, &["one=given"]),
        &options(),
        &mut fixture.ear(),
    )
    .await
    .unwrap();
    let cases: &[(OldValues, &[&str], &str)] = &[
        (OldValues::IfNoneGiven, &[], "given-d2-d2"),
        (OldValues::Reuse, &["three=new"], "given-d1-new"),
        (OldValues::ResetThenReuse, &["two=new"], "given-new-d2"),
        (OldValues::Reset, &["two=only"], "d2-only-d2"),
    ];
    for (old_values, sets, expected) in cases {
        rollback(&session, "web", Some(1), &options(), &mut fixture.ear())
            .await
            .unwrap();
        let options = Options {
            old_values: *old_values,
            history_max: 0,
            ..options()
        };
        let new = source("web", chart_of("one: d2\ntwo: d2\nthree: d2\n"), sets);
        upgrade(&session, &new, &options, &mut fixture.ear())
            .await
            .unwrap();
        assert_eq!(value(&fixture, "a").await, *expected, "{old_values:?}");
    }
}

const DEFINITION: &str = "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: widgets.example.com}\nspec:\n  group: example.com\n  scope: Namespaced\n  names: {plural: widgets, singular: widget, kind: Widget, listKind: WidgetList}\n  versions:\n  - name: v1\n    served: true\n    storage: true\n    schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}\n";
const WIDGET: &str = "apiVersion: example.com/v1\nkind: Widget\nmetadata: {name: w}\nspec: {size: {{ if .Capabilities.APIVersions.Has \"example.com/v1/Widget\" }}1{{ else }}0{{ end }}}\n";

#[tokio::test]
async fn definitions_come_first() {
    let fixture = Fixture::new();
    let files = [
        ("crds/widget.yaml", DEFINITION),
        ("templates/w.yaml", WIDGET),
    ];
    let source = source("web", chart(&files), &[]);
    install(&fixture.session(), &source, &options(), &mut fixture.ear())
        .await
        .unwrap();
    let widget = fixture
        .api("example.com/v1", "Widget")
        .get("w")
        .await
        .unwrap();
    assert_eq!(widget.data["spec"]["size"], 1, "templates see the new kind");
}

#[tokio::test]
async fn definitions_among_the_templates_are_waited_for() {
    let fixture = Fixture::new();
    let files = [
        ("templates/crd.yaml", DEFINITION),
        ("templates/w.yaml", WIDGET),
    ];
    let source = source("web", chart(&files), &[]);
    install(&fixture.session(), &source, &options(), &mut fixture.ear())
        .await
        .unwrap();
    let widget = fixture
        .api("example.com/v1", "Widget")
        .get("w")
        .await
        .unwrap();
    assert_eq!(widget.data["spec"]["size"], 0);
}

#[tokio::test]
async fn a_dry_run_changes_nothing() {
    let fixture = Fixture::new();
    let secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {k: hidden}\n";
    let a = config_map("a", "1");
    let source = source(
        "web",
        chart(&[("templates/a.yaml", &a), ("templates/s.yaml", secret)]),
        &[],
    );
    for dry_run in [DryRun::Client, DryRun::Server] {
        let options = Options {
            dry_run,
            hide_secret: true,
            create_namespace: true,
            ..options()
        };
        let session = Session::new(fixture.client(), "elsewhere");
        let record = install(&session, &source, &options, &mut fixture.ear())
            .await
            .unwrap();
        assert_eq!(record.info.description, "Dry run complete");
        assert!(!record.manifest.contains("hidden") && record.manifest.contains("# HIDDEN"));
    }
    assert_eq!(value(&fixture, "a").await, Value::Null);
    let options = Options {
        create_namespace: true,
        ..options()
    };
    let session = Session::new(fixture.client(), "elsewhere");
    install(&session, &source, &options, &mut fixture.ear())
        .await
        .unwrap();
    assert_eq!(
        latest(&fixture.client(), "elsewhere", "web")
            .await
            .unwrap()
            .unwrap()
            .version,
        1
    );
}

#[tokio::test]
async fn a_name_that_was_removed_can_be_taken_again() {
    let fixture = Fixture::new();
    put(&fixture, &[("a", "1")]).await.unwrap();
    let session = fixture.session();
    let keep = Removal {
        keep_history: true,
        ..Removal::default()
    };
    uninstall_release(&session, "web", &keep, &options(), &mut fixture.ear())
        .await
        .unwrap();
    assert_eq!(statuses(&session).await, [(1, "uninstalled")]);
    assert_eq!(value(&fixture, "a").await, Value::Null);
    let again = uninstall_release(&session, "web", &keep, &options(), &mut fixture.ear()).await;
    assert_eq!(
        again.unwrap_err().to_string(),
        "the release named \"web\" is already deleted"
    );
    let taken = install(
        &session,
        &source("web", maps(&[("a", "2")]), &[]),
        &options(),
        &mut fixture.ear(),
    )
    .await;
    assert!(matches!(taken.unwrap_err(), ReleaseError::NameInUse { .. }));
    put(&fixture, &[("a", "3")]).await.unwrap();
    assert_eq!(
        statuses(&session).await,
        [(2, "deployed"), (1, "superseded")]
    );
    rollback(&session, "web", None, &options(), &mut fixture.ear())
        .await
        .unwrap();
    assert_eq!(value(&fixture, "a").await, "1");
}

#[tokio::test]
async fn an_interrupted_removal_is_no_dead_end() {
    let fixture = Fixture::new();
    let mut record = put(&fixture, &[("a", "1")]).await.unwrap();
    record.set(
        Status::Uninstalling,
        "Deletion in progress (or silently failed)",
    );
    let storage = Storage::new(fixture.client(), "default");
    storage.update(&record).await.unwrap();
    put(&fixture, &[("a", "2")]).await.unwrap();
    assert_eq!(value(&fixture, "a").await, "2");
    storage.update(&record).await.unwrap();
    let session = fixture.session();
    let removal = Removal::default();
    uninstall_release(&session, "web", &removal, &options(), &mut fixture.ear())
        .await
        .unwrap();
    assert_eq!(value(&fixture, "a").await, Value::Null);
}

#[tokio::test]
async fn a_difference_is_told_before_it_is_made_and_hides_secrets() {
    let fixture = Fixture::new();
    let chart_of = |value: &str| {
        let map = config_map("a", value);
        let secret = format!(
            "apiVersion: v1\nkind: Secret\nmetadata: {{name: s}}\nstringData: {{key: secret-{value}}}\n"
        );
        chart(&[("templates/a.yaml", &map), ("templates/s.yaml", &secret)])
    };
    let session = fixture.session();
    install(
        &session,
        &source("web", chart_of("1"), &[]),
        &options(),
        &mut fixture.ear(),
    )
    .await
    .unwrap();
    let diff = Options {
        diff: true,
        dry_run: DryRun::Server,
        ..options()
    };
    let next = source("web", chart_of("2"), &[]);
    upgrade(&session, &next, &diff, &mut fixture.ear())
        .await
        .unwrap();
    let told = fixture.told.lock().unwrap();
    let diffs: Vec<&str> = told
        .iter()
        .filter_map(|event| match event {
            Event::Diff { text, .. } => Some(text.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(diffs.len(), 2, "{diffs:?}");
    let all = diffs.concat();
    assert!(all.contains("-  value: \"1\"\n+  value: \"2\"\n"), "{all}");
    assert!(
        all.contains("characters, changed)") && !all.contains("secret-"),
        "{all}"
    );
    assert!(!all.contains("c2VjcmV0"), "{all}");
}
