//! The commands: one file each.

mod access;
mod advice;
pub mod check;
mod completions;
mod config;
mod delete;
mod dependency;
mod doctor;
mod down;
mod elsewhere;
mod forward;
mod helm;
mod image;
mod kubectl;
mod lint;
mod logs;
mod minikube;
mod namesake;
mod output;
mod package;
mod progress;
mod release;
mod roll;
mod show;
mod start;
mod status;
mod stop;
mod target;
mod template;
mod up;
mod urls;
mod why;

use std::process::ExitCode;

use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::failure::Failure;

/// A Kubernetes one person can carry.
///
/// Point it at a Helm chart on a bare Linux machine: it builds the images,
/// starts a Kubernetes of its own in private namespaces, deploys, waits until
/// the application answers and prints the URL.
#[derive(Debug, Parser)]
#[command(
    name = "coracle",
    version = coracle_cluster::build::version(),
    after_help = "Examples:\n  coracle up                 build, start, deploy what coracle.yaml describes\n  coracle kubectl get pods   your kubectl, with the cluster's kubeconfig\n  coracle down               remove the release\n  coracle delete             remove the cluster and every trace of it\n\nExit codes: 0 done, 1 it failed, 2 the command line or a file of yours is wrong,\n3 the cluster does not run, 4 the machine refuses, 130 interrupted."
)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// Flags of every command.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Global options")]
pub struct Global {
    /// Name of the cluster.
    #[arg(long, global = true, value_name = "NAME", default_value = "coracle", env = "CORACLE_CLUSTER", value_parser = cluster_name)]
    pub cluster: String,
    /// Kubeconfig to change and to read, instead of $KUBECONFIG or ~/.kube/config.
    #[arg(long, global = true, value_name = "FILE")]
    pub kubeconfig: Option<std::path::PathBuf>,
    /// Act on an existing cluster: a context of the kubeconfig.
    // `image build` has a context of its own.
    #[arg(
        id = "kube_context",
        long = "context",
        global = true,
        value_name = "NAME"
    )]
    pub context: Option<String>,
    /// Say only what was asked for and what failed.
    #[arg(long, short, global = true)]
    pub quiet: bool,
    /// Write plain lines on a terminal, too.
    #[arg(long, global = true)]
    pub no_progress: bool,
}

fn cluster_name(text: &str) -> Result<String, String> {
    if coracle_cluster::home::is_cluster_name(text) {
        return Ok(text.to_owned());
    }
    Err("a cluster's name is made of a-z, 0-9 and '-', begins and ends with a letter or digit and has at most 40 characters".into())
}

