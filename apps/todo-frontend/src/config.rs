//! What the program is told by its environment, read once at the start.

use tracing::Level;

/// The port when `PORT` is not set.
pub const DEFAULT_PORT: u16 = 3000;

/// The variables that name the API, the one that wins first.
pub const UPSTREAM_KEYS: [&str; 3] = [
    "NEXT_PUBLIC_API_URL",
    "NEXT_PUBLIC_BACKEND_URL",
    "BACKEND_URL",
];

/// Why the configuration was refused.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ConfigError {
    /// Not a number.
    #[error("PORT is {0:?}, expected a port number")]
    Port(String),
    /// Not an http or https address.
    #[error("{key} is {value:?}, expected http://host[:port]")]
    Upstream {
        /// The variable.
        key: &'static str,
        /// Its value.
        value: String,
    },
}

/// Where the API is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upstream {
    /// Whether to speak TLS.
    pub tls: bool,
    /// Name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Which variable said so.
    pub key: &'static str,
}

impl Upstream {
    /// Returns the address as people write it.
    pub fn text(&self) -> String {
        let scheme = if self.tls { "https" } else { "http" };
        format!("{scheme}://{}:{}", self.host, self.port)
    }

    /// Reads an address; `None` when it is not one of http or https.
    pub fn parse(key: &'static str, value: &str) -> Option<Self> {
        let uri: http::Uri = value.trim().trim_end_matches('/').parse().ok()?;
        let tls = match uri.scheme_str()? {
            "http" => false,
            "https" => true,
            _ => return None,
        };
        let host = uri.host()?.trim_matches(['[', ']']).to_owned();
        let port = uri.port_u16().unwrap_or(if tls { 443 } else { 80 });
        Some(Self {
            tls,
            host,
            port,
            key,
        })
    }
}

/// Everything the program was told.
#[derive(Debug, Clone)]
pub struct Config {
    /// Port of the pages; 0 lets the system choose.
    pub port: u16,
    /// Where the API is; `None` gives a page that names the missing key.
    pub upstream: Option<Upstream>,
    /// `NODE_ENV=production`: assets are cached, errors are short.
    pub production: bool,
    /// Name of this pod.
    pub pod: String,
    /// Log lines below this are dropped.
    pub log_level: Level,
}

impl Config {
    /// Reads the environment of the process.
    ///
    /// # Errors
    /// When a value cannot be understood.
    pub fn from_process() -> Result<Self, ConfigError> {
        Self::from_variables(&|name| std::env::var(name).ok())
    }

    /// Reads variables through a function.
    ///
    /// # Errors
    /// When a value cannot be understood.
    pub fn from_variables(variables: &dyn Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let read = |name: &str| variables(name).filter(|value| !value.trim().is_empty());
        let port = match read("PORT") {
            None => DEFAULT_PORT,
            Some(text) => text.trim().parse().map_err(|_| ConfigError::Port(text))?,
        };
        let named = UPSTREAM_KEYS
            .into_iter()
            .find_map(|key| Some((key, read(key)?)));
        let upstream = match named {
            None => None,
            Some((key, value)) => {
                Some(Upstream::parse(key, &value).ok_or(ConfigError::Upstream { key, value })?)
            }
        };
        Ok(Self {
            port,
            upstream,
            production: read("NODE_ENV").as_deref() == Some("production"),
            pod: read("POD_NAME")
                .or_else(|| read("HOSTNAME"))
                .unwrap_or_default(),
            log_level: level(read("LOG_LEVEL").as_deref()),
        })
    }
}

fn level(text: Option<&str>) -> Level {
    match text.unwrap_or("info").to_ascii_lowercase().as_str() {
        "trace" => Level::TRACE,
        "debug" => Level::DEBUG,
        "warn" | "warning" => Level::WARN,
        "error" | "critical" | "fatal" => Level::ERROR,
        _ => Level::INFO,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_named_upstream_wins() {
        let check = |pairs: &[(&str, &str)], expected: Result<Option<&str>, ConfigError>| {
            let config = Config::from_variables(&|name| {
                let found = pairs.iter().find(|(key, _)| *key == name);
                found.map(|(_, value)| (*value).to_owned())
            });
            let found = config.map(|config| config.upstream.map(|upstream| upstream.text()));
            assert_eq!(
                found,
                expected.map(|text| text.map(ToOwned::to_owned)),
                "{pairs:?}"
            );
        };
        check(&[], Ok(None));
        check(
            &[("BACKEND_URL", "http://b:7860")],
            Ok(Some("http://b:7860")),
        );
        check(
            &[
                ("BACKEND_URL", "http://b:1"),
                ("NEXT_PUBLIC_API_URL", "http://a:8000/"),
            ],
            Ok(Some("http://a:8000")),
        );
        check(
            &[("NEXT_PUBLIC_BACKEND_URL", "https://b")],
            Ok(Some("https://b:443")),
        );
        check(&[("NEXT_PUBLIC_API_URL", "")], Ok(None));
        let wrong = ConfigError::Upstream {
            key: "BACKEND_URL",
            value: "b:1".to_owned(),
        };
        check(&[("BACKEND_URL", "b:1")], Err(wrong));
    }
}
