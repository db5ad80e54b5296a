//! `RUN` steps, run for real in namespaces of their own by a small executor.

#[path = "support/chroot.rs"]
mod chroot;
mod support;

use std::path::Path;

use chroot::{Chroot, busybox};
use coracle_image::build::{BuildEvent, ExecuteRequest, Stream};
use support::{TestStore, context, request, test_store, tree};

/// A store and a context whose `rootfs` holds a shell; `None` when this
/// machine cannot run the tests.
fn ready() -> Option<(TestStore, tempfile::TempDir)> {
    let busybox = busybox()?;
    if !support::as_root() {
        return None;
    }
    let context = context(&[
        ("rootfs/bin/sh", "-> busybox"),
        (
            "rootfs/etc/passwd",
            "root:x:0:0::/root:/bin/sh\napp:x:7:8::/home/app:/bin/sh\n",
        ),
        ("src/main", "source"),
    ]);
    std::fs::copy(busybox, context.path().join("rootfs/bin/busybox")).expect("copies");
    Some((test_store(), context))
}

/// Builds `FROM scratch`, the shell's files and `text`, and returns the tree
/// without the shell.
fn built(
    store: &TestStore,
    context: &Path,
    text: &str,
) -> (Vec<String>, Vec<BuildEvent>, Vec<ExecuteRequest>) {
    let text = format!("FROM scratch AS base\nCOPY rootfs /\n{text}");
    let chroot = Chroot::default();
    let (built, events) = store.build_with(&request(context, &text), Some(&chroot));
    built.unwrap_or_else(|error| panic!("{text}\n{error}\n{events:?}"));
    let image = store.image("test:1");
    let view = coracle_image::rootfs::View::new(
        image.layers.iter().skip(1).map(|layer| layer.dir.clone()),
    );
    (
        tree(&view),
        events,
        chroot.requests.into_inner().expect("lock"),
    )
}

#[test]
fn what_a_command_changes_becomes_a_layer() {
    let Some((store, context)) = ready() else {
        return;
    };
    let check = |text: &str, expected: &[&str]| {
        let (tree, ..) = built(&store, context.path(), text);
        assert_eq!(tree, expected, "{text}");
    };
    check("RUN echo hi > /x", &["0644 0:0 /x hi\n"]);
    check(
        "RUN [\"/bin/busybox\", \"touch\", \"/a b\"]",
        &["0644 0:0 /a b "],
    );
    check(
        "WORKDIR /w\nENV A=1\nARG B=2\nRUN echo $A $B $PWD > f",
        &["0755 0:0 /w/", "0644 0:0 /w/f 1 2 /w\n"],
    );
    check(
        "RUN <<EOF\necho one > /x\necho two >> /x\nEOF",
        &["0644 0:0 /x one\ntwo\n"],
    );
    check(
        "RUN busybox cat <<EOF > /x\n\"quoted\"\nEOF",
        &["0644 0:0 /x \"quoted\"\n"],
    );
    check(
        "RUN <<EOF\n#!/bin/busybox sh\necho $0 > /x\nEOF",
        &["0644 0:0 /x /run/coracle-build-script\n"],
    );
    check(
        "RUN echo a > /x && \\\n  # comment\n  echo b >> /x",
        &["0644 0:0 /x a\nb\n"],
    );
    check(
        "SHELL [\"/bin/sh\", \"-ec\"]\nRUN echo x > /x; true",
        &["0644 0:0 /x x\n"],
    );
    check(
        "RUN mkdir -m 700 /d && busybox ln -s /d /l",
        &["0700 0:0 /d/", "/l -> /d"],
    );
}

#[test]
fn removed_files_are_gone_and_their_lower_layers_stay() {
    let Some((store, context)) = ready() else {
        return;
    };
    built(
        &store,
        context.path(),
        "COPY src /src\nRUN rm -r /src && mkdir /src && echo n > /src/new\n",
    );
    let image = store.image("test:1");
    let view = image.view();
    assert!(view.find("/src/main").expect("reads").is_none());
    assert!(view.find("/src/new").expect("reads").is_some());
    assert!(image.layers[1].dir.join("src/main").exists());
}

#[test]
fn mounts_are_there_and_leave_nothing() {
    let Some((store, context)) = ready() else {
        return;
    };
    let text = "RUN --mount=type=cache,target=/cache --mount=type=tmpfs,target=/t/deep \
                --mount=target=/src,source=src --mount=from=base,target=/b,source=/etc \
                echo once >> /cache/f; cp /cache/f /out; cp /src/main /out2; ls /b > /out3; echo t > /t/deep/x; \
                (echo no > /src/main) 2>/dev/null || echo read-only > /out4\n";
    let text = text.replace("from=base", "from=other");
    let mut request = request(
        context.path(),
        &format!(
            "FROM scratch AS other\nCOPY rootfs/etc /etc\nFROM scratch\nCOPY rootfs /\n{text}"
        ),
    );
    let chroot = Chroot::default();
    store.build_with(&request, Some(&chroot)).0.expect("builds");
    let layer = store.image("test:1").layers[1].dir.clone();
    let expected = [
        "0644 0:0 /out once\n",
        "0644 0:0 /out2 source",
        "0644 0:0 /out3 passwd\n",
        "0644 0:0 /out4 read-only\n",
    ];
    assert_eq!(tree(&coracle_image::rootfs::View::new([layer])), expected);
    // The cache is kept between builds.
    request.use_cache = false;
    store.build_with(&request, Some(&chroot)).0.expect("builds");
    let out = store
        .image("test:1")
        .view()
        .read("/out", 100)
        .expect("reads");
    assert_eq!(out.as_deref(), Some(&b"once\nonce\n"[..]));
}

