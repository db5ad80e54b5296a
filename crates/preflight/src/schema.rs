//! Every manifest against the types of Kubernetes: unknown fields, wrong
//! types, versions that are gone, and the rules that the API server applies.

use crate::object::Object;
use crate::removed;
use crate::report::Severity;
use crate::sink::Sink;
use crate::world::World;
use coracle_helm::nearest;
use coracle_machinery::kind::Kind;
use coracle_machinery::schema::{Node, Shape};
use coracle_machinery::{convert, default, kinds, quantity, strategy, strict, validate};
use serde_json::Value;
use std::collections::HashMap;

/// More findings than this about one object help nobody.
const FINDINGS_MAX: usize = 20;
/// Deeper than this no misplaced field is looked for.
const SEARCH_DEPTH: usize = 7;

/// Checks all objects.
pub fn check(world: &World<'_>, sink: &mut Sink) {
    for object in &world.objects {
        match object.kind {
            Some(kind) => built_in(object, kind, sink),
            None => unknown_kind(world, object, sink),
        }
    }
    twice(world, sink);
}

fn built_in(object: &Object, kind: &'static Kind, sink: &mut Sink) {
    let mut walk = Walk {
        object,
        root: kind.schema(),
        sink,
        found: 0,
    };
    walk.value(kind.schema(), &object.value, "");
    if walk.found == 0 {
        rules(object, kind, sink);
    }
    if let Some(text) = removed::deprecated(&object.id.api_version, &object.id.kind) {
        sink.add(
            Severity::Warning,
            "deprecated-api",
            object,
            "apiVersion",
            format!(
                "{} of {} is deprecated",
                object.id.kind, object.id.api_version
            ),
        )
        .fix(text);
    }
}

/// What the API server would say of the object.
fn rules(object: &Object, kind: &'static Kind, sink: &mut Sink) {
    let mut value = object.value.clone();
    if strict::read(kind, &mut value).is_err() {
        return;
    }
    if kind.namespaced {
        value["metadata"]["namespace"] = object.id.namespace.clone().into();
    }
    // What the server gives every object before it judges.
    value["metadata"]["uid"] = "00000000-0000-0000-0000-000000000000".into();
    default::apply(kind, &mut value);
    if kind.stored_as.is_some() {
        let storage = kind.storage();
        convert::to_storage(kind, &mut value);
        default::apply(storage, &mut value);
        convert::from_storage(kind, &mut value);
    }
    strategy::prepare_create(kind, &mut value, jiff::Timestamp::UNIX_EPOCH);
    for cause in validate::create(kind, &value)
        .into_iter()
        .take(FINDINGS_MAX)
    {
        let over_limit = cause.message.contains("must be less than or equal to");
        let rule = if over_limit { "over-limit" } else { "invalid" };
        let message = explain(&cause);
        let draft = sink.add(Severity::Error, rule, object, cause.field, message);
        if over_limit {
            draft.fix("raise the limit, or lower the request");
        }
    }
    for text in validate::warnings(kind, None, &value, None) {
        let field = text.split(": ").next().unwrap_or_default();
        let field = if field.starts_with("spec") { field } else { "" };
        sink.add(
            Severity::Warning,
            "api-warning",
            object,
            field,
            text.clone(),
        );
    }
}

fn explain(cause: &validate::Cause) -> String {
    match cause.field.as_str() {
        "" => cause.message.clone(),
        field => format!("{field}: {}", cause.message),
    }
}

/// A walk over a value beside its type.
struct Walk<'k> {
    object: &'k Object,
    root: Node<'static>,
    sink: &'k mut Sink,
    found: usize,
}

