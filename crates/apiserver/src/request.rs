//! Reads the path and the query of a request: [`Target`] says which resource,
//! object and subresource is meant, [`Query`] holds the parameters. Nothing is
//! decided here about whether they exist or are allowed.

use http::Method;

/// What a path names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A resource of an API group.
    Resource(ResourcePath),
    /// Anything else: discovery, health, documents.
    Other(String),
}

/// A path below `/api/VERSION` or `/apis/GROUP/VERSION`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ResourcePath {
    /// API group; empty for the core group.
    pub group: String,
    /// Version.
    pub version: String,
    /// Namespace, if the path names one.
    pub namespace: Option<String>,
    /// Plural of the resource.
    pub resource: String,
    /// Object, if the path names one.
    pub name: Option<String>,
    /// Subresource, if the path names one.
    pub subresource: Option<String>,
    /// What follows the subresource, as proxies need it; starts with `/` or is empty.
    pub rest: String,
    /// The old form `/api/v1/watch/…`.
    pub legacy_watch: bool,
}

/// Decoded query parameters in their order.
#[derive(Debug, Clone, Default)]
pub struct Query(Vec<(String, String)>);

impl Target {
    /// Reads a path.
    #[must_use]
    pub fn parse(path: &str) -> Target {
        let other = || Target::Other(path.to_owned());
        let mut segments: Vec<String> = path.split('/').skip(1).map(percent_decode).collect();
        if segments.last().is_some_and(String::is_empty) {
            segments.pop();
        }
        let group_segments = match segments.first().map(String::as_str) {
            Some("api") => 2,
            Some("apis") => 3,
            _ => return other(),
        };
        if segments.len() <= group_segments {
            return other();
        }
        let mut rest = segments.split_off(group_segments);
        let version = segments.pop().unwrap_or_default();
        let group = if group_segments == 3 {
            segments.pop().unwrap_or_default()
        } else {
            String::new()
        };
        let legacy_watch = rest.len() > 1 && rest[0] == "watch";
        if legacy_watch {
            rest.remove(0);
        }
        let mut target = ResourcePath {
            group,
            version,
            legacy_watch,
            ..ResourcePath::default()
        };
        target.fill(rest);
        Target::Resource(target)
    }
}

impl ResourcePath {
    fn fill(&mut self, mut segments: Vec<String>) {
        let inside = segments.len() >= 3
            && segments[0] == "namespaces"
            && !(self.group.is_empty() && matches!(segments[2].as_str(), "status" | "finalize"));
        if inside {
            self.namespace = Some(segments[1].clone());
            segments.drain(..2);
        }
        let mut segments = segments.into_iter();
        self.resource = segments.next().unwrap_or_default();
        self.name = segments.next();
        self.subresource = segments.next();
        for segment in segments {
            self.rest.push('/');
            self.rest.push_str(&segment);
        }
        // `namespaces` is its own namespace for whoever judges rights.
        if self.resource == "namespaces" && self.group.is_empty() && self.namespace.is_none() {
            self.namespace = self.name.clone();
        }
    }

    /// Returns the verb as authorization names it.
    #[must_use]
    pub fn verb(&self, method: &Method, query: &Query) -> &'static str {
        if self.subresource.as_deref() == Some("proxy") {
            return match method.as_str() {
                "POST" => "create",
                "PUT" => "update",
                "PATCH" => "patch",
                "DELETE" => "delete",
                _ => "get",
            };
        }
        match (method.as_str(), self.name.is_some()) {
            ("POST", _) => "create",
            ("PUT", _) => "update",
            ("PATCH", _) => "patch",
            ("DELETE", true) => "delete",
            ("DELETE", false) => "deletecollection",
            (_, false) if self.legacy_watch || query.flag("watch") => "watch",
            (_, true) if self.legacy_watch => "watch",
            (_, false) => "list",
            (_, true) => "get",
        }
    }
}

