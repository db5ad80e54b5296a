//! Programs that the node itself runs in a container: probes and hooks.

use coracle_runtime::ExecSpec;
use k8s_openapi::api::core::v1::{Container, LifecycleHandler};
use tokio::io::AsyncReadExt;
use tokio::time::Duration;

use super::launch::chain;
use crate::machine::Running;
use crate::probe::{self, Target};

/// Bytes of a program's output that are kept.
const OUTPUT_MAX: u64 = 10 * 1024;

/// A running container as probes see it.
pub(super) struct RunningTarget {
    /// The container.
    pub handle: Running,
    /// The pod's address.
    pub address: std::net::Ipv4Addr,
}

impl Target for RunningTarget {
    async fn exec(&self, command: Vec<String>) -> Result<(i32, String), String> {
        exec(&self.handle, command).await
    }

    fn address(&self) -> std::net::Ipv4Addr {
        self.address
    }

    fn pretends(&self) -> bool {
        self.handle.linux().is_none()
    }
}

/// Runs a command in a container: its exit code and the start of its output.
pub(super) async fn exec(handle: &Running, command: Vec<String>) -> Result<(i32, String), String> {
    let spec = ExecSpec {
        args: command,
        ..ExecSpec::default()
    };
    let mut session = handle.exec(spec).await.map_err(|error| chain(&error))?;
    let (stdout, stderr) = (session.stdout.take(), session.stderr.take());
    let read = |stream: Option<tokio::net::unix::pipe::Receiver>| async move {
        let mut bytes = Vec::new();
        if let Some(stream) = stream {
            let mut limited = stream.take(OUTPUT_MAX);
            let _ = limited.read_to_end(&mut bytes).await;
            let _ = tokio::io::copy(&mut limited.into_inner(), &mut tokio::io::sink()).await;
        }
        String::from_utf8_lossy(&bytes).into_owned()
    };
    let (out, err, exit) = tokio::join!(read(stdout), read(stderr), session.wait());
    let exit = exit.map_err(|error| error.to_string())?;
    Ok((exit.code, out + &err))
}

/// Runs a life-cycle hook to its end. What a failed one printed may be secret
/// and is not part of the error, as upstream keeps it out of events.
pub(super) async fn run_hook(
    hook: &LifecycleHandler,
    handle: &Running,
    container: &Container,
    address: Option<std::net::Ipv4Addr>,
) -> Result<(), String> {
    if handle.linux().is_none() {
        return Ok(());
    }
    if let Some(action) = &hook.exec {
        return match exec(handle, action.command.clone().unwrap_or_default()).await? {
            (0, _) => Ok(()),
            (code, _) => Err(format!("command exited with {code}")),
        };
    }
    if let Some(action) = &hook.sleep {
        tokio::time::sleep(Duration::from_secs(action.seconds.unsigned_abs())).await;
        return Ok(());
    }
    if let (Some(action), Some(address)) = (&hook.http_get, address) {
        return probe::get_once(action, container, address).await;
    }
    Err("this kind of hook is not supported".into())
}
