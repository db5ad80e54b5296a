//! Output, input, terminals, and further programs in a container.

use std::fs;
use std::os::fd::OwnedFd;

use anyhow::{Context as _, Result, ensure};
use coracle_runtime::spec::{Log, User};
use coracle_runtime::{AttachEvent, Attachment, Container, ExecError, ExecSpec, StartStreams};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::cases;
use crate::support::{Ctx, until};

cases![
    every_line_is_logged,
    logs_are_rotated,
    a_full_disk_does_not_stop_the_program,
    streams_can_be_given,
    exec_runs_a_program,
    exec_has_the_container_s_confinement,
    exec_takes_input,
    exec_that_cannot_start_says_why,
    exec_can_be_killed,
    a_killed_exec_takes_its_children_along,
    terminals_belong_to_their_user,
    exec_ends_with_the_container,
    exec_has_a_terminal,
    a_terminal_hangs_up,
    many_execs_at_once,
    attach_joins_the_streams,
    attach_feeds_input_once,
    attach_feeds_input_again,
    attach_to_a_terminal,
];

async fn every_line_is_logged(ctx: Ctx) -> Result<()> {
    let output = ctx
        .output(ctx.spec("lines 20000; long 40000; print no end"))
        .await?;
    let mut lines = output.stdout.lines();
    for number in 0..20_000 {
        assert_eq!(lines.next(), Some(format!("line {number}").as_str()));
    }
    assert_eq!(lines.next().map(str::len), Some(40_000));
    assert_eq!(lines.next(), Some("no end"));
    Ok(())
}

async fn logs_are_rotated(ctx: Ctx) -> Result<()> {
    let mut spec = ctx.spec("lines 20000");
    let path = spec.log.clone().context("a log")?.path;
    spec.log = Some(Log {
        path: path.clone(),
        file_bytes_max: 100_000,
        files_max: 3,
    });
    let container = ctx.runtime.start(spec).await?;
    container.wait().await;
    container.remove().await?;
    let mut last = fs::read_to_string(path.with_extension("2"))?;
    last.push_str(&fs::read_to_string(path.with_extension("1"))?);
    last.push_str(&fs::read_to_string(&path)?);
    ensure!(!path.with_extension("3").exists());
    let lines = crate::support::stream(&last, "stdout");
    let count = lines.lines().count();
    for (line, number) in lines.lines().zip(20_000 - count..) {
        assert_eq!(line, format!("line {number}"));
    }
    Ok(())
}

async fn a_full_disk_does_not_stop_the_program(ctx: Ctx) -> Result<()> {
    let small = ctx.folder();
    coracle_runtime::mount_tmpfs(&small, 65_536, 0o755)?;
    let mut spec = ctx.spec("lines 50000; exit 3");
    spec.log = Some(Log {
        path: small.join("log"),
        file_bytes_max: 0,
        files_max: 1,
    });
    let container = ctx.runtime.start(spec).await?;
    assert_eq!(container.wait().await.code, 3);
    container.remove().await?;
    coracle_runtime::unmount(&small)?;
    Ok(())
}

async fn streams_can_be_given(ctx: Ctx) -> Result<()> {
    let (mut reader, writer) = std::io::pipe()?;
    let null = || -> Result<OwnedFd> {
        Ok(fs::File::options()
            .read(true)
            .write(true)
            .open("/dev/null")?
            .into())
    };
    let streams = StartStreams {
        stdin: null()?,
        stdout: writer.into(),
        stderr: null()?,
    };
    let mut spec = ctx.spec("lines 3; warn unseen");
    spec.log = None;
    let container = ctx.runtime.start_with(spec, streams).await?;
    let text = tokio::task::spawn_blocking(move || {
        let mut text = String::new();
        std::io::Read::read_to_string(&mut reader, &mut text).map(|_| text)
    });
    assert_eq!(text.await??, "line 0\nline 1\nline 2\n");
    assert_eq!(container.wait().await.code, 0);
    container.remove().await?;
    Ok(())
}

async fn waiting(ctx: &Ctx) -> Result<Container> {
    let mut spec = ctx.spec("say up; wait");
    spec.env = vec![("A".into(), "container".into())];
    ctx.start_until(spec, "up").await
}

fn probe(script: &str) -> ExecSpec {
    ExecSpec {
        args: vec!["probe".into(), script.into()],
        ..ExecSpec::default()
    }
}

