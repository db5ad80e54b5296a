//! Builds of Dockerfiles whose commands run in real containers: as root, with
//! subordinate ids and with a single one. They download from a server of the
//! test's own network.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::Mutex;

use coracle_tests::cluster::Cluster;
use coracle_tests::island::{ADDRESS, Island};
use coracle_tests::private::user_with_range;
use coracle_tests::wait::until;
use coracle_tests::{host, skip};

/// One case at a time: some compare the host before and after.
static HOST: Mutex<()> = Mutex::new(());

/// The start of every Dockerfile here: a shell and a user.
const BASE: &str = "FROM scratch AS base\n\
    COPY busybox /bin/busybox\n\
    RUN [\"/bin/busybox\", \"--install\", \"-s\", \"/bin\"]\n\
    RUN mkdir -p /etc /tmp && chmod 1777 /tmp && echo root:x:0:0::/root:/bin/sh > /etc/passwd && \
    echo app:x:1001:1001::/home/app:/bin/sh >> /etc/passwd && echo app:x:1001: > /etc/group\n";

/// Who builds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Builder {
    Root,
    /// A user with ids of their own in /etc/subuid, where there are any.
    Subordinate,
    /// A user with one id.
    Single,
}

struct Case {
    cluster: Cluster,
    /// Ends after the cluster.
    island: Option<Island>,
    builder: Builder,
}

impl Case {
    fn new(name: &str, builder: Builder, on_island: bool) -> Option<Case> {
        if !Path::new("/bin/busybox").exists() {
            skip("a static /bin/busybox is the base of these images");
            return None;
        }
        let mut cluster = Cluster::new(name);
        let uid = match builder {
            Builder::Root => 0,
            Builder::Subordinate => user_with_range()?,
            Builder::Single => 4321,
        };
        if uid != 0 || on_island {
            let root = rustix::process::geteuid().is_root();
            if !root {
                skip("only root can be another user or make this network");
                return None;
            }
        }
        if builder == Builder::Single {
            // Where newuidmap is not found, there is a single id.
            let words = ["/usr/bin/env", "PATH=/nowhere"].map(String::from);
            cluster = cluster.behind(words.into());
        }
        if uid != 0 {
            cluster = cluster.as_user(uid);
        }
        let island = match on_island {
            true => Some(Island::new(cluster.home()).expect("this is root")),
            false => None,
        };
        if let Some(island) = &island {
            cluster = cluster.behind(island.before());
        }
        let case = Case {
            cluster,
            island,
            builder,
        };
        let context = case.context();
        fs::create_dir_all(&context).expect("a folder for the test");
        fs::copy("/bin/busybox", context.join("busybox")).expect("it is there");
        chown(&context, Some(uid), Some(uid)).expect("root may");
        Some(case)
    }

    fn context(&self) -> PathBuf {
        self.cluster.home().join("context")
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.context().join(name);
        fs::write(&path, text).expect("a file for the test");
        let owner = fs::metadata(self.context()).expect("it is there");
        chown(path, Some(owner.uid()), Some(owner.gid())).expect("root may");
    }

    fn output(&self, args: &[&str]) -> Output {
        let context = self.context();
        let mut words = vec!["image", "build", "-t", "case:1"];
        words.extend(args);
        words.push(context.to_str().expect("a plain path"));
        self.cluster
            .command(&words)
            .output()
            .expect("the program was built")
    }

    /// Builds the base and `text` and returns what was told.
    #[track_caller]
    fn build(&self, text: &str, args: &[&str]) -> String {
        self.write("Dockerfile", &format!("{BASE}{text}"));
        let output = self.output(args);
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{:?} {text}\n{told}", self.builder);
        told
    }

    /// Builds what must fail and returns what was told.
    #[track_caller]
    fn fails(&self, text: &str, args: &[&str]) -> String {
        self.write("Dockerfile", &format!("{BASE}{text}"));
        let output = self.output(args);
        assert_eq!(output.status.code(), Some(1), "{text}");
        String::from_utf8_lossy(&output.stderr).into_owned()
    }
}

