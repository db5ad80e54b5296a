//! What every case needs: a runtime, images, and ways to run a container and
//! read what it said.
#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::fs;
use std::future::Future;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use coracle_runtime::spec::{Log, Rootfs, Upper};
use coracle_runtime::{Cgroups, Container, ContainerSpec, Exit, IdMap, Runtime};

use crate::cases;

pub type Case = (
    &'static str,
    fn(Ctx) -> Pin<Box<dyn Future<Output = Result<()>> + Send>>,
);

/// Where the cases run.
#[derive(Clone)]
pub struct Ctx(Arc<Inner>);

pub struct Inner {
    pub runtime: Runtime,
    pub base: PathBuf,
    pub ids: IdMap,
    next: AtomicU32,
}

impl std::ops::Deref for Ctx {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}

/// What a container said and how it ended.
#[derive(Debug)]
pub struct Output {
    pub stdout: String,
    pub stderr: String,
    pub exit: Exit,
}

/// Runs the cases whose name holds one of the filters.
pub fn run(args: &[String]) -> i32 {
    let (base, filters) = args
        .split_first()
        .expect("the folder is the first argument");
    let base = PathBuf::from(base);
    make_image(&base.join("image")).expect("the image can be made");
    let tokio = tokio::runtime::Runtime::new().expect("tokio starts");
    let ctx = ctx(&base);
    let wanted = |name: &str| {
        let mut words = filters
            .iter()
            .filter(|word| !word.starts_with('-'))
            .peekable();
        words.peek().is_none() || words.any(|word| name.contains(word.as_str()))
    };
    let mut failed = Vec::new();
    let mut count = 0;
    for (name, case) in cases::all().into_iter().filter(|(name, _)| wanted(name)) {
        let started = Instant::now();
        let ctx = ctx.clone();
        let result = tokio.block_on(async {
            let case = tokio::spawn(case(ctx));
            match tokio::time::timeout(Duration::from_secs(300), case).await {
                Ok(Ok(result)) => result.map_err(|error| format!("{error:#}")),
                Ok(Err(panic)) => Err(format!("{panic}")),
                Err(_) => Err("no end after five minutes".into()),
            }
        });
        count += 1;
        match result {
            Ok(()) => println!("ok   {name} ({} ms)", started.elapsed().as_millis()),
            Err(error) => {
                println!("FAIL {name}: {error}");
                failed.push(name);
            }
        }
    }
    println!("{} of {count} cases passed", count - failed.len());
    i32::from(!failed.is_empty())
}

/// Starts a container as an engine of its own would, and waits to be killed.
pub fn engine(args: &[String]) -> i32 {
    let base = PathBuf::from(&args[0]);
    let tokio = tokio::runtime::Runtime::new().expect("tokio starts");
    tokio.block_on(async {
        let ctx = ctx(&base);
        if args.len() < 3 {
            return adopt_and_attach(&ctx, &args[1]).await;
        }
        let mut spec = ctx.spec(&args[2]);
        spec.id.clone_from(&args[1]);
        spec.labels.insert("of".into(), "engine".into());
        let container = ctx.runtime.start(spec).await.expect("the container starts");
        println!("{}", container.pid());
        std::future::pending::<()>().await;
    });
    0
}

/// An engine that finds a container and is in the midst of using it.
async fn adopt_and_attach(ctx: &Ctx, id: &str) {
    let mut found = ctx.runtime.adopt().await.expect("the state can be read");
    found.retain(|container| container.id() == id);
    let container = found.pop().expect("the container is found");
    let mut attachment = container.attach(false, true, true).await.expect("it runs");
    println!("{}", container.pid());
    while let Ok(Some(_)) = attachment.output.next().await {}
}

fn ctx(base: &Path) -> Ctx {
    let cgroups = Cgroups::open(&base.join("cgroup"));
    Ctx(Arc::new(Inner {
        runtime: Runtime::new("/proc/self/exe", base.join("state"), cgroups).expect("a runtime"),
        base: base.to_owned(),
        ids: IdMap::current().expect("/proc"),
        next: AtomicU32::new(std::process::id() * 1000),
    }))
}

