//! Containers that are told to run: each ends when it is asked to, or by
//! itself as its pod's annotations script it.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use coracle_runtime::Exit;
use k8s_openapi::api::core::v1::Pod;
use tokio::sync::watch;

/// Seconds after which containers of a pod end by themselves.
const RUN_SECONDS: &str = "simulated.coracle.dev/run-seconds";
/// The exit code they end with then; 0 without it.
const EXIT_CODE: &str = "simulated.coracle.dev/exit-code";

/// How the containers of a pod behave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Script {
    /// When they end by themselves; `None` for never.
    pub runs: Option<Duration>,
    /// With which exit code.
    pub code: i32,
}

impl Script {
    /// Reads the annotations of a pod.
    pub fn of(pod: &Pod) -> Script {
        let annotations = pod.metadata.annotations.as_ref();
        let annotation = |name: &str| annotations.and_then(|all| all.get(name));
        Script {
            runs: annotation(RUN_SECONDS)
                .and_then(|text| text.parse().ok())
                .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()),
            code: annotation(EXIT_CODE)
                .and_then(|text| text.parse().ok())
                .unwrap_or(0),
        }
    }
}

/// A container that pretends. Clones are the same container.
#[derive(Debug, Clone)]
pub struct Pretended(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    id: String,
    started_at_nanos: u64,
    exit: watch::Sender<Option<Exit>>,
}

impl Pretended {
    /// Starts one.
    pub fn start(id: String, script: Script) -> Pretended {
        let container = Pretended(Arc::new(Inner {
            id,
            started_at_nanos: now_nanos(),
            exit: watch::Sender::new(None),
        }));
        if let Some(runs) = script.runs {
            let own = container.clone();
            tokio::spawn(async move {
                tokio::time::sleep(runs).await;
                own.end(script.code);
            });
        }
        container
    }

    /// Returns its id.
    pub fn id(&self) -> &str {
        &self.0.id
    }

    /// Returns when it started, in nanoseconds since 1970.
    pub fn started_at_nanos(&self) -> u64 {
        self.0.started_at_nanos
    }

    /// Ends it, unless it has ended already.
    pub fn end(&self, code: i32) {
        self.0.exit.send_if_modified(|exit| {
            let ends = exit.is_none();
            if ends {
                *exit = Some(Exit {
                    code,
                    signal: None,
                    oom_killed: false,
                    started_at_nanos: self.0.started_at_nanos,
                    finished_at_nanos: now_nanos(),
                });
            }
            ends
        });
    }

    /// Waits for its end.
    pub async fn wait(&self) -> Exit {
        let mut exit = self.0.exit.subscribe();
        let ended = exit.wait_for(Option::is_some).await;
        ended
            .ok()
            .and_then(|exit| exit.clone())
            .expect("the sender lives as long as the container")
    }
}

fn now_nanos() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    u64::try_from(since.unwrap_or_default().as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_ends_once() {
        let forever = Script {
            runs: None,
            code: 0,
        };
        let container = Pretended::start("a".into(), forever);
        container.end(143);
        container.end(137);
        assert_eq!(container.wait().await.code, 143);
    }

    #[tokio::test]
    async fn it_ends_as_scripted() {
        let mut pod = Pod::default();
        pod.metadata.annotations = Some(
            [(RUN_SECONDS, "0.01"), (EXIT_CODE, "3")]
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .into(),
        );
        let container = Pretended::start("a".into(), Script::of(&pod));
        assert_eq!(container.wait().await.code, 3);
    }
}
