//! A sentence to one intent: fixed rules, English first, Urdu keywords in
//! both scripts. Pure; any text is safe.

use jiff::Zoned;
use serde_json::{Map, Value as Json, json};

use super::dates;

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

/// Longest text that is looked at, in bytes.
const TEXT_BYTES_MAX: usize = 16 * 1024;

/// Reads a message.
pub fn parse(message: &str, now: &Zoned) -> Intent {
    let text = clean(message.get(..TEXT_BYTES_MAX).unwrap_or(message));
    let lower = text.to_lowercase();
    if let Some(intent) = short_answer(&lower) {
        return intent;
    }
    let deed = deletion(&text, &lower)
        .or_else(|| reopening(&text))
        .or_else(|| completion(&text, &lower))
        .or_else(|| description(&text));
    if let Some(intent) = deed {
        return intent;
    }
    change(&text, &lower, now)
        .or_else(|| search(&text))
        .or_else(|| question(&lower))
        .or_else(|| addition(&text, &lower, now))
        .unwrap_or(Intent::Unknown)
}

/// Without polite openings and closing marks.
fn clean(message: &str) -> String {
    const OPENINGS: [&str; 14] = [
        "please ",
        "can you ",
        "could you ",
        "would you ",
        "hey, ",
        "hey ",
        "hi, ",
        "ok, ",
        "i want to ",
        "i'd like to ",
        "i would like to ",
        "let's ",
        "kindly ",
        "براہ کرم ",
    ];
    let mut text = message.trim().replace('’', "'");
    while let Some(rest) = OPENINGS
        .iter()
        .find_map(|opening| strip_start(&text, opening))
    {
        text = rest.trim().to_owned();
    }
    let text = text.trim_end_matches(['.', '!', '?', '؟', '۔', ' ']);
    let text = strip_end(text, " please")
        .or_else(|| strip_end(text, ", please"))
        .unwrap_or(text);
    text.trim().to_owned()
}

/// `strip_prefix` that ignores the case of ASCII letters.
fn strip_start<'a>(text: &'a str, start: &str) -> Option<&'a str> {
    let head = text.get(..start.len())?;
    head.eq_ignore_ascii_case(start)
        .then(|| text.get(start.len()..))
        .flatten()
}

fn strip_end<'a>(text: &'a str, end: &str) -> Option<&'a str> {
    let cut = text.len().checked_sub(end.len())?;
    let tail = text.get(cut..)?;
    tail.eq_ignore_ascii_case(end)
        .then(|| text.get(..cut))
        .flatten()
}

fn short_answer(lower: &str) -> Option<Intent> {
    let intent = match lower {
        "yes" | "y" | "yes do it" | "sure" | "ok" | "okay" | "confirm" | "do it"
        | "yes, delete them" | "haan" | "han" | "ji" | "ji haan" | "ہاں" | "جی" | "جی ہاں" => {
            Intent::Yes
        }
        "no" | "n" | "cancel" | "stop" | "never mind" | "nevermind" | "nahi" | "نہیں" => {
            Intent::No
        }
        "hi"
        | "hello"
        | "hey"
        | "salam"
        | "salaam"
        | "assalam o alaikum"
        | "سلام"
        | "السلام علیکم"
        | "good morning"
        | "good evening" => Intent::Greeting,
        "help" | "what can you do" | "madad" | "مدد" => Intent::Help,
        "thanks" | "thank you" | "thanks a lot" | "thank you very much" | "shukriya" | "شکریہ" => {
            Intent::Thanks
        }
        _ => return numbers_only(lower),
    };
    Some(intent)
}

/// "2", "#2", "2 and 5", "the task 2": an answer to a question.
fn numbers_only(lower: &str) -> Option<Intent> {
    let mut ids = Vec::new();
    for word in lower.split([' ', ',']).filter(|word| !word.is_empty()) {
        match word {
            "and" | "the" | "task" | "number" | "one" | "no" | "aur" | "اور" | "نمبر" | "کام" =>
                {}
            word => ids.push(word.trim_start_matches('#').parse().ok()?),
        }
    }
    (!ids.is_empty()).then_some(Intent::Choice(ids))
}

