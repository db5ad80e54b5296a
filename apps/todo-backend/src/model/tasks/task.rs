//! A task as a row, as clients see it, and what they may set of it.

use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use crate::db::{DbError, Row};
use crate::model::recurrence::Recurrence;
use crate::time::{self, Millis};

/// How urgent a task is; the order is the order of sorting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Priority {
    /// Can wait.
    Low,
    /// The default.
    Medium,
    /// Soon.
    High,
    /// Now.
    Urgent,
}

impl Priority {
    const ALL: [Self; 4] = [Self::Low, Self::Medium, Self::High, Self::Urgent];

    /// Reads the word, `med` as well.
    pub fn parse(text: &str) -> Option<Self> {
        if text.eq_ignore_ascii_case("med") {
            return Some(Self::Medium);
        }
        Self::ALL
            .into_iter()
            .find(|one| one.word().eq_ignore_ascii_case(text))
    }

    /// Returns the word.
    pub fn word(self) -> &'static str {
        ["low", "medium", "high", "urgent"][self as usize]
    }

    fn from_rank(rank: i64) -> Self {
        usize::try_from(rank)
            .ok()
            .and_then(|rank| Self::ALL.get(rank))
            .copied()
            .unwrap_or(Self::Medium)
    }
}

/// When and how to remind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reminder {
    /// ISO 8601 duration before the due date, such as `PT30M`.
    pub before: String,
    /// `push` shows a notification, `email` also sends a mail.
    #[serde(default = "push")]
    pub channel: String,
}

fn push() -> String {
    "push".to_owned()
}

/// A row of `tasks`.
#[derive(Debug, Clone)]
pub struct Task {
    /// Random id, unique everywhere.
    pub uid: String,
    /// Whose task it is.
    pub user_id: String,
    /// 1, 2, 3, … for each user.
    pub id: i64,
    /// 1 to 200 characters.
    pub title: String,
    /// At most 1000 characters.
    pub description: String,
    /// Whether it is done.
    pub completed: bool,
    /// How urgent.
    pub priority: Priority,
    /// When it should be done.
    pub due_date: Option<Millis>,
    /// At most ten.
    pub tags: Vec<String>,
    /// How often it comes back.
    pub recurrence: Option<Recurrence>,
    /// At most five.
    pub reminders: Vec<Reminder>,
    /// When it was made.
    pub created_at: Millis,
    /// When it last changed.
    pub updated_at: Millis,
    /// When it was done.
    pub completed_at: Option<Millis>,
}

/// What a client may set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// 1 to 200 characters.
    pub title: String,
    /// At most 1000 characters.
    pub description: String,
    /// Whether it is done.
    pub completed: bool,
    /// How urgent.
    pub priority: Priority,
    /// When it should be done.
    pub due_date: Option<Millis>,
    /// At most ten.
    pub tags: Vec<String>,
    /// How often it comes back.
    pub recurrence: Option<Recurrence>,
    /// At most five.
    pub reminders: Vec<Reminder>,
}

impl Default for Draft {
    fn default() -> Self {
        Self {
            title: String::new(),
            description: String::new(),
            completed: false,
            priority: Priority::Medium,
            due_date: None,
            tags: Vec::new(),
            recurrence: None,
            reminders: Vec::new(),
        }
    }
}

impl Task {
    /// Reads a row of the table.
    pub(super) fn from_row(row: &Row) -> Result<Self, DbError> {
        let recurrence = row.text_or_null("recurrence")?;
        Ok(Self {
            uid: row.text("uid")?,
            user_id: row.text("user_id")?,
            id: row.int("id")?,
            title: row.text("title")?,
            description: row.text("description")?,
            completed: row.bool("completed")?,
            priority: Priority::from_rank(row.int("priority")?),
            due_date: row.time_or_null("due_date")?,
            tags: serde_json::from_str(&row.text("tags")?).unwrap_or_default(),
            recurrence: recurrence.and_then(|text| serde_json::from_str(&text).ok()),
            reminders: serde_json::from_str(&row.text("reminders")?).unwrap_or_default(),
            created_at: row.time("created_at")?,
            updated_at: row.time("updated_at")?,
            completed_at: row.time_or_null("completed_at")?,
        })
    }

    /// Returns the task as clients see it.
    pub fn json(&self) -> Json {
        json!({
            "id": self.id,
            "uid": self.uid,
            "user_id": self.user_id,
            "title": self.title,
            "description": self.description,
            "completed": self.completed,
            "priority": self.priority,
            "due_date": self.due_date.map(time::text),
            "tags": self.tags,
            "recurrence": self.recurrence,
            "reminders": self.reminders,
            "created_at": time::text(self.created_at),
            "updated_at": time::text(self.updated_at),
            "completed_at": self.completed_at.map(time::text),
        })
    }

    /// Returns what a client could set again.
    pub fn draft(&self) -> Draft {
        Draft {
            title: self.title.clone(),
            description: self.description.clone(),
            completed: self.completed,
            priority: self.priority,
            due_date: self.due_date,
            tags: self.tags.clone(),
            recurrence: self.recurrence.clone(),
            reminders: self.reminders.clone(),
        }
    }
}