impl Walk<'_> {
    fn value(&mut self, node: Node<'static>, value: &Value, path: &str) {
        if self.found >= FINDINGS_MAX {
            return;
        }
        match (node.shape(), value) {
            (_, Value::Null) | (Shape::Any, _) => {}
            (Shape::Object, Value::Object(map)) => {
                for (name, value) in map {
                    let below = join(path, name);
                    match node.field(name) {
                        Some(field) => self.value(field, value, &below),
                        None if node.preserves_unknown() => {}
                        None => self.unknown(node, name, &below),
                    }
                }
            }
            (Shape::Map, Value::Object(map)) => {
                if let Some(element) = node.element() {
                    for (key, value) in map {
                        self.value(element, value, &format!("{path}[{key}]"));
                    }
                }
            }
            (Shape::List, Value::Array(list)) => {
                if let Some(element) = node.element() {
                    for (index, value) in list.iter().enumerate() {
                        self.value(element, value, &format!("{path}[{index}]"));
                    }
                }
            }
            (shape, value) => self.scalar(node, shape, value, path),
        }
    }

    fn scalar(&mut self, node: Node<'static>, shape: Shape, value: &Value, path: &str) {
        let fits = match (shape, value) {
            (Shape::String | Shape::Time | Shape::MicroTime, Value::String(_)) => true,
            (Shape::Boolean, Value::Bool(_)) => true,
            (Shape::Integer, Value::Number(number)) => number.as_i64().is_some(),
            (Shape::Number, Value::Number(_)) => true,
            (Shape::IntOrString, Value::String(_)) => true,
            (Shape::IntOrString, Value::Number(number)) => number.as_i64().is_some(),
            (Shape::Quantity, Value::String(text)) => {
                if quantity::canonical(text.trim()).is_err() {
                    self.not_a_quantity(path, text);
                }
                return;
            }
            (Shape::Quantity, Value::Number(_)) => true,
            (Shape::Bytes, Value::String(text)) => return self.bytes(path, text),
            _ => false,
        };
        if !fits {
            self.wrong_type(node, shape, value, path);
        }
    }

    fn bytes(&mut self, path: &str, text: &str) {
        use base64::Engine as _;
        let clean: String = text.chars().filter(|c| !c.is_whitespace()).collect();
        let engine = base64::engine::general_purpose::STANDARD;
        if engine.decode(clean.as_bytes()).is_ok() {
            return;
        }
        let key = path
            .rsplit('[')
            .next()
            .unwrap_or(path)
            .trim_end_matches(']');
        self.found += 1;
        self.sink
            .add(
                Severity::Error,
                "wrong-type",
                self.object,
                path,
                format!("{path} is not base64, but values below data must be"),
            )
            .secret()
            .fix(format!(
                "encode it (| b64enc), or put {key} below stringData instead of data"
            ));
    }

    fn not_a_quantity(&mut self, path: &str, text: &str) {
        let fix = match text.trim() {
            text if text.ends_with("MB") || text.ends_with("GB") || text.ends_with("KB") => {
                let digits = &text[..text.len() - 2];
                let unit = &text[text.len() - 2..text.len() - 1];
                let unit = if unit == "K" {
                    "Ki".into()
                } else {
                    format!("{unit}i")
                };
                format!("write {digits}{unit}")
            }
            text if text.ends_with("mb") || text.ends_with("gb") => {
                let digits = &text[..text.len() - 2];
                let unit = text[text.len() - 2..text.len() - 1].to_uppercase();
                format!("write {digits}{unit}i")
            }
            _ => "write a quantity such as 500m, 2, 128Mi or 1Gi".into(),
        };
        self.found += 1;
        self.sink
            .add(
                Severity::Error,
                "wrong-type",
                self.object,
                path,
                format!("{path} is {text:?}, which is no quantity"),
            )
            .fix(fix);
    }

    fn wrong_type(&mut self, node: Node<'static>, shape: Shape, value: &Value, path: &str) {
        let expected = words(node, shape);
        let fix = match (shape, value) {
            (Shape::String, Value::Number(_) | Value::Bool(_)) => {
                "quote it in the template: {{ … | quote }}".to_owned()
            }
            (Shape::Integer | Shape::Number, Value::String(text))
                if text.trim().parse::<f64>().is_ok() =>
            {
                "leave the quotes away, or convert it in the template: {{ … | int }}".to_owned()
            }
            (Shape::Boolean, Value::String(text)) if text == "true" || text == "false" => {
                "leave the quotes away".to_owned()
            }
            (Shape::List, Value::Object(_)) => {
                "make it a list: begin each entry with \"- \"".to_owned()
            }
            (Shape::Object | Shape::Map, Value::Array(_)) => {
                "make it a map: no \"- \" before its keys".to_owned()
            }
            (Shape::Object | Shape::Map | Shape::List, Value::String(text))
                if text.starts_with("map[") || text.starts_with('[') =>
            {
                "write the value as YAML: {{ toYaml … | nindent N }}".to_owned()
            }
            _ => format!("write {expected}"),
        };
        self.found += 1;
        self.sink
            .add(
                Severity::Error,
                "wrong-type",
                self.object,
                path,
                format!("{path} is {}, but must be {expected}", shown(value)),
            )
            .fix(fix);
    }

    fn unknown(&mut self, node: Node<'static>, name: &str, path: &str) {
        self.found += 1;
        let near = nearest(name, node.fields().map(|(name, _)| name.to_owned()));
        let holder = path.rsplit_once('.').map_or("", |(holder, _)| holder);
        let fix = match near.first() {
            Some(near) => format!("did you mean {near}?"),
            None => match self.elsewhere(name, path) {
                Some(place) => format!("{name} belongs at {place}; check the indent"),
                None => known_fields(node),
            },
        };
        let what = match holder {
            "" => self.object.id.kind.clone(),
            holder => format!("{} of {}", plain(holder), self.object.id.kind),
        };
        self.sink
            .add(
                Severity::Error,
                "unknown-field",
                self.object,
                path,
                format!("{what} has no field {name}"),
            )
            .fix(fix);
    }

    /// The nearest place in the kind where a field of this name exists.
    fn elsewhere(&self, name: &str, path: &str) -> Option<String> {
        let mut layer: Vec<(String, Node<'static>)> = vec![(String::new(), self.root)];
        let mut seen: HashMap<String, ()> = HashMap::new();
        let mut found: Vec<String> = Vec::new();
        for _ in 0..SEARCH_DEPTH {
            let mut next = Vec::new();
            for (at, node) in layer {
                let mut node = node;
                let mut at = at;
                while let (Shape::List, Some(element)) = (node.shape(), node.element()) {
                    node = element;
                    at.push_str("[]");
                }
                if node.shape() != Shape::Object {
                    continue;
                }
                if let Some(definition) = node.definition()
                    && seen.insert(definition.to_owned(), ()).is_some()
                {
                    continue;
                }
                for (field, below) in node.fields() {
                    let place = join(&at, field);
                    if field == name {
                        found.push(place.clone());
                    }
                    if field != "status" && field != "managedFields" {
                        next.push((place, below));
                    }
                }
            }
            layer = next;
        }
        let steps: Vec<String> = crate::object::segments(path);
        let common = |place: &String| {
            let place = crate::object::segments(&place.replace("[]", "[0]"));
            place.iter().zip(&steps).take_while(|(a, b)| a == b).count()
        };
        found
            .into_iter()
            .max_by_key(|place| (common(place), std::cmp::Reverse(place.len())))
    }
}

