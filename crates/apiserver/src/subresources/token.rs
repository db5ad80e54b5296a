//! `serviceaccounts/token`: signs a token (TokenRequest).

use bytes::Bytes;
use coracle_machinery::kind::Kind;
use http::{Response, StatusCode};
use serde_json::{Value, json};

use crate::authn::tokens::Claims;
use crate::body::{self, Body};
use crate::context::Context;
use crate::decode;
use crate::managed::{self, Writer};
use crate::options::{WriteOptions, cause};
use crate::resource;
use crate::respond;
use crate::rules;
use crate::status::{ApiError, ApiResult, Details};
use crate::verbs::get;

const SECONDS_DEFAULT: i64 = 3600;
const SECONDS_MIN: i64 = 600;
const SECONDS_MAX: i64 = 1 << 32;

/// Signs a token for the account of the path.
///
/// # Errors
/// 404 without the account, 422 for a wrong request.
pub async fn run(
    context: &Context,
    kind: &'static Kind,
    body: &Bytes,
) -> ApiResult<Response<Body>> {
    let options = WriteOptions::read(&context.query, "CreateOptions")?;
    let requests = token_request_kind();
    let content_type = body::content_type(&context.headers);
    let mut request = decode::object(
        context,
        requests,
        &content_type,
        body,
        options.field_validation,
    )?;
    crate::verbs::create::check_namespace(context, requests, &mut request)?;
    let given = request["metadata"]["name"].as_str().unwrap_or_default();
    if !given.is_empty() && given != context.name() {
        let message =
            format!("Invalid value: {given:?}: must match the service account name if specified");
        let reason = "FieldValueInvalid";
        return Err(ApiError::invalid_field(
            requests,
            context.name(),
            reason,
            "metadata.name",
            message,
        ));
    }
    if request["spec"]["expirationSeconds"].is_null() {
        request["spec"]["expirationSeconds"] = json!(SECONDS_DEFAULT);
    }
    let manager = context.field_manager();
    managed::update(
        requests,
        &Value::Null,
        &mut request,
        &Writer {
            manager: &manager,
            subresource: "token",
        },
    );
    let account = get::find(context, kind, context.namespace(), context.name())?;
    check(context, requests, &request)?;
    let mut claims = Claims {
        namespace: context.namespace().to_owned(),
        account: context.name().to_owned(),
        account_uid: account.meta.uid.clone(),
        seconds: request["spec"]["expirationSeconds"]
            .as_i64()
            .unwrap_or(SECONDS_DEFAULT),
        ..Claims::default()
    };
    let audiences = request["spec"]["audiences"]
        .as_array()
        .filter(|list| !list.is_empty());
    claims.audiences = match audiences {
        Some(list) => list
            .iter()
            .filter_map(|audience| audience.as_str().map(str::to_owned))
            .collect(),
        None => vec![context.core.tokens.issuer().to_owned()],
    };
    request["spec"]["audiences"] = json!(claims.audiences);
    bind(context, &request, &mut claims)?;
    let (token, expires) = context
        .core
        .tokens
        .sign(&claims)
        .ok_or_else(|| ApiError::internal("failed to sign the token"))?;
    let metadata = &mut request["metadata"];
    metadata["name"] = json!(context.name());
    metadata["namespace"] = json!(context.namespace());
    metadata["uid"] = json!(account.meta.uid);
    metadata["creationTimestamp"] = json!(coracle_machinery::time::seconds(jiff::Timestamp::now()));
    request["status"] =
        json!({"token": token, "expirationTimestamp": coracle_machinery::time::seconds(expires)});
    rules::canonicalize(requests, &mut request);
    if request["spec"].get("boundObjectRef").is_none() {
        request["spec"]["boundObjectRef"] = Value::Null;
    }
    respond::value(context, requests, StatusCode::CREATED, &request)
}

fn token_request_kind() -> &'static Kind {
    static KIND: std::sync::OnceLock<Kind> = std::sync::OnceLock::new();
    KIND.get_or_init(|| Kind {
        group: "authentication.k8s.io",
        version: "v1",
        kind: "TokenRequest",
        plural: "tokenrequests",
        singular: "tokenrequest",
        short_names: &[],
        categories: &[],
        namespaced: true,
        verbs: &[],
        subresources: &[],
        scale: None,
        selectable: &[],
        generation: &[],
        stored_as: None,
        deprecated: None,
        custom: None,
        package: "io.k8s.api.authentication",
    })
}

fn check(context: &Context, kind: &Kind, request: &Value) -> ApiResult<()> {
    let seconds = request["spec"]["expirationSeconds"]
        .as_i64()
        .unwrap_or(SECONDS_DEFAULT);
    let why = if seconds < SECONDS_MIN {
        "may not specify a duration less than 10 minutes"
    } else if seconds > SECONDS_MAX {
        "may not specify a duration larger than 2^32 seconds"
    } else {
        return Ok(());
    };
    let message = format!("Invalid value: {seconds}: {why}");
    let causes = vec![cause(
        "FieldValueInvalid",
        "spec.expirationSeconds",
        message,
    )];
    let _ = context;
    Err(ApiError::invalid(kind.group, kind.kind, "", causes))
}

/// Binds the token to the life of another object.
fn bind(context: &Context, request: &Value, claims: &mut Claims) -> ApiResult<()> {
    let reference = &request["spec"]["boundObjectRef"];
    if reference.is_null() {
        return Ok(());
    }
    let text = |key: &str| reference[key].as_str().unwrap_or_default();
    let plural = match (text("apiVersion"), text("kind")) {
        ("v1", "Pod") => "pods",
        ("v1", "Secret") => "secrets",
        ("v1", "Node") => "nodes",
        (version, kind) => {
            let (group, version) = version.split_once('/').unwrap_or(("", version));
            return Err(ApiError::bad_request(format!(
                "cannot bind token to object of type {group}/{version}, Kind={kind}"
            )));
        }
    };
    let name = text("name");
    let kind = resource::builtin("", plural);
    let object = get::find(context, kind, context.namespace(), name)?;
    let uid = text("uid");
    if !uid.is_empty() && uid != object.meta.uid {
        let message = format!(
            "Operation cannot be fulfilled on {} {name:?}: the UID in the bound object reference ({uid}) does not match the UID in record. The object might have been deleted and then recreated",
            kind.kind
        );
        let details = Details {
            name: name.to_owned(),
            kind: kind.kind.to_owned(),
            ..Details::default()
        };
        return Err(ApiError::new(409, "Conflict", message).with(details));
    }
    if plural == "pods" {
        let pod = object.to_plain_value();
        let account = pod["spec"]["serviceAccountName"]
            .as_str()
            .unwrap_or_default();
        if account != claims.account {
            return Err(ApiError::bad_request(format!(
                "cannot bind token for serviceaccount {:?} to pod running with different serviceaccount name.",
                claims.account
            )));
        }
        if let Some(node) = pod["spec"]["nodeName"]
            .as_str()
            .filter(|node| !node.is_empty())
        {
            let nodes = resource::builtin("", "nodes");
            let uid = get::find(context, nodes, "", node)
                .map(|node| node.meta.uid.clone())
                .unwrap_or_default();
            claims.node = Some((node.to_owned(), uid));
        }
    }
    claims.bound = Some((
        kind.singular.to_owned(),
        name.to_owned(),
        object.meta.uid.clone(),
    ));
    Ok(())
}
