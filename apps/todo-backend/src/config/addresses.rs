//! Where the program listens, who may call it from a browser, and under which
//! address people know it.

use super::error::ConfigError;
use super::reader::Reader;

/// Returns the port of the MCP server, 0 when the system is to choose it;
/// `None` is off.
pub(super) fn read_mcp_port(reader: &Reader, port: u16) -> Result<Option<u16>, ConfigError> {
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

/// Returns the origins that browsers may call from.
pub(super) fn read_origins(reader: &Reader) -> Vec<String> {
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

/// Returns the base of links in mails.
pub(super) fn read_public_url(
    reader: &Reader,
    production: bool,
) -> Result<Option<String>, ConfigError> {
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

#[cfg(test)]
mod tests {
    use crate::config::fixture::read_with;

    #[test]
    fn links_never_name_a_host_of_the_cluster() {
        let check = |extra: &[(&str, &str)], expected: Option<&str>| {
            let (config, _) = read_with(extra).expect("read");
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
}
