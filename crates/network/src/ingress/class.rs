//! Which Ingresses are ours.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::networking::v1::{Ingress, IngressClass};

/// The controller that our IngressClasses name.
pub const CONTROLLER: &str = "coracle.dev/ingress";
/// The class that every cluster begins with, and its default: the name that
/// most charts ask for.
pub const NAME: &str = "nginx";

/// How a class was named before there were IngressClasses.
const ANNOTATION: &str = "kubernetes.io/ingress.class";

/// Tells whether an Ingress is ours to serve. The annotation counts before the
/// field, as in ingress-nginx; one without a class is nobody's, as the API
/// gives it the default one when it is made.
pub fn is_ours(ingress: &Ingress, classes: &BTreeMap<String, Arc<IngressClass>>) -> bool {
    let annotations = ingress.metadata.annotations.as_ref();
    let by_annotation = annotations.and_then(|all| all.get(ANNOTATION));
    let by_field = ingress
        .spec
        .as_ref()
        .and_then(|spec| spec.ingress_class_name.as_ref());
    let Some(name) = by_annotation.or(by_field) else {
        return false;
    };
    let controller = classes
        .get(name)
        .and_then(|class| class.spec.as_ref()?.controller.as_deref());
    controller == Some(CONTROLLER)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn the_class_decides() {
        let class = |controller: &str| {
            let object = json!({"spec": {"controller": controller}});
            Arc::new(serde_json::from_value(object).expect("a class"))
        };
        let classes = BTreeMap::from([
            (NAME.to_owned(), class(CONTROLLER)),
            ("traefik".to_owned(), class("traefik.io/ingress-controller")),
        ]);
        let check = |annotation: Value, field: Value, expected: bool| {
            let object = json!({
                "metadata": {"annotations": {ANNOTATION: annotation}},
                "spec": {"ingressClassName": field},
            });
            let mut object = object;
            if annotation.is_null() {
                object["metadata"] = json!({});
            }
            let ingress = serde_json::from_value(object).expect("an Ingress");
            assert_eq!(is_ours(&ingress, &classes), expected);
        };
        check(json!(null), json!("nginx"), true);
        check(json!(null), json!("traefik"), false);
        check(json!(null), json!("missing"), false);
        check(json!(null), json!(null), false);
        check(json!("nginx"), json!(null), true);
        check(json!("traefik"), json!("nginx"), false);
    }
}
