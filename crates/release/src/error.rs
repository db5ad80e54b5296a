//! Why a release could not be changed: Helm's words where Helm has some, then
//! what is behind it and what to do ([`ReleaseError::help`]).

use coracle_helm::RenderError;

use crate::objects::ParseError;
use crate::record::Status;
use crate::record_secret::RecordError;

/// A release could not be changed or read.
#[derive(Debug, thiserror::Error)]
pub enum ReleaseError {
    /// The API refused or did not answer.
    #[error("could not {step}")]
    Api {
        /// What was being done to what.
        step: String,
        /// What the API said.
        source: Box<kube::Error>,
    },
    /// The cluster does not answer at all.
    #[error("Kubernetes cluster unreachable")]
    Unreachable(#[source] Box<kube::Error>),
    /// A rendered document is no object.
    #[error(transparent)]
    Parse(#[from] ParseError),
    /// A record could not be read or written.
    #[error(transparent)]
    Record(RecordError),
    /// The chart could not be rendered.
    #[error("{}", .0.report().trim_end())]
    Render(Box<RenderError>),
    /// Something that was given cannot be used.
    #[error("{0}")]
    Invalid(String),
    /// A kind is not served by the cluster.
    #[error(transparent)]
    UnknownKind(Box<UnknownKind>),
    /// There is no such release.
    #[error("release: not found")]
    NotFound {
        /// Its name.
        name: String,
        /// Where it was looked for.
        namespace: String,
        /// Releases of that name in other namespaces.
        elsewhere: Vec<String>,
    },
    /// There is nothing that could be upgraded.
    #[error("\"{name}\" has no deployed releases")]
    NoDeployed {
        /// Its name.
        name: String,
        /// Where it was looked for.
        namespace: String,
        /// What the newest revision is, if there is one.
        last: Option<(i64, Status)>,
    },
    /// A release of this name is there.
    #[error("release name check failed: cannot reuse a name that is still in use")]
    NameInUse {
        /// Its name.
        name: String,
        /// Its namespace.
        namespace: String,
        /// Its newest revision.
        version: i64,
        /// Where that stands.
        status: Status,
    },
    /// The release is marked as removed.
    #[error("the release named \"{name}\" is already deleted")]
    AlreadyDeleted {
        /// Its name.
        name: String,
    },
    /// There is no such revision.
    #[error("release: not found")]
    NoRevision {
        /// Name of the release.
        name: String,
        /// What there is.
        known: Vec<i64>,
    },
    /// There is no such revision to roll back to.
    #[error("release has no {revision} version")]
    NoTarget {
        /// Name of the release.
        name: String,
        /// What was asked for.
        revision: i64,
        /// What there is.
        known: Vec<i64>,
    },
    /// Somebody is at it right now.
    #[error("revision {version} of release {name} is being made right now by {holder}")]
    Concurrent {
        /// Name of the release.
        name: String,
        /// The revision under way.
        version: i64,
        /// Who makes it.
        holder: String,
    },
    /// An object belongs to nobody, or to another release.
    #[error(transparent)]
    Ownership(Box<OwnershipError>),
    /// Other managers own fields that the chart sets.
    #[error(transparent)]
    Conflict(Box<ConflictError>),
    /// The API refuses an object.
    #[error(transparent)]
    Refused(Box<Refusal>),
    /// It failed at a step that Helm names before the cause.
    #[error("{step}")]
    During {
        /// Helm's words.
        step: String,
        /// Why it failed.
        source: Box<ReleaseError>,
    },
    /// The API refuses to remove objects.
    #[error("failed to delete release: {name}")]
    NotDeleted {
        /// Name of the release.
        name: String,
        /// What it said of each.
        refusals: Vec<String>,
    },
    /// There is no such namespace.
    #[error("create: failed to create: namespaces \"{namespace}\" not found")]
    NoNamespace {
        /// Its name.
        namespace: String,
    },
    /// A hook failed.
    #[error("{event} hook {title} ({file}) failed: {cause}")]
    Hook {
        /// The event.
        event: String,
        /// `Kind/name`.
        title: String,
        /// The template.
        file: String,
        /// Why, with the last lines of its log.
        cause: String,
    },
    /// The objects did not become ready.
    #[error("{0}")]
    NotReady(String),
    /// The user interrupted.
    #[error("interrupted")]
    Interrupted,
    /// It failed and was undone.
    #[error("release {name} failed, and has been {undone} due to rollback-on-failure being set")]
    Undone {
        /// Name of the release.
        name: String,
        /// `uninstalled` or `rolled back`.
        undone: &'static str,
        /// Why it failed.
        source: Box<ReleaseError>,
    },
    /// It failed and could not be undone.
    #[error("an error occurred while {undoing} the release ({undo_error}). original error")]
    NotUndone {
        /// `uninstalling` or `rolling back`.
        undoing: &'static str,
        /// Why it could not be undone.
        undo_error: String,
        /// Why it failed.
        source: Box<ReleaseError>,
    },
    /// It was removed, but not everything went well.
    #[error("uninstallation completed with {} error(s): {}", .0.len(), .0.join("; "))]
    Uninstall(Vec<String>),
}

/// A kind that the cluster does not serve.
#[derive(Debug, thiserror::Error)]
#[error(
    "resource mapping not found for name: \"{name}\" namespace: \"{namespace}\" from \"\": no matches for kind \"{kind}\" in version \"{api_version}\"\nensure CRDs are installed first"
)]
pub struct UnknownKind {
    /// The template.
    pub file: String,
    /// Name of the object.
    pub name: String,
    /// The namespace that the object itself names.
    pub namespace: String,
    /// Its apiVersion.
    pub api_version: String,
    /// Its kind.
    pub kind: String,
    /// A version of the same kind that is served.
    pub served: Option<String>,
}