fn deletion(text: &str, lower: &str) -> Option<Intent> {
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

fn completion(text: &str, lower: &str) -> Option<Intent> {
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
fn reopening(text: &str) -> Option<Intent> {
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

/// "add a note to task 1: by train"
fn description(text: &str) -> Option<Intent> {
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

/// "find milk"
fn search(text: &str) -> Option<Intent> {
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

/// "change task 1 to X", "rename X to Y", "set priority of task 2 to high"
fn change(text: &str, lower: &str, now: &Zoned) -> Option<Intent> {
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

fn question(lower: &str) -> Option<Intent> {
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

fn addition(text: &str, lower: &str, now: &Zoned) -> Option<Intent> {
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

/// Reads what a sentence calls a task.
fn target(text: &str) -> Target {
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

const QUOTES: [(char, char); 4] = [('"', '"'), ('\'', '\''), ('“', '”'), ('‘', '’')];

fn is_quoted(text: &str) -> bool {
    text.chars().count() > 2
        && QUOTES
            .iter()
            .any(|(open, close)| text.starts_with(*open) && text.ends_with(*close))
}

fn unquoted(text: &str) -> &str {
    if is_quoted(text) {
        let mut characters = text.chars();
        characters.next();
        characters.next_back();
        return characters.as_str().trim();
    }
    text
}

fn capitalised(text: &str) -> String {
    let mut characters = text.chars();
    match characters.next() {
        Some(first) => first.to_uppercase().chain(characters).collect(),
        None => String::new(),
    }
}

fn object(value: Json) -> Map<String, Json> {
    match value {
        Json::Object(object) => object,
        _ => Map::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Intent) {
        let now: Zoned = "2026-01-05T10:00:00+00:00[UTC]".parse().expect("zoned");
        assert_eq!(parse(text, &now), expected, "{text}");
    }

    fn add(value: Json) -> Intent {
        Intent::Add(object(value))
    }

    fn name(text: &str) -> Target {
        Target::Name(text.to_owned())
    }

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
    fn targets_and_answers() {
        check("delete #4", Intent::Delete(Target::Id(4)));
        check("delete everything", Intent::Delete(Target::Every("all")));
        check(
            "clear completed tasks",
            Intent::Delete(Target::Every("completed")),
        );
        check("I finished the report", Intent::Complete(name("report")));
        check("groceries is done", Intent::Complete(name("groceries")));
        check("2", Intent::Choice(vec![2]));
        check("2 and 5", Intent::Choice(vec![2, 5]));
        check("yes", Intent::Yes);
        check("No.", Intent::No);
        check("how many tasks do I have?", Intent::Stats);
        check("what is overdue?", Intent::List(Which::Overdue));
        check(
            "set priority of task 2 to high",
            Intent::Update(Target::Id(2), object(json!({"priority": "high"}))),
        );
        check(
            "move task 2 to tomorrow",
            Intent::Update(
                Target::Id(2),
                object(json!({"due_date": "2026-01-06T23:59:00Z"})),
            ),
        );
        let reopened = |id| Intent::Update(Target::Id(id), object(json!({"completed": false})));
        check("mark task 3 as incomplete", reopened(3));
        check("Mark task 3 as not done.", reopened(3));
        check("reopen task 4", reopened(4));
        check("I have done task 3", Intent::Complete(Target::Id(3)));
        check(
            "mark all tasks as complete",
            Intent::Complete(Target::Every("all")),
        );
        let titled =
            |id, title: &str| Intent::Update(Target::Id(id), object(json!({"title": title})));
        check("update task 1 title to buy fruit", titled(1, "Buy fruit"));
        check("change task 1's title to buy fruit", titled(1, "Buy fruit"));
        check(
            "Change the title of task 5 to Buy oat milk",
            titled(5, "Buy oat milk"),
        );
        check(
            "add a note to task 1: from the market",
            Intent::Update(
                Target::Id(1),
                object(json!({"description": "from the market"})),
            ),
        );
        check("find milk", Intent::Search("milk".to_owned()));
        check("search for the report", Intent::Search("report".to_owned()));
        check("show high priority tasks", Intent::Important("high"));
        check("what is urgent?", Intent::Important("urgent"));
        check("Thank you!", Intent::Thanks);
        check("the weather is nice", Intent::Unknown);
        check("", Intent::Unknown);
        check("ß".repeat(9000).as_str(), Intent::Unknown);
    }
}
