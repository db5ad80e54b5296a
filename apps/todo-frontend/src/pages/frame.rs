//! The frame of every page: head, navigation, main part, footer.

use axum::response::{Html, IntoResponse, Response};
use http::StatusCode;
use maud::{DOCTYPE, Markup, html};

use crate::assets;
use crate::visitor::Visitor;

/// The name of the product.
pub const PRODUCT: &str = "Tidy";

/// What a page hands to its frame.
pub struct Page<'a> {
    /// Title of the window, without the product's name.
    pub title: &'a str,
    /// Path of the page, which marks its link in the navigation.
    pub path: &'a str,
    /// Whether the main part is one narrow column.
    pub narrow: bool,
    /// The main part.
    pub body: Markup,
}

impl Page<'_> {
    /// Returns the whole answer.
    pub fn answer(self, visitor: &Visitor, status: StatusCode) -> Response {
        (status, Html(self.markup(visitor).into_string())).into_response()
    }

    fn markup(self, visitor: &Visitor) -> Markup {
        html! {
            (DOCTYPE)
            html lang="en" dir="ltr" data-theme=(visitor.theme) {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    title { (self.title) " · " (PRODUCT) }
                    link rel="icon" href=(assets::icon_path()) type="image/svg+xml";
                    link rel="stylesheet" href=(assets::style_path());
                    script src=(assets::script_path()) defer {}
                }
                body {
                    a.skip href="#main" { "Skip to content" }
                    (header(visitor, self.path))
                    main id="main" class=[self.narrow.then_some("narrow")] { (self.body) }
                    footer.foot {
                        div {
                            span { (PRODUCT) " " (env!("CARGO_PKG_VERSION")) }
                            a href="/status" { "Status" }
                        }
                    }
                }
            }
        }
    }
}

fn header(visitor: &Visitor, path: &str) -> Markup {
    let link = |target: &str, text: &str| {
        html! { a href=(target) aria-current=[(path == target).then_some("page")] { (text) } }
    };
    html! {
        header.top {
            div {
                a.brand href="/" { img src=(assets::icon_path()) alt=""; (PRODUCT) }
                nav aria-label="Main" {
                    @if let Some(session) = &visitor.session {
                        (link("/dashboard", "Tasks"))
                        span.hint { (session.name) }
                        form method="post" action="/signout" { button.plain type="submit" { "Sign out" } }
                    } @else {
                        (link("/signin", "Sign in"))
                        a.button href="/signup" { "Get started" }
                    }
                }
            }
        }
    }
}
