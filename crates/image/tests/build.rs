//! Builds of files: trees, configuration, determinism, cache, errors.

mod support;

use std::path::Path;

use coracle_image::build::BuildEvent;
use support::{CLUSTER, context, request, test_store, tree};

/// Builds and compares the tree.
fn check(files: &[(&str, &str)], dockerfile: &str, expected: &[&str]) {
    let (store, context) = (test_store(), context(files));
    let built = store.build(context.path(), dockerfile);
    built.unwrap_or_else(|error| panic!("{dockerfile}\n{error}"));
    assert_eq!(
        tree(&store.image("test:1").view()),
        expected,
        "{dockerfile}"
    );
}

/// Builds and compares the message.
fn check_error(files: &[(&str, &str)], dockerfile: &str, expected: &str) {
    let (store, context) = (test_store(), context(files));
    let error = store
        .build(context.path(), dockerfile)
        .expect_err(dockerfile);
    let text = error.to_string();
    assert!(text.contains(expected), "{dockerfile}\n{text}");
    assert!(
        store.store.list(CLUSTER).expect("list").is_empty(),
        "no name is left"
    );
}

const FILES: &[(&str, &str)] = &[
    ("a.txt", "A"),
    ("b.txt", "B"),
    ("run.sh", "+x run"),
    ("dir/c.txt", "C"),
    ("dir/sub/d.txt", "D"),
    ("dir/link", "-> c.txt"),
    ("to_dir", "-> dir"),
    ("to_file", "-> a.txt"),
];

#[test]
fn copies_follow_dockers_rules() {
    let copy = |line: &str, expected: &[&str]| {
        check(FILES, &format!("FROM scratch\n{line}\n"), expected);
    };
    copy("COPY a.txt /", &["0644 0:0 /a.txt A"]);
    copy("COPY a.txt /x", &["0644 0:0 /x A"]);
    copy("COPY a.txt /x/", &["0755 0:0 /x/", "0644 0:0 /x/a.txt A"]);
    copy("COPY a.txt x/y", &["0755 0:0 /x/", "0644 0:0 /x/y A"]);
    copy("COPY [\"a.txt\", \"/x\"]", &["0644 0:0 /x A"]);
    copy("COPY run.sh /", &["0755 0:0 /run.sh run"]);
    copy(
        "COPY a.txt b.txt /x/",
        &["0755 0:0 /x/", "0644 0:0 /x/a.txt A", "0644 0:0 /x/b.txt B"],
    );
    copy(
        "COPY *.txt /x/",
        &["0755 0:0 /x/", "0644 0:0 /x/a.txt A", "0644 0:0 /x/b.txt B"],
    );
    copy(
        "COPY d*/*.txt /x/",
        &["0755 0:0 /x/", "0644 0:0 /x/c.txt C"],
    );
    let of_dir = [
        "0755 0:0 /x/",
        "0644 0:0 /x/c.txt C",
        "/x/link -> c.txt",
        "0755 0:0 /x/sub/",
        "0644 0:0 /x/sub/d.txt D",
    ];
    copy("COPY dir /x", &of_dir);
    copy("COPY dir/ /x/", &of_dir);
    copy("COPY to_dir /x", &of_dir);
    copy("COPY to_file /x", &["0644 0:0 /x A"]);
    copy(
        "COPY to_file /x/",
        &["0755 0:0 /x/", "0644 0:0 /x/to_file A"],
    );
    copy(
        "COPY --chown=7:8 --chmod=600 a.txt /x/",
        &["0755 7:8 /x/", "0600 7:8 /x/a.txt A"],
    );
    copy("COPY --chown=7 a.txt /x", &["0644 7:7 /x A"]);
    copy("COPY --link a.txt /x", &["0644 0:0 /x A"]);
    copy(
        "COPY --exclude=*.txt dir /x/",
        &[
            "0755 0:0 /x/",
            "/x/link -> c.txt",
            "0755 0:0 /x/sub/",
            "0644 0:0 /x/sub/d.txt D",
        ],
    );
    copy(
        "WORKDIR /w\nCOPY a.txt .",
        &["0755 0:0 /w/", "0644 0:0 /w/a.txt A"],
    );
    copy(
        "WORKDIR /w\nWORKDIR v\nCOPY a.txt b",
        &["0755 0:0 /w/", "0755 0:0 /w/v/", "0644 0:0 /w/v/b A"],
    );
    copy("USER 5\nWORKDIR /w", &["0755 5:5 /w/"]);
    copy("COPY <<EOF /x\nhi $x\nEOF", &["0644 0:0 /x hi \n"]);
    copy(
        "ARG x=1\nCOPY <<-'EOF' <<B /x/\n\tkeep $x\nEOF\nb $x\nB",
        &[
            "0755 0:0 /x/",
            "0644 0:0 /x/B b 1\n",
            "0644 0:0 /x/EOF keep $x\n",
        ],
    );
    copy("COPY a.txt /x\nCOPY b.txt /x", &["0644 0:0 /x B"]);
    copy(
        "ENV T=/t\nCOPY a.txt ${T}/",
        &["0755 0:0 /t/", "0644 0:0 /t/a.txt A"],
    );
}

