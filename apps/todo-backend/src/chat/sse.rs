//! Server-sent events as providers stream them: lines of `data:`.
//!
//! Only what chat completions need: no event names, no ids, no reconnects.

/// Longest line that is kept.
const LINE_BYTES_MAX: usize = 1024 * 1024;

/// Cuts a byte stream into the payloads of its `data:` lines.
#[derive(Default)]
pub struct Decoder {
    rest: Vec<u8>,
}

impl Decoder {
    /// Takes bytes and returns the payloads they completed.
    pub fn feed(&mut self, bytes: &[u8]) -> Vec<String> {
        self.rest.extend_from_slice(bytes);
        let mut payloads = Vec::new();
        while let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.rest.drain(..=end).collect();
            let line = String::from_utf8_lossy(&line);
            let line = line.trim_end_matches(['\n', '\r']);
            if let Some(payload) = line.strip_prefix("data:") {
                payloads.push(payload.trim_start().to_owned());
            }
        }
        if self.rest.len() > LINE_BYTES_MAX {
            self.rest.clear();
        }
        payloads
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payloads_survive_any_cut() {
        let text = "data: {\"a\":1}\n\n: comment\nevent: x\r\ndata:two\r\ndata: é\n";
        let whole = Decoder::default().feed(text.as_bytes());
        assert_eq!(whole, ["{\"a\":1}", "two", "é"]);
        for size in 1..text.len() {
            let mut decoder = Decoder::default();
            let pieces = text
                .as_bytes()
                .chunks(size)
                .flat_map(|chunk| decoder.feed(chunk));
            assert_eq!(pieces.collect::<Vec<_>>(), whole, "{size}");
        }
    }
}