/// Two layers; the upper one hides a file of the lower.
fn make_image(image: &Path) -> Result<()> {
    let bottom = image.join("bottom");
    for dir in [
        "bin", "etc", "tmp", "data", "home/app", "proc", "sys", "dev",
    ] {
        fs::create_dir_all(bottom.join(dir))?;
    }
    fs::copy("/proc/self/exe", bottom.join("bin/probe"))?;
    fs::set_permissions(bottom.join("bin/probe"), fs::Permissions::from_mode(0o755))?;
    fs::write(bottom.join("bin/text"), "not a program\n")?;
    fs::set_permissions(bottom.join("bin/text"), fs::Permissions::from_mode(0o755))?;
    fs::set_permissions(bottom.join("tmp"), fs::Permissions::from_mode(0o1777))?;
    fs::write(
        bottom.join("etc/passwd"),
        "root:x:0:0::/root:/bin/sh\napp:x:1000:1000::/home/app:/bin/sh\n",
    )?;
    fs::write(
        bottom.join("etc/group"),
        "root:x:0:\napp:x:1000:\naudio:x:29:app,root\n",
    )?;
    fs::write(bottom.join("data/layer"), "bottom")?;
    symlink("/etc", bottom.join("absolute"))?;
    symlink("../../../../../../tmp", bottom.join("upward"))?;
    symlink("/proc", bottom.join("proclink"))?;
    let top = image.join("top");
    fs::create_dir_all(top.join("data"))?;
    fs::write(top.join("data/layer"), "top")?;
    Ok(())
}

impl Ctx {
    pub fn limited(&self) -> bool {
        self.runtime.cgroups().available()
    }

    pub fn shifted(&self) -> bool {
        self.ids.has_uid(1000)
    }

    pub fn id(&self) -> String {
        format!("c{}", self.next.fetch_add(1, Ordering::Relaxed))
    }

    /// A container that runs this script of the probe.
    pub fn spec(&self, script: &str) -> ContainerSpec {
        let id = self.id();
        let own = self.base.join("containers").join(&id);
        let upper = Upper {
            dir: own.join("upper"),
            work: own.join("work"),
        };
        fs::create_dir_all(&upper.dir).expect("the folder is ours");
        fs::create_dir_all(&upper.work).expect("the folder is ours");
        let image = self.base.join("image");
        ContainerSpec {
            root: Rootfs {
                lowers: vec![image.join("bottom"), image.join("top")],
                upper: Some(upper),
                readonly: false,
            },
            args: vec!["probe".into(), script.into()],
            log: Some(Log::at(own.join("log"))),
            cgroup: self.limited().then(|| format!("pods/{id}")),
            id,
            ..ContainerSpec::default()
        }
    }

    /// An empty folder of the engine's side.
    pub fn folder(&self) -> PathBuf {
        let path = self.base.join(format!("volume-{}", self.id()));
        fs::create_dir_all(&path).expect("the folder is ours");
        path
    }

    /// Runs it to its end and removes it.
    pub async fn output(&self, spec: ContainerSpec) -> Result<Output> {
        let log = spec.log.as_ref().context("a log")?.path.clone();
        let container = self.runtime.start(spec).await?;
        let exit = container.wait().await;
        container.remove().await?;
        let text = fs::read_to_string(log)?;
        Ok(Output {
            stdout: stream(&text, "stdout"),
            stderr: stream(&text, "stderr"),
            exit,
        })
    }

    /// Runs a script in an ordinary container; it must succeed.
    pub async fn says(&self, script: &str) -> Result<String> {
        self.spec_says(self.spec(script)).await
    }

    /// Runs a container; it must succeed.
    pub async fn spec_says(&self, spec: ContainerSpec) -> Result<String> {
        let output = self.output(spec).await?;
        anyhow::ensure!(output.exit.code == 0, "{output:?}");
        Ok(output.stdout)
    }

    /// Starts it and waits until it has written `text` to its log.
    pub async fn start_until(&self, spec: ContainerSpec, text: &str) -> Result<Container> {
        let log = spec.log.as_ref().context("a log")?.path.clone();
        let container = self.runtime.start(spec).await?;
        until(|| fs::read_to_string(&log).unwrap_or_default().contains(text)).await;
        Ok(container)
    }
}

/// Waits for a state.
pub async fn until(mut state: impl FnMut() -> bool) {
    while !state() {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// What the log holds of one stream, put together again.
pub fn stream(log: &str, name: &str) -> String {
    let mut text = String::new();
    for line in log.lines() {
        let mut fields = line.splitn(4, ' ');
        let _time = fields.next();
        if fields.next() == Some(name) {
            let full = fields.next() == Some("F");
            text.push_str(fields.next().unwrap_or(""));
            if full {
                text.push('\n');
            }
        }
    }
    text
}

/// The parent of a process; that of a container's first one is its shim.
pub fn parent_of(pid: i32) -> Result<i32> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("PPid:"))
        .context("a parent")?;
    Ok(line.trim().parse()?)
}

/// Kills the shim of a container without giving it a chance to tell.
pub fn kill_shim(container: &Container) -> Result<()> {
    let shim = parent_of(container.pid())?;
    anyhow::ensure!(unsafe { libc::kill(shim, libc::SIGKILL) } == 0);
    Ok(())
}
