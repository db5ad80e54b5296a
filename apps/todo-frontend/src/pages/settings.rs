//! Profile, picture, appearance, language, reminders.

use axum::extract::{Form, Query, Request, State};
use axum::response::{IntoResponse, Redirect, Response};
use http::{Method, StatusCode};
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::{Value, json};

use super::entry::set_choices;
use super::form::{Failed, submit};
use super::frame::{Page, Width, notice};
use super::task::pass_on;
use super::{failure, local, sentence};
use crate::api::{ApiFailure, call};
use crate::server::App;
use crate::visitor::Visitor;

/// The form.
#[derive(Deserialize, Default)]
#[serde(default)]
pub struct Choices {
    name: String,
    theme: String,
    language: String,
    timezone: String,
    email_reminders: Option<String>,
}

/// What just happened.
#[derive(Deserialize, Default)]
#[serde(default)]
pub struct Outcome {
    saved: Option<String>,
}

/// `GET /settings`.
pub async fn show(
    State(app): State<App>,
    visitor: Visitor,
    Query(outcome): Query<Outcome>,
) -> Response {
    render(
        &app,
        &visitor,
        StatusCode::OK,
        outcome.saved.is_some(),
        None,
    )
    .await
}

async fn render(
    app: &App,
    visitor: &Visitor,
    status: StatusCode,
    saved: bool,
    error: Option<&str>,
) -> Response {
    match call(app.client(), visitor, Method::GET, "/api/users/me", None).await {
        Ok(answer) => {
            let body = body(visitor, &answer.body, saved, error);
            Page {
                title: "Settings",
                path: "/settings",
                width: Width::Medium,
                body,
            }
            .answer(visitor, status)
        }
        Err(failure) => failure::page(app, visitor, &failure),
    }
}

/// `POST /settings`.
pub async fn save(
    State(app): State<App>,
    visitor: Visitor,
    Form(choices): Form<Choices>,
) -> Response {
    let body = json!({
        "name": choices.name,
        "prefs": {
            "theme": choices.theme,
            "language": choices.language,
            "timezone": choices.timezone,
            "email_reminders": choices.email_reminders.is_some(),
        },
    });
    match submit(&app, &visitor, Method::PATCH, "/api/users/me", Some(&body)).await {
        Ok(answer) => {
            let mut response = Redirect::to("/settings?saved=1").into_response();
            set_choices(&mut response, &answer.body["prefs"]);
            response
        }
        Err(Failed::Refused(status, reason)) => {
            render(&app, &visitor, status, false, Some(&reason)).await
        }
        Err(Failed::Page(page)) => *page,
    }
}

/// The form in the footer.
#[derive(Deserialize, Default)]
#[serde(default)]
pub struct LanguageChoice {
    language: String,
    back: String,
}

/// `POST /language`: for this browser, signed in or not.
pub async fn language(visitor: Visitor, Form(choice): Form<LanguageChoice>) -> Response {
    if !visitor.same_origin {
        return failure::foreign_form(&visitor);
    }
    let mut response = Redirect::to(local(&choice.back, "/")).into_response();
    let code = if choice.language == "ur" { "ur" } else { "en" };
    set_choices(&mut response, &json!({"language": code}));
    response
}

/// `POST /settings/avatar`.
pub async fn avatar(State(app): State<App>, visitor: Visitor, request: Request) -> Response {
    if !visitor.same_origin {
        return failure::foreign_form(&visitor);
    }
    match pass_on(&app, &visitor, request, "/api/users/me/avatar").await {
        Ok(()) => Redirect::to("/settings?saved=1").into_response(),
        Err(ApiFailure::Refused { status, detail }) => {
            render(&app, &visitor, status, false, Some(&sentence(&detail))).await
        }
        Err(failure) => failure::page(&app, &visitor, &failure),
    }
}

fn body(visitor: &Visitor, user: &Value, saved: bool, error: Option<&str>) -> Markup {
    html! {
        div.head { h1 { (visitor.t("Settings")) } }
        div.stack {
            (notice(error, true))
            (notice(saved.then(|| visitor.t("Saved.")), false))
            (choices_form(visitor, user))
            (picture_form(visitor, user))
        }
    }
}

fn choices_form(visitor: &Visitor, user: &Value) -> Markup {
    let prefs = &user["prefs"];
    let themes = [
        ("system", "Like the device"),
        ("light", "Light"),
        ("dark", "Dark"),
    ];
    let languages = [("en", "English"), ("ur", "اردو")];
    html! {
        form.card.stack method="post" action="/settings" {
            h2 { (visitor.t("Profile")) }
            div.field { label for="name" { (visitor.t("Name")) } input id="name" name="name" autocomplete="name" value=(user["name"].as_str().unwrap_or_default()) required maxlength="100"; }
            p.hint { (visitor.t("Email")) ": " bdi { (user["email"].as_str().unwrap_or_default()) } }
            fieldset.segments-field {
                legend { (visitor.t("Theme")) }
                @for (value, text) in themes {
                    label { input type="radio" name="theme" value=(value) checked[prefs["theme"] == value]; span { (visitor.t(text)) } }
                }
            }
            fieldset.segments-field {
                legend { (visitor.t("Language")) }
                @for (value, text) in languages {
                    label { input type="radio" name="language" value=(value) checked[prefs["language"] == value]; span lang=(value) { (text) } }
                }
            }
            div.field {
                label for="timezone" { (visitor.t("Time zone")) }
                input id="timezone" name="timezone" value=(prefs["timezone"].as_str().unwrap_or("UTC")) required list="zones" data-zone="";
                datalist id="zones" { @for zone in ["UTC", "Asia/Karachi", "Asia/Kolkata", "Asia/Dubai", "Europe/London", "Europe/Berlin", "America/New_York", "America/Los_Angeles", "Australia/Sydney"] { option value=(zone) {} } }
            }
            label.check { input type="checkbox" name="email_reminders" checked[prefs["email_reminders"] == true]; span { (visitor.t("Also send reminders by email")) } }
            div { button type="submit" { (visitor.t("Save")) } }
        }
    }
}

fn picture_form(visitor: &Visitor, user: &Value) -> Markup {
    html! {
        section.card.stack {
            h2 { (visitor.t("Picture")) }
            div.row {
                @if let Some(url) = user["avatar_url"].as_str() { img.portrait src=(url) alt="Your picture" width="72" height="72"; }
                form.row.grow method="post" action="/settings/avatar" enctype="multipart/form-data" {
                    label.hidden for="avatar" { (visitor.t("Picture")) }
                    input.grow id="avatar" name="file" type="file" required accept=".png,.jpg,.jpeg,.webp";
                    button.quiet type="submit" { (visitor.t("Upload")) }
                }
            }
            p.hint { (visitor.t("PNG, JPEG or WebP, 5 MB at most.")) }
        }
    }
}
