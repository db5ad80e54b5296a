//! Times of a container's life. Run it as
//! `cargo run --release -p coracle-runtime --example bench`; it makes
//! namespaces of its own, as root with a shifted range of ids and cgroups,
//! then with a single id.
//!
//! The numbers beside are those of the experiments that decided for a runtime
//! made by hand (2 cores, Linux 6.18).
#![allow(
    clippy::print_stdout,
    clippy::undocumented_unsafe_blocks,
    dead_code,
    reason = "a program for people to read, sharing files with the test suite"
)]

#[path = "../tests/containers/outer.rs"]
mod outer;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::exit;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use coracle_runtime::spec::{Log, Namespace, Rootfs, Upper};
use coracle_runtime::{
    Cgroups, Container, ContainerSpec, ExecSpec, Runtime, SandboxSpec, shim_main,
};
use tokio::io::AsyncReadExt;

const ROUNDS: usize = 40;

fn main() {
    let args: Vec<String> = env::args().collect();
    if args.get(1).is_some_and(|word| word == "shim") {
        shim_main(args.into_iter().skip(2).map(Into::into));
    }
    if args[0] == "task" {
        exit(task(args.get(1).map_or("", String::as_str)));
    }
    if args.get(1).is_some_and(|word| word == "inside") {
        let tokio = tokio::runtime::Runtime::new().expect("tokio starts");
        tokio
            .block_on(bench(Path::new(&args[2])))
            .expect("the benchmark runs");
        exit(0);
    }
    exit(outer::main(&args[1..]));
}

/// The program in the containers.
fn task(name: &str) -> i32 {
    match name {
        "wait" => loop {
            unsafe { libc::pause() };
        },
        "lines" => {
            let line = format!("{}\n", "x".repeat(99));
            let block = line.repeat(1000);
            for _ in 0..1000 {
                print!("{block}");
            }
        }
        _ => {}
    }
    0
}

struct Bench {
    runtime: Runtime,
    base: PathBuf,
    next: usize,
}

async fn bench(base: &Path) -> Result<()> {
    let cgroups = Cgroups::open(&base.join("cgroup"));
    let limited = cgroups.available();
    fs::create_dir_all(base.join("image/bottom/bin"))?;
    fs::create_dir_all(base.join("image/top"))?;
    fs::copy("/proc/self/exe", base.join("image/bottom/bin/task"))?;
    let runtime = Runtime::new("/proc/self/exe", base.join("state"), cgroups)?;
    let mut bench = Bench {
        runtime,
        base: base.to_owned(),
        next: 0,
    };
    println!("median (smallest) of {ROUNDS}, in ms");
    let earlier = if limited {
        "1.6-2.9 / 0.6-1.0 / 0.13"
    } else {
        "8.0 in all"
    };
    bench
        .whole_life("own network namespace", Namespace::Own, earlier)
        .await?;
    bench
        .whole_life("network namespace of the caller", Namespace::Host, "")
        .await?;
    bench.sandboxes().await?;
    bench.execs().await?;
    bench.parallel().await?;
    bench.memory().await?;
    bench.logs().await
}

impl Bench {
    fn spec(&mut self, task: &str) -> Result<ContainerSpec> {
        self.next += 1;
        let id = format!("b{}", self.next);
        let own = self.base.join("containers").join(&id);
        let upper = Upper {
            dir: own.join("upper"),
            work: own.join("work"),
        };
        fs::create_dir_all(&upper.dir)?;
        fs::create_dir_all(&upper.work)?;
        let image = self.base.join("image");
        let mut spec = ContainerSpec {
            root: Rootfs {
                lowers: vec![image.join("bottom"), image.join("top")],
                upper: Some(upper),
                readonly: false,
            },
            args: vec!["task".into(), task.into()],
            log: Some(Log::at(own.join("log"))),
            cgroup: self
                .runtime
                .cgroups()
                .available()
                .then(|| format!("pods/{id}")),
            id,
            ..ContainerSpec::default()
        };
        spec.env = vec![("PATH".into(), "/bin".into())];
        spec.resources.memory_bytes_max = Some(64 << 20);
        spec.resources.cpu_quota_us = Some(1_000_000);
        spec.resources.pids_max = Some(100);
        Ok(spec)
    }

    async fn whole_life(&mut self, what: &str, net: Namespace, earlier: &str) -> Result<()> {
        let mut times = [Vec::new(), Vec::new(), Vec::new()];
        for _ in 0..ROUNDS {
            let mut spec = self.spec("true")?;
            spec.namespaces.net = net.clone();
            let begin = Instant::now();
            let container = self.runtime.start(spec).await?;
            let started = Instant::now();
            ensure!(container.wait().await.code == 0);
            let ended = Instant::now();
            container.remove().await?;
            times[0].push(started - begin);
            times[1].push(ended - started);
            times[2].push(ended.elapsed());
        }
        let [start, run, remove] = times.map(|times| show(&times));
        println!(
            "{what}: start {start}, run and learn the end {run}, remove {remove}; earlier: {earlier}"
        );
        Ok(())
    }

