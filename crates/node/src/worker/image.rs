//! A container's image: found, or pulled while the worker goes on with other
//! things (upstream: pkg/kubelet/images/image_manager.go).

use coracle_client::Severity;
use coracle_image::store::Image;
use k8s_openapi::api::core::v1::Container;
use tokio_util::task::AbortOnDropHandle;

use super::{Message, Worker};
use crate::images::{self, Fetched, ImageError, Order, Wanted};

/// A pull that a container waits for.
#[derive(Debug)]
pub enum Pull {
    /// It is under way; it ends with the container.
    Running(String, #[allow(dead_code)] AbortOnDropHandle<()>),
    /// It has ended.
    Ended(String, Box<Result<Fetched, ImageError>>),
}

impl Pull {
    /// Returns the image it is about.
    fn name(&self) -> &str {
        match self {
            Pull::Running(name, _) | Pull::Ended(name, _) => name,
        }
    }
}

impl Worker {
    /// Returns the image of a container; `None` while it is pulled.
    pub(super) fn find_image(
        &mut self,
        container: &Container,
    ) -> Result<Option<Image>, (&'static str, String)> {
        let name = container.image.clone().unwrap_or_default();
        let state = self.state(container);
        match state.pull.take().filter(|pull| pull.name() == name) {
            Some(Pull::Ended(_, result)) => match *result {
                Ok(fetched) => {
                    self.tell_pulled(container, &name, &fetched);
                    Ok(Some(fetched.image))
                }
                Err(error) => Err(self.image_missed(container, &error)),
            },
            Some(running) => {
                state.pull = Some(running);
                Ok(None)
            }
            None => self.look_for_image(container, name),
        }
    }

    fn look_for_image(
        &mut self,
        container: &Container,
        name: String,
    ) -> Result<Option<Image>, (&'static str, String)> {
        let policy = container.image_pull_policy.as_deref();
        let (store, cluster) = (&self.shared.images, &self.shared.config.cluster);
        match images::wanted(store, cluster, &name, policy) {
            Ok(Wanted::Present(image)) => {
                let text = format!(
                    "Container image \"{name}\" already present on machine and can be accessed by the pod"
                );
                self.event(container, Severity::Normal, "Pulled", &text);
                Ok(Some(*image))
            }
            Ok(Wanted::Pull(reference)) => {
                let order = Order {
                    name: name.clone(),
                    reference,
                    logins: self.pull_logins(),
                };
                self.begin_pull(container, order);
                Ok(None)
            }
            Err(error) => Err(self.image_missed(container, &error)),
        }
    }

    fn begin_pull(&mut self, container: &Container, order: Order) {
        let text = format!("Pulling image \"{}\"", order.name);
        self.event(container, Severity::Normal, "Pulling", &text);
        let (puller, tell) = (self.shared.puller.clone(), self.handle.tell.clone());
        let (container_name, name) = (container.name.clone(), order.name.clone());
        let task = tokio::spawn(async move {
            let (progress, of) = (tell.clone(), container_name.clone());
            let on_progress = move |text| {
                let _ = progress.send(Message::Pulling(of.clone(), text));
            };
            let result = puller.pull(&order, on_progress).await;
            // A worker that is gone has nothing to do with it any more.
            let _ = tell.send(Message::Fetched(
                container_name,
                order.name,
                Box::new(result),
            ));
        });
        let state = self.state(container);
        // A container that has crashed goes on saying so.
        if !state.has_run() {
            state.waiting = Some(("ContainerCreating".into(), String::new()));
        }
        state.pull = Some(Pull::Running(name, AbortOnDropHandle::new(task)));
    }

    /// Takes note of a pull that has ended.
    pub(super) fn on_fetched(
        &mut self,
        container: &str,
        name: String,
        result: Box<Result<Fetched, ImageError>>,
    ) {
        if let Some(state) = self.containers.get_mut(container)
            && matches!(&state.pull, Some(Pull::Running(running, _)) if *running == name)
        {
            state.pull = Some(Pull::Ended(name, result));
        }
    }

    /// Takes note of how far a pull has come.
    pub(super) fn on_pulling(&mut self, container: &str, text: String) {
        if let Some(state) = self.containers.get_mut(container)
            && matches!(state.pull, Some(Pull::Running(..)))
            && let Some((reason, message)) = &mut state.waiting
            && reason == "ContainerCreating"
        {
            *message = text;
        }
    }

    /// Returns the logins of the pod's secrets; says which are missing.
    fn pull_logins(&self) -> coracle_image::registry::Credentials {
        let spec = self.pod.spec.as_ref();
        let references = spec.and_then(|spec| spec.image_pull_secrets.as_ref());
        let names = references.into_iter().flatten();
        let names: Vec<&str> = names
            .map(|reference| reference.name.as_str())
            .filter(|name| !name.is_empty())
            .collect();
        let find = |name: &str| {
            let secret = self.shared.secrets.get(&self.key.namespace, name)?;
            Some((*secret).clone())
        };
        let (logins, missing) = images::logins(names, find);
        if !missing.is_empty() {
            let text = format!(
                "Unable to retrieve some image pull secrets ({}); attempting to pull the image may not succeed.",
                missing.join(", ")
            );
            let reason = "FailedToRetrieveImagePullSecret";
            let recorder = &self.shared.recorder;
            recorder.event(&*self.pod, Severity::Warning, reason, &text);
        }
        logins
    }

    fn tell_pulled(&self, container: &Container, name: &str, fetched: &Fetched) {
        let text = format!(
            "Successfully pulled image \"{name}\" in {} ({} including waiting). Image size: {} bytes.",
            written(fetched.took),
            written(fetched.with_waiting),
            fetched.image.size_bytes,
        );
        self.event(container, Severity::Normal, "Pulled", &text);
    }

    fn image_missed(&self, container: &Container, error: &ImageError) -> (&'static str, String) {
        let (reason, text) = error.event();
        self.event(container, Severity::Warning, reason, &text);
        let text = format!("Error: {}", error.reason());
        self.event(container, Severity::Warning, "Failed", &text);
        (error.reason(), error.to_string())
    }
}

/// Writes a duration as Go does, to the millisecond.
fn written(duration: std::time::Duration) -> String {
    let millis = duration.as_millis();
    match millis {
        0..1000 => format!("{millis}ms"),
        1000..60_000 => format!("{}s", trimmed(millis)),
        _ => format!("{}m{}s", millis / 60_000, trimmed(millis % 60_000)),
    }
}

fn trimmed(millis: u128) -> String {
    let text = format!("{}.{:03}", millis / 1000, millis % 1000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_written_as_go_does() {
        let check = |millis, expected: &str| {
            let duration = std::time::Duration::from_millis(millis);
            assert_eq!(written(duration), expected);
        };
        check(7, "7ms");
        check(1000, "1s");
        check(1234, "1.234s");
        check(61_500, "1m1.5s");
    }
}
