//! What a container must not be able to do.

use std::fs;

use anyhow::{Result, ensure};
use coracle_runtime::spec::{Capabilities, Mount, MountOptions, Seccomp, Source};
use coracle_runtime::{CapSet, ExecSpec};

use super::cases;
use crate::support::{Ctx, until};

cases![
    capabilities_are_dropped,
    capabilities_can_be_chosen,
    ambient_capabilities_reach_a_user,
    no_new_privileges_is_set,
    set_user_id_programs_need_permission,
    the_default_filter_refuses,
    no_filter_refuses_nothing,
    a_profile_is_honoured,
    a_read_only_root_cannot_be_written,
    paths_are_masked,
    kernel_settings_cannot_be_written,
    devices_cannot_be_made,
    a_privileged_container_stays_inside,
    secrets_are_not_on_disk,
];

const DEFAULT: &str = "00000000a80425fb";

async fn capabilities_are_dropped(ctx: Ctx) -> Result<()> {
    let said = ctx
        .says("status CapEff; status CapBnd; status CapInh; status CapAmb")
        .await?;
    assert_eq!(
        said,
        format!("{DEFAULT}\n{DEFAULT}\n0000000000000000\n0000000000000000\n")
    );
    let mut spec = ctx.spec("status CapEff; status CapBnd");
    spec.user.name = "1000:1000".into();
    assert_eq!(
        ctx.spec_says(spec).await?,
        format!("0000000000000000\n{DEFAULT}\n")
    );
    Ok(())
}

async fn capabilities_can_be_chosen(ctx: Ctx) -> Result<()> {
    let check = async |bounding: CapSet, expected: &str| -> Result<()> {
        let mut spec = ctx.spec("status CapEff");
        spec.capabilities = Capabilities {
            bounding,
            ..Capabilities::default()
        };
        assert_eq!(ctx.spec_says(spec).await?, format!("{expected}\n"));
        Ok(())
    };
    check(CapSet::EMPTY, "0000000000000000").await?;
    check("NET_ADMIN".parse()?, "0000000000001000").await?;
    let fewer = CapSet::container_default().without("CHOWN".parse()?);
    check(fewer, "00000000a80425fa").await
}

async fn ambient_capabilities_reach_a_user(ctx: Ctx) -> Result<()> {
    let mut spec = ctx.spec("status CapEff; listen 80");
    spec.user.name = "1000:1000".into();
    let one: CapSet = "NET_BIND_SERVICE".parse()?;
    spec.capabilities = Capabilities {
        bounding: one,
        ambient: one,
    };
    let said = ctx.spec_says(spec).await?;
    ensure!(said.starts_with("0000000000000400\n"), "{said}");
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

async fn set_user_id_programs_need_permission(ctx: Ctx) -> Result<()> {
    if !ctx.shifted() {
        return Ok(());
    }
    let volume = ctx.folder();
    let program = volume.join("probe");
    fs::copy("/proc/self/exe", &program)?;
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o4755);
    fs::set_permissions(&program, mode)?;
    let with = |script: &str, no_new_privileges: bool| {
        let mut spec = ctx.spec(script);
        spec.args[0] = "/v/probe".into();
        spec.user.name = "1000:1000".into();
        spec.no_new_privileges = no_new_privileges;
        let source = Source::bind(&volume);
        let options = MountOptions::default();
        spec.mounts = vec![Mount {
            source,
            target: "/v".into(),
            options,
        }];
        spec
    };
    assert_eq!(
        ctx.spec_says(with("status Uid", false)).await?,
        "1000 0 0 0\n"
    );
    assert_eq!(
        ctx.spec_says(with("status Uid", true)).await?,
        "1000 1000 1000 1000\n"
    );
    // The kernel guards such a process more closely, also against exec.
    let container = ctx.start_until(with("say up; wait", false), "up").await?;
    let args = vec!["probe".into(), "exit 3".into()];
    let mut session = container
        .exec(ExecSpec {
            args,
            ..ExecSpec::default()
        })
        .await?;
    assert_eq!(session.wait().await?.code, 3);
    // And it does not hear that its shim has died.
    crate::support::kill_shim(&container)?;
    assert_eq!(container.wait().await.code, 255);
    until(|| !fs::exists(format!("/proc/{}", container.pid())).unwrap_or(true)).await;
    container.remove().await?;
    Ok(())
}

async fn the_default_filter_refuses(ctx: Ctx) -> Result<()> {
    // A new user namespace, kernel keys, a vsock socket, and clone3, which
    // must look absent for libraries to fall back.
    let said = ctx
        .says("unshare 0x10000000; keyctl; socket 40; clone3; socket 1")
        .await?;
    let refused = "! operation not permitted\n";
    assert_eq!(
        said,
        format!("{refused}{refused}{refused}! function not implemented\n")
    );
    let mut spec = ctx.spec("keyctl; again say threads and processes still work");
    spec.user.name = "1000:1000".into();
    let said = ctx.spec_says(spec).await?;
    assert_eq!(
        said,
        format!("{refused}threads and processes still work\ncode Some(0)\n")
    );
    Ok(())
}

