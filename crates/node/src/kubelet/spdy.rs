//! SPDY/3.1, the server's side of what Kubernetes clients use of it: streams
//! with headers, data in both directions, ends and pings.
//!
//! Specification: SPDY Protocol, Draft 3.1 (The Chromium Projects). As the
//! clients that speak it here, this side sends no window updates and obeys
//! none; the channels between the tasks hold a fast sender back.

use std::collections::HashMap;
use std::io;

use bytes::{Buf, Bytes, BytesMut};
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;

use super::remote::Outgoing;

/// The dictionary of header blocks, section 2.6.10.1.
const DICTIONARY: &[u8] = include_bytes!("spdy3.dictionary");

const VERSION: u16 = 3;
const SYN_STREAM: u16 = 1;
const SYN_REPLY: u16 = 2;
const RST_STREAM: u16 = 3;
const PING: u16 = 6;
const GOAWAY: u16 = 7;
const FLAG_FIN: u8 = 1;
/// Bytes of a frame's payload that are accepted; clients send 32 KiB.
const FRAME_MAX: usize = 1 << 20;
/// Bytes that the headers of one stream may take when inflated.
const HEADERS_MAX: usize = 64 * 1024;

/// A stream that the client has opened.
#[derive(Debug)]
pub struct Stream {
    /// Its number.
    pub id: u32,
    /// Its headers, names in lower case.
    pub headers: HashMap<String, String>,
    /// What the client sends on it; ends when the client ends it.
    pub data: mpsc::Receiver<Bytes>,
}

/// A connection, split into its tasks.
#[derive(Debug)]
pub struct Connection {
    /// Streams as the client opens them.
    pub streams: mpsc::Receiver<Stream>,
    /// Data towards the client by number of stream.
    pub out: Outgoing,
    /// Resolves when everything was sent.
    pub done: tokio::task::JoinHandle<()>,
}

/// Frames that the reading side asks the writing side to send.
#[derive(Debug)]
enum Control {
    Reply(u32),
    Pong(u32),
}

/// Starts the two tasks of a connection.
pub fn start<R, W>(read: R, write: W) -> Connection
where
    R: AsyncRead + Unpin + Send + 'static,
    W: AsyncWrite + Unpin + Send + 'static,
{
    let (streams_to, streams) = mpsc::channel(16);
    let (out, outgoing) = mpsc::channel(64);
    let (control_to, control) = mpsc::channel(64);
    let done = tokio::spawn(async move {
        // The other side is gone; its reader ends too.
        let _ = write_frames(write, outgoing, control).await;
    });
    tokio::spawn(async move {
        if let Err(error) = read_frames(read, streams_to, control_to).await {
            tracing::debug!(%error, "SPDY connection ended");
        }
    });
    Connection { streams, out, done }
}

async fn read_frames<R: AsyncRead + Unpin>(
    mut read: R,
    streams: mpsc::Sender<Stream>,
    control: mpsc::Sender<Control>,
) -> io::Result<()> {
    let mut headers = Inflater::new();
    let mut open: HashMap<u32, mpsc::Sender<Bytes>> = HashMap::new();
    loop {
        let mut head = [0u8; 8];
        if let Err(error) = read.read_exact(&mut head).await {
            let ended = error.kind() == io::ErrorKind::UnexpectedEof;
            return if ended { Ok(()) } else { Err(error) };
        }
        let first = u32::from_be_bytes([head[0], head[1], head[2], head[3]]);
        let flags = head[4];
        let length = u32::from_be_bytes([0, head[5], head[6], head[7]]) as usize;
        if length > FRAME_MAX {
            return Err(io::Error::other("frame too long"));
        }
        let mut payload = vec![0; length];
        read.read_exact(&mut payload).await?;
        if first & 0x8000_0000 == 0 {
            let id = first;
            if let Some(to) = open.get(&id) {
                // Nobody reads it any more: the rest is dropped.
                if !payload.is_empty() && to.send(payload.into()).await.is_err() {
                    open.remove(&id);
                }
            }
            if flags & FLAG_FIN != 0 {
                open.remove(&id);
            }
            continue;
        }
        match (first & 0xffff) as u16 {
            SYN_STREAM => {
                let (id, block) = syn_stream(&payload)?;
                let (to, data) = mpsc::channel(16);
                if flags & FLAG_FIN == 0 {
                    open.insert(id, to);
                }
                let stream = Stream {
                    id,
                    headers: headers.inflate(block)?,
                    data,
                };
                if control.send(Control::Reply(id)).await.is_err()
                    || streams.send(stream).await.is_err()
                {
                    return Ok(());
                }
            }
            RST_STREAM => {
                open.remove(&number(&payload)?);
            }
            PING => {
                let _ = control.send(Control::Pong(number(&payload)?)).await;
            }
            GOAWAY => {}
            _ => {}
        }
    }
}

