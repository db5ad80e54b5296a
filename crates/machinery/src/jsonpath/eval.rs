//! Evaluation of parsed templates.

use std::borrow::Cow;
use std::cmp::Ordering;

use serde_json::{Map, Value};

use super::{Block, Comparison, PathError, Slice, Step};

type Found<'v> = Vec<Cow<'v, Value>>;

/// Returns what every block finds, starting at `value`.
pub(super) fn find<'v>(
    blocks: &[Block],
    value: &Cow<'v, Value>,
) -> Result<Vec<Found<'v>>, PathError> {
    let mut groups = Vec::new();
    for block in blocks {
        match block {
            Block::Steps(steps) => groups.push(walk(vec![value.clone()], steps)?),
            Block::Range(steps, inner) => {
                for item in walk(vec![value.clone()], steps)? {
                    groups.extend(find(inner, &item)?);
                }
            }
        }
    }
    Ok(groups)
}

fn walk<'v>(values: Found<'v>, steps: &[Step]) -> Result<Found<'v>, PathError> {
    steps.iter().try_fold(values, take)
}

fn take<'v>(values: Found<'v>, step: &Step) -> Result<Found<'v>, PathError> {
    Ok(match step {
        // A quoted text stands once; a number or truth value once per value.
        Step::Text(text @ Value::String(_)) => vec![Cow::Owned(text.clone())],
        Step::Text(scalar) => values.iter().map(|_| Cow::Owned(scalar.clone())).collect(),
        Step::Field(name) => values
            .into_iter()
            .filter_map(|value| member(value, name))
            .collect(),
        Step::Slice(slice) => {
            let mut found = Vec::new();
            for value in values {
                found.extend(cut(value, *slice)?);
            }
            found
        }
        Step::Filter(left, comparison) => {
            let mut found = Vec::new();
            for value in values {
                found.extend(filter(value, left, comparison.as_ref())?);
            }
            found
        }
        Step::Wildcard => values.into_iter().flat_map(children).collect(),
        Step::Recursive => {
            let mut found = Vec::new();
            for value in values {
                descend(value, &mut found);
            }
            found
        }
        Step::Union(members) => {
            let mut found = Vec::new();
            for steps in members {
                found.extend(walk(values.clone(), steps)?);
            }
            found
        }
    })
}

fn member<'v>(value: Cow<'v, Value>, name: &str) -> Option<Cow<'v, Value>> {
    match value {
        Cow::Borrowed(value) => value.as_object()?.get(name).map(Cow::Borrowed),
        Cow::Owned(mut value) => value.as_object_mut()?.shift_remove(name).map(Cow::Owned),
    }
}

fn children(value: Cow<'_, Value>) -> Found<'_> {
    match value {
        Cow::Borrowed(Value::Array(items)) => items.iter().map(Cow::Borrowed).collect(),
        Cow::Borrowed(Value::Object(map)) => map.values().map(Cow::Borrowed).collect(),
        Cow::Owned(Value::Array(items)) => items.into_iter().map(Cow::Owned).collect(),
        Cow::Owned(Value::Object(map)) => map
            .into_iter()
            .map(|(_, value)| Cow::Owned(value))
            .collect(),
        _ => Vec::new(),
    }
}

/// Collects a value that holds others, and those below it.
fn descend<'v>(value: Cow<'v, Value>, found: &mut Found<'v>) {
    let below = children(value.clone());
    if below.is_empty() {
        return;
    }
    found.push(value);
    for child in below {
        descend(child, found);
    }
}

