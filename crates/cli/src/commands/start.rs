//! `coracle start`: brings the cluster up and writes the kubeconfig.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::{Duration, Instant};

use clap::Args;
use coracle_cluster::gateway::{self, start_gateway};
use coracle_cluster::init::{self, ProcessConfig};
use coracle_cluster::kubeconfig::KubeconfigError;
use coracle_cluster::launch::{self, Launch};
use coracle_cluster::pki::Pki;
use coracle_cluster::{HostNetwork, IdMap, Launched, Record, Share, Shares, build, held, upgrade};
use coracle_netdev::AddressPlan;
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::runtime::wait::await_condition;
use kube::{Api, Client};

use super::progress::{Progress, Step};
use super::target::{Target, kubeconfig_path};
use super::{Global, advice, block_on, doctor};
use crate::failure::{Failure, Outcome, command};
use crate::process::{certificates, cgroups};

/// How long a slow or busy machine gets until the API answers; elsewhere it takes a
/// moment.
const API_WITHIN: Duration = Duration::from_secs(60);
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// The port that the API is given where it is free.
const API_PORT: u16 = 6443;

/// Start the cluster.
#[derive(Debug, Args, Default)]
#[command(after_help = "Examples:
  coracle start                    a cluster called coracle; kubectl uses it from now on
  coracle start --cluster second   another one beside it
  coracle start --upgrade          let a running cluster use this version of coracle
  coracle start --share ./data:/data
                                   hostPath volumes of /data show this folder
  coracle start --share none       no folder any more

Starting a cluster that runs mends what is missing or has expired: its gateway,
its certificates, the kubeconfig.")]
pub struct Start {
    /// Bring up the API server alone, without controllers and node.
    #[arg(long)]
    pub api_only: bool,
    /// Port of the API on 127.0.0.1.
    #[arg(long)]
    pub api_port: Option<u16>,
    /// Hand this version of coracle to a running cluster; pods run on.
    #[arg(long)]
    pub upgrade: bool,
    /// Address besides loopback on which the cluster's ports answer, such as
    /// 0.0.0.0; repeatable, kept for later starts until `none` is given.
    #[arg(long, value_name = "ADDRESS", value_delimiter = ',', value_parser = or_none::<IpAddr>)]
    pub listen: Option<Vec<Option<IpAddr>>>,
    /// Port of this machine that pods may reach as host.coracle.internal;
    /// repeatable, kept for later starts until `none` is given; may change while
    /// the cluster runs.
    #[arg(long, value_name = "PORT", value_delimiter = ',', value_parser = or_none::<u16>)]
    pub host_port: Option<Vec<Option<u16>>>,
    /// Folder of this machine that hostPath volumes below PATH show, by default
    /// its own path; `:ro` forbids changes. Repeatable, kept for later starts
    /// until `none` is given (a folder of that name is ./none).
    #[arg(long, value_name = "FOLDER[:PATH][:ro]", value_parser = or_none::<Share>)]
    pub share: Option<Vec<Option<Share>>>,
}

/// Reads a value of a flag that later starts remember: without the flag those of
/// the last start stay, and `none` is a value that names nothing.
fn or_none<T: FromStr>(text: &str) -> Result<Option<T>, T::Err> {
    match text {
        "none" => Ok(None),
        text => text.parse().map(Some),
    }
}

/// Returns the values that a flag names, if it was given.
fn named<T: Clone>(flag: &Option<Vec<Option<T>>>) -> Option<Vec<T>> {
    let values = flag.as_ref()?;
    Some(values.iter().flatten().cloned().collect())
}

impl Start {
    /// Starts the cluster if it does not run and waits until its API answers.
    pub fn run(&self, global: &Global) -> Outcome {
        let target = Target::own(global)?;
        let progress = Progress::new(global);
        self.ensure(global, &target, &progress).map(drop)
    }

