//! Laying values over chart defaults.
//!
//! Works on template values, because Helm shares nested maps between the
//! globals of parent and child: what one lays into them the other sees.
//! Reference: `pkg/chart/common/util/coalesce.go` of Helm 4.2.3; what 4.1 and
//! 3.x do otherwise is in [`Rules`].

use crate::chart::Chart;
use crate::compat::Rules;
use crate::convert::{Numbers, to_entries, to_template};
use coracle_gotemplate::fmt::{sprintf, value_text};
use coracle_gotemplate::{Entries, Map, Str, Value};
use coracle_goyaml as yaml;

const GLOBAL: &[u8] = b"global";

/// Coalesces values with the defaults of a chart and those below it.
pub struct Coalescer<'r> {
    rules: &'r Rules,
    /// Whether nulls stay: used before the final pass.
    merge: bool,
    /// Warnings, as Helm prints them.
    pub warnings: Vec<String>,
}

fn join(a: &str, b: &str) -> String {
    if a.is_empty() {
        b.to_owned()
    } else {
        format!("{a}.{b}")
    }
}

fn show(value: &Value) -> String {
    String::from_utf8_lossy(&value_text(value)).into_owned()
}

impl<'r> Coalescer<'r> {
    /// Coalesces: nulls remove.
    pub fn coalesce(rules: &'r Rules) -> Self {
        Coalescer {
            rules,
            merge: false,
            warnings: Vec::new(),
        }
    }

    /// Merges: nulls stay.
    pub fn merge(rules: &'r Rules) -> Self {
        Coalescer {
            rules,
            merge: true,
            warnings: Vec::new(),
        }
    }

    /// Lays `values` over the chart's defaults.
    ///
    /// # Errors
    ///
    /// When the value of a subchart is no map.
    pub fn run(&mut self, chart: &Chart, values: &yaml::Map) -> Result<Map, String> {
        let values = Map::new(to_entries(values, Numbers::Kept));
        self.chart(chart, &values, "")?;
        Ok(values)
    }

    fn chart(&mut self, chart: &Chart, values: &Map, prefix: &str) -> Result<(), String> {
        self.values(chart, values, prefix);
        for child in &chart.dependencies {
            let name = child.name();
            let below = match values.get(name.as_bytes()) {
                None => {
                    let below = Map::new(Entries::new());
                    values.insert(name, Value::Map(below.clone()));
                    below
                }
                Some(Value::Map(below)) => below,
                Some(other) => {
                    let shown = sprintf(b"%t", &[other]);
                    let shown = String::from_utf8_lossy(&shown);
                    return Err(format!("type mismatch on {name}: {shown}"));
                }
            };
            let prefix = join(prefix, chart.name());
            self.globals(&below, values, &prefix);
            self.chart(child, &below, &prefix)?;
        }
        Ok(())
    }

    fn globals(&mut self, below: &Map, above: &Map, prefix: &str) {
        let empty = || Map::new(Entries::new());
        let side = |map: &Map| match map.get(GLOBAL) {
            None => Some(empty()),
            Some(Value::Map(map)) => Some(map),
            Some(_) => None,
        };
        let Some(target) = side(below) else {
            self.warn("warning: skipping globals because destination global is not a table.");
            return;
        };
        let Some(source) = side(above) else {
            self.warn("warning: skipping globals because source global is not a table.");
            return;
        };
        for (key, value) in source.borrow().clone() {
            let existing = target.get(&key);
            match (value, existing) {
                (Value::Map(value), None) => {
                    let copy = Map::new(value.borrow().clone());
                    target.insert(key, Value::Map(copy));
                }
                (Value::Map(value), Some(Value::Map(existing))) => {
                    // Here the parent's tables lie on top. Only the outermost
                    // map is a copy.
                    let copy = Map::new(value.borrow().clone());
                    let path = join(prefix, &key.to_text());
                    self.tables(&copy, &existing, &path, true);
                    target.insert(key, Value::Map(copy));
                }
                (Value::Map(_), Some(_)) => self.warn(format!(
                    "Conflict: cannot merge map onto non-map for {:?}. Skipping.",
                    key.to_text()
                )),
                (_, Some(Value::Map(_))) => {
                    self.warn(format!("key {} is table. Skipping", key.to_text()));
                }
                (value, _) => target.insert(key, value),
            }
        }
        below.insert(GLOBAL, Value::Map(target));
    }

    fn warn(&mut self, text: impl Into<String>) {
        self.warnings.push(text.into());
    }

    fn values(&mut self, chart: &Chart, values: &Map, prefix: &str) {
        let prefix = join(prefix, chart.name());
        let is_child = |key: &str| chart.dependencies.iter().any(|child| child.name() == key);
        for (key, default) in &chart.values {
            let default = to_template(default, Numbers::Kept);
            match values.get(key.as_bytes()) {
                None => self.take_default(values, key, default),
                Some(Value::Nil) if !self.merge => {
                    values.borrow_mut().remove(key.as_bytes());
                }
                Some(Value::Map(map)) => match default {
                    Value::Map(default) => {
                        let merge = self.merge || is_child(key);
                        if !merge && self.rules.drop_default_nulls {
                            clean_nulls(&default);
                        }
                        self.tables(&map, &default, &join(&prefix, key), merge);
                    }
                    Value::Nil => {}
                    _ => self.warn(format!(
                        "warning: skipped value for {prefix}.{key}: Not a table."
                    )),
                },
                Some(_) => {}
            }
        }
    }

    fn take_default(&mut self, values: &Map, key: &str, default: Value) {
        if !self.merge && self.rules.drop_default_nulls {
            match &default {
                Value::Nil => return,
                Value::Map(map) => clean_nulls(map),
                _ => {}
            }
        }
        values.insert(key, default);
    }

    /// Lays `above` over `below`; the result is in `above`.
    pub fn tables(&mut self, above: &Map, below: &Map, prefix: &str, merge: bool) {
        if above.same(below) {
            return;
        }
        let had: Vec<Str> = below
            .borrow()
            .iter()
            .filter(|(_, value)| !value.is_nil())
            .map(|(key, _)| key.clone())
            .collect();
        let nulls = self.rules.keep_matching_nulls;
        for (key, value) in above.borrow().iter() {
            if value.is_nil() && nulls {
                below.insert(key.clone(), Value::Nil);
            }
        }
        let source = below.borrow().clone();
        for (key, value) in source {
            let path = join(prefix, &key.to_text());
            let Some(existing) = above.get(&key) else {
                above.insert(key, value);
                continue;
            };
            let was_set = had.contains(&key) || !nulls;
            if existing.is_nil() && !merge && was_set {
                above.borrow_mut().remove(&key[..]);
                continue;
            }
            match (&existing, &value) {
                (Value::Map(existing), Value::Map(value)) => {
                    self.tables(existing, value, &path, merge);
                }
                (_, Value::Map(_)) => self.warn(format!(
                    "warning: cannot overwrite table with non table for {path} ({})",
                    show(&value)
                )),
                (Value::Map(_), other) if !other.is_nil() => self.warn(format!(
                    "warning: destination for {path} is a table. Ignoring non-table value ({})",
                    show(&value)
                )),
                _ => {}
            }
        }
    }
}

/// Removes nulls from maps, all the way down.
fn clean_nulls(map: &Map) {
    map.borrow_mut().retain(|_, value| !value.is_nil());
    for value in map.borrow().values() {
        if let Value::Map(below) = value {
            clean_nulls(below);
        }
    }
}
