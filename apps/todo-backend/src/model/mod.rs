//! The tables as the rest of the program sees them: one file a table, SQL
//! and row types together. No HTTP here.

pub mod tasks;
pub mod users;
