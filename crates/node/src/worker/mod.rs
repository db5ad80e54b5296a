//! One worker per pod: brings the pod's containers to where its spec wants
//! them, again whenever something happens (upstream: pkg/kubelet, syncPod).

mod admit;
mod adopt;
mod container;
mod container_status;
mod doom;
mod ephemeral;
mod exit;
mod hooks;
mod image;
mod last_words;
mod launch;
mod policy;
mod resize;
mod restart;
mod sandbox;
mod spec;
mod status;
mod stop;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

use coracle_client::{Key, Severity, key_of, woken};
use k8s_openapi::api::core::v1::{Container, Pod};
use kube::ResourceExt;
use parking_lot::RwLock;
use tokio::sync::mpsc;
use tokio::time::{Duration, Instant};

use crate::images::{Fetched, ImageError};
use crate::machine::Running;
use crate::paths::PodPaths;
use crate::probe::Verdict;
use crate::shared::Shared;
use crate::volumes::{self, Prepared};
use container::State;
pub use doom::Doom;
pub(crate) use launch::chain;
use policy::is_sidecar;
use restart::Backoff;

/// What a worker is told.
#[derive(Debug)]
pub enum Message {
    /// The pod is now like this.
    Changed(Arc<Pod>),
    /// The pod is to be ended for good.
    Doomed(Doom),
    /// The pod is gone from the API.
    Gone,
    /// A ConfigMap, Secret or claim of the namespace changed.
    Refresh,
    /// The run of a container ended.
    Exited(String, i32, coracle_runtime::Exit),
    /// A probe of a run of a container changed its verdict or failed.
    Probed(String, i32, Verdict),
    /// An image that a container waits for is so far on its way.
    Pulling(String, String),
    /// The pull of an image that a container waits for has ended.
    Fetched(String, String, Box<Result<Fetched, ImageError>>),
    /// A hook after the start of a run of a container ended.
    Hooked(String, i32, Result<(), String>),
}

/// The running containers of a pod by name, as streams and counters see them.
pub type Live = Arc<RwLock<BTreeMap<String, Running>>>;

/// How the manager reaches a worker.
#[derive(Clone)]
pub struct Handle {
    /// Tells the worker something.
    pub tell: mpsc::UnboundedSender<Message>,
    /// The pod's running containers.
    pub live: Live,
    /// The pod's address once it has one.
    pub address: Arc<RwLock<Option<std::net::Ipv4Addr>>>,
    /// The pod's files.
    pub paths: PodPaths,
}

impl Handle {
    /// Returns a running container of the pod, the only one if `name` is empty.
    pub fn container(&self, name: &str) -> Option<Running> {
        let live = self.live.read();
        if name.is_empty() && live.len() == 1 {
            return live.values().next().cloned();
        }
        live.get(name).cloned()
    }
}

pub(crate) struct Worker {
    shared: Arc<Shared>,
    pod: Arc<Pod>,
    key: Key,
    uid: String,
    paths: PodPaths,
    handle: Handle,
    inbox: mpsc::UnboundedReceiver<Message>,
    sandbox: Option<sandbox::Ready>,
    volumes: Option<Prepared>,
    stale: bool,
    setup: Backoff,
    containers: BTreeMap<String, State>,
    /// What was last written, so that nothing is written twice.
    written: Option<k8s_openapi::api::core::v1::PodStatus>,
    gone: bool,
    /// Why the pod was ended by the node, if it was.
    doom: Option<Doom>,
}

/// When the worker must look again, even if nothing happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    Wait,
    At(Instant),
    Finished,
}

impl Next {
    fn sooner(self, at: Instant) -> Next {
        match self {
            Next::Wait => Next::At(at),
            Next::At(other) => Next::At(at.min(other)),
            Next::Finished => Next::Finished,
        }
    }
}

/// Starts the worker of a pod; `adopted` are containers of it that run already.
pub fn start(shared: Arc<Shared>, pod: Arc<Pod>, adopted: Vec<Running>) -> Handle {
    let key = key_of(&*pod);
    let uid = pod.uid().unwrap_or_default();
    let paths = PodPaths::new(&shared.config, &key.namespace, &key.name, &uid);
    let (tell, inbox) = mpsc::unbounded_channel();
    let handle = Handle {
        tell,
        live: Live::default(),
        address: Arc::default(),
        paths: paths.clone(),
    };
    let mut worker = Worker {
        shared,
        pod,
        key,
        uid,
        paths,
        handle: handle.clone(),
        inbox,
        sandbox: None,
        volumes: None,
        stale: false,
        setup: Backoff::new(Duration::from_millis(500), Duration::from_secs(120)),
        containers: BTreeMap::new(),
        written: None,
        gone: false,
        doom: None,
    };
    tokio::spawn(async move {
        worker.adopt(adopted).await;
        worker.run().await;
    });
    handle
}

