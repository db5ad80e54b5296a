//! Forgotten passwords, and the development outbox where their mails are seen.

use axum::Json;
use axum::extract::{Request, State};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderMap, StatusCode};
use ring::rand::{SecureRandom, SystemRandom};
use serde_json::{Value, json};

use super::AppState;
use super::accounts::{email_of, new_password_of};
use super::error::ApiError;
use super::input::Body;
use super::limit::{client_address, too_many};
use crate::auth::caller::Caller;
use crate::auth::password;
use crate::config::{Config, Mail};
use crate::mail;
use crate::model::{outbox, resets, users};
use crate::time::{Millis, now};

const HOUR_MS: Millis = 3_600_000;

async fn body_of(request: Request, state: &AppState) -> Result<Body, ApiError> {
    <Body as axum::extract::FromRequest<AppState>>::from_request(request, state).await
}

fn take(state: &AppState, key: &str, burst: u32) -> Result<(), ApiError> {
    if state.config().rate_limit == 0 {
        return Ok(());
    }
    let grant = state.limiter().take(key, burst, HOUR_MS, now());
    if grant.allowed {
        Ok(())
    } else {
        Err(too_many(grant.retry_after_seconds))
    }
}

/// `POST /api/auth/forgot-password`: the same answer for every address.
pub async fn forgot(
    State(state): State<AppState>,
    request: Request,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    let client = client_address(&request);
    let headers = request.headers().clone();
    let body = body_of(request, &state).await?;
    let email = email_of(&body)?;
    take(&state, &format!("forgot {client} {email}"), 3)?;
    if let Some(user) = users::by_email(state.database(), &email).await? {
        let token = new_token()?;
        resets::remember(
            state.database(),
            &state.config().link_secret,
            &user.id,
            &token,
        )
        .await?;
        let link = format!(
            "{}/reset-password?token={token}",
            link_base(&state.config(), &headers)
        );
        let text = format!(
            "Hello {},\n\nsomeone, hopefully you, asked for a new password.\n\
             Choose it here within 24 hours:\n\n{link}\n\n\
             If it was not you, do nothing: your password stays as it is.\n",
            user.name
        );
        mail::send_later(&state, &user.email, "Choose a new password", text);
    }
    let text = "if the address has an account, a mail is on its way";
    Ok((StatusCode::ACCEPTED, Json(json!({"message": text}))))
}

/// `POST /api/auth/reset-password`.
pub async fn reset(
    State(state): State<AppState>,
    request: Request,
) -> Result<Json<Value>, ApiError> {
    let client = client_address(&request);
    let body = body_of(request, &state).await?;
    let token = body.text("token", 1, 200)?;
    let password = new_password_of(&body)?;
    take(&state, &format!("reset {client}"), 5)?;
    let hash = password::hash(password).await;
    if resets::redeem(state.database(), &state.config().link_secret, &token, &hash).await? {
        return Ok(Json(json!({"message": "the password is changed, sign in"})));
    }
    Err(ApiError::new(
        StatusCode::BAD_REQUEST,
        "invalid_token",
        "the link is used up or too old",
    ))
}

fn new_token() -> Result<String, ApiError> {
    let mut bytes = [0u8; 32];
    SystemRandom::new().fill(&mut bytes).map_err(|_| {
        ApiError::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal_error",
            "no randomness",
        )
    })?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

/// Where links lead: the configured address, else the host that was asked,
/// but only one that no stranger can make up for someone else.
fn link_base(config: &Config, headers: &HeaderMap) -> String {
    if let Some(url) = &config.public_url {
        return url.clone();
    }
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let host = text("x-forwarded-host")
        .or_else(|| text("host"))
        .unwrap_or_default();
    let scheme = if text("x-forwarded-proto") == Some("https") {
        "https"
    } else {
        "http"
    };
    let origin = format!("{scheme}://{}", host.to_ascii_lowercase());
    let name = host.split(':').next().unwrap_or_default();
    let near = name == "localhost" || name.ends_with(".localhost") || name == "127.0.0.1";
    if near || config.origins.contains(&origin) {
        origin
    } else {
        String::new()
    }
}

/// `GET /api/dev/outbox`: in development, with the console provider.
pub async fn outbox(State(state): State<AppState>, _: Caller) -> Result<Json<Value>, ApiError> {
    let config = state.config();
    if config.production() || !matches!(config.mail, Mail::Console) {
        return Err(ApiError::not_found());
    }
    Ok(Json(Value::Array(outbox::list(state.database()).await?)))
}
