//! Whatever a client sends, the path an object takes does not panic: objects
//! are drawn at random from the types of every kind, and from no type at all.

use coracle_machinery::kind::Kind;
use coracle_machinery::schema::{Node, Shape};
use coracle_machinery::{canonical, convert, default, kinds, strategy, strict, table, validate};
use serde_json::{Map, Value, json};

/// A small generator (xorshift), so that a failure repeats from its seed.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit.max(1) as u64) as usize
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len())]
    }
}

const TEXTS: &[&str] = &[
    "",
    "a",
    "x",
    "Bad Name!",
    "a.b",
    "a/b",
    "10.0.0.1",
    "::1",
    "10.0.0.0/8",
    "None",
    "*",
    "*.a",
    "ClusterIP",
    "LoadBalancer",
    "ExternalName",
    "Always",
    "Never",
    "RollingUpdate",
    "Recreate",
    "In",
    "Exists",
    "TCP",
    "100%",
    "-1%",
    "../a",
    "/a",
    "{}",
    "[]",
    "null",
    "é\u{0}\n",
    "Resource",
    "Localhost",
    "Job",
    "v1",
    "apps/v1",
    "* * * * *",
    "*/0 * * * *",
    "@every x",
    "https://a",
    "kubernetes",
];
const QUANTITIES: &[&str] = &[
    "0",
    "1",
    "-1",
    "500m",
    "1Gi",
    "1e3",
    "0.001",
    "9223372036854775807",
    "1n",
];
const NUMBERS: &[i64] = &[0, 1, -1, 2, 80, 65536, i32::MAX as i64, i32::MIN as i64];

/// An object that fits the type, most fields left out.
fn fitting(node: Node<'_>, random: &mut Random, depth: usize) -> Value {
    match node.shape() {
        Shape::Object => {
            let mut map = Map::new();
            for (name, field) in node.fields() {
                let keep = field.is_required() || depth == 0 || random.below(4) == 0;
                if keep && depth < 7 {
                    map.insert(name.to_owned(), fitting(field, random, depth + 1));
                }
            }
            Value::Object(map)
        }
        Shape::Map => {
            let element = node.element();
            let entries = (0..random.below(3)).filter_map(|_| {
                let key = random.pick(TEXTS).to_owned();
                Some((key, fitting(element?, random, depth + 1)))
            });
            Value::Object(entries.collect())
        }
        Shape::List => {
            let element = node.element();
            let items =
                (0..random.below(3)).filter_map(|_| Some(fitting(element?, random, depth + 1)));
            Value::Array(items.collect())
        }
        Shape::String => random.pick(TEXTS).into(),
        Shape::Integer | Shape::Number => NUMBERS[random.below(NUMBERS.len())].into(),
        Shape::Boolean => (random.below(2) == 0).into(),
        Shape::IntOrString => match random.below(2) {
            0 => NUMBERS[random.below(NUMBERS.len())].into(),
            _ => random.pick(TEXTS).into(),
        },
        Shape::Quantity => random.pick(QUANTITIES).into(),
        Shape::Time | Shape::MicroTime => "2024-01-01T00:00:00Z".into(),
        Shape::Bytes => random.pick(&["", "eA==", "e30="]).into(),
        Shape::Any => anything(random, depth),
    }
}

/// Any JSON at all.
fn anything(random: &mut Random, depth: usize) -> Value {
    match random.below(if depth > 6 { 5 } else { 7 }) {
        0 => Value::Null,
        1 => true.into(),
        2 => NUMBERS[random.below(NUMBERS.len())].into(),
        3 => 1.5.into(),
        4 => random.pick(TEXTS).into(),
        5 => (0..random.below(3))
            .map(|_| anything(random, depth + 1))
            .collect(),
        _ => {
            let names = [
                "metadata",
                "spec",
                "status",
                "labels",
                "name",
                "type",
                "properties",
                "items",
            ];
            let entries = (0..random.below(4))
                .map(|_| (random.pick(&names).to_owned(), anything(random, depth + 1)));
            Value::Object(entries.collect())
        }
    }
}