/// Runs a program to its end; returns what it said and its code.
async fn exec(container: &Container, exec: ExecSpec) -> Result<(String, String, i32)> {
    let mut session = container.exec(exec).await?;
    let (mut out, mut err) = (String::new(), String::new());
    session
        .stdout
        .take()
        .context("stdout")?
        .read_to_string(&mut out)
        .await?;
    session
        .stderr
        .take()
        .context("stderr")?
        .read_to_string(&mut err)
        .await?;
    Ok((out, err, session.wait().await?.code))
}

async fn exec_runs_a_program(ctx: Ctx) -> Result<()> {
    let container = waiting(&ctx).await?;
    let script = "env A; env B; cwd; warn oh; cat /data/layer; exit 9";
    let spec = ExecSpec {
        env: vec![("B".into(), "exec".into())],
        cwd: Some("/tmp".into()),
        ..probe(script)
    };
    let (out, err, code) = exec(&container, spec).await?;
    assert_eq!(
        (out.as_str(), err.as_str(), code),
        ("container\nexec\n/tmp\ntop", "oh\n", 9)
    );
    container.remove().await?;
    Ok(())
}

async fn exec_has_the_container_s_confinement(ctx: Ctx) -> Result<()> {
    let script = "status CapEff; status Seccomp; status NoNewPrivs; status Uid; \
        namespace mnt; namespace pid; namespace net; namespace uts; namespace ipc; \
        namespace cgroup; namespace user; cat /proc/self/cgroup; ls /proc/self/fd";
    for user in ["", "1000:1000"] {
        let mut spec = ctx.spec(&format!("{script}; wait"));
        spec.user.name = user.into();
        spec.no_new_privileges = true;
        let log = spec.log.clone().context("a log")?.path;
        let container = ctx.start_until(spec, "0 1 2 3").await?;
        let (out, _, code) = exec(&container, probe(script)).await?;
        let own = crate::support::stream(&fs::read_to_string(&log)?, "stdout");
        assert_eq!((out, code), (own, 0));
        container.remove().await?;
    }
    if ctx.shifted() {
        let container = waiting(&ctx).await?;
        let spec = ExecSpec {
            user: Some(User::ids(1000, 7)),
            ..probe("status Uid; status Gid")
        };
        assert_eq!(
            exec(&container, spec).await?.0,
            "1000 1000 1000 1000\n7 7 7 7\n"
        );
        container.remove().await?;
    }
    Ok(())
}

async fn exec_takes_input(ctx: Ctx) -> Result<()> {
    let container = waiting(&ctx).await?;
    let mut session = container
        .exec(ExecSpec {
            stdin: true,
            ..probe("input")
        })
        .await?;
    let mut stdin = session.stdin.take().context("stdin")?;
    stdin.write_all(&vec![b'x'; 1_000_000]).await?;
    drop(stdin);
    let mut out = String::new();
    session
        .stdout
        .take()
        .context("stdout")?
        .read_to_string(&mut out)
        .await?;
    assert_eq!(out, "1000000 bytes\n");
    assert_eq!(exec(&container, probe("input")).await?.0, "0 bytes\n");
    container.remove().await?;
    Ok(())
}

async fn exec_that_cannot_start_says_why(ctx: Ctx) -> Result<()> {
    let container = waiting(&ctx).await?;
    for terminal in [false, true] {
        let spec = ExecSpec {
            args: vec!["ghost".into()],
            terminal,
            ..ExecSpec::default()
        };
        let error = container.exec(spec).await.unwrap_err().to_string();
        assert_eq!(
            error,
            r#"exec: "ghost": executable file not found in $PATH"#
        );
    }
    let spec = ExecSpec {
        cwd: Some("/nowhere".into()),
        ..probe("")
    };
    let error = container.exec(spec).await.unwrap_err().to_string();
    assert_eq!(
        error,
        "change to the working directory /nowhere: no such file or directory"
    );
    container.kill(libc::SIGKILL).await?;
    container.wait().await;
    ensure!(matches!(
        container.exec(probe("")).await,
        Err(ExecError::NotRunning(_))
    ));
    container.remove().await?;
    Ok(())
}