// `defer`: a command's flags are made once it is named, not at every start.
#[derive(Debug, Subcommand)]
#[command(defer = true)]
enum Command {
    /// Build the images, start the cluster, deploy the chart, print the URL.
    Up(up::Up),
    /// Remove the release that `up` installed.
    Down(down::Down),
    /// Start the cluster.
    Start(start::Start),
    /// Stop the cluster; its data and images stay.
    #[command(
        after_help = "Examples:\n  coracle stop                    containers end; volumes, images and releases stay\n  coracle stop --cluster second   another cluster of yours\n  coracle start                   go on"
    )]
    Stop,
    /// Remove the cluster and everything that belongs to it.
    #[command(
        after_help = "Examples:\n  coracle delete                    releases, volumes, keys, logs, its kubeconfig entry\n  coracle delete --cluster second   another cluster of yours\n\nLayers of images stay while another cluster uses them. To keep the cluster and\nremove the application alone: coracle down"
    )]
    Delete,
    /// Show the cluster and what runs in it.
    Status(status::Status),
    /// Print the address at which the cluster's ports answer.
    #[command(
        after_help = "Examples:\n  curl http://$(coracle ip):30080\n  coracle ip --cluster second   a second cluster has an address of its own"
    )]
    Ip,
    /// Print the URLs of a Service.
    Service(access::Service),
    /// Forward a local port to a Service, following it across pod replacement.
    Forward(forward::Forward),
    /// Run kubectl with the cluster's kubeconfig.
    Kubectl(kubectl::Kubectl),
    /// Build, pull, push, load, save, tag, inspect, list and remove images.
    Image(image::Image),
    /// Render a chart as `helm template` does.
    Template(Box<template::Placed>),
    /// Install a chart as a release.
    Install(Box<release::Placed<release::Install>>),
    /// Upgrade a release to another chart or other values.
    Upgrade(Box<release::Placed<release::Upgrade>>),
    /// Roll a release back to an older revision.
    Rollback(release::Placed<release::Rollback>),
    /// Remove releases and their objects.
    Uninstall(release::Placed<release::Uninstall>),
    /// List releases.
    #[command(visible_alias = "ls")]
    List(release::Placed<release::List>),
    /// Show the revisions of a release.
    History(release::Placed<release::History>),
    /// Print one part of what a release's revision says.
    Get(release::Placed<release::Get>),
    /// Run the tests of a release.
    Test(release::Placed<release::Test>),
    /// Helm's command line, as it is: coracle helm status web.
    #[command(disable_help_flag = true)]
    Helm(helm::Embedded),
    /// Say what would go wrong with a chart; nothing is changed.
    Check(check::Check),
    /// Print what containers write.
    Logs(logs::Logs),
    /// Say why something does not work, and what to do about it.
    Why(why::Why),
    /// Check whether this machine offers what a cluster needs.
    Doctor(doctor::Doctor),
    /// View and set defaults; print the schema of coracle.yaml.
    Config(config::Config),
    /// Print the completions of a shell.
    Completions(completions::Completions),
    /// Write the manual, a page per command.
    #[command(hide = true)]
    Man(completions::Man),
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
    crate::interrupt::install();
    crate::pipe::install();
    match program().as_str() {
        "helm" => return helm::run(std::env::args_os()),
        "minikube" => return minikube::run(),
        "kubectl" => return kubectl::run(),
        _ => {}
    }
    match parse().and_then(|cli| dispatch(&cli)) {
        Ok(code) => code,
        Err(failure) => failure.report(),
    }
}

/// Returns the name by which the program was called.
fn program() -> String {
    let name = std::env::args_os().next().unwrap_or_default();
    let name = std::path::Path::new(&name).file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

/// Commands in the order in which people meet them.
const ORDER: [&str; 27] = [
    "up",
    "down",
    "status",
    "logs",
    "why",
    "service",
    "forward",
    "kubectl",
    "start",
    "stop",
    "delete",
    "ip",
    "doctor",
    "image",
    "check",
    "template",
    "lint",
    "install",
    "upgrade",
    "rollback",
    "uninstall",
    "list",
    "history",
    "get",
    "test",
    "show",
    "package",
];

/// Returns the whole command line, as help shows it.
fn command_line() -> clap::Command {
    as_shown(Cli::command())
}

/// Puts the commands in order, those without a place last, and gives them
/// their examples.
fn as_shown(mut command: clap::Command) -> clap::Command {
    let listed = command.clone();
    command.build();
    let names: Vec<String> = command
        .get_subcommands()
        .map(|one| one.get_name().to_owned())
        .collect();
    for name in names {
        let place = ORDER.iter().position(|known| *known == name);
        // What was deferred brought the words of the flags' own type.
        let about = listed
            .find_subcommand(&name)
            .and_then(|one| one.get_about());
        command = command.mut_subcommand(name, |mut one| {
            if let Some(about) = about {
                one = one.about(about.clone());
            }
            one.display_order(place.unwrap_or(100))
        });
    }
    with_examples(command)
}

/// Makes `-h` and `--help` one help, in which a flag has a line.
fn with_one_help(mut command: clap::Command) -> clap::Command {
    if let Some(about) = command.get_long_about().cloned() {
        command = command.about(about).long_about(None);
    }
    command
}

/// Gives each verb of a group, such as `image load`, those of the group's
/// examples that are its own.
fn with_examples(command: clap::Command) -> clap::Command {
    command.mut_subcommands(|group| {
        let examples = group.get_after_help().map(ToString::to_string);
        let start = format!("  coracle {} ", group.get_name());
        group.mut_subcommands(|verb| {
            let begin = format!("{start}{}", verb.get_name());
            let lines = examples.iter().flat_map(|text| text.lines());
            let own: Vec<&str> = lines.filter(|line| line.starts_with(&begin)).collect();
            if own.is_empty() || verb.get_after_help().is_some() {
                return verb;
            }
            verb.after_help(format!("Examples:\n{}", own.join("\n")))
        })
    })
}

/// Parses the command line, over the defaults that the user has set.
fn parse() -> Result<Cli, Failure> {
    let defaults = config::defaults()?;
    let command = || with_defaults(Cli::command(), &defaults);
    // Only help shows the order of commands and their examples.
    let matches = command()
        .try_get_matches()
        .or_else(|error| match error.kind() {
            clap::error::ErrorKind::DisplayVersion => Err(error),
            _ => as_shown(with_one_help(command())).try_get_matches(),
        })
        .unwrap_or_else(|error| elsewhere::refuse(&error));
    Ok(Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit()))
}

