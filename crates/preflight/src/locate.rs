//! The places behind findings: the template line that wrote a field and the
//! value that decided it.
//!
//! Runs only when something was found. A value is named when the template line
//! mentions it, or when another value there changes the field: that is tried
//! by rendering again.

use crate::Input;
use crate::object::{Object, at, segments, to_json};
use crate::report::Finding;
use crate::sink::Draft;
use crate::world::World;
use coracle_goyaml as yaml;
use coracle_helm::provenance::{Provenance, Written, mentioned, origin, root_path};
use coracle_helm::render::{final_values, trace};
use coracle_helm::{Values, render_with};
use serde_json::Value;
use std::collections::BTreeSet;

/// A word beside a line that silences a rule there.
const IGNORE: &str = "check-ignore:";
/// So many renderings are spent on finding values.
const TRIALS_MAX: usize = 24;
/// So many values are tried for one finding.
const TRIALS_EACH: usize = 4;

/// Completes findings; drops those that the chart silences.
pub fn locate(drafts: Vec<Draft>, world: &World<'_>, input: &Input<'_>) -> Vec<Finding> {
    if drafts.is_empty() {
        return Vec::new();
    }
    let paths: BTreeSet<String> = drafts
        .iter()
        .filter_map(|draft| Some(world.objects[draft.index?].path.clone()))
        .collect();
    let provenance = trace(
        input.chart,
        input.values,
        input.release,
        input.capabilities,
        input.lookup,
        input.options,
        &paths,
    )
    .unwrap_or_default();
    let values = final_values(input.chart, input.values, input.options.level).unwrap_or_default();
    let mut locator = Locator {
        world,
        input,
        silenced: silenced(input),
        provenance,
        values: to_json(yaml::Value::Map(values)),
        trials: TRIALS_MAX,
    };
    drafts
        .into_iter()
        .filter_map(|draft| locator.finding(draft))
        .collect()
}

struct Locator<'l> {
    world: &'l World<'l>,
    input: &'l Input<'l>,
    /// Lines of `Chart.yaml` that silence rules in the whole chart.
    silenced: Vec<String>,
    provenance: Provenance,
    values: Value,
    trials: usize,
}

impl Locator<'_> {
    fn finding(&mut self, draft: Draft) -> Option<Finding> {
        if self.silenced.iter().any(|line| silences(line, draft.rule)) {
            return None;
        }
        let object = draft.index.map(|index| &self.world.objects[index]);
        let written = object.and_then(|object| self.written(object, &draft.field));
        if let Some(written) = &written
            && ignores(written, draft.rule)
        {
            return None;
        }
        let path = match (&draft.value_path, object, &written) {
            (Some(path), _, _) => Some(path.clone()),
            (None, Some(object), Some(written)) => self.value(object, &draft.field, written),
            _ => None,
        };
        let values = path.map(|path| self.described(&path, draft.secret));
        if let Some((_, Some(at))) = &values
            && self.values_line_ignores(at, draft.rule)
        {
            return None;
        }
        Some(Finding {
            severity: draft.severity,
            rule: draft.rule,
            object: draft.object,
            field: draft.field,
            message: draft.message,
            fix: draft.fix,
            place: written.map(|written| written.place()),
            values: values.into_iter().collect(),
            helm: None,
            refused: draft.refused,
        })
    }

    fn written(&self, object: &Object, field: &str) -> Option<Written> {
        let (line, is_value) = object.line_of(field)?;
        self.provenance
            .place(&object.path, &object.body, line, is_value)
    }

    fn described(&self, path: &[String], secret: bool) -> (String, Option<coracle_helm::Origin>) {
        let name = path.join(".");
        let value = lookup(&self.values, path);
        let shown = match value {
            _ if secret => name,
            None | Some(Value::Object(_) | Value::Array(_)) => name,
            Some(value) => format!("{name} = {value}"),
        };
        (shown, origin(self.input.chart, self.input.values, path))
    }

    /// Finds the value behind a field.
    fn value(&mut self, object: &Object, field: &str, written: &Written) -> Option<Vec<String>> {
        let rendered = at(&object.value, field).clone();
        let steps = segments(field);
        let line = written.line_text();
        for names in mentioned(&line) {
            let path = root_path(written.file(), &names);
            if let Some(found) = self.extended(&path, &steps, &rendered) {
                return Some(found);
            }
        }
        if !line.contains("{{") && !line.contains("}}") {
            return None;
        }
        self.tried(object, field, &steps, &rendered)
    }

    /// A mentioned path itself, or the part of it that the field goes on with.
    fn extended(&self, path: &[String], steps: &[String], rendered: &Value) -> Option<Vec<String>> {
        match lookup(&self.values, path)? {
            Value::Object(_) | Value::Array(_) => (0..steps.len()).find_map(|from| {
                let mut longer = path.to_vec();
                longer.extend(steps[from..].iter().cloned());
                let found = lookup(&self.values, &longer)?;
                same(found, rendered).then_some(longer)
            }),
            found if same(found, rendered) => Some(path.to_vec()),
            _ => None,
        }
    }

    /// Tries values that look like the field: another one must change it.
    fn tried(
        &mut self,
        object: &Object,
        field: &str,
        steps: &[String],
        rendered: &Value,
    ) -> Option<Vec<String>> {
        if !matches!(rendered, Value::String(_) | Value::Number(_)) {
            return None;
        }
        let mut candidates: Vec<(usize, Vec<String>)> = Vec::new();
        leaves(&self.values, &mut Vec::new(), &mut |path, value| {
            if same(value, rendered) {
                candidates.push((alike(path, steps), path.to_vec()));
            }
        });
        candidates.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.len().cmp(&b.1.len())));
        for (score, path) in candidates.into_iter().take(TRIALS_EACH) {
            if score == 0 || self.trials == 0 {
                return None;
            }
            self.trials -= 1;
            if self.decides(object, field, &path, rendered) {
                return Some(path);
            }
        }
        None
    }

    /// Whether another value at `path` changes a field.
    fn decides(&self, object: &Object, field: &str, path: &[String], rendered: &Value) -> bool {
        let other = match rendered {
            Value::Number(number) => yaml::Value::Int(number.as_i64().unwrap_or_default() + 1),
            Value::String(text) => yaml::Value::Str(format!("{text}x")),
            _ => return false,
        };
        let mut map = yaml::Map::new();
        place(&mut map, path, other);
        let mut values: Values = self.input.values.clone();
        values.merge_map(map);
        let input = self.input;
        let Ok(again) = render_with(
            input.chart,
            &values,
            input.release,
            input.capabilities,
            input.lookup,
            input.options,
        ) else {
            return false;
        };
        let objects = crate::object::read(
            &again,
            &input.release.namespace,
            &mut crate::sink::Sink::default(),
        );
        let counterpart = objects.iter().find(|other| {
            other.id.kind == object.id.kind
                && other.path == object.path
                && (other.id.name == object.id.name || other.index == object.index)
        });
        counterpart.is_some_and(|other| at(&other.value, field) != rendered)
    }

    fn values_line_ignores(&self, at: &coracle_helm::Origin, rule: &str) -> bool {
        let name = self.input.chart.name();
        let own = format!("{name}/values.yaml");
        let mut texts = self
            .input
            .values
            .sources()
            .iter()
            .filter_map(|source| match source {
                coracle_helm::values::Source::File { name, text } if *name == at.source => {
                    Some(text.clone())
                }
                _ => None,
            });
        let text = match texts.next() {
            Some(text) => Some(text),
            None if at.source == own => self.input.chart.values_text.clone(),
            None => None,
        };
        let Some(text) = text else {
            return false;
        };
        let text = String::from_utf8_lossy(&text);
        let line = |number: usize| text.lines().nth(number.wrapping_sub(1)).unwrap_or_default();
        silences(line(at.line), rule) || silences(line(at.line.wrapping_sub(1)), rule)
    }
}

