//! The start page for those who are not signed in.

use axum::response::{IntoResponse, Redirect, Response};
use http::StatusCode;
use maud::{Markup, html};

use super::frame::{Page, Width};
use super::icons;
use crate::visitor::Visitor;

/// `GET /`.
pub async fn show(visitor: Visitor) -> Response {
    if visitor.session.is_some() {
        return Redirect::to("/dashboard").into_response();
    }
    let body = html! {
        section.hero {
            div.stack {
                p.eyebrow { (visitor.t("Tasks you can talk to")) }
                h1 { (visitor.t("A clear head, one task at a time.")) }
                p.lead { (visitor.t("Write down what is on your mind, in a list or in plain words. Tidy remembers the date, asks when it is not sure, and keeps everything on your own machine.")) }
                div.row {
                    a.button.large href="/signup" { (visitor.t("Get started")) }
                    a.button.large.quiet href="/signin" { (visitor.t("Sign in")) }
                }
            }
            (picture())
        }
        section.points {
            (point(&visitor, "Say it as you think it", "“Pay the rent by Friday, high priority” becomes a task with a date. English and Urdu, typed or spoken."))
            (point(&visitor, "It asks, it never guesses", "Two meetings on the list? Then “delete the meeting” is a question first. Nothing is lost by a misunderstanding."))
            (point(&visitor, "Yours, and offline", "No key and no account elsewhere is needed. Add an OpenAI, Gemini or Cohere key when you want more."))
        }
    };
    Page {
        title: "Tasks you can talk to",
        path: "/",
        width: Width::Wide,
        body,
    }
    .answer(&visitor, StatusCode::OK)
}

fn point(visitor: &Visitor, heading: &str, text: &str) -> Markup {
    html! { div { h2 { (visitor.t(heading)) } p { (visitor.t(text)) } } }
}

/// What the product looks like, for eyes only.
fn picture() -> Markup {
    let row = |title: &str, meta: Markup, done: bool| {
        html! {
            li.task.done[done] {
                span.tick { (icons::tick()) }
                span.body { span.title { (title) } span.meta { (meta) } }
            }
        }
    };
    html! {
        div.picture aria-hidden="true" dir="ltr" lang="en" {
            div.bubble.user { "Call mom tonight, and pay the rent by Friday" }
            div.bubble { "Added both. The rent is due Friday, I made it high priority." }
            ul.tasks {
                (row("Book the dentist", html! {}, true))
                (row("Call mom", html! { span.due { (icons::calendar()) "Today, 20:00" } }, false))
                (row("Pay the rent", html! { span.due { (icons::calendar()) "Friday" } span.chip.high { "high" } }, false))
            }
        }
    }
}
