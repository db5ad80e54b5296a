//! Sign-up, sign-in, sign-out, the session and the profile.

use axum::Json;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::header::SET_COOKIE;
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};

use super::AppState;
use super::error::ApiError;
use super::input::{Body, text_of};
use super::limit::{client_address, too_many};
use crate::auth::caller::{Caller, set_cookie};
use crate::auth::password;
use crate::db::DbError;
use crate::model::users::{self, User};
use crate::time::{self, now};

/// `POST /api/auth/signup`.
pub async fn sign_up(
    State(state): State<AppState>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let email = email_of(&body)?;
    let password = new_password_of(&body)?;
    let name = body.text("name", 0, 100)?;
    let name = if name.is_empty() {
        local_part(&email)
    } else {
        name
    };
    let hash = password::hash(password).await;
    let user = match users::create(state.database(), &email, hash, &name).await {
        Err(DbError::Conflict) => {
            let detail = "this address has an account already";
            return Err(ApiError::new(StatusCode::CONFLICT, "email_taken", detail));
        }
        other => other?,
    };
    Ok(session_answer(&state, &headers, &user, StatusCode::CREATED))
}

/// `POST /api/auth/signin`. The answer does not tell whether the address is
/// known, nor does its time; ten tries a minute for one address.
pub async fn sign_in(
    State(state): State<AppState>,
    request: Request,
) -> Result<Response, ApiError> {
    let headers = request.headers().clone();
    let client = client_address(&request);
    let body =
        <Body as axum::extract::FromRequest<AppState>>::from_request(request, &state).await?;
    let email = email_of(&body)?;
    let given = body.raw("password")?.unwrap_or_default().to_owned();
    if state.config().rate_limit != 0 {
        let grant = state
            .limiter()
            .take(&format!("signin {client} {email}"), 10, 60_000, now());
        if !grant.allowed {
            return Err(too_many(grant.retry_after_seconds));
        }
    }
    let user = users::by_email(state.database(), &email).await?;
    let hash = user.as_ref().map(|user| user.password_hash.clone());
    let right = password::verify(given, hash).await;
    match user.filter(|_| right) {
        Some(user) => Ok(session_answer(&state, &headers, &user, StatusCode::OK)),
        None => Err(ApiError::new(
            StatusCode::UNAUTHORIZED,
            "invalid_credentials",
            "address or password is wrong",
        )),
    }
}

