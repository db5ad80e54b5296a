//! `helm version` and `helm env`: what is told of the program itself.

use clap::Args;
use coracle_helm::Level;

use super::Global;
use crate::failure::Outcome;

/// Print the version.
#[derive(Debug, Clone, Args)]
pub struct Version {
    /// The number alone.
    #[arg(long)]
    short: bool,
    /// Template of the output: {{.Version}}, {{.GitCommit}}, ...
    #[arg(long)]
    template: Option<String>,
    /// Accepted.
    #[arg(long, short, hide = true)]
    client: bool,
}

/// Print the environment.
#[derive(Debug, Clone, Args)]
pub struct Env {
    /// One variable.
    name: Option<String>,
}

impl Version {
    /// Prints the version of Helm whose rules are followed.
    pub fn run(&self) -> Outcome {
        let [version, commit, go] = Level::default().rules().helm;
        if let Some(template) = &self.template {
            let filled = [
                ("Version", version),
                ("GitCommit", commit),
                ("GitTreeState", "clean"),
                ("GoVersion", go),
            ]
            .iter()
            .fold(template.clone(), |text, (name, value)| {
                text.replace(&format!("{{{{.{name}}}}}"), value)
                    .replace(&format!("{{{{ .{name} }}}}"), value)
            });
            print!("{filled}");
            return Ok(());
        }
        if self.short {
            println!("{version}+g{}", &commit[..7]);
        } else {
            println!(
                "version.BuildInfo{{Version:{version:?}, GitCommit:{commit:?}, GitTreeState:\"clean\", GoVersion:{go:?}, KubeClientVersion:\"v1.{}\"}}",
                Level::default().rules().kube_minor
            );
        }
        Ok(())
    }
}

impl Env {
    /// Prints all variables, or the value of one.
    pub fn run(&self, global: &Global) -> Outcome {
        let variable = |name: &str| std::env::var(name).unwrap_or_default();
        let home = |kind: &str, default: &str| {
            let own = variable(&format!("HELM_{kind}_HOME"));
            if !own.is_empty() {
                return own;
            }
            let base = variable(&format!("XDG_{kind}_HOME"));
            if base.is_empty() {
                format!("{}/{default}/helm", variable("HOME"))
            } else {
                format!("{base}/helm")
            }
        };
        let (cache, config, data) = (
            home("CACHE", ".cache"),
            home("CONFIG", ".config"),
            home("DATA", ".local/share"),
        );
        let or = |name: &str, default: String| {
            let own = variable(name);
            if own.is_empty() { default } else { own }
        };
        let text = |value: &Option<String>| value.clone().unwrap_or_default();
        let variables = [
            ("HELM_BIN", std::env::args().next().unwrap_or_default()),
            ("HELM_BURST_LIMIT", or("HELM_BURST_LIMIT", "100".into())),
            ("HELM_CACHE_HOME", cache.clone()),
            ("HELM_CONFIG_HOME", config.clone()),
            (
                "HELM_CONTENT_CACHE",
                or("HELM_CONTENT_CACHE", format!("{cache}/content")),
            ),
            ("HELM_DATA_HOME", data.clone()),
            ("HELM_DEBUG", global.debug.to_string()),
            ("HELM_KUBEAPISERVER", text(&global.kube_apiserver)),
            ("HELM_KUBEASGROUPS", global.kube_as_group.join(",")),
            ("HELM_KUBEASUSER", text(&global.kube_as_user)),
            ("HELM_KUBECAFILE", variable("HELM_KUBECAFILE")),
            ("HELM_KUBECONTEXT", text(&global.kube_context)),
            (
                "HELM_KUBEINSECURE_SKIP_TLS_VERIFY",
                global.kube_insecure_skip_tls_verify.to_string(),
            ),
            (
                "HELM_KUBETLS_SERVER_NAME",
                text(&global.kube_tls_server_name),
            ),
            // A token is not for listings.
            ("HELM_KUBETOKEN", String::new()),
            ("HELM_MAX_HISTORY", or("HELM_MAX_HISTORY", "10".into())),
            (
                "HELM_NAMESPACE",
                global.namespace.clone().unwrap_or_else(|| "default".into()),
            ),
            (
                "HELM_PLUGINS",
                or("HELM_PLUGINS", format!("{data}/plugins")),
            ),
            ("HELM_QPS", or("HELM_QPS", "0.00".into())),
            (
                "HELM_REGISTRY_CONFIG",
                or(
                    "HELM_REGISTRY_CONFIG",
                    format!("{config}/registry/config.json"),
                ),
            ),
            (
                "HELM_REPOSITORY_CACHE",
                or("HELM_REPOSITORY_CACHE", format!("{cache}/repository")),
            ),
            (
                "HELM_REPOSITORY_CONFIG",
                or(
                    "HELM_REPOSITORY_CONFIG",
                    format!("{config}/repositories.yaml"),
                ),
            ),
        ];
        match &self.name {
            None => {
                for (name, value) in &variables {
                    println!("{name}=\"{value}\"");
                }
            }
            Some(wanted) => {
                let found = variables.iter().find(|(name, _)| name == wanted);
                println!("{}", found.map_or("", |(_, value)| value));
            }
        }
        Ok(())
    }
}
