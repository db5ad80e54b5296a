//! An Ingress without a class gets the default one (upstream's plug-in
//! DefaultIngressClass), and a new node is not ready (TaintNodesByCondition).

use coracle_machinery::kind::Kind;
use serde_json::{Value, json};

use crate::context::Context;
use crate::resource;
use crate::status::{ApiError, ApiResult};

const DEFAULT: &str = "ingressclass.kubernetes.io/is-default-class";
const CLASS_OLD: &str = "kubernetes.io/ingress.class";
const NOT_READY: &str = "node.kubernetes.io/not-ready";

/// Gives an Ingress without a class the default one.
///
/// # Errors
/// 403 when several classes are the default and are equally old.
pub fn default_class(context: &Context, kind: &'static Kind, ingress: &mut Value) -> ApiResult<()> {
    if ingress["spec"]
        .get("ingressClassName")
        .is_some_and(|class| !class.is_null())
        || ingress["metadata"]["annotations"].get(CLASS_OLD).is_some()
    {
        return Ok(());
    }
    let classes = resource::builtin("networking.k8s.io", "ingressclasses");
    let page = context
        .core
        .store
        .list(&resource::prefix(classes, None), None, usize::MAX);
    let mut defaults: Vec<Value> = page
        .items
        .iter()
        .map(|(_, class)| class.to_plain_value())
        .filter(|class| class["metadata"]["annotations"][DEFAULT] == "true")
        .collect();
    defaults.sort_by_key(|class| {
        class["metadata"]["creationTimestamp"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    });
    let name = ingress["metadata"]["name"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    match defaults.as_slice() {
        [] => Ok(()),
        [.., newest]
            if defaults.len() == 1 || created(newest) > created(&defaults[defaults.len() - 2]) =>
        {
            ingress["spec"]["ingressClassName"] = newest["metadata"]["name"].clone();
            Ok(())
        }
        several => {
            let why = format!(
                "{} default IngressClasses were found, only 1 allowed",
                several.len()
            );
            Err(ApiError::forbidden(kind, &name, &why))
        }
    }
}

fn created(class: &Value) -> &str {
    class["metadata"]["creationTimestamp"]
        .as_str()
        .unwrap_or_default()
}

/// Keeps pods away from a node until it has said that it is ready.
pub fn taint_new_node(node: &mut Value) {
    let mut taints = node["spec"]["taints"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let tainted = taints
        .iter()
        .any(|taint| taint["key"] == NOT_READY && taint["effect"] == "NoSchedule");
    if !tainted {
        taints.push(json!({"key": NOT_READY, "effect": "NoSchedule"}));
    }
    node["spec"]["taints"] = json!(taints);
}
