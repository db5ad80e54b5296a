//! Containers that share namespaces.

use std::fs;

use anyhow::{Context as _, Result, ensure};
use coracle_runtime::SandboxSpec;
use coracle_runtime::spec::Namespace;

use super::cases;
use crate::support::{Ctx, until};

cases![
    a_sandbox_is_shared,
    sandboxes_are_found_again,
    a_sandbox_sets_kernel_settings,
    processes_can_be_shared,
    nothing_stays_in_shared_processes,
    own_namespaces_are_own,
    host_namespaces_are_the_caller_s,
];

fn sandbox(ctx: &Ctx) -> SandboxSpec {
    SandboxSpec {
        id: ctx.id(),
        hostname: "pod-0".into(),
        ..SandboxSpec::default()
    }
}

async fn a_sandbox_is_shared(ctx: Ctx) -> Result<()> {
    let sandbox = ctx.runtime.create_sandbox(sandbox(&ctx)).await?;
    ensure!(sandbox.is_alive());
    let script = "host; namespace net; namespace ipc; namespace uts; pid";
    let mut said = Vec::new();
    for _ in 0..2 {
        let mut spec = ctx.spec(script);
        spec.namespaces = sandbox.namespaces();
        said.push(ctx.spec_says(spec).await?);
    }
    assert_eq!(said[0], said[1]);
    ensure!(said[0].starts_with("pod-0\nnet:["), "{}", said[0]);
    ensure!(
        said[0].ends_with("\n1 0\n"),
        "each has process ids of its own"
    );
    ensure!(
        !said[0].contains(
            fs::read_link("/proc/self/ns/net")?
                .to_str()
                .context("a name")?
        )
    );
    let mut spec = ctx.spec("");
    spec.namespaces = sandbox.namespaces();
    spec.hostname = Some("other".into());
    let error = ctx.runtime.start(spec).await.unwrap_err().to_string();
    assert_eq!(error, "a shared host name cannot be changed");
    sandbox.remove().await?;
    sandbox.remove().await?;
    ensure!(!fs::read_to_string("/proc/self/mounts")?.contains(sandbox.id()));
    Ok(())
}

async fn sandboxes_are_found_again(ctx: Ctx) -> Result<()> {
    let made = ctx.runtime.create_sandbox(sandbox(&ctx)).await?;
    let dead = ctx.base.join("state/sandboxes/dead");
    fs::create_dir(&dead)?;
    fs::write(dead.join("uts"), "")?;
    let found = ctx.runtime.sandboxes()?;
    let find = |id: &str| found.iter().find(|sandbox| sandbox.id() == id);
    ensure!(find(made.id()).is_some_and(|sandbox| sandbox.is_alive()));
    let dead = find("dead").context("the dead one is listed")?;
    ensure!(!dead.is_alive());
    dead.remove().await?;
    made.remove().await?;
    Ok(())
}

async fn a_sandbox_sets_kernel_settings(ctx: Ctx) -> Result<()> {
    let mut spec = sandbox(&ctx);
    spec.sysctls = vec![
        ("net.ipv4.ip_unprivileged_port_start".into(), "0".into()),
        ("kernel.shm_rmid_forced".into(), "1".into()),
    ];
    let sandbox = ctx.runtime.create_sandbox(spec).await?;
    let mut spec = ctx.spec(
        "cat /proc/sys/net/ipv4/ip_unprivileged_port_start; cat /proc/sys/kernel/shm_rmid_forced",
    );
    spec.namespaces = sandbox.namespaces();
    assert_eq!(ctx.spec_says(spec).await?, "0\n1\n");
    sandbox.remove().await?;
    let mut spec = self::sandbox(&ctx);
    spec.sysctls = vec![("kernel.core_pattern".into(), "x".into())];
    let id = spec.id.clone();
    let error = ctx
        .runtime
        .create_sandbox(spec)
        .await
        .unwrap_err()
        .to_string();
    assert_eq!(error, format!("sandbox {id}: set kernel.core_pattern"));
    ensure!(!ctx.base.join("state/sandboxes").join(id).exists());
    Ok(())
}

