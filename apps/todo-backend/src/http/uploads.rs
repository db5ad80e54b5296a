//! Attachments and avatars: in by multipart, out to their owner only.

use axum::Json;
use axum::extract::multipart::MultipartRejection;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Multipart, Path, Query, State};
use axum::response::{IntoResponse, Response};
use http::header::{
    CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_SECURITY_POLICY, CONTENT_TYPE,
    X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderValue, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use super::AppState;
use super::error::ApiError;
use crate::auth::caller::{Caller, Owner, identify};
use crate::model::attachments::{self, Attachment};
use crate::model::{tasks, users};
use crate::storage::{self, FILE_BYTES_MAX, StorageError, sniff};
use crate::time::{Millis, now};

/// Life of a link that needs no session.
const LINK_LIFE_MS: Millis = 3_600_000;

struct File {
    name: String,
    kind: sniff::Kind,
    bytes: Vec<u8>,
}

/// A form, or why the body is none.
type Form = Result<Multipart, MultipartRejection>;

/// Reads the first file of a form.
async fn file_of(form: Form) -> Result<File, ApiError> {
    let mut form = form.map_err(|_| ApiError::invalid("send the file as multipart/form-data"))?;
    let broken = |_| ApiError::invalid("the form cannot be read");
    while let Some(field) = form.next_field().await.map_err(broken)? {
        let Some(name) = field.file_name().map(shown_name) else {
            continue;
        };
        let bytes = field.bytes().await.map_err(|_| too_large())?;
        if bytes.len() > FILE_BYTES_MAX {
            return Err(too_large());
        }
        let kind = sniff::sniff(&bytes).ok_or_else(|| {
            let detail = "only PNG, JPEG, WebP, PDF and plain text are accepted";
            ApiError::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "unsupported_type",
                detail,
            )
        })?;
        return Ok(File {
            name,
            kind,
            bytes: bytes.to_vec(),
        });
    }
    Err(ApiError::invalid("the form holds no file"))
}

fn too_large() -> ApiError {
    ApiError::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        "too_large",
        "a file may have 5 MB at most",
    )
}

/// The name as it is shown: its last part, without what could do harm.
fn shown_name(name: &str) -> String {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let clean = last
        .chars()
        .filter(|c| !c.is_control() && !is_invisible(*c) && !matches!(c, '"' | '<' | '>'));
    let clean: String = clean.take(100).collect();
    if clean.trim().is_empty() {
        "file".to_owned()
    } else {
        clean
    }
}

/// Marks that turn or hide text: "gpj.exe" must not read "exe.jpg".
fn is_invisible(character: char) -> bool {
    matches!(character,
        '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

fn refused(error: StorageError) -> ApiError {
    tracing::error!("{}", crate::log::chain(&error));
    let detail = "the file cannot be kept at the moment";
    ApiError::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "storage_unavailable",
        detail,
    )
}

/// `POST …/tasks/{id}/attachments`.
pub async fn attach(
    State(state): State<AppState>,
    owner: Owner,
    form: Form,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    let database = state.database();
    let task = tasks::find(database, &owner.id, owner.number("id")?).await?;
    let task = task.ok_or_else(ApiError::not_found)?;
    let file = file_of(form).await?;
    let size = file.bytes.len() as i64;
    let stored = storage::store(&state, "attachments", file.kind, file.bytes)
        .await
        .map_err(refused)?;
    let attachment = Attachment {
        id: uuid::Uuid::new_v4().to_string(),
        name: file.name,
        content_type: file.kind.content_type.to_owned(),
        size,
        storage: stored.storage.to_owned(),
        location: stored.location,
        created_at: now(),
    };
    attachments::create(database, &owner.id, &task.uid, &attachment).await?;
    Ok((StatusCode::CREATED, Json(with_link(&state, &attachment))))
}

fn with_link(state: &AppState, attachment: &Attachment) -> Value {
    let mut shown = attachment.json();
    if attachment.storage == "local" {
        let until = now() + LINK_LIFE_MS;
        let signature = storage::signature(state, &attachment.location, until);
        shown["signed_url"] = format!(
            "/uploads/{}?until={until}&signature={signature}",
            attachment.location
        )
        .into();
    }
    shown
}

/// `GET …/tasks/{id}/attachments`.
pub async fn list(
    State(state): State<AppState>,
    owner: Owner,
) -> Result<Json<Vec<Value>>, ApiError> {
    let task = tasks::find(state.database(), &owner.id, owner.number("id")?).await?;
    let task = task.ok_or_else(ApiError::not_found)?;
    let found = attachments::of_task(state.database(), &task.uid).await?;
    Ok(Json(
        found.iter().map(|one| with_link(&state, one)).collect(),
    ))
}

/// `DELETE …/tasks/{id}/attachments/{aid}`.
pub async fn detach(State(state): State<AppState>, owner: Owner) -> Result<StatusCode, ApiError> {
    let task = tasks::find(state.database(), &owner.id, owner.number("id")?).await?;
    let task = task.ok_or_else(ApiError::not_found)?;
    let gone =
        attachments::delete(state.database(), &owner.id, &task.uid, owner.text("aid")?).await?;
    let gone = gone.ok_or_else(ApiError::not_found)?;
    if gone.storage == "local" {
        storage::forget(&state, &gone.location).await;
    }
    Ok(StatusCode::NO_CONTENT)
}

/// `POST /api/users/me/avatar`.
pub async fn avatar(
    State(state): State<AppState>,
    caller: Caller,
    form: Form,
) -> Result<Json<Value>, ApiError> {
    let file = file_of(form).await?;
    if !file.kind.picture {
        let detail = "an avatar must be a PNG, JPEG or WebP picture";
        return Err(ApiError::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported_type",
            detail,
        ));
    }
    let user = users::by_id(state.database(), &caller.id)
        .await?
        .ok_or_else(ApiError::not_found)?;
    let stored = storage::store(&state, "avatars", file.kind, file.bytes)
        .await
        .map_err(refused)?;
    let url = match stored.storage {
        "local" => format!("/uploads/{}", stored.location),
        _ => stored.location,
    };
    users::set_avatar(state.database(), &caller.id, &url).await?;
    if let Some(old) = user
        .avatar_url
        .as_deref()
        .and_then(|old| old.strip_prefix("/uploads/"))
    {
        storage::forget(&state, old).await;
    }
    Ok(Json(json!({"avatar_url": url, "storage": stored.storage})))
}

