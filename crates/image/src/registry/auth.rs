//! Logins: Docker's `config.json`, and the challenges of registries.
//!
//! Credential helpers are named ([`Helpers`]) and not run: they are programs of
//! the host.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::RegistryError;

/// A user's login at one registry.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Login {
    /// User and password.
    Password {
        /// User.
        user: String,
        /// Password or access token.
        password: String,
    },
    /// A token that is exchanged for others.
    Identity(String),
}

// A login never appears in a log or an error.
impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Password { user, .. } => write!(f, "Password({user}, …)"),
            Self::Identity(_) => f.write_str("Identity(…)"),
        }
    }
}

/// Logins by registry host.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credentials {
    logins: BTreeMap<String, Login>,
}

#[derive(Deserialize)]
struct ConfigFile {
    #[serde(default)]
    auths: BTreeMap<String, Entry>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
struct Entry {
    auth: Option<String>,
    username: Option<String>,
    password: Option<String>,
    identitytoken: Option<String>,
}

impl Credentials {
    /// Reads Docker's `config.json` (also what a Kubernetes pull secret holds).
    ///
    /// # Errors
    ///
    /// Fails when it is no such file; entries without a usable login are left
    /// out, as those that only name a helper.
    pub fn from_config(text: &[u8]) -> Result<Self, RegistryError> {
        let setting = |reason: String| RegistryError::Setting {
            what: "the registry login file".to_owned(),
            reason,
        };
        let file: ConfigFile =
            serde_json::from_slice(text).map_err(|error| setting(error.to_string()))?;
        let mut credentials = Self::default();
        for (host, entry) in file.auths {
            if let Some(login) = entry.login() {
                credentials.logins.insert(normal_host(&host), login);
            }
        }
        Ok(credentials)
    }

    /// Adds or replaces a login.
    pub fn insert(&mut self, host: &str, login: Login) {
        self.logins.insert(normal_host(host), login);
    }

    /// Adds the logins of `other`, which win.
    pub fn extend(&mut self, other: Self) {
        self.logins.extend(other.logins);
    }

    /// Returns the login for a registry host.
    pub fn login(&self, host: &str) -> Option<&Login> {
        self.logins.get(&normal_host(host))
    }
}

/// Which program keeps the login of which registry.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Helpers {
    of_hosts: BTreeMap<String, String>,
    other: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct HelperFile {
    #[serde(default)]
    cred_helpers: BTreeMap<String, String>,
    #[serde(default)]
    creds_store: String,
}

impl Helpers {
    /// Reads Docker's `config.json`.
    ///
    /// # Errors
    ///
    /// Fails when it is no such file.
    pub fn from_config(text: &[u8]) -> Result<Self, RegistryError> {
        let file: HelperFile =
            serde_json::from_slice(text).map_err(|error| RegistryError::Setting {
                what: "the registry login file".to_owned(),
                reason: error.to_string(),
            })?;
        let of_hosts = file.cred_helpers.into_iter();
        Ok(Self {
            of_hosts: of_hosts
                .map(|(host, helper)| (normal_host(&host), helper))
                .collect(),
            other: Some(file.creds_store).filter(|helper| !helper.is_empty()),
        })
    }

    /// Returns the helper that keeps the login of a host, the end of its
    /// program's name.
    pub fn of(&self, host: &str) -> Option<&str> {
        let own = self.of_hosts.get(&normal_host(host));
        own.or(self.other.as_ref()).map(String::as_str)
    }
}

impl Entry {
    fn login(self) -> Option<Login> {
        if let Some(token) = self.identitytoken.filter(|token| !token.is_empty()) {
            return Some(Login::Identity(token));
        }
        if let Some(auth) = self.auth.filter(|auth| !auth.is_empty()) {
            let decoded = STANDARD.decode(auth.trim()).ok()?;
            let text = String::from_utf8(decoded).ok()?;
            let (user, password) = text.split_once(':')?;
            return Some(Login::Password {
                user: user.to_owned(),
                password: password.trim_end_matches('\0').to_owned(),
            });
        }
        Some(Login::Password {
            user: self.username.filter(|user| !user.is_empty())?,
            password: self.password?,
        })
    }
}

// Docker Hub's logins stand under its old index address.
fn normal_host(host: &str) -> String {
    let host = host
        .trim_start_matches("https://")
        .trim_start_matches("http://");
    let host = host.split('/').next().unwrap_or_default();
    match host {
        "index.docker.io" | "registry-1.docker.io" | "registry.hub.docker.com" => {
            "docker.io".to_owned()
        }
        host => host.to_ascii_lowercase(),
    }
}

impl Login {
    /// Returns the value of a Basic `Authorization` header (RFC 7617).
    pub(super) fn basic(&self) -> Option<String> {
        match self {
            Self::Password { user, password } => Some(format!(
                "Basic {}",
                STANDARD.encode(format!("{user}:{password}"))
            )),
            Self::Identity(_) => None,
        }
    }
}

/// What a registry asks for in `WWW-Authenticate`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Challenge {
    /// User and password.
    Basic,
    /// A token.
    Bearer {
        /// Where tokens are given.
        realm: String,
        /// Whom the token is for.
        service: Option<String>,
        /// What it shall allow.
        scope: Option<String>,
    },
}

