//! Runs a further program in a running container. The entry is [`spawn`]; it
//! needs a process with a single thread that is already set to have its
//! children in the container's pid namespace, the shim.

use std::convert::Infallible;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{CWD, Mode, OFlags};
use rustix::process::Pid;
use rustix::thread::{ThreadNameSpaceType, move_into_thread_name_spaces};

use crate::cgroup::Cgroup;
use crate::control::{self, Parent};
use crate::error::{During, StartError};
use crate::process::{Program, needs_nesting};
use crate::pty;
use crate::spec::{ContainerSpec, ExecSpec};
use crate::start::{Settings, Streams, open_terminal, set_oom_score};
use crate::sys::{self, Forked};
use crate::user::Identity;

/// A process on its way to become the program; its line tells when it has.
pub(crate) struct Spawned {
    pub pid: Pid,
    pub pidfd: OwnedFd,
    pub line: Parent,
}

/// The container that the program joins.
pub(crate) struct Target<'a> {
    pub spec: &'a ContainerSpec,
    pub settings: &'a Settings,
    pub cgroup: Option<&'a Cgroup>,
    pub pidfd: &'a OwnedFd,
    /// Whether the container has a user namespace of its own.
    pub nested: bool,
}

/// Starts the program of `exec` in the container.
pub(crate) fn spawn(
    target: &Target<'_>,
    exec: &ExecSpec,
    streams: Option<Streams>,
) -> Result<Spawned, StartError> {
    let id = &target.spec.id;
    let (parent, child) = control::pair().during("make a line to", id)?;
    let born_in = target.cgroup.map(Cgroup::birthplace).transpose();
    let born_in = born_in.during("open the cgroup of", id)?.flatten();
    // SAFETY: the shim has one thread.
    let forked = unsafe { sys::clone3(0, born_in.as_ref().map(|fd| fd.as_fd())) };
    match forked.during("clone for", id)? {
        Forked::Child => {
            drop(parent);
            match become_program(target, exec, born_in.is_some(), streams, &child) {
                Err(error) => child.send_failure(&error),
                Ok(never) => match never {},
            }
            sys::exit_now(1)
        }
        Forked::Parent(pid, pidfd) => Ok(Spawned {
            pid,
            pidfd,
            line: parent,
        }),
    }
}

fn become_program(
    target: &Target<'_>,
    exec: &ExecSpec,
    born_in_cgroup: bool,
    streams: Option<Streams>,
    line: &control::Child,
) -> Result<Infallible, StartError> {
    let Target {
        spec,
        settings,
        cgroup,
        nested,
        ..
    } = target;
    rustix::process::setsid().during("start a session in", &spec.id)?;
    set_oom_score(spec.oom_score_adj, &settings.proc);
    if let Some(cgroup) = cgroup
        && !born_in_cgroup
    {
        cgroup.join_self().during("join the cgroup of", &spec.id)?;
    }
    join(target)?;
    let root = rustix::fs::openat(CWD, "/", OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
        .during("open", "/")?;
    let user = exec.user.as_ref().unwrap_or(&spec.user);
    let identity = Identity::resolve(user, root.as_fd())?;
    if *nested && nested_elsewhere(&identity, spec, &root, settings)? {
        return Err(StartError::IdsNotMapped {
            what: format!("user {}", identity.uid),
        });
    }
    match streams {
        Some(streams) => pty::become_streams(streams.stdin, streams.stdout, streams.stderr)
            .during("connect the streams in", &spec.id)?,
        None => open_terminal(identity.uid, exec.size, line)?,
    }
    let mut env = spec.env.clone();
    env.extend(exec.env.iter().cloned());
    Program {
        args: &exec.args,
        env,
        cwd: exec.cwd.as_deref().unwrap_or(&spec.cwd),
        identity,
        ids: &settings.ids,
        capabilities: settings.capabilities.clone(),
        no_new_privileges: spec.no_new_privileges,
        filters: &settings.filters,
        rlimits: &spec.rlimits,
        terminal: exec.terminal,
        proc: &settings.proc,
        line,
        nested: *nested,
    }
    .run()
}

/// Enters the container's namespaces; the pid namespace is entered by birth.
fn join(target: &Target<'_>) -> Result<(), StartError> {
    let mut kinds = ThreadNameSpaceType::MOUNT
        | ThreadNameSpaceType::NETWORK
        | ThreadNameSpaceType::INTER_PROCESS_COMMUNICATION
        | ThreadNameSpaceType::HOST_NAME_AND_NIS_DOMAIN_NAME;
    if target.cgroup.is_some() {
        kinds |= ThreadNameSpaceType::CONTROL_GROUP;
    }
    let id = &target.spec.id;
    move_into_thread_name_spaces(target.pidfd.as_fd(), kinds).during("enter", id)?;
    if target.nested {
        // Last: the others belong to the outer user namespace.
        move_into_thread_name_spaces(target.pidfd.as_fd(), ThreadNameSpaceType::USER)
            .during("enter the user namespace of", id)?;
    }
    rustix::process::chdir("/").during("change to", "/")
}

/// Tells whether `identity` is not the one that the container's own user
/// namespace maps.
fn nested_elsewhere(
    identity: &Identity,
    spec: &ContainerSpec,
    root: &OwnedFd,
    settings: &Settings,
) -> Result<bool, StartError> {
    let own = Identity::resolve(&spec.user, root.as_fd())?;
    Ok(
        needs_nesting(identity, &settings.ids)? != needs_nesting(&own, &settings.ids)?
            || (identity.uid, identity.gid) != (own.uid, own.gid),
    )
}
