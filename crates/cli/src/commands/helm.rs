//! The personality `helm`: the binary called so, or `coracle helm`, takes
//! Helm's command line and answers in Helm's words.
//!
//! Main function: [`run`]. What the verbs do stands in `release`; flags that
//! only Helm has are read here.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use coracle_helm::Level;

use super::block_on;
use super::dependency::Dependency;
use super::lint::Lint;
use super::package::Package;
use super::release::{
    Get, HelmCluster, History, Install, List, Place, ReleaseStatus, Rollback, Test, Uninstall,
    Upgrade, Verb,
};
use super::show::Show;
use super::template::Template;
use crate::failure::Outcome;

/// The Kubernetes package manager, as coracle has it.
#[derive(Debug, Parser)]
#[command(name = "helm", disable_version_flag = true)]
struct Helm {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// Helm's flags of every command.
#[derive(Debug, Clone, Args)]
struct Global {
    /// Namespace scope of the command.
    #[arg(long, short, global = true, env = "HELM_NAMESPACE", hide_env = true)]
    namespace: Option<String>,
    /// Path of the kubeconfig.
    #[arg(long, global = true)]
    kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig.
    #[arg(long, global = true, env = "HELM_KUBECONTEXT", hide_env = true)]
    kube_context: Option<String>,
    /// Address of the API server.
    #[arg(long, global = true, env = "HELM_KUBEAPISERVER", hide_env = true)]
    kube_apiserver: Option<String>,
    /// Bearer token.
    #[arg(
        long,
        global = true,
        env = "HELM_KUBETOKEN",
        hide_env = true,
        hide_env_values = true
    )]
    kube_token: Option<String>,
    /// User to act as.
    #[arg(long, global = true, env = "HELM_KUBEASUSER", hide_env = true)]
    kube_as_user: Option<String>,
    /// Group to act as.
    #[arg(long, global = true)]
    kube_as_group: Vec<String>,
    /// Certificate authority of the API server.
    #[arg(long, global = true, env = "HELM_KUBECAFILE", hide_env = true)]
    kube_ca_file: Option<PathBuf>,
    /// Name that the API server's certificate must have.
    #[arg(long, global = true, env = "HELM_KUBETLS_SERVER_NAME", hide_env = true)]
    kube_tls_server_name: Option<String>,
    /// Take any certificate of the API server.
    #[arg(long, global = true)]
    kube_insecure_skip_tls_verify: bool,
    /// Say everything.
    #[arg(long, global = true)]
    debug: bool,
    /// Accepted.
    #[arg(long, global = true, hide = true)]
    burst_limit: Option<i64>,
    /// Accepted.
    #[arg(long, global = true, hide = true)]
    qps: Option<f64>,
    /// Accepted.
    #[arg(long, global = true, hide = true, alias = "colour")]
    color: Option<String>,
    /// Accepted.
    #[arg(long, global = true, hide = true)]
    registry_config: Option<PathBuf>,
    /// Accepted.
    #[arg(long, global = true, hide = true)]
    repository_config: Option<PathBuf>,
    /// Accepted.
    #[arg(long, global = true, hide = true)]
    repository_cache: Option<PathBuf>,
    /// Accepted.
    #[arg(long, global = true, hide = true)]
    content_cache: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Install a chart.
    Install(Box<Install>),
    /// Upgrade a release.
    Upgrade(Box<Upgrade>),
    /// Roll a release back to a previous revision.
    Rollback(Rollback),
    /// Uninstall a release.
    #[command(visible_aliases = ["del", "delete", "un"])]
    Uninstall(Uninstall),
    /// List releases.
    #[command(visible_alias = "ls")]
    List(HelmList),
    /// Fetch the history of a release.
    #[command(visible_alias = "hist")]
    History(History),
    /// Display the status of a release.
    Status(ReleaseStatus),
    /// Download extended information of a release.
    Get(Get),
    /// Run the tests of a release.
    Test(Test),
    /// Render templates.
    Template(Template),
    /// Look for what is wrong with a chart.
    Lint(HelmLint),
    /// Show what a chart says of itself.
    #[command(visible_alias = "inspect")]
    Show(Show),
    /// Pack a chart into an archive.
    Package(Package),
    /// Look after the charts that a chart depends on.
    #[command(visible_aliases = ["dep", "dependencies"])]
    Dependency(Dependency),
    /// Print the version.
    Version(Version),
    /// Print the environment.
    Env(Env),
}

/// `helm list`, whose `-q` is short for `--short`.
#[derive(Debug, Clone, Args)]
struct HelmList {
    #[command(flatten)]
    list: List,
    /// Names alone.
    #[arg(short)]
    q: bool,
}

