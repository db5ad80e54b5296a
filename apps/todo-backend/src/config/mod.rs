//! Everything the program was told, checked once, so that the rest of it holds
//! typed settings only.
//!
//! A key is read from the variable `NAME`, or from the file that `NAME_FILE`
//! points at (Secrets mounted as volumes). `keys` is the list of them; each
//! other file reads the keys of one subject and knows their rules.

mod addresses;
mod assistant;
mod cloudinary;
mod database;
mod environment;
mod error;
mod keys;
mod mail;
mod reader;
mod secrets;

use std::path::PathBuf;
use std::time::Duration;

pub use assistant::Provider;
pub use cloudinary::Cloudinary;
pub use environment::Environment;
pub use error::ConfigError;
pub use keys::{DEFAULT_PORT, KEYS, Key};
pub use mail::Mail;
pub use reader::{Setting, Source};
pub use secrets::Secret;

use addresses::{read_mcp_port, read_origins, read_public_url};
use assistant::read_providers;
use cloudinary::read_cloudinary;
use database::read_database;
use environment::{read_environment, read_log};
use mail::read_mail;
use reader::Reader;
use secrets::read_auth_secrets;

use crate::auth::jwt::Algorithm;
use crate::db::url::DatabaseUrl;
use crate::log;

/// Everything the program was told.
#[derive(Clone)]
pub struct Config {
    /// All settings with origins, for the configuration page.
    pub settings: Vec<Setting>,
    /// Log lines.
    pub log: log::Settings,
    /// Development or production.
    pub environment: Environment,
    /// Port of the API; 0 lets the system choose.
    pub port: u16,
    /// Where rows are kept.
    pub database: DatabaseUrl,
    /// Connections kept open.
    pub pool_size: u32,
    /// Further connections under load.
    pub pool_overflow: u32,
    /// Signing secret first, then those that only verify.
    pub auth_secrets: Vec<Secret>,
    /// Marks links that work without a session.
    pub link_secret: Secret,
    /// Pinned algorithm.
    pub algorithm: Algorithm,
    /// Life of a session.
    pub session_life: Duration,
    /// Whether tokens must name issuer and audience.
    pub auth_strict: bool,
    /// Origins that may call the API from a browser.
    pub origins: Vec<String>,
    /// Base of links, when one is known that a browser can reach.
    pub public_url: Option<String>,
    /// Requests a minute; 0 is no limit.
    pub rate_limit: u32,
    /// Providers in the order in which they are asked.
    pub providers: Vec<Provider>,
    /// Whether the built-in assistant may answer when no provider does.
    pub ai_local: bool,
    /// Longest wait for a turn of the assistant.
    pub ai_timeout: Duration,
    /// Name told to MCP clients.
    pub mcp_name: String,
    /// Port of the MCP server; `None` is off.
    pub mcp_port: Option<u16>,
    /// Further host names of the MCP server.
    pub mcp_hosts: Vec<String>,
    /// How mail leaves.
    pub mail: Mail,
    /// Sender of mails.
    pub from_email: String,
    /// Uploads go here when set.
    pub cloudinary: Option<Cloudinary>,
    /// Folder of uploaded files.
    pub uploads: PathBuf,
    /// Name of this pod.
    pub pod: String,
}

impl Config {
    /// Reads the environment of the process.
    ///
    /// # Errors
    /// When a key is missing or cannot be understood.
    pub fn from_process() -> Result<(Self, Vec<String>), ConfigError> {
        Self::from_variables(&|name| std::env::var(name).ok())
    }

    /// Reads variables through a function; also returns notes for the log.
    ///
    /// # Errors
    /// When a key is missing or cannot be understood.
    pub fn from_variables(
        variables: &dyn Fn(&str) -> Option<String>,
    ) -> Result<(Self, Vec<String>), ConfigError> {
        let mut reader = Reader::new(variables)?;
        let hostname = variables("HOSTNAME").unwrap_or_default();
        let config = build(&mut reader, hostname)?;
        Ok((config, reader.into_notes()))
    }

    /// Whether strict rules hold.
    pub fn production(&self) -> bool {
        self.environment == Environment::Production
    }
}

