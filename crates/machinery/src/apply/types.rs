//! What a type allows at a place, in the terms of merging: a scalar, a list
//! with a way to tell its items apart, a map whose members are owned singly or
//! together.
//!
//! [`Type`] wraps a schema node; where none is known, the type is deduced from
//! the value as upstream does: maps by member, lists as a whole.

use serde_json::Value;

use crate::schema::{ListType, Node, Shape};

/// The type at a place of an object.
#[derive(Debug, Clone, Copy)]
pub(super) enum Type<'a> {
    /// A node of a schema, and whether a node above it keeps unknown fields.
    Node(Node<'a>, bool),
    /// A node whose fields are owned singly although its type is atomic.
    Granular(Node<'a>),
    /// No schema: maps by member, lists as a whole.
    Deduced,
    /// No schema, and everything is owned as a whole.
    Atomic,
    /// Nothing is allowed here.
    None,
}

/// The forms that a type allows.
#[derive(Debug, Clone, Copy)]
pub(super) struct Atoms<'a> {
    pub(super) scalar: Option<Scalar>,
    pub(super) list: Option<ListAtom<'a>>,
    pub(super) map: Option<MapAtom<'a>>,
}

/// Which scalars are allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scalar {
    Numeric,
    Text,
    Boolean,
    Any,
}

/// How the items of a list are told apart.
#[derive(Debug, Clone, Copy)]
pub(super) enum Relation<'a> {
    Atomic,
    Set,
    Keys(&'a [Box<str>]),
    Key(&'a str),
}

/// A list of items of one type.
#[derive(Debug, Clone, Copy)]
pub(super) struct ListAtom<'a> {
    pub(super) relation: Relation<'a>,
    pub(super) element: Type<'a>,
}

/// A struct or map.
#[derive(Debug, Clone, Copy)]
pub(super) struct MapAtom<'a> {
    pub(super) atomic: bool,
    /// Where declared fields are looked up.
    fields: Option<Node<'a>>,
    preserves: bool,
    /// The type of members that are not declared.
    element: Type<'a>,
}

/// Which of its forms a type takes for a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Forms {
    scalar: bool,
    list: bool,
    map: bool,
}

