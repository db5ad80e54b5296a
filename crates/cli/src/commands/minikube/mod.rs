//! The name `minikube`: the part of minikube's command line that quickstarts
//! use, for a cluster and a context called `minikube`.
//!
//! Every command is one of ours, called with other words; what has no meaning
//! here is accepted and said.

mod addons;
mod docker_env;
mod image;
mod refused;
mod start;
mod state;

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::{Command as Ours, ExitCode};

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use coracle_cluster::Home;

use super::target::Target;
use super::{Cli, Global, dispatch};
use crate::failure::{self, Failure, Outcome};

/// The name of cluster and context, unless `--profile` gives another.
const PROFILE: &str = "minikube";

/// Kubernetes on this machine, by the commands of minikube.
#[derive(Debug, Parser)]
#[command(
    name = "minikube",
    version = coracle_cluster::build::version(),
    after_help = "This is coracle under another name: pods are containers of this machine, without a\nvirtual machine and without Docker. Flags about drivers, sizes and runtimes have no\nmeaning here; they are accepted and said."
)]
struct Minikube {
    /// Name of the cluster and of its context.
    #[arg(
        long,
        short,
        global = true,
        default_value = PROFILE,
        env = "MINIKUBE_PROFILE",
        value_parser = super::cluster_name
    )]
    profile: String,
    /// Accepted; failures say all there is to say.
    #[arg(long, global = true, hide = true)]
    alsologtostderr: bool,
    /// Accepted; failures say all there is to say.
    #[arg(long, short, global = true, hide = true, value_name = "LEVEL")]
    v: Option<u8>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start the cluster.
    Start {
        /// What minikube would take; most of it has no meaning here.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        flags: Vec<String>,
    },
    /// Stop the cluster; its data and images stay.
    Stop {
        /// Every cluster of this machine's user.
        #[arg(long)]
        all: bool,
    },
    /// Remove the cluster.
    Delete {
        /// Every cluster of this machine's user.
        #[arg(long)]
        all: bool,
        /// Accepted; nothing is left in any case.
        #[arg(long)]
        purge: bool,
    },
    /// Say whether the cluster runs.
    Status {
        /// json, or text.
        #[arg(long, short, default_value = "text")]
        output: String,
        /// A line made of {{.Host}}, {{.Kubelet}}, {{.APIServer}}, {{.Kubeconfig}}, {{.Name}}.
        #[arg(long, short)]
        format: Option<String>,
        /// Accepted; there is one node.
        #[arg(long, short)]
        node: Option<String>,
    },
    /// Print the address at which the cluster's ports answer.
    Ip,
    /// Print the URLs of a Service, or of all: `service list`.
    Service {
        /// Name of the Service, or `list`.
        name: Option<String>,
        /// Its namespace.
        #[arg(long, short, default_value = "default")]
        namespace: String,
        /// Only the URLs.
        #[arg(long)]
        url: bool,
        /// Every Service.
        #[arg(long)]
        all: bool,
        /// Accepted; the URLs are plain ones.
        #[arg(long)]
        https: bool,
        /// Accepted; Services answer at once.
        #[arg(long)]
        wait: Option<u64>,
        /// Accepted; Services answer at once.
        #[arg(long)]
        interval: Option<u64>,
    },
    /// Build, load, list, name and remove images.
    #[command(disable_help_flag = true)]
    Image {
        /// Words for `coracle image`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        words: Vec<OsString>,
    },
    /// Run kubectl.
    #[command(disable_help_flag = true)]
    Kubectl {
        /// Words for kubectl, after `--`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        words: Vec<OsString>,
    },
    /// Enable and list addons; they are built in.
    Addons {
        #[command(subcommand)]
        action: addons::Action,
    },
    /// Print where LoadBalancers answer, and wait.
    Tunnel {
        /// Accepted; nothing has to be cleaned.
        #[arg(long, short)]
        cleanup: bool,
        /// Accepted; other addresses are opened by: coracle start --listen ADDRESS.
        #[arg(long)]
        bind_address: Option<String>,
    },
    /// Print what makes `docker build` build for the cluster: eval $(minikube docker-env).
    DockerEnv {
        /// Print what undoes it.
        #[arg(long, short)]
        unset: bool,
        /// Accepted; the text suits every shell of the Bourne family.
        #[arg(long)]
        shell: Option<String>,
    },
    /// Print or list clusters.
    Profile {
        /// `list`, or nothing.
        name: Option<String>,
        /// json, or table.
        #[arg(long, short)]
        output: Option<String>,
    },
    /// Accept settings; there is nothing to set.
    Config {
        /// `set KEY VALUE`, `get KEY`, `unset KEY`, `view`.
        words: Vec<String>,
    },
    /// Make the cluster kubectl's current one.
    UpdateContext,
    /// Say how to look inside.
    Ssh {
        /// Words for a shell.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        words: Vec<String>,
    },
    /// Print the logs of the cluster's own processes.
    Logs {
        /// Go on.
        #[arg(long, short)]
        follow: bool,
        /// How many lines of each.
        #[arg(long, short = 'n', default_value = "60")]
        length: u32,
        /// Write them into a file.
        #[arg(long, conflicts_with = "follow")]
        file: Option<std::path::PathBuf>,
    },
    /// Say what there is instead of the dashboard.
    Dashboard {
        /// Accepted.
        #[arg(long)]
        url: bool,
        /// Accepted.
        #[arg(long)]
        port: Option<u16>,
    },
    /// Print the version.
    Version {
        /// Only the number.
        #[arg(long)]
        short: bool,
        /// json, or text.
        #[arg(long, short)]
        output: Option<String>,
    },
    /// List the nodes: there is one.
    Node {
        /// `list`.
        action: String,
        /// What else minikube would take.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        words: Vec<String>,
    },
    /// Print the completions of a shell.
    Completion {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// What minikube has and coracle does not need; says so.
    #[command(external_subcommand)]
    Other(Vec<String>),
}

