//! Addons: what minikube installs on demand is built in, or not there.

use clap::Subcommand;

use crate::failure::{Failure, Outcome};

/// Addons that people enable, and what is to be said of them.
const ADDONS: [(&str, Option<&str>); 9] = [
    (
        "ingress",
        Some("built in: class nginx, on ports 80 and 443 of this machine"),
    ),
    (
        "ingress-dns",
        Some("built in: *.localhost names need no server"),
    ),
    ("metrics-server", Some("built in: kubectl top, autoscalers")),
    ("default-storageclass", Some("built in")),
    ("storage-provisioner", Some("built in")),
    (
        "metallb",
        Some("not needed: LoadBalancers answer on this machine"),
    ),
    (
        "registry",
        Some("not needed: coracle image build and load reach the cluster directly"),
    ),
    ("dashboard", None),
    ("csi-hostpath-driver", None),
];

/// What to do with addons.
#[derive(Debug, Subcommand)]
pub enum Action {
    /// Enable one.
    Enable {
        /// Its name.
        name: String,
    },
    /// Disable one.
    Disable {
        /// Its name.
        name: String,
    },
    /// List them.
    List {
        /// json, or a table.
        #[arg(long, short)]
        output: Option<String>,
    },
}

/// Runs the command.
pub fn run(action: &Action) -> Outcome {
    match action {
        Action::Enable { name } => enable(name),
        Action::Disable { name } => {
            eprintln!("· {name} stays: what is built in costs nothing while nobody uses it");
            Ok(())
        }
        Action::List {
            output: Some(output),
        } if output == "json" => {
            let addons = ADDONS.iter().map(|(name, says)| {
                let status = if says.is_some() {
                    "enabled"
                } else {
                    "disabled"
                };
                (
                    (*name).to_owned(),
                    serde_json::json!({"Profile": "minikube", "Status": status}),
                )
            });
            println!("{}", serde_json::Value::Object(addons.collect()));
            Ok(())
        }
        Action::List { .. } => {
            for (name, says) in ADDONS {
                println!("{name:<22} {}", says.unwrap_or("not there"));
            }
            Ok(())
        }
    }
}

/// Says what becomes of an addon that is to be enabled.
pub fn enable(name: &str) -> Outcome {
    match ADDONS.iter().find(|(known, _)| *known == name) {
        Some((_, Some(says))) => {
            eprintln!("✓ The '{name}' addon is enabled ({says})");
            Ok(())
        }
        Some(("dashboard", _)) => Err(Failure::from(anyhow::anyhow!("there is no dashboard yet"))
            .hint("see everything at once: coracle status --cluster minikube --watch")),
        _ => Err(Failure::from(anyhow::anyhow!("there is no addon {name}"))
            .hint("what is built in: minikube addons list; for others install the chart: helm install NAME CHART")),
    }
}
