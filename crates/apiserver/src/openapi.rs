//! OpenAPI documents: the v3 index, one document a group version written from
//! the facts of `machinery`, and the five bytes of v2 that old clients need.
//!
//! <https://kubernetes.io/docs/concepts/overview/kubernetes-api/#openapi-v3>

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use coracle_machinery::kind::Kind;
use coracle_machinery::kinds;
use coracle_machinery::schema::{self, Descriptions, Format, ListType, Node, Shape};
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use parking_lot::Mutex;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::body::Body;
use crate::custom::Customs;
use crate::object::to_vec;
use crate::respond;
use crate::status::{ApiError, ApiResult};

/// Field 1 (`swagger`) = "2.0" of the protobuf document: enough for clients
/// that insist on a v2 document but take their facts from v3.
const V2: &[u8] = &[0x0A, 0x03, b'2', b'.', b'0'];

/// Documents once written, by path.
#[derive(Default)]
pub struct Documents(Mutex<BTreeMap<String, (Bytes, String)>>);

impl Documents {
    /// Answers `/openapi/v3`.
    pub fn index(&self, customs: &Customs) -> Response<Body> {
        let builtin = group_versions().map(|(path, group, version)| {
            let (_, hash) = self.document(&path, group, version);
            (path, hash)
        });
        let own = custom_documents(customs)
            .into_iter()
            .map(|(path, bytes)| (path, hash(&bytes)));
        let roots = roots(customs)
            .into_iter()
            .map(|(path, document)| (path, hash(&to_vec(&document))));
        let all: BTreeMap<String, String> = roots.chain(builtin).chain(own).collect();
        let paths: Map<String, Value> = all
            .into_iter()
            .map(|(path, hash)| {
                let url = format!("/openapi/v3/{path}?hash={hash}");
                (path, json!({"serverRelativeURL": url}))
            })
            .collect();
        respond::text(StatusCode::OK, to_vec(&json!({"paths": paths})))
    }

    /// Answers `/openapi/v3/PATH`.
    ///
    /// # Errors
    /// 404 for an unknown group version.
    pub fn group(&self, customs: &Customs, path: &str) -> ApiResult<Response<Body>> {
        let (bytes, hash) = match group_versions().find(|(known, ..)| known == path) {
            Some((path, group, version)) => self.document(&path, group, version),
            None => {
                let root = || roots(customs).remove(path).map(|root| to_vec(&root).into());
                let found = custom_documents(customs).remove(path).or_else(root);
                let found: Bytes = found.ok_or_else(|| {
                    let mut error = ApiError::no_such_path();
                    error.message.clear();
                    error
                })?;
                let hash = hash(&found);
                (found, hash)
            }
        };
        let mut response = respond::bytes(
            StatusCode::OK,
            HeaderValue::from_static("application/json"),
            bytes,
        );
        let headers = response.headers_mut();
        headers.insert(
            header::CACHE_CONTROL,
            HeaderValue::from_static("public, immutable, max-age=31536000"),
        );
        if let Ok(tag) = HeaderValue::from_str(&format!("\"{hash}\"")) {
            headers.insert(header::ETAG, tag);
        }
        Ok(response)
    }

    fn document(&self, path: &str, group: &str, version: &str) -> (Bytes, String) {
        if let Some((bytes, hash)) = self.0.lock().get(path) {
            return (bytes.clone(), hash.clone());
        }
        let bytes = Bytes::from(to_vec(&write(group, version)));
        let hash = hash(&bytes);
        self.0
            .lock()
            .insert(path.to_owned(), (bytes.clone(), hash.clone()));
        (bytes, hash)
    }
}

/// Writes the small documents of what is not a resource: discovery, keys, version.
fn roots(customs: &Customs) -> BTreeMap<String, Value> {
    const META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1";
    let of_groups = kinds::groups().iter().map(|(group, _)| (*group).to_owned());
    let groups = of_groups.chain(customs.groups().into_iter().map(|(group, _)| group));
    let groups = groups.filter(|group| !group.is_empty());
    let mut roots: BTreeMap<String, Value> = groups
        .map(|group| format!("apis/{group}"))
        .map(|path| {
            (
                path.clone(),
                root(&format!("/{path}/"), &format!("{META}.APIGroup")),
            )
        })
        .collect();
    for (path, answer) in [
        ("api", format!("{META}.APIVersions")),
        ("apis", format!("{META}.APIGroupList")),
        ("version", "io.k8s.apimachinery.pkg.version.Info".to_owned()),
        (".well-known/openid-configuration", String::new()),
        ("openid/v1/jwks", String::new()),
    ] {
        let slash = if path.starts_with("api") { "/" } else { "" };
        roots.insert(path.to_owned(), root(&format!("/{path}{slash}"), &answer));
    }
    roots
}

