//! The cases. Each looks at a container from inside.

use std::fs;

use anyhow::{Result, bail, ensure};
use coracle_runtime::spec::*;
use coracle_runtime::{CapSet, RuntimeError, StartError};

use crate::support::{Case, Ctx};

macro_rules! cases {
    ($($name:ident),* $(,)?) => {
        pub fn all() -> Vec<Case> {
            vec![$((stringify!($name), |ctx| Box::pin($name(ctx)))),*]
        }
    };
}

cases![
    a_program_runs,
    exit_codes_and_signals,
    the_user_is_the_one_asked_for,
    capabilities_are_dropped,
    no_new_privileges_is_set,
];

async fn a_program_runs(ctx: Ctx) -> Result<()> {
    let output = ctx
        .output(ctx.spec("say hello; warn oh; cat /data/layer; pid; cwd"))
        .await?;
    assert_eq!(output.stdout, "hello\ntop1 0\n/\n");
    assert_eq!(output.stderr, "oh\n");
    assert_eq!((output.exit.code, output.exit.signal), (0, None));
    ensure!(output.exit.finished_at_nanos > output.exit.started_at_nanos);
    Ok(())
}

async fn exit_codes_and_signals(ctx: Ctx) -> Result<()> {
    let exit = |script: &'static str| {
        let ctx = ctx.clone();
        async move { anyhow::Ok(ctx.output(ctx.spec(script)).await?.exit) }
    };
    assert_eq!(exit("exit 7").await?.code, 7);
    assert_eq!(exit("exit 255").await?.code, 255);
    Ok(())
}

async fn the_user_is_the_one_asked_for(ctx: Ctx) -> Result<()> {
    let script = "status Uid; status Gid; status Groups; env HOME";
    let mut spec = ctx.spec(script);
    assert_eq!(
        ctx.spec_says(spec.clone()).await?.lines().next(),
        Some("0 0 0 0")
    );
    spec = ctx.spec(script);
    spec.user.name = "app".into();
    let said = ctx.spec_says(spec).await?;
    ensure!(
        said.starts_with("1000 1000 1000 1000\n1000 1000 1000 1000\n"),
        "{said}"
    );
    ensure!(said.ends_with("/home/app\n"), "{said}");
    Ok(())
}

async fn capabilities_are_dropped(ctx: Ctx) -> Result<()> {
    let said = ctx
        .says("status CapEff; status CapBnd; status CapInh; status CapAmb")
        .await?;
    let default = "00000000a80425fb";
    assert_eq!(
        said,
        format!("{default}\n{default}\n0000000000000000\n0000000000000000\n")
    );
    Ok(())
}

async fn no_new_privileges_is_set(ctx: Ctx) -> Result<()> {
    let mut spec = ctx.spec("status NoNewPrivs; status Seccomp");
    spec.no_new_privileges = true;
    assert_eq!(ctx.spec_says(spec).await?, "1\n2\n");
    assert_eq!(
        ctx.says("status NoNewPrivs; status Seccomp").await?,
        "0\n2\n"
    );
    Ok(())
}
