//! CronJobs: a job whenever its time has come
//! (upstream: pkg/controller/cronjob, cronjob_controllerv2.go).

mod active;
mod schedule;

use std::sync::Arc;
use std::time::Duration;

use coracle_client::{Cache, Key, Outcome, Queue, Recorder, Severity, key_of};
use k8s_openapi::api::batch::v1::{CronJob, CronJobStatus, Job};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::tz::TimeZone;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::api::{DeleteParams, ObjectMeta, PostParams};
use kube::{Api, Client, ResourceExt};

use crate::context::Context;
use crate::owner::{controller_name, is_controlled_by, reference_to};
use crate::template::message;
use schedule::Schedule;

/// Annotation of a job with the time that it was made for.
const SCHEDULED_AT: &str = "batch.kubernetes.io/cronjob-scheduled-timestamp";
/// After so many missed times the clock, or the schedule, is thought wrong.
const MISSED_MAX: usize = 100;

struct Controller {
    client: Client,
    cron_jobs: Cache<CronJob>,
    jobs: Cache<Job>,
    recorder: Recorder,
}

/// Runs the controller for ever.
pub async fn run(context: Context) {
    let client = context.client("cronjob-controller");
    let controller = Arc::new(Controller {
        cron_jobs: context.caches.of(),
        jobs: context.caches.of(),
        recorder: Recorder::new(client.clone(), "cronjob-controller"),
        client,
    });
    controller.cron_jobs.ready().await;
    controller.jobs.ready().await;
    let queue: Queue<Key> = Queue::default();
    let own = queue.clone();
    controller
        .cron_jobs
        .on_change(move |cron| own.add(key_of(&**cron)));
    let own = queue.clone();
    controller.jobs.on_change(move |job| {
        if let Some(name) = controller_name(&**job, "CronJob") {
            own.add(Key::new(job.namespace().unwrap_or_default(), name));
        }
    });
    coracle_client::run("cronjob", queue, 2, move |key| {
        let controller = controller.clone();
        async move { controller.reconcile(&key).await }
    })
    .await;
}

/// Returns the end of a job: `Complete` or `Failed`.
fn end(job: &Job) -> Option<&'static str> {
    let status = job.status.as_ref()?;
    let holds = |type_: &str| {
        let mut conditions = status.conditions.iter().flatten();
        conditions.any(|one| one.type_ == type_ && one.status == "True")
    };
    ["Complete", "Failed"]
        .into_iter()
        .find(|type_| holds(type_))
}

/// What is to be done now.
#[derive(Debug, PartialEq)]
enum Due {
    /// Nothing before this time.
    Later(Option<Timestamp>),
    /// The job of this time.
    Now(Timestamp),
    /// The job of this time, but it is too late for it.
    Missed(Timestamp),
}

/// Returns the latest time that has come since the last job, and how many have
/// come in all (upstream: mostRecentScheduleTime).
fn latest(
    schedule: &Schedule,
    zone: &TimeZone,
    since: Timestamp,
    now: Timestamp,
) -> (Option<Timestamp>, usize) {
    let (mut found, mut count, mut at) = (None, 0, since);
    while let Some(next) = schedule.next(at, zone).filter(|next| *next <= now) {
        (found, at) = (Some(next), next);
        count += 1;
        if count > 10_000 {
            break;
        }
    }
    (found, count)
}

fn due(cron: &CronJob, schedule: &Schedule, zone: &TimeZone, now: Timestamp) -> (Due, usize) {
    let last = cron
        .status
        .as_ref()
        .and_then(|status| status.last_schedule_time.as_ref());
    let made = cron.metadata.creation_timestamp.as_ref();
    let mut since = last.or(made).map_or(now, |time| time.0);
    let deadline = cron
        .spec
        .starting_deadline_seconds
        .map(SignedDuration::from_secs);
    if let Some(deadline) = deadline {
        since = since.max(now - deadline);
    }
    let (found, count) = latest(schedule, zone, since, now);
    let due = match found {
        None => Due::Later(schedule.next(now, zone)),
        Some(at) if deadline.is_some_and(|deadline| at + deadline < now) => Due::Missed(at),
        Some(at) => Due::Now(at),
    };
    (due, count)
}

