//! `Chart.yaml` as the linter sees it.

use super::Linter;
use super::Severity::{Error, Info, Warning};
use crate::metadata::Metadata;
use coracle_gotemplate::funcs::urls::scheme as url_scheme;
use coracle_gotemplate::semver::Version;
use coracle_goyaml::{self as yaml, Value};

const FILE: &str = "Chart.yaml";

/// Fields of `Chart.yaml`, of a dependency and of a maintainer.
const FIELDS: &[&str] = &[
    "name",
    "home",
    "sources",
    "version",
    "description",
    "keywords",
    "maintainers",
    "icon",
    "apiVersion",
    "condition",
    "tags",
    "appVersion",
    "deprecated",
    "annotations",
    "kubeVersion",
    "dependencies",
    "type",
];
const DEPENDENCY: &[&str] = &[
    "name",
    "version",
    "repository",
    "condition",
    "tags",
    "enabled",
    "import-values",
    "alias",
];
const MAINTAINER: &[&str] = &["name", "email", "url"];

/// Checks the file.
pub(super) fn check(linter: &mut Linter<'_>) {
    let Some(file) = linter.file(FILE) else {
        return;
    };
    let text = file.data.clone();
    let mut metadata = Metadata::default();
    if let Err(message) = metadata.read(&text) {
        let text = format!("unable to parse YAML\n\t{message}");
        return linter.say(Error, FILE, text);
    }
    if let Some(message) = strict(&text) {
        let text = format!("failed to strictly parse chart metadata file\n\t{message}");
        linter.say(Warning, FILE, text);
    }
    let raw = yaml::from_slice(&text).unwrap_or_default();
    identity(linter, &metadata, &raw);
    people(linter, &metadata);
    links(linter, &metadata);
    kind(linter, &metadata);
    if Version::parse_strict(&metadata.version).is_err() {
        let text = format!("version '{}' is not a valid SemVerV2", metadata.version);
        linter.say(Warning, FILE, text);
    }
}

fn identity(linter: &mut Linter<'_>, metadata: &Metadata, raw: &Value) {
    let name = &metadata.name;
    if name.is_empty() {
        linter.say(Error, FILE, "name is required");
    } else if base(name) != *name {
        linter.say(Error, FILE, format!("chart name {name:?} is invalid"));
    }
    match metadata.api_version.as_str() {
        "" => linter.say(
            Error,
            FILE,
            "apiVersion is required. The value must be either \"v1\" or \"v2\"",
        ),
        "v1" | "v2" => {}
        other => linter.say(
            Error,
            FILE,
            format!("apiVersion '{other}' is not valid. The value must be either \"v1\" or \"v2\""),
        ),
    }
    text_only(linter, raw, "version");
    let version = &metadata.version;
    if version.is_empty() {
        linter.say(Error, FILE, "version is required");
    } else if Version::parse(version).is_err() {
        linter.say(
            Error,
            FILE,
            format!("version '{version}' is not a valid SemVer"),
        );
    }
    text_only(linter, raw, "appVersion");
}

/// Go's `filepath.Base`.
fn base(path: &str) -> String {
    let path = path.trim_end_matches('/');
    match path {
        "" => "/".into(),
        path => path.rsplit('/').next().unwrap_or(path).to_owned(),
    }
}

fn text_only(linter: &mut Linter<'_>, raw: &Value, key: &str) {
    let Some(value) = raw.get(key) else {
        return;
    };
    let kind = match value {
        Value::Str(_) => return,
        Value::Null => "<nil>",
        Value::Bool(_) => "bool",
        Value::Int(_) | Value::Uint(_) | Value::Float(_) => "float64",
        Value::Seq(_) => "[]interface {}",
        Value::Map(_) => "map[string]interface {}",
    };
    let text = format!("{key} should be of type string but it's of type {kind}");
    linter.say(Error, FILE, text);
}

fn people(linter: &mut Linter<'_>, metadata: &Metadata) {
    for [name, email, url] in &metadata.maintainers {
        let text = if name.is_empty() {
            "each maintainer requires a name".to_owned()
        } else if !email.is_empty() && !is_email(email) {
            format!("invalid email '{email}' for maintainer '{name}'")
        } else if !url.is_empty() && !is_url(url) {
            format!("invalid url '{url}' for maintainer '{name}'")
        } else {
            continue;
        };
        return linter.say(Error, FILE, text);
    }
}

fn links(linter: &mut Linter<'_>, metadata: &Metadata) {
    let wrong = metadata
        .sources
        .iter()
        .find(|source| !is_request_url(source));
    if let Some(source) = wrong {
        linter.say(Error, FILE, format!("invalid source URL '{source}'"));
    }
    let icon = &metadata.icon;
    if icon.is_empty() {
        linter.say(Info, FILE, "icon is recommended");
    } else if !is_request_url(icon) {
        linter.say(Error, FILE, format!("invalid icon URL '{icon}'"));
    }
}

