//! The commands: one file each.

mod access;
pub mod check;
mod delete;
mod dependency;
mod down;
mod image;
mod kubectl;
mod lint;
mod package;
mod progress;
mod roll;
mod show;
mod start;
mod status;
mod stop;
mod target;
mod template;
mod up;

use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::failure::{Failure, Outcome};

/// A Kubernetes one person can carry.
///
/// Point it at a Helm chart on a bare Linux machine: it builds the images,
/// starts a Kubernetes of its own in private namespaces, deploys, waits until
/// the application answers and prints the URL.
#[derive(Debug, Parser)]
#[command(
    name = "coracle",
    version,
    after_help = "Examples:\n  coracle up                 build, start, deploy what coracle.yaml describes\n  coracle kubectl get pods   your kubectl, with the cluster's kubeconfig\n  coracle down               remove the release\n  coracle delete             remove the cluster and every trace of it"
)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// Flags of every command.
#[derive(Debug, Clone, Args)]
pub struct Global {
    /// Name of the cluster.
    #[arg(long, global = true, default_value = "coracle", env = "CORACLE_CLUSTER", value_parser = cluster_name)]
    pub cluster: String,
    /// Kubeconfig to change and to read, instead of $KUBECONFIG or ~/.kube/config.
    #[arg(long, global = true)]
    pub kubeconfig: Option<std::path::PathBuf>,
    /// Act on an existing cluster: a context of the kubeconfig.
    #[arg(long, global = true, value_name = "NAME")]
    pub context: Option<String>,
    /// Say only what was asked for and what failed.
    #[arg(long, short, global = true)]
    pub quiet: bool,
}

fn cluster_name(text: &str) -> Result<String, String> {
    if coracle_cluster::home::is_cluster_name(text) {
        return Ok(text.to_owned());
    }
    Err("a cluster's name is made of a-z, 0-9 and '-', begins and ends with a letter or digit and has at most 40 characters".into())
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Build the images, start the cluster, deploy the chart, print the URL.
    Up(up::Up),
    /// Remove the release that `up` installed.
    Down(down::Down),
    /// Start the cluster.
    Start(start::Start),
    /// Stop the cluster; its data and images stay.
    Stop,
    /// Remove the cluster and everything that belongs to it.
    Delete,
    /// Show the cluster and what runs in it.
    Status(status::Status),
    /// Print the address at which the cluster's ports answer.
    Ip,
    /// Print the URLs of a Service.
    Service(access::Service),
    /// Run kubectl with the cluster's kubeconfig.
    Kubectl(kubectl::Kubectl),
    /// Build, pull, push, load, save, tag, inspect, list and remove images.
    Image(image::Image),
    /// Render a chart as `helm template` does.
    Template(template::Template),
    /// Say what would go wrong with a chart; nothing is changed.
    Check(check::Check),
    /// Look at a chart as `helm lint` does.
    Lint(lint::Lint),
    /// Show a chart, its values, README or definitions.
    Show(show::Show),
    /// Pack a chart folder into NAME-VERSION.tgz.
    Package(package::Package),
    /// List or bring the charts that a chart needs.
    #[command(visible_alias = "dep", alias = "dependencies")]
    Dependency(dependency::Dependency),
}

/// Reads the command line, runs the command and returns the exit code.
pub fn run() -> ExitCode {
    let cli = Cli::parse();
    if let Command::Check(check) = &cli.command {
        return match check.run(&cli.global) {
            Ok(code) => code,
            Err(failure) => failure.report(),
        };
    }
    match dispatch(&cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

fn dispatch(cli: &Cli) -> Outcome {
    let global = &cli.global;
    match &cli.command {
        Command::Up(up) => up.run(global),
        Command::Down(down) => down.run(global),
        Command::Start(start) => start.run(global),
        Command::Stop => stop::run(global),
        Command::Delete => delete::run(global),
        Command::Status(status) => status.run(global),
        Command::Ip => access::ip(global),
        Command::Service(service) => service.run(global),
        Command::Kubectl(kubectl) => kubectl.run(global),
        Command::Image(image) => image.run(global),
        Command::Template(template) => template.run(),
        Command::Check(check) => check.run(global).map(|_| ()),
        Command::Lint(lint) => lint.run(global),
        Command::Show(show) => show.run(),
        Command::Package(package) => package.run(),
        Command::Dependency(dependency) => dependency.run(),
    }
}

/// Runs a future to its end on a runtime of one thread.
fn block_on<T>(future: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(future)
}