impl Controller {
    async fn reconcile(&self, key: &Key) -> Result<Outcome, kube::Error> {
        let Some(cron) = self.cron_jobs.of(key) else {
            return Ok(Outcome::Done);
        };
        let uid = cron.uid().unwrap_or_default();
        let jobs = self.jobs.controlled_by(&uid);
        let mut status = cron.status.clone().unwrap_or_default();
        self.follow(&cron, &jobs, &mut status).await?;
        let result = self.start_due(&cron, &jobs, &mut status).await;
        self.write_status(&cron, status).await?;
        self.clean_up(&cron, &jobs).await?;
        result
    }

    /// Starts the job whose time has come, if the policy lets it.
    async fn start_due(
        &self,
        cron: &CronJob,
        jobs: &[Arc<Job>],
        status: &mut CronJobStatus,
    ) -> Result<Outcome, kube::Error> {
        let spec = &cron.spec;
        if cron.metadata.deletion_timestamp.is_some() {
            return Ok(Outcome::Done);
        }
        let zone = match spec.time_zone.as_deref() {
            None => TimeZone::UTC,
            Some(name) => match TimeZone::get(name) {
                Ok(zone) => zone,
                Err(_) => {
                    let text = format!("invalid timeZone: {name:?}: unknown time zone {name}");
                    self.warn(cron, "UnknownTimeZone", text);
                    return Ok(Outcome::Done);
                }
            },
        };
        if spec.suspend == Some(true) {
            return Ok(Outcome::Done);
        }
        let Some(schedule) = Schedule::parse(&spec.schedule) else {
            let text = format!("unparseable schedule: {:?}", spec.schedule);
            self.warn(cron, "UnparseableSchedule", text);
            return Ok(Outcome::Done);
        };
        let now = Timestamp::now();
        if schedule.next(now, &zone).is_none() {
            self.warn(cron, "InvalidSchedule", never_due(&spec.schedule));
            return Ok(Outcome::Done);
        }
        let (due, missed) = due(cron, &schedule, &zone, now);
        if missed > MISSED_MAX {
            let text = "too many missed start times. Set or decrease .spec.startingDeadlineSeconds or check clock skew";
            self.warn(cron, "TooManyMissedTimes", text.into());
        }
        match due {
            Due::Later(at) => return Ok(again(at, now)),
            Due::Missed(at) => {
                let text = format!("Missed scheduled time to start a job: {}", in_words(at));
                self.warn(cron, "MissSchedule", text);
            }
            Due::Now(at) => self.start(cron, jobs, status, at).await?,
        }
        Ok(again(schedule.next(now, &zone), now))
    }

    async fn start(
        &self,
        cron: &CronJob,
        jobs: &[Arc<Job>],
        status: &mut CronJobStatus,
        at: Timestamp,
    ) -> Result<(), kube::Error> {
        let policy = cron.spec.concurrency_policy.as_deref();
        let active = status.active.clone().unwrap_or_default();
        if policy == Some("Forbid") && !active.is_empty() {
            let text = "Not starting job because prior execution is running and concurrency policy is Forbid";
            self.recorder
                .event(cron, Severity::Normal, "JobAlreadyActive", text);
            return Ok(());
        }
        if policy == Some("Replace") {
            for reference in active {
                let job = jobs.iter().find(|job| job.uid() == reference.uid);
                if let Some(job) = job {
                    self.delete(cron, job).await?;
                }
            }
            status.active = None;
        }
        let job = job_of(cron, at);
        let api = self.job_api(cron);
        match api.create(&PostParams::default(), &job).await {
            Ok(job) => {
                let text = format!("Created job {}", job.name_any());
                self.recorder
                    .event(cron, Severity::Normal, "SuccessfulCreate", text);
                let active = status.active.get_or_insert_default();
                active.push(coracle_client::reference(&job));
            }
            // It was made before and only the note of it is missing.
            Err(error) if coracle_client::is_conflict(&error) => {
                let job = api.get(&job.name_any()).await?;
                if is_controlled_by(&job, cron) && end(&job).is_none() {
                    let active = status.active.get_or_insert_default();
                    active.push(coracle_client::reference(&job));
                }
            }
            Err(error) => {
                self.warn(
                    cron,
                    "FailedCreate",
                    format!("Error creating job: {}", message(&error)),
                );
                return Err(error);
            }
        }
        status.last_schedule_time = Some(Time(at));
        Ok(())
    }

