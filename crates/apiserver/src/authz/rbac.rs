//! Role-based access control: roles and bindings compiled from the store and
//! kept in step by a watch that is read before every question, so that a
//! granted right holds for the very next request.
//!
//! <https://kubernetes.io/docs/reference/access-authn-authz/rbac/>

use std::collections::{BTreeMap, HashMap};
use std::ops::ControlFlow;
use std::sync::Arc;

use coracle_store::Store;
use parking_lot::Mutex;
use serde_json::Value;

use super::Attributes;
use crate::follow::{Change, Follower};
use crate::identity::Identity;
use crate::object::Stored;

const PREFIX: &str = "/rbac.authorization.k8s.io/";

/// One rule of a role.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rule {
    /// Verbs, or `*`.
    pub verbs: Vec<String>,
    /// API groups, or `*`.
    pub groups: Vec<String>,
    /// Resources, `resource/subresource`, `*` or `*/subresource`.
    pub resources: Vec<String>,
    /// Names; empty for all.
    pub names: Vec<String>,
    /// Paths that are no resource, `*` at the end for a prefix.
    pub urls: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Subject {
    User(String),
    Group(String),
    Account(String, String),
}

#[derive(Debug)]
struct Binding {
    name: String,
    namespace: String,
    role_kind: String,
    role: String,
    subjects: Vec<(Subject, String)>,
}

#[derive(Default)]
struct Compiled {
    /// By namespace (empty for cluster roles), then name.
    roles: HashMap<String, HashMap<String, Arc<Vec<Rule>>>>,
    /// By namespace (empty for those of the whole cluster), then name: the
    /// order in which upstream asks them.
    bindings: HashMap<String, BTreeMap<String, Binding>>,
}

struct State {
    follower: Follower,
    compiled: Compiled,
}

/// Answers who may do what.
pub struct Authorizer {
    store: Store<Stored>,
    state: Mutex<State>,
}

/// Rules that hold for a user: whether they are of the whole cluster, why, and which.
pub type Grants = Vec<(String, Arc<Vec<Rule>>)>;

impl Authorizer {
    pub(super) fn following(store: &Store<Stored>) -> Authorizer {
        Authorizer {
            store: store.clone(),
            state: Mutex::new(State {
                follower: Follower::new(PREFIX),
                compiled: Compiled::default(),
            }),
        }
    }

    /// Returns why the user may, or `None`.
    pub fn allows(&self, attributes: &Attributes<'_>) -> Option<String> {
        self.first(attributes.user, attributes.namespace, |rule| {
            rule.covers(attributes)
        })
    }

    /// Whether the user may.
    pub fn allows_at_all(&self, attributes: &Attributes<'_>) -> bool {
        let covers = |rules: &[Rule]| rules.iter().any(|rule| rule.covers(attributes));
        self.visit(
            attributes.user,
            attributes.namespace,
            |_, rules| match covers(rules) {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            },
        )
        .is_break()
    }

    /// Returns why the user may use a path that is no resource, or `None`.
    pub fn allows_path(&self, user: &Identity, verb: &str, path: &str) -> Option<String> {
        self.first(user, "", |rule| {
            has(&rule.verbs, verb) && rule.urls.iter().any(|url| url_covers(url, path))
        })
    }

    /// Returns why the first rule that covers something holds for the user.
    fn first(
        &self,
        user: &Identity,
        namespace: &str,
        covers: impl Fn(&Rule) -> bool,
    ) -> Option<String> {
        let found = self.visit(user, namespace, |why, rules| {
            match rules.iter().any(&covers) {
                true => ControlFlow::Break(why.text()),
                false => ControlFlow::Continue(()),
            }
        });
        found.break_value()
    }

    /// Returns every rule that holds for a user in a namespace (and the whole cluster).
    pub fn grants(&self, user: &Identity, namespace: &str) -> Grants {
        let mut grants = Vec::new();
        let _ = self.visit(user, namespace, |why, rules| {
            grants.push((why.text(), rules.clone()));
            ControlFlow::<()>::Continue(())
        });
        grants
    }

    /// Shows every set of rules that holds for a user in a namespace (and the
    /// whole cluster), until the visitor breaks off.
    fn visit<B>(
        &self,
        user: &Identity,
        namespace: &str,
        mut visitor: impl FnMut(Why<'_>, &Arc<Vec<Rule>>) -> ControlFlow<B>,
    ) -> ControlFlow<B> {
        let mut state = self.state.lock();
        state.follow(&self.store);
        let compiled = &state.compiled;
        let places = [Some(""), Some(namespace).filter(|name| !name.is_empty())];
        let bindings = places
            .into_iter()
            .flatten()
            .filter_map(|place| compiled.bindings.get(place))
            .flat_map(BTreeMap::values);
        for binding in bindings {
            let subjects = &binding.subjects;
            let Some((_, shown)) = subjects.iter().find(|(subject, _)| applies(subject, user))
            else {
                continue;
            };
            if let Some(rules) = compiled.rules_of(binding) {
                visitor(Why::Binding(binding, shown), rules)?;
            }
        }
        if user.is_in("system:nodes")
            && let Some(rules) = compiled.role("", "system:node")
        {
            visitor(Why::Node, rules)?;
        }
        ControlFlow::Continue(())
    }

    /// Returns the rules of a role, or `None` when there is no such role.
    pub fn role(&self, namespace: &str, name: &str) -> Option<Arc<Vec<Rule>>> {
        let mut state = self.state.lock();
        state.follow(&self.store);
        state.compiled.role(namespace, name).cloned()
    }
}

/// Why rules hold for a user.
enum Why<'a> {
    /// A binding, and the subject of it as it is shown.
    Binding(&'a Binding, &'a str),
    /// The user is a node.
    Node,
}

