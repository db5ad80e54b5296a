//! Asks the host's name servers, exactly as its resolv.conf says.
//!
//! [`Resolver`] sends a query as it is, server after server, and falls back to
//! TCP when an answer was cut. The file is read again when it changes
//! (`man 5 resolv.conf`: nameserver, options timeout, attempts, rotate, use-vc).
//! It keeps no cache; the data plane does.

use std::fs::{self, Metadata};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

/// A query longer than this is no query.
const QUERY_BYTES_MAX: usize = 4096;
/// Flags of a DNS header (RFC 1035, 4.1.1): this is an answer; it was cut.
const ANSWER: u8 = 0x80;
const CUT: u8 = 0x02;
/// Header of twelve bytes.
const HEADER: usize = 12;

/// What a resolv.conf says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResolvConf {
    /// Whom to ask, in order; at most three, as resolvers read no more.
    pub nameservers: Vec<SocketAddr>,
    /// How long to wait for one server.
    pub timeout: Duration,
    /// How often to go through the list.
    pub attempts: u32,
    /// Whether to begin with another server each time.
    pub rotate: bool,
    /// Whether to ask by TCP only.
    pub use_tcp: bool,
}

/// Asks the servers of a resolv.conf.
#[derive(Debug)]
pub struct Resolver {
    path: PathBuf,
    read: Mutex<Option<(Stamp, Arc<ResolvConf>)>>,
    turn: AtomicUsize,
}

/// Tells one state of a file from another.
type Stamp = (u64, u64, u64, i64, i64);

impl Default for ResolvConf {
    fn default() -> Self {
        ResolvConf {
            nameservers: vec![(Ipv4Addr::LOCALHOST, 53).into()],
            timeout: Duration::from_secs(5),
            attempts: 2,
            rotate: false,
            use_tcp: false,
        }
    }
}

impl ResolvConf {
    /// Reads the text of a resolv.conf; lines it does not know are skipped.
    pub fn parse(text: &str) -> Self {
        let mut conf = ResolvConf::default();
        let mut nameservers = Vec::new();
        for line in text.lines() {
            let mut words = line.split_whitespace();
            match words.next() {
                Some("nameserver") => nameservers.extend(words.next().and_then(server)),
                Some("options") => words.for_each(|word| conf.option(word)),
                _ => {}
            }
        }
        nameservers.truncate(3);
        if !nameservers.is_empty() {
            conf.nameservers = nameservers;
        }
        conf
    }

    fn option(&mut self, word: &str) {
        let (name, value) = word.split_once(':').unwrap_or((word, ""));
        match (name, value.parse::<u32>()) {
            ("timeout", Ok(seconds)) => {
                self.timeout = Duration::from_secs(u64::from(seconds.clamp(1, 30)));
            }
            ("attempts", Ok(attempts)) => self.attempts = attempts.clamp(1, 5),
            ("rotate", _) => self.rotate = true,
            ("use-vc", _) => self.use_tcp = true,
            _ => {}
        }
    }
}

/// Reads an address, with the interface number of a link-local IPv6 one.
fn server(word: &str) -> Option<SocketAddr> {
    if let Ok(ip) = word.parse::<IpAddr>() {
        return Some((ip, 53).into());
    }
    let (ip, zone) = word.split_once('%')?;
    let ip: Ipv6Addr = ip.parse().ok()?;
    let index = zone.parse().ok().or_else(|| {
        let path = format!("/sys/class/net/{zone}/ifindex");
        fs::read_to_string(path).ok()?.trim().parse().ok()
    })?;
    Some(std::net::SocketAddrV6::new(ip, 53, 0, index).into())
}

impl Default for Resolver {
    fn default() -> Self {
        Resolver::new("/etc/resolv.conf")
    }
}

