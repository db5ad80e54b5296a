//! One page of the list: groups of tasks, each task with its forms.

use maud::{Markup, html};
use serde_json::Value;

use super::filter::{Filter, Stretch};
use crate::dates::{self, When};
use crate::pages::{encode, icons};
use crate::visitor::Visitor;

/// Returns the tasks in their groups, and the way to the pages around them.
pub(super) fn shown(visitor: &Visitor, filter: &Filter, list: &Value) -> Markup {
    let now = visitor.now();
    let empty = Vec::new();
    let tasks = list["tasks"].as_array().unwrap_or(&empty);
    if tasks.is_empty() {
        return nothing(visitor, filter);
    }
    let done = |task: &&Value| task["completed"] == true;
    let when = |task: &Value| When::of(task["due_date"].as_str(), &now);
    let grouped = filter.sort() == "due_date";
    let total = list["total"].as_u64().unwrap_or_default();
    let stretch = Stretch::of(filter.page(), total);
    // The size of a group is known only when all of it is here.
    let counted = stretch.is_whole();
    html! {
        div.groups {
            @if grouped {
                @for group in When::ALL {
                    @let members: Vec<&Value> = tasks.iter().filter(|task| !done(task) && when(task) == group).collect();
                    (section(visitor, group.heading(), &members, counted, filter, &now))
                }
                @let members: Vec<&Value> = tasks.iter().filter(done).collect();
                (section(visitor, "Done", &members, counted, filter, &now))
            } @else {
                (section(visitor, "Tasks", &tasks.iter().collect::<Vec<_>>(), counted, filter, &now))
            }
        }
        @if !stretch.is_whole() { (pager(visitor, filter, &stretch)) }
    }
}

/// Links to the pages before and after; they work without script.
fn pager(visitor: &Visitor, filter: &Filter, stretch: &Stretch) -> Markup {
    let page = filter.page();
    let before = (page > 1).then(|| filter.at(page - 1).path());
    let after = (page < stretch.pages).then(|| filter.at(page + 1).path());
    html! {
        nav.pages aria-label=(visitor.t("Pages")) {
            @if let Some(path) = before { a.button.quiet rel="prev" href=(path) { (visitor.t("Previous")) } }
            bdi { (stretch.first) "–" (stretch.last) " / " (stretch.total) }
            @if let Some(path) = after { a.button.quiet rel="next" href=(path) { (visitor.t("Next")) } }
        }
    }
}

fn section(
    visitor: &Visitor,
    heading: &str,
    tasks: &[&Value],
    counted: bool,
    filter: &Filter,
    now: &jiff::Zoned,
) -> Markup {
    html! {
        @if !tasks.is_empty() {
            section {
                h2.group { (visitor.t(heading)) @if counted { span { (tasks.len()) } } }
                ul.tasks { @for task in tasks { (row(visitor, task, filter, now)) } }
            }
        }
    }
}

fn nothing(visitor: &Visitor, filter: &Filter) -> Markup {
    html! {
        div.card.empty {
            @if filter.is_narrow() || filter.status() == "completed" {
                h2 { (visitor.t("Nothing fits")) }
                p { (visitor.t("No task fits this filter.")) }
                a.button.quiet href="/dashboard?status=all" { (visitor.t("Show all tasks")) }
            } @else {
                span.big { (icons::tick()) }
                h2 { (visitor.t("Nothing to do")) }
                p { (visitor.t("A clear list. Add a task above, or tell the assistant what is on your mind.")) }
            }
        }
    }
}

fn row(visitor: &Visitor, task: &Value, filter: &Filter, now: &jiff::Zoned) -> Markup {
    let id = task["id"].as_i64().unwrap_or_default();
    let done = task["completed"].as_bool().unwrap_or_default();
    let title = task["title"].as_str().unwrap_or_default();
    let priority = task["priority"].as_str().unwrap_or("medium");
    let due = task["due_date"].as_str();
    let late = !done && When::of(due, now) == When::Overdue;
    let tags = task["tags"].as_array().cloned().unwrap_or_default();
    html! {
        li.task.done[done] {
            form method="post" action={ "/tasks/" (id) "/toggle" } data-swap="" data-title=(title)
                data-said=(visitor.t(if done { "Reopened" } else { "Completed" })) data-undo=(visitor.t("Undo")) {
                input type="hidden" name="back" value=(filter.path());
                button.tick type="submit" aria-label={ (visitor.t(if done { "Reopen" } else { "Complete" })) " " (title) } { (icons::tick()) }
            }
            div.body {
                a.title href={ "/tasks/" (id) } { bdi { (title) } }
                span.meta {
                    span.id { "#" (id) }
                    @if let Some(due) = due {
                        span.due.late[late] { (icons::calendar()) (dates::label(due, visitor, now)) }
                    }
                    @if !task["recurrence"].is_null() { span role="img" aria-label=(visitor.t("Repeats")) title=(visitor.t("Repeats")) { (icons::repeat()) } }
                    @if priority != "medium" { span class={ "chip " (priority) } { (visitor.t(priority)) } }
                    @for tag in tags.iter().filter_map(Value::as_str) {
                        a.chip href={ "/dashboard?tag=" (encode(tag)) } { bdi { "#" (tag) } }
                    }
                }
            }
            form method="post" action={ "/tasks/" (id) "/delete" } data-swap="" data-title=(title) data-said=(visitor.t("Deleted")) {
                input type="hidden" name="back" value=(filter.path());
                button.plain.bin type="submit" aria-label={ (visitor.t("Delete")) " " (title) } { (icons::bin()) }
            }
        }
    }
}