/// A document of one path that answers a type, or plain text where it has no name.
fn root(path: &str, answer: &str) -> Value {
    let docs = schema::descriptions();
    let mut writer = Writer {
        docs: &docs,
        schemas: BTreeMap::new(),
        open: BTreeSet::new(),
    };
    writer.need_named(answer);
    writer.finish();
    let schema = match answer {
        "" => json!({"type": "string"}),
        name => json!({"$ref": format!("#/components/schemas/{name}")}),
    };
    let get = json!({"responses": {"200": {"description": "OK", "content": {
        "application/json": {"schema": schema}
    }}}});
    json!({
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": coracle_machinery::version::GIT_VERSION},
        "paths": {path: {"get": get}},
        "components": {"schemas": writer.schemas},
    })
}

/// Clients keep documents by this.
fn hash(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02X}"))
        .collect()
}

/// Writes the documents of custom resources, by path.
fn custom_documents(customs: &Customs) -> BTreeMap<String, Bytes> {
    let mut by_path: BTreeMap<String, Vec<&'static Kind>> = BTreeMap::new();
    for kind in customs.all() {
        by_path
            .entry(format!("apis/{}", kind.api_version()))
            .or_default()
            .push(kind);
    }
    by_path
        .into_iter()
        .map(|(path, kinds)| (path, Bytes::from(to_vec(&write_custom(customs, &kinds)))))
        .collect()
}

