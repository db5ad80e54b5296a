//! HTTP/1.1 over TLS with as little work on this side as can be: client and
//! server share the processors.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kube::config::Kubeconfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use secrecy::ExposeSecret as _;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Where a server is and who asks it.
#[derive(Clone)]
pub struct Access {
    address: String,
    connector: TlsConnector,
    /// Without the client certificate, which would be asked before a token.
    anonymous: TlsConnector,
    /// Header of the account; none for the client certificate.
    authorization: String,
}

impl Access {
    /// Reads a kubeconfig with a client certificate.
    ///
    /// # Errors
    /// When something is missing in it.
    pub fn of_kubeconfig(path: &Path) -> anyhow::Result<Access> {
        let document = Kubeconfig::read_from(path)?;
        let cluster = document
            .clusters
            .first()
            .and_then(|one| one.cluster.clone());
        let cluster = cluster.context("a cluster")?;
        let server = cluster.server.context("a server")?;
        let authority = pem(cluster.certificate_authority_data)?;
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(&authority)?)?;
        let user = document
            .auth_infos
            .first()
            .and_then(|one| one.auth_info.clone());
        let user = user.context("a user")?;
        let certificate = CertificateDer::from_pem_slice(&pem(user.client_certificate_data)?)?;
        let key = user
            .client_key_data
            .map(|key| key.expose_secret().to_owned());
        let key = PrivateKeyDer::from_pem_slice(&pem(key)?)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = || {
            rustls::ClientConfig::builder_with_provider(provider.clone())
                .with_safe_default_protocol_versions()
                .map(|builder| builder.with_root_certificates(roots.clone()))
        };
        let certified = builder()?.with_client_auth_cert(vec![certificate], key)?;
        Ok(Access {
            address: server.trim_start_matches("https://").to_owned(),
            connector: TlsConnector::from(Arc::new(certified)),
            anonymous: TlsConnector::from(Arc::new(builder()?.with_no_client_auth())),
            authorization: String::new(),
        })
    }

    /// Asks as the account of a token instead.
    pub fn with_token(&self, token: &str) -> Access {
        Access {
            connector: self.anonymous.clone(),
            authorization: format!("Authorization: Bearer {token}\r\n"),
            ..self.clone()
        }
    }
}

fn pem(data: Option<String>) -> anyhow::Result<Vec<u8>> {
    Ok(STANDARD.decode(data.context("inline data")?)?)
}

/// One connection that is kept.
pub struct Connection {
    stream: TlsStream<TcpStream>,
    authorization: String,
    buffer: Vec<u8>,
}

impl Connection {
    /// Connects.
    ///
    /// # Errors
    /// When nobody answers.
    pub async fn open(access: &Access) -> anyhow::Result<Connection> {
        let tcp = TcpStream::connect(&access.address).await?;
        tcp.set_nodelay(true)?;
        let name = ServerName::try_from("localhost")?;
        Ok(Connection {
            stream: access.connector.connect(name, tcp).await?,
            authorization: access.authorization.clone(),
            buffer: Vec::new(),
        })
    }

    /// Creates an object and returns the answer.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn create(&mut self, path: &str, object: &Value) -> anyhow::Result<Vec<u8>> {
        self.post(path, &object.to_string()).await
    }

    /// Posts JSON and returns the answer.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn post(&mut self, path: &str, body: &str) -> anyhow::Result<Vec<u8>> {
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\n{}Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            self.authorization,
            body.len()
        );
        self.stream
            .write_all(&[head.as_bytes(), body.as_bytes()].concat())
            .await?;
        self.stream.flush().await?;
        self.answer().await
    }

    /// Gets a path in a form.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn get(&mut self, path: &str, accept: &str) -> anyhow::Result<Vec<u8>> {
        self.ask(path, accept).await?;
        self.answer().await
    }

    /// Asks for a path whose answer does not end.
    ///
    /// # Errors
    /// When the connection breaks.
    pub async fn ask(&mut self, path: &str, accept: &str) -> anyhow::Result<()> {
        let head = format!(
            "GET {path} HTTP/1.1\r\nHost: localhost\r\n{}Accept: {accept}\r\n\r\n",
            self.authorization
        );
        self.stream.write_all(head.as_bytes()).await?;
        Ok(self.stream.flush().await?)
    }

    /// Reads some of an answer that does not end; chunk headers included.
    ///
    /// # Errors
    /// When the connection breaks.
    pub async fn some(&mut self) -> anyhow::Result<&[u8]> {
        self.buffer.clear();
        let read = self.stream.read_buf(&mut self.buffer).await?;
        anyhow::ensure!(read > 0, "the server closed the connection");
        Ok(&self.buffer)
    }

    /// Reads until the buffer is this long.
    async fn fill(&mut self, length: usize) -> anyhow::Result<()> {
        self.buffer
            .reserve(length.saturating_sub(self.buffer.len()));
        while self.buffer.len() < length {
            let read = self.stream.read_buf(&mut self.buffer).await?;
            anyhow::ensure!(read > 0, "the server closed the connection");
        }
        Ok(())
    }

    /// Reads a body that comes in chunks (RFC 9112, section 7.1).
    async fn chunks(&mut self, start: usize) -> anyhow::Result<Vec<u8>> {
        let (mut at, mut body) = (start, Vec::new());
        loop {
            while find(&self.buffer[at..], b"\r\n").is_none() {
                self.fill(self.buffer.len() + 1).await?;
            }
            let line = at + find(&self.buffer[at..], b"\r\n").unwrap_or_default();
            let size = std::str::from_utf8(&self.buffer[at..line])?;
            let size = usize::from_str_radix(size.trim(), 16).context("the size of a chunk")?;
            at = line + 2;
            self.fill(at + size + 2).await?;
            body.extend_from_slice(&self.buffer[at..at + size]);
            at += size + 2;
            if size == 0 {
                return Ok(body);
            }
            // What has been taken need not be kept.
            self.buffer.drain(..at);
            at = 0;
        }
    }

    async fn answer(&mut self) -> anyhow::Result<Vec<u8>> {
        self.buffer.clear();
        let end = loop {
            if let Some(at) = find(&self.buffer, b"\r\n\r\n") {
                break at + 4;
            }
            let read = self.stream.read_buf(&mut self.buffer).await?;
            anyhow::ensure!(read > 0, "the server closed the connection");
        };
        let head = String::from_utf8_lossy(&self.buffer[..end]).to_ascii_lowercase();
        let body = match header(&head, "content-length:") {
            Some(length) => {
                let length: usize = length.parse().context("content-length")?;
                self.fill(end + length).await?;
                self.buffer.split_off(end)
            }
            None => self.chunks(end).await?,
        };
        let ok = head.starts_with("http/1.1 2");
        anyhow::ensure!(ok, "{head}{}", String::from_utf8_lossy(&body));
        Ok(body)
    }
}

/// The value of a header in a head of lower case letters.
fn header<'h>(head: &'h str, name: &str) -> Option<&'h str> {
    head.lines()
        .find_map(|line| line.strip_prefix(name))
        .map(str::trim)
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes
        .windows(wanted.len())
        .position(|window| window == wanted)
}