/// The whole path of a create, and of an update of `old`.
fn travel(kind: &'static Kind, given: Value, old: Option<&Value>) -> Option<Value> {
    let now = "2024-06-01T00:00:00Z".parse().expect("a time");
    let mut object = given;
    strict::read(kind, &mut object).ok()?;
    default::apply(kind, &mut object);
    validate::warnings(kind, None, &object, old);
    match old {
        None => {
            strategy::prepare_create(kind, &mut object, now);
            validate::aggregate(&validate::create(kind, &object));
        }
        Some(old) => {
            for subresource in [
                None,
                Some("status"),
                Some("resize"),
                Some("ephemeralcontainers"),
            ] {
                let mut object = object.clone();
                strategy::prepare_update(kind, subresource, &mut object, old, now);
                validate::aggregate(&validate::update(kind, subresource, &object, old));
            }
        }
    }
    canonical::apply(kind, &mut object);
    let written = object.clone();
    canonical::apply(kind, &mut object);
    assert_eq!(
        written, object,
        "the canonical form of {} is its own",
        kind.kind
    );
    table::row(kind, &object, now);
    convert::to_storage(kind, &mut object);
    convert::from_storage(kind, &mut object);
    Some(written)
}

#[test]
fn objects_of_every_kind_travel() {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    for kind in kinds::all() {
        let mut old = None;
        for _ in 0..60 {
            let given = fitting(kind.schema(), &mut random, 0);
            let stored = travel(kind, given, old.as_ref());
            assert!(stored.is_some(), "{} fits its own type", kind.kind);
            old = stored.or(old);
        }
    }
}

#[test]
fn anything_is_read_or_refused() {
    let mut random = Random(0x0123_4567_89ab_cdef);
    for kind in kinds::all() {
        for _ in 0..40 {
            let mut given = anything(&mut random, 0);
            if given.is_object() {
                given["kind"] = json!(kind.kind);
            }
            travel(kind, given, None);
        }
    }
}

#[test]
fn custom_objects_travel() {
    let definition = json!({"spec": {
        "group": "example.test", "scope": "Cluster",
        "names": {"plural": "things", "singular": "thing", "kind": "Thing"},
        "versions": [{"name": "v1", "served": true, "storage": true, "subresources": {"status": {}},
            "additionalPrinterColumns": [{"name": "A", "type": "string", "jsonPath": ".spec.a[*].b"}],
            "schema": {"openAPIV3Schema": {"type": "object", "properties": {
                "spec": {"type": "object", "properties": {
                    "name": {"type": "string", "pattern": "[", "default": "a"},
                    "labels": {"type": "object", "additionalProperties": {"type": "string", "default": "x"}},
                    "items": {"type": "array", "x-kubernetes-list-type": "map",
                        "x-kubernetes-list-map-keys": ["name"],
                        "items": {"type": "object", "properties": {"name": {"type": "string"}}}}
                }, "oneOf": [{"required": ["name"]}, {"not": {"required": ["items"]}}]},
                "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}
            }}}}]
    }});
    let rows = coracle_machinery::custom::kinds(&definition).expect("a sound definition");
    let mut random = Random(0xdead_beef_cafe_f00d);
    let mut old = None;
    for _ in 0..2_000 {
        let mut given = anything(&mut random, 0);
        if !given.is_object() {
            given = json!({});
        }
        given["spec"] = anything(&mut random, 1);
        old = travel(rows[0], given, old.as_ref()).or(old);
    }
}

#[test]
fn definitions_of_any_form_become_rows_or_are_refused() {
    let mut random = Random(0x1234_5678_1234_5678);
    for _ in 0..2_000 {
        let mut definition =
            json!({"spec": {"versions": [{"name": "v1", "served": true, "storage": true}]}});
        definition["spec"]["names"] = anything(&mut random, 3);
        definition["spec"]["versions"][0]["schema"] =
            json!({"openAPIV3Schema": anything(&mut random, 0)});
        definition["spec"]["versions"][0]["subresources"] = anything(&mut random, 3);
        if let Ok(rows) = coracle_machinery::custom::kinds(&definition) {
            travel(rows[0], anything(&mut random, 0), None);
        }
    }
}
