//! Addresses of the cluster that a browser is told to call.

use super::environment;
use crate::report::Severity;
use crate::sink::Sink;
use crate::world::World;
use std::collections::BTreeSet;

/// Prefixes of variables that front-end tools put into the page.
const PREFIXES: &[&str] = &[
    "NEXT_PUBLIC_",
    "VITE_",
    "REACT_APP_",
    "NUXT_PUBLIC_",
    "EXPO_PUBLIC_",
    "GATSBY_",
    "VUE_APP_",
    "NG_APP_",
];

/// Checks variables that end up in a page.
pub fn check(world: &World<'_>, sink: &mut Sink) {
    let mut said = BTreeSet::new();
    for workload in world.workloads() {
        for container in workload.containers() {
            for variable in environment::of(world, &workload, &container) {
                if !PREFIXES
                    .iter()
                    .any(|prefix| variable.name.starts_with(prefix))
                {
                    continue;
                }
                for address in environment::addresses(&variable.value) {
                    let namespace = workload.namespace();
                    let service = environment::service_of(&address.host, namespace);
                    let Some((name, namespace)) = service else {
                        continue;
                    };
                    let known = world.find("Service", &namespace, &name).value().is_some();
                    if !known && !environment::is_internal(&address.host) {
                        continue;
                    }
                    if !said.insert(variable.at.clone()) {
                        continue;
                    }
                    let message = format!(
                        "{} tells browsers to call {}, a name that only pods can resolve",
                        variable.name, address.host
                    );
                    let object = &world.objects[variable.at.0];
                    sink.add(Severity::Warning, "browser-internal", object, &*variable.at.1, message)
                        .fix("give it an address that browsers reach (Ingress or NodePort), or let the front end's server pass calls on");
                }
            }
        }
    }
}
