//! Hands configurations to a running data plane, and its reports back.
//!
//! A stream Unix socket carries JSON, each text preceded by its length (four
//! bytes, little endian): configurations one way, reports the other. The last
//! configuration is written to a file (a memfd that outlives the process), so
//! that a restarted data plane goes on where it was.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::path::Path;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

use crate::host::HostPorts;
use crate::{Config, Held, Options, Report};

/// Ten thousand services with their names stay well below.
const TEXT_BYTES_MAX: u32 = 64 << 20;

/// What a data plane process lives on.
pub struct Process {
    /// Where configurations arrive.
    pub control: UnixListener,
    /// Where the last one is kept, if anywhere.
    pub saved: Option<File>,
    /// The way to the host's network namespace.
    pub host: Arc<dyn HostPorts>,
    /// Sockets that were handed over.
    pub held: Held,
}

/// Runs a data plane process for good.
pub async fn run(process: Process) -> io::Result<()> {
    let Process {
        control,
        mut saved,
        host,
        held,
    } = process;
    let first = saved.as_mut().and_then(load).unwrap_or_default();
    let (config, wanted) = watch::channel(Arc::new(first));
    let (report, reports) = watch::channel(Arc::new(Report::default()));
    let options = Options {
        config: wanted,
        host,
        held,
        report,
    };
    // Its listeners close when this conversation ends.
    let running = AbortOnDropHandle::new(tokio::spawn(crate::run(options)));
    let saved = Arc::new(parking_lot::Mutex::new(saved));
    loop {
        let (stream, _) = control.accept().await?;
        if running.is_finished() {
            return Err(io::Error::other("the data plane has ended"));
        }
        let (config, reports, saved) = (config.clone(), reports.clone(), saved.clone());
        tokio::spawn(async move {
            let (reader, writer) = stream.into_split();
            tokio::select! {
                result = take(reader, &config, &saved) => ended(result),
                result = tell(writer, reports) => ended(result),
            }
        });
    }
}

fn ended(result: io::Result<()>) {
    if let Err(error) = result {
        tracing::debug!(%error, "conversation about the configuration ended");
    }
}

async fn take(
    mut reader: OwnedReadHalf,
    config: &watch::Sender<Arc<Config>>,
    saved: &parking_lot::Mutex<Option<File>>,
) -> io::Result<()> {
    while let Some(wanted) = read_text::<Config>(&mut reader).await? {
        if let Some(file) = saved.lock().as_mut()
            && let Err(error) = store(file, &wanted)
        {
            tracing::warn!(%error, "configuration not kept for a restart");
        }
        config.send_replace(Arc::new(wanted));
    }
    Ok(())
}

async fn tell(
    mut writer: OwnedWriteHalf,
    mut reports: watch::Receiver<Arc<Report>>,
) -> io::Result<()> {
    loop {
        let report = reports.borrow_and_update().clone();
        write_text(&mut writer, &*report).await?;
        if reports.changed().await.is_err() {
            return Ok(());
        }
    }
}

/// The other end: whoever decides.
#[derive(Debug)]
pub struct Sender {
    writer: OwnedWriteHalf,
}

/// The data plane's reports.
#[derive(Debug)]
pub struct Reports {
    reader: OwnedReadHalf,
}

/// Connects to a data plane's socket file.
pub async fn connect(path: &Path) -> io::Result<(Sender, Reports)> {
    let (reader, writer) = UnixStream::connect(path).await?.into_split();
    Ok((Sender { writer }, Reports { reader }))
}

impl Sender {
    /// Hands over a configuration.
    pub async fn send(&mut self, config: &Config) -> io::Result<()> {
        write_text(&mut self.writer, config).await
    }
}

impl Reports {
    /// Waits for the next report; the first comes at once. `None` at the end.
    pub async fn next(&mut self) -> io::Result<Option<Report>> {
        read_text(&mut self.reader).await
    }
}

async fn read_text<T: DeserializeOwned>(
    reader: &mut (impl AsyncRead + Unpin),
) -> io::Result<Option<T>> {
    let length = match reader.read_u32_le().await {
        Ok(length) => length,
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    };
    if length > TEXT_BYTES_MAX {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "text too long"));
    }
    let mut text = vec![0; length as usize];
    reader.read_exact(&mut text).await?;
    Ok(Some(serde_json::from_slice(&text)?))
}

async fn write_text(
    writer: &mut (impl AsyncWrite + Unpin),
    value: &impl Serialize,
) -> io::Result<()> {
    let text = serde_json::to_vec(value)?;
    let mut message = (text.len() as u32).to_le_bytes().to_vec();
    message.extend_from_slice(&text);
    writer.write_all(&message).await
}

/// Layout of the file: length of the text (four bytes, little endian), text.
/// The length is written last, so a torn write leaves an empty file.
fn store(file: &mut File, config: &Config) -> io::Result<()> {
    let text = serde_json::to_vec(config)?;
    file.rewind()?;
    file.write_all(&[0; 4])?;
    file.write_all(&text)?;
    file.rewind()?;
    file.write_all(&(text.len() as u32).to_le_bytes())
}

fn load(file: &mut File) -> Option<Config> {
    let mut length = [0; 4];
    file.rewind().ok()?;
    file.read_exact(&mut length).ok()?;
    let length = u32::from_le_bytes(length);
    if length == 0 || length > TEXT_BYTES_MAX {
        return None;
    }
    let mut text = vec![0; length as usize];
    file.read_exact(&mut text).ok()?;
    serde_json::from_slice(&text).ok()
}