async fn no_filter_refuses_nothing(ctx: Ctx) -> Result<()> {
    let mut spec = ctx.spec("status Seccomp; clone3");
    spec.seccomp = Seccomp::Unconfined;
    assert_eq!(ctx.spec_says(spec).await?, "0\n! invalid argument\n");
    Ok(())
}

async fn a_profile_is_honoured(ctx: Ctx) -> Result<()> {
    let profile = r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
        {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 28},
        {"names": ["socket"], "action": "SCMP_ACT_ERRNO",
         "args": [{"index": 0, "value": 1, "op": "SCMP_CMP_EQ"}]}]}"#;
    let mut spec = ctx.spec("mkdir /x; socket 1; socket 2; say still here");
    spec.seccomp = Seccomp::Profile(profile.into());
    let said = ctx.spec_says(spec).await?;
    assert_eq!(
        said,
        "! no space left on device\n! operation not permitted\nstill here\n"
    );
    let mut spec = ctx.spec("");
    spec.seccomp = Seccomp::Profile("{}".into());
    let error = ctx.runtime.start(spec).await.unwrap_err().to_string();
    ensure!(
        error.starts_with("seccomp profile: missing field"),
        "{error}"
    );
    Ok(())
}

async fn a_read_only_root_cannot_be_written(ctx: Ctx) -> Result<()> {
    let mut spec = ctx.spec("write /x y; write /tmp/x y; write /dev/shm/x y; cat /dev/shm/x");
    spec.root.readonly = true;
    let refused = "! read-only file system\n";
    assert_eq!(ctx.spec_says(spec).await?, format!("{refused}{refused}y"));
    Ok(())
}

async fn paths_are_masked(ctx: Ctx) -> Result<()> {
    let said = ctx
        .says("size /proc/interrupts; size /proc/timer_list; ls /sys/firmware; say .")
        .await?;
    assert_eq!(said, "0\n0\n\n.\n");
    let mut spec = ctx.spec("cat /etc/passwd; ls /data; say .");
    spec.masked_paths = vec!["/etc/passwd".into(), "/data".into(), "/not/there".into()];
    assert_eq!(ctx.spec_says(spec).await?, "\n.\n");
    Ok(())
}

async fn kernel_settings_cannot_be_written(ctx: Ctx) -> Result<()> {
    let said = ctx
        .says("write /proc/sys/kernel/domainname x; write /sys/kernel/profiling 1")
        .await?;
    assert_eq!(said, "! read-only file system\n! read-only file system\n");
    Ok(())
}

async fn devices_cannot_be_made(ctx: Ctx) -> Result<()> {
    assert_eq!(
        ctx.says("mknod /disk 254 0").await?,
        "! operation not permitted\n"
    );
    let said = ctx
        .says("ls /dev; write /dev/null x; size /dev/null; open /dev/tty")
        .await?;
    let (list, rest) = said.split_once('\n').unwrap_or_default();
    assert_eq!(
        list,
        "core fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero"
    );
    assert_eq!(rest, "0\n! no such device or address\n");
    Ok(())
}

async fn a_privileged_container_stays_inside(ctx: Ctx) -> Result<()> {
    let mut spec = ctx.spec(
        "status Seccomp; mount tmpfs /tmp; write /tmp/x y; cat /tmp/x; say .; \
         write /proc/sys/kernel/core_pattern x; mknod /disk 254 0; write /proc/sys/vm/swappiness 1",
    );
    spec.privileged = true;
    let said = ctx.spec_says(spec).await?;
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines[..2], ["0", "y."]);
    assert_eq!(lines.len(), 5, "{said}");
    ensure!(
        lines[2..]
            .iter()
            .all(|line| line.contains("denied") || line.contains("permitted"))
    );
    Ok(())
}

async fn secrets_are_not_on_disk(ctx: Ctx) -> Result<()> {
    let canary = "canary-5f1c0e";
    let mut spec = ctx.spec("env SECRET; wait");
    spec.env = vec![("SECRET".into(), canary.into())];
    let log = spec.log.take();
    spec.log = None;
    let container = ctx.runtime.start(spec).await?;
    let found = grep(&ctx.base.join("state"), canary)?;
    container.remove().await?;
    ensure!(found.is_empty(), "{found:?} {log:?}");
    Ok(())
}

fn grep(dir: &std::path::Path, text: &str) -> Result<Vec<std::path::PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            found.extend(grep(&entry.path(), text)?);
        } else if entry.file_type()?.is_file() {
            let bytes = fs::read(entry.path())?;
            if String::from_utf8_lossy(&bytes).contains(text) {
                found.push(entry.path());
            }
        }
    }
    Ok(found)
}
