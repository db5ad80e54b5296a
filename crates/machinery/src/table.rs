//! Tables: what `kubectl get` shows of an object, column by column.
//!
//! [`columns`] and [`row`] equal upstream's printers for every built-in kind;
//! a row is a pure function of the object and the time. Column descriptions
//! are mostly those of fields and are looked up once ([`definitions`]).
//! Assembling the `Table` object is the server's.

mod apps;
mod cluster;
mod columns;
mod config;
mod hpa;
mod network;
mod pod;
mod policy;
mod storage;

use std::sync::OnceLock;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::kind::Kind;
use crate::{convert, schema, time};

/// A column of a table.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// Header, such as `Ready`.
    pub name: &'static str,
    /// OpenAPI type of the cells.
    pub kind: &'static str,
    /// OpenAPI format; `name` marks the column that names the object.
    pub format: &'static str,
    /// 0 is always shown, 1 only in wide output.
    pub priority: i32,
    /// Where the description comes from.
    pub about: About,
}

/// The description of a column.
#[derive(Clone, Copy, Debug)]
pub enum About {
    /// A text of its own.
    Text(&'static str),
    /// The description of the field at a dotted path of the kind.
    Field(&'static str),
    /// The description of a field of another type: OpenAPI name and path.
    Of(&'static str, &'static str),
}

/// The cells of one object.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Row {
    /// One cell per column.
    pub cells: Vec<Value>,
    /// Conditions of the row, such as a completed pod's.
    pub conditions: Vec<Value>,
}

impl From<Vec<Value>> for Row {
    fn from(cells: Vec<Value>) -> Row {
        Row {
            cells,
            conditions: Vec::new(),
        }
    }
}

/// Returns the columns of a kind.
pub fn columns(kind: &Kind) -> &'static [Column] {
    columns::of(kind.group, kind.kind)
}

/// Returns the columns of a kind as `columnDefinitions` of a Table, a JSON list.
pub fn definitions(kind: &'static Kind) -> &'static Value {
    static ALL: OnceLock<Vec<Value>> = OnceLock::new();
    let all = ALL.get_or_init(|| {
        let docs = schema::descriptions();
        let kinds = crate::kinds::all().iter();
        kinds
            .map(|kind| describe(columns(kind), &kind.storage().definition(), &docs))
            .collect()
    });
    if let Some(custom) = kind.custom {
        return &custom.column_definitions;
    }
    let index = crate::kinds::all()
        .iter()
        .position(|known| std::ptr::eq(known, kind));
    index.map_or(&Value::Null, |index| &all[index])
}

/// Returns the column definitions of the `scale` subresource.
pub fn scale_definitions() -> Value {
    let docs = schema::descriptions();
    describe(columns::SCALE, "io.k8s.api.autoscaling.v1.Scale", &docs)
}

/// Returns the cells of a `Scale`.
pub fn scale_row(object: &Value, now: Timestamp) -> Row {
    vec![
        name(object),
        int(object, "spec.replicas"),
        int(object, "status.replicas"),
        age(object, now),
    ]
    .into()
}

/// Returns the column definitions of the default table: name and creation time.
pub fn default_definitions() -> &'static Value {
    static DEFAULT: OnceLock<Value> = OnceLock::new();
    DEFAULT.get_or_init(|| {
        let docs = schema::descriptions();
        describe(columns::DEFAULT, "io.k8s.api.core.v1.LimitRange", &docs)
    })
}

/// Returns the cells of the default table.
pub fn default_row(object: &Value) -> Row {
    let created = string(object, "metadata.creationTimestamp");
    vec![name(object), created].into()
}

