//! Whatever a provider of completions answers is a round or an error, and a
//! stream means the same however it is cut.
#![no_main]

use todo_backend::chat::Listener;
use todo_backend::chat::provider::{Stream, whole};

/// Reads a stream in pieces of a size.
fn streamed(bytes: &[u8], size: usize) -> String {
    let mut stream = Stream::default();
    for piece in bytes.chunks(size.max(1)) {
        if let Err(error) = stream.feed(piece, &Listener(None)) {
            return error.to_string();
        }
    }
    format!("{:?}", stream.finish())
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Some((size, bytes)) = bytes.split_first() else {
        return;
    };
    let _ = whole(bytes);
    assert_eq!(
        streamed(bytes, usize::from(*size)),
        streamed(bytes, bytes.len())
    );
});
