//! Revisions: every template a deployment had has a number; the history is the
//! old sets that keep it (upstream: deployment/util/deployment_util.go).

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use kube::ResourceExt;
use kube::api::PostParams;

use super::{Controller, Sets, replicas, scaling};

/// Annotation with the number of a revision.
pub const REVISION: &str = "deployment.kubernetes.io/revision";
/// Annotation with the earlier numbers of a revision that came back.
const HISTORY: &str = "deployment.kubernetes.io/revision-history";

/// Annotations of a deployment that its sets do not take over.
const OWN: [&str; 6] = [
    "kubectl.kubernetes.io/last-applied-configuration",
    REVISION,
    HISTORY,
    scaling::DESIRED,
    scaling::MAX,
    "deprecated.deployment.rollback.to",
];

/// Returns the number of a set, 0 if it has none.
pub fn of(set: &ReplicaSet) -> i64 {
    set.annotations()
        .get(REVISION)
        .and_then(|number| number.parse().ok())
        .unwrap_or(0)
}

/// Returns the number that a new template gets: one more than any old one's.
pub fn next(sets: &Sets) -> i64 {
    sets.old.iter().map(of).max().unwrap_or(0) + 1
}

/// Gives a set its number; an earlier number goes into its history.
pub fn set(set: &mut ReplicaSet, revision: i64) {
    let old = of(set);
    if old >= revision {
        return;
    }
    let annotations = set.annotations_mut();
    annotations.insert(REVISION.into(), revision.to_string());
    if old > 0 {
        let history = annotations.entry(HISTORY.into()).or_default();
        if !history.is_empty() {
            history.push(',');
        }
        history.push_str(&old.to_string());
    }
}

/// Copies the deployment's annotations to a set, but those of its own.
pub fn copy_annotations(set: &mut ReplicaSet, deployment: &Deployment) {
    for (key, value) in deployment.annotations() {
        if !OWN.contains(&key.as_str()) {
            set.annotations_mut().insert(key.clone(), value.clone());
        }
    }
}

/// Returns the old, empty sets that the history limit does not cover, oldest first.
pub fn beyond_history<'a>(deployment: &Deployment, old: &'a [ReplicaSet]) -> Vec<&'a ReplicaSet> {
    let limit = deployment
        .spec
        .as_ref()
        .and_then(|spec| spec.revision_history_limit)
        .unwrap_or(10);
    let mut empty: Vec<&ReplicaSet> = old
        .iter()
        .filter(|set| set.metadata.deletion_timestamp.is_none())
        .collect();
    let surplus = empty
        .len()
        .saturating_sub(usize::try_from(limit).unwrap_or(usize::MAX));
    empty.sort_by_key(|set| of(set));
    empty.truncate(surplus);
    empty.retain(|set| {
        let status = set.status.clone().unwrap_or_default();
        replicas(set) == 0
            && status.replicas == 0
            && status.observed_generation >= set.metadata.generation
    });
    empty
}

impl Controller {
    /// Brings number, annotations and minReadySeconds of the new set up to date.
    pub(super) async fn number(
        &self,
        deployment: &Deployment,
        sets: &mut Sets,
    ) -> Result<(), kube::Error> {
        let revision = next(sets);
        let Some(new) = &mut sets.new else {
            return Ok(());
        };
        let mut changed = new.clone();
        copy_annotations(&mut changed, deployment);
        set(&mut changed, revision);
        let seconds = deployment
            .spec
            .as_ref()
            .and_then(|spec| spec.min_ready_seconds);
        if let Some(spec) = &mut changed.spec {
            spec.min_ready_seconds = seconds;
        }
        if changed != *new {
            let api = self.set_api(deployment);
            *new = api
                .replace(&changed.name_any(), &PostParams::default(), &changed)
                .await?;
        }
        Ok(())
    }
}

/// Notes the number of the present revision on a deployment.
pub fn note(deployment: &mut Deployment, new: &ReplicaSet) {
    let number = of(new).to_string();
    deployment.annotations_mut().insert(REVISION.into(), number);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn numbered(number: i64, count: i32) -> ReplicaSet {
        serde_json::from_value(json!({
            "metadata": {"name": format!("web-{number}"), "annotations": {REVISION: number.to_string()}},
            "spec": {"replicas": count, "selector": {}},
            "status": {"replicas": count},
        }))
        .expect("a replica set")
    }

    #[test]
    fn a_revision_that_comes_back_remembers_its_earlier_numbers() {
        let mut web = numbered(1, 0);
        set(&mut web, 3);
        set(&mut web, 5);
        assert_eq!(of(&web), 5);
        assert_eq!(web.annotations()[HISTORY], "1,3");
        set(&mut web, 4);
        assert_eq!(of(&web), 5);
    }

    #[test]
    fn the_history_keeps_the_newest_sets_and_all_that_have_pods() {
        let deployment: Deployment = serde_json::from_value(json!({
            "metadata": {"name": "web"},
            "spec": {"revisionHistoryLimit": 1, "selector": {}, "template": {}},
        }))
        .expect("a deployment");
        let old = [numbered(3, 0), numbered(1, 2), numbered(2, 0)];
        let names: Vec<String> = beyond_history(&deployment, &old)
            .iter()
            .map(|set| set.name_any())
            .collect();
        assert_eq!(names, ["web-2"]);
    }
}
