//! The life of a container: signals, its end, and the end of those who watch.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use super::cases;
use crate::support::{Ctx, kill_shim, parent_of, stream, until};

cases![
    signals_end_it,
    stop_asks_and_then_kills,
    the_end_is_told_to_all,
    an_ended_container_has_an_end,
    containers_outlive_their_engine,
    no_line_is_lost_when_engines_come_and_go,
    a_start_given_up_leaves_nothing,
    an_engine_may_die_while_it_starts_one,
    a_container_does_not_outlive_its_shim,
    an_ended_one_is_adopted_with_its_end,
    removal_clears_everything,
    orphans_die_with_it,
    many_containers_at_once,
    a_shim_is_small,
];

async fn signals_end_it(ctx: Ctx) -> Result<()> {
    let container = ctx.start_until(ctx.spec("trap 15"), "trapping").await?;
    container.kill(libc::SIGTERM).await?;
    assert_eq!(container.wait().await.code, 42);
    container.kill(libc::SIGTERM).await?;
    container.remove().await?;
    let real_time = ctx.start_until(ctx.spec("trap 37"), "trapping").await?;
    real_time.kill(37).await?;
    assert_eq!(real_time.wait().await.code, 42);
    real_time.remove().await?;
    let container = ctx.start_until(ctx.spec("say up; wait"), "up").await?;
    container.kill(libc::SIGKILL).await?;
    let exit = container.wait().await;
    assert_eq!(
        (exit.code, exit.signal, exit.oom_killed),
        (137, Some(9), false)
    );
    container.remove().await?;
    Ok(())
}

async fn stop_asks_and_then_kills(ctx: Ctx) -> Result<()> {
    let polite = ctx.start_until(ctx.spec("trap 15"), "trapping").await?;
    assert_eq!(polite.stop(Duration::from_secs(30)).await?.code, 42);
    polite.remove().await?;
    // The first process of a pid namespace ignores what it has no handler for.
    let deaf = ctx.start_until(ctx.spec("say up; wait"), "up").await?;
    assert_eq!(deaf.stop(Duration::from_millis(50)).await?.code, 137);
    deaf.remove().await?;
    let mut spec = ctx.spec("trap 3");
    spec.stop_signal = libc::SIGQUIT;
    let other = ctx.start_until(spec, "trapping").await?;
    assert_eq!(other.stop(Duration::from_secs(30)).await?.code, 42);
    other.remove().await?;
    Ok(())
}

async fn the_end_is_told_to_all(ctx: Ctx) -> Result<()> {
    let container = ctx.start_until(ctx.spec("trap 15"), "trapping").await?;
    let waiters: Vec<_> = (0..5)
        .map(|_| {
            let container = container.clone();
            tokio::spawn(async move { container.wait().await })
        })
        .collect();
    ensure!(container.exited().await.is_none());
    container.kill(libc::SIGTERM).await?;
    for waiter in waiters {
        assert_eq!(waiter.await?.code, 42);
    }
    container.remove().await?;
    Ok(())
}

async fn an_ended_container_has_an_end(ctx: Ctx) -> Result<()> {
    let container = ctx.runtime.start(ctx.spec("exit 6")).await?;
    let directory = ctx.base.join("state/containers").join(container.id());
    until(|| directory.join("exit.json").exists()).await;
    assert_eq!(container.wait().await.code, 6);
    assert_eq!(container.exited().await.map(|exit| exit.code), Some(6));
    container.remove().await?;
    ensure!(!directory.exists());
    Ok(())
}

async fn containers_outlive_their_engine(ctx: Ctx) -> Result<()> {
    let id = ctx.id();
    let mut engine = Command::new("/proc/self/exe")
        .args([
            "engine",
            ctx.base.to_str().context("a path")?,
            &id,
            "say up; wait",
        ])
        .stdout(Stdio::piped())
        .spawn()?;
    let mut line = String::new();
    BufReader::new(engine.stdout.take().context("stdout")?).read_line(&mut line)?;
    engine.kill()?;
    engine.wait()?;
    let mut adopted = ctx.runtime.adopt().await?;
    adopted.retain(|container| container.id() == id);
    let container = adopted.pop().context("the container is found")?;
    assert_eq!(container.pid().to_string(), line.trim());
    assert_eq!(container.label("of"), Some("engine"));
    ensure!(container.exited().await.is_none());
    let mut session = container
        .exec(coracle_runtime::ExecSpec {
            args: vec!["probe".into(), "exit 3".into()],
            ..Default::default()
        })
        .await?;
    assert_eq!(session.wait().await?.code, 3);
    container.kill(libc::SIGKILL).await?;
    assert_eq!(container.wait().await.code, 137);
    container.remove().await?;
    Ok(())
}

async fn no_line_is_lost_when_engines_come_and_go(ctx: Ctx) -> Result<()> {
    let spec = ctx.spec("ticks 1500");
    let log = spec.log.clone().context("a log")?.path;
    let container = ctx.runtime.start(spec).await?;
    for _ in 0..20 {
        let mut engine = Command::new("/proc/self/exe")
            .args([
                "engine",
                ctx.base.to_str().context("a path")?,
                container.id(),
            ])
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        BufReader::new(engine.stdout.take().context("stdout")?).read_line(&mut line)?;
        engine.kill()?;
        engine.wait()?;
        assert_eq!(line.trim(), container.pid().to_string());
    }
    assert_eq!(container.wait().await.code, 0);
    container.remove().await?;
    let said = stream(&fs::read_to_string(log)?, "stdout");
    let expected: String = (0..1500).map(|number| format!("line {number}\n")).collect();
    assert_eq!(said, expected);
    Ok(())
}

