//! What a sentence calls a task: a number, words of its title, or all of them.

use super::text::{strip_end, strip_start, unquoted};

/// Which task is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// By number.
    Id(i64),
    /// By words of its title.
    Name(String),
    /// All of a status.
    Every(&'static str),
}

/// Reads what a sentence calls a task.
pub(super) fn target(text: &str) -> Target {
    let text = unquoted(text.trim());
    let lower = text.to_lowercase();
    let all = [
        "all",
        "everything",
        "all tasks",
        "all my tasks",
        "all of them",
        "every task",
        "all the tasks",
        "my tasks",
        "sab",
    ];
    let done = [
        "all completed tasks",
        "completed tasks",
        "all done tasks",
        "done tasks",
        "all finished tasks",
        "finished tasks",
        "all completed",
        "completed",
        "all my completed tasks",
    ];
    if all.contains(&lower.as_str()) {
        return Target::Every("all");
    }
    if done.contains(&lower.as_str()) {
        return Target::Every("completed");
    }
    let starts = [
        "the task number ",
        "the task ",
        "task number ",
        "task no ",
        "task #",
        "task: ",
        "task ",
        "number ",
        "my task ",
        "کام نمبر ",
        "کام ",
        "kaam ",
        "the ",
        "my ",
        "a ",
        "#",
    ];
    let mut name = text.to_owned();
    if let Some(rest) = starts.iter().find_map(|start| strip_start(&name, start)) {
        name = rest.to_owned();
    }
    for start in ["called ", "named ", "about ", "to "] {
        if let Some(rest) = strip_start(&name, start) {
            name = rest.to_owned();
        }
    }
    let id = name.trim().trim_start_matches('#');
    if let Ok(id) = id.parse() {
        return Target::Id(id);
    }
    let ends = [
        " task",
        " from my list",
        " from the list",
        " from my tasks",
        " ko",
        " کو",
        " wala kaam",
        " والا کام",
    ];
    if let Some(rest) = ends.iter().find_map(|end| strip_end(&name, end)) {
        name = rest.to_owned();
    }
    let name = unquoted(name.trim());
    name.trim_start_matches('#')
        .parse()
        .map_or_else(|_| Target::Name(name.to_owned()), Target::Id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_a_name_or_all() {
        let check = |text: &str, expected: Target| assert_eq!(target(text), expected, "{text}");
        let name = |text: &str| Target::Name(text.to_owned());
        check("#4", Target::Id(4));
        check("task number 4", Target::Id(4));
        check("the meeting task", name("meeting"));
        check("'milk' from my list", name("milk"));
        check("everything", Target::Every("all"));
        check("all done tasks", Target::Every("completed"));
    }
}
