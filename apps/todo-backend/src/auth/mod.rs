//! Who is asking: tokens, passwords and the extractors that handlers use.

pub mod caller;
pub mod jwt;
pub mod links;
pub mod password;
