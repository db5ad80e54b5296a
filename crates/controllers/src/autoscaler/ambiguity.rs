//! Whether several autoscalers select the same pods, which none of them then
//! scales (upstream: podautoscaler/horizontal.go, hpasControllingPodsUnderSelector).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use coracle_client::Key;
use coracle_machinery::selector::LabelSelector;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;

use super::{Controller, Found};

/// The selectors of all autoscalers' targets.
#[derive(Default)]
pub struct Selectors(BTreeMap<Key, LabelSelector>);

impl Selectors {
    /// Notes what an autoscaler's target selects.
    pub fn note(&mut self, key: &Key, selector: LabelSelector) {
        self.0.insert(key.clone(), selector);
    }

    /// Forgets an autoscaler that is gone.
    pub fn forget(&mut self, key: &Key) {
        self.0.remove(key);
    }

    /// Returns the autoscalers that select any of the pods, if they are several,
    /// as upstream prints them.
    pub fn rivals(&self, pods: &[Arc<Pod>]) -> Option<String> {
        let selects = |key: &Key, selector: &LabelSelector, pod: &Pod| {
            pod.metadata.namespace.as_ref() == Some(&key.namespace)
                && selector.matches(pod.labels())
        };
        let of_pod = |pod: &Arc<Pod>| {
            let selecting = self.0.iter().filter(|(key, one)| selects(key, one, pod));
            selecting
                .map(|(key, _)| key.to_string())
                .collect::<Vec<_>>()
        };
        let all: BTreeSet<String> = pods.iter().flat_map(of_pod).collect();
        let names: Vec<String> = all.into_iter().collect();
        (names.len() > 1).then(|| format!("[{}]", names.join(" ")))
    }
}

/// What is wrong with a target's selector: an event and a condition.
pub struct Misfit {
    /// The reason of the event.
    pub event: &'static str,
    /// The reason of the condition.
    pub condition: &'static str,
    /// The text of the event.
    pub text: String,
    /// The message of the condition.
    pub message: String,
}

impl Controller {
    /// Notes what the target selects, and checks that nobody else scales it
    /// (upstream: validateAndParseSelector).
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub(super) fn check_selector(&self, key: &Key, found: &Found) -> Result<(), Misfit> {
        if found.selector.is_empty() {
            return Err(Misfit {
                event: "SelectorRequired",
                condition: "InvalidSelector",
                text: "selector is required".into(),
                message: "the HPA target's scale is missing a selector".into(),
            });
        }
        let alike = |reason, text: String| Misfit {
            event: reason,
            condition: reason,
            message: text.clone(),
            text,
        };
        let parsed = LabelSelector::parse(&found.selector).map_err(|error| {
            let what = "couldn't convert selector into a corresponding internal selector object";
            alike("InvalidSelector", format!("{what}: {error}"))
        })?;
        let mut selectors = self.selectors.lock();
        selectors.note(key, parsed);
        let pods = self.pods_of(&key.namespace, &found.selector);
        match selectors.rivals(&pods) {
            None => Ok(()),
            Some(rivals) => Err(alike(
                "AmbiguousSelector",
                format!(
                    "pods by selector {} are controlled by multiple HPAs: {rivals}",
                    found.selector
                ),
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Upstream: horizontal_test.go, TestMultipleHPAs; the text as users have shown it.
    #[test]
    fn autoscalers_of_the_same_pods_are_named() {
        let mut selectors = Selectors::default();
        let mut note = |namespace: &str, name: &str, selector: &str| {
            let selector = LabelSelector::parse(selector).expect("a selector");
            selectors.note(&Key::new(namespace, name), selector);
        };
        note("default", "hpa-mem-demo", "app=web");
        note("default", "hpa-demo", "app=web");
        note("default", "narrow", "app=db,track=canary");
        note("other", "hpa-demo", "app=web");
        let pod = |app: &str, track: &str| -> Arc<Pod> {
            let labels = json!({"app": app, "track": track});
            let pod = json!({"metadata": {"name": "p", "namespace": "default", "labels": labels}});
            Arc::new(serde_json::from_value(pod).expect("a pod"))
        };
        let check = |pods: &[Arc<Pod>], expected: Option<&str>| {
            assert_eq!(selectors.rivals(pods).as_deref(), expected);
        };
        let both = "[default/hpa-demo default/hpa-mem-demo]";
        check(&[], None);
        check(&[pod("web", "stable")], Some(both));
        check(&[pod("db", "canary")], None);
        check(&[pod("db", "stable"), pod("web", "stable")], Some(both));
        selectors.forget(&Key::new("default", "hpa-demo"));
        let check = |pods: &[Arc<Pod>]| assert_eq!(selectors.rivals(pods), None);
        check(&[pod("web", "stable")]);
    }
}