fn locked() -> std::sync::MutexGuard<'static, ()> {
    HOST.lock().unwrap_or_else(|broken| broken.into_inner())
}

#[track_caller]
fn contains(text: &str, wanted: &str) {
    assert!(text.contains(wanted), "{wanted:?} is not in\n{text}");
}

#[test]
fn commands_run_for_root_and_for_everyone_else() {
    let _alone = locked();
    let before = host::picture("run");
    for (name, builder) in [
        ("run-root", Builder::Root),
        ("run-sub", Builder::Subordinate),
        ("run-one", Builder::Single),
    ] {
        let Some(case) = Case::new(name, builder, false) else {
            continue;
        };
        case.write("given", "from the context\n");
        let text = "FROM base\n\
            ARG WHO=world\n\
            ENV GREETING=hello\n\
            WORKDIR /work\n\
            RUN echo $GREETING $WHO from $(pwd) as $(id -u)\n\
            RUN --mount=type=cache,target=/cache echo once >> /cache/f && echo cache: $(cat /cache/f)\n\
            RUN --mount=type=tmpfs,target=/t echo x > /t/x && mount | grep -q 'on /t type tmpfs' && echo tmpfs\n\
            RUN --mount=target=/c cat /c/given; touch /c/given 2>/dev/null || echo bind is read-only\n\
            RUN --mount=target=/c,rw echo changed > /c/given && cat /c/given\n\
            RUN <<END\necho first of a script\necho second of a script\nEND\n\
            RUN <<END\n#!/bin/sh\necho a script with its own $0\nEND\n\
            SHELL [\"/bin/sh\", \"-ec\"]\n\
            RUN false; echo not reached || true\n";
        let told = case.fails(text, &[]);
        for line in [
            "hello world from /work as 0",
            "cache: once",
            "tmpfs",
            "from the context",
            "bind is read-only",
            "  | changed",
            "first of a script",
            "second of a script",
            "a script with its own",
        ] {
            contains(&told, line);
        }
        contains(&told, "Dockerfile:23: the command ended with exit code 1");
        contains(&told, "RUN false; echo not reached");
        let given = fs::read_to_string(case.context().join("given")).expect("still there");
        assert_eq!(given, "from the context\n", "a build changed its context");
        let told = case.build(
            "FROM base\nUSER app\nRUN echo I am $(id -un) at $HOME && touch /tmp/mine\n",
            &[],
        );
        contains(&told, "I am app at /home/app");
    }
    host::assert_same(&before, &host::picture("run"));
}

#[test]
fn commands_download_by_name_and_are_refused_without_a_network() {
    let _alone = locked();
    for (name, builder) in [
        ("net-root", Builder::Root),
        ("net-sub", Builder::Subordinate),
        ("net-one", Builder::Single),
    ] {
        let Some(mut case) = Case::new(name, builder, true) else {
            continue;
        };
        let served = case.cluster.home().join("served");
        fs::create_dir_all(&served).expect("a folder for the test");
        fs::write(served.join("package"), "a package\n").expect("a file for the test");
        let island = case.island.as_mut().expect("it is on one");
        let mut server = island.command("/bin/busybox");
        server.args(["httpd", "-f", "-p", &format!("{ADDRESS}:8080"), "-h"]);
        server.arg(&served);
        island.serve(server, 8080);
        // A static busybox looks names up with nslookup alone.
        let address =
            |name: &str| format!("$(nslookup {name} | sed -n 's/^Address: //p' | head -n 1)");
        let download =
            |server: &str| format!("FROM base\nRUN wget -q -O - http://{server}:8080/package\n");
        let by_name = download(&address("files.island.test"));
        contains(&case.build(&by_name, &[]), "  | a package");
        let by_address = download("192.0.2.1");
        let told = case.fails(&by_address, &["--network", "none"]);
        contains(&told, "Network is unreachable");
        let told = case.fails(&by_address.replace("RUN", "RUN --network=none"), &[]);
        contains(&told, "Network is unreachable");
        // The machine's own loopback is not a build's business.
        let told = case.fails(&download(&address("host.coracle.internal")), &[]);
        contains(&told, "wget: ");
    }
}

