//! Defaults of pods, pod templates and containers (`pkg/apis/core/v1/defaults.go`
//! upstream).

use serde_json::{Value, json};

use super::{Object, child, core, each, text, volumes};
use crate::default::{child_or_new, get_text, is_absent, number, value};
use crate::quota::totals;

/// Lists of containers in a pod.
const CONTAINERS: [&str; 3] = ["initContainers", "containers", "ephemeralContainers"];

/// Defaults of a `Pod`.
pub fn pod(object: &mut Object) {
    let Some(spec) = child_or_new(object, "spec") else {
        return;
    };
    for list in ["initContainers", "containers"] {
        for container in each(spec, list) {
            requests_from_limits(container);
        }
    }
    pod_level_requests(spec);
    value(spec, "enableServiceLinks", || true);
    pod_spec(spec);
    if spec.get("hostNetwork") == Some(&Value::Bool(true)) {
        host_ports(spec);
    }
    if let Some(status) = child(object, "status") {
        core::first_of_list(status, "podIP", "podIPs", Some("ip"));
        core::first_of_list(status, "hostIP", "hostIPs", Some("ip"));
    }
}

/// Defaults of the pod template at `name`; it is made where absent.
pub fn template(object: &mut Object, name: &str) {
    let Some(template) = child_or_new(object, name) else {
        return;
    };
    child_or_new(template, "metadata");
    if let Some(spec) = child_or_new(template, "spec") {
        pod_spec(spec);
    }
}

/// Defaults of a `PodSpec`, in a pod or in a template.
pub fn pod_spec(spec: &mut Object) {
    service_account(spec);
    text(spec, "dnsPolicy", "ClusterFirst");
    text(spec, "restartPolicy", "Always");
    value(spec, "securityContext", || json!({}));
    value(spec, "terminationGracePeriodSeconds", || 30);
    text(spec, "schedulerName", "default-scheduler");
    for volume in each(spec, "volumes") {
        volumes::volume(volume);
    }
    for list in CONTAINERS {
        for each in each(spec, list) {
            container(each);
        }
    }
}

/// `serviceAccount` is the old name of `serviceAccountName`; both are kept equal.
fn service_account(spec: &mut Object) {
    let name = match get_text(spec, "serviceAccountName") {
        "" => get_text(spec, "serviceAccount"),
        name => name,
    }
    .to_owned();
    if !name.is_empty() {
        spec.insert("serviceAccountName".into(), name.clone().into());
        spec.insert("serviceAccount".into(), name.into());
    }
}

fn container(container: &mut Object) {
    let policy = match tag(get_text(container, "image")) {
        "latest" => "Always",
        _ => "IfNotPresent",
    };
    text(container, "imagePullPolicy", policy);
    text(container, "terminationMessagePath", "/dev/termination-log");
    text(container, "terminationMessagePolicy", "File");
    for port in each(container, "ports") {
        text(port, "protocol", "TCP");
    }
    for env in each(container, "env") {
        field_reference(child(env, "valueFrom").and_then(|from| child(from, "fieldRef")));
    }
    for name in ["livenessProbe", "readinessProbe", "startupProbe"] {
        if let Some(found) = child(container, name) {
            probe(found);
        }
    }
    if let Some(lifecycle) = child(container, "lifecycle") {
        for name in ["postStart", "preStop"] {
            if let Some(get) = child(lifecycle, name).and_then(|hook| child(hook, "httpGet")) {
                http_get(get);
            }
        }
    }
}

fn probe(probe: &mut Object) {
    number(probe, "timeoutSeconds", 1);
    number(probe, "periodSeconds", 10);
    number(probe, "successThreshold", 1);
    number(probe, "failureThreshold", 3);
    if let Some(get) = child(probe, "httpGet") {
        http_get(get);
    }
    if let Some(grpc) = child(probe, "grpc") {
        value(grpc, "service", || "");
    }
}

fn http_get(get: &mut Object) {
    text(get, "path", "/");
    text(get, "scheme", "HTTP");
}

