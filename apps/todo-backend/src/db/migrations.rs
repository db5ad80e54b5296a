//! The tables, as numbered migrations in the dialect both databases share.
//!
//! `{bool}` and `{time}` stand for the column types that differ. A migration
//! that has been released is never changed; a new one is added below it.

/// A step from one version of the tables to the next.
pub struct Migration {
    /// Counts up from 1.
    pub version: i64,
    /// Statements, separated by semicolons at line ends.
    sql: &'static str,
}

impl Migration {
    /// Returns the statements with the column types of an engine.
    pub fn statements(&self, bool_type: &str, time_type: &str) -> Vec<String> {
        let sql = self
            .sql
            .replace("{bool}", bool_type)
            .replace("{time}", time_type);
        let parts = sql.split(";\n").map(str::trim);
        parts
            .filter(|part| !part.is_empty())
            .map(ToOwned::to_owned)
            .collect()
    }
}

/// The table that remembers which migrations ran.
pub const BOOKKEEPING: &str =
    "CREATE TABLE IF NOT EXISTS schema_migrations (version BIGINT PRIMARY KEY)";

/// All migrations, oldest first.
pub const MIGRATIONS: &[Migration] = &[
    Migration {
        version: 1,
        sql: FIRST,
    },
    Migration {
        version: 2,
        sql: IN_ORDER_OF_DATES,
    },
];

/// The list as it is mostly read: open tasks, soonest first. A page of it is
/// a stretch of this index, and the counts beside it need no row.
const IN_ORDER_OF_DATES: &str = "
CREATE INDEX tasks_by_date ON tasks (user_id, completed, (due_date IS NULL), due_date, id);
DROP INDEX tasks_completed;
";

const FIRST: &str = "
CREATE TABLE users (
  id TEXT PRIMARY KEY,
  email TEXT NOT NULL UNIQUE,
  password_hash TEXT NOT NULL,
  name TEXT NOT NULL,
  avatar_url TEXT,
  prefs TEXT NOT NULL,
  task_seq BIGINT NOT NULL,
  conversation_seq BIGINT NOT NULL,
  notification_seq BIGINT NOT NULL,
  created_at {time} NOT NULL
);
CREATE TABLE tasks (
  uid TEXT PRIMARY KEY,
  user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  id BIGINT NOT NULL,
  title TEXT NOT NULL,
  description TEXT NOT NULL,
  completed {bool} NOT NULL,
  priority BIGINT NOT NULL,
  due_date {time},
  tags TEXT NOT NULL,
  recurrence TEXT,
  reminders TEXT NOT NULL,
  parent_uid TEXT UNIQUE,
  created_at {time} NOT NULL,
  updated_at {time} NOT NULL,
  completed_at {time},
  UNIQUE (user_id, id)
);
CREATE INDEX tasks_completed ON tasks (user_id, completed);
CREATE TABLE conversations (
  user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  id BIGINT NOT NULL,
  title TEXT NOT NULL,
  message_seq BIGINT NOT NULL,
  created_at {time} NOT NULL,
  updated_at {time} NOT NULL,
  PRIMARY KEY (user_id, id)
);
CREATE TABLE messages (
  user_id TEXT NOT NULL,
  conversation_id BIGINT NOT NULL,
  id BIGINT NOT NULL,
  role TEXT NOT NULL,
  content TEXT NOT NULL,
  tool_calls TEXT NOT NULL,
  provider TEXT,
  model TEXT,
  created_at {time} NOT NULL,
  PRIMARY KEY (user_id, conversation_id, id),
  FOREIGN KEY (user_id, conversation_id) REFERENCES conversations (user_id, id) ON DELETE CASCADE
);
CREATE TABLE attachments (
  id TEXT PRIMARY KEY,
  user_id TEXT NOT NULL,
  task_uid TEXT NOT NULL REFERENCES tasks (uid) ON DELETE CASCADE,
  name TEXT NOT NULL,
  content_type TEXT NOT NULL,
  size BIGINT NOT NULL,
  storage TEXT NOT NULL,
  location TEXT NOT NULL,
  created_at {time} NOT NULL
);
CREATE INDEX attachments_task ON attachments (task_uid);
CREATE TABLE reminders (
  id TEXT PRIMARY KEY,
  user_id TEXT NOT NULL,
  task_uid TEXT NOT NULL REFERENCES tasks (uid) ON DELETE CASCADE,
  channel TEXT NOT NULL,
  fire_at {time} NOT NULL,
  sent_at {time}
);
CREATE INDEX reminders_due ON reminders (sent_at, fire_at);
CREATE TABLE notifications (
  user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  id BIGINT NOT NULL,
  kind TEXT NOT NULL,
  title TEXT NOT NULL,
  task_id BIGINT,
  created_at {time} NOT NULL,
  read_at {time},
  PRIMARY KEY (user_id, id)
);
CREATE TABLE password_resets (
  token_hash TEXT PRIMARY KEY,
  user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  expires_at {time} NOT NULL,
  used_at {time}
);
CREATE TABLE outbox (
  id TEXT PRIMARY KEY,
  recipient TEXT NOT NULL,
  sender TEXT NOT NULL,
  subject TEXT NOT NULL,
  body TEXT NOT NULL,
  created_at {time} NOT NULL
);
CREATE INDEX outbox_created ON outbox (created_at);
";
