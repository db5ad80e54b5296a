//! Go's `path` functions; the `os…` ones are the same on Linux.

use super::{Functions, S, text};

pub(super) fn register(table: &mut Functions) {
    for name in ["base", "osBase"] {
        table.add(name, &[S], |_, args| Ok(base(&text(&args[0])).into()));
    }
    for name in ["dir", "osDir"] {
        table.add(name, &[S], |_, args| {
            let path = text(&args[0]);
            let end = path.rfind('/').map_or(0, |at| at + 1);
            Ok(clean(&path[..end]).into())
        });
    }
    for name in ["clean", "osClean"] {
        table.add(name, &[S], |_, args| Ok(clean(&text(&args[0])).into()));
    }
    for name in ["ext", "osExt"] {
        table.add(name, &[S], |_, args| Ok(ext(&text(&args[0])).into()));
    }
    for name in ["isAbs", "osIsAbs"] {
        table.add(name, &[S], |_, args| {
            Ok(text(&args[0]).starts_with('/').into())
        });
    }
}

/// Go's `path.Base`.
pub fn base(path: &str) -> &str {
    if path.is_empty() {
        return ".";
    }
    let trimmed = path.trim_end_matches('/');
    match trimmed.rsplit('/').next() {
        Some("") | None => "/",
        Some(name) => name,
    }
}

fn ext(path: &str) -> &str {
    let name = &path[path.rfind('/').map_or(0, |at| at + 1)..];
    name.rfind('.').map_or("", |at| &name[at..])
}

/// Go's `path.Clean`.
pub fn clean(path: &str) -> String {
    let rooted = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                if parts.last().is_some_and(|last| *last != "..") {
                    parts.pop();
                } else if !rooted {
                    parts.push("..");
                }
            }
            name => parts.push(name),
        }
    }
    let joined = parts.join("/");
    match (rooted, joined.is_empty()) {
        (true, _) => format!("/{joined}"),
        (false, true) => ".".into(),
        (false, false) => joined,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths() {
        assert_eq!(base("/a/b/"), "b");
        assert_eq!(base(""), ".");
        assert_eq!(base("///"), "/");
        assert_eq!(clean("a/../../b/./c//d"), "../b/c/d");
        assert_eq!(clean("/../a"), "/a");
        assert_eq!(clean(""), ".");
        assert_eq!(ext("a.b/c.tar.gz"), ".gz");
        assert_eq!(ext("a.b/c"), "");
    }
}
