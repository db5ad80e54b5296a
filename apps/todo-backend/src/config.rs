//! Every configuration key: its name, whether it is secret, what it drives.
//!
//! A key is read from the variable `NAME`, or from the file that `NAME_FILE`
//! points at (Secrets mounted as volumes). The table is the single list from
//! which `/api/config/effective` is made. Values are checked here, once, so
//! that the rest of the program holds typed settings only.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use tracing::Level;

use crate::auth::jwt::Algorithm;
use crate::db::url::{DatabaseUrl, UrlError};
use crate::log;

/// The port when `PORT` is not set.
pub const DEFAULT_PORT: u16 = 8000;

/// A row of the table of keys.
pub struct Key {
    /// The name of the environment variable.
    pub name: &'static str,
    /// Whether the value must never be shown.
    pub secret: bool,
    /// The value when nothing is set; empty means absent.
    pub default: &'static str,
    /// What the key drives, for people.
    pub drives: &'static str,
}

const fn open(name: &'static str, default: &'static str, drives: &'static str) -> Key {
    Key {
        name,
        secret: false,
        default,
        drives,
    }
}

const fn secret(name: &'static str, drives: &'static str) -> Key {
    Key {
        name,
        secret: true,
        default: "",
        drives,
    }
}

/// All keys, in the order in which they are shown.
pub const KEYS: &[Key] = &[
    open(
        "ENVIRONMENT",
        "development",
        "documentation and outbox pages, strict checks, log format",
    ),
    open("LOG_LEVEL", "info", "which log lines are written"),
    open("PYTHONUNBUFFERED", "", "1 flushes every log line at once"),
    open("PORT", "8000", "the port of the API"),
    secret(
        "DATABASE_URL",
        "where users, tasks and conversations are kept",
    ),
    open("DATABASE_POOL_SIZE", "5", "database connections kept open"),
    open(
        "DATABASE_MAX_OVERFLOW",
        "10",
        "further connections under load",
    ),
    secret(
        "BETTER_AUTH_SECRET",
        "signs tokens when JWT_SECRET is absent; always verifies; marks links",
    ),
    secret("JWT_SECRET", "signs tokens"),
    open("JWT_ALGORITHM", "HS256", "signature algorithm of tokens"),
    open("JWT_EXPIRATION_HOURS", "168", "life of a session"),
    open(
        "AUTH_STRICT",
        "true",
        "tokens must name issuer and audience",
    ),
    open("CORS_ORIGINS", "", "browser origins that may call the API"),
    open(
        "FRONTEND_URL",
        "",
        "base of links in mails; may call the API",
    ),
    open("PUBLIC_URL", "", "base of links, before FRONTEND_URL"),
    open(
        "RATE_LIMIT_PER_MINUTE",
        "240",
        "requests a minute for each user or address; 0 is no limit",
    ),
    open(
        "AI_PROVIDER",
        "auto",
        "assistant: auto, openai, gemini, cohere or local",
    ),
    secret("OPENAI_API_KEY", "the assistant asks OpenAI"),
    open(
        "OPENAI_BASE_URL",
        "https://api.openai.com/v1",
        "address of OpenAI",
    ),
    open("OPENAI_MODEL", "gpt-4o-mini", "model at OpenAI"),
    secret("GEMINI_API_KEY", "the assistant asks Gemini"),
    open(
        "GEMINI_BASE_URL",
        "https://generativelanguage.googleapis.com/v1beta/openai",
        "address of Gemini",
    ),
    open("GEMINI_MODEL", "gemini-2.5-flash", "model at Gemini"),
    secret("COHERE_API_KEY", "the assistant asks Cohere"),
    open(
        "COHERE_BASE_URL",
        "https://api.cohere.ai/compatibility/v1",
        "address of Cohere",
    ),
    open("COHERE_MODEL", "command-a-03-2025", "model at Cohere"),
    open(
        "AI_FALLBACK",
        "true",
        "whether other providers and the built-in assistant answer when one fails",
    ),
    open(
        "AI_TIMEOUT_SECONDS",
        "30",
        "longest wait for a whole turn of the assistant",
    ),
    open(
        "MCP_SERVER_NAME",
        "todo-mcp-server",
        "name told to MCP clients",
    ),
    open(
        "MCP_SERVER_PORT",
        "8001",
        "port of the MCP server; 0 is off",
    ),
    open(
        "MCP_ALLOWED_HOSTS",
        "",
        "further host names the MCP server answers to",
    ),
    open(
        "EMAIL_PROVIDER",
        "console",
        "mail: console, gmail or resend",
    ),
    open("FROM_EMAIL", "noreply@todo.localhost", "sender of mails"),
    secret("GMAIL_EMAIL", "account at Gmail"),
    secret("GMAIL_APP_PASSWORD", "password at Gmail"),
    open(
        "SMTP_URL",
        "smtps://smtp.gmail.com:465",
        "mail server of the gmail provider",
    ),
    secret("RESEND_API_KEY", "key at Resend"),
    open(
        "RESEND_BASE_URL",
        "https://api.resend.com",
        "address of Resend",
    ),
    open(
        "CLOUDINARY_CLOUD_NAME",
        "",
        "uploads go to Cloudinary when all three are set",
    ),
    secret("CLOUDINARY_API_KEY", "key at Cloudinary"),
    secret("CLOUDINARY_API_SECRET", "signs uploads to Cloudinary"),
    open(
        "CLOUDINARY_BASE_URL",
        "https://api.cloudinary.com",
        "address of Cloudinary",
    ),
    open("UPLOADS_DIR", "/app/uploads", "folder of uploaded files"),
    open(
        "POD_NAME",
        "",
        "shown in health answers and on the status page",
    ),
];

