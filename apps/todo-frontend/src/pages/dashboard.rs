//! The list of tasks: add, complete, delete, filter.

use axum::extract::{Form, Path, Query, State};
use axum::response::{IntoResponse, Redirect, Response};
use http::{Method, StatusCode};
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::{Value, json};

use super::chat::panel;
use super::frame::{Page, Width, notice};
use super::{encode, failure, icons, sentence};
use crate::api::{ApiFailure, call};
use crate::dates::{self, When};
use crate::server::App;
use crate::visitor::Visitor;

/// The filter in the address.
#[derive(Deserialize, Default, Clone)]
#[serde(default)]
pub struct Filter {
    status: String,
    priority: String,
    tag: String,
    q: String,
    due: String,
    sort: String,
}

/// The form that adds a task.
#[derive(Deserialize, Default)]
#[serde(default)]
pub struct Addition {
    title: String,
    priority: String,
    due_date: String,
    tags: String,
}

/// Where a form goes back to.
#[derive(Deserialize, Default)]
#[serde(default)]
pub struct Back {
    back: String,
}

impl Filter {
    fn status(&self) -> &str {
        match self.status.as_str() {
            "all" | "completed" => &self.status,
            _ => "pending",
        }
    }

    fn sort(&self) -> &str {
        match self.sort.as_str() {
            "created" | "priority" | "title" => &self.sort,
            _ => "due_date",
        }
    }

    fn is_narrow(&self) -> bool {
        ![&self.priority, &self.tag, &self.q, &self.due]
            .into_iter()
            .all(String::is_empty)
    }

    fn query(&self) -> String {
        let mut query = format!("status={}&sort={}", self.status(), self.sort());
        for (name, value) in [
            ("priority", &self.priority),
            ("tag", &self.tag),
            ("q", &self.q),
            ("due", &self.due),
        ] {
            if !value.is_empty() {
                query.push_str(&format!("&{name}={}", encode(value)));
            }
        }
        query
    }

    fn path(&self) -> String {
        format!("/dashboard?{}", self.query())
    }
}

/// `GET /dashboard`.
pub async fn show(
    State(app): State<App>,
    visitor: Visitor,
    Query(filter): Query<Filter>,
) -> Response {
    render(&app, &visitor, &filter, StatusCode::OK, None).await
}

async fn render(
    app: &App,
    visitor: &Visitor,
    filter: &Filter,
    status: StatusCode,
    error: Option<&str>,
) -> Response {
    let due = dates::due_before(&filter.due, &visitor.now());
    let due = due
        .map(|at| format!("&due_before={}", encode(&at)))
        .unwrap_or_default();
    let list = format!("/api/tasks?{}{due}", filter.query());
    let (list, stats) = tokio::join!(
        call(app.client(), visitor, Method::GET, &list, None),
        call(app.client(), visitor, Method::GET, "/api/stats", None),
    );
    match (list, stats) {
        (Ok(list), Ok(stats)) => {
            let body = body(visitor, filter, &list.body, &stats.body, error);
            Page {
                title: "Tasks",
                path: "/dashboard",
                width: Width::Wide,
                body,
            }
            .answer(visitor, status)
        }
        (Err(failure), _) | (_, Err(failure)) => failure::page(app, visitor, &failure),
    }
}

/// `POST /tasks`.
pub async fn add(
    State(app): State<App>,
    visitor: Visitor,
    Form(addition): Form<Addition>,
) -> Response {
    if !visitor.same_origin {
        return failure::foreign_form(&visitor);
    }
    let mut body = json!({"title": addition.title});
    if !addition.priority.is_empty() {
        body["priority"] = addition.priority.into();
    }
    if let Some(due) = dates::read(&addition.due_date, &visitor.zone) {
        body["due_date"] = due.into();
    }
    body["tags"] = tags(&addition.tags);
    let made = call(
        app.client(),
        &visitor,
        Method::POST,
        "/api/tasks",
        Some(&body),
    )
    .await;
    after(&app, &visitor, made.map(|_| ()), "/dashboard").await
}

