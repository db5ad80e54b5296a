//! The environment of a container: values, references, and what they come to
//! (upstream: kubelet_pods.go, makeEnvironmentVariables).

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    ConfigMap, Container, EnvVar, EnvVarSource, Pod, Secret, Service,
};
use kube::ResourceExt;

use crate::quantity;

/// Looks up what an environment may refer to.
pub trait Lookup {
    /// Returns a ConfigMap of the pod's namespace.
    fn config_map(&self, name: &str) -> Option<ConfigMap>;
    /// Returns a Secret of the pod's namespace.
    fn secret(&self, name: &str) -> Option<Secret>;
    /// Returns the Services of a namespace.
    fn services(&self, namespace: &str) -> Vec<Service>;
}

/// Why a container cannot be configured; becomes `CreateContainerConfigError`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ConfigError(pub String);

/// What fields of a pod an environment or a file may show.
pub struct PodFacts<'a> {
    /// The pod.
    pub pod: &'a Pod,
    /// The pod's address.
    pub pod_ip: String,
    /// The node's address.
    pub host_ip: String,
    /// The node's memory and processors, the limit where a container has none.
    pub allocatable: BTreeMap<String, i64>,
}

/// Returns the environment of `container`, without that of its image.
///
/// # Errors
/// Names the ConfigMap, Secret, key or field that is missing.
pub fn environment(
    facts: &PodFacts<'_>,
    container: &Container,
    lookup: &dyn Lookup,
) -> Result<Vec<(String, String)>, ConfigError> {
    let mut result: BTreeMap<String, String> = service_links(facts.pod, lookup);
    let mut order: Vec<String> = result.keys().cloned().collect();
    let mut put = |result: &mut BTreeMap<String, String>, name: String, value: String| {
        if result.insert(name.clone(), value).is_none() {
            order.push(name);
        }
    };
    for (name, value) in sources(container, lookup)? {
        put(&mut result, name, value);
    }
    for variable in container.env.iter().flatten() {
        let value = match (&variable.value, &variable.value_from) {
            (_, Some(source)) => resolve(facts, container, variable, source, lookup)?,
            (value, None) => Some(expand(value.as_deref().unwrap_or(""), &result)),
        };
        if let Some(value) = value {
            put(&mut result, variable.name.clone(), value);
        }
    }
    Ok(order
        .into_iter()
        .filter_map(|name| Some((name.clone(), result.remove(&name)?)))
        .collect())
}

/// Returns everything that `envFrom` brings, with its prefixes.
fn sources(
    container: &Container,
    lookup: &dyn Lookup,
) -> Result<Vec<(String, String)>, ConfigError> {
    let mut result = Vec::new();
    for source in container.env_from.iter().flatten() {
        let prefix = source.prefix.as_deref().unwrap_or("");
        if let Some(reference) = &source.config_map_ref {
            match lookup.config_map(&reference.name) {
                Some(map) => {
                    let data = map.data.unwrap_or_default();
                    result.extend(
                        data.into_iter()
                            .map(|(key, value)| (format!("{prefix}{key}"), value)),
                    );
                }
                None if reference.optional == Some(true) => {}
                None => return Err(not_found("configmap", &reference.name)),
            }
        }
        if let Some(reference) = &source.secret_ref {
            match lookup.secret(&reference.name) {
                Some(secret) => {
                    let data = secret.data.unwrap_or_default();
                    result.extend(data.into_iter().map(|(key, value)| {
                        (
                            format!("{prefix}{key}"),
                            String::from_utf8_lossy(&value.0).into_owned(),
                        )
                    }));
                }
                None if reference.optional == Some(true) => {}
                None => return Err(not_found("secret", &reference.name)),
            }
        }
    }
    Ok(result)
}

fn not_found(kind: &str, name: &str) -> ConfigError {
    ConfigError(format!("{kind} \"{name}\" not found"))
}

