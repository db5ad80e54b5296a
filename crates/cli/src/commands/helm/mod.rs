//! The personality `helm`: the binary called so, or `coracle helm`, takes
//! Helm's command line and answers in Helm's words.
//!
//! Main function: [`run`]. What the verbs do stands in `release`; flags that
//! only Helm has are read here.

mod about;
mod template;
mod words;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use self::about::{Env, Version};
use self::template::HelmTemplate;
use super::block_on;
use super::dependency::Dependency;
use super::lint::Lint;
use super::package::Package;
use super::release::{
    Get, HelmCluster, History, Install, List, Place, ReleaseStatus, Rollback, Test, Uninstall,
    Upgrade, Verb,
};
use super::show::Show;
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
    Template(Box<HelmTemplate>),
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

/// Runs a command line of Helm's: the program's name first.
pub fn run(words: impl Iterator<Item = OsString>) -> ExitCode {
    run_for(words, None)
}

/// As [`run`]; `own` says which cluster is meant if the words do not.
fn run_for(words: impl Iterator<Item = OsString>, own: Option<&super::Global>) -> ExitCode {
    let given: Vec<OsString> = words.collect();
    let words: Vec<OsString> = given.iter().cloned().filter_map(words::plain).collect();
    let parsed = Helm::try_parse_from(&words);
    for line in words::deprecations(&given) {
        eprintln!("{line}");
    }
    let helm = match parsed {
        Ok(helm) => helm,
        Err(error) if is_help(&error) => {
            print!("{}", error.render());
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("Error: {}", words::refusal(&error, &words));
            return ExitCode::FAILURE;
        }
    };
    match helm.run(own) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report_as_helm(),
    }
}

fn is_help(error: &clap::Error) -> bool {
    use clap::error::ErrorKind;
    matches!(
        error.kind(),
        ErrorKind::DisplayHelp
            | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
            | ErrorKind::MissingSubcommand
    )
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
            Command::Template(template) => {
                self.at_place(own, !template.asks_server(), async |place| {
                    template.run(place).await
                })
            }
            Command::Lint(lint) => lint.lint.run(lint.quiet),
            Command::Show(show) => show.run(),
            Command::Package(package) => package.run(),
            Command::Dependency(dependency) => dependency.run(),
            Command::Version(version) => version.run(),
            Command::Env(env) => env.run(&self.global),
        }
    }

    fn verb(&self, verb: &impl Verb, own: Option<&super::Global>) -> Outcome {
        let offline = verb.is_offline();
        self.at_place(own, offline, async |place| verb.run(place).await)
    }

    /// Does something where the flags say.
    fn at_place(
        &self,
        own: Option<&super::Global>,
        offline: bool,
        work: impl AsyncFnOnce(&Place) -> Outcome,
    ) -> Outcome {
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
            let place = match own.filter(|_| !cluster.is_named()) {
                Some(own) => Place::of_own(own, namespace, global.debug, offline).await?,
                None => Place::of_helm(&cluster, namespace, global.debug, offline).await?,
            };
            work(&place).await
        })
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
