//! Go's text/template with sprig and Helm's functions: lexer, parser, executor with spans. Pure.
//!
//! Entry points: [`set::Set`] holds parsed templates, [`exec::Executor`] runs
//! them over a [`value::Value`] with the functions of [`funcs::Functions`].
//! Deliberately absent: YAML, charts, files. What a template may ask of the
//! world stands in [`host::Host`].

pub mod error;
pub mod exec;
pub mod fmt;
pub mod funcs;
mod hash;
pub mod host;
pub mod json;
pub mod lex;
pub mod near;
pub mod parse;
pub mod semver;
pub mod set;
pub mod strconv;
pub mod trace;
pub mod tree;
pub mod value;

pub use error::{Detail, Error, Frame};
pub use exec::{Executor, Limits};
pub use funcs::Functions;
pub use host::{Host, NoHost};
pub use parse::ParseError;
pub use set::Set;
pub use value::{Elem, Entries, List, Map, Str, Value};
