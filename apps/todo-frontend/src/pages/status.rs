//! Which pods served this page, and whether the API answers: the page to
//! watch while something is scaled, rolled or killed.

use axum::extract::State;
use axum::response::Response;
use http::{Method, StatusCode};
use maud::html;

use super::frame::Page;
use crate::api::call;
use crate::config::UPSTREAM_KEYS;
use crate::server::App;
use crate::visitor::Visitor;

/// `GET /status`.
pub async fn show(State(app): State<App>, visitor: Visitor) -> Response {
    let health = call(app.client(), &visitor, Method::GET, "/api/health", None).await;
    let text = |value: &serde_json::Value| value.as_str().unwrap_or("unknown").to_owned();
    let mut rows: Vec<(&str, String)> = vec![
        ("Frontend pod", app.config().pod.clone()),
        ("Frontend version", env!("CARGO_PKG_VERSION").to_owned()),
    ];
    match &health {
        Ok(answer) => rows.extend([
            ("Backend", text(&answer.body["status"])),
            ("Backend pod", answer.pod().to_owned()),
            ("Backend version", text(&answer.body["version"])),
            ("Database", text(&answer.body["database"])),
        ]),
        Err(error) => rows.push(("Backend", format!("no answer: {error}"))),
    }
    let named = app.client().upstream().map(|upstream| upstream.key);
    rows.push((
        "Backend address read from",
        named.unwrap_or("nowhere").to_owned(),
    ));
    let body = html! {
        div.stack {
            h1 { "Status" }
            p.lead { "Load the page again to see which pods answer." }
            @if named.is_none() {
                p.note.bad role="alert" { "No backend is configured. Set " (UPSTREAM_KEYS.join(" or ")) "." }
            }
            div.card {
                table {
                    tbody { @for (name, value) in &rows { tr { th scope="row" { (name) } td { (value) } } } }
                }
            }
        }
    };
    let page = Page {
        title: "Status",
        path: "/status",
        narrow: false,
        body,
    };
    page.answer(&visitor, StatusCode::OK)
}
