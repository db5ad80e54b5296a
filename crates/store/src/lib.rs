//! Revisioned keys on disk: compare-and-swap, ordered watch, group commit. Knows bytes and revisions, no kinds.