    /// Makes sure that the cluster runs; returns its record.
    pub fn ensure(
        &self,
        global: &Global,
        target: &Target,
        progress: &Progress,
    ) -> Result<Record, Failure> {
        // What a newer build wrote is left alone even while it runs.
        target.dir.check_version().map_err(advice::of_launch)?;
        let step = progress.step("Cluster");
        if let Some(mut record) = target.running() {
            if self.upgrade {
                return self.upgrade(global, target, record, step);
            }
            // It changes nothing, so it may refuse first.
            self.check_shares(target)?;
            self.change_network(target, &record)?;
            self.heal_gateway(target, &mut record)?;
            self.write_kubeconfig(global, target, &record)?;
            step.skipped(&runs(target, &record));
            return Ok(record);
        }
        let record = match self.launch(target) {
            Ok(Began::Before(record)) => {
                step.skipped(&runs(target, &record));
                return Ok(record);
            }
            Ok(Began::Now(Launched { record, refused })) => {
                if let Some(error) = refused {
                    let why = anyhow::Error::from(error);
                    step.line(&format!("· containers run without limits: {why:#}"));
                }
                record
            }
            Err(failure) => {
                step.failed();
                return Err(failure);
            }
        };
        step.say("waiting for the API");
        let ready = block_on(async {
            wait_for_api(target, &record).await?;
            if !self.api_only {
                wait_for_controllers(target, &record).await?;
            }
            Ok(())
        });
        if let Err(failure) = ready {
            step.failed();
            let log = target.dir.logs().join("engine.log");
            let more = format!("the engine's log says more: {}", log.display());
            // Nothing but a copy brings back what is no store.
            let is_broken = failure.to_string().contains("the store does not open");
            return Err(failure.hint(match is_broken {
                true => format!(
                    "bring {} back from a copy, or begin anew: {}; {more}",
                    target.dir.data().join("store").display(),
                    command("delete", target.dir.name()),
                ),
                false => more,
            }));
        }
        self.write_kubeconfig(global, target, &record)?;
        step.done(&format!(
            "{} answers at https://{}",
            target.dir.name(),
            record.api
        ));
        Ok(record)
    }

    /// Starts the cluster, unless another command has done so meanwhile.
    fn launch(&self, target: &Target) -> Result<Began, Failure> {
        advice::check_binary()?;
        doctor::check_disk(target.home.path())?;
        let ids = IdMap::choose();
        let is_new = !target.dir.path().exists();
        target
            .dir
            .prepare(&target.home, &ids)
            .map_err(advice::of_launch)?;
        let _lock = target.dir.lock().map_err(advice::of_launch)?;
        if let Some(record) = target.running() {
            return Ok(Began::Before(record));
        }
        let launched = self.launch_locked(target, ids);
        if launched.is_err() && is_new {
            // The error that is told is the first one.
            let _ = launch::remove_files(&target.dir);
        }
        launched.map(Began::Now)
    }

    /// Starts a cluster that nobody else changes and that does not run.
    fn launch_locked(&self, target: &Target, ids: IdMap) -> Result<Launched, Failure> {
        let shares = self.shares(target)?;
        shares.write(&target.dir, &ids)?;
        let mut network = self.network(target);
        network.settle(&target.home, target.dir.name());
        network.write(&target.dir, &ids)?;
        let listener = self.bind_api(target)?;
        let api = listener.local_addr()?;
        let plan = AddressPlan::default();
        let (names, addresses) = certificates::subjects(target.dir.name(), &plan);
        Pki::prepare(&target.dir.pki(), &ids, &names, &addresses)?;
        let launch = Launch {
            home: &target.home,
            cluster: &target.dir,
            groups: cgroups::choose(&target.dir, &ids)?,
            ids,
            shares,
            listeners: vec![("api".into(), listener.into())],
            processes: self.processes(target.dir.name()),
            api,
        };
        launch.start().map_err(advice::of_launch)
    }

    /// Hands this binary to the cluster's pid 1, which restarts the engine and
    /// the data plane with it, and waits until the API answers again.
    fn upgrade(
        &self,
        global: &Global,
        target: &Target,
        mut record: Record,
        step: Step,
    ) -> Result<Record, Failure> {
        let before = match record.version.as_str() {
            "" => String::new(),
            version if version == build::version() => String::new(),
            version => format!(", {version} before"),
        };
        let result = advice::check_binary()
            .and_then(|()| target.dir.lock().map_err(advice::of_launch))
            .and_then(|_lock| {
                upgrade::begin(&target.dir, &mut record).map_err(advice::of_launch)?;
                block_on(wait_for_api(target, &record))?;
                upgrade::finish(&target.dir, &mut record).map_err(advice::of_launch)
            });
        step.finish(result, |()| {
            format!(
                "{} runs version {}{before}",
                target.dir.name(),
                build::version()
            )
        })?;
        self.write_kubeconfig(global, target, &record)?;
        Ok(record)
    }

