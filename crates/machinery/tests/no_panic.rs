//! Whatever reads text or bytes from outside answers with an error at worst.
//!
//! Seeds are cut, mixed and flipped; a fuzzer can call the same functions.

use coracle_machinery::apply::{ManagedFields, Manager, Operation, apply, track_update};
use coracle_machinery::jsonpath::JsonPath;
use coracle_machinery::selector::{FieldSelector, LabelSelector};
use coracle_machinery::{kinds, patch, protobuf, quantity};
use serde_json::{Value, json};

const ROUNDS: u64 = 4000;

/// SplitMix64: every seed gives its own case, again and again.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % limit.max(1) as u64) as usize
    }

    /// A piece of one seed, then of another, with a few bytes changed.
    fn mutate(&mut self, seeds: &[&[u8]]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for _ in 0..1 + self.below(3) {
            let seed = seeds[self.below(seeds.len())];
            let start = self.below(seed.len() + 1);
            let end = start + self.below(seed.len() - start + 1);
            bytes.extend_from_slice(&seed[start..end]);
        }
        for _ in 0..self.below(4) {
            if !bytes.is_empty() {
                let place = self.below(bytes.len());
                bytes[place] =
                    [0, b'.', b'[', b'-', b'9', b'\'', b'(', b'\\', 0xff, 0x80][self.below(10)];
            }
        }
        bytes
    }
}

fn for_each_text(seeds: &[&str], read: impl Fn(&str)) {
    let seeds: Vec<&[u8]> = seeds.iter().map(|seed| seed.as_bytes()).collect();
    for round in 0..ROUNDS {
        let bytes = Random(round).mutate(&seeds);
        read(&String::from_utf8_lossy(&bytes));
    }
}

#[test]
fn quantities() {
    let long = "9".repeat(60);
    for_each_text(
        &["12.5Gi", "-1e-30", "0.0000001n", &long, "1E18", "+.5Ei"],
        |text| {
            if let Ok(quantity) = text.parse::<quantity::Quantity>() {
                let printed = quantity.to_string();
                assert_eq!(
                    printed.parse::<quantity::Quantity>(),
                    Ok(quantity),
                    "{text} printed as {printed}"
                );
                let _ = (
                    quantity.value(),
                    quantity.milli_value(),
                    quantity.as_i64(),
                    quantity.round_up(-3),
                );
                let _ = (
                    quantity.saturating_add(quantity),
                    quantity.saturating_mul(i64::MIN),
                    -quantity,
                );
            }
            let _ = quantity::canonical(text);
        },
    );
}

#[test]
fn selectors() {
    for_each_text(
        &[
            "a in (b,,c),d notin (),!e,f=g",
            "n>5,n<9",
            "x==y,z!=",
            "ä=ö",
        ],
        |text| {
            if let Ok(selector) = LabelSelector::parse(text) {
                let printed = selector.to_string();
                assert_eq!(
                    LabelSelector::parse(&printed).map(|again| again.to_string()),
                    Ok(printed)
                );
            }
        },
    );
    for_each_text(&[r"a=b\,c,d!=e", "metadata.name==x", r"=\\"], |text| {
        let _ = FieldSelector::parse(text);
    });
}

#[test]
fn paths() {
    let object = json!({"a": [{"b": 1, "c": "d"}, {"b": 2}], "e": {"f.g": null}});
    let seeds = [
        "{.a[?(@.b>1)].c}",
        "{range .a[*]}{.b}{\"\\n\"}{end}",
        "{..b}{.e['f\\.g']}",
        "{.a[0:-1:1,-2]}",
    ];
    for_each_text(&seeds, |text| {
        if let Ok(path) = JsonPath::parse(text) {
            let _ = path.render(&object);
        }
        let _ = JsonPath::parse_path(text).map(|path| path.first(&object).is_some());
    });
}

#[test]
fn protobuf_bodies() {
    let body = b"k8s\0\n\x09\n\x02v1\x12\x03Pod\x12\x20\n\x05\n\x01pB\x00\x12\x10\x12\x0c\n\x01c\x12\x01i2\x04\x18\x50\x22\x00P\x00".as_slice();
    let map =
        b"k8s\0\n\x0f\n\x02v1\x12\x09ConfigMap\x12\x0a\x12\x08\n\x01k\x12\x03v\xff\x00".as_slice();
    for round in 0..ROUNDS {
        let mut bytes = Random(round).mutate(&[body, map]);
        let _ = protobuf::decode(&bytes);
        bytes.splice(0..0, body[..20].iter().copied());
        let _ = protobuf::decode(&bytes);
    }
}

