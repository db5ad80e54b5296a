//! Strategic merge patches against `kubectl patch --local`, which runs
//! upstream's own code without a server.
//!
//! `CORACLE_ORACLE_CASES` sets how many generated cases are compared (default
//! a short run), `CORACLE_ORACLE_SEED` where they begin, `KUBECTL` the program.

use std::path::Path;
use std::process::Command;

use coracle_machinery::{kinds, patch};
use serde_json::{Map, Value, json};

#[test]
#[expect(clippy::print_stderr, reason = "a skipped test must be seen")]
fn generated_patches_end_as_with_kubectl() {
    let kubectl = std::env::var("KUBECTL").unwrap_or_else(|_| "kubectl".to_owned());
    if Command::new(&kubectl)
        .args(["version", "--client"])
        .output()
        .is_err()
    {
        assert!(std::env::var("CI").is_err(), "{kubectl} is needed here");
        eprintln!("SKIPPED: no {kubectl}: strategic merge patches are not compared with upstream");
        return;
    }
    let number = |name: &str, default: u64| {
        std::env::var(name)
            .ok()
            .and_then(|text| text.parse().ok())
            .unwrap_or(default)
    };
    let first = number("CORACLE_ORACLE_SEED", 1);
    let seeds = first..first + number("CORACLE_ORACLE_CASES", 12);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    // Most of a case is the start of kubectl.
    let differences: Vec<String> = std::thread::scope(|scope| {
        let parts: Vec<_> = (0..threads)
            .map(|part| {
                let (seeds, kubectl) = (seeds.clone().skip(part).step_by(threads), &kubectl);
                scope.spawn(move || compare(kubectl, seeds))
            })
            .collect();
        let parts = parts.into_iter();
        parts
            .flat_map(|part| part.join().expect("a part that ends"))
            .collect()
    });
    assert!(
        differences.is_empty(),
        "{} differ, first:\n{}",
        differences.len(),
        differences.join("\n\n")
    );
}

/// Compares the cases of some seeds and tells of those that differ.
fn compare(kubectl: &str, seeds: impl Iterator<Item = u64>) -> Vec<String> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let kind = kinds::by_kind("apps", "v1", "Deployment").expect("a built-in kind");
    let mut differences = Vec::new();
    for seed in seeds {
        let mut random = Random(seed);
        let document = deployment(&mut random);
        let change = deployment_patch(&mut random, &document);
        let expected = ask_kubectl(kubectl, folder.path(), &document, &change);
        let found = patch::strategic_patch(kind.schema(), &document, &change)
            .map_err(|error| error.to_string());
        if !same(&expected, &found) {
            differences.push(format!(
                "seed {seed}\n document {document}\n patch {change}\n kubectl {}\n found   {}",
                print(&expected),
                print(&found)
            ));
        }
    }
    differences
}

fn print(result: &Result<Value, String>) -> String {
    match result {
        Ok(value) => value.to_string(),
        Err(error) => format!("error: {error}"),
    }
}

fn same(expected: &Result<Value, String>, found: &Result<Value, String>) -> bool {
    match (expected, found) {
        (Ok(expected), Ok(found)) => expected == found,
        // Of several faults, upstream reports whichever it meets first in a
        // map, which differs from run to run.
        (Err(_), Err(_)) => true,
        _ => false,
    }
}

fn ask_kubectl(
    kubectl: &str,
    folder: &Path,
    document: &Value,
    patch: &Value,
) -> Result<Value, String> {
    let file = folder.join("object.json");
    std::fs::write(&file, document.to_string()).expect("a written file");
    let output = Command::new(kubectl)
        .args([
            "patch",
            "--local",
            "--type",
            "strategic",
            "-o",
            "json",
            "-p",
            &patch.to_string(),
            "-f",
        ])
        .arg(&file)
        .env("KUBECONFIG", folder.join("none"))
        .env("HOME", folder)
        .output()
        .expect("a running kubectl");
    if output.status.success() {
        Ok(serde_json::from_slice(&output.stdout).expect("JSON from kubectl"))
    } else {
        let text = String::from_utf8_lossy(&output.stderr);
        Err(text
            .trim_start_matches("error: ")
            .trim_start_matches("Error: ")
            .to_owned())
    }
}

