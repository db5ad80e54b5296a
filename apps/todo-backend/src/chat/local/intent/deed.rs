//! Deeds on a task that is there: delete, complete, reopen.

use serde_json::json;

use super::target::target;
use super::text::{strip_end, strip_start};
use super::{Intent, object};

pub(super) fn deletion(text: &str, lower: &str) -> Option<Intent> {
    const STARTS: [&str; 7] = [
        "delete ",
        "remove ",
        "erase ",
        "get rid of ",
        "drop ",
        "clear ",
        "cancel ",
    ];
    if let Some(rest) = STARTS.iter().find_map(|start| strip_start(text, start)) {
        return Some(Intent::Delete(target(rest)));
    }
    const ENDS: [&str; 8] = [
        " delete karo",
        " delete kar do",
        " hata do",
        " hatao",
        " حذف کرو",
        " حذف کر دو",
        " ہٹا دو",
        " ہٹاؤ",
    ];
    let rest = ENDS.iter().find_map(|end| lower.strip_suffix(end))?;
    Some(Intent::Delete(target(rest)))
}

pub(super) fn completion(text: &str, lower: &str) -> Option<Intent> {
    if let Some(rest) = ["mark ", "set "]
        .iter()
        .find_map(|start| strip_start(text, start))
    {
        const DONE: [&str; 12] = [
            " as complete",
            " as completed",
            " as done",
            " as finished",
            " completed",
            " complete",
            " done",
            " finished",
            " to done",
            " to complete",
            " to completed",
            " off",
        ];
        let rest = DONE.iter().find_map(|end| strip_end(rest, end))?;
        return Some(Intent::Complete(target(rest)));
    }
    const STARTS: [&str; 16] = [
        "i have done ",
        "i've done ",
        "i did ",
        "close ",
        "complete ",
        "finish ",
        "check off ",
        "tick off ",
        "i finished ",
        "i have finished ",
        "i've finished ",
        "i completed ",
        "i have completed ",
        "i am done with ",
        "i'm done with ",
        "done with ",
    ];
    if let Some(rest) = STARTS.iter().find_map(|start| strip_start(text, start)) {
        return Some(Intent::Complete(target(rest)));
    }
    const ENDS: [&str; 14] = [
        " is done",
        " is complete",
        " is completed",
        " is finished",
        " complete karo",
        " complete kar do",
        " mukammal karo",
        " mukammal kar do",
        " khatam karo",
        " ho gaya",
        " مکمل کرو",
        " مکمل کر دو",
        " مکمل ہو گیا",
        " ہو گیا",
    ];
    let rest = ENDS.iter().find_map(|end| lower.strip_suffix(end))?;
    Some(Intent::Complete(target(rest)))
}

/// "mark task 3 as not done", "reopen task 3"
pub(super) fn reopening(text: &str) -> Option<Intent> {
    const STARTS: [&str; 6] = [
        "reopen ",
        "re-open ",
        "undo ",
        "uncheck ",
        "uncomplete ",
        "restore ",
    ];
    const ENDS: [&str; 10] = [
        " as incomplete",
        " as not complete",
        " as not completed",
        " as not done",
        " as undone",
        " as unfinished",
        " as pending",
        " as open",
        " as todo",
        " not done",
    ];
    let marked = || {
        ENDS.iter()
            .find_map(|end| strip_end(strip_start(text, "mark ")?, end))
    };
    let rest = STARTS
        .iter()
        .find_map(|start| strip_start(text, start))
        .or_else(marked)?;
    Some(Intent::Update(
        target(rest),
        object(json!({"completed": false})),
    ))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::fixture::{check, name};
    use super::super::{Intent, Target, object};

    #[test]
    fn deletions() {
        check("delete #4", Intent::Delete(Target::Id(4)));
        check("delete everything", Intent::Delete(Target::Every("all")));
        check(
            "clear completed tasks",
            Intent::Delete(Target::Every("completed")),
        );
    }

    #[test]
    fn completions() {
        check("I finished the report", Intent::Complete(name("report")));
        check("groceries is done", Intent::Complete(name("groceries")));
        check("I have done task 3", Intent::Complete(Target::Id(3)));
        check(
            "mark all tasks as complete",
            Intent::Complete(Target::Every("all")),
        );
    }

    #[test]
    fn reopenings() {
        let reopened = |id| Intent::Update(Target::Id(id), object(json!({"completed": false})));
        check("mark task 3 as incomplete", reopened(3));
        check("Mark task 3 as not done.", reopened(3));
        check("reopen task 4", reopened(4));
    }
}