#[test]
fn patches() {
    let document = json!({"metadata": {"labels": {"a": "b"}, "finalizers": ["x"]}, "spec": {"template": {"spec": {
        "containers": [{"name": "c", "ports": [{"containerPort": 1}]}, {"name": "d"}],
    }}}});
    let json_patch = json!([{"op": "add", "path": "/spec/a~1b", "value": 1}, {"op": "move", "from": "/metadata", "path": "/spec/-"}]).to_string();
    let strategic = json!({"metadata": {"$deleteFromPrimitiveList/finalizers": ["x"]}, "spec": {"template": {"spec": {
        "$setElementOrder/containers": [{"name": "d"}], "containers": [{"name": "d", "$patch": "delete"}, {"$patch": "replace"}],
        "$retainKeys": ["containers"],
    }}}})
    .to_string();
    let schema = kinds::by_kind("apps", "v1", "Deployment")
        .expect("a built-in kind")
        .schema();
    for round in 0..ROUNDS {
        let mut random = Random(round);
        let seed = if random.below(2) == 0 {
            &json_patch
        } else {
            &strategic
        };
        let Some(patch) = mutated_json(seed, &mut random) else {
            continue;
        };
        let _ = patch::json_patch(&document, &patch);
        let _ = patch::merge_patch(&document, &patch);
        let _ = patch::strategic_patch(schema, &document, &patch);
    }
}

/// The JSON seed with some of its texts and numbers exchanged.
fn mutated_json(seed: &str, random: &mut Random) -> Option<Value> {
    let mut value: Value = serde_json::from_str(seed).ok()?;
    for _ in 0..1 + random.below(4) {
        disturb(&mut value, random);
    }
    Some(value)
}

fn disturb(value: &mut Value, random: &mut Random) {
    let replacement = [
        json!(null),
        json!(1),
        json!("x"),
        json!([]),
        json!({}),
        json!([null]),
        json!([[1]]),
        json!(1.5),
    ];
    if random.below(6) == 0 {
        *value = replacement[random.below(replacement.len())].clone();
        return;
    }
    match value {
        Value::Array(items) if !items.is_empty() => {
            let place = random.below(items.len());
            disturb(&mut items[place], random);
        }
        Value::Object(map) if !map.is_empty() => {
            let place = random.below(map.len());
            if let Some((_, value)) = map.iter_mut().nth(place) {
                disturb(value, random);
            }
        }
        _ => {}
    }
}

#[test]
fn applied_configurations() {
    let schema = kinds::by_kind("", "v1", "Pod")
        .expect("a built-in kind")
        .schema();
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x", "uid": "u", "finalizers": ["a"]}, "spec": {
        "containers": [{"name": "c", "env": [{"name": "A"}], "ports": [{"containerPort": 1}]}, {"name": "d"}],
    }});
    let fields = json!([{"manager": "m", "operation": "Apply", "apiVersion": "v1", "fieldsType": "FieldsV1", "fieldsV1": {
        "f:metadata": {"f:finalizers": {"v:\"a\"": {}}}, "f:spec": {"f:containers": {"k:{\"name\":\"c\"}": {".": {}, "i:0": {}}}},
    }}]);
    let manager = Manager {
        name: "m",
        subresource: "",
        api_version: "v1",
        now: "2026-01-01T00:00:00Z",
        reset_fields: &["status"],
    };
    for round in 0..ROUNDS {
        let mut random = Random(round);
        let live = mutated_json(&pod.to_string(), &mut random).unwrap_or_default();
        let config = mutated_json(&pod.to_string(), &mut random).unwrap_or_default();
        let managed = mutated_json(&fields.to_string(), &mut random).unwrap_or_default();
        let managed = ManagedFields::from_json(&managed).unwrap_or_default();
        for schema in [Some(schema), None] {
            let _ = track_update(schema, &live, &managed, &config, manager);
            let _ = apply(schema, Some((&live, &managed)), &config, manager, false);
            if let Ok((_, managed)) = apply(schema, None, &config, manager, true) {
                assert!(
                    managed
                        .entries()
                        .all(|entry| entry.operation == Operation::Apply)
                );
            }
        }
    }
}

#[test]
fn texts_of_managed_fields() {
    let seed = json!([{"manager": "m", "operation": "Update", "apiVersion": "v1", "fieldsType": "FieldsV1", "fieldsV1": {"f:a": {"k:{\"b\":1}": {".": {}}, "v:1": {}}}}]);
    for_each_text(&[&seed.to_string(), "[{\"fieldsV1\":"], |text| {
        let _ = ManagedFields::from_text(text.as_bytes());
    });
}