/// Returns the cells of an object of `kind`, as seen at `now`.
pub fn row(kind: &'static Kind, object: &Value, now: Timestamp) -> Row {
    if let Some(custom) = kind.custom {
        return crate::custom::table_row(custom, object, now);
    }
    if kind.stored_as.is_some() {
        let mut stored = object.clone();
        convert::to_storage(kind, &mut stored);
        return row(kind.storage(), &stored, now);
    }
    let cells = match (kind.group, kind.kind) {
        ("", "Pod") => return pod::pod(object, now),
        ("", "PodTemplate") => apps::pod_template(object),
        ("", "ReplicationController") => apps::replication_controller(object, now),
        ("apps", "ReplicaSet") => apps::replica_set(object, now),
        ("apps", "Deployment") => apps::deployment(object, now),
        ("apps", "StatefulSet") => apps::stateful_set(object, now),
        ("apps", "DaemonSet") => apps::daemon_set(object, now),
        ("apps", "ControllerRevision") => apps::controller_revision(object, now),
        ("batch", "Job") => apps::job(object, now),
        ("batch", "CronJob") => apps::cron_job(object, now),
        ("autoscaling", "HorizontalPodAutoscaler") => hpa::autoscaler(object, now),
        ("", "Service") => network::service(object, now),
        ("", "Endpoints") => network::endpoints(object, now),
        ("discovery.k8s.io", "EndpointSlice") => network::endpoint_slice(object, now),
        ("networking.k8s.io", "Ingress") => network::ingress(object, now),
        ("networking.k8s.io", "IngressClass") => network::ingress_class(object, now),
        ("networking.k8s.io", "NetworkPolicy") => network::network_policy(object, now),
        ("networking.k8s.io", "IPAddress") => network::address(object, now),
        ("networking.k8s.io", "ServiceCIDR") => network::service_range(object, now),
        ("", "ConfigMap") => config::config_map(object, now),
        ("", "Secret") => config::secret(object, now),
        ("", "ServiceAccount") => vec![name(object), age(object, now)],
        ("", "Event") => config::event(object, now),
        ("", "ResourceQuota") => config::resource_quota(object, now),
        ("", "Namespace") => config::namespace(object, now),
        ("", "Node") => config::node(object, now),
        ("", "ComponentStatus") => config::component_status(object, now),
        ("coordination.k8s.io", "Lease") => config::lease(object, now),
        ("scheduling.k8s.io", "PriorityClass") => config::priority_class(object, now),
        ("node.k8s.io", "RuntimeClass") => config::runtime_class(object, now),
        ("", "PersistentVolume") => storage::persistent_volume(object, now),
        ("", "PersistentVolumeClaim") => storage::claim(object, now),
        ("storage.k8s.io", "StorageClass") => storage::class(object, now),
        ("storage.k8s.io", "CSIDriver") => storage::driver(object, now),
        ("storage.k8s.io", "CSINode") => storage::node(object, now),
        ("storage.k8s.io", "VolumeAttachment") => storage::attachment(object, now),
        ("storage.k8s.io", "VolumeAttributesClass") => storage::attributes_class(object, now),
        ("policy", "PodDisruptionBudget") => policy::disruption_budget(object, now),
        ("rbac.authorization.k8s.io", "RoleBinding" | "ClusterRoleBinding") => {
            policy::role_binding(object, now)
        }
        ("admissionregistration.k8s.io", kind) => policy::admission(kind, object, now),
        ("apiregistration.k8s.io", "APIService") => cluster::api_service(object, now),
        ("certificates.k8s.io", _) => cluster::signing_request(object, now),
        ("flowcontrol.apiserver.k8s.io", "FlowSchema") => cluster::flow_schema(object, now),
        ("flowcontrol.apiserver.k8s.io", _) => cluster::priority_level(object, now),
        ("resource.k8s.io", "ResourceClaim") => cluster::resource_claim(object, now),
        ("resource.k8s.io", "ResourceSlice") => cluster::resource_slice(object, now),
        ("resource.k8s.io", _) => vec![name(object), age(object, now)],
        _ => return default_row(object),
    };
    cells.into()
}

/// Returns what a client reads as the age of a time: `5m`, `<unknown>`.
pub fn since(time: Option<&Value>, now: Timestamp) -> String {
    match time.and_then(Value::as_str).and_then(time::read) {
        Some(then) => time::human(now.duration_since(then)),
        None => "<unknown>".into(),
    }
}

fn describe(columns: &[Column], definition: &str, docs: &schema::Descriptions) -> Value {
    let of = |definition: &str, path: &str| -> String {
        let node = schema::builtin().get(definition).and_then(|n| n.at(path));
        let text = node.and_then(|node| node.description_in(docs));
        text.unwrap_or_default().to_owned()
    };
    let definitions = columns.iter().map(|column| {
        let description = match column.about {
            About::Text(text) => text.to_owned(),
            About::Field(path) => of(definition, path),
            About::Of(definition, path) => of(definition, path),
        };
        json!({
            "name": column.name,
            "type": column.kind,
            "format": column.format,
            "description": description,
            "priority": column.priority,
        })
    });
    definitions.collect()
}

/// Returns the value at a dotted path; `Null` where there is none.
fn at<'a>(object: &'a Value, path: &str) -> &'a Value {
    path.split('.').fold(object, |value, name| &value[name])
}

fn text<'a>(object: &'a Value, path: &str) -> &'a str {
    at(object, path).as_str().unwrap_or_default()
}

fn string(object: &Value, path: &str) -> Value {
    text(object, path).into()
}

fn text_or<'a>(object: &'a Value, path: &str, default: &'a str) -> &'a str {
    match text(object, path) {
        "" => default,
        text => text,
    }
}