/// Why the configuration was refused.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A key without which the program cannot run.
    #[error("{0} is not set")]
    Missing(&'static str),
    /// A value that cannot be read.
    #[error("{key} is {value:?}, expected {expected}")]
    Invalid {
        /// The key.
        key: &'static str,
        /// Its value; never a secret one.
        value: String,
        /// What would have been accepted.
        expected: &'static str,
    },
    /// `NAME_FILE` names a file that cannot be read.
    #[error("{key}_FILE names {path}, which cannot be read")]
    File {
        /// The key.
        key: &'static str,
        /// The path.
        path: String,
        /// What the system said.
        #[source]
        cause: std::io::Error,
    },
    /// `DATABASE_URL` has no form we know.
    #[error("DATABASE_URL is not usable")]
    Database(#[source] UrlError),
    /// A rule that holds in production only.
    #[error("{0}")]
    Production(&'static str),
}

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

/// Text that must not be printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Returns the text, for the one call that needs it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("«redacted»")
    }
}

/// Development or production.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Environment {
    /// Documentation and outbox are served, checks warn.
    Development,
    /// Strict.
    Production,
}

/// A provider of chat completions.
#[derive(Debug, Clone)]
pub struct Provider {
    /// `openai`, `gemini` or `cohere`.
    pub name: &'static str,
    /// Its key.
    pub key: Secret,
    /// Address without a final slash.
    pub base_url: String,
    /// Model to ask for.
    pub model: String,
}

/// How mail leaves.
#[derive(Debug, Clone)]
pub enum Mail {
    /// A log line and the development outbox.
    Console,
    /// SMTP with login.
    Gmail {
        /// The account, also the envelope sender.
        account: Secret,
        /// The app password.
        password: Secret,
        /// `smtps://host:port` or `smtp://host:port`.
        server: String,
    },
    /// The HTTP interface of Resend.
    Resend {
        /// The key.
        key: Secret,
        /// Address without a final slash.
        base_url: String,
    },
}