async fn exec_can_be_killed(ctx: Ctx) -> Result<()> {
    let container = waiting(&ctx).await?;
    let mut session = container.exec(probe("wait")).await?;
    let soon = std::time::Duration::from_millis(20);
    ensure!(tokio::time::timeout(soon, session.wait()).await.is_err());
    session.kill(libc::SIGKILL).await?;
    let exit = session.wait().await?;
    assert_eq!((exit.code, exit.signal), (137, Some(9)));
    container.remove().await?;
    Ok(())
}

async fn a_killed_exec_takes_its_children_along(ctx: Ctx) -> Result<()> {
    let container = waiting(&ctx).await?;
    let mut session = container.exec(probe("orphan; say up; wait")).await?;
    let mut stdout = session.stdout.take().context("stdout")?;
    let mut seen = String::new();
    while !seen.contains("up") {
        let mut bytes = [0; 100];
        let length = stdout.read(&mut bytes).await?;
        seen.push_str(&String::from_utf8_lossy(&bytes[..length]));
    }
    session.kill(libc::SIGKILL).await?;
    session.wait().await?;
    // The child holds the other end of this pipe.
    assert_eq!(stdout.read(&mut [0; 100]).await?, 0);
    container.remove().await?;
    Ok(())
}

async fn terminals_belong_to_their_user(ctx: Ctx) -> Result<()> {
    let script = "tty; open /dev/tty; open /dev/pts/0; write /dev/pts/0 hello; exit 5";
    let mut spec = ctx.spec(script);
    spec.user = User::ids(1000, 1000);
    spec.terminal = true;
    let output = ctx.output(spec).await?;
    assert_eq!(
        (output.stdout.as_str(), output.exit.code),
        ("true\nhello", 5)
    );
    let mut spec = ctx.spec("say up; wait");
    spec.user = User::ids(1000, 1000);
    let container = ctx.start_until(spec, "up").await?;
    let mut session = container
        .exec(ExecSpec {
            terminal: true,
            ..probe(script)
        })
        .await?;
    let mut pty = session.pty.clone().context("a terminal")?;
    let mut seen = String::new();
    read_until(&mut pty, &mut seen, "hello").await?;
    assert_eq!(
        (seen.as_str(), session.wait().await?.code),
        ("true\r\nhello", 5)
    );
    container.remove().await?;
    Ok(())
}

async fn exec_ends_with_the_container(ctx: Ctx) -> Result<()> {
    let container = waiting(&ctx).await?;
    let mut session = container.exec(probe("wait")).await?;
    container.kill(libc::SIGKILL).await?;
    assert_eq!(session.wait().await?.code, 137);
    container.remove().await?;
    Ok(())
}

async fn exec_has_a_terminal(ctx: Ctx) -> Result<()> {
    let container = waiting(&ctx).await?;
    let spec = ExecSpec {
        size: Some((100, 30)),
        terminal: true,
        ..probe("tty; env TERM; window; resized; echo")
    };
    let mut session = container.exec(spec).await?;
    let mut pty = session.pty.clone().context("a terminal")?;
    let mut seen = String::new();
    read_until(&mut pty, &mut seen, "watching").await?;
    ensure!(seen.starts_with("true\r\nxterm\r\n100x30\r\n"), "{seen:?}");
    pty.resize(120, 40)?;
    read_until(&mut pty, &mut seen, "120x40").await?;
    pty.write_all(b"typed\n").await?;
    read_until(&mut pty, &mut seen, "got typed").await?;
    // The end-of-file character ends the line discipline's input.
    pty.write_all(b"\x04").await?;
    read_until(&mut pty, &mut seen, "end\r\n").await?;
    assert_eq!(session.wait().await?.code, 0);
    container.remove().await?;
    Ok(())
}

async fn read_until(pty: &mut coracle_runtime::Pty, seen: &mut String, text: &str) -> Result<()> {
    let mut bytes = [0; 1024];
    while !seen.contains(text) {
        let length = pty.read(&mut bytes).await?;
        ensure!(length > 0, "no {text:?} in {seen:?}");
        seen.push_str(&String::from_utf8_lossy(&bytes[..length]));
    }
    Ok(())
}

async fn a_terminal_hangs_up(ctx: Ctx) -> Result<()> {
    let container = waiting(&ctx).await?;
    let spec = ExecSpec {
        terminal: true,
        ..probe("wait")
    };
    let mut session = container.exec(spec).await?;
    session.pty = None;
    assert_eq!(session.wait().await?.signal, Some(libc::SIGHUP));
    container.remove().await?;
    Ok(())
}