/// `POST /api/auth/signout`: tokens end by themselves, the cookie ends now.
pub async fn sign_out(_: Caller, headers: HeaderMap) -> Response {
    let mut response = Json(json!({"message": "signed out"})).into_response();
    if let Some(cookie) = set_cookie("", 0, is_secure(&headers)) {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
    response
}

/// `GET /api/auth/session`.
pub async fn session(
    State(state): State<AppState>,
    caller: Caller,
) -> Result<Json<Value>, ApiError> {
    let user = existing(&state, &caller).await?;
    Ok(Json(
        json!({"user": user.json(), "expires_at": time::text(caller.expires_at)}),
    ))
}

/// `GET /api/auth/jwks`: no public keys exist for HMAC.
pub async fn jwks() -> Json<Value> {
    Json(json!({"keys": []}))
}

/// `GET /api/users/me`.
pub async fn profile(
    State(state): State<AppState>,
    caller: Caller,
) -> Result<Json<Value>, ApiError> {
    Ok(Json(existing(&state, &caller).await?.json()))
}

/// `PATCH /api/users/me`: name and choices; absent fields stay.
pub async fn update_profile(
    State(state): State<AppState>,
    caller: Caller,
    body: Body,
) -> Result<Json<Value>, ApiError> {
    let mut user = existing(&state, &caller).await?;
    if body.0.contains_key("name") {
        user.name = body.text("name", 1, 100)?;
    }
    let nested = match body.0.get("prefs") {
        Some(Value::Object(prefs)) => prefs.clone(),
        _ => body.0.clone(),
    };
    change_prefs(&mut user.prefs, &nested)?;
    users::update_profile(state.database(), &user).await?;
    Ok(Json(user.json()))
}

fn change_prefs(
    prefs: &mut users::Prefs,
    changes: &serde_json::Map<String, Value>,
) -> Result<(), ApiError> {
    if changes.contains_key("timezone") {
        let zone = text_of(changes.get("timezone"), "timezone", 1, 64)?;
        if jiff::tz::TimeZone::get(&zone).is_err() {
            return Err(ApiError::invalid("timezone is not a known IANA name"));
        }
        prefs.timezone = zone;
    }
    if changes.contains_key("language") {
        prefs.language = one_of(changes, "language", &["en", "ur"])?;
    }
    if changes.contains_key("theme") {
        prefs.theme = one_of(changes, "theme", &["system", "light", "dark"])?;
    }
    match changes.get("email_reminders") {
        None => Ok(()),
        Some(Value::Bool(truth)) => {
            prefs.email_reminders = *truth;
            Ok(())
        }
        Some(_) => Err(ApiError::invalid("email_reminders must be true or false")),
    }
}

fn one_of(
    changes: &serde_json::Map<String, Value>,
    field: &str,
    allowed: &[&str],
) -> Result<String, ApiError> {
    let text = text_of(changes.get(field), field, 1, 16)?;
    if allowed.contains(&text.as_str()) {
        return Ok(text);
    }
    Err(ApiError::invalid(format!(
        "{field} must be one of {}",
        allowed.join(", ")
    )))
}

async fn existing(state: &AppState, caller: &Caller) -> Result<User, ApiError> {
    users::by_id(state.database(), &caller.id)
        .await?
        .ok_or_else(|| {
            ApiError::new(
                StatusCode::UNAUTHORIZED,
                "user_gone",
                "this account does not exist any more",
            )
        })
}

fn session_answer(
    state: &AppState,
    headers: &HeaderMap,
    user: &User,
    status: StatusCode,
) -> Response {
    let at = now();
    let (token, expires) = state.keys().issue(&user.id, &user.email, &user.name, at);
    let cookie = set_cookie(&token, (expires - at) / 1000, is_secure(headers));
    let body = json!({
        "token": token,
        "access_token": token,
        "token_type": "bearer",
        "expires_at": time::text(expires),
        "user": user.json(),
    });
    let mut response = (status, Json(body)).into_response();
    if let Some(cookie) = cookie {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
    response
}

fn is_secure(headers: &HeaderMap) -> bool {
    headers
        .get("x-forwarded-proto")
        .is_some_and(|scheme| scheme == "https")
}

/// Reads the mail address of a body.
///
/// # Errors
/// 422 when it is none.
pub fn email_of(body: &Body) -> Result<String, ApiError> {
    let email = body.text("email", 1, 254)?.to_lowercase();
    if is_email(&email) {
        Ok(email)
    } else {
        Err(ApiError::invalid("email is no mail address"))
    }
}

/// The shape only; whether mail arrives is shown by sending some.
fn is_email(text: &str) -> bool {
    let Some((local, domain)) = text.rsplit_once('@') else {
        return false;
    };
    let clean =
        !text.contains(|character: char| character.is_whitespace() || character.is_control());
    let brackets = text.contains(['<', '>', '"', ',', ';']);
    let labels = domain.split('.').all(|label| !label.is_empty());
    clean && !brackets && !local.is_empty() && !local.contains('@') && labels
}

/// Reads a new password of a body.
///
/// # Errors
/// 422 when it is too short or too long.
pub fn new_password_of(body: &Body) -> Result<String, ApiError> {
    let password = body.raw("password")?.unwrap_or_default();
    let length = password.chars().count();
    if (8..=100).contains(&length) {
        return Ok(password.to_owned());
    }
    Err(ApiError::invalid("password must have 8 to 100 characters"))
}

fn local_part(email: &str) -> String {
    email.split('@').next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_recognised() {
        let check = |text: &str, expected: bool| assert_eq!(is_email(text), expected, "{text}");
        check("a@b.c", true);
        check("first.last+tag@sub.example.com", true);
        check("me@localhost", true);
        check("a@", false);
        check("@b.c", false);
        check("a b@c.d", false);
        check("a@b..c", false);
        check("a@b@c.d", false);
        check("a@b.c\r\nBcc: x@y.z", false);
        check("<a@b.c>", false);
    }
}