    fn warn(&self, cron: &CronJob, reason: &str, text: String) {
        self.recorder.event(cron, Severity::Warning, reason, text);
    }

    fn job_api(&self, cron: &CronJob) -> Api<Job> {
        Api::namespaced(self.client.clone(), &cron.namespace().unwrap_or_default())
    }

    async fn delete(&self, cron: &CronJob, job: &Job) -> Result<(), kube::Error> {
        let name = job.name_any();
        match self
            .job_api(cron)
            .delete(&name, &DeleteParams::background())
            .await
        {
            Err(error) if !coracle_client::is_not_found(&error) => {
                let text = format!("Deleted job: {}", message(&error));
                self.warn(cron, "FailedDelete", text);
                Err(error)
            }
            _ => {
                let text = format!("Deleted job {name}");
                self.recorder
                    .event(cron, Severity::Normal, "SuccessfulDelete", text);
                Ok(())
            }
        }
    }

    /// Removes the oldest jobs that have ended beyond the limits.
    async fn clean_up(&self, cron: &CronJob, jobs: &[Arc<Job>]) -> Result<(), kube::Error> {
        let spec = &cron.spec;
        let limits = [
            ("Complete", spec.successful_jobs_history_limit.unwrap_or(3)),
            ("Failed", spec.failed_jobs_history_limit.unwrap_or(1)),
        ];
        for (type_, limit) in limits {
            for job in beyond(jobs, type_, limit) {
                if job.metadata.deletion_timestamp.is_none() {
                    self.delete(cron, job).await?;
                }
            }
        }
        Ok(())
    }

    async fn write_status(&self, cron: &CronJob, status: CronJobStatus) -> Result<(), kube::Error> {
        if cron.status.as_ref() == Some(&status) {
            return Ok(());
        }
        let mut changed = cron.clone();
        changed.status = Some(status);
        let namespace = cron.namespace().unwrap_or_default();
        let api: Api<CronJob> = Api::namespaced(self.client.clone(), &namespace);
        match api
            .replace_status(&cron.name_any(), &PostParams::default(), &changed)
            .await
        {
            Err(error) if !coracle_client::is_not_found(&error) => Err(error),
            _ => Ok(()),
        }
    }
}

/// Returns what is said of a schedule such as that of 31 February (upstream:
/// mostRecentScheduleTime, where all its times are one).
fn never_due(schedule: &str) -> String {
    format!(
        "invalid schedule: {schedule} : time difference between two schedules is less than 1 second"
    )
}

/// Writes a time as Go's RFC1123Z does.
fn in_words(at: Timestamp) -> String {
    at.strftime("%a, %d %b %Y %H:%M:%S +0000").to_string()
}

fn again(at: Option<Timestamp>, now: Timestamp) -> Outcome {
    at.map_or(Outcome::Done, |at| {
        let wait = at.duration_since(now).unsigned_abs();
        Outcome::Again(wait + Duration::from_millis(100))
    })
}

/// Returns the jobs with this end that are too many, the oldest first.
fn beyond<'a>(jobs: &'a [Arc<Job>], type_: &str, limit: i32) -> Vec<&'a Arc<Job>> {
    let mut ended: Vec<&Arc<Job>> = jobs.iter().filter(|job| end(job) == Some(type_)).collect();
    ended.sort_by_key(|job| {
        let started = job
            .status
            .as_ref()
            .and_then(|status| status.start_time.clone());
        (started, job.name_any())
    });
    let surplus = ended
        .len()
        .saturating_sub(usize::try_from(limit).unwrap_or(0));
    ended.truncate(surplus);
    ended
}