fn known_fields(node: Node<'_>) -> String {
    let names: Vec<&str> = node.fields().map(|(name, _)| name).collect();
    match names.len() {
        0 => "remove it".into(),
        1..=12 => format!("remove it; the fields are {}", names.join(", ")),
        _ => "remove it, or check the indent".into(),
    }
}

/// A path without indices.
fn plain(path: &str) -> String {
    let mut out = String::new();
    let mut inside = false;
    for c in path.chars() {
        match c {
            '[' => inside = true,
            ']' => inside = false,
            c if !inside => out.push(c),
            _ => {}
        }
    }
    out
}

fn join(path: &str, name: &str) -> String {
    match path {
        "" => name.to_owned(),
        path => format!("{path}.{name}"),
    }
}

fn words(node: Node<'_>, shape: Shape) -> String {
    match shape {
        Shape::Object => "a map".into(),
        Shape::Map => match node.element().map(|element| element.shape()) {
            Some(Shape::String) => "a map of texts".into(),
            _ => "a map".into(),
        },
        Shape::List => match node.element().map(|element| element.shape()) {
            Some(Shape::String) => "a list of texts".into(),
            Some(Shape::Object) => "a list of maps".into(),
            _ => "a list".into(),
        },
        Shape::String | Shape::Bytes => "a text".into(),
        Shape::Time | Shape::MicroTime => "a time such as 2026-01-31T12:00:00Z".into(),
        Shape::Integer => "a whole number".into(),
        Shape::Number => "a number".into(),
        Shape::Boolean => "true or false".into(),
        Shape::IntOrString => "a whole number or a text".into(),
        Shape::Quantity => "a quantity such as 500m or 128Mi".into(),
        Shape::Any => "anything".into(),
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(text) if text.chars().count() > 40 => {
            let head: String = text.chars().take(37).collect();
            format!("the text {:?}", format!("{head}..."))
        }
        Value::String(text) => format!("the text {text:?}"),
        Value::Number(number) => format!("the number {number}"),
        Value::Bool(flag) => format!("{flag}"),
        Value::Array(list) => format!("a list of {}", list.len()),
        Value::Object(_) => "a map".into(),
        Value::Null => "nothing".into(),
    }
}

