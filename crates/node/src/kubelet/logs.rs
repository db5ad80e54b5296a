//! Logs: the lines that a shim wrote, in the CRI's format
//! (`<time> stdout|stderr F|P <text>`; upstream: pkg/kubelet/kuberuntime/logs).

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use http::{Response, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use k8s_openapi::jiff::Timestamp;
use rustix::fs::inotify;
use tokio::io::unix::AsyncFd;
use tokio::sync::mpsc;

use super::{Body, Query, Refusal};
use crate::worker::Handle;

/// Bytes of one piece of an answer.
const PIECE: usize = 32 * 1024;

/// What part of a log is wanted.
#[derive(Debug, Default)]
struct Options {
    follow: bool,
    timestamps: bool,
    previous: bool,
    tail: Option<usize>,
    since: Option<Timestamp>,
    limit: Option<u64>,
}

fn options(query: &Query) -> Result<Options, Refusal> {
    let number = |name: &str| match query.get(name) {
        None | Some("") => Ok(None),
        Some(text) => text
            .parse::<u64>()
            .map(Some)
            .map_err(|_| Refusal::bad(format!("{name} is no number: {text}"))),
    };
    let mut since = match query.get("sinceTime") {
        None | Some("") => None,
        Some(text) => Some(
            text.parse()
                .map_err(|_| Refusal::bad(format!("sinceTime is no time: {text}")))?,
        ),
    };
    if let Some(seconds) = number("sinceSeconds")? {
        let start = Timestamp::now().as_second() - i64::try_from(seconds).unwrap_or(i64::MAX / 2);
        since = Timestamp::from_second(start).ok();
    }
    Ok(Options {
        follow: query.is_true("follow"),
        timestamps: query.is_true("timestamps"),
        previous: query.is_true("previous"),
        tail: number("tailLines")?.map(|lines| usize::try_from(lines).unwrap_or(usize::MAX)),
        since,
        limit: number("limitBytes")?,
    })
}

/// Serves the log of a container.
pub async fn serve(
    handle: &Handle,
    container: &str,
    query: &Query,
) -> Result<Response<Body>, Refusal> {
    let options = options(query)?;
    let folder = handle.paths.logs.join(container);
    let attempts = attempts(&folder);
    let wanted = if options.previous {
        attempts.iter().rev().nth(1)
    } else {
        attempts.last()
    };
    let Some(attempt) = wanted else {
        let what = if options.previous {
            "previous terminated container"
        } else {
            "container"
        };
        return Err(Refusal::bad(format!(
            "{what} \"{container}\" in pod not found"
        )));
    };
    let path = folder.join(format!("{attempt}.log"));
    let running = (!options.previous)
        .then(|| handle.container(container))
        .flatten();
    let (pieces, receiver) = mpsc::channel::<Result<Frame<Bytes>, io::Error>>(8);
    tokio::spawn(async move {
        if let Err(error) = copy(path, options, running, &pieces).await
            && error.kind() != io::ErrorKind::BrokenPipe
        {
            let _ = pieces.send(Err(error)).await;
        }
    });
    let body = StreamBody::new(tokio_stream::wrappers::ReceiverStream::new(receiver));
    let mut response = Response::new(BodyExt::boxed(body));
    *response.status_mut() = StatusCode::OK;
    response.headers_mut().insert(
        http::header::CONTENT_TYPE,
        http::HeaderValue::from_static("text/plain"),
    );
    Ok(response)
}

/// Returns the runs of a container that have a log, oldest first.
fn attempts(folder: &Path) -> Vec<i32> {
    let mut attempts: Vec<i32> = std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            entry
                .file_name()
                .to_str()?
                .strip_suffix(".log")?
                .parse()
                .ok()
        })
        .collect();
    attempts.sort_unstable();
    attempts
}

type Pieces = mpsc::Sender<Result<Frame<Bytes>, io::Error>>;

async fn copy(
    path: PathBuf,
    options: Options,
    running: Option<coracle_runtime::Container>,
    pieces: &Pieces,
) -> io::Result<()> {
    // Watched before it is read: a line written in between wakes the follower.
    let changes = if options.follow {
        Some(Changes::of(&path)?)
    } else {
        None
    };
    let mut left = options.limit.unwrap_or(u64::MAX);
    let start = options
        .tail
        .map_or(Ok(0), |lines| tail_position(&path, lines))?;
    let mut reader = BufReader::new(File::open(&path)?);
    reader.seek(SeekFrom::Start(start))?;
    let mut line = Vec::new();
    loop {
        let ended = match &running {
            Some(container) => container.exited().await.is_some(),
            None => true,
        };
        let mut out = Vec::with_capacity(PIECE);
        while reader.read_until(b'\n', &mut line)? > 0 {
            if line.last() != Some(&b'\n') {
                break;
            }
            render(&line, &options, &mut out);
            line.clear();
            if out.len() >= PIECE {
                send(pieces, &mut out, &mut left).await?;
            }
        }
        send(pieces, &mut out, &mut left).await?;
        if left == 0 {
            return Ok(());
        }
        match &changes {
            Some(changes) if !ended => tokio::select! {
                result = changes.next() => result?,
                () = pieces.closed() => return Ok(()),
                () = wait(running.as_ref()) => {}
            },
            _ => return Ok(()),
        }
        reader = reopen_if_rotated(&path, reader)?;
    }
}

async fn wait(running: Option<&coracle_runtime::Container>) {
    match running {
        Some(container) => {
            container.wait().await;
        }
        None => std::future::pending().await,
    }
}

