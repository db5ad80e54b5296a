//! Fires reminders: sleeps until the next one, at most a minute, because
//! another replica may have written an earlier one.

use std::time::Duration;

use crate::db::DbError;
use crate::http::AppState;
use crate::mail;
use crate::model::notifications::{Fired, fire_due, next_fire};
use crate::model::users;
use crate::time::{self, now};

const SLEEP_MAX: Duration = Duration::from_secs(60);

/// Runs until the process ends.
pub async fn run(state: AppState) {
    loop {
        let pause = match round(&state).await {
            Ok(pause) => pause,
            Err(error) => {
                tracing::warn!("reminders wait: {error}");
                SLEEP_MAX
            }
        };
        // A task made on this replica wakes us at once.
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = state.tasks_changed().notified() => {}
        }
    }
}

async fn round(state: &AppState) -> Result<Duration, DbError> {
    if !state.database().was_connected() {
        return Ok(Duration::from_secs(1));
    }
    for fired in fire_due(state.database()).await? {
        tracing::info!("a reminder fired");
        if fired.by_email {
            send(state, &fired).await?;
        }
    }
    let next = next_fire(state.database()).await?;
    let wait = next.map_or(SLEEP_MAX, |at| {
        Duration::from_millis((at - now()).max(0).unsigned_abs())
    });
    Ok(wait.min(SLEEP_MAX))
}

async fn send(state: &AppState, fired: &Fired) -> Result<(), DbError> {
    let Some(user) = users::by_id(state.database(), &fired.user_id).await? else {
        return Ok(());
    };
    if user.prefs.email_reminders {
        let due = fired.due_date.map(time::text).unwrap_or_default();
        let text = format!(
            "Hello {},\n\n“{}” is due at {due}.\n",
            user.name, fired.title
        );
        mail::send_later(
            state,
            &user.email,
            &format!("Reminder: {}", fired.title),
            text,
        );
    }
    Ok(())
}
