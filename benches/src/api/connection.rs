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
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
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

/// What is read from a connection at once.
const READ_BYTES: usize = 64 * 1024;

/// One connection that is kept. Below TLS and above it reads are buffered:
/// TLS takes what it reads in small parts.
pub struct Connection {
    stream: BufReader<TlsStream<BufReader<TcpStream>>>,
    authorization: String,
    head: String,
    body: Vec<u8>,
}

impl Connection {
    /// Connects.
    ///
    /// # Errors
    /// When nobody answers.
    pub async fn open(access: &Access) -> anyhow::Result<Connection> {
        let tcp = TcpStream::connect(&access.address).await?;
        tcp.set_nodelay(true)?;
        let tcp = BufReader::with_capacity(READ_BYTES, tcp);
        let name = ServerName::try_from("localhost")?;
        let stream = access.connector.connect(name, tcp).await?;
        Ok(Connection {
            stream: BufReader::with_capacity(READ_BYTES, stream),
            authorization: access.authorization.clone(),
            head: String::new(),
            body: Vec::new(),
        })
    }

    /// Creates an object and returns the answer.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn create(&mut self, path: &str, object: &Value) -> anyhow::Result<&[u8]> {
        self.post(path, &object.to_string()).await
    }

    /// Posts JSON and returns the answer.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn post(&mut self, path: &str, body: &str) -> anyhow::Result<&[u8]> {
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\n{}Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            self.authorization,
            body.len()
        );
        self.send(&request).await?;
        self.answer().await
    }

    /// Gets a path in a form.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn get(&mut self, path: &str, accept: &str) -> anyhow::Result<&[u8]> {
        self.ask(path, accept).await?;
        self.answer().await
    }

    /// Asks for a path whose answer does not end.
    ///
    /// # Errors
    /// When the connection breaks.
    pub async fn ask(&mut self, path: &str, accept: &str) -> anyhow::Result<()> {
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: localhost\r\n{}Accept: {accept}\r\n\r\n",
            self.authorization
        );
        self.send(&request).await
    }

    async fn send(&mut self, request: &str) -> anyhow::Result<()> {
        self.stream.write_all(request.as_bytes()).await?;
        Ok(self.stream.flush().await?)
    }

    /// Reads some of an answer that does not end; chunk headers included.
    ///
    /// # Errors
    /// When the connection breaks.
    pub async fn some(&mut self) -> anyhow::Result<&[u8]> {
        self.body.clear();
        self.body.extend_from_slice(self.stream.fill_buf().await?);
        anyhow::ensure!(!self.body.is_empty(), CLOSED);
        self.stream.consume(self.body.len());
        Ok(&self.body)
    }

    async fn answer(&mut self) -> anyhow::Result<&[u8]> {
        self.head.clear();
        self.body.clear();
        while !self.head.ends_with("\r\n\r\n") {
            self.line().await?;
        }
        self.head.make_ascii_lowercase();
        match header(&self.head, "content-length:") {
            Some(length) => {
                let length = length.parse().context("content-length")?;
                self.exactly(length).await?;
            }
            None => self.chunks().await?,
        }
        let ok = self.head.starts_with("http/1.1 2");
        let body = &self.body;
        anyhow::ensure!(ok, "{}{}", self.head, String::from_utf8_lossy(body));
        Ok(body)
    }

    /// Adds a line to the head and returns where it begins.
    async fn line(&mut self) -> anyhow::Result<usize> {
        let start = self.head.len();
        let read = self.stream.read_line(&mut self.head).await?;
        anyhow::ensure!(read > 0, CLOSED);
        Ok(start)
    }

    /// Adds so many bytes to the body.
    async fn exactly(&mut self, length: usize) -> anyhow::Result<()> {
        self.body.reserve(length);
        let mut part = (&mut self.stream).take(length as u64);
        while part.limit() > 0 {
            let read = part.read_buf(&mut self.body).await?;
            anyhow::ensure!(read > 0, CLOSED);
        }
        Ok(())
    }

    /// Reads a body that comes in chunks (RFC 9112, section 7.1).
    async fn chunks(&mut self) -> anyhow::Result<()> {
        loop {
            let start = self.line().await?;
            let size = self.head[start..].split(';').next().unwrap_or_default();
            let size = usize::from_str_radix(size.trim(), 16).context("the size of a chunk")?;
            self.head.truncate(start);
            self.exactly(size).await?;
            // The line that ends a chunk, or the trailers.
            loop {
                let start = self.line().await?;
                let is_empty = self.head[start..].trim_end().is_empty();
                self.head.truncate(start);
                if is_empty {
                    break;
                }
                anyhow::ensure!(size == 0, "a chunk is longer than it says");
            }
            if size == 0 {
                return Ok(());
            }
        }
    }
}

const CLOSED: &str = "the server closed the connection";

/// The value of a header in a head of lower case letters.
fn header<'h>(head: &'h str, name: &str) -> Option<&'h str> {
    head.lines()
        .find_map(|line| line.strip_prefix(name))
        .map(str::trim)
}
