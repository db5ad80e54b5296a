//! Small cases after the recorded answers of a real API server, and
//! properties that hold for every sequence of writes.

use serde_json::{Value, json};

use super::*;
use crate::kinds;
use crate::schema::{Definitions, GroupVersionKind};

/// One object under test with its owners.
struct World {
    schema: Option<Node<'static>>,
    api_version: &'static str,
    object: Value,
    managed: ManagedFields,
    seconds: u32,
}

impl World {
    fn new(api_version: &'static str, kind: &str) -> World {
        let schema = kinds::by_api_version(api_version, kind).map(|kind| kind.schema());
        World {
            schema,
            api_version,
            object: Value::Null,
            managed: ManagedFields::default(),
            seconds: 0,
        }
    }

    fn custom(schema: Value) -> World {
        let kind = GroupVersionKind {
            group: "example.test".into(),
            version: "v1".into(),
            kind: "X".into(),
        };
        let definitions = Definitions::from_structural(kind, &schema).expect("a structural schema");
        // The types of a test live as long as it does.
        let definitions: &'static Definitions = Box::leak(Box::new(definitions));
        World {
            schema: definitions.root(),
            ..World::new("example.test/v1", "X")
        }
    }

    fn untyped() -> World {
        World {
            schema: None,
            ..World::new("example.test/v1", "Thing")
        }
    }

    fn tick(&mut self) -> String {
        self.seconds += 1;
        format!(
            "2026-01-01T00:{:02}:{:02}Z",
            self.seconds / 60,
            self.seconds % 60
        )
    }

    /// Stores an object as the server would: canonical and with a uid, and
    /// not at all if nothing but times has changed.
    fn store(&mut self, mut object: Value, managed: ManagedFields) {
        object["metadata"]["uid"] = json!("u");
        if let Some(schema) = self.schema {
            canonicalize(schema, &mut object);
        }
        if object != self.object || !managed.equal_but_times(&self.managed) {
            (self.object, self.managed) = (object, managed);
        }
    }

    fn live(&self) -> Option<(&Value, &ManagedFields)> {
        (!self.object.is_null()).then_some((&self.object, &self.managed))
    }

    fn apply(&mut self, name: &str, config: Value, force: bool) -> Result<(), ApplyError> {
        self.apply_as(name, "", &[], config, force)
    }

    fn apply_as(
        &mut self,
        name: &str,
        subresource: &str,
        reset_fields: &[&str],
        config: Value,
        force: bool,
    ) -> Result<(), ApplyError> {
        let now = self.tick();
        let manager = Manager {
            name,
            subresource,
            api_version: self.api_version,
            now: &now,
            reset_fields,
        };
        let config = merged(
            json!({"apiVersion": self.api_version, "kind": "X", "metadata": {"name": "x"}}),
            config,
        );
        let (object, managed) = apply(self.schema, self.live(), &config, manager, force)?;
        self.store(object, managed);
        Ok(())
    }

    fn update(&mut self, name: &str, patch: Value) {
        let now = self.tick();
        let manager = Manager {
            name,
            subresource: "",
            api_version: self.api_version,
            now: &now,
            reset_fields: &[],
        };
        let base = match &self.object {
            Value::Null => {
                json!({"apiVersion": self.api_version, "kind": "X", "metadata": {"name": "x"}})
            }
            object => object.clone(),
        };
        let mut new = merged(base, patch);
        if let Some(schema) = self.schema {
            canonicalize(schema, &mut new);
        }
        let managed = track_update(self.schema, &self.object, &self.managed, &new, manager);
        if let Some(metadata) = new["metadata"].as_object_mut() {
            metadata.shift_remove("managedFields");
        }
        self.store(new, managed);
    }

    /// The owners as `name/operation[/subresource] fields`, sorted.
    fn owners(&self) -> Vec<String> {
        let mut owners: Vec<String> = self
            .managed
            .entries()
            .map(|entry| {
                format!(
                    "{} {:?} {}",
                    entry.manager,
                    entry.operation,
                    entry.fields.to_json()
                )
            })
            .collect();
        owners.sort();
        owners
    }

    #[track_caller]
    fn check_owners(&self, expected: &[(&str, &str, Value)]) {
        let expected: Vec<String> = expected
            .iter()
            .map(|(name, operation, fields)| format!("{name} {operation} {fields}"))
            .collect();
        assert_eq!(self.owners(), expected);
    }