/// Defaults of an `ObjectFieldSelector`.
pub fn field_reference(reference: Option<&mut Object>) {
    if let Some(reference) = reference {
        text(reference, "apiVersion", "v1");
    }
}

/// The tag of an image reference, `latest` where neither tag nor digest stands.
fn tag(image: &str) -> &str {
    if image.contains('@') {
        return "";
    }
    let last = image.rsplit('/').next().unwrap_or_default();
    match last.rsplit_once(':') {
        Some((_, tag)) => tag,
        None if is_repository(image) => "latest",
        // What cannot be read has no tag.
        None => "",
    }
}

/// Whether a text without a tag is a reference (`distribution/reference`): a
/// domain, then parts in lower case with single separators.
fn is_repository(image: &str) -> bool {
    let mut parts: Vec<&str> = image.split('/').collect();
    let first = parts[0];
    let is_domain = first.contains(['.', ':']) || first == "localhost";
    if parts.len() > 1 && (is_domain || first.chars().any(|c| c.is_ascii_uppercase())) {
        parts.remove(0);
    }
    image.len() <= 255 && parts.iter().all(|part| is_path_part(part))
}

fn is_path_part(part: &str) -> bool {
    let word = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = part.as_bytes();
    let edges = bytes.first().zip(bytes.last());
    edges.is_some_and(|(first, last)| word(first) && word(last))
        && bytes.iter().all(|b| word(b) || b"._-".contains(b))
        && bytes
            .split(word)
            .all(|gap| matches!(gap, b"" | b"." | b"_" | b"__") || gap.iter().all(|b| *b == b'-'))
}

/// A limit without a request is the request, too.
fn requests_from_limits(container: &mut Object) {
    let Some(resources) = child(container, "resources") else {
        return;
    };
    if !resources.get("limits").is_some_and(Value::is_object) {
        return;
    }
    child_or_new(resources, "requests");
    let part = |name: &str| resources.get(name).and_then(Value::as_object);
    let (Some(limits), Some(requests)) = (part("limits"), part("requests")) else {
        return;
    };
    let missing: Vec<(String, Value)> = limits
        .iter()
        .filter(|(name, _)| is_absent(requests, name))
        .map(|(name, limit)| (name.clone(), limit.clone()))
        .collect();
    if let Some(requests) = child(resources, "requests") {
        requests.extend(missing);
    }
}

/// Requests of the pod as a whole (`spec.resources`) start from its limits for
/// the resources that no container requests.
fn pod_level_requests(spec: &mut Object) {
    let Some(Value::Object(limits)) = spec
        .get("resources")
        .and_then(|resources| resources.get("limits"))
        .cloned()
    else {
        return;
    };
    let totals = totals::of_containers(&Value::Object(spec.clone()), "requests");
    let Some(resources) = child(spec, "resources") else {
        return;
    };
    if let Some(requests) = child_or_new(resources, "requests") {
        for (name, total) in totals {
            if totals::is_of_pods(&name) {
                value(requests, &name, || total.to_string());
            }
        }
        for (name, limit) in limits {
            value(requests, &name, || limit);
        }
    }
}

/// On the host's network a container's port is the host's port.
fn host_ports(spec: &mut Object) {
    for list in ["initContainers", "containers"] {
        for container in each(spec, list) {
            for port in each(container, "ports") {
                if let Some(number @ Value::Number(_)) = port.get("containerPort").cloned()
                    && port.get("hostPort").is_none_or(|host| *host == 0)
                {
                    port.insert("hostPort".into(), number);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::tag;

    #[test]
    fn an_image_without_tag_is_latest() {
        for (image, expected) in [
            ("a", "latest"),
            ("a:1", "1"),
            ("a:latest", "latest"),
            ("host:5000/a", "latest"),
            ("host:5000/a:2", "2"),
            ("a@sha256:0", ""),
            ("a:1@sha256:0", ""),
        ] {
            assert_eq!(tag(image), expected, "{image}");
        }
    }
}
