//! Image references as users write them, normalised as Docker does.
//!
//! [`Reference`] always knows its registry and repository; the short form
//! leaves out what Docker leaves out. Grammar: distribution/reference
//! <https://pkg.go.dev/github.com/distribution/reference>.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::digest::Digest;

/// The registry meant when none is named.
pub const DEFAULT_REGISTRY: &str = "docker.io";
const DEFAULT_TAG: &str = "latest";
const NAME_LENGTH_MAX: usize = 255;
const TAG_LENGTH_MAX: usize = 128;

/// A normalised image reference.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Reference {
    registry: String,
    repository: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

/// A text that names no image.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid image reference \"{text}\": {reason}")]
pub struct ReferenceError {
    text: String,
    reason: &'static str,
}

impl Reference {
    /// Parses and normalises a reference; a missing tag becomes `latest`
    /// unless a digest is given.
    ///
    /// # Errors
    ///
    /// Says which part breaks the grammar.
    pub fn parse(text: &str) -> Result<Self, ReferenceError> {
        let fail = |reason| ReferenceError {
            text: text.chars().take(300).collect(),
            reason,
        };
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => {
                let digest = digest
                    .parse()
                    .map_err(|_| fail("the digest must be sha256:<64 hex digits>"))?;
                (rest, Some(digest))
            }
            None => (text, None),
        };
        let (name, tag) = split_tag(rest);
        if name.is_empty() {
            return Err(fail("the name is empty"));
        }
        if is_hex_digest(name) {
            return Err(fail("64 hex digits are an image id, not a name"));
        }
        if let Some(tag) = tag {
            check_tag(tag).map_err(fail)?;
        }
        let (registry, repository) = split_registry(name);
        check_registry(&registry).map_err(fail)?;
        check_repository(&repository).map_err(fail)?;
        if registry.len() + 1 + repository.len() > NAME_LENGTH_MAX {
            return Err(fail("the name is longer than 255 characters"));
        }
        let tag = match (tag, digest) {
            (Some(tag), _) => Some(tag.to_owned()),
            (None, None) => Some(DEFAULT_TAG.to_owned()),
            (None, Some(_)) => None,
        };
        Ok(Self {
            registry,
            repository,
            tag,
            digest,
        })
    }

    /// Returns the registry host, `docker.io` when none was named.
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// Returns the repository path, such as `library/nginx`.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// Returns the tag; `None` only when a digest stands alone.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// Returns the digest, when one was written.
    pub fn digest(&self) -> Option<Digest> {
        self.digest
    }

    /// Returns the registry and repository, without tag or digest.
    pub fn name(&self) -> String {
        format!("{}/{}", self.registry, self.repository)
    }

    /// Returns the same name with another digest and no tag.
    pub fn with_digest(&self, digest: Digest) -> Self {
        Self {
            tag: None,
            digest: Some(digest),
            ..self.clone()
        }
    }

    /// Returns the key under which the store names an image: the digest, when
    /// written, decides and the tag is only decoration.
    pub fn key(&self) -> String {
        match (&self.digest, &self.tag) {
            (Some(digest), _) => format!("{}@{digest}", self.name()),
            (None, Some(tag)) => format!("{}:{tag}", self.name()),
            (None, None) => self.name(),
        }
    }

    /// Returns the short form Docker shows: no `docker.io/`, no `library/`,
    /// the tag always.
    pub fn familiar(&self) -> String {
        let mut text = self.familiar_name();
        self.push_version(&mut text);
        text
    }

    /// Returns the short name without tag or digest.
    pub fn familiar_name(&self) -> String {
        if self.registry != DEFAULT_REGISTRY {
            return self.name();
        }
        match self.repository.strip_prefix("library/") {
            // Alone, such a name would be an image id.
            Some(rest) if !rest.contains('/') && !is_hex_digest(rest) => rest.to_owned(),
            _ => self.repository.clone(),
        }
    }

    fn push_version(&self, text: &mut String) {
        if let Some(tag) = &self.tag {
            text.push(':');
            text.push_str(tag);
        }
        if let Some(digest) = &self.digest {
            text.push('@');
            text.push_str(&digest.to_string());
        }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = self.name();
        self.push_version(&mut text);
        f.write_str(&text)
    }
}

impl FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        Self::parse(text)
    }
}

impl Serialize for Reference {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Reference {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

// A colon after the last slash starts a tag; before it, a port.
fn split_tag(text: &str) -> (&str, Option<&str>) {
    match text.rfind(':') {
        Some(colon) if !text[colon..].contains('/') => (&text[..colon], Some(&text[colon + 1..])),
        _ => (text, None),
    }
}

fn split_registry(name: &str) -> (String, String) {
    let (registry, repository) = match name.split_once('/') {
        Some((first, rest)) if looks_like_host(first) => (first, rest),
        _ => (DEFAULT_REGISTRY, name),
    };
    let registry = match registry {
        "index.docker.io" => DEFAULT_REGISTRY,
        other => other,
    };
    if registry == DEFAULT_REGISTRY && !repository.contains('/') {
        return (registry.to_owned(), format!("library/{repository}"));
    }
    (registry.to_owned(), repository.to_owned())
}

fn looks_like_host(component: &str) -> bool {
    component == "localhost"
        || component.contains(['.', ':'])
        || component.chars().any(|c| c.is_ascii_uppercase())
}

fn is_hex_digest(name: &str) -> bool {
    name.len() == 64 && name.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

fn check_tag(tag: &str) -> Result<(), &'static str> {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    let bytes = tag.as_bytes();
    match bytes.first() {
        None => Err("the tag is empty"),
        Some(first) if !word(*first) => Err("a tag starts with a letter, digit or underscore"),
        _ if bytes.len() > TAG_LENGTH_MAX => Err("the tag is longer than 128 characters"),
        _ if !bytes.iter().all(|b| word(*b) || matches!(b, b'.' | b'-')) => {
            Err("a tag holds only letters, digits, '_', '.' and '-'")
        }
        _ => Ok(()),
    }
}

fn check_registry(registry: &str) -> Result<(), &'static str> {
    let host = match registry.strip_prefix('[') {
        Some(rest) => {
            let (address, port) = rest.split_once(']').ok_or("the registry has no ']'")?;
            let valid = address.bytes().all(|b| b.is_ascii_hexdigit() || b == b':');
            return match (valid, port.strip_prefix(':')) {
                (true, None) if port.is_empty() => Ok(()),
                (true, Some(port)) => check_port(port),
                _ => Err("the registry is no IPv6 address"),
            };
        }
        None => match registry.split_once(':') {
            Some((host, port)) => {
                check_port(port)?;
                host
            }
            None => registry,
        },
    };
    let label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    match host.split('.').all(label) {
        true => Ok(()),
        false => Err("the registry is no host name"),
    }
}

fn check_port(port: &str) -> Result<(), &'static str> {
    match port.parse::<u16>() {
        Ok(_) => Ok(()),
        Err(_) => Err("the registry's port is no number"),
    }
}

