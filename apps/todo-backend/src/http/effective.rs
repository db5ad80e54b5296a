//! `GET /api/config/effective`: every key, where its value came from, what it
//! drives. Secret values are never shown, not even in part.

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

use super::AppState;
use crate::auth::caller::Caller;
use crate::config::{KEYS, Mail, Source};

/// Shows the configuration of this pod.
pub async fn show(State(state): State<AppState>, _: Caller) -> Json<Value> {
    let config = state.config();
    let keys: Vec<Value> = KEYS
        .iter()
        .zip(&config.settings)
        .map(|(key, setting)| {
            let source = match &setting.source {
                Source::Environment => "environment".to_owned(),
                Source::File(path) => format!("file {path}"),
                Source::Default => "default".to_owned(),
            };
            let value = match (key.secret, setting.value.is_empty()) {
                (_, true) => Value::Null,
                (true, false) => "«set»".into(),
                (false, false) => setting.value.clone().into(),
            };
            json!({"key": setting.name, "value": value, "source": source, "secret": key.secret, "drives": key.drives})
        })
        .collect();
    let providers: Vec<&str> = config
        .providers
        .iter()
        .map(|provider| provider.name)
        .collect();
    Json(json!({
        "pod": config.pod,
        "version": env!("CARGO_PKG_VERSION"),
        "environment": if config.production() { "production" } else { "development" },
        "database": if matches!(config.database, crate::db::url::DatabaseUrl::Sqlite(_)) { "sqlite" } else { "postgresql" },
        "assistant": providers.into_iter().chain(["local"]).collect::<Vec<_>>(),
        "mail": match config.mail { Mail::Console => "console", Mail::Gmail { .. } => "gmail", Mail::Resend { .. } => "resend" },
        "uploads": if config.cloudinary.is_some() { "cloudinary" } else { "local" },
        "keys": keys,
    }))
}
