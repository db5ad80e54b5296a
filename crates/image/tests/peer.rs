//! The same Dockerfile built by `buildah`, where it is installed: the images
//! agree in configuration and file tree.

#[path = "support/chroot.rs"]
mod chroot;
mod support;

use std::path::Path;
use std::process::Command;

use chroot::{Chroot, busybox};
use coracle_image::Image;
use coracle_image::archive::{LoadOptions, load_file};
use coracle_image::tar::{Kind, Member};
use support::{CLUSTER, context, request, test_store, tree};

const FILES: &[(&str, &str)] = &[
    ("rootfs/bin/sh", "-> busybox"),
    (
        "rootfs/etc/passwd",
        "root:x:0:0::/root:/bin/sh\napp:x:7:8::/home/app:/bin/sh\n",
    ),
    ("rootfs/etc/group", "root:x:0:\napps:x:8:\nmore:x:9:app\n"),
    ("a.txt", "A"),
    ("b.txt", "B"),
    ("run.sh", "+x run"),
    ("dir/c.txt", "C"),
    ("dir/sub/d.txt", "D"),
    ("dir/link", "-> c.txt"),
    ("skip.log", "S"),
    ("docs/a.md", "A"),
    ("docs/keep.md", "K"),
    ("docs/deep/b.md", "B"),
    (
        ".dockerignore",
        "# not these\n*.log\n**/*.md\n!docs/keep.md\n",
    ),
];

fn installed() -> bool {
    let root = rustix::process::geteuid().is_root();
    let buildah = Command::new("buildah").arg("--version").output().is_ok();
    if !(root && buildah) {
        skip();
    }
    root && buildah
}

#[allow(clippy::print_stderr, reason = "a skipped test must be seen")]
fn skip() {
    eprintln!("SKIPPED: buildah is not installed, or this is not root; nothing to compare with");
}

/// Builds with the peer and returns its archive.
fn peer(directory: &Path, context: &Path, text: &str) -> std::path::PathBuf {
    let path = |name: &str| directory.join(name).display().to_string();
    std::fs::write(path("Dockerfile"), text).expect("writes");
    let run = |arguments: &[&str]| {
        let mut command = Command::new("buildah");
        command.args([
            "--root",
            &path("root"),
            "--runroot",
            &path("run"),
            "--storage-driver",
            "vfs",
        ]);
        let output = command.args(arguments).output().expect("buildah runs");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{text}\n{errors}");
    };
    let (file, archive) = (path("Dockerfile"), path("image.tar"));
    let context = context.display().to_string();
    run(&[
        "bud",
        "--isolation",
        "chroot",
        "--format",
        "docker",
        "--timestamp",
        "0",
        "-t",
        "peer:1",
        "-f",
        &file,
        &context,
    ]);
    run(&[
        "push",
        "peer:1",
        &format!("docker-archive:{archive}:peer:1"),
    ]);
    run(&["rmi", "--all", "--force"]);
    archive.into()
}

fn configuration(image: &Image) -> serde_json::Value {
    let config = &image.config.config;
    let mut labels = config.labels.clone();
    labels.retain(|key, _| !key.starts_with("io.buildah"));
    // The peer leaves PATH out of an image from scratch.
    let environment = config
        .env
        .iter()
        .filter(|entry| !entry.starts_with("PATH="));
    let working_dir = match config.working_dir.as_str() {
        "" => "/",
        dir => dir,
    };
    serde_json::json!({
        "user": config.user, "ports": config.exposed_ports, "env": environment.collect::<Vec<_>>(),
        "entrypoint": config.entrypoint.clone().unwrap_or_default(), "cmd": config.cmd.clone().unwrap_or_default(),
        "health": config.healthcheck, "volumes": config.volumes, "dir": working_dir,
        "labels": labels, "signal": config.stop_signal, "shell": config.shell,
    })
}

/// Writes an archive, plain and compressed, for ADD to unpack.
fn archives(context: &Path) {
    let mut owned = Member::new("f", Kind::File, 0o640);
    (owned.uid, owned.gid) = (5, 6);
    let tar = support::Tar::default()
        .dir("d/", 0o750)
        .member(owned, "content")
        .link("d/l", Kind::Symlink, "../f")
        .link("h", Kind::HardLink, "f")
        .finish();
    std::fs::write(context.join("x.tar"), &tar).expect("writes");
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut gz, &tar).expect("compresses");
    std::fs::write(context.join("x.tgz"), gz.finish().expect("compresses")).expect("writes");
}

