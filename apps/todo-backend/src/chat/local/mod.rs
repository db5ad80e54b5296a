//! The assistant built in: no key, no network, the same words give the same
//! deeds. It reads a sentence as one intent, acts through the same tools as
//! the providers, asks when it is not sure, and says that it is "local".

pub mod dates;
pub mod intent;
mod speech;

use serde_json::{Map, Value as Json, json};

use super::tools::{ToolError, Toolbox};
use super::{Listener, Reply};
use crate::db::DbError;
use crate::model::conversations::Message;
use intent::{Intent, Target, Which};
use speech::Speech;

/// The record of a question that the next message may answer.
const QUESTION: &str = "ask_user";

/// Answers a message.
///
/// # Errors
/// When the database did not do its part.
pub async fn answer(
    toolbox: &mut Toolbox,
    history: &[Message],
    message: &str,
    listener: &Listener,
) -> Result<Reply, DbError> {
    let now = jiff::Timestamp::now().to_zoned(toolbox.zone());
    let mut assistant = Assistant {
        toolbox,
        speech: Speech::of(message),
        listener,
    };
    let intent = intent::parse(message, &now);
    let text = match assistant.act(intent, history).await {
        Ok(text) => text,
        Err(ToolError::Invalid(reason)) => assistant.speech.refused(&reason),
        Err(ToolError::Database(error)) => return Err(error),
    };
    for word in text.split_inclusive(' ') {
        listener.token(word);
    }
    let tool_calls = assistant.toolbox.calls().to_vec();
    Ok(Reply {
        text,
        tool_calls,
        provider: "local",
        model: "rules".to_owned(),
    })
}

struct Assistant<'a> {
    toolbox: &'a mut Toolbox,
    speech: Speech,
    listener: &'a Listener,
}

/// A question asked one message ago.
struct Question {
    action: String,
    candidates: Vec<i64>,
}

impl Assistant<'_> {
    async fn act(&mut self, intent: Intent, history: &[Message]) -> Result<String, ToolError> {
        match intent {
            Intent::Add(arguments) => self.add(arguments).await,
            Intent::List(which) => self.list(which).await,
            Intent::Important(priority) => self.find("priority", priority.to_owned()).await,
            Intent::Search(words) => self.find("search", words).await,
            Intent::Thanks => Ok(self.speech.welcome()),
            Intent::Complete(target) => self.on_target("complete_task", target, Map::new()).await,
            Intent::Delete(target) => self.on_target("delete_task", target, Map::new()).await,
            Intent::Update(target, changes) => self.on_target("update_task", target, changes).await,
            Intent::Stats => self.stats().await,
            Intent::Choice(ids) => self.choose(ids, history).await,
            Intent::Yes => self.confirm(history).await,
            Intent::No => Ok(self.speech.left_alone()),
            Intent::Greeting => Ok(self.speech.greeting()),
            Intent::Help => Ok(self.speech.help()),
            Intent::Unknown => Ok(self.speech.not_understood()),
        }
    }

    async fn run(&mut self, tool: &str, arguments: Map<String, Json>) -> Result<Json, ToolError> {
        let result = self.toolbox.run(tool, &arguments).await?;
        if let Some(call) = self.toolbox.calls().last() {
            self.listener.tool_call(call);
        }
        Ok(result)
    }

    async fn add(&mut self, arguments: Map<String, Json>) -> Result<String, ToolError> {
        let due = arguments
            .get("due_date")
            .and_then(Json::as_str)
            .map(ToOwned::to_owned);
        let result = self.run("add_task", arguments).await?;
        let zone = self.toolbox.zone();
        let due = due
            .and_then(|due| due.parse::<jiff::Timestamp>().ok())
            .map(|due| due.to_zoned(zone));
        Ok(self.speech.added(&result, due.as_ref()))
    }

    async fn list(&mut self, which: Which) -> Result<String, ToolError> {
        let status = match which {
            Which::Completed => "completed",
            Which::All => "all",
            Which::Pending | Which::Overdue | Which::Today => "pending",
        };
        let tasks = self
            .run("list_tasks", object(json!({"status": status})))
            .await?;
        let now = jiff::Timestamp::now().to_zoned(self.toolbox.zone());
        let tasks: Vec<Json> = tasks
            .as_array()
            .into_iter()
            .flatten()
            .filter(|task| wanted(which, task, &now))
            .cloned()
            .collect();
        Ok(self.speech.listed(which, &tasks))
    }

    /// Lists what one argument of the tool picks.
    async fn find(&mut self, argument: &str, value: String) -> Result<String, ToolError> {
        let mut arguments = Map::new();
        arguments.insert(argument.to_owned(), value.clone().into());
        let tasks = self.run("list_tasks", arguments).await?;
        let tasks = tasks.as_array().cloned().unwrap_or_default();
        if tasks.is_empty() {
            return Ok(self.speech.not_found(&value));
        }
        Ok(self.speech.listed(Which::All, &tasks))
    }

    async fn stats(&mut self) -> Result<String, ToolError> {
        let stats = self.run("get_stats", Map::new()).await?;
        Ok(self.speech.counted(&stats))
    }

    async fn on_target(
        &mut self,
        tool: &str,
        target: Target,
        changes: Map<String, Json>,
    ) -> Result<String, ToolError> {
        let wanted = match target {
            Target::Id(id) => return self.on_one(tool, id, changes).await,
            Target::Name(name) => name,
            Target::Every(status) => return self.on_every(tool, status).await,
        };
        let tasks = self
            .run("list_tasks", object(json!({"status": "all"})))
            .await?;
        let found = matching(&tasks, &wanted, tool == "complete_task");
        match found.as_slice() {
            [] => Ok(self.speech.not_found(&wanted)),
            [task] => {
                let id = task["task_id"].as_i64().unwrap_or_default();
                self.on_one(tool, id, changes).await
            }
            several => Ok(self.ask(tool, several, &changes)),
        }
    }

    async fn on_one(
        &mut self,
        tool: &str,
        id: i64,
        mut arguments: Map<String, Json>,
    ) -> Result<String, ToolError> {
        arguments.insert("task_id".to_owned(), id.into());
        let reopens = arguments.get("completed") == Some(&Json::Bool(false));
        let result = self.run(tool, arguments).await?;
        Ok(if reopens {
            self.speech.reopened(&result)
        } else {
            self.speech.done(&result)
        })
    }

    /// Acting on many is never done without a yes.
    async fn on_every(&mut self, tool: &str, status: &str) -> Result<String, ToolError> {
        // What is done already is not done again.
        let status = match (tool, status) {
            ("complete_task", "all") => "pending",
            _ => status,
        };
        let tasks = self
            .run("list_tasks", object(json!({"status": status})))
            .await?;
        let tasks: Vec<Json> = tasks.as_array().cloned().unwrap_or_default();
        if tasks.is_empty() {
            return Ok(self.speech.listed(Which::All, &[]));
        }
        self.note_question(tool, &tasks);
        Ok(self.speech.sure(tool, &tasks))
    }

    fn ask(&mut self, tool: &str, tasks: &[Json], _: &Map<String, Json>) -> String {
        self.note_question(tool, tasks);
        self.speech.which_one(tasks)
    }

    fn note_question(&mut self, tool: &str, tasks: &[Json]) {
        let candidates: Vec<&Json> = tasks.iter().map(|task| &task["task_id"]).collect();
        let arguments = json!({"action": tool, "candidates": candidates});
        self.toolbox
            .note(json!({"tool": QUESTION, "arguments": arguments, "result": null}));
    }

    async fn choose(&mut self, ids: Vec<i64>, history: &[Message]) -> Result<String, ToolError> {
        let Some(question) = question(history) else {
            return Ok(self.speech.not_understood());
        };
        let chosen: Vec<i64> = ids
            .into_iter()
            .filter(|id| question.candidates.contains(id))
            .collect();
        if chosen.is_empty() {
            return Ok(self.speech.none_of_these());
        }
        self.on_all(&question.action, &chosen).await
    }

    async fn confirm(&mut self, history: &[Message]) -> Result<String, ToolError> {
        match question(history) {
            Some(question) => self.on_all(&question.action, &question.candidates).await,
            None => Ok(self.speech.not_understood()),
        }
    }

    async fn on_all(&mut self, tool: &str, ids: &[i64]) -> Result<String, ToolError> {
        if tool == "update_task" {
            return Ok(self.speech.say_again());
        }
        self.toolbox.confirm();
        let mut said = Vec::new();
        for id in ids {
            said.push(self.on_one(tool, *id, Map::new()).await?);
        }
        Ok(said.join(" "))
    }
}