    fn time_of(&self, name: &str) -> Option<&str> {
        self.managed
            .entries()
            .find(|entry| entry.manager == name)?
            .time
            .as_deref()
    }
}

/// A JSON merge patch, which is how the tests write what changes.
fn merged(base: Value, patch: Value) -> Value {
    crate::patch::merge_patch(&base, &patch).expect("objects")
}

fn deployment(replicas: u32) -> Value {
    json!({"spec": {
        "replicas": replicas,
        "selector": {"matchLabels": {"app": "a"}},
        "template": {"metadata": {"labels": {"app": "a"}}, "spec": {"containers": [{"name": "c", "image": "i:1"}]}},
    }})
}

#[test]
fn create_reapply_conflict_force_give_up() {
    let mut world = World::new("v1", "ConfigMap");
    let label = |value: &str| json!({"metadata": {"labels": {"l": value}}});
    let both = merged(json!({"data": {"k": "v"}}), label("1"));
    world
        .apply("one", json!({"data": {"k": "v"}}), false)
        .expect("applied");
    world.apply("one", both, false).expect("applied");
    let error = world
        .apply("two", label("2"), false)
        .expect_err("a conflict");
    assert_eq!(
        error.to_string(),
        "Apply failed with 1 conflict: conflict with \"one\": .metadata.labels.l"
    );
    assert_eq!((error.code(), error.reason()), (409, "Conflict"));
    let cause = json!({"reason": "FieldManagerConflict", "message": "conflict with \"one\"", "field": ".metadata.labels.l"});
    assert_eq!(error.details(), Some(json!({"causes": [cause]})));
    world.apply("two", label("2"), true).expect("forced");
    world.check_owners(&[
        ("one", "Apply", json!({"f:data": {"f:k": {}}})),
        (
            "two",
            "Apply",
            json!({"f:metadata": {"f:labels": {"f:l": {}}}}),
        ),
    ]);
    world.apply("two", json!({}), false).expect("applied");
    world.check_owners(&[("one", "Apply", json!({"f:data": {"f:k": {}}}))]);
    assert_eq!(world.object["metadata"].get("labels"), None);
}

#[test]
fn shared_fields_stay_until_the_last_owner_leaves() {
    let mut world = World::new("v1", "ConfigMap");
    world
        .apply("one", json!({"data": {"a": "1", "b": "1"}}), false)
        .expect("applied");
    world
        .apply("two", json!({"data": {"a": "1"}}), false)
        .expect("equal values are shared");
    assert_eq!(
        world.time_of("two"),
        None,
        "nothing changed, so there is no time"
    );
    let error = world
        .apply("three", json!({"data": {"a": "2", "b": "2"}}), false)
        .expect_err("conflicts");
    let expected = "Apply failed with 3 conflicts: conflicts with \"one\":\n- .data.a\n- .data.b\nconflicts with \
                    \"two\":\n- .data.a";
    assert_eq!(error.to_string(), expected);
    world.apply("one", json!({}), false).expect("applied");
    assert_eq!(world.object["data"], json!({"a": "1"}));
    world.apply("two", json!({}), false).expect("applied");
    assert_eq!(world.object.get("data"), None);
    assert!(world.managed.is_empty());
}

#[test]
fn what_a_deployment_owns_after_create() {
    let mut world = World::new("apps/v1", "Deployment");
    world.update("creator", deployment(0));
    let fields = json!({"f:spec": {
        "f:replicas": {},
        "f:selector": {},
        "f:template": {
            "f:metadata": {"f:labels": {".": {}, "f:app": {}}},
            "f:spec": {"f:containers": {"k:{\"name\":\"c\"}": {".": {}, "f:image": {}, "f:name": {}, "f:resources": {}}}},
        },
    }});
    world.check_owners(&[("creator", "Update", fields)]);
}

