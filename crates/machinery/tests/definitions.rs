//! What is refused of custom resource definitions; the cases follow the
//! validation of `apiextensions-apiserver` at Kubernetes 1.36.

use coracle_machinery::{default, kinds, strategy, strict, validate};
use serde_json::{Value, json};

fn definition(version: Value) -> Value {
    let mut version = version;
    version["name"] = json!("v1");
    version["served"] = json!(true);
    version["storage"] = json!(true);
    if version["schema"].is_null() {
        version["schema"] = json!({"openAPIV3Schema": {"type": "object"}});
    }
    json!({
        "metadata": {"name": "widgets.a.test"},
        "spec": {
            "group": "a.test",
            "scope": "Namespaced",
            "names": {"plural": "widgets", "singular": "widget", "kind": "Widget", "listKind": "WidgetList"},
            "versions": [version],
        },
    })
}

#[track_caller]
fn check(mut object: Value, expected: &[&str]) {
    let kind = kinds::by_api_version("apiextensions.k8s.io/v1", "CustomResourceDefinition")
        .expect("a built-in kind");
    object["metadata"]["uid"] = json!("u");
    strict::read(kind, &mut object).expect("types fit");
    default::apply(kind, &mut object);
    let now = "2024-01-01T00:00:00Z".parse().expect("a time");
    strategy::prepare_create(kind, &mut object, now);
    let causes = validate::create(kind, &object);
    let texts: Vec<String> = causes
        .iter()
        .map(|cause| format!("{}: {}", cause.field, cause.message))
        .collect();
    assert_eq!(texts, expected);
}

/// Judges a field `f` of the schema of the only version; `^` stands for its path.
#[track_caller]
fn field(schema: Value, expected: &[&str]) {
    let root = json!({"type": "object", "properties": {"f": schema}});
    let path = "spec.validation.openAPIV3Schema.properties[f]";
    let expected: Vec<String> = expected
        .iter()
        .map(|text| text.replace('^', path))
        .collect();
    let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
    check(
        definition(json!({"schema": {"openAPIV3Schema": root}})),
        &expected,
    );
}

#[test]
fn defaults_fit_their_schema() {
    let object = json!({"type": "object", "properties": {
        "a": {"type": "string", "maxLength": 2}, "b": {"type": "integer"}}});
    let with = |default: Value| {
        let mut schema = object.clone();
        schema["default"] = default;
        schema
    };
    field(with(json!({"a": "x", "b": 1})), &[]);
    field(
        with(json!({"a": "xyz"})),
        &["^.default.a: Too long: may not be more than 2 bytes"],
    );
    field(
        with(json!({"b": "x"})),
        &["^.default.b: Invalid value: \"string\": b in body must be of type integer: \"string\""],
    );
    field(
        with(json!({"c": 1})),
        &["^.default: Invalid value: {\"c\":1}: must not have unknown fields"],
    );
    field(
        json!({"type": "string", "enum": ["a", "b"], "default": "c"}),
        &["^.default: Unsupported value: \"c\": supported values: \"a\", \"b\""],
    );
    field(
        json!({"type": "integer", "maximum": 3, "default": 4}),
        &["^.default: Invalid value: 4:  in body should be less than or equal to 3"],
    );
    field(
        json!({"type": "array", "items": {"type": "string"}, "default": ["a"]}),
        &[],
    );
}

#[test]
fn a_default_of_metadata_is_refused() {
    let root =
        json!({"type": "object", "properties": {"metadata": {"type": "object", "default": {}}}});
    check(
        definition(json!({"schema": {"openAPIV3Schema": root}})),
        &[
            "spec.validation.openAPIV3Schema.properties[metadata].default: Forbidden: must not be set in top-level metadata",
        ],
    );
}

