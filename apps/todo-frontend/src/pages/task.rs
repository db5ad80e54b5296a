//! One task: everything about it can be changed here.

use axum::extract::{Form, Path, Request, State};
use axum::response::{IntoResponse, Redirect, Response};
use http::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE};
use http::{Method, StatusCode};
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::{Value, json};

use super::dashboard::{priority_options, tags};
use super::form::{Failed, submit};
use super::frame::{Page, Width, notice};
use super::{encode, failure, icons, sentence};
use crate::api::{ApiFailure, call, send};
use crate::dates;
use crate::server::App;
use crate::visitor::Visitor;

/// The form of a task.
#[derive(Deserialize, Default)]
#[serde(default)]
pub struct Fields {
    title: String,
    description: String,
    priority: String,
    due_date: String,
    tags: String,
    repeat: String,
    remind: String,
    by_email: Option<String>,
}

/// What can be chosen as a reminder.
const REMINDERS: [(&str, &str); 5] = [
    ("", "No reminder"),
    ("PT0S", "When it is due"),
    ("PT10M", "10 minutes before"),
    ("PT1H", "An hour before"),
    ("PT24H", "A day before"),
];

const REPEATS: [(&str, &str); 4] = [
    ("", "Never"),
    ("daily", "Every day"),
    ("weekly", "Every week"),
    ("monthly", "Every month"),
];

/// `GET /tasks/{id}`.
pub async fn show(State(app): State<App>, visitor: Visitor, Path(id): Path<i64>) -> Response {
    render(&app, &visitor, id, StatusCode::OK, None).await
}

async fn render(
    app: &App,
    visitor: &Visitor,
    id: i64,
    status: StatusCode,
    error: Option<&str>,
) -> Response {
    let (task, files) = (
        format!("/api/tasks/{id}"),
        format!("/api/tasks/{id}/attachments"),
    );
    let (task, files) = tokio::join!(
        call(app.client(), visitor, Method::GET, &task, None),
        call(app.client(), visitor, Method::GET, &files, None),
    );
    match (task, files) {
        (Ok(task), Ok(files)) => {
            let body = body(visitor, &task.body, &files.body, error);
            let title = task.body["title"].as_str().unwrap_or("Task").to_owned();
            Page {
                title: &title,
                path: "",
                width: Width::Medium,
                body,
            }
            .answer(visitor, status)
        }
        (
            Err(ApiFailure::Refused {
                status: StatusCode::NOT_FOUND,
                ..
            }),
            _,
        ) => failure::simple(
            visitor,
            StatusCode::NOT_FOUND,
            "No such task",
            "It may have been deleted.",
        ),
        (Err(failure), _) | (_, Err(failure)) => failure::page(app, visitor, &failure),
    }
}

/// `POST /tasks/{id}`.
pub async fn save(
    State(app): State<App>,
    visitor: Visitor,
    Path(id): Path<i64>,
    Form(fields): Form<Fields>,
) -> Response {
    let due = dates::read(&fields.due_date, &visitor.zone);
    let channel = if fields.by_email.is_some() {
        "email"
    } else {
        "push"
    };
    let reminders = if fields.remind.is_empty() || due.is_none() {
        json!([])
    } else {
        json!([{"before": fields.remind, "channel": channel}])
    };
    let repeat = if fields.repeat.is_empty() {
        Value::Null
    } else {
        json!({"frequency": fields.repeat})
    };
    let body = json!({
        "title": fields.title,
        "description": fields.description,
        "priority": fields.priority,
        "due_date": due,
        "tags": tags(&fields.tags),
        "recurrence": repeat,
        "reminders": reminders,
    });
    let path = format!("/api/tasks/{id}");
    match submit(&app, &visitor, Method::PUT, &path, Some(&body)).await {
        Ok(_) => Redirect::to("/dashboard").into_response(),
        Err(Failed::Refused(status, reason)) => {
            render(&app, &visitor, id, status, Some(&reason)).await
        }
        Err(Failed::Page(page)) => *page,
    }
}

/// `POST /tasks/{id}/attachments`: the form goes on to the API as it is.
pub async fn attach(
    State(app): State<App>,
    visitor: Visitor,
    Path(id): Path<i64>,
    request: Request,
) -> Response {
    if !visitor.same_origin {
        return failure::foreign_form(&visitor);
    }
    match pass_on(
        &app,
        &visitor,
        request,
        &format!("/api/tasks/{id}/attachments"),
    )
    .await
    {
        Ok(()) => Redirect::to(&format!("/tasks/{id}")).into_response(),
        Err(ApiFailure::Refused { detail, status }) => {
            render(&app, &visitor, id, status, Some(&sentence(&detail))).await
        }
        Err(failure) => failure::page(&app, &visitor, &failure),
    }
}

/// Sends the body of a form to a path of the API.
pub async fn pass_on(
    app: &App,
    visitor: &Visitor,
    request: Request,
    path: &str,
) -> Result<(), ApiFailure> {
    let (parts, body) = request.into_parts();
    let mut outgoing = Request::builder().method(Method::POST).uri(path);
    for name in [CONTENT_TYPE, CONTENT_LENGTH] {
        if let Some(value) = parts.headers.get(&name) {
            outgoing = outgoing.header(name, value);
        }
    }
    if let Some(session) = &visitor.session {
        outgoing = outgoing.header(AUTHORIZATION, format!("Bearer {}", session.token));
    }
    send(app.client(), visitor, outgoing, body)
        .await
        .map(|_| ())
}

