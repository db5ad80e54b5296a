//! `.dockerignore`: which files of a context a build does not see.
//!
//! Docker's rules: patterns are tried in order, the last that matches a path
//! or one of its parents decides, `!` brings back.

use super::glob::Pattern;

/// The rules of a `.dockerignore`.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ignore {
    rules: Vec<Rule>,
}

#[derive(Debug, Clone)]
struct Rule {
    pattern: Pattern,
    brings_back: bool,
}

impl Ignore {
    /// Reads the rules; errors carry the line and the reason.
    pub(crate) fn parse(text: &str) -> Result<Self, (u32, String)> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut rules = Vec::new();
        for (index, line) in text.lines().enumerate() {
            if line.starts_with('#') {
                continue;
            }
            let rule = rule(line.trim()).map_err(|reason| (index as u32 + 1, reason))?;
            rules.extend(rule);
        }
        Ok(Self { rules })
    }

    /// Returns whether a path (relative, slashes) is left out.
    pub(crate) fn excludes(&self, path: &str) -> bool {
        let mut excluded = false;
        for rule in &self.rules {
            // A rule that would change nothing need not be tried.
            if rule.brings_back == excluded && rule.matches_path_or_parent(path) {
                excluded = !rule.brings_back;
            }
        }
        excluded
    }

    /// Returns whether something below an excluded directory may come back.
    pub(crate) fn may_bring_back(&self) -> bool {
        self.rules.iter().any(|rule| rule.brings_back)
    }
}

impl Rule {
    fn matches_path_or_parent(&self, path: &str) -> bool {
        let ends = path.match_indices('/').map(|(end, _)| end);
        let mut prefixes = ends.chain([path.len()]).map(|end| &path[..end]);
        prefixes.any(|prefix| self.pattern.matches(prefix))
    }
}

fn rule(line: &str) -> Result<Option<Rule>, String> {
    let (brings_back, line) = match line.strip_prefix('!') {
        Some(rest) => (true, rest.trim()),
        None => (false, line),
    };
    if line.is_empty() {
        return match brings_back {
            true => Err("\"!\" needs a pattern".to_owned()),
            false => Ok(None),
        };
    }
    let mut parts: Vec<&str> = Vec::new();
    for part in line.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    if parts.is_empty() {
        return Ok(None);
    }
    let pattern = Pattern::path(&parts.join("/"))?;
    Ok(Some(Rule {
        pattern,
        brings_back,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_rule_that_matches_decides() {
        let ignore = Ignore::parse(
            "# comment\n\n*.log\n/target/\nnode_modules\n**/.git\n*.md\n!README*.md\nREADME-secret.md\ndocs\n!docs/keep\n",
        )
        .expect("valid");
        let check = |path: &str, expected: bool| {
            assert_eq!(ignore.excludes(path), expected, "{path}");
        };
        check("a.log", true);
        check("sub/a.log", false);
        check("target", true);
        check("target/debug/x", true);
        check("node_modules/x", true);
        check("sub/node_modules", false);
        check(".git", true);
        check("sub/.git/config", true);
        check("notes.md", true);
        check("README.md", false);
        check("README-secret.md", true);
        check("docs/x", true);
        check("docs/keep", false);
        check("docs/keep/more", false);
        check("src/main.rs", false);
        assert!(ignore.may_bring_back());
    }

    #[test]
    fn everything_but_one_folder() {
        let ignore = Ignore::parse("*\n!dist\n").expect("valid");
        assert!(ignore.excludes("src") && !ignore.excludes("dist") && !ignore.excludes("dist/a"));
    }

    #[test]
    fn a_broken_rule_names_its_line() {
        assert_eq!(Ignore::parse("ok\n!\n").expect_err("broken").0, 2);
        assert_eq!(Ignore::parse("[\n").expect_err("broken").0, 1);
    }
}
