//! What a check found.
//!
//! Main types: [`Report`], [`Finding`]. How it looks on a terminal is `show`.

use crate::Input;
use coracle_helm::{Origin, Place};
use serde::Serialize;
use serde_json::{Value, json};

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The installation is refused, or a part of it cannot work.
    Error,
    /// It most likely does not do what is meant, or depends on what the chart
    /// does not bring.
    Warning,
    /// Advice.
    Note,
}

impl Severity {
    /// Returns the word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Note => "note",
        }
    }
}

/// Which object a finding is about.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ObjectName {
    /// `apiVersion`.
    pub api_version: String,
    /// Kind.
    pub kind: String,
    /// Namespace; empty for kinds that live in none.
    pub namespace: String,
    /// Name.
    pub name: String,
}

impl std::fmt::Display for ObjectName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.kind, self.name)
    }
}

/// Something that would go wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// Short name of the rule, such as `target-port`.
    pub rule: &'static str,
    /// The object it is about.
    pub object: Option<ObjectName>,
    /// The field: `spec.ports[0].targetPort`; empty for the whole object.
    pub field: String,
    /// What is wrong, in one sentence.
    pub message: String,
    /// What to do.
    pub fix: Option<String>,
    /// The place in the chart that wrote it.
    pub place: Option<Place>,
    /// Values that decide it, with where they were written.
    pub values: Vec<(String, Option<Origin>)>,
    /// What `helm` prints, where it refuses too.
    pub helm: Option<String>,
    /// Whether the API refuses the object because of it, so that an
    /// installation would end half-way.
    pub refused: bool,
}

/// Everything a check found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// The chart's name and version.
    pub chart: String,
    /// The release's name.
    pub release: String,
    /// The release's namespace.
    pub namespace: String,
    /// The cluster, where one was asked.
    pub target: Option<String>,
    /// The Kubernetes version that was assumed.
    pub kube_version: String,
    /// How many objects were looked at.
    pub objects: usize,
    /// Findings, the worst first.
    pub findings: Vec<Finding>,
    /// What Helm warns of while rendering.
    pub warnings: Vec<String>,
}

impl Report {
    pub(crate) fn of(input: &Input<'_>) -> Report {
        let meta = &input.chart.metadata;
        Report {
            chart: format!("{} {}", meta.name, meta.version),
            release: input.release.name.clone(),
            namespace: input.release.namespace.clone(),
            target: input
                .target
                .map(|target| target.name.clone())
                .filter(|name| !name.is_empty()),
            kube_version: input.capabilities.kube_version.version.clone(),
            ..Report::default()
        }
    }

    /// Counts findings of a severity.
    pub fn count(&self, severity: Severity) -> usize {
        let same = |finding: &&Finding| finding.severity == severity;
        self.findings.iter().filter(same).count()
    }

    /// Whether nothing stands in the way.
    pub fn is_ok(&self) -> bool {
        self.count(Severity::Error) == 0
    }

    /// Lets file names that begin with the chart's name begin with `path`, so
    /// that an editor finds them.
    pub fn rebase(&mut self, chart: &str, path: &str) {
        let new = |file: &str| {
            let rest = file.strip_prefix(chart)?.strip_prefix('/')?;
            Some(format!("{}/{rest}", path.trim_end_matches('/')))
        };
        for finding in &mut self.findings {
            if let Some(place) = &mut finding.place
                && let Some(file) = new(&place.file)
            {
                place.file = file;
            }
            for origin in finding.values.iter_mut().filter_map(|(_, at)| at.as_mut()) {
                if let Some(source) = new(&origin.source) {
                    origin.source = source;
                }
            }
        }
    }

    pub(crate) fn sort(&mut self) {
        self.findings.sort_by(|a, b| {
            (a.severity, &a.object, a.rule, &a.field, &a.message)
                .cmp(&(b.severity, &b.object, b.rule, &b.field, &b.message))
        });
        self.findings.dedup();
    }

    /// Returns the report for programs.
    pub fn to_json(&self) -> Value {
        json!({
            "chart": self.chart,
            "release": self.release,
            "namespace": self.namespace,
            "context": self.target,
            "kubeVersion": self.kube_version,
            "objects": self.objects,
            "errors": self.count(Severity::Error),
            "warnings": self.count(Severity::Warning),
            "notes": self.count(Severity::Note),
            "findings": self.findings.iter().map(Finding::to_json).collect::<Vec<_>>(),
            "renderWarnings": self.warnings,
        })
    }
}

impl Finding {
    fn to_json(&self) -> Value {
        let place = self
            .place
            .as_ref()
            .map(|place| json!({"file": place.file, "line": place.line, "column": place.column}));
        let values: Vec<Value> = self
            .values
            .iter()
            .map(|(value, origin)| {
                let origin = origin.as_ref();
                json!({
                    "value": value,
                    "source": origin.map(|at| at.source.clone()),
                    "line": origin.map(|at| at.line).filter(|line| *line > 0),
                })
            })
            .collect();
        json!({
            "severity": self.severity,
            "rule": self.rule,
            "object": self.object,
            "field": self.field,
            "message": self.message,
            "fix": self.fix,
            "template": place,
            "values": values,
            "helm": self.helm,
            "refused": self.refused,
        })
    }
}
