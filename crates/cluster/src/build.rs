//! Which build this is: its version and the format of the folders it writes.
//!
//! Both stand in one line of text inside the executable, from where they are
//! read when they are needed. So a file can be asked without running it
//! (`grep -a -o 'CORACLE-BUILD [^;]*;' coracle`), and a copy that says another
//! version there is a build of that version in all that it does.

use std::sync::OnceLock;

/// Length of the line, with the blanks at its end.
const LENGTH: usize = 80;

/// The line. The format is that of the layout in [`crate::home`].
static LINE: [u8; LENGTH] = padded(concat!(
    "CORACLE-BUILD version=",
    env!("CARGO_PKG_VERSION"),
    " format=2;"
));

const fn padded(text: &str) -> [u8; LENGTH] {
    let bytes = text.as_bytes();
    let mut line = [b' '; LENGTH];
    let mut at = 0;
    while at < bytes.len() {
        line[at] = bytes[at];
        at += 1;
    }
    line
}

#[derive(Debug, PartialEq, Eq)]
struct Build {
    version: String,
    format: u32,
}

/// Returns the version of this build.
pub fn version() -> &'static str {
    &build().version
}

/// Returns the newest format of a cluster's folder that this build knows.
pub fn format() -> u32 {
    build().format
}

fn build() -> &'static Build {
    static BUILD: OnceLock<Build> = OnceLock::new();
    // What the compiler knows of the line must not be taken for what the
    // executable says.
    BUILD.get_or_init(|| parse(std::hint::black_box(&LINE)).expect("the line is well formed"))
}

fn parse(line: &[u8]) -> Option<Build> {
    let text = std::str::from_utf8(line).ok()?.trim_end();
    let text = text.strip_prefix("CORACLE-BUILD ")?.strip_suffix(';')?;
    let (version, format) = text.split_once(' ')?;
    Some(Build {
        version: version.strip_prefix("version=")?.to_owned(),
        format: format.strip_prefix("format=")?.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_says_what_cargo_says() {
        assert_eq!(version(), env!("CARGO_PKG_VERSION"));
        assert!(format() >= 1);
    }

    #[test]
    fn another_line_is_another_build() {
        let check = |line: &str, expected: Option<(&str, u32)>| {
            let found = parse(&padded(line));
            let found = found
                .as_ref()
                .map(|build| (build.version.as_str(), build.format));
            assert_eq!(found, expected, "{line}");
        };
        check("CORACLE-BUILD version=0.0.9 format=1;", Some(("0.0.9", 1)));
        check(
            "CORACLE-BUILD version=1.0.0-rc.1 format=12;",
            Some(("1.0.0-rc.1", 12)),
        );
        check("CORACLE-BUILD version=0.0.9;", None);
        check("", None);
    }
}