/// SplitMix64: every seed gives its own case, again and again.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    /// Distinct words, in random order.
    fn words(&mut self, most: usize) -> Vec<&'static str> {
        const WORDS: [&str; 7] = ["a", "b", "c", "d", "e", "f", "g"];
        let mut words = WORDS.to_vec();
        for index in (1..words.len()).rev() {
            words.swap(index, self.below(index + 1));
        }
        let count = self.below(most + 1);
        words.truncate(count);
        words
    }
}

fn list(random: &mut Random, most: usize, make: impl Fn(&mut Random, &str) -> Value) -> Value {
    let words = random.words(most);
    Value::Array(words.into_iter().map(|word| make(random, word)).collect())
}

fn maybe(
    random: &mut Random,
    map: &mut Map<String, Value>,
    key: &str,
    make: impl Fn(&mut Random) -> Value,
) {
    if random.chance(60) {
        let value = make(random);
        map.insert(key.to_owned(), value);
    }
}

fn text(random: &mut Random) -> Value {
    json!(random.below(9).to_string())
}

fn texts(random: &mut Random) -> Value {
    list(random, 5, |_, word| json!(word))
}

fn labels(random: &mut Random) -> Value {
    let words = random.words(4);
    Value::Object(
        words
            .into_iter()
            .map(|word| (word.to_owned(), text(random)))
            .collect(),
    )
}

fn env(random: &mut Random) -> Value {
    list(
        random,
        6,
        |random, word| json!({"name": word, "value": text(random)}),
    )
}

fn ports(random: &mut Random) -> Value {
    list(random, 4, |random, word| {
        let port = 80 + u32::from(word.as_bytes()[0] - b'a');
        let protocol = if random.chance(50) { "TCP" } else { "UDP" };
        json!({"containerPort": port, "protocol": protocol})
    })
}

fn container(random: &mut Random, name: &str) -> Value {
    let mut map = Map::new();
    map.insert("name".to_owned(), json!(name));
    maybe(random, &mut map, "image", text);
    maybe(random, &mut map, "args", texts);
    maybe(random, &mut map, "env", env);
    maybe(random, &mut map, "ports", ports);
    Value::Object(map)
}

fn containers(random: &mut Random) -> Value {
    list(random, 6, container)
}

fn volume(random: &mut Random, name: &str) -> Value {
    match random.below(3) {
        0 => json!({"name": name, "emptyDir": {}}),
        1 => {
            json!({"name": name, "configMap": {"name": "m", "items": [{"key": "k", "path": "p"}]}})
        }
        _ => json!({"name": name, "secret": {"secretName": "s"}}),
    }
}

fn volumes(random: &mut Random) -> Value {
    list(random, 4, volume)
}

fn metadata(random: &mut Random) -> Value {
    let mut map = Map::new();
    map.insert("name".to_owned(), json!("x"));
    maybe(random, &mut map, "labels", labels);
    maybe(random, &mut map, "finalizers", texts);
    Value::Object(map)
}

fn pod_spec(random: &mut Random) -> Value {
    let mut map = Map::new();
    maybe(random, &mut map, "containers", containers);
    maybe(random, &mut map, "volumes", volumes);
    maybe(random, &mut map, "imagePullSecrets", |random| {
        list(random, 4, |_, word| json!({"name": word}))
    });
    maybe(random, &mut map, "tolerations", |random| {
        list(random, 3, |_, word| json!({"key": word}))
    });
    Value::Object(map)
}

