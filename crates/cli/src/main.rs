//! The coracle command: reads the command line, prints, picks exit codes.

fn main() {}