/// The account at Cloudinary.
#[derive(Debug, Clone)]
pub struct Cloudinary {
    /// Part of the upload address.
    pub cloud_name: String,
    /// The key.
    pub key: Secret,
    /// Signs uploads.
    pub secret: Secret,
    /// Address without a final slash.
    pub base_url: String,
}

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
        let mut reader = Reader {
            settings: BTreeMap::new(),
            notes: Vec::new(),
        };
        for key in KEYS {
            let setting = read_setting(key, variables)?;
            reader.settings.insert(key.name, setting);
        }
        let pod = variables("HOSTNAME").unwrap_or_default();
        let config = build(&mut reader, pod)?;
        Ok((config, reader.notes))
    }

    /// Whether strict rules hold.
    pub fn production(&self) -> bool {
        self.environment == Environment::Production
    }
}

fn read_setting(
    key: &Key,
    variables: &dyn Fn(&str) -> Option<String>,
) -> Result<Setting, ConfigError> {
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

struct Reader {
    settings: BTreeMap<&'static str, Setting>,
    notes: Vec<String>,
}

impl Reader {
    fn text(&self, name: &'static str) -> &str {
        self.settings
            .get(name)
            .map_or("", |setting| setting.value.trim())
    }

    fn optional(&self, name: &'static str) -> Option<String> {
        Some(self.text(name).to_owned()).filter(|text| !text.is_empty())
    }

    fn secret(&self, name: &'static str) -> Option<Secret> {
        self.optional(name).map(Secret)
    }

    fn number<T: std::str::FromStr>(
        &self,
        key: &'static str,
        expected: &'static str,
    ) -> Result<T, ConfigError> {
        self.text(key)
            .parse()
            .map_err(|_| self.invalid(key, expected))
    }

    fn invalid(&self, key: &'static str, expected: &'static str) -> ConfigError {
        ConfigError::Invalid {
            key,
            value: self.text(key).to_owned(),
            expected,
        }
    }

    fn list(&self, name: &'static str) -> Vec<String> {
        let parts = self.text(name).split([',', ' ']).map(str::trim);
        parts
            .filter(|part| !part.is_empty())
            .map(ToOwned::to_owned)
            .collect()
    }

    fn base(&self, name: &'static str) -> String {
        self.text(name).trim_end_matches('/').to_owned()
    }
}

fn build(reader: &mut Reader, hostname: String) -> Result<Config, ConfigError> {
    let environment = read_environment(reader)?;
    let production = environment == Environment::Production;
    let (auth_secrets, link_secret) = read_auth_secrets(reader, production)?;
    let port = reader.number("PORT", "a port number")?;
    let (providers, ai_local) = read_providers(reader)?;
    let config = Config {
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
        auth_strict: read_truth(reader, "AUTH_STRICT")?,
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
        settings: Vec::new(),
    };
    let settings = KEYS
        .iter()
        .filter_map(|key| reader.settings.get(key.name).cloned());
    Ok(Config {
        settings: settings.collect(),
        ..config
    })
}

fn read_environment(reader: &Reader) -> Result<Environment, ConfigError> {
    match reader.text("ENVIRONMENT").to_ascii_lowercase().as_str() {
        "development" | "dev" | "test" | "testing" => Ok(Environment::Development),
        "production" | "prod" | "staging" => Ok(Environment::Production),
        _ => Err(reader.invalid("ENVIRONMENT", "development, staging or production")),
    }
}

fn read_log(reader: &mut Reader, production: bool) -> log::Settings {
    let level = log::parse_level(reader.text("LOG_LEVEL"));
    if level.is_none() {
        let text = reader.text("LOG_LEVEL").to_owned();
        reader.notes.push(format!(
            "LOG_LEVEL is {text:?}, which is no level; info is used"
        ));
    }
    log::Settings {
        level: level.unwrap_or(Level::INFO),
        json: production,
        unbuffered: reader.text("PYTHONUNBUFFERED") == "1",
    }
}

fn read_database(reader: &mut Reader, production: bool) -> Result<DatabaseUrl, ConfigError> {
    let text = reader
        .optional("DATABASE_URL")
        .ok_or(ConfigError::Missing("DATABASE_URL"))?;
    let url = DatabaseUrl::parse(&text).map_err(ConfigError::Database)?;
    if production && url.is_remote_without_tls() {
        reader
            .notes
            .push("DATABASE_URL does not say sslmode=require".to_owned());
    }
    Ok(url)
}

/// Values that guides and examples use; signing with them protects nothing.
const PLACEHOLDERS: &[&str] = &[
    "secret",
    "your-secret",
    "your-secret-key",
    "changeme",
    "change-me",
    "your-secret-key-here",
];

/// Returns the secrets of tokens, the one that signs first, and that of links.
fn read_auth_secrets(
    reader: &mut Reader,
    production: bool,
) -> Result<(Vec<Secret>, Secret), ConfigError> {
    let jwt = reader.secret("JWT_SECRET");
    let better = reader.secret("BETTER_AUTH_SECRET");
    if let (Some(jwt), Some(better)) = (&jwt, &better)
        && jwt != better
    {
        let note = "JWT_SECRET and BETTER_AUTH_SECRET differ: JWT_SECRET signs, both verify";
        reader.notes.push(note.to_owned());
    }
    let links = better.clone().or_else(|| jwt.clone());
    let mut secrets: Vec<Secret> = jwt.into_iter().chain(better).collect();
    secrets.dedup();
    let (Some(signing), Some(links)) = (secrets.first(), links) else {
        return Err(ConfigError::Missing("BETTER_AUTH_SECRET (or JWT_SECRET)"));
    };
    let weak = signing.reveal().len() < 32;
    let known = PLACEHOLDERS.contains(&signing.reveal());
    if production && (weak || known) {
        return Err(ConfigError::Production(
            "JWT_SECRET must be at least 32 characters in production",
        ));
    }
    if weak || known {
        let note = "the signing secret is short or well known; use 32 random characters";
        reader.notes.push(note.to_owned());
    }
    Ok((secrets, links))
}

fn read_session_life(reader: &Reader) -> Result<Duration, ConfigError> {
    let key = "JWT_EXPIRATION_HOURS";
    let hours: f64 = reader.number(key, "hours")?;
    Duration::try_from_secs_f64(hours * 3600.0)
        .ok()
        .filter(|life| !life.is_zero())
        .ok_or_else(|| reader.invalid(key, "more than zero hours"))
}

fn read_origins(reader: &Reader) -> Vec<String> {
    let mut origins = reader.list("CORS_ORIGINS");
    origins.extend(reader.optional("FRONTEND_URL"));
    origins.extend(reader.optional("PUBLIC_URL"));
    // A wildcard with credentials is what browsers refuse and attackers want.
    origins.retain(|origin| origin != "*");
    origins
        .iter()
        .map(|origin| origin.trim_end_matches('/').to_ascii_lowercase())
        .collect()
}

fn read_public_url(reader: &Reader, production: bool) -> Result<Option<String>, ConfigError> {
    if let Some(url) = reader.optional("PUBLIC_URL") {
        return Ok(Some(url.trim_end_matches('/').to_owned()));
    }
    let Some(url) = reader.optional("FRONTEND_URL") else {
        return Ok(None);
    };
    if is_cluster_only(&url) {
        return Ok(None);
    }
    if production && !url.starts_with("https://") {
        return Err(ConfigError::Production(
            "FRONTEND_URL must use HTTPS in production",
        ));
    }
    Ok(Some(url.trim_end_matches('/').to_owned()))
}

/// Whether a URL names a host that only pods can resolve.
fn is_cluster_only(url: &str) -> bool {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let host = rest.split(['/', ':']).next().unwrap_or_default();
    let single = !host.contains('.') && host != "localhost";
    single || host.ends_with(".svc") || host.ends_with(".cluster.local")
}

/// Returns the providers in their order, and whether the built-in assistant
/// may answer after them.
fn read_providers(reader: &Reader) -> Result<(Vec<Provider>, bool), ConfigError> {
    let rows = [
        (
            "cohere",
            "COHERE_API_KEY",
            "COHERE_BASE_URL",
            "COHERE_MODEL",
        ),
        (
            "gemini",
            "GEMINI_API_KEY",
            "GEMINI_BASE_URL",
            "GEMINI_MODEL",
        ),
        (
            "openai",
            "OPENAI_API_KEY",
            "OPENAI_BASE_URL",
            "OPENAI_MODEL",
        ),
    ];
    let mut providers: Vec<Provider> = rows
        .into_iter()
        .filter_map(|(name, key, base, model)| {
            Some(Provider {
                name,
                key: reader.secret(key)?,
                base_url: reader.base(base),
                model: reader.text(model).to_owned(),
            })
        })
        .collect();
    let chosen = match reader.text("AI_PROVIDER") {
        "auto" => None,
        "local" => {
            providers.clear();
            None
        }
        chosen if rows.iter().any(|row| row.0 == chosen) => {
            providers.sort_by_key(|provider| provider.name != chosen);
            Some(chosen)
        }
        _ => return Err(reader.invalid("AI_PROVIDER", "auto, openai, gemini, cohere or local")),
    };
    if read_truth(reader, "AI_FALLBACK")? {
        return Ok((providers, true));
    }
    // Only the first choice answers; the built-in assistant is it when no
    // provider was chosen and none has a key.
    providers.retain(|provider| chosen.is_none_or(|chosen| provider.name == chosen));
    providers.truncate(1);
    let local = chosen.is_none() && providers.is_empty();
    Ok((providers, local))
}

fn read_truth(reader: &Reader, key: &'static str) -> Result<bool, ConfigError> {
    match reader.text(key).to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => Ok(true),
        "false" | "0" | "no" | "off" => Ok(false),
        _ => Err(reader.invalid(key, "true or false")),
    }
}