/// Reads the command line as minikube's and runs the command.
pub fn run() -> ExitCode {
    failure::speak_as("minikube");
    let cli = Minikube::parse();
    match cli.run() {
        Ok(code) => code,
        Err(failure) => failure.report(),
    }
}

impl Minikube {
    fn run(&self) -> Result<ExitCode, Failure> {
        match &self.command {
            Command::Start { flags } => start::run(self, flags)?,
            Command::Stop { all } => self.each("stop", *all)?,
            Command::Delete { all, .. } => self.each("delete", *all)?,
            Command::Status { output, format, .. } => {
                return self.status(output, format.as_deref());
            }
            Command::Ip => self.ours(["ip"])?,
            Command::Service {
                name,
                namespace,
                all,
                ..
            } => self.service(name.as_deref().filter(|_| !all), namespace)?,
            Command::Image { words } => image::run(self, words)?,
            Command::Kubectl { words } => self.ours(
                std::iter::once(OsString::from("kubectl"))
                    .chain(after_dashes(words).iter().cloned()),
            )?,
            Command::Addons { action } => addons::run(action)?,
            Command::Tunnel { .. } => self.tunnel()?,
            Command::DockerEnv { unset, .. } => docker_env::print(&self.profile, *unset)?,
            Command::Profile { name, output } => {
                self.profile(name.as_deref(), output.as_deref())?
            }
            Command::Config { words } => config(words),
            Command::UpdateContext => self.ours(["config", "use-context"])?,
            Command::Ssh { words } => return Err(refused::ssh(words)),
            Command::Logs {
                file: Some(file), ..
            } => self.logs_into(file)?,
            Command::Logs { follow, length, .. } => {
                let length = length.to_string();
                let mut words = vec!["logs", "--engine", "--tail", &length];
                words.extend(follow.then_some("-f"));
                self.ours(words)?;
            }
            Command::Dashboard { .. } => {
                return Err(Failure::from(anyhow::anyhow!("there is no dashboard yet"))
                    .hint("see everything at once: coracle status --cluster minikube --watch"));
            }
            Command::Node { action, .. } => self.node(action)?,
            Command::Completion { shell } => {
                let mut text = Vec::new();
                let mut command = Minikube::command();
                clap_complete::generate(*shell, &mut command, "minikube", &mut text);
                print!("{}", String::from_utf8_lossy(&text));
            }
            Command::Other(words) => refused::answer(words)?,
            Command::Version { short: true, .. } => {
                println!("v{}", coracle_cluster::build::version());
            }
            Command::Version {
                output: Some(output),
                ..
            } if output == "json" => {
                let version = format!("v{}", coracle_cluster::build::version());
                println!(
                    "{}",
                    serde_json::json!({"commit": "", "minikubeVersion": version})
                );
            }
            Command::Version { .. } => {
                println!(
                    "minikube version: v{} (coracle)",
                    coracle_cluster::build::version()
                );
            }
        }
        Ok(ExitCode::SUCCESS)
    }

