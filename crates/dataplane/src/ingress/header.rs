//! Headers of a request and an answer on their way through.
//!
//! What belongs to one connection alone stays behind (RFC 9110, 7.6.1), and
//! the server learns who asked and how, by the names that ingress-nginx uses.

use std::net::IpAddr;

use http::header::{
    CONNECTION, EXPECT, HOST, HeaderName, HeaderValue, TE, TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderMap, Uri};

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_FOR_BEFORE: HeaderName = HeaderName::from_static("x-original-forwarded-for");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_SCHEME: HeaderName = HeaderName::from_static("x-forwarded-scheme");
const SCHEME: HeaderName = HeaderName::from_static("x-scheme");
const REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");

/// How a request came in.
#[derive(Debug, Clone, Copy)]
pub(super) struct Origin {
    /// Who asked.
    pub client: IpAddr,
    /// The port it was asked at.
    pub port: u16,
    /// Whether TLS was spoken.
    pub tls: bool,
}

impl Origin {
    pub(super) fn scheme(&self) -> &'static str {
        match self.tls {
            true => "https",
            false => "http",
        }
    }
}

/// Returns the host that was asked for, as it was written.
pub(super) fn host<'a>(uri: &'a Uri, headers: &'a HeaderMap) -> Option<&'a str> {
    // An authority in the target counts before the header (RFC 9112, 3.2.2).
    match uri.authority() {
        Some(authority) => Some(authority.as_str()),
        None => headers.get(HOST)?.to_str().ok(),
    }
}

/// Returns the protocol a client wants to go over to, if it does.
pub(super) fn upgrade(headers: &HeaderMap) -> Option<HeaderValue> {
    let wanted = headers.get_all(CONNECTION).iter().any(|value| {
        let words = value.to_str().unwrap_or_default().split(',');
        words
            .into_iter()
            .any(|word| word.trim().eq_ignore_ascii_case("upgrade"))
    });
    headers.get(UPGRADE).filter(|_| wanted).cloned()
}

/// Removes what belongs to one connection.
pub(super) fn strip(headers: &mut HeaderMap) {
    if headers.contains_key(CONNECTION) {
        let named: Vec<HeaderName> = headers
            .get_all(CONNECTION)
            .iter()
            .flat_map(|value| value.to_str().unwrap_or_default().split(','))
            .filter_map(|name| name.trim().parse().ok())
            .collect();
        for name in named {
            headers.remove(name);
        }
    }
    // gRPC asks for trailers this way, which every connection here carries.
    let trailers = headers
        .get(TE)
        .is_some_and(|value| value.to_str().is_ok_and(|text| text.contains("trailers")));
    for name in [
        CONNECTION,
        KEEP_ALIVE,
        PROXY_CONNECTION,
        TE,
        TRANSFER_ENCODING,
        UPGRADE,
    ] {
        headers.remove(name);
    }
    if trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
}

/// Tells the server who asked and how.
pub(super) fn forward(headers: &mut HeaderMap, origin: Origin, host: &str) {
    // The proxy answers it itself, when the server begins to read.
    headers.remove(EXPECT);
    let client = value(&origin.client.to_string());
    if let Some(before) = headers.remove(FORWARDED_FOR) {
        headers.insert(FORWARDED_FOR_BEFORE, before);
    }
    let scheme = HeaderValue::from_static(origin.scheme());
    headers.insert(FORWARDED_FOR, client.clone());
    headers.insert(REAL_IP, client);
    headers.insert(FORWARDED_HOST, value(host));
    headers.insert(FORWARDED_PORT, value(&origin.port.to_string()));
    headers.insert(FORWARDED_PROTO, scheme.clone());
    headers.insert(FORWARDED_SCHEME, scheme.clone());
    headers.insert(SCHEME, scheme);
    if !headers.contains_key(REQUEST_ID) {
        let id = format!("{:032x}", rand::random::<u128>());
        headers.insert(REQUEST_ID, value(&id));
    }
}

/// Texts here come from addresses, numbers and a header: they are fit for one.
pub(super) fn value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static(""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, text)| (name.parse::<HeaderName>().expect("a name"), value(text)))
            .collect()
    }

    #[test]
    fn what_belongs_to_a_connection_stays_behind() {
        let check = |before: &[(&str, &str)], after: &[(&str, &str)]| {
            let mut headers = map(before);
            strip(&mut headers);
            assert_eq!(headers, map(after));
        };
        check(&[("accept", "a"), ("keep-alive", "1")], &[("accept", "a")]);
        check(&[("connection", "close, X-Own"), ("x-own", "1")], &[]);
        check(&[("te", "gzip"), ("transfer-encoding", "chunked")], &[]);
        check(&[("te", "trailers, gzip")], &[("te", "trailers")]);
        check(
            &[("upgrade", "h2c"), ("cookie", "a=b")],
            &[("cookie", "a=b")],
        );
    }

    #[test]
    fn an_upgrade_is_asked_for_by_both_headers() {
        let check = |pairs: &[(&str, &str)], expected: bool| {
            assert_eq!(upgrade(&map(pairs)).is_some(), expected, "{pairs:?}");
        };
        check(
            &[
                ("connection", "keep-alive, Upgrade"),
                ("upgrade", "websocket"),
            ],
            true,
        );
        check(&[("upgrade", "websocket")], false);
        check(&[("connection", "upgrade")], false);
    }

    #[test]
    fn the_server_learns_who_asked() {
        let origin = Origin {
            client: [127, 0, 0, 1].into(),
            port: 443,
            tls: true,
        };
        let mut headers = map(&[("x-forwarded-for", "1.2.3.4"), ("x-request-id", "mine")]);
        forward(&mut headers, origin, "a.localhost:8443");
        let check = |name: &str, expected: &str| {
            assert_eq!(
                headers.get(name).map(|value| value.as_bytes()),
                Some(expected.as_bytes())
            );
        };
        check("x-forwarded-for", "127.0.0.1");
        check("x-original-forwarded-for", "1.2.3.4");
        check("x-forwarded-host", "a.localhost:8443");
        check("x-forwarded-proto", "https");
        check("x-real-ip", "127.0.0.1");
        check("x-request-id", "mine");
    }
}
