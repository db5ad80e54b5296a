//! Which charts below a chart are used, under which names, and what of their
//! values the parent imports.
//!
//! Reference: `pkg/chart/v2/util/dependencies.go` of Helm.

use crate::chart::Chart;
use crate::coalesce::Coalescer;
use crate::compat::Rules;
use crate::convert::{Numbers, from_entries, to_entries};
use crate::metadata::Dependency;
use coracle_gotemplate::semver::{Constraints, Version};
use coracle_goyaml::{Map, Value};

/// Applies conditions, tags, aliases and imports to a chart.
///
/// # Errors
///
/// When values cannot be coalesced.
pub fn process(
    chart: &mut Chart,
    values: &Map,
    rules: &Rules,
    warnings: &mut Vec<String>,
) -> Result<(), String> {
    enabled(chart, values, "", rules, warnings)?;
    import_values(chart, rules, warnings)
}

/// Checks that `charts/` holds what `Chart.yaml` asks for.
///
/// # Errors
///
/// In Helm's words, naming what is missing.
pub fn check(chart: &Chart) -> Result<(), String> {
    check_folder(chart).map_err(|missing| {
        format!("an error occurred while checking for chart dependencies. You may need to run 'helm dependency build' to fetch missing dependencies: {missing}")
    })
}

/// As [`check`], in the words of `helm package`.
///
/// # Errors
///
/// Names what is missing.
pub fn check_folder(chart: &Chart) -> Result<(), String> {
    let missing: Vec<&str> = chart
        .metadata
        .dependencies
        .iter()
        .map(|dependency| dependency.name.as_str())
        .filter(|name| !chart.dependencies.iter().any(|child| child.name() == *name))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(format!(
        "found in Chart.yaml, but missing in charts/ directory: {}",
        missing.join(", ")
    ))
}

/// Helm's `IsCompatibleRange`.
pub fn is_compatible(constraint: &str, version: &str) -> bool {
    match (Constraints::parse(constraint), Version::parse(version)) {
        (Ok(constraint), Ok(version)) => constraint.check(&version),
        _ => false,
    }
}

fn enabled(
    chart: &mut Chart,
    values: &Map,
    path: &str,
    rules: &Rules,
    warnings: &mut Vec<String>,
) -> Result<(), String> {
    if !chart.metadata.has_dependencies {
        return Ok(());
    }
    rename(chart);
    for dependency in &mut chart.metadata.dependencies {
        dependency.enabled = true;
    }
    let coalesced = Coalescer::coalesce(rules).run(chart, values)?;
    let coalesced = from_entries(&coalesced);
    apply_tags(&mut chart.metadata.dependencies, &coalesced, warnings);
    apply_conditions(&mut chart.metadata.dependencies, &coalesced, path, warnings);
    let disabled: Vec<String> = chart
        .metadata
        .dependencies
        .iter()
        .filter(|dependency| !dependency.enabled)
        .map(|dependency| dependency.name.clone())
        .collect();
    chart
        .dependencies
        .retain(|child| !disabled.iter().any(|name| name == child.name()));
    for child in &mut chart.dependencies {
        let path = format!("{path}{}.", child.name());
        enabled(child, &coalesced, &path, rules, warnings)?;
    }
    chart
        .metadata
        .dependencies
        .retain(|dependency| !disabled.contains(&dependency.name));
    chart.metadata.has_dependencies = !chart.metadata.dependencies.is_empty();
    Ok(())
}

/// Puts the charts into the order of `Chart.yaml`, after those that it does
/// not mention, and gives them their aliases.
fn rename(chart: &mut Chart) {
    let requested = |child: &Chart| {
        chart.metadata.dependencies.iter().any(|dependency| {
            dependency.name == child.name()
                && is_compatible(&dependency.version, &child.metadata.version)
        })
    };
    let mut kept: Vec<Chart> = chart
        .dependencies
        .iter()
        .filter(|child| !requested(child))
        .cloned()
        .collect();
    for dependency in &mut chart.metadata.dependencies {
        let found = chart.dependencies.iter().find(|child| {
            child.name() == dependency.name
                && is_compatible(&dependency.version, &child.metadata.version)
        });
        if let Some(found) = found {
            let mut child = found.clone();
            if !dependency.alias.is_empty() {
                child.metadata.name = dependency.alias.clone();
            }
            kept.push(child);
        }
        if !dependency.alias.is_empty() {
            dependency.name = dependency.alias.clone();
        }
    }
    chart.dependencies = kept;
}

