//! One writer, a hundred watchers: how many events a second reach somebody.

use std::time::Instant;

use serde_json::json;

use super::connection::{Access, Connection};
use crate::table::Table;

/// Watchers of one collection.
const WATCHERS: usize = 100;
/// Objects that are created under their eyes.
const OBJECTS: usize = 300;

/// Measures the fan-out of events.
///
/// # Errors
/// When a request is refused.
pub async fn fan_out(access: &Access, table: &mut Table) -> anyhow::Result<()> {
    let path = "/api/v1/namespaces/watched/configmaps";
    let mut tasks = Vec::new();
    for _ in 0..WATCHERS {
        let mut watcher = Connection::open(access).await?;
        watcher
            .ask(&format!("{path}?watch=true"), "application/json")
            .await?;
        // The head of the answer: the watch stands.
        watcher.some().await?;
        tasks.push(tokio::spawn(async move {
            let mut seen = 0;
            while seen < OBJECTS {
                let text = watcher.some().await?;
                seen += text
                    .windows(8)
                    .filter(|part| *part == b"\"ADDED\",")
                    .count();
            }
            Ok(())
        }));
    }
    let mut writer = Connection::open(access).await?;
    let since = Instant::now();
    for number in 0..OBJECTS {
        let object = json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": format!("c-{number}"), "labels": {"a": "b"}},
            "data": {"key": "value".repeat(50)},
        });
        writer.create(path, &object).await?;
    }
    for task in tasks {
        let outcome: anyhow::Result<()> = task.await?;
        outcome?;
    }
    let rate = (WATCHERS * OBJECTS) as f64 / since.elapsed().as_secs_f64();
    table.rate("watch events to 100 watchers", rate, 13_000.0);
    Ok(())
}