/// Reads a `WWW-Authenticate` header (RFC 9110, section 11.6.1); `None` for
/// what this client cannot answer.
pub fn challenge(header: &str) -> Option<Challenge> {
    let (scheme, parameters) = header.trim().split_once(' ').unwrap_or((header.trim(), ""));
    if scheme.eq_ignore_ascii_case("basic") {
        return Some(Challenge::Basic);
    }
    if !scheme.eq_ignore_ascii_case("bearer") {
        return None;
    }
    let mut parameters = parameters_of(parameters);
    Some(Challenge::Bearer {
        realm: parameters.remove("realm")?,
        service: parameters.remove("service"),
        scope: parameters.remove("scope"),
    })
}

fn parameters_of(text: &str) -> BTreeMap<String, String> {
    let mut parameters = BTreeMap::new();
    let mut rest = text;
    while let Some((name, after)) = rest.split_once('=') {
        let name = name.trim_matches([' ', ',']).to_ascii_lowercase();
        let (value, next) = match after.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
            None => after.split_once(',').unwrap_or((after, "")),
        };
        parameters.insert(name, value.to_owned());
        rest = next;
    }
    parameters
}

/// Returns the URL that gives a token.
pub(super) fn token_url(realm: &str, service: Option<&str>, scope: &str) -> String {
    let separator = if realm.contains('?') { '&' } else { '?' };
    let mut url = format!("{realm}{separator}scope={}", escape(scope));
    if let Some(service) = service {
        url.push_str(&format!("&service={}", escape(service)));
    }
    url
}

/// Escapes a query value (RFC 3986, section 2.1).
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z'
            | b'A'..=b'Z'
            | b'0'..=b'9'
            | b'-'
            | b'.'
            | b'_'
            | b'~'
            | b':'
            | b'/'
            | b',' => {
                escaped.push(char::from(byte));
            }
            byte => escaped.push_str(&format!("%{byte:02X}")),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logins_are_read_from_dockers_file() {
        let text = br#"{"auths": {
            "index.docker.io": {"auth": "dXNlcjpwYTpzcw=="},
            "ghcr.io": {"username": "u", "password": "p"},
            "https://acr.example/v2/": {"auth": "eDp5", "identitytoken": "t"},
            "helper.example": {}, "broken.example": {"auth": "%%"}},
            "credsStore": "desktop"}"#;
        let credentials = Credentials::from_config(text).expect("valid");
        let password = |user: &str, password: &str| Login::Password {
            user: user.to_owned(),
            password: password.to_owned(),
        };
        assert_eq!(
            credentials.login("docker.io"),
            Some(&password("user", "pa:ss"))
        );
        assert_eq!(
            credentials.login("registry-1.docker.io"),
            Some(&password("user", "pa:ss"))
        );
        assert_eq!(credentials.login("ghcr.io"), Some(&password("u", "p")));
        assert_eq!(
            credentials.login("acr.example"),
            Some(&Login::Identity("t".to_owned()))
        );
        assert_eq!(credentials.login("helper.example"), None);
        assert_eq!(credentials.login("broken.example"), None);
        assert!(!format!("{credentials:?}").contains("pa:ss"));
        assert!(Credentials::from_config(b"no").is_err());
    }

    #[test]
    fn helpers_are_those_of_the_host_or_of_all() {
        let text =
            br#"{"credHelpers": {"https://index.docker.io/v1/": "hub"}, "credsStore": "all"}"#;
        let helpers = Helpers::from_config(text).expect("valid");
        assert_eq!(helpers.of("docker.io"), Some("hub"));
        assert_eq!(helpers.of("ghcr.io"), Some("all"));
        assert_eq!(Helpers::from_config(b"{}").expect("valid").of("x"), None);
    }

    #[test]
    fn challenges_are_read() {
        let header = r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a/b:pull,push""#;
        let expected = Challenge::Bearer {
            realm: "https://auth.docker.io/token".to_owned(),
            service: Some("registry.docker.io".to_owned()),
            scope: Some("repository:a/b:pull,push".to_owned()),
        };
        assert_eq!(challenge(header), Some(expected));
        assert_eq!(challenge("Basic realm=\"x\""), Some(Challenge::Basic));
        assert_eq!(challenge("Negotiate"), None);
        assert_eq!(challenge("Bearer service=x"), None);
        let url = token_url("https://a/t", Some("s p"), "repository:a/b:pull");
        assert_eq!(url, "https://a/t?scope=repository:a/b:pull&service=s%20p");
    }
}
