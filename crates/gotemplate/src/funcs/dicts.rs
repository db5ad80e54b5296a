//! Sprig's dictionary functions, after its `dict.go` and `dario.cat/mergo`.
//!
//! Go's map order is random, so the order of `keys` and `values` upstream is
//! too; here it is that of the keys' bytes.

use super::{A, Answer, Functions, M, S, s, strval};
use crate::error::Error;
use crate::value::{Elem, Entries, Kind, List, Map, Str, Value};

pub(super) fn register(table: &mut Functions) {
    table.variadic("dict", &[A], |_, args| Ok(dict(args)));
    table.add("get", &[M, S], |_, args| {
        Ok(found(&args[0], s(&args[1])).unwrap_or_else(|| "".into()))
    });
    table.add("set", &[M, S, A], |_, args| {
        let Value::Map(map) = &args[0] else {
            return Err("assignment to entry in nil map".into());
        };
        map.insert(s(&args[1]), args[2].clone());
        Ok(args[0].clone())
    });
    table.add("unset", &[M, S], |_, args| {
        if let Value::Map(map) = &args[0] {
            map.borrow_mut().remove(s(&args[1]));
        }
        Ok(args[0].clone())
    });
    table.add("hasKey", &[M, S], |_, args| {
        Ok(found(&args[0], s(&args[1])).is_some().into())
    });
    table.variadic("pluck", &[S, M], |_, args| {
        let key = s(&args[0]);
        Ok(Value::list(
            args[1..].iter().filter_map(|map| found(map, key)).collect(),
        ))
    });
    table.variadic("keys", &[M], |_, args| {
        let mut keys = Vec::new();
        for map in args.iter().filter_map(Value::as_map) {
            keys.extend(map.borrow().keys().map(|key| Value::Str(key.clone())));
        }
        Ok(Value::List(List::typed(Elem::String, keys)))
    });
    table.add("values", &[M], |_, args| {
        let map = args[0]
            .as_map()
            .map(|map| map.borrow().values().cloned().collect());
        Ok(Value::list(map.unwrap_or_default()))
    });
    table.variadic("pick", &[M, S], |_, args| {
        let picked = args[1..]
            .iter()
            .filter_map(|key| Some((Str::from(s(key)), found(&args[0], s(key))?)))
            .collect();
        Ok(Value::map(picked))
    });
    table.variadic("omit", &[M, S], |_, args| {
        let mut entries = entries(&args[0]);
        for key in &args[1..] {
            entries.remove(s(key));
        }
        Ok(Value::map(entries))
    });
    for name in ["merge", "mustMerge"] {
        table.variadic(name, &[M, M], |_, args| merge_all(args, false));
    }
    for name in ["mergeOverwrite", "mustMergeOverwrite"] {
        table.variadic(name, &[M, M], |_, args| merge_all(args, true));
    }
    for name in ["deepCopy", "mustDeepCopy"] {
        table.add(name, &[A], |_, args| Ok(args[0].deep_copy()));
    }
    table.variadic("dig", &[A], |_, args| dig(args));
}

fn entries(map: &Value) -> Entries {
    map.as_map()
        .map(|map| map.borrow().clone())
        .unwrap_or_default()
}

fn found(map: &Value, key: &[u8]) -> Option<Value> {
    map.as_map()?.get(key)
}

fn dict(args: &[Value]) -> Value {
    let entries = args
        .chunks(2)
        .map(|pair| {
            let value = pair.get(1).cloned().unwrap_or_else(|| "".into());
            (strval(&pair[0]), value)
        })
        .collect();
    Value::map(entries)
}

fn merge_all(args: &[Value], overwrite: bool) -> Answer {
    let target = match &args[0] {
        Value::Map(map) => map.clone(),
        _ => Map::new(Entries::new()),
    };
    for source in &args[1..] {
        if let Value::Map(source) = source {
            merge(&target, source, overwrite, 0);
        }
    }
    Ok(Value::Map(target))
}

/// Nested deeper than this, maps are not merged: they contain themselves.
const DEPTH_MAX: usize = 200;

/// `mergo.Merge` for maps: what the target has and is not empty stays, unless
/// `overwrite`; lists are replaced, never joined.
fn merge(target: &Map, source: &Map, overwrite: bool, depth: usize) {
    if target.same(source) || depth > DEPTH_MAX {
        return;
    }
    let entries = source.borrow().clone();
    for (key, value) in entries {
        let existing = target.get(&key);
        if value.is_nil() {
            if overwrite {
                target.insert(key, value);
            }
            continue;
        }
        if let (Value::Map(value), Some(Value::Map(existing))) = (&value, &existing) {
            merge(existing, value, overwrite, depth + 1);
            if !existing.is_empty() {
                continue;
            }
        }
        let filled = existing
            .as_ref()
            .is_some_and(|existing| !is_empty(existing));
        if overwrite || !filled {
            target.insert(key, value);
        }
    }
}

fn is_empty(value: &Value) -> bool {
    !matches!(value.kind(), Kind::Struct | Kind::Ptr) && !value.truth()
}

fn conversion(value: &Value, wanted: &str) -> Error {
    let text = match value {
        Value::Nil => format!("interface conversion: interface {{}} is nil, not {wanted}"),
        other => {
            format!(
                "interface conversion: interface {{}} is {}, not {wanted}",
                other.type_name()
            )
        }
    };
    Error::message(text)
}

fn plain_map(value: &Value) -> Result<&Map, Error> {
    match value {
        Value::Map(map) if map.ty.elem == Elem::Any && map.ty.named.is_none() => Ok(map),
        other => Err(conversion(other, "map[string]interface {}")),
    }
}

fn dig(args: &[Value]) -> Answer {
    if args.len() < 3 {
        return Err("dig needs at least three arguments".into());
    }
    let (keys, rest) = args.split_at(args.len() - 2);
    let (default, mut holder) = (&rest[0], rest[1].clone());
    plain_map(&holder)?;
    for key in keys {
        if !matches!(key, Value::Str(_)) {
            return Err(conversion(key, "string"));
        }
    }
    for (at, key) in keys.iter().enumerate() {
        let Some(step) = plain_map(&holder)?.get(s(key)) else {
            return Ok(default.clone());
        };
        if at + 1 == keys.len() {
            return Ok(step);
        }
        holder = step;
    }
    Ok(default.clone())
}
