//! What to do about a machine that does not offer what is needed, in the words
//! that `doctor` and the failures of all commands share. What to do about
//! objects of a cluster says `coracle_release::why`.

/// The disk is full, or nearly so.
pub const DISK: &str = "free some space (coracle image prune; coracle image ls shows what takes it), or name another folder: export CORACLE_HOME=DIR";

/// The folder of the clusters cannot be written.
pub const HOME: &str = "clusters are kept in a folder that you may write: export CORACLE_HOME=DIR";

/// The kernel has no overlay file systems.
pub const OVERLAY: &str = "sudo modprobe overlay";

/// The kernel has no packet filter, or not its address translation.
pub const NFTABLES: &str = "sudo modprobe nf_tables nft_chain_nat";

/// A newer version has written the data.
pub const NEWER: &str = "use the coracle that wrote it, or a newer one";

/// This program needs libraries of the machine.
pub const STATIC: &str = "build the static one: cargo build --release in the repository, whose .cargo/config.toml asks for it";

/// Nothing better is known.
pub const LOOK: &str = "coracle doctor says what is wrong with this machine";

/// A port that is asked for belongs to a program.
pub const PORT: &str = coracle_release::why::PORT_TAKEN;
