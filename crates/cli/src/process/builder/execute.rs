//! Runs the commands of a build, each in a container of its own that is gone
//! when the command has ended: [`Containers`].

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use coracle_image::build::{Execute, ExecuteError, ExecuteRequest, Stream};
use coracle_runtime::spec::{ContainerSpec, Namespace, Namespaces, Rootfs, Upper, User};
use coracle_runtime::{Cgroups, Exit, Runtime, StartStreams};
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;
use tokio::runtime::Handle;

use super::mounts::Prepared;
use super::network::{Network, StepNetwork};

/// Where everything of the steps lies; a file system in memory.
const PLACE: &str = "/run/build";
/// The host name that commands see.
const HOSTNAME: &str = "coracle-build";

/// Runs each command in a container.
pub(super) struct Containers {
    threads: Handle,
    host_ports: Vec<u16>,
    /// Made for the first step that needs it.
    network: Mutex<Option<Network>>,
    number: AtomicU64,
}

impl Containers {
    pub(super) fn new(threads: Handle, host_ports: Vec<u16>) -> Containers {
        Containers {
            threads,
            host_ports,
            network: Mutex::default(),
            number: AtomicU64::new(1),
        }
    }

    fn network(&self, wanted: bool) -> anyhow::Result<StepNetwork> {
        if !wanted {
            return StepNetwork::closed();
        }
        let mut network = self
            .network
            .lock()
            .map_err(|_| anyhow::anyhow!("the network is in an unknown state"))?;
        let network = match &mut *network {
            Some(network) => network,
            none => none.insert(Network::open(&self.threads, self.host_ports.clone())?),
        };
        network.step()
    }

    fn run(
        &self,
        request: &ExecuteRequest,
        output: &mut dyn FnMut(Stream, &[u8]),
    ) -> anyhow::Result<Exit> {
        let number = self.number.fetch_add(1, Ordering::Relaxed);
        let place = Path::new(PLACE).join(number.to_string());
        fs::create_dir_all(&place)?;
        let network = self.network(request.network)?;
        let mut prepared = Prepared::of(request, &place)?;
        let hosts = format!("127.0.0.1 localhost {HOSTNAME}\n::1 localhost\n");
        prepared.text(&place, "/etc/hosts", &hosts)?;
        let resolver = network
            .resolver
            .map(|address| format!("nameserver {address}\n"));
        prepared.text(&place, "/etc/resolv.conf", &resolver.unwrap_or_default())?;
        let namespace = prepared.namespace(&place, &network.namespace)?;
        let mut spec = spec(request, namespace, &place)?;
        spec.id = format!("run-{number}");
        spec.mounts.append(&mut prepared.mounts);
        self.threads.block_on(contain(spec, output))
    }
}

impl Execute for Containers {
    fn execute(
        &self,
        request: &ExecuteRequest,
        output: &mut dyn FnMut(Stream, &[u8]),
    ) -> Result<(), ExecuteError> {
        match self.run(request, output) {
            Ok(Exit { code: 0, .. }) => Ok(()),
            Ok(Exit { code, .. }) => Err(ExecuteError::Exit { code }),
            Err(error) => Err(ExecuteError::Start {
                reason: format!("{error:#}"),
            }),
        }
    }
}

fn spec(request: &ExecuteRequest, network: PathBuf, place: &Path) -> io::Result<ContainerSpec> {
    let mut lowers: Vec<PathBuf> = request.lowers.iter().rev().cloned().collect();
    if lowers.is_empty() {
        // After `FROM scratch` there is nothing below what the command changes.
        let nothing = place.join("nothing");
        fs::create_dir_all(&nothing)?;
        lowers.push(nothing);
    }
    let user = &request.user;
    Ok(ContainerSpec {
        root: Rootfs {
            lowers,
            upper: Some(Upper {
                dir: request.upper.clone(),
                work: request.work.clone(),
            }),
            readonly: false,
        },
        args: request.arguments.clone(),
        env: request.environment.clone(),
        cwd: request.working_dir.clone(),
        user: User {
            name: user.uid.to_string(),
            gid: Some(user.gid),
            additional_gids: user.groups.clone(),
            image_groups: false,
        },
        hostname: Some(HOSTNAME.to_owned()),
        namespaces: Namespaces {
            net: Namespace::Path(network),
            ..Namespaces::default()
        },
        ..ContainerSpec::default()
    })
}

/// Runs a container to its end and hands on what it writes.
async fn contain(
    spec: ContainerSpec,
    output: &mut dyn FnMut(Stream, &[u8]),
) -> anyhow::Result<Exit> {
    // A build's commands are not limited: they are as welcome to the machine
    // as a compiler that its user runs.
    let unlimited = Cgroups::open(Path::new("/run/build/no-cgroups"));
    let runtime = Runtime::new(
        "/proc/self/exe",
        Path::new(PLACE).join("runtime"),
        unlimited,
    )?;
    let (stdout, mut from_stdout) = pipe()?;
    let (stderr, mut from_stderr) = pipe()?;
    let stdin = fs::File::open("/dev/null")?.into();
    let streams = StartStreams {
        stdin,
        stdout,
        stderr,
    };
    let container = runtime.start_with(spec, streams).await?;
    let (mut out, mut err) = (vec![0; 16 << 10], vec![0; 16 << 10]);
    let (mut out_open, mut err_open) = (true, true);
    while out_open || err_open {
        tokio::select! {
            read = from_stdout.read(&mut out), if out_open => {
                let length = read?;
                out_open = length > 0;
                output(Stream::Stdout, &out[..length]);
            }
            read = from_stderr.read(&mut err), if err_open => {
                let length = read?;
                err_open = length > 0;
                output(Stream::Stderr, &err[..length]);
            }
        }
    }
    let exit = container.wait().await;
    container.remove().await?;
    Ok(exit)
}

fn pipe() -> io::Result<(OwnedFd, pipe::Receiver)> {
    let (theirs, ours) = pipe::pipe()?;
    Ok((theirs.into_blocking_fd()?, ours))
}
