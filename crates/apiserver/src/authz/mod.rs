//! Whether a user may: role-based access control over what is stored
//! ([`Authorizer`]), with upstream's words for a refusal.

pub mod rbac;

use coracle_store::Store;

use crate::identity::{Identity, MASTERS};
use crate::object::Stored;
use crate::request::ResourcePath;
use crate::server::Core;
use crate::status::{ApiError, ApiResult, Details};

pub use rbac::Authorizer;

/// A question about a resource.
#[derive(Debug, Clone, Copy)]
pub struct Attributes<'a> {
    /// Who.
    pub user: &'a Identity,
    /// Does what.
    pub verb: &'a str,
    /// In which API group.
    pub group: &'a str,
    /// To which resource.
    pub resource: &'a str,
    /// And subresource; empty for none.
    pub subresource: &'a str,
    /// In which namespace; empty for all, or for resources without one.
    pub namespace: &'a str,
    /// To which object; empty for any.
    pub name: &'a str,
}

impl<'a> Attributes<'a> {
    /// Reads them off a request.
    pub fn of(
        user: &'a Identity,
        path: &'a ResourcePath,
        verb: &'a str,
        selected: Option<&'a str>,
    ) -> Attributes<'a> {
        Attributes {
            user,
            verb,
            group: &path.group,
            resource: &path.resource,
            subresource: path.subresource.as_deref().unwrap_or_default(),
            namespace: path.namespace.as_deref().unwrap_or_default(),
            name: path.name.as_deref().or(selected).unwrap_or_default(),
        }
    }
}

impl Authorizer {
    /// Starts from what is stored and follows it.
    pub fn new(store: &Store<Stored>) -> Authorizer {
        Authorizer::following(store)
    }
}

/// Refuses what the user may not.
///
/// # Errors
/// 403, in upstream's words.
pub fn require(core: &Core, attributes: &Attributes<'_>) -> ApiResult<()> {
    if attributes.user.is_in(MASTERS) || core.authorizer.allows_at_all(attributes) {
        return Ok(());
    }
    let Attributes {
        user,
        verb,
        group,
        resource,
        subresource,
        namespace,
        name,
    } = attributes;
    let full = if subresource.is_empty() {
        (*resource).to_owned()
    } else {
        format!("{resource}/{subresource}")
    };
    let qualified = if group.is_empty() {
        (*resource).to_owned()
    } else {
        format!("{resource}.{group}")
    };
    let place = match *namespace {
        "" => "at the cluster scope".to_owned(),
        _ if *resource == "namespaces" && name.is_empty() => "at the cluster scope".to_owned(),
        namespace => format!("in the namespace {namespace:?}"),
    };
    let object = if name.is_empty() {
        String::new()
    } else {
        format!(" {name:?}")
    };
    let message = format!(
        "{qualified}{object} is forbidden: User {:?} cannot {verb} resource {full:?} in API group {group:?} {place}",
        user.user
    );
    Err(ApiError::new(403, "Forbidden", message).with(Details {
        name: (*name).to_owned(),
        group: (*group).to_owned(),
        kind: (*resource).to_owned(),
        ..Details::default()
    }))
}

/// Refuses a path that is no resource, where the user may not.
///
/// # Errors
/// 403, in upstream's words.
pub fn require_path(core: &Core, user: &Identity, method: &str, path: &str) -> ApiResult<()> {
    let verb = method.to_ascii_lowercase();
    if user.is_in(MASTERS) || core.authorizer.allows_path(user, &verb, path).is_some() {
        return Ok(());
    }
    let message = format!(
        "forbidden: User {:?} cannot {verb} path {path:?}",
        user.user
    );
    Err(ApiError::new(403, "Forbidden", message).with(Details::default()))
}
