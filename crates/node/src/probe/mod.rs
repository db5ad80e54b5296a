//! Probes: a task for each, which tells the pod's worker when its verdict
//! changes (upstream: pkg/kubelet/prober).
//!
//! Until the first success, startup and readiness probes without an initial
//! delay are also tried early; those tries never count as failures
//! (COMPATIBILITY.md).

mod grpc;
mod http;

use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use k8s_openapi::api::core::v1::{Container, HTTPGetAction, Probe};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until, timeout};

use crate::fetch::words;

/// When early tries are made, counted from the container's start.
const EARLY: [Duration; 5] = [
    Duration::from_millis(20),
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_millis(200),
    Duration::from_millis(400),
];

/// Which question a probe answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Has the container started?
    Startup,
    /// May it get traffic?
    Readiness,
    /// Must it be restarted?
    Liveness,
}

impl Kind {
    /// Returns the word of upstream's events.
    pub fn word(self) -> &'static str {
        match self {
            Kind::Startup => "Startup",
            Kind::Readiness => "Readiness",
            Kind::Liveness => "Liveness",
        }
    }
}

/// What a probe found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// Which probe.
    pub kind: Kind,
    /// Whether the threshold of successes or that of failures was reached;
    /// `None` tells of a single failure that changes nothing yet.
    pub healthy: Option<bool>,
    /// What a failed try said.
    pub message: String,
}

/// Tries a container once; returns what is wrong with it if something is.
pub trait Target: Send + Sync + 'static {
    /// Runs a command in the container: its exit code and output.
    fn exec(
        &self,
        command: Vec<String>,
    ) -> impl Future<Output = Result<(i32, String), String>> + Send;
    /// Returns the pod's address.
    fn address(&self) -> Ipv4Addr;
    /// Whether nothing really runs that could be asked: it is well then.
    fn pretends(&self) -> bool;
}

/// Probes for ever, telling each change of the verdict.
///
/// `tell` returns false when nobody listens any more.
pub async fn run<T: Target>(
    kind: Kind,
    probe: Probe,
    container: Container,
    target: T,
    started: Instant,
    tell: impl Fn(Verdict) -> bool + Send,
) {
    let mut state = State::new(kind, &probe);
    let delay = seconds(probe.initial_delay_seconds, 0);
    let period = seconds(probe.period_seconds, 10).max(Duration::from_secs(1));
    if kind != Kind::Liveness && delay.is_zero() {
        for early in EARLY {
            sleep_until(started + early).await;
            if try_once(&probe, &container, &target).await.is_ok() {
                if state.success().is_some_and(|verdict| !tell(verdict)) {
                    return;
                }
                break;
            }
        }
    }
    let mut next = started
        + delay.max(if delay.is_zero() {
            period.min(Duration::from_secs(1))
        } else {
            delay
        });
    loop {
        sleep_until(next).await;
        let verdict = match try_once(&probe, &container, &target).await {
            Ok(()) => state.success(),
            Err(message) => Some(state.failure(message)),
        };
        if let Some(verdict) = verdict {
            let over = kind == Kind::Startup && verdict.healthy.is_some();
            if !tell(verdict) || over {
                return;
            }
        }
        next = (next + period).max(Instant::now());
    }
}

fn seconds(value: Option<i32>, default: u32) -> Duration {
    Duration::from_secs(value.map_or(default, i32::unsigned_abs).into())
}

/// Counts successes and failures in a row.
struct State {
    kind: Kind,
    success_threshold: u32,
    failure_threshold: u32,
    successes: u32,
    failures: u32,
    healthy: Option<bool>,
}

impl State {
    fn new(kind: Kind, probe: &Probe) -> State {
        let number = |value: Option<i32>, default| {
            value
                .and_then(|value| u32::try_from(value).ok())
                .unwrap_or(default)
                .max(1)
        };
        State {
            kind,
            success_threshold: number(probe.success_threshold, 1),
            failure_threshold: number(probe.failure_threshold, 3),
            successes: 0,
            failures: 0,
            healthy: None,
        }
    }

    fn success(&mut self) -> Option<Verdict> {
        self.failures = 0;
        self.successes += 1;
        if self.healthy == Some(true) || self.successes < self.success_threshold {
            return None;
        }
        self.healthy = Some(true);
        Some(Verdict {
            kind: self.kind,
            healthy: Some(true),
            message: String::new(),
        })
    }

    fn failure(&mut self, message: String) -> Verdict {
        self.successes = 0;
        self.failures += 1;
        let reached = self.failures >= self.failure_threshold;
        let changed = reached && (self.healthy != Some(false) || self.kind != Kind::Readiness);
        if changed {
            self.healthy = Some(false);
            self.failures = if self.kind == Kind::Readiness {
                self.failures
            } else {
                0
            };
        }
        Verdict {
            kind: self.kind,
            healthy: changed.then_some(false),
            message,
        }
    }
}

