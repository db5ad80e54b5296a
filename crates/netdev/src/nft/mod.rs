//! nf_tables: one IPv4 table kept equal to a wanted state.
//!
//! [`Fragment`] is a part of the wanted state with one owner; [`Table`]
//! remembers the fragments, works out the difference of a change and commits
//! it as one transaction of element and chain edits. The table itself is
//! never replaced while traffic runs: a packet that met it half-way would find
//! no rule. [`expr`] builds rules, [`encode`] writes them, [`commit`] talks to
//! the kernel. Nothing here knows what the rules are for.

pub mod commit;
pub mod diff;
pub mod encode;
pub mod expr;
pub mod fragment;
pub mod readback;
pub mod table;

pub use commit::{Kernel, Sink};
pub use diff::{Group, Op, difference};
pub use expr::{Expr, Reg, Rule, Verdict};
pub use fragment::{Base, Chain, ChainType, Data, Fragment, Hook, Key, Set, SetKind, Type};
pub use table::Table;
