//! What a request tells about its sender: session, proxy headers, theme.
//!
//! The token is only relayed. Its payload is read for the name shown in the
//! header; the API alone decides whether the token is good.

use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use axum::extract::{ConnectInfo, FromRequestParts};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::{COOKIE, HOST, HeaderName, HeaderValue, ORIGIN};
use http::request::Parts;
use http::{Extensions, HeaderMap, Method};
use jiff::tz::TimeZone;

use crate::language::Language;

/// The name of the session cookie, which the API sets.
pub const SESSION_COOKIE: &str = "todo_session";
/// The name of the cookie that keeps the chosen theme.
pub const THEME_COOKIE: &str = "todo_theme";
/// The name of the cookie that keeps the chosen language.
pub const LANGUAGE_COOKIE: &str = "todo_language";
/// The name of the cookie that keeps the time zone; the script sets it too.
pub const ZONE_COOKIE: &str = "todo_zone";

/// The sender of a request.
#[derive(Debug, Clone)]
pub struct Visitor {
    /// Signed in, or so the cookie says.
    pub session: Option<Session>,
    /// `light`, `dark` or `system`.
    pub theme: &'static str,
    /// The language of the pages.
    pub language: Language,
    /// The time zone in which dates are shown and read.
    pub zone: TimeZone,
    /// Headers that tell the API about the visitor.
    pub forwarded: Vec<(HeaderName, HeaderValue)>,
    /// Whether the page that sent a form was ours.
    pub same_origin: bool,
    /// The page that was asked for, to come back to after signing in.
    pub here: Option<String>,
    /// Whether the program runs for those who work on it.
    pub development: bool,
}

/// Put into requests while `NODE_ENV` is not `production`.
#[derive(Debug, Clone, Copy)]
pub struct Development;

/// A session as the cookie shows it.
#[derive(Debug, Clone)]
pub struct Session {
    /// The token.
    pub token: String,
    /// What to call the user.
    pub name: String,
}

impl<S: Sync> FromRequestParts<S> for Visitor {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let mut visitor = Self::read(&parts.headers, &parts.extensions);
        if parts.method == Method::GET {
            visitor.here = parts.uri.path_and_query().map(ToString::to_string);
        }
        Ok(visitor)
    }
}

impl Visitor {
    /// Returns a text of the pages in the visitor's language.
    pub fn t<'a>(&self, english: &'a str) -> &'a str {
        self.language.say(english)
    }

    /// Returns the comma of the visitor's language.
    pub fn comma(&self) -> &'static str {
        match self.language {
            Language::English => ",",
            Language::Urdu => "،",
        }
    }

    /// Returns the same visitor with a session just begun.
    pub fn signed_in(&self, token: &str) -> Option<Self> {
        Some(Self {
            session: Some(Session::read(token)?),
            ..self.clone()
        })
    }

    /// Returns the present moment where the visitor is.
    pub fn now(&self) -> jiff::Zoned {
        jiff::Timestamp::now().to_zoned(self.zone.clone())
    }

    /// Reads the headers of a request.
    pub fn read(headers: &HeaderMap, extensions: &Extensions) -> Self {
        let peer = extensions.get::<ConnectInfo<SocketAddr>>();
        let peer = peer.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.0.ip());
        let trusted = is_private(peer);
        let theme = match cookie(headers, THEME_COOKIE) {
            Some("light") => "light",
            Some("dark") => "dark",
            _ => "system",
        };
        Self {
            session: cookie(headers, SESSION_COOKIE).and_then(Session::read),
            theme,
            language: match cookie(headers, LANGUAGE_COOKIE) {
                Some("ur") => Language::Urdu,
                _ => Language::English,
            },
            zone: cookie(headers, ZONE_COOKIE)
                .map(|name| name.replace("%2F", "/"))
                .and_then(|name| TimeZone::get(&name).ok())
                .unwrap_or(TimeZone::UTC),
            forwarded: forwarded(headers, peer, trusted),
            same_origin: same_origin(headers, trusted),
            here: None,
            development: extensions.get::<Development>().is_some(),
        }
    }
}

