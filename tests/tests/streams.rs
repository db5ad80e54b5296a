//! What a user does to a pod with kubectl: follows its log, runs commands with
//! and without a terminal, attaches, copies files, forwards a port. All of it
//! over WebSocket and over SPDY, for root and for users who are not root.
//!
//! `KUBECTLS` names further programs to do it with, separated by colons.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use coracle_tests::cluster::Cluster;
use coracle_tests::lab::{IMAGE, Lab, pod};
use coracle_tests::private::{in_private_network, is_root, user_with_range};
use coracle_tests::terminal::Terminal;
use coracle_tests::wait::until;
use coracle_tests::{host, skip};
use serde_json::json;

/// A kubectl and what it speaks.
#[derive(Debug, Clone)]
struct Tongue {
    /// `None` is the one of all tests.
    program: Option<String>,
    spdy: bool,
}

impl Tongue {
    fn all() -> Vec<Tongue> {
        let own = [false, true].map(|spdy| Tongue {
            program: None,
            spdy,
        });
        let further = std::env::var("KUBECTLS").unwrap_or_default();
        let further = further.split(':').filter(|path| !path.is_empty());
        let further = further.map(|path| Tongue {
            program: Some(path.to_owned()),
            spdy: false,
        });
        own.into_iter().chain(further).collect()
    }
}

struct Case<'a> {
    lab: &'a Lab,
    tongue: &'a Tongue,
}

impl Case<'_> {
    fn kubectl(&self, words: &[&str]) -> Command {
        let usual = self.lab.cluster.kubectl_command(words);
        let mut command = match &self.tongue.program {
            None => usual,
            Some(program) => {
                let mut other = Command::new(program);
                other.args(words);
                for (name, value) in usual.get_envs() {
                    other.env(name, value.unwrap_or_default());
                }
                other.current_dir(self.lab.cluster.home());
                other
            }
        };
        if self.tongue.spdy {
            command.env("KUBECTL_REMOTE_COMMAND_WEBSOCKETS", "false");
            command.env("KUBECTL_PORT_FORWARD_WEBSOCKETS", "false");
        }
        command
    }

    fn spawn(&self, words: &[&str]) -> Child {
        self.kubectl(words)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("kubectl is there")
    }

    /// Runs kubectl with this input: exit code, standard output, standard error.
    fn says(&self, words: &[&str], input: &[u8]) -> (Option<i32>, Vec<u8>, String) {
        let mut child = self
            .kubectl(words)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("kubectl is there");
        let mut stdin = child.stdin.take().expect("it is piped");
        let input = input.to_owned();
        let writer = std::thread::spawn(move || {
            // A program may end without reading everything.
            let _ = stdin.write_all(&input);
        });
        let output = child.wait_with_output().expect("it ends");
        writer.join().expect("it only writes");
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code(), output.stdout, stderr)
    }

    #[track_caller]
    fn ok(&self, words: &[&str], input: &[u8]) -> Vec<u8> {
        let (code, stdout, stderr) = self.says(words, input);
        assert_eq!(code, Some(0), "{:?} {words:?}: {stderr}", self.tongue);
        stdout
    }
}

/// Bytes of all values that no stream may change.
fn bytes(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at * 7 + at / 251) as u8).collect()
}

fn end(mut child: Child) {
    child.kill().expect("it is ours");
    child.wait().expect("it was ended");
}

fn logs_follow(case: &Case) {
    let mut child = case.spawn(&["logs", "-f", "--tail=1", "speaks"]);
    let stdout = child.stdout.take().expect("it is piped");
    let mut lines = BufReader::new(stdout).lines().map_while(Result::ok);
    assert!(lines.next().is_some(), "there is a last line");
    for text in ["fair wind", "and following seas"] {
        let script = format!("echo {text} > /tmp/say");
        case.ok(&["exec", "speaks", "--", "sh", "-c", &script], b"");
        assert_eq!(lines.next().as_deref(), Some(text), "{:?}", case.tongue);
    }
    end(child);
}

