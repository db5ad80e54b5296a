//! Flags that several verbs share, and Helm's spellings of their values.

use std::collections::BTreeMap;
use std::time::Duration;

use clap::{Args, ValueEnum};
use coracle_release::{Apply, DryRun, Options, Wait};

/// How data is printed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    #[default]
    Table,
    Json,
    Yaml,
}

/// How data is printed.
#[derive(Debug, Clone, Default, Args)]
pub struct Output {
    /// Print for people, or as data.
    #[arg(long, short, value_enum, default_value_t)]
    pub output: Format,
}

/// What every verb that changes the cluster has.
#[derive(Debug, Clone, Args)]
pub struct Common {
    /// Wait until everything is ready: watcher (if nothing is said), hookOnly, legacy.
    #[arg(long, value_name = "HOW", num_args = 0..=1, require_equals = true, default_missing_value = "watcher", value_parser = wait)]
    pub wait: Option<Wait>,
    /// How long one wait may take: 90s, 5m, 1h30m.
    #[arg(long, default_value = "5m0s", value_parser = duration)]
    pub timeout: Duration,
    /// Run no hooks.
    #[arg(long)]
    pub no_hooks: bool,
    /// What the history says of it.
    #[arg(long)]
    pub description: Option<String>,
}

/// What every verb that applies objects has.
#[derive(Debug, Clone, Args)]
pub struct Applying {
    /// With --wait: wait until Jobs are complete, too.
    #[arg(long)]
    pub wait_for_jobs: bool,
    /// Only simulate: client asks the cluster nothing, server does.
    #[arg(long, value_name = "HOW", num_args = 0..=1, require_equals = true, default_missing_value = "client", value_parser = dry_run)]
    pub dry_run: Option<DryRun>,
    /// Replace objects instead of merging.
    #[arg(long, alias = "force", conflicts_with = "force_conflicts")]
    pub force_replace: bool,
    /// Take fields that other managers own.
    #[arg(long)]
    pub force_conflicts: bool,
    /// Merge on the server (true, auto) or here (false).
    #[arg(long, value_name = "HOW", num_args = 0..=1, default_missing_value = "true", default_value = "auto", value_parser = server_side)]
    pub server_side: Apply,
}

impl Common {
    /// Lays the flags over options.
    pub fn put(&self, options: &mut Options) {
        options.wait = self.wait.unwrap_or_default();
        options.timeout = self.timeout;
        options.no_hooks = self.no_hooks;
        options.description.clone_from(&self.description);
    }
}

impl Applying {
    /// Lays the flags over options.
    pub fn put(&self, options: &mut Options) {
        options.wait_for_jobs = self.wait_for_jobs;
        options.dry_run = self.dry_run.unwrap_or_default();
        options.force_replace = self.force_replace;
        options.force_conflicts = self.force_conflicts;
        options.apply = self.server_side;
    }
}

fn wait(text: &str) -> Result<Wait, String> {
    match text {
        "watcher" | "true" => Ok(Wait::Watcher),
        "hookOnly" | "false" => Ok(Wait::Hooks),
        "legacy" => Ok(Wait::Legacy),
        _ => Err(format!(
            "invalid wait input {text:?}. Valid inputs are watcher, hookOnly, and legacy"
        )),
    }
}

/// Reads `--dry-run`.
pub fn dry_run(text: &str) -> Result<DryRun, String> {
    match text {
        "client" | "true" => Ok(DryRun::Client),
        "server" => Ok(DryRun::Server),
        "none" | "false" => Ok(DryRun::None),
        _ => Err(format!(
            "invalid dry-run value ({text:?}). Must be \"none\", \"server\", or \"client\""
        )),
    }
}

fn server_side(text: &str) -> Result<Apply, String> {
    match text {
        "auto" => Ok(Apply::Auto),
        "true" => Ok(Apply::Server),
        "false" => Ok(Apply::Client),
        _ => Err(format!(
            "invalid/unknown release server-side apply method: {text}"
        )),
    }
}

/// Reads an integer as Go's flags do (`strconv.ParseInt`).
pub fn integer(text: &str) -> Result<i64, String> {
    text.parse().map_err(|error: std::num::ParseIntError| {
        use std::num::IntErrorKind::{NegOverflow, PosOverflow};
        let why = match error.kind() {
            PosOverflow | NegOverflow => "value out of range",
            _ => "invalid syntax",
        };
        format!("strconv.ParseInt: parsing {text:?}: {why}")
    })
}

/// Reads a duration as Go writes it: 300s, 5m0s, 1h30m, 1.5h, 100ms.
pub fn duration(text: &str) -> Result<Duration, String> {
    let invalid = || format!("time: invalid duration {text:?}");
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let mut rest = text;
    let mut seconds = 0.0;
    if rest.is_empty() {
        return Err(invalid());
    }
    while !rest.is_empty() {
        let digits = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .ok_or_else(|| format!("time: missing unit in duration {text:?}"))?;
        let number: f64 = rest[..digits].parse().map_err(|_| invalid())?;
        let unit = &rest[digits..];
        let end = unit
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(unit.len());
        let factor = match &unit[..end] {
            "ns" => 1e-9,
            "us" | "µs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            other => return Err(format!("time: unknown unit {other:?} in duration {text:?}")),
        };
        seconds += number * factor;
        rest = &unit[end..];
    }
    Duration::try_from_secs_f64(seconds).map_err(|_| invalid())
}

/// Reads `--labels`: k=v,k2=v2.
pub fn labels(texts: &[String]) -> Result<BTreeMap<String, String>, String> {
    let mut labels = BTreeMap::new();
    for pair in texts.iter().flat_map(|text| text.split(',')) {
        let (key, value) = pair
            .split_once('=')
            .ok_or_else(|| format!("{pair} must be formatted as key=value"))?;
        labels.insert(key.to_owned(), value.to_owned());
    }
    Ok(labels)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_gos() {
        let check = |text: &str, millis: Option<u64>| {
            assert_eq!(
                duration(text).ok(),
                millis.map(Duration::from_millis),
                "{text}"
            );
        };
        check("300s", Some(300_000));
        check("5m0s", Some(300_000));
        check("1h1m", Some(3_660_000));
        check("1.5s", Some(1500));
        check("20ms", Some(20));
        check("0", Some(0));
        check("5", None);
        check("", None);
        check("5x", None);
        check("-5s", None);
    }
}
