//! Mounts: where they land, what they allow, and how they cannot be abused.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use coracle_runtime::spec::{Bind, Create, Mount, MountOptions, Propagation, Source, Upper};

use super::cases;
use crate::support::Ctx;

cases![
    layers_hide_those_below,
    writes_go_to_the_upper_directory,
    one_layer_without_an_upper_is_read_only,
    volumes_are_shown,
    files_are_volumes_too,
    options_are_honoured,
    later_mounts_appear_if_wished,
    sub_paths_are_made_and_stay_inside,
    sources_can_be_held_inside_a_directory,
    targets_stay_inside_the_root,
    nothing_is_mounted_in_proc,
    many_layers_with_long_names,
    mounts_of_the_engine_are_not_seen,
    an_overlay_on_an_overlay_is_explained,
];

fn bind(path: &Path, target: &str) -> Mount {
    let source = Source::bind(path);
    Mount {
        source,
        target: target.into(),
        options: MountOptions::default(),
    }
}

async fn layers_hide_those_below(ctx: Ctx) -> Result<()> {
    assert_eq!(ctx.says("cat /data/layer; ls /data").await?, "toplayer\n");
    Ok(())
}

async fn writes_go_to_the_upper_directory(ctx: Ctx) -> Result<()> {
    let spec = ctx.spec("write /data/new text; mkdir /made");
    let upper = spec
        .root
        .upper
        .clone()
        .map(|Upper { dir, .. }| dir)
        .unwrap_or_default();
    ctx.spec_says(spec).await?;
    assert_eq!(fs::read_to_string(upper.join("data/new"))?, "text");
    ensure!(upper.join("made").is_dir());
    ensure!(!ctx.base.join("image/bottom/made").exists());
    Ok(())
}

async fn one_layer_without_an_upper_is_read_only(ctx: Ctx) -> Result<()> {
    let mut spec = ctx.spec("cat /data/layer; say .; write /x y");
    spec.root.lowers.truncate(1);
    spec.root.upper = None;
    assert_eq!(
        ctx.spec_says(spec).await?,
        "bottom.\n! read-only file system\n"
    );
    Ok(())
}

async fn volumes_are_shown(ctx: Ctx) -> Result<()> {
    let volume = ctx.folder();
    fs::write(volume.join("given"), "from outside")?;
    let mut spec = ctx.spec("cat /v/w/given; write /v/w/made text");
    spec.mounts = vec![bind(&volume, "/v/w")];
    assert_eq!(ctx.spec_says(spec).await?, "from outside");
    assert_eq!(fs::read_to_string(volume.join("made"))?, "text");
    Ok(())
}

async fn files_are_volumes_too(ctx: Ctx) -> Result<()> {
    let volume = ctx.folder();
    fs::write(volume.join("hosts"), "127.0.0.1 localhost\n")?;
    let mut spec = ctx.spec("cat /etc/hosts");
    spec.mounts = vec![bind(&volume.join("hosts"), "/etc/hosts")];
    assert_eq!(ctx.spec_says(spec).await?, "127.0.0.1 localhost\n");
    Ok(())
}

async fn options_are_honoured(ctx: Ctx) -> Result<()> {
    let volume = ctx.folder();
    fs::copy("/proc/self/exe", volume.join("program"))?;
    let options = MountOptions {
        readonly: true,
        noexec: true,
        ..MountOptions::default()
    };
    let mut spec = ctx.spec("write /v/x y; write /t/x y; owner /t; cat /proc/mounts");
    let tmpfs = Source::Tmpfs {
        bytes_max: 1 << 20,
        mode: 0o1777,
    };
    spec.mounts = vec![
        Mount {
            options,
            ..bind(&volume, "/v")
        },
        Mount {
            source: tmpfs,
            target: "/t".into(),
            options: MountOptions::default(),
        },
    ];
    let said = ctx.spec_says(spec).await?;
    ensure!(
        said.starts_with("! read-only file system\n0:0 1777\n"),
        "{said}"
    );
    let line = |at: &str| {
        said.lines()
            .find(|line| line.contains(at))
            .unwrap_or("")
            .to_owned()
    };
    ensure!(
        line(" /v ").contains("ro,") && line(" /v ").contains("noexec"),
        "{said}"
    );
    ensure!(line(" /t ").contains("size=1024k"), "{said}");
    Ok(())
}

