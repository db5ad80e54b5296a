//! Secrets, ConfigMaps and claims that a pod names and that are not there.

use std::collections::BTreeSet;

use serde_json::Value;

use super::schedule::claims;
use super::words::{items, similar, text};
use super::{Cause, Facts, claim};
use crate::ReleaseError;

/// Explains a pod whose containers are not made yet: volumes that fail.
pub async fn causes(facts: &Facts, pod: &Value) -> Result<Vec<Cause>, ReleaseError> {
    let name = text(&pod["metadata"]["name"]);
    let title = format!("pod/{name}");
    let mut behind = Vec::new();
    for (plural, kind, named) in sources(pod) {
        if facts.core(plural, &named).await?.is_none() {
            behind.push(missing(facts, plural, kind, &named, pod).await?);
        }
    }
    for name in claims(pod) {
        match facts.get("PersistentVolumeClaim", name).await? {
            Some(live) => behind.extend(claim::causes(facts, &live).await?),
            None => behind.push(claim::missing(facts, name).await?),
        }
    }
    let said = facts.warning("Pod", name, &[]).await?;
    let cause = match (&said, behind.is_empty()) {
        (None, true) => return Ok(Vec::new()),
        (Some(message), _) => Cause::new(title, format!("it waits: {message}")),
        (None, false) => Cause::new(title, "it waits for what its volumes name"),
    };
    Ok(vec![cause.because(behind)])
}

/// Explains a container whose environment names what is not there.
pub async fn reference(
    facts: &Facts,
    pod: &Value,
    status: &Value,
    title: &str,
    message: &str,
) -> Result<Cause, ReleaseError> {
    let cause = Cause::new(title, format!("its environment cannot be made: {message}"));
    let mut behind = Vec::new();
    let container = items(&pod["spec"]["containers"])
        .chain(items(&pod["spec"]["initContainers"]))
        .find(|one| one["name"] == status["name"]);
    for (plural, kind, name) in container.map(references).unwrap_or_default() {
        match facts.core(plural, &name).await? {
            None => behind.push(missing(facts, plural, kind, &name, pod).await?),
            Some(object) => behind.extend(missing_keys(&object, plural, kind, &name, pod)),
        }
    }
    Ok(cause.because(behind).finally())
}

/// Plural, kind and name of what is referred to.
type Reference = (&'static str, &'static str, String);

/// Returns the Secrets and ConfigMaps that a container's environment must have.
fn references(container: &Value) -> BTreeSet<Reference> {
    let mut found = BTreeSet::new();
    for source in items(&container["envFrom"]) {
        add(&mut found, &source["secretRef"], SECRET);
        add(&mut found, &source["configMapRef"], CONFIG_MAP);
    }
    for variable in items(&container["env"]) {
        add(&mut found, &variable["valueFrom"]["secretKeyRef"], SECRET);
        add(
            &mut found,
            &variable["valueFrom"]["configMapKeyRef"],
            CONFIG_MAP,
        );
    }
    found
}

const SECRET: (&str, &str) = ("secrets", "secret");
const CONFIG_MAP: (&str, &str) = ("configmaps", "configmap");

fn add(found: &mut BTreeSet<Reference>, reference: &Value, kind: (&'static str, &'static str)) {
    if let Some(name) = reference["name"]
        .as_str()
        .filter(|_| reference["optional"] != true)
    {
        found.insert((kind.0, kind.1, name.to_owned()));
    }
}

/// Returns the Secrets and ConfigMaps that the pod's volumes must have.
fn sources(pod: &Value) -> BTreeSet<Reference> {
    let mut found = BTreeSet::new();
    for volume in items(&pod["spec"]["volumes"]) {
        let projected = items(&volume["projected"]["sources"]);
        for source in std::iter::once(volume).chain(projected) {
            let secret = &source["secret"];
            let named = secret["secretName"].as_str().or(secret["name"].as_str());
            if let Some(name) = named.filter(|_| secret["optional"] != true) {
                found.insert((SECRET.0, SECRET.1, name.to_owned()));
            }
            add(&mut found, &source["configMap"], CONFIG_MAP);
        }
    }
    found
}

async fn missing(
    facts: &Facts,
    plural: &str,
    kind: &str,
    name: &str,
    pod: &Value,
) -> Result<Cause, ReleaseError> {
    let names = facts.core_names(plural).await?;
    let create = create(kind, name, facts.namespace(), &keys(pod, plural, name));
    let remedy = match similar(name, names.iter().map(String::as_str)) {
        Some(meant) => format!("there is {kind}/{meant}; did you mean that? Otherwise: {create}"),
        None => create,
    };
    Ok(Cause::new(
        format!("{kind}/{name}"),
        format!("it does not exist in namespace {}", facts.namespace()),
    )
    .remedy(remedy)
    .finally())
}

