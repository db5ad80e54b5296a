//! The page around the list: greeting, counts, the form that adds, filters.

use maud::{Markup, html};
use serde_json::Value;

use super::filter::Filter;
use super::list;
use crate::dates;
use crate::pages::chat::panel;
use crate::pages::frame::notice;
use crate::pages::icons;
use crate::visitor::Visitor;

/// Returns all of the page.
pub(super) fn body(
    visitor: &Visitor,
    filter: &Filter,
    tasks: &Value,
    stats: &Value,
    error: Option<&str>,
) -> Markup {
    let now = visitor.now();
    let name = visitor
        .session
        .as_ref()
        .map_or("", |session| session.name.as_str());
    html! {
        div.head {
            div {
                p.eyebrow { (dates::today(visitor, &now)) }
                h1 { (visitor.t(dates::greeting(&now))) @if !name.is_empty() { (visitor.comma()) " " bdi { (name) } } }
            }
            (counts(visitor, stats))
        }
        div #view .stack {
            (notice(error, true))
            (add_form(visitor))
            (filters(visitor, filter))
            (list::shown(visitor, filter, tasks))
        }
        (panel(visitor))
    }
}

fn counts(visitor: &Visitor, stats: &Value) -> Markup {
    let number = |key: &str| stats[key].as_i64().unwrap_or_default();
    html! {
        dl.counts #counts {
            div { dt { (visitor.t("open")) } dd { (number("pending")) } }
            div.late[number("overdue") > 0] { dt { (visitor.t("overdue")) } dd { (number("overdue")) } }
            div { dt { (visitor.t("done")) } dd { (number("completed")) } }
        }
    }
}

const PRIORITIES: [(&str, &str); 4] = [
    ("low", "Low"),
    ("medium", "Medium"),
    ("high", "High"),
    ("urgent", "Urgent"),
];

const DUES: [(&str, &str); 4] = [
    ("", "Any date"),
    ("overdue", "Overdue"),
    ("today", "Today"),
    ("week", "This week"),
];

/// The choices of a priority.
pub fn priority_options(visitor: &Visitor, chosen: &str) -> Markup {
    html! {
        @for (value, text) in PRIORITIES {
            option value=(value) selected[value == chosen] { (visitor.t(text)) }
        }
    }
}

fn add_form(visitor: &Visitor) -> Markup {
    html! {
        form.card.adder method="post" action="/tasks" data-swap="" data-said=(visitor.t("Added")) {
            div.line {
                label.hidden for="title" { (visitor.t("New task")) }
                input id="title" name="title" placeholder=(visitor.t("What needs doing?")) required maxlength="200" autocomplete="off";
                button type="submit" { (icons::plus()) (visitor.t("Add")) }
            }
            div.options {
                div {
                    label for="due_date" { (visitor.t("Due")) }
                    input id="due_date" name="due_date" type="date";
                }
                div {
                    label for="priority" { (visitor.t("Priority")) }
                    select id="priority" name="priority" { (priority_options(visitor, "medium")) }
                }
                div.grow {
                    label for="tags" { (visitor.t("Tags")) }
                    input id="tags" name="tags" placeholder="home, work" autocomplete="off";
                }
            }
        }
    }
}

fn filters(visitor: &Visitor, filter: &Filter) -> Markup {
    let choices = [("pending", "Open"), ("completed", "Done"), ("all", "All")];
    let sorts = [
        ("due_date", "By date"),
        ("created", "Newest first"),
        ("priority", "By priority"),
        ("title", "By title"),
    ];
    html! {
        div.filters {
            nav.segments aria-label=(visitor.t("Filter")) {
                @for (value, text) in choices {
                    a href=(filter.with_status(value).path()) aria-current=[(value == filter.status()).then_some("true")] { (visitor.t(text)) }
                }
            }
            form.search method="get" action="/dashboard" role="search" {
                input type="hidden" name="status" value=(filter.status());
                div.seek {
                    (icons::glass())
                    label.hidden for="q" { (visitor.t("Search tasks")) }
                    input id="q" name="q" type="search" value=(filter.q) placeholder=(visitor.t("Search"));
                }
                label.hidden for="by_priority" { (visitor.t("Priority")) }
                select id="by_priority" name="priority" data-submit-on-change="" {
                    option value="" { (visitor.t("Any priority")) }
                    (priority_options(visitor, &filter.priority))
                }
                label.hidden for="due" { (visitor.t("Due")) }
                select id="due" name="due" data-submit-on-change="" {
                    @for (value, text) in DUES { option value=(value) selected[value == filter.due] { (visitor.t(text)) } }
                }
                label.hidden for="sort" { (visitor.t("Sort")) }
                select id="sort" name="sort" data-submit-on-change="" {
                    @for (value, text) in sorts { option value=(value) selected[value == filter.sort()] { (visitor.t(text)) } }
                }
                @if !filter.tag.is_empty() { input type="hidden" name="tag" value=(filter.tag); }
                button.quiet.unscripted type="submit" { (visitor.t("Apply")) }
            }
        }
        @if !filter.tag.is_empty() {
            p { span.chip { bdi { "#" (filter.tag) } } " " a href=(filter.without_tag().path()) { (visitor.t("Remove")) } }
        }
    }
}
