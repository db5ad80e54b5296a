//! The jobs of a cron job that run: its list of them, and what is told when
//! one comes or goes (upstream: cronjob_controllerv2.go, syncCronJob).

use std::sync::Arc;

use coracle_client::Severity;
use k8s_openapi::api::batch::v1::{CronJob, CronJobStatus, Job};
use k8s_openapi::api::core::v1::ObjectReference;
use kube::{Api, ResourceExt};

use super::{Controller, end};

/// What has become of the jobs since the list was written.
#[derive(Debug, Default, PartialEq)]
struct Changes {
    /// Those that were listed and have ended: name and condition.
    completed: Vec<(String, &'static str)>,
    /// Those that are listed and not there.
    missing: Vec<ObjectReference>,
    /// Those that run and are not listed: somebody else made them, or the list
    /// is older than they are.
    unknown: Vec<Arc<Job>>,
}

/// Takes the jobs off the list that have ended or are not there, and brings the
/// time of the last success up to date.
fn observe(status: &mut CronJobStatus, jobs: &[Arc<Job>]) -> Changes {
    let mut changes = Changes::default();
    let listed = status.active.take().unwrap_or_default();
    let mut active = Vec::new();
    for reference in &listed {
        let job = jobs.iter().find(|job| job.uid() == reference.uid);
        match job.map(|job| (job.name_any(), end(job))) {
            None => changes.missing.push(reference.clone()),
            Some((_, None)) => active.push(reference.clone()),
            Some((name, Some(condition))) => changes.completed.push((name, condition)),
        }
    }
    let is_listed = |job: &Job| listed.iter().any(|reference| reference.uid == job.uid());
    let running = jobs.iter().filter(|job| end(job).is_none());
    changes.unknown = running.filter(|job| !is_listed(job)).cloned().collect();
    status.active = (!active.is_empty()).then_some(active);
    let done = jobs.iter().filter(|job| end(job) == Some("Complete"));
    let last = done
        .filter_map(|job| job.status.as_ref()?.completion_time.clone())
        .max();
    status.last_successful_time = last.max(status.last_successful_time.clone());
    changes
}

impl Controller {
    /// Brings the list of running jobs up to date and tells what has changed.
    pub(super) async fn follow(
        &self,
        cron: &CronJob,
        jobs: &[Arc<Job>],
        status: &mut CronJobStatus,
    ) -> Result<(), kube::Error> {
        let changes = observe(status, jobs);
        for (name, condition) in changes.completed {
            let text = format!("Saw completed job: {name}, condition: {condition}");
            self.recorder
                .event(cron, Severity::Normal, "SawCompletedJob", text);
        }
        for reference in changes.missing {
            // A job that was just made may not show in the cache yet.
            let name = reference.name.clone().unwrap_or_default();
            let found = self.job_api(cron).get_opt(&name).await?;
            if found.is_some_and(|job| job.uid() == reference.uid) {
                status.active.get_or_insert_default().push(reference);
            } else {
                let text = format!("Active job went missing: {name}");
                self.recorder
                    .event(cron, Severity::Normal, "MissingJob", text);
            }
        }
        if !changes.unknown.is_empty() {
            self.tell_unknown(cron, &changes.unknown, status).await?;
        }
        Ok(())
    }

    /// Tells of jobs that the list, read anew, does not name either.
    async fn tell_unknown(
        &self,
        cron: &CronJob,
        unknown: &[Arc<Job>],
        status: &mut CronJobStatus,
    ) -> Result<(), kube::Error> {
        let namespace = cron.namespace().unwrap_or_default();
        let api: Api<CronJob> = Api::namespaced(self.client.clone(), &namespace);
        let Some(live) = api.get_opt(&cron.name_any()).await? else {
            return Ok(());
        };
        let listed = live.status.and_then(|status| status.active);
        for job in unknown {
            let mut listed = listed.iter().flatten();
            if let Some(reference) = listed.find(|reference| reference.uid == job.uid()) {
                status
                    .active
                    .get_or_insert_default()
                    .push(reference.clone());
            } else {
                let name = job.name_any();
                let text =
                    format!("Saw a job that the controller did not create or forgot: {name}");
                self.warn(cron, "UnexpectedJob", text);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn job(name: &str, end: Option<&str>) -> Arc<Job> {
        let conditions: Vec<Value> = end
            .iter()
            .map(|end| json!({"type": end, "status": "True"}))
            .collect();
        let done = (end == Some("Complete")).then_some("2026-01-01T10:01:00Z");
        let job = json!({
            "metadata": {"name": name, "uid": name},
            "status": {"conditions": conditions, "completionTime": done},
        });
        Arc::new(serde_json::from_value(job).expect("a job"))
    }

    /// Upstream: cronjob_controllerv2_test.go, TestControllerV2SyncCronJob, the
    /// cases of active, finished, missing and unexpected jobs.
    #[test]
    fn the_list_follows_the_jobs() {
        let check = |listed: &[&str], jobs: &[Arc<Job>], active: &[&str], told: [&[&str]; 3]| {
            let references: Vec<Value> = listed
                .iter()
                .map(|name| json!({"name": name, "uid": name}))
                .collect();
            let mut status: CronJobStatus =
                serde_json::from_value(json!({"active": references})).expect("a status");
            let changes = observe(&mut status, jobs);
            let name = |reference: &ObjectReference| reference.name.clone().unwrap_or_default();
            let left: Vec<String> = status.active.iter().flatten().map(name).collect();
            assert_eq!(left, active);
            let completed = changes.completed.iter();
            let completed: Vec<String> = completed
                .map(|(name, condition)| format!("{name} {condition}"))
                .collect();
            let missing: Vec<String> = changes.missing.iter().map(name).collect();
            let unknown: Vec<String> = changes.unknown.iter().map(|job| job.name_any()).collect();
            assert_eq!([completed, missing, unknown], told);
        };
        let running = job("a", None);
        check(
            &["a"],
            std::slice::from_ref(&running),
            &["a"],
            [&[], &[], &[]],
        );
        check(&[], std::slice::from_ref(&running), &[], [&[], &[], &["a"]]);
        check(
            &["b"],
            std::slice::from_ref(&running),
            &[],
            [&[], &["b"], &["a"]],
        );
        let ended = [
            job("a", Some("Complete")),
            job("b", Some("Failed")),
            job("c", None),
        ];
        check(
            &["a", "b", "c"],
            &ended,
            &["c"],
            [&["a Complete", "b Failed"], &[], &[]],
        );
        check(&["c"], &ended, &["c"], [&[], &[], &[]]);
    }
}