/// What the API says of an object.
#[derive(Debug, thiserror::Error)]
#[error("{words}")]
pub struct Refusal {
    /// Helm's words, the API's at their end.
    pub words: String,
    /// The template; empty where no template made the object.
    pub file: String,
    /// `Kind/name`.
    pub title: String,
    /// What to do, where something is known.
    pub advice: Option<String>,
}

/// An object belongs to nobody, or to another release.
#[derive(Debug, thiserror::Error)]
#[error(
    "unable to continue with {operation}: {kind} \"{object}\" in namespace \"{namespace}\" exists and cannot be imported into the current release: invalid ownership metadata; {}",
    .problems.join("; ")
)]
pub struct OwnershipError {
    /// `install` or `update`.
    pub operation: &'static str,
    /// The template.
    pub file: String,
    /// The object's kind.
    pub kind: String,
    /// The object's name.
    pub object: String,
    /// The object's namespace; empty where it has none.
    pub namespace: String,
    /// What is wrong, in Helm's words.
    pub problems: Vec<String>,
    /// The release that it belongs to: name and namespace.
    pub owner: Option<(String, String)>,
    /// The release that wants it: name and namespace.
    pub wanted: (String, String),
}

/// Other managers own fields that the chart sets.
#[derive(Debug, thiserror::Error)]
#[error(
    "conflict occurred while applying object {namespace}/{name} {version}, Kind={kind}: {message}"
)]
pub struct ConflictError {
    /// The template.
    pub file: String,
    /// The object's kind.
    pub kind: String,
    /// Its API version, as `group/version`.
    pub version: String,
    /// The object's name.
    pub name: String,
    /// The object's namespace.
    pub namespace: String,
    /// What the API said.
    pub message: String,
    /// Field, manager, what it is now.
    pub fields: Vec<Contested>,
}

/// A field that somebody else owns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contested {
    /// Path of the field.
    pub field: String,
    /// Who owns it.
    pub manager: String,
    /// What stands there now, shortened; nothing for Secrets.
    pub now: Option<String>,
    /// What the chart wants there.
    pub wanted: Option<String>,
}

