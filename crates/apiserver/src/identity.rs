//! Who makes a request: [`Identity`]. How it is proven is told in `authn/`.

use std::collections::BTreeMap;

/// Everyone who has proven who they are.
pub const AUTHENTICATED: &str = "system:authenticated";
/// Everyone who has not.
pub const UNAUTHENTICATED: &str = "system:unauthenticated";
/// The group that may do everything.
pub const MASTERS: &str = "system:masters";

/// A user as authentication found it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Identity {
    /// User name.
    pub user: String,
    /// Unique id; empty where the proof has none.
    pub uid: String,
    /// Groups.
    pub groups: Vec<String>,
    /// Further facts, such as the pod a token is bound to.
    pub extra: BTreeMap<String, Vec<String>>,
}

impl Identity {
    /// An authenticated user with groups.
    #[must_use]
    pub fn new(user: &str, groups: &[&str]) -> Identity {
        let mut groups: Vec<String> = groups.iter().map(|&group| group.to_owned()).collect();
        if !groups.iter().any(|group| group == AUTHENTICATED) {
            groups.push(AUTHENTICATED.to_owned());
        }
        Identity {
            user: user.to_owned(),
            groups,
            ..Identity::default()
        }
    }

    /// The administrator of the cluster.
    #[must_use]
    pub fn admin() -> Identity {
        Identity::new("kubernetes-admin", &[MASTERS])
    }

    /// A service account.
    #[must_use]
    pub fn service_account(namespace: &str, name: &str) -> Identity {
        let of_namespace = format!("system:serviceaccounts:{namespace}");
        let user = format!("system:serviceaccount:{namespace}:{name}");
        Identity::new(&user, &["system:serviceaccounts", &of_namespace])
    }

    /// A controller, by upstream's name for it, such as `deployment-controller`.
    #[must_use]
    pub fn controller(name: &str) -> Identity {
        Identity::service_account("kube-system", name)
    }

    /// The agent of a node.
    #[must_use]
    pub fn node(name: &str) -> Identity {
        Identity::new(&format!("system:node:{name}"), &["system:nodes"])
    }

    /// Nobody in particular.
    #[must_use]
    pub fn anonymous() -> Identity {
        Identity {
            user: "system:anonymous".to_owned(),
            groups: vec![UNAUTHENTICATED.to_owned()],
            ..Identity::default()
        }
    }

    /// Whether the user belongs to a group.
    #[must_use]
    pub fn is_in(&self, group: &str) -> bool {
        self.groups.iter().any(|of| of == group)
    }
}