fn resolve(
    facts: &PodFacts<'_>,
    container: &Container,
    variable: &EnvVar,
    source: &EnvVarSource,
    lookup: &dyn Lookup,
) -> Result<Option<String>, ConfigError> {
    let namespace = facts.pod.namespace().unwrap_or_default();
    if let Some(reference) = &source.config_map_key_ref {
        let optional = reference.optional == Some(true);
        let Some(map) = lookup.config_map(&reference.name) else {
            return if optional {
                Ok(None)
            } else {
                Err(not_found("configmap", &reference.name))
            };
        };
        let value = map.data.unwrap_or_default().remove(&reference.key);
        return found(value, optional, || {
            format!(
                "couldn't find key {} in ConfigMap {namespace}/{}",
                reference.key, reference.name
            )
        });
    }
    if let Some(reference) = &source.secret_key_ref {
        let optional = reference.optional == Some(true);
        let Some(secret) = lookup.secret(&reference.name) else {
            return if optional {
                Ok(None)
            } else {
                Err(not_found("secret", &reference.name))
            };
        };
        let value = secret.data.unwrap_or_default().remove(&reference.key);
        let value = value.map(|value| String::from_utf8_lossy(&value.0).into_owned());
        return found(value, optional, || {
            format!(
                "couldn't find key {} in Secret {namespace}/{}",
                reference.key, reference.name
            )
        });
    }
    if let Some(reference) = &source.field_ref {
        return field(facts, &reference.field_path).map(Some);
    }
    if let Some(reference) = &source.resource_field_ref {
        let divisor = reference
            .divisor
            .as_ref()
            .map(|divisor| divisor.0.as_str())
            .unwrap_or("");
        let named = reference
            .container_name
            .as_deref()
            .unwrap_or(&container.name);
        let owner = facts
            .pod
            .spec
            .iter()
            .flat_map(|spec| &spec.containers)
            .find(|one| one.name == named);
        return resource(
            facts,
            owner.unwrap_or(container),
            &reference.resource,
            divisor,
        )
        .map(Some);
    }
    Err(ConfigError(format!(
        "environment variable {} has an empty source",
        variable.name
    )))
}

fn found(
    value: Option<String>,
    optional: bool,
    message: impl FnOnce() -> String,
) -> Result<Option<String>, ConfigError> {
    match value {
        None if !optional => Err(ConfigError(message())),
        value => Ok(value),
    }
}

/// Returns a field of the pod as text (Kubernetes: Downward API).
///
/// # Errors
/// Names a path that cannot be shown.
pub fn field(facts: &PodFacts<'_>, path: &str) -> Result<String, ConfigError> {
    let pod = facts.pod;
    let subscript = |prefix: &str| {
        path.strip_prefix(prefix)?
            .strip_prefix("['")?
            .strip_suffix("']")
    };
    if let Some(key) = subscript("metadata.labels") {
        return Ok(pod.labels().get(key).cloned().unwrap_or_default());
    }
    if let Some(key) = subscript("metadata.annotations") {
        return Ok(pod.annotations().get(key).cloned().unwrap_or_default());
    }
    let spec = pod.spec.as_ref();
    Ok(match path {
        "metadata.name" => pod.name_any(),
        "metadata.namespace" => pod.namespace().unwrap_or_default(),
        "metadata.uid" => pod.uid().unwrap_or_default(),
        "metadata.labels" => lines(pod.labels()),
        "metadata.annotations" => lines(pod.annotations()),
        "spec.nodeName" => spec
            .and_then(|spec| spec.node_name.clone())
            .unwrap_or_default(),
        "spec.serviceAccountName" => spec
            .and_then(|spec| spec.service_account_name.clone())
            .unwrap_or_default(),
        "status.podIP" | "status.podIPs" => facts.pod_ip.clone(),
        "status.hostIP" | "status.hostIPs" => facts.host_ip.clone(),
        _ => return Err(ConfigError(format!("unsupported fieldPath: {path}"))),
    })
}

