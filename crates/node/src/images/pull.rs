//! Pulling images on behalf of pods: [`Puller`]. Pods that want the same image
//! at the same time share its download.

use std::collections::HashMap;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use coracle_image::oci::Platform;
use coracle_image::reference::Reference;
use coracle_image::registry::{
    Credentials, PullEvent, RegistryClient, RegistryError, RegistryOptions,
};
use coracle_image::store::{Image, ImageStore};
use parking_lot::Mutex;
use tokio::time::Instant;

use super::{ImageError, Registries, find};

/// A pod is told soon why its image does not come; it asks again by itself.
const TRIES: u32 = 3;
/// How often a pod hears of progress.
const TELL_EVERY: Duration = Duration::from_secs(2);

/// Pulls images into the store of a cluster.
#[derive(Debug)]
pub struct Puller {
    store: ImageStore,
    cluster: String,
    registries: Arc<dyn Registries>,
    /// One pull of a name at a time: who comes second finds all of it here.
    running: Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>,
}

/// What is to be pulled.
#[derive(Debug, Clone)]
pub struct Order {
    /// The name as the pod has it.
    pub name: String,
    /// The same, read.
    pub reference: Reference,
    /// The logins of the pod's secrets; they come before the machine's.
    pub logins: Credentials,
}

/// An image that was pulled.
#[derive(Debug)]
pub struct Fetched {
    /// The image.
    pub image: Image,
    /// How long the pull took.
    pub took: Duration,
    /// The same with the time it waited for others.
    pub with_waiting: Duration,
}

impl Puller {
    /// Returns what pulls for `cluster`.
    pub fn new(store: ImageStore, cluster: &str, registries: Arc<dyn Registries>) -> Puller {
        Puller {
            store,
            cluster: cluster.to_owned(),
            registries,
            running: Mutex::default(),
        }
    }

    /// Pulls an image; `tell` hears now and then how far it has come.
    ///
    /// # Errors
    /// Says why it cannot be had, and what helps.
    pub async fn pull(
        &self,
        order: &Order,
        tell: impl Fn(String) + Send + Sync + 'static,
    ) -> Result<Fetched, ImageError> {
        let asked = Instant::now();
        let key = order.reference.key();
        let turn = self.running.lock().entry(key.clone()).or_default().clone();
        let result = {
            let _turn = turn.lock().await;
            let began = Instant::now();
            let pulled = self.pull_now(order, tell).await;
            pulled.map(|image| (image, began.elapsed()))
        };
        drop(turn);
        // Who waits for this turn holds it too.
        let nobody_waits = |turn: &mut Arc<_>| Arc::strong_count(turn) == 1;
        let mut running = self.running.lock();
        if running.get_mut(&key).is_some_and(nobody_waits) {
            running.remove(&key);
        }
        let (image, took) = result?;
        Ok(Fetched {
            image,
            took,
            with_waiting: asked.elapsed(),
        })
    }

    async fn pull_now(
        &self,
        order: &Order,
        tell: impl Fn(String) + Send + Sync + 'static,
    ) -> Result<Image, ImageError> {
        let failed = |message: String| ImageError::ErrImagePull {
            name: order.name.clone(),
            message,
        };
        let options = self.options(order).await.map_err(failed)?;
        let has_login = options
            .credentials
            .login(order.reference.registry())
            .is_some();
        let client = RegistryClient::new(self.registries.dial(), options)
            .map_err(|error| failed(error.to_string()))?;
        let progress = Progress::new(tell);
        let pulled = client
            .pull(
                &self.store,
                &self.cluster,
                &order.reference,
                &Platform::host(),
                Arc::new(move |event| progress.note(event)),
            )
            .await;
        if let Err(error) = pulled {
            let here = find(&self.store, &self.cluster, &order.name, &order.reference);
            let here = here.is_ok_and(|image| image.is_some());
            return Err(failed(explain(&error, order, here, has_login)));
        }
        let image = find(&self.store, &self.cluster, &order.name, &order.reference)?;
        image.ok_or_else(|| failed("it vanished as soon as it was here".into()))
    }

    async fn options(&self, order: &Order) -> Result<RegistryOptions, String> {
        let host = order.reference.registry();
        let options = self.registries.options(host).await;
        let mut options =
            options.map_err(|error| format!("the machine's registry settings: {error}"))?;
        options.credentials.extend(order.logins.clone());
        options.tries = TRIES;
        Ok(options)
    }
}

/// Returns the registry's reason with what would help, which depends on whose
/// image it is.
fn explain(error: &RegistryError, order: &Order, here: bool, has_login: bool) -> String {
    let mut text = chain(error);
    let name = &order.name;
    let add: Option<String> = match error {
        _ if here => Some(
            "the image is present: with imagePullPolicy IfNotPresent or Never it would be used"
                .into(),
        ),
        RegistryError::Denied { .. } if has_login => {
            Some("the login that was sent is not the right one".into())
        }
        RegistryError::Denied { .. }
        | RegistryError::NotFound { .. }
        | RegistryError::Connect { .. } => Some(format!(
            "an image of this machine is brought by: coracle image build -t {name} DIR, or coracle image load FILE"
        )),
        _ => None,
    };
    if let Some(add) = add {
        text.push_str("; ");
        text.push_str(&add);
    }
    text
}

fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}

/// How far a pull has come.
struct Progress<F> {
    tell: F,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    sizes: HashMap<coracle_image::Digest, u64>,
    done: HashMap<coracle_image::Digest, u64>,
    told: Option<Instant>,
}

impl<F: Fn(String)> Progress<F> {
    fn new(tell: F) -> Progress<F> {
        let state = State {
            // Most pulls are over before there is anything to tell.
            told: Some(Instant::now()),
            ..State::default()
        };
        Progress {
            tell,
            state: Mutex::new(state),
        }
    }

    fn note(&self, event: PullEvent) {
        let mut state = self.state.lock();
        match event {
            PullEvent::Layers { layers } => state.sizes = layers.into_iter().collect(),
            PullEvent::Present { digest } => {
                let size = state.sizes.get(&digest).copied().unwrap_or(0);
                state.done.insert(digest, size);
            }
            PullEvent::Received { digest, bytes } => {
                state.done.insert(digest, bytes);
            }
            PullEvent::Retry { .. } | PullEvent::Unpacked { .. } => {}
        }
        if state.told.is_some_and(|told| told.elapsed() < TELL_EVERY) {
            return;
        }
        state.told = Some(Instant::now());
        let megabytes = |values: &HashMap<_, u64>| values.values().sum::<u64>() as f64 / 1e6;
        let (done, all) = (megabytes(&state.done), megabytes(&state.sizes));
        (self.tell)(format!("pulling image: {done:.1} of {all:.1} MB"));
    }
}