#[test]
fn apply_after_update_and_back() {
    let mut world = World::new("apps/v1", "Deployment");
    world.update("creator", deployment(0));
    let error = world
        .apply("app", deployment(1), false)
        .expect_err("a conflict");
    let expected =
        "Apply failed with 1 conflict: conflict with \"creator\" using apps/v1: .spec.replicas";
    assert_eq!(error.to_string(), expected);
    world.apply("app", deployment(1), true).expect("forced");
    world.update("hand", json!({"spec": {"replicas": 4}}));
    let owner = |world: &World, name: &str| {
        let replicas = Set::from_dotted(&["spec.replicas"]);
        world
            .managed
            .entries()
            .any(|entry| entry.manager == name && !entry.fields.intersection(&replicas).is_empty())
    };
    assert!(owner(&world, "hand") && !owner(&world, "app") && !owner(&world, "creator"));
    let time = world.time_of("app").map(str::to_owned);
    world
        .apply("app", deployment(4), false)
        .expect("an equal value is shared");
    assert!(owner(&world, "hand") && owner(&world, "app"));
    assert_eq!(
        world.time_of("app").map(str::to_owned),
        time,
        "the object did not change"
    );
}

#[test]
fn list_items_are_owned_by_key() {
    let mut world = World::new("v1", "Service");
    let ports = |ports: Value| json!({"spec": {"ports": ports}});
    world
        .apply("one", ports(json!([{"name": "a", "port": 80}])), false)
        .expect("applied");
    world
        .apply("two", ports(json!([{"name": "b", "port": 81}])), false)
        .expect("applied");
    world.check_owners(&[
        ("one", "Apply", json!({"f:spec": {"f:ports": {"k:{\"port\":80,\"protocol\":\"TCP\"}": {".": {}, "f:name": {}, "f:port": {}}}}})),
        ("two", "Apply", json!({"f:spec": {"f:ports": {"k:{\"port\":81,\"protocol\":\"TCP\"}": {".": {}, "f:name": {}, "f:port": {}}}}})),
    ]);
    let error = world
        .apply("two", ports(json!([{"name": "z", "port": 80}])), false)
        .expect_err("a conflict");
    let expected = "Apply failed with 1 conflict: conflict with \"one\": .spec.ports[port=80,protocol=\"TCP\"].name";
    assert_eq!(error.to_string(), expected);
    world
        .apply("two", ports(json!([])), false)
        .expect("applied");
    assert_eq!(
        world.object["spec"]["ports"],
        json!([{"name": "a", "port": 80, "targetPort": 0}])
    );
}

#[test]
fn items_follow_the_order_of_the_configuration() {
    let mut world = World::new("v1", "Pod");
    let containers = |names: &[&str]| {
        let containers: Vec<Value> = names.iter().map(|name| json!({"name": name})).collect();
        json!({"spec": {"containers": containers}})
    };
    let names = |world: &World| -> Vec<String> {
        let containers = world.object["spec"]["containers"]
            .as_array()
            .expect("a list");
        containers
            .iter()
            .map(|container| container["name"].as_str().unwrap_or_default().to_owned())
            .collect()
    };
    world
        .apply("one", containers(&["a", "b", "c"]), false)
        .expect("applied");
    world
        .apply("two", containers(&["x", "b"]), false)
        .expect("applied");
    assert_eq!(names(&world), ["a", "x", "b", "c"]);
    world
        .apply("one", containers(&["c", "a"]), false)
        .expect("applied");
    assert_eq!(names(&world), ["x", "b", "c", "a"]);
}

#[test]
fn sets_and_atomic_fields() {
    let mut world = World::new("v1", "Service");
    let finalizers = |list: Value| json!({"metadata": {"finalizers": list}});
    world
        .apply("one", finalizers(json!(["a.test/a"])), false)
        .expect("applied");
    world
        .apply("two", finalizers(json!(["a.test/b"])), false)
        .expect("applied");
    world.check_owners(&[
        (
            "one",
            "Apply",
            json!({"f:metadata": {"f:finalizers": {"v:\"a.test/a\"": {}}}}),
        ),
        (
            "two",
            "Apply",
            json!({"f:metadata": {"f:finalizers": {"v:\"a.test/b\"": {}}}}),
        ),
    ]);
    world
        .apply("one", finalizers(json!([])), false)
        .expect("applied");
    assert_eq!(world.object["metadata"]["finalizers"], json!(["a.test/b"]));
    let selector = |value: &str| json!({"spec": {"selector": {"app": value}}});
    world.apply("one", selector("a"), false).expect("applied");
    let error = world
        .apply("two", selector("b"), false)
        .expect_err("selectors are owned as a whole");
    assert_eq!(
        error.to_string(),
        "Apply failed with 1 conflict: conflict with \"one\": .spec.selector"
    );
}

