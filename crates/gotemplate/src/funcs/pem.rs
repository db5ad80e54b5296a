//! Go's `encoding/pem` (RFC 7468): one block with a label.
//!
//! Not here: what the bytes mean.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// A block.
pub(super) struct Block {
    /// What stands between `-----BEGIN ` and the dashes.
    pub(super) label: String,
    /// The bytes.
    pub(super) bytes: Vec<u8>,
}

const BEGIN: &[u8] = b"-----BEGIN ";
const DASHES: &[u8] = b"-----";

/// Finds the first block of a text; headers are skipped.
pub(super) fn decode(text: &[u8]) -> Option<Block> {
    let mut rest = text;
    loop {
        let at = memchr::memmem::find(rest, BEGIN)?;
        let starts_line = at == 0 || rest[at - 1] == b'\n';
        rest = &rest[at + BEGIN.len()..];
        if let Some(block) = block(rest).filter(|_| starts_line) {
            return Some(block);
        }
    }
}

/// Reads a block whose label begins the text.
fn block(text: &[u8]) -> Option<Block> {
    let end = memchr::memchr(b'\n', text)?;
    let label = text[..end].trim_ascii_end().strip_suffix(DASHES)?;
    let label = String::from_utf8(label.to_vec()).ok()?;
    let body = &text[end..];
    let closing = format!("\n-----END {label}-----");
    let body = &body[..memchr::memmem::find(body, closing.as_bytes())?];
    let base64: Vec<u8> = body
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.contains(&b':'))
        .flatten()
        .filter(|byte| !byte.is_ascii_whitespace())
        .copied()
        .collect();
    let bytes = STANDARD.decode(base64).ok()?;
    Some(Block { label, bytes })
}

/// Writes a block in lines of 64 characters.
pub(super) fn encode(label: &str, bytes: &[u8]) -> String {
    let body = STANDARD.encode(bytes);
    let mut out = format!("-----BEGIN {label}-----\n");
    for line in body.as_bytes().chunks(64) {
        out.extend(line.iter().map(|byte| char::from(*byte)));
        out.push('\n');
    }
    out.push_str(&format!("-----END {label}-----\n"));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_found_as_go_finds_them() {
        let check = |text: &str, expected: Option<(&str, &[u8])>| {
            let found = decode(text.as_bytes());
            let found = found.as_ref().map(|block| (&*block.label, &*block.bytes));
            assert_eq!(found, expected, "{text:?}");
        };
        check("", None);
        check("-----BEGIN A-----\nYQ==\n", None);
        check(
            "-----BEGIN A-----\nYQ==\n-----END A-----\n",
            Some(("A", b"a")),
        );
        check(
            "x\n-----BEGIN A-----\r\nYQ==\r\n-----END A-----",
            Some(("A", b"a")),
        );
        check(
            "-----BEGIN A-----\nProc-Type: 4\n\nYQ==\n-----END A-----\n",
            Some(("A", b"a")),
        );
        check("x-----BEGIN A-----\nYQ==\n-----END A-----\n", None);
        assert_eq!(
            encode("A", b"a"),
            "-----BEGIN A-----\nYQ==\n-----END A-----\n"
        );
    }
}
