//! Logs: the lines that a shim wrote, in the CRI's format
//! (`<time> stdout|stderr F|P <text>`; upstream: pkg/kubelet/kuberuntime/logs).

use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use coracle_runtime::logs::LogReader;
use http::{Response, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use k8s_openapi::api::core::v1::{ContainerStateWaiting, ContainerStatus};
use k8s_openapi::jiff::Timestamp;
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

/// Whose log is wanted, by name.
#[derive(Debug, Clone, Copy)]
pub struct Of<'a> {
    /// The pod.
    pub pod: &'a str,
    /// Its container.
    pub container: &'a str,
}

/// Serves the log of a container. While it waits to be started again, as its
/// `status` says, its latest run is the previous one too (upstream:
/// validateContainerLogStatus).
pub async fn serve(
    handle: &Handle,
    of: Of<'_>,
    query: &Query,
    status: Option<&ContainerStatus>,
) -> Result<Response<Body>, Refusal> {
    let options = options(query)?;
    let container = of.container;
    let state = status.and_then(|status| status.state.as_ref());
    let waiting = state.and_then(|state| state.waiting.as_ref());
    let folder = handle.paths.logs.join(container);
    let attempts = attempts(&folder);
    let wanted = if options.previous {
        attempts.iter().rev().nth(usize::from(waiting.is_none()))
    } else {
        attempts.last()
    };
    let Some(attempt) = wanted else {
        return Err(Refusal::bad(why_not(of, options.previous, waiting)));
    };
    let path = folder.join(format!("{attempt}.log"));
    let running = (!options.previous)
        .then(|| handle.container(container))
        .flatten()
        .and_then(|running| running.linux().cloned());
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

/// Says why there is no log (upstream: validateContainerLogStatus).
fn why_not(of: Of<'_>, previous: bool, waiting: Option<&ContainerStateWaiting>) -> String {
    let whose = format!("container {:?} in pod {:?}", of.container, of.pod);
    if previous {
        return format!("previous terminated {whose} not found");
    }
    let reason = waiting.and_then(|waiting| waiting.reason.as_deref());
    match reason {
        None => format!("{whose} is not available"),
        Some("ErrImagePull") => format!("{whose} is waiting to start: image can't be pulled"),
        Some("ImagePullBackOff") => {
            format!("{whose} is waiting to start: trying and failing to pull image")
        }
        Some(reason) => format!("{whose} is waiting to start: {reason}"),
    }
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
    let mut left = options.limit.unwrap_or(u64::MAX);
    let mut reader = LogReader::open(&path, options.tail)?;
    let mut out = Vec::with_capacity(PIECE);
    loop {
        // Asked before the rest is read: nothing is written after the end.
        let ended = match &running {
            Some(container) => container.exited().await.is_some(),
            None => true,
        };
        while let Some(line) = reader.try_next()? {
            render(line, &options, &mut out);
            if out.len() >= PIECE {
                send(pieces, &mut out, &mut left).await?;
            }
        }
        send(pieces, &mut out, &mut left).await?;
        if left == 0 || ended || !options.follow {
            return Ok(());
        }
        tokio::select! {
            line = reader.next() => render(line?, &options, &mut out),
            () = pieces.closed() => return Ok(()),
            () = wait(running.as_ref()) => {}
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_log_says_what_it_waits_for() {
        let check = |previous, reason: Option<&str>, expected: &str| {
            let waiting = reason.map(|reason| ContainerStateWaiting {
                reason: Some(reason.into()),
                message: None,
            });
            let of = Of {
                pod: "shop",
                container: "web",
            };
            assert_eq!(why_not(of, previous, waiting.as_ref()), expected);
        };
        let start =
            |why: &str| format!("container \"web\" in pod \"shop\" is waiting to start: {why}");
        check(false, Some("PodInitializing"), &start("PodInitializing"));
        check(false, Some("ErrImagePull"), &start("image can't be pulled"));
        let trying = start("trying and failing to pull image");
        check(false, Some("ImagePullBackOff"), &trying);
        let gone = "container \"web\" in pod \"shop\" is not available";
        check(false, None, gone);
        let none = "previous terminated container \"web\" in pod \"shop\" not found";
        check(true, Some("PodInitializing"), none);
        check(true, None, none);
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