fn commands_run(case: &Case) {
    let exec = |flags: &str, script: &str, input: &[u8]| {
        let mut words = vec!["exec"];
        words.extend(flags.split_whitespace());
        words.extend(["speaks", "--", "sh", "-c", script]);
        case.says(&words, input)
    };
    let (code, stdout, stderr) = exec("", "echo out; echo err >&2; exit 7", b"");
    assert_eq!((code, &stdout[..]), (Some(7), &b"out\n"[..]), "{stderr}");
    assert!(stderr.starts_with("err\n"), "{stderr}");
    assert!(stderr.contains("terminated with exit code 7"), "{stderr}");
    let (code, ..) = exec("", "kill -9 $$", b"");
    assert_eq!(code, Some(137), "a signal is an exit code");
    let (code, _, stderr) = case.says(&["exec", "speaks", "--", "/nowhere"], b"");
    assert_ne!(code, Some(0));
    assert!(stderr.contains("/nowhere"), "{stderr}");
    let content = bytes(3_000_000);
    let (code, stdout, stderr) = exec("-i", "cat", &content);
    assert_eq!(code, Some(0), "{stderr}");
    assert!(stdout == content, "{} bytes came back", stdout.len());
    // It need not read its input to the end.
    let (code, stdout, _) = exec("-i", "head -c 10 > /dev/null; echo enough", &content);
    assert_eq!((code, &stdout[..]), (Some(0), &b"enough\n"[..]));
}

fn a_terminal_is_one(case: &Case) {
    let mut terminal = Terminal::new(101, 31);
    // The size comes on a stream of its own, maybe after the first line.
    let script = "until [ \"$(stty size)\" = '31 101' ]; do sleep 0.05; done; tty; stty size; \
                  while [ \"$(stty size)\" = '31 101' ]; do sleep 0.05; done; stty size; \
                  read x; echo \"heard $x\"; exit 3";
    let words = ["exec", "-it", "speaks", "--", "sh", "-c", script];
    let mut child = terminal.run(&case.kubectl(&words));
    terminal.expect("/dev/pts/");
    terminal.expect("31 101");
    terminal.resize(77, 22);
    terminal.expect("22 77");
    terminal.type_in("ahoy\n");
    terminal.expect("heard ahoy");
    assert_eq!(child.wait().expect("it ends").code(), Some(3));
    // An interrupt is the program's, not kubectl's.
    let script = "trap 'echo caught; exit 5' INT; echo set; while true; do sleep 0.05; done";
    let words = ["exec", "-it", "speaks", "--", "sh", "-c", script];
    let mut terminal = Terminal::new(80, 24);
    let mut child = terminal.run(&case.kubectl(&words));
    terminal.expect("set");
    terminal.type_in("\u{3}");
    terminal.expect("caught");
    assert_eq!(child.wait().expect("it ends").code(), Some(5));
}

fn attached(case: &Case) {
    let mut child = case.spawn(&["attach", "-i", "echoes"]);
    let mut stdin = child.stdin.take().expect("it is piped");
    let stdout = child.stdout.take().expect("it is piped");
    let mut lines = BufReader::new(stdout).lines().map_while(Result::ok);
    for text in ["one", "two"] {
        writeln!(stdin, "{text}").expect("it listens");
        let heard = lines.find(|line| line.starts_with("heard"));
        let expected = format!("heard {text}");
        assert_eq!(heard.as_deref(), Some(&*expected), "{:?}", case.tongue);
    }
    end(child);
    // The program goes on; what was said is in its log.
    until("the log has it", || {
        match case.lab.kubectl(&["logs", "echoes", "--tail=1"]) {
            log if log == "heard two\n" => Ok(()),
            log => Err(log),
        }
    });
    let mut terminal = Terminal::new(90, 20);
    let attach = case.kubectl(&["attach", "-it", "prompts"]);
    let child = terminal.run(&attach);
    // Whatever was asked before, a new line asks again.
    terminal.type_in("\n");
    terminal.expect("# ");
    // What is typed comes back, too; only the answer has no brackets.
    terminal.type_in("until stty size | grep '^20 9[0]$'; do sleep 0.05; done; echo $((40 + 2))\n");
    terminal.expect("20 90");
    terminal.expect("42");
    end(child);
}

fn run_and_removed(case: &Case) {
    let script = "read x; echo \"got $x\"; exit 0";
    let words = [
        "run",
        "passing",
        "--rm",
        "-i",
        "--quiet",
        "--restart=Never",
        "--image",
        IMAGE,
        "--",
        "sh",
        "-c",
        script,
    ];
    let said = String::from_utf8_lossy(&case.ok(&words, b"something\n")).into_owned();
    assert!(said.contains("got something"), "{:?}: {said}", case.tongue);
}