impl Worker {
    async fn run(&mut self) {
        loop {
            let next = self.sync().await;
            let message = match next {
                Next::Finished => return,
                Next::Wait => self.inbox.recv().await,
                Next::At(at) => tokio::select! {
                    message = self.inbox.recv() => message,
                    () = tokio::time::sleep_until(at) => None,
                    // Tokens and deadlines go by the clock.
                    () = woken() => None,
                },
            };
            if let Some(message) = message {
                self.hear(message);
            } else if matches!(next, Next::Wait) {
                return;
            }
            while let Ok(message) = self.inbox.try_recv() {
                self.hear(message);
            }
        }
    }

    fn hear(&mut self, message: Message) {
        match message {
            Message::Changed(pod) => {
                // Volumes of the downward API show them.
                self.stale |= pod.metadata.labels != self.pod.metadata.labels
                    || pod.metadata.annotations != self.pod.metadata.annotations;
                self.pod = pod;
            }
            Message::Doomed(doom) => self.doom(doom),
            Message::Gone => self.gone = true,
            Message::Refresh => {
                self.stale = true;
                // What it waited for may be there now.
                if self.volumes.is_none() {
                    self.setup.reset();
                }
                for state in self.containers.values_mut() {
                    state.look_again();
                }
            }
            Message::Exited(name, attempt, exit) => self.on_exit(&name, attempt, &exit),
            Message::Probed(name, attempt, verdict) => self.on_verdict(&name, attempt, &verdict),
            Message::Pulling(name, text) => self.on_pulling(&name, text),
            Message::Fetched(name, image, result) => self.on_fetched(&name, image, result),
            Message::Hooked(name, attempt, result) => self.on_hook(&name, attempt, result),
        }
    }

    fn is_stopping(&self) -> bool {
        self.gone || self.pod.metadata.deletion_timestamp.is_some()
    }

    fn restart_policy(&self) -> &str {
        let spec = self.pod.spec.as_ref();
        spec.and_then(|spec| spec.restart_policy.as_deref())
            .unwrap_or("Always")
    }

    fn init_containers(&self) -> Vec<Container> {
        self.pod
            .spec
            .as_ref()
            .and_then(|spec| spec.init_containers.clone())
            .unwrap_or_default()
    }

    fn app_containers(&self) -> Vec<Container> {
        self.pod
            .spec
            .as_ref()
            .map(|spec| spec.containers.clone())
            .unwrap_or_default()
    }

    fn all_containers(&self) -> Vec<Container> {
        let mut all = self.init_containers();
        all.extend(self.app_containers());
        all.extend(self.ephemeral_containers());
        all
    }

    fn find_container(&self, name: &str) -> Option<Container> {
        let mut all = self.all_containers().into_iter();
        all.find(|container| container.name == name)
    }

    /// Takes one step towards the spec and writes what was observed.
    async fn sync(&mut self) -> Next {
        if self.is_stopping() {
            return self.stop().await;
        }
        if self.has_ended() {
            if self.containers.values().any(State::is_running) {
                // Sidecars end after what they served, and with it who looks at it.
                self.write_status().await;
                self.stop_containers().await;
            }
            self.write_status().await;
            self.release_sandbox().await;
            return Next::Wait;
        }
        self.admit();
        let deadline = self.watch_deadline();
        if self.doom.is_some() {
            return self.end_for_good().await;
        }
        let next = match self.prepare().await {
            Ok(()) => self.advance().await,
            Err(at) => Next::At(at),
        };
        let next = match self.volumes.as_ref().and_then(|volumes| volumes.renew_at) {
            Some(at) => next.sooner(instant_of(at)),
            None => next,
        };
        let next = deadline.map_or(next, |at| next.sooner(at));
        if self.write_status().await {
            next
        } else {
            next.sooner(Instant::now() + Duration::from_millis(200))
        }
    }