async fn later_mounts_appear_if_wished(ctx: Ctx) -> Result<()> {
    let volume = ctx.folder();
    coracle_runtime::mount_tmpfs(&volume, 1 << 20, 0o755)?;
    make_shared(&volume)?;
    fs::create_dir(volume.join("later"))?;
    let check = async |propagation: Propagation, expected: &str| -> Result<()> {
        let mut spec = ctx.spec("echo; ls /v/later");
        let options = MountOptions {
            propagation,
            ..MountOptions::default()
        };
        spec.mounts = vec![Mount {
            options,
            ..bind(&volume, "/v")
        }];
        spec.stdin = true;
        spec.stdin_once = true;
        let log = spec.log.clone().map(|log| log.path).unwrap_or_default();
        let container = ctx.runtime.start(spec).await?;
        let attachment = container.attach(true, false, false).await?;
        coracle_runtime::mount_tmpfs(&volume.join("later"), 1 << 20, 0o755)?;
        fs::write(volume.join("later/file"), "")?;
        attachment.input.close().await?;
        container.wait().await;
        container.remove().await?;
        coracle_runtime::unmount(&volume.join("later"))?;
        let log = fs::read_to_string(log)?;
        assert_eq!(
            crate::support::stream(&log, "stdout"),
            format!("end\n{expected}\n")
        );
        Ok(())
    };
    check(Propagation::Private, "").await?;
    check(Propagation::Slave, "file").await?;
    check(Propagation::Shared, "file").await?;
    coracle_runtime::unmount(&volume)?;
    Ok(())
}

fn make_shared(path: &Path) -> Result<()> {
    let path = std::ffi::CString::new(path.to_str().unwrap_or(""))?;
    let (none, flags) = (c"".as_ptr(), libc::MS_SHARED);
    let answer = unsafe { libc::mount(none, path.as_ptr(), none, flags, std::ptr::null()) };
    ensure!(answer == 0, "{}", std::io::Error::last_os_error());
    Ok(())
}

async fn sub_paths_are_made_and_stay_inside(ctx: Ctx) -> Result<()> {
    let volume = ctx.folder();
    let outside = ctx.folder();
    symlink(&outside, volume.join("absolute"))?;
    symlink("../", volume.join("upward"))?;
    let with = |sub_path: &str| {
        let mut spec = ctx.spec("write /v/x y");
        let sub_path = Some(PathBuf::from(sub_path));
        let path = volume.clone();
        let source = Source::Bind(Bind {
            path,
            sub_path,
            ..Bind::default()
        });
        spec.mounts = vec![Mount {
            source,
            ..bind(&volume, "/v")
        }];
        spec
    };
    ctx.spec_says(with("new/deep")).await?;
    ensure!(volume.join("new/deep/x").exists());
    for escape in ["absolute", "upward", "../", "/etc", "upward/etc"] {
        let error = ctx
            .runtime
            .start(with(escape))
            .await
            .unwrap_err()
            .to_string();
        ensure!(error.starts_with("open the sub path"), "{escape}: {error}");
    }
    assert_eq!(fs::read_dir(outside)?.count(), 0);
    Ok(())
}

async fn sources_can_be_held_inside_a_directory(ctx: Ctx) -> Result<()> {
    let tree = ctx.folder();
    fs::create_dir(tree.join("var"))?;
    fs::write(tree.join("var/mark"), "inside")?;
    symlink("/var", tree.join("absolute"))?;
    symlink("../../../../../../etc", tree.join("upward"))?;
    let with = |path: &str, create: Create| {
        let mut spec = ctx.spec("cat /v/mark; owner /v");
        let inside = Some(tree.clone());
        let source = Source::Bind(Bind {
            path: path.into(),
            inside,
            create,
            sub_path: None,
        });
        spec.mounts = vec![Mount {
            source,
            ..bind(&tree, "/v")
        }];
        spec
    };
    for path in ["/var", "/absolute", "/../../var"] {
        let said = ctx.spec_says(with(path, Create::Nothing)).await?;
        ensure!(said.starts_with("inside"), "{path}: {said}");
    }
    let error = ctx
        .runtime
        .start(with("/upward", Create::Nothing))
        .await
        .unwrap_err()
        .to_string();
    assert_eq!(error, "open /upward: no such file or directory");
    let said = ctx
        .spec_says(with("/upward/new", Create::Directory))
        .await?;
    assert_eq!(said, "! no such file or directory\n0:0 755\n");
    ensure!(tree.join("etc/new").is_dir());
    let said = ctx.spec_says(with("/made/file", Create::File)).await?;
    assert_eq!(said, "! not a directory\n0:0 644\n");
    Ok(())
}

