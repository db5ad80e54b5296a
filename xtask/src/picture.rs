//! `cargo xtask picture`: the picture of the README, `docs/up.svg`: what the
//! commands really print on a terminal, drawn as text. Nothing in it is typed
//! by hand but the commands.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, bail};

/// Commands that are shown, and those that clean up.
const SHOWN: [&str; 2] = ["coracle up", "coracle status"];

/// Sizes in pixels of a character and of the frame around the text.
const WIDTH: f64 = 7.83;
const HEIGHT: f64 = 17.0;
const MARGIN: f64 = 16.0;

/// Columns of the terminal.
const COLUMNS: usize = 104;

/// Runs the commands in a network namespace of their own and draws them.
pub fn run(arguments: &[String]) -> anyhow::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .context("xtask stands in the repository")?;
    let program = match arguments.first() {
        Some(path) => fs::canonicalize(path)?,
        None => super::dist::build(root)?,
    };
    let home = std::env::temp_dir().join(format!("coracle-picture-{}", std::process::id()));
    fs::create_dir_all(home.join("bin"))?;
    std::os::unix::fs::symlink(&program, home.join("bin/coracle"))?;
    // A project elsewhere, such as one whose programs are compiled already.
    let folder = arguments.get(1).map_or(root, Path::new);
    let lines = shown(folder, &home);
    fs::remove_dir_all(&home)?;
    let path = root.join("docs/up.svg");
    fs::write(&path, draw(&lines?))?;
    println!("{}", path.display());
    Ok(())
}

/// Runs what is shown on a terminal (script(1)) and returns the lines.
fn shown(folder: &Path, home: &Path) -> anyhow::Result<Vec<Line>> {
    let mut script = format!(
        "ip link set lo up; stty cols {COLUMNS} rows 60; export CORACLE_HOME={home}/home KUBECONFIG={home}/kubeconfig PATH={home}/bin:$PATH; ",
        home = home.display()
    );
    for command in SHOWN {
        // A terminal that cannot move its cursor gets the lines as they are.
        let _ = write!(script, "echo '$ {command}'; {command} --no-progress; ");
    }
    script.push_str("echo '$ '; coracle delete --quiet");
    let output = Command::new("unshare")
        .args([
            "--net",
            "script",
            "--quiet",
            "--return",
            "--command",
            &script,
            "/dev/null",
        ])
        .current_dir(folder)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .context("unshare and script are parts of util-linux")?;
    if !output.status.success() {
        bail!("{}", String::from_utf8_lossy(&output.stdout));
    }
    Ok(read(&String::from_utf8_lossy(&output.stdout)))
}

/// Pieces of text with their colour.
type Line = Vec<(Colour, String)>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Colour {
    Plain,
    Dim,
    Red,
    Green,
    Yellow,
    Blue,
}

impl Colour {
    fn hex(self) -> &'static str {
        match self {
            Colour::Plain => "#d8dee9",
            Colour::Dim => "#7b8698",
            Colour::Red => "#e06c75",
            Colour::Green => "#8fc77c",
            Colour::Yellow => "#e5c07b",
            Colour::Blue => "#6cb6ff",
        }
    }

    /// Returns the colour after a sequence "select graphic rendition"
    /// (ECMA-48, 8.3.117).
    fn after(self, parameters: &str) -> Colour {
        parameters.split(';').fold(self, |colour, code| match code {
            "" | "0" | "39" | "22" => Colour::Plain,
            "2" | "90" => Colour::Dim,
            "31" | "91" => Colour::Red,
            "32" | "92" => Colour::Green,
            "33" | "93" => Colour::Yellow,
            "34" | "36" | "94" | "96" => Colour::Blue,
            _ => colour,
        })
    }
}

/// Reads what a terminal got: text, colours; other sequences are left out.
fn read(text: &str) -> Vec<Line> {
    let mut lines = vec![Line::new()];
    let mut colour = Colour::Plain;
    let mut rest = text;
    while let Some(character) = rest.chars().next() {
        rest = &rest[character.len_utf8()..];
        match character {
            '\n' => lines.push(Line::new()),
            '\x1b' => {
                let sequence = rest.strip_prefix('[').unwrap_or(rest);
                let end = sequence
                    .find(|c: char| c.is_ascii_alphabetic())
                    .unwrap_or(sequence.len());
                if sequence[end..].starts_with('m') {
                    colour = colour.after(&sequence[..end]);
                }
                rest = sequence.get(end + 1..).unwrap_or_default();
            }
            c if c.is_control() => {}
            c => push(&mut lines, colour, c),
        }
    }
    while lines.last().is_some_and(Vec::is_empty) {
        lines.pop();
    }
    lines
}

fn push(lines: &mut [Line], colour: Colour, character: char) {
    let Some(line) = lines.last_mut() else {
        return;
    };
    match line.last_mut() {
        Some((last, text)) if *last == colour => text.push(character),
        _ => line.push((colour, character.to_string())),
    }
}

fn draw(lines: &[Line]) -> String {
    let length = |line: &Line| line.iter().map(|(_, text)| text.chars().count()).sum();
    let columns: usize = lines.iter().map(length).max().unwrap_or(0);
    let width = columns as f64 * WIDTH + 2.0 * MARGIN;
    let height = lines.len() as f64 * HEIGHT + 2.0 * MARGIN;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width:.0}\" height=\"{height:.0}\" \
         viewBox=\"0 0 {width:.0} {height:.0}\" role=\"img\" aria-label=\"What coracle up and coracle status print\">\n\
         <rect width=\"100%\" height=\"100%\" rx=\"8\" fill=\"#1b2029\"/>\n\
         <g font-family=\"ui-monospace, SFMono-Regular, Menlo, Consolas, DejaVu Sans Mono, monospace\" font-size=\"13\">\n"
    );
    for (number, line) in lines.iter().enumerate() {
        let mut column = 0;
        for (colour, text) in line {
            let count = text.chars().count();
            let is_command = text.starts_with("$ ");
            let _ = writeln!(
                svg,
                "<text xml:space=\"preserve\" x=\"{:.1}\" y=\"{:.0}\" textLength=\"{:.1}\" fill=\"{}\"{}>{}</text>",
                MARGIN + column as f64 * WIDTH,
                MARGIN + (number as f64 + 0.75) * HEIGHT,
                count as f64 * WIDTH,
                colour.hex(),
                if is_command {
                    " font-weight=\"bold\""
                } else {
                    ""
                },
                escaped(text),
            );
            column += count;
        }
    }
    svg.push_str("</g>\n</svg>\n");
    svg
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_read_and_other_sequences_left_out() {
        let lines = read("\x1b[32m✓\x1b[0m Build\r\n\x1b[2K\x1b[1;31mno\x1b[0m\r\n\r\n");
        assert_eq!(
            lines,
            [
                vec![
                    (Colour::Green, "✓".to_owned()),
                    (Colour::Plain, " Build".to_owned())
                ],
                vec![(Colour::Red, "no".to_owned())],
            ]
        );
    }

    #[test]
    fn text_is_escaped() {
        let svg = draw(&read("a < b & c\n"));
        assert!(svg.contains("a &lt; b &amp; c"), "{svg}");
    }
}
