//! The sockets of the gateway before: a new gateway asks it for each when the
//! data plane first wants it, and keeps it. So a port of the host stays open
//! while one version of the gateway follows another.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use coracle_cluster::gateway::PREDECESSOR;
use coracle_dataplane::config::Proto;
use coracle_dataplane::host::{Client, HostPorts};
use tokio::time::timeout;

/// How long the old gateway may take to answer; it is idle otherwise.
const PATIENCE: Duration = Duration::from_secs(2);

type Place = (Proto, SocketAddr);

/// The gateway before this one, if there was one.
pub struct Predecessor {
    asked: Option<Asked>,
    taken: Mutex<HashMap<Place, OwnedFd>>,
}

struct Asked {
    client: Client,
    /// Its socket's folder: a path may be too long for an address (unix(7)).
    _folder: File,
}

impl Predecessor {
    /// Returns the gateway that the environment names.
    pub fn from_environment() -> Predecessor {
        let path = std::env::var_os(PREDECESSOR).map(PathBuf::from);
        Predecessor {
            asked: path.and_then(|path| Asked::at(&path).ok()),
            taken: Mutex::default(),
        }
    }

    /// Returns the socket of a place, if the old gateway has it or had it.
    pub async fn socket(&self, proto: Proto, address: SocketAddr) -> Option<OwnedFd> {
        let place = (proto, address);
        if let Some(kept) = self.taken.lock().ok()?.get(&place) {
            return kept.try_clone().ok();
        }
        let asked = self.asked.as_ref()?;
        // One that has ended is as good as none.
        let answer = timeout(PATIENCE, asked.client.bind(proto, address)).await;
        let fd = answer.ok()?.ok()?;
        let kept = fd.try_clone().ok()?;
        self.taken.lock().ok()?.insert(place, kept);
        Some(fd)
    }

    /// Gives the socket of a place up for good, there as well as here.
    pub async fn release(&self, proto: Proto, address: SocketAddr) {
        if let Ok(mut taken) = self.taken.lock() {
            taken.remove(&(proto, address));
        }
        if let Some(asked) = &self.asked {
            // One that has ended holds nothing.
            let _ = timeout(PATIENCE, asked.client.release(proto, address)).await;
        }
    }
}

impl Asked {
    fn at(path: &Path) -> io::Result<Asked> {
        let folder = File::open(path.parent().unwrap_or(Path::new("/")))?;
        let name = path.file_name().unwrap_or_default();
        let short = PathBuf::from(format!("/proc/self/fd/{}", folder.as_raw_fd())).join(name);
        Ok(Asked {
            client: Client::new(short),
            _folder: folder,
        })
    }
}
