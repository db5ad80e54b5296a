//! `coracle logs`: what the containers of a release, a workload or a pod
//! write, side by side; or what the cluster's own processes write.

mod engine;
mod follow;
mod select;
mod speaker;

use std::path::PathBuf;

use clap::Args;
use futures::future::join_all;
use k8s_openapi::api::core::v1::Pod;
use kube::api::LogParams;
use kube::{Api, Client, ResourceExt};

use super::target::Target;
use super::{Global, block_on};
use crate::failure::{Failure, Outcome};
use select::Selection;
use speaker::Speakers;

/// Print what containers write.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  coracle logs                     the release of coracle.yaml in this folder
  coracle logs todo -f             a release, as it is written
  coracle logs deploy/web --tail 20
  coracle logs pod/web-1 --previous    the run before the last restart
  coracle logs --since 5m -f       the last five minutes and what comes
  coracle logs --engine            the cluster's own processes

Lines of several containers are put in order by their time.")]
pub struct Logs {
    /// A release, or TYPE/NAME; the name alone does where no release has it.
    resource: Option<String>,
    /// Namespace [default: that of coracle.yaml, else default].
    #[arg(long, short)]
    namespace: Option<String>,
    /// Only containers of this name.
    #[arg(long, short)]
    container: Option<String>,
    /// Go on with what is written from now on; restarts and new pods as well.
    #[arg(long, short)]
    follow: bool,
    /// Only what is younger, such as 30s, 5m or 2h.
    #[arg(long, value_parser = age)]
    since: Option<i64>,
    /// Only that many lines from the end of each log.
    #[arg(long)]
    tail: Option<i64>,
    /// The run before the last restart.
    #[arg(long, short)]
    previous: bool,
    /// Put the time before each line.
    #[arg(long)]
    timestamps: bool,
    /// What the cluster's own processes write.
    #[arg(long)]
    engine: bool,
    /// Folder whose coracle.yaml names the release.
    #[arg(long, default_value = ".", hide = true)]
    folder: PathBuf,
}

impl Logs {
    /// Prints the logs.
    pub fn run(&self, global: &Global) -> Outcome {
        let target = Target::of(global)?;
        crate::interrupt::uninstall();
        if self.engine {
            return engine::print(&target, self.tail, self.follow);
        }
        let asked = self.asked()?;
        block_on(async {
            let client = target.connect().await?;
            let selection = asked.resolve(&client).await?;
            if self.follow {
                return follow::run(&client, &selection, self).await;
            }
            self.print(&client, &selection).await
        })
    }

    fn asked(&self) -> Result<select::Asked, Failure> {
        select::Asked::of(
            self.resource.as_deref(),
            self.namespace.as_deref(),
            &self.folder,
        )
    }

    fn params(&self, container: &str) -> LogParams {
        LogParams {
            container: Some(container.to_owned()),
            previous: self.previous,
            since_seconds: self.since,
            tail_lines: self.tail,
            timestamps: true,
            ..LogParams::default()
        }
    }

    fn wants(&self, container: &str) -> bool {
        self.container
            .as_ref()
            .is_none_or(|wanted| wanted == container)
    }

    /// Prints what was written until now, in order of time.
    async fn print(&self, client: &Client, selection: &Selection) -> Outcome {
        let pods = selection.pods(client).await?;
        if pods.is_empty() {
            return Err(
                Failure::from(anyhow::anyhow!("{} has no pods", selection.title))
                    .hint(format!("ask why: coracle why {}", selection.title)),
            );
        }
        let mut asking = Vec::new();
        for pod in &pods {
            for container in containers(pod).into_iter().filter(|name| self.wants(name)) {
                asking.push(self.one(client, pod, container));
            }
        }
        let mut lines: Vec<(String, String, String)> = Vec::new();
        let mut refusals = Vec::new();
        for result in join_all(asking).await {
            match result {
                Ok(more) => lines.extend(more),
                Err(refusal) => refusals.push(refusal),
            }
        }
        lines.sort_by(|a, b| a.0.cmp(&b.0));
        let mut speakers = Speakers::new(self.timestamps);
        for (time, speaker, line) in &lines {
            speakers.say(speaker, time, line);
        }
        if lines.is_empty() && !refusals.is_empty() {
            return Err(anyhow::anyhow!("{}", refusals.join("\n")).into());
        }
        Ok(())
    }

    /// Returns the lines of one container: time, speaker, text.
    async fn one(
        &self,
        client: &Client,
        pod: &Pod,
        container: String,
    ) -> Result<Vec<(String, String, String)>, String> {
        let namespace = pod.namespace().unwrap_or_default();
        let pods: Api<Pod> = Api::namespaced(client.clone(), &namespace);
        let speaker = speaker::name(pod, &container);
        let text = pods
            .logs(&pod.name_any(), &self.params(&container))
            .await
            .map_err(|error| format!("{speaker}: {error}"))?;
        Ok(text
            .lines()
            .map(|line| {
                let (time, line) = line.split_once(' ').unwrap_or(("", line));
                (time.to_owned(), speaker.clone(), line.to_owned())
            })
            .collect())
    }
}

/// Returns the names of a pod's containers, those that come first in front.
fn containers(pod: &Pod) -> Vec<String> {
    let spec = pod.spec.iter();
    spec.flat_map(|spec| {
        spec.init_containers
            .iter()
            .flatten()
            .chain(&spec.containers)
            .map(|container| container.name.clone())
    })
    .collect()
}

/// Reads `1h30m`, `5m`, `30s` or a number of seconds.
fn age(text: &str) -> Result<i64, String> {
    let wrong = || "it must be like 30s, 5m or 1h30m".to_owned();
    let (mut total, mut digits) = (0i64, String::new());
    for c in text.chars() {
        let unit = match c {
            '0'..='9' => {
                digits.push(c);
                continue;
            }
            's' => 1,
            'm' => 60,
            'h' => 3600,
            'd' => 86_400,
            _ => return Err(wrong()),
        };
        let number: i64 = digits.parse().map_err(|_| wrong())?;
        total += number.checked_mul(unit).ok_or_else(wrong)?;
        digits.clear();
    }
    if !digits.is_empty() {
        total += digits.parse::<i64>().map_err(|_| wrong())?;
    }
    if total > 0 { Ok(total) } else { Err(wrong()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_read() {
        let check =
            |text: &str, expected: Option<i64>| assert_eq!(age(text).ok(), expected, "{text}");
        check("30s", Some(30));
        check("1h30m", Some(5400));
        check("90", Some(90));
        check("2d", Some(172_800));
        check("", None);
        check("m", None);
        check("5x", None);
    }
}