#[test]
fn copies_into_existing_directories_keep_their_attributes() {
    check(
        FILES,
        "FROM scratch\nCOPY --chown=3:4 --chmod=700 dir /x\nCOPY a.txt /x\nCOPY dir/sub /x/sub\n",
        &[
            "0700 3:4 /x/",
            "0644 0:0 /x/a.txt A",
            "0700 3:4 /x/c.txt C",
            "/x/link -> c.txt",
            "0700 3:4 /x/sub/",
            "0644 0:0 /x/sub/d.txt D",
        ],
    );
}

#[test]
fn links_of_the_image_lead_copies_inside_the_image() {
    let files = &[
        ("base/real/", ""),
        ("base/link", "-> /real"),
        ("a.txt", "A"),
    ];
    let expected = &[
        "/link -> /real",
        "0755 0:0 /real/",
        "0644 0:0 /real/a.txt A",
    ];
    check(
        files,
        "FROM scratch\nCOPY base /\nCOPY a.txt /link/\n",
        expected,
    );
    let outside = &[("base/etc", "-> ../../../../../../tmp"), ("a.txt", "A")];
    check(
        outside,
        "FROM scratch\nCOPY base /\nCOPY a.txt /etc/x\n",
        &[
            "/etc -> ../../../../../../tmp",
            "0755 0:0 /tmp/",
            "0644 0:0 /tmp/x A",
        ],
    );
}

#[test]
fn a_context_link_to_the_outside_reads_nothing_there() {
    check_error(
        &[("x", "-> /etc/hostname")],
        "FROM scratch\nCOPY x /\n",
        "does not exist",
    );
    check_error(
        &[("x", "-> ../../../etc/hostname")],
        "FROM scratch\nCOPY x /\n",
        "does not exist",
    );
    check_error(
        FILES,
        "FROM scratch\nCOPY ../x /\n",
        "leads out of the build context",
    );
}

#[test]
fn dockerignore_hides_files() {
    let files = &[
        ("keep", "K"),
        ("skip.log", "S"),
        ("docs/a", "A"),
        ("docs/b", "B"),
        (".dockerignore", "*.log\ndocs\n!docs/b\n.dockerignore\n"),
    ];
    check(
        files,
        "FROM scratch\nCOPY . /\n",
        &["0755 0:0 /docs/", "0644 0:0 /docs/b B", "0644 0:0 /keep K"],
    );
    check_error(
        files,
        "FROM scratch\nCOPY skip.log /\n",
        "skip.log is excluded by .dockerignore",
    );
}