fn write_custom(customs: &Customs, kinds: &[&'static Kind]) -> Value {
    let docs = schema::descriptions();
    let mut writer = Writer {
        docs: &docs,
        schemas: BTreeMap::new(),
        open: BTreeSet::new(),
    };
    let mut paths = Map::new();
    let meta = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";
    for name in [
        meta,
        "io.k8s.apimachinery.pkg.apis.meta.v1.Status",
        "io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions",
    ] {
        writer.need_named(name);
    }
    writer.finish();
    for kind in kinds.iter().copied() {
        add_paths(&mut paths, kind);
        let mut schema = customs.schema(kind);
        if !schema.is_object() {
            schema = json!({"type": "object"});
        }
        schema["properties"]["apiVersion"] = json!({"type": "string"});
        schema["properties"]["kind"] = json!({"type": "string"});
        schema["properties"]["metadata"] =
            json!({"allOf": [{"$ref": format!("#/components/schemas/{meta}")}]});
        schema["x-kubernetes-group-version-kind"] =
            json!([{"group": kind.group, "kind": kind.kind, "version": kind.version}]);
        writer.schemas.insert(type_name(kind), schema);
    }
    json!({
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes CRD Swagger", "version": "v0.1.0"},
        "paths": paths,
        "components": {"schemas": writer.schemas},
    })
}

/// Returns the OpenAPI name of a type; that of a custom one is its group reversed.
fn type_name(kind: &Kind) -> String {
    if kind.custom.is_none() {
        return kind.definition();
    }
    let mut parts: Vec<&str> = kind.group.split('.').collect();
    parts.reverse();
    format!("{}.{}.{}", parts.join("."), kind.version, kind.kind)
}

/// Answers `/openapi/v2`.
pub fn v2(headers: &HeaderMap) -> Response<Body> {
    let asks = |text: &str| {
        headers
            .get_all(header::ACCEPT)
            .iter()
            .any(|value| value.to_str().is_ok_and(|value| value.contains(text)))
    };
    if asks("proto-openapi") {
        // With an `@` in it Go's parser of media types fails.
        let content_type =
            HeaderValue::from_static("application/com.github.proto-openapi.spec.v2.v1.0+protobuf");
        return respond::bytes(StatusCode::OK, content_type, V2);
    }
    let document = json!({
        "swagger": "2.0",
        "info": {"title": "Kubernetes", "version": coracle_machinery::version::GIT_VERSION},
        "paths": {},
        "definitions": {},
    });
    respond::json(StatusCode::OK, &document)
}

fn group_versions() -> impl Iterator<Item = (String, &'static str, &'static str)> {
    kinds::groups().iter().flat_map(|(group, versions)| {
        versions.iter().map(move |version| {
            let path = if group.is_empty() {
                format!("api/{version}")
            } else {
                format!("apis/{group}/{version}")
            };
            (path, *group, *version)
        })
    })
}

fn write(group: &str, version: &str) -> Value {
    let docs = schema::descriptions();
    let mut writer = Writer {
        docs: &docs,
        schemas: BTreeMap::new(),
        open: BTreeSet::new(),
    };
    let mut paths = Map::new();
    for kind in kinds::all()
        .iter()
        .filter(|kind| kind.group == group && kind.version == version)
    {
        writer.need(kind.schema());
        writer.need_named(&format!("{}List", kind.definition()));
        add_paths(&mut paths, kind);
    }
    writer.need_named("io.k8s.apimachinery.pkg.apis.meta.v1.Status");
    writer.need_named("io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions");
    writer.need_named("io.k8s.api.autoscaling.v1.Scale");
    writer.finish();
    json!({
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": coracle_machinery::version::GIT_VERSION},
        "paths": paths,
        "components": {"schemas": writer.schemas},
    })
}

fn add_paths(paths: &mut Map<String, Value>, kind: &Kind) {
    let root = if kind.group.is_empty() {
        "/api/v1".to_owned()
    } else {
        format!("/apis/{}", kind.api_version())
    };
    let base = if kind.namespaced {
        format!("{root}/namespaces/{{namespace}}/{}", kind.plural)
    } else {
        format!("{root}/{}", kind.plural)
    };
    let mut collection = Map::new();
    let mut item = Map::new();
    for (verb, method, of_item) in [
        ("list", "get", false),
        ("create", "post", false),
        ("deletecollection", "delete", false),
        ("get", "get", true),
        ("update", "put", true),
        ("patch", "patch", true),
        ("delete", "delete", true),
    ] {
        if kind.verbs.contains(&verb) {
            let target = if of_item { &mut item } else { &mut collection };
            target.insert(method.to_owned(), operation(kind, verb));
        }
    }
    if !collection.is_empty() {
        paths.insert(base.clone(), Value::Object(collection));
    }
    if !item.is_empty() {
        paths.insert(format!("{base}/{{name}}"), Value::Object(item));
    }
    for sub in kind.subresources {
        let mut operations = Map::new();
        for (verb, method) in [
            ("get", "get"),
            ("update", "put"),
            ("patch", "patch"),
            ("create", "post"),
        ] {
            if sub.verbs.contains(&verb) {
                operations.insert(method.to_owned(), operation(kind, verb));
            }
        }
        paths.insert(
            format!("{base}/{{name}}/{}", sub.name),
            Value::Object(operations),
        );
    }
}

fn operation(kind: &Kind, verb: &str) -> Value {
    let reference = json!({"$ref": format!("#/components/schemas/{}", type_name(kind))});
    let action = match verb {
        "create" => "post",
        "update" => "put",
        other => other,
    };
    let mut operation = json!({
        "x-kubernetes-action": action,
        "x-kubernetes-group-version-kind": {"group": kind.group, "kind": kind.kind, "version": kind.version},
        "responses": {"200": {"description": "OK", "content": {"application/json": {"schema": reference}}}},
    });
    let names: &[&str] = match verb {
        "create" | "update" => &["dryRun", "fieldManager", "fieldValidation"],
        "patch" => &["dryRun", "fieldManager", "fieldValidation", "force"],
        "delete" => &[
            "dryRun",
            "gracePeriodSeconds",
            "orphanDependents",
            "propagationPolicy",
        ],
        "list" => &[
            "continue",
            "fieldSelector",
            "labelSelector",
            "limit",
            "resourceVersion",
            "watch",
        ],
        _ => &[],
    };
    let parameters: Vec<Value> = names
        .iter()
        .map(|name| {
            let kind = match *name {
                "force" | "watch" | "orphanDependents" => "boolean",
                "limit" | "gracePeriodSeconds" => "integer",
                _ => "string",
            };
            json!({"name": name, "in": "query", "schema": {"type": kind, "uniqueItems": true}})
        })
        .collect();
    operation["parameters"] = json!(parameters);
    if verb == "patch" {
        let patch = json!({"schema": {"$ref": "#/components/schemas/io.k8s.apimachinery.pkg.apis.meta.v1.Patch"}});
        let content: Map<String, Value> = [
            "json-patch+json",
            "merge-patch+json",
            "strategic-merge-patch+json",
            "apply-patch+yaml",
        ]
        .iter()
        // Custom resources do not take it, and kubectl looks here before it sends one.
        .filter(|form| kind.custom.is_none() || !form.starts_with("strategic"))
        .map(|form| (format!("application/{form}"), patch.clone()))
        .collect();
        operation["requestBody"] = json!({"content": content});
    } else if matches!(verb, "create" | "update") {
        operation["requestBody"] = json!({"content": {"*/*": {"schema": reference}}});
    }
    operation
}

/// Collects every type a document refers to.
struct Writer<'a> {
    docs: &'a Descriptions,
    schemas: BTreeMap<String, Value>,
    /// Types referred to and not written yet.
    open: BTreeSet<String>,
}

