//! The flags that give values to a chart.

use std::path::PathBuf;

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
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// A value that stays text: key=value.
    #[arg(long, value_name = "KEY=VALUE")]
    pub set_string: Vec<String>,
    /// A value that is JSON: key=JSON, or one JSON object.
    #[arg(long, value_name = "KEY=JSON")]
    pub set_json: Vec<String>,
    /// A value read from a file: key=path.
    #[arg(long, value_name = "KEY=FILE")]
    pub set_file: Vec<String>,
    /// A value taken as it is, commas and all: key=text.
    #[arg(long, value_name = "KEY=TEXT")]
    pub set_literal: Vec<String>,
}

impl ValueFlags {
    /// Reads the files and lays the flags over them, in Helm's order.
    pub fn read(&self) -> Result<Values, Failure> {
        let mut values = Values::default();
        for path in &self.values {
            let text = match path.as_os_str() == "-" {
                true => {
                    let mut text = Vec::new();
                    std::io::Read::read_to_end(&mut std::io::stdin(), &mut text)?;
                    text
                }
                false => std::fs::read(path).map_err(|error| path_error("open", path, &error))?,
            };
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
                std::fs::read_to_string(path)
                    .map_err(|error| path_error("open", path, &error).to_string())
            })?;
        }
        for text in &self.set_literal {
            values.set_literal(text)?;
        }
        Ok(values)
    }
}