/// The form by which a value is handled.
pub(super) enum Form<'a> {
    Map(MapAtom<'a>),
    Scalar(Scalar),
    List(ListAtom<'a>),
    None,
}

/// Fields of built-in types that hold a foreign object as a whole
/// (`runtime.RawExtension`); the other untyped ones are JSON values.
const RAW_FIELDS: [&str; 2] = ["data", "parameters"];

/// The one field of an atomic type that is not owned as a whole: a
/// volume's claim (`+structType=granular` in `k8s.io/api/core/v1`).
const GRANULAR_FIELD: (&str, &str) = ("claimRef", "io.k8s.api.core.v1.PersistentVolumeSpec");

impl<'a> Type<'a> {
    /// The type of a whole object.
    pub(super) fn root(schema: Option<Node<'a>>) -> Type<'a> {
        schema.map_or(Type::Deduced, |node| Type::Node(node, false))
    }

    pub(super) fn resolve(self) -> Atoms<'a> {
        let list = |relation, element| Some(ListAtom { relation, element });
        let map = |atomic, fields, preserves, element| {
            Some(MapAtom {
                atomic,
                fields,
                preserves,
                element,
            })
        };
        let scalar = |scalar| Atoms {
            scalar: Some(scalar),
            list: None,
            map: None,
        };
        let (node, preserves) = match self {
            Type::None => {
                return Atoms {
                    scalar: None,
                    list: None,
                    map: None,
                };
            }
            Type::Deduced => {
                let (list, map) = (
                    list(Relation::Atomic, Type::Atomic),
                    map(false, None, false, Type::Deduced),
                );
                return Atoms {
                    scalar: Some(Scalar::Any),
                    list,
                    map,
                };
            }
            Type::Atomic => {
                let (list, map) = (
                    list(Relation::Atomic, Type::Atomic),
                    map(true, None, false, Type::Atomic),
                );
                return Atoms {
                    scalar: Some(Scalar::Any),
                    list,
                    map,
                };
            }
            Type::Granular(node) => (node, false),
            Type::Node(node, preserves) => (node, preserves || node.preserves_unknown()),
        };
        let atomic_map = node.is_atomic_map() && !matches!(self, Type::Granular(_));
        let element = |fallback| {
            node.element()
                .map_or(fallback, |element| Type::Node(element, preserves))
        };
        match node.shape() {
            Shape::String | Shape::Bytes => scalar(Scalar::Text),
            Shape::Integer | Shape::Number => scalar(Scalar::Numeric),
            Shape::Boolean => scalar(Scalar::Boolean),
            Shape::IntOrString | Shape::Quantity | Shape::Time | Shape::MicroTime => {
                scalar(Scalar::Any)
            }
            Shape::List => Atoms {
                scalar: None,
                list: list(relation(node), element(Type::Atomic)),
                map: None,
            },
            Shape::Map => {
                let map = map(
                    node.is_atomic_map(),
                    None,
                    preserves,
                    element(Type::Deduced),
                );
                Atoms {
                    scalar: None,
                    list: None,
                    map,
                }
            }
            Shape::Object => {
                let free = preserves || node.fields().next().is_none();
                let unknown = if free { Type::Deduced } else { Type::None };
                Atoms {
                    scalar: None,
                    list: None,
                    map: map(atomic_map, Some(node), preserves, unknown),
                }
            }
            Shape::Any => Atoms {
                scalar: Some(Scalar::Any),
                list: list(relation(node), element(Type::Atomic)),
                map: map(atomic_map, Some(node), preserves, Type::Deduced),
            },
        }
    }
}

fn relation(node: Node<'_>) -> Relation<'_> {
    match node.list_type() {
        ListType::Map { keys } => Relation::Keys(keys),
        ListType::Set => Relation::Set,
        ListType::Atomic if !node.has_list_type() && node.patch_strategy().merge => {
            node.patch_merge_key().map_or(Relation::Set, Relation::Key)
        }
        ListType::Atomic => Relation::Atomic,
    }
}

impl<'a> Atoms<'a> {
    /// The forms left once the value is known. A null, or a value of a form
    /// that is not allowed, leaves all of them.
    pub(super) fn forms(&self, value: Option<&Value>) -> Forms {
        let all = Forms {
            scalar: self.scalar.is_some(),
            list: self.list.is_some(),
            map: self.map.is_some(),
        };
        let none = Forms {
            scalar: false,
            list: false,
            map: false,
        };
        match value {
            Some(Value::Bool(_) | Value::Number(_) | Value::String(_)) if all.scalar => Forms {
                scalar: true,
                ..none
            },
            Some(Value::Array(_)) if all.list => Forms { list: true, ..none },
            Some(Value::Object(_)) if all.map => Forms { map: true, ..none },
            _ => all,
        }
    }

    /// Whether a list or map of this type has one owner for everything in it.
    pub(super) fn is_whole(&self) -> bool {
        match (self.map, self.scalar, self.list) {
            (Some(map), ..) => map.atomic,
            (None, None, Some(list)) => list.relation.is_atomic(),
            _ => false,
        }
    }

    /// The form to handle a value by.
    pub(super) fn form(&self, forms: Forms) -> Form<'a> {
        match self {
            Atoms { map: Some(map), .. } if forms.map => Form::Map(*map),
            Atoms {
                scalar: Some(scalar),
                ..
            } if forms.scalar => Form::Scalar(*scalar),
            Atoms {
                list: Some(list), ..
            } if forms.list => Form::List(*list),
            _ => Form::None,
        }
    }
}

impl<'a> MapAtom<'a> {
    /// Whether the member is a declared field.
    pub(super) fn declares(&self, name: &str) -> bool {
        self.field(name).is_some()
    }

    /// The type of a member; [`Type::None`] if it is not allowed.
    pub(super) fn child(&self, name: &str) -> Type<'a> {
        match self.field(name) {
            Some(node)
                if node.shape() == Shape::Any
                    && node.raw().is_none()
                    && RAW_FIELDS.contains(&name) =>
            {
                Type::Atomic
            }
            Some(node) if self.is_granular(name) => Type::Granular(node),
            Some(node) => Type::Node(node, self.preserves),
            None => self.element,
        }
    }

    fn is_granular(&self, name: &str) -> bool {
        let (field, owner) = GRANULAR_FIELD;
        name == field && self.fields.and_then(Node::definition) == Some(owner)
    }

    fn field(&self, name: &str) -> Option<Node<'a>> {
        self.fields?.field(name)
    }
}

impl Relation<'_> {
    pub(super) fn is_atomic(self) -> bool {
        matches!(self, Relation::Atomic)
    }
}
