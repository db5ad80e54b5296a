//! Questions: which tasks, how many, and those that words find.

use super::target::{Target, target};
use super::text::strip_start;
use super::{Intent, Which};

/// "find milk"
pub(super) fn search(text: &str) -> Option<Intent> {
    const STARTS: [&str; 6] = [
        "search for ",
        "search ",
        "find ",
        "look for ",
        "show me tasks about ",
        "show tasks about ",
    ];
    let rest = STARTS.iter().find_map(|start| strip_start(text, start))?;
    match target(rest) {
        Target::Name(words) if !words.is_empty() => Some(Intent::Search(words)),
        _ => None,
    }
}

/// "how many", "what is pending?", "show urgent tasks"
pub(super) fn question(lower: &str) -> Option<Intent> {
    const COUNTS: [&str; 7] = [
        "how many",
        "stats",
        "statistics",
        "how am i doing",
        "progress",
        "summary",
        "کتنے",
    ];
    if COUNTS.iter().any(|start| lower.contains(start)) && !lower.starts_with("add") {
        return Some(Intent::Stats);
    }
    const STARTS: [&str; 14] = [
        "kya ",
        "کیا ",
        "show",
        "list",
        "what",
        "which",
        "see ",
        "view",
        "display",
        "my tasks",
        "tasks",
        "do i have",
        "give me",
        "are there",
    ];
    const ENDS: [&str; 10] = [
        "dikhao",
        "dikha do",
        "batao",
        "baqi hai",
        "baqi hain",
        "دکھاؤ",
        "دکھا دو",
        "بتاؤ",
        "باقی ہے",
        "باقی ہیں",
    ];
    let asked = STARTS.iter().any(|start| lower.starts_with(start))
        || ENDS.iter().any(|end| lower.ends_with(end));
    let bare = ["pending", "completed", "overdue", "all tasks"].contains(&lower);
    if !asked && !bare {
        return None;
    }
    let priority = [
        ("urgent", "urgent"),
        ("high priority", "high"),
        ("high-priority", "high"),
        ("important", "high"),
        ("medium priority", "medium"),
        ("low priority", "low"),
    ];
    let important = priority.iter().find(|(words, _)| lower.contains(words));
    Some(important.map_or_else(
        || Intent::List(which(lower)),
        |(_, priority)| Intent::Important(priority),
    ))
}

fn which(lower: &str) -> Which {
    let any = |words: &[&str]| words.iter().any(|word| lower.contains(word));
    if any(&["overdue", "late"]) {
        Which::Overdue
    } else if any(&[
        "pending",
        "open",
        "left",
        "remaining",
        "not done",
        "incomplete",
        "to do",
        "todo",
        "baqi",
        "باقی",
    ]) {
        Which::Pending
    } else if any(&["complete", "done", "finished", "mukammal", "مکمل"]) {
        Which::Completed
    } else if any(&["today", "aaj", "آج"]) {
        Which::Today
    } else {
        Which::All
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::check;
    use super::super::{Intent, Which};

    #[test]
    fn what_is_asked() {
        check("how many tasks do I have?", Intent::Stats);
        check("what is overdue?", Intent::List(Which::Overdue));
        check("find milk", Intent::Search("milk".to_owned()));
        check("search for the report", Intent::Search("report".to_owned()));
        check("show high priority tasks", Intent::Important("high"));
        check("what is urgent?", Intent::Important("urgent"));
    }
}
