//! Copies between two streams until both sides have ended.

use tokio::io::copy_bidirectional_with_sizes;
use tokio::net::TcpStream;

/// Measured: larger gains nothing, smaller costs throughput.
const BUFFER_BYTES: usize = 64 << 10;

/// Copies both ways. The end of one direction is passed on while the other
/// goes on; a reset of one side resets the other.
pub(crate) async fn pipe(mut one: TcpStream, mut other: TcpStream) {
    for stream in [&one, &other] {
        // Only latency is lost where this is refused.
        let _ = stream.set_nodelay(true);
    }
    let copied =
        copy_bidirectional_with_sizes(&mut one, &mut other, BUFFER_BYTES, BUFFER_BYTES).await;
    if copied.is_err() {
        reset(one);
        reset(other);
    }
}

/// Ends a connection so that the peer sees a reset, not an orderly end.
pub(crate) fn reset(stream: TcpStream) {
    // A socket that cannot linger is closed in the ordinary way.
    let _ = stream.set_zero_linger();
    drop(stream);
}