fn number(payload: &[u8]) -> io::Result<u32> {
    let bytes = payload
        .first_chunk::<4>()
        .ok_or_else(|| io::Error::other("frame too short"))?;
    Ok(u32::from_be_bytes(*bytes) & 0x7fff_ffff)
}

/// Splits a SYN_STREAM into the stream's number and its header block (section 2.6.1).
fn syn_stream(payload: &[u8]) -> io::Result<(u32, &[u8])> {
    let block = payload
        .get(10..)
        .ok_or_else(|| io::Error::other("frame too short"))?;
    Ok((number(payload)?, block))
}

/// Inflates header blocks; one dictionary serves all of a connection.
struct Inflater {
    state: Decompress,
}

impl Inflater {
    fn new() -> Inflater {
        Inflater {
            state: Decompress::new(true),
        }
    }

    fn inflate(&mut self, block: &[u8]) -> io::Result<HashMap<String, String>> {
        let mut plain = Vec::with_capacity(1024);
        let mut rest = block;
        loop {
            let (before_in, before_out) = (self.state.total_in(), self.state.total_out());
            if plain.capacity() == plain.len() {
                plain.reserve(1024);
            }
            let result = self
                .state
                .decompress_vec(rest, &mut plain, FlushDecompress::Sync);
            let used = usize::try_from(self.state.total_in() - before_in).unwrap_or(0);
            rest = rest.get(used..).unwrap_or_default();
            match result {
                Err(error) if error.needs_dictionary().is_some() => {
                    self.state
                        .set_dictionary(DICTIONARY)
                        .map_err(io::Error::other)?;
                }
                Err(error) => return Err(io::Error::other(error)),
                Ok(Status::StreamEnd) => break,
                Ok(_) => {
                    let progress = used > 0 || self.state.total_out() > before_out;
                    if rest.is_empty() && plain.len() < plain.capacity() || !progress {
                        break;
                    }
                }
            }
            if plain.len() > HEADERS_MAX {
                return Err(io::Error::other("headers too long"));
            }
        }
        parse_headers(&plain)
    }
}

/// Reads name and value pairs (section 2.6.10).
fn parse_headers(mut block: &[u8]) -> io::Result<HashMap<String, String>> {
    let short = || io::Error::other("header block too short");
    fn text(block: &mut &[u8]) -> Option<String> {
        let length = block.try_get_u32().ok()? as usize;
        let bytes = block.get(..length)?;
        *block = &block[length..];
        Some(String::from_utf8_lossy(bytes).into_owned())
    }
    let count = block.try_get_u32().map_err(|_| short())?;
    let mut headers = HashMap::new();
    for _ in 0..count {
        let name = text(&mut block).ok_or_else(short)?;
        let value = text(&mut block).ok_or_else(short)?;
        headers.insert(name.to_lowercase(), value);
    }
    Ok(headers)
}

async fn write_frames<W: AsyncWrite + Unpin>(
    mut write: W,
    mut outgoing: mpsc::Receiver<(u32, Option<Bytes>)>,
    mut control: mpsc::Receiver<Control>,
) -> io::Result<()> {
    let mut headers = Deflater::new()?;
    let mut reading = true;
    loop {
        tokio::select! {
            biased;
            asked = control.recv(), if reading => match asked {
                Some(Control::Reply(id)) => {
                    let block = headers.empty()?;
                    let mut payload = id.to_be_bytes().to_vec();
                    payload.extend_from_slice(&block);
                    write.write_all(&control_frame(SYN_REPLY, &payload)).await?;
                }
                Some(Control::Pong(id)) => write.write_all(&control_frame(PING, &id.to_be_bytes())).await?,
                None => reading = false,
            },
            data = outgoing.recv() => match data {
                Some((id, data)) => write_data(&mut write, id, data).await?,
                None => break,
            },
        }
        write.flush().await?;
    }
    write.shutdown().await
}

fn control_frame(kind: u16, payload: &[u8]) -> Vec<u8> {
    let mut frame = Vec::with_capacity(payload.len() + 8);
    frame.extend_from_slice(&(0x8000 | VERSION).to_be_bytes());
    frame.extend_from_slice(&kind.to_be_bytes());
    frame.extend_from_slice(&(payload.len() as u32).to_be_bytes());
    frame.extend_from_slice(payload);
    frame
}