#[test]
fn schemas_are_structural() {
    field(
        json!({"type": "object", "additionalProperties": {"type": "string"}, "properties": {"a": {"type": "string"}}}),
        &[
            "^.additionalProperties: Forbidden: additionalProperties and properties are mutual exclusive",
        ],
    );
    field(
        json!({"x-kubernetes-int-or-string": true, "anyOf": [{"type": "integer"}, {"type": "string"}]}),
        &[],
    );
    field(
        json!({"type": "string", "anyOf": [{"type": "string", "description": "d"}, {"nullable": true}]}),
        &[
            "^.anyOf[0].description: Forbidden: must be empty to be structural",
            "^.anyOf[0].type: Forbidden: must be empty to be structural",
            "^.anyOf[1].nullable: Forbidden: must be false to be structural",
        ],
    );
    field(
        json!({"type": "object", "x-kubernetes-embedded-resource": true}),
        &[
            "^.properties: Required value: must not be empty if x-kubernetes-embedded-resource is true without x-kubernetes-preserve-unknown-fields",
        ],
    );
    field(
        json!({"x-kubernetes-int-or-string": true, "x-kubernetes-preserve-unknown-fields": true}),
        &[
            "^.x-kubernetes-preserve-unknown-fields: Invalid value: true: must be false if x-kubernetes-int-or-string is true",
        ],
    );
    let root = json!({"type": "object", "properties": {"a": {"type": "string"}},
        "additionalProperties": true, "nullable": true,
        "anyOf": [{"properties": {"b": {"minLength": 1}}}]});
    let path = "spec.validation.openAPIV3Schema";
    check(
        definition(json!({"schema": {"openAPIV3Schema": root}})),
        &[
            &format!("{path}.nullable: Forbidden: nullable cannot be true at the root"),
            &format!("{path}.additionalProperties: Forbidden: must not be used at the root"),
            &format!(
                "{path}.properties[b]: Required value: because it is defined in {path}.anyOf[0].properties[b]"
            ),
        ],
    );
}

#[test]
fn parts_that_are_not_understood() {
    field(
        json!({"type": "string", "$ref": "#/x", "uniqueItems": true}),
        &[
            "^.$ref: Forbidden: $ref is not supported",
            "^.uniqueItems: Forbidden: uniqueItems cannot be set to true since the runtime complexity becomes quadratic",
        ],
    );
    field(
        json!({"type": "null"}),
        &[
            "^.type: Unsupported value: \"null\": supported values: \"array\", \"boolean\", \"integer\", \"number\", \"object\", \"string\"",
            "^.type: Forbidden: type cannot be set to null, use nullable as an alternative",
        ],
    );
    field(
        json!({"type": "object", "x-kubernetes-preserve-unknown-fields": false}),
        &[
            "^.x-kubernetes-preserve-unknown-fields: Invalid value: false: must be true or undefined",
        ],
    );
}