#[test]
fn the_claim_of_a_volume_is_owned_by_field() {
    let mut world = World::new("v1", "PersistentVolume");
    world
        .apply("one", json!({"spec": {"claimRef": {"name": "a"}}}), false)
        .expect("applied");
    world
        .apply(
            "two",
            json!({"spec": {"claimRef": {"namespace": "b"}}}),
            false,
        )
        .expect("another field");
    world.check_owners(&[
        (
            "one",
            "Apply",
            json!({"f:spec": {"f:claimRef": {"f:name": {}}}}),
        ),
        (
            "two",
            "Apply",
            json!({"f:spec": {"f:claimRef": {"f:namespace": {}}}}),
        ),
    ]);
}

#[test]
fn status_belongs_to_its_subresource() {
    let mut world = World::new("apps/v1", "Deployment");
    let status = json!({"status": {"replicas": 2}});
    world
        .apply_as(
            "one",
            "",
            &["status"],
            merged(deployment(0), json!({"status": {"replicas": 9}})),
            false,
        )
        .expect("applied");
    world
        .apply_as("ctl", "status", &["spec"], status, false)
        .expect("status of others is not in dispute");
    let ctl = world
        .managed
        .entries()
        .find(|entry| entry.manager == "ctl")
        .expect("an owner");
    assert_eq!(
        (ctl.subresource.as_str(), ctl.fields.to_json()),
        ("status", json!({"f:status": {"f:replicas": {}}}))
    );
}

#[test]
fn configurations_that_do_not_fit() {
    let mut world = World::new("apps/v1", "Deployment");
    let mut check = |spec: Value, code: u16, expected: &str| {
        let error = world
            .apply("m", json!({"spec": spec}), false)
            .expect_err("refused");
        let expected = if code == 500 {
            format!("failed to create typed patch object (/x; apps/v1, Kind=X): {expected}")
        } else {
            expected.to_owned()
        };
        assert_eq!((error.code(), error.to_string()), (code, expected));
    };
    let containers = json!([{"name": "c"}, {"name": "c"}]);
    check(
        json!({"template": {"spec": {"containers": containers}}}),
        500,
        ".spec.template.spec.containers: duplicate entries for key [name=\"c\"]",
    );
    check(
        json!({"replicas": "1"}),
        500,
        ".spec.replicas: expected numeric (int or float), got string",
    );
    check(
        json!({"bogus": 1}),
        500,
        ".spec.bogus: field not declared in schema",
    );
    let error = world
        .apply("m", json!({"metadata": {"managedFields": []}}), false)
        .expect_err("refused");
    assert_eq!(
        (error.code(), error.to_string().as_str()),
        (400, "metadata.managedFields must be nil")
    );
}

#[test]
fn managers_can_be_forgotten() {
    let mut world = World::new("v1", "ConfigMap");
    world
        .apply("one", json!({"data": {"a": "1"}}), false)
        .expect("applied");
    world.update("oracle", json!({"data": {"b": "2"}}));
    world.update(
        "oracle",
        json!({"metadata": {"managedFields": [{"manager": "x", "operation": "Bogus"}]}}),
    );
    assert_eq!(world.owners().len(), 2, "an invalid list changes nothing");
    world.update("oracle", json!({"metadata": {"managedFields": [{}]}}));
    assert!(world.managed.is_empty());
    world.update("z", json!({"data": {"c": "3"}}));
    assert!(
        world.managed.is_empty(),
        "nobody tracks the object any more"
    );
    let error = world
        .apply("one", json!({"data": {"a": "9"}}), false)
        .expect_err("a conflict");
    let expected =
        "Apply failed with 1 conflict: conflict with \"before-first-apply\" using v1: .data.a";
    assert_eq!(error.to_string(), expected);
}

#[test]
fn old_updates_are_merged() {
    let mut world = World::new("v1", "ConfigMap");
    for index in 0..14 {
        world.update(
            &format!("m{index:02}"),
            json!({"data": {format!("k{index:02}"): "v"}}),
        );
    }
    assert_eq!(world.managed.entries().count(), 10);
    let ancient = world
        .managed
        .entries()
        .find(|entry| entry.manager == "ancient-changes")
        .expect("a merged entry");
    assert_eq!(
        ancient.fields.paths().len(),
        6,
        "five keys, and data itself"
    );
    assert_eq!(ancient.time.as_deref(), Some("2026-01-01T00:00:05Z"));
}