impl ReleaseError {
    /// Returns the error and what is behind it on one line, as Helm prints it.
    pub fn line(&self) -> String {
        let mut line = self.to_string();
        let mut source = std::error::Error::source(self);
        while let Some(error) = source {
            // The API's own words say it all; kube adds the whole answer.
            let said = answer(error);
            let is_last = said.is_some();
            let text = said.unwrap_or_else(|| error.to_string());
            if !line.ends_with(&text) {
                line.push_str(": ");
                line.push_str(&text);
            }
            source = error.source().filter(|_| !is_last);
        }
        line
    }

    /// Returns what the error means and what to do, line by line; nothing where
    /// the message says it all.
    pub fn help(&self) -> Option<String> {
        let text = match self {
            ReleaseError::Undone { source, .. }
            | ReleaseError::NotUndone { source, .. }
            | ReleaseError::During { source, .. } => return source.help(),
            ReleaseError::NotFound {
                name,
                namespace,
                elsewhere,
            } if elsewhere.is_empty() => format!(
                "there is no release {name} in namespace {namespace}; all releases: list --all-namespaces"
            ),
            ReleaseError::NotFound {
                name, elsewhere, ..
            } => format!(
                "there is a release {name} in namespace {}: say --namespace {}",
                elsewhere.join(", "),
                elsewhere[0]
            ),
            ReleaseError::NoDeployed {
                namespace,
                last: None,
                ..
            } => format!(
                "namespace {namespace} has no release of this name; to install it: upgrade --install"
            ),
            ReleaseError::NoDeployed {
                last: Some((version, status)),
                ..
            } => format!(
                "its newest revision {version} is {}; to install it anew: upgrade --install",
                status.word()
            ),
            ReleaseError::NameInUse {
                name,
                namespace,
                version,
                status,
            } => format!(
                "namespace {namespace} has a release {name}, revision {version}, {}\nto change it: upgrade {name} CHART; to remove it first: uninstall {name}; or choose another name",
                status.word()
            ),
            ReleaseError::AlreadyDeleted { name } => {
                format!("to remove its history as well: uninstall {name} without --keep-history")
            }
            ReleaseError::NoRevision { name, known }
            | ReleaseError::NoTarget { name, known, .. } => {
                let known: Vec<String> = known.iter().map(i64::to_string).collect();
                format!("release {name} has revisions {}", known.join(", "))
            }
            ReleaseError::Concurrent { name, .. } => format!(
                "wait until it ends and try again; to look on: status {name}\nan operation that died is taken over within seconds"
            ),
            ReleaseError::Ownership(error) => error.help(),
            ReleaseError::Conflict(error) => error.help(),
            ReleaseError::Refused(refusal) => return refusal.help(),
            ReleaseError::NotDeleted { name, refusals } => format!(
                "{}\nthe release stays recorded; once that is mended: uninstall {name}",
                refusals.join("\n")
            ),
            ReleaseError::NoNamespace { namespace } => {
                format!("say --create-namespace, or make it: kubectl create namespace {namespace}")
            }
            ReleaseError::UnknownKind(error) => error.help(),
            ReleaseError::Record(RecordError::TooLarge { .. }) => {
                "keep large files out of the chart by .helmignore, or split the chart".into()
            }
            ReleaseError::Record(error) if error.is_forbidden() => {
                format!("releases are recorded in Secrets of their namespace; {LACKS_RIGHT}")
            }
            ReleaseError::Unreachable(_) => {
                "is the cluster started, and is it the one that the kubeconfig's context names?"
                    .into()
            }
            _ => return None,
        };
        Some(text)
    }
}

/// What to do where the API grants too little.
pub(crate) const LACKS_RIGHT: &str = "the account of the kubeconfig's user lacks that right: ask for a Role with it, or use another context";

