//! A YAML 1.1 reader with positions and the two writers that equal go-yaml's. Pure.
//!
//! Reading: [`from_slice`] gives plain values, [`node::Reader`] documents of
//! nodes with positions. Writing: [`write::Writer`], and [`to_string`] for
//! plain values. The words of errors are go-yaml's.

pub mod error;
mod go_syntax;
mod natural;
pub mod node;
pub mod number;
pub mod resolve;
pub mod scan;
pub mod value;
pub mod write;

pub use error::{Error, Mark};
pub use natural::natural_cmp;
pub use node::{Document, Node, NodeId, NodeKind, Place, Reader};
pub use value::{Map, Value, from_slice, only_keys, to_value};
pub use write::{Dialect, Writer};

/// Writes a value as `sigs.k8s.io/yaml` does, with the final line break.
pub fn to_string(value: &Value) -> String {
    let mut writer = Writer::new(Dialect::V2);
    write_value(&mut writer, value);
    String::from_utf8_lossy(&writer.finish()).into_owned()
}

fn write_value(writer: &mut Writer, value: &Value) {
    match value {
        Value::Null => writer.plain("null"),
        Value::Bool(flag) => writer.plain(if *flag { "true" } else { "false" }),
        Value::Int(number) => writer.plain(&number.to_string()),
        Value::Uint(number) => writer.plain(&number.to_string()),
        Value::Float(number) => writer.float(*number),
        Value::Str(text) => writer.string(text),
        Value::Seq(items) => {
            writer.begin_seq(items.is_empty());
            for item in items {
                write_value(writer, item);
            }
            if !items.is_empty() {
                writer.end_seq();
            }
        }
        Value::Map(map) => {
            let mut entries: Vec<(&String, &Value)> = map.iter().collect();
            entries.sort_by(|(a, _), (b, _)| natural_cmp(a.as_bytes(), b.as_bytes()));
            writer.begin_map(entries.is_empty());
            for (key, value) in &entries {
                writer.string(key);
                write_value(writer, value);
            }
            if !entries.is_empty() {
                writer.end_map();
            }
        }
    }
}

#[cfg(test)]
mod tests;
