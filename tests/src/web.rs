//! Just enough HTTP/1.1 to be a browser without script: forms and one cookie.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// A visitor of one site.
#[derive(Debug, Clone)]
pub struct Visitor {
    address: SocketAddr,
    cookie: Option<String>,
}

/// An answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Status code.
    pub status: u16,
    /// Header lines.
    pub headers: String,
    /// Body, as text.
    pub body: String,
}

impl Visitor {
    /// Returns a visitor of the site at `address` who is not signed in.
    pub fn new(address: SocketAddr) -> Visitor {
        Visitor {
            address,
            cookie: None,
        }
    }

    /// Fetches a page.
    ///
    /// # Errors
    /// Returns what the connection reports.
    pub fn get(&mut self, path: &str) -> io::Result<Answer> {
        self.send("GET", path, None)
    }

    /// Sends a form and follows where it leads.
    ///
    /// # Errors
    /// Returns what the connection reports.
    pub fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> io::Result<Answer> {
        let body: Vec<String> = fields
            .iter()
            .map(|(name, value)| format!("{name}={}", encode(value)))
            .collect();
        let answer = self.send("POST", path, Some(body.join("&")))?;
        match (answer.status, answer.header("location")) {
            (301..=303, Some(next)) => self.get(&next),
            _ => Ok(answer),
        }
    }

    fn send(&mut self, method: &str, path: &str, form: Option<String>) -> io::Result<Answer> {
        let mut stream = TcpStream::connect_timeout(&self.address, Duration::from_secs(5))?;
        stream.set_read_timeout(Some(Duration::from_secs(15)))?;
        let mut request = format!(
            "{method} {path} HTTP/1.1\r\nhost: {0}\r\norigin: http://{0}\r\nconnection: close\r\n",
            self.address
        );
        if let Some(cookie) = &self.cookie {
            request.push_str(&format!("cookie: {cookie}\r\n"));
        }
        let body = form.unwrap_or_default();
        if method == "POST" {
            request.push_str(&format!(
                "content-type: application/x-www-form-urlencoded\r\ncontent-length: {}\r\n",
                body.len()
            ));
        }
        stream.write_all(format!("{request}\r\n{body}").as_bytes())?;
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes)?;
        let answer = Answer::parse(&String::from_utf8_lossy(&bytes))
            .ok_or_else(|| io::Error::other("no HTTP answer"))?;
        if let Some(cookie) = answer.header("set-cookie") {
            self.cookie = cookie.split(';').next().map(str::to_owned);
        }
        Ok(answer)
    }
}

impl Answer {
    fn parse(text: &str) -> Option<Answer> {
        let (head, body) = text.split_once("\r\n\r\n")?;
        let (first, headers) = head.split_once("\r\n").unwrap_or((head, ""));
        let status = first.split(' ').nth(1)?.parse().ok()?;
        let answer = Answer {
            status,
            headers: headers.to_owned(),
            body: body.to_owned(),
        };
        let chunked = answer
            .header("transfer-encoding")
            .is_some_and(|value| value.eq_ignore_ascii_case("chunked"));
        Some(if chunked {
            Answer {
                body: unchunk(body),
                ..answer
            }
        } else {
            answer
        })
    }

    /// Returns a header's value.
    pub fn header(&self, name: &str) -> Option<String> {
        self.headers.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name)
                .then(|| value.trim().to_owned())
        })
    }
}

/// Joins the chunks of a body (RFC 9112, section 7.1).
fn unchunk(body: &str) -> String {
    let (mut rest, mut whole) = (body, String::new());
    while let Some((size, after)) = rest.split_once("\r\n") {
        let Ok(size @ 1..) = usize::from_str_radix(size.trim(), 16) else {
            break;
        };
        let Some(chunk) = after.get(..size) else {
            break;
        };
        whole.push_str(chunk);
        rest = after.get(size + 2..).unwrap_or_default();
    }
    whole
}

fn encode(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    text.bytes()
        .map(|byte| {
            if plain(byte) {
                char::from(byte).to_string()
            } else {
                format!("%{byte:02X}")
            }
        })
        .collect()
}