    fn processes(&self, name: &str) -> Vec<ProcessConfig> {
        let process = |kind: &str, args: &[&str], listeners: &[&str]| ProcessConfig {
            name: kind.into(),
            // Two engines would write the same store.
            overlaps: kind == "dataplane",
            args: std::iter::once(kind)
                .chain(args.iter().copied())
                .map(String::from)
                .collect(),
            listeners: listeners.iter().map(|name| (*name).to_owned()).collect(),
        };
        if self.api_only {
            return vec![process("engine", &[name, "--api-only"], &["api"])];
        }
        let sockets = [&held::NAMES[..], &[init::MEMORY]].concat();
        vec![
            process("dataplane", &[], &sockets),
            process("engine", &[name], &["api"]),
        ]
    }

    /// Binds the API's port: the one asked for, the one of last time, 6443, or any.
    fn bind_api(&self, target: &Target) -> Result<TcpListener, Failure> {
        let kept = target.dir.path().join("api-port");
        let bind = |port: u16| TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
        let listener = match self.api_port {
            Some(port) => bind(port).map_err(|error| {
                Failure::from(anyhow::anyhow!(
                    "port {port} of 127.0.0.1 cannot be had for the API: {error}"
                ))
                .hint("choose another with --api-port, or leave the flag out")
            })?,
            None => {
                let last = std::fs::read_to_string(&kept)
                    .ok()
                    .and_then(|port| port.trim().parse().ok());
                bind(last.unwrap_or(API_PORT)).or_else(|_| bind(0))?
            }
        };
        std::fs::write(&kept, listener.local_addr()?.port().to_string())?;
        Ok(listener)
    }

    /// Returns what the cluster has of the host's network, as the flags change it.
    fn network(&self, target: &Target) -> HostNetwork {
        let kept = HostNetwork::read(target.dir.path());
        HostNetwork {
            listen: named(&self.listen).unwrap_or(kept.listen),
            host_ports: named(&self.host_port).unwrap_or(kept.host_ports),
            ..kept
        }
    }

    /// Returns the folders that the cluster shares: those asked for, else those
    /// of last time, all of which must be there.
    fn shares(&self, target: &Target) -> Result<Shares, Failure> {
        let here = std::env::current_dir()?;
        let kept = || Shares::read(target.dir.path()).into();
        let wanted: Vec<Share> = named(&self.share).unwrap_or_else(kept);
        let found: Result<Vec<Share>, _> =
            wanted.into_iter().map(|share| share.found(&here)).collect();
        found.and_then(Shares::new).map_err(|error| {
            Failure::from(error)
                .hint("--share FOLDER[:PATH][:ro] names the folders anew, --share none shares none")
        })
    }

    /// Says so where other folders are asked for than a running cluster has.
    fn check_shares(&self, target: &Target) -> Outcome {
        if self.share.is_none() || self.shares(target)? == Shares::read(target.dir.path()) {
            return Ok(());
        }
        Err(decided(target, "which folders a cluster shares"))
    }

    /// Applies what may change while the cluster runs.
    fn change_network(&self, target: &Target, record: &Record) -> Outcome {
        let kept = HostNetwork::read(target.dir.path());
        let wanted = self.network(target);
        if wanted.listen != kept.listen {
            return Err(decided(target, "on which addresses a cluster listens"));
        }
        if wanted != kept {
            wanted.write(&target.dir, &record.ids)?;
        }
        Ok(())
    }

    /// Starts the gateway again if it is gone.
    fn heal_gateway(&self, target: &Target, record: &mut Record) -> Outcome {
        if record.gateway.is_none_or(|gateway| !gateway.is_alive()) {
            record.gateway = Some(start_gateway(&target.dir, record.init)?);
            record.write(&target.dir)?;
        }
        Ok(gateway::retire(&target.dir, record)?)
    }

    fn write_kubeconfig(&self, global: &Global, target: &Target, record: &Record) -> Outcome {
        let path = kubeconfig_path(global)?;
        let merged = target.entry(record)?.merge_into(&path);
        merged.map_err(|error| match error {
            KubeconfigError::Malformed { .. } => Failure::from(error).hint(format!(
                "the cluster runs; mend the file, put it aside (mv {0} {0}.broken) or name another (--kubeconfig FILE), then start again",
                path.display()
            )),
            other => other.into(),
        })
    }
}

/// Refuses to change what a cluster that runs cannot change.
fn decided(target: &Target, what: &str) -> Failure {
    let stop = command("stop", target.dir.name());
    Failure::usage(format!("{what} is decided when it starts"))
        .hint(format!("stop it first: {stop}"))
}

/// Since when a cluster runs.
enum Began {
    /// Another command has started it.
    Before(Record),
    /// This one has.
    Now(Launched),
}