async fn targets_stay_inside_the_root(ctx: Ctx) -> Result<()> {
    let volume = ctx.folder();
    fs::write(volume.join("mark"), "inside")?;
    for (target, seen) in [
        ("/absolute/app", "/etc/app/mark"),
        ("/upward/app", "/tmp/app/mark"),
        ("/../../../app", "/app/mark"),
        ("/upward/../../../etc/app", "/etc/app/mark"),
    ] {
        let mut spec = ctx.spec(&format!("cat {seen}"));
        spec.mounts = vec![bind(&volume, target)];
        assert_eq!(ctx.spec_says(spec).await?, "inside", "{target}");
    }
    ensure!(!Path::new("/etc/app").exists() && !Path::new("/tmp/app").exists());
    Ok(())
}

async fn nothing_is_mounted_in_proc(ctx: Ctx) -> Result<()> {
    let volume = ctx.folder();
    for target in ["/proc/self/attr", "/proc", "/proclink/sys"] {
        let mut spec = ctx.spec("");
        spec.mounts = vec![bind(&volume, target)];
        let error = ctx.runtime.start(spec).await.unwrap_err().to_string();
        ensure!(error.contains("/proc"), "{target}: {error}");
    }
    Ok(())
}

async fn many_layers_with_long_names(ctx: Ctx) -> Result<()> {
    let mut spec = ctx.spec("ls /many");
    let base = ctx.base.join("x".repeat(200)).join("y".repeat(200));
    for number in 0..100 {
        let layer = base.join(format!("{number:03}, with: a, comma"));
        fs::create_dir_all(layer.join("many"))?;
        fs::write(layer.join(format!("many/{number:03}")), "")?;
        spec.root.lowers.push(layer);
    }
    let said = ctx.spec_says(spec).await?;
    assert_eq!(said.split_whitespace().count(), 100);
    Ok(())
}

async fn mounts_of_the_engine_are_not_seen(ctx: Ctx) -> Result<()> {
    let said = ctx.says("cat /proc/mounts").await?;
    let base = ctx.base.to_str().unwrap_or("?");
    for line in said.lines().filter(|line| !line.starts_with("overlay ")) {
        ensure!(!line.contains(base), "{line}");
    }
    ensure!(
        said.lines()
            .next()
            .is_some_and(|line| line.contains(" / overlay ")),
        "{said}"
    );
    Ok(())
}

async fn an_overlay_on_an_overlay_is_explained(ctx: Ctx) -> Result<()> {
    let (lower, upper, work, on) = (ctx.folder(), ctx.folder(), ctx.folder(), ctx.folder());
    mount_overlay(&lower, &upper, &work, &on)?;
    let mut spec = ctx.spec("");
    for name in ["upper", "work"] {
        fs::create_dir(on.join(name))?;
    }
    spec.root.upper = Some(Upper {
        dir: on.join("upper"),
        work: on.join("work"),
    });
    let error = ctx.runtime.start(spec).await.unwrap_err().to_string();
    coracle_runtime::unmount(&on)?;
    ensure!(error.contains("lies on an overlay file system"), "{error}");
    Ok(())
}

fn mount_overlay(lower: &Path, upper: &Path, work: &Path, on: &Path) -> Result<()> {
    let (lower, upper, work) = (lower.display(), upper.display(), work.display());
    let options = format!("userxattr,lowerdir={lower},upperdir={upper},workdir={work}");
    let options = std::ffi::CString::new(options)?;
    let on = std::ffi::CString::new(on.to_str().unwrap_or(""))?;
    let kind = c"overlay".as_ptr();
    let answer = unsafe { libc::mount(kind, on.as_ptr(), kind, 0, options.as_ptr().cast()) };
    ensure!(answer == 0, "{}", std::io::Error::last_os_error());
    Ok(())
}