#[test]
fn stages_hand_files_on() {
    check(
        FILES,
        "ARG base=scratch\nFROM $base AS one\nCOPY --chown=9:9 dir /d\nFROM scratch AS unused\nCOPY missing /\n\
         FROM one AS two\nCOPY a.txt /d/\nFROM scratch\nCOPY --from=two /d/*.txt /all/\nCOPY --from=0 /d/sub /sub\n",
        &[
            "0755 0:0 /all/",
            "0644 0:0 /all/a.txt A",
            "0644 9:9 /all/c.txt C",
            "0755 9:9 /sub/",
            "0644 9:9 /sub/d.txt D",
        ],
    );
}

#[test]
fn add_unpacks_local_archives() {
    use coracle_image::tar::{Kind, Member};
    let mut owned = Member::new("f", Kind::File, 0o640);
    (owned.uid, owned.gid) = (5, 6);
    let tar = support::Tar::default()
        .dir("d/", 0o750)
        .member(owned, "content")
        .link("d/l", Kind::Symlink, "../f")
        .link("h", Kind::HardLink, "f")
        .finish();
    let context = context(&[("plain.txt", "no archive")]);
    std::fs::write(context.path().join("x.tar"), &tar).expect("tar");
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut gz, &tar).expect("compresses");
    std::fs::write(
        context.path().join("x.tgz"),
        gz.finish().expect("compresses"),
    )
    .expect("tgz");
    let expected = [
        "0750 0:0 /t/d/",
        "/t/d/l -> ../f",
        "0640 5:6 /t/f content",
        "0640 5:6 /t/h content",
    ];
    for name in ["x.tar", "x.tgz"] {
        let store = test_store();
        let text = format!("FROM scratch\nADD {name} /t/\nADD plain.txt /t/\n");
        store.build(context.path(), &text).expect("builds");
        let tree = tree(&store.image("test:1").view());
        assert_eq!(tree[1..5], expected, "{name}");
        assert_eq!(tree[5], "0644 0:0 /t/plain.txt no archive");
    }
    let store = test_store();
    store
        .build(context.path(), "FROM scratch\nCOPY x.tgz /\n")
        .expect("COPY does not unpack");
    assert!(
        store
            .image("test:1")
            .view()
            .find("/x.tgz")
            .expect("reads")
            .is_some()
    );
}

#[test]
fn hostile_archives_in_add_are_refused() {
    use coracle_image::tar::{Kind, Member};
    let cases = [
        (support::Tar::default().file("../x", "x").finish(), "climb"),
        (
            support::Tar::default()
                .member(Member::new("x", Kind::Char, 0o600), "")
                .finish(),
            "devices",
        ),
        (
            support::Tar::default()
                .link("x", Kind::HardLink, "../../etc/passwd")
                .finish(),
            "climb",
        ),
    ];
    for (tar, reason) in cases {
        let context = context(&[]);
        std::fs::write(context.path().join("x.tar"), tar).expect("tar");
        let error = test_store().build(context.path(), "FROM scratch\nADD x.tar /\n");
        let error = error.expect_err(reason).to_string();
        assert!(error.contains(reason), "{error}");
    }
}

