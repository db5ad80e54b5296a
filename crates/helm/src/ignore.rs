//! `.helmignore`: which files are no part of a chart.
//!
//! Main type: [`Rules`]. Not gitignore: no `**`, and `filepath.Match`
//! patterns. Reference: `pkg/ignore/rules.go` of Helm.

/// The rules of a file.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    patterns: Vec<Pattern>,
}

#[derive(Clone, Debug)]
struct Pattern {
    shape: Shape,
    negate: bool,
    only_folders: bool,
    /// Whether the whole path is compared, or the last part alone.
    whole: bool,
}

/// What a pattern looks like; most are a name or an ending.
#[derive(Clone, Debug)]
enum Shape {
    Name(String),
    /// `*` and an ending.
    Ending(String),
    Glob(Vec<char>),
}

impl Shape {
    fn of(glob: &str) -> Shape {
        let is_plain = |text: &str| !text.contains(['*', '?', '[', '\\']);
        match glob.strip_prefix('*') {
            Some(ending) if is_plain(ending) => Shape::Ending(ending.to_owned()),
            _ if is_plain(glob) => Shape::Name(glob.to_owned()),
            _ => Shape::Glob(glob.chars().collect()),
        }
    }
}

impl Rules {
    /// Reads rules and adds Helm's own: dot files in `templates/`.
    ///
    /// # Errors
    ///
    /// In Helm's words.
    pub fn parse(text: &[u8]) -> Result<Rules, String> {
        let text = String::from_utf8_lossy(text.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(text));
        let mut rules = Rules::default();
        for line in text.lines().chain(["templates/.?*"]) {
            rules.add(line.trim())?;
        }
        Ok(rules)
    }

    fn add(&mut self, line: &str) -> Result<(), String> {
        if line.is_empty() || line.starts_with('#') {
            return Ok(());
        }
        if line.contains("**") {
            return Err("double-star (**) syntax is not supported".into());
        }
        if matches(line, "abc").is_none() {
            return Err("syntax error in pattern".into());
        }
        let (negate, rule) = match line.strip_prefix('!') {
            Some(rule) => (true, rule),
            None => (false, line),
        };
        let (only_folders, rule) = match rule.strip_suffix('/') {
            Some(rule) => (true, rule),
            None => (false, rule),
        };
        let whole = rule.contains('/');
        let glob = rule.strip_prefix('/').unwrap_or(rule);
        self.patterns.push(Pattern {
            shape: Shape::of(glob),
            negate,
            only_folders,
            whole,
        });
        Ok(())
    }

    /// Whether the file, or a folder that holds it, is ignored.
    pub fn ignores(&self, path: &str) -> bool {
        if self.patterns.is_empty() {
            return false;
        }
        let folders = path.match_indices('/').map(|(at, _)| &path[..at]);
        for folder in folders {
            if self.ignores_entry(folder, true) {
                return true;
            }
        }
        self.ignores_entry(path, false)
    }

    /// Whether the folder itself is ignored, whatever is around it.
    pub fn ignores_folder(&self, path: &str) -> bool {
        self.ignores_entry(path, true)
    }

    fn ignores_entry(&self, path: &str, is_folder: bool) -> bool {
        for pattern in &self.patterns {
            let found = pattern.matches(path);
            if pattern.negate {
                if (pattern.only_folders && !is_folder) || !found {
                    return true;
                }
            } else if found && (is_folder || !pattern.only_folders) {
                return true;
            }
        }
        false
    }
}

impl Pattern {
    fn matches(&self, path: &str) -> bool {
        let subject = if self.whole {
            path
        } else {
            path.rsplit('/').next().unwrap_or(path)
        };
        match &self.shape {
            Shape::Name(name) => name == subject,
            Shape::Ending(ending) => subject
                .strip_suffix(ending.as_str())
                .is_some_and(|start| !start.contains('/')),
            Shape::Glob(glob) => {
                let name: Vec<char> = subject.chars().collect();
                match_here(glob, &name)
            }
        }
    }
}