fn deployment(random: &mut Random) -> Value {
    let mut spec = Map::new();
    maybe(
        random,
        &mut spec,
        "strategy",
        |random| json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": random.below(5)}}),
    );
    let template = json!({"metadata": {"labels": labels(random)}, "spec": pod_spec(random)});
    spec.insert("template".to_owned(), template);
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata(random), "spec": spec})
}

/// A patch shaped like the document, with directives sprinkled in.
fn deployment_patch(random: &mut Random, document: &Value) -> Value {
    let mut other = deployment(random);
    if random.chance(50) {
        // Half of the patches carry the order that clients compute.
        other = interleave(random, document, other);
    }
    sprinkle(random, &mut other, 0);
    let map = other.as_object_mut().expect("an object");
    map.shift_remove("apiVersion");
    map.shift_remove("kind");
    if let Some(metadata) = map.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.shift_remove("name");
    }
    other
}

/// Adds `$setElementOrder` lists in which live items stand between new ones.
fn interleave(random: &mut Random, document: &Value, change: Value) -> Value {
    let Value::Object(members) = change else {
        return change;
    };
    let mut out = Map::new();
    for (key, value) in members {
        let live = &document[&key];
        let merge_key = match key.as_str() {
            "containers" | "volumes" | "env" | "imagePullSecrets" => Some("name"),
            "ports" => Some("containerPort"),
            "finalizers" => None,
            _ => {
                let value = interleave(random, live, value);
                out.insert(key, value);
                continue;
            }
        };
        let identity = |item: &Value| match merge_key {
            Some(merge_key) => json!({merge_key: item[merge_key]}),
            None => item.clone(),
        };
        let mut order: Vec<Value> = value
            .as_array()
            .into_iter()
            .flatten()
            .map(identity)
            .collect();
        for item in live.as_array().into_iter().flatten() {
            let item = identity(item);
            if !order.contains(&item) && random.chance(50) {
                let place = random.below(order.len() + 1);
                order.insert(place, item);
            }
        }
        if random.chance(5) {
            order.reverse();
        }
        out.insert(format!("$setElementOrder/{key}"), Value::Array(order));
        out.insert(key, value);
    }
    Value::Object(out)
}

fn sprinkle(random: &mut Random, value: &mut Value, depth: usize) {
    match value {
        Value::Array(items) => {
            for item in items.iter_mut() {
                if item.is_object() && random.chance(15) {
                    item["$patch"] = json!("delete");
                }
                sprinkle(random, item, depth + 1);
            }
            if items.iter().any(Value::is_object) && random.chance(6) {
                let place = random.below(items.len() + 1);
                items.insert(place, json!({"$patch": "replace"}));
            }
        }
        Value::Object(map) => {
            let keys: Vec<String> = map
                .keys()
                .filter(|key| !key.starts_with('$'))
                .cloned()
                .collect();
            for key in &keys {
                match map.get_mut(key) {
                    Some(value) if random.chance(4) && depth > 0 && key != "name" => {
                        *value = Value::Null
                    }
                    Some(value) => sprinkle(random, value, depth + 1),
                    None => {}
                }
            }
            if let Some(finalizers) = map.get("finalizers").filter(|value| value.is_array())
                && random.chance(40)
            {
                let finalizers = finalizers.clone();
                map.shift_remove("finalizers");
                map.shift_remove("$setElementOrder/finalizers");
                map.insert("$deleteFromPrimitiveList/finalizers".to_owned(), finalizers);
            }
            if (map.contains_key("emptyDir") || map.contains_key("type")) && random.chance(50) {
                let kept: Vec<String> = map.keys().filter(|_| random.chance(95)).cloned().collect();
                map.insert("$retainKeys".to_owned(), json!(kept));
            }
            if depth > 1 && random.chance(2) {
                let directive = ["replace", "delete", "merge", "odd"][random.below(4)];
                map.insert("$patch".to_owned(), json!(directive));
            }
        }
        _ => {}
    }
}