/// The query of a link that needs no session.
#[derive(Deserialize, Default)]
#[serde(default)]
pub struct Link {
    until: Millis,
    signature: String,
}

/// `GET /uploads/{path}`: for the owner, or for the bearer of a fresh link.
pub async fn serve(
    State(state): State<AppState>,
    headers: HeaderMap,
    location: Result<Path<String>, PathRejection>,
    link: Result<Query<Link>, QueryRejection>,
) -> Result<Response, ApiError> {
    let Path(location) = location.map_err(|_| ApiError::not_found())?;
    let Query(link) = link.map_err(|_| ApiError::not_found())?;
    let path = storage::path_of(&state, &location).ok_or_else(ApiError::not_found)?;
    let link = Some(link).filter(|link| !link.signature.is_empty());
    let found = attachments::by_location(state.database(), &location).await?;
    let allowed = match link {
        Some(link) => is_good(&state, &location, &link),
        None => {
            let caller = identify(&headers, &state)?;
            match &found {
                Some((owner, _)) => *owner == caller.id,
                None => {
                    let user = users::by_id(state.database(), &caller.id).await?;
                    let url = format!("/uploads/{location}");
                    user.is_some_and(|user| user.avatar_url.as_deref() == Some(&url))
                }
            }
        }
    };
    if !allowed {
        return Err(ApiError::not_found());
    }
    let bytes = tokio::fs::read(&path)
        .await
        .map_err(|_| ApiError::not_found())?;
    Ok(file_answer(bytes, found.map(|(_, attachment)| attachment)))
}

fn is_good(state: &AppState, location: &str, link: &Link) -> bool {
    let expected = storage::signature(state, location, link.until);
    // The comparison takes the same time wherever the texts differ.
    let same = expected.len() == link.signature.len()
        && expected
            .bytes()
            .zip(link.signature.bytes())
            .fold(0, |sum, (a, b)| sum | (a ^ b))
            == 0;
    same && link.until > now()
}

fn file_answer(bytes: Vec<u8>, attachment: Option<Attachment>) -> Response {
    let kind = sniff::sniff(&bytes);
    let picture = kind.is_some_and(|kind| kind.picture);
    let content_type = kind.map_or("application/octet-stream", |kind| kind.content_type);
    let mut response = bytes.into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(
        CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("default-src 'none'; sandbox"),
    );
    headers.insert(
        CACHE_CONTROL,
        HeaderValue::from_static("private, max-age=3600"),
    );
    if !picture {
        let name = attachment.map_or("file".to_owned(), |attachment| attachment.name);
        let ascii: String = name
            .chars()
            .map(|c| {
                if c.is_ascii_graphic() || c == ' ' {
                    c
                } else {
                    '_'
                }
            })
            .collect();
        if let Ok(value) = HeaderValue::from_str(&format!("attachment; filename=\"{ascii}\"")) {
            headers.insert(CONTENT_DISPOSITION, value);
        }
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_names_are_harmless() {
        let check = |text: &str, expected: &str| assert_eq!(shown_name(text), expected);
        check("notes.txt", "notes.txt");
        check("../../etc/passwd", "passwd");
        check("C:\\windows\\system.ini", "system.ini");
        check("a\r\nSet-Cookie: x.txt", "aSet-Cookie: x.txt");
        check("\"><script>.txt", "script.txt");
        check("", "file");
        check("..", "..");
        check("photo\u{202e}gpj.exe", "photogpj.exe");
        check("\u{feff}\u{200b}", "file");
        check("a\0b.txt", "ab.txt");
        check(&"x".repeat(300), &"x".repeat(100));
    }
}
