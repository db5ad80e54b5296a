//! Why something does not work: a chain of causes in plain words, down to the
//! one that can be mended, each with the next step.
//!
//! Main type: [`Cause`]; entries: [`why`], and `behind` for those who wait. What
//! an object says of itself is read by pure functions (`pod`, `workload`,
//! `service`, …); [`Facts`] fetches what they need. Network policies are not
//! judged here.

mod autoscaler;
mod claim;
mod facts;
mod image;
mod ingress;
mod pod;
mod probe;
mod resource;
mod schedule;
mod service;
mod volume;
mod words;
mod workload;

use std::fmt;

use kube::Client;

use crate::ReleaseError;
use crate::latest;
use crate::objects::parse;
use crate::record::Status;

pub use facts::Facts;
pub use resource::{Resource, ResourceError};
pub use service::PORT_TAKEN;
pub use words::similar;

/// A cause, with the causes that stand behind it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cause {
    /// The object, such as `pod/web-1`.
    pub object: String,
    /// What is wrong with it.
    pub text: String,
    /// What it said itself: last lines of a log.
    pub excerpt: Vec<String>,
    /// What to do about it: words or a command.
    pub remedy: Option<String>,
    /// Whether waiting does not help.
    pub is_final: bool,
    /// What stands behind it.
    pub because: Vec<Cause>,
}

impl Cause {
    fn new(object: impl Into<String>, text: impl Into<String>) -> Cause {
        Cause {
            object: object.into(),
            text: text.into(),
            ..Cause::default()
        }
    }

    fn remedy(mut self, remedy: impl Into<String>) -> Cause {
        self.remedy = Some(remedy.into());
        self
    }

    fn finally(mut self) -> Cause {
        self.is_final = true;
        self
    }

    fn because(mut self, causes: Vec<Cause>) -> Cause {
        self.is_final |= causes.iter().any(|cause| cause.is_final);
        self.because = causes;
        self
    }

    /// Returns whether it or a cause behind it will not go away by waiting.
    pub fn is_final(&self) -> bool {
        self.is_final || self.because.iter().any(Cause::is_final)
    }

    /// Writes the cause and what stands behind it, a line each, `depth` steps
    /// to the right.
    fn write(&self, depth: usize, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let indent = "  ".repeat(depth);
        writeln!(f, "{indent}because {}: {}", self.object, self.text)?;
        for line in &self.excerpt {
            writeln!(f, "{indent}  | {line}")?;
        }
        if let Some(remedy) = &self.remedy {
            writeln!(f, "{indent}  → {remedy}")?;
        }
        let mut behind = self.because.iter();
        behind.try_for_each(|cause| cause.write(depth + 1, f))
    }

    /// Returns the causes that nothing stands behind.
    pub fn roots(&self) -> Vec<&Cause> {
        if self.because.is_empty() {
            return vec![self];
        }
        self.because.iter().flat_map(Cause::roots).collect()
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(1, f)
    }
}

/// What was found out about a resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// The resource, as people name it.
    pub object: String,
    /// How it stands, in a few words.
    pub state: String,
    /// What is wrong; empty if nothing is.
    pub causes: Vec<Cause>,
}

/// Finds out why a resource, or a release by its name, does not work.
///
/// # Errors
/// Fails if the API refuses or there is no such resource.
pub async fn why(
    client: &Client,
    namespace: &str,
    resource: &Resource,
) -> Result<Verdict, ReleaseError> {
    let facts = Facts::new(client.clone(), namespace);
    match resource {
        Resource::Release(name) => release(client, &facts, name).await,
        Resource::Object { kind, name } => object(&facts, kind, name).await,
    }
}