#[test]
fn the_configuration_is_what_the_dockerfile_says() {
    let (store, context) = (test_store(), context(&[]));
    let text = r#"
ARG VERSION=1
FROM scratch
ARG VERSION
ARG OTHER=o
LABEL a=1 "b c"="d e" version=$VERSION
ENV A=1 B="two words" C=$OTHER
ENV OLD form here
EXPOSE 7860 53/udp
VOLUME ["/data", "/more"]
USER 1001:1001
WORKDIR /app
SHELL ["/bin/bash", "-c"]
STOPSIGNAL SIGQUIT
HEALTHCHECK --interval=30s --timeout=5s --retries=3 CMD ["/app/x", "healthcheck"]
ENTRYPOINT ["/app/x"]
CMD serve --port $PORT
MAINTAINER someone
"#;
    store.build(context.path(), text).expect("builds");
    let image = store.image("test:1");
    let config = serde_json::to_value(&image.config.config).expect("JSON");
    let expected = serde_json::json!({
        "User": "1001:1001",
        "ExposedPorts": {"53/udp": {}, "7860/tcp": {}},
        "Env": [
            "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "A=1", "B=two words", "C=o", "OLD=form here",
        ],
        "Entrypoint": ["/app/x"],
        "Cmd": ["/bin/bash", "-c", "serve --port $PORT"],
        "Healthcheck": {
            "Test": ["CMD", "/app/x", "healthcheck"],
            "Interval": 30_000_000_000_i64, "Timeout": 5_000_000_000_i64, "Retries": 3,
        },
        "Volumes": {"/data": {}, "/more": {}},
        "WorkingDir": "/app",
        "Labels": {"a": "1", "b c": "d e", "version": "1"},
        "StopSignal": "SIGQUIT",
        "Shell": ["/bin/bash", "-c"],
    });
    assert_eq!(config, expected);
    assert_eq!(image.config.author.as_deref(), Some("someone"));
    assert_eq!(
        image.config.created.as_deref(),
        Some("1970-01-01T00:00:00Z")
    );
    assert!(image.config.config.runs_as_non_root_number());
}

#[test]
fn an_entrypoint_resets_an_inherited_command_only() {
    let command = |text: &str| {
        let (store, context) = (test_store(), context(&[]));
        store.build(context.path(), text).expect("builds");
        store.image("test:1").default_command()
    };
    assert_eq!(
        command("FROM scratch AS a\nCMD [\"c\"]\nFROM a\nENTRYPOINT [\"e\"]"),
        ["e"]
    );
    assert_eq!(
        command("FROM scratch\nCMD [\"c\"]\nENTRYPOINT [\"e\"]"),
        ["e", "c"]
    );
}

#[test]
fn the_same_input_gives_the_same_digest_everywhere() {
    let text = "FROM scratch\nCOPY . /app\nENV A=1\nCMD [\"/app/run.sh\"]\n";
    let digest = |order: &[(&str, &str)]| {
        let (store, context) = (test_store(), context(order));
        store.build(context.path(), text).expect("builds").digest
    };
    let first = digest(FILES);
    let mut reversed = FILES.to_vec();
    reversed.reverse();
    assert_eq!(
        first,
        digest(&reversed),
        "the order on disk does not matter"
    );
    // Golden: a change here changes every digest of every user.
    assert_eq!(
        first.to_string(),
        "sha256:8faa30b00e682352d1065301e256cfc07255c2f55eb37568bcb7f78701f6f0da"
    );
    let mut changed = FILES.to_vec();
    changed[0].1 = "changed";
    assert_ne!(first, digest(&changed));
}

#[test]
fn the_one_time_in_the_image_can_be_set() {
    let (store, context) = (test_store(), context(FILES));
    let mut request = request(context.path(), "FROM scratch\nCOPY a.txt /\n");
    request
        .arguments
        .insert("SOURCE_DATE_EPOCH".to_owned(), "86400".to_owned());
    let (built, events) = store.build_with(&request, None);
    built.expect("builds");
    assert!(
        !events
            .iter()
            .any(|event| matches!(event, BuildEvent::Warning { .. }))
    );
    let image = store.image("test:1");
    assert_eq!(
        image.config.created.as_deref(),
        Some("1970-01-02T00:00:00Z")
    );
    use std::os::unix::fs::MetadataExt;
    let file = std::fs::metadata(image.layers[0].dir.join("a.txt")).expect("there");
    assert_eq!(file.mtime(), 86400);
    request
        .arguments
        .insert("SOURCE_DATE_EPOCH".to_owned(), "now".to_owned());
    let error = store
        .build_with(&request, None)
        .0
        .expect_err("no number")
        .to_string();
    assert!(
        error.contains("SOURCE_DATE_EPOCH=now is no number"),
        "{error}"
    );
}

