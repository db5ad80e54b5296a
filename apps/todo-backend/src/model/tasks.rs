//! Tasks: rows, filters, and the two statements that must go together.
//!
//! A user's tasks count 1, 2, 3, …: the number is taken from the user's row
//! in the same transaction, so it is unique and tells nothing about others.

use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use super::recurrence;
use crate::db::value::At;
use crate::db::{Database, DbError, Row, Statement, Value};
use crate::sql;
use crate::time::{self, Millis, now};

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

/// How often a task comes back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recurrence {
    /// Days, weeks or months.
    pub frequency: Frequency,
    /// Every so many of them, at least 1.
    #[serde(default = "one")]
    pub interval: u16,
    /// Weekly only: 0 is Monday.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub days_of_week: Vec<u8>,
    /// Monthly only; the last day when the month is shorter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub day_of_month: Option<u8>,
}

fn one() -> u16 {
    1
}

/// The unit of a recurrence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Frequency {
    /// Every day.
    Daily,
    /// Every week.
    Weekly,
    /// Every month.
    Monthly,
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
    fn from_row(row: &Row) -> Result<Self, DbError> {
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

/// Which tasks, in which order, how many.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Done or not; `None` is both.
    pub completed: Option<bool>,
    /// Only this priority.
    pub priority: Option<Priority>,
    /// Only with this tag.
    pub tag: Option<String>,
    /// Part of title or description.
    pub text: Option<String>,
    /// Due before this instant.
    pub due_before: Option<Millis>,
    /// Due at or after this instant.
    pub due_after: Option<Millis>,
    /// Order.
    pub sort: Sort,
    /// Greatest first.
    pub descending: bool,
    /// At most so many.
    pub limit: i64,
    /// After so many.
    pub offset: i64,
}

/// The column of the order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Sort {
    /// When it was made.
    #[default]
    Created,
    /// Title, without regard to case.
    Title,
    /// Due date; tasks without one come last.
    DueDate,
    /// Urgency.
    Priority,
}

/// A page of tasks with the counts of the whole filter.
#[derive(Debug)]
pub struct Page {
    /// The tasks.
    pub tasks: Vec<Task>,
    /// How many match.
    pub total: i64,
    /// How many of them are done.
    pub completed: i64,
}

impl Filter {
    /// Returns the condition and its parameters; `?1` is the user.
    fn condition(&self, user_id: &str) -> (String, Vec<Value>) {
        let mut sql = String::from("user_id = ?1");
        let mut params = vec![Value::from(user_id)];
        let mut add = |text: &str, value: Value| {
            params.push(value);
            sql.push_str(" AND ");
            sql.push_str(&text.replace("??", &format!("?{}", params.len())));
        };
        if let Some(completed) = self.completed {
            add("completed = ??", completed.into());
        }
        if let Some(priority) = self.priority {
            add("priority = ??", Value::Int(priority as i64));
        }
        if let Some(tag) = &self.tag {
            let quoted = Json::String(tag.to_lowercase()).to_string();
            add(r"LOWER(tags) LIKE ?? ESCAPE '\'", contains(&quoted));
        }
        if let Some(text) = &self.text {
            let like = r"LOWER(title || ' ' || description) LIKE ?? ESCAPE '\'";
            add(like, contains(&text.to_lowercase()));
        }
        if let Some(at) = self.due_before {
            add("due_date < ??", At(at).into());
        }
        if let Some(at) = self.due_after {
            add("due_date >= ??", At(at).into());
        }
        (sql, params)
    }

    fn order(&self) -> String {
        let direction = if self.descending { "DESC" } else { "ASC" };
        match self.sort {
            Sort::Created => format!("id {direction}"),
            Sort::Title => format!("LOWER(title) {direction}, id"),
            Sort::DueDate => format!("due_date IS NULL, due_date {direction}, id"),
            Sort::Priority => format!("priority {direction}, id"),
        }
    }
}

