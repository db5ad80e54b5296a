//! Which tasks, in which order, how many at once.

use serde_json::Value as Json;

use super::task::{Priority, Task};
use crate::db::value::At;
use crate::db::{Database, DbError, Statement, Value};
use crate::time::Millis;

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

/// Returns a page and counts, from one snapshot.
///
/// # Errors
/// As [`DbError`] says.
pub async fn list(database: &Database, user_id: &str, filter: &Filter) -> Result<Page, DbError> {
    let (count, page) = filter.statements(user_id);
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

impl Filter {
    /// Returns the statement that counts and the one that selects a page.
    fn statements(&self, user_id: &str) -> (Statement, Statement) {
        let (condition, mut params) = self.condition(user_id);
        let count = format!(
            "SELECT COUNT(*) AS total, COUNT(CASE WHEN completed THEN 1 END) AS done \
             FROM tasks WHERE {condition}"
        );
        let count = Statement::new(count, params.clone());
        params.extend([Value::Int(self.limit), Value::Int(self.offset)]);
        let (limit, offset) = (params.len() - 1, params.len());
        let page = format!(
            "SELECT * FROM tasks WHERE {condition} ORDER BY {} LIMIT ?{limit} OFFSET ?{offset}",
            self.order()
        );
        (count, Statement::new(page, params))
    }

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    /// Returns how the database goes about a statement.
    async fn plan(database: &Database, statement: Statement) -> String {
        let explained = format!("EXPLAIN QUERY PLAN {}", statement.sql);
        let explained = Statement::new(explained, statement.params);
        let rows = database.rows(explained).await.expect("explained");
        let steps = rows.iter().map(|row| row.text("detail").expect("text"));
        steps.collect::<Vec<_>>().join("; ")
    }

    #[tokio::test]
    async fn a_page_of_open_tasks_sorts_nothing() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let url = format!("sqlite://{}/todo.db", folder.path().display());
        let variables = |name: &str| match name {
            "DATABASE_URL" => Some(url.clone()),
            "BETTER_AUTH_SECRET" => Some("s".repeat(32)),
            _ => None,
        };
        let (config, _) = Config::from_variables(&variables).expect("read");
        let database = Database::new(&config);
        database.connect().await;
        for sort in [Sort::DueDate, Sort::Created] {
            let filter = Filter {
                completed: Some(false),
                sort,
                limit: 50,
                ..Filter::default()
            };
            let (count, page) = filter.statements("ann");
            let page = plan(&database, page).await;
            assert!(!page.contains("TEMP B-TREE"), "{sort:?}: {page}");
            let count = plan(&database, count).await;
            assert!(count.contains("COVERING INDEX"), "{sort:?}: {count}");
        }
    }
}
