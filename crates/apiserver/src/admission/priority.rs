//! Priorities of pods (upstream's plug-in Priority): the class decides, the
//! number may not be chosen.

use std::sync::Arc;

use coracle_machinery::kind::Kind;
use serde_json::{Value, json};

use crate::context::Context;
use crate::object::Stored;
use crate::resource;
use crate::status::{ApiError, ApiResult};

const POLICY_DEFAULT: &str = "PreemptLowerPriority";

fn classes(context: &Context) -> Vec<Arc<Stored>> {
    let kind = resource::builtin("scheduling.k8s.io", "priorityclasses");
    let page = context
        .core
        .store
        .list(&resource::prefix(kind, None), None, usize::MAX);
    page.items.into_iter().map(|(_, class)| class).collect()
}

/// Gives a new pod its priority.
///
/// # Errors
/// 403 for an unknown class or a number of the client's own.
pub fn mutate(context: &Context, kind: &'static Kind, pod: &mut Value) -> ApiResult<()> {
    let name = pod["metadata"]["name"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    let forbidden = |why: String| ApiError::forbidden(kind, &name, &why);
    let spec = &mut pod["spec"];
    let asked = spec["priorityClassName"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    let class = if asked.is_empty() {
        // Few classes are the default of all pods: most need no parsing.
        let defaults = classes(context)
            .into_iter()
            .filter(|class| class.mentions("\"globalDefault\":true"));
        defaults
            .map(|class| class.to_plain_value())
            .min_by_key(|class| class["value"].as_i64())
    } else {
        let kind = resource::builtin("scheduling.k8s.io", "priorityclasses");
        let class = context.core.store.get(&resource::key(kind, "", &asked));
        let class = class
            .ok_or_else(|| forbidden(format!("no PriorityClass with name {asked} was found")))?;
        Some(class.to_plain_value())
    };
    let (value, policy) = match &class {
        Some(class) => {
            if asked.is_empty() {
                spec["priorityClassName"] = class["metadata"]["name"].clone();
            }
            (
                class["value"].as_i64().unwrap_or(0),
                class["preemptionPolicy"].as_str().unwrap_or(POLICY_DEFAULT),
            )
        }
        None => (0, POLICY_DEFAULT),
    };
    if let Some(given) = spec["priority"].as_i64().filter(|&given| given != value) {
        return Err(forbidden(format!(
            "the integer value of priority ({given}) must not be provided in pod spec; priority admission controller computed {value} from the given PriorityClass name"
        )));
    }
    if let Some(given) = spec["preemptionPolicy"]
        .as_str()
        .filter(|given| *given != policy)
    {
        return Err(forbidden(format!(
            "the string value of PreemptionPolicy ({given}) must not be provided in pod spec; priority admission controller computed {policy} from the given PriorityClass name"
        )));
    }
    spec["priority"] = json!(value);
    spec["preemptionPolicy"] = json!(policy);
    Ok(())
}

/// An update that leaves out what was computed keeps it.
pub fn keep(pod: &mut Value, live: &Value) {
    for field in ["priority", "preemptionPolicy"] {
        if pod["spec"][field].is_null() && !live["spec"][field].is_null() {
            pod["spec"][field] = live["spec"][field].clone();
        }
    }
}

/// Refuses a second class that is the default of all pods.
///
/// # Errors
/// 403.
pub fn check_class(context: &Context, kind: &'static Kind, class: &Value) -> ApiResult<()> {
    if class["globalDefault"] != true {
        return Ok(());
    }
    let name = class["metadata"]["name"].as_str().unwrap_or_default();
    let other = classes(context)
        .into_iter()
        .find(|other| other.meta.name != name && other.to_plain_value()["globalDefault"] == true);
    match other {
        None => Ok(()),
        Some(other) => {
            let why = format!(
                "PriorityClass {} is already marked as default. Only one default can exist",
                other.meta.name
            );
            Err(ApiError::forbidden(kind, name, &why))
        }
    }
}
