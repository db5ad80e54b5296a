//! `coracle forward`: a local port that leads to a Service, and goes on doing
//! so when its pods are replaced.
//!
//! Every connection picks a ready pod anew and reaches it through the API
//! (port-forward), so nothing of the cluster has to be open on the host.

mod place;

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::anyhow;
use clap::Args;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use super::target::Target;
use super::{Global, block_on};
use crate::failure::{Failure, Outcome};

use place::{Place, Subject};

/// A pause when no connection can be accepted.
const BREATHE: Duration = Duration::from_millis(200);

/// Forward a local port to a Service, following it across pod replacement.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  coracle forward svc/web 80                 a free or the same port, printed\n  coracle forward svc/web 8080:http          port 8080 to the Service's port `http`\n  coracle forward deploy/api 9000 9001       two ports of a Deployment's pods\n  coracle forward pod/db-0 :5432             any free port to one pod\n  coracle forward svc/web 80 --address 0.0.0.0   open to the network"
)]
pub struct Forward {
    /// What to reach: svc/NAME, deploy/NAME, sts/NAME, rs/NAME or pod/NAME; a
    /// NAME alone is a Service.
    target: String,
    /// Ports: REMOTE, LOCAL:REMOTE, or :REMOTE for any free one. REMOTE is a
    /// number or a name.
    #[arg(required = true, value_parser = port)]
    ports: Vec<Port>,
    /// Local address to listen on; repeatable. `localhost` is 127.0.0.1 and ::1.
    #[arg(long, default_value = "localhost", value_delimiter = ',')]
    address: Vec<String>,
    /// Namespace of the target.
    #[arg(long, short, default_value = "default")]
    namespace: String,
}

/// A port to forward.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Port {
    /// 0 is any free one.
    local: Option<u16>,
    remote: String,
}

fn port(text: &str) -> Result<Port, String> {
    let (local, remote) = match text.split_once(':') {
        None => (None, text),
        Some(("", remote)) => (Some(0), remote),
        Some((local, remote)) => {
            let number = local
                .parse()
                .map_err(|_| format!("{local:?} is not a local port"))?;
            (Some(number), remote)
        }
    };
    let is_number = remote.bytes().all(|byte| byte.is_ascii_digit());
    if remote.is_empty() || is_number && !remote.parse::<u16>().is_ok_and(|number| number > 0) {
        return Err(format!("{remote:?} is not a port"));
    }
    Ok(Port {
        local,
        remote: remote.to_owned(),
    })
}

impl Forward {
    /// Forwards until it is interrupted.
    pub fn run(&self, global: &Global) -> Outcome {
        let target = Target::of(global)?;
        let addresses = self.addresses()?;
        // Its own way of ending: open connections are not worth a word.
        crate::interrupt::uninstall();
        block_on(async {
            let client = target.connect().await?;
            let subject = Subject::read(&self.target).map_err(Failure::usage)?;
            let place = Arc::new(Place {
                client,
                namespace: self.namespace.clone(),
                subject,
            });
            for port in &self.ports {
                // A name that does not exist is said now, not at the first connection.
                place.check(&port.remote).await?;
                self.listen(&place, port, &addresses).await?;
            }
            let mut interrupt = signal(SignalKind::interrupt())?;
            let mut terminate = signal(SignalKind::terminate())?;
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            Ok(())
        })
    }

    fn addresses(&self) -> Result<Vec<IpAddr>, Failure> {
        let mut addresses = Vec::new();
        for text in &self.address {
            match text.as_str() {
                "localhost" => {
                    addresses.extend([
                        IpAddr::from(Ipv4Addr::LOCALHOST),
                        Ipv6Addr::LOCALHOST.into(),
                    ]);
                }
                text => addresses.push(text.parse().map_err(|_| {
                    Failure::usage(format!(
                        "--address {text} is neither an address nor localhost"
                    ))
                })?),
            }
        }
        Ok(addresses)
    }

    async fn listen(&self, place: &Arc<Place>, port: &Port, addresses: &[IpAddr]) -> Outcome {
        let mut number = port.local.or(port.remote.parse().ok()).unwrap_or(0);
        for (at, address) in addresses.iter().enumerate() {
            let listener = match TcpListener::bind((*address, number)).await {
                Ok(listener) => listener,
                // A machine without IPv6 has no ::1.
                Err(_) if at > 0 && address.is_loopback() => continue,
                // Nobody asked for this very port.
                Err(error) if at == 0 && port.local.is_none() && is_unavailable(&error) => {
                    TcpListener::bind((*address, 0)).await?
                }
                Err(error) => {
                    let address = SocketAddr::new(*address, number);
                    return Err(
                        Failure::from(anyhow!("cannot listen on {address}: {error}"))
                            .hint("choose another local port: LOCAL:REMOTE, or :REMOTE for any"),
                    );
                }
            };
            let local = listener.local_addr()?;
            number = local.port();
            println!("Forwarding from {local} -> {}", port.remote);
            tokio::spawn(accept(listener, place.clone(), port.remote.clone()));
        }
        Ok(())
    }
}

fn is_unavailable(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::AddrInUse | io::ErrorKind::PermissionDenied
    )
}

async fn accept(listener: TcpListener, place: Arc<Place>, remote: String) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(BREATHE).await;
            continue;
        };
        let (place, remote) = (place.clone(), remote.clone());
        tokio::spawn(async move {
            if let Err(error) = place.carry(stream, &remote).await {
                eprintln!("error: connection to {} ended: {error:#}", place.subject);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_read() {
        let check = |text: &str, expected: Option<(Option<u16>, &str)>| {
            let expected = expected.map(|(local, remote)| Port {
                local,
                remote: remote.into(),
            });
            assert_eq!(port(text).ok(), expected, "{text}");
        };
        check("80", Some((None, "80")));
        check("http", Some((None, "http")));
        check("8080:80", Some((Some(8080), "80")));
        check("8080:http", Some((Some(8080), "http")));
        check(":80", Some((Some(0), "80")));
        check("", None);
        check("8080:", None);
        check("x:80", None);
        check("0", None);
        check("70000", None);
    }
}
