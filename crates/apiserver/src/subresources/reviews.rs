//! Questions that are answered and forgotten: who am I, may I, what may I,
//! whose token is this.

use bytes::Bytes;
use coracle_machinery::kind::Kind;
use http::{Response, StatusCode};
use serde_json::{Map, Value, json};

use crate::authn::tokens::Refusal;
use crate::authz::{Attributes, rbac};
use crate::body::{self, Body};
use crate::context::Context;
use crate::decode;
use crate::identity::{Identity, MASTERS};
use crate::managed::{self, Writer};
use crate::options::WriteOptions;
use crate::respond;
use crate::rules;
use crate::status::{ApiError, ApiResult};
use crate::verbs::create;

/// Answers a review.
///
/// # Errors
/// 400 and 422 for a wrong question.
pub fn run(context: &Context, kind: &'static Kind, body: &Bytes) -> ApiResult<Response<Body>> {
    let options = WriteOptions::read(&context.query, "CreateOptions")?;
    let content_type = body::content_type(&context.headers);
    let mut review = decode::object(context, kind, &content_type, body, options.field_validation)?;
    rules::default(kind, &mut review);
    let manager = context.field_manager();
    managed::update(
        kind,
        &Value::Null,
        &mut review,
        &Writer {
            manager: &manager,
            subresource: "",
        },
    );
    if kind.namespaced {
        create::check_namespace(context, kind, &mut review)?;
    }
    let causes = rules::validate_review(kind, &review);
    if !causes.is_empty() {
        // Upstream has forgotten the kind by now.
        return Err(ApiError::invalid(kind.group, "", "", causes));
    }
    match kind.kind {
        "SelfSubjectReview" => {
            let now = coracle_machinery::time::seconds(jiff::Timestamp::now());
            review["metadata"] = json!({"creationTimestamp": now});
            review["status"] = json!({"userInfo": user_info(&context.user)});
        }
        "TokenReview" => review["status"] = token(context, &review)?,
        "SelfSubjectRulesReview" => {
            let status = all_rules(context, &review)?;
            review["metadata"] = json!({});
            review["spec"] = json!({});
            review["status"] = status;
        }
        "SelfSubjectAccessReview" => review["status"] = access(context, &review, &context.user),
        "SubjectAccessReview" | "LocalSubjectAccessReview" => {
            let subject = subject(&review["spec"]);
            review["status"] = access(context, &review, &subject);
        }
        _ => return Err(ApiError::method_not_allowed()),
    }
    rules::canonicalize(kind, &mut review);
    // Reviews have no table of their own; they are answered as they are.
    Ok(respond::json(StatusCode::CREATED, &review))
}

fn user_info(user: &Identity) -> Value {
    let mut info = Map::new();
    info.insert("username".to_owned(), json!(user.user));
    if !user.uid.is_empty() {
        info.insert("uid".to_owned(), json!(user.uid));
    }
    info.insert("groups".to_owned(), json!(user.groups));
    if !user.extra.is_empty() {
        info.insert("extra".to_owned(), json!(user.extra));
    }
    Value::Object(info)
}

fn token(context: &Context, review: &Value) -> ApiResult<Value> {
    let token = review["spec"]["token"].as_str().unwrap_or_default();
    if token.is_empty() {
        return Err(ApiError::bad_request(
            "token is required for TokenReview in authentication",
        ));
    }
    let audiences: Vec<String> = review["spec"]["audiences"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|audience| audience.as_str().map(str::to_owned))
        .collect();
    let outcome = context
        .core
        .tokens
        .authenticate(&context.core.store, token, &audiences);
    Ok(match outcome {
        Ok((identity, audiences)) => {
            json!({"authenticated": true, "user": user_info(&identity), "audiences": audiences})
        }
        Err(error @ (Refusal::Invalid | Refusal::Audience { .. })) => {
            json!({"user": {}, "error": error.to_string()})
        }
    })
}

/// The user of a `SubjectAccessReview`.
fn subject(spec: &Value) -> Identity {
    let groups = spec["groups"].as_array().into_iter().flatten();
    let groups = groups.filter_map(|group| group.as_str().map(str::to_owned));
    Identity {
        user: spec["user"].as_str().unwrap_or_default().to_owned(),
        groups: groups.collect(),
        ..Identity::default()
    }
}

fn access(context: &Context, review: &Value, user: &Identity) -> Value {
    let resource = &review["spec"]["resourceAttributes"];
    let path = &review["spec"]["nonResourceAttributes"];
    let text = |value: &Value, key: &str| value[key].as_str().unwrap_or_default().to_owned();
    let authorizer = &context.core.authorizer;
    let why = if user.is_in(MASTERS) {
        Some(String::new())
    } else if path.is_null() {
        let (verb, group, of) = (
            text(resource, "verb"),
            text(resource, "group"),
            text(resource, "resource"),
        );
        let (sub, namespace, name) = (
            text(resource, "subresource"),
            text(resource, "namespace"),
            text(resource, "name"),
        );
        authorizer.allows(&Attributes {
            user,
            verb: &verb,
            group: &group,
            resource: &of,
            subresource: &sub,
            namespace: &namespace,
            name: &name,
        })
    } else {
        authorizer.allows_path(user, &text(path, "verb"), &text(path, "path"))
    };
    let mut status = json!({"allowed": why.is_some()});
    if let Some(why) = why.filter(|why| !why.is_empty()) {
        status["reason"] = json!(why);
    }
    status
}

fn all_rules(context: &Context, review: &Value) -> ApiResult<Value> {
    let namespace = review["spec"]["namespace"].as_str().unwrap_or_default();
    if namespace.is_empty() {
        return Err(ApiError::bad_request("no namespace on request"));
    }
    let mut resource_rules = Vec::new();
    let mut path_rules = Vec::new();
    let mut add = |rule: &rbac::Rule| {
        if rule.urls.is_empty() {
            let mut value =
                json!({"verbs": rule.verbs, "apiGroups": rule.groups, "resources": rule.resources});
            if !rule.names.is_empty() {
                value["resourceNames"] = json!(rule.names);
            }
            resource_rules.push(value);
        } else {
            path_rules.push(json!({"verbs": rule.verbs, "nonResourceURLs": rule.urls}));
        }
    };
    for (_, rules) in context.core.authorizer.grants(&context.user, namespace) {
        rules.iter().for_each(&mut add);
    }
    Ok(
        json!({"resourceRules": resource_rules, "nonResourceRules": path_rules, "incomplete": false}),
    )
}

/// Answers the old `componentstatuses`: there are no separate components.
///
/// # Errors
/// 404 for any name.
pub fn component_statuses(context: &Context, kind: &'static Kind) -> ApiResult<Response<Body>> {
    if context.path.name.is_some() {
        return Err(ApiError::not_found(kind, context.name()));
    }
    let meta = respond::ListMeta::default();
    respond::list(context, kind, &meta, Vec::new())
}