impl Session {
    fn read(token: &str) -> Option<Self> {
        let payload = token.split('.').nth(1)?;
        let bytes = URL_SAFE_NO_PAD.decode(payload).ok()?;
        let claims: serde_json::Value = serde_json::from_slice(&bytes).ok()?;
        let name = claims["name"]
            .as_str()
            .or(claims["email"].as_str())
            .unwrap_or_default();
        Some(Self {
            token: token.to_owned(),
            name: name.to_owned(),
        })
    }
}

/// Returns the value of a cookie.
pub fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let lines = headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|line| line.to_str().ok());
    let mut pairs = lines
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.split_once('='));
    pairs
        .find(|(key, _)| key.trim() == name)
        .map(|(_, value)| value.trim())
        .filter(|v| !v.is_empty())
}

/// The host the visitor sees: what an Ingress reports, else our own.
fn served_host(headers: &HeaderMap, trusted: bool) -> Option<&HeaderValue> {
    let reported = headers.get("x-forwarded-host").filter(|_| trusted);
    reported.or_else(|| headers.get(HOST))
}

fn forwarded(headers: &HeaderMap, peer: IpAddr, trusted: bool) -> Vec<(HeaderName, HeaderValue)> {
    let mut list = Vec::new();
    let mut add = |name: &'static str, value: Option<HeaderValue>| {
        list.extend(value.map(|value| (HeaderName::from_static(name), value)));
    };
    add("x-forwarded-host", served_host(headers, trusted).cloned());
    let scheme = headers
        .get("x-forwarded-proto")
        .filter(|_| trusted)
        .cloned();
    add(
        "x-forwarded-proto",
        Some(scheme.unwrap_or(HeaderValue::from_static("http"))),
    );
    let client = headers
        .get("x-forwarded-for")
        .filter(|_| trusted)
        .and_then(|all| {
            // The last entry is what the nearest proxy saw.
            let last = all
                .to_str()
                .ok()?
                .rsplit(',')
                .next()?
                .trim()
                .parse::<IpAddr>()
                .ok()?;
            Some(last)
        });
    let client = client.unwrap_or(peer).to_canonical().to_string();
    add("x-forwarded-for", HeaderValue::from_str(&client).ok());
    add("x-request-id", headers.get("x-request-id").cloned());
    list
}

/// Whether a form came from our own page. `Origin` decides when it is sent;
/// otherwise the browser's Fetch Metadata; other clients send neither.
fn same_origin(headers: &HeaderMap, trusted: bool) -> bool {
    if let Some(origin) = headers.get(ORIGIN) {
        let host = served_host(headers, trusted).and_then(|host| host.to_str().ok());
        let origin = origin
            .to_str()
            .ok()
            .and_then(|origin| origin.split_once("://"));
        return host
            .zip(origin)
            .is_some_and(|(host, (_, origin))| origin.eq_ignore_ascii_case(host));
    }
    headers
        .get("sec-fetch-site")
        .is_none_or(|site| site != "cross-site" && site != "same-site")
}

/// Whether an address is of a pod, a node or this machine.
fn is_private(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(four) => {
            let shared = four.octets()[0] == 100 && four.octets()[1] & 0xc0 == 64;
            four.is_private() || four.is_loopback() || four.is_link_local() || shared
        }
        IpAddr::V6(six) => {
            six.is_loopback() || six.is_unique_local() || six.is_unicast_link_local()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_of_other_pages_are_noticed() {
        let check = |pairs: &[(&'static str, &str)], expected: bool| {
            let mut headers = HeaderMap::new();
            for (name, value) in pairs {
                headers.insert(*name, value.parse().expect("header"));
            }
            assert_eq!(same_origin(&headers, true), expected, "{pairs:?}");
        };
        check(&[("host", "localhost:30080")], true);
        check(
            &[
                ("host", "localhost:30080"),
                ("origin", "http://localhost:30080"),
            ],
            true,
        );
        check(
            &[
                ("host", "localhost:30080"),
                ("origin", "http://localhost:30081"),
            ],
            false,
        );
        check(&[("host", "localhost:30080"), ("origin", "null")], false);
        check(
            &[
                ("host", "a"),
                ("x-forwarded-host", "b.c"),
                ("origin", "https://b.c"),
            ],
            true,
        );
        check(&[("host", "a"), ("sec-fetch-site", "cross-site")], false);
        check(&[("host", "a"), ("sec-fetch-site", "same-origin")], true);
    }
}
