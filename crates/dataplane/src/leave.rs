//! The end of a data plane beside which the next one works already: it takes
//! nothing new and carries what it has to the end, however long that lasts.
//!
//! What is under way is counted for the whole process, which has one data plane.

use std::future::Future;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio_util::task::TaskTracker;

static UNDER_WAY: LazyLock<TaskTracker> = LazyLock::new(TaskTracker::new);
static LEAVING: AtomicBool = AtomicBool::new(false);

/// Runs what must be carried to the end.
pub(crate) fn carry(task: impl Future<Output = ()> + Send + 'static) {
    UNDER_WAY.spawn(task);
}

/// Returns whether clients should come back by another connection.
pub(crate) fn is_near() -> bool {
    LEAVING.load(Ordering::Relaxed)
}

/// Lets every client know with its next answer, and waits until none is left.
///
/// The listeners must be closed, see [`crate::run`].
pub async fn wait() {
    LEAVING.store(true, Ordering::Relaxed);
    UNDER_WAY.close();
    UNDER_WAY.wait().await;
}