    /// Makes sandbox and volumes where they are missing.
    async fn prepare(&mut self) -> Result<(), Instant> {
        if let Some(at) = self.setup.until() {
            return Err(at);
        }
        if self.sandbox.is_none() {
            match self.make_sandbox().await {
                Ok(sandbox) => {
                    *self.handle.address.write() = sandbox.address;
                    let known = self.announce(sandbox.address);
                    self.sandbox = Some(sandbox);
                    self.write_status().await;
                    known.await;
                }
                Err(error) => {
                    let text = format!("Failed to create pod sandbox: {error}");
                    return Err(self.setup_failed("FailedCreatePodSandBox", &text));
                }
            }
        }
        let old = self.volumes.as_ref().and_then(|volumes| volumes.renew_at);
        let due = old.is_some_and(|at| at <= SystemTime::now());
        if self.volumes.is_none() || self.stale || due {
            let before = self.volumes.as_ref();
            match volumes::prepare(&self.shared, &self.facts(), &self.paths, before).await {
                Ok(prepared) => {
                    self.volumes = Some(prepared);
                    self.stale = false;
                }
                // A volume that was made once stays as it was.
                Err(_) if self.volumes.is_some() => self.stale = false,
                Err(error) => return Err(self.setup_failed("FailedMount", &error.to_string())),
            }
        }
        self.setup.reset();
        Ok(())
    }

    fn setup_failed(&mut self, reason: &str, message: &str) -> Instant {
        self.shared
            .recorder
            .event(&*self.pod, Severity::Warning, reason, message);
        self.setup.failed()
    }

    /// Starts what may run now: ephemeral containers whenever they come, init
    /// containers one after another, then all others.
    async fn advance(&mut self) -> Next {
        let mut next = Next::Wait;
        for container in self.ephemeral_containers() {
            next = self.advance_one(&container, next).await;
        }
        for container in self.init_containers() {
            match self.advance_init(&container, &mut next).await {
                InitStep::Passed => {}
                InitStep::Blocked => return next,
            }
        }
        for container in self.app_containers() {
            next = self.advance_one(&container, next).await;
        }
        next
    }

    async fn advance_init(&mut self, container: &Container, next: &mut Next) -> InitStep {
        if is_sidecar(container) {
            *next = self.advance_one(container, *next).await;
            let started = self
                .containers
                .get(&container.name)
                .is_some_and(State::has_started);
            return if started {
                InitStep::Passed
            } else {
                InitStep::Blocked
            };
        }
        if self
            .containers
            .get(&container.name)
            .is_some_and(State::has_succeeded)
        {
            return InitStep::Passed;
        }
        *next = self.advance_one(container, *next).await;
        InitStep::Blocked
    }

    /// Starts one container if it does not run and may.
    async fn advance_one(&mut self, container: &Container, next: Next) -> Next {
        let policy = self.restart_policy().to_owned();
        let state = self.containers.entry(container.name.clone()).or_default();
        if state.is_running() {
            self.replace_if_changed(container);
            self.resize_if_changed(container);
            return next;
        }
        if !state.wants_restart(container, &policy) {
            return next;
        }
        if let Some(at) = state.blocked_until() {
            self.tell_back_off(container);
            return next.sooner(at);
        }
        self.launch(container).await;
        match self
            .containers
            .get(&container.name)
            .and_then(State::blocked_until)
        {
            Some(at) => next.sooner(at),
            None => next,
        }
    }

    /// Ends a run whose image is no longer the one that the pod names.
    fn replace_if_changed(&mut self, container: &Container) {
        let Some(state) = self.containers.get(&container.name) else {
            return;
        };
        let same = state
            .image
            .as_ref()
            .is_none_or(|(name, _)| Some(name) == container.image.as_ref());
        if !same && state.run.as_ref().is_some_and(|run| !run.stopping) {
            let text = self.why_killed(container, "definition changed", true);
            self.restart(container, &text, None);
        }
    }

    /// Returns whether every container has ended for good.
    fn has_ended(&self) -> bool {
        if self.init_has_failed() {
            return true;
        }
        let apps = self.app_containers();
        !apps.is_empty() && apps.iter().all(|container| self.is_done(container))
    }

    /// Returns whether an init container has failed for good.
    fn init_has_failed(&self) -> bool {
        let init = self.init_containers();
        let mut plain = init.iter().filter(|container| !is_sidecar(container));
        plain.any(|container| {
            let state = self.containers.get(&container.name);
            state.is_some_and(State::has_failed) && self.is_done(container)
        })
    }

    /// Returns whether a container has ended and is not started again.
    fn is_done(&self, container: &Container) -> bool {
        let state = self.containers.get(&container.name);
        state.is_some_and(|state| {
            !state.is_running()
                && state.has_run()
                && !state.wants_restart(container, self.restart_policy())
        })
    }
}

enum InitStep {
    Passed,
    Blocked,
}

/// Returns the instant of a wall-clock time.
fn instant_of(at: SystemTime) -> Instant {
    Instant::now() + at.duration_since(SystemTime::now()).unwrap_or_default()
}
