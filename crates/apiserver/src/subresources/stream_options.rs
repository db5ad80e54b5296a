//! The parameters of logs and port-forwards, judged before the pod is looked
//! at (`PodLogOptions` and `PodPortForwardOptions` upstream).

use jiff::Timestamp;

use crate::context::Context;
use crate::options::cause;
use crate::request::Query;
use crate::status::{ApiError, ApiResult, Cause};
use crate::verbs::list::number;

/// Judges the parameters of a stream.
///
/// # Errors
/// 400 for a text that is no number or time, 422 for a value out of range.
pub fn check(context: &Context, stream: &str) -> ApiResult<()> {
    match stream {
        "log" => log(context),
        "portforward" => ports(&context.query),
        _ => Ok(()),
    }
}

fn log(context: &Context) -> ApiResult<()> {
    let query = &context.query;
    let mut causes = Vec::new();
    at_least(query, "tailLines", 0, &mut causes)?;
    at_least(query, "limitBytes", 1, &mut causes)?;
    let time = query.text("sinceTime");
    if !time.is_empty() && time.parse::<Timestamp>().is_err() {
        return Err(ApiError::bad_request(format!(
            "parsing time {time:?} as \"2006-01-02T15:04:05Z07:00\": cannot parse {time:?} as \"2006\""
        )));
    }
    if time.is_empty() {
        at_least(query, "sinceSeconds", 1, &mut causes)?;
    } else if given(query, "sinceSeconds") {
        let message = "Forbidden: at most one of `sinceTime` or `sinceSeconds` may be specified";
        causes.push(cause("FieldValueForbidden", "[]", message.to_owned()));
    }
    if given(query, "stream") {
        // Streams apart are behind a feature gate that is off in 1.36.
        let message = "Forbidden: may not be specified".to_owned();
        causes.push(cause("FieldValueForbidden", "stream", message));
    }
    match causes.is_empty() {
        true => Ok(()),
        false => Err(ApiError::invalid(
            "",
            "PodLogOptions",
            context.name(),
            causes,
        )),
    }
}

fn given(query: &Query, name: &str) -> bool {
    query.get(name).is_some_and(|text| !text.is_empty())
}

fn at_least(query: &Query, name: &str, least: i64, causes: &mut Vec<Cause>) -> ApiResult<()> {
    let text = query.text(name);
    let value = number(text)?;
    if !text.is_empty() && value < least {
        let rule = match least {
            0 => "must be greater than or equal to 0",
            _ => "must be greater than 0",
        };
        let message = format!("Invalid value: {value}: {rule}");
        causes.push(cause("FieldValueInvalid", name, message));
    }
    Ok(())
}

fn ports(query: &Query) -> ApiResult<()> {
    let mut texts = query.all("ports").flat_map(|text| text.split(','));
    match texts.find(|text| !text.is_empty() && text.parse::<u16>().is_err()) {
        None => Ok(()),
        Some(text) => Err(ApiError::bad_request(format!(
            "cannot convert to []int32: strconv.ParseUint: parsing {text:?}: invalid syntax"
        ))),
    }
}
