//! Tests of a release: the hooks of event `test`.
//!
//! Reference: `pkg/action/release_testing.go` of Helm.

use crate::ReleaseError;
use crate::event::Tell;
use crate::hooks;
use crate::names::check_name;
use crate::operation::Operation;
use crate::options::Options;
use crate::record::{Hook, Record};
use crate::session::Session;
use crate::uninstall::not_found;

/// Which tests run, by name.
#[derive(Debug, Clone, Default)]
pub struct TestFilter {
    /// These alone, if any are named.
    pub include: Vec<String>,
    /// Not these.
    pub exclude: Vec<String>,
}

impl TestFilter {
    /// Whether a test runs.
    pub fn takes(&self, name: &str) -> bool {
        let named = |list: &[String]| list.iter().any(|one| one == name);
        !named(&self.exclude) && (self.include.is_empty() || named(&self.include))
    }
}

/// What tests came to.
#[derive(Debug)]
pub struct Tested {
    /// The release, with how each test ended.
    pub record: Record,
    /// What the tests' pods wrote, if that was asked for: pod, container, text.
    pub logs: Vec<(String, String, String)>,
    /// Why one failed.
    pub failure: Option<ReleaseError>,
}

/// Runs the tests of a release; a test that fails is told in the result.
///
/// # Errors
/// Fails if there is no such release or the API refuses.
pub async fn test(
    session: &Session,
    name: &str,
    filter: &TestFilter,
    with_logs: bool,
    options: &Options,
    tell: &mut Tell<'_>,
) -> Result<Tested, ReleaseError> {
    check_name(name)?;
    let mut operation = Operation::new(session, options, tell);
    let history = operation.storage.history(name).await?;
    let Some(last) = history.into_iter().next() else {
        return Err(not_found(&operation, name).await);
    };
    let mut record = last.record;
    let wanted = |hook: &Hook| filter.takes(&hook.name);
    let result = hooks::run_only(&mut operation, &mut record, "test", &wanted).await;
    let mut logs = Vec::new();
    if with_logs {
        let tests = record
            .hooks
            .iter()
            .filter(|hook| hook.runs_at("test") && wanted(hook));
        for hook in tests {
            logs.append(&mut hooks::logs(&operation, hook).await);
        }
    }
    operation.keep(&record).await;
    let cleaned = hooks::clean_tests(&mut operation, &record, &result).await;
    let failure = match result {
        Err(failure) => Some(failure.error),
        Ok(()) => cleaned.err(),
    };
    Ok(Tested {
        record,
        logs,
        failure,
    })
}