impl Why<'_> {
    fn text(&self) -> String {
        match self {
            Why::Binding(binding, shown) => binding.why(shown),
            Why::Node => "node".to_owned(),
        }
    }
}

impl State {
    fn follow(&mut self, store: &Store<Stored>) {
        let compiled = &mut self.compiled;
        self.follower.catch_up(store, |change| match change {
            Change::Restart => *compiled = Compiled::default(),
            Change::Is(key, object) => compiled.set(key, Some(object)),
            Change::Gone(key) => compiled.set(key, None),
        });
    }
}

impl Compiled {
    fn set(&mut self, key: &str, object: Option<&Stored>) {
        let segments: Vec<&str> = key.trim_start_matches(PREFIX).split('/').collect();
        let (plural, namespace, name) = match segments.as_slice() {
            [plural, namespace, name] => (*plural, *namespace, *name),
            [plural, name] => (*plural, "", *name),
            _ => return,
        };
        let value = object.map(Stored::to_plain_value);
        if plural.ends_with("roles") {
            let roles = self.roles.entry(namespace.to_owned()).or_default();
            match value {
                Some(value) => {
                    roles.insert(name.to_owned(), Arc::new(rules(&value["rules"])));
                }
                None => {
                    roles.remove(name);
                }
            }
        } else {
            let bindings = self.bindings.entry(namespace.to_owned()).or_default();
            match value {
                Some(value) => {
                    bindings.insert(name.to_owned(), Binding::read(namespace, name, &value));
                }
                None => {
                    bindings.remove(name);
                }
            }
        }
    }

    fn role(&self, namespace: &str, name: &str) -> Option<&Arc<Vec<Rule>>> {
        self.roles.get(namespace)?.get(name)
    }

    fn rules_of(&self, binding: &Binding) -> Option<&Arc<Vec<Rule>>> {
        let namespace = match binding.role_kind.as_str() {
            "Role" => binding.namespace.as_str(),
            _ => "",
        };
        self.role(namespace, &binding.role)
    }
}

impl Binding {
    fn read(namespace: &str, name: &str, value: &Value) -> Binding {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let subjects = value["subjects"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|subject| {
                let name = text(&subject["name"]);
                let of = text(&subject["namespace"]);
                match subject["kind"].as_str()? {
                    "User" => Some((Subject::User(name.clone()), format!("User {name:?}"))),
                    "Group" => Some((Subject::Group(name.clone()), format!("Group {name:?}"))),
                    "ServiceAccount" => {
                        let of = if of.is_empty() {
                            namespace.to_owned()
                        } else {
                            of
                        };
                        let shown = format!("ServiceAccount \"{name}/{of}\"");
                        Some((Subject::Account(of, name), shown))
                    }
                    _ => None,
                }
            });
        Binding {
            name: name.to_owned(),
            namespace: namespace.to_owned(),
            role_kind: text(&value["roleRef"]["kind"]),
            role: text(&value["roleRef"]["name"]),
            subjects: subjects.collect(),
        }
    }

    fn why(&self, subject: &str) -> String {
        let (kind, name) = if self.namespace.is_empty() {
            ("ClusterRoleBinding", self.name.clone())
        } else {
            ("RoleBinding", format!("{}/{}", self.name, self.namespace))
        };
        format!(
            "RBAC: allowed by {kind} {name:?} of {} {:?} to {subject}",
            self.role_kind, self.role
        )
    }
}

/// Reads the rules of a role.
pub fn rules(value: &Value) -> Vec<Rule> {
    value.as_array().into_iter().flatten().map(rule).collect()
}

fn rule(value: &Value) -> Rule {
    let list = |key: &str| -> Vec<String> {
        value[key]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|text| text.as_str().map(str::to_owned))
            .collect()
    };
    Rule {
        verbs: list("verbs"),
        groups: list("apiGroups"),
        resources: list("resources"),
        names: list("resourceNames"),
        urls: list("nonResourceURLs"),
    }
}

fn applies(subject: &Subject, user: &Identity) -> bool {
    match subject {
        Subject::User(name) => *name == user.user,
        Subject::Group(name) => user.is_in(name),
        Subject::Account(namespace, name) => {
            let account = user
                .user
                .strip_prefix("system:serviceaccount:")
                .and_then(|rest| rest.split_once(':'));
            account == Some((namespace, name))
        }
    }
}

fn has(list: &[String], wanted: &str) -> bool {
    list.iter().any(|one| one == "*" || one == wanted)
}

fn url_covers(url: &str, path: &str) -> bool {
    url == "*"
        || url == path
        || url
            .strip_suffix('*')
            .is_some_and(|prefix| path.starts_with(prefix))
}

impl Rule {
    fn covers(&self, attributes: &Attributes<'_>) -> bool {
        has(&self.verbs, attributes.verb)
            && has(&self.groups, attributes.group)
            && self
                .resources
                .iter()
                .any(|resource| resource_covers(resource, attributes))
            && (self.names.is_empty() || self.names.iter().any(|name| name == attributes.name))
    }
}

fn resource_covers(resource: &str, attributes: &Attributes<'_>) -> bool {
    if resource == "*" {
        return true;
    }
    match resource.split_once('/') {
        None => attributes.subresource.is_empty() && resource == attributes.resource,
        Some((of, sub)) => {
            sub == attributes.subresource && (of == "*" || of == attributes.resource)
        }
    }
}
