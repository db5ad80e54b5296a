//! The tables as the rest of the program sees them: one file a table, SQL
//! and row types together. No HTTP here.

pub mod attachments;
pub mod conversations;
pub mod notifications;
pub mod outbox;
pub mod recurrence;
pub mod resets;
pub mod tasks;
pub mod users;