fn cut<'v>(value: Cow<'v, Value>, slice: Slice) -> Result<Found<'v>, PathError> {
    if value.is_null() {
        return Ok(Vec::new());
    }
    if !value.is_array() {
        let kind = kind(&value);
        return Err(PathError::Evaluation(format!(
            "{kind} is not array or slice"
        )));
    }
    let items = children(value);
    let length = items.len() as i64;
    let mut from = slice.from.unwrap_or(0);
    let mut to = if slice.single {
        from.saturating_add(1)
    } else {
        slice.to.unwrap_or(length)
    };
    if from < 0 {
        from += length;
    }
    if to < 0 || (to == 0 && slice.single) {
        to += length;
    }
    if from == to {
        return Ok(Vec::new());
    }
    let outside = |index: i64| {
        Err(PathError::Evaluation(format!(
            "array index out of bounds: index {index}, length {length}"
        )))
    };
    if !(0..length).contains(&from) {
        return outside(from);
    }
    if !(0..=length).contains(&to) {
        return outside(to - 1);
    }
    if from > to {
        let message = format!("starting index {from} is greater than ending index {to}");
        return Err(PathError::Evaluation(message));
    }
    let step = slice.step.unwrap_or(1);
    let step = usize::try_from(step).ok().filter(|step| *step > 0);
    let step = step.ok_or_else(|| PathError::Evaluation("step must be > 0".to_owned()))?;
    Ok(items
        .into_iter()
        .take(to as usize)
        .skip(from as usize)
        .step_by(step)
        .collect())
}

fn filter<'v>(
    value: Cow<'v, Value>,
    left: &[Step],
    comparison: Option<&(Comparison, Vec<Step>)>,
) -> Result<Found<'v>, PathError> {
    if !value.is_array() {
        let message = format!(
            "{} is not array or slice and cannot be filtered",
            super::as_text(&value)
        );
        return Err(PathError::Evaluation(message));
    }
    let mut found = Vec::new();
    for item in children(value) {
        let lefts = walk(vec![item.clone()], left);
        let Some((comparison, right)) = comparison else {
            if lefts.is_ok_and(|lefts| !lefts.is_empty()) {
                found.push(item);
            }
            continue;
        };
        let (Some(left), Some(right)) =
            (single(lefts?)?, single(walk(vec![item.clone()], right)?)?)
        else {
            continue;
        };
        if compare(&left, &right, *comparison)? {
            found.push(item);
        }
    }
    Ok(found)
}

fn single(found: Found<'_>) -> Result<Option<Cow<'_, Value>>, PathError> {
    if found.len() > 1 {
        return Err(PathError::Evaluation(
            "can only compare one element at a time".to_owned(),
        ));
    }
    Ok(found.into_iter().next())
}

fn compare(left: &Value, right: &Value, comparison: Comparison) -> Result<bool, PathError> {
    let bad = |message: &str| PathError::Evaluation(message.to_owned());
    let order = match (left, right) {
        (Value::String(left), Value::String(right)) => left.cmp(right),
        (Value::Number(left), Value::Number(right)) => match (left.as_i64(), right.as_i64()) {
            (Some(left), Some(right)) => left.cmp(&right),
            (None, None) => left
                .as_f64()
                .unwrap_or_default()
                .total_cmp(&right.as_f64().unwrap_or_default()),
            _ => return Err(bad("incompatible types for comparison")),
        },
        (Value::Bool(left), Value::Bool(right))
            if matches!(comparison, Comparison::Equal | Comparison::NotEqual) =>
        {
            left.cmp(right)
        }
        (
            Value::String(_) | Value::Number(_) | Value::Bool(_),
            Value::String(_) | Value::Number(_) | Value::Bool(_),
        ) => {
            return Err(bad("incompatible types for comparison"));
        }
        _ => return Err(bad("invalid type for comparison")),
    };
    Ok(match comparison {
        Comparison::Less => order == Ordering::Less,
        Comparison::Greater => order == Ordering::Greater,
        Comparison::Equal => order == Ordering::Equal,
        Comparison::NotEqual => order != Ordering::Equal,
        Comparison::LessEqual => order != Ordering::Greater,
        Comparison::GreaterEqual => order != Ordering::Less,
    })
}

/// The Go type of a value, for messages.
fn kind(value: &Value) -> &'static str {
    match value {
        Value::Object(_) => "map[string]interface {}",
        Value::String(_) => "string",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_i64() => "int64",
        Value::Number(_) => "float64",
        Value::Array(_) | Value::Null => "[]interface {}",
    }
}

/// The value with the members of its maps in name order, as Go writes them.
pub(super) fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let mut members: Vec<_> = map.iter().collect();
            members.sort_by_key(|(name, _)| *name);
            Value::Object(
                members
                    .into_iter()
                    .map(|(name, value)| (name.clone(), sorted(value)))
                    .collect::<Map<_, _>>(),
            )
        }
        Value::Array(items) => Value::Array(items.iter().map(sorted).collect()),
        scalar => scalar.clone(),
    }
}
