//! A forgotten password: ask for a link, follow it.

use axum::extract::{Form, Query, State};
use axum::response::Response;
use http::{Method, StatusCode};
use maud::html;
use serde::Deserialize;
use serde_json::json;

use super::entry::EntryForm;
use super::form::{Failed, submit};
use super::frame::{Field, Page, Width};
use crate::server::App;
use crate::visitor::Visitor;

/// The fields of both forms.
#[derive(Deserialize, Default)]
#[serde(default)]
pub struct Fields {
    email: String,
    token: String,
    password: String,
}

/// `GET /forgot-password`.
pub async fn forgot_form(visitor: Visitor) -> Response {
    forgot_page(&visitor, StatusCode::OK, None)
}

fn forgot_page(visitor: &Visitor, status: StatusCode, error: Option<&str>) -> Response {
    let label = visitor.t("Email");
    let email = Field {
        name: "email",
        label,
        kind: "email",
        complete: "email",
        value: "",
        required: true,
        hint: Some(visitor.t("We send you a link that is good for a day.")),
    };
    let fields = email.markup();
    let other = html! { p.aside { a href="/signin" { (visitor.t("Sign in")) } } };
    let form = EntryForm {
        path: "/forgot-password",
        heading: "Forgot your password?",
        button: "Send",
        fields,
        other,
    };
    form.answer(visitor, status, error)
}

/// `POST /forgot-password`.
pub async fn forgot(
    State(app): State<App>,
    visitor: Visitor,
    Form(fields): Form<Fields>,
) -> Response {
    let body = json!({"email": fields.email});
    let path = "/api/auth/forgot-password";
    match submit(&app, &visitor, Method::POST, path, Some(&body)).await {
        Ok(_) => said(
            &visitor,
            "Look into your mail",
            "If the address has an account, a link is on its way.",
        ),
        Err(Failed::Refused(status, reason)) => forgot_page(&visitor, status, Some(&reason)),
        Err(Failed::Page(page)) => *page,
    }
}

/// `GET /reset-password?token=…`.
pub async fn reset_form(visitor: Visitor, Query(fields): Query<Fields>) -> Response {
    reset_page(&visitor, StatusCode::OK, &fields.token, None)
}

fn reset_page(visitor: &Visitor, status: StatusCode, token: &str, error: Option<&str>) -> Response {
    let label = visitor.t("Password");
    let password = Field {
        name: "password",
        label,
        kind: "password",
        complete: "new-password",
        value: "",
        required: true,
        hint: Some(visitor.t("8 characters or more.")),
    };
    let fields = html! { input type="hidden" name="token" value=(token); (password.markup()) };
    let other = html! {};
    let form = EntryForm {
        path: "/reset-password",
        heading: "Choose a new password",
        button: "Save",
        fields,
        other,
    };
    form.answer(visitor, status, error)
}

/// `POST /reset-password`.
pub async fn reset(
    State(app): State<App>,
    visitor: Visitor,
    Form(fields): Form<Fields>,
) -> Response {
    let body = json!({"token": fields.token, "password": fields.password});
    let path = "/api/auth/reset-password";
    match submit(&app, &visitor, Method::POST, path, Some(&body)).await {
        Ok(_) => said(
            &visitor,
            "Your password is changed",
            "Sign in with the new one.",
        ),
        Err(Failed::Refused(status, reason)) => {
            reset_page(&visitor, status, &fields.token, Some(&reason))
        }
        Err(Failed::Page(page)) => *page,
    }
}

fn said(visitor: &Visitor, heading: &str, text: &str) -> Response {
    let body = html! {
        div.stack.entry {
            h1 { (visitor.t(heading)) }
            p.lead { (visitor.t(text)) }
            div { a.button href="/signin" { (visitor.t("Sign in")) } }
        }
    };
    Page {
        title: heading,
        path: "",
        width: Width::Narrow,
        body,
    }
    .answer(visitor, StatusCode::OK)
}
