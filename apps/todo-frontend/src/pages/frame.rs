//! The frame of every page: head, navigation, main part, footer.

use axum::response::{Html, IntoResponse, Response};
use http::StatusCode;
use maud::{DOCTYPE, Markup, html};

use super::icons;
use crate::assets;
use crate::language::Language;
use crate::visitor::{Session, Visitor};

/// The name of the product.
pub const PRODUCT: &str = "Tidy";

/// How wide the main part is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Width {
    /// A single form.
    Narrow,
    /// Something to read.
    Medium,
    /// Several columns.
    Wide,
}

/// What a page hands to its frame.
pub struct Page<'a> {
    /// Title of the window, without the product's name.
    pub title: &'a str,
    /// Path of the page, which marks its link in the navigation.
    pub path: &'a str,
    /// How wide the main part is.
    pub width: Width,
    /// The main part.
    pub body: Markup,
}

impl Page<'_> {
    /// Returns the whole answer.
    pub fn answer(self, visitor: &Visitor, status: StatusCode) -> Response {
        (status, Html(self.markup(visitor).into_string())).into_response()
    }

    fn markup(self, visitor: &Visitor) -> Markup {
        let width = match self.width {
            Width::Narrow => "narrow",
            Width::Medium => "medium",
            Width::Wide => "wide",
        };
        html! {
            (DOCTYPE)
            html lang=(visitor.language.code()) dir=(visitor.language.direction()) data-theme=(visitor.theme) {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    meta name="description" content=(visitor.t("Tasks you can talk to"));
                    title { (visitor.t(self.title)) " · " (PRODUCT) }
                    link rel="icon" href=(assets::icon_path()) type="image/svg+xml";
                    link rel="stylesheet" href=(assets::style_path());
                    script src=(assets::script_path()) defer {}
                }
                body {
                    a.skip href="#main" { (visitor.t("Skip to content")) }
                    (header(visitor, self.path))
                    main id="main" class=(width) tabindex="-1" { (self.body) }
                    div.toasts #toasts role="status" {}
                    (footer(visitor))
                }
            }
        }
    }
}

fn footer(visitor: &Visitor) -> Markup {
    let other = match visitor.language {
        Language::English => ("ur", "اردو"),
        Language::Urdu => ("en", "English"),
    };
    html! {
        footer.foot {
            div {
                span { (PRODUCT) " " (env!("CARGO_PKG_VERSION")) }
                @if visitor.development { span.chip { "NODE_ENV: development" } }
                form method="post" action="/language" {
                    input type="hidden" name="back" value=[visitor.here.as_deref()];
                    button.plain type="submit" name="language" value=(other.0) lang=(other.0) { (other.1) }
                }
                a href="/status" { (visitor.t("Status")) }
            }
        }
    }
}

fn header(visitor: &Visitor, path: &str) -> Markup {
    let link = |target: &str, text: &str| {
        html! { a href=(target) aria-current=[(path == target).then_some("page")] { (visitor.t(text)) } }
    };
    html! {
        header.top {
            div {
                a.brand href="/" { img src=(assets::icon_path()) alt="" width="30" height="30"; span { (PRODUCT) } }
                nav aria-label=(visitor.t("Main")) {
                    @if let Some(session) = &visitor.session {
                        (link("/dashboard", "Tasks"))
                        (link("/chat", "Assistant"))
                        (account(visitor, session))
                    } @else {
                        (link("/signin", "Sign in"))
                        a.button href="/signup" { (visitor.t("Get started")) }
                    }
                }
            }
        }
    }
}

fn account(visitor: &Visitor, session: &Session) -> Markup {
    let initial: String = session
        .name
        .chars()
        .next()
        .into_iter()
        .flat_map(char::to_uppercase)
        .collect();
    html! {
        details.account {
            summary aria-label={ (visitor.t("Account")) ": " (session.name) } { span.avatar aria-hidden="true" { (initial) } }
            div.menu {
                p.who { (session.name) }
                a href="/notifications" { (icons::bell()) (visitor.t("Reminders")) }
                a href="/settings" { (visitor.t("Settings")) }
                a href="/status" { (visitor.t("Status")) }
                form method="post" action="/signout" { button.plain type="submit" { (visitor.t("Sign out")) } }
            }
        }
    }
}

/// A message above the main part.
pub fn notice(text: Option<&str>, bad: bool) -> Markup {
    html! {
        @if let Some(text) = text {
            p.note.bad[bad] role=(if bad { "alert" } else { "status" }) { (text) }
        }
    }
}

/// A text field with its label.
pub struct Field<'a> {
    /// Name and id.
    pub name: &'a str,
    /// What the label says.
    pub label: &'a str,
    /// The type of the input.
    pub kind: &'a str,
    /// The autocomplete token.
    pub complete: &'a str,
    /// What it holds.
    pub value: &'a str,
    /// Whether it must be filled.
    pub required: bool,
    /// A word of help below it.
    pub hint: Option<&'a str>,
}

impl Field<'_> {
    /// Returns label and input.
    pub fn markup(&self) -> Markup {
        let least = (self.complete == "new-password").then_some("8");
        let described = self.hint.map(|_| format!("{}-hint", self.name));
        html! {
            div.field {
                label for=(self.name) { (self.label) }
                input id=(self.name) name=(self.name) type=(self.kind) autocomplete=(self.complete)
                    value=(self.value) required[self.required] minlength=[least] aria-describedby=[&described];
                @if let Some(hint) = self.hint { p.hint id=[&described] { (hint) } }
            }
        }
    }
}
