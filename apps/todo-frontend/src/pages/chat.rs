//! The assistant: conversations beside, words in the middle, one field below.
//!
//! Without script a message is a form and its answer the next page. With
//! script the answer streams in, here and in the panel of the task list.

use axum::extract::{Form, Path, Query, State};
use axum::response::{IntoResponse, Redirect, Response};
use http::{Method, StatusCode};
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::{Value, json};

use super::form::{Failed, submit};
use super::frame::{Page, Width, notice};
use super::{failure, icons};
use crate::api::{ApiFailure, call};
use crate::server::App;
use crate::visitor::Visitor;

/// Which conversation.
#[derive(Deserialize, Default)]
#[serde(default)]
pub struct Place {
    c: Option<i64>,
}

/// A message.
#[derive(Deserialize, Default)]
#[serde(default)]
pub struct Words {
    message: String,
    conversation_id: String,
}

/// `GET /chat`.
pub async fn show(
    State(app): State<App>,
    visitor: Visitor,
    Query(place): Query<Place>,
) -> Response {
    render(&app, &visitor, place.c, StatusCode::OK, None).await
}

async fn render(
    app: &App,
    visitor: &Visitor,
    open: Option<i64>,
    status: StatusCode,
    error: Option<&str>,
) -> Response {
    let list = call(
        app.client(),
        visitor,
        Method::GET,
        "/api/conversations",
        None,
    )
    .await;
    let list = match list {
        Ok(list) => list.body,
        Err(failure) => return failure::page(app, visitor, &failure),
    };
    let messages = match open {
        None => Value::Array(Vec::new()),
        Some(id) => {
            let path = format!("/api/conversations/{id}/messages");
            match call(app.client(), visitor, Method::GET, &path, None).await {
                Ok(messages) => messages.body,
                Err(ApiFailure::Refused {
                    status: StatusCode::NOT_FOUND,
                    ..
                }) => return Redirect::to("/chat").into_response(),
                Err(failure) => return failure::page(app, visitor, &failure),
            }
        }
    };
    let body = body(visitor, &list, open, &messages, error);
    Page {
        title: "Assistant",
        path: "/chat",
        width: Width::Wide,
        body,
    }
    .answer(visitor, status)
}

/// `POST /chat`.
pub async fn say(State(app): State<App>, visitor: Visitor, Form(words): Form<Words>) -> Response {
    let open: Option<i64> = words.conversation_id.parse().ok();
    let body = json!({"message": words.message, "conversation_id": open});
    match submit(&app, &visitor, Method::POST, "/api/chat", Some(&body)).await {
        Ok(answer) => {
            Redirect::to(&format!("/chat?c={}#end", answer.body["conversation_id"])).into_response()
        }
        Err(Failed::Refused(status, reason)) => {
            render(&app, &visitor, open, status, Some(&reason)).await
        }
        Err(Failed::Page(page)) => *page,
    }
}

/// `POST /chat/{id}/delete`.
pub async fn forget(State(app): State<App>, visitor: Visitor, Path(id): Path<i64>) -> Response {
    if !visitor.same_origin {
        return failure::foreign_form(&visitor);
    }
    match call(
        app.client(),
        &visitor,
        Method::DELETE,
        &format!("/api/conversations/{id}"),
        None,
    )
    .await
    {
        Ok(_) => Redirect::to("/chat").into_response(),
        Err(failure) => failure::page(&app, &visitor, &failure),
    }
}