/// Reads tags that are written with commas.
pub fn tags(text: &str) -> Value {
    text.split(',')
        .map(|tag| tag.trim().trim_start_matches('#'))
        .filter(|tag| !tag.is_empty())
        .collect()
}

/// `POST /tasks/{id}/toggle`.
pub async fn toggle(
    State(app): State<App>,
    visitor: Visitor,
    Path(id): Path<i64>,
    Form(back): Form<Back>,
) -> Response {
    if !visitor.same_origin {
        return failure::foreign_form(&visitor);
    }
    let path = format!("/api/tasks/{id}/complete");
    let done = call(app.client(), &visitor, Method::PATCH, &path, None).await;
    after(&app, &visitor, done.map(|_| ()), &back.path()).await
}

/// `POST /tasks/{id}/delete`.
pub async fn delete(
    State(app): State<App>,
    visitor: Visitor,
    Path(id): Path<i64>,
    Form(back): Form<Back>,
) -> Response {
    if !visitor.same_origin {
        return failure::foreign_form(&visitor);
    }
    let path = format!("/api/tasks/{id}");
    let done = call(app.client(), &visitor, Method::DELETE, &path, None).await;
    after(&app, &visitor, done.map(|_| ()), &back.path()).await
}

impl Back {
    /// Only to the list: a form must not become a way to other sites.
    fn path(&self) -> String {
        if self.back.starts_with("/dashboard") {
            self.back.clone()
        } else {
            "/dashboard".to_owned()
        }
    }
}

async fn after(
    app: &App,
    visitor: &Visitor,
    outcome: Result<(), ApiFailure>,
    path: &str,
) -> Response {
    match outcome {
        Ok(()) => Redirect::to(path).into_response(),
        Err(ApiFailure::Refused { status, detail }) if !status.is_server_error() => {
            render(
                app,
                visitor,
                &Filter::default(),
                status,
                Some(&sentence(&detail)),
            )
            .await
        }
        Err(failure) => failure::page(app, visitor, &failure),
    }
}

fn body(
    visitor: &Visitor,
    filter: &Filter,
    list: &Value,
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
            (groups(visitor, filter, list))
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
                    @let target = Filter { status: value.to_owned(), ..filter.clone() };
                    a href=(target.path()) aria-current=[(value == filter.status()).then_some("true")] { (visitor.t(text)) }
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
            @let without = Filter { tag: String::new(), ..filter.clone() };
            p { span.chip { bdi { "#" (filter.tag) } } " " a href=(without.path()) { (visitor.t("Remove")) } }
        }
    }
}

fn groups(visitor: &Visitor, filter: &Filter, list: &Value) -> Markup {
    let now = visitor.now();
    let empty = Vec::new();
    let tasks = list["tasks"].as_array().unwrap_or(&empty);
    if tasks.is_empty() {
        return nothing(visitor, filter);
    }
    let done = |task: &&Value| task["completed"] == true;
    let when = |task: &Value| When::of(task["due_date"].as_str(), &now);
    let grouped = filter.sort() == "due_date";
    html! {
        div.groups {
            @if grouped {
                @for group in When::ALL {
                    @let members: Vec<&Value> = tasks.iter().filter(|task| !done(task) && when(task) == group).collect();
                    (section(visitor, group.heading(), &members, filter, &now))
                }
                @let members: Vec<&Value> = tasks.iter().filter(done).collect();
                (section(visitor, "Done", &members, filter, &now))
            } @else {
                (section(visitor, "Tasks", &tasks.iter().collect::<Vec<_>>(), filter, &now))
            }
        }
    }
}

fn section(
    visitor: &Visitor,
    heading: &str,
    tasks: &[&Value],
    filter: &Filter,
    now: &jiff::Zoned,
) -> Markup {
    html! {
        @if !tasks.is_empty() {
            section {
                h2.group { (visitor.t(heading)) span { (tasks.len()) } }
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
