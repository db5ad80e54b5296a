//! Colour, where a person looks on: on a terminal, and not with `NO_COLOR`
//! (no-color.org). Nothing is said by colour alone.

use std::io::IsTerminal;
use std::sync::LazyLock;

/// A colour of the terminal's own palette.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Colour {
    /// Something failed.
    Red,
    /// Something went well.
    Green,
    /// Something deserves a look.
    Yellow,
    /// Something secondary.
    Dim,
    /// A title.
    Bold,
    /// One of the colours that tell speakers apart.
    Speaker(usize),
}

/// Colours that tell speakers apart; red is kept for failures.
const SPEAKERS: [&str; 10] = ["36", "33", "32", "35", "34", "96", "93", "92", "95", "94"];

/// Where a text goes.
#[derive(Debug, Clone, Copy)]
pub enum Stream {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
}

static OUT: LazyLock<bool> = LazyLock::new(|| wanted() && std::io::stdout().is_terminal());
static ERR: LazyLock<bool> = LazyLock::new(|| wanted() && std::io::stderr().is_terminal());

fn wanted() -> bool {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    set("NO_COLOR").is_none() && set("TERM").is_none_or(|term| term != "dumb")
}

/// Returns `text` in a colour, where `stream` shows colours.
pub fn paint(stream: Stream, colour: Colour, text: &str) -> String {
    let shown = match stream {
        Stream::Out => *OUT,
        Stream::Err => *ERR,
    };
    if shown {
        coloured(colour, text)
    } else {
        text.to_owned()
    }
}

/// Returns `text` in a colour (ECMA-48, select graphic rendition).
fn coloured(colour: Colour, text: &str) -> String {
    let code = match colour {
        Colour::Red => "31",
        Colour::Green => "32",
        Colour::Yellow => "33",
        Colour::Dim => "2",
        Colour::Bold => "1",
        Colour::Speaker(number) => SPEAKERS[number % SPEAKERS.len()],
    };
    format!("\x1b[{code}m{text}\x1b[0m")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speakers_never_run_out_of_colours() {
        assert_eq!(coloured(Colour::Speaker(0), "a"), "\x1b[36ma\x1b[0m");
        assert_eq!(
            coloured(Colour::Speaker(10), "a"),
            coloured(Colour::Speaker(0), "a")
        );
    }
}
