//! Which rule a request follows.
//!
//! [`Router`] is pure: host and path in, number of the rule out. Precedence is
//! that of networking.k8s.io/v1 (HTTPIngressPath.pathType, IngressRule.host):
//! the host itself before a wildcard before no host; an exact path before the
//! longest other.

use std::borrow::Cow;
use std::collections::HashMap;

use regex::{Regex, RegexBuilder};

use crate::config::{HttpRoute, PathKind};

/// A pattern that would need more memory than this is refused.
const PATTERN_BYTES_MAX: usize = 1 << 20;

/// All rules, in the order they are tried.
#[derive(Debug, Default)]
pub struct Router {
    hosts: HashMap<String, Vec<Rule>>,
    /// By what follows the asterisk, dot included.
    wildcards: HashMap<String, Vec<Rule>>,
    any: Vec<Rule>,
}

/// What was found for a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The number of the rule.
    pub route: usize,
    /// The path to ask for instead, if the rule rewrites it.
    pub path: Option<String>,
}

#[derive(Debug)]
struct Rule {
    number: usize,
    length: usize,
    matcher: Matcher,
    rewrite: Option<String>,
}

#[derive(Debug)]
enum Matcher {
    Exact(String),
    /// Without the final slash.
    Prefix(String),
    Text(String),
    Pattern(Regex),
}

/// Reads a path's pattern.
///
/// # Errors
/// Says what is wrong with it.
pub fn pattern(path: &str) -> Result<Regex, regex::Error> {
    RegexBuilder::new(&format!("^(?:{path})"))
        .case_insensitive(true)
        .size_limit(PATTERN_BYTES_MAX)
        .build()
}

impl Router {
    /// Reads rules; one with a pattern that cannot be read is left out.
    pub fn new(routes: &[HttpRoute]) -> Self {
        let mut router = Router::default();
        for (number, route) in routes.iter().enumerate() {
            let Some(rule) = Rule::new(number, route) else {
                continue;
            };
            let rules = match route.host.strip_prefix('*') {
                Some(suffix) => router.wildcards.entry(suffix.to_owned()).or_default(),
                None if route.host.is_empty() => &mut router.any,
                None => router.hosts.entry(route.host.clone()).or_default(),
            };
            rules.push(rule);
        }
        let lists = router
            .hosts
            .values_mut()
            .chain(router.wildcards.values_mut());
        for rules in lists.chain([&mut router.any]) {
            // Stable: among equals the first stays first.
            rules.sort_by_key(|rule| (!rule.is_exact(), std::cmp::Reverse(rule.length)));
        }
        router
    }

    /// Finds the rule for a host (see [`plain_host`]) and a path.
    pub fn find(&self, host: &str, path: &str) -> Option<Found> {
        let path = normal(path);
        let exact = self.hosts.get(host);
        // A wildcard stands for exactly one label.
        let wildcard = host
            .find('.')
            .filter(|at| *at > 0)
            .and_then(|at| self.wildcards.get(&host[at..]));
        [exact, wildcard, Some(&self.any)]
            .into_iter()
            .flatten()
            .find_map(|rules| rules.iter().find_map(|rule| rule.apply(&path)))
    }

    /// Returns the hosts that have rules, sorted.
    pub fn hosts(&self) -> Vec<String> {
        let wildcards = self.wildcards.keys().map(|suffix| format!("*{suffix}"));
        let mut hosts: Vec<String> = self.hosts.keys().cloned().chain(wildcards).collect();
        hosts.sort();
        hosts
    }
}

impl Rule {
    fn new(number: usize, route: &HttpRoute) -> Option<Self> {
        let path = match route.path.is_empty() {
            true => "/",
            false => route.path.as_str(),
        };
        let matcher = match route.kind {
            PathKind::Exact => Matcher::Exact(path.to_owned()),
            PathKind::Prefix => Matcher::Prefix(path.trim_end_matches('/').to_owned()),
            PathKind::Text => Matcher::Text(path.to_owned()),
            PathKind::Pattern => Matcher::Pattern(pattern(path).ok()?),
        };
        Some(Rule {
            number,
            length: path.len(),
            matcher,
            rewrite: route.rewrite.clone(),
        })
    }

    fn is_exact(&self) -> bool {
        matches!(self.matcher, Matcher::Exact(_))
    }