impl Resolver {
    /// Returns a resolver that follows the file at `path`.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Resolver {
            path: path.into(),
            read: Mutex::new(None),
            turn: AtomicUsize::new(0),
        }
    }

    /// Returns what the file says now.
    pub fn conf(&self) -> Arc<ResolvConf> {
        // A missing file means a server on this machine, as in resolv.conf(5).
        let Ok(metadata) = fs::metadata(&self.path) else {
            return Arc::default();
        };
        let stamp = stamp(&metadata);
        let mut read = self.read.lock();
        if let Some((before, conf)) = read.as_ref()
            && *before == stamp
        {
            return conf.clone();
        }
        let text = fs::read_to_string(&self.path).unwrap_or_default();
        let conf = Arc::new(ResolvConf::parse(&text));
        *read = Some((stamp, conf.clone()));
        conf
    }

    /// Asks and returns the first server's useful answer.
    ///
    /// # Errors
    /// When no server answered; an answer that says the name does not exist
    /// is an answer.
    pub async fn ask(&self, query: &[u8]) -> io::Result<Vec<u8>> {
        if query.len() < HEADER || query.len() > QUERY_BYTES_MAX {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a query"));
        }
        let conf = self.conf();
        let first = if conf.rotate {
            self.turn.fetch_add(1, Ordering::Relaxed)
        } else {
            0
        };
        let count = conf.nameservers.len();
        let mut last = Err(io::Error::from(io::ErrorKind::TimedOut));
        for turn in 0..conf.attempts as usize * count {
            let server = conf.nameservers[(first + turn) % count];
            let attempt = ask_one(server, query, conf.use_tcp);
            match timeout(conf.timeout, attempt).await {
                Ok(Ok(answer)) if is_useful(&answer) => return Ok(answer),
                // Another server may know better; this is kept in case not.
                Ok(Ok(answer)) => last = Ok(answer),
                Ok(Err(error)) if last.is_err() => last = Err(error),
                _ => {}
            }
        }
        last
    }
}

fn stamp(metadata: &Metadata) -> Stamp {
    (
        metadata.dev(),
        metadata.ino(),
        metadata.len(),
        metadata.mtime(),
        metadata.mtime_nsec(),
    )
}

/// Server failure, not implemented and refused are worth asking elsewhere.
fn is_useful(answer: &[u8]) -> bool {
    !matches!(answer[3] & 0x0f, 2 | 4 | 5)
}

async fn ask_one(server: SocketAddr, query: &[u8], use_tcp: bool) -> io::Result<Vec<u8>> {
    // A number of our own, so that nobody can guess it from the pod's query.
    let id: [u8; 2] = rand::random();
    let mut question = query.to_vec();
    question[..2].copy_from_slice(&id);
    let mut answer = if use_tcp {
        by_tcp(server, &question).await?
    } else {
        let answer = by_udp(server, &question).await?;
        if answer[2] & CUT != 0 {
            // The cut answer is better than none.
            by_tcp(server, &question).await.unwrap_or(answer)
        } else {
            answer
        }
    };
    answer[..2].copy_from_slice(&query[..2]);
    Ok(answer)
}

async fn by_udp(server: SocketAddr, question: &[u8]) -> io::Result<Vec<u8>> {
    let any: SocketAddr = match server {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(any).await?;
    socket.connect(server).await?;
    socket.send(question).await?;
    let mut buffer = vec![0; 65_535];
    loop {
        let length = socket.recv(&mut buffer).await?;
        if is_answer(&buffer[..length], question) {
            buffer.truncate(length);
            return Ok(buffer);
        }
    }
}

async fn by_tcp(server: SocketAddr, question: &[u8]) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(server).await?;
    let mut message = (question.len() as u16).to_be_bytes().to_vec();
    message.extend_from_slice(question);
    stream.write_all(&message).await?;
    let length = stream.read_u16().await?;
    let mut answer = vec![0; usize::from(length)];
    stream.read_exact(&mut answer).await?;
    if !is_answer(&answer, question) {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "an answer to something else",
        ));
    }
    Ok(answer)
}

fn is_answer(message: &[u8], question: &[u8]) -> bool {
    message.len() >= HEADER && message[..2] == question[..2] && message[2] & ANSWER != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_resolvers_read() {
        let check = |text: &str, servers: &[&str], seconds: u64, attempts: u32| {
            let conf = ResolvConf::parse(text);
            let got: Vec<_> = conf.nameservers.iter().map(|s| s.to_string()).collect();
            assert_eq!(got, servers, "{text}");
            assert_eq!(conf.timeout, Duration::from_secs(seconds));
            assert_eq!(conf.attempts, attempts);
        };
        check("", &["127.0.0.1:53"], 5, 2);
        check("nameserver 1.2.3.4\n", &["1.2.3.4:53"], 5, 2);
        check(
            "# one\nsearch lan\nnameserver\t::1\n nameserver 9.9.9.9\n\
             nameserver 1.1.1.1\nnameserver 8.8.8.8\noptions timeout:1 attempts:3 edns0",
            &["[::1]:53", "9.9.9.9:53", "1.1.1.1:53"],
            1,
            3,
        );
        check("nameserver fe80::1%7\n", &["[fe80::1%7]:53"], 5, 2);
        check("options timeout:900 attempts:900", &["127.0.0.1:53"], 30, 5);
        check("nameserver nonsense\n", &["127.0.0.1:53"], 5, 2);
    }
}
