//! `coracle forward` leads to a Service and goes on doing so when its pods are
//! replaced.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use coracle_tests::cluster::{Cluster, repository};
use coracle_tests::private::in_private_network;
use coracle_tests::{site, skip};

struct Forward {
    child: Child,
    address: SocketAddr,
}

impl Forward {
    fn start(cluster: &Cluster, args: &[&str]) -> Forward {
        let args: Vec<&str> = ["forward"].iter().chain(args).copied().collect();
        let mut child = cluster
            .command(&args)
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program was built");
        let stdout = child.stdout.as_mut().expect("it is piped");
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line).expect("a line");
        let address = line
            .strip_prefix("Forwarding from ")
            .and_then(|rest| rest.split(' ').next()?.parse().ok())
            .unwrap_or_else(|| panic!("no address: {line}"));
        Forward { child, address }
    }

    /// Asks the site; returns the pod that answered.
    fn ask(&self) -> String {
        let mut stream = TcpStream::connect(self.address).expect("it listens");
        stream
            .set_read_timeout(Some(Duration::from_secs(300)))
            .expect("set");
        stream
            .write_all(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
            .expect("sent");
        let mut text = String::new();
        stream.read_to_string(&mut text).expect("an answer");
        assert!(text.starts_with("HTTP/1.1 200"), "{text}");
        text.rsplit('\n').next().unwrap_or_default().to_owned()
    }

    /// Interrupts it, as Ctrl-C does.
    fn end(mut self) {
        let pid = self.child.id().to_string();
        let status = Command::new("kill").args(["-INT", &pid]).status();
        assert!(status.is_ok_and(|status| status.success()));
        let status = self.child.wait().expect("it ends");
        assert!(status.success(), "{status}");
    }
}

#[test]
fn a_forwarded_port_follows_its_service() {
    if !repository().join("target/oracles/kubectl").exists() {
        return skip("run `cargo xtask oracles` first");
    }
    in_private_network("a_forwarded_port_follows_its_service", || {
        let cluster = Cluster::new("forward");
        cluster.run(&["start"]);
        site::build(&cluster);
        site::apply(&cluster, &site::objects(31_481));
        let rolled = ["rollout", "status", "deploy/site", "--timeout=300s"];
        cluster.kubectl(&rolled);

        let by_service = Forward::start(&cluster, &["svc/site", ":web"]);
        let by_deployment = Forward::start(&cluster, &["deploy/site", "18080:8080"]);
        assert_eq!(by_deployment.address.port(), 18_080);
        let first = by_service.ask();
        assert_eq!(by_deployment.ask(), first);
        cluster.kubectl(&["delete", "pod", &first, "--wait=true"]);
        // Connections wait for the next pod; none is refused.
        let second = by_service.ask();
        assert_ne!(first, second);
        assert_eq!(by_deployment.ask(), second);
        let pod = format!("pod/{second}");
        let by_pod = Forward::start(&cluster, &[&pod, ":http"]);
        assert_eq!(by_pod.ask(), second);
        for forward in [by_service, by_deployment, by_pod] {
            forward.end();
        }

        let refused = cluster.command(&["forward", "svc/site", "81"]).output();
        let refused = refused.expect("the program was built");
        let text = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert_eq!(refused.status.code(), Some(1), "{text}");
        assert!(
            text.contains("service/site has no port 81; it has 80"),
            "{text}"
        );
    });
}