/// A kind that is not built in: gone, misspelled, or custom.
fn unknown_kind(world: &World<'_>, object: &Object, sink: &mut Sink) {
    let (version, kind) = (&object.id.api_version, &object.id.kind);
    if version.is_empty() || kind.is_empty() {
        return;
    }
    if let Some(gone) = removed::removed(version, kind) {
        let message = format!(
            "{kind} of {version} was removed in Kubernetes {}",
            gone.release
        );
        sink.add(
            Severity::Error,
            "removed-api",
            object,
            "apiVersion",
            message,
        )
        .fix(gone.remedy());
        return;
    }
    let (group, _) = version.split_once('/').unwrap_or(("", version));
    let built_in = kinds::groups().iter().any(|(name, _)| *name == group);
    if !built_in {
        return custom(world, object, sink);
    }
    let same_kind: Vec<String> = kinds::all()
        .iter()
        .filter(|row| row.kind == kind)
        .map(|row| row.api_version().into_owned())
        .collect();
    if let Some(right) = same_kind.last() {
        let message = format!("{version} has no kind {kind}");
        sink.add(
            Severity::Error,
            "unknown-kind",
            object,
            "apiVersion",
            message,
        )
        .fix(format!("write apiVersion: {right}"));
        return;
    }
    let near = nearest(
        kind,
        kinds::all()
            .iter()
            .filter(|row| row.group == group)
            .map(|row| row.kind.to_owned()),
    );
    let message = format!("{version} has no kind {kind}");
    let draft = sink.add(Severity::Error, "unknown-kind", object, "kind", message);
    if let Some(near) = near.first() {
        draft.fix(format!("did you mean {near}?"));
    }
}

/// A custom kind needs its definition, from this chart or in the cluster.
fn custom(world: &World<'_>, object: &Object, sink: &mut Sink) {
    let id = &object.id;
    let (group, version) = id
        .api_version
        .split_once('/')
        .unwrap_or(("", &id.api_version));
    let defines = |definition: &&Object| {
        let spec = &definition.value["spec"];
        spec["group"] == group && spec["names"]["kind"] == id.kind.as_str()
    };
    if let Some(definition) = world.of_kind("CustomResourceDefinition").find(defines) {
        let versions = definition.value["spec"]["versions"].as_array();
        let names: Vec<&str> = versions
            .into_iter()
            .flatten()
            .filter_map(|version| version["name"].as_str())
            .collect();
        if !names.is_empty() && !names.contains(&version) {
            let message = format!("the definition of {} has no version {version}", id.kind);
            sink.add(
                Severity::Error,
                "unknown-kind",
                object,
                "apiVersion",
                message,
            )
            .fix(format!(
                "write apiVersion: {group}/{}",
                names[names.len() - 1]
            ));
        }
        return;
    }
    let Some(served) = world.target.and_then(|target| target.served.as_ref()) else {
        return;
    };
    if served.contains(&format!("{}/{}", id.api_version, id.kind)) {
        return;
    }
    let message = format!("the cluster serves no {} of {}", id.kind, id.api_version);
    let other = served.iter().find(|name| {
        name.starts_with(&format!("{group}/")) && name.ends_with(&format!("/{}", id.kind))
    });
    let fix = match other {
        Some(other) => {
            let version = other.rsplit_once('/').map_or("", |(version, _)| version);
            format!("write apiVersion: {version}")
        }
        None => format!("install what defines it first: the operator of {group}"),
    };
    sink.add(
        Severity::Error,
        "unknown-kind",
        object,
        "apiVersion",
        message,
    )
    .fix(fix);
}

/// The same object written by two templates.
fn twice(world: &World<'_>, sink: &mut Sink) {
    let mut seen: HashMap<(&str, &str, &str, &str), &Object> = HashMap::new();
    for object in world.objects.iter().filter(|object| !object.hook) {
        let id = &object.id;
        if id.name.is_empty() {
            continue;
        }
        let group = id
            .api_version
            .split_once('/')
            .map_or("", |(group, _)| group);
        let key = (
            group,
            id.kind.as_str(),
            id.namespace.as_str(),
            id.name.as_str(),
        );
        let Some(first) = seen.insert(key, object) else {
            continue;
        };
        let message = format!("{id} is written twice; {} writes it too", first.path);
        sink.add(
            Severity::Error,
            "written-twice",
            object,
            "metadata.name",
            message,
        )
        .fix("give one of them another name, or write it under one condition only");
    }
}
