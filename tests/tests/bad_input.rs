//! Input that is no good, and every word that is said of it: missing images,
//! broken archives, faults of Dockerfiles. Nothing half-made stays.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use coracle_tests::cluster::Cluster;
use coracle_tests::mishap::Said;
use coracle_tests::skip;

const ARCHIVES: &str = "\nhint: archives come from coracle image save, docker save or skopeo copy";

/// Compares all that a command says with `expected`; the test's folder is `~`.
#[track_caller]
fn check(cluster: &Cluster, args: &[&str], expected: &str) {
    let quiet = [&["--quiet"], args].concat();
    let said = Said::by(cluster, &quiet);
    let home = cluster.home().display().to_string();
    let text = said.text.replace(&home, "~");
    assert_eq!(text.trim_end(), format!("error: {expected}"), "{args:?}");
    assert_eq!(said.code, Some(1), "{args:?}");
}

/// Writes a file of the test.
fn write(cluster: &Cluster, path: &str, content: impl AsRef<[u8]>) -> PathBuf {
    let path = cluster.home().join(path);
    fs::create_dir_all(path.parent().expect("it is in a folder")).expect("a folder for the test");
    fs::write(&path, content).expect("a file for the test");
    path
}

/// Returns the files of a store that are not there for good.
fn half_made(cluster: &Cluster) -> Vec<PathBuf> {
    let stage = cluster.home().join("home/images/stage");
    let entries = fs::read_dir(stage).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).collect()
}

#[test]
fn images_that_are_not_there() {
    let cluster = Cluster::new("missing");
    let missing = "no image named ghost:1; `coracle image ls` lists those there are";
    for args in [
        &["image", "inspect", "ghost:1"][..],
        &["image", "rm", "ghost:1"],
        &["image", "tag", "ghost:1", "other:1"],
        &["image", "save", "-o", "ghost.tar", "ghost:1"],
        &["image", "push", "ghost:1"],
        &["image", "check", "ghost:1"],
        &["image", "history", "ghost:1"],
    ] {
        check(&cluster, args, missing);
    }
    assert!(!cluster.home().join("ghost.tar").exists());
    assert_eq!(cluster.run(&["image", "ls", "-o", "json"]).trim(), "[]");
}

#[test]
fn archives_that_are_broken() {
    let cluster = Cluster::new("broken");
    let tar = |name: &str, files: &[(&str, &str)]| {
        let folder = cluster.home().join(name);
        for (path, content) in files {
            write(&cluster, &format!("{name}/{path}"), content);
        }
        let archive = format!("{}.tar", folder.display());
        let made = Command::new("tar")
            .args(["cf", &archive, "-C"])
            .arg(&folder)
            .arg(".")
            .status();
        assert!(made.is_ok_and(|status| status.success()));
    };
    let config = r#"[{"Config": "c.json", "RepoTags": ["a:1"], "Layers": ["l.tar"]}]"#;
    write(&cluster, "empty.tar", "");
    write(&cluster, "text.tar", "no archive\n");
    write(&cluster, "noise.tar", [0xa5; 2048]);
    tar("other", &[("file", "x")]);
    tar("without", &[("manifest.json", config)]);
    tar("badly", &[("manifest.json", "{")]);
    tar(
        "layer",
        &[
            ("manifest.json", config),
            (
                "c.json",
                r#"{"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": ["sha256:0000000000000000000000000000000000000000000000000000000000000000"]}}"#,
            ),
            ("l.tar", "x"),
        ],
    );
    let none = "this archive holds no image: neither manifest.json (docker save) nor index.json (OCI layout) is in it";
    for (archive, expected) in [
        ("empty.tar", format!("empty.tar: {none}{ARCHIVES}")),
        (
            "text.tar",
            format!(
                "text.tar: broken image archive: the archive ends in the middle of the start{ARCHIVES}"
            ),
        ),
        (
            "noise.tar",
            format!(
                "noise.tar: broken image archive: broken tar header after the start: the checksum is wrong{ARCHIVES}"
            ),
        ),
        ("other.tar", format!("other.tar: {none}{ARCHIVES}")),
        ("other", format!("other: {none}{ARCHIVES}")),
        (
            "without.tar",
            format!(
                "without.tar: manifest.json names c.json, which is not in the archive{ARCHIVES}"
            ),
        ),
        (
            "badly.tar",
            format!(
                "badly.tar: manifest.json is broken: invalid type: map, expected a sequence at line 1 column 0{ARCHIVES}"
            ),
        ),
        (
            "nowhere.tar",
            "could not open ~/nowhere.tar: No such file or directory (os error 2)".to_owned(),
        ),
    ] {
        check(&cluster, &["image", "load", archive], &expected);
    }
    let said = Said::by(&cluster, &["image", "load", "layer.tar"]);
    said.check(
        "a layer of another digest",
        1,
        &["layer.tar", "sha256:0000"],
    );
    assert_eq!(half_made(&cluster), [] as [PathBuf; 0]);
    assert_eq!(cluster.run(&["image", "ls", "-o", "json"]).trim(), "[]");
}

