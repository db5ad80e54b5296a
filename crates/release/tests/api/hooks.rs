//! Hooks on our own API: order, policies, phases, and tests. Somebody plays
//! the Job controller: Jobs end as their annotation says.

use std::time::Duration;

use crate::common::{Fixture, chart, config_map, options, source};
use coracle_release::{
    Event, Options, Record, ReleaseError, Removal, TestFilter, history, install, revision,
    rollback, test, uninstall_release, upgrade,
};
use kube::api::{ListParams, Patch, PatchParams};
use serde_json::{Value, json};

/// A Job that is a hook; it fails if `outcome` says so.
fn job(name: &str, events: &str, weight: i64, more: &str, outcome: &str) -> String {
    format!(
        "apiVersion: batch/v1\nkind: Job\nmetadata:\n  name: {name}\n  annotations:\n    helm.sh/hook: {events}\n    helm.sh/hook-weight: \"{weight}\"\n    test/outcome: {outcome}\n{more}spec:\n  template:\n    spec:\n      restartPolicy: Never\n      containers: [{{name: a, image: b}}]\n"
    )
}

/// Ends every Job as its annotation says.
pub fn play_job_controller(fixture: &Fixture) {
    let jobs = fixture.api("batch/v1", "Job");
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(Duration::from_millis(20)).await;
            let Ok(list) = jobs.list(&ListParams::default()).await else {
                return;
            };
            for job in list {
                if job.data["status"]["conditions"].is_array() {
                    continue;
                }
                let annotations = job.metadata.annotations.clone().unwrap_or_default();
                let status = end(annotations.get("test/outcome").map(String::as_str));
                let patch = Patch::Merge(json!({"status": status}));
                let name = job.metadata.name.unwrap_or_default();
                let _ = jobs
                    .patch_status(&name, &PatchParams::default(), &patch)
                    .await;
            }
        }
    });
}

fn end(outcome: Option<&str>) -> Value {
    let now = "2026-01-01T00:00:00Z";
    let condition = |kind: &str| json!({"type": kind, "status": "True", "reason": "BackoffLimitExceeded", "message": "it fell", "lastTransitionTime": now, "lastProbeTime": now});
    match outcome {
        Some("fails") => {
            json!({"startTime": now, "failed": 1, "conditions": [condition("FailureTarget"), condition("Failed")]})
        }
        _ => {
            json!({"startTime": now, "completionTime": now, "succeeded": 1, "conditions": [condition("SuccessCriteriaMet"), condition("Complete")]})
        }
    }
}

fn hooks_told(fixture: &Fixture) -> Vec<String> {
    let told = fixture.told.lock().unwrap();
    let ended = told.iter().filter_map(|event| match event {
        Event::Hook {
            event,
            title,
            ended: Some((well, _)),
        } => Some(format!(
            "{event} {title} {}",
            if *well { "well" } else { "badly" }
        )),
        _ => None,
    });
    ended.collect()
}

fn phases(record: &Record) -> Vec<(String, String)> {
    let hooks = record.hooks.iter();
    let mut phases: Vec<(String, String)> = hooks
        .map(|hook| (hook.name.clone(), hook.last_run.phase.clone()))
        .collect();
    phases.sort();
    phases
}

async fn is_there(fixture: &Fixture, job: &str) -> bool {
    !fixture.read("batch/v1", "Job", job).await.is_null()
}

#[tokio::test]
async fn hooks_run_by_weight_around_every_operation() {
    let fixture = Fixture::new();
    play_job_controller(&fixture);
    let late = job("late", "pre-install,pre-upgrade", 5, "", "well");
    let early = job("early", "pre-install", -5, "", "well");
    let after = job(
        "after",
        "post-install,post-upgrade,post-rollback",
        0,
        "",
        "well",
    );
    let back = job("back", "pre-rollback", 0, "", "well");
    let bye = job("bye", "pre-delete", 0, "", "well");
    let gone = job("gone", "post-delete", 0, "", "well");
    let map = config_map("a", "1");
    let files = [
        ("templates/late.yaml", late.as_str()),
        ("templates/early.yaml", &early),
        ("templates/after.yaml", &after),
        ("templates/back.yaml", &back),
        ("templates/bye.yaml", &bye),
        ("templates/gone.yaml", &gone),
        ("templates/a.yaml", &map),
    ];
    let session = fixture.session();
    let source = source("web", chart(&files), &[]);
    let mut ear = fixture.ear();
    let record = install(&session, &source, &options(), &mut ear)
        .await
        .unwrap();
    assert_eq!(
        phases(&record)
            .iter()
            .filter(|(_, phase)| phase == "Succeeded")
            .count(),
        3
    );
    upgrade(&session, &source, &options(), &mut ear)
        .await
        .unwrap();
    rollback(&session, "web", None, &options(), &mut ear)
        .await
        .unwrap();
    uninstall_release(&session, "web", &Removal::default(), &options(), &mut ear)
        .await
        .unwrap();
    assert_eq!(
        hooks_told(&fixture),
        [
            "pre-install Job/early well",
            "pre-install Job/late well",
            "post-install Job/after well",
            "pre-upgrade Job/late well",
            "post-upgrade Job/after well",
            "pre-rollback Job/back well",
            "post-rollback Job/after well",
            "pre-delete Job/bye well",
            "post-delete Job/gone well",
        ]
    );
}

