//! Data for programs: `-o json` and `-o yaml`.

use clap::ValueEnum;
use serde_json::Value;

use crate::failure::Outcome;

/// How data is printed. What needs no word has none: help stays a line per flag.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    Json,
    Yaml,
}

/// Prints data on standard output.
pub fn print(format: Format, value: &Value) -> Outcome {
    match format {
        Format::Json => println!("{}", serde_json::to_string_pretty(value)?),
        Format::Yaml => print!("{}", serde_saphyr::to_string(value)?),
    }
    Ok(())
}
