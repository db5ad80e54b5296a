//! What an assistant may do with a user's tasks: six tools.
//!
//! The user is fixed when the box is made; no argument can name another. The
//! same tools serve the providers, the built-in assistant and MCP.

use serde_json::{Map, Value as Json, json};

use crate::db::{Database, DbError};
use crate::http::tasks::draft_of;
use crate::model::tasks::{self, Draft, Filter, Priority, Task};

/// Deletions in one turn that nobody confirmed.
const DELETIONS_MAX: usize = 1;

/// A tool as models and MCP clients see it.
pub struct Tool {
    /// Its name.
    pub name: &'static str,
    /// What it does.
    pub description: &'static str,
    /// JSON Schema of its arguments, as text.
    schema: &'static str,
    /// Whether it changes nothing.
    pub reads_only: bool,
}

impl Tool {
    /// Returns the JSON Schema of the arguments.
    pub fn schema(&self) -> Json {
        serde_json::from_str(self.schema).unwrap_or_default()
    }
}

/// All tools.
pub const TOOLS: [Tool; 6] = [
    Tool {
        name: "add_task",
        description: "Create a task for the user.",
        schema: r#"{"type":"object","properties":{"title":{"type":"string","description":"What to do, 1 to 200 characters"},"description":{"type":"string"},"priority":{"type":"string","enum":["low","medium","high","urgent"]},"due_date":{"type":"string","description":"RFC 3339"},"tags":{"type":"array","items":{"type":"string"}}},"required":["title"]}"#,
        reads_only: false,
    },
    Tool {
        name: "list_tasks",
        description: "List the user's tasks. Use it to find the task_id of a task known by its name.",
        schema: r#"{"type":"object","properties":{"status":{"type":"string","enum":["all","pending","completed"]},"priority":{"type":"string","enum":["low","medium","high","urgent"]},"search":{"type":"string","description":"Part of title or description"}}}"#,
        reads_only: true,
    },
    Tool {
        name: "complete_task",
        description: "Mark a task as done.",
        schema: r#"{"type":"object","properties":{"task_id":{"type":"integer"}},"required":["task_id"]}"#,
        reads_only: false,
    },
    Tool {
        name: "delete_task",
        description: "Delete a task. Ask the user first when more than one would go.",
        schema: r#"{"type":"object","properties":{"task_id":{"type":"integer"}},"required":["task_id"]}"#,
        reads_only: false,
    },
    Tool {
        name: "update_task",
        description: "Change a task; only the fields given are changed.",
        schema: r#"{"type":"object","properties":{"task_id":{"type":"integer"},"title":{"type":"string"},"description":{"type":"string"},"priority":{"type":"string","enum":["low","medium","high","urgent"]},"completed":{"type":"boolean","description":"false opens a task that was done"},"due_date":{"type":["string","null"]},"tags":{"type":"array","items":{"type":"string"}}},"required":["task_id"]}"#,
        reads_only: false,
    },
    Tool {
        name: "get_stats",
        description: "Count the user's tasks: total, completed, pending, overdue.",
        schema: r#"{"type":"object","properties":{}}"#,
        reads_only: true,
    },
];

/// Why a tool did nothing.
#[derive(Debug, thiserror::Error)]
pub enum ToolError {
    /// The arguments are no good; the sentence is for the caller.
    #[error("{0}")]
    Invalid(String),
    /// The database did not do its part.
    #[error(transparent)]
    Database(#[from] DbError),
}

/// The tools of one user in one turn, and what was done with them.
pub struct Toolbox {
    database: Database,
    user_id: String,
    timezone: String,
    calls: Vec<Json>,
    deletions: usize,
    confirmed: bool,
}

impl Toolbox {
    /// Returns the tools of a user.
    pub fn new(database: Database, user_id: &str, timezone: &str) -> Self {
        Self {
            database,
            user_id: user_id.to_owned(),
            timezone: timezone.to_owned(),
            calls: Vec::new(),
            deletions: 0,
            confirmed: false,
        }
    }

    /// Returns what was done, in order.
    pub fn calls(&self) -> &[Json] {
        &self.calls
    }

    /// Returns the user's time zone.
    pub fn zone(&self) -> jiff::tz::TimeZone {
        jiff::tz::TimeZone::get(&self.timezone).unwrap_or(jiff::tz::TimeZone::UTC)
    }

    /// Allows several deletions: the user said yes.
    pub fn confirm(&mut self) {
        self.confirmed = true;
    }

    /// Notes something that is no tool but belongs to the record.
    pub fn note(&mut self, call: Json) {
        self.calls.push(call);
    }