fn kind(linter: &mut Linter<'_>, metadata: &Metadata) {
    let version = &metadata.api_version;
    if version == "v2" {
        return;
    }
    if !metadata.kind.is_empty() {
        let text = format!(
            "chart type is not valid in apiVersion '{version}'. It is valid in apiVersion 'v2'"
        );
        linter.say(Error, FILE, text);
    }
    if !metadata.dependencies.is_empty() {
        let text = format!(
            "dependencies are not valid in the Chart file with apiVersion '{version}'. They are valid in apiVersion 'v2'"
        );
        linter.say(Error, FILE, text);
    }
}

/// Go's strict decoder: duplicate keys, then the first unknown field.
fn strict(text: &[u8]) -> Option<String> {
    if let Some(message) = duplicates(text) {
        return Some(message);
    }
    let value = yaml::from_slice(text).ok()?;
    let unknown = first_unknown(value.as_map()?)?;
    Some(format!(
        "error unmarshaling JSON: while decoding JSON: json: unknown field \"{unknown}\""
    ))
}

fn first_unknown(map: &yaml::Map) -> Option<String> {
    let known = |fields: &[&str], key: &str| fields.iter().any(|f| f.eq_ignore_ascii_case(key));
    for (key, value) in map {
        if !known(FIELDS, key) {
            return Some(key.clone());
        }
        let inner = match key.to_ascii_lowercase().as_str() {
            "dependencies" => DEPENDENCY,
            "maintainers" => MAINTAINER,
            _ => continue,
        };
        for item in value.as_seq().unwrap_or_default() {
            let keys = item.as_map().into_iter().flat_map(|map| map.keys());
            if let Some(unknown) = keys.into_iter().find(|key| !known(inner, key)) {
                return Some(unknown.clone());
            }
        }
    }
    None
}

/// go-yaml's list of keys that occur twice in one mapping.
fn duplicates(text: &[u8]) -> Option<String> {
    let document = yaml::Reader::new(text).ok()?.next_document().ok()??;
    let mut lines = Vec::new();
    for node in &document.nodes {
        let yaml::NodeKind::Mapping(pairs) = &node.kind else {
            continue;
        };
        let mut seen = std::collections::BTreeSet::new();
        for (key, _) in pairs {
            let key = &document.nodes[*key];
            if let yaml::NodeKind::Scalar { value, .. } = &key.kind
                && !seen.insert(value.clone())
            {
                let line = key.start.line_number();
                lines.push(format!("  line {line}: key {value:?} already set in map"));
            }
        }
    }
    (!lines.is_empty()).then(|| {
        format!(
            "error converting YAML to JSON: yaml: unmarshal errors:\n{}",
            lines.join("\n")
        )
    })
}

fn is_email(text: &str) -> bool {
    let Some((user, host)) = text.rsplit_once('@') else {
        return false;
    };
    let plain = |c: char| c.is_alphanumeric() || "!#$%&'*+-/=?^_`{|}~.".contains(c);
    !user.is_empty()
        && user.chars().all(plain)
        && !user.starts_with('.')
        && !user.ends_with('.')
        && !user.contains("..")
        && host.contains('.')
        && host.split('.').all(is_label)
}

fn is_label(label: &str) -> bool {
    !label.is_empty()
        && label
            .chars()
            .all(|c| c.is_alphanumeric() || c == '-' || c == '_')
        && !label.starts_with('-')
        && !label.ends_with('-')
}

/// An address with or without a scheme.
fn is_url(text: &str) -> bool {
    if text.len() < 3 || text.len() > 2083 || text.starts_with('.') || text.contains(' ') {
        return false;
    }
    let rest = match text.split_once("://") {
        Some(("http" | "https" | "ftp" | "tcp" | "udp" | "ws" | "wss" | "irc" | "rtmp", rest)) => {
            rest
        }
        Some(_) => return false,
        None => text.strip_prefix("mailto:").unwrap_or(text),
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority
        .rsplit_once('@')
        .map_or(authority, |(_, host)| host);
    let (host, port) = host
        .split_once(':')
        .map_or((host, None), |(host, port)| (host, Some(port)));
    let port_fits =
        port.is_none_or(|port| !port.is_empty() && port.chars().all(|c| c.is_ascii_digit()));
    // A name alone is a path to Go, unless something says that it is a host.
    let named = text.contains("://") || port.is_some() || rest.contains('.');
    port_fits && named && host.split('.').all(is_label)
}

/// What Go's `url.ParseRequestURI` takes, with a scheme.
fn is_request_url(text: &str) -> bool {
    url_scheme(text).is_ok_and(|scheme| !scheme.is_empty())
}
