//! `coracle image ls`, `prune` and `limit`.

use serde_json::{Value, json};

use crate::commands::output::{self, Format};
use crate::commands::release::table;
use crate::commands::target::Target;
use crate::failure::Outcome;
use crate::process::{Job, JobEvent, run_job};

pub(super) fn list(target: &Target, cluster: String, format: Option<Format>) -> Outcome {
    let events = run_job(&target.home, &Job::List { cluster }, |_| {})?;
    if let Some(format) = format {
        let images: Vec<Value> = events.iter().filter_map(data).collect();
        return output::print(format, &images.into());
    }
    let images = events.iter().filter_map(|event| match event {
        JobEvent::Image {
            name, id, bytes, ..
        } => Some(vec![name.clone(), short(id), size(*bytes)]),
        _ => None,
    });
    print!("{}", table::titled(["NAME", "ID", "SIZE"], images));
    Ok(())
}

fn data(event: &JobEvent) -> Option<Value> {
    let JobEvent::Image {
        name,
        id,
        digest,
        created,
        bytes,
    } = event
    else {
        return None;
    };
    Some(json!({
        "name": name, "id": id, "digest": digest, "created": created, "sizeBytes": bytes,
    }))
}

/// Removes what no cluster names, and says what is left.
pub(super) fn prune(target: &Target, build_cache: bool) -> Outcome {
    let events = run_job(&target.home, &Job::Prune { build_cache }, |_| {})?;
    show_store(&events);
    Ok(())
}

/// Limits the store, or says what it holds.
pub(super) fn limit(target: &Target, bytes_max: Option<u64>) -> Outcome {
    let events = run_job(&target.home, &Job::Limit { bytes_max }, |_| {})?;
    show_store(&events);
    Ok(())
}

fn show_store(events: &[JobEvent]) {
    if let Some(JobEvent::Store {
        freed,
        bytes,
        bytes_max,
    }) = events.last()
    {
        if *freed > 0 {
            println!("freed {}", size(*freed));
        }
        match bytes_max {
            Some(limit) => println!("the store holds {} of {}", size(*bytes), size(*limit)),
            None => println!("the store holds {}", size(*bytes)),
        }
    }
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

/// Reads a size as people write it: `300MB`, `1.5 GiB`, `4096`.
pub(super) fn parse_size(text: &str) -> Result<u64, String> {
    let text = text.trim();
    let split = text.find(|char: char| !char.is_ascii_digit() && char != '.');
    let (number, unit) = text.split_at(split.unwrap_or(text.len()));
    let factor: f64 = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1.0,
        "k" | "kb" => 1e3,
        "m" | "mb" => 1e6,
        "g" | "gb" => 1e9,
        "ki" | "kib" => 1024.0,
        "mi" | "mib" => 1024.0 * 1024.0,
        "gi" | "gib" => 1024.0 * 1024.0 * 1024.0,
        _ => return Err(format!("{text} is no size; write one like 300MB")),
    };
    match number.parse::<f64>() {
        Ok(number) => Ok((number * factor) as u64),
        Err(_) => Err(format!("{text} is no size; write one like 300MB")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_people_write_them() {
        let check = |text: &str, expected: Option<u64>| {
            assert_eq!(parse_size(text).ok(), expected, "{text}");
        };
        check("300MB", Some(300_000_000));
        check("1.5 GiB", Some(1_610_612_736));
        check("512k", Some(512_000));
        check("4096", Some(4096));
        check("", None);
        check("MB", None);
        check("3 stones", None);
        check("-1", None);
    }
}
