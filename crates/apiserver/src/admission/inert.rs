//! What is stored and answered but not acted on says so, in a warning that
//! names it: nobody is to wait for an effect that will not come.

use coracle_machinery::kind::Kind;
use serde_json::Value;

use crate::context::Context;

/// Warns about a new object of a kind without effect.
pub fn warn(context: &Context, kind: &Kind, object: &Value) {
    if !context.core.config.warn_inert {
        return;
    }
    let why = match (kind.group, kind.kind) {
        (
            "admissionregistration.k8s.io",
            "ValidatingWebhookConfiguration" | "MutatingWebhookConfiguration",
        ) => "admission webhooks are not called by this server",
        ("admissionregistration.k8s.io", _) => {
            "admission policies are not evaluated by this server"
        }
        (
            "storage.k8s.io",
            "CSIDriver"
            | "CSINode"
            | "VolumeAttachment"
            | "CSIStorageCapacity"
            | "VolumeAttributesClass",
        ) => "CSI drivers are not driven by this cluster",
        ("networking.k8s.io", "ServiceCIDR" | "IPAddress") => {
            "the range of Service addresses is a flag of this server"
        }
        ("apiregistration.k8s.io", _) if object["spec"]["service"].is_object() => {
            "requests are not passed on to other API servers"
        }
        ("certificates.k8s.io", _) => "no signer issues certificates in this cluster",
        ("flowcontrol.apiserver.k8s.io", _) => {
            "the limits of requests in flight are fixed in this server"
        }
        ("resource.k8s.io", _) => "devices are not allocated in this cluster",
        ("apiextensions.k8s.io", "CustomResourceDefinition") => {
            let spec = &object["spec"];
            if spec["conversion"]["strategy"] == "Webhook" {
                "conversion webhooks are not called by this server"
            } else if spec["versions"]
                .to_string()
                .contains("\"x-kubernetes-validations\"")
            {
                "x-kubernetes-validations (CEL rules) are not evaluated by this server"
            } else {
                return;
            }
        }
        _ => return,
    };
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    context.warn(format!(
        "{} {name:?} is stored but not acted on: {why}",
        kind.kind
    ));
}
