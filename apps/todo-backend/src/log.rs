//! One line per event on standard output: JSON in production, plain in
//! development.
//!
//! `PYTHONUNBUFFERED=1` flushes after each line, as the original image did;
//! without it lines wait at most a tenth of a second. Secrets never reach
//! this file: the types that hold them do not print them.

use std::fmt::Write as _;
use std::io::{BufWriter, Stdout, Write};
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Condvar, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

tokio::task_local! {
    /// The id of the request being answered, for log lines and panics.
    pub static REQUEST_ID: String;
}

/// Gives a task of its own the request id of the one that starts it.
pub fn same_request<F: Future>(task: F) -> impl Future<Output = F::Output> {
    let id = REQUEST_ID.try_with(Clone::clone).unwrap_or_default();
    REQUEST_ID.scope(id, task)
}

/// How lines look and when they leave.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Events below this level are dropped.
    pub level: Level,
    /// JSON instead of plain text.
    pub json: bool,
    /// Flush after every line.
    pub unbuffered: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            level: Level::INFO,
            json: false,
            unbuffered: true,
        }
    }
}

/// Installs the subscriber and the panic hook; later calls change the level.
pub fn init(settings: &Settings) {
    set_level(settings.level);
    JSON.store(settings.json, Ordering::Relaxed);
    UNBUFFERED.store(settings.unbuffered, Ordering::Relaxed);
    let installed = tracing_subscriber::registry().with(Lines).try_init();
    if installed.is_ok() {
        std::panic::set_hook(Box::new(|panic| {
            tracing::error!(location = ?panic.location().map(ToString::to_string), "panic: {}", panic);
            flush();
        }));
    }
}

/// Changes the level of the running process.
pub fn set_level(level: Level) {
    LEVEL.store(rank(level), Ordering::Relaxed);
}

/// Reads `LOG_LEVEL`, case-insensitive, with the names Python and Node use.
pub fn parse_level(text: &str) -> Option<Level> {
    match text.to_ascii_lowercase().as_str() {
        "trace" => Some(Level::TRACE),
        "debug" => Some(Level::DEBUG),
        "info" => Some(Level::INFO),
        "warn" | "warning" => Some(Level::WARN),
        "error" | "critical" | "fatal" => Some(Level::ERROR),
        _ => None,
    }
}

/// Writes text for a person at a terminal, outside the log.
pub fn plain(text: &str) {
    let mut out = std::io::stdout().lock();
    // A closed standard output has no one left to tell.
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// Sends buffered lines.
pub fn flush() {
    let _ = writer().flush();
}

/// Returns an error with all its causes, joined by colons.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let _ = write!(text, ": {inner}");
        cause = inner.source();
    }
    text
}

static LEVEL: AtomicU8 = AtomicU8::new(3);
static JSON: AtomicBool = AtomicBool::new(false);
static UNBUFFERED: AtomicBool = AtomicBool::new(true);
static WRITER: OnceLock<Mutex<BufWriter<Stdout>>> = OnceLock::new();
static DIRTY: (Mutex<bool>, Condvar) = (Mutex::new(false), Condvar::new());
static FLUSHER: OnceLock<()> = OnceLock::new();

fn writer() -> std::sync::MutexGuard<'static, BufWriter<Stdout>> {
    WRITER
        .get_or_init(|| Mutex::new(BufWriter::new(std::io::stdout())))
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
}

fn rank(level: Level) -> u8 {
    match level {
        Level::ERROR => 1,
        Level::WARN => 2,
        Level::INFO => 3,
        Level::DEBUG => 4,
        Level::TRACE => 5,
    }
}

struct Lines;

impl<S: Subscriber> Layer<S> for Lines {
    fn enabled(&self, metadata: &tracing::Metadata<'_>, _: Context<'_, S>) -> bool {
        let limit = LEVEL.load(Ordering::Relaxed);
        // Libraries below us are heard only when something is wrong.
        let limit = if metadata.target().starts_with("todo_") {
            limit
        } else {
            limit.min(2)
        };
        rank(*metadata.level()) <= limit
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        if let Ok(id) = REQUEST_ID.try_with(Clone::clone) {
            fields
                .rest
                .push(("request_id", serde_json::Value::String(id)));
        }
        let line = if JSON.load(Ordering::Relaxed) {
            json_line(event, fields)
        } else {
            text_line(event, &fields)
        };
        emit(&line);
    }
}

fn json_line(event: &Event<'_>, fields: Fields) -> String {
    let mut object = serde_json::Map::new();
    object.insert(
        "timestamp".into(),
        crate::time::text(crate::time::now()).into(),
    );
    object.insert("level".into(), event.metadata().level().as_str().into());
    object.insert("message".into(), fields.message.into());
    for (name, value) in fields.rest {
        object.insert(name.to_owned(), value);
    }
    let mut line = serde_json::Value::Object(object).to_string();
    line.push('\n');
    line
}

fn text_line(event: &Event<'_>, fields: &Fields) -> String {
    let stamp = crate::time::text(crate::time::now());
    let mut line = format!("{stamp} {:5} {}", event.metadata().level(), fields.message);
    for (name, value) in &fields.rest {
        let _ = write!(line, " {name}={value}");
    }
    // One event is one line, whatever a client put into a field.
    let mut line = line.replace(['\n', '\r'], " ");
    line.push('\n');
    line
}

fn emit(line: &str) {
    let _ = writer().write_all(line.as_bytes());
    if UNBUFFERED.load(Ordering::Relaxed) {
        flush();
        return;
    }
    FLUSHER.get_or_init(|| {
        std::thread::spawn(flush_late);
    });
    let (dirty, wake) = &DIRTY;
    *dirty.lock().unwrap_or_else(PoisonError::into_inner) = true;
    wake.notify_one();
}

/// Sleeps until a line is written, then waits a tenth of a second for more.
fn flush_late() {
    let (dirty, wake) = &DIRTY;
    loop {
        let mut waiting = dirty.lock().unwrap_or_else(PoisonError::into_inner);
        while !*waiting {
            waiting = wake.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
        *waiting = false;
        drop(waiting);
        std::thread::sleep(Duration::from_millis(100));
        flush();
    }
}

#[derive(Default)]
struct Fields {
    message: String,
    rest: Vec<(&'static str, serde_json::Value)>,
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        let text = format!("{value:?}");
        if field.name() == "message" {
            self.message = text;
        } else {
            self.rest.push((field.name(), text.into()));
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            value.clone_into(&mut self.message);
        } else {
            self.rest.push((field.name(), value.into()));
        }
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.rest.push((field.name(), value.into()));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.rest.push((field.name(), value.into()));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.rest.push((field.name(), value.into()));
    }
}
