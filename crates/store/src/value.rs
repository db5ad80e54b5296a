//! What the store asks of the values it keeps. [`Value`] is the only trait a
//! user implements; the store never looks inside.

/// A value that can write itself to bytes and take a revision.
pub trait Value: Send + Sync + Sized + 'static {
    /// Takes the revision that the commit assigned. Runs on the commit thread,
    /// so it should be short.
    fn finish(&mut self, revision: u64);

    /// Returns the bytes to keep on disk.
    fn encode(&self) -> Vec<u8>;

    /// Reads a value back.
    ///
    /// # Errors
    /// A sentence saying what is wrong with the bytes; opening then fails.
    fn decode(key: &str, revision: u64, bytes: &[u8]) -> Result<Self, String>;

    /// Returns what watchers are shown when this value is deleted at `revision`.
    fn tombstone(&self, revision: u64) -> Self;

    /// Returns roughly how many bytes of memory the value holds; bounds the history.
    fn weight(&self) -> usize;
}