/// Writes a map as the downward API does: `key="value"` lines, sorted.
fn lines(map: &BTreeMap<String, String>) -> String {
    map.iter()
        .map(|(key, value)| format!("{key}={value:?}"))
        .collect::<Vec<_>>()
        .join("\n")
}

/// Returns a limit or request of a container as a number, divided and rounded up.
///
/// # Errors
/// Names a resource that cannot be shown.
pub fn resource(
    facts: &PodFacts<'_>,
    container: &Container,
    name: &str,
    divisor: &str,
) -> Result<String, ConfigError> {
    let (group, resource) = name
        .split_once('.')
        .filter(|(group, _)| matches!(*group, "limits" | "requests"))
        .ok_or_else(|| ConfigError(format!("unsupported container resource : {name}")))?;
    let resources = container.resources.clone().unwrap_or_default();
    let amounts = if group == "limits" {
        resources.limits
    } else {
        resources.requests
    };
    let amount = amounts.unwrap_or_default().remove(resource);
    let milli = |text: &str| {
        quantity::milli(&k8s_openapi::apimachinery::pkg::api::resource::Quantity(
            text.into(),
        ))
    };
    let value = match amount {
        Some(amount) => quantity::milli(&amount).unwrap_or(0),
        None if group == "limits" => facts.allocatable.get(resource).copied().unwrap_or(0),
        None => 0,
    };
    let divisor = milli(if divisor.is_empty() || divisor == "0" {
        "1"
    } else {
        divisor
    })
    .unwrap_or(1000)
    .max(1);
    Ok(((value + divisor - 1) / divisor).to_string())
}

/// Replaces `$(NAME)` by the value of a name that is known; `$$` stands for `$`
/// (Kubernetes: Define Dependent Environment Variables).
pub fn expand(text: &str, known: &BTreeMap<String, String>) -> String {
    let mut result = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        result.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            result.push('$');
            rest = after;
        } else if let Some((name, after)) = rest
            .strip_prefix('(')
            .and_then(|inner| inner.split_once(')'))
        {
            match known.get(name) {
                Some(value) => result.push_str(value),
                None => result.push_str(&format!("$({name})")),
            }
            rest = after;
        } else {
            result.push('$');
        }
    }
    result.push_str(rest);
    result
}

/// Returns the variables by which a pod sees the Services of its namespace and
/// the API (Kubernetes: Service, environment variables).
fn service_links(pod: &Pod, lookup: &dyn Lookup) -> BTreeMap<String, String> {
    let mut result = BTreeMap::new();
    for service in lookup
        .services("default")
        .iter()
        .filter(|service| service.name_any() == "kubernetes")
    {
        link(service, &mut result);
    }
    if pod.spec.as_ref().and_then(|spec| spec.enable_service_links) != Some(false) {
        for service in lookup.services(&pod.namespace().unwrap_or_default()) {
            link(&service, &mut result);
        }
    }
    result
}

fn link(service: &Service, result: &mut BTreeMap<String, String>) {
    let Some(spec) = &service.spec else { return };
    let Some(address) = spec
        .cluster_ip
        .as_deref()
        .filter(|ip| !ip.is_empty() && *ip != "None")
    else {
        return;
    };
    let name = upper(&service.name_any());
    let ports = spec.ports.as_deref().unwrap_or_default();
    let Some(first) = ports.first() else { return };
    result.insert(format!("{name}_SERVICE_HOST"), address.to_owned());
    result.insert(format!("{name}_SERVICE_PORT"), first.port.to_string());
    for port in ports {
        if let Some(label) = port.name.as_deref().filter(|label| !label.is_empty()) {
            result.insert(
                format!("{name}_SERVICE_PORT_{}", upper(label)),
                port.port.to_string(),
            );
        }
    }
    let url = |port: i32, protocol: &str| format!("{}://{address}:{port}", protocol.to_lowercase());
    let protocol = |port: &k8s_openapi::api::core::v1::ServicePort| {
        port.protocol.clone().unwrap_or_else(|| "TCP".into())
    };
    result.insert(format!("{name}_PORT"), url(first.port, &protocol(first)));
    for port in ports {
        let protocol = protocol(port);
        let prefix = format!("{name}_PORT_{}_{protocol}", port.port);
        result.insert(prefix.clone(), url(port.port, &protocol));
        result.insert(format!("{prefix}_PROTO"), protocol.to_lowercase());
        result.insert(format!("{prefix}_PORT"), port.port.to_string());
        result.insert(format!("{prefix}_ADDR"), address.to_owned());
    }
}