    async fn sandboxes(&mut self) -> Result<()> {
        let mut times = Vec::new();
        for number in 0..ROUNDS {
            let id = format!("s{number}");
            let begin = Instant::now();
            let spec = SandboxSpec {
                id,
                hostname: "pod".into(),
                ..SandboxSpec::default()
            };
            let sandbox = self.runtime.create_sandbox(spec).await?;
            times.push(begin.elapsed());
            sandbox.remove().await?;
        }
        println!("sandbox: {}; earlier: 0.44 (network alone)", show(&times));
        Ok(())
    }

    async fn waiting(&mut self) -> Result<Container> {
        let spec = self.spec("wait")?;
        Ok(self.runtime.start(spec).await?)
    }

    async fn execs(&mut self) -> Result<()> {
        let container = self.waiting().await?;
        let (mut starts, mut ends) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            let spec = ExecSpec {
                args: vec!["task".into()],
                ..ExecSpec::default()
            };
            let begin = Instant::now();
            let mut session = container.exec(spec).await?;
            starts.push(begin.elapsed());
            let mut out = Vec::new();
            session
                .stdout
                .take()
                .context("stdout")?
                .read_to_end(&mut out)
                .await?;
            session.wait().await?;
            ends.push(begin.elapsed());
        }
        container.remove().await?;
        println!(
            "exec: start {}, ended {}; earlier: 1.2-4.8",
            show(&starts),
            show(&ends)
        );
        Ok(())
    }

    async fn parallel(&mut self) -> Result<()> {
        for count in [4, 20, 100] {
            let specs = (0..count)
                .map(|_| self.spec("wait"))
                .collect::<Result<Vec<_>>>()?;
            let begin = Instant::now();
            let tasks: Vec<_> = specs
                .into_iter()
                .map(|spec| {
                    let runtime = self.runtime.clone();
                    tokio::spawn(async move { runtime.start(spec).await })
                })
                .collect();
            let mut containers = Vec::new();
            for task in tasks {
                containers.push(task.await??);
            }
            let up = begin.elapsed();
            let begin = Instant::now();
            let tasks: Vec<_> = containers
                .into_iter()
                .map(|container| tokio::spawn(async move { container.remove().await }))
                .collect();
            for task in tasks {
                task.await??;
            }
            println!(
                "{count} at once: running {}, removed {}",
                ms(up),
                ms(begin.elapsed())
            );
        }
        println!("earlier: 4 in 8.5-17.7, 20 in 58.9 (with network)");
        Ok(())
    }

    async fn memory(&mut self) -> Result<()> {
        let mut containers = Vec::new();
        for _ in 0..5 {
            containers.push(self.waiting().await?);
        }
        let status = fs::read_to_string(format!("/proc/{}/status", containers[0].pid()))?;
        let shim = status
            .lines()
            .find_map(|line| line.strip_prefix("PPid:"))
            .context("a shim")?;
        let rollup = fs::read_to_string(format!("/proc/{}/smaps_rollup", shim.trim()))?;
        let field = |name: &str| {
            let line = rollup
                .lines()
                .find_map(|line| line.strip_prefix(name))
                .unwrap_or("");
            line.split_whitespace().collect::<Vec<_>>().join(" ")
        };
        println!(
            "shim, one of 5: private {} (dirty {}), proportional {}; earlier: 116 kB, 0.4 MB",
            field("Anonymous:"),
            field("Private_Dirty:"),
            field("Pss:"),
        );
        for container in containers {
            container.remove().await?;
        }
        Ok(())
    }

    async fn logs(&mut self) -> Result<()> {
        let spec = self.spec("lines")?;
        let begin = Instant::now();
        let container = self.runtime.start(spec).await?;
        ensure!(container.wait().await.code == 0);
        let seconds = begin.elapsed().as_secs_f64();
        container.remove().await?;
        println!(
            "log: 1,000,000 lines of 100 bytes in {seconds:.2} s, {:.0} MB/s",
            100.0 / seconds
        );
        Ok(())
    }
}

fn ms(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1000.0)
}

fn show(times: &[Duration]) -> String {
    let mut sorted = times.to_vec();
    sorted.sort();
    let ms = |time: Duration| time.as_secs_f64() * 1000.0;
    format!("{:.2} ({:.2})", ms(sorted[sorted.len() / 2]), ms(sorted[0]))
}