#[test]
fn unchanged_steps_are_known() {
    let (store, context) = (test_store(), context(FILES));
    let text = "FROM scratch\nCOPY a.txt /\nCOPY b.txt /\n";
    let first = store.build(context.path(), text).expect("builds");
    assert_eq!(first.steps_cached, 0);
    let second = store.build(context.path(), text).expect("builds");
    assert_eq!((second.digest, second.steps_cached), (first.digest, 2));
    assert!(!second.names[0].is_new_digest_under_old_name());
    std::fs::write(context.path().join("b.txt"), "changed").expect("writes");
    let third = store.build(context.path(), text).expect("builds");
    assert_eq!(third.steps_cached, 1);
    assert!(third.names[0].is_new_digest_under_old_name());
    let mut fresh = request(context.path(), text);
    fresh.use_cache = false;
    let fourth = store.build_with(&fresh, None).0.expect("builds");
    assert_eq!((fourth.steps_cached, fourth.digest), (0, third.digest));
}

#[test]
fn named_contexts_replace_stages_and_images() {
    let (store, main) = (test_store(), context(FILES));
    let other = context(&[("f", "other"), ("etc/passwd", "app:x:42:43::/:\n")]);
    let text = "FROM node:20 AS deps\nRUN npm ci\nFROM base\nCOPY --from=deps /f /f\nCOPY --from=extra f /g\nCOPY --chown=app a.txt /\n";
    let mut request = request(main.path(), text);
    for name in ["deps", "base", "extra"] {
        request
            .contexts
            .insert(name.to_owned(), other.path().to_owned());
    }
    store
        .build_with(&request, None)
        .0
        .expect("builds without node and without RUN");
    assert_eq!(
        tree(&store.image("test:1").view()),
        [
            "0644 42:43 /a.txt A",
            "0755 0:0 /etc/",
            "0644 0:0 /etc/passwd app:x:42:43::/:\n",
            "0644 0:0 /f other",
            "0644 0:0 /g other",
        ]
    );
}

#[test]
fn arguments_have_dockers_scopes() {
    let (store, context) = (test_store(), context(&[]));
    let text = "ARG global=g\nARG tag\nFROM scratch AS a\nLABEL x=<$global>\nARG global\nARG given=default\nARG empty\n\
                LABEL y=<$global> z=<$given> e=<$empty> arch=<$TARGETARCH>\nENV given=env\nLABEL w=<$given>\nARG TARGETARCH\nLABEL arch2=$TARGETARCH\n";
    let mut request = request(context.path(), text);
    request
        .arguments
        .insert("given".to_owned(), "cli".to_owned());
    request
        .arguments
        .insert("unused".to_owned(), "1".to_owned());
    request
        .arguments
        .insert("HTTP_PROXY".to_owned(), "1".to_owned());
    let (built, events) = store.build_with(&request, None);
    built.expect("builds");
    let labels = store.image("test:1").config.config.labels.clone();
    let labels: Vec<_> = labels
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    assert_eq!(
        labels,
        [
            "arch=<>",
            "arch2=amd64",
            "e=<>",
            "w=<env>",
            "x=<>",
            "y=<g>",
            "z=<cli>",
        ]
    );
    let warnings: Vec<_> = events
        .iter()
        .filter(|event| matches!(event, BuildEvent::Warning { .. }))
        .collect();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
}