/// Returns what the API itself said, if this is its answer.
fn answer(error: &(dyn std::error::Error + 'static)) -> Option<String> {
    let boxed = error
        .downcast_ref::<Box<kube::Error>>()
        .map(|error| &**error);
    match boxed.or_else(|| error.downcast_ref::<kube::Error>())? {
        kube::Error::Api(status) => Some(status.message.clone()),
        _ => None,
    }
}

impl From<RecordError> for ReleaseError {
    fn from(error: RecordError) -> ReleaseError {
        match error {
            RecordError::Api { source, .. } if !is_answer(&source) => {
                ReleaseError::Unreachable(source)
            }
            error => ReleaseError::Record(error),
        }
    }
}

impl UnknownKind {
    fn help(&self) -> String {
        let UnknownKind { file, kind, .. } = self;
        match &self.served {
            Some(served) => {
                format!("the cluster serves {kind} as {served}: change apiVersion in {file}")
            }
            None => format!(
                "{file} makes a {kind}, whose CustomResourceDefinition is not installed: put it into the chart's crds/ or install it first"
            ),
        }
    }
}

impl Refusal {
    fn help(&self) -> Option<String> {
        let made =
            (!self.file.is_empty()).then(|| format!("{} is made by {}", self.title, self.file));
        let lines: Vec<String> = made.into_iter().chain(self.advice.clone()).collect();
        (!lines.is_empty()).then(|| lines.join("\n"))
    }
}

impl OwnershipError {
    fn help(&self) -> String {
        let OwnershipError {
            file,
            kind,
            object,
            namespace,
            owner,
            wanted,
            ..
        } = self;
        let whose = match owner {
            Some((name, space)) => format!("it belongs to release {name} in namespace {space}"),
            None => "it was not made by a release".into(),
        };
        let resource = kind.to_lowercase();
        let space = if namespace.is_empty() {
            String::new()
        } else {
            format!(" -n {namespace}")
        };
        format!(
            "{whose}; the chart makes it in {file}\nto take it over: --take-ownership, or mark it by hand:\n  kubectl label{space} {resource} {object} app.kubernetes.io/managed-by=Helm --overwrite\n  kubectl annotate{space} {resource} {object} meta.helm.sh/release-name={} meta.helm.sh/release-namespace={} --overwrite",
            wanted.0, wanted.1
        )
    }
}

impl ConflictError {
    fn help(&self) -> String {
        let mut text = format!("the object is made by {}\n", self.file);
        for one in &self.fields {
            text.push_str(&format!("{} is owned by {}", one.field, one.manager));
            match (&one.now, &one.wanted) {
                (Some(now), Some(wanted)) => {
                    text.push_str(&format!(": it is {now}, the chart wants {wanted}"));
                }
                (Some(now), None) => text.push_str(&format!(": it is {now}")),
                _ => {}
            }
            text.push('\n');
        }
        text.push_str(
        "to take the fields: --force-conflicts; to leave them to their owner: remove them from the chart",
    );
        text
    }
}

/// Wraps what the API said on the way to `step`.
pub(crate) fn api(step: impl Into<String>) -> impl FnOnce(kube::Error) -> ReleaseError {
    move |source| ReleaseError::Api {
        step: step.into(),
        source: Box::new(source),
    }
}

/// As [`api`], but tells a cluster that does not answer from one that refuses.
pub(crate) fn unreachable_or(step: impl Into<String>) -> impl FnOnce(kube::Error) -> ReleaseError {
    move |error| match is_answer(&error) {
        true => api(step)(error),
        false => ReleaseError::Unreachable(Box::new(error)),
    }
}

/// Whether somebody answered.
fn is_answer(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(_) | kube::Error::Discovery(_))
}

/// Puts Helm's name of a step before what failed in it.
pub(crate) fn during(step: impl Into<String>) -> impl FnOnce(ReleaseError) -> ReleaseError {
    move |error| ReleaseError::During {
        step: step.into(),
        source: Box::new(error),
    }
}
