//! Resources of a pod as a whole, and how they stand to those of its containers
//! (`validatePodResources` upstream).

use super::super::{At, Causes, resources};
use crate::quantity::Quantity;
use crate::quota::totals;

/// A pod's `resources`.
pub(super) fn resources(spec: &At<'_>, causes: &mut Causes) {
    let whole = spec.field("resources");
    if !whole.is_set() {
        return;
    }
    if spec.value["os"]["name"] == "windows" {
        causes.forbidden(&whole.path, "may not be set for a windows pod");
        return;
    }
    let claims = whole.field("claims");
    if claims.is_set() {
        let detail = "claims may not be set for Resources at pod-level";
        causes.forbidden(&claims.path, detail);
    }
    resources::pod_requirements(&whole, causes);
    covers_containers(spec, "requests", |_| true, causes);
    // Huge pages cannot be promised twice.
    covers_containers(spec, "limits", resources::is_huge_page, causes);
    limits(spec, causes);
}

/// The pod has at least as much of a resource as its containers together.
fn covers_containers(spec: &At<'_>, part: &str, counts: fn(&str) -> bool, causes: &mut Causes) {
    let whole = spec.field("resources");
    let own = whole.field(part);
    let totals = totals::of_containers(spec.value, part);
    for (name, total) in totals.iter().filter(|(name, _)| counts(name)) {
        let Some(amount) = amount(&own, name).filter(|amount| total > amount) else {
            continue;
        };
        let detail =
            format!("must be greater than or equal to aggregate container {part} of {total}");
        causes.invalid(&own.path.key(name), &*amount.to_string(), &detail);
    }
}

/// No container may have more of a resource than the pod.
fn limits(spec: &At<'_>, causes: &mut Causes) {
    let whole = spec.field("resources");
    let own = whole.field("limits");
    let containers = At {
        value: &spec.value["containers"],
        path: whole.path.field("containers"),
    };
    for container in containers.items() {
        for (name, limit) in totals::read(&container.value["resources"]["limits"]) {
            let Some(amount) = amount(&own, &name).filter(|amount| limit > *amount) else {
                continue;
            };
            let place = container.path.key(&name);
            let detail = format!("must be less than or equal to pod limits of {amount}");
            causes.invalid(&place.field("limits"), &*limit.to_string(), &detail);
        }
    }
}

fn amount(list: &At<'_>, name: &str) -> Option<Quantity> {
    let amount = list.value.get(name).filter(|amount| !amount.is_null());
    amount.map(resources::amount)
}
