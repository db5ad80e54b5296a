//! Judges a custom object by its OpenAPI schema, in the words of
//! `k8s.io/kube-openapi/pkg/validation` as the API server passes them on.

use serde_json::Value;

use crate::status::Cause;

/// Deepest nesting that is followed.
const DEPTH_MAX: usize = 128;
/// Most causes that are reported.
const CAUSES_MAX: usize = 100;

/// Returns what is wrong with an object.
pub fn object(schema: &Value, value: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    // apiVersion, kind and metadata are judged elsewhere.
    judge(schema, value, "", 0, &mut causes);
    lists(schema, value, "", 0, &mut causes);
    causes.truncate(CAUSES_MAX);
    causes
}

fn push(causes: &mut Vec<Cause>, reason: &str, field: &str, message: String) {
    causes.push(Cause {
        reason: reason.to_owned(),
        message,
        field: field.to_owned(),
    });
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.to_owned()
    } else {
        format!("{path}.{name}")
    }
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number)
            if number.is_f64() && number.as_f64().is_none_or(|number| number.fract() != 0.0) =>
        {
            "number"
        }
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn judge(schema: &Value, value: &Value, path: &str, depth: usize, causes: &mut Vec<Cause>) {
    if depth > DEPTH_MAX
        || causes.len() > CAUSES_MAX
        || (value.is_null() && schema["nullable"] == true)
    {
        return;
    }
    if !type_fits(schema, value, path, causes) {
        return;
    }
    match value {
        Value::Object(map) => object_rules(schema, map, path, depth, causes),
        Value::Array(list) => array_rules(schema, list, path, depth, causes),
        Value::String(text) => string_rules(schema, text, path, causes),
        Value::Number(number) => number_rules(
            schema,
            number.as_f64().unwrap_or_default(),
            value,
            path,
            causes,
        ),
        _ => {}
    }
    one_of(schema, value, path, causes);
    combinations(schema, value, path, depth, causes);
}

fn type_fits(schema: &Value, value: &Value, path: &str, causes: &mut Vec<Cause>) -> bool {
    let found = type_of(value);
    if schema["x-kubernetes-int-or-string"] == true {
        if matches!(found, "integer" | "string") {
            return true;
        }
        let message = format!(
            "Invalid value: {found:?}: {path} in body must be of type integer,string: {found:?}"
        );
        push(causes, "FieldValueTypeInvalid", path, message);
        return false;
    }
    let Some(wanted) = schema["type"].as_str().filter(|wanted| !wanted.is_empty()) else {
        return true;
    };
    if wanted == found || (wanted == "number" && found == "integer") {
        return true;
    }
    let message =
        format!("Invalid value: {found:?}: {path} in body must be of type {wanted}: {found:?}");
    push(causes, "FieldValueTypeInvalid", path, message);
    false
}

