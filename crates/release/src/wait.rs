//! Waiting until what was deployed is ready, and stopping early when it cannot
//! become so.
//!
//! Objects are watched; only one that is not ready is asked, now and then, for
//! the reason.

use std::time::Duration;

use futures::StreamExt;
use futures::stream::{BoxStream, SelectAll};
use kube::api::DynamicObject;
use kube::runtime::watcher;
use kube::{Api, Client};
use serde_json::Value;
use tokio::time::Instant;

use crate::ReleaseError;
use crate::event::{Event, Row, Tell};
use crate::objects::Object;
use crate::options::Wait;
use crate::readiness::{Readiness, Rules, judge, judge_run};
use crate::session::Session;
use crate::why::{self, Cause, Facts};

/// How often a workload that is not ready is asked for the reason.
const LOOK: Duration = Duration::from_millis(500);
/// How long a reason must stand until it is believed.
const BELIEVED: Duration = Duration::from_secs(12);

/// What is waited for.
#[derive(Debug, Clone)]
pub struct Waiting {
    /// The object, `Kind/name`.
    pub title: String,
    /// What holds it back, if something does.
    pub because: Option<String>,
}

/// Waits until every workload among `objects` is ready; `tell` hears what is
/// waited for.
///
/// # Errors
/// Fails with the cause when the time is over or waiting is of no use.
pub async fn wait(
    client: &Client,
    namespace: &str,
    objects: &[Object],
    timeout: Duration,
    mut tell: impl FnMut(Waiting),
) -> Result<(), ReleaseError> {
    let session = Session::new(client.clone(), namespace);
    let mut hear = |event: Event| {
        if let Event::Waiting(rows) = event {
            for row in rows.into_iter().filter(|row| !row.is_ready) {
                tell(Waiting {
                    title: row.title,
                    because: row.because,
                });
            }
        }
    };
    let rules = Rules {
        wait: Wait::Watcher,
        jobs: false,
    };
    await_ready(&session, objects, rules, timeout, &mut hear).await
}

/// Waits until every object is ready as `rules` judge it.
pub(crate) async fn await_ready(
    session: &Session,
    objects: &[Object],
    rules: Rules,
    timeout: Duration,
    tell: &mut Tell<'_>,
) -> Result<(), ReleaseError> {
    if objects.is_empty() {
        return Ok(());
    }
    let mut room = Room::open(session, objects, Ask::Ready(rules)).await?;
    room.follow(timeout, tell).await
}

/// Waits until every object that runs to its end has done so.
pub(crate) async fn await_runs(
    session: &Session,
    objects: &[Object],
    timeout: Duration,
    tell: &mut Tell<'_>,
) -> Result<(), ReleaseError> {
    let mut room = Room::open(session, objects, Ask::Run).await?;
    room.follow(timeout, tell).await
}

/// What is asked of an object.
#[derive(Clone, Copy)]
enum Ask {
    Ready(Rules),
    Run,
}

struct Seat {
    title: String,
    namespace: String,
    api: Api<DynamicObject>,
    name: String,
    live: Option<Value>,
    state: Readiness,
    causes: Vec<Cause>,
    stuck_since: Option<Instant>,
}

/// What a watch says of an object.
type Sight = Result<Option<DynamicObject>, watcher::Error>;

/// The objects that are waited for.
struct Room<'a> {
    session: &'a Session,
    ask: Ask,
    seats: Vec<Seat>,
    streams: SelectAll<BoxStream<'static, (usize, Sight)>>,
}