fn upper(name: &str) -> String {
    name.to_uppercase().replace('-', "_")
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    struct Fixed;

    impl Lookup for Fixed {
        fn config_map(&self, name: &str) -> Option<ConfigMap> {
            (name == "settings").then(|| {
                serde_json::from_value(json!({"data": {"COLOR": "red", "SIZE": "1"}})).unwrap()
            })
        }

        fn secret(&self, name: &str) -> Option<Secret> {
            (name == "keys")
                .then(|| serde_json::from_value(json!({"data": {"token": "c2VjcmV0"}})).unwrap())
        }

        fn services(&self, namespace: &str) -> Vec<Service> {
            let service = json!({"metadata": {"name": "kubernetes"}, "spec": {"clusterIP": "10.96.0.1",
                "ports": [{"name": "https", "port": 443, "protocol": "TCP"}]}});
            if namespace == "default" {
                vec![serde_json::from_value(service).unwrap()]
            } else {
                Vec::new()
            }
        }
    }

    fn of(container: Value) -> Result<BTreeMap<String, String>, ConfigError> {
        let pod: Pod = serde_json::from_value(json!({
            "metadata": {"name": "web-0", "namespace": "shop", "labels": {"app": "web"}},
            "spec": {"containers": [], "nodeName": "one"},
        }))
        .unwrap();
        let facts = PodFacts {
            pod: &pod,
            pod_ip: "10.244.0.20".into(),
            host_ip: "10.243.0.1".into(),
            allocatable: [("memory".to_owned(), 8_000)].into(),
        };
        let mut full = json!({"name": "c"});
        for (key, value) in container.as_object().unwrap() {
            full[key.as_str()] = value.clone();
        }
        let container: Container = serde_json::from_value(full).unwrap();
        environment(&facts, &container, &Fixed).map(|list| list.into_iter().collect())
    }

    #[test]
    fn variables_come_from_everywhere() {
        let env = of(json!({
            "envFrom": [{"prefix": "S_", "configMapRef": {"name": "settings"}}, {"secretRef": {"name": "none", "optional": true}}],
            "env": [
                {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "token"}}},
                {"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
                {"name": "APP", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['app']"}}},
                {"name": "BOTH", "value": "$(S_COLOR) $(POD) $$(POD) $(NONE)"},
                {"name": "MEMORY", "valueFrom": {"resourceFieldRef": {"resource": "limits.memory"}}},
            ],
        }))
        .unwrap();
        assert_eq!(env["S_SIZE"], "1");
        assert_eq!(env["TOKEN"], "secret");
        assert_eq!(env["BOTH"], "red web-0 $(POD) $(NONE)");
        assert_eq!(env["APP"], "web");
        assert_eq!(env["MEMORY"], "8");
        assert_eq!(env["KUBERNETES_SERVICE_HOST"], "10.96.0.1");
        assert_eq!(env["KUBERNETES_PORT_443_TCP"], "tcp://10.96.0.1:443");
    }

    #[test]
    fn what_is_missing_is_named() {
        let check = |env: Value, expected: &str| {
            assert_eq!(of(env).unwrap_err().to_string(), expected);
        };
        check(
            json!({"envFrom": [{"configMapRef": {"name": "none"}}]}),
            "configmap \"none\" not found",
        );
        check(
            json!({"env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "x"}}}]}),
            "couldn't find key x in Secret shop/keys",
        );
        check(
            json!({"env": [{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "none", "key": "x"}}}]}),
            "configmap \"none\" not found",
        );
    }
}
