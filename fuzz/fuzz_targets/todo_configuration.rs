//! Any environment is a configuration or an error that shows no secret.
//!
//! An input is lines of `KEY=VALUE`.
#![no_main]

use std::collections::HashMap;

use todo_backend::config::{Config, KEYS};

libfuzzer_sys::fuzz_target!(|text: &str| {
    let variables: HashMap<&str, &str> = text
        .lines()
        .filter_map(|line| line.split_once('='))
        // Files of this machine are nobody's input.
        .filter(|(name, _)| !name.ends_with("_FILE"))
        .collect();
    let said = told(&variables);
    for key in KEYS.iter().filter(|key| key.secret) {
        let Some(value) = variables.get(key.name).filter(|value| value.len() > 12) else {
            continue;
        };
        let is_elsewhere = variables
            .iter()
            .any(|(name, other)| *name != key.name && other.contains(value));
        if is_elsewhere || !said.contains(value) {
            continue;
        }
        // Some are words of ours: those are told of another secret as well.
        let mut others = variables.clone();
        let hidden = "#".repeat(value.len());
        others.insert(key.name, &hidden);
        assert!(told(&others).contains(value), "{} is told", key.name);
    }
});

/// What is said of an environment.
fn told(variables: &HashMap<&str, &str>) -> String {
    let read = |name: &str| variables.get(name).map(|value| (*value).to_owned());
    let _ = todo_frontend::config::Config::from_variables(&read);
    match Config::from_variables(&read) {
        Ok((_, notes)) => notes.join("\n"),
        Err(error) => error.to_string(),
    }
}