/// Says that the cluster runs, and what to do where it is of another version.
fn runs(target: &Target, record: &Record) -> String {
    let name = target.dir.name();
    match record.version.as_str() {
        version if version.is_empty() || version == build::version() => format!("{name} runs"),
        version => format!(
            "{name} runs version {version}; to use {}: {}",
            build::version(),
            command("start --upgrade", name)
        ),
    }
}

/// Waits until the API says that it is ready. Its socket is open already, so
/// the first request waits by itself; a restarting engine is asked again.
///
/// An engine that ends again and again will never answer: its own last words
/// are the reason.
async fn wait_for_api(target: &Target, record: &Record) -> Outcome {
    let client: Client = target.client(record).await?;
    let mut log = EngineLog::from_now(&target.dir.logs());
    let mut last = "it is silent".to_owned();
    let until = Instant::now() + API_WITHIN;
    while Instant::now() < until && record.init.is_alive() {
        let request = http::Request::get("/readyz").body(Vec::new())?;
        match tokio::time::timeout(LOOK_AGAIN, client.request_text(request)).await {
            Ok(Ok(_)) => return Ok(()),
            Ok(Err(error)) => {
                last = error.to_string();
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            Err(_) => {}
        }
        if let Some(words) = log.ended_again() {
            return Err(anyhow::anyhow!(
                "the engine of cluster {} does not stay up: {words}",
                target.dir.name()
            )
            .into());
        }
    }
    Err(anyhow::anyhow!(
        "the API of cluster {} does not answer: {last}",
        target.dir.name()
    )
    .into())
}

/// What the engine's log says from now on.
struct EngineLog {
    path: PathBuf,
    from: usize,
}

impl EngineLog {
    fn from_now(logs: &Path) -> EngineLog {
        let path = logs.join("engine.log");
        let from = std::fs::read(&path).map_or(0, |bytes| bytes.len());
        EngineLog { path, from }
    }

    /// Returns the engine's last words, if it has ended more than once.
    fn ended_again(&mut self) -> Option<String> {
        let bytes = std::fs::read(&self.path).ok()?;
        let text = String::from_utf8_lossy(bytes.get(self.from..)?).into_owned();
        last_words(&text)
    }
}

/// Returns what a process said before it ended for the second time.
fn last_words(log: &str) -> Option<String> {
    if log.matches("engine ended with").count() < 2 {
        return None;
    }
    let words = log
        .lines()
        .rev()
        .find_map(|line| line.strip_prefix("coracle engine: "));
    Some(words.unwrap_or("it says nothing").to_owned())
}

/// Waits until the controllers have made the ServiceAccount without which no
/// pod is admitted: what is created right after `start` must not be refused.
async fn wait_for_controllers(target: &Target, record: &Record) -> Outcome {
    let accounts: Api<ServiceAccount> = Api::default_namespaced(target.client(record).await?);
    let there = await_condition(accounts, "default", |found: Option<&ServiceAccount>| {
        found.is_some()
    });
    match tokio::time::timeout(API_WITHIN, there).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(anyhow::Error::from(error).into()),
        Err(_) => Err(anyhow::anyhow!(
            "the controllers of cluster {} do nothing: see coracle logs --engine",
            target.dir.name()
        )
        .into()),
    }
}

#[cfg(test)]
mod tests {
    use clap::FromArgMatches;

    use super::*;

    #[test]
    fn what_is_kept_is_named_anew_or_taken_away() {
        let check = |words: &[&str], expected: Option<&[u16]>| {
            let matches = Start::augment_args(clap::Command::new("start"))
                .no_binary_name(true)
                .try_get_matches_from(words)
                .expect("they are flags");
            let start = Start::from_arg_matches(&matches).expect("they are flags");
            assert_eq!(named(&start.host_port).as_deref(), expected, "{words:?}");
        };
        check(&[], None);
        check(&["--host-port", "80,81"], Some(&[80, 81]));
        check(&["--host-port", "none"], Some(&[]));
        check(&["--host-port", "none", "--host-port", "80"], Some(&[80]));
        assert_eq!(or_none::<Share>("none").expect("it is a value"), None);
        assert!(
            or_none::<Share>("./none")
                .expect("it is a folder")
                .is_some()
        );
    }

    #[test]
    fn an_engine_that_ends_twice_has_said_why() {
        let check = |log: &str, expected: Option<&str>| {
            assert_eq!(last_words(log).as_deref(), expected, "{log}");
        };
        let once = "coracle engine: no space\ncoracle init: engine ended with exit code 1, starting again in 0ns\n";
        check("", None);
        check(once, None);
        check(&once.repeat(2), Some("no space"));
    }
}
