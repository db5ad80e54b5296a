//! `.Files`: the files of a chart as templates see them.
//!
//! Reference: `pkg/engine/files.go` of Helm. Patterns are those of
//! `gobwas/glob` with `/` as separator.

use crate::chart::File;
use crate::convert::to_yaml;
use coracle_gotemplate::value::{Elem, Map, MapType, Method, Named, Type, Value};
use coracle_gotemplate::{Entries, Str};
use coracle_goyaml::Dialect;

static FILES: Named = Named {
    name: "engine.files",
    methods: &[
        Method {
            name: "Get",
            params: &[Type::String],
            call: |this, args| Ok(Value::Str(get(this, &args[0]).unwrap_or_else(|| "".into()))),
        },
        Method {
            name: "GetBytes",
            params: &[Type::String],
            call: |this, args| {
                Ok(Value::Bytes(
                    get(this, &args[0]).unwrap_or_else(|| "".into()),
                ))
            },
        },
        Method {
            name: "Glob",
            params: &[Type::String],
            call: |this, args| Ok(glob(this, &args[0])),
        },
        Method {
            name: "AsConfig",
            params: &[],
            call: |this, _| Ok(as_map(this, |data| Value::Str(data.clone()))),
        },
        Method {
            name: "AsSecrets",
            params: &[],
            call: |this, _| {
                Ok(as_map(this, |data| {
                    use base64::Engine;
                    base64::engine::general_purpose::STANDARD
                        .encode(data.as_bytes())
                        .into()
                }))
            },
        },
        Method {
            name: "Lines",
            params: &[Type::String],
            call: |this, args| Ok(lines(get(this, &args[0]))),
        },
    ],
};

const FILES_TYPE: MapType = MapType {
    named: Some(&FILES),
    ..MapType::of(Elem::Bytes)
};

/// Makes the value of `.Files`.
pub fn to_value(files: &[File]) -> Value {
    let entries = files
        .iter()
        .map(|file| {
            (
                Str::from(file.name.as_str()),
                Value::Bytes(Str::from(file.data.clone())),
            )
        })
        .collect();
    Value::Map(Map::typed(FILES_TYPE, entries))
}

fn get(this: &Value, name: &Value) -> Option<Str> {
    match this.as_map()?.get(name.as_str()?)? {
        Value::Bytes(data) => Some(data),
        _ => None,
    }
}

fn glob(this: &Value, pattern: &Value) -> Value {
    let pattern = pattern
        .as_str()
        .map(|text| text.to_text().into_owned())
        .unwrap_or_default();
    let glob = crate::glob::Glob::parse(&pattern);
    let entries: Entries = this
        .as_map()
        .map(|map| {
            map.borrow()
                .iter()
                .filter(|(name, _)| glob.matches(&name.to_text()))
                .map(|(name, data)| (name.clone(), data.clone()))
                .collect()
        })
        .unwrap_or_default();
    Value::Map(Map::typed(FILES_TYPE, entries))
}

/// The files under their last path part, as YAML.
fn as_map(this: &Value, value: fn(&Str) -> Value) -> Value {
    let Some(map) = this.as_map() else {
        return "".into();
    };
    let mut entries = Entries::new();
    for (name, data) in map.borrow().iter() {
        let name = name.to_text();
        let base = name
            .trim_end_matches('/')
            .rsplit('/')
            .next()
            .unwrap_or_default();
        if let Value::Bytes(data) = data {
            entries.insert(base.into(), value(data));
        }
    }
    let mut text = to_yaml(&Value::map(entries), Dialect::V2).unwrap_or_default();
    if text.last() == Some(&b'\n') {
        text.pop();
    }
    text.into()
}

fn lines(data: Option<Str>) -> Value {
    let Some(data) = data else {
        return Value::strings(Vec::<Str>::new());
    };
    let text = data.strip_suffix(b"\n").unwrap_or(&data);
    Value::strings(text.split(|byte| *byte == b'\n'))
}