async fn processes_can_be_shared(ctx: Ctx) -> Result<()> {
    let mut spec = sandbox(&ctx);
    spec.share_pids = true;
    let sandbox = ctx.runtime.create_sandbox(spec).await?;
    let mut first = ctx.spec("say up; wait");
    first.namespaces = sandbox.namespaces();
    let first = ctx.start_until(first, "up").await?;
    let mut second = ctx.spec("cat /proc/1/comm; cat /proc/2/comm; pid");
    second.namespaces = sandbox.namespaces();
    assert_eq!(ctx.spec_says(second).await?, "coracle-pause\nprobe\n3 0\n");
    let mut session = first
        .exec(coracle_runtime::ExecSpec {
            args: vec!["probe".into(), "exit 3".into()],
            ..Default::default()
        })
        .await?;
    assert_eq!(session.wait().await?.code, 3);
    sandbox.remove().await?;
    assert_eq!(first.wait().await.code, 137);
    first.remove().await?;
    Ok(())
}

async fn nothing_stays_in_shared_processes(ctx: Ctx) -> Result<()> {
    let mut spec = sandbox(&ctx);
    spec.share_pids = true;
    let sandbox = ctx.runtime.create_sandbox(spec).await?;
    for cgroup in [true, false] {
        let mut spec = ctx.spec("orphan; orphan; say up; wait");
        spec.namespaces = sandbox.namespaces();
        spec.cgroup = spec.cgroup.filter(|_| cgroup);
        let container = ctx.start_until(spec, "up").await?;
        let members = || members(container.pid());
        let before = members()?;
        assert_eq!(before.len(), 3);
        container.kill(libc::SIGKILL).await?;
        container.wait().await;
        until(|| {
            before
                .iter()
                .all(|pid| !fs::exists(format!("/proc/{pid}")).unwrap_or(true))
        })
        .await;
        container.remove().await?;
    }
    sandbox.remove().await?;
    Ok(())
}

/// The processes in the mount namespace of this one.
fn members(pid: i32) -> Result<Vec<String>> {
    let link = |pid: &str| fs::read_link(format!("/proc/{pid}/ns/mnt")).ok();
    let own = link(&pid.to_string());
    let mut pids = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if own.is_some() && link(&name) == own && name.parse::<i32>().is_ok() {
            pids.push(name);
        }
    }
    Ok(pids)
}

async fn own_namespaces_are_own(ctx: Ctx) -> Result<()> {
    let mut spec =
        ctx.spec("host; links; namespace net; namespace uts; namespace ipc; namespace pid");
    spec.hostname = Some("alone".into());
    let said = ctx.spec_says(spec).await?;
    ensure!(said.starts_with("alone\nlo\n"), "{said}");
    for kind in ["net", "uts", "ipc", "pid"] {
        let own = fs::read_link(format!("/proc/self/ns/{kind}"))?;
        ensure!(!said.contains(own.to_str().context("a name")?), "{said}");
    }
    Ok(())
}

async fn host_namespaces_are_the_caller_s(ctx: Ctx) -> Result<()> {
    let mut spec = ctx.spec("namespace net; namespace uts; namespace ipc; namespace pid");
    let host = || Namespace::Host;
    let namespaces = &mut spec.namespaces;
    (namespaces.net, namespaces.uts) = (host(), host());
    (namespaces.ipc, namespaces.pid) = (host(), host());
    let said = ctx.spec_says(spec).await?;
    for (kind, line) in ["net", "uts", "ipc", "pid"].iter().zip(said.lines()) {
        assert_eq!(
            line,
            fs::read_link(format!("/proc/self/ns/{kind}"))?.to_string_lossy()
        );
    }
    let mut spec = ctx.spec("orphan; say up; wait");
    spec.namespaces.pid = Namespace::Host;
    let container = ctx.start_until(spec, "up").await?;
    let before = members(container.pid())?;
    container.remove().await?;
    until(|| {
        before
            .iter()
            .all(|pid| !fs::exists(format!("/proc/{pid}")).unwrap_or(true))
    })
    .await;
    Ok(())
}