async fn object(facts: &Facts, kind: &str, name: &str) -> Result<Verdict, ReleaseError> {
    let title = format!("{}/{name}", kind.to_lowercase());
    let Some(live) = facts.get(kind, name).await? else {
        let names = facts.names(kind).await?;
        let remedy = match similar(name, names.iter().map(String::as_str)) {
            Some(meant) => format!("did you mean {}/{meant}?", kind.to_lowercase()),
            None if names.is_empty() => format!("namespace {} has none", facts.namespace()),
            None => format!("there are {}", words::list(&names, 8)),
        };
        return Ok(Verdict {
            object: title.clone(),
            state: "does not exist".into(),
            causes: vec![
                Cause::new(
                    title,
                    format!("it does not exist in namespace {}", facts.namespace()),
                )
                .remedy(remedy)
                .finally(),
            ],
        });
    };
    let causes = causes(facts, kind, &live).await?;
    Ok(Verdict {
        object: title,
        state: words::state(kind, &live),
        causes,
    })
}

/// Returns what is wrong with an object; empty if nothing is.
async fn causes(
    facts: &Facts,
    kind: &str,
    live: &serde_json::Value,
) -> Result<Vec<Cause>, ReleaseError> {
    match kind {
        "Pod" => pod::causes(facts, live).await,
        "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet" | "Job" => {
            workload::causes(facts, live).await
        }
        "Service" => service::causes(facts, live).await,
        "Ingress" => ingress::causes(facts, live).await,
        "PersistentVolumeClaim" => claim::causes(facts, live).await,
        "HorizontalPodAutoscaler" => autoscaler::causes(facts, live).await,
        _ => Ok(Vec::new()),
    }
}

/// Returns what stands behind an object that is waited for and not ready; empty
/// while nothing is known.
///
/// # Errors
/// Fails if the API refuses.
pub(crate) async fn behind(
    facts: &Facts,
    live: &serde_json::Value,
) -> Result<Vec<Cause>, ReleaseError> {
    let kind = words::text(&live["kind"]);
    let causes = match kind {
        "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet" | "Job" => {
            workload::known(facts, live).await?
        }
        _ => causes(facts, kind, live).await?,
    };
    if causes.is_empty() && kind != "Pod" {
        let name = words::text(&live["metadata"]["name"]);
        let title = format!("{}/{name}", kind.to_lowercase());
        let said = facts.warning(kind, name, &[]).await?;
        return Ok(said
            .map(|said| Cause::new(title, said))
            .into_iter()
            .collect());
    }
    // What is waited for is named already.
    let deeper = |cause: Cause| match cause.because.is_empty() {
        true => vec![cause],
        false => cause.because,
    };
    Ok(match kind {
        "Pod" => causes,
        _ => causes.into_iter().flat_map(deeper).collect(),
    })
}

async fn release(client: &Client, facts: &Facts, name: &str) -> Result<Verdict, ReleaseError> {
    let title = format!("release {name}");
    let Some(record) = latest(client, facts.namespace(), name).await? else {
        return Ok(Verdict {
            object: title.clone(),
            state: "does not exist".into(),
            causes: vec![
                Cause::new(
                    title,
                    format!(
                        "there is no such release in namespace {}",
                        facts.namespace()
                    ),
                )
                .remedy("deploy it: coracle up")
                .finally(),
            ],
        });
    };
    let mut causes = Vec::new();
    if record.info.status == Status::Failed {
        causes.push(
            Cause::new(
                &title,
                format!("its last revision failed: {}", record.info.description),
            )
            .finally(),
        );
    }
    for object in parse(&record.manifest)? {
        let namespace = object.own_namespace().unwrap_or(facts.namespace());
        let facts = facts.within(namespace);
        let (kind, title) = (object.kind(), object.title().to_lowercase());
        if !resource::is_explained(kind) {
            continue;
        }
        match facts.get(kind, object.name()).await? {
            Some(live) => causes.extend(self::causes(&facts, kind, &live).await?),
            None => causes.push(
                Cause::new(title, "it is in the release but not in the cluster")
                    .remedy("deploy it again: coracle up")
                    .finally(),
            ),
        }
    }
    Ok(Verdict {
        object: title,
        state: format!("revision {} {}", record.version, record.info.status.word()),
        causes,
    })
}