    fn apply(&self, path: &str) -> Option<Found> {
        let rewritten = |groups: Option<&regex::Captures<'_>>| {
            self.rewrite.as_ref().map(|target| rewrite(target, groups))
        };
        let path = match &self.matcher {
            Matcher::Pattern(pattern) => {
                let groups = pattern.captures(path)?;
                rewritten(Some(&groups))
            }
            matcher => matcher.fits(path).then(|| rewritten(None))?,
        };
        Some(Found {
            route: self.number,
            path,
        })
    }
}

impl Matcher {
    fn fits(&self, path: &str) -> bool {
        match self {
            Matcher::Exact(wanted) => path == wanted,
            Matcher::Prefix(wanted) => path
                .strip_prefix(wanted.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/')),
            Matcher::Text(wanted) => path.starts_with(wanted.as_str()),
            Matcher::Pattern(pattern) => pattern.is_match(path),
        }
    }
}

/// Puts groups in the place of `$1` to `$9`; the result may stand in a request.
fn rewrite(target: &str, groups: Option<&regex::Captures<'_>>) -> String {
    let mut text = String::new();
    let mut characters = target.chars().peekable();
    while let Some(character) = characters.next() {
        let digit = match character {
            '$' => characters.peek().and_then(|next| next.to_digit(10)),
            _ => None,
        };
        match digit {
            Some(digit) => {
                characters.next();
                let group = groups.and_then(|groups| groups.get(digit as usize));
                text.push_str(group.map_or("", |group| group.as_str()));
            }
            None => text.push(character),
        }
    }
    if !text.starts_with('/') {
        text.insert(0, '/');
    }
    encode(&text)
}

/// Writes what may not stand in a path as `%XX` (RFC 3986, 3.3).
fn encode(path: &str) -> String {
    let mut text = String::new();
    for byte in path.bytes() {
        let plain = byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/?".contains(&byte);
        match plain {
            true => text.push(char::from(byte)),
            false => text.push_str(&format!("%{byte:02X}")),
        }
    }
    text
}

/// Returns a path as rules compare it: `%XX` read, `.` and `..` resolved,
/// slashes that follow each other as one.
///
/// Servers do the same, so a rule cannot be passed by by writing a path
/// differently.
pub fn normal(path: &str) -> Cow<'_, str> {
    if !path.contains('%') && !path.contains("//") && !path.contains("/.") {
        return Cow::Borrowed(path);
    }
    let decoded = decode(path);
    let mut elements: Vec<&str> = Vec::new();
    let mut parts = decoded.split('/').skip(1).peekable();
    while let Some(part) = parts.next() {
        let last = parts.peek().is_none();
        match part {
            "." | ".." => {
                if part == ".." {
                    elements.pop();
                }
                if last {
                    elements.push("");
                }
            }
            "" if !last => {}
            part => elements.push(part),
        }
    }
    Cow::Owned(format!("/{}", elements.join("/")))
}

