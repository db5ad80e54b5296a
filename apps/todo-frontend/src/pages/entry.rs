//! Sign-up, sign-in, sign-out: plain forms; the API sets the cookie.

use axum::extract::{Form, Query, State};
use axum::response::{IntoResponse, Redirect, Response};
use http::header::SET_COOKIE;
use http::{HeaderValue, Method, StatusCode};
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::{Value, json};

use super::form::{Failed, submit};
use super::frame::{Field, Page, Width, notice};
use super::{failure, local};
use crate::api::call;
use crate::server::App;
use crate::visitor::{LANGUAGE_COOKIE, SESSION_COOKIE, THEME_COOKIE, Visitor, ZONE_COOKIE};

/// The fields of both forms.
#[derive(Deserialize, Default)]
#[serde(default)]
pub struct Entry {
    name: String,
    email: String,
    password: String,
    next: String,
}

impl Entry {
    /// Where to go after signing in.
    fn next(&self) -> &str {
        local(&self.next, "/dashboard")
    }
}

/// `GET /signup`.
pub async fn sign_up_form(visitor: Visitor) -> Response {
    sign_up_page(&visitor, StatusCode::OK, &Entry::default(), None)
}

/// `GET /signin`.
pub async fn sign_in_form(visitor: Visitor, Query(entry): Query<Entry>) -> Response {
    let entry = Entry {
        next: entry.next,
        ..Entry::default()
    };
    sign_in_page(&visitor, StatusCode::OK, &entry, None)
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
        entry.next(),
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
        entry.next(),
        |status, detail| sign_in_page(&visitor, status, &entry, Some(detail)),
    )
    .await
}

async fn enter(
    app: &App,
    visitor: &Visitor,
    path: &str,
    body: &Value,
    next: &str,
    again: impl FnOnce(StatusCode, &str) -> Response,
) -> Response {
    match submit(app, visitor, Method::POST, path, Some(body)).await {
        Ok(answer) => {
            let mut response = Redirect::to(next).into_response();
            for cookie in answer.headers.get_all(SET_COOKIE) {
                response.headers_mut().append(SET_COOKIE, cookie.clone());
            }
            let prefs = &answer.body["user"]["prefs"];
            let new = path.ends_with("signup");
            if new {
                keep_zone(app, visitor, &answer.body).await;
            } else {
                set_choices(&mut response, prefs);
            }
            response
        }
        Err(Failed::Refused(status, reason)) => again(status, &reason),
        Err(Failed::Page(page)) => *page,
    }
}

/// Tells the API the time zone that the browser found; a failure costs only
/// that the person sets it later.
async fn keep_zone(app: &App, visitor: &Visitor, answer: &Value) {
    let Some(zone) = visitor.zone.iana_name().filter(|zone| *zone != "UTC") else {
        return;
    };
    let Some(signed_in) = visitor.signed_in(answer["token"].as_str().unwrap_or_default()) else {
        return;
    };
    let body = json!({"timezone": zone});
    if let Err(error) = call(
        app.client(),
        &signed_in,
        Method::PATCH,
        "/api/users/me",
        Some(&body),
    )
    .await
    {
        tracing::info!("the time zone was not kept: {error}");
    }
}

/// Puts a person's choices into cookies, where every page finds them.
pub fn set_choices(response: &mut Response, prefs: &Value) {
    for (cookie, key) in [
        (THEME_COOKIE, "theme"),
        (LANGUAGE_COOKIE, "language"),
        (ZONE_COOKIE, "timezone"),
    ] {
        let Some(value) = prefs[key].as_str() else {
            continue;
        };
        let text = format!("{cookie}={value}; Path=/; SameSite=Lax; Max-Age=31536000");
        if let Ok(value) = HeaderValue::from_str(&text) {
            response.headers_mut().append(SET_COOKIE, value);
        }
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
        (field(visitor, "name", "Name", "text", "name", &entry.name, false))
        (field(visitor, "email", "Email", "email", "email", &entry.email, true))
        (Field { hint: Some(visitor.t("8 characters or more.")), ..field_of(visitor, "password", "Password", "password", "new-password", "", true) }.markup())
    };
    let other = html! { p.aside { (visitor.t("Already here?")) " " a href="/signin" { (visitor.t("Sign in")) } } };
    let form = EntryForm {
        path: "/signup",
        heading: "Create your account",
        button: "Create account",
        fields,
        other,
    };
    form.answer(visitor, status, error)
}

fn sign_in_page(
    visitor: &Visitor,
    status: StatusCode,
    entry: &Entry,
    error: Option<&str>,
) -> Response {
    let fields = html! {
        (field(visitor, "email", "Email", "email", "email", &entry.email, true))
        (field(visitor, "password", "Password", "password", "current-password", "", true))
        @if entry.next() != "/dashboard" { input type="hidden" name="next" value=(entry.next()); }
        p.hint { a href="/forgot-password" { (visitor.t("Forgot your password?")) } }
    };
    let other = html! { p.aside { (visitor.t("New here?")) " " a href="/signup" { (visitor.t("Create your account")) } } };
    let form = EntryForm {
        path: "/signin",
        heading: "Welcome back",
        button: "Sign in",
        fields,
        other,
    };
    form.answer(visitor, status, error)
}

fn field(
    visitor: &Visitor,
    name: &str,
    label: &str,
    kind: &str,
    complete: &str,
    value: &str,
    required: bool,
) -> Markup {
    field_of(visitor, name, label, kind, complete, value, required).markup()
}

fn field_of<'a>(
    visitor: &Visitor,
    name: &'a str,
    label: &'a str,
    kind: &'a str,
    complete: &'a str,
    value: &'a str,
    required: bool,
) -> Field<'a> {
    Field {
        name,
        label: visitor.t(label),
        kind,
        complete,
        value,
        required,
        hint: None,
    }
}

/// A page that is one form.
pub struct EntryForm<'a> {
    /// Where it is sent.
    pub path: &'a str,
    /// What it is about.
    pub heading: &'a str,
    /// What the button says.
    pub button: &'a str,
    /// The fields.
    pub fields: Markup,
    /// What stands below.
    pub other: Markup,
}

impl EntryForm<'_> {
    /// Returns the whole answer.
    pub fn answer(self, visitor: &Visitor, status: StatusCode, error: Option<&str>) -> Response {
        let body = html! {
            div.stack.entry {
                h1 { (visitor.t(self.heading)) }
                (notice(error, true))
                form.card.stack method="post" action=(self.path) {
                    (self.fields)
                    button type="submit" { (visitor.t(self.button)) }
                }
                (self.other)
            }
        };
        Page {
            title: self.heading,
            path: self.path,
            width: Width::Narrow,
            body,
        }
        .answer(visitor, status)
    }
}