fn object_rules(
    schema: &Value,
    map: &serde_json::Map<String, Value>,
    path: &str,
    depth: usize,
    causes: &mut Vec<Cause>,
) {
    let count = map.len() as u64;
    if let Some(most) = schema["maxProperties"]
        .as_u64()
        .filter(|&most| count > most)
    {
        push(
            causes,
            "FieldValueTooMany",
            path,
            format!("Too many: {count}: must have at most {most} items"),
        );
    }
    if let Some(least) = schema["minProperties"]
        .as_u64()
        .filter(|&least| count < least)
    {
        let message = format!(
            "Invalid value: {count}: {path} in body should have at least {least} properties"
        );
        push(causes, "FieldValueInvalid", path, message);
    }
    for required in schema["required"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
    {
        if !map.contains_key(required) {
            push(
                causes,
                "FieldValueRequired",
                &join(path, required),
                "Required value".to_owned(),
            );
        }
    }
    let properties = schema["properties"].as_object();
    for (name, member) in map {
        let own = properties.and_then(|properties| properties.get(name));
        match own {
            // At the root these are judged as of every object.
            _ if path.is_empty() && matches!(name.as_str(), "apiVersion" | "kind" | "metadata") => {
            }
            Some(property) => judge(property, member, &join(path, name), depth + 1, causes),
            None => {
                if let Some(element) = schema
                    .get("additionalProperties")
                    .filter(|element| element.is_object())
                {
                    judge(element, member, &join(path, name), depth + 1, causes);
                }
            }
        }
    }
}

fn array_rules(schema: &Value, list: &[Value], path: &str, depth: usize, causes: &mut Vec<Cause>) {
    let count = list.len() as u64;
    if let Some(most) = schema["maxItems"].as_u64().filter(|&most| count > most) {
        push(
            causes,
            "FieldValueTooMany",
            path,
            format!("Too many: {count}: must have at most {most} items"),
        );
    }
    if let Some(least) = schema["minItems"].as_u64().filter(|&least| count < least) {
        let message =
            format!("Invalid value: {count}: {path} in body should have at least {least} items");
        push(causes, "FieldValueInvalid", path, message);
    }
    if schema["uniqueItems"] == true && (1..list.len()).any(|at| list[..at].contains(&list[at])) {
        let message = format!(
            "Invalid value: {}: {path} in body shouldn't contain duplicates",
            Value::from(list)
        );
        push(causes, "FieldValueInvalid", path, message);
    }
    if let Some(items) = schema.get("items").filter(|items| items.is_object()) {
        for (index, member) in list.iter().enumerate() {
            judge(
                items,
                member,
                &format!("{path}[{index}]"),
                depth + 1,
                causes,
            );
        }
    }
}

fn string_rules(schema: &Value, text: &str, path: &str, causes: &mut Vec<Cause>) {
    let length = text.chars().count() as u64;
    if let Some(most) = schema["maxLength"].as_u64().filter(|&most| length > most) {
        push(
            causes,
            "FieldValueTooLong",
            path,
            format!("Too long: may not be more than {most} bytes"),
        );
        return;
    }
    if let Some(least) = schema["minLength"].as_u64().filter(|&least| length < least) {
        let message = format!(
            "Invalid value: {text:?}: {path} in body should be at least {least} chars long"
        );
        push(causes, "FieldValueInvalid", path, message);
        return;
    }
    if let Some(pattern) = schema["pattern"].as_str() {
        let matches = regex::Regex::new(pattern).is_ok_and(|pattern| pattern.is_match(text));
        if !matches {
            let message =
                format!("Invalid value: {text:?}: {path} in body should match '{pattern}'");
            push(causes, "FieldValueInvalid", path, message);
            return;
        }
    }
    if let Some(format) = schema["format"]
        .as_str()
        .filter(|format| !format_fits(format, text))
    {
        let message =
            format!("Invalid value: {text:?}: {path} in body must be of type {format}: {text:?}");
        push(causes, "FieldValueTypeInvalid", path, message);
    }
}

/// Formats the API server knows; others are not judged.
fn format_fits(format: &str, text: &str) -> bool {
    match format {
        "date-time" | "datetime" => coracle_machinery::time::read(text).is_some(),
        "date" => jiff::civil::Date::strptime("%Y-%m-%d", text).is_ok(),
        "uuid" | "uuid3" | "uuid4" | "uuid5" => uuid::Uuid::try_parse(text).is_ok(),
        "ipv4" => text.parse::<std::net::Ipv4Addr>().is_ok(),
        "ipv6" => text.parse::<std::net::Ipv6Addr>().is_ok(),
        "cidr" => text.split_once('/').is_some_and(|(address, length)| {
            let most = match address.parse::<std::net::IpAddr>() {
                Ok(std::net::IpAddr::V4(_)) => 32,
                Ok(std::net::IpAddr::V6(_)) => 128,
                Err(_) => return false,
            };
            length.parse::<u8>().is_ok_and(|length| length <= most)
        }),
        "byte" => {
            use base64::Engine as _;
            base64::engine::general_purpose::STANDARD
                .decode(text)
                .is_ok()
        }
        "uri" => text.parse::<http::Uri>().is_ok(),
        _ => true,
    }
}

fn number_rules(schema: &Value, number: f64, value: &Value, path: &str, causes: &mut Vec<Cause>) {
    if let Some(most) = schema["maximum"].as_f64() {
        let exclusive = schema["exclusiveMaximum"] == true;
        if number > most || (exclusive && number >= most) {
            let words = if exclusive {
                "should be less than"
            } else {
                "should be less than or equal to"
            };
            let message = format!("Invalid value: {value}: {path} in body {words} {most}");
            push(causes, "FieldValueInvalid", path, message);
        }
    }
    if let Some(least) = schema["minimum"].as_f64() {
        let exclusive = schema["exclusiveMinimum"] == true;
        if number < least || (exclusive && number <= least) {
            let words = if exclusive {
                "should be greater than"
            } else {
                "should be greater than or equal to"
            };
            let message = format!("Invalid value: {value}: {path} in body {words} {least}");
            push(causes, "FieldValueInvalid", path, message);
        }
    }
    if let Some(factor) = schema["multipleOf"].as_f64().filter(|&factor| factor > 0.0)
        && (number / factor).fract() != 0.0
    {
        let message =
            format!("Invalid value: {value}: {path} in body should be a multiple of {factor}");
        push(causes, "FieldValueInvalid", path, message);
    }
}

fn one_of(schema: &Value, value: &Value, path: &str, causes: &mut Vec<Cause>) {
    let Some(allowed) = schema["enum"].as_array() else {
        return;
    };
    if allowed.contains(value) {
        return;
    }
    let list: Vec<String> = allowed.iter().map(Value::to_string).collect();
    let message = format!(
        "Unsupported value: {value}: supported values: {}",
        list.join(", ")
    );
    push(causes, "FieldValueNotSupported", path, message);
}

/// `allOf`, `anyOf`, `oneOf` and `not`.
fn combinations(schema: &Value, value: &Value, path: &str, depth: usize, causes: &mut Vec<Cause>) {
    let fits = |schema: &Value| {
        let mut own = Vec::new();
        judge(schema, value, path, depth + 1, &mut own);
        own.is_empty()
    };
    for part in schema["allOf"].as_array().into_iter().flatten() {
        judge(part, value, path, depth + 1, causes);
    }
    let shown = match value {
        Value::Object(_) | Value::Array(_) => format!("{:?}", type_of(value)),
        scalar => scalar.to_string(),
    };
    if let Some(parts) = schema["anyOf"].as_array()
        && schema["x-kubernetes-int-or-string"] != true
        && !parts.iter().any(fits)
    {
        let message = format!(
            "Invalid value: {shown}: {path} in body must validate at least one schema (anyOf)"
        );
        push(causes, "FieldValueInvalid", path, message);
    }
    if let Some(parts) = schema["oneOf"].as_array() {
        let count = parts.iter().filter(|part| fits(part)).count();
        if count != 1 {
            let found = if count == 0 {
                "Found none valid".to_owned()
            } else {
                format!("Found {count} valid alternatives")
            };
            let message = format!(
                "Invalid value: {shown}: {path} in body must validate one and only one schema (oneOf). {found}"
            );
            push(causes, "FieldValueInvalid", path, message);
        }
    }
    if let Some(part) = schema.get("not").filter(|part| part.is_object())
        && fits(part)
    {
        let message =
            format!("Invalid value: {shown}: {path} in body must not validate the schema (not)");
        push(causes, "FieldValueInvalid", path, message);
    }
}

/// Sets without repetition, maps without a repeated key.
fn lists(schema: &Value, value: &Value, path: &str, depth: usize, causes: &mut Vec<Cause>) {
    if depth > DEPTH_MAX {
        return;
    }
    match value {
        Value::Object(map) => {
            for (name, member) in map {
                let own = schema["properties"]
                    .get(name)
                    .or_else(|| schema.get("additionalProperties"));
                if let Some(own) = own {
                    lists(own, member, &join(path, name), depth + 1, causes);
                }
            }
        }
        Value::Array(list) => {
            let keys: Vec<&str> = schema["x-kubernetes-list-map-keys"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(Value::as_str)
                .collect();
            let identity = |member: &Value| -> Value {
                match schema["x-kubernetes-list-type"].as_str() {
                    Some("map") => keys
                        .iter()
                        .filter_map(|key| Some(((*key).to_owned(), member.get(*key)?.clone())))
                        .collect::<serde_json::Map<String, Value>>()
                        .into(),
                    _ => member.clone(),
                }
            };
            if matches!(
                schema["x-kubernetes-list-type"].as_str(),
                Some("set" | "map")
            ) {
                for (index, member) in list.iter().enumerate() {
                    let own = identity(member);
                    if list[..index].iter().any(|other| identity(other) == own) {
                        let message = format!("Duplicate value: {own}");
                        push(
                            causes,
                            "FieldValueDuplicate",
                            &format!("{path}[{index}]"),
                            message,
                        );
                    }
                }
            }
            if let Some(items) = schema.get("items") {
                for (index, member) in list.iter().enumerate() {
                    lists(
                        items,
                        member,
                        &format!("{path}[{index}]"),
                        depth + 1,
                        causes,
                    );
                }
            }
        }
        _ => {}
    }
}
