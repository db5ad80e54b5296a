//! Starting programs: arguments, environment, user, and what goes wrong.

use std::fs;

use anyhow::{Result, bail, ensure};
use coracle_runtime::spec::{Rlimit, User};
use coracle_runtime::{ContainerSpec, RuntimeError, StartError};

use super::cases;
use crate::support::Ctx;

cases![
    a_program_runs,
    exit_codes_are_kept,
    the_environment_is_complete,
    a_large_environment_fits,
    the_user_is_the_one_asked_for,
    groups_come_from_the_spec_and_the_image,
    groups_beyond_the_map_are_refused,
    unknown_users_are_refused,
    the_working_directory_is_made,
    no_descriptor_leaks,
    resource_limits_are_set,
    programs_that_cannot_start_say_why,
    a_failed_start_leaves_nothing,
    ids_are_checked,
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

async fn exit_codes_are_kept(ctx: Ctx) -> Result<()> {
    for code in [1, 7, 137, 255] {
        let exit = ctx.output(ctx.spec(&format!("exit {code}"))).await?.exit;
        assert_eq!(
            (exit.code, exit.signal, exit.oom_killed),
            (code, None, false)
        );
    }
    Ok(())
}

async fn the_environment_is_complete(ctx: Ctx) -> Result<()> {
    let mut spec = ctx.spec("env A; env PATH; env HOME; env TERM; env CARGO_MANIFEST_DIR");
    spec.env = vec![("A".into(), "1".into()), ("A".into(), "two words".into())];
    let path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    assert_eq!(
        ctx.spec_says(spec).await?,
        format!("two words\n{path}\n/root\n(unset)\n(unset)\n")
    );
    Ok(())
}

async fn a_large_environment_fits(ctx: Ctx) -> Result<()> {
    let mut spec = ctx.spec("env V9999");
    spec.env = (0..10_000)
        .map(|n| (format!("V{n}"), "x".repeat(80)))
        .collect();
    assert_eq!(ctx.spec_says(spec).await?, format!("{}\n", "x".repeat(80)));
    Ok(())
}

async fn the_user_is_the_one_asked_for(ctx: Ctx) -> Result<()> {
    let check = async |name: &str, gid: Option<u32>, expected: &str| -> Result<()> {
        let mut spec = ctx.spec("status Uid; status Gid; env HOME; write /tmp/x y; owner /tmp/x");
        spec.user = User {
            name: name.into(),
            gid,
            image_groups: false,
            ..User::default()
        };
        assert_eq!(ctx.spec_says(spec).await?, expected);
        Ok(())
    };
    check("", None, "0 0 0 0\n0 0 0 0\n/root\n0:0 644\n").await?;
    check(
        "app",
        None,
        "1000 1000 1000 1000\n1000 1000 1000 1000\n/home/app\n1000:1000 644\n",
    )
    .await?;
    check(
        "1000:0",
        None,
        "1000 1000 1000 1000\n0 0 0 0\n/home/app\n1000:0 644\n",
    )
    .await?;
    check(
        "4711",
        Some(42),
        "4711 4711 4711 4711\n42 42 42 42\n/\n4711:42 644\n",
    )
    .await
}

async fn groups_come_from_the_spec_and_the_image(ctx: Ctx) -> Result<()> {
    let mut spec = ctx.spec("status Groups");
    spec.user.name = "app".into();
    if !ctx.shifted() {
        // One id is all there is; the image's groups are only a wish.
        ctx.spec_says(spec).await?;
        return Ok(());
    }
    spec.user.additional_gids = vec![2000, 3000, 2000];
    assert_eq!(ctx.spec_says(spec.clone()).await?, "29 1000 2000 3000\n");
    spec = ContainerSpec {
        user: spec.user,
        ..ctx.spec("status Groups")
    };
    spec.user.image_groups = false;
    assert_eq!(ctx.spec_says(spec).await?, "1000 2000 3000\n");
    Ok(())
}

async fn groups_beyond_the_map_are_refused(ctx: Ctx) -> Result<()> {
    if ctx.shifted() {
        return Ok(());
    }
    let mut spec = ctx.spec("");
    spec.user.additional_gids = vec![2000];
    match ctx.runtime.start(spec).await {
        Err(RuntimeError::Start(error @ StartError::IdsNotMapped { .. })) => {
            let text = error.to_string();
            ensure!(
                text.contains("supplementary group 2000") && text.contains("newuidmap"),
                "{text}"
            );
        }
        other => bail!("{other:?}"),
    }
    let mut spec = ctx.spec("status Gid");
    spec.user = User {
        additional_gids: vec![2000],
        ..User::ids(1000, 2000)
    };
    assert_eq!(ctx.spec_says(spec).await?, "2000 2000 2000 2000\n");
    Ok(())
}

async fn unknown_users_are_refused(ctx: Ctx) -> Result<()> {
    for (name, expected) in [
        (
            "ghost",
            r#"unable to find user "ghost": no matching entries in /etc/passwd"#,
        ),
        (
            "app:ghosts",
            r#"unable to find group "ghosts": no matching entries in /etc/group"#,
        ),
    ] {
        let mut spec = ctx.spec("");
        spec.user.name = name.into();
        assert_eq!(
            ctx.runtime.start(spec).await.unwrap_err().to_string(),
            expected
        );
    }
    Ok(())
}

async fn the_working_directory_is_made(ctx: Ctx) -> Result<()> {
    let mut spec = ctx.spec("cwd; owner .");
    spec.cwd = "/srv/deep/work".into();
    assert_eq!(ctx.spec_says(spec).await?, "/srv/deep/work\n0:0 755\n");
    Ok(())
}

async fn no_descriptor_leaks(ctx: Ctx) -> Result<()> {
    // The fourth is the one that reads the list.
    assert_eq!(ctx.says("ls /proc/self/fd").await?, "0 1 2 3\n");
    Ok(())
}

async fn resource_limits_are_set(ctx: Ctx) -> Result<()> {
    let mut spec = ctx.spec("limit Max_open_files; limit Max_core_file");
    let limit = |name: &str, soft, hard| Rlimit {
        name: name.into(),
        soft,
        hard,
    };
    spec.rlimits = vec![
        limit("RLIMIT_NOFILE", Some(100), Some(200)),
        limit("core", Some(0), Some(0)),
    ];
    let said = ctx.spec_says(spec).await?;
    assert_eq!(
        said,
        "Max open files 100 200 files\nMax core file size 0 0 bytes\n"
    );
    let mut spec = ctx.spec("");
    spec.rlimits = vec![limit("RLIMIT_NONSENSE", None, None)];
    let error = ctx.runtime.start(spec).await.unwrap_err().to_string();
    assert_eq!(error, r#"unknown resource limit "RLIMIT_NONSENSE""#);
    Ok(())
}

async fn programs_that_cannot_start_say_why(ctx: Ctx) -> Result<()> {
    let check = async |program: &str, expected: &str| {
        let mut spec = ctx.spec("");
        spec.args = vec![program.into()];
        assert_eq!(
            ctx.runtime.start(spec).await.unwrap_err().to_string(),
            expected
        );
    };
    check(
        "ghost",
        r#"exec: "ghost": executable file not found in $PATH"#,
    )
    .await;
    check(
        "/bin/ghost",
        r#"exec: "/bin/ghost": stat /bin/ghost: no such file or directory"#,
    )
    .await;
    check("/etc/passwd", r#"exec: "/etc/passwd": permission denied"#).await;
    check("/bin", r#"exec: "/bin": permission denied"#).await;
    check("text", r#"exec: "text": exec format error"#).await;
    let mut spec = ctx.spec("");
    spec.args.clear();
    assert_eq!(
        ctx.runtime.start(spec).await.unwrap_err().to_string(),
        "no program to run"
    );
    Ok(())
}

async fn a_failed_start_leaves_nothing(ctx: Ctx) -> Result<()> {
    let mut spec = ctx.spec("");
    spec.args = vec!["ghost".into()];
    let id = spec.id.clone();
    ctx.runtime.start(spec).await.unwrap_err();
    ensure!(!ctx.base.join("state/containers").join(&id).exists());
    if ctx.limited() {
        ensure!(!ctx.base.join("cgroup/memory/pods").join(&id).exists());
    }
    let mounts = fs::read_to_string("/proc/self/mounts")?;
    ensure!(!mounts.contains(&id), "{mounts}");
    Ok(())
}

async fn ids_are_checked(ctx: Ctx) -> Result<()> {
    let mut spec = ctx.spec("");
    spec.id = "../escape".into();
    ensure!(matches!(
        ctx.runtime.start(spec).await,
        Err(RuntimeError::InvalidId(_))
    ));
    let first = ctx.start_until(ctx.spec("say up; wait"), "up").await?;
    let mut second = ctx.spec("");
    second.id = first.id().into();
    ensure!(matches!(
        ctx.runtime.start(second).await,
        Err(RuntimeError::Exists(_))
    ));
    first.remove().await?;
    Ok(())
}
