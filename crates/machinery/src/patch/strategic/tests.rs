//! Cases whose answers were seen from a real API server, and directives one
//! by one; generated cases are compared with kubectl in `tests/`.

use serde_json::json;

use super::*;
use crate::kinds;

fn patched(document: &Value, patch: &Value) -> Result<Value> {
    let kind = kinds::by_kind("apps", "v1", "Deployment").expect("a built-in kind");
    apply(kind.schema(), document, patch)
}

fn pod(spec: Value) -> Value {
    json!({"spec": {"template": {"spec": spec}}})
}

#[track_caller]
fn check(spec: Value, patch: Value, expected: Value) {
    assert_eq!(patched(&pod(spec), &pod(patch)), Ok(pod(expected)));
}

#[track_caller]
fn check_error(spec: Value, patch: Value, code: u16, message: &str) {
    let error = patched(&pod(spec), &pod(patch)).expect_err("refused");
    assert_eq!((error.code(), error.to_string().as_str()), (code, message));
}

#[test]
fn lists_merge_by_key_and_new_items_come_first() {
    check(
        json!({"containers": [{"name": "c", "image": "1"}, {"name": "d"}]}),
        json!({"containers": [{"name": "n"}, {"name": "c", "image": "2"}]}),
        json!({"containers": [{"name": "n"}, {"name": "c", "image": "2"}, {"name": "d"}]}),
    );
}

#[test]
fn the_order_of_the_patch_wins() {
    check(
        json!({"containers": [{"name": "c"}, {"name": "d"}]}),
        json!({"$setElementOrder/containers": [{"name": "d"}, {"name": "c"}], "containers": [{"name": "d", "image": "9"}]}),
        json!({"containers": [{"name": "d", "image": "9"}, {"name": "c"}]}),
    );
}

/// The added item takes the place that the deleted one left in the live list,
/// so the remaining live item is known to stand before it.
#[test]
fn an_item_added_while_another_is_deleted() {
    check(
        json!({"containers": [{"name": "a"}, {"name": "b"}, {"name": "c"}]}),
        json!({
            "$setElementOrder/containers": [{"name": "x"}, {"name": "b"}],
            "containers": [{"name": "a", "$patch": "delete"}, {"name": "x"}],
        }),
        json!({"containers": [{"name": "c"}, {"name": "x"}, {"name": "b"}]}),
    );
}

#[test]
fn directives() {
    let live = json!({"containers": [{"name": "c", "env": [{"name": "A", "value": "1"}]}], "volumes": [{"name": "v", "emptyDir": {}}]});
    check(
        live.clone(),
        json!({"containers": [{"$patch": "replace"}, {"name": "o"}]}),
        json!({"containers": [{"name": "o"}], "volumes": [{"name": "v", "emptyDir": {}}]}),
    );
    check(
        live.clone(),
        json!({"containers": [{"name": "c", "$patch": "delete"}]}),
        json!({"containers": [], "volumes": [{"name": "v", "emptyDir": {}}]}),
    );
    check(
        live.clone(),
        json!({"volumes": [{"name": "v", "$retainKeys": ["name", "configMap"], "configMap": {"name": "m"}}]}),
        json!({"containers": [{"name": "c", "env": [{"name": "A", "value": "1"}]}], "volumes": [{"name": "v", "configMap": {"name": "m"}}]}),
    );
    check(
        live.clone(),
        json!({"$patch": "replace", "hostNetwork": true}),
        json!({"hostNetwork": true}),
    );
    check(live, json!({"$patch": "delete"}), json!({}));
}

#[test]
fn scalars() {
    let metadata = |finalizers: Value| json!({"metadata": {"finalizers": finalizers}});
    let live = metadata(json!(["a", "b"]));
    let check = |patch: Value, expected: Value| {
        assert_eq!(
            patched(&live, &json!({"metadata": patch})),
            Ok(metadata(expected))
        )
    };
    check(json!({"finalizers": ["c"]}), json!(["c", "a", "b"]));
    check(
        json!({"$deleteFromPrimitiveList/finalizers": ["a"]}),
        json!(["b"]),
    );
    check(
        json!({"finalizers": ["b"], "$setElementOrder/finalizers": ["b", "a"]}),
        json!(["b", "a"]),
    );
}

#[test]
fn atomic_lists_and_nulls() {
    check(
        json!({"tolerations": [{"key": "a"}], "hostNetwork": true}),
        json!({"tolerations": [{"key": "b"}], "hostNetwork": null, "dnsConfig": {"nameservers": null, "searches": ["x"]}}),
        json!({"tolerations": [{"key": "b"}], "dnsConfig": {"searches": ["x"]}}),
    );
}

#[test]
fn errors_of_a_real_server() {
    let live = json!({"containers": [{"name": "c", "image": "1"}]});
    check_error(
        live.clone(),
        json!({"containers": [{"name": "c", "$patch": "bogus"}]}),
        500,
        "unknown patch type: bogus in map: map[$patch:bogus name:c]",
    );
    check_error(
        live.clone(),
        json!({"containers": [{"image": "nokey"}]}),
        500,
        "map: map[image:nokey] does not contain declared merge key: name",
    );
    check_error(
        live.clone(),
        json!({"containers": [{"name": "c"}, {"name": "d"}], "$setElementOrder/containers": [{"name": "d"}, {"name": "c"}]}),
        500,
        "The order in patch list:\n[map[name:c] map[name:d]]\n doesn't match $setElementOrder list:\n[map[name:d] map[name:c]]\n",
    );
    check_error(
        live.clone(),
        json!({"$retainKeys": ["a"], "hostNetwork": true}),
        400,
        "invalid patch format of retainKeys",
    );
    check_error(
        live,
        json!({"$setElementOrder": []}),
        400,
        "invalid patch format of setElementOrder list",
    );
}
