//! What a worker knows of one container: its present run, its last end, why
//! it waits.

use coracle_runtime::{Credentials, Exit};
use k8s_openapi::api::core::v1::{
    Container, ContainerStateTerminated, ContainerUser, LinuxContainerUser, ResourceRequirements,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use tokio::task::JoinSet;
use tokio::time::{Duration, Instant};

use super::image::Pull;
use super::policy::restarts;
use super::restart::Backoff;
use crate::machine::Running;

/// After a longer run than this the next restart is not delayed (upstream:
/// MaxContainerBackOff × 2).
const STEADY: Duration = Duration::from_secs(600);

/// What a worker knows of one container.
#[derive(Debug)]
pub struct State {
    /// How often it was started again.
    pub restarts: i32,
    /// Its present run.
    pub run: Option<Run>,
    /// Reason and message while it does not run and has yet to.
    pub waiting: Option<(String, String)>,
    /// How its latest run ended.
    pub ended: Option<ContainerStateTerminated>,
    /// The image it was started from: name and id.
    pub image: Option<(String, String)>,
    /// The user that its latest run began as.
    pub user: Option<ContainerUser>,
    /// The resources that its latest run was given.
    pub given: Option<ResourceRequirements>,
    /// The pull of its image, while it waits for that.
    pub pull: Option<Pull>,
    /// The delay before a crashed container is started again.
    pub crashes: Backoff,
    /// The delay before a missing image or setting is looked for again.
    pub misses: Backoff,
}

impl Default for State {
    fn default() -> Self {
        State {
            restarts: 0,
            run: None,
            waiting: Some(("ContainerCreating".into(), String::new())),
            ended: None,
            image: None,
            user: None,
            given: None,
            pull: None,
            crashes: Backoff::new(Duration::from_secs(10), Duration::from_secs(300)),
            misses: Backoff::new(Duration::from_secs(10), Duration::from_secs(300)),
        }
    }
}

/// What a run's probes have found so far.
#[derive(Debug, Clone, Copy)]
pub struct Health {
    /// Whether the startup probe, if there is one, has succeeded.
    pub started: bool,
    /// Whether the readiness probe, if there is one, succeeds.
    pub ready: bool,
}

impl Health {
    /// Returns what is known when a container has just started: a probe that
    /// it does not have is as good as one that succeeds.
    pub fn at_start(container: &Container) -> Health {
        Health {
            started: container.startup_probe.is_none(),
            ready: container.readiness_probe.is_none(),
        }
    }
}

/// A run of a container.
#[derive(Debug)]
pub struct Run {
    /// The container.
    pub handle: Running,
    /// Which run it is; the first is 0.
    pub attempt: i32,
    /// When it started.
    pub since: Instant,
    /// Whether the startup probe, if there is one, has succeeded.
    pub started: bool,
    /// Whether the readiness probe, if there is one, succeeds.
    pub ready: bool,
    /// Whether it is being stopped.
    pub stopping: bool,
    /// Its probes and hooks; they end with it.
    pub tasks: JoinSet<()>,
}

impl State {
    /// Returns whether it runs.
    pub fn is_running(&self) -> bool {
        self.run.is_some()
    }

    /// Returns whether it has ever ended.
    pub fn has_run(&self) -> bool {
        self.ended.is_some()
    }

    /// Returns whether its latest run ended well.
    pub fn has_succeeded(&self) -> bool {
        self.run.is_none()
            && self
                .ended
                .as_ref()
                .is_some_and(|ended| ended.exit_code == 0)
    }

    /// Returns whether its latest run ended badly.
    pub fn has_failed(&self) -> bool {
        self.run.is_none()
            && self
                .ended
                .as_ref()
                .is_some_and(|ended| ended.exit_code != 0)
    }

    /// Returns whether it runs and its startup probe has succeeded.
    pub fn has_started(&self) -> bool {
        self.run.as_ref().is_some_and(|run| run.started)
    }

    /// Returns whether it runs and may get traffic.
    pub fn is_ready(&self) -> bool {
        self.run
            .as_ref()
            .is_some_and(|run| run.started && run.ready)
    }

    /// Returns whether it is to be started where it does not run; `of_pod` is the
    /// pod's restart policy.
    pub fn wants_restart(&self, container: &Container, of_pod: &str) -> bool {
        let ended = self.ended.as_ref();
        ended.is_none_or(|ended| restarts(container, of_pod, ended.exit_code))
    }

    /// Returns until when it must not be started.
    pub fn blocked_until(&self) -> Option<Instant> {
        [self.crashes.until(), self.misses.until()]
            .into_iter()
            .flatten()
            .max()
    }

    /// Ends the wait for a setting that was missing: it may be there now.
    pub fn look_again(&mut self) {
        let waits = self
            .waiting
            .as_ref()
            .is_some_and(|(reason, _)| reason == "CreateContainerConfigError");
        if waits {
            self.misses.reset();
        }
    }

    /// Takes the end of a run; returns the run, if it is the present one.
    pub fn end(&mut self, attempt: i32, exit: &Exit) -> Option<Run> {
        let run = self.run.take_if(|run| run.attempt == attempt)?;
        self.ended = Some(terminated(run.handle.id(), exit));
        self.waiting = None;
        Some(run)
    }

    /// Puts the next start off after a run that took this long. The first
    /// restart is immediate, as is that after a steady run; others wait longer
    /// and longer (Kubernetes: Pod Lifecycle, Container restarts).
    pub fn put_off(&mut self, ran: Duration) {
        let is_first = self.restarts == 0 && self.crashes.delay().is_zero();
        if is_first || ran > STEADY {
            self.crashes.arm();
        } else {
            self.crashes.failed();
        }
    }
}

/// Returns the API's form of an end.
pub fn terminated(id: &str, exit: &Exit) -> ContainerStateTerminated {
    let reason = match exit {
        Exit {
            oom_killed: true, ..
        } => "OOMKilled",
        Exit {
            finished_at_nanos: 0,
            ..
        } => "ContainerStatusUnknown",
        Exit { code: 0, .. } => "Completed",
        _ => "Error",
    };
    ContainerStateTerminated {
        container_id: Some(container_id(id)),
        exit_code: exit.code,
        reason: Some(reason.into()),
        started_at: Some(time(exit.started_at_nanos)),
        finished_at: Some(time(exit.finished_at_nanos)),
        ..Default::default()
    }
}

/// Returns the API's form of the user that a run began as.
pub fn user(credentials: &Credentials) -> ContainerUser {
    let groups = credentials.groups.iter().map(|gid| i64::from(*gid));
    ContainerUser {
        linux: Some(LinuxContainerUser {
            uid: credentials.uid.into(),
            gid: credentials.gid.into(),
            supplemental_groups: Some(groups.collect()),
        }),
    }
}

/// Returns the id as the API shows it.
pub fn container_id(id: &str) -> String {
    format!("coracle://{id}")
}

/// Returns nanoseconds since 1970 as the API's time, in whole seconds.
pub fn time(nanos: u64) -> Time {
    let seconds = i64::try_from(nanos / 1_000_000_000).unwrap_or(0);
    Time(Timestamp::from_second(seconds).unwrap_or(Timestamp::UNIX_EPOCH))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Upstream: client-go/util/flowcontrol/backoff_test.go, TestBackoffHighWaterMark.
    #[test]
    fn restarts_wait_longer_and_longer_until_a_run_was_steady() {
        let mut state = State::default();
        let mut check = |ran_seconds: u64, expected: Option<u64>| {
            state.put_off(Duration::from_secs(ran_seconds));
            state.restarts += 1;
            let waits = state.crashes.until().is_some();
            let delay = waits.then(|| state.crashes.delay().as_secs());
            assert_eq!(delay, expected, "after {ran_seconds} s");
        };
        check(1, None);
        check(1, Some(10));
        check(1, Some(20));
        check(600, Some(40));
        check(601, None);
        check(1, Some(10));
        // An engine that has just begun does not know how it went before.
        let mut known = State {
            restarts: 7,
            ..State::default()
        };
        known.put_off(Duration::from_secs(1));
        assert!(known.crashes.until().is_some());
    }
}
