//! Changes of a task's words, priority and date.

use jiff::Zoned;
use serde_json::json;

use super::super::dates;
use super::target::target;
use super::text::{capitalised, strip_end, strip_start, unquoted};
use super::{Intent, object};

/// "change task 1 to X", "rename X to Y", "set priority of task 2 to high"
pub(super) fn change(text: &str, lower: &str, now: &Zoned) -> Option<Intent> {
    const STARTS: [&str; 6] = ["change ", "rename ", "update ", "edit ", "set ", "move "];
    let rest = STARTS.iter().find_map(|start| strip_start(text, start))?;
    let place = rest
        .to_lowercase()
        .rfind(" to ")
        .filter(|place| rest.is_char_boundary(*place))?;
    let (what, value) = (rest.get(..place)?, rest.get(place + 4..)?.trim());
    let what_lower = what.to_lowercase();
    if let Some(of) = ["the priority of ", "priority of ", "priority for "]
        .iter()
        .find_map(|start| strip_start(what, start))
    {
        let priority = value.to_lowercase().replace(" priority", "");
        return Some(Intent::Update(
            target(of),
            object(json!({"priority": priority})),
        ));
    }
    if let Some(of) = ["the due date of ", "due date of ", "due date for "]
        .iter()
        .find_map(|start| strip_start(what, start))
    {
        return Some(Intent::Update(
            target(of),
            object(json!({"due_date": due_text(value, now)?})),
        ));
    }
    if lower.starts_with("move ") {
        return Some(Intent::Update(
            target(what),
            object(json!({"due_date": due_text(value, now)?})),
        ));
    }
    let named = ["the title of ", "title of ", "the name of ", "name of "]
        .iter()
        .find_map(|start| what_lower.strip_prefix(start));
    let what = named.map_or_else(|| what.to_owned(), ToOwned::to_owned);
    let what = ["'s title", " title", "'s name", " name"]
        .iter()
        .find_map(|end| strip_end(&what, end).map(ToOwned::to_owned))
        .unwrap_or(what);
    let title = capitalised(unquoted(value));
    (!title.is_empty()).then(|| Intent::Update(target(&what), object(json!({"title": title}))))
}

fn due_text(value: &str, now: &Zoned) -> Option<String> {
    dates::extract(value, now)
        .0
        .map(|at| at.timestamp().to_string())
}

/// "add a note to task 1: by train"
pub(super) fn description(text: &str) -> Option<Intent> {
    const STARTS: [&str; 6] = [
        "add a description to ",
        "add description to ",
        "add a note to ",
        "add note to ",
        "add notes to ",
        "describe ",
    ];
    let rest = STARTS.iter().find_map(|start| strip_start(text, start))?;
    let (what, words) = rest.split_once(':')?;
    let words = unquoted(words.trim());
    let changes = object(json!({"description": words}));
    (!words.is_empty()).then(|| Intent::Update(target(what), changes))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::fixture::check;
    use super::super::{Intent, Target, object};

    #[test]
    fn what_changes_and_to_what() {
        let updated = |id, changes| Intent::Update(Target::Id(id), object(changes));
        let titled = |id, title: &str| updated(id, json!({"title": title}));
        check("update task 1 title to buy fruit", titled(1, "Buy fruit"));
        check("change task 1's title to buy fruit", titled(1, "Buy fruit"));
        check(
            "Change the title of task 5 to Buy oat milk",
            titled(5, "Buy oat milk"),
        );
        check(
            "set priority of task 2 to high",
            updated(2, json!({"priority": "high"})),
        );
        check(
            "move task 2 to tomorrow",
            updated(2, json!({"due_date": "2026-01-06T23:59:00Z"})),
        );
        check(
            "add a note to task 1: from the market",
            updated(1, json!({"description": "from the market"})),
        );
    }
}
