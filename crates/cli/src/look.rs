//! Looking at a chart before it is installed: by `check`, and by everything
//! that installs.
//!
//! Main type: [`Look`]. `check` prints the whole report; an installation tells
//! what would go wrong and goes on, unless the API would refuse an object when
//! others are changed already.

use std::io::IsTerminal;
use std::sync::Arc;

use coracle_helm::{Capabilities, Chart, Lookup, Options, Release, Rendered, Values, render_with};
use coracle_preflight::{Input, Report, Severity, Show};

use crate::chart;
use crate::facts::{self, Cluster};
use crate::failure::{Failure, Outcome};

/// What is looked at.
pub struct Look {
    /// The chart.
    pub chart: Chart,
    /// The user's values.
    pub values: Values,
    /// The release it would become.
    pub release: Release,
    /// What templates know of the cluster.
    pub capabilities: Capabilities,
    /// Answers `lookup`.
    pub lookup: Arc<dyn Lookup + Send + Sync>,
    /// Whether the installation makes the namespace.
    pub create_namespace: bool,
}

impl Look {
    /// Renders the chart; blocks while templates ask the cluster.
    pub fn rendered(&self) -> Result<Rendered, Failure> {
        chart::rendered(
            &self.chart,
            &self.values,
            &self.release,
            &self.capabilities,
            &*self.lookup,
        )
    }

    /// Returns what would go wrong; `None` for the cluster looks at this
    /// machine alone.
    pub async fn report(self, cluster: Option<&Cluster>) -> Result<Report, Failure> {
        let this = Arc::new(self);
        let renderer = this.clone();
        // Rendering blocks while it asks the cluster, so it has a thread of its own.
        let rendered = tokio::task::spawn_blocking(move || {
            render_with(
                &renderer.chart,
                &renderer.values,
                &renderer.release,
                &renderer.capabilities,
                &*renderer.lookup,
                Options::default(),
            )
        })
        .await?;
        let target = match (&rendered, cluster) {
            (Ok(rendered), Some(cluster)) => {
                Some(facts::gather(cluster, rendered, &this.release).await?)
            }
            (Ok(rendered), None) => Some(facts::host(rendered)),
            (Err(_), _) => None,
        };
        let report = tokio::task::spawn_blocking(move || {
            let input = Input {
                chart: &this.chart,
                values: &this.values,
                release: &this.release,
                capabilities: &this.capabilities,
                lookup: &*this.lookup,
                options: Options::default(),
                target: target.as_ref(),
                create_namespace: this.create_namespace,
            };
            match rendered {
                Ok(rendered) => coracle_preflight::check_rendered(&input, &rendered),
                Err(error) => coracle_preflight::refused(&input, *error),
            }
        });
        Ok(report.await?)
    }
}

/// Tells, before an installation, what would go wrong; fails where the API
/// would refuse an object. With `quiet` only that is told.
pub async fn tell(look: Look, cluster: &Cluster, quiet: bool) -> Outcome {
    let release = look.release.name.clone();
    // A chart that does not render is refused, with the same words, right after.
    let Ok(report) = look.report(Some(cluster)).await else {
        return Ok(());
    };
    let show = Show {
        colour: colours(std::io::stderr().is_terminal()),
        quiet: true,
    };
    for finding in &report.findings {
        let is_news = finding.severity == Severity::Error && finding.helm.is_none();
        if !is_news || quiet && !finding.refused {
            continue;
        }
        let mut text = String::new();
        show.finding(finding, &mut text);
        eprint!("{text}");
    }
    if report.findings.iter().any(|finding| finding.refused) {
        return Err(Failure::from(anyhow::anyhow!(
            "the API would refuse this, so nothing of release {release} was changed"
        ))
        .hint("do what stands after \"fix:\" above, then try again"));
    }
    Ok(())
}

/// Whether to use colours.
pub fn colours(is_terminal: bool) -> bool {
    let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    is_terminal && !plain
}