    /// Runs a tool and records the call.
    ///
    /// # Errors
    /// As [`ToolError`] says.
    pub async fn run(
        &mut self,
        name: &str,
        arguments: &Map<String, Json>,
    ) -> Result<Json, ToolError> {
        if name == "delete_task" && self.deletions >= DELETIONS_MAX && !self.confirmed {
            let text = "more than one deletion needs the user's confirmation: ask first";
            return Err(ToolError::Invalid(text.to_owned()));
        }
        let result = self.dispatch(name, arguments).await?;
        if name == "delete_task" {
            self.deletions += 1;
        }
        self.calls
            .push(json!({"tool": name, "arguments": arguments, "result": result}));
        Ok(result)
    }

    async fn dispatch(&self, name: &str, arguments: &Map<String, Json>) -> Result<Json, ToolError> {
        match name {
            "add_task" => self.add(arguments).await,
            "list_tasks" => self.list(arguments).await,
            "complete_task" => self.complete(arguments).await,
            "delete_task" => self.delete(arguments).await,
            "update_task" => self.update(arguments).await,
            "get_stats" => Ok(tasks::stats(&self.database, &self.user_id).await?.json()),
            _ => Err(ToolError::Invalid(format!("there is no tool {name:?}"))),
        }
    }

    async fn add(&self, arguments: &Map<String, Json>) -> Result<Json, ToolError> {
        let draft = draft(Draft::default(), arguments)?;
        let task = tasks::create(&self.database, &self.user_id, &draft).await?;
        let task = task.ok_or_else(|| ToolError::Invalid("this account is gone".to_owned()))?;
        Ok(done(&task, "created"))
    }

    async fn list(&self, arguments: &Map<String, Json>) -> Result<Json, ToolError> {
        let completed = match arguments.get("status").and_then(Json::as_str) {
            None | Some("all" | "") => None,
            Some("pending") => Some(false),
            Some("completed") => Some(true),
            Some(_) => {
                let text = "status must be all, pending or completed";
                return Err(ToolError::Invalid(text.to_owned()));
            }
        };
        let priority = match arguments.get("priority").and_then(Json::as_str) {
            None | Some("") => None,
            Some(word) => Some(Priority::parse(word).ok_or_else(|| {
                let text = "priority must be low, medium, high or urgent";
                ToolError::Invalid(text.to_owned())
            })?),
        };
        let text = arguments
            .get("search")
            .and_then(Json::as_str)
            .map(ToOwned::to_owned);
        let filter = Filter {
            completed,
            priority,
            text,
            limit: 100,
            ..Filter::default()
        };
        let page = tasks::list(&self.database, &self.user_id, &filter).await?;
        Ok(page.tasks.iter().map(brief).collect())
    }

    async fn complete(&self, arguments: &Map<String, Json>) -> Result<Json, ToolError> {
        let task = self.find(arguments).await?;
        let task = tasks::set_completed(&self.database, &self.user_id, &task, true).await?;
        Ok(done(&task.ok_or_else(gone)?, "completed"))
    }

    async fn delete(&self, arguments: &Map<String, Json>) -> Result<Json, ToolError> {
        let task = self.find(arguments).await?;
        tasks::delete(&self.database, &self.user_id, task.id).await?;
        Ok(done(&task, "deleted"))
    }

    async fn update(&self, arguments: &Map<String, Json>) -> Result<Json, ToolError> {
        let task = self.find(arguments).await?;
        let draft = draft(task.draft(), arguments)?;
        let task = tasks::update(&self.database, &self.user_id, &task, &draft).await?;
        Ok(done(&task.ok_or_else(gone)?, "updated"))
    }

    async fn find(&self, arguments: &Map<String, Json>) -> Result<Task, ToolError> {
        let id = match arguments.get("task_id") {
            Some(Json::Number(number)) => number.as_i64(),
            // Models write numbers as text now and then.
            Some(Json::String(text)) => text.trim_start_matches('#').parse().ok(),
            _ => None,
        };
        let id = id.ok_or_else(|| ToolError::Invalid("task_id must be a number".to_owned()))?;
        let task = tasks::find(&self.database, &self.user_id, id).await?;
        task.ok_or_else(|| ToolError::Invalid(format!("there is no task {id}")))
    }
}

fn gone() -> ToolError {
    ToolError::Invalid("the task is gone".to_owned())
}

fn draft(base: Draft, arguments: &Map<String, Json>) -> Result<Draft, ToolError> {
    draft_of(base, arguments).map_err(|error| ToolError::Invalid(error.detail().to_owned()))
}

fn done(task: &Task, status: &str) -> Json {
    json!({"task_id": task.id, "status": status, "title": task.title})
}

fn brief(task: &Task) -> Json {
    json!({
        "task_id": task.id,
        "title": task.title,
        "completed": task.completed,
        "priority": task.priority,
        "due_date": task.due_date.map(crate::time::text),
        "tags": task.tags,
    })
}

/// Says what a recorded call did.
pub fn sentence(call: &Json) -> String {
    let result = &call["result"];
    match (result["status"].as_str(), result["title"].as_str()) {
        (Some(status), Some(title)) => format!("Task {} “{title}” is {status}.", result["task_id"]),
        _ => String::new(),
    }
}
