//! How mail leaves.

use super::error::ConfigError;
use super::reader::Reader;
use super::secrets::Secret;

/// How mail leaves.
#[derive(Debug, Clone)]
pub enum Mail {
    /// A log line and the development outbox.
    Console,
    /// SMTP with login.
    Gmail {
        /// The account, also the envelope sender.
        account: Secret,
        /// The app password.
        password: Secret,
        /// `smtps://host:port` or `smtp://host:port`.
        server: String,
    },
    /// The HTTP interface of Resend.
    Resend {
        /// The key.
        key: Secret,
        /// Address without a final slash.
        base_url: String,
    },
}

/// Returns how mail leaves.
pub(super) fn read_mail(reader: &Reader, production: bool) -> Result<Mail, ConfigError> {
    match reader.text("EMAIL_PROVIDER").to_ascii_lowercase().as_str() {
        "console" if production => Err(ConfigError::Production(
            "Console email provider not allowed in production. Use 'resend' or 'gmail'.",
        )),
        "console" => Ok(Mail::Console),
        "gmail" => Ok(Mail::Gmail {
            account: reader
                .secret("GMAIL_EMAIL")
                .ok_or(ConfigError::Missing("GMAIL_EMAIL"))?,
            password: reader
                .secret("GMAIL_APP_PASSWORD")
                .ok_or(ConfigError::Missing("GMAIL_APP_PASSWORD"))?,
            server: reader.base("SMTP_URL"),
        }),
        "resend" => Ok(Mail::Resend {
            key: reader
                .secret("RESEND_API_KEY")
                .ok_or(ConfigError::Missing("RESEND_API_KEY"))?,
            base_url: reader.base("RESEND_BASE_URL"),
        }),
        _ => Err(reader.invalid("EMAIL_PROVIDER", "console, gmail or resend")),
    }
}
