//! What is done to a set's pods, and what is told of it
//! (upstream: stateful_pod_control.go, whose events are worded alike).

use std::collections::BTreeMap;
use std::sync::Arc;

use coracle_client::{Severity, is_conflict, is_not_found};
use futures::future::join_all;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::api::{DeleteParams, PostParams, Preconditions};

use super::plan::{Action, Rules};
use super::{Controller, identity};
use crate::history::{self, History};
use crate::pods;
use crate::template::message;

/// The verbs of events, in their reasons and texts alike.
pub(super) const CREATE: &str = "Create";
const UPDATE: &str = "Update";
const DELETE: &str = "Delete";

impl Controller {
    pub(super) async fn perform(
        &self,
        set: &StatefulSet,
        rules: &Rules,
        revisions: &History,
        actions: Vec<Action>,
    ) -> Result<(), kube::Error> {
        let tasks = actions.into_iter().map(|action| async move {
            match action {
                Action::Create(ordinal) => self.create(set, rules, revisions, ordinal).await,
                Action::Delete(pod) => self.delete(set, rules, &pod).await,
            }
        });
        join_all(tasks).await.into_iter().collect()
    }

    /// Tells what became of a pod, or of an attempt (upstream: recordPodEvent).
    pub(super) fn tell(&self, set: &StatefulSet, verb: &str, pod: &str, failure: Option<&str>) {
        let (severity, reason, text) = worded(verb, pod, &set.name_any(), failure);
        self.recorder.event(set, severity, &reason, text);
    }

    async fn create(
        &self,
        set: &StatefulSet,
        rules: &Rules,
        revisions: &History,
        ordinal: i32,
    ) -> Result<(), kube::Error> {
        if self.has_stale_claim(set, ordinal) {
            return Ok(());
        }
        let revision = if rules.keeps_current(ordinal) {
            &revisions.current
        } else {
            &revisions.update
        };
        let template = history::template_of(revision)
            .unwrap_or_else(|| set.spec.clone().unwrap_or_default().template);
        let pod = identity::pod(set, &template, &revision.name_any(), ordinal);
        let name = pod.name_any();
        if let Some(why) = self.make_claims(set, ordinal).await? {
            self.tell(set, CREATE, &name, Some(&why));
            return Ok(());
        }
        let created = self.pod_api(set).create(&PostParams::default(), &pod).await;
        match created {
            Ok(_) => self.tell(set, CREATE, &name, None),
            // It is there already and the cache will show it.
            Err(error) if is_conflict(&error) => return Err(error),
            Err(error) => {
                self.tell(set, CREATE, &name, Some(&message(&error)));
                return Err(error);
            }
        }
        Ok(())
    }

    async fn delete(&self, set: &StatefulSet, rules: &Rules, pod: &Pod) -> Result<(), kube::Error> {
        let name = pod.name_any();
        if let Some(ordinal) = identity::ordinal(&set.name_any(), &name) {
            let surplus = !(rules.start..rules.start + rules.replicas).contains(&ordinal);
            self.own_claims(set, pod, ordinal, surplus).await?;
        }
        let params = DeleteParams::default().preconditions(Preconditions {
            uid: pod.uid(),
            resource_version: None,
        });
        match self.pod_api(set).delete(&name, &params).await {
            Err(error) if !is_not_found(&error) => {
                self.tell(set, DELETE, &name, Some(&message(&error)));
                Err(error)
            }
            _ => {
                self.tell(set, DELETE, &name, None);
                Ok(())
            }
        }
    }

    /// Gives pods back what makes them members of the set.
    pub(super) async fn repair(
        &self,
        set: &StatefulSet,
        pods: &[(i32, &Arc<Pod>)],
    ) -> Result<(), kube::Error> {
        for (ordinal, pod) in pods {
            let Some(repaired) = identity::repaired(set, pod, *ordinal) else {
                continue;
            };
            let name = pod.name_any();
            let replaced = self
                .pod_api(set)
                .replace(&name, &PostParams::default(), &repaired)
                .await;
            match replaced {
                Ok(_) => self.tell(set, UPDATE, &name, None),
                Err(error) if is_conflict(&error) => return Err(error),
                Err(error) => {
                    self.tell(set, UPDATE, &name, Some(&message(&error)));
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// Makes claims that went missing under a pending pod and keeps their owners.
    pub(super) async fn keep_claims(
        &self,
        set: &StatefulSet,
        rules: &Rules,
        by_ordinal: &BTreeMap<i32, Arc<Pod>>,
    ) -> Result<(), kube::Error> {
        let templates = set
            .spec
            .as_ref()
            .and_then(|spec| spec.volume_claim_templates.as_ref());
        if templates.is_none_or(Vec::is_empty) {
            return Ok(());
        }
        for ordinal in rules.start..rules.start + rules.replicas {
            let Some(pod) = by_ordinal.get(&ordinal).filter(|pod| pods::is_active(pod)) else {
                continue;
            };
            if pods::phase(pod) == "Pending" {
                self.make_claims(set, ordinal).await?;
            }
            if self.own_claims(set, pod, ordinal, false).await? {
                self.tell(set, UPDATE, &pod.name_any(), None);
            }
        }
        Ok(())
    }
}

fn worded(verb: &str, pod: &str, set: &str, failure: Option<&str>) -> (Severity, String, String) {
    let what = format!("{verb} Pod {pod} in StatefulSet {set}");
    match failure {
        None => (
            Severity::Normal,
            format!("Successful{verb}"),
            format!("{what} successful"),
        ),
        Some(why) => (
            Severity::Warning,
            format!("Failed{verb}"),
            format!("{what} failed error: {why}"),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Upstream: pkg/controller/statefulset/stateful_pod_control.go, recordPodEvent.
    #[test]
    fn events_name_verb_pod_and_set() {
        let check = |verb: &str, failure: Option<&str>, reason: &str, text: &str| {
            let (_, got_reason, got_text) = worded(verb, "web-0", "web", failure);
            assert_eq!((got_reason.as_str(), got_text.as_str()), (reason, text));
        };
        let done = "Create Pod web-0 in StatefulSet web successful";
        check(CREATE, None, "SuccessfulCreate", done);
        let done = "Update Pod web-0 in StatefulSet web successful";
        check(UPDATE, None, "SuccessfulUpdate", done);
        let failed = "Delete Pod web-0 in StatefulSet web failed error: no";
        check(DELETE, Some("no"), "FailedDelete", failed);
    }
}