impl Query {
    /// Reads the text after `?`.
    #[must_use]
    pub fn parse(text: &str) -> Query {
        let pairs = text.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            (plus_decode(key), plus_decode(value))
        });
        Query(pairs.collect())
    }

    /// Returns the first value of a parameter.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(name, _)| name == key)
            .map(|(_, value)| value.as_str())
    }

    /// Returns the first value of a parameter, or the empty text.
    #[must_use]
    pub fn text(&self, key: &str) -> &str {
        self.get(key).unwrap_or_default()
    }

    /// Returns every value of a parameter.
    pub fn all<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a str> {
        self.0
            .iter()
            .filter(move |(name, _)| name == key)
            .map(|(_, value)| value.as_str())
    }

    /// Whether a parameter is true. As upstream: present counts, unless it says `false` or `0`.
    #[must_use]
    pub fn flag(&self, key: &str) -> bool {
        self.get(key)
            .is_some_and(|value| !matches!(value, "false" | "0"))
    }
}

fn plus_decode(text: &str) -> String {
    percent_decode(&text.replace('+', " "))
}

/// Decodes `%xx`; what is not valid stays as it is (RFC 3986, section 2.1).
#[must_use]
pub fn percent_decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let decoded = (bytes[at] == b'%')
            .then(|| text.get(at + 1..at + 3))
            .flatten()
            .filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match decoded {
            Some(byte) => {
                out.push(byte);
                at += 3;
            }
            None => {
                out.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(
        path: &str,
        expected: (
            &str,
            &str,
            Option<&str>,
            &str,
            Option<&str>,
            Option<&str>,
            &str,
        ),
    ) {
        let Target::Resource(target) = Target::parse(path) else {
            panic!("{path} names a resource")
        };
        let found = (
            target.group.as_str(),
            target.version.as_str(),
            target.namespace.as_deref(),
            target.resource.as_str(),
            target.name.as_deref(),
            target.subresource.as_deref(),
            target.rest.as_str(),
        );
        assert_eq!(found, expected, "{path}");
    }

    #[test]
    fn reads_paths() {
        check("/api/v1/pods", ("", "v1", None, "pods", None, None, ""));
        check(
            "/api/v1/namespaces/n/pods/p/log",
            ("", "v1", Some("n"), "pods", Some("p"), Some("log"), ""),
        );
        check(
            "/api/v1/namespaces/n",
            ("", "v1", Some("n"), "namespaces", Some("n"), None, ""),
        );
        check(
            "/api/v1/namespaces/n/status",
            (
                "",
                "v1",
                Some("n"),
                "namespaces",
                Some("n"),
                Some("status"),
                "",
            ),
        );
        check(
            "/apis/apps/v1/namespaces/n/deployments/d",
            ("apps", "v1", Some("n"), "deployments", Some("d"), None, ""),
        );
        check(
            "/api/v1/namespaces/n/services/s:80/proxy/a/b",
            (
                "",
                "v1",
                Some("n"),
                "services",
                Some("s:80"),
                Some("proxy"),
                "/a/b",
            ),
        );
        check(
            "/api/v1/namespaces/n/configmaps/a%2Fb",
            ("", "v1", Some("n"), "configmaps", Some("a/b"), None, ""),
        );
        assert_eq!(
            Target::parse("/apis/apps/v1"),
            Target::Other("/apis/apps/v1".into())
        );
        assert_eq!(Target::parse("/healthz"), Target::Other("/healthz".into()));
    }

    #[test]
    fn reads_queries() {
        let query = Query::parse("labelSelector=a%3Db%2Cc&watch=1&x=a+b&command=ls&command=-l");
        assert_eq!(query.text("labelSelector"), "a=b,c");
        assert!(query.flag("watch"));
        assert_eq!(query.text("x"), "a b");
        assert_eq!(query.all("command").collect::<Vec<_>>(), ["ls", "-l"]);
    }
}