#[test]
fn kubectl_takes_over_from_client_side_apply() {
    const ANNOTATION: &str = "kubectl.kubernetes.io/last-applied-configuration";
    let mut world = World::new("v1", "ConfigMap");
    let last = r#"{"apiVersion":"v1","kind":"X","metadata":{"name":"x"},"data":{"a":"1","b":"1"}}"#;
    let annotated =
        json!({"metadata": {"annotations": {ANNOTATION: last}}, "data": {"a": "1", "b": "1"}});
    world.update("kubectl-client-side-apply", annotated);
    world.update("hand", json!({"data": {"b": "2"}}));
    let error = world
        .apply("kubectl", json!({"data": {"a": "5", "b": "5"}}), false)
        .expect_err("b was changed since");
    let expected = "Apply failed with 1 conflict: conflict with \"hand\" using v1: .data.b";
    assert_eq!(error.to_string(), expected);
    world
        .apply("kubectl", json!({"data": {"a": "5", "b": "2"}}), false)
        .expect("a was its own");
    let kept = world.object["metadata"]["annotations"][ANNOTATION]
        .as_str()
        .expect("a text");
    let expected = "{\"apiVersion\":\"v1\",\"data\":{\"a\":\"5\",\"b\":\"2\"},\"kind\":\"X\",\"metadata\":{\"name\":\"x\"}}\n";
    assert_eq!(kept, expected);
    world
        .apply("helm", json!({"data": {"a": "6"}}), false)
        .expect_err("only kubectl may");
}

#[test]
fn without_a_schema_maps_are_granular_and_lists_whole() {
    let mut world = World::untyped();
    world
        .apply(
            "one",
            json!({"spec": {"a": {"b": 1}, "l": [{"name": "x"}]}}),
            false,
        )
        .expect("applied");
    world
        .apply("two", json!({"spec": {"a": {"c": 2}}}), false)
        .expect("another member");
    let error = world
        .apply("two", json!({"spec": {"l": []}}), false)
        .expect_err("the list is one");
    assert_eq!(
        error.to_string(),
        "Apply failed with 1 conflict: conflict with \"one\": .spec.l"
    );
    world.apply("one", json!({}), false).expect("applied");
    assert_eq!(world.object["spec"], json!({"a": {"c": 2}}));
}

fn widget(list: Value) -> Value {
    let mut items = json!({"type": "array", "items": {"type": "object", "properties": {
        "name": {"type": "string"}, "value": {"x-kubernetes-int-or-string": true},
    }}});
    items
        .as_object_mut()
        .expect("an object")
        .extend(list.as_object().expect("an object").clone());
    json!({"type": "object", "properties": {"spec": {"type": "object", "properties": {
        "items": items,
        "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": true, "properties": {"a": {"type": "object", "properties": {}}}},
        "whole": {"type": "object", "x-kubernetes-map-type": "atomic", "additionalProperties": {"type": "string"}},
    }}}})
}