/// Returns the job of a time; its name is made of the time, so that no time
/// has two (upstream: getJobFromTemplate2).
fn job_of(cron: &CronJob, at: Timestamp) -> Job {
    let template = cron.spec.job_template.clone();
    let meta = template.metadata.unwrap_or_default();
    let mut annotations = meta.annotations.unwrap_or_default();
    annotations.insert(SCHEDULED_AT.into(), at.to_string());
    Job {
        metadata: ObjectMeta {
            name: Some(format!("{}-{}", cron.name_any(), at.as_second() / 60)),
            namespace: cron.namespace(),
            labels: meta.labels,
            annotations: Some(annotations),
            owner_references: Some(vec![reference_to(cron)]),
            ..Default::default()
        },
        spec: template.spec,
        status: None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn cron(spec: Value, status: Value) -> CronJob {
        let mut full = json!({"schedule": "0 * * * *", "jobTemplate": {"spec": {"template": {}}}});
        for (key, value) in spec.as_object().expect("a mapping") {
            full[key.as_str()] = value.clone();
        }
        serde_json::from_value(json!({
            "metadata": {"name": "tick", "creationTimestamp": "2026-01-01T09:30:00Z"},
            "spec": full, "status": status,
        }))
        .expect("a cron job")
    }

    /// Upstream: cronjob_controllerv2_test.go, TestControllerV2SyncCronJob; utils_test.go.
    #[test]
    fn the_latest_time_that_has_come_is_due_once() {
        let at = |text: &str| {
            format!("2026-01-01T{text}Z")
                .parse::<Timestamp>()
                .expect("a time")
        };
        let check = |spec: Value, status: Value, now: &str, expected: Due| {
            let cron = cron(spec, status);
            let schedule = Schedule::parse("0 * * * *").expect("a schedule");
            assert_eq!(
                due(&cron, &schedule, &TimeZone::UTC, at(now)).0,
                expected,
                "{now}"
            );
        };
        let later = |text| Due::Later(Some(at(text)));
        check(json!({}), json!({}), "09:45:00", later("10:00:00"));
        check(json!({}), json!({}), "10:00:00", Due::Now(at("10:00:00")));
        check(json!({}), json!({}), "12:10:00", Due::Now(at("12:00:00")));
        let done = json!({"lastScheduleTime": "2026-01-01T12:00:00Z"});
        check(json!({}), done, "12:10:00", later("13:00:00"));
        check(
            json!({"startingDeadlineSeconds": 60}),
            json!({}),
            "12:10:00",
            later("13:00:00"),
        );
        check(
            json!({"startingDeadlineSeconds": 900}),
            json!({}),
            "12:10:00",
            Due::Now(at("12:00:00")),
        );
    }

    #[test]
    fn a_missed_time_is_told_in_words() {
        let at: Timestamp = "2026-01-02T03:04:05Z".parse().expect("a time");
        assert_eq!(in_words(at), "Fri, 02 Jan 2026 03:04:05 +0000");
    }

    /// Upstream: pkg/controller/cronjob/utils.go, mostRecentScheduleTime.
    #[test]
    fn a_day_that_never_comes_is_told() {
        let schedule = Schedule::parse("59 23 31 2 *").expect("a schedule");
        let now: Timestamp = "2026-01-02T03:04:05Z".parse().expect("a time");
        assert_eq!(schedule.next(now, &TimeZone::UTC), None);
        assert_eq!(
            never_due("59 23 31 2 *"),
            "invalid schedule: 59 23 31 2 * : time difference between two schedules is less than 1 second"
        );
    }

    #[test]
    fn a_time_has_one_job() {
        let at: Timestamp = "2026-01-01T10:00:00Z".parse().expect("a time");
        let job = job_of(&cron(json!({}), json!({})), at);
        assert_eq!(job.name_any(), "tick-29454360");
        assert_eq!(job.annotations()[SCHEDULED_AT], "2026-01-01T10:00:00Z");
    }

    #[test]
    fn the_oldest_that_have_ended_go() {
        let job = |name: &str, end: &str, start: &str| -> Arc<Job> {
            let value = json!({"metadata": {"name": name}, "status": {
                "startTime": start, "conditions": [{"type": end, "status": "True"}],
            }});
            Arc::new(serde_json::from_value(value).expect("a job"))
        };
        let jobs = [
            job("b", "Complete", "2026-01-02T00:00:00Z"),
            job("a", "Complete", "2026-01-01T00:00:00Z"),
            job("c", "Failed", "2026-01-03T00:00:00Z"),
        ];
        let names = |type_: &str, limit| -> Vec<String> {
            beyond(&jobs, type_, limit)
                .iter()
                .map(|job| job.name_any())
                .collect()
        };
        assert_eq!(names("Complete", 1), ["a"]);
        assert_eq!(names("Complete", 0), ["a", "b"]);
        assert_eq!(names("Failed", 1), [""; 0]);
    }
}
