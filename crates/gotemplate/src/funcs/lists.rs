//! Sprig's list functions, after its `list.go`.

use super::{A, Answer, Functions, I, int};
use crate::error::Error;
use crate::value::{Elem, List, Value};

pub(super) fn register(table: &mut Functions) {
    for name in ["list", "tuple"] {
        table.variadic(name, &[A], |_, args| Ok(Value::list(args.to_vec())));
    }
    for name in ["append", "push", "mustAppend", "mustPush"] {
        table.add(name, &[A, A], |_, args| {
            let mut items = items(&args[0], "Cannot push on type")?;
            items.push(args[1].clone());
            Ok(Value::list(items))
        });
    }
    for name in ["prepend", "mustPrepend"] {
        table.add(name, &[A, A], |_, args| {
            let mut items = items(&args[0], "Cannot prepend on type")?;
            items.insert(0, args[1].clone());
            Ok(Value::list(items))
        });
    }
    for name in ["first", "mustFirst"] {
        table.add(name, &[A], |_, args| {
            Ok(items(&args[0], "Cannot find first on type")?
                .first()
                .cloned()
                .unwrap_or_default())
        });
    }
    for name in ["last", "mustLast"] {
        table.add(name, &[A], |_, args| {
            Ok(items(&args[0], "Cannot find last on type")?
                .last()
                .cloned()
                .unwrap_or_default())
        });
    }
    for name in ["rest", "mustRest"] {
        table.add(name, &[A], |_, args| {
            let items = items(&args[0], "Cannot find rest on type")?;
            Ok(items
                .split_first()
                .map_or_else(none, |(_, rest)| Value::list(rest.to_vec())))
        });
    }
    for name in ["initial", "mustInitial"] {
        table.add(name, &[A], |_, args| {
            let items = items(&args[0], "Cannot find initial on type")?;
            Ok(items
                .split_last()
                .map_or_else(none, |(_, rest)| Value::list(rest.to_vec())))
        });
    }
    for name in ["reverse", "mustReverse"] {
        table.add(name, &[A], |_, args| {
            let mut items = items(&args[0], "Cannot find reverse on type")?;
            items.reverse();
            Ok(Value::list(items))
        });
    }
    for name in ["compact", "mustCompact"] {
        table.add(name, &[A], |_, args| {
            let mut items = items(&args[0], "Cannot compact on type")?;
            items.retain(|item| !super::defaults::empty(item));
            Ok(Value::list(items))
        });
    }
    for name in ["uniq", "mustUniq"] {
        table.add(name, &[A], |_, args| {
            let mut seen: Vec<Value> = Vec::new();
            for item in items(&args[0], "Cannot find uniq on type")? {
                if !contains(&seen, &item) {
                    seen.push(item);
                }
            }
            Ok(Value::list(seen))
        });
    }
    for name in ["without", "mustWithout"] {
        table.variadic(name, &[A, A], |_, args| {
            let mut items = items(&args[0], "Cannot find without on type")?;
            items.retain(|item| !contains(&args[1..], item));
            Ok(Value::list(items))
        });
    }
    for name in ["has", "mustHas"] {
        table.add(name, &[A, A], |_, args| {
            if args[1].is_nil() {
                return Ok(Value::Bool(false));
            }
            let items = items(&args[1], "Cannot find has on type")?;
            Ok(Value::Bool(contains(&items, &args[0])))
        });
    }
    for name in ["slice", "mustSlice"] {
        table.variadic(name, &[A, A], |_, args| slice(args));
    }
    for name in ["chunk", "mustChunk"] {
        table.add(name, &[I, A], |_, args| chunk(int(&args[0]), &args[1]));
    }
    table.variadic("concat", &[A], |_, args| {
        let mut all = Vec::new();
        for list in args {
            let Some(items) = list.items() else {
                return Err(match list {
                    Value::Nil => nil_panic(),
                    other => format!("Cannot concat type {} as list", other.kind().name()).into(),
                });
            };
            all.extend(items);
        }
        Ok(Value::List(List::appended(Elem::Any, all)))
    });
}

/// A nil `[]interface {}`.
fn none() -> Value {
    Value::List(List::appended(Elem::Any, Vec::new()))
}

/// What Go says when `reflect.TypeOf(nil).Kind()` is asked for.
fn nil_panic() -> Error {
    Error::message("runtime error: invalid memory address or nil pointer dereference")
}

fn items(value: &Value, complaint: &str) -> Result<Vec<Value>, Error> {
    match value.items() {
        Some(items) => Ok(items),
        None if value.is_nil() => Err(nil_panic()),
        None => Err(format!("{complaint} {}", value.kind().name()).into()),
    }
}

fn contains(items: &[Value], wanted: &Value) -> bool {
    items.iter().any(|item| item.deep_equal(wanted))
}

fn slice(args: &[Value]) -> Answer {
    let items = items(&args[0], "list should be type of slice or array but")?;
    if items.is_empty() {
        return Ok(Value::Nil);
    }
    let start = args.get(1).map_or(0, super::cast::to_int64);
    let end = args
        .get(2)
        .map_or(items.len() as i64, super::cast::to_int64);
    if start < 0 || end < start || end > items.len() as i64 {
        return Err("reflect.Value.Slice: slice index out of bounds".into());
    }
    let part = items[start as usize..end as usize].to_vec();
    Ok(match &args[0] {
        Value::List(list) => Value::List(List::typed(list.ty.elem, part)),
        _ => Value::list(part),
    })
}

fn chunk(size: i64, list: &Value) -> Answer {
    let items = items(list, "Cannot chunk type")?;
    let Some(size) = usize::try_from(size).ok().filter(|size| *size > 0) else {
        return Err("runtime error: makeslice: len out of range".into());
    };
    let chunks = items
        .chunks(size)
        .map(|chunk| Value::list(chunk.to_vec()))
        .collect();
    Ok(Value::List(List::typed(Elem::List, chunks)))
}
