//! New tasks: title, date, priority and tags out of one sentence.

use jiff::Zoned;
use serde_json::Map;

use super::super::dates;
use super::Intent;
use super::text::{capitalised, is_quoted, strip_end, strip_start, unquoted};

/// "add a task to buy milk tomorrow", "remind me to stretch"
pub(super) fn addition(text: &str, lower: &str, now: &Zoned) -> Option<Intent> {
    const STARTS: [&str; 38] = [
        "naya kaam: ",
        "naya kaam ",
        "نیا کام: ",
        "نیا کام ",
        "add a new task to ",
        "add a new task called ",
        "add a new task: ",
        "add a new task ",
        "add a task to ",
        "add a task called ",
        "add a task for ",
        "add a task: ",
        "add a task ",
        "add task: ",
        "add task to ",
        "add task ",
        "add ",
        "create a new task to ",
        "create a new task: ",
        "create a task to ",
        "create a task called ",
        "create a task: ",
        "create a task ",
        "create task ",
        "create ",
        "new task: ",
        "new task ",
        "todo: ",
        "i need to remember to ",
        "i need to ",
        "i have to ",
        "i must ",
        "i should ",
        "remember to ",
        "don't forget to ",
        "don't let me forget to ",
        "remind me to ",
        "remind me about ",
    ];
    if let Some(rest) = STARTS.iter().find_map(|start| strip_start(text, start)) {
        return draft(rest, now);
    }
    const ENDS: [&str; 14] = [
        " yaad dilana",
        " yaad dilao",
        " yaad rakhna",
        " یاد دلانا",
        " یاد دلاؤ",
        " یاد رکھنا",
        " add karo",
        " add kar do",
        " shamil karo",
        " likh lo",
        " شامل کرو",
        " شامل کر دو",
        " شامل کریں",
        " لکھ لو",
    ];
    let rest = ENDS.iter().find_map(|end| lower.strip_suffix(end))?;
    let rest = text.get(..rest.len()).unwrap_or(rest);
    let rest = ["mujhe ", "مجھے "]
        .iter()
        .find_map(|start| strip_start(rest, start))
        .unwrap_or(rest);
    draft(rest, now)
}

/// Title, date, priority and tags of a new task.
fn draft(text: &str, now: &Zoned) -> Option<Intent> {
    let text = text.trim();
    let mut arguments = Map::new();
    let title = if is_quoted(text) {
        unquoted(text).to_owned()
    } else {
        let (text, tags) = take_tags(text);
        let (text, priority) = take_priority(&text);
        let (due, text) = dates::extract(&text, now);
        if let Some(priority) = priority {
            arguments.insert("priority".to_owned(), priority.into());
        }
        if let Some(due) = due {
            arguments.insert("due_date".to_owned(), due.timestamp().to_string().into());
        }
        if !tags.is_empty() {
            arguments.insert("tags".to_owned(), tags.into());
        }
        text
    };
    let title = title.trim_matches([' ', ',', ':']);
    let title = [
        "to my list",
        "to the list",
        "to my tasks",
        "to my todo list",
        "to my to-do list",
    ]
    .iter()
    .find_map(|end| strip_end(title, end))
    .unwrap_or(title);
    let title = capitalised(unquoted(title.trim()));
    if title.is_empty() {
        return None;
    }
    arguments.insert("title".to_owned(), title.into());
    Some(Intent::Add(arguments))
}

fn take_tags(text: &str) -> (String, Vec<String>) {
    let is_tag =
        |word: &&str| word.len() > 1 && word.starts_with('#') && word.parse::<i64>().is_err();
    let (tags, rest): (Vec<&str>, Vec<&str>) = text.split_whitespace().partition(is_tag);
    let tags = tags
        .iter()
        .map(|tag| tag.trim_start_matches('#').trim_end_matches(',').to_owned());
    (rest.join(" "), tags.collect())
}

fn take_priority(text: &str) -> (String, Option<&'static str>) {
    const PHRASES: [(&str, &str); 14] = [
        ("with high priority", "high"),
        ("with low priority", "low"),
        ("with urgent priority", "urgent"),
        ("with medium priority", "medium"),
        ("high priority", "high"),
        ("low priority", "low"),
        ("medium priority", "medium"),
        ("priority high", "high"),
        ("priority low", "low"),
        ("priority urgent", "urgent"),
        ("!urgent", "urgent"),
        ("!high", "high"),
        ("!low", "low"),
        ("urgently", "urgent"),
    ];
    let lower = text.to_lowercase();
    // Lengths change with some letters' case; then the text is left alone.
    if lower.len() != text.len() {
        return (text.to_owned(), None);
    }
    for (phrase, priority) in PHRASES {
        if let Some(place) = lower.find(phrase)
            && let (Some(head), Some(tail)) = (text.get(..place), text.get(place + phrase.len()..))
        {
            return (
                format!("{} {}", head.trim_end(), tail.trim_start())
                    .trim()
                    .to_owned(),
                Some(priority),
            );
        }
    }
    (text.to_owned(), None)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::Intent;
    use super::super::fixture::{add, check};

    #[test]
    fn additions_know_dates_priorities_and_tags() {
        check(
            "Please add a task to call Bob tomorrow at 5pm",
            add(json!({"due_date": "2026-01-06T17:00:00Z", "title": "Call Bob"})),
        );
        check(
            "add pay rent by friday high priority #home",
            add(
                json!({"priority": "high", "due_date": "2026-01-09T23:59:00Z", "tags": ["home"], "title": "Pay rent"}),
            ),
        );
        check("remind me to stretch", add(json!({"title": "Stretch"})));
        check("add milk to my list", add(json!({"title": "Milk"})));
        check(
            "add \"Read tomorrow's paper\"",
            add(json!({"title": "Read tomorrow's paper"})),
        );
        check("add ", Intent::Unknown);
    }
}
