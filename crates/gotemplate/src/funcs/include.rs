//! Helm's functions that reach into the executor: `include`, `tpl`,
//! `required`, `fail`, `lookup`.
//!
//! Reference: `pkg/engine/engine.go` of Helm.

use super::{A, Answer, Functions, S, s, text};
use crate::error::{Detail, Error};
use crate::exec::Executor;
use crate::set::Set;
use crate::strconv::quote;
use crate::value::Value;
use std::rc::Rc;

/// How often one template may be under `include` at once.
const RECURSION_MAX: usize = 1000;

/// Helm puts messages of `fail` and `required` between these marks, to cut
/// them out of the error text again.
pub const WARN_START: &str = "HELM_ERR_START";
/// The closing mark.
pub const WARN_END: &str = "HELM_ERR_END";

/// The name that all templates of a chart share as their root.
const ROOT: &str = "gotpl";

pub(super) fn register(table: &mut Functions) {
    table.add("include", &[S, A], |exec, args| {
        include(exec, &args[0], &args[1])
    });
    table.add("tpl", &[S, A], |exec, args| tpl(exec, &args[0], &args[1]));
    table.add("required", &[S, A], |exec, args| {
        required(exec, &args[0], &args[1])
    });
    table.add("fail", &[S], |exec, args| {
        if exec.host.lint_mode() {
            return Ok("".into());
        }
        Err(refusal(&args[0]))
    });
    table.add("lookup", &[S, S, S, S], |exec, args| {
        let [api, kind, namespace, name] = [0, 1, 2, 3].map(|at| text(&args[at]).into_owned());
        exec.host
            .lookup(&api, &kind, &namespace, &name)
            .map_err(Error::message)
    });
    table.add("getHostByName", &[S], |_, _| Ok("".into()));
}

fn refusal(message: &Value) -> Error {
    let message = text(message).into_owned();
    Error::message(format!("{WARN_START}{message}{WARN_END}")).with_detail(Detail::Refused(message))
}

fn required(exec: &mut Executor<'_>, message: &Value, value: &Value) -> Answer {
    let missing = match value {
        Value::Nil => true,
        Value::Str(text) => text.is_empty(),
        _ => false,
    };
    match (missing, exec.host.lint_mode()) {
        (false, _) => Ok(value.clone()),
        (true, true) => Ok("".into()),
        (true, false) => Err(refusal(message)),
    }
}

fn include(exec: &mut Executor<'_>, name: &Value, data: &Value) -> Answer {
    let key = name.as_str().cloned().unwrap_or_else(|| "".into());
    let count = exec.includes.entry(key.clone()).or_insert(0);
    if *count > RECURSION_MAX {
        let text = format!(
            "rendering template has a nested reference name: {}: unable to execute template",
            key.to_text()
        );
        return Err(Error::wrap(
            "",
            Error {
                text,
                source: Some(Box::new(Error::message("unable to execute template"))),
                frame: None,
                detail: Some(Box::new(Detail::Limit)),
            },
        ));
    }
    *count += 1;
    let result = exec.execute_template(&text(name), data.clone());
    if let Some(count) = exec.includes.get_mut(&key) {
        *count -= 1;
    }
    match result {
        Ok(written) => Ok(written.into()),
        Err(error) => Err(*error),
    }
}

fn tpl(exec: &mut Executor<'_>, template: &Value, data: &Value) -> Answer {
    let source = s(template);
    if memchr::memmem::find(source, b"{{").is_none() {
        return Ok(without_no_value(source.to_vec()).into());
    }
    let quoted = || String::from_utf8_lossy(&quote(source, false)).into_owned();
    let set = Rc::new(Set::above(exec.set.clone()));
    let tree = match set.parse(ROOT, source, exec.functions) {
        Ok(tree) => tree,
        Err(error) => {
            let prefix = format!("cannot parse template {}: ", quoted());
            return Err(Error::wrap(prefix, Error::message(error.to_string())));
        }
    };
    let outer = std::mem::replace(&mut exec.set, set);
    let result = exec.execute(&tree, data.clone());
    exec.set = outer;
    match result {
        Ok(written) => Ok(without_no_value(written).into()),
        Err(error) => {
            let prefix = format!("error during tpl function execution for {}: ", quoted());
            Err(Error::wrap(prefix, *error))
        }
    }
}

/// Helm removes Go's text for absent values from everything it renders.
pub fn without_no_value(mut bytes: Vec<u8>) -> Vec<u8> {
    const NO_VALUE: &[u8] = b"<no value>";
    if memchr::memmem::find(&bytes, NO_VALUE).is_none() {
        return bytes;
    }
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = bytes.as_slice();
    while let Some(at) = memchr::memmem::find(rest, NO_VALUE) {
        out.extend(&rest[..at]);
        rest = &rest[at + NO_VALUE.len()..];
    }
    out.extend(rest);
    bytes = out;
    bytes
}