impl Writer<'_> {
    fn need(&mut self, node: Node<'_>) {
        if let Some(name) = node.definition() {
            self.need_named(name);
        }
    }

    fn need_named(&mut self, name: &str) {
        if !self.schemas.contains_key(name) && schema::builtin().get(name).is_some() {
            self.open.insert(name.to_owned());
        }
    }

    fn finish(&mut self) {
        let patch = json!({"type": "object", "description": "Patch is provided to give a concrete name and type to the Kubernetes PATCH request body."});
        self.schemas.insert(
            "io.k8s.apimachinery.pkg.apis.meta.v1.Patch".to_owned(),
            patch,
        );
        while let Some(name) = self.open.pop_first() {
            let Some(node) = schema::builtin().get(&name) else {
                continue;
            };
            let mut value = self.inline(node);
            if !node.kinds().is_empty() {
                let kinds: Vec<Value> = node
                    .kinds()
                    .iter()
                    .map(
                        |gvk| json!({"group": gvk.group, "kind": gvk.kind, "version": gvk.version}),
                    )
                    .collect();
                value["x-kubernetes-group-version-kind"] = json!(kinds);
            }
            self.schemas.insert(name, value);
        }
    }

    /// Writes a type, by reference where it has a name.
    fn place(&mut self, node: Node<'_>) -> Value {
        let Some(name) = node.definition() else {
            return self.inline(node);
        };
        self.need_named(name);
        let mut value = json!({"allOf": [{"$ref": format!("#/components/schemas/{name}")}]});
        self.annotate(node, &mut value);
        value
    }

    fn annotate(&self, node: Node<'_>, value: &mut Value) {
        if let Some(text) = node.description_in(self.docs) {
            value["description"] = json!(text);
        }
        if let Some(default) = node.default() {
            value["default"] = default.clone();
        }
        if node.has_list_type() {
            match node.list_type() {
                ListType::Atomic => value["x-kubernetes-list-type"] = json!("atomic"),
                ListType::Set => value["x-kubernetes-list-type"] = json!("set"),
                ListType::Map { keys } => {
                    value["x-kubernetes-list-type"] = json!("map");
                    value["x-kubernetes-list-map-keys"] = json!(keys);
                }
            }
        }
        if node.is_atomic_map() {
            value["x-kubernetes-map-type"] = json!("atomic");
        }
        if let Some(key) = node.patch_merge_key() {
            value["x-kubernetes-patch-merge-key"] = json!(key);
        }
        let strategy = node.patch_strategy();
        let strategies: Vec<&str> = [
            (strategy.merge, "merge"),
            (strategy.retain_keys, "retainKeys"),
        ]
        .iter()
        .filter(|(set, _)| *set)
        .map(|(_, name)| *name)
        .collect();
        if !strategies.is_empty() {
            value["x-kubernetes-patch-strategy"] = json!(strategies.join(","));
        }
    }

    fn inline(&mut self, node: Node<'_>) -> Value {
        let mut value = match node.shape() {
            Shape::Object => self.object(node),
            Shape::Map => {
                let element = node
                    .element()
                    .map_or_else(|| json!({}), |element| self.place(element));
                json!({"type": "object", "additionalProperties": element})
            }
            Shape::List => {
                let element = node
                    .element()
                    .map_or_else(|| json!({}), |element| self.place(element));
                json!({"type": "array", "items": element})
            }
            Shape::String => json!({"type": "string"}),
            Shape::Bytes => json!({"type": "string", "format": "byte"}),
            Shape::Time | Shape::MicroTime => json!({"type": "string", "format": "date-time"}),
            Shape::Quantity => json!({"oneOf": [{"type": "string"}, {"type": "number"}]}),
            Shape::IntOrString => {
                json!({"oneOf": [{"type": "integer"}, {"type": "string"}], "format": "int-or-string"})
            }
            Shape::Boolean => json!({"type": "boolean"}),
            Shape::Integer => json!({"type": "integer"}),
            Shape::Number => json!({"type": "number"}),
            Shape::Any => json!({}),
        };
        match node.format() {
            Format::None => {}
            Format::Int32 => value["format"] = json!("int32"),
            Format::Int64 => value["format"] = json!("int64"),
            Format::Double => value["format"] = json!("double"),
        }
        self.annotate(node, &mut value);
        value
    }

    fn object(&mut self, node: Node<'_>) -> Value {
        let mut properties = Map::new();
        for (name, field) in node.fields() {
            let value = self.place(field);
            properties.insert(name.to_owned(), value);
        }
        let mut value = json!({"type": "object"});
        let required: Vec<&str> = node.required().collect();
        if !required.is_empty() {
            value["required"] = json!(required);
        }
        if !properties.is_empty() {
            value["properties"] = Value::Object(properties);
        }
        value
    }
}
