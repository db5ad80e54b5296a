//! Dockerfiles as text: many forms and what they mean.

use coracle_image::build::dockerfile::{
    Arguments, Copy, Dockerfile, Kind, MountKind, RunCommand, parse,
};

fn parsed(text: &str) -> Dockerfile {
    parse("Dockerfile", text).unwrap_or_else(|error| panic!("{text}\n{error}"))
}

/// The only instruction after `FROM scratch`.
fn one(text: &str) -> Kind {
    let mut file = parsed(&format!("FROM scratch\n{text}"));
    let mut instructions = file.stages.remove(0).instructions;
    assert_eq!(instructions.len(), 1, "{text}: {instructions:?}");
    instructions.remove(0).kind
}

fn shell(text: &str) -> Arguments {
    Arguments::Shell(text.to_owned())
}

fn exec(words: &[&str]) -> Arguments {
    Arguments::Exec(words.iter().map(|word| (*word).to_owned()).collect())
}

fn run(text: &str) -> Arguments {
    match one(text) {
        Kind::Run(run) => match run.command {
            RunCommand::Arguments(arguments) => arguments,
            RunCommand::Script(script) => panic!("a script: {script:?}"),
        },
        other => panic!("{other:?}"),
    }
}

fn copy(text: &str) -> Copy {
    match one(text) {
        Kind::Copy(copy) => copy,
        other => panic!("{other:?}"),
    }
}

#[test]
fn commands_have_two_forms() {
    let check = |text: &str, expected: Arguments| assert_eq!(run(text), expected, "{text}");
    check("RUN a b  c", shell("a b  c"));
    check("run a", shell("a"));
    check("RUN [\"a\", \"b c\"]", exec(&["a", "b c"]));
    check("RUN  [ \"a\" ] ", exec(&["a"]));
    check("RUN ['a']", shell("['a']"));
    check("RUN [ -f x ] && y", shell("[ -f x ] && y"));
    check("RUN a \\\n  b", shell("a   b"));
    check("RUN a \\\n# comment\n\n  b", shell("a   b"));
    check("RUN a \\  \n b", shell("a  b"));
    check(
        "RUN a \\\\\nLABEL x=y"
            .split("\nLABEL")
            .next()
            .expect("first"),
        shell("a \\\\"),
    );
    check(
        "RUN --network=none --mount=type=tmpfs,target=/t a --b",
        shell("a --b"),
    );
    check("RUN -- a", shell("a"));
    check("RUN echo \"$x\" '$y' ${z}", shell("echo \"$x\" '$y' ${z}"));
    check("\tRUN a", shell("a"));
}

#[test]
fn heredocs_belong_to_their_instruction() {
    assert_eq!(run("RUN <<EOF\na\nb\nEOF"), shell("a\nb\n"));
    assert_eq!(run("RUN <<-EOF\n\ta\n\t\tb\n\tEOF"), shell("a\nb\n"));
    assert_eq!(
        run("RUN cat <<A <<'B' > x\n1\nA\n2\nB"),
        shell("cat <<A <<'B' > x\n1\nA\n2\nB")
    );
    assert_eq!(
        run("RUN <<EOF\n# no comment\n\nEOF"),
        shell("# no comment\n\n")
    );
    assert_eq!(
        run("RUN a << b"),
        shell("a << b"),
        "a word alone is no heredoc"
    );
    let copied = copy("COPY <<\"x.txt\" <<y /d/\n$a\nx.txt\n$b\ny");
    let bodies: Vec<_> = copied
        .heredocs
        .iter()
        .map(|body| (body.name.as_str(), body.expand, body.content.as_str()))
        .collect();
    assert_eq!(bodies, [("x.txt", false, "$a\n"), ("y", true, "$b\n")]);
    match one("RUN <<EOF\n#!/usr/bin/env python3\nprint()\nEOF") {
        Kind::Run(run) => assert!(matches!(run.command, RunCommand::Script(_))),
        other => panic!("{other:?}"),
    }
}

#[test]
fn copies_have_flags_and_two_forms() {
    let plain = copy("COPY a b /c/");
    assert_eq!(
        (plain.sources.as_slice(), plain.destination.as_str()),
        (&["a".to_owned(), "b".to_owned()][..], "/c/")
    );
    let spaces = copy("COPY [\"a b\", \"c d\"]");
    assert_eq!(
        (spaces.sources.as_slice(), spaces.destination.as_str()),
        (&["a b".to_owned()][..], "c d")
    );
    let flags =
        copy("COPY --from=build --chown=a:b --chmod=755 --link --exclude=*.md --exclude=x a b");
    assert_eq!(flags.from.as_deref(), Some("build"));
    assert_eq!(
        (flags.chown.as_deref(), flags.chmod.as_deref()),
        (Some("a:b"), Some("755"))
    );
    assert_eq!(flags.excludes, ["*.md", "x"]);
    assert!(!flags.unpack && copy("ADD a b").unpack);
}

