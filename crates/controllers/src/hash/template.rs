//! The hash of a pod template as upstream computes it, so that the same template
//! has the same ReplicaSet name everywhere.
//!
//! Upstream hashes Go's view of the value: every field by its Go name and type,
//! written by go-spew with `%#v` (k8s.io/utils/dump `ForHash`, pkg/controller
//! `ComputeHash`). `layout.txt` has the names and types. Fractions of binary
//! units and amounts beyond 64 bits are written as if they were small.

use std::collections::HashMap;
use std::fmt::Write;
use std::sync::LazyLock;

use k8s_openapi::api::core::v1::PodTemplateSpec;
use serde_json::Value;

use super::{fnv32a, safe_encode};

const ROOT: &str = "v1.PodTemplateSpec";

struct Field {
    name: &'static str,
    /// `None` for members that stand in the owner itself.
    json: Option<&'static str>,
    type_name: &'static str,
}

type Layout = HashMap<&'static str, Vec<Field>>;

static LAYOUT: LazyLock<Layout> = LazyLock::new(|| {
    let mut layout = Layout::new();
    let mut current = "";
    for line in include_str!("layout.txt").lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            [name, json, type_name] if line.starts_with(' ') => {
                let json = (json != "-").then_some(json);
                let field = Field {
                    name,
                    json,
                    type_name,
                };
                layout.entry(current).or_default().push(field);
            }
            [name] => current = name,
            _ => {}
        }
    }
    layout
});

/// Returns the hash in the name of a template's ReplicaSet; `collisions` is
/// what the status of its owner says, if it says anything.
pub fn of(template: &PodTemplateSpec, collisions: Option<i32>) -> String {
    let value = serde_json::to_value(template).unwrap_or_default();
    let mut more = Vec::new();
    if let Some(collisions) = collisions {
        // Upstream writes 32 bits into a buffer of eight bytes.
        more.extend(collisions.to_le_bytes());
        more.extend([0; 4]);
    }
    let text = dump(&value);
    safe_encode(fnv32a(text.into_bytes().into_iter().chain(more)))
}

fn dump(template: &Value) -> String {
    let mut out = String::new();
    typed(&mut out, ROOT, template);
    out
}

/// Writes a value with its type before it.
fn typed(out: &mut String, type_name: &str, value: &Value) {
    let _ = write!(out, "({type_name})");
    match type_name.strip_prefix('*') {
        Some(_) if value.is_null() => out.push_str("<nil>"),
        Some(target) => plain(out, target, value),
        None => plain(out, type_name, value),
    }
}

/// Writes a value whose type stands already, or is not written.
fn plain(out: &mut String, type_name: &str, value: &Value) {
    if let Some(item) = type_name.strip_prefix("[]") {
        return list(out, item, value);
    }
    if let Some(item) = type_name.strip_prefix("map[string]") {
        return map(out, item, value);
    }
    match type_name {
        "v1.ResourceList" => map(out, "resource.Quantity", value),
        "bool" => {
            let _ = write!(out, "{}", value.as_bool().unwrap_or(false));
        }
        "int32" | "int64" => {
            let _ = write!(out, "{}", value.as_i64().unwrap_or(0));
        }
        "resource.Quantity" => quantity(out, value.as_str().unwrap_or("0")),
        "intstr.IntOrString" => int_or_string(out, value),
        // A template has no times of its own.
        "v1.Time" => out
            .push_str("{Time:(time.Time){wall:(uint64)0 ext:(int64)0 loc:(*time.Location)<nil>}}"),
        _ => match LAYOUT.get(type_name) {
            Some(fields) => structure(out, fields, value),
            None => out.push_str(value.as_str().unwrap_or_default()),
        },
    }
}

fn list(out: &mut String, item: &str, value: &Value) {
    let Some(items) = value.as_array().filter(|items| !items.is_empty()) else {
        return out.push_str("<nil>");
    };
    out.push('[');
    for (at, value) in items.iter().enumerate() {
        if at > 0 {
            out.push(' ');
        }
        plain(out, item, value);
    }
    out.push(']');
}

fn map(out: &mut String, item: &str, value: &Value) {
    let Some(members) = value.as_object().filter(|members| !members.is_empty()) else {
        return out.push_str("<nil>");
    };
    let mut members: Vec<(&String, &Value)> = members.iter().collect();
    members.sort_by_key(|(key, _)| *key);
    out.push_str("map[");
    for (at, (key, value)) in members.into_iter().enumerate() {
        if at > 0 {
            out.push(' ');
        }
        out.push_str(key);
        out.push(':');
        plain(out, item, value);
    }
    out.push(']');
}

fn structure(out: &mut String, fields: &[Field], value: &Value) {
    out.push('{');
    for (at, field) in fields.iter().enumerate() {
        if at > 0 {
            out.push(' ');
        }
        out.push_str(field.name);
        out.push(':');
        let member = field
            .json
            .map_or(value, |json| value.get(json).unwrap_or(&Value::Null));
        typed(out, field.type_name, member);
    }
    out.push('}');
}

fn int_or_string(out: &mut String, value: &Value) {
    let _ = match value.as_str() {
        Some(text) => write!(
            out,
            "{{Type:(intstr.Type)1 IntVal:(int32)0 StrVal:(string){text}}}"
        ),
        None => {
            let number = value.as_i64().unwrap_or(0);
            write!(
                out,
                "{{Type:(intstr.Type)0 IntVal:(int32){number} StrVal:(string)}}"
            )
        }
    };
}

