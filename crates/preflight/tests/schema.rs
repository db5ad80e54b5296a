//! Manifests against the types of Kubernetes.

mod common;

use common::{chart, lines, report};
use coracle_helm::Values;
use coracle_preflight::Target;

/// The only finding of a chart: its line and its fix.
fn check(template: &str, expected: &str, fix: &str) {
    let report = report(&chart(template), &Values::new(), None);
    let found = lines(&report);
    assert_eq!(found.len(), 1, "{found:#?}\n{template}");
    assert!(found[0].contains(expected), "{}\n{expected}", found[0]);
    let said = report.findings[0].fix.clone().unwrap_or_default();
    assert!(said.contains(fix), "{said}\n{fix}");
}

const POD: &str = "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec:\n  securityContext: {runAsNonRoot: true}\n  containers:\n    - name: a\n      image: a:1\n";

#[test]
fn unknown_fields() {
    check(
        &format!("{POD}      imagePullPolcy: Always\n"),
        "error[unknown-field] Pod/a spec.containers[0].imagePullPolcy: spec.containers of Pod has no field imagePullPolcy",
        "did you mean imagePullPolicy?",
    );
    check(
        &format!("{POD}      nodeSelector: {{a: b}}\n"),
        "spec.containers of Pod has no field nodeSelector",
        "nodeSelector belongs at spec.nodeSelector",
    );
    check(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndate: {a: b}\n",
        "error[unknown-field] ConfigMap/a date",
        "did you mean data?",
    );
}

#[test]
fn wrong_types() {
    check(
        &format!("{POD}      env: [{{name: A, value: 1}}]\n"),
        "error[wrong-type] Pod/a spec.containers[0].env[0].value: spec.containers[0].env[0].value is the number 1, but must be a text",
        "| quote",
    );
    check(
        &format!("{POD}      ports: [{{containerPort: \"80\"}}]\n"),
        "is the text \"80\", but must be a whole number",
        "| int",
    );
    check(
        &format!("{POD}      resources: {{limits: {{memory: 512MB}}}}\n"),
        "is \"512MB\", which is no quantity",
        "write 512Mi",
    );
    check(
        &format!("{POD}      env: {{A: b}}\n"),
        "is a map, but must be a list of maps",
        "make it a list",
    );
    check(
        "apiVersion: v1\nkind: Secret\nmetadata: {name: a}\ndata: {a: 'not base64!'}\n",
        "data[a] is not base64",
        "stringData",
    );
}

#[test]
fn versions_that_are_gone() {
    check(
        "apiVersion: networking.k8s.io/v1beta1\nkind: Ingress\nmetadata: {name: a}\n",
        "error[removed-api] Ingress/a apiVersion: Ingress of networking.k8s.io/v1beta1 was removed in Kubernetes 1.22",
        "write apiVersion: networking.k8s.io/v1",
    );
    check(
        "apiVersion: v1\nkind: Deployment\nmetadata: {name: a}\n",
        "error[unknown-kind] Deployment/a apiVersion: v1 has no kind Deployment",
        "write apiVersion: apps/v1",
    );
    check(
        "apiVersion: v1\nkind: ConfigMpa\nmetadata: {name: a}\n",
        "v1 has no kind ConfigMpa",
        "did you mean ConfigMap?",
    );
}

#[test]
fn rules_of_the_server() {
    check(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: A_b}\n",
        "error[invalid] ConfigMap/A_b metadata.name: metadata.name: Invalid value",
        "",
    );
    check(
        "kind: ConfigMap\nmetadata: {name: a}\n",
        "error[incomplete] ConfigMap/a apiVersion",
        "apiVersion",
    );
    let twice = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n";
    check(
        &format!("{twice}---\n{twice}"),
        "error[written-twice] ConfigMap/a metadata.name",
        "another name",
    );
}

#[test]
fn claims_of_a_stateful_set_are_volumes() {
    let text = "apiVersion: apps/v1\nkind: StatefulSet\nmetadata: {name: a}\nspec:\n  selector: {matchLabels: {app: a}}\n  template:\n    metadata: {labels: {app: a}}\n    spec:\n      securityContext: {runAsNonRoot: true}\n      containers: [{name: a, image: 'a:1', volumeMounts: [{name: data, mountPath: /d}]}]\n  volumeClaimTemplates:\n    - metadata: {name: data}\n      spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}\n";
    let report = report(&chart(text), &Values::new(), None);
    assert_eq!(lines(&report), Vec::<String>::new());
}

#[test]
fn custom_kinds_need_their_definition_where_a_cluster_was_asked() {
    let text = "apiVersion: example.com/v1\nkind: Thing\nmetadata: {name: a}\n";
    let chart = chart(text);
    assert!(report(&chart, &Values::new(), None).findings.is_empty());
    let mut target = Target::named("there");
    target.served = Some(["example.com/v2/Thing".to_owned()].into());
    let report = report(&chart, &Values::new(), Some(&target));
    assert_eq!(
        lines(&report),
        ["error[unknown-kind] Thing/a apiVersion: the cluster serves no Thing of example.com/v1"]
    );
    let fix = report.findings[0].fix.as_deref();
    assert_eq!(fix, Some("write apiVersion: example.com/v2"));
}
