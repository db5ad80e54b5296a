//! TLS for PostgreSQL: the modes of libpq, and channel binding.
//!
//! `tls-server-end-point` (RFC 5929, 4) binds the password exchange to the
//! server's certificate; Neon's URLs ask for it with `channel_binding=require`.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use ring::digest;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_postgres::tls::{ChannelBinding, TlsConnect, TlsStream};

/// Makes an encrypted connection of a plain one.
pub struct Connector {
    /// What is checked.
    pub config: Arc<ClientConfig>,
    /// The name sent as SNI: poolers choose the database by it.
    pub name: ServerName<'static>,
}

/// An encrypted connection that knows its binding.
pub struct Encrypted {
    stream: tokio_rustls::client::TlsStream<TcpStream>,
    binding: Option<Vec<u8>>,
}

impl TlsConnect<TcpStream> for Connector {
    type Stream = Encrypted;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Encrypted>> + Send>>;

    fn connect(self, stream: TcpStream) -> Self::Future {
        Box::pin(async move {
            let connector = tokio_rustls::TlsConnector::from(self.config);
            let stream = connector.connect(self.name, stream).await?;
            let certificates = stream.get_ref().1.peer_certificates();
            let binding = certificates
                .and_then(|all| all.first())
                .and_then(|one| end_point(one));
            Ok(Encrypted { stream, binding })
        })
    }
}

impl TlsStream for Encrypted {
    fn channel_binding(&self) -> ChannelBinding {
        match &self.binding {
            Some(hash) => ChannelBinding::tls_server_end_point(hash.clone()),
            None => ChannelBinding::none(),
        }
    }
}

impl AsyncRead for Encrypted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Encrypted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// Returns the hash of a certificate with the hash function of its signature;
/// MD5 and SHA-1 are raised to SHA-256 (RFC 5929, 4.1).
fn end_point(certificate: &[u8]) -> Option<Vec<u8>> {
    let algorithm = match signature_algorithm(certificate)? {
        // ecdsa-with-SHA384, sha384WithRSAEncryption
        [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x03]
        | [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0c] => &digest::SHA384,
        // ecdsa-with-SHA512, sha512WithRSAEncryption
        [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x04]
        | [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0d] => &digest::SHA512,
        // Ed25519 has no hash function of its own; libpq refuses it too.
        [0x2b, 0x65, 0x70] => return None,
        _ => &digest::SHA256,
    };
    Some(digest::digest(algorithm, certificate).as_ref().to_vec())
}

/// Returns the object identifier of a certificate's signature (RFC 5280, 4.1).
fn signature_algorithm(certificate: &[u8]) -> Option<&[u8]> {
    let (whole, _) = element(certificate, 0x30)?;
    let (_, after_body) = element(whole, 0x30)?;
    let (algorithm, _) = element(after_body, 0x30)?;
    element(algorithm, 0x06).map(|(identifier, _)| identifier)
}

/// Returns the content of a DER element and what follows it.
fn element(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (first, rest) = bytes.split_first()?;
    let (length, rest) = rest.split_first()?;
    if *first != tag {
        return None;
    }
    let (length, rest) = if *length < 0x80 {
        (usize::from(*length), rest)
    } else {
        let count = usize::from(*length & 0x7f);
        if count == 0 || count > 4 {
            return None;
        }
        let (digits, rest) = rest.split_at_checked(count)?;
        (
            digits
                .iter()
                .fold(0, |sum, digit| sum << 8 | usize::from(*digit)),
            rest,
        )
    };
    rest.split_at_checked(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_are_found() {
        let certificate = |identifier: &[u8]| {
            let mut algorithm = vec![0x06, identifier.len() as u8];
            algorithm.extend(identifier);
            let mut body = vec![0x30, 0x02, 0x05, 0x00, 0x30, algorithm.len() as u8];
            body.extend(algorithm);
            let mut whole = vec![0x30, 0x81, body.len() as u8];
            whole.extend(body);
            whole
        };
        let check = |identifier: &[u8], length: Option<usize>| {
            assert_eq!(
                end_point(&certificate(identifier)).map(|hash| hash.len()),
                length
            );
        };
        check(&[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02], Some(32));
        check(&[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x03], Some(48));
        check(
            &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0d],
            Some(64),
        );
        check(&[0x2b, 0x65, 0x70], None);
        assert_eq!(end_point(&[0x30, 0x84, 0xff, 0xff, 0xff, 0xff, 0x00]), None);
        assert_eq!(end_point(&[]), None);
    }
}
