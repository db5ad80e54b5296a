//! The functions a template can call, one file per family.
//!
//! Main type: [`Functions`], a table of [`Func`]s. To add a function: write it
//! in its family's file, register it there with its Go parameter types, and
//! add a case to the tests of that file.

mod builtin;
pub mod cast;
mod certs;
mod crypto;
pub mod date;
mod defaults;
mod dicts;
mod encoding;
mod include;
mod keys;
mod lists;
mod math;
mod paths;
mod pem;
pub(crate) mod random;
mod reflect;
pub mod regexes;
mod strings;
mod text_case;
pub mod urls;
mod versions;

use crate::error::Error;
use crate::exec::Executor;
use crate::hash::NameMap;
use crate::value::{Type, Value};

pub use certs::CERTIFICATE;
pub use include::without_no_value;

/// Index of a function in its table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FuncId(u32);

/// What a function returns.
pub type Answer = Result<Value, Error>;

/// The body of a function. Arguments have the declared types already.
pub type Call = fn(&mut Executor<'_>, &[Value]) -> Answer;

/// Functions that the executor itself evaluates.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Builtin {
    /// Stops at the first false argument.
    And,
    /// Stops at the first true argument.
    Or,
    /// Calls its first argument; there are no functions among values.
    Call,
}

/// One function.
#[derive(Debug)]
pub struct Func {
    /// Its name in templates.
    pub name: &'static str,
    /// Go parameter types.
    pub params: &'static [Type],
    /// Whether the last parameter repeats.
    pub variadic: bool,
    /// Its body.
    pub call: Call,
    /// Set for `and`, `or` and `call`.
    pub builtin: Option<Builtin>,
}

/// Room for Helm's functions.
const COUNT: usize = 280;

/// A table of functions by name.
#[derive(Debug, Default)]
pub struct Functions {
    list: Vec<Func>,
    names: NameMap<&'static str, FuncId>,
}

pub(crate) use Type::{
    Any as A, Bool as B, Float as F, Int as I, Map as M, Reflect as R, String as S, Uint32 as U,
};

impl Functions {
    /// Makes the table that Helm's templates have, without the functions that
    /// need YAML or TOML: those come from the chart engine.
    pub fn helm() -> Self {
        let mut table = Functions {
            list: Vec::with_capacity(COUNT),
            names: NameMap::with_capacity_and_hasher(COUNT, Default::default()),
        };
        builtin::register(&mut table);
        strings::register(&mut table);
        text_case::register(&mut table);
        lists::register(&mut table);
        dicts::register(&mut table);
        math::register(&mut table);
        defaults::register(&mut table);
        encoding::register(&mut table);
        reflect::register(&mut table);
        regexes::register(&mut table);
        versions::register(&mut table);
        crypto::register(&mut table);
        certs::register(&mut table);
        date::register(&mut table);
        urls::register(&mut table);
        paths::register(&mut table);
        random::register(&mut table);
        include::register(&mut table);
        table
    }

    /// Makes the table of Go's own functions.
    pub fn go() -> Self {
        let mut table = Functions::default();
        builtin::register(&mut table);
        table
    }

    /// Adds a function; a later one of the same name replaces it.
    pub fn add(&mut self, name: &'static str, params: &'static [Type], call: Call) {
        self.put(Func {
            name,
            params,
            variadic: false,
            call,
            builtin: None,
        });
    }

    /// Adds a function whose last parameter repeats.
    pub fn variadic(&mut self, name: &'static str, params: &'static [Type], call: Call) {
        self.put(Func {
            name,
            params,
            variadic: true,
            call,
            builtin: None,
        });
    }

    fn put(&mut self, func: Func) {
        let id = FuncId(self.list.len() as u32);
        self.names.insert(func.name, id);
        self.list.push(func);
    }

    /// Finds a function.
    pub fn find(&self, name: &str) -> Option<(&'static str, FuncId)> {
        let (name, id) = self.names.get_key_value(name)?;
        Some((name, *id))
    }

    /// Returns a function.
    pub fn get(&self, id: FuncId) -> &Func {
        &self.list[id.0 as usize]
    }

    /// Returns all names.
    pub fn names(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.names.keys().copied()
    }
}

/// The bytes of a string argument.
pub(crate) fn s(value: &Value) -> &[u8] {
    match value {
        Value::Str(text) => text.as_bytes(),
        _ => b"",
    }
}

/// A string argument as text.
pub(crate) fn text(value: &Value) -> std::borrow::Cow<'_, str> {
    crate::value::lossy(s(value))
}

/// An `int` argument.
pub(crate) fn int(value: &Value) -> i64 {
    match value {
        Value::Int(number) | Value::Int64(number) => *number,
        Value::Uint64(number) => *number as i64,
        _ => 0,
    }
}

/// Sprig's `strval`: strings as they are, the rest as `%v`.
pub fn strval(value: &Value) -> crate::value::Str {
    match value {
        Value::Str(text) | Value::Bytes(text) => text.clone(),
        Value::Struct(object) => match object.ty.display {
            Some(display) if !object.ty.display_by_pointer => display(object).into(),
            _ => crate::fmt::value_text(value).into(),
        },
        other => crate::fmt::value_text(other).into(),
    }
}