fn number(object: &Value, path: &str) -> i64 {
    at(object, path).as_i64().unwrap_or(0)
}

fn int(object: &Value, path: &str) -> Value {
    number(object, path).into()
}

fn flag(object: &Value, path: &str) -> bool {
    at(object, path).as_bool().unwrap_or(false)
}

fn list<'a>(object: &'a Value, path: &str) -> &'a [Value] {
    at(object, path).as_array().map_or(&[], Vec::as_slice)
}

fn length(object: &Value, path: &str) -> usize {
    match at(object, path) {
        Value::Array(list) => list.len(),
        Value::Object(map) => map.len(),
        _ => 0,
    }
}

fn name(object: &Value) -> Value {
    string(object, "metadata.name")
}

fn age(object: &Value, now: Timestamp) -> Value {
    since(object["metadata"].get("creationTimestamp"), now).into()
}

/// A scalar as Go prints it; used where a cell holds an int-or-string.
fn scalar(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

/// A map of labels: `a=b,c=d`, or `<none>`.
fn labels(map: &Value) -> String {
    let mut pairs: Vec<String> = map
        .as_object()
        .into_iter()
        .flatten()
        .map(|(key, value)| format!("{key}={}", scalar(value)))
        .collect();
    pairs.sort();
    none_if_empty(pairs.join(","))
}

/// A label selector: `a=b,c in (d,e),!f`, or `<none>`.
fn selector(selector: &Value) -> String {
    let mut parts: Vec<(String, String)> = Vec::new();
    for (key, value) in selector["matchLabels"].as_object().into_iter().flatten() {
        parts.push((key.clone(), format!("{key}={}", scalar(value))));
    }
    for expression in list(selector, "matchExpressions") {
        let key = text(expression, "key");
        let mut values: Vec<&str> = list(expression, "values")
            .iter()
            .filter_map(Value::as_str)
            .collect();
        values.sort_unstable();
        let values = values.join(",");
        let part = match text(expression, "operator") {
            "In" => format!("{key} in ({values})"),
            "NotIn" => format!("{key} notin ({values})"),
            "Exists" => key.to_owned(),
            "DoesNotExist" => format!("!{key}"),
            _ => return "<error>".into(),
        };
        parts.push((key.to_owned(), part));
    }
    parts.sort_by(|a, b| a.0.cmp(&b.0));
    let parts: Vec<String> = parts.into_iter().map(|(_, part)| part).collect();
    none_if_empty(parts.join(","))
}

fn none_if_empty(text: String) -> String {
    if text.is_empty() {
        "<none>".into()
    } else {
        text
    }
}

/// The first few of a list and how many more there are.
fn with_more(list: &[String], max: usize, separator: &str, empty: &str) -> String {
    if list.is_empty() {
        return empty.to_owned();
    }
    let shown = list[..list.len().min(max)].join(separator);
    match list.len().saturating_sub(max) {
        0 => shown,
        more => format!("{shown} + {more} more..."),
    }
}

/// Names and images of a template's containers, two cells.
fn containers(spec: &Value) -> [Value; 2] {
    let join = |field: &str| -> Value {
        let texts: Vec<&str> = list(spec, "containers")
            .iter()
            .map(|container| text(container, field))
            .collect();
        texts.join(",").into()
    };
    [join("name"), join("image")]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_description_for_every_column() {
        for kind in crate::kinds::all() {
            let definitions = definitions(kind).as_array().expect("a list");
            assert_eq!(definitions.len(), columns(kind).len());
            for definition in definitions {
                let described = definition["description"].as_str() != Some("");
                let expected = kind.kind != "RuntimeClass" || definition["name"] != "Handler";
                assert_eq!(described, expected, "{} {definition}", kind.kind);
            }
        }
    }

    #[test]
    fn empty_objects_have_a_cell_per_column() {
        let now = Timestamp::UNIX_EPOCH;
        for kind in crate::kinds::all() {
            let row = row(kind, &json!({}), now);
            // Upstream's IPAddress has an age without a column for it.
            let extra = usize::from(kind.kind == "IPAddress");
            assert_eq!(
                row.cells.len(),
                columns(kind).len() + extra,
                "{}",
                kind.kind
            );
        }
    }

    #[test]
    fn selectors_print_in_key_order() {
        let selector_value = json!({
            "matchLabels": {"b": "1", "a": "2"},
            "matchExpressions": [
                {"key": "c", "operator": "In", "values": ["y", "x"]},
                {"key": "aa", "operator": "DoesNotExist"}
            ]
        });
        assert_eq!(selector(&selector_value), "a=2,!aa,b=1,c in (x,y)");
        assert_eq!(selector(&Value::Null), "<none>");
    }
}
