//! Following: every run of every container of the selection, also those that
//! begin later.

use std::collections::BTreeSet;

use futures::stream::{SelectAll, StreamExt};
use futures::{AsyncBufReadExt, TryStreamExt};
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use kube::api::LogParams;
use kube::runtime::watcher::{Config, Event, watcher};
use kube::{Api, Client, ResourceExt};
use tokio::sync::mpsc;

use super::speaker::{self, Speakers};
use super::{Logs, Selection};
use crate::failure::Outcome;

/// A line: speaker, time, text.
type Line = (String, String, String);

/// Prints what is written until the user has seen enough.
pub async fn run(client: &Client, selection: &Selection, logs: &Logs) -> Outcome {
    let api: Api<Pod> = Api::namespaced(client.clone(), &selection.namespace);
    let configs: Vec<Config> = match &selection.pod {
        Some(name) => vec![Config::default().fields(&format!("metadata.name={name}"))],
        None => selection
            .selectors
            .iter()
            .map(|selector| Config::default().labels(selector))
            .collect(),
    };
    let mut events = SelectAll::new();
    for config in configs {
        events.push(watcher(api.clone(), config).boxed());
    }
    let (say, mut lines) = mpsc::unbounded_channel::<Line>();
    let mut speakers = Speakers::new(logs.timestamps);
    let mut seen = BTreeSet::new();
    let mut first = true;
    loop {
        tokio::select! {
            Some(event) = events.next() => match event {
                Ok(Event::InitDone) => first = false,
                Ok(Event::Apply(pod) | Event::InitApply(pod)) => {
                    for run in runs(&pod) {
                        if !logs.wants(&run.container) || !seen.insert(run.key.clone()) {
                            continue;
                        }
                        let mut params = logs.params(&run.container);
                        params.follow = true;
                        if !first {
                            // A run that begins now is told from its beginning.
                            (params.tail_lines, params.since_seconds) = (None, None);
                        }
                        tokio::spawn(read(api.clone(), pod.clone(), run.container, params, say.clone()));
                    }
                }
                _ => {}
            },
            Some((speaker, time, line)) = lines.recv() => speakers.say(&speaker, &time, &line),
        }
    }
}

/// One run of a container.
struct Run {
    container: String,
    /// What tells it from other runs.
    key: String,
}

/// Returns the runs that have begun and can be read.
fn runs(pod: &Pod) -> Vec<Run> {
    let status = pod.status.clone().unwrap_or_default();
    let statuses = status
        .init_container_statuses
        .into_iter()
        .chain(status.container_statuses)
        .flatten();
    statuses
        .filter(has_begun)
        .map(|container| Run {
            key: format!(
                "{} {} {}",
                pod.uid().unwrap_or_default(),
                container.name,
                container.container_id.unwrap_or_default()
            ),
            container: container.name,
        })
        .collect()
}

fn has_begun(container: &ContainerStatus) -> bool {
    // One that waits for its next run can be asked for its last one.
    let states = container.state.iter().chain(container.last_state.iter());
    states
        .into_iter()
        .any(|state| state.running.is_some() || state.terminated.is_some())
}

/// Reads a run to its end.
async fn read(
    api: Api<Pod>,
    pod: Pod,
    container: String,
    params: LogParams,
    say: mpsc::UnboundedSender<Line>,
) {
    let speaker = speaker::name(&pod, &container);
    let stream = match api.log_stream(&pod.name_any(), &params).await {
        Ok(stream) => stream,
        Err(error) => {
            let _ = say.send((
                speaker,
                String::new(),
                format!("its log cannot be read: {error}"),
            ));
            return;
        }
    };
    let mut lines = stream.lines();
    while let Ok(Some(line)) = lines.try_next().await {
        let (time, line) = line.split_once(' ').unwrap_or(("", &line));
        if say
            .send((speaker.clone(), time.to_owned(), line.to_owned()))
            .is_err()
        {
            return;
        }
    }
}