#[test]
fn steps_are_known_by_command_files_and_environment() {
    let Some((store, context)) = ready() else {
        return;
    };
    let runs = |text: &str| built(&store, context.path(), text).2.len();
    assert_eq!(runs("RUN echo a > /x"), 1);
    assert_eq!(runs("RUN echo a > /x"), 0, "the same command");
    assert_eq!(
        runs("LABEL a=b\nEXPOSE 80\nRUN echo a > /x"),
        0,
        "what does not reach the command"
    );
    assert_eq!(runs("ENV A=1\nRUN echo a > /x"), 1, "another environment");
    assert_eq!(runs("ARG A=2\nRUN echo a > /x"), 1, "another argument");
    assert_eq!(runs("USER app\nRUN --network=none true"), 1);
    assert_eq!(
        runs("COPY src /src\nRUN echo a > /x"),
        1,
        "other files below"
    );
    assert_eq!(runs("RUN --mount=target=/s,source=src cp /s/main /x"), 1);
    assert_eq!(runs("RUN --mount=target=/s,source=src cp /s/main /x"), 0);
    std::fs::write(context.path().join("src/main"), "changed").expect("writes");
    assert_eq!(
        runs("RUN --mount=target=/s,source=src cp /s/main /x"),
        1,
        "other files mounted"
    );
}

#[test]
fn a_command_gets_user_environment_and_network_as_written() {
    let Some((store, context)) = ready() else {
        return;
    };
    let (.., requests) = built(
        &store,
        context.path(),
        "ENV A=1\nUSER app\nWORKDIR /nowhere\nRUN --network=none true\nUSER 5:6\nRUN true\n",
    );
    assert_eq!(
        (
            requests[0].user.uid,
            requests[0].user.gid,
            requests[0].network
        ),
        (7, 8, false)
    );
    assert!(
        requests[0]
            .environment
            .contains(&("HOME".to_owned(), "/home/app".to_owned()))
    );
    assert!(
        requests[0]
            .environment
            .contains(&("A".to_owned(), "1".to_owned()))
    );
    assert_eq!(
        (
            requests[1].user.uid,
            requests[1].user.gid,
            requests[1].network
        ),
        (5, 6, true)
    );
    assert_eq!(requests[1].working_dir, "/nowhere");
    let mut offline = request(
        context.path(),
        "FROM scratch\nCOPY rootfs /\nRUN echo offline\n",
    );
    offline.network = false;
    let chroot = Chroot::default();
    store.build_with(&offline, Some(&chroot)).0.expect("builds");
    assert!(!chroot.requests.into_inner().expect("lock")[0].network);
}

#[test]
fn a_failing_command_names_its_line_and_code_and_keeps_earlier_steps() {
    let Some((store, context)) = ready() else {
        return;
    };
    let text =
        "FROM scratch\nCOPY rootfs /\nRUN echo ok > /x\nRUN echo out; echo err >&2; exit 7\n";
    let chroot = Chroot::default();
    let (failed, events) = store.build_with(&request(context.path(), text), Some(&chroot));
    let error = failed.expect_err("fails").to_string();
    assert_eq!(
        error,
        "Dockerfile:4: the command ended with exit code 7\n    4 | RUN echo out; echo err >&2; exit 7"
    );
    let output = |wanted: Stream| {
        let bytes = events.iter().filter_map(|event| match event {
            BuildEvent::Output { stream, bytes } if *stream == wanted => Some(bytes.clone()),
            _ => None,
        });
        String::from_utf8(bytes.flatten().collect()).expect("text")
    };
    assert_eq!(
        (
            output(Stream::Stdout).as_str(),
            output(Stream::Stderr).as_str()
        ),
        ("out\n", "err\n")
    );
    assert!(
        store
            .store
            .list(support::CLUSTER)
            .expect("lists")
            .is_empty()
    );
    store
        .build_with(
            &request(context.path(), &text.replace("exit 7", "true")),
            Some(&chroot),
        )
        .0
        .expect("builds");
    let commands: Vec<_> = chroot
        .requests
        .into_inner()
        .expect("lock")
        .into_iter()
        .map(|request| request.arguments[2].clone())
        .collect();
    assert_eq!(
        commands,
        [
            "echo ok > /x",
            "echo out; echo err >&2; exit 7",
            "echo out; echo err >&2; true"
        ]
    );
}

#[test]
fn the_same_command_result_gives_the_same_digest_on_another_machine() {
    let Some((store, context)) = ready() else {
        return;
    };
    let text =
        "RUN mkdir /d && echo x > /d/f && busybox ln /d/f /d/g && rm /etc/passwd\nCMD [\"x\"]\n";
    built(&store, context.path(), text);
    let (other, _) = ready().expect("ready");
    built(&other, context.path(), text);
    assert_eq!(store.image("test:1").digest, other.image("test:1").digest);
}
