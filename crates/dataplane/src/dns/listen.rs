//! The sockets of cluster DNS.
//!
//! Questions about our own names are answered on the spot; those that must
//! wait for the host wait in tasks of their own.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::answer::{Answerer, Outcome, Transport};
use crate::config::Proto;
use crate::held::{Held, datagrams};
use crate::leave;

/// Questions that wait for the host at once; further ones fail.
const WAITING_MAX: usize = 1000;
/// Connections at once.
const CONNECTIONS_MAX: usize = 256;
/// A connection without a question ends (RFC 7766, 6.2.3).
const IDLE: Duration = Duration::from_secs(10);

/// Answers at an address until the task is ended.
pub(super) fn start(
    held: &Held,
    proto: Proto,
    address: SocketAddr,
    answerer: Arc<Answerer>,
) -> io::Result<JoinHandle<()>> {
    match proto {
        Proto::Udp => {
            let handed = held.socket(proto, address);
            let socket = datagrams(handed.map_or_else(|| bind(address), Ok)?)?;
            Ok(tokio::spawn(udp(Arc::new(socket), answerer)))
        }
        Proto::Tcp => {
            let listener = held.listener(address)?;
            Ok(tokio::spawn(tcp(listener, answerer)))
        }
    }
}

/// Answers datagrams.
async fn udp(socket: Arc<UdpSocket>, answerer: Arc<Answerer>) {
    let waiting = Arc::new(Semaphore::new(WAITING_MAX));
    let mut buffer = vec![0; 4096];
    loop {
        // An error here belongs to an earlier answer whose asker has gone.
        let Ok((length, client)) = socket.recv_from(&mut buffer).await else {
            tokio::task::yield_now().await;
            continue;
        };
        match answerer.begin(&buffer[..length], Transport::Udp) {
            Outcome::Nothing => {}
            Outcome::Done(answer) => {
                let _ = socket.send_to(&answer, client).await;
            }
            Outcome::Ask(question) => {
                let (socket, answerer) = (socket.clone(), answerer.clone());
                let place = waiting.clone().try_acquire_owned();
                leave::carry(async move {
                    let answer = match place {
                        Ok(_place) => answerer.finish(*question).await,
                        Err(_) => question.failure(),
                    };
                    let _ = socket.send_to(&answer, client).await;
                });
            }
        }
    }
}

/// Binds a socket beside one that still waits for a name server's answer: the
/// newer one gets the questions.
fn bind(address: SocketAddr) -> io::Result<OwnedFd> {
    let family = match address {
        SocketAddr::V4(_) => AddressFamily::INET,
        SocketAddr::V6(_) => AddressFamily::INET6,
    };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let fd = rustix::net::socket_with(family, SocketType::DGRAM, flags, None)?;
    sockopt::set_socket_reuseaddr(&fd, true)?;
    rustix::net::bind(&fd, &address)?;
    Ok(fd)
}

/// Answers connections.
async fn tcp(listener: TcpListener, answerer: Arc<Answerer>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(20)).await;
            continue;
        };
        let Ok(place) = places.clone().try_acquire_owned() else {
            continue;
        };
        let answerer = answerer.clone();
        leave::carry(async move {
            // The asker sees the connection end, whatever the reason.
            let _ = converse(stream, &answerer).await;
            drop(place);
        });
    }
}

/// Messages are preceded by their length (RFC 1035, 4.2.2).
async fn converse(mut stream: TcpStream, answerer: &Answerer) -> io::Result<()> {
    loop {
        let length = timeout(IDLE, stream.read_u16()).await??;
        let mut query = vec![0; usize::from(length)];
        timeout(IDLE, stream.read_exact(&mut query)).await??;
        let answer = match answerer.begin(&query, Transport::Tcp) {
            Outcome::Nothing => return Ok(()),
            Outcome::Done(answer) => answer,
            Outcome::Ask(question) => answerer.finish(*question).await,
        };
        let mut message = (answer.len() as u16).to_be_bytes().to_vec();
        message.extend_from_slice(&answer);
        timeout(IDLE, stream.write_all(&message)).await??;
    }
}
