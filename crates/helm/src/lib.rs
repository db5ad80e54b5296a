//! Charts: loading, values with their origin, dependencies, rendering. No I/O.
