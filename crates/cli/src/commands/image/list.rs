//! `coracle image ls`.

use crate::commands::target::Target;
use crate::failure::Outcome;
use crate::process::{Job, JobEvent, run_job};

pub(super) fn list(target: &Target, cluster: String) -> Outcome {
    let events = run_job(&target.home, &Job::List { cluster }, |_| {})?;
    println!("{:<40} {:<20} {:>10}", "NAME", "ID", "SIZE");
    for event in &events {
        if let JobEvent::Image { name, id, bytes } = event {
            println!("{name:<40} {:<20} {:>10}", short(id), size(*bytes));
        }
    }
    Ok(())
}

/// Returns the part of an image's id that people are shown.
pub(super) fn short(id: &str) -> String {
    id.trim_start_matches("sha256:").chars().take(12).collect()
}

/// Writes a size as people read it.
pub fn size(bytes: u64) -> String {
    match bytes {
        0..1_000 => format!("{bytes} B"),
        1_000..1_000_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", bytes as f64 / 1e6),
        _ => format!("{:.2} GB", bytes as f64 / 1e9),
    }
}
