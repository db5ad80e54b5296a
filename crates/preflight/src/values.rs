//! A chart that does not render, as a finding.

use crate::report::{Finding, Report, Severity};
use coracle_helm::{RenderError, Step};

/// Adds what the renderer refuses.
pub fn refused(error: RenderError, report: &mut Report) {
    let rule = match error.step {
        Step::Dependencies => "dependencies",
        Step::Schema => "values-schema",
        Step::KubeVersion => "kube-version",
        Step::Parse => "template-syntax",
        Step::Execute => "template",
        Step::Manifest => "not-yaml",
    };
    if error.step == Step::Schema && !error.values.is_empty() {
        return schema(&error, report);
    }
    let message = match said(&error) {
        Some(said) => said,
        None => error
            .explanation
            .clone()
            .unwrap_or_else(|| error.helm.trim_end().to_owned()),
    };
    report.findings.push(Finding {
        severity: Severity::Error,
        rule: if said(&error).is_some() {
            "values"
        } else {
            rule
        },
        object: None,
        field: String::new(),
        message,
        fix: error.remedy.clone(),
        place: error.place.clone(),
        values: error.values.clone(),
        helm: Some(error.helm.trim_end().to_owned()),
        refused: false,
    });
}

/// One finding for each violation, with the reasons below it.
fn schema(error: &RenderError, report: &mut Report) {
    for (message, origin) in &error.values {
        // Lines below another begin with a dash still.
        if let (Some(reason), Some(last)) = (message.strip_prefix("- "), report.findings.last_mut())
        {
            last.message.push_str(&format!("\n{reason}"));
            continue;
        }
        let origin = origin.clone().map(|origin| (String::new(), Some(origin)));
        report.findings.push(Finding {
            severity: Severity::Error,
            rule: "values-schema",
            object: None,
            field: String::new(),
            message: format!("the chart's schema refuses the values: {message}"),
            fix: Some("values.schema.json of the chart says what is allowed".into()),
            place: None,
            values: origin.into_iter().collect(),
            helm: Some(error.helm.trim_end().to_owned()),
            refused: false,
        });
    }
}

/// What the chart itself says when it refuses with `fail` or `required`.
fn said(error: &RenderError) -> Option<String> {
    let rest = error.helm.trim().strip_prefix("execution error at (")?;
    let (_, message) = rest.split_once("): ")?;
    Some(message.trim().to_owned())
}
