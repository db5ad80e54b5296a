//! Who asks for a certificate is said by the server, not by who asks.

use serde_json::{Value, json};

use crate::context::Context;

/// Writes the user of the request into a new signing request.
pub fn name_requester(context: &Context, object: &mut Value) {
    let user = &context.user;
    let Some(spec) = object["spec"].as_object_mut() else {
        return;
    };
    for name in ["username", "uid", "groups", "extra"] {
        spec.shift_remove(name);
    }
    spec.insert("username".to_owned(), json!(user.user));
    if !user.uid.is_empty() {
        spec.insert("uid".to_owned(), json!(user.uid));
    }
    spec.insert("groups".to_owned(), json!(user.groups));
    if !user.extra.is_empty() {
        spec.insert("extra".to_owned(), json!(user.extra));
    }
}
