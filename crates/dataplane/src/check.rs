//! Health checks: addresses at which whoever balances load from outside may ask
//! whether this machine takes part. One answer stands for every request; what it
//! says is decided elsewhere.

use std::collections::HashMap;
use std::convert::Infallible;
use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Response, StatusCode};
use http_body_util::Full;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use parking_lot::RwLock;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::config::{Answer, Check, Proto};
use crate::host::{HostPorts, give_up};
use crate::report::Board;

/// Whoever asks and then says nothing for so long is let go.
const SILENCE: Duration = Duration::from_secs(10);
/// A pause when the process has no more file descriptors.
const BREATHE: Duration = Duration::from_millis(20);

/// Whether an address is inside the cluster, and the address.
type Place = (bool, SocketAddr);
/// What is answered now.
type Current = Arc<RwLock<Answer>>;

/// All running checks.
pub(crate) struct Checks {
    host: Arc<dyn HostPorts>,
    board: Board,
    running: HashMap<Place, Running>,
    /// Places that could not be opened, with the names they stand for.
    failed: Vec<(String, SocketAddr)>,
}

struct Running {
    name: String,
    current: Current,
    task: JoinHandle<()>,
}

impl Checks {
    pub(crate) fn new(host: Arc<dyn HostPorts>, board: Board) -> Self {
        Checks {
            host,
            board,
            running: HashMap::new(),
            failed: Vec::new(),
        }
    }

    /// Makes the checks equal to the configuration.
    pub(crate) async fn apply(&mut self, wanted: &[Check]) {
        for (name, address) in self.failed.drain(..) {
            self.board.forget(&(name, Proto::Tcp, address));
        }
        let places: HashMap<Place, &Check> = wanted.iter().flat_map(places_of).collect();
        self.stop_unwanted(&places).await;
        for (place, check) in places {
            match self.running.get(&place) {
                Some(running) => *running.current.write() = check.answer.clone(),
                None => self.start(place, check).await,
            }
        }
    }

    async fn start(&mut self, place: Place, check: &Check) {
        let (inside, address) = place;
        let listener = match inside {
            true => StdListener::bind(address).map(OwnedFd::from),
            false => self.host.bind(Proto::Tcp, address).await,
        };
        let current = Current::new(RwLock::new(check.answer.clone()));
        let started = listener.and_then(|fd| listen(fd, current.clone()));
        let named = (check.name.clone(), Proto::Tcp, address);
        let result = started.as_ref().map(drop).map_err(Into::into);
        self.board.listener(named, result);
        let name = check.name.clone();
        match started {
            Ok(task) => {
                let running = Running {
                    name,
                    current,
                    task,
                };
                self.running.insert(place, running);
            }
            Err(_) => self.failed.push((name, address)),
        }
    }

    /// Closes what is not wanted, or wanted under another name.
    async fn stop_unwanted(&mut self, wanted: &HashMap<Place, &Check>) {
        let is_kept = |place: &Place, running: &Running| {
            let check = wanted.get(place);
            check.is_some_and(|check| check.name == running.name)
        };
        let unwanted = |place: &Place, running: &mut Running| !is_kept(place, running);
        let gone: Vec<_> = self.running.extract_if(unwanted).collect();
        for ((inside, address), running) in gone {
            running.task.abort();
            self.board.forget(&(running.name, Proto::Tcp, address));
            if !inside {
                give_up(&*self.host, Proto::Tcp, address).await;
            }
        }
    }
}

impl Drop for Checks {
    fn drop(&mut self) {
        for running in self.running.values() {
            running.task.abort();
        }
    }
}

fn places_of(check: &Check) -> impl Iterator<Item = (Place, &Check)> {
    let outside = check.listen.iter().map(|address| (false, *address));
    let inside = check.inside.iter().map(|address| (true, *address));
    outside.chain(inside).map(move |place| (place, check))
}

fn listen(fd: OwnedFd, current: Current) -> io::Result<JoinHandle<()>> {
    let listener = StdListener::from(fd);
    listener.set_nonblocking(true)?;
    let listener = TcpListener::from_std(listener)?;
    Ok(tokio::spawn(async move {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => drop(tokio::spawn(serve(stream, current.clone()))),
                Err(_) => tokio::time::sleep(BREATHE).await,
            }
        }
    }))
}

async fn serve(stream: TcpStream, current: Current) {
    let service = service_fn(|_| {
        let answer = current.read().clone();
        async move { Ok::<_, Infallible>(response(answer)) }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(SILENCE)
        .keep_alive(false)
        // Who asks may have said all it has to say.
        .half_close(true)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "health check not answered");
    }
}

fn response(answer: Answer) -> Response<Full<Bytes>> {
    let mut response = Response::builder().status(answer.status);
    for (name, value) in answer.headers {
        response = response.header(name, value);
    }
    let whole = response.body(Full::from(answer.body));
    // A configuration that is no HTTP is a mistake of whoever wrote it.
    whole.unwrap_or_else(|_| {
        let mut empty = Response::new(Full::default());
        *empty.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        empty
    })
}