#[test]
fn images_agree_with_another_builder() {
    let Some(busybox) = busybox().filter(|_| installed()) else {
        return;
    };
    let context = context(FILES);
    std::fs::copy(busybox, context.path().join("rootfs/bin/busybox")).expect("copies");
    archives(context.path());
    let mut differences = Vec::new();
    for text in DOCKERFILES {
        let text = format!("FROM scratch AS base\nCOPY rootfs /\n{text}");
        let store = test_store();
        let mut request = request(context.path(), &text);
        request.platform = coracle_image::oci::Platform::host();
        store
            .build_with(&request, Some(&Chroot::default()))
            .0
            .unwrap_or_else(|error| panic!("{error}"));
        let directory = tempfile::tempdir().expect("directory");
        let archive = peer(directory.path(), context.path(), &text);
        load_file(
            &store.store,
            CLUSTER,
            &archive,
            &LoadOptions::default(),
            &mut |_| {},
        )
        .expect("loads");
        let (ours, theirs) = (store.image("test:1"), store.image("peer:1"));
        let (ours_config, theirs_config) = (configuration(&ours), configuration(&theirs));
        if ours_config != theirs_config {
            differences.push(format!("{text}\nours {ours_config}\nthem {theirs_config}"));
        }
        let lines = |image: &Image| {
            let mut lines = tree(&image.view());
            // What its chroot leaves behind.
            lines.retain(|line| {
                ![
                    "/proc/",
                    "/sys/",
                    "/dev/",
                    "/run/",
                    "/etc/hosts",
                    "/etc/hostname",
                    "/etc/resolv.conf",
                ]
                .iter()
                .any(|path| line.contains(path))
            });
            lines
        };
        let (ours, theirs) = (lines(&ours), lines(&theirs));
        let only = |these: &[String], those: &[String]| {
            let only = these.iter().filter(|line| !those.contains(line)).cloned();
            only.map(|line| line.chars().take(80).collect())
                .collect::<Vec<String>>()
        };
        if ours != theirs {
            let (left, right) = (only(&ours, &theirs), only(&theirs, &ours));
            differences.push(format!("{text}\nours {left:#?}\nthem {right:#?}"));
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n\n"));
}

const DOCKERFILES: &[&str] = &[
    "COPY . /all\n",
    "COPY dir /x\nCOPY dir/ /y/\nCOPY a.txt b.txt /z/\nCOPY *.txt /w/\nCOPY run.sh /run.sh\n",
    "WORKDIR /w/v\nCOPY a.txt .\nCOPY dir ./d\nCOPY --chown=app:more a.txt /o/p\nCOPY --chown=5:6 dir /q\n",
    "ARG V=1\nENV A=$V B=\"two words\" C='$A' D=a\\ b\nENV OLD form here\nLABEL v=$V \"k e\"=\"x y\"\nARG V=2\nRUN echo $A $B $V > /env\n",
    "RUN echo hi > /f && mkdir -m 750 /d && busybox touch /d/x && busybox chmod 4711 /d/x && busybox ln /d/x /hard && busybox ln -s d /s\nRUN busybox rm /f && busybox rm -r /d && mkdir /d && echo n > /d/n\n",
    "USER app\nWORKDIR /home/app\nCOPY a.txt a\nUSER 7:8\nFROM scratch\nCOPY --from=base /bin/busybox /b\nCOPY --from=0 --chown=3:4 /etc /e\nCOPY --from=base /home/app/a /\n",
    "EXPOSE 80 53/udp\nEXPOSE 8080\nVOLUME /data\nVOLUME [\"/m\", \"/n\"]\nSTOPSIGNAL SIGQUIT\nHEALTHCHECK --interval=30s --timeout=3s --start-period=1m --retries=2 CMD [\"/x\", \"y\"]\nENTRYPOINT [\"/x\"]\nCMD [\"a\", \"b\"]\nUSER 1001:1001\n",
    "ADD x.tar /t/\nADD x.tgz /g/\nADD a.txt /plain/\nCOPY x.tar /kept.tar\n",
    "COPY --chmod=640 a.txt /c/\nCOPY --chmod=750 run.sh /run\nCOPY --chown=app a.txt /app\nADD --chown=5:6 b.txt /own/\n",
    "ARG A=1\nRUN echo $A > /a\nFROM base AS second\nARG A\nRUN echo \"[$A]\" > /a\nARG B=two\nENV B=${B:-none} C=${D:-fallback} E=${B:+set}\nRUN echo $B $C $E > /b\nFROM second\nCOPY --from=0 /etc/group /g\nRUN echo \"[$B]\" > /c\n",
    "SHELL [\"/bin/busybox\", \"sh\", \"-c\"]\nRUN echo one > /one; echo \"two  words\" \\\n  > /two\nWORKDIR rel\nWORKDIR ative\nRUN pwd > /where\nUSER app\nRUN id -u > /tmp-user || true\n",
    "HEALTHCHECK CMD check it\nENTRYPOINT exec it\nCMD run it\nSHELL [\"/bin/sh\", \"-ec\"]\nRUN echo $0 > /zero\n",
];
