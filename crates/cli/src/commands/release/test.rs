//! `coracle test`: runs the tests of a release.

use std::time::Duration;

use clap::Args;
use coracle_release::{Options, TestFilter, test};

use super::answer::{self, Shown};
use super::flags::{Format, duration};
use super::place::Place;
use super::tell::Teller;
use super::{Verb, interrupt};
use crate::failure::Outcome;

/// Run the tests of a release.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Examples:\n  coracle test web --logs\n  coracle test web --filter name=smoke\n  coracle test web --filter '!name=slow'"
)]
pub struct Test {
    /// Name of the release.
    pub release: String,
    /// How long one test may take: 90s, 5m, 1h30m.
    #[arg(long, default_value = "5m0s", value_parser = duration)]
    pub timeout: Duration,
    /// Print what the tests' pods wrote.
    #[arg(long)]
    pub logs: bool,
    /// Tests by name: name=a or !name=b.
    #[arg(long, value_delimiter = ',')]
    pub filter: Vec<String>,
}

impl Test {
    fn filter(&self) -> TestFilter {
        let mut filter = TestFilter::default();
        for text in &self.filter {
            if let Some(name) = text.strip_prefix("name=") {
                filter.include.push(name.to_owned());
            } else if let Some(name) = text
                .strip_prefix('!')
                .and_then(|rest| rest.trim_start().strip_prefix("name="))
            {
                filter.exclude.push(name.to_owned());
            }
        }
        filter
    }
}

impl Verb for Test {
    async fn run(&self, place: &Place) -> Outcome {
        let session = place.session()?;
        let options = Options {
            timeout: self.timeout,
            interrupt: Some(interrupt()),
            ..Options::default()
        };
        let mut teller = Teller::new(place);
        let result = test(
            &session,
            &self.release,
            &self.filter(),
            self.logs,
            &options,
            &mut |event| teller.hear(event),
        )
        .await;
        teller.end();
        let tested = result.map_err(|error| answer::failure(place, "", &error))?;
        let shown = Shown {
            debug: place.debug,
            metadata: false,
            hide_notes: true,
        };
        answer::print(&tested.record, Format::Table, shown, None)?;
        if self.logs {
            println!();
            for (pod, container, text) in &tested.logs {
                println!("POD LOGS: {pod} ({container})\n{text}");
            }
        }
        match tested.failure {
            Some(error) => Err(answer::failure(place, "", &error)),
            None => Ok(()),
        }
    }
}
