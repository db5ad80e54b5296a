//! The parameters of writes: [`WriteOptions`], checked with upstream's wording
//! (`k8s.io/apimachinery/pkg/apis/meta/v1/validation`).

use crate::request::Query;
use crate::rules;
use crate::status::{ApiError, ApiResult, Cause};

/// What unknown and duplicate fields of a body mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FieldValidation {
    /// They are dropped without a word.
    Ignore,
    /// They are dropped with a warning.
    #[default]
    Warn,
    /// They refuse the request.
    Strict,
}

/// Parameters of create, update and patch.
#[derive(Debug, Clone, Copy, Default)]
pub struct WriteOptions {
    /// Nothing is stored.
    pub dry_run: bool,
    /// What unknown fields mean.
    pub field_validation: FieldValidation,
}

/// Returns the error of wrong options.
pub fn invalid_options(options: &str, causes: Vec<Cause>) -> ApiError {
    ApiError::invalid("meta.k8s.io", options, "", causes)
}

/// Makes a cause.
pub fn cause(reason: &str, field: &str, message: String) -> Cause {
    Cause {
        reason: reason.to_owned(),
        message,
        field: field.to_owned(),
    }
}

/// Reads `dryRun`.
fn dry_run(values: &[&str]) -> Result<bool, Cause> {
    if values.iter().all(|value| *value == "All") {
        return Ok(!values.is_empty());
    }
    let list: Vec<String> = values.iter().map(|value| format!("{value:?}")).collect();
    let message = format!(
        "Unsupported value: [{}]: supported values: \"All\"",
        list.join(",")
    );
    Err(cause("FieldValueNotSupported", "dryRun", message))
}

impl WriteOptions {
    /// Reads the parameters of `CreateOptions`, `UpdateOptions` or `PatchOptions`.
    ///
    /// # Errors
    /// 422 naming every wrong parameter.
    pub fn read(query: &Query, options: &str) -> ApiResult<WriteOptions> {
        let mut causes = rules::validate_manager(query.text("fieldManager"));
        let dry_values: Vec<&str> = query
            .all("dryRun")
            .filter(|value| !value.is_empty())
            .collect();
        let dry = dry_run(&dry_values).unwrap_or_else(|cause| {
            causes.push(cause);
            false
        });
        let field_validation = match query.text("fieldValidation") {
            "" | "Warn" => FieldValidation::Warn,
            "Ignore" => FieldValidation::Ignore,
            "Strict" => FieldValidation::Strict,
            other => {
                let message = format!(
                    "Unsupported value: {other:?}: supported values: \"\", \"Ignore\", \"Strict\", \"Warn\""
                );
                causes.push(cause("FieldValueNotSupported", "fieldValidation", message));
                FieldValidation::Warn
            }
        };
        if !causes.is_empty() {
            return Err(invalid_options(options, causes));
        }
        Ok(WriteOptions {
            dry_run: dry,
            field_validation,
        })
    }
}
