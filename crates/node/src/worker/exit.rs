//! The end of a run: what is kept of it, and when the next one may begin.

use super::Worker;
use super::container::Run;

impl Worker {
    /// Takes the end of a run.
    pub(super) fn on_exit(&mut self, name: &str, attempt: i32, exit: &coracle_runtime::Exit) {
        let Some(state) = self.containers.get_mut(name) else {
            return;
        };
        let Some(Run { handle, since, .. }) = state.end(attempt, exit) else {
            return;
        };
        self.hear_last_words(name, attempt, exit.code != 0);
        self.handle.live.write().remove(name);
        if self.will_restart(name)
            && let Some(state) = self.containers.get_mut(name)
        {
            state.put_off(since.elapsed());
        }
        tokio::spawn(async move {
            if let Err(error) = handle.remove().await {
                tracing::warn!(%error, "a container that ended was not removed");
            }
        });
    }

    fn hear_last_words(&mut self, name: &str, attempt: i32, failed: bool) {
        let container = self.find_container(name);
        let words = container.and_then(|container| self.last_words(&container, attempt, failed));
        let ended = self
            .containers
            .get_mut(name)
            .and_then(|state| state.ended.as_mut());
        if let Some(ended) = ended {
            ended.message = words;
        }
    }

    fn will_restart(&self, name: &str) -> bool {
        let policy = self.restart_policy();
        let state = self.containers.get(name);
        let container = self.find_container(name);
        let wanted = state.zip(container);
        wanted.is_some_and(|(state, container)| state.wants_restart(&container, policy))
            && !self.is_stopping()
    }
}
