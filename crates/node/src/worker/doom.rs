//! Pods that the node ends for good: their time is over, or it needs their disk
//! (upstream: pkg/kubelet/active_deadline.go, pkg/kubelet/eviction).

use std::time::SystemTime;

use coracle_client::Severity;
use k8s_openapi::api::core::v1::PodCondition;
use tokio::time::Instant;

use super::{Next, Worker, instant_of};

/// Why a pod was ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Doom {
    /// One word, as its status shows it.
    pub reason: String,
    /// The whole story.
    pub message: String,
    /// Time its containers get; that of the pod if `None`.
    pub grace: Option<tokio::time::Duration>,
}

impl Doom {
    /// Returns what upstream says of a pod that outlived its deadline.
    fn deadline() -> Doom {
        Doom {
            reason: "DeadlineExceeded".into(),
            message: "Pod was active on the node longer than the specified deadline".into(),
            grace: None,
        }
    }

    /// Returns the condition that tells budgets and Jobs that it was not the
    /// pod's own fault.
    pub(super) fn condition(&self) -> Option<PodCondition> {
        (self.reason == "Evicted").then(|| PodCondition {
            type_: "DisruptionTarget".into(),
            status: "True".into(),
            reason: Some("TerminationByKubelet".into()),
            message: Some(self.message.clone()),
            last_transition_time: Some(coracle_client::now()),
            ..Default::default()
        })
    }
}

impl Worker {
    /// Notes that the pod is to be ended; the first reason counts.
    pub(super) fn doom(&mut self, doom: Doom) {
        if self.doom.is_some() || self.is_stopping() || self.has_ended() {
            return;
        }
        let severity = match doom.reason.as_str() {
            "Evicted" => Severity::Warning,
            _ => Severity::Normal,
        };
        self.shared
            .recorder
            .event(&*self.pod, severity, &doom.reason, &doom.message);
        self.doom = Some(doom);
    }

    /// Ends the pod's containers and leaves its object as a record.
    pub(super) async fn end_for_good(&mut self) -> Next {
        self.stop_containers().await;
        let written = self.write_status().await;
        self.release_sandbox().await;
        if written {
            Next::Wait
        } else {
            Next::At(Instant::now() + tokio::time::Duration::from_secs(1))
        }
    }

    /// Returns when the pod's time is over, if it has a limit.
    pub(super) fn deadline(&self) -> Option<SystemTime> {
        let seconds = self.pod.spec.as_ref()?.active_deadline_seconds?;
        let status = self.written.as_ref().or(self.pod.status.as_ref())?;
        let start = SystemTime::from(status.start_time.as_ref()?.0);
        start.checked_add(std::time::Duration::from_secs(
            seconds.max(0).unsigned_abs(),
        ))
    }

    /// Dooms the pod when its time is over; returns when that will be.
    pub(super) fn watch_deadline(&mut self) -> Option<Instant> {
        let deadline = self.deadline()?;
        if deadline <= SystemTime::now() {
            self.doom(Doom::deadline());
            return None;
        }
        Some(instant_of(deadline))
    }

    /// Remembers what an earlier engine decided.
    pub(super) fn recall_doom(&mut self) {
        let Some(status) = &self.pod.status else {
            return;
        };
        let failed = status.phase.as_deref() == Some("Failed");
        if let Some(reason) = status.reason.clone().filter(|_| failed) {
            self.doom = Some(Doom {
                reason,
                message: status.message.clone().unwrap_or_default(),
                grace: None,
            });
        }
    }
}
