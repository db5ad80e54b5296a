//! Groups of schemas that `boon` leaves out of its tree of errors when one
//! schema of them alone has failed. The Go library always names them.
//!
//! Main function: [`groups`].

/// An `allOf`, `anyOf` or `oneOf` on the way to an error.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Group<'l> {
    /// The keyword.
    pub(crate) keyword: &'static str,
    /// The value that it judges, as a JSON pointer.
    pub(crate) location: &'l str,
}

/// Returns the groups between the schema at `around` and the one at `url`, in
/// which an error was found at `location`; from the outside in.
pub(crate) fn groups<'l>(around: &str, url: &str, location: &'l str) -> Vec<Group<'l>> {
    let Some(way) = url.strip_prefix(around.trim_end_matches('/')) else {
        return Vec::new();
    };
    let steps = steps(way);
    let mut rest: usize = steps.iter().map(|step| usize::from(step.enters)).sum();
    let mut found = Vec::new();
    for step in &steps {
        rest -= usize::from(step.enters);
        if let Some(keyword) = step.group {
            let location = before(location, rest);
            found.push(Group { keyword, location });
        }
    }
    found
}

/// The location of the group's member in which a cause lies: `around` if it is
/// no group's.
pub(crate) fn member<'u>(around: &'u str, group: &str, url: &'u str) -> &'u str {
    let Some(way) = url.strip_prefix(around).filter(|_| !group.is_empty()) else {
        return around;
    };
    match way.strip_prefix(group) {
        Some(rest) => {
            let number = rest.split('/').next().unwrap_or_default();
            &url[..around.len() + group.len() + number.len()]
        }
        None => around,
    }
}

/// A keyword on the way.
struct Step {
    group: Option<&'static str>,
    /// Whether it leads to a part of the value.
    enters: bool,
}

fn steps(way: &str) -> Vec<Step> {
    let mut tokens = way.split('/').filter(|token| !token.is_empty()).peekable();
    let mut steps = Vec::new();
    while let Some(token) = tokens.next() {
        let group = match token {
            "allOf" => Some("allOf"),
            "anyOf" => Some("anyOf"),
            "oneOf" => Some("oneOf"),
            _ => None,
        };
        let enters = matches!(
            token,
            "properties"
                | "patternProperties"
                | "additionalProperties"
                | "unevaluatedProperties"
                | "items"
                | "prefixItems"
                | "additionalItems"
                | "unevaluatedItems"
                | "contains"
        );
        let is_named = matches!(
            token,
            "properties" | "patternProperties" | "dependentSchemas" | "dependencies"
        );
        let is_number =
            |token: &&str| !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_digit());
        if is_named || tokens.peek().is_some_and(is_number) {
            tokens.next();
        }
        steps.push(Step { group, enters });
    }
    steps
}

/// A pointer without its last `count` parts.
fn before(location: &str, count: usize) -> &str {
    (0..count).fold(location, |here, _| {
        here.rfind('/').map_or("", |at| &here[..at])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_on_the_way() {
        let check = |around: &str, url: &str, location: &str, expected: &[(&str, &str)]| {
            let found = groups(around, url, location);
            let found: Vec<(&str, &str)> = found
                .iter()
                .map(|group| (group.keyword, group.location))
                .collect();
            assert_eq!(found, expected, "{url}");
        };
        check("f#", "f#/properties/a", "/a", &[]);
        check("f#", "f#/allOf/0", "", &[("allOf", "")]);
        check(
            "f#",
            "f#/properties/a/allOf/1/items/anyOf/0",
            "/a/3",
            &[("allOf", "/a"), ("anyOf", "/a/3")],
        );
        check("f#/allOf/0", "f#/allOf/0", "", &[]);
        check("f#", "g#/allOf/0", "", &[]);
        check("f#", "f#/properties/allOf", "/allOf", &[]);
    }
}