#[tokio::test]
async fn a_failing_hook_stops_the_operation() {
    let fixture = Fixture::new();
    play_job_controller(&fixture);
    let check = job("check", "pre-install", 0, "", "fails");
    let map = config_map("a", "1");
    let files = [
        ("templates/check.yaml", check.as_str()),
        ("templates/a.yaml", &map),
    ];
    let session = fixture.session();
    let source = source("web", chart(&files), &[]);
    let error = install(&session, &source, &options(), &mut fixture.ear())
        .await
        .unwrap_err();
    let text = error.line();
    assert!(
        text.starts_with("pre-install hook Job/check (demo/templates/check.yaml) failed: Job/check failed: BackoffLimitExceeded: it fell"),
        "{text}"
    );
    assert!(matches!(error, ReleaseError::Hook { .. }));
    assert!(fixture.read("v1", "ConfigMap", "a").await.is_null());
    let record = revision(&session, "web", None).await.unwrap();
    assert_eq!(record.info.status.word(), "failed");
    assert_eq!(phases(&record), [("check".to_owned(), "Failed".to_owned())]);
    let quiet = Options {
        no_hooks: true,
        replace: true,
        ..options()
    };
    install(&session, &source, &quiet, &mut fixture.ear())
        .await
        .unwrap();
    assert!(!fixture.read("v1", "ConfigMap", "a").await.is_null());
}

#[tokio::test]
async fn policies_say_what_stays_behind() {
    let fixture = Fixture::new();
    play_job_controller(&fixture);
    let policy = |policy: &str| format!("    helm.sh/hook-delete-policy: {policy}\n");
    let cases = [
        ("stays", job("stays", "pre-install", 0, "", "well"), true),
        (
            "goes",
            job("goes", "pre-install", 1, &policy("hook-succeeded"), "well"),
            false,
        ),
        (
            "fell-stays",
            job(
                "fell-stays",
                "post-install",
                2,
                &policy("hook-succeeded"),
                "fails",
            ),
            true,
        ),
    ];
    let files: Vec<(String, &str)> = cases
        .iter()
        .map(|(name, text, _)| (format!("templates/{name}.yaml"), text.as_str()))
        .collect();
    let files: Vec<(&str, &str)> = files
        .iter()
        .map(|(name, text)| (name.as_str(), *text))
        .collect();
    let session = fixture.session();
    let source = source("web", chart(&files), &[]);
    install(&session, &source, &options(), &mut fixture.ear())
        .await
        .unwrap_err();
    for (name, _, stays) in &cases {
        assert_eq!(is_there(&fixture, name).await, *stays, "{name}");
    }
    let fell = job(
        "fell-goes",
        "pre-upgrade",
        0,
        &policy("hook-failed"),
        "fails",
    );
    let second = crate::common::source("web", chart(&[("templates/fell.yaml", &fell)]), &[]);
    upgrade(&session, &second, &options(), &mut fixture.ear())
        .await
        .unwrap_err();
    assert!(!is_there(&fixture, "fell-goes").await);
}

#[tokio::test]
async fn tests_run_when_asked_and_can_be_chosen() {
    let fixture = Fixture::new();
    play_job_controller(&fixture);
    let smoke = job("smoke", "test", 0, "", "well");
    let broken = job("broken", "test", 1, "", "fails");
    let files = [
        ("templates/smoke.yaml", smoke.as_str()),
        ("templates/broken.yaml", &broken),
    ];
    let session = fixture.session();
    let source = source("web", chart(&files), &[]);
    install(&session, &source, &options(), &mut fixture.ear())
        .await
        .unwrap();
    assert!(!is_there(&fixture, "smoke").await);
    let only = TestFilter {
        include: vec!["smoke".into()],
        ..TestFilter::default()
    };
    let tested = test(
        &session,
        "web",
        &only,
        false,
        &options(),
        &mut fixture.ear(),
    )
    .await
    .unwrap();
    assert!(tested.failure.is_none());
    let all = TestFilter::default();
    let tested = test(&session, "web", &all, false, &options(), &mut fixture.ear())
        .await
        .unwrap();
    assert!(tested.failure.unwrap().to_string().contains("Job/broken"));
    let record = &history(&session, "web").await.unwrap()[0];
    assert_eq!(record.version, 1);
    assert_eq!(
        phases(record),
        [
            ("broken".to_owned(), "Failed".to_owned()),
            ("smoke".to_owned(), "Succeeded".to_owned())
        ]
    );
}
