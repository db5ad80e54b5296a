//! The processes of a cluster, all of them this binary executed again.

mod builder;
pub mod certificates;
pub mod cgroups;
mod dataplane;
mod engine;
mod gateway;
mod log;
pub mod paths;
mod registries;
mod succession;

use std::process::ExitCode;

pub use builder::{BuildJob, Job, JobEvent, run_job};

/// Runs the process that the command line names, if it names one.
///
/// Must be called before any thread is started: some of them enter namespaces.
pub fn enter() -> Option<ExitCode> {
    let mut args = std::env::args_os().skip(1);
    let name = args.next()?;
    let cluster = || std::env::args().nth(2).unwrap_or_default();
    match name.to_str()? {
        "init" if std::env::args_os().len() == 3 => coracle_cluster::init::main(),
        "shim" => coracle_runtime::shim_main(args),
        "engine" => Some(finish(
            "engine",
            engine::main(&cluster(), std::env::args().any(|arg| arg == "--api-only")),
        )),
        "dataplane" => Some(finish("dataplane", dataplane::main())),
        "gateway" => Some(finish("gateway", gateway::keeper(&cluster()))),
        "gateway-worker" => Some(finish("gateway", gateway::worker(&cluster()))),
        "probe" if std::env::args_os().len() == 2 => Some(finish("probe", probe())),
        "builder" => Some(finish("builder", builder::main())),
        _ => None,
    }
}

/// Tries what a cluster needs and says what came of it.
fn probe() -> anyhow::Result<()> {
    let trials = coracle_cluster::probe::run(&coracle_cluster::IdMap::choose());
    println!("{}", serde_json::to_string(&trials)?);
    Ok(())
}

/// Turns the end of a process into its exit code; its log gets the cause.
fn finish(name: &str, result: anyhow::Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("coracle {name}: {error:#}");
            ExitCode::FAILURE
        }
    }
}