async fn many_execs_at_once(ctx: Ctx) -> Result<()> {
    let container = waiting(&ctx).await?;
    let tasks: Vec<_> = (0..30)
        .map(|number| {
            let container = container.clone();
            tokio::spawn(async move {
                let script = format!("lines 500; exit {number}");
                exec(&container, probe(&script)).await
            })
        })
        .collect();
    for (number, task) in tasks.into_iter().enumerate() {
        let (out, _, code) = task.await??;
        assert_eq!((out.lines().count(), code), (500, number as i32));
    }
    container.remove().await?;
    Ok(())
}

async fn collect(attachment: &mut Attachment, until: &str) -> Result<String> {
    let mut seen = String::new();
    while !seen.contains(until) {
        match attachment.output.next().await? {
            Some(AttachEvent::Stdout(bytes)) => seen.push_str(&String::from_utf8_lossy(&bytes)),
            Some(AttachEvent::Stderr(bytes)) => {
                seen.push_str(&format!("[{}]", String::from_utf8_lossy(&bytes)));
            }
            Some(AttachEvent::Exited(exit)) => seen.push_str(&format!("exit {}", exit.code)),
            None => anyhow::bail!("the end, after {seen:?}"),
        }
    }
    Ok(seen)
}

async fn attach_joins_the_streams(ctx: Ctx) -> Result<()> {
    let mut spec = ctx.spec("say up; echo; warn oh; exit 4");
    spec.stdin = true;
    spec.stdin_once = true;
    let container = ctx.start_until(spec, "up").await?;
    let mut watcher = container.attach(false, true, true).await?;
    let mut attachment = container.attach(true, true, true).await?;
    attachment.input.write(b"one\ntwo\n").await?;
    collect(&mut attachment, "got two").await?;
    attachment.input.close().await?;
    let rest = collect(&mut attachment, "exit").await?;
    assert_eq!(
        rest,
        "\nend\n[oh\n]exit 4".trim_start_matches('\n'),
        "{rest:?}"
    );
    let all = collect(&mut watcher, "exit").await?;
    assert_eq!(all, "got one\ngot two\nend\n[oh\n]exit 4");
    container.remove().await?;
    Ok(())
}

async fn attach_feeds_input_once(ctx: Ctx) -> Result<()> {
    let mut spec = ctx.spec("input");
    spec.stdin = true;
    spec.stdin_once = true;
    let log = spec.log.clone().context("a log")?.path;
    let container = ctx.runtime.start(spec).await?;
    let attachment = container.attach(true, false, false).await?;
    attachment.input.write(&vec![b'x'; 300_000]).await?;
    drop(attachment);
    assert_eq!(container.wait().await.code, 0);
    container.remove().await?;
    ensure!(fs::read_to_string(log)?.ends_with("stdout F 300000 bytes\n"));
    Ok(())
}

async fn attach_feeds_input_again(ctx: Ctx) -> Result<()> {
    let mut spec = ctx.spec("echo");
    spec.stdin = true;
    let log = spec.log.clone().context("a log")?.path;
    let container = ctx.runtime.start(spec).await?;
    for word in ["first", "second"] {
        let attachment = container.attach(true, false, false).await?;
        attachment
            .input
            .write(format!("{word}\n").as_bytes())
            .await?;
        attachment.input.close().await?;
        let expected = format!("got {word}");
        until(|| {
            fs::read_to_string(&log)
                .unwrap_or_default()
                .contains(&expected)
        })
        .await;
    }
    ensure!(container.exited().await.is_none());
    container.remove().await?;
    Ok(())
}

async fn attach_to_a_terminal(ctx: Ctx) -> Result<()> {
    let mut spec = ctx.spec("tty; resized; echo; exit 5");
    spec.terminal = true;
    spec.stdin = true;
    let log = spec.log.clone().context("a log")?.path;
    let container = ctx.start_until(spec, "watching").await?;
    let mut attachment = container.attach(true, true, false).await?;
    container.resize(77, 22).await?;
    collect(&mut attachment, "77x22").await?;
    attachment.input.write(b"typed\n").await?;
    collect(&mut attachment, "got typed").await?;
    attachment.input.write(b"\x04").await?;
    collect(&mut attachment, "exit 5").await?;
    container.remove().await?;
    ensure!(fs::read_to_string(log)?.contains("stdout F true\r\n"));
    Ok(())
}