async fn a_start_given_up_leaves_nothing(ctx: Ctx) -> Result<()> {
    for wait in 0..10 {
        let spec = ctx.spec("wait");
        let directory = ctx.base.join("state/containers").join(&spec.id);
        let start = ctx.runtime.start(spec);
        let given_up = tokio::time::timeout(Duration::from_micros(wait * 300), start).await;
        match given_up {
            Ok(container) => container?.remove().await?,
            Err(_) => until(|| !directory.exists()).await,
        }
    }
    Ok(())
}

async fn an_engine_may_die_while_it_starts_one(ctx: Ctx) -> Result<()> {
    let mut found = 0;
    for round in 0..30 {
        let id = ctx.id();
        let mut engine = Command::new("/proc/self/exe")
            .args(["engine", ctx.base.to_str().context("a path")?, &id, "wait"])
            .stdout(Stdio::null())
            .spawn()?;
        let directory = ctx.base.join("state/containers").join(&id);
        // In the midst of each step, at a different moment each time.
        let step = ["", "shim.log", "shim.sock", "state.json"][round % 4];
        until(|| directory.join(step).exists()).await;
        tokio::time::sleep(Duration::from_micros(round as u64 * 50)).await;
        engine.kill()?;
        engine.wait()?;
        let adopted = ctx.runtime.adopt().await?;
        for container in adopted.iter().filter(|container| container.id() == id) {
            found += 1;
            container.remove().await?;
        }
        until(|| !directory.exists() && !processes().contains(&format!("shim\0{id}\0"))).await;
        ensure!(
            !ctx.base.join("cgroup/memory/pods").join(&id).exists(),
            "round {round}"
        );
    }
    ensure!(found > 0, "those with a record are found");
    Ok(())
}

/// The command lines of all processes.
fn processes() -> String {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let command = |entry: fs::DirEntry| fs::read_to_string(entry.path().join("cmdline")).ok();
    entries.filter_map(command).collect()
}

async fn a_container_does_not_outlive_its_shim(ctx: Ctx) -> Result<()> {
    let container = ctx.start_until(ctx.spec("say up; wait"), "up").await?;
    let shim = parent_of(container.pid())?;
    let command = fs::read_to_string(format!("/proc/{shim}/cmdline"))?;
    assert_eq!(command, format!("coracle\0shim\0{}\0", container.id()));
    kill_shim(&container)?;
    let exit = container.wait().await;
    assert_eq!((exit.code, exit.finished_at_nanos), (255, 0));
    until(|| !fs::exists(format!("/proc/{}", container.pid())).unwrap_or(true)).await;
    container.remove().await?;
    Ok(())
}

async fn an_ended_one_is_adopted_with_its_end(ctx: Ctx) -> Result<()> {
    let container = ctx.runtime.start(ctx.spec("exit 6")).await?;
    let id = container.id().to_owned();
    let directory = ctx.base.join("state/containers").join(&id);
    until(|| directory.join("exit.json").exists()).await;
    drop(container);
    let unfinished = ctx.base.join("state/containers/unfinished");
    fs::create_dir(&unfinished)?;
    let mut adopted = ctx.runtime.adopt().await?;
    ensure!(!unfinished.exists(), "what never started is cleared away");
    adopted.retain(|container| container.id() == id);
    let container = adopted.pop().context("the container is found")?;
    assert_eq!(container.exited().await.map(|exit| exit.code), Some(6));
    container.remove().await?;
    Ok(())
}

async fn removal_clears_everything(ctx: Ctx) -> Result<()> {
    let spec = ctx.spec("say up; wait");
    let (id, log) = (spec.id.clone(), spec.log.clone().context("a log")?.path);
    let container = ctx.start_until(spec, "up").await?;
    let pid = container.pid();
    container.remove().await?;
    container.remove().await?;
    ensure!(!fs::exists(format!("/proc/{pid}"))?);
    ensure!(!ctx.base.join("state/containers").join(&id).exists());
    ensure!(!ctx.base.join("cgroup/memory/pods").join(&id).exists());
    assert_eq!(stream(&fs::read_to_string(log)?, "stdout"), "up\n");
    Ok(())
}

async fn orphans_die_with_it(ctx: Ctx) -> Result<()> {
    let output = ctx.output(ctx.spec("orphan; exit 0")).await?;
    ensure!(output.stdout.starts_with("left"), "{output:?}");
    Ok(())
}

async fn many_containers_at_once(ctx: Ctx) -> Result<()> {
    let tasks: Vec<_> = (0..20)
        .map(|number| {
            let ctx = ctx.clone();
            tokio::spawn(async move { ctx.says(&format!("lines 200; say {number}")).await })
        })
        .collect();
    for (number, task) in tasks.into_iter().enumerate() {
        let said = task.await??;
        ensure!(said.ends_with(&format!("\n{number}\n")), "{said}");
        assert_eq!(said.lines().count(), 201);
    }
    Ok(())
}

async fn a_shim_is_small(ctx: Ctx) -> Result<()> {
    let container = ctx
        .start_until(ctx.spec("lines 1000; say up; wait"), "up")
        .await?;
    let shim = parent_of(container.pid())?;
    let rollup = fs::read_to_string(format!("/proc/{shim}/smaps_rollup"))?;
    container.remove().await?;
    let line = rollup
        .lines()
        .find_map(|line| line.strip_prefix("Private_Dirty:"));
    let kilobytes: u64 = line
        .context("a line")?
        .trim()
        .trim_end_matches(" kB")
        .parse()?;
    ensure!(kilobytes < 500, "{kilobytes} kB");
    Ok(())
}