#[test]
fn custom_types() {
    let keyed = json!({"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]});
    let mut world = World::custom(widget(keyed));
    let spec = json!({"items": [{"name": "a", "value": 1}, {"name": "b", "value": "x"}], "free": {"q": {"r": 1}}, "whole": {"k": "v"}});
    world
        .apply("one", json!({"spec": spec}), false)
        .expect("applied");
    world
        .apply(
            "two",
            json!({"spec": {"items": [{"name": "c"}], "free": {"q": {"s": 2}}}}),
            false,
        )
        .expect("other fields");
    let error = world
        .apply("two", json!({"spec": {"whole": {"l": "w"}}}), false)
        .expect_err("the map is one");
    assert_eq!(
        error.to_string(),
        "Apply failed with 1 conflict: conflict with \"one\": .spec.whole"
    );
    let error = world
        .apply("one", json!({"spec": {"bogus": 1}}), false)
        .expect_err("refused");
    assert!(
        error
            .to_string()
            .ends_with(": .spec.bogus: field not declared in schema"),
        "{error}"
    );

    let mut changed = World::custom(widget(json!({"x-kubernetes-list-type": "atomic"})));
    (changed.object, changed.managed) = (world.object, world.managed);
    let error = changed
        .apply("two", json!({"spec": {"items": []}}), false)
        .expect_err("the list is one now");
    assert_eq!(
        error.to_string(),
        "Apply failed with 1 conflict: conflict with \"one\": .spec.items"
    );
}

#[test]
fn owners_of_another_version_lose_what_changes_in_theirs() {
    let mut world = World::new("autoscaling/v1", "HorizontalPodAutoscaler");
    let target = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "d"});
    let kind = json!({"kind": "HorizontalPodAutoscaler"});
    let old = json!({"spec": {"scaleTargetRef": target, "maxReplicas": 3, "targetCPUUtilizationPercentage": 50}});
    world
        .apply("one", merged(old, kind.clone()), false)
        .expect("applied");
    // The same object, now seen and written through the other version.
    let kind_v2 =
        kinds::by_kind("autoscaling", "v2", "HorizontalPodAutoscaler").expect("a built-in kind");
    world.schema = Some(kind_v2.schema());
    world.api_version = "autoscaling/v2";
    let metrics = |percent: u32| {
        let target = json!({"type": "Utilization", "averageUtilization": percent});
        json!([{"type": "Resource", "resource": {"name": "cpu", "target": target}}])
    };
    let mut live = world.object.clone();
    live["apiVersion"] = json!("autoscaling/v2");
    if let Some(spec) = live["spec"].as_object_mut() {
        spec.shift_remove("targetCPUUtilizationPercentage");
        spec.insert("metrics".into(), metrics(50));
    }
    world.object = live;
    let error = world
        .apply(
            "two",
            merged(json!({"spec": {"metrics": metrics(80)}}), kind),
            false,
        )
        .expect_err("the percentage is the other version's metric");
    let expected =
        "Apply failed with 1 conflict: conflict with \"one\": .spec.targetCPUUtilizationPercentage";
    assert_eq!(error.to_string(), expected);
}

#[test]
fn scale_and_object_share_the_owners_of_replicas() {
    let mut world = World::new("apps/v1", "Deployment");
    world.apply("one", deployment(0), false).expect("applied");
    let scale = to_scale(&world.managed, "spec.replicas");
    let object = |replicas: u32| json!({"metadata": {"name": "x", "uid": "u"}, "spec": {"replicas": replicas}});
    let manager = Manager {
        name: "hpa",
        subresource: "scale",
        api_version: "autoscaling/v1",
        now: "2026-01-01T00:01:00Z",
        reset_fields: &[],
    };
    let scale = track_update(None, &object(0), &scale, &object(5), manager);
    world.managed = from_scale(&world.managed, &scale, "spec.replicas", "apps/v1");
    world.object["spec"]["replicas"] = json!(5);
    let error = world
        .apply("one", deployment(0), false)
        .expect_err("a conflict");
    let expected = "Apply failed with 1 conflict: conflict with \"hpa\" with subresource \"scale\" using apps/v1: .spec.replicas";
    assert_eq!(error.to_string(), expected);
}

#[test]
fn lists_of_managers_read_and_write() {
    let list = json!([
        {"manager": "a", "operation": "Apply", "apiVersion": "v1", "time": "2026-01-01T00:00:00Z", "fieldsType": "FieldsV1", "fieldsV1": {"f:data": {"f:a": {}}}},
        {"manager": "b", "operation": "Update", "apiVersion": "v1", "fieldsType": "FieldsV1", "fieldsV1": {"f:status": {}}, "subresource": "status"},
        {"manager": "c", "operation": "Update", "apiVersion": "v1", "time": "2026-01-01T00:00:00Z", "fieldsType": "FieldsV1", "fieldsV1": {"f:data": {".": {}}}},
    ]);
    let managed = ManagedFields::from_json(&list).expect("valid");
    let mut expected = list.clone();
    expected[2]["fieldsV1"] = json!({"f:data": {}});
    assert_eq!(managed.to_json().to_string(), expected.to_string());
    assert_eq!(managed.to_text(), expected.to_string());
    assert_eq!(
        ManagedFields::from_text(list.to_string().as_bytes()).as_ref(),
        Ok(&managed)
    );
    assert!(matches!(
        ManagedFields::from_text(b"[1"),
        Err(ManagedFieldsError::Malformed(_))
    ));
    let error = |entry: Value| {
        ManagedFields::from_json(&json!([entry]))
            .expect_err("refused")
            .to_string()
    };
    assert_eq!(
        error(json!({"operation": "Bogus"})),
        "operation must be `Apply` or `Update`"
    );
    assert_eq!(
        error(json!({"operation": "Apply"})),
        "apiVersion must not be empty"
    );
    assert_eq!(
        error(json!({"operation": "Apply", "apiVersion": "v1"})),
        "missing fieldsType in managed fields entry 0"
    );
}