fn object(value: Json) -> Map<String, Json> {
    match value {
        Json::Object(object) => object,
        _ => Map::new(),
    }
}

fn wanted(which: Which, task: &Json, now: &jiff::Zoned) -> bool {
    let due = task["due_date"]
        .as_str()
        .and_then(|due| due.parse::<jiff::Timestamp>().ok());
    match which {
        Which::Overdue => due.is_some_and(|due| due < now.timestamp()),
        Which::Today => {
            due.is_some_and(|due| due.to_zoned(now.time_zone().clone()).date() == now.date())
        }
        _ => true,
    }
}

/// The question in the assistant's last message.
fn question(history: &[Message]) -> Option<Question> {
    let last = history
        .iter()
        .rev()
        .find(|message| message.role == "assistant")?;
    let call = last
        .tool_calls
        .as_array()?
        .iter()
        .find(|call| call["tool"] == QUESTION)?;
    let candidates = call.pointer("/arguments/candidates")?.as_array()?;
    Some(Question {
        action: call.pointer("/arguments/action")?.as_str()?.to_owned(),
        candidates: candidates.iter().filter_map(Json::as_i64).collect(),
    })
}

/// Tasks whose titles hold all the words; whole words before parts, and open
/// tasks before done ones where something is to be done.
fn matching(tasks: &Json, wanted: &str, open_first: bool) -> Vec<Json> {
    let wanted = wanted.to_lowercase();
    let words: Vec<&str> = wanted.split_whitespace().collect();
    let all: Vec<&Json> = tasks.as_array().into_iter().flatten().collect();
    let title = |task: &Json| task["title"].as_str().unwrap_or_default().to_lowercase();
    let narrow = |tasks: Vec<&Json>, rule: &dyn Fn(&Json) -> bool| -> Vec<Json> {
        tasks
            .into_iter()
            .filter(|task| rule(task))
            .cloned()
            .collect()
    };
    let exact = narrow(all.clone(), &|task| title(task) == wanted);
    let whole = narrow(all.clone(), &|task| {
        let title = title(task);
        let have: Vec<&str> = title.split(|c: char| !c.is_alphanumeric()).collect();
        !words.is_empty() && words.iter().all(|word| have.contains(word))
    });
    let part = narrow(all, &|task| {
        !words.is_empty() && words.iter().all(|word| title(task).contains(word))
    });
    let found = [exact, whole, part]
        .into_iter()
        .find(|found| !found.is_empty())
        .unwrap_or_default();
    let open: Vec<Json> = found
        .iter()
        .filter(|task| task["completed"] == false)
        .cloned()
        .collect();
    if open_first && !open.is_empty() {
        open
    } else {
        found
    }
}