fn body(
    visitor: &Visitor,
    list: &Value,
    open: Option<i64>,
    messages: &Value,
    error: Option<&str>,
) -> Markup {
    let empty = Vec::new();
    let list = list.as_array().unwrap_or(&empty);
    let messages = messages.as_array().unwrap_or(&empty);
    html! {
        h1.hidden { (visitor.t("Assistant")) }
        div.talk {
            aside #conversations .conversations aria-label=(visitor.t("Conversations")) {
                a.button.quiet href="/chat" { (icons::plus()) (visitor.t("New conversation")) }
                ul {
                    @for one in list {
                        @let id = one["id"].as_i64();
                        li {
                            a dir="auto" href={ "/chat?c=" (id.unwrap_or_default()) "#end" } aria-current=[(id == open).then_some("page")] {
                                bdi { (one["title"].as_str().unwrap_or_default()) }
                            }
                        }
                    }
                }
            }
            section.thread {
                (notice(error, true))
                ol.messages data-messages="" aria-live="polite" {
                    @if messages.is_empty() { (hello(visitor)) }
                    @for message in messages { (bubble(message)) }
                }
                (composer(visitor, open))
                span id="end" {}
                div #forget {
                    @if let Some(open) = open {
                        form method="post" action={ "/chat/" (open) "/delete" } { button.plain type="submit" { (visitor.t("Delete conversation")) } }
                    }
                }
            }
        }
    }
}

fn hello(visitor: &Visitor) -> Markup {
    let examples = [
        "Add a task to buy groceries tomorrow at 5pm",
        "What's pending?",
        "باقی کام دکھاؤ",
    ];
    html! {
        li.hello {
            span.big { (icons::spark()) }
            p.lead { (visitor.t("Say what you want to get done.")) }
            div.examples {
                @for example in examples {
                    form method="post" action="/chat" {
                        button.quiet type="submit" name="message" value=(example) data-say=(example) { bdi { (example) } }
                    }
                }
            }
        }
    }
}

fn bubble(message: &Value) -> Markup {
    let mine = message["role"] == "user";
    let provider = message["provider"].as_str();
    let empty = Vec::new();
    let calls = message["tool_calls"].as_array().unwrap_or(&empty);
    html! {
        li.message.mine[mine] {
            @for call in calls { @if let Some(text) = call_text(call) { span.deed { (text) } } }
            div.bubble.user[mine] { (message["content"].as_str().unwrap_or_default()) }
            @if let Some(provider) = provider {
                span.provider { (provider) @if let Some(model) = message["model"].as_str() { " · " (model) } }
            }
        }
    }
}

/// Says what a tool call did: "add_task → #5 Buy groceries".
fn call_text(call: &Value) -> Option<String> {
    let tool = call["tool"].as_str().filter(|tool| *tool != "ask_user")?;
    let result = &call["result"];
    Some(match (result["task_id"].as_i64(), result.as_array()) {
        (Some(id), _) => format!(
            "{tool} → #{id} {}",
            result["title"].as_str().unwrap_or_default()
        ),
        (None, Some(list)) => format!("{tool} → {}", list.len()),
        _ => tool.to_owned(),
    })
}

fn composer(visitor: &Visitor, open: Option<i64>) -> Markup {
    html! {
        form.composer #composer method="post" action="/chat" data-chat="" {
            input type="hidden" name="conversation_id" value=[open] data-conversation="";
            label.hidden for="message" { (visitor.t("Message")) }
            input id="message" name="message" maxlength="2000" autocomplete="off" dir="auto"
                placeholder=(visitor.t("Say what you want to get done."));
            button.quiet.speak type="button" hidden data-speak="" aria-label=(visitor.t("Speak")) { (icons::microphone()) }
            button type="submit" aria-label=(visitor.t("Send")) { (icons::send()) }
        }
    }
}

/// The panel that floats over the task list.
pub fn panel(visitor: &Visitor) -> Markup {
    html! {
        button.fab type="button" popovertarget="assistant" aria-label=(visitor.t("Ask the assistant")) { (icons::spark()) span { (visitor.t("Assistant")) } }
        div.panel #assistant popover="auto" aria-label=(visitor.t("Assistant")) {
            ol.messages data-messages="" aria-live="polite" {
                li.message { div.bubble { (visitor.t("Say what you want to get done.")) } }
            }
            (composer(visitor, None))
        }
    }
}
