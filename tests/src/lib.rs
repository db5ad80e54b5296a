//! Whole-system cases; the tests stand in `tests/`.