async fn try_once<T: Target>(
    probe: &Probe,
    container: &Container,
    target: &T,
) -> Result<(), String> {
    if target.pretends() {
        return Ok(());
    }
    let limit = seconds(probe.timeout_seconds, 1).max(Duration::from_secs(1));
    if let Some(action) = &probe.exec {
        let command = action.command.clone().unwrap_or_default();
        let words = command.join(" ");
        return match timeout(limit, target.exec(command)).await {
            Err(_) => Err(format!(
                "command timed out: {words:?} timed out after {}s",
                limit.as_secs()
            )),
            Ok(Err(error)) => Err(error),
            Ok(Ok((0, _))) => Ok(()),
            Ok(Ok((_, output))) => Err(output),
        };
    }
    if let Some(action) = &probe.http_get {
        let url = http::Url::of(action, container, target.address())?;
        return match timeout(limit, http::ask(action, &url)).await {
            Err(_) => Err(format!(
                "Get \"{url}\": context deadline exceeded (Client.Timeout exceeded while awaiting headers)"
            )),
            Ok(result) => result,
        };
    }
    if let Some(action) = &probe.grpc {
        let port = u16::try_from(action.port).map_err(|_| "no port to ask".to_owned())?;
        let address = SocketAddr::from((target.address(), port));
        return grpc::ask(address, action.service.as_deref().unwrap_or(""), limit).await;
    }
    if let Some(action) = &probe.tcp_socket {
        let host = action.host.clone().filter(|host| !host.is_empty());
        return tcp(
            host,
            port(&action.port, container)?,
            target.address(),
            limit,
        )
        .await;
    }
    Err("missing probe handler".into())
}

/// Opens a connection and closes it again (upstream: pkg/probe/tcp).
async fn tcp(
    host: Option<String>,
    port: u16,
    address: Ipv4Addr,
    limit: Duration,
) -> Result<(), String> {
    let address: Ipv4Addr = match host.as_deref() {
        None => address,
        Some("localhost") => Ipv4Addr::LOCALHOST,
        Some(host) => host
            .parse()
            .map_err(|_| format!("dial tcp: lookup {host}: no such host"))?,
    };
    let at = SocketAddr::from((address, port));
    match timeout(limit, TcpStream::connect(at)).await {
        Err(_) => Err(format!("dial tcp {at}: i/o timeout")),
        Ok(Err(error)) => Err(format!("dial tcp {at}: connect: {}", words(&error))),
        Ok(Ok(_)) => Ok(()),
    }
}

fn port(port: &IntOrString, container: &Container) -> Result<u16, String> {
    let number = match port {
        IntOrString::Int(number) => Some(*number),
        IntOrString::String(name) => container
            .ports
            .iter()
            .flatten()
            .find(|port| port.name.as_ref() == Some(name))
            .map(|port| port.container_port)
            .or_else(|| name.parse().ok()),
    };
    number
        .and_then(|number| u16::try_from(number).ok())
        .filter(|number| *number > 0)
        .ok_or_else(|| "couldn't find port of the probe".to_owned())
}

/// Asks once, without a limit of time; for life-cycle hooks.
///
/// # Errors
/// Says what is wrong with the answer.
pub async fn get_once(
    action: &HTTPGetAction,
    container: &Container,
    address: Ipv4Addr,
) -> Result<(), String> {
    http::ask(action, &http::Url::of(action, container, address)?).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(kind: Kind, success: i32, failure: i32) -> State {
        State::new(
            kind,
            &Probe {
                success_threshold: Some(success),
                failure_threshold: Some(failure),
                ..Probe::default()
            },
        )
    }

    /// Feeds results and collects the verdicts: `+` and `-` for changes, `.` for none.
    fn check(mut state: State, results: &str, expected: &str) {
        let verdicts: String = results
            .chars()
            .map(|result| {
                let verdict = if result == 'o' {
                    state.success()
                } else {
                    Some(state.failure("no".into()))
                };
                match verdict.and_then(|verdict| verdict.healthy) {
                    Some(true) => '+',
                    Some(false) => '-',
                    None => '.',
                }
            })
            .collect();
        assert_eq!(verdicts, expected, "{results}");
    }

    #[test]
    fn verdicts_change_at_their_thresholds() {
        check(state(Kind::Readiness, 1, 3), "oxxoxxx", "+.....-");
        check(state(Kind::Readiness, 2, 1), "ooxoo", ".+-.+");
        check(state(Kind::Liveness, 1, 3), "oxxxxxx", "+..-..-");
    }
}