#[test]
fn errors_name_file_line_and_what_would_be_right() {
    let error = |text: &str, expected: &str| check_error(FILES, text, expected);
    error("", "the file holds no instructions");
    error("# only a comment\n", "the file holds no instructions");
    error("COPY a b\n", "Dockerfile:1: COPY before the first FROM");
    error(
        "FORM scratch\n",
        "unknown instruction FORM; did you mean FROM?",
    );
    error(
        "FROM scratch\n\nRUNN x\n",
        "Dockerfile:3: unknown instruction RUNN; did you mean RUN?\n    3 | RUNN x",
    );
    error(
        "FROM scratch\nCOPY missing /\n",
        "Dockerfile:2: missing does not exist",
    );
    error("FROM scratch\nCOPY *.none /\n", "no file matches *.none");
    error("FROM scratch\nCOPY a.txt b.txt /x\n", "ends in \"/\"");
    error("FROM scratch\nCOPY *.txt /x\n", "2 files are copied");
    error(
        "FROM scratch\nCOPY a.txt\n",
        "at least one source and a destination",
    );
    error(
        "FROM scratch\nCOPY --form=a b c\n",
        "COPY has no flag --form",
    );
    error("FROM scratch\nCOPY --chmod=rwx a.txt /\n", "octal");
    error(
        "FROM scratch\nCOPY --chown=node a.txt /\n",
        "the image has no user \"node\"",
    );
    error(
        "FROM scratch\nCOPY a.txt /x\nCOPY dir /x\n",
        "is not a directory",
    );
    error(
        "FROM scratch\nCOPY dir /x\nCOPY a.txt /x/sub\nCOPY a.txt /y\nCOPY dir /y\n",
        "not a directory",
    );
    error("FROM scratch\nADD https://example.com/x /\n", "is remote");
    error("FROM scratch\nONBUILD RUN x\n", "ONBUILD is not supported");
    error("FROM scratch\nEXPOSE http\n", "no port");
    error("FROM scratch\nSTOPSIGNAL NOPE\n", "no signal");
    error("FROM scratch\nENV A=1 B\n", "has no \"=\"");
    error("FROM scratch\nSHELL bash\n", "JSON list");
    error(
        "FROM scratch\nHEALTHCHECK --interval=5 CMD x\n",
        "no duration",
    );
    error("FROM scratch\nHEALTHCHECK x\n", "followed by CMD");
    error("FROM scratch\nUSER $nobody\n", "USER is empty");
    error(
        "FROM scratch\nCOPY <<EOF /x\nnever ended\n",
        "no line says EOF",
    );
    error("FROM scratch\nENV A=${x\n", "missing");
    error("FROM $base\n", "has no value");
    error("FROM nginx:1\n", "Dockerfile:1: base image nginx:1");
    error("FROM Nginx\n", "lower case");
    error("FROM scratch AS 1x\n", "no stage name");
    error("FROM scratch AS a\nFROM scratch AS a\n", "exists already");
    error(
        "FROM scratch\nRUN --mount=type=secret,id=x true\n",
        "not supported",
    );
    error("FROM scratch\nRUN true\n", "RUN needs a runtime");
    error("# escape=x\nFROM scratch\n", "escape is");
}

#[test]
fn an_unknown_target_names_the_stages() {
    let (store, context) = (test_store(), context(FILES));
    let mut request = request(context.path(), "FROM scratch AS one\nFROM scratch AS two\n");
    request.target = Some("three".to_owned());
    let error = store
        .build_with(&request, None)
        .0
        .expect_err("unknown")
        .to_string();
    assert!(
        error.contains("no stage is named \"three\"; there are one, two"),
        "{error}"
    );
    request.target = Some("ONE".to_owned());
    store
        .build_with(&request, None)
        .0
        .expect("names ignore case");
}

#[test]
fn directives_comments_and_continuations() {
    check(
        FILES,
        "# syntax=docker/dockerfile:1\n# escape=`\n\nFROM scratch\n# comment\ncopy a.txt `\n  # inside\n\n  /x`\n\n",
        &["0644 0:0 /x A"],
    );
    check(
        FILES,
        "\u{feff}FROM scratch\r\nCOPY a.txt \\\r\n /x\r\n",
        &["0644 0:0 /x A"],
    );
}

#[test]
fn a_missing_context_is_named() {
    let store = test_store();
    let error = store.build(
        Path::new("/nonexistent/context"),
        "FROM scratch\nCOPY a /\n",
    );
    let error = error.expect_err("no context").to_string();
    assert!(error.contains("/nonexistent/context"), "{error}");
}