fn decode(path: &str) -> String {
    let bytes = path.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let hex = |offset: usize| {
            let digit = bytes.get(at + offset).copied().map(char::from);
            digit.and_then(|digit| digit.to_digit(16))
        };
        match (byte, hex(1), hex(2)) {
            (b'%', Some(high), Some(low)) => {
                decoded.push((high * 16 + low) as u8);
                at += 3;
            }
            _ => {
                decoded.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

/// Returns a host in lower case, without its port and final dot.
pub fn plain_host(host: &str) -> String {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let name = name.strip_suffix('.').unwrap_or(name);
    name.to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(host: &str, kind: PathKind, path: &str) -> HttpRoute {
        HttpRoute {
            host: host.into(),
            path: path.into(),
            kind,
            ..HttpRoute::default()
        }
    }

    /// The examples of the Kubernetes documentation (Ingress, "Examples" of
    /// path types, and "Multiple matches").
    #[test]
    fn paths_are_compared_as_documented() {
        let check = |rules: &[(PathKind, &str)], path: &str, expected: Option<usize>| {
            let routes: Vec<_> = rules
                .iter()
                .map(|(kind, text)| route("", *kind, text))
                .collect();
            let found = Router::new(&routes)
                .find("a.b", path)
                .map(|found| found.route);
            assert_eq!(found, expected, "{rules:?} {path}");
        };
        use PathKind::{Exact, Prefix, Text};
        check(&[(Prefix, "/")], "/any", Some(0));
        check(&[(Exact, "/foo")], "/foo", Some(0));
        check(&[(Exact, "/foo")], "/bar", None);
        check(&[(Exact, "/foo")], "/foo/", None);
        check(&[(Exact, "/foo/")], "/foo", None);
        check(&[(Prefix, "/foo")], "/foo", Some(0));
        check(&[(Prefix, "/foo")], "/foo/", Some(0));
        check(&[(Prefix, "/foo/")], "/foo", Some(0));
        check(&[(Prefix, "/foo/")], "/foo/", Some(0));
        check(&[(Prefix, "/aaa/bb")], "/aaa/bbb", None);
        check(&[(Prefix, "/aaa/bbb")], "/aaa/bbb", Some(0));
        check(&[(Prefix, "/aaa/bbb/")], "/aaa/bbb", Some(0));
        check(&[(Prefix, "/aaa/bbb")], "/aaa/bbb/", Some(0));
        check(&[(Prefix, "/aaa/bbb")], "/aaa/bbb/ccc", Some(0));
        check(&[(Prefix, "/aaa/bbb")], "/aaa/bbbxyz", None);
        check(&[(Prefix, "/"), (Prefix, "/aaa")], "/aaa/ccc", Some(1));
        check(&[(Prefix, "/aaa"), (Prefix, "/")], "/ccc", Some(1));
        check(
            &[(Prefix, "/"), (Prefix, "/aaa"), (Prefix, "/aaa/bbb")],
            "/aaa/bbb",
            Some(2),
        );
        check(&[(Prefix, "/foo"), (Exact, "/foo")], "/foo", Some(1));
        check(&[(Prefix, "/foo/"), (Exact, "/foo")], "/foo", Some(1));
        check(&[(Prefix, "/foo"), (Prefix, "/foo")], "/foo", Some(0));
        check(&[(Text, "/foo")], "/foobar", Some(0));
        check(&[(Prefix, "")], "/", Some(0));
        // However a path is written, it leads to the same rule.
        check(
            &[(Prefix, "/"), (Prefix, "/admin")],
            "/x/../admin/y",
            Some(1),
        );
        check(&[(Prefix, "/"), (Prefix, "/admin")], "//admin", Some(1));
        check(&[(Prefix, "/"), (Prefix, "/admin")], "/%61dmin", Some(1));
        check(
            &[(Prefix, "/"), (Prefix, "/admin")],
            "/../../admin/.",
            Some(1),
        );
        check(&[(Prefix, "/")], "*", None);
    }

    #[test]
    fn the_closest_host_wins() {
        let rules = [
            route("", PathKind::Prefix, "/"),
            route("*.foo.com", PathKind::Prefix, "/"),
            route("bar.foo.com", PathKind::Prefix, "/in"),
        ];
        let router = Router::new(&rules);
        let check = |host: &str, path: &str, expected: usize| {
            let found = router
                .find(&plain_host(host), path)
                .map(|found| found.route);
            assert_eq!(found, Some(expected), "{host}{path}");
        };
        check("bar.foo.com", "/in", 2);
        check("BAR.foo.com:8080", "/in/", 2);
        check("bar.foo.com.", "/in", 2);
        check("bar.foo.com", "/", 1);
        check("other.foo.com", "/in", 1);
        check("baz.bar.foo.com", "/", 0);
        check("foo.com", "/", 0);
        check("", "/", 0);
        check("[::1]:80", "/", 0);
        assert_eq!(router.hosts(), ["*.foo.com", "bar.foo.com"]);
    }

    #[test]
    fn paths_are_rewritten() {
        let check = |kind: PathKind, path: &str, target: &str, asked: &str, expected: &str| {
            let mut rule = route("", kind, path);
            rule.rewrite = Some(target.into());
            let found = Router::new(&[rule]).find("h", asked);
            let path = found.and_then(|found| found.path).unwrap_or_default();
            assert_eq!(path, expected, "{path} {target} {asked}");
        };
        let pattern = r"/something(/|$)(.*)";
        check(PathKind::Pattern, pattern, "/$2", "/something", "/");
        check(PathKind::Pattern, pattern, "/$2", "/something/", "/");
        check(PathKind::Pattern, pattern, "/$2", "/Something/new", "/new");
        check(
            PathKind::Pattern,
            pattern,
            "/$2",
            "/something/a%20b",
            "/a%20b",
        );
        check(PathKind::Pattern, pattern, "/$2", "/other", "");
        check(PathKind::Pattern, "/a|/b", "/c", "/b", "/c");
        check(PathKind::Prefix, "/app", "/", "/app/x", "/");
        check(PathKind::Prefix, "/app", "x$1$", "/app", "/x$");
    }
}