/// `POST /tasks/{id}/attachments/{aid}/delete`.
pub async fn detach(
    State(app): State<App>,
    visitor: Visitor,
    Path((id, aid)): Path<(i64, String)>,
) -> Response {
    if !visitor.same_origin {
        return failure::foreign_form(&visitor);
    }
    let path = format!("/api/tasks/{id}/attachments/{}", encode(&aid));
    match call(app.client(), &visitor, Method::DELETE, &path, None).await {
        Ok(_) => Redirect::to(&format!("/tasks/{id}")).into_response(),
        Err(failure) => failure::page(&app, &visitor, &failure),
    }
}

fn body(visitor: &Visitor, task: &Value, files: &Value, error: Option<&str>) -> Markup {
    let id = task["id"].as_i64().unwrap_or_default();
    let title = task["title"].as_str().unwrap_or_default();
    html! {
        p.back { a href="/dashboard" { (visitor.t("Back to your tasks")) } }
        div.head { h1 { bdi { (title) } } }
        div.stack {
            (notice(error, true))
            (edit_form(visitor, task, id))
            (attachments(visitor, files, id))
            form method="post" action={ "/tasks/" (id) "/delete" } {
                button.danger type="submit" { (icons::bin()) (visitor.t("Delete")) }
            }
        }
    }
}

fn edit_form(visitor: &Visitor, task: &Value, id: i64) -> Markup {
    let text = |key: &str| task[key].as_str().unwrap_or_default();
    let tags: Vec<&str> = task["tags"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let due = task["due_date"]
        .as_str()
        .map(|due| dates::field(due, &visitor.zone))
        .unwrap_or_default();
    let repeat = task
        .pointer("/recurrence/frequency")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let remind = task
        .pointer("/reminders/0/before")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let by_email = task
        .pointer("/reminders/0/channel")
        .is_some_and(|channel| channel == "email");
    html! {
        form.card.stack method="post" action={ "/tasks/" (id) } {
            div.field { label for="title" { (visitor.t("Title")) } input id="title" name="title" value=(text("title")) required maxlength="200"; }
            div.field { label for="description" { (visitor.t("Notes")) } textarea id="description" name="description" maxlength="1000" { (text("description")) } }
            div.pair {
                div.field { label for="due_date" { (visitor.t("Due date")) } input id="due_date" name="due_date" type="datetime-local" value=(due); }
                div.field { label for="priority" { (visitor.t("Priority")) } select id="priority" name="priority" { (priority_options(visitor, text("priority"))) } }
                div.field { label for="repeat" { (visitor.t("Repeat")) }
                    select id="repeat" name="repeat" { @for (value, text) in REPEATS { option value=(value) selected[value == repeat] { (visitor.t(text)) } } }
                }
                div.field { label for="remind" { (visitor.t("Reminders")) }
                    select id="remind" name="remind" { @for (value, text) in REMINDERS { option value=(value) selected[value == remind] { (visitor.t(text)) } } }
                }
            }
            label.check { input type="checkbox" name="by_email" checked[by_email]; span { (visitor.t("Also send reminders by email")) } }
            div.field { label for="tags" { (visitor.t("Tags")) } input id="tags" name="tags" value=(tags.join(", ")) placeholder="home, work"; }
            div { button type="submit" { (visitor.t("Save")) } }
        }
    }
}

fn attachments(visitor: &Visitor, files: &Value, id: i64) -> Markup {
    let empty = Vec::new();
    let files = files.as_array().unwrap_or(&empty);
    html! {
        section.card.stack {
            h2 { (visitor.t("Files")) }
            @if !files.is_empty() {
                ul.files {
                    @for file in files {
                        @let name = file["name"].as_str().unwrap_or_default();
                        li {
                            a href=(file["url"].as_str().unwrap_or_default()) { bdi { (name) } }
                            span.hint { (size(file["size"].as_i64().unwrap_or_default())) }
                            form method="post" action={ "/tasks/" (id) "/attachments/" (file["id"].as_str().unwrap_or_default()) "/delete" } {
                                button.plain type="submit" aria-label={ (visitor.t("Remove")) " " (name) } { (icons::bin()) }
                            }
                        }
                    }
                }
            }
            form.row method="post" action={ "/tasks/" (id) "/attachments" } enctype="multipart/form-data" {
                label.hidden for="file" { (visitor.t("Files")) }
                input.grow id="file" name="file" type="file" required accept=".png,.jpg,.jpeg,.webp,.pdf,.txt";
                button.quiet type="submit" { (visitor.t("Attach")) }
            }
            p.hint { (visitor.t("PNG, JPEG, WebP, PDF or text, 5 MB at most.")) }
        }
    }
}

fn size(bytes: i64) -> String {
    match bytes {
        0..1024 => format!("{bytes} B"),
        1024..1_048_576 => format!("{} KB", bytes / 1024),
        _ => format!("{:.1} MB", bytes as f64 / 1_048_576.0),
    }
}
