//! Kills a writing process with SIGKILL and looks at what it left: everything
//! acknowledged is there, no revision is handed out twice.

mod common;

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use common::{Text, text};
use coracle_store::{Durability, Expect, Options, Store, WriteOptions};

const FOLDER: &str = "CORACLE_STORE_CRASH_FOLDER";
/// Kills, unless the environment asks for another number (`ROUNDS`).
const ROUNDS: usize = 6;
/// The kill comes after this many answers at the latest.
const ANSWERS_MAX: usize = 1_000;

/// Not a test of its own: the process that is killed. It prints a line for
/// every acknowledged write.
#[tokio::test]
async fn child_writes_until_killed() {
    let Ok(folder) = std::env::var(FOLDER) else {
        return;
    };
    let store: Store<Text> =
        Store::open(&Path::new(&folder).join("store"), Options::default()).unwrap();
    let out = std::sync::Arc::new(std::sync::Mutex::new(std::io::stdout()));
    let writers: Vec<_> = (0..64)
        .map(|writer| {
            let (store, out) = (store.clone(), out.clone());
            tokio::spawn(async move {
                for number in 0u64.. {
                    let durability = if writer % 8 == 0 {
                        Durability::Relaxed
                    } else {
                        Durability::Durable
                    };
                    let options = WriteOptions {
                        durability,
                        expires: None,
                    };
                    let key = format!("/w/{writer}");
                    let done = store
                        .put(key, text(number.to_string()), Expect::Any, options)
                        .await
                        .unwrap();
                    writeln!(
                        out.lock().unwrap(),
                        "ack {writer} {number} {}",
                        done.revision
                    )
                    .unwrap();
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
}

#[test]
fn nothing_acknowledged_is_lost_and_revisions_rise() {
    let folder = tempfile::tempdir().unwrap();
    let mut newest = 0;
    let rounds = std::env::var("ROUNDS")
        .ok()
        .and_then(|text| text.parse().ok());
    for round in 0..rounds.unwrap_or(ROUNDS) {
        let after = 200 + 150 * round % (ANSWERS_MAX - 200);
        let acknowledged = run_and_kill(folder.path(), after);
        let first = acknowledged
            .iter()
            .map(|(_, _, revision)| *revision)
            .min()
            .unwrap();
        assert!(
            first > newest,
            "revision {first} was handed out before {newest}"
        );
        newest = acknowledged
            .iter()
            .map(|(_, _, revision)| *revision)
            .max()
            .unwrap();
        let mut last = HashMap::new();
        for (writer, number, _) in acknowledged {
            last.insert(writer, number);
        }
        let store: Store<Text> =
            Store::open(&folder.path().join("store"), Options::default()).unwrap();
        for (writer, number) in last {
            let relaxed = writer % 8 == 0;
            let found = store
                .get(&format!("/w/{writer}"))
                .map_or(0, |value| value.text.parse::<u64>().unwrap());
            assert!(
                relaxed || found >= number,
                "writer {writer}: {number} was acknowledged, {found} is there"
            );
        }
        assert!(store.revision() >= newest);
    }
}

fn run_and_kill(folder: &Path, after: usize) -> Vec<(u64, u64, u64)> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["child_writes_until_killed", "--exact", "--nocapture"])
        .env(FOLDER, folder)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap())
        .lines()
        .map_while(Result::ok);
    let parse = |line: String| -> Option<(u64, u64, u64)> {
        let mut words = line
            .split("ack ")
            .nth(1)?
            .split(' ')
            .map(|word| word.parse::<u64>());
        Some((
            words.next()?.ok()?,
            words.next()?.ok()?,
            words.next()?.ok()?,
        ))
    };
    let mut acknowledged: Vec<_> = lines.by_ref().filter_map(parse).take(after).collect();
    child.kill().unwrap();
    acknowledged.extend(lines.filter_map(parse));
    child.wait().unwrap();
    // A line cut short by the kill may have lost digits: the last one is not evidence.
    acknowledged.pop();
    acknowledged
}
