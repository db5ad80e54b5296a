//! Selectors: which objects a query or a workload means.
//!
//! [`LabelSelector`] is read from a query text (`app=web,tier in (a,b),!old`)
//! or from a `matchLabels`/`matchExpressions` object; [`FieldSelector`] from a
//! query text alone. Both only match: what fields a kind offers, and how an
//! error becomes an answer, is the caller's business.

mod field;
mod label;
mod names;
mod parse;

pub use field::{FieldError, FieldRequirement, FieldSelector};
pub use label::{LabelError, LabelRequirement, LabelSelector, Labels, Operator};
pub use names::{label_key_errors, label_value_errors};
