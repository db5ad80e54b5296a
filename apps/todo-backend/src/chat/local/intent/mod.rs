//! A sentence to one intent: fixed rules, English first, Urdu keywords in
//! both scripts. Pure; any text is safe.
//!
//! Each file knows one kind of sentence; [`parse`] asks them in the order in
//! which they may not be mistaken for each other.

mod addition;
mod answer;
mod change;
mod deed;
mod question;
mod target;
mod text;

use jiff::Zoned;
use serde_json::{Map, Value as Json};

pub use target::Target;

/// What a person wants.
#[derive(Debug, Clone, PartialEq)]
pub enum Intent {
    /// The arguments of `add_task`.
    Add(Map<String, Json>),
    /// See tasks.
    List(Which),
    /// See tasks of a priority.
    Important(&'static str),
    /// Find tasks by words.
    Search(String),
    /// Mark done.
    Complete(Target),
    /// Delete.
    Delete(Target),
    /// Change; the arguments of `update_task` without the number.
    Update(Target, Map<String, Json>),
    /// Count.
    Stats,
    /// An answer to "which one".
    Choice(Vec<i64>),
    /// An answer to "are you sure".
    Yes,
    /// The other answer.
    No,
    /// Hello.
    Greeting,
    /// Thank you.
    Thanks,
    /// What can you do.
    Help,
    /// None of these.
    Unknown,
}

/// Which tasks to show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// All.
    All,
    /// Not done.
    Pending,
    /// Done.
    Completed,
    /// Not done in time.
    Overdue,
    /// Due today.
    Today,
}

/// Longest text that is looked at, in bytes.
const TEXT_BYTES_MAX: usize = 16 * 1024;

/// Reads a message.
pub fn parse(message: &str, now: &Zoned) -> Intent {
    let text = text::clean(message.get(..TEXT_BYTES_MAX).unwrap_or(message));
    let lower = text.to_lowercase();
    if let Some(intent) = answer::short_answer(&lower) {
        return intent;
    }
    let deed = deed::deletion(&text, &lower)
        .or_else(|| deed::reopening(&text))
        .or_else(|| deed::completion(&text, &lower))
        .or_else(|| change::description(&text));
    if let Some(intent) = deed {
        return intent;
    }
    change::change(&text, &lower, now)
        .or_else(|| question::search(&text))
        .or_else(|| question::question(&lower))
        .or_else(|| addition::addition(&text, &lower, now))
        .unwrap_or(Intent::Unknown)
}

/// Returns the members of an object.
fn object(value: Json) -> Map<String, Json> {
    match value {
        Json::Object(object) => object,
        _ => Map::new(),
    }
}

#[cfg(test)]
mod fixture {
    //! One sentence at a fixed time, and short names for intents.

    use jiff::Zoned;
    use serde_json::Value as Json;

    use super::{Intent, Target, object, parse};

    pub fn check(text: &str, expected: Intent) {
        let now: Zoned = "2026-01-05T10:00:00+00:00[UTC]".parse().expect("zoned");
        assert_eq!(parse(text, &now), expected, "{text}");
    }

    pub fn add(value: Json) -> Intent {
        Intent::Add(object(value))
    }

    pub fn name(text: &str) -> Target {
        Target::Name(text.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::fixture::{add, check, name};
    use super::{Intent, Target, Which, object};

    #[test]
    fn the_eight_sentences_of_the_brief() {
        check(
            "Add a task to buy groceries",
            add(json!({"title": "Buy groceries"})),
        );
        check("Show me all my tasks", Intent::List(Which::All));
        check("What's pending?", Intent::List(Which::Pending));
        check("Mark task 3 as complete", Intent::Complete(Target::Id(3)));
        check("Delete the meeting task", Intent::Delete(name("meeting")));
        check(
            "Change task 1 to 'Call mom tonight'",
            Intent::Update(Target::Id(1), object(json!({"title": "Call mom tonight"}))),
        );
        check(
            "I need to remember to pay bills",
            add(json!({"title": "Pay bills"})),
        );
        check("What have I completed?", Intent::List(Which::Completed));
    }

    #[test]
    fn urdu_is_understood_in_both_scripts() {
        check("doodh add karo", add(json!({"title": "Doodh"})));
        check("دودھ شامل کرو", add(json!({"title": "دودھ"})));
        check("باقی کام دکھاؤ", Intent::List(Which::Pending));
        check("kya baqi hai?", Intent::List(Which::Pending));
        check("کیا باقی ہے؟", Intent::List(Which::Pending));
        check("نیا کام: دودھ خریدنا", add(json!({"title": "دودھ خریدنا"})));
        check(
            "mujhe doodh lena yaad dilana",
            add(json!({"title": "Doodh lena"})),
        );
        check("شکریہ", Intent::Thanks);
        check("کام 3 مکمل کرو", Intent::Complete(Target::Id(3)));
        check("task 2 hata do", Intent::Delete(Target::Id(2)));
        check("کام نمبر 2 حذف کر دو", Intent::Delete(Target::Id(2)));
        check("ہاں", Intent::Yes);
        check("السلام علیکم", Intent::Greeting);
    }

    #[test]
    fn any_other_text_is_unknown() {
        check("the weather is nice", Intent::Unknown);
        check("", Intent::Unknown);
        check("ß".repeat(9000).as_str(), Intent::Unknown);
    }
}
