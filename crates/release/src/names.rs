//! Names of releases.

use crate::ReleaseError;

/// Longest name of a release (Helm `ValidateReleaseName`).
const LENGTH_MAX: usize = 53;

/// Checks the name of a release.
///
/// # Errors
/// Says what a name is made of.
pub fn check_name(name: &str) -> Result<(), ReleaseError> {
    let refuse = |why: &str| {
        Err(ReleaseError::Invalid(format!(
            "release name {name:?}: {why}"
        )))
    };
    if name.is_empty() {
        return refuse("no name provided");
    }
    if name.len() > LENGTH_MAX || !name.split('.').all(is_label) {
        return refuse(
            "invalid release name, must match regex ^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$ and the length must not be longer than 53",
        );
    }
    Ok(())
}

fn is_label(label: &str) -> bool {
    let ends = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    label.starts_with(ends) && label.ends_with(ends) && label.chars().all(|c| ends(c) || c == '-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_names_of_hosts() {
        let check = |name: &str, fits: bool| assert_eq!(check_name(name).is_ok(), fits, "{name}");
        check("todo", true);
        check("todo-1.web", true);
        check("", false);
        check("Todo", false);
        check("-todo", false);
        check("todo_app", false);
        check(&"a".repeat(54), false);
    }
}
