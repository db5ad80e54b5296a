//! A network of a test's own: a namespace with one address, a name server and
//! whatever servers the test starts. Nothing of it is seen outside.

use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, UdpSocket};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::wait::until;

/// The island's address (RFC 5737: no server of the world has it).
pub const ADDRESS: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
/// Names below this lead to it, all others to nothing.
pub const DOMAIN: &str = "island.test";

/// A network of a test's own; it ends with this value.
#[derive(Debug)]
pub struct Island {
    keeper: Child,
    servers: Vec<Child>,
}

impl Island {
    /// Makes an island; `folder` is for its files. `None` for whom it cannot be
    /// made: a user who is not root.
    ///
    /// # Panics
    /// Panics if root cannot make it.
    pub fn new(folder: &Path) -> Option<Island> {
        if !rustix::process::geteuid().is_root() {
            return None;
        }
        let conf = folder.join("resolv.conf");
        std::fs::write(&conf, format!("nameserver {ADDRESS}\n")).expect("a file for the test");
        let script = format!(
            "ip link set lo up && ip address add {ADDRESS}/32 dev lo && \
             mount --bind {} /etc/resolv.conf && echo ready && exec sleep 3600",
            conf.display()
        );
        let mut keeper = Command::new("unshare")
            .args(["--net", "--mount", "sh", "-c", &script])
            .stdout(Stdio::piped())
            .spawn()
            .expect("unshare is part of every system");
        let stdout = keeper.stdout.take().expect("it is piped");
        let mut line = String::new();
        BufReader::new(stdout)
            .read_line(&mut line)
            .expect("it says that it is ready");
        assert_eq!(line, "ready\n", "the island was not made");
        let island = Island {
            keeper,
            servers: Vec::new(),
        };
        island.serve_names();
        Some(island)
    }

    /// Returns the words before a command that run it on the island.
    pub fn before(&self) -> Vec<String> {
        let pid = self.keeper.id();
        vec![
            "nsenter".into(),
            format!("--net=/proc/{pid}/ns/net"),
            format!("--mount=/proc/{pid}/ns/mnt"),
            "--".into(),
        ]
    }

    /// Returns a command that runs on the island.
    pub fn command(&self, program: &str) -> Command {
        let mut words = self.before().into_iter();
        let mut command = Command::new(words.next().expect("there are words"));
        command.args(words).arg(program);
        command
    }

    /// Runs a server until the island ends, and waits until it listens.
    ///
    /// # Panics
    /// Panics if it does not come to that.
    pub fn serve(&mut self, mut server: Command, port: u16) {
        let child = server.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        self.servers.push(child.expect("the server starts"));
        let wanted = format!(":{port:04X} ");
        let path = format!("/proc/{}/net/tcp", self.keeper.id());
        let both = [path.clone(), path + "6"];
        let listens = |path: &String| {
            let text = std::fs::read_to_string(path).unwrap_or_default();
            // State 0A is a listening socket.
            text.lines()
                .any(|line| line.contains(&wanted) && line.contains(" 0A "))
        };
        until(&format!("somebody listens at port {port}"), || {
            let any = both.iter().any(listens);
            any.then_some(()).ok_or_else(|| "not yet".to_owned())
        });
    }

    /// Answers queries for the island's names, on a thread that lives there.
    fn serve_names(&self) {
        let path = format!("/proc/{}/ns/net", self.keeper.id());
        let namespace = std::fs::File::open(path).expect("the keeper lives");
        let (tell, told) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            rustix::thread::move_into_link_name_space(
                std::os::fd::AsFd::as_fd(&namespace),
                Some(rustix::thread::LinkNameSpaceType::Network),
            )
            .expect("root may enter");
            let socket = UdpSocket::bind((ADDRESS, 53)).expect("nobody else is there");
            tell.send(()).expect("the test waits");
            let mut query = [0; 512];
            // The test's end is the end of this, too.
            while let Ok((length, client)) = socket.recv_from(&mut query) {
                if let Some(answer) = answer(&query[..length]) {
                    let _ = socket.send_to(&answer, client);
                }
            }
        });
        told.recv().expect("names are served");
    }
}

/// Answers a query of one question (RFC 1035, 4.1).
fn answer(query: &[u8]) -> Option<Vec<u8>> {
    let (mut labels, mut at) = (Vec::new(), 12);
    loop {
        let length = usize::from(*query.get(at)?);
        at += 1;
        if length == 0 {
            break;
        }
        labels.push(String::from_utf8_lossy(query.get(at..at + length)?).to_lowercase());
        at += length;
    }
    let known = labels.join(".").ends_with(DOMAIN);
    let is_a = query.get(at..at + 2)? == [0, 1];
    let mut answer = query[..2].to_vec();
    let code = if known { 0 } else { 3 };
    let answers = u8::from(known && is_a);
    answer.extend([0x81, 0x80 | code, 0, 1, 0, answers, 0, 0, 0, 0]);
    answer.extend(&query[12..at + 4]);
    if answers == 1 {
        // A pointer to the name, type A, class IN, a minute, four bytes.
        answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
        answer.extend(ADDRESS.octets());
    }
    Some(answer)
}

impl Drop for Island {
    fn drop(&mut self) {
        for child in self.servers.iter_mut().chain([&mut self.keeper]) {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