fn read_mcp_port(reader: &Reader, port: u16) -> Result<Option<u16>, ConfigError> {
    let text = reader.text("MCP_SERVER_PORT");
    if text == "auto" {
        return Ok(Some(0));
    }
    let mcp: u16 = reader.number("MCP_SERVER_PORT", "a port number, or 0 for off")?;
    if mcp != 0 && mcp == port {
        return Err(reader.invalid("MCP_SERVER_PORT", "another port than PORT"));
    }
    Ok(Some(mcp).filter(|mcp| *mcp != 0))
}

fn read_mail(reader: &Reader, production: bool) -> Result<Mail, ConfigError> {
    match reader.text("EMAIL_PROVIDER").to_ascii_lowercase().as_str() {
        "console" if production => Err(ConfigError::Production(
            "Console email provider not allowed in production. Use 'resend' or 'gmail'.",
        )),
        "console" => Ok(Mail::Console),
        "gmail" => Ok(Mail::Gmail {
            account: reader
                .secret("GMAIL_EMAIL")
                .ok_or(ConfigError::Missing("GMAIL_EMAIL"))?,
            password: reader
                .secret("GMAIL_APP_PASSWORD")
                .ok_or(ConfigError::Missing("GMAIL_APP_PASSWORD"))?,
            server: reader.base("SMTP_URL"),
        }),
        "resend" => Ok(Mail::Resend {
            key: reader
                .secret("RESEND_API_KEY")
                .ok_or(ConfigError::Missing("RESEND_API_KEY"))?,
            base_url: reader.base("RESEND_BASE_URL"),
        }),
        _ => Err(reader.invalid("EMAIL_PROVIDER", "console, gmail or resend")),
    }
}

