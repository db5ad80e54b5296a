//! The tag table, read from `tags.txt` at the first protobuf body.

use std::collections::HashMap;
use std::sync::OnceLock;

const TABLE: &str = include_str!("tags.txt");

/// Every known message.
pub(super) struct Tags {
    /// `group/version` to package, such as `apps/v1` to `apps.v1`.
    packages: HashMap<&'static str, &'static str>,
    index: HashMap<&'static str, usize>,
    messages: Vec<Vec<Field>>,
}

/// One field of a message.
#[derive(Debug, Clone, Copy)]
pub(super) struct Field {
    pub(super) tag: u64,
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) container: Container,
    /// Absent from JSON when zero, although always present on the wire.
    pub(super) drop_zero: bool,
    /// The members of this message stand in the message that has the field.
    pub(super) inline: bool,
}

/// How often a field's value stands there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Container {
    One,
    List,
    Map,
}

/// What the value of a field is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Bool,
    Integer,
    Double,
    Bytes,
    Time,
    MicroTime,
    Quantity,
    IntOrString,
    /// Bytes that are JSON themselves.
    Json,
    /// A list in the clothes of a message.
    TextList,
    /// `JSONSchemaPropsOrArray`, `…OrBool`, `…OrStringArray`: a schema (index
    /// of its message), or another value.
    SchemaOr(usize),
    Message(usize),
}

impl Tags {
    pub(super) fn get() -> &'static Tags {
        static TAGS: OnceLock<Tags> = OnceLock::new();
        TAGS.get_or_init(Tags::read)
    }

    fn read() -> Tags {
        let mut tags = Tags {
            packages: HashMap::new(),
            index: HashMap::new(),
            messages: Vec::new(),
        };
        for line in TABLE.lines() {
            if let Some(name) = line.strip_prefix("message ") {
                tags.index.insert(name, tags.index.len());
            }
        }
        for line in TABLE.lines().filter(|line| !line.starts_with('#')) {
            let words: Vec<&'static str> = line.split(' ').collect();
            match words[..] {
                ["group", package, group] => {
                    tags.packages.insert(group.trim_start_matches('/'), package);
                }
                ["message", _] => tags.messages.push(Vec::new()),
                _ => {
                    let field = tags.field(&words);
                    if let (Some(message), Some(field)) = (tags.messages.last_mut(), field) {
                        message.push(field);
                    }
                }
            }
        }
        tags
    }

    fn field(&self, words: &[&'static str]) -> Option<Field> {
        let [tag, name, kind, flags @ ..] = words else {
            return None;
        };
        let (kind, container) = match (kind.strip_suffix("[]"), kind.strip_suffix("{}")) {
            (Some(kind), _) => (kind, Container::List),
            (_, Some(kind)) => (kind, Container::Map),
            _ => (*kind, Container::One),
        };
        Some(Field {
            tag: tag.parse().ok()?,
            name,
            kind: self.field_kind(kind)?,
            container,
            drop_zero: flags.contains(&"z"),
            inline: flags.contains(&"inline"),
        })
    }

    fn field_kind(&self, kind: &str) -> Option<Kind> {
        let schema = "apiextensions.v1.JSONSchemaProps";
        Some(match kind {
            "s" => Kind::Text,
            "b" => Kind::Bool,
            "i" => Kind::Integer,
            "d" => Kind::Double,
            "x" => Kind::Bytes,
            "meta.v1.Time" => Kind::Time,
            "meta.v1.MicroTime" => Kind::MicroTime,
            "resource.Quantity" => Kind::Quantity,
            "intstr.IntOrString" => Kind::IntOrString,
            "runtime.RawExtension" | "meta.v1.FieldsV1" | "apiextensions.v1.JSON" => Kind::Json,
            "meta.v1.Verbs"
            | "authentication.v1.ExtraValue"
            | "authorization.v1.ExtraValue"
            | "certificates.v1.ExtraValue" => Kind::TextList,
            "apiextensions.v1.JSONSchemaPropsOrArray"
            | "apiextensions.v1.JSONSchemaPropsOrBool"
            | "apiextensions.v1.JSONSchemaPropsOrStringArray" => {
                Kind::SchemaOr(*self.index.get(schema)?)
            }
            message => Kind::Message(*self.index.get(message)?),
        })
    }

    /// Returns the message of a kind. The types that every group has, such as
    /// `DeleteOptions`, stand in the package of the API machinery.
    pub(super) fn kind(&self, api_version: &str, kind: &str) -> Option<usize> {
        let package = self.packages.get(api_version)?;
        let of = |package: &str| {
            self.index
                .get(format!("{package}.{kind}").as_str())
                .copied()
        };
        of(package).or_else(|| of("meta.v1"))
    }

    /// Returns the fields of a message in the order of its Go type.
    pub(super) fn fields(&self, message: usize) -> &[Field] {
        self.messages.get(message).map_or(&[], Vec::as_slice)
    }

    /// Returns a field of a message.
    pub(super) fn find(&self, message: usize, tag: u64) -> Option<Field> {
        self.messages
            .get(message)?
            .iter()
            .find(|field| field.tag == tag)
            .copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_the_table_is_understood() {
        let lines = TABLE
            .lines()
            .filter(|line| line.starts_with(|first: char| first.is_ascii_digit()))
            .count();
        let tags = Tags::get();
        assert_eq!(tags.messages.iter().map(Vec::len).sum::<usize>(), lines);
        assert!(tags.kind("v1", "Pod").is_some());
        assert!(tags.kind("apps/v1", "DeleteOptions").is_some());
        assert!(tags.kind("apps/v1", "Pod").is_none());
    }
}