/// A LIKE pattern; the characters that mean something are escaped.
fn contains(text: &str) -> Value {
    let mut pattern = String::from("%");
    for character in text.chars() {
        if matches!(character, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(character);
    }
    pattern.push('%');
    Value::Text(pattern)
}

/// Returns a page and counts, from one snapshot.
///
/// # Errors
/// As [`DbError`] says.
pub async fn list(database: &Database, user_id: &str, filter: &Filter) -> Result<Page, DbError> {
    let (condition, params) = filter.condition(user_id);
    let count = Statement::new(
        format!(
            "SELECT COUNT(*) AS total, COUNT(CASE WHEN completed THEN 1 END) AS done \
             FROM tasks WHERE {condition}"
        ),
        params.clone(),
    );
    let mut page_params = params;
    page_params.extend([Value::Int(filter.limit), Value::Int(filter.offset)]);
    let (limit, offset) = (page_params.len() - 1, page_params.len());
    let page = Statement::new(
        format!(
            "SELECT * FROM tasks WHERE {condition} ORDER BY {} LIMIT ?{limit} OFFSET ?{offset}",
            filter.order()
        ),
        page_params,
    );
    let answer = database.run(vec![count, page]).await?;
    let counts = answer.first().and_then(|rows| rows.first());
    let counts = counts.ok_or_else(|| DbError::Shape("total".to_owned()))?;
    let rows = answer.get(1).map(Vec::as_slice).unwrap_or_default();
    Ok(Page {
        tasks: rows.iter().map(Task::from_row).collect::<Result<_, _>>()?,
        total: counts.int("total")?,
        completed: counts.int("done")?,
    })
}

/// Finds a task by its number.
///
/// # Errors
/// As [`DbError`] says.
pub async fn find(database: &Database, user_id: &str, id: i64) -> Result<Option<Task>, DbError> {
    let select = sql!(
        "SELECT * FROM tasks WHERE user_id = ?1 AND id = ?2",
        user_id,
        id
    );
    database
        .row(select)
        .await?
        .as_ref()
        .map(Task::from_row)
        .transpose()
}

/// Makes a task.
///
/// # Errors
/// As [`DbError`] says.
pub async fn create(
    database: &Database,
    user_id: &str,
    draft: &Draft,
) -> Result<Option<Task>, DbError> {
    let uid = uuid::Uuid::new_v4().to_string();
    let [count, insert] = insertion(user_id, &uid, draft, now(), None);
    let mut batch = vec![count, insert];
    batch.extend(reminder_rows(user_id, &uid, draft));
    let rows = database.run(batch).await?;
    rows.get(1)
        .and_then(|rows| rows.first())
        .map(Task::from_row)
        .transpose()
}

/// Returns the two statements that give a task its number and write it.
/// With a parent, nothing is written when the parent has a successor.
pub fn insertion(
    user_id: &str,
    uid: &str,
    draft: &Draft,
    at: Millis,
    parent_uid: Option<&str>,
) -> [Statement; 2] {
    let count = sql!(
        "UPDATE users SET task_seq = task_seq + 1 WHERE id = ?1",
        user_id
    );
    let insert = sql!(
        "INSERT INTO tasks (uid, user_id, id, title, description, completed, priority, due_date, \
         tags, recurrence, reminders, parent_uid, created_at, updated_at, completed_at) \
         SELECT ?2, id, task_seq, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?12, ?13 \
         FROM users WHERE id = ?1 ON CONFLICT (parent_uid) DO NOTHING RETURNING *",
        user_id,
        uid,
        &draft.title,
        &draft.description,
        draft.completed,
        draft.priority as i64,
        draft.due_date.map(At),
        text_of(&draft.tags),
        draft.recurrence.as_ref().map(text_of),
        text_of(&draft.reminders),
        parent_uid,
        At(at),
        draft.completed.then_some(At(at)),
    );
    [count, insert]
}

/// Returns the statements that write the reminders of a task.
fn reminder_rows(user_id: &str, uid: &str, draft: &Draft) -> Vec<Statement> {
    let rows = draft.reminders.iter().filter_map(|reminder| {
        let before = reminder.before.parse::<jiff::SignedDuration>().ok()?;
        let fire_at = draft.due_date?.saturating_sub(before.as_millis() as Millis);
        // The task may not have been written: then nothing is selected.
        Some(sql!(
            "INSERT INTO reminders (id, user_id, task_uid, channel, fire_at) \
             SELECT ?1, user_id, uid, ?4, ?5 FROM tasks WHERE uid = ?3 AND user_id = ?2",
            uuid::Uuid::new_v4().to_string(),
            user_id,
            uid,
            &reminder.channel,
            At(fire_at),
        ))
    });
    rows.collect()
}

/// Writes all fields of a task that a client may set.
///
/// # Errors
/// As [`DbError`] says.
pub async fn update(
    database: &Database,
    user_id: &str,
    task: &Task,
    draft: &Draft,
) -> Result<Option<Task>, DbError> {
    let mut batch = vec![update_statement(user_id, task.id, draft)];
    if draft.due_date != task.due_date || draft.reminders != task.reminders {
        let unsent = "DELETE FROM reminders WHERE task_uid = ?1 AND user_id = ?2";
        batch.push(sql!(unsent, &task.uid, user_id));
        batch.extend(reminder_rows(user_id, &task.uid, draft));
    }
    if draft.completed && !task.completed {
        batch.extend(successor(user_id, task, draft));
    }
    first_task(database.run(batch).await?)
}

fn first_task(rows: Vec<Vec<Row>>) -> Result<Option<Task>, DbError> {
    rows.first()
        .and_then(|rows| rows.first())
        .map(Task::from_row)
        .transpose()
}

/// Returns the statements that make the next task of a recurring one.
fn successor(user_id: &str, task: &Task, draft: &Draft) -> Vec<Statement> {
    let Some(rule) = &draft.recurrence else {
        return Vec::new();
    };
    let next = Draft {
        completed: false,
        due_date: recurrence::next_due(rule, draft.due_date, now()),
        ..draft.clone()
    };
    let uid = uuid::Uuid::new_v4().to_string();
    let mut batch = insertion(user_id, &uid, &next, now(), Some(&task.uid)).to_vec();
    batch.extend(reminder_rows(user_id, &uid, &next));
    batch
}

fn update_statement(user_id: &str, id: i64, draft: &Draft) -> Statement {
    sql!(
        "UPDATE tasks SET title = ?3, description = ?4, priority = ?6, due_date = ?7, tags = ?8, \
         recurrence = ?9, reminders = ?10, updated_at = ?11, \
         completed_at = CASE WHEN completed = ?5 THEN completed_at ELSE ?12 END, completed = ?5 \
         WHERE user_id = ?1 AND id = ?2 RETURNING *",
        user_id,
        id,
        &draft.title,
        &draft.description,
        draft.completed,
        draft.priority as i64,
        draft.due_date.map(At),
        text_of(&draft.tags),
        draft.recurrence.as_ref().map(text_of),
        text_of(&draft.reminders),
        At(now()),
        draft.completed.then_some(At(now())),
    )
}

/// Marks a task done or not done; a recurring one that is done comes back.
///
/// # Errors
/// As [`DbError`] says.
pub async fn set_completed(
    database: &Database,
    user_id: &str,
    task: &Task,
    completed: bool,
) -> Result<Option<Task>, DbError> {
    update(
        database,
        user_id,
        task,
        &Draft {
            completed,
            ..task.draft()
        },
    )
    .await
}

/// Deletes a task and returns whether there was one.
///
/// # Errors
/// As [`DbError`] says.
pub async fn delete(database: &Database, user_id: &str, id: i64) -> Result<bool, DbError> {
    let delete = sql!(
        "DELETE FROM tasks WHERE user_id = ?1 AND id = ?2 RETURNING id",
        user_id,
        id
    );
    Ok(database.row(delete).await?.is_some())
}

/// Counts of a user's tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stats {
    /// All.
    pub total: i64,
    /// Done.
    pub completed: i64,
    /// Not done and past the due date.
    pub overdue: i64,
    /// Not done and due within a day.
    pub due_soon: i64,
}

