//! Which pods served this page, and whether the API answers: the page to
//! watch while something is scaled, rolled or killed.

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use http::{Method, StatusCode};
use maud::{Markup, html};
use serde_json::{Value, json};

use super::frame::{Page, Width};
use crate::api::{Answer, ApiFailure, call};
use crate::config::UPSTREAM_KEYS;
use crate::server::App;
use crate::visitor::Visitor;

/// `GET /status`.
pub async fn show(State(app): State<App>, visitor: Visitor) -> Response {
    let health = call(app.client(), &visitor, Method::GET, "/api/health", None).await;
    let keys = match &visitor.session {
        None => None,
        Some(_) => call(
            app.client(),
            &visitor,
            Method::GET,
            "/api/config/effective",
            None,
        )
        .await
        .ok(),
    };
    let body = html! {
        div.head { div { h1 { "Status" } p.hint { "Load the page again, or just wait, and see which pods answer." } } }
        div.stack {
            @if app.client().upstream().is_none() {
                p.note.bad role="alert" { "No backend is configured. Set " (UPSTREAM_KEYS.join(" or ")) "." }
            }
            div.pods { (frontend(&app)) (backend(&app, &health)) }
            section.card.stack.scripted-only data-live="" {
                h2 { "Answers, live" }
                div.dots data-dots="" aria-hidden="true" {}
                p.hint data-live-text="" aria-live="off" { "Asking once a second." }
            }
            @if let Some(keys) = keys { (configuration(&keys.body)) }
        }
    };
    Page {
        title: "Status",
        path: "/status",
        width: Width::Wide,
        body,
    }
    .answer(&visitor, StatusCode::OK)
}

/// `GET /status/live`: what the page asks once a second.
pub async fn live(State(app): State<App>, visitor: Visitor) -> Json<Value> {
    let health = call(app.client(), &visitor, Method::GET, "/api/health", None).await;
    let frontend = &app.config().pod;
    Json(match health {
        Ok(answer) => json!({
            "frontend": frontend,
            "backend": answer.pod(),
            "status": answer.body["status"],
            "database": answer.body["database"],
        }),
        Err(_) => json!({"frontend": frontend, "backend": null, "status": "away"}),
    })
}

fn card(heading: &str, good: bool, state: &str, rows: &[(&str, String)]) -> Markup {
    html! {
        section.card.pod {
            h2 { (heading) }
            p.state.good[good] { span aria-hidden="true" {} (state) }
            dl { @for (name, value) in rows { div { dt { (name) } dd { bdi { (value) } } } } }
        }
    }
}

fn frontend(app: &App) -> Markup {
    let rows = [
        ("Pod", app.config().pod.clone()),
        ("Version", env!("CARGO_PKG_VERSION").to_owned()),
        (
            "Mode",
            if app.config().production {
                "production"
            } else {
                "development"
            }
            .to_owned(),
        ),
    ];
    card("Frontend", true, "healthy", &rows)
}

fn backend(app: &App, health: &Result<Answer, ApiFailure>) -> Markup {
    let named = app
        .client()
        .upstream()
        .map_or("nowhere", |upstream| upstream.key);
    let text = |value: &Value| value.as_str().unwrap_or("unknown").to_owned();
    match health {
        Ok(answer) => {
            let state = text(&answer.body["status"]);
            let rows = [
                ("Pod", answer.pod().to_owned()),
                ("Version", text(&answer.body["version"])),
                ("Database", text(&answer.body["database"])),
                ("Address from", named.to_owned()),
            ];
            card("Backend", state == "healthy", &state, &rows)
        }
        Err(error) => {
            tracing::warn!("{error}");
            let cause = if app.config().production {
                "see the log".to_owned()
            } else {
                error.to_string()
            };
            card(
                "Backend",
                false,
                "no answer",
                &[("Reason", cause), ("Address from", named.to_owned())],
            )
        }
    }
}

fn configuration(answer: &Value) -> Markup {
    let empty = Vec::new();
    let keys = answer["keys"].as_array().unwrap_or(&empty);
    html! {
        section.card.stack {
            h2 { "Configuration of the backend" }
            p.hint { "Every key, where its value comes from, and what it does. Secrets are not shown." }
            div.scroll tabindex="0" role="region" aria-label="Configuration" {
                table {
                    thead { tr { th scope="col" { "Key" } th scope="col" { "Value" } th scope="col" { "From" } th scope="col" { "Drives" } } }
                    tbody {
                        @for key in keys {
                            tr {
                                th scope="row" { code { (key["key"].as_str().unwrap_or_default()) } }
                                td { (key["value"].as_str().unwrap_or("—")) }
                                td { (key["source"].as_str().unwrap_or_default()) }
                                td { (key["drives"].as_str().unwrap_or_default()) }
                            }
                        }
                    }
                }
            }
        }
    }
}
