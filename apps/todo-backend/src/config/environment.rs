//! Development or production, and what is logged there.

use tracing::Level;

use super::error::ConfigError;
use super::reader::Reader;
use crate::log;

/// Development or production.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Environment {
    /// Documentation and outbox are served, checks warn.
    Development,
    /// Strict.
    Production,
}

/// Returns which rules hold.
pub(super) fn read_environment(reader: &Reader) -> Result<Environment, ConfigError> {
    match reader.text("ENVIRONMENT").to_ascii_lowercase().as_str() {
        "development" | "dev" | "test" | "testing" => Ok(Environment::Development),
        "production" | "prod" | "staging" => Ok(Environment::Production),
        _ => Err(reader.invalid("ENVIRONMENT", "development, staging or production")),
    }
}

/// Returns what is logged; a level that is none is noted, not refused.
pub(super) fn read_log(reader: &mut Reader, production: bool) -> log::Settings {
    let level = log::parse_level(reader.text("LOG_LEVEL"));
    if level.is_none() {
        let text = reader.text("LOG_LEVEL").to_owned();
        reader.note(format!(
            "LOG_LEVEL is {text:?}, which is no level; info is used"
        ));
    }
    log::Settings {
        level: level.unwrap_or(Level::INFO),
        json: production,
        unbuffered: reader.text("PYTHONUNBUFFERED") == "1",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::fixture::read_with;

    #[test]
    fn an_unknown_level_is_noted() {
        let (config, notes) = read_with(&[("LOG_LEVEL", "loud")]).expect("read");
        assert_eq!(config.log.level, Level::INFO);
        assert_eq!(
            notes,
            [r#"LOG_LEVEL is "loud", which is no level; info is used"#]
        );
        let (config, _) = read_with(&[("LOG_LEVEL", "DEBUG")]).expect("read");
        assert_eq!(config.log.level, Level::DEBUG);
    }
}
