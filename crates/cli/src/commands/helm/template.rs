//! `helm template`: it takes every flag of `helm install`, most of which mean
//! nothing where nothing is installed.

use std::sync::Arc;

use clap::Args;
use coracle_helm::Lookup;
use coracle_release::{ClusterLookup, capabilities};

use crate::commands::release::Place;
use crate::commands::template::Template;
use crate::failure::Outcome;

/// Render templates.
#[derive(Debug, Clone, Args)]
pub struct HelmTemplate {
    #[command(flatten)]
    template: Template,
    #[command(flatten)]
    unused: Unused,
}

/// Flags of an installation, accepted.
#[derive(Debug, Clone, Args)]
struct Unused {
    #[arg(long, hide = true, alias = "atomic")]
    rollback_on_failure: bool,
    #[arg(long, hide = true)]
    create_namespace: bool,
    #[arg(long, hide = true)]
    description: Option<String>,
    #[arg(long, hide = true)]
    disable_openapi_validation: bool,
    #[arg(long, hide = true)]
    enable_dns: bool,
    #[arg(long, hide = true)]
    force_conflicts: bool,
    #[arg(long, hide = true, alias = "force")]
    force_replace: bool,
    #[arg(long, hide = true)]
    hide_notes: bool,
    #[arg(long, short, hide = true)]
    labels: Vec<String>,
    #[arg(long, hide = true)]
    render_subchart_notes: bool,
    #[arg(long, hide = true)]
    replace: bool,
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true)]
    server_side: Option<Option<String>>,
    #[arg(long, hide = true)]
    skip_crds: bool,
    #[arg(long, hide = true)]
    take_ownership: bool,
    #[arg(long, hide = true)]
    timeout: Option<String>,
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true)]
    wait: Option<Option<String>>,
    #[arg(long, hide = true)]
    wait_for_jobs: bool,
}

impl HelmTemplate {
    /// Whether templates see a cluster.
    pub fn asks_server(&self) -> bool {
        self.template.asks_server()
    }

    /// Renders where a place says.
    pub async fn run(&self, place: &Place) -> Outcome {
        let namespace = place.namespace().to_owned();
        let debug = place.debug;
        if !self.asks_server() {
            return self.template.run(&namespace, debug);
        }
        let client = place.client()?.clone();
        let seen = capabilities(&client).await?;
        let lookup: Arc<dyn Lookup + Send + Sync> = Arc::new(ClusterLookup::new(client));
        let template = self.template.clone();
        // Rendering blocks while it asks the cluster, so it has a thread of its own.
        tokio::task::spawn_blocking(move || template.run_with(&namespace, debug, seen, &*lookup))
            .await?
    }
}