/// Returns the keys that the pod's environment takes from an object.
fn keys(pod: &Value, plural: &str, name: &str) -> Vec<String> {
    let field = if plural == SECRET.0 {
        "secretKeyRef"
    } else {
        "configMapKeyRef"
    };
    let containers = items(&pod["spec"]["initContainers"]).chain(items(&pod["spec"]["containers"]));
    let found: BTreeSet<String> = containers
        .flat_map(|container| items(&container["env"]))
        .map(|variable| &variable["valueFrom"][field])
        .filter(|reference| reference["name"] == name && reference["optional"] != true)
        .map(|reference| text(&reference["key"]).to_owned())
        .collect();
    found.into_iter().collect()
}

fn missing_keys(
    object: &Value,
    plural: &str,
    kind: &str,
    name: &str,
    pod: &Value,
) -> Option<Cause> {
    let has = |key: &str| !object["data"][key].is_null() || !object["binaryData"][key].is_null();
    let missing: Vec<String> = keys(pod, plural, name)
        .into_iter()
        .filter(|key| !has(key))
        .collect();
    if missing.is_empty() {
        return None;
    }
    let present: Vec<String> = object["data"]
        .as_object()
        .map(|data| data.keys().cloned().collect())
        .unwrap_or_default();
    let has = if present.is_empty() {
        "it has no keys".to_owned()
    } else {
        format!("it has {}", super::words::list(&present, 12))
    };
    let namespace = text(&object["metadata"]["namespace"]);
    let patch: Vec<String> = missing
        .iter()
        .map(|key| format!("\"{key}\":\"VALUE\""))
        .collect();
    let field = if plural == SECRET.0 {
        "stringData"
    } else {
        "data"
    };
    Some(
        Cause::new(
            format!("{kind}/{name}"),
            format!("it has no key {}; {has}", missing.join(", ")),
        )
        .remedy(format!(
            "kubectl patch {kind} {name} -n {namespace} -p '{{\"{field}\":{{{}}}}}'",
            patch.join(",")
        ))
        .finally(),
    )
}

fn create(kind: &str, name: &str, namespace: &str, keys: &[String]) -> String {
    let kind = if kind == "secret" {
        "secret generic"
    } else {
        kind
    };
    let keys: String = if keys.is_empty() {
        " --from-literal=KEY=VALUE".into()
    } else {
        keys.iter()
            .map(|key| format!(" --from-literal={key}=VALUE"))
            .collect()
    };
    format!("kubectl create {kind} {name} -n {namespace}{keys}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pod() -> Value {
        json!({"spec": {
            "containers": [{"name": "c",
                "envFrom": [{"configMapRef": {"name": "config"}}, {"secretRef": {"name": "maybe", "optional": true}}],
                "env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "s", "key": "a"}}},
                    {"name": "B", "valueFrom": {"secretKeyRef": {"name": "s", "key": "b"}}}]}],
            "volumes": [{"secret": {"secretName": "tls"}},
                {"projected": {"sources": [{"configMap": {"name": "inner"}}]}}],
        }})
    }

    #[test]
    fn what_must_exist_is_found() {
        let names = |found: BTreeSet<Reference>| -> Vec<String> {
            found
                .into_iter()
                .map(|(_, kind, name)| format!("{kind}/{name}"))
                .collect()
        };
        assert_eq!(
            names(references(&pod()["spec"]["containers"][0])),
            ["configmap/config", "secret/s"]
        );
        assert_eq!(names(sources(&pod())), ["configmap/inner", "secret/tls"]);
    }

    #[test]
    fn missing_keys_are_named_with_the_command() {
        let secret = json!({"metadata": {"namespace": "n"}, "data": {"a": "eA=="}});
        let cause = missing_keys(&secret, "secrets", "secret", "s", &pod()).expect("b is missing");
        assert_eq!(cause.text, "it has no key b; it has a");
        assert_eq!(
            cause.remedy.as_deref(),
            Some("kubectl patch secret s -n n -p '{\"stringData\":{\"b\":\"VALUE\"}}'")
        );
        assert_eq!(
            create("secret", "s", "n", &["a".into(), "b".into()]),
            "kubectl create secret generic s -n n --from-literal=a=VALUE --from-literal=b=VALUE"
        );
    }
}