async fn write_data<W: AsyncWrite + Unpin>(
    write: &mut W,
    id: u32,
    data: Option<Bytes>,
) -> io::Result<()> {
    let flags = if data.is_none() { FLAG_FIN } else { 0 };
    let data = data.unwrap_or_default();
    let mut frame = BytesMut::with_capacity(data.len() + 8);
    frame.extend_from_slice(&(id & 0x7fff_ffff).to_be_bytes());
    frame.extend_from_slice(&((u32::from(flags) << 24) | data.len() as u32).to_be_bytes());
    frame.extend_from_slice(&data);
    write.write_all(&frame).await
}

/// Deflates header blocks.
struct Deflater {
    state: Compress,
}

impl Deflater {
    fn new() -> io::Result<Deflater> {
        let mut state = Compress::new(Compression::fast(), true);
        state.set_dictionary(DICTIONARY).map_err(io::Error::other)?;
        Ok(Deflater { state })
    }

    /// Returns a block without headers.
    fn empty(&mut self) -> io::Result<Vec<u8>> {
        let mut block = Vec::with_capacity(64);
        self.state
            .compress_vec(&0u32.to_be_bytes(), &mut block, FlushCompress::Sync)
            .map_err(io::Error::other)?;
        Ok(block)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_dictionary_is_the_specification_s() {
        // The checksum that every implementation puts into its first block.
        let (mut a, mut b) = (1u32, 0u32);
        for byte in DICTIONARY {
            a = (a + u32::from(*byte)) % 65521;
            b = (b + a) % 65521;
        }
        assert_eq!((b << 16) | a, 0xe3c6_a7c2);
    }

    fn block(state: &mut Compress, headers: &[(&str, &str)]) -> Vec<u8> {
        let mut plain = (headers.len() as u32).to_be_bytes().to_vec();
        for text in headers.iter().flat_map(|(name, value)| [name, value]) {
            plain.extend_from_slice(&(text.len() as u32).to_be_bytes());
            plain.extend_from_slice(text.as_bytes());
        }
        let mut out = Vec::with_capacity(4096);
        state
            .compress_vec(&plain, &mut out, FlushCompress::Sync)
            .unwrap();
        out
    }

    fn compressor() -> Compress {
        let mut state = Compress::new(Compression::best(), true);
        state.set_dictionary(DICTIONARY).unwrap();
        state
    }

    fn open(state: &mut Compress, id: u32, kind: &str) -> Vec<u8> {
        let mut payload = id.to_be_bytes().to_vec();
        payload.extend_from_slice(&[0; 6]);
        payload.extend_from_slice(&block(state, &[("streamtype", kind), ("port", "80")]));
        control_frame(SYN_STREAM, &payload)
    }

    #[tokio::test]
    async fn streams_are_opened_and_data_flows_both_ways() {
        let (client, server) = tokio::io::duplex(64 * 1024);
        let (read, write) = tokio::io::split(server);
        let mut connection = start(read, write);
        let (mut from_server, mut to_server) = tokio::io::split(client);
        let mut state = compressor();
        for (id, kind) in [(1, "error"), (3, "data")] {
            to_server
                .write_all(&open(&mut state, id, kind))
                .await
                .unwrap();
        }
        write_data(&mut to_server, 3, Some("ping".into()))
            .await
            .unwrap();
        write_data(&mut to_server, 3, None).await.unwrap();
        let first = connection.streams.recv().await.unwrap();
        assert_eq!(
            (first.id, first.headers["streamtype"].as_str()),
            (1, "error")
        );
        let mut second = connection.streams.recv().await.unwrap();
        assert_eq!(second.headers["port"], "80");
        assert_eq!(second.data.recv().await.unwrap(), "ping");
        assert_eq!(second.data.recv().await, None);
        connection.out.send((3, Some("pong".into()))).await.unwrap();
        drop(connection.out);
        let mut all = Vec::new();
        from_server.read_to_end(&mut all).await.unwrap();
        assert!(all.ends_with(b"\0\0\0\x03\0\0\0\x04pong"));
    }

    #[test]
    fn broken_blocks_are_refused() {
        assert!(parse_headers(&[]).is_err());
        assert!(parse_headers(&[0, 0, 0, 1, 255, 255, 255, 255]).is_err());
        assert!(Inflater::new().inflate(b"no zlib at all").is_err());
    }
}
