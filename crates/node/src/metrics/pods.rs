//! This node's pods as the metrics API sees them.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::Pod;

use crate::kubelet::Kubelet;
use crate::worker::Handle;

/// One of this node's pods.
pub struct Mine {
    /// The pod as the API last told it.
    pub pod: Arc<Pod>,
    /// Its uid.
    pub uid: String,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// The way to its worker.
    pub handle: Handle,
}

impl Mine {
    /// Returns its labels.
    pub fn labels(&self) -> BTreeMap<String, String> {
        self.pod.metadata.labels.clone().unwrap_or_default()
    }
}

/// Returns the pods of a namespace, or all, by namespace and name.
pub fn of(kubelet: &Kubelet, namespace: Option<&str>) -> Vec<Mine> {
    let mut pods: Vec<Mine> = kubelet
        .workers
        .read()
        .iter()
        .filter(|(_, (of, ..))| namespace.is_none_or(|namespace| namespace == of))
        .filter_map(|(uid, (namespace, name, handle))| {
            let pod = kubelet.shared.pods.get(namespace, name)?;
            // A pod of the same name may have taken its place meanwhile.
            (pod.metadata.uid.as_ref() == Some(uid)).then(|| Mine {
                pod,
                uid: uid.clone(),
                namespace: namespace.clone(),
                name: name.clone(),
                handle: handle.clone(),
            })
        })
        .collect();
    pods.sort_by(|left, right| (&left.namespace, &left.name).cmp(&(&right.namespace, &right.name)));
    pods
}
