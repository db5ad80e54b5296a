//! Sprig's questions about types.

use super::{A, Functions, S, s};
use crate::value::Value;

pub(super) fn register(table: &mut Functions) {
    table.add("typeOf", &[A], |_, args| Ok(args[0].type_name().into()));
    table.add("typeIs", &[S, A], |_, args| {
        Ok(Value::Bool(s(&args[0]) == args[1].type_name().as_bytes()))
    });
    table.add("typeIsLike", &[S, A], |_, args| {
        let name = args[1].type_name();
        let wanted = s(&args[0]);
        let pointer = name
            .strip_prefix('*')
            .is_some_and(|name| name.as_bytes() == wanted);
        Ok(Value::Bool(wanted == name.as_bytes() || pointer))
    });
    table.add("kindOf", &[A], |_, args| Ok(args[0].kind().name().into()));
    table.add("kindIs", &[S, A], |_, args| {
        Ok(Value::Bool(s(&args[0]) == args[1].kind().name().as_bytes()))
    });
    table.add("deepEqual", &[A, A], |_, args| {
        Ok(args[0].deep_equal(&args[1]).into())
    });
}
