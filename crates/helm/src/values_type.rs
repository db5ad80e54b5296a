//! `common.Values`: a map with methods (helm `pkg/chart/common/values.go`).
//!
//! Main type: [`VALUES_TYPE`].

use coracle_gotemplate::value::{Elem, MapType, Method, Named, Type};
use coracle_gotemplate::{Entries, Str, Value};
use coracle_goyaml as yaml;

/// `common.Values`: a map with methods.
pub(crate) const VALUES_TYPE: MapType = MapType {
    named: Some(&VALUES),
    ..MapType::of(Elem::Any)
};

static VALUES: Named = Named {
    name: "common.Values",
    methods: &[
        Method {
            name: "AsMap",
            params: &[],
            call: |this, _| match this {
                Value::Map(map) => Ok(Value::Map(
                    map.with_type(coracle_gotemplate::value::MAP_ANY),
                )),
                _ => Ok(Value::map(Entries::new())),
            },
        },
        Method {
            name: "YAML",
            params: &[],
            call: |this, _| crate::convert::to_yaml(this, yaml::Dialect::V2).map(Value::from),
        },
        Method {
            name: "Table",
            params: &[Type::String],
            call: |this, args| table(this, &args[0]),
        },
        Method {
            name: "PathValue",
            params: &[Type::String],
            call: |this, args| path_value(this, &args[0]),
        },
    ],
};

fn path_of(value: &Value) -> String {
    value
        .as_str()
        .map(|text| text.to_text().into_owned())
        .unwrap_or_default()
}

fn table(this: &Value, path: &Value) -> Result<Value, String> {
    let mut here = this.clone();
    for part in path_of(path).split('.') {
        let next = here.as_map().and_then(|map| map.get(part.as_bytes()));
        here = match next {
            Some(Value::Map(map)) => Value::Map(map.with_type(VALUES_TYPE)),
            _ => return Err(format!("{part:?} is not a table")),
        };
    }
    Ok(here)
}

fn path_value(this: &Value, path: &Value) -> Result<Value, String> {
    let path = path_of(path);
    if path.is_empty() {
        return Err("YAML path cannot be empty".into());
    }
    let (holder, key) = match path.rsplit_once('.') {
        Some((holder, key)) => (table(this, &holder.into()).ok(), key.to_owned()),
        None => (Some(this.clone()), path),
    };
    let found = holder
        .and_then(|holder| holder.as_map()?.get(&Str::from(key.as_str())))
        .filter(|value| !matches!(value, Value::Map(map) if map.ty.named.is_none()));
    found.ok_or_else(|| format!("{key:?} is not a value"))
}
