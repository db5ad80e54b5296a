//! Who owns whom: every object by uid, and its dependents.

use std::collections::{BTreeSet, HashMap, HashSet};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};

/// What garbage collection knows of an object.
#[derive(Debug, Clone)]
pub struct Node {
    /// Index of its resource.
    pub resource: usize,
    /// Its namespace, if it has one.
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
    /// Its version when it was last seen.
    pub resource_version: Option<String>,
    /// Its owners.
    pub owners: Vec<OwnerReference>,
    /// Its finalizers.
    pub finalizers: Vec<String>,
    /// Whether it is being deleted.
    pub deleting: bool,
}

impl Node {
    /// Returns an object's uid and what is kept of it.
    pub fn of(resource: usize, meta: &ObjectMeta) -> Option<(String, Node)> {
        let node = Node {
            resource,
            namespace: meta.namespace.clone(),
            name: meta.name.clone()?,
            resource_version: meta.resource_version.clone(),
            owners: meta.owner_references.clone().unwrap_or_default(),
            finalizers: meta.finalizers.clone().unwrap_or_default(),
            deleting: meta.deletion_timestamp.is_some(),
        };
        Some((meta.uid.clone()?, node))
    }

    /// Returns whether the object has this finalizer.
    pub fn has_finalizer(&self, finalizer: &str) -> bool {
        self.finalizers.iter().any(|have| have == finalizer)
    }
}

/// All objects by uid.
#[derive(Debug, Default)]
pub struct Graph {
    nodes: HashMap<String, Node>,
    dependents: HashMap<String, BTreeSet<String>>,
}

impl Graph {
    /// Returns the object with this uid.
    pub fn get(&self, uid: &str) -> Option<&Node> {
        self.nodes.get(uid)
    }

    /// Adds or replaces an object.
    pub fn put(&mut self, uid: String, node: Node) {
        self.remove(&uid);
        for owner in &node.owners {
            self.dependents
                .entry(owner.uid.clone())
                .or_default()
                .insert(uid.clone());
        }
        self.nodes.insert(uid, node);
    }

    /// Removes an object and returns it.
    pub fn remove(&mut self, uid: &str) -> Option<Node> {
        let node = self.nodes.remove(uid)?;
        for owner in &node.owners {
            if let Some(dependents) = self.dependents.get_mut(&owner.uid) {
                dependents.remove(uid);
                if dependents.is_empty() {
                    self.dependents.remove(&owner.uid);
                }
            }
        }
        Some(node)
    }

    /// Returns the uids of the objects that name `uid` as an owner.
    pub fn dependents(&self, uid: &str) -> Vec<String> {
        self.dependents
            .get(uid)
            .into_iter()
            .flatten()
            .cloned()
            .collect()
    }

    /// Returns the objects that name an owner which is not known.
    pub fn that_miss_an_owner(&self) -> Vec<String> {
        let misses = |node: &Node| {
            let mut owners = node.owners.iter();
            owners.any(|owner| !self.nodes.contains_key(&owner.uid))
        };
        let missing = self.nodes.iter().filter(|(_, node)| misses(node));
        missing.map(|(uid, _)| uid.clone()).collect()
    }

    /// Returns the objects of a resource that are not among `listed`.
    pub fn missing(&self, resource: usize, listed: &[String]) -> Vec<String> {
        let listed: HashSet<&String> = listed.iter().collect();
        let missing = self
            .nodes
            .iter()
            .filter(|(uid, node)| node.resource == resource && !listed.contains(uid));
        missing.map(|(uid, _)| uid.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owned_by(owners: &[&str]) -> Node {
        let owners = owners.iter().map(|uid| OwnerReference {
            uid: (*uid).into(),
            ..Default::default()
        });
        let meta = ObjectMeta {
            name: Some("name".into()),
            uid: Some("uid".into()),
            owner_references: Some(owners.collect()),
            ..Default::default()
        };
        Node::of(0, &meta).expect("it has a name").1
    }

    #[test]
    fn dependents_follow_changes_of_owners() {
        let mut graph = Graph::default();
        graph.put("pod".into(), owned_by(&["set", "other"]));
        assert_eq!(graph.dependents("set"), ["pod"]);
        graph.put("pod".into(), owned_by(&["other"]));
        assert_eq!(graph.dependents("set"), [""; 0]);
        assert_eq!(graph.that_miss_an_owner(), ["pod"]);
        graph.put("other".into(), owned_by(&[]));
        assert_eq!(graph.that_miss_an_owner(), [""; 0]);
        graph.remove("pod");
        assert_eq!(graph.dependents("other"), [""; 0]);
    }

    #[test]
    fn what_a_new_list_lacks_is_missing() {
        let mut graph = Graph::default();
        graph.put("a".into(), owned_by(&[]));
        graph.put("b".into(), owned_by(&[]));
        assert_eq!(graph.missing(0, &["a".into()]), ["b"]);
        assert_eq!(graph.missing(1, &[]), [""; 0]);
    }
}
