//! Mail: a log line and an outbox in development, Gmail or Resend otherwise.
//!
//! Sending happens beside the request: neither its time nor its failure tells
//! a client whether an address is known.

mod smtp;

use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use serde_json::json;

use crate::config;
use crate::http::AppState;
use crate::model::outbox::{self, Mail};
use crate::net::client;

/// Longest wait for a mail service.
const SEND_MAX: Duration = Duration::from_secs(30);

/// Why a mail did not leave.
#[derive(Debug, thiserror::Error)]
pub enum MailError {
    /// The outbox could not be written.
    #[error("the outbox cannot be written")]
    Outbox(#[source] crate::db::DbError),
    /// The SMTP server said no.
    #[error("the mail server: {0}")]
    Smtp(String),
    /// Resend said no.
    #[error("resend: {0}")]
    Resend(String),
}

/// Sends a mail beside the request.
pub fn send_later(state: &AppState, recipient: &str, subject: &str, body: String) {
    let state = state.clone();
    let mail = Mail {
        recipient: recipient.to_owned(),
        sender: state.config().from_email.clone(),
        subject: subject.to_owned(),
        body,
    };
    tokio::spawn(crate::log::same_request(async move {
        match send(&state, &mail).await {
            Ok(()) => {}
            Err(error) => tracing::error!("a mail did not leave: {}", crate::log::chain(&error)),
        }
    }));
}

async fn send(state: &AppState, mail: &Mail) -> Result<(), MailError> {
    match &state.config().mail {
        config::Mail::Console => {
            // Neither address nor text: both may open an account.
            tracing::info!(
                subject = mail.subject,
                from = mail.sender,
                "mail kept in the outbox"
            );
            outbox::keep(state.database(), mail)
                .await
                .map_err(MailError::Outbox)
        }
        config::Mail::Gmail {
            account,
            password,
            server,
        } => {
            let sending = smtp::send(server, account.reveal(), password.reveal(), mail);
            match tokio::time::timeout(SEND_MAX, sending).await {
                Ok(outcome) => outcome.map_err(MailError::Smtp),
                Err(_) => Err(MailError::Smtp("no answer in time".to_owned())),
            }
        }
        config::Mail::Resend { key, base_url } => resend(key.reveal(), base_url, mail).await,
    }
}

async fn resend(key: &str, base_url: &str, mail: &Mail) -> Result<(), MailError> {
    let body = json!({
        "from": mail.sender,
        "to": [mail.recipient],
        "subject": mail.subject,
        "text": mail.body,
    });
    let request = Request::post(format!("{base_url}/emails"))
        .header(AUTHORIZATION, format!("Bearer {key}"))
        .header(CONTENT_TYPE, "application/json")
        .body(Bytes::from(body.to_string()))
        .map_err(|error| MailError::Resend(error.to_string()))?;
    let answer = client::send(request, SEND_MAX).await;
    let answer = answer.map_err(|error| MailError::Resend(error.to_string()))?;
    if answer.status().is_success() {
        return Ok(());
    }
    Err(MailError::Resend(format!(
        "answered with status {}",
        answer.status().as_u16()
    )))
}