fn silenced(input: &Input<'_>) -> Vec<String> {
    let file = input
        .chart
        .raw
        .iter()
        .find(|file| file.name == "Chart.yaml");
    let text = file.map(|file| String::from_utf8_lossy(&file.data).into_owned());
    text.unwrap_or_default()
        .lines()
        .filter(|line| line.contains(IGNORE))
        .map(str::to_owned)
        .collect()
}

fn ignores(written: &Written, rule: &str) -> bool {
    silences(&written.line_text(), rule)
        || written
            .line_before()
            .is_some_and(|line| silences(&line, rule))
}

fn silences(line: &str, rule: &str) -> bool {
    let Some((_, rest)) = line.split_once(IGNORE) else {
        return false;
    };
    let names = rest.split_whitespace().next().unwrap_or_default();
    names.split(',').any(|name| name == rule)
}

fn lookup<'v>(values: &'v Value, path: &[String]) -> Option<&'v Value> {
    path.iter().try_fold(values, |here, name| match here {
        Value::Object(map) => map.get(name),
        Value::Array(list) => list.get(name.parse::<usize>().ok()?),
        _ => None,
    })
}

/// Templates turn numbers into texts and the other way round.
fn same(a: &Value, b: &Value) -> bool {
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    match (a, b) {
        (Value::Object(_) | Value::Array(_) | Value::Null, _) | (_, Value::Null) => a == b,
        (_, Value::Object(_) | Value::Array(_)) => false,
        _ => text(a) == text(b),
    }
}

fn leaves(value: &Value, path: &mut Vec<String>, see: &mut dyn FnMut(&[String], &Value)) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                path.push(key.clone());
                leaves(value, path, see);
                path.pop();
            }
        }
        Value::Array(_) => {}
        scalar => see(path, scalar),
    }
}

/// How much the end of a value's path is like that of a field.
fn alike(path: &[String], steps: &[String]) -> usize {
    let names: Vec<&String> = steps
        .iter()
        .filter(|step| step.parse::<usize>().is_err())
        .collect();
    let tail = path
        .iter()
        .rev()
        .zip(names.iter().rev())
        .take_while(|(a, b)| a == *b)
        .count();
    if tail > 0 {
        return tail * 2;
    }
    let (Some(last), Some(name)) = (path.last(), names.last()) else {
        return 0;
    };
    let (last, name) = (last.to_lowercase(), name.to_lowercase());
    usize::from(name.ends_with(&last) || last.ends_with(&name))
}

fn place(map: &mut yaml::Map, path: &[String], value: yaml::Value) {
    match path {
        [] => {}
        [last] => {
            map.insert(last.clone(), value);
        }
        [first, rest @ ..] => {
            let mut below = yaml::Map::new();
            place(&mut below, rest, value);
            map.insert(first.clone(), yaml::Value::Map(below));
        }
    }
}