impl<'a> Room<'a> {
    async fn open(
        session: &'a Session,
        objects: &[Object],
        ask: Ask,
    ) -> Result<Room<'a>, ReleaseError> {
        let served = session.served().await?;
        let mut room = Room {
            session,
            ask,
            seats: Vec::new(),
            streams: SelectAll::new(),
        };
        let named = objects.iter().filter(|object| !object.has_generated_name());
        for object in named {
            room.seats.push(Seat {
                title: object.title(),
                namespace: served.namespace(object, session.namespace()).to_owned(),
                api: served.api(object, session.namespace())?,
                name: object.name().to_owned(),
                live: None,
                state: Readiness::Waiting(String::new()),
                causes: Vec::new(),
                stuck_since: None,
            });
        }
        let looks = room.seats.iter().map(|seat| seat.api.get_opt(&seat.name));
        let found: Vec<_> = futures::stream::iter(looks).buffered(16).collect().await;
        for (at, found) in found.into_iter().enumerate() {
            room.see(at, found.ok().flatten());
            if room.seats[at].state != Readiness::Ready {
                let seat = &room.seats[at];
                let stream = watcher::watch_object(seat.api.clone(), &seat.name);
                room.streams
                    .push(stream.map(move |found| (at, found)).boxed());
            }
        }
        Ok(room)
    }

    fn see(&mut self, at: usize, live: Option<DynamicObject>) {
        let seat = &mut self.seats[at];
        seat.live = live.and_then(|live| {
            // Where types were lost on the way they are known from the API.
            let mut value = serde_json::to_value(live).ok()?;
            if !value["kind"].is_string() {
                value["kind"] = seat.title.split('/').next().unwrap_or_default().into();
            }
            Some(value)
        });
        seat.state = match self.ask {
            Ask::Ready(rules) => judge(seat.live.as_ref(), rules),
            Ask::Run => judge_run(seat.live.as_ref()),
        };
        if seat.state == Readiness::Ready {
            seat.causes.clear();
        }
    }

    async fn follow(&mut self, timeout: Duration, tell: &mut Tell<'_>) -> Result<(), ReleaseError> {
        let until = Instant::now() + timeout;
        let mut look = Instant::now() + LOOK;
        loop {
            tell(Event::Waiting(self.rows()));
            if let Some(failed) = self.failed() {
                return Err(self.report(failed, "failed").await);
            }
            if self.seats.iter().all(|seat| seat.state == Readiness::Ready) {
                return Ok(());
            }
            tokio::select! {
                Some((at, found)) = self.streams.next() => {
                    if let Ok(live) = found {
                        self.see(at, live);
                    } else {
                        // Not everybody may watch; looking again will do.
                        tokio::time::sleep(LOOK).await;
                        self.look_at(at).await;
                    }
                }
                () = tokio::time::sleep_until(look.min(until)) => {
                    if let Some(stuck) = self.ask_for_reasons().await {
                        return Err(self.report(stuck, "cannot become ready").await);
                    }
                    look = Instant::now() + LOOK;
                }
            }
            if Instant::now() >= until {
                let first = self
                    .seats
                    .iter()
                    .position(|seat| seat.state != Readiness::Ready);
                if let Some(first) = first {
                    return Err(self.report(first, "is not ready in time").await);
                }
            }
        }
    }

    async fn look_at(&mut self, at: usize) {
        let seat = &self.seats[at];
        if let Ok(live) = seat.api.get_opt(&seat.name).await {
            self.see(at, live);
        }
    }

    fn failed(&self) -> Option<usize> {
        self.seats
            .iter()
            .position(|seat| matches!(seat.state, Readiness::Failed(_)))
    }

    /// Asks what holds the unready back; returns one that will never be ready.
    async fn ask_for_reasons(&mut self) -> Option<usize> {
        let mut stuck = None;
        for at in 0..self.seats.len() {
            if self.seats[at].state == Readiness::Ready {
                continue;
            }
            self.refresh_causes(at).await;
            let seat = &mut self.seats[at];
            if !seat.causes.iter().any(Cause::is_final) {
                seat.stuck_since = None;
                continue;
            }
            let since = *seat.stuck_since.get_or_insert_with(Instant::now);
            if since.elapsed() >= BELIEVED {
                stuck.get_or_insert(at);
            }
        }
        stuck
    }

    async fn refresh_causes(&mut self, at: usize) {
        let seat = &mut self.seats[at];
        if let Some(live) = &seat.live {
            let facts = Facts::new(self.session.client().clone(), &seat.namespace);
            // Who may not ask is told no reasons.
            seat.causes = why::behind(&facts, live).await.unwrap_or_default();
        }
    }

    fn rows(&self) -> Vec<Row> {
        let row = |seat: &Seat| Row {
            title: seat.title.clone(),
            is_ready: seat.state == Readiness::Ready,
            state: match &seat.state {
                Readiness::Ready => "ready".into(),
                Readiness::Waiting(how) => how.clone(),
                Readiness::Failed(why) => why.clone(),
            },
            because: seat.causes.first().map(root),
        };
        self.seats.iter().map(row).collect()
    }

    /// Tells what happened to one object, why, and what else is not ready.
    async fn report(&mut self, at: usize, what: &str) -> ReleaseError {
        self.refresh_causes(at).await;
        let seat = &self.seats[at];
        let mut text = format!("{} {what}", seat.title);
        match &seat.state {
            Readiness::Waiting(how) | Readiness::Failed(how) if !how.is_empty() => {
                text.push_str(&format!(": {how}"));
            }
            _ => {}
        }
        for cause in &seat.causes {
            text.push_str(&format!("\n{}", cause.to_string().trim_end()));
        }
        if seat.causes.is_empty() && what != "failed" {
            text.push_str("\nno pod, container or event says why");
        }
        let others: Vec<&str> = self
            .seats
            .iter()
            .enumerate()
            .filter(|(other, seat)| *other != at && seat.state != Readiness::Ready)
            .map(|(_, seat)| seat.title.as_str())
            .collect();
        if !others.is_empty() {
            text.push_str(&format!("\nnot ready either: {}", others.join(", ")));
        }
        ReleaseError::NotReady(text)
    }
}

/// Returns what stands at the bottom of a cause, on one line.
fn root(cause: &Cause) -> String {
    let roots = cause.roots();
    let root = roots.first().copied().unwrap_or(cause);
    let text = root.text.lines().next().unwrap_or_default();
    format!("{}: {text}", root.object)
}
