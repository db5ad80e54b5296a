//! Errors of release time, word for word: Helm's first line, then what is behind
//! it and what to do. Most stand in `worst.golden`.

use std::time::Duration;

use crate::common::{Fixture, chart, config_map, options, source};
use coracle_release::{
    Options, ReleaseError, Removal, Session, Wait, install, revision, rollback, uninstall_release,
    upgrade, upgrade_or_install,
};
use serde_json::json;

/// Returns an error as the command line shows it.
fn shown(error: &ReleaseError) -> String {
    match error.help() {
        Some(help) => format!("{}\n\n{help}", error.line()),
        None => error.line(),
    }
}

fn check(error: &ReleaseError, expected: &str) {
    assert_eq!(shown(error), expected.trim_matches('\n'));
}

async fn put(fixture: &Fixture, text: &str) -> Result<coracle_release::Record, ReleaseError> {
    let source = source("web", chart(&[("templates/a.yaml", text)]), &[]);
    upgrade_or_install(&fixture.session(), &source, &options(), &mut fixture.ear()).await
}

#[tokio::test]
async fn no_such_release() {
    let fixture = Fixture::new();
    let session = fixture.session();
    let error = revision(&session, "web", None).await.unwrap_err();
    let expected = "release: not found\n\nthere is no release web in namespace default; all releases: list --all-namespaces";
    check(&error, expected);
    let error = rollback(&session, "web", None, &options(), &mut fixture.ear())
        .await
        .unwrap_err();
    check(&error, expected);
    let removal = Removal::default();
    let error = uninstall_release(&session, "web", &removal, &options(), &mut fixture.ear())
        .await
        .unwrap_err();
    check(&error, expected);
    let nothing = source("web", chart(&[]), &[]);
    let error = upgrade(&session, &nothing, &options(), &mut fixture.ear())
        .await
        .unwrap_err();
    check(
        &error,
        "\"web\" has no deployed releases\n\nnamespace default has no release of this name; to install it: upgrade --install",
    );
}

#[tokio::test]
async fn a_release_in_another_namespace_is_pointed_at() {
    let fixture = Fixture::new();
    put(&fixture, &config_map("a", "1")).await.unwrap();
    let elsewhere = Session::new(fixture.client(), "kube-system");
    let error = revision(&elsewhere, "web", None).await.unwrap_err();
    check(
        &error,
        "release: not found\n\nthere is a release web in namespace default: say --namespace default",
    );
    let error = revision(&fixture.session(), "web", Some(7))
        .await
        .unwrap_err();
    check(&error, "release: not found\n\nrelease web has revisions 1");
}

#[tokio::test]
async fn a_name_in_use() {
    let fixture = Fixture::new();
    put(&fixture, &config_map("a", "1")).await.unwrap();
    let again = source("web", chart(&[]), &[]);
    let error = install(&fixture.session(), &again, &options(), &mut fixture.ear())
        .await
        .unwrap_err();
    check(
        &error,
        r#"
release name check failed: cannot reuse a name that is still in use

namespace default has a release web, revision 1, deployed
to change it: upgrade web CHART; to remove it first: uninstall web; or choose another name
"#,
    );
    let wrong = source("Web", chart(&[]), &[]);
    let error = install(&fixture.session(), &wrong, &options(), &mut fixture.ear())
        .await
        .unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("release name check failed: release name \"Web\": invalid release name")
    );
}

#[tokio::test]
async fn an_object_of_nobody_and_one_of_another_release() {
    let fixture = Fixture::new();
    fixture
        .create(json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}}))
        .await;
    let error = put(&fixture, &config_map("a", "1")).await.unwrap_err();
    check(
        &error,
        r#"
unable to continue with install: ConfigMap "a" in namespace "default" exists and cannot be imported into the current release: invalid ownership metadata; label validation error: missing key "app.kubernetes.io/managed-by": must be set to "Helm"; annotation validation error: missing key "meta.helm.sh/release-name": must be set to "web"; annotation validation error: missing key "meta.helm.sh/release-namespace": must be set to "default"

it was not made by a release; the chart makes it in demo/templates/a.yaml
to take it over: --take-ownership, or mark it by hand:
  kubectl label -n default configmap a app.kubernetes.io/managed-by=Helm --overwrite
  kubectl annotate -n default configmap a meta.helm.sh/release-name=web meta.helm.sh/release-namespace=default --overwrite
"#,
    );
    let map = config_map("b", "1");
    let other = source("other", chart(&[("templates/b.yaml", &map)]), &[]);
    install(&fixture.session(), &other, &options(), &mut fixture.ear())
        .await
        .unwrap();
    let error = put(&fixture, &map).await.unwrap_err();
    assert!(
        error.help().unwrap().starts_with("it belongs to release other in namespace default; the chart makes it in demo/templates/a.yaml"),
        "{:?}",
        error.help()
    );
}

#[tokio::test]
async fn time_is_over() {
    let fixture = Fixture::new();
    let deployment = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec:\n  selector: {matchLabels: {app: web}}\n  template:\n    metadata: {labels: {app: web}}\n    spec: {containers: [{name: a, image: b}]}\n";
    let options = Options {
        wait: Wait::Watcher,
        timeout: Duration::from_millis(300),
        ..Options::default()
    };
    let source = source("web", chart(&[("templates/a.yaml", deployment)]), &[]);
    let session = fixture.session();
    // A pod that cannot be placed, as the controllers would leave it.
    fixture
        .create(
            json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}}),
        )
        .await;
    fixture
        .create(json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web-1", "labels": {"app": "web"}},
            "spec": {"containers": [{"name": "a", "image": "b"}]}}))
        .await;
    let patch = kube::api::Patch::Merge(
        json!({"status": {"conditions": [{"type": "PodScheduled", "status": "False",
        "reason": "Unschedulable", "message": "0/1 nodes are available: 1 Insufficient cpu."}]}}),
    );
    let pods = fixture.api("v1", "Pod");
    pods.patch_status("web-1", &Default::default(), &patch)
        .await
        .unwrap();
    let error = install(&session, &source, &options, &mut fixture.ear())
        .await
        .unwrap_err();
    check(
        &error,
        r#"
Deployment/web is not ready in time: not noticed yet
  because pod/web-1: no node takes it: 0/1 nodes are available: 1 Insufficient cpu.
"#,
    );
}