async fn send(pieces: &Pieces, out: &mut Vec<u8>, left: &mut u64) -> io::Result<()> {
    let allowed = usize::try_from(*left).unwrap_or(usize::MAX).min(out.len());
    out.truncate(allowed);
    if out.is_empty() {
        return Ok(());
    }
    *left -= out.len() as u64;
    let piece = Bytes::from(std::mem::take(out));
    pieces
        .send(Ok(Frame::data(piece)))
        .await
        .map_err(|_| io::ErrorKind::BrokenPipe.into())
}

/// Appends what a client sees of one line of the file.
fn render(line: &[u8], options: &Options, out: &mut Vec<u8>) {
    let mut fields = line.splitn(4, |byte| *byte == b' ');
    let (Some(time), Some(_), Some(tag), Some(text)) =
        (fields.next(), fields.next(), fields.next(), fields.next())
    else {
        return;
    };
    if let Some(since) = options.since {
        let at = std::str::from_utf8(time)
            .ok()
            .and_then(|time| time.parse::<Timestamp>().ok());
        if at.is_none_or(|at| at < since) {
            return;
        }
    }
    if options.timestamps {
        out.extend_from_slice(time);
        out.push(b' ');
    }
    // A part of a line has no end yet, its rest follows.
    let text = if tag == b"P" {
        text.strip_suffix(b"\n").unwrap_or(text)
    } else {
        text
    };
    out.extend_from_slice(text);
}

/// Returns where the last `lines` lines of the file begin.
fn tail_position(path: &Path, lines: usize) -> io::Result<u64> {
    let mut file = File::open(path)?;
    let end = file.seek(SeekFrom::End(0))?;
    let (mut position, mut found) = (end, 0);
    let mut block = vec![0; PIECE];
    while position > 0 {
        let size = (PIECE as u64).min(position);
        position -= size;
        file.seek(SeekFrom::Start(position))?;
        let block = &mut block[..usize::try_from(size).unwrap_or(PIECE)];
        file.read_exact(block)?;
        for (index, byte) in block.iter().enumerate().rev() {
            let at = position + index as u64;
            if *byte == b'\n' && at + 1 != end {
                found += 1;
                if found == lines {
                    return Ok(at + 1);
                }
            }
        }
    }
    Ok(if lines == 0 { end } else { 0 })
}

/// Goes on with the new file when the shim has rotated the log and the old one is read.
fn reopen_if_rotated(path: &Path, reader: BufReader<File>) -> io::Result<BufReader<File>> {
    use std::os::unix::fs::MetadataExt;
    let old = reader.get_ref().metadata()?;
    match std::fs::metadata(path) {
        Ok(new) if new.ino() != old.ino() && reader.buffer().is_empty() => {
            Ok(BufReader::new(File::open(path)?))
        }
        _ => Ok(reader),
    }
}

/// Tells when a file or its folder changes (inotify(7)).
struct Changes(AsyncFd<std::os::fd::OwnedFd>);

impl Changes {
    fn of(path: &Path) -> io::Result<Changes> {
        let fd = inotify::init(inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK)?;
        let flags = inotify::WatchFlags::MODIFY
            | inotify::WatchFlags::CREATE
            | inotify::WatchFlags::MOVED_TO;
        inotify::add_watch(&fd, path.parent().unwrap_or(Path::new("/")), flags)?;
        // SAFETY: an owned descriptor names the same open file until it is dropped.
        Ok(Changes(unsafe { AsyncFd::register(fd)? }))
    }

    async fn next(&self) -> io::Result<()> {
        let mut guard = self.0.readable().await?;
        let mut buffer = [0u8; 4096];
        while rustix::io::read(self.0.get_ref(), &mut buffer).is_ok_and(|read| read > 0) {}
        guard.clear_ready();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(lines: usize) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().expect("a file for the test");
        let text: String = (0..lines)
            .map(|n| format!("2026-01-01T00:00:{n:02}Z stdout F line {n}\n"))
            .collect();
        std::fs::write(file.path(), text).unwrap();
        file
    }

    #[test]
    fn the_tail_begins_at_a_line() {
        let file = written(5);
        let check = |lines: usize, expected: &str| {
            let mut text = String::new();
            let mut open = File::open(file.path()).unwrap();
            open.seek(SeekFrom::Start(tail_position(file.path(), lines).unwrap()))
                .unwrap();
            open.read_to_string(&mut text).unwrap();
            let first = text
                .lines()
                .next()
                .unwrap_or("")
                .rsplit(' ')
                .next()
                .unwrap_or("")
                .to_owned();
            assert_eq!(first, expected, "{lines}");
        };
        check(0, "");
        check(1, "4");
        check(3, "2");
        check(5, "0");
        check(9, "0");
    }

    #[test]
    fn lines_are_shown_as_asked() {
        let check = |line: &str, options: Options, expected: &str| {
            let mut out = Vec::new();
            render(line.as_bytes(), &options, &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        };
        let line = "2026-01-01T00:00:05Z stderr F hello world\n";
        check(line, Options::default(), "hello world\n");
        check(
            line,
            Options {
                timestamps: true,
                ..Options::default()
            },
            "2026-01-01T00:00:05Z hello world\n",
        );
        check(
            "2026-01-01T00:00:05Z stdout P part\n",
            Options::default(),
            "part",
        );
        let since = |text: &str| Options {
            since: Some(text.parse().unwrap()),
            ..Options::default()
        };
        check(line, since("2026-01-01T00:00:06Z"), "");
        check(line, since("2026-01-01T00:00:05Z"), "hello world\n");
        check("broken\n", Options::default(), "");
    }
}