fn build(reader: &mut Reader, hostname: String) -> Result<Config, ConfigError> {
    let environment = read_environment(reader)?;
    let production = environment == Environment::Production;
    let (auth_secrets, link_secret) = read_auth_secrets(reader, production)?;
    let port = reader.number("PORT", "a port number")?;
    let (providers, ai_local) = read_providers(reader)?;
    Ok(Config {
        log: read_log(reader, production),
        environment,
        port,
        database: read_database(reader, production)?,
        pool_size: reader.number("DATABASE_POOL_SIZE", "a number")?,
        pool_overflow: reader.number("DATABASE_MAX_OVERFLOW", "a number")?,
        auth_secrets,
        link_secret,
        algorithm: Algorithm::parse(reader.text("JWT_ALGORITHM"))
            .ok_or_else(|| reader.invalid("JWT_ALGORITHM", "HS256, HS384 or HS512"))?,
        session_life: read_session_life(reader)?,
        auth_strict: reader.truth("AUTH_STRICT")?,
        origins: read_origins(reader),
        public_url: read_public_url(reader, production)?,
        rate_limit: reader.number("RATE_LIMIT_PER_MINUTE", "a number")?,
        providers,
        ai_local,
        ai_timeout: Duration::from_secs(reader.number("AI_TIMEOUT_SECONDS", "seconds")?),
        mcp_name: reader.text("MCP_SERVER_NAME").to_owned(),
        mcp_port: read_mcp_port(reader, port)?,
        mcp_hosts: reader.list("MCP_ALLOWED_HOSTS"),
        mail: read_mail(reader, production)?,
        from_email: reader.text("FROM_EMAIL").to_owned(),
        cloudinary: read_cloudinary(reader),
        uploads: PathBuf::from(reader.text("UPLOADS_DIR")),
        pod: reader.optional("POD_NAME").unwrap_or(hostname),
        settings: reader.settings(),
    })
}

/// Returns how long a token holds.
fn read_session_life(reader: &Reader) -> Result<Duration, ConfigError> {
    let key = "JWT_EXPIRATION_HOURS";
    let hours: f64 = reader.number(key, "hours")?;
    Duration::try_from_secs_f64(hours * 3600.0)
        .ok()
        .filter(|life| !life.is_zero())
        .ok_or_else(|| reader.invalid(key, "more than zero hours"))
}

#[cfg(test)]
mod fixture {
    //! Configurations from pairs, and the two keys that every one needs.

    use super::{Config, ConfigError};

    pub const SECRET: (&str, &str) = ("BETTER_AUTH_SECRET", "0123456789abcdef0123456789abcdef");
    pub const SQLITE: (&str, &str) = ("DATABASE_URL", "sqlite:///tmp/todo.db");

    pub fn read(pairs: &[(&str, &str)]) -> Result<(Config, Vec<String>), ConfigError> {
        Config::from_variables(&|name| {
            let found = pairs.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    /// Reads the keys that every configuration needs, and further ones.
    pub fn read_with(extra: &[(&str, &str)]) -> Result<(Config, Vec<String>), ConfigError> {
        read(&[extra, &[SECRET, SQLITE]].concat())
    }
}

#[cfg(test)]
mod tests {
    use super::fixture::{SECRET, SQLITE, read, read_with};

    #[test]
    fn what_is_wrong_is_named() {
        let check = |extra: &[(&str, &str)], expected: &str| {
            let outcome = read_with(extra).map(|_| ());
            let outcome = outcome.map_err(|error| error.to_string());
            assert_eq!(outcome, Err(expected.to_owned()), "{extra:?}");
        };
        check(
            &[("JWT_ALGORITHM", "none")],
            r#"JWT_ALGORITHM is "none", expected HS256, HS384 or HS512"#,
        );
        check(
            &[("JWT_EXPIRATION_HOURS", "0")],
            r#"JWT_EXPIRATION_HOURS is "0", expected more than zero hours"#,
        );
        check(
            &[("MCP_SERVER_PORT", "8000")],
            r#"MCP_SERVER_PORT is "8000", expected another port than PORT"#,
        );
        check(&[("EMAIL_PROVIDER", "gmail")], "GMAIL_EMAIL is not set");
        check(
            &[("ENVIRONMENT", "production")],
            "Console email provider not allowed in production. Use 'resend' or 'gmail'.",
        );
        check(
            &[
                ("ENVIRONMENT", "production"),
                ("FRONTEND_URL", "http://todo.example"),
            ],
            "FRONTEND_URL must use HTTPS in production",
        );
        check(
            &[("ENVIRONMENT", "production"), ("JWT_SECRET", "short")],
            "JWT_SECRET must be at least 32 characters in production",
        );
    }

    #[test]
    fn two_keys_are_required() {
        let missing = |pairs: &[(&str, &str)]| read(pairs).map(|_| ()).map_err(|e| e.to_string());
        assert_eq!(missing(&[SECRET]), Err("DATABASE_URL is not set".into()));
        assert_eq!(
            missing(&[SQLITE]),
            Err("BETTER_AUTH_SECRET (or JWT_SECRET) is not set".into())
        );
    }
}