fn apply_tags(dependencies: &mut [Dependency], values: &Map, warnings: &mut Vec<String>) {
    let Some(Value::Map(tags)) = values.get("tags") else {
        return;
    };
    for dependency in dependencies {
        let (mut any_true, mut any_false) = (false, false);
        for tag in &dependency.tags {
            match tags.get(tag) {
                Some(Value::Bool(true)) => any_true = true,
                Some(Value::Bool(false)) => any_false = true,
                Some(_) => warnings.push(format!(
                    "returned non-bool value tag={tag} chart={}",
                    dependency.name
                )),
                None => {}
            }
        }
        dependency.enabled = any_true || !any_false;
    }
}

fn apply_conditions(
    dependencies: &mut [Dependency],
    values: &Map,
    path: &str,
    warnings: &mut Vec<String>,
) {
    for dependency in dependencies {
        for condition in dependency.condition.trim().split(',') {
            if condition.is_empty() {
                continue;
            }
            match path_value(values, &format!("{path}{condition}")) {
                Some(Value::Bool(flag)) => {
                    dependency.enabled = *flag;
                    break;
                }
                Some(_) => warnings.push(format!(
                    "returned non-bool value path={condition} chart={}",
                    dependency.name
                )),
                None => {}
            }
        }
    }
}

/// Helm's `PathValue`: the value at a dotted path, where it is no map.
fn path_value<'v>(values: &'v Map, path: &str) -> Option<&'v Value> {
    let (holder, key) = match path.rsplit_once('.') {
        Some((holder, key)) => (table(values, holder)?, key),
        None => (values, path),
    };
    holder
        .get(key)
        .filter(|value| !matches!(value, Value::Map(_)))
}

/// The map at a dotted path.
pub fn table<'v>(values: &'v Map, path: &str) -> Option<&'v Map> {
    let mut holder = values;
    for part in path.split('.') {
        holder = holder.get(part)?.as_map()?;
    }
    Some(holder)
}

fn import_values(
    chart: &mut Chart,
    rules: &Rules,
    warnings: &mut Vec<String>,
) -> Result<(), String> {
    for child in &mut chart.dependencies {
        import_values(child, rules, warnings)?;
    }
    if !chart.metadata.has_dependencies {
        return Ok(());
    }
    let merged = from_entries(&Coalescer::merge(rules).run(chart, &Map::new())?);
    let imported = coracle_gotemplate::Map::new(coracle_gotemplate::Entries::new());
    for dependency in &mut chart.metadata.dependencies {
        let mut done = Vec::new();
        for import in &dependency.import_values {
            let (child, parent) = match import {
                Value::Map(map) => {
                    let text = |key: &str| match map.get(key) {
                        Some(Value::Str(text)) => text.clone(),
                        Some(other) => format!("{other:?}"),
                        None => "<nil>".into(),
                    };
                    (text("child"), text("parent"))
                }
                Value::Str(name) => (format!("exports.{name}"), ".".into()),
                _ => continue,
            };
            done.push(Value::Map(Map::from([
                ("child".into(), Value::Str(child.clone())),
                ("parent".into(), Value::Str(parent.clone())),
            ])));
            let Some(found) = table(&merged, &format!("{}.{child}", dependency.name)) else {
                warnings.push(format!(
                    "ImportValues missing table from chart chart={} path={child}",
                    dependency.name
                ));
                continue;
            };
            let wrapped = wrap(&parent, found.clone());
            let wrapped = coracle_gotemplate::Map::new(to_entries(&wrapped, Numbers::Kept));
            Coalescer::merge(rules).tables(&imported, &wrapped, "", true);
        }
        dependency.import_values = done;
    }
    // Imports lie below the parent's own values.
    let values = coracle_gotemplate::Map::new(to_entries(&merged, Numbers::Kept));
    Coalescer::merge(rules).tables(&values, &imported, "", true);
    chart.values = from_entries(&values);
    Ok(())
}

/// Puts a map under a dotted path; `.` is the top.
fn wrap(path: &str, map: Map) -> Map {
    if path == "." {
        return map;
    }
    path.split('.').rev().fold(map, |inner, part| {
        Map::from([(part.to_owned(), Value::Map(inner))])
    })
}