#[test]
fn pairs_are_split_outside_quotes() {
    let check = |text: &str, expected: &[(&str, &str)]| {
        let pairs = match one(text) {
            Kind::Env(pairs) | Kind::Label(pairs) => pairs,
            other => panic!("{other:?}"),
        };
        let pairs: Vec<_> = pairs
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        assert_eq!(pairs, expected, "{text}");
    };
    check("ENV a=b", &[("a", "b")]);
    check(
        "ENV a=b c=\"d e\" f='g h' i=j\\ k",
        &[("a", "b"), ("c", "\"d e\""), ("f", "'g h'"), ("i", "j\\ k")],
    );
    check("ENV a b c=d", &[("a", "b c=d")]);
    check("ENV a=b=c", &[("a", "b=c")]);
    check("ENV a=", &[("a", "")]);
    check("LABEL \"x y\"=z \\\n  w=v", &[("\"x y\"", "z"), ("w", "v")]);
}

#[test]
fn mounts_of_a_run() {
    let mounts = match one(
        "RUN --mount=type=cache,target=/c,id=x --mount=type=bind,from=a,source=b,target=c,rw x",
    ) {
        Kind::Run(run) => run.mounts,
        other => panic!("{other:?}"),
    };
    assert!(matches!(&mounts[0].kind, MountKind::Cache { id: Some(id), .. } if id == "x"));
    assert!(
        matches!(&mounts[1].kind, MountKind::Bind { from: Some(from), source } if from == "a" && source == "b")
    );
    assert!(mounts[1].writable);
}

#[test]
fn stages_and_arguments() {
    let file =
        parsed("# c\nARG a=1 b\nFROM --platform=$BUILDPLATFORM x:$a AS One\nRUN y\nfrom scratch\n");
    assert_eq!(
        file.arguments,
        [
            ("a".to_owned(), Some("1".to_owned())),
            ("b".to_owned(), None)
        ]
    );
    assert_eq!(
        (
            file.stages[0].base.as_str(),
            file.stages[0].name.as_deref(),
            file.stages[0].line
        ),
        ("x:$a", Some("one"), 3)
    );
    assert_eq!(file.stages[0].platform.as_deref(), Some("$BUILDPLATFORM"));
    assert_eq!(
        (file.stages[1].base.as_str(), file.stages[1].name.as_deref()),
        ("scratch", None)
    );
    assert_eq!(file.stages[0].instructions[0].line, 4);
}

#[test]
fn the_escape_directive_holds_for_the_whole_file() {
    let file = parsed("# escape=`\nFROM scratch\nRUN a `\n  b c\\\nENV x=C:\\dir\n");
    assert_eq!(file.stages[0].instructions.len(), 2);
    assert_eq!(file.stages[0].instructions[0].text, "RUN a   b c\\");
    let late = parsed("FROM scratch\n# escape=`\nRUN a \\\n b\n");
    assert_eq!(
        late.stages[0].instructions.len(),
        1,
        "a directive after the first line is a comment"
    );
}

#[test]
fn health_checks_and_durations() {
    let health = match one(
        "HEALTHCHECK --interval=1m30s --timeout=500ms --start-period=5s --start-interval=1s --retries=0 CMD a b",
    ) {
        Kind::Healthcheck(health) => health,
        other => panic!("{other:?}"),
    };
    assert_eq!(health.command, Some(shell("a b")));
    assert_eq!(
        (health.interval, health.timeout),
        (90_000_000_000, 500_000_000)
    );
    match one("HEALTHCHECK NONE") {
        Kind::Healthcheck(health) => assert_eq!(health.command, None),
        other => panic!("{other:?}"),
    }
}

/// Nothing a stranger writes may panic or take for ever.
#[test]
fn any_text_is_an_instruction_or_an_error() {
    let seeds = [
        "FROM scratch AS a\nCOPY --from=a --chown=$x [\"a\", \"b\"]\nRUN <<EOF\nx\nEOF\n",
        "# escape=`\nARG a=${b:-c}\nFROM $a\nENV x=\"y\\\" z\" w='v\nRUN --mount=type=cache,target=/x y\n",
        "FROM x\nHEALTHCHECK --interval=3s CMD [\"a\"]\nEXPOSE 80-90/tcp\nLABEL a b\n\u{feff}ONBUILD x\n",
    ];
    let mut state = 7_u64;
    let mut random = move |below: usize| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    let alphabet: Vec<char> = "\\`\"'$<>{}[]#=- \n\t\u{feff}\u{0}éA<".chars().collect();
    for round in 0..3000 {
        let mut text: Vec<char> = seeds[round % seeds.len()].chars().collect();
        for _ in 0..1 + random(6) {
            let at = random(text.len());
            match random(3) {
                0 => text[at] = alphabet[random(alphabet.len())],
                1 => text.insert(at, alphabet[random(alphabet.len())]),
                _ => {
                    text.remove(at);
                }
            }
        }
        let text: String = text.into_iter().collect();
        let _ = parse("Dockerfile", &text);
    }
}