/// Gives flags the defaults that the user has set.
fn with_defaults(mut command: clap::Command, defaults: &config::Defaults) -> clap::Command {
    for (key, value) in defaults {
        // Parsing happens once in a process; clap wants texts that stay.
        let value: &'static str = value.clone().leak();
        let argument = match key.as_str() {
            "context" => "kube_context",
            key => key,
        };
        command = command.mut_arg(argument, |argument| argument.default_value(value));
    }
    command
}

fn dispatch(cli: &Cli) -> Result<ExitCode, Failure> {
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
        Command::Forward(forward) => forward.run(global),
        Command::Kubectl(kubectl) => kubectl.run(global),
        Command::Image(image) => image.run(global),
        Command::Template(template) => template.run(),
        Command::Install(verb) => verb.run(global),
        Command::Upgrade(verb) => verb.run(global),
        Command::Rollback(verb) => verb.run(global),
        Command::Uninstall(verb) => verb.run(global),
        Command::List(verb) => verb.run(global),
        Command::History(verb) => verb.run(global),
        Command::Get(verb) => verb.run(global),
        Command::Test(verb) => verb.run(global),
        Command::Helm(helm) => return Ok(helm.run(global)),
        Command::Check(check) => return check.run(global),
        Command::Logs(logs) => logs.run(global),
        Command::Why(why) => why.run(global),
        Command::Doctor(doctor) => doctor.run(global),
        Command::Config(config) => config.run(global),
        Command::Completions(completions) => completions.run(),
        Command::Man(man) => man.run(),
        Command::Lint(lint) => lint.run(global.quiet),
        Command::Show(show) => show.run(),
        Command::Package(package) => package.run(),
        Command::Dependency(dependency) => dependency.run(),
    }
    .map(|()| ExitCode::SUCCESS)
}

/// Runs a future to its end on a runtime of one thread.
fn block_on<T>(future: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(future)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_teaches_by_example() {
        // These pass their words on, help included.
        const OTHERS: [&str; 3] = ["kubectl", "helm", "help"];
        fn check(command: &clap::Command, path: &str) {
            let path = format!("{path} {}", command.get_name());
            let verbs = || command.get_subcommands().filter(|one| !one.is_hide_set());
            let named = |one: &&clap::Command| !OTHERS.contains(&one.get_name());
            for verb in verbs().filter(named) {
                check(verb, &path);
            }
            let help = command.get_after_help().map(ToString::to_string);
            let help = help.unwrap_or_default();
            assert!(help.contains("Examples:"), "{path} has no example");
        }
        check(&command_line(), "");
    }
}
