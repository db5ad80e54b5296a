//! Where a URL leads, how it is encrypted, and the way there.

use std::error::Error as _;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres::{Client, Config, NoTls};

use super::batch::reason;
use super::tls::Connector;
use crate::net::tls::{Check, configured};

/// A server, or several that stand in for each other.
pub(super) struct Target {
    config: Config,
    tls: Arc<rustls::ClientConfig>,
    hosts: Vec<(String, u16)>,
}

/// Parameters of a URL that tokio-postgres knows.
const KNOWN: [&str; 11] = [
    "options",
    "application_name",
    "connect_timeout",
    "target_session_attrs",
    "channel_binding",
    "keepalives",
    "keepalives_idle",
    "keepalives_interval",
    "keepalives_retries",
    "tcp_user_timeout",
    "sslnegotiation",
];

impl Target {
    /// Reads a URL, with the parameters of libpq and of poolers.
    pub(super) fn parse(url: &str) -> Result<Self, String> {
        let (base, query) = url.split_once('?').unwrap_or((url, ""));
        let mut mode = "prefer";
        let mut roots = None;
        let mut kept = Vec::new();
        for (key, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
            match key {
                "sslmode" | "ssl" => mode = value,
                "sslrootcert" => roots = Some(value.replace("%2F", "/")),
                key if KNOWN.contains(&key) => kept.push(format!("{key}={value}")),
                // Settings of other drivers and poolers mean nothing here.
                _ => {}
            }
        }
        let (ssl, check) = ssl_of(mode, roots.is_some())?;
        let url = if kept.is_empty() {
            base.to_owned()
        } else {
            format!("{base}?{}", kept.join("&"))
        };
        let mut config: Config = url.parse().map_err(|error: tokio_postgres::Error| {
            let cause = error.source().map(ToString::to_string);
            format!(
                "DATABASE_URL cannot be read: {}",
                cause.unwrap_or_else(|| error.to_string())
            )
        })?;
        config.ssl_mode(ssl);
        config.application_name("todo-backend");
        let tls = configured(check, roots.as_deref())?;
        let ports = config.get_ports();
        let hosts = config
            .get_hosts()
            .iter()
            .enumerate()
            .filter_map(|(place, host)| match host {
                Host::Tcp(name) => {
                    let port = ports.get(place).or(ports.first()).copied().unwrap_or(5432);
                    Some((name.clone(), port))
                }
                #[allow(unreachable_patterns)]
                _ => None,
            });
        let hosts: Vec<_> = hosts.collect();
        if hosts.is_empty() {
            return Err("DATABASE_URL names no host".to_owned());
        }
        Ok(Self { config, tls, hosts })
    }

    /// Returns a connection to the first host that gives one.
    pub(super) async fn connect(&self) -> Result<Client, String> {
        let mut last = String::new();
        for (host, port) in &self.hosts {
            match self.connect_host(host, *port).await {
                Ok(client) => return Ok(client),
                Err(error) => last = format!("{host}:{port}: {error}"),
            }
        }
        Err(last)
    }

    async fn connect_host(&self, host: &str, port: u16) -> Result<Client, String> {
        let stream = crate::net::connect(host, port).await?;
        let limit = Duration::from_secs(10);
        match tokio::time::timeout(limit, self.log_in(host, stream)).await {
            Ok(outcome) => outcome,
            Err(_) => Err("no log-in in time".to_owned()),
        }
    }

    async fn log_in(&self, host: &str, stream: TcpStream) -> Result<Client, String> {
        let wrong = |error: tokio_postgres::Error| reason(&error);
        if self.config.get_ssl_mode() == SslMode::Disable {
            let (client, connection) = self
                .config
                .connect_raw(stream, NoTls)
                .await
                .map_err(wrong)?;
            tokio::spawn(connection);
            return Ok(client);
        }
        let name = ServerName::try_from(host.to_owned()).map_err(|error| error.to_string())?;
        let connector = Connector {
            config: Arc::clone(&self.tls),
            name,
        };
        let (client, connection) = self
            .config
            .connect_raw(stream, connector)
            .await
            .map_err(wrong)?;
        tokio::spawn(connection);
        Ok(client)
    }
}

/// What `sslmode` means: whether TLS is used, and what is checked
/// (https://www.postgresql.org/docs/current/libpq-ssl.html, table 34.1).
fn ssl_of(mode: &str, has_roots: bool) -> Result<(SslMode, Check), String> {
    match mode {
        "disable" | "false" => Ok((SslMode::Disable, Check::Nothing)),
        "allow" | "prefer" => Ok((SslMode::Prefer, Check::Nothing)),
        // With roots at hand, libpq checks the chain for `require` too.
        "require" | "true" if has_roots => Ok((SslMode::Require, Check::Chain)),
        "require" | "true" => Ok((SslMode::Require, Check::Nothing)),
        "verify-ca" => Ok((SslMode::Require, Check::Chain)),
        "verify-full" => Ok((SslMode::Require, Check::Full)),
        _ => Err(format!(
            "sslmode is {mode:?}, expected disable, prefer, require, verify-ca or verify-full"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_of_neon_and_others_are_read() {
        let check = |url: &str, expected: Result<(SslMode, &str, u16), &str>| {
            let found = Target::parse(url);
            let found = found.as_ref().map(|target| {
                let (host, port) = &target.hosts[0];
                (target.config.get_ssl_mode(), host.as_str(), *port)
            });
            assert_eq!(found.map_err(String::as_str), expected, "{url}");
        };
        check(
            "postgresql://u:p@ep-x-pooler.eu.neon.tech/db?sslmode=require&channel_binding=require",
            Ok((SslMode::Require, "ep-x-pooler.eu.neon.tech", 5432)),
        );
        check(
            "postgresql://u:p@h:6543/db?pgbouncer=true&sslmode=disable",
            Ok((SslMode::Disable, "h", 6543)),
        );
        check("postgresql://u:p@h/db", Ok((SslMode::Prefer, "h", 5432)));
        check(
            "postgresql://u:p@h/db?sslmode=verify-full",
            Ok((SslMode::Require, "h", 5432)),
        );
        check(
            "postgresql://u:p@h/db?sslmode=maybe",
            Err(
                r#"sslmode is "maybe", expected disable, prefer, require, verify-ca or verify-full"#,
            ),
        );
        check("postgresql://u:p@/db", Err("DATABASE_URL names no host"));
    }
}
