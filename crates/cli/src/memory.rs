//! Memory of a command that works once and ends.

/// The most that glibc takes as threshold: half the size of a thread's heap.
const THRESHOLD_BYTES: libc::c_int = 32 << 20;

/// How much more is asked of the kernel than is needed at once. Threads other
/// than the first get memory page by page otherwise, a call for each.
const AHEAD_BYTES: libc::c_int = 16 << 20;

/// Keeps memory that is freed for the next one who asks, instead of giving it
/// back to the kernel: a command that ends soon gives back everything anyway.
pub fn keep() {
    // SAFETY: mallopt(3) changes how memory is taken and given back, nothing
    // that is allocated.
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, THRESHOLD_BYTES);
        libc::mallopt(libc::M_TRIM_THRESHOLD, libc::c_int::MAX);
        libc::mallopt(libc::M_TOP_PAD, AHEAD_BYTES);
    }
}
