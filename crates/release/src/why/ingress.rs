//! Why an Ingress does not lead to its Services.

use std::collections::BTreeSet;

use serde_json::Value;

use super::words::{items, list, similar, text};
use super::{Cause, Facts, service};
use crate::ReleaseError;

const CLASSES: &str = "/apis/networking.k8s.io/v1/ingressclasses";

/// Returns what is wrong with the Ingress.
pub async fn causes(facts: &Facts, ingress: &Value) -> Result<Vec<Cause>, ReleaseError> {
    let title = format!("ingress/{}", text(&ingress["metadata"]["name"]));
    let mut causes = Vec::new();
    let classes = facts.names_at(CLASSES).await?;
    causes.extend(class(&title, ingress, &classes));
    for (name, port) in backends(ingress) {
        let Some(live) = facts.get("Service", &name).await? else {
            let names = facts.names("Service").await?;
            let remedy = match similar(&name, names.iter().map(String::as_str)) {
                Some(meant) => format!("did you mean {meant}?"),
                None => format!("namespace {} has {}", facts.namespace(), list(&names, 8)),
            };
            causes.push(
                Cause::new(
                    &title,
                    format!("it leads to service {name}, which does not exist"),
                )
                .remedy(remedy)
                .finally(),
            );
            continue;
        };
        causes.extend(no_port(&title, &live, &port));
        let behind = service::causes(facts, &live).await?;
        if !behind.is_empty() {
            causes.push(
                Cause::new(
                    &title,
                    format!("it leads to service {name}, which leads nowhere"),
                )
                .because(behind),
            );
        }
    }
    for tls in items(&ingress["spec"]["tls"]) {
        let Some(name) = tls["secretName"].as_str() else {
            continue;
        };
        if facts.core("secrets", name).await?.is_none() {
            causes.push(
                Cause::new(
                    &title,
                    format!("its certificate's secret {name} does not exist"),
                )
                .remedy(format!(
                    "kubectl create secret tls {name} -n {} --cert=FILE --key=FILE",
                    facts.namespace()
                )),
            );
        }
    }
    Ok(causes)
}

fn class(title: &str, ingress: &Value, classes: &[String]) -> Option<Cause> {
    let name = ingress["spec"]["ingressClassName"].as_str()?;
    if classes.iter().any(|class| class == name) {
        return None;
    }
    let remedy = if classes.is_empty() {
        "the cluster has no ingress classes".to_owned()
    } else {
        format!("the cluster has {}", list(classes, 8))
    };
    Some(
        Cause::new(
            title,
            format!("its class {name} does not exist, so nobody serves it"),
        )
        .remedy(remedy)
        .finally(),
    )
}

/// Returns each Service and port that the Ingress leads to.
fn backends(ingress: &Value) -> BTreeSet<(String, String)> {
    let spec = &ingress["spec"];
    let paths = items(&spec["rules"]).flat_map(|rule| items(&rule["http"]["paths"]));
    std::iter::once(&spec["defaultBackend"])
        .chain(paths.map(|path| &path["backend"]))
        .filter_map(|backend| {
            let service = &backend["service"];
            let port = &service["port"];
            let port = match port["name"].as_str() {
                Some(name) => name.to_owned(),
                None => port["number"].to_string(),
            };
            Some((service["name"].as_str()?.to_owned(), port))
        })
        .collect()
}

fn no_port(title: &str, service: &Value, wanted: &str) -> Option<Cause> {
    let ports: Vec<&Value> = items(&service["spec"]["ports"]).collect();
    let number = wanted.parse().ok();
    let fits = |port: &&Value| {
        port["name"] == wanted || number.is_some() && port["port"].as_i64() == number
    };
    if ports.iter().any(fits) {
        return None;
    }
    let known: Vec<String> = ports.iter().map(|port| port["port"].to_string()).collect();
    Some(
        Cause::new(
            title,
            format!(
                "it leads to port {wanted} of service {}, which has no such port",
                text(&service["metadata"]["name"])
            ),
        )
        .remedy(format!("its ports are {}", known.join(", ")))
        .finally(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn backends_are_found_wherever_they_stand() {
        let ingress = json!({"spec": {
            "defaultBackend": {"service": {"name": "d", "port": {"number": 80}}},
            "rules": [{"http": {"paths": [{"backend": {"service": {"name": "p", "port": {"name": "http"}}}}]}}],
        }});
        let found: Vec<_> = backends(&ingress).into_iter().collect();
        assert_eq!(
            found,
            [("d".into(), "80".into()), ("p".into(), "http".into())]
        );
    }

    #[test]
    fn classes_and_ports_that_do_not_exist_are_named() {
        let ingress = json!({"spec": {"ingressClassName": "traefik"}});
        let cause = class("ingress/a", &ingress, &["nginx".into()]).expect("it is unknown");
        assert_eq!(cause.remedy.as_deref(), Some("the cluster has nginx"));
        let service =
            json!({"metadata": {"name": "s"}, "spec": {"ports": [{"name": "http", "port": 80}]}});
        assert!(no_port("i", &service, "http").is_none());
        assert!(no_port("i", &service, "80").is_none());
        assert!(no_port("i", &service, "81").is_some());
    }
}