/// Random configurations of a ConfigMap and a Pod, applied by three managers
/// and updated by two; after each write the properties are checked.
#[test]
fn properties_of_random_writes() {
    for seed in 0..100 {
        let mut random = Random(seed);
        let mut world = match random.below(3) {
            0 => World::new("v1", "ConfigMap"),
            1 => World::new("v1", "Pod"),
            _ => World::untyped(),
        };
        for _ in 0..12 {
            write(&mut world, &mut random);
        }
    }
}

fn write(world: &mut World, random: &mut Random) {
    let name = ["one", "two", "three"][random.below(3)];
    let config = config(world, random);
    if random.below(4) == 0 {
        world.update(["hand", "robot"][random.below(2)], config);
        return;
    }
    let (before, owners) = (world.object.clone(), world.owners());
    if let Err(error) = world.apply(name, config.clone(), false) {
        assert!(matches!(error, ApplyError::Conflicts(_)), "{error}");
        assert_eq!(
            (&world.object, world.owners()),
            (&before, owners),
            "a refused apply changes nothing"
        );
        world
            .apply(name, config.clone(), true)
            .expect("force always wins");
    }
    for path in fields_of(&config, Type::root(world.schema))
        .difference(&Set::from_dotted(UNOWNED))
        .paths()
    {
        let owned = world
            .managed
            .entries()
            .any(|entry| entry.manager == name && entry.fields.has(&path.0));
        assert!(owned, "{name} does not own {path}");
    }
    let (applied, owners, time) = (
        world.object.clone(),
        world.owners(),
        world.time_of(name).map(str::to_owned),
    );
    world
        .apply(name, config, false)
        .expect("applying again is no conflict");
    assert_eq!(
        (&world.object, world.owners()),
        (&applied, owners),
        "applying again changes nothing"
    );
    assert_eq!(world.time_of(name).map(str::to_owned), time);
    let list = world.managed.to_json();
    assert_eq!(ManagedFields::from_json(&list).as_ref(), Ok(&world.managed));
    assert!(
        world
            .managed
            .entries()
            .all(|entry| !entry.fields.is_empty())
    );
}

/// A configuration without empty lists and maps, which the canonical form
/// drops although they are owned: as with upstream, applying such a one again
/// may meet who owned the map before.
fn config(world: &World, random: &mut Random) -> Value {
    without_empties(any_config(world, random))
}

fn without_empties(value: Value) -> Value {
    let is_empty = |value: &Value| *value == json!({}) || *value == json!([]);
    match value {
        Value::Object(map) => {
            let members = map
                .into_iter()
                .map(|(name, value)| (name, without_empties(value)));
            Value::Object(members.filter(|(_, value)| !is_empty(value)).collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(without_empties).collect()),
        scalar => scalar,
    }
}

fn any_config(world: &World, random: &mut Random) -> Value {
    let words = |random: &mut Random| -> Vec<&str> {
        ["a", "b", "c", "d"]
            .into_iter()
            .filter(|_| random.below(2) == 0)
            .collect()
    };
    let labels: serde_json::Map<String, Value> = words(random)
        .into_iter()
        .map(|word| (word.to_owned(), json!(random.below(3).to_string())))
        .collect();
    let metadata = json!({"labels": labels, "finalizers": words(random)});
    match world.api_version {
        "v1" if world
            .schema
            .is_some_and(|schema| schema.field("data").is_some()) =>
        {
            json!({"metadata": metadata, "data": labels})
        }
        _ => {
            let containers = words(random).into_iter().map(|word| {
                let env: Vec<Value> =
                    words(random).into_iter().map(|name| json!({"name": name, "value": random.below(3).to_string()})).collect();
                json!({"name": word, "image": random.below(3).to_string(), "env": env, "args": words(random)})
            });
            let containers: Vec<Value> = containers.collect();
            json!({"metadata": metadata, "spec": {"containers": containers, "hostNetwork": random.below(2) == 0}})
        }
    }
}

/// SplitMix64: every seed gives its own case, again and again.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % limit as u64) as usize
    }
}
