//! The sockets of cluster DNS.
//!
//! Questions about our own names are answered on the spot; those that must
//! wait for the host wait in tasks of their own.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::answer::{Answerer, Outcome, Transport};

/// Questions that wait for the host at once; further ones fail.
const WAITING_MAX: usize = 1000;
/// Connections at once.
const CONNECTIONS_MAX: usize = 256;
/// A connection without a question ends (RFC 7766, 6.2.3).
const IDLE: Duration = Duration::from_secs(10);

/// Answers datagrams until the task is ended.
pub(super) async fn udp(
    address: SocketAddr,
    answerer: Arc<Answerer>,
) -> io::Result<JoinHandle<()>> {
    let socket = Arc::new(bind(address)?);
    let waiting = Arc::new(Semaphore::new(WAITING_MAX));
    Ok(tokio::spawn(async move {
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
                    tokio::spawn(async move {
                        let answer = match place {
                            Ok(_place) => answerer.finish(*question).await,
                            Err(_) => question.failure(),
                        };
                        let _ = socket.send_to(&answer, client).await;
                    });
                }
            }
        }
    }))
}

/// Binds a socket beside one that still waits for a name server's answer: the
/// newer one gets the questions.
fn bind(address: SocketAddr) -> io::Result<UdpSocket> {
    let family = match address {
        SocketAddr::V4(_) => AddressFamily::INET,
        SocketAddr::V6(_) => AddressFamily::INET6,
    };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let fd = rustix::net::socket_with(family, SocketType::DGRAM, flags, None)?;
    sockopt::set_socket_reuseaddr(&fd, true)?;
    rustix::net::bind(&fd, &address)?;
    UdpSocket::from_std(fd.into())
}

/// Answers connections until the task is ended.
pub(super) async fn tcp(
    address: SocketAddr,
    answerer: Arc<Answerer>,
) -> io::Result<JoinHandle<()>> {
    let listener = TcpListener::bind(address).await?;
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    Ok(tokio::spawn(async move {
        loop {
            let Ok((stream, _)) = listener.accept().await else {
                tokio::time::sleep(Duration::from_millis(20)).await;
                continue;
            };
            let Ok(place) = places.clone().try_acquire_owned() else {
                continue;
            };
            let answerer = answerer.clone();
            tokio::spawn(async move {
                // The asker sees the connection end, whatever the reason.
                let _ = converse(stream, &answerer).await;
                drop(place);
            });
        }
    }))
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