/// Writes a quantity as upstream's fast path reads it
/// (apimachinery pkg/api/resource `ParseQuantity`).
fn quantity(out: &mut String, text: &str) {
    let read = Amount::read(text);
    let _ = write!(
        out,
        "{{i:(resource.int64Amount){{value:(int64){} scale:(resource.Scale){}}} \
         d:(resource.infDecAmount){{Dec:(*inf.Dec)<nil>}} s:(string){} Format:(resource.Format){}}}",
        read.value,
        read.scale,
        if read.keeps_text { text } else { "" },
        read.format
    );
}

struct Amount {
    value: i64,
    scale: i32,
    /// Whether upstream keeps the text beside the number.
    keeps_text: bool,
    format: &'static str,
}

impl Amount {
    fn read(text: &str) -> Amount {
        if text == "0" {
            return Amount {
                value: 0,
                scale: 0,
                keeps_text: true,
                format: "DecimalSI",
            };
        }
        let at = text
            .find(|letter: char| !letter.is_ascii_digit() && !matches!(letter, '.' | '-' | '+'))
            .unwrap_or(text.len());
        let (number, suffix) = text.split_at(at);
        let unsigned = number.trim_start_matches(['+', '-']);
        let sign = if number.starts_with('-') { -1 } else { 1 };
        let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
        let whole = whole.trim_start_matches('0');
        let digits = format!("{}{fraction}", if whole.is_empty() { "0" } else { whole });
        let value: i64 = digits.parse().unwrap_or(i64::MAX);
        if let Some(power) = binary(suffix) {
            return Amount {
                value: sign * value.saturating_mul(1 << power),
                scale: 0,
                keeps_text: value % 8 != 0,
                format: "BinarySI",
            };
        }
        let (power, format) = decimal(suffix);
        let scale = power - i32::try_from(fraction.len()).unwrap_or(0);
        Amount {
            value: sign * value,
            scale,
            keeps_text: scale % 3 == 0 && !digits.ends_with("000") && !digits.starts_with('0'),
            format,
        }
    }
}

fn binary(suffix: &str) -> Option<u32> {
    let at = ["Ki", "Mi", "Gi", "Ti", "Pi", "Ei"]
        .iter()
        .position(|known| *known == suffix)?;
    Some(10 * (u32::try_from(at).unwrap_or(0) + 1))
}

fn decimal(suffix: &str) -> (i32, &'static str) {
    let power = match suffix {
        "n" => -9,
        "u" => -6,
        "m" => -3,
        "k" => 3,
        "M" => 6,
        "G" => 9,
        "T" => 12,
        "P" => 15,
        "E" => 18,
        "" => 0,
        exponent => {
            let digits = exponent.trim_start_matches(['e', 'E']);
            return (digits.parse().unwrap_or(0), "DecimalExponent");
        }
    };
    (power, "DecimalSI")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(metadata: Value, collisions: Option<i32>, expected: &str) {
        let template = json!({
            "metadata": metadata,
            "spec": {
                "containers": [{
                    "name": "c", "image": "example.test/app:1", "resources": {}, "imagePullPolicy": "IfNotPresent",
                    "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File",
                }],
                "restartPolicy": "Always", "terminationGracePeriodSeconds": 30, "dnsPolicy": "ClusterFirst",
                "securityContext": {}, "schedulerName": "default-scheduler",
            },
        });
        let template = serde_json::from_value(template).expect("a template");
        assert_eq!(of(&template, collisions), expected, "{metadata}");
    }

    /// What Kubernetes 1.36.2 named the ReplicaSets of these templates.
    #[test]
    fn a_template_has_upstreams_hash() {
        let labels = json!({"app": "a"});
        check(json!({"labels": labels}), None, "85ccfc9847");
        check(
            json!({"labels": labels, "annotations": {"v": "2"}}),
            None,
            "cdb7495d4",
        );
    }

    #[test]
    fn fields_are_written_as_go_spew_does() {
        let text = dump(&json!({"spec": {
            "containers": [{"name": "c", "ports": [{"containerPort": 80}], "resources": {"limits": {"cpu": "100m"}}}],
            "volumes": [{"name": "v", "emptyDir": {}}],
        }}));
        for part in [
            "(v1.PodTemplateSpec){ObjectMeta:(v1.ObjectMeta){Name:(string) GenerateName:(string) ",
            "Volumes:([]v1.Volume)[{Name:(string)v VolumeSource:(v1.VolumeSource){HostPath:(*v1.HostPathVolumeSource)<nil> \
             EmptyDir:(*v1.EmptyDirVolumeSource){Medium:(v1.StorageMedium) SizeLimit:(*resource.Quantity)<nil>} ",
            "Ports:([]v1.ContainerPort)[{Name:(string) HostPort:(int32)0 ContainerPort:(int32)80 Protocol:(v1.Protocol) HostIP:(string)}] ",
            "Limits:(v1.ResourceList)map[cpu:{i:(resource.int64Amount){value:(int64)100 scale:(resource.Scale)-3} \
             d:(resource.infDecAmount){Dec:(*inf.Dec)<nil>} s:(string)100m Format:(resource.Format)DecimalSI}] ",
            "SecurityContext:(*v1.PodSecurityContext)<nil>",
        ] {
            assert!(text.contains(part), "{part}\nis not in\n{text}");
        }
    }

    #[test]
    fn quantities_keep_their_text_where_upstream_does() {
        let check = |text: &str, value: i64, scale: i32, keeps: bool| {
            let read = Amount::read(text);
            assert_eq!(
                (read.value, read.scale, read.keeps_text),
                (value, scale, keeps),
                "{text}"
            );
        };
        check("0", 0, 0, true);
        check("250m", 250, -3, true);
        check("1", 1, 0, true);
        check("64Mi", 64 << 20, 0, false);
        check("100Mi", 100 << 20, 0, true);
        check("1000", 1000, 0, false);
        check("0.5", 5, -1, false);
        check("-2k", -2, 3, true);
        check("12e6", 12, 6, true);
    }
}