#[test]
fn dockerfiles_with_faults() {
    let cluster = Cluster::new("faults");
    let fault = |text: &str, line: usize, message: &str| {
        write(&cluster, "context/Dockerfile", text);
        let excerpt = text.lines().nth(line - 1).unwrap_or_default();
        let expected = match excerpt {
            "" => format!("~/context/Dockerfile:{line}: {message}"),
            _ => format!("~/context/Dockerfile:{line}: {message}\n{line:>5} | {excerpt}"),
        };
        let args = ["image", "build", "-t", "a:1", "context"];
        check(&cluster, &args, &expected);
    };
    fault("", 1, "the file holds no instructions");
    fault(
        "FRM scratch\n",
        1,
        "unknown instruction FRM; did you mean FROM?",
    );
    fault(
        "FROM scratch\nRUNN x\n",
        2,
        "unknown instruction RUNN; did you mean RUN?",
    );
    fault(
        "COPY a /\n",
        1,
        "COPY before the first FROM; only ARG may stand there",
    );
    fault(
        "FROM scratch\nCOPY nowhere /\n",
        2,
        "nowhere does not exist in the build context or stage",
    );
    fault(
        "FROM scratch\nCOPY ../x /\n",
        2,
        "../x leads out of the build context; only files inside it can be copied",
    );
    fault(
        "FROM scratch\nCOPY --chwon=1 a /\n",
        2,
        "COPY has no flag --chwon",
    );
    fault(
        "FROM scratch\nADD https://x.test/a /\n",
        2,
        "https://x.test/a is remote; download it into the context, or in a RUN step",
    );
    fault(
        "FROM scratch\nONBUILD RUN x\n",
        2,
        "ONBUILD is not supported: write the instruction into the Dockerfile that needs it",
    );
    fault(
        "FROM scratch\nEXPOSE none\n",
        2,
        "\"none\" is no port such as 80, 53/udp or 8000-8010",
    );
    fault("FROM scratch\nENV\n", 2, "ENV needs arguments");
    fault(
        "FROM scratch AS a\nFROM scratch AS a\n",
        2,
        "a stage named a exists already",
    );
    fault(
        "FROM ${X}\n",
        1,
        "${X} has no value; declare the ARG before the first FROM and give it a value with --build-arg",
    );
    fault(
        "FROM scratch\nRUN <<END\nno end\n",
        2,
        "the heredoc is not ended: no line says END",
    );
    fault(
        "FROM nowhere.invalid/x\n",
        1,
        "base image nowhere.invalid/x:latest: it is not here, and could not pull nowhere.invalid/x:latest: cannot reach nowhere.invalid:443: no name server knows nowhere.invalid; without a network an archive brings it: coracle image load FILE",
    );
    if !Path::new("/bin/busybox").exists() {
        return skip("a static /bin/busybox is needed for a command that runs");
    }
    fs::copy("/bin/busybox", cluster.home().join("context/sh")).expect("a file for the test");
    let unknown = "the image has no user \"ghost\" in /etc/passwd";
    fault(
        "FROM scratch\nCOPY sh /bin/sh\nUSER ghost\nRUN exit 0\n",
        4,
        unknown,
    );
    fault(
        "FROM scratch\nCOPY --chown=ghost sh /bin/sh\n",
        2,
        &format!("--chown: {unknown}"),
    );
    fault(
        "FROM scratch\nCOPY sh /bin/sh\nRUN exit 3\n",
        3,
        "the command ended with exit code 3",
    );
    fault(
        "FROM scratch\nRUN exit 0\n",
        2,
        "the command could not be started: exec: \"/bin/sh\": stat /bin/sh: no such file or directory",
    );
    for (args, expected) in [
        (&["-t", "a:1", "nowhere"][..], "nowhere is not a folder"),
        (
            &["-t", "a:1", "--file", "nope", "context"],
            "no Dockerfile at ~/nope; name it with --file",
        ),
        (
            &["-t", "A:1", "context"],
            "invalid image reference \"A:1\": the repository name must be lower case",
        ),
    ] {
        let args = [&["image", "build"], args].concat();
        let said = Said::by(&cluster, &args);
        let home = cluster.home().display().to_string();
        assert!(
            said.text.replace(&home, "~").contains(expected),
            "{}",
            said.text
        );
    }
    assert_eq!(half_made(&cluster), [] as [PathBuf; 0]);
    assert_eq!(cluster.run(&["image", "ls", "-o", "json"]).trim(), "[]");
}