#[test]
fn list_and_map_types() {
    let items = json!({"type": "object", "properties": {"k": {"type": "string"}, "l": {"type": "array", "items": {"type": "string"}}}});
    let keyed = |keys: Value| json!({"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": keys, "items": items});
    field(
        keyed(json!(["k"])),
        &[
            "^.items.properties[k].default: Required value: this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property",
        ],
    );
    field(
        keyed(json!(["z"])),
        &[
            "^.x-kubernetes-list-map-keys: Invalid value: [\"z\"]: entries must all be names of item properties",
        ],
    );
    field(
        json!({"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "object", "nullable": true}}),
        &[
            "^.items.x-kubernetes-map-type: Invalid value: null: must be atomic as item of a list with x-kubernetes-list-type=set",
            "^.items.nullable: Forbidden: cannot be nullable when x-kubernetes-list-type is set",
        ],
    );
    field(
        json!({"type": "string", "x-kubernetes-list-type": "bag"}),
        &[
            "^.type: Invalid value: \"string\": must be array if x-kubernetes-list-type is specified",
            "^.x-kubernetes-list-type: Unsupported value: \"bag\": supported values: \"atomic\", \"set\", \"map\"",
        ],
    );
    field(
        json!({"type": "array", "items": {"type": "string"}, "x-kubernetes-map-type": "atomic"}),
        &["^.type: Invalid value: \"array\": must be object if x-kubernetes-map-type is specified"],
    );
}

#[test]
fn subresources_and_columns() {
    check(
        definition(json!({"subresources": {"scale": {
            "specReplicasPath": "spec.replicas", "statusReplicasPath": ".spec.replicas", "labelSelectorPath": ".metadata.x"}}})),
        &[
            "spec.subresources.scale.specReplicasPath: Invalid value: \"spec.replicas\": must be a simple json path starting with .",
            "spec.subresources.scale.statusReplicasPath: Invalid value: \".spec.replicas\": should be a json path under .status",
            "spec.subresources.scale.labelSelectorPath: Invalid value: \".metadata.x\": should be a json path under either .spec or .status",
        ],
    );
    check(
        definition(
            json!({"subresources": {"scale": {"specReplicasPath": "", "statusReplicasPath": ""}}}),
        ),
        &[
            "spec.subresources.scale.specReplicasPath: Required value",
            "spec.subresources.scale.statusReplicasPath: Required value",
        ],
    );
    check(
        definition(json!({"additionalPrinterColumns": [
            {"name": "A", "type": "thing", "jsonPath": "spec.a"}, {"name": "B", "type": "string", "format": "odd", "jsonPath": ".b"}]})),
        &[
            "spec.additionalPrinterColumns[0].type: Invalid value: \"thing\": must be one of boolean,date,integer,number,string",
            "spec.additionalPrinterColumns[0].JSONPath: Invalid value: \"spec.a\": must be a simple json path starting with .",
            "spec.additionalPrinterColumns[1].format: Invalid value: \"odd\": must be one of byte,date,date-time,double,float,int32,int64,password",
        ],
    );
    check(
        definition(json!({"deprecationWarning": "old"})),
        &[
            "spec.versions[0].deprecationWarning: Invalid value: \"old\": can only be set for deprecated versions",
        ],
    );
}

#[test]
fn selectable_fields() {
    let root = json!({"type": "object", "properties": {"spec": {"type": "object", "properties": {
        "a": {"type": "string"}, "l": {"type": "array", "items": {"type": "string"}}}}}});
    let fields = |paths: &[&str]| {
        let list: Vec<Value> = paths.iter().map(|path| json!({"jsonPath": path})).collect();
        definition(json!({"schema": {"openAPIV3Schema": root}, "selectableFields": list}))
    };
    check(fields(&[".spec.a"]), &[]);
    check(
        fields(&[
            ".spec.b",
            "spec.a",
            ".spec.l",
            ".spec.a",
            ".spec.a",
            ".spec.l[0]",
        ]),
        &[
            "spec.selectableFields[0].jsonPath: Invalid value: \".spec.b\": is an invalid path: does not refer to a valid field",
            "spec.selectableFields[1].jsonPath: Invalid value: \"spec.a\": is an invalid path: expected [ or . but got: spec",
            "spec.selectableFields[2].jsonPath: Invalid value: \".spec.l\": must point to a field of type string, boolean or integer. Enum string fields and strings with formats are allowed.",
            "spec.selectableFields[4].jsonPath: Duplicate value: \".spec.a\"",
            "spec.selectableFields[5].jsonPath: Invalid value: \".spec.l[0]\": is an invalid path: array notation is not allowed",
        ],
    );
}

#[test]
fn conversion_is_by_webhook_or_not_at_all() {
    let with = |conversion: Value| {
        let mut object = definition(json!({}));
        object["spec"]["conversion"] = conversion;
        object
    };
    check(
        with(
            json!({"strategy": "None", "webhook": {"conversionReviewVersions": ["v1"], "clientConfig": {"url": "https://x"}}}),
        ),
        &[
            "spec.conversion.webhookClientConfig: Forbidden: should not be set when strategy is not set to Webhook",
            "spec.conversion.conversionReviewVersions: Forbidden: should not be set when strategy is not set to Webhook",
        ],
    );
    check(
        with(
            json!({"strategy": "Webhook", "webhook": {"conversionReviewVersions": ["v9"], "clientConfig": {}}}),
        ),
        &[
            "spec.conversion.webhookClientConfig: Required value: exactly one of url or service is required",
            "spec.conversion.conversionReviewVersions: Invalid value: [\"v9\"]: must include at least one of v1, v1beta1",
        ],
    );
}
