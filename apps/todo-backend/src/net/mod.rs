//! Outgoing connections: names, TCP, TLS, and one HTTP request at a time.

pub mod client;
pub mod resolve;
pub mod tls;

use std::net::{IpAddr, SocketAddr};
use std::sync::LazyLock;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use resolve::Resolver;

/// The resolver of the process.
static RESOLVER: LazyLock<Resolver> = LazyLock::new(Resolver::default);

/// Longest wait for a connection to one address.
const CONNECT_MAX: Duration = Duration::from_secs(5);

/// A connection, encrypted or not.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Connects to the first address of a name that answers.
///
/// # Errors
/// A sentence that names host and port.
pub async fn connect(host: &str, port: u16) -> Result<TcpStream, String> {
    let addresses = RESOLVER
        .lookup(host)
        .await
        .map_err(|error| error.to_string())?;
    let mut last = "no address".to_owned();
    for address in addresses {
        match try_address(address, port).await {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(format!("{host}:{port}: {last}"))
}

async fn try_address(address: IpAddr, port: u16) -> Result<TcpStream, String> {
    let connecting = TcpStream::connect(SocketAddr::new(address, port));
    let stream = tokio::time::timeout(CONNECT_MAX, connecting).await;
    let stream = stream.map_err(|_| "no connection in time".to_owned())?;
    let stream = stream.map_err(|error| error.to_string())?;
    // Small messages should not wait for one another's acknowledgement.
    let _ = stream.set_nodelay(true);
    Ok(stream)
}