/// `helm lint`, with a flag that is everybody's elsewhere.
#[derive(Debug, Args)]
struct HelmLint {
    #[command(flatten)]
    lint: Lint,
    /// Print only what is wrong.
    #[arg(long)]
    quiet: bool,
}

/// Print the version.
#[derive(Debug, Clone, Args)]
struct Version {
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
struct Env {
    /// One variable.
    name: Option<String>,
}

/// Runs a command line of Helm's: the program's name first.
pub fn run(words: impl Iterator<Item = OsString>) -> ExitCode {
    run_for(words, None)
}

/// As [`run`]; `own` says which cluster is meant if the words do not.
fn run_for(words: impl Iterator<Item = OsString>, own: Option<&super::Global>) -> ExitCode {
    let words: Vec<OsString> = words.filter_map(plain).collect();
    let helm = match Helm::try_parse_from(words) {
        Ok(helm) => helm,
        Err(error) if !error.use_stderr() => {
            let _ = error.print();
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            let text = error.render().to_string();
            eprintln!("Error: {}", text.trim_start_matches("error: ").trim_end());
            return ExitCode::FAILURE;
        }
    };
    match helm.run(own) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report_as_helm(),
    }
}

/// Helm takes `--flag=true` and `--flag=false` where a flag has no value.
fn plain(word: OsString) -> Option<OsString> {
    const WITH_VALUE: &[&str] = &[
        "--wait",
        "--dry-run",
        "--server-side",
        "--set",
        "--set-string",
        "--set-literal",
        "--set-json",
        "--set-file",
        "--labels",
        "--description",
        "--namespace",
        "--filter",
        "--selector",
    ];
    let text = word.to_str()?.to_owned();
    match text.split_once('=') {
        Some((flag, value)) if flag.starts_with("--") && !WITH_VALUE.contains(&flag) => match value
        {
            "true" => Some(flag.into()),
            "false" => None,
            _ => Some(word),
        },
        _ => Some(word),
    }
}

impl Helm {
    fn run(&self, own: Option<&super::Global>) -> Outcome {
        match &self.command {
            Command::Install(verb) => self.verb(verb.as_ref(), own),
            Command::Upgrade(verb) => self.verb(verb.as_ref(), own),
            Command::Rollback(verb) => self.verb(verb, own),
            Command::Uninstall(verb) => self.verb(verb, own),
            Command::List(list) => {
                let mut verb = list.list.clone();
                verb.short |= list.q;
                self.verb(&verb, own)
            }
            Command::History(verb) => self.verb(verb, own),
            Command::Status(verb) => self.verb(verb, own),
            Command::Get(verb) => self.verb(verb, own),
            Command::Test(verb) => self.verb(verb, own),
            Command::Template(template) => template.run(),
            Command::Lint(lint) => lint.lint.run(lint.quiet),
            Command::Show(show) => show.run(),
            Command::Package(package) => package.run(),
            Command::Dependency(dependency) => dependency.run(),
            Command::Version(version) => version.run(),
            Command::Env(env) => env.run(&self.global),
        }
    }

    fn verb(&self, verb: &impl Verb, own: Option<&super::Global>) -> Outcome {
        let global = &self.global;
        let cluster = HelmCluster {
            kubeconfig: global.kubeconfig.clone(),
            context: global.kube_context.clone(),
            server: global.kube_apiserver.clone(),
            token: global.kube_token.clone(),
            as_user: global.kube_as_user.clone(),
            as_groups: global.kube_as_group.clone(),
            ca_file: global.kube_ca_file.clone(),
            tls_server_name: global.kube_tls_server_name.clone(),
            insecure: global.kube_insecure_skip_tls_verify,
        };
        block_on(async {
            let namespace = global.namespace.clone();
            let offline = verb.is_offline();
            let place = match own.filter(|_| !cluster.is_named()) {
                Some(own) => Place::of_own(own, namespace, global.debug, offline).await?,
                None => Place::of_helm(&cluster, namespace, global.debug, offline).await?,
            };
            verb.run(&place).await
        })
    }
}

impl Version {
    /// Prints the version of Helm whose rules are followed.
    fn run(&self) -> Outcome {
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
    fn run(&self, global: &Global) -> Outcome {
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

/// `coracle helm ARGS`: Helm's command line for our cluster.
#[derive(Debug, Args)]
pub struct Embedded {
    /// Words of Helm's command line.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    words: Vec<OsString>,
}

impl Embedded {
    /// Runs Helm's command line for our cluster, unless it names another.
    pub fn run(&self, global: &super::Global) -> ExitCode {
        let words = std::iter::once("helm".into()).chain(self.words.iter().cloned());
        run_for(words, Some(global))
    }
}
