//! Defaults of role bindings.

use super::{Object, each, text};
use crate::default::{child_or_new, get_text};

/// The group of roles.
const GROUP: &str = "rbac.authorization.k8s.io";

/// Defaults of a `RoleBinding` or `ClusterRoleBinding`.
pub fn binding(object: &mut Object) {
    if let Some(role) = child_or_new(object, "roleRef") {
        text(role, "apiGroup", GROUP);
    }
    for subject in each(object, "subjects") {
        if matches!(get_text(subject, "kind"), "User" | "Group") {
            text(subject, "apiGroup", GROUP);
        }
    }
}