fn read_cloudinary(reader: &mut Reader) -> Option<Cloudinary> {
    let parts = (
        reader.optional("CLOUDINARY_CLOUD_NAME"),
        reader.secret("CLOUDINARY_API_KEY"),
        reader.secret("CLOUDINARY_API_SECRET"),
    );
    match parts {
        (Some(cloud_name), Some(key), Some(secret)) => {
            let base_url = reader.base("CLOUDINARY_BASE_URL");
            Some(Cloudinary {
                cloud_name,
                key,
                secret,
                base_url,
            })
        }
        (None, None, None) => None,
        _ => {
            let note = "Cloudinary needs name, key and secret; uploads stay in UPLOADS_DIR";
            reader.notes.push(note.to_owned());
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: (&str, &str) = ("BETTER_AUTH_SECRET", "0123456789abcdef0123456789abcdef");
    const SQLITE: (&str, &str) = ("DATABASE_URL", "sqlite:///tmp/todo.db");

    fn read(pairs: &[(&str, &str)]) -> Result<(Config, Vec<String>), ConfigError> {
        Config::from_variables(&|name| {
            let found = pairs.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn what_is_wrong_is_named() {
        let check = |extra: &[(&str, &str)], expected: &str| {
            let pairs: Vec<_> = extra.iter().copied().chain([SECRET, SQLITE]).collect();
            let outcome = read(&pairs).map(|_| ()).map_err(|error| error.to_string());
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

    #[test]
    fn providers_stand_in_order() {
        let check = |extra: &[(&str, &str)], expected: &[&str]| {
            let pairs: Vec<_> = extra.iter().copied().chain([SECRET, SQLITE]).collect();
            let (config, _) = read(&pairs).expect("read");
            let names: Vec<_> = config
                .providers
                .iter()
                .map(|provider| provider.name)
                .collect();
            assert_eq!(names, expected, "{extra:?}");
        };
        let keys = [
            ("OPENAI_API_KEY", "a"),
            ("GEMINI_API_KEY", "b"),
            ("COHERE_API_KEY", "c"),
        ];
        check(&[], &[]);
        check(&keys, &["cohere", "gemini", "openai"]);
        check(
            &[keys[0], keys[1], ("AI_PROVIDER", "openai")],
            &["openai", "gemini"],
        );
        check(&[keys[0], ("AI_PROVIDER", "local")], &[]);
    }

    #[test]
    fn without_fall_back_one_assistant_answers() {
        let check = |extra: &[(&str, &str)], providers: &[&str], local: bool| {
            let fixed = [SECRET, SQLITE, ("AI_FALLBACK", "false")];
            let pairs: Vec<_> = extra.iter().copied().chain(fixed).collect();
            let (config, _) = read(&pairs).expect("read");
            let names: Vec<_> = config.providers.iter().map(|one| one.name).collect();
            assert_eq!(
                (names.as_slice(), config.ai_local),
                (providers, local),
                "{extra:?}"
            );
        };
        let keys = [("OPENAI_API_KEY", "a"), ("COHERE_API_KEY", "c")];
        check(&[], &[], true);
        check(&keys, &["cohere"], false);
        check(&[keys[1], ("AI_PROVIDER", "openai")], &[], false);
        check(&[keys[0], ("AI_PROVIDER", "local")], &[], true);
    }

    #[test]
    fn links_never_name_a_host_of_the_cluster() {
        let check = |extra: &[(&str, &str)], expected: Option<&str>| {
            let pairs: Vec<_> = extra.iter().copied().chain([SECRET, SQLITE]).collect();
            let (config, _) = read(&pairs).expect("read");
            assert_eq!(config.public_url.as_deref(), expected, "{extra:?}");
        };
        check(
            &[("FRONTEND_URL", "http://localhost:30000/")],
            Some("http://localhost:30000"),
        );
        check(&[("FRONTEND_URL", "http://todo-frontend:3000")], None);
        check(
            &[(
                "FRONTEND_URL",
                "http://todo-frontend.default.svc.cluster.local:3000",
            )],
            None,
        );
        check(
            &[
                ("FRONTEND_URL", "http://todo-frontend:3000"),
                ("PUBLIC_URL", "https://todo.example"),
            ],
            Some("https://todo.example"),
        );
    }

    #[test]
    fn an_unknown_level_is_noted() {
        let (config, notes) = read(&[SECRET, SQLITE, ("LOG_LEVEL", "loud")]).expect("read");
        assert_eq!(config.log.level, Level::INFO);
        assert_eq!(
            notes,
            [r#"LOG_LEVEL is "loud", which is no level; info is used"#]
        );
        let (config, _) = read(&[SECRET, SQLITE, ("LOG_LEVEL", "DEBUG")]).expect("read");
        assert_eq!(config.log.level, Level::DEBUG);
    }
}
