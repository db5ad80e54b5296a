//! Values and where they come from: the variable `NAME`, the file that
//! `NAME_FILE` points at, or the table of keys.

use std::collections::BTreeMap;

use super::error::ConfigError;
use super::keys::{KEYS, Key};
use super::secrets::Secret;

/// Reads a variable of the environment.
pub(super) type Variables<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// The environment variable.
    Environment,
    /// The file named by the `_FILE` variable.
    File(String),
    /// The table of keys.
    Default,
}

/// A value with its origin.
#[derive(Clone)]
pub struct Setting {
    /// The row of the table.
    pub name: &'static str,
    /// The value; empty when absent.
    pub value: String,
    /// Where it came from.
    pub source: Source,
}

/// All values, as they are given; asking for one gives it a type.
pub(super) struct Reader {
    settings: BTreeMap<&'static str, Setting>,
    notes: Vec<String>,
}

impl Reader {
    /// Reads the value of every key.
    pub(super) fn new(variables: Variables<'_>) -> Result<Self, ConfigError> {
        let mut settings = BTreeMap::new();
        for key in KEYS {
            settings.insert(key.name, read_setting(key, variables)?);
        }
        Ok(Self {
            settings,
            notes: Vec::new(),
        })
    }

    /// Returns the settings in the order of the table.
    pub(super) fn settings(&self) -> Vec<Setting> {
        let found = KEYS.iter().filter_map(|key| self.settings.get(key.name));
        found.cloned().collect()
    }

    /// Returns the lines for the log.
    pub(super) fn into_notes(self) -> Vec<String> {
        self.notes
    }

    /// Returns a value without the white space around it; empty when absent.
    pub(super) fn text(&self, name: &'static str) -> &str {
        self.settings
            .get(name)
            .map_or("", |setting| setting.value.trim())
    }

    /// Returns a value that may be absent.
    pub(super) fn optional(&self, name: &'static str) -> Option<String> {
        Some(self.text(name).to_owned()).filter(|text| !text.is_empty())
    }

    /// Returns a value that must not be printed.
    pub(super) fn secret(&self, name: &'static str) -> Option<Secret> {
        self.optional(name).map(Secret)
    }

    /// Returns a number, or what was expected instead.
    pub(super) fn number<T: std::str::FromStr>(
        &self,
        key: &'static str,
        expected: &'static str,
    ) -> Result<T, ConfigError> {
        self.text(key)
            .parse()
            .map_err(|_| self.invalid(key, expected))
    }

    /// Returns the refusal of a value.
    pub(super) fn invalid(&self, key: &'static str, expected: &'static str) -> ConfigError {
        ConfigError::Invalid {
            key,
            value: self.text(key).to_owned(),
            expected,
        }
    }

    /// Returns the parts between commas or spaces.
    pub(super) fn list(&self, name: &'static str) -> Vec<String> {
        let parts = self.text(name).split([',', ' ']).map(str::trim);
        parts
            .filter(|part| !part.is_empty())
            .map(ToOwned::to_owned)
            .collect()
    }

    /// Returns an address without its final slash.
    pub(super) fn base(&self, name: &'static str) -> String {
        self.text(name).trim_end_matches('/').to_owned()
    }

    /// Returns a yes or no.
    pub(super) fn truth(&self, key: &'static str) -> Result<bool, ConfigError> {
        match self.text(key).to_ascii_lowercase().as_str() {
            "true" | "1" | "yes" | "on" => Ok(true),
            "false" | "0" | "no" | "off" => Ok(false),
            _ => Err(self.invalid(key, "true or false")),
        }
    }

    /// Adds a line for the log: the program starts, and somebody should know.
    pub(super) fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }
}

fn read_setting(key: &Key, variables: Variables<'_>) -> Result<Setting, ConfigError> {
    if let Some(value) = variables(key.name).filter(|value| !value.is_empty()) {
        return Ok(Setting {
            name: key.name,
            value,
            source: Source::Environment,
        });
    }
    if let Some(path) = variables(&format!("{}_FILE", key.name)).filter(|path| !path.is_empty()) {
        let value = std::fs::read_to_string(&path).map_err(|cause| ConfigError::File {
            key: key.name,
            path: path.clone(),
            cause,
        })?;
        // Editors and `echo` end files with a newline that is no part of a secret.
        let value = value.trim_end_matches(['\n', '\r']).to_owned();
        return Ok(Setting {
            name: key.name,
            value,
            source: Source::File(path),
        });
    }
    Ok(Setting {
        name: key.name,
        value: key.default.to_owned(),
        source: Source::Default,
    })
}

#[cfg(test)]
mod tests {
    use crate::config::fixture::{SQLITE, read};

    #[test]
    fn files_stand_in_for_variables() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let path = folder.path().join("secret");
        std::fs::write(&path, "from-a-file-and-long-enough-0000\n").expect("written");
        let path = path.to_string_lossy().into_owned();
        let (config, _) = read(&[SQLITE, ("BETTER_AUTH_SECRET_FILE", &path)]).expect("read");
        assert_eq!(
            config.auth_secrets[0].reveal(),
            "from-a-file-and-long-enough-0000"
        );
        assert_eq!(format!("{:?}", config.auth_secrets), "[«redacted»]");
    }
}
