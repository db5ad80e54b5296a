//! The flags that give values to a chart.

use std::io::Read;
use std::path::{Path, PathBuf};

use clap::Args;
use coracle_helm::Values;

use crate::disk::path_error;
use crate::failure::Failure;

/// Values of the user; later ones win, flags win over files.
#[derive(Debug, Clone, Default, Args)]
pub struct ValueFlags {
    /// File of values; later ones win.
    #[arg(
        long = "values",
        short = 'f',
        value_name = "FILE",
        value_delimiter = ','
    )]
    pub values: Vec<PathBuf>,
    /// A value: key=value, several with commas.
    #[arg(long, allow_hyphen_values = true, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// A value that stays text: key=value.
    #[arg(long, allow_hyphen_values = true, value_name = "KEY=VALUE")]
    pub set_string: Vec<String>,
    /// A value that is JSON: key=JSON, or one JSON object.
    #[arg(long, allow_hyphen_values = true, value_name = "KEY=JSON")]
    pub set_json: Vec<String>,
    /// A value read from a file: key=path.
    #[arg(long, allow_hyphen_values = true, value_name = "KEY=FILE")]
    pub set_file: Vec<String>,
    /// A value taken as it is, commas and all: key=text.
    #[arg(long, allow_hyphen_values = true, value_name = "KEY=TEXT")]
    pub set_literal: Vec<String>,
}

impl ValueFlags {
    /// Reads the files and lays the flags over them, in Helm's order.
    pub fn read(&self) -> Result<Values, Failure> {
        let mut values = Values::default();
        for path in &self.values {
            let text = read(&path.to_string_lossy())?;
            values.add_file(&path.display().to_string(), &text)?;
        }
        for text in &self.set_json {
            values.set_json(text)?;
        }
        for text in &self.set {
            values.set(text)?;
        }
        for text in &self.set_string {
            values.set_string(text)?;
        }
        for text in &self.set_file {
            values.set_file(text, &|path| {
                let text = read(path).map_err(|error| error.to_string())?;
                Ok(String::from_utf8_lossy(&text).into_owned())
            })?;
        }
        for text in &self.set_literal {
            values.set_literal(text)?;
        }
        Ok(values)
    }
}

/// Reads a file that the command line names; `-` is standard input. Helm takes
/// the name for a URL first.
fn read(name: &str) -> anyhow::Result<Vec<u8>> {
    if name.trim() == "-" {
        let mut text = Vec::new();
        std::io::stdin().read_to_end(&mut text)?;
        return Ok(text);
    }
    let scheme = coracle_helm::url_scheme(name)
        .map_err(|message| anyhow::anyhow!("parse {name:?}: {message}"))?;
    if matches!(&*scheme, "http" | "https" | "oci") {
        anyhow::bail!("{name} is not on this disk: fetch it first and name the file");
    }
    let verb = match Path::new(name).is_dir() {
        true => "read",
        false => "open",
    };
    std::fs::read(name).map_err(|error| path_error(verb, name, &error))
}
