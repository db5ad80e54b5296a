//! LimitRanges: containers without requests and limits get the defaults of
//! their namespace, and everything stays between minimum and maximum (upstream's
//! plug-in LimitRanger).

use std::collections::BTreeMap;

use coracle_machinery::kind::Kind;
use coracle_machinery::quota::{Amounts, totals};
use serde_json::{Value, json};

use crate::context::Context;
use crate::resource;
use crate::status::{ApiError, ApiResult};

const ANNOTATION: &str = "kubernetes.io/limit-ranger";

/// Returns the limits of every LimitRange of the request's namespace.
fn ranges(context: &Context) -> Vec<Vec<Value>> {
    let kind = resource::builtin("", "limitranges");
    let prefix = resource::prefix(kind, Some(context.namespace()));
    let page = context.core.store.list(&prefix, None, usize::MAX);
    let limits = |range: Value| range["spec"]["limits"].as_array().cloned();
    page.items
        .iter()
        .filter_map(|(_, range)| limits(range.to_plain_value()))
        .collect()
}

/// Fills in the defaults of the namespace.
pub fn fill(context: &Context, pod: &mut Value) {
    for range in ranges(context) {
        fill_from(&range, pod);
    }
}

/// Checks the bounds of a pod or a claim.
///
/// # Errors
/// 403 naming every bound of a range that is broken.
pub fn check(context: &Context, kind: &'static Kind, object: &Value) -> ApiResult<()> {
    let broken_by: fn(&[Value], &Value) -> Vec<String> = match (kind.group, kind.plural) {
        ("", "pods") => broken_by_pod,
        ("", "persistentvolumeclaims") => broken_by_claim,
        _ => return Ok(()),
    };
    for range in ranges(context) {
        refuse(kind, object, &broken_by(&range, object))?;
    }
    Ok(())
}

fn broken_by_pod(range: &[Value], pod: &Value) -> Vec<String> {
    let mut broken = Vec::new();
    for item in range {
        match item["type"].as_str() {
            Some("Container") => {
                for list in ["containers", "initContainers"] {
                    for container in pod["spec"][list].as_array().into_iter().flatten() {
                        let part = |part: &str| totals::read(&container["resources"][part]);
                        bounds(item, &part("requests"), &part("limits"), true, &mut broken);
                    }
                }
            }
            Some("Pod") => {
                let part = |part: &str| totals::of_pod(&pod["spec"], part);
                bounds(item, &part("requests"), &part("limits"), true, &mut broken);
            }
            _ => {}
        }
    }
    broken
}

fn broken_by_claim(range: &[Value], claim: &Value) -> Vec<String> {
    let mut broken = Vec::new();
    let requests = totals::read(&claim["spec"]["resources"]["requests"]);
    let of_claims = |item: &&Value| item["type"] == "PersistentVolumeClaim";
    for item in range.iter().filter(of_claims) {
        bounds(item, &requests, &Amounts::new(), false, &mut broken);
    }
    broken
}

fn refuse(kind: &'static Kind, object: &Value, broken: &[String]) -> ApiResult<()> {
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    match broken {
        [] => Ok(()),
        [one] => Err(ApiError::forbidden(kind, name, one)),
        several => Err(ApiError::forbidden(
            kind,
            name,
            &format!("[{}]", several.join(", ")),
        )),
    }
}

fn fill_from(items: &[Value], pod: &mut Value) {
    let mut requests: BTreeMap<String, Value> = BTreeMap::new();
    let mut limits: BTreeMap<String, Value> = BTreeMap::new();
    for item in items.iter().filter(|item| item["type"] == "Container") {
        for (defaults, key) in [(&mut requests, "defaultRequest"), (&mut limits, "default")] {
            for (name, amount) in item[key].as_object().into_iter().flatten() {
                defaults.insert(name.clone(), amount.clone());
            }
        }
    }
    let mut said = Vec::new();
    for (list, word) in [
        ("containers", "container"),
        ("initContainers", "init container"),
    ] {
        for container in pod["spec"][list].as_array_mut().into_iter().flatten() {
            let name = container["name"].as_str().unwrap_or_default().to_owned();
            for (part, title, defaults) in [
                ("requests", "request", &requests),
                ("limits", "limit", &limits),
            ] {
                let set = fill_part(container, part, defaults);
                if !set.is_empty() {
                    said.push(format!("{} {title} for {word} {name}", set.join(", ")));
                }
            }
        }
    }
    if !said.is_empty() {
        pod["metadata"]["annotations"][ANNOTATION] =
            json!(format!("LimitRanger plugin set: {}", said.join("; ")));
    }
}

fn fill_part(container: &mut Value, part: &str, defaults: &BTreeMap<String, Value>) -> Vec<String> {
    let mut set = Vec::new();
    for (name, amount) in defaults {
        if container["resources"][part].get(name).is_none() {
            container["resources"][part][name] = amount.clone();
            set.push(name.clone());
        }
    }
    set
}

fn bounds(
    item: &Value,
    requests: &Amounts,
    limits: &Amounts,
    with_limits: bool,
    broken: &mut Vec<String>,
) {
    let kind = item["type"].as_str().unwrap_or_default();
    for (name, least) in totals::read(&item["min"]) {
        let (request, limit) = (requests.get(&name), limits.get(&name));
        let why = match (request, limit) {
            (None, _) => ".  No request is specified".to_owned(),
            (Some(request), _) if *request < least => format!(", but request is {request}"),
            (_, Some(limit)) if *limit < least => format!(", but limit is {limit}"),
            _ => continue,
        };
        broken.push(format!("minimum {name} usage per {kind} is {least}{why}"));
    }
    for (name, most) in totals::read(&item["max"]) {
        let (request, limit) = (requests.get(&name), limits.get(&name));
        let why = match (limit, request) {
            (None, _) if with_limits => ".  No limit is specified".to_owned(),
            (Some(limit), _) if *limit > most => format!(", but limit is {limit}"),
            (_, Some(request)) if *request > most => format!(", but request is {request}"),
            _ => continue,
        };
        broken.push(format!("maximum {name} usage per {kind} is {most}{why}"));
    }
    for (name, most) in totals::read(&item["maxLimitRequestRatio"]) {
        let head = format!("{name} max limit to request ratio per {kind} is {most}");
        let amount = |amounts: &Amounts| {
            amounts
                .get(&name)
                .map(|amount| amount.to_f64())
                .filter(|amount| *amount != 0.0)
        };
        match (amount(requests), amount(limits)) {
            (None, _) => broken.push(format!(
                "{head}, but no request is specified or request is 0"
            )),
            (_, None) => broken.push(format!("{head}, but no limit is specified or limit is 0")),
            (Some(request), Some(limit)) if limit / request > most.to_f64() => {
                broken.push(format!(
                    "{head}, but provided ratio is {:.6}",
                    limit / request
                ));
            }
            _ => {}
        }
    }
}
