//! Proxies of the host as arguments of a build, as Docker's command hands them
//! over: those of its configuration (docker documentation, "Use a proxy server
//! with the Docker CLI"), else those of the environment.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use crate::registries::docker_config;

/// The variables, with their names in Docker's configuration.
const NAMES: [(&str, &str); 5] = [
    ("HTTP_PROXY", "httpProxy"),
    ("HTTPS_PROXY", "httpsProxy"),
    ("FTP_PROXY", "ftpProxy"),
    ("ALL_PROXY", "allProxy"),
    ("NO_PROXY", "noProxy"),
];
/// The host's loopback as a build sees it.
const HOST: &str = "host.coracle.internal";

/// Proxies for a build.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct BuildProxies {
    /// Arguments, each in upper and in lower case.
    pub arguments: BTreeMap<String, String>,
    /// Ports of the host's loopback on which some of them listen.
    pub host_ports: Vec<u16>,
}

impl BuildProxies {
    /// Reads what this machine's user has set.
    pub fn of_user() -> BuildProxies {
        let config = docker_config().map(|(_, text)| text).unwrap_or_default();
        let config = serde_json::from_slice(&config).unwrap_or_default();
        BuildProxies::of(&config, |name| std::env::var(name).ok())
    }

    fn of(config: &serde_json::Value, variable: impl Fn(&str) -> Option<String>) -> BuildProxies {
        let mut proxies = BuildProxies::default();
        for (name, key) in NAMES {
            let configured = config["proxies"]["default"][key].as_str();
            let set = || variable(&name.to_lowercase()).or_else(|| variable(name));
            let Some(value) = configured.map(str::to_owned).or_else(set) else {
                continue;
            };
            let value = match name {
                "NO_PROXY" => value,
                _ => proxies.reachable(&value),
            };
            proxies.arguments.insert(name.to_lowercase(), value.clone());
            proxies.arguments.insert(name.to_owned(), value);
        }
        proxies
    }

    /// Names a proxy on the host's loopback as a build can reach it.
    fn reachable(&mut self, proxy: &str) -> String {
        let Some((address, port)) = loopback(proxy) else {
            return proxy.to_owned();
        };
        self.host_ports.push(port);
        proxy.replacen(&address, &format!("{HOST}:{port}"), 1)
    }
}

/// Returns the address of a proxy and its port if it is on the loopback.
fn loopback(proxy: &str) -> Option<(String, u16)> {
    let address = proxy.split("://").last()?.split('/').next()?;
    let address = address.rsplit('@').next()?;
    let port = match address.parse::<SocketAddr>() {
        Ok(parsed) if parsed.ip().is_loopback() => parsed.port(),
        Ok(_) => return None,
        Err(_) => address.strip_prefix("localhost:")?.parse().ok()?,
    };
    Some((address.to_owned(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proxies_come_from_dockers_file_or_the_environment() {
        let config = serde_json::json!({"proxies": {"default": {
            "httpProxy": "http://proxy:3128", "noProxy": "localhost,.corp"}}});
        let variable = |name: &str| match name {
            "https_proxy" => Some("http://u:p@127.0.0.1:8080/".to_owned()),
            "HTTP_PROXY" => Some("http://other".to_owned()),
            _ => None,
        };
        let proxies = BuildProxies::of(&config, variable);
        let check = |name: &str, expected: &str| {
            assert_eq!(proxies.arguments[name], expected, "{name}");
        };
        check("HTTP_PROXY", "http://proxy:3128");
        check("http_proxy", "http://proxy:3128");
        check("NO_PROXY", "localhost,.corp");
        check("HTTPS_PROXY", "http://u:p@host.coracle.internal:8080/");
        assert_eq!(proxies.host_ports, [8080]);
        assert_eq!(proxies.arguments.len(), 6);
    }

    #[test]
    fn only_the_loopback_is_the_hosts() {
        let check = |proxy: &str, expected: Option<u16>| {
            assert_eq!(loopback(proxy).map(|(_, port)| port), expected, "{proxy}");
        };
        check("http://localhost:3128", Some(3128));
        check("[::1]:3128", Some(3128));
        check("socks5://127.0.0.9:1", Some(1));
        check("http://proxy:3128", None);
        check("http://10.0.0.1:3128", None);
        check("http://localhost", None);
    }
}
