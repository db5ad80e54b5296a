//! Laying values over chart defaults.
//!
//! Reference: `pkg/chart/common/util/coalesce.go` of Helm 4.2.3; what 4.1 and
//! 3.x do otherwise is in [`Rules`].

use crate::chart::Chart;
use crate::compat::Rules;
use coracle_goyaml::{Map, Value};

const GLOBAL: &str = "global";

/// Coalesces values with the defaults of a chart and those below it.
pub struct Coalescer<'r> {
    /// Rules of the release line.
    pub rules: &'r Rules,
    /// Whether nulls stay: used before the final pass.
    pub merge: bool,
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
    pub fn run(&mut self, chart: &Chart, mut values: Map) -> Result<Map, String> {
        self.chart(chart, &mut values, "")?;
        Ok(values)
    }

    fn chart(&mut self, chart: &Chart, values: &mut Map, prefix: &str) -> Result<(), String> {
        self.values(chart, values, prefix);
        for child in &chart.dependencies {
            let name = child.name().to_owned();
            let mut below = match values.remove(&name) {
                None => Map::new(),
                Some(Value::Map(map)) => map,
                Some(other) => {
                    let text = format!("type mismatch on {name}: %!t({})", go_value(&other));
                    values.insert(name, other);
                    return Err(text);
                }
            };
            let prefix = join(prefix, chart.name());
            self.globals(&mut below, values, &prefix);
            self.chart(child, &mut below, &prefix)?;
            values.insert(name, Value::Map(below));
        }
        Ok(())
    }

    fn globals(&mut self, below: &mut Map, above: &mut Map, prefix: &str) {
        let mut target = match below.remove(GLOBAL) {
            None => Map::new(),
            Some(Value::Map(map)) => map,
            Some(other) => {
                below.insert(GLOBAL.into(), other);
                self.warnings.push(format!(
                    "warning: skipping globals because destination {GLOBAL} is not a table."
                ));
                return;
            }
        };
        let source = match above.get(GLOBAL) {
            None => Map::new(),
            Some(Value::Map(map)) => map.clone(),
            Some(_) => {
                self.warnings.push(format!(
                    "warning: skipping globals because source {GLOBAL} is not a table."
                ));
                below.insert(GLOBAL.into(), Value::Map(target));
                return;
            }
        };
        for (key, value) in source {
            match (value, target.get_mut(&key)) {
                (Value::Map(value), None) => {
                    target.insert(key, Value::Map(value));
                }
                (Value::Map(mut value), Some(Value::Map(existing))) => {
                    // Here the parent's tables lie on top.
                    let path = join(prefix, &key);
                    let mut source = std::mem::take(existing);
                    self.tables(&mut value, &mut source, &path, true);
                    *existing = value;
                }
                (Value::Map(_), Some(_)) => self.warnings.push(format!(
                    "Conflict: cannot merge map onto non-map for {key:?}. Skipping."
                )),
                (_, Some(Value::Map(_))) => {
                    self.warnings.push(format!("key {key} is table. Skipping"));
                }
                (value, _) => {
                    target.insert(key, value);
                }
            }
        }
        below.insert(GLOBAL.into(), Value::Map(target));
    }

    fn values(&mut self, chart: &Chart, values: &mut Map, prefix: &str) {
        let prefix = join(prefix, chart.name());
        let is_child = |key: &str| chart.dependencies.iter().any(|child| child.name() == key);
        for (key, default) in &chart.values {
            match values.get_mut(key) {
                None => {
                    let mut default = default.clone();
                    if !self.merge && self.rules.drop_default_nulls {
                        if default.is_null() {
                            continue;
                        }
                        clean_nulls(&mut default);
                    }
                    values.insert(key.clone(), default);
                }
                Some(Value::Null) if !self.merge => {
                    values.remove(key);
                }
                Some(Value::Map(map)) => match default {
                    Value::Map(default) => {
                        let merge = self.merge || is_child(key);
                        let mut default = Value::Map(default.clone());
                        if !merge && self.rules.drop_default_nulls {
                            clean_nulls(&mut default);
                        }
                        if let Value::Map(mut default) = default {
                            let path = join(&prefix, key);
                            self.tables(map, &mut default, &path, merge);
                        }
                    }
                    Value::Null => {}
                    _ => self.warnings.push(format!(
                        "warning: skipped value for {prefix}.{key}: Not a table."
                    )),
                },
                Some(_) => {}
            }
        }
    }

    /// Lays `above` over `below`; the result is in `above`.
    pub fn tables(&mut self, above: &mut Map, below: &mut Map, prefix: &str, merge: bool) {
        let had: Vec<String> = below
            .iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(key, _)| key.clone())
            .collect();
        for (key, value) in above.iter() {
            if value.is_null() {
                below.insert(key.clone(), Value::Null);
            }
        }
        for (key, value) in std::mem::take(below) {
            let path = join(prefix, &key);
            match above.get_mut(&key) {
                Some(Value::Null)
                    if !merge && (had.contains(&key) || !self.rules.drop_default_nulls) =>
                {
                    above.remove(&key);
                }
                None => {
                    above.insert(key, value);
                }
                Some(existing) => match (existing, value) {
                    (Value::Map(existing), Value::Map(mut value)) => {
                        self.tables(existing, &mut value, &path, merge);
                    }
                    (_, value @ Value::Map(_)) => self.warnings.push(format!(
                        "warning: cannot overwrite table with non table for {path} ({})",
                        go_value(&value)
                    )),
                    (Value::Map(_), value) if !value.is_null() => self.warnings.push(format!(
                        "warning: destination for {path} is a table. Ignoring non-table value ({})",
                        go_value(&value)
                    )),
                    _ => {}
                },
            }
        }
    }
}

/// Removes nulls from maps, all the way down.
fn clean_nulls(value: &mut Value) {
    if let Value::Map(map) = value {
        map.retain(|_, value| !value.is_null());
        map.values_mut().for_each(clean_nulls);
    }
}

/// Go's `%v`.
fn go_value(value: &Value) -> String {
    let value = crate::convert::to_template(value, crate::convert::Numbers::Kept);
    String::from_utf8_lossy(&coracle_gotemplate::fmt::value_text(&value)).into_owned()
}