/// Go's `filepath.Match`; `None` is a bad pattern.
pub fn matches(pattern: &str, name: &str) -> Option<bool> {
    let pattern: Vec<char> = pattern.chars().collect();
    let name: Vec<char> = name.chars().collect();
    check(&pattern)?;
    Some(match_here(&pattern, &name))
}

/// Walks the pattern once, so that a bad one is refused whatever the name.
fn check(pattern: &[char]) -> Option<()> {
    let mut at = 0;
    while at < pattern.len() {
        match pattern[at] {
            '\\' => at += 2,
            '[' => at += class(&pattern[at..], 'x')?.1,
            _ => at += 1,
        }
    }
    (at == pattern.len()).then_some(())
}

/// Matches one character against a class; returns the length of the class.
fn class(pattern: &[char], c: char) -> Option<(bool, usize)> {
    let mut at = 1;
    let negated = pattern.get(at) == Some(&'^');
    at += usize::from(negated);
    let (mut found, mut count) = (false, 0);
    loop {
        if pattern.get(at) == Some(&']') && count > 0 {
            return Some((found != negated, at + 1));
        }
        let (low, next) = class_char(pattern, at)?;
        at = next;
        let mut high = low;
        if pattern.get(at) == Some(&'-') {
            (high, at) = class_char(pattern, at + 1)?;
        }
        found |= low <= c && c <= high;
        count += 1;
    }
}

fn class_char(pattern: &[char], at: usize) -> Option<(char, usize)> {
    match pattern.get(at)? {
        '-' | ']' => None,
        '\\' => Some((*pattern.get(at + 1)?, at + 2)),
        c => Some((*c, at + 1)),
    }
}

fn match_here(pattern: &[char], name: &[char]) -> bool {
    let (mut p, mut n) = (0, 0);
    // Where to go on after a `*`: the pattern behind it, the name eaten by it.
    let mut star: Option<(usize, usize)> = None;
    loop {
        let stepped = match pattern.get(p) {
            None if n == name.len() => return true,
            None => false,
            Some('*') => {
                star = Some((p + 1, n));
                p += 1;
                continue;
            }
            Some(_) if n == name.len() => false,
            Some('?') => {
                let ok = name[n] != '/';
                p += 1;
                ok
            }
            Some('[') => match class(&pattern[p..], name[n]) {
                Some((ok, len)) => {
                    p += len;
                    ok && name[n] != '/'
                }
                None => false,
            },
            Some('\\') => {
                let ok = pattern.get(p + 1) == Some(&name[n]);
                p += 2;
                ok
            }
            Some(c) => {
                let ok = *c == name[n];
                p += 1;
                ok
            }
        };
        if stepped {
            n += 1;
            continue;
        }
        match star {
            Some((after, eaten)) if eaten < name.len() && name[eaten] != '/' => {
                star = Some((after, eaten + 1));
                p = after;
                n = eaten + 1;
            }
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs() {
        let check = |pattern: &str, name: &str, expected: Option<bool>| {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        };
        check("*.txt", "a.txt", Some(true));
        check("*.txt", "a/b.txt", Some(false));
        check("a*b*c", "aXbYc", Some(true));
        check("[a-c]?", "bz", Some(true));
        check("[^a-c]", "b", Some(false));
        check("[", "a", None);
        check("a\\*", "a*", Some(true));
        check("*", "", Some(true));
    }

    #[test]
    fn rules() {
        let rules = Rules::parse(b"# comment\n*.bak\n/top.txt\nci/\ndocs/*.md\n").expect("parses");
        let check =
            |path: &str, expected: bool| assert_eq!(rules.ignores(path), expected, "{path}");
        check("a/b.bak", true);
        check("top.txt", true);
        check("a/top.txt", false);
        check("ci/values.yaml", true);
        check("ci", false);
        check("docs/a.md", true);
        check("x/docs/a.md", false);
        check("templates/.hidden", true);
        check("values.yaml", false);
        assert!(Rules::parse(b"a/**/b").is_err());
    }
}