#[test]
fn what_only_root_may_read_is_copied_as_it_is() {
    let _alone = locked();
    if !rustix::process::geteuid().is_root() {
        return skip("only root has files that others may not read");
    }
    let Some(case) = Case::new("private", Builder::Root, false) else {
        return;
    };
    let folder = case.context().join("secret");
    fs::create_dir_all(&folder).expect("a folder for the test");
    fs::write(folder.join("file"), "for root's eyes\n").expect("a file for the test");
    for (path, mode) in [
        (folder.join("file"), 0o600),
        (folder, 0o700),
        (case.context(), 0o700),
    ] {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("root may");
    }
    let told = case.build(
        "FROM base\nCOPY secret /s\nRUN cat /s/file && ls -ln /s\n",
        &[],
    );
    contains(&told, "for root's eyes");
    contains(&told, "-rw-------    1 0        0");
}

#[test]
fn the_same_input_gives_the_same_image_and_is_known_the_next_time() {
    let _alone = locked();
    let mut ids = Vec::new();
    for name in ["same-a", "same-b"] {
        let Some(case) = Case::new(name, Builder::Root, false) else {
            return;
        };
        case.write(".dockerignore", "ignored\n");
        case.write("ignored", name);
        let text = "FROM base\nCOPY . /all\nLABEL a=b\nRUN echo made > /made && sleep 0.01\n";
        let iidfile = case.cluster.home().join("id");
        let args = [
            "--iidfile",
            iidfile.to_str().expect("a plain path"),
            "--label",
            "c=d",
        ];
        // Files as old as they are in a checkout.
        for entry in fs::read_dir(case.context()).expect("it is there").flatten() {
            let file = fs::File::options()
                .write(true)
                .open(entry.path())
                .expect("a file");
            file.set_modified(std::time::UNIX_EPOCH)
                .expect("it is ours");
        }
        case.build(text, &args);
        ids.push(fs::read_to_string(&iidfile).expect("it was written"));
        contains(&case.build(text, &args), "case:1 (unchanged)");
        let again = fs::read_to_string(&iidfile).expect("it was written");
        assert_eq!(ids.last(), Some(&again));
        let quiet = case.output(&["--quiet", "--no-cache", "--label", "c=d"]);
        assert_eq!(String::from_utf8_lossy(&quiet.stdout).trim(), again);
        assert_eq!(String::from_utf8_lossy(&quiet.stderr), "");
    }
    assert_eq!(ids[0], ids[1], "two machines would have two images");
}

#[test]
fn a_build_ends_with_whoever_asked_for_it() {
    let _alone = locked();
    let Some(case) = Case::new("killed", Builder::Root, false) else {
        return;
    };
    case.write(
        "Dockerfile",
        &format!("{BASE}RUN echo begun && sleep {}\n", nap()),
    );
    let context = case.context();
    let words = [
        "image",
        "build",
        "-t",
        "x:1",
        context.to_str().expect("a plain path"),
    ];
    let mut command = case.cluster.command(&words);
    let mut child = command
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("the program was built");
    let stderr = child.stderr.take().expect("it is piped");
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(stderr));
    let begun = lines.any(|line| line.is_ok_and(|line| line.ends_with("| begun")));
    assert!(begun, "the command never ran");
    child.kill().expect("it runs");
    child.wait().expect("it was killed");
    until("the command has ended", || {
        let ended = !sleeps(&case);
        ended.then_some(()).ok_or_else(|| "not yet".to_owned())
    });
}

/// Seconds for which nobody else on this machine sleeps.
fn nap() -> u32 {
    1_000_000 + std::process::id()
}

fn sleeps(case: &Case) -> bool {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let home = case.cluster.home().display().to_string();
    entries
        .filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok())
        .any(|pid| {
            let words = coracle_tests::cluster::arguments(pid);
            let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            words.ends_with(&[nap().to_string()])
                || String::from_utf8_lossy(&environment).contains(&home)
        })
}
