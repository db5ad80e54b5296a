//! Who makes a request: the transport's proof (in-process identity or client
//! certificate), a bearer token, or nobody; then impersonation.

pub mod certificate;
pub mod tokens;

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::request::Parts;
use http::{HeaderMap, header};

use crate::authz::{self, Attributes};
use crate::identity::{AUTHENTICATED, Identity, UNAUTHENTICATED};
use crate::request::percent_decode;
use crate::server::Core;
use crate::status::{ApiError, ApiResult};

/// How a token is wrapped in a WebSocket protocol.
const WEBSOCKET_BEARER: &str = "base64url.bearer.authorization.k8s.io.";

/// Finds out who asks.
///
/// # Errors
/// 401 for a token that is not valid.
pub fn authenticate(core: &Core, parts: &Parts) -> ApiResult<Identity> {
    if let Some(identity) = parts.extensions.get::<Identity>() {
        return Ok(identity.clone());
    }
    match bearer(&parts.headers) {
        None => Ok(Identity::anonymous()),
        Some(token) => core
            .tokens
            .authenticate(&core.store, &token, &[])
            .map(|(identity, _)| identity)
            .map_err(|error| {
                tracing::debug!(%error, "a bearer token was refused");
                ApiError::unauthorized()
            }),
    }
}

/// The token of an `Authorization: Bearer` header (RFC 6750, section 2.1), or
/// of the WebSocket protocol that browsers use instead.
fn bearer(headers: &HeaderMap) -> Option<String> {
    let text = |name| {
        headers
            .get(name)
            .and_then(|value: &http::HeaderValue| value.to_str().ok())
    };
    if let Some(value) = text(header::AUTHORIZATION) {
        let (scheme, token) = value.trim().split_once(' ')?;
        let token = token.trim();
        return (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty())
            .then(|| token.to_owned());
    }
    let protocols = text(header::SEC_WEBSOCKET_PROTOCOL)?;
    let encoded = protocols
        .split(',')
        .find_map(|name| name.trim().strip_prefix(WEBSOCKET_BEARER))?;
    String::from_utf8(URL_SAFE_NO_PAD.decode(encoded.trim_end_matches('=')).ok()?).ok()
}

/// Lets the user act as another, where it may.
///
/// <https://kubernetes.io/docs/reference/access-authn-authz/user-impersonation/>
///
/// # Errors
/// 403 where it may not, 400 for groups without a user.
pub fn impersonate(core: &Core, user: Identity, headers: &HeaderMap) -> ApiResult<Identity> {
    let text = |name: &str| {
        headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    };
    let name = text("impersonate-user");
    let groups: Vec<String> = headers
        .get_all("impersonate-group")
        .iter()
        .filter_map(|value| value.to_str().ok().map(str::to_owned))
        .collect();
    let extra = extra(headers);
    let uid = text("impersonate-uid");
    if name.is_empty() {
        if groups.is_empty() && extra.is_empty() && uid.is_empty() {
            return Ok(user);
        }
        return Err(ApiError::new(
            500,
            "InternalError",
            "Internal error occurred: requested impersonation without a user name",
        ));
    }
    let account = name
        .strip_prefix("system:serviceaccount:")
        .and_then(|rest| rest.split_once(':'));
    let check = |group: &str, resource: &str, subresource: &str, namespace: &str, name: &str| {
        authz::require(
            core,
            &Attributes {
                user: &user,
                verb: "impersonate",
                group,
                resource,
                subresource,
                namespace,
                name,
            },
        )
    };
    match account {
        Some((namespace, account)) => check("", "serviceaccounts", "", namespace, account)?,
        None => check("", "users", "", "", name)?,
    }
    for group in &groups {
        check("", "groups", "", "", group)?;
    }
    for (key, values) in &extra {
        for value in values {
            check("authentication.k8s.io", "userextras", key, "", value)?;
        }
    }
    if !uid.is_empty() {
        check("authentication.k8s.io", "uids", "", "", uid)?;
    }
    Ok(Identity {
        user: name.to_owned(),
        uid: uid.to_owned(),
        groups: groups_of(name, account, groups),
        extra,
    })
}

fn groups_of(name: &str, account: Option<(&str, &str)>, mut groups: Vec<String>) -> Vec<String> {
    if groups.is_empty()
        && let Some((namespace, _)) = account
    {
        groups = vec![
            "system:serviceaccounts".to_owned(),
            format!("system:serviceaccounts:{namespace}"),
        ];
    }
    let base = if name == "system:anonymous" {
        UNAUTHENTICATED
    } else {
        AUTHENTICATED
    };
    if !groups
        .iter()
        .any(|group| group == AUTHENTICATED || group == UNAUTHENTICATED)
    {
        groups.push(base.to_owned());
    }
    groups
}

fn extra(headers: &HeaderMap) -> BTreeMap<String, Vec<String>> {
    let mut extra: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, value) in headers {
        if let (Some(key), Ok(value)) = (
            name.as_str().strip_prefix("impersonate-extra-"),
            value.to_str(),
        ) {
            extra
                .entry(percent_decode(key))
                .or_default()
                .push(value.to_owned());
        }
    }
    extra
}