fn check_repository(repository: &str) -> Result<(), &'static str> {
    repository.split('/').try_for_each(check_component)
}

fn check_component(component: &str) -> Result<(), &'static str> {
    if component.is_empty() {
        return Err("a part of the name is empty");
    }
    if component.bytes().any(|b| b.is_ascii_uppercase()) {
        return Err("the repository name must be lower case");
    }
    let alphanumeric = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = component.as_bytes();
    if !alphanumeric(bytes[0]) || !alphanumeric(bytes[bytes.len() - 1]) {
        return Err("a part of the name must start and end with a letter or digit");
    }
    let separators = component.split(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
    for separator in separators.filter(|separator| !separator.is_empty()) {
        let valid = matches!(separator, "." | "_" | "__") || separator.bytes().all(|b| b == b'-');
        if !valid {
            return Err("parts of the name are separated by one '.', one or two '_', or '-'");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    fn check(text: &str, full: &str, familiar: &str) {
        let reference = Reference::parse(text).expect(text);
        assert_eq!(reference.to_string(), full, "{text}");
        assert_eq!(reference.familiar(), familiar, "{text}");
        assert_eq!(Reference::parse(full).expect(full), reference, "{text}");
        assert_eq!(Reference::parse(familiar).expect(familiar), reference);
    }

    #[test]
    fn names_are_normalised_as_docker_does() {
        check("nginx", "docker.io/library/nginx:latest", "nginx:latest");
        check("nginx:1.2", "docker.io/library/nginx:1.2", "nginx:1.2");
        check(
            "library/nginx",
            "docker.io/library/nginx:latest",
            "nginx:latest",
        );
        check(
            "docker.io/nginx",
            "docker.io/library/nginx:latest",
            "nginx:latest",
        );
        check("index.docker.io/a/b", "docker.io/a/b:latest", "a/b:latest");
        check("a/b:c", "docker.io/a/b:c", "a/b:c");
        let id = "0".repeat(64);
        let (official, full) = (
            format!("library/{id}:1"),
            format!("docker.io/library/{id}:1"),
        );
        check(&official, &full, &official);
        check("localhost/x", "localhost/x:latest", "localhost/x:latest");
        check(
            "localhost:5000/x",
            "localhost:5000/x:latest",
            "localhost:5000/x:latest",
        );
        check("ghcr.io/o/p/q:t", "ghcr.io/o/p/q:t", "ghcr.io/o/p/q:t");
        check("[::1]:5000/x:y", "[::1]:5000/x:y", "[::1]:5000/x:y");
        check(
            "my--app__x.y",
            "docker.io/library/my--app__x.y:latest",
            "my--app__x.y:latest",
        );
        check(
            "docker.io/library/a/b",
            "docker.io/library/a/b:latest",
            "library/a/b:latest",
        );
    }

    #[test]
    fn a_digest_stands_without_a_tag() {
        let full = format!("docker.io/library/nginx@sha256:{HEX}");
        check(
            &format!("nginx@sha256:{HEX}"),
            &full,
            &format!("nginx@sha256:{HEX}"),
        );
        let both = Reference::parse(&format!("nginx:1@sha256:{HEX}")).expect("tag and digest");
        assert_eq!(both.tag(), Some("1"));
        assert_eq!(both.key(), full, "the digest decides");
    }

    #[test]
    fn broken_references_are_refused_with_the_reason() {
        let long_tag = format!("a:{}", "t".repeat(129));
        let long_name = format!("a/{}", "n".repeat(260));
        let cases = [
            ("", "empty"),
            (":tag", "empty"),
            ("Nginx", "lower case"),
            ("a/B", "lower case"),
            ("a//b", "empty"),
            ("a/b/", "empty"),
            ("-a", "start and end"),
            ("a..b", "separated"),
            ("a___b", "separated"),
            ("a:", "tag is empty"),
            ("a:-t", "starts with"),
            ("a:t/../x", "no number"),
            ("a b", "separated"),
            ("../etc", "host name"),
            ("a@sha256:12", "digest"),
            ("a@md5:12", "digest"),
            (HEX, "image id"),
            ("bad_host.x/a", "host name"),
            ("h:port/a", "no number"),
            (&long_tag, "longer"),
            (&long_name, "longer"),
        ];
        for (text, reason) in cases {
            let error = Reference::parse(text).expect_err(text).to_string();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }
}
