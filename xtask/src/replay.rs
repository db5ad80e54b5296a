//! `cargo xtask replay FOLDER [OPTIONS]`: sends recorded requests to the API
//! server and prints the share of equal answers, area by area.
//!
//! The folder holds recordings (`AREA.jsonl.gz`) and the program that compares
//! (`replay.py`); options go to the latter, such as `--show 5` or `--only ssa`.
//! The server runs alone and area `controllers` is left out; with the option
//! `--controllers` they run beside it, and that area alone is compared.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

/// A server that takes longer to begin is not going to.
const START_MAX: Duration = Duration::from_secs(30);
/// The area that needs controllers.
const WITH_CONTROLLERS: &str = "controllers.jsonl.gz";
/// The option that asks for it.
const OPTION: &str = "--controllers";

/// Runs the chore.
pub fn run(arguments: &[String]) -> Result<()> {
    let Some((folder, options)) = arguments.split_first() else {
        bail!("usage: cargo xtask replay FOLDER [OPTIONS]");
    };
    let controllers = options.iter().any(|option| option == OPTION);
    let recordings = recordings(Path::new(folder), controllers)?;
    let home = tempfile::tempdir()?;
    let kubeconfig = home.path().join("kubeconfig");
    let (server, place) = if controllers {
        let (server, address) = Server::with_controllers()?;
        (server, ["--server".to_owned(), address])
    } else {
        let server = Server::start(&kubeconfig)?;
        (
            server,
            ["--kubeconfig".to_owned(), kubeconfig.display().to_string()],
        )
    };
    let status = Command::new("python3")
        .arg(Path::new(folder).join("replay.py"))
        .args(place)
        .args(options)
        .args(recordings)
        .status()
        .context("python3 is needed to compare")?;
    drop(server);
    // The comparison itself says what differs; its code is not a failure here.
    ensure!(status.code().is_some(), "the comparison was ended");
    Ok(())
}

fn recordings(folder: &Path, controllers: bool) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    let mut found: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.ends_with(".jsonl.gz") && (name == WITH_CONTROLLERS) == controllers
        })
        .collect();
    ensure!(!found.is_empty(), "{} has no recordings", folder.display());
    found.sort();
    Ok(found)
}

/// An example that serves; it ends with this.
struct Server(Child);

/// Builds an example first, so that waiting for it is not waiting for the compiler.
fn build(package: &str, example: &str) -> Result<()> {
    let mut build = Command::new(env!("CARGO"));
    build.args([
        "build",
        "--quiet",
        "--package",
        package,
        "--example",
        example,
    ]);
    ensure!(build.status()?.success(), "{example} does not build");
    Ok(())
}

impl Server {
    fn start(kubeconfig: &Path) -> Result<Server> {
        build("coracle-apiserver", "serve")?;
        let mut server = Server(Command::new(program("serve")?).arg(kubeconfig).spawn()?);
        let since = Instant::now();
        while std::fs::read(kubeconfig).unwrap_or_default().is_empty() {
            let ended = server.0.try_wait()?.is_some();
            ensure!(
                !ended && since.elapsed() < START_MAX,
                "the server does not start"
            );
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(server)
    }

    /// Starts the example `controllers` and returns where it listens.
    fn with_controllers() -> Result<(Server, String)> {
        build("coracle-controllers", "controllers")?;
        let mut command = Command::new(program("controllers")?);
        let mut child = command.arg("127.0.0.1:0").stdout(Stdio::piped()).spawn()?;
        let output = child.stdout.take().context("it was asked for")?;
        let server = Server(child);
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line)?;
        ensure!(!line.is_empty(), "the server does not start");
        Ok((server, line.trim().to_owned()))
    }
}

/// Where cargo puts the example: beside this program.
fn program(example: &str) -> Result<PathBuf> {
    let own = std::env::current_exe()?;
    let folder = own.parent().context("a program stands in a folder")?;
    Ok(folder.join("examples").join(example))
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