/// Counts a user's tasks.
///
/// # Errors
/// As [`DbError`] says.
pub async fn stats(database: &Database, user_id: &str) -> Result<Stats, DbError> {
    const DAY_MS: Millis = 86_400_000;
    let at = now();
    let select = sql!(
        "SELECT COUNT(*) AS total, COUNT(CASE WHEN completed THEN 1 END) AS done, \
         COUNT(CASE WHEN NOT completed AND due_date < ?2 THEN 1 END) AS overdue, \
         COUNT(CASE WHEN NOT completed AND due_date >= ?2 AND due_date < ?3 THEN 1 END) AS soon \
         FROM tasks WHERE user_id = ?1",
        user_id,
        At(at),
        At(at + DAY_MS),
    );
    let row = database
        .row(select)
        .await?
        .ok_or_else(|| DbError::Shape("total".to_owned()))?;
    Ok(Stats {
        total: row.int("total")?,
        completed: row.int("done")?,
        overdue: row.int("overdue")?,
        due_soon: row.int("soon")?,
    })
}

impl Stats {
    /// Returns the counts as clients see them.
    pub fn json(&self) -> Json {
        let rate = if self.total == 0 {
            0.0
        } else {
            self.completed as f64 / self.total as f64
        };
        json!({
            "total": self.total,
            "completed": self.completed,
            "pending": self.total - self.completed,
            "overdue": self.overdue,
            "due_soon": self.due_soon,
            "completion_rate": (rate * 1000.0).round() / 1000.0,
        })
    }
}

fn text_of<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).unwrap_or_else(|_| "[]".to_owned())
}
