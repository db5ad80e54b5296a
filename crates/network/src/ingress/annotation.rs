//! Annotations of an Ingress, as ingress-nginx defines them.
//!
//! [`Annotations::of`] is pure. What is accepted but not acted on is named, so
//! that nobody believes in it.

use k8s_openapi::api::networking::v1::Ingress;

use coracle_dataplane::config::Protocol;

/// What ingress-nginx' annotations begin with.
const PREFIX: &str = "nginx.ingress.kubernetes.io/";

/// Annotations that ask for what is done anyway: nothing is buffered, and
/// servers are spoken to in HTTP/1.1.
const DONE_ANYWAY: &[&str] = &[
    "proxy-buffering",
    "proxy-http-version",
    "proxy-request-buffering",
    "proxy-send-timeout",
    "websocket-services",
];

/// What an Ingress asks for by its annotations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Annotations {
    /// Whether hosts with TLS are only served by HTTPS.
    pub redirect: bool,
    /// Whether all hosts are.
    pub redirect_always: bool,
    /// What paths become.
    pub rewrite: Option<String>,
    /// Whether paths are regular expressions.
    pub patterns: bool,
    /// The largest body of a request in bytes; 0 is any.
    pub body_bytes_max: u64,
    /// How long a server may take to accept, in seconds; 0 is the usual time.
    pub connect_seconds: u32,
    /// How long it may take to begin its answer, in seconds; 0 is the usual time.
    pub answer_seconds: u32,
    /// The name the server is asked for.
    pub server_name: Option<String>,
    /// What servers speak.
    pub protocol: Protocol,
    /// What is not acted on, in words.
    pub ignored: Vec<String>,
}

impl Default for Annotations {
    fn default() -> Self {
        Annotations {
            redirect: true,
            redirect_always: false,
            rewrite: None,
            patterns: false,
            body_bytes_max: 0,
            connect_seconds: 0,
            answer_seconds: 0,
            server_name: None,
            protocol: Protocol::Http,
            ignored: Vec::new(),
        }
    }
}

impl Annotations {
    /// Reads the annotations of an Ingress.
    pub fn of(ingress: &Ingress) -> Self {
        let mut read = Annotations::default();
        for (name, text) in ingress.metadata.annotations.iter().flatten() {
            let Some(short) = name.strip_prefix(PREFIX) else {
                continue;
            };
            match read.take(short, text.trim()) {
                Taken::Yes => {}
                Taken::Unknown => read
                    .ignored
                    .push(format!("annotation {name} is not acted on")),
                Taken::Unreadable => read.ignored.push(format!(
                    "annotation {name} has a value that is not understood: {text:?}"
                )),
            }
        }
        // A rewritten path is matched as an expression, with or without groups.
        read.patterns |= read.rewrite.is_some();
        read
    }

    fn take(&mut self, name: &str, text: &str) -> Taken {
        match name {
            "ssl-redirect" => put(&mut self.redirect, flag(text)),
            "force-ssl-redirect" => put(&mut self.redirect_always, flag(text)),
            "rewrite-target" => put(&mut self.rewrite, Some(Some(text.to_owned()))),
            "use-regex" => put(&mut self.patterns, flag(text)),
            "proxy-body-size" => put(&mut self.body_bytes_max, bytes(text)),
            "proxy-connect-timeout" => put(&mut self.connect_seconds, seconds(text)),
            "proxy-read-timeout" => put(&mut self.answer_seconds, seconds(text)),
            "upstream-vhost" => put(&mut self.server_name, Some(Some(text.to_owned()))),
            "backend-protocol" => put(&mut self.protocol, protocol(text)),
            name if DONE_ANYWAY.contains(&name) => Taken::Yes,
            _ => Taken::Unknown,
        }
    }
}

enum Taken {
    Yes,
    Unknown,
    Unreadable,
}

fn put<T>(place: &mut T, value: Option<T>) -> Taken {
    match value {
        Some(value) => {
            *place = value;
            Taken::Yes
        }
        None => Taken::Unreadable,
    }
}

fn flag(text: &str) -> Option<bool> {
    text.parse().ok()
}

fn seconds(text: &str) -> Option<u32> {
    text.strip_suffix('s').unwrap_or(text).parse().ok()
}

/// Reads a size as nginx does: a number, or one with `k`, `m` or `g`.
fn bytes(text: &str) -> Option<u64> {
    let (number, factor) = match text.to_ascii_lowercase().as_bytes().last()? {
        b'k' => (&text[..text.len() - 1], 1 << 10),
        b'm' => (&text[..text.len() - 1], 1 << 20),
        b'g' => (&text[..text.len() - 1], 1 << 30),
        _ => (text, 1),
    };
    number.parse::<u64>().ok()?.checked_mul(factor)
}

fn protocol(text: &str) -> Option<Protocol> {
    match text.to_ascii_uppercase().as_str() {
        "HTTP" | "AUTO_HTTP" => Some(Protocol::Http),
        "HTTPS" => Some(Protocol::Https),
        "GRPC" => Some(Protocol::Grpc),
        "GRPCS" => Some(Protocol::Grpcs),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(name: &str, text: &str) -> Annotations {
        let name = format!("{PREFIX}{name}");
        let object = json!({"metadata": {"annotations": {name: text, "other/name": "x"}}});
        Annotations::of(&serde_json::from_value(object).expect("an Ingress"))
    }

    #[test]
    fn known_ones_are_read() {
        let check = |name: &str, text: &str, change: fn(&mut Annotations)| {
            let mut expected = Annotations::default();
            change(&mut expected);
            assert_eq!(read(name, text), expected, "{name}: {text}");
        };
        check("ssl-redirect", "false", |a| a.redirect = false);
        check("force-ssl-redirect", "true", |a| a.redirect_always = true);
        check("rewrite-target", "/$2", |a| {
            a.rewrite = Some("/$2".into());
            a.patterns = true;
        });
        check("use-regex", "true", |a| a.patterns = true);
        check("proxy-body-size", "8m", |a| a.body_bytes_max = 8 << 20);
        check("proxy-body-size", "0", |a| a.body_bytes_max = 0);
        check("proxy-body-size", "512K", |a| a.body_bytes_max = 512 << 10);
        check("proxy-read-timeout", "3600", |a| a.answer_seconds = 3600);
        check("proxy-connect-timeout", "5s", |a| a.connect_seconds = 5);
        check("backend-protocol", "grpc", |a| a.protocol = Protocol::Grpc);
        check("upstream-vhost", "a.b", |a| {
            a.server_name = Some("a.b".into())
        });
        check("proxy-buffering", "off", |_| {});
    }

    #[test]
    fn others_are_named() {
        let check = |name: &str, text: &str, expected: &str| {
            let ignored = read(name, text).ignored;
            assert_eq!(ignored.len(), 1, "{name}: {text}");
            assert!(ignored[0].contains(expected), "{}", ignored[0]);
        };
        check(
            "auth-url",
            "http://x",
            "nginx.ingress.kubernetes.io/auth-url is not acted on",
        );
        check("proxy-body-size", "many", "not understood: \"many\"");
        check("proxy-body-size", "", "not understood");
        check("ssl-redirect", "maybe", "not understood");
        check("backend-protocol", "FCGI", "not understood");
    }
}