    /// Runs one of our commands for the cluster.
    fn ours<W: Into<OsString>>(&self, words: impl IntoIterator<Item = W>) -> Outcome {
        let before = ["coracle", "--cluster", &self.profile].map(OsString::from);
        let words = before.into_iter().chain(words.into_iter().map(Into::into));
        let matches = Cli::command()
            .try_get_matches_from(words)
            .unwrap_or_else(|error| error.exit());
        let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
        dispatch(&cli).map(drop)
    }

    fn global(&self) -> Global {
        Global {
            cluster: self.profile.clone(),
            context: None,
            kubeconfig: None,
            quiet: false,
            no_progress: false,
        }
    }

    /// Runs one of our commands for the cluster, or for every one there is.
    fn each(&self, word: &str, all: bool) -> Outcome {
        if !all {
            return self.ours([word]);
        }
        for cluster in Home::from_environment()?.clusters() {
            let words = ["coracle", "--cluster", &cluster, word];
            dispatch(&Cli::parse_from(words))?;
        }
        Ok(())
    }

    /// Writes the logs of the cluster's own processes into a file.
    fn logs_into(&self, file: &std::path::Path) -> Outcome {
        let status = Ours::new("/proc/self/exe")
            .arg0("coracle")
            .args(["--cluster", &self.profile, "logs", "--engine"])
            .stdout(std::fs::File::create(file)?)
            .status()?;
        match status.success() {
            true => Ok(()),
            false => Err(Failure::told()),
        }
    }

    fn service(&self, name: Option<&str>, namespace: &str) -> Outcome {
        match name {
            Some(name) if name != "list" => {
                self.ours(["service", name, "--url", "--namespace", namespace])
            }
            _ => self.ours(["service"]),
        }
    }

    /// Services answer without a tunnel; whoever waits for one to end may do so.
    fn tunnel(&self) -> Outcome {
        Target::of(&self.global())?.require_running()?;
        eprintln!("no tunnel is needed: LoadBalancers answer at their addresses already");
        self.ours(["service"])?;
        eprintln!("press Ctrl-C to end");
        crate::interrupt::uninstall();
        loop {
            std::thread::park();
        }
    }
}

fn config(words: &[String]) {
    match words.first().map(String::as_str) {
        Some("set" | "unset") => eprintln!("accepted; it has no meaning here"),
        _ => eprintln!("nothing is set"),
    }
}

/// Returns the words for kubectl: those after the first `--`, if there is one
/// before them. Another one is kubectl's own.
fn after_dashes(words: &[OsString]) -> &[OsString] {
    match words.split_first() {
        Some((first, rest)) if first == "--" => rest,
        _ => words,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_of_quickstarts_is_understood() {
        let check = |line: &str| {
            let words = line.split_whitespace();
            // Help and versions are answers, though clap calls them errors.
            if let Err(error) = Minikube::try_parse_from(words)
                && error.use_stderr()
            {
                panic!("{line}: {error}");
            }
        };
        for line in [
            "minikube start",
            "minikube start --driver=docker --cpus=4 --memory=8192",
            "minikube start --driver docker --memory 4096 -p demo",
            "minikube status",
            "minikube status --format={{.Host}}",
            "minikube status -f {{.Host}}",
            "minikube stop --all",
            "minikube start --alsologtostderr -v=7",
            "minikube status --alsologtostderr",
            "minikube logs --file=logs.txt",
            "minikube version -o json",
            "minikube dashboard --url --port 4000",
            "minikube tunnel --bind-address 127.0.0.1",
            "minikube service web --url --interval 1",
            "minikube addons list -o json",
            "minikube service todo-frontend --url",
            "minikube service todo-frontend -n todo-app --url",
            "minikube service list",
            "minikube image build -t todo-backend:latest ./backend",
            "minikube image load todo-backend:latest",
            "minikube image ls",
            "minikube kubectl -- get pods -A",
            "minikube addons enable ingress",
            "minikube addons enable metrics-server",
            "minikube addons list",
            "minikube tunnel",
            "minikube docker-env",
            "minikube profile list",
            "minikube config set driver docker",
            "minikube ip",
            "minikube logs -f",
            "minikube delete --all --purge",
            "minikube version --short",
            "minikube help",
            "minikube node list",
            "minikube completion bash",
            "minikube mount /a:/b --uid 1000",
            "minikube cache add web:1",
            "minikube ssh -- docker images",
            "minikube profile demo",
        ] {
            check(line);
        }
    }
}
