//! Sign-up, sign-in, sign-out: plain forms; the API sets the cookie.

use axum::extract::{Form, State};
use axum::response::{IntoResponse, Redirect, Response};
use http::header::SET_COOKIE;
use http::{HeaderValue, Method, StatusCode};
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::json;

use super::failure;
use super::frame::Page;
use crate::api::{ApiFailure, call};
use crate::server::App;
use crate::visitor::{SESSION_COOKIE, Visitor};

/// The fields of both forms.
#[derive(Deserialize, Default)]
#[serde(default)]
pub struct Entry {
    name: String,
    email: String,
    password: String,
}

/// `GET /signup`.
pub async fn sign_up_form(visitor: Visitor) -> Response {
    sign_up_page(&visitor, StatusCode::OK, &Entry::default(), None)
}

/// `GET /signin`.
pub async fn sign_in_form(visitor: Visitor) -> Response {
    sign_in_page(&visitor, StatusCode::OK, &Entry::default(), None)
}

/// `POST /signup`.
pub async fn sign_up(
    State(app): State<App>,
    visitor: Visitor,
    Form(entry): Form<Entry>,
) -> Response {
    let body = json!({"email": entry.email, "password": entry.password, "name": entry.name});
    enter(
        &app,
        &visitor,
        "/api/auth/signup",
        &body,
        |status, detail| sign_up_page(&visitor, status, &entry, Some(detail)),
    )
    .await
}

/// `POST /signin`.
pub async fn sign_in(
    State(app): State<App>,
    visitor: Visitor,
    Form(entry): Form<Entry>,
) -> Response {
    let body = json!({"email": entry.email, "password": entry.password});
    enter(
        &app,
        &visitor,
        "/api/auth/signin",
        &body,
        |status, detail| sign_in_page(&visitor, status, &entry, Some(detail)),
    )
    .await
}

async fn enter(
    app: &App,
    visitor: &Visitor,
    path: &str,
    body: &serde_json::Value,
    again: impl FnOnce(StatusCode, &str) -> Response,
) -> Response {
    if !visitor.same_origin {
        return failure::foreign_form(visitor);
    }
    match call(app.client(), visitor, Method::POST, path, Some(body)).await {
        Ok(answer) => {
            let mut response = Redirect::to("/dashboard").into_response();
            for cookie in answer.headers.get_all(SET_COOKIE) {
                response.headers_mut().append(SET_COOKIE, cookie.clone());
            }
            response
        }
        Err(ApiFailure::Refused { status, detail }) => again(status, &detail),
        Err(other) => failure::page(app, visitor, &other),
    }
}

/// `POST /signout`.
pub async fn sign_out(visitor: Visitor) -> Response {
    if !visitor.same_origin {
        return failure::foreign_form(&visitor);
    }
    let mut response = Redirect::to("/").into_response();
    let gone = format!("{SESSION_COOKIE}=; Path=/; HttpOnly; SameSite=Lax; Max-Age=0");
    if let Ok(cookie) = HeaderValue::from_str(&gone) {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
    response
}

fn sign_up_page(
    visitor: &Visitor,
    status: StatusCode,
    entry: &Entry,
    error: Option<&str>,
) -> Response {
    let fields = html! {
        (input("name", "Name", "text", "name", &entry.name, false))
        (input("email", "Email", "email", "email", &entry.email, true))
        (input("password", "Password", "password", "new-password", "", true))
        p.hint id="password-hint" { "8 characters or more." }
    };
    let other = html! { p { "Already here? " a href="/signin" { "Sign in" } } };
    entry_page(
        visitor,
        status,
        "/signup",
        "Create your account",
        "Create account",
        fields,
        other,
        error,
    )
}

fn sign_in_page(
    visitor: &Visitor,
    status: StatusCode,
    entry: &Entry,
    error: Option<&str>,
) -> Response {
    let fields = html! {
        (input("email", "Email", "email", "email", &entry.email, true))
        (input("password", "Password", "password", "current-password", "", true))
    };
    let other = html! { p { "New here? " a href="/signup" { "Create an account" } } };
    entry_page(
        visitor,
        status,
        "/signin",
        "Welcome back",
        "Sign in",
        fields,
        other,
        error,
    )
}

#[allow(clippy::too_many_arguments)]
fn entry_page(
    visitor: &Visitor,
    status: StatusCode,
    path: &str,
    heading: &str,
    button: &str,
    fields: Markup,
    other: Markup,
    error: Option<&str>,
) -> Response {
    let body = html! {
        div.stack {
            h1 { (heading) }
            @if let Some(error) = error { p.note.bad role="alert" { (sentence(error)) } }
            form.card.stack method="post" action=(path) {
                (fields)
                button type="submit" { (button) }
            }
            (other)
        }
    };
    Page {
        title: heading,
        path,
        narrow: true,
        body,
    }
    .answer(visitor, status)
}

fn input(
    name: &str,
    label: &str,
    kind: &str,
    complete: &str,
    value: &str,
    required: bool,
) -> Markup {
    html! {
        div.field {
            label for=(name) { (label) }
            input id=(name) name=(name) type=(kind) autocomplete=(complete) value=(value) required[required]
                minlength=[(complete == "new-password").then_some("8")];
        }
    }
}

/// Makes a sentence of an API message, which begins in lower case.
pub fn sentence(text: &str) -> String {
    let mut characters = text.chars();
    let first = characters
        .next()
        .map(|first| first.to_uppercase().to_string())
        .unwrap_or_default();
    format!("{first}{}.", characters.as_str().trim_end_matches('.'))
}
