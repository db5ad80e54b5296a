//! Just enough HTTP/1.1 to be a browser without script: forms, one cookie, TLS.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::wait::until;

/// A site that takes longer does not answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// A visitor of one site.
#[derive(Debug, Clone)]
pub struct Visitor {
    address: SocketAddr,
    host: String,
    tls: Option<Arc<ClientConfig>>,
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
            host: address.to_string(),
            tls: None,
            cookie: None,
        }
    }

    /// Returns a visitor of the site at a URL such as `http://127.0.0.1:30080`.
    ///
    /// # Panics
    /// Panics if the URL is not one of an address and a port.
    pub fn of(url: &str) -> Visitor {
        let url = url.trim();
        let address = url.strip_prefix("http://").map(str::parse);
        match address {
            Some(Ok(address)) => Visitor::new(address),
            _ => panic!("no URL with an address and a port: {url:?}"),
        }
    }

    /// Waits until a page is served.
    ///
    /// # Panics
    /// Panics if it never is.
    pub fn until_served(&mut self, path: &str) {
        until("the page answers", || match self.get(path) {
            Ok(page) if page.status == 200 => Ok(()),
            Ok(page) => Err(format!("{} {}", page.status, page.body)),
            Err(error) => Err(error.to_string()),
        });
    }

    /// Waits until nobody listens any more.
    ///
    /// # Panics
    /// Panics if somebody goes on to.
    pub fn until_closed(&mut self) {
        until("the port is closed", || match self.get("/") {
            Ok(page) => Err(format!("{} {}", page.status, page.body)),
            Err(_) => Ok(()),
        });
    }

    /// Returns the same visitor, session and all, at another address.
    pub fn at(mut self, address: SocketAddr) -> Visitor {
        self.address = address;
        self.host = address.to_string();
        self
    }

    /// Returns the same visitor, who calls the site by this name.
    pub fn named(mut self, host: &str) -> Visitor {
        self.host = host.into();
        self
    }

    /// Returns the same visitor, over TLS, who trusts these certificates (PEM).
    ///
    /// # Panics
    /// Panics if there is no certificate in the text.
    pub fn trusting(mut self, certificates: &[u8]) -> Visitor {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(certificates) {
            roots
                .add(certificate.expect("a certificate"))
                .expect("a certificate");
        }
        assert!(!roots.is_empty(), "no certificate to trust");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the provider speaks TLS")
            .with_root_certificates(roots)
            .with_no_client_auth();
        self.tls = Some(Arc::new(config));
        self
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
        let form = ("application/x-www-form-urlencoded", body.join("&"));
        let answer = self.send("POST", path, Some(form))?;
        match (answer.status, answer.header("location")) {
            (301..=303, Some(next)) => self.get(&next),
            _ => Ok(answer),
        }
    }

    /// Sends a JSON document.
    ///
    /// # Errors
    /// Returns what the connection reports.
    pub fn post_json(&mut self, path: &str, body: &serde_json::Value) -> io::Result<Answer> {
        self.send("POST", path, Some(("application/json", body.to_string())))
    }

    /// Sends a text file as the field `file` of a form (RFC 7578).
    ///
    /// # Errors
    /// Returns what the connection reports.
    pub fn post_file(&mut self, path: &str, name: &str, text: &str) -> io::Result<Answer> {
        let body = format!(
            "--edge\r\ncontent-disposition: form-data; name=\"file\"; filename=\"{name}\"\r\ncontent-type: text/plain\r\n\r\n{text}\r\n--edge--\r\n"
        );
        self.send(
            "POST",
            path,
            Some(("multipart/form-data; boundary=edge", body)),
        )
    }

    fn send(
        &mut self,
        method: &str,
        path: &str,
        body: Option<(&str, String)>,
    ) -> io::Result<Answer> {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        let mut request = format!(
            "{method} {path} HTTP/1.1\r\nhost: {0}\r\norigin: {scheme}://{0}\r\nconnection: close\r\n",
            self.host
        );
        if let Some(cookie) = &self.cookie {
            request.push_str(&format!("cookie: {cookie}\r\n"));
        }
        if let Some((kind, body)) = &body {
            request.push_str(&format!(
                "content-type: {kind}\r\ncontent-length: {}\r\n",
                body.len()
            ));
        }
        let body = body.map(|(_, body)| body).unwrap_or_default();
        let bytes = self.exchange(format!("{request}\r\n{body}").as_bytes())?;
        let answer = Answer::parse(&String::from_utf8_lossy(&bytes))
            .ok_or_else(|| io::Error::other("no HTTP answer"))?;
        if let Some(cookie) = answer.header("set-cookie") {
            self.cookie = cookie.split(';').next().map(str::to_owned);
        }
        Ok(answer)
    }

    /// Begins to send a JSON document and never ends: the site waits for the
    /// rest until what is returned is dropped.
    ///
    /// # Errors
    /// Returns what the connection reports.
    pub fn hold(&self, path: &str) -> io::Result<impl Write + use<>> {
        let cookie = self.cookie.clone().unwrap_or_default();
        let mut stream = self.connect()?;
        let request = format!(
            "POST {path} HTTP/1.1\r\nhost: {}\r\ncookie: {cookie}\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n\r\n{{",
            self.host
        );
        stream.write_all(request.as_bytes())?;
        stream.flush()?;
        Ok(stream)
    }

    /// Writes a request and reads until the site closes the connection.
    fn exchange(&self, request: &[u8]) -> io::Result<Vec<u8>> {
        let mut stream = self.connect()?;
        let mut bytes = Vec::new();
        stream.write_all(request)?;
        match stream.read_to_end(&mut bytes) {
            // Some servers end TLS without saying so first.
            Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => Err(error),
            _ => Ok(bytes),
        }
    }

    fn connect(&self) -> io::Result<Box<dyn Stream>> {
        let stream = TcpStream::connect_timeout(&self.address, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let Some(config) = &self.tls else {
            return Ok(Box::new(stream));
        };
        let name = self.host.split(':').next().unwrap_or_default().to_owned();
        let name = ServerName::try_from(name).map_err(io::Error::other)?;
        let session = ClientConnection::new(config.clone(), name).map_err(io::Error::other)?;
        Ok(Box::new(StreamOwned::new(session, stream)))
    }
}

/// A connection, with TLS or without.
trait Stream: Read + Write + Send {}

impl<T: Read + Write + Send> Stream for T {}

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

/// Signs up; the name becomes the address.
///
/// # Panics
/// Panics if the page does not answer or refuses.
pub fn sign_up(mut visitor: Visitor, name: &str) -> Visitor {
    visitor.until_served("/signup");
    let email = format!("{name}@example.com");
    let fields = [
        ("name", name),
        ("email", &email),
        ("password", "correct horse battery"),
    ];
    let page = visitor.post("/signup", &fields).expect("the page answers");
    assert_eq!(page.status, 200, "{}", page.body);
    visitor
}

/// Whether the visitor's list has the task; what the page said where not.
///
/// # Errors
/// Returns what the page said.
pub fn lists(visitor: &mut Visitor, title: &str) -> Result<(), String> {
    match visitor.get("/dashboard") {
        Ok(page) if page.body.contains(title) => Ok(()),
        Ok(page) => Err(format!("{} {}", page.status, page.body)),
        Err(error) => Err(error.to_string()),
    }
}
