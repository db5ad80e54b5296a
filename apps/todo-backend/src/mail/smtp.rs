//! Submission of one mail (RFC 5321, RFC 4954 AUTH PLAIN, RFC 3207 STARTTLS).
//!
//! `smtps://` is encrypted from the first byte. `smtp://` turns encryption on
//! where the server offers it; a password never travels in the clear except
//! to this machine or a name inside the cluster.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};

use crate::model::outbox::Mail;
use crate::net::{Stream, connect, tls};

/// Longest line of a server.
const LINE_BYTES_MAX: u64 = 4096;

/// Sends a mail.
pub async fn send(server: &str, account: &str, password: &str, mail: &Mail) -> Result<(), String> {
    let (scheme, rest) = server
        .split_once("://")
        .ok_or("SMTP_URL needs smtps:// or smtp://")?;
    let (host, port) = rest
        .rsplit_once(':')
        .unwrap_or((rest, if scheme == "smtps" { "465" } else { "587" }));
    let port = port
        .parse()
        .map_err(|_| "SMTP_URL has no good port".to_owned())?;
    let plain: Box<dyn Stream> = Box::new(connect(host, port).await?);
    let mut session = match scheme {
        "smtps" => Session::new(encrypt(plain, host).await?),
        "smtp" => Session::new(plain),
        _ => return Err("SMTP_URL needs smtps:// or smtp://".to_owned()),
    };
    session.expect("220").await?;
    let mut offers = session.hello().await?;
    if scheme == "smtp" && offers.contains("STARTTLS") {
        session.say("STARTTLS", "220").await?;
        session = Session::new(encrypt(session.into_inner(), host).await?);
        offers = session.hello().await?;
    } else if scheme == "smtp" && !is_near(host) {
        return Err(format!(
            "{host} offers no encryption, the password stays here"
        ));
    }
    tracing::debug!(
        offers = offers.lines().count() as u64,
        "mail server greeted"
    );
    let login = BASE64.encode(format!("\0{account}\0{password}"));
    session.say(&format!("AUTH PLAIN {login}"), "235").await?;
    session
        .say(&format!("MAIL FROM:<{}>", address(account)?), "250")
        .await?;
    session
        .say(&format!("RCPT TO:<{}>", address(&mail.recipient)?), "250")
        .await?;
    session.say("DATA", "354").await?;
    session
        .say(&format!("{}\r\n.", message(mail)), "250")
        .await?;
    // The mail is accepted; a missing goodbye changes nothing.
    let _ = session.say("QUIT", "221").await;
    Ok(())
}

/// Whether a name is of this machine or of the cluster.
fn is_near(host: &str) -> bool {
    host == "localhost"
        || host
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback())
        || !host.contains('.')
        || host.ends_with(".svc.cluster.local")
}

async fn encrypt(stream: Box<dyn Stream>, host: &str) -> Result<Box<dyn Stream>, String> {
    let name = ServerName::try_from(host.to_owned()).map_err(|error| error.to_string())?;
    let connector = tokio_rustls::TlsConnector::from(tls::public());
    let stream = connector
        .connect(name, stream)
        .await
        .map_err(|error| error.to_string())?;
    Ok(Box::new(stream))
}

struct Session(BufReader<Box<dyn Stream>>);

impl Session {
    fn new(stream: Box<dyn Stream>) -> Self {
        Self(BufReader::new(stream))
    }

    fn into_inner(self) -> Box<dyn Stream> {
        self.0.into_inner()
    }

    async fn hello(&mut self) -> Result<String, String> {
        self.say("EHLO todo-backend", "250").await
    }

    async fn say(&mut self, line: &str, expected: &str) -> Result<String, String> {
        let bytes = format!("{line}\r\n");
        self.0
            .write_all(bytes.as_bytes())
            .await
            .map_err(|error| error.to_string())?;
        self.0.flush().await.map_err(|error| error.to_string())?;
        self.expect(expected).await
    }

    /// Reads a reply, which may have several lines (RFC 5321, 4.2.1).
    async fn expect(&mut self, expected: &str) -> Result<String, String> {
        let mut reply = String::new();
        loop {
            let mut line = String::new();
            let mut limited = (&mut self.0).take(LINE_BYTES_MAX);
            let read = limited
                .read_line(&mut line)
                .await
                .map_err(|error| error.to_string())?;
            if read == 0 {
                return Err("the connection was closed".to_owned());
            }
            let last = line.as_bytes().get(3) != Some(&b'-');
            reply.push_str(&line);
            if last || reply.len() > 64 * 1024 {
                break;
            }
        }
        if reply.starts_with(expected) {
            Ok(reply)
        } else {
            Err(reply.trim().to_owned())
        }
    }
}

/// An address that cannot end its command early.
fn address(text: &str) -> Result<&str, String> {
    let bad = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '<' | '>');
    if text.contains(bad) {
        Err("an address holds characters it must not".to_owned())
    } else {
        Ok(text)
    }
}

/// The mail with its headers; the text is base64, so no line can be a dot.
fn message(mail: &Mail) -> String {
    let subject = format!("=?UTF-8?B?{}?=", BASE64.encode(&mail.subject));
    let date = jiff::Zoned::now().with_time_zone(jiff::tz::TimeZone::UTC);
    let encoded = BASE64.encode(&mail.body);
    let lines: Vec<&str> = encoded
        .as_bytes()
        .chunks(76)
        .map(|chunk| std::str::from_utf8(chunk).unwrap_or_default())
        .collect();
    let clean = |text: &str| text.replace(['\r', '\n'], " ");
    format!(
        "From: {}\r\nTo: {}\r\nSubject: {subject}\r\nDate: {}\r\nMessage-ID: <{}@todo-backend>\r\n\
         MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\
         Content-Transfer-Encoding: base64\r\n\r\n{}",
        clean(&mail.sender),
        clean(&mail.recipient),
        date.strftime("%a, %d %b %Y %H:%M:%S +0000"),
        uuid::Uuid::new_v4(),
        lines.join("\r\n"),
    )
}