fn files_are_copied(case: &Case) {
    let folder = case.lab.cluster.home().join("copied");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(folder.join("there/deep")).expect("a folder for the test");
    let content = bytes(2_000_000);
    fs::write(folder.join("there/deep/file"), &content).expect("a file for the test");
    fs::write(folder.join("there/small"), "small\n").expect("a file for the test");
    case.lab.inside("speaks", "c", "rm -rf /tmp/there");
    let path = |name: &str| folder.join(name).display().to_string();
    case.ok(&["cp", &path("there"), "speaks:/tmp/there"], b"");
    let said = case.lab.inside(
        "speaks",
        "c",
        "cat /tmp/there/small; wc -c < /tmp/there/deep/file",
    );
    assert_eq!(said, "small\n2000000", "{:?}", case.tongue);
    case.ok(&["cp", "speaks:/tmp/there", &path("back")], b"");
    let back = fs::read(folder.join("back/deep/file")).expect("it was copied");
    assert!(back == content, "{:?}", case.tongue);
}

fn a_port_is_forwarded(case: &Case) {
    let mut child = case.spawn(&["port-forward", "pod/speaks", ":8080"]);
    let stdout = child.stdout.take().expect("it is piped");
    let mut lines = BufReader::new(stdout).lines().map_while(Result::ok);
    let line = lines.next().expect("it says where");
    let address = line
        .strip_prefix("Forwarding from ")
        .and_then(|rest| rest.split(' ').next())
        .unwrap_or_else(|| panic!("{line}"));
    let get = |path: &str| {
        let mut stream = TcpStream::connect(address).expect("it listens");
        write!(stream, "GET {path} HTTP/1.0\r\n\r\n").expect("it is open");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("it answers");
        String::from_utf8_lossy(&answer).into_owned()
    };
    // Several at once, and one after another.
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..5 {
                    let answer = get("/passwd");
                    assert!(answer.contains("root::0:0"), "{:?}: {answer}", case.tongue);
                }
            });
        }
    });
    end(child);
}

/// Does everything on a cluster of this name.
fn everything(name: &str, of: impl FnOnce(Cluster) -> Cluster) {
    let cluster = of(Cluster::new(name));
    let home = cluster.home().to_owned();
    let before = host::picture(name);
    {
        let Some(lab) = Lab::of(cluster) else { return };
        let speaks = "httpd -p 8080 -h /etc; mkfifo /tmp/say; echo ready; exec cat 0<>/tmp/say";
        let echoes = "while read line; do echo \"heard $line\"; done; sleep 3600";
        lab.apply(&[
            pod(
                "speaks",
                json!({}),
                json!({"command": ["sh", "-c", speaks]}),
            ),
            pod(
                "echoes",
                json!({}),
                json!({"command": ["sh", "-c", echoes], "stdin": true}),
            ),
            pod(
                "prompts",
                json!({}),
                json!({"command": ["sh"], "stdin": true, "tty": true}),
            ),
        ]);
        lab.ready(&["speaks", "echoes", "prompts"]);
        for tongue in Tongue::all() {
            let case = Case {
                lab: &lab,
                tongue: &tongue,
            };
            for part in [
                logs_follow,
                commands_run,
                a_terminal_is_one,
                attached,
                run_and_removed,
                files_are_copied,
                a_port_is_forwarded,
            ] {
                part(&case);
            }
        }
        until("the node counts what the pods use", || {
            let output = lab.cluster.kubectl_command(&["top", "pods"]).output();
            let output = output.map_err(|error| error.to_string())?;
            let said = String::from_utf8_lossy(&output.stdout).into_owned();
            match said.contains("speaks") && said.contains("Mi") {
                true => Ok(()),
                false => Err(said + &String::from_utf8_lossy(&output.stderr)),
            }
        });
        lab.kubectl(&["delete", "pod", "speaks", "echoes", "prompts"]);
        until("no shim is left", || {
            let left = lab.cluster.processes("shim");
            left.is_empty()
                .then_some(())
                .ok_or_else(|| format!("{left:?}"))
        });
        lab.cluster.run(&["delete", "--quiet"]);
    }
    assert!(!home.exists());
    host::assert_same(&before, &host::picture(name));
}

#[test]
fn for_root() {
    in_private_network("for_root", || everything("stream", |cluster| cluster));
}

#[test]
fn for_a_user_with_one_id() {
    if !is_root() {
        return skip("only root can become somebody else");
    }
    in_private_network("for_a_user_with_one_id", || {
        everything("streamone", |cluster| cluster.as_user(65_534));
    });
}

#[test]
fn for_a_user_with_a_range_of_ids() {
    if !is_root() {
        return skip("only root can become somebody else");
    }
    let Some(uid) = user_with_range() else { return };
    in_private_network("for_a_user_with_a_range_of_ids", || {
        everything("streamrange", |cluster| cluster.as_user(uid));
    });
}
