//! Which memory allocator a process has. The engine takes and returns many
//! small pieces with every request, from several threads: a third of its time
//! went into the system's allocator, so it has [`MiMalloc`]. All others keep
//! the system's, with which a process that does little is smallest: there is a
//! shim for every container.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicBool, Ordering};

use mimalloc::MiMalloc;

/// The allocator of this program.
pub struct Allocator;

/// Set before the first allocation, if at all, and never changed again: what
/// one allocator gave goes back to the same one.
static IS_ENGINE: AtomicBool = AtomicBool::new(false);

/// Reads the command line before `main`: glibc calls what stands in this
/// section with the arguments of `main` (ELF gABI, "Initialization and
/// Termination Functions"). Other C libraries give no arguments there.
#[cfg(target_env = "gnu")]
mod before_main {
    use std::ffi::{CStr, c_char, c_int};
    use std::sync::atomic::Ordering;

    #[used]
    // SAFETY: the section holds addresses of functions that are called like this one.
    #[unsafe(link_section = ".init_array")]
    static CHOOSE: extern "C" fn(c_int, *const *const c_char) = choose;

    extern "C" fn choose(count: c_int, arguments: *const *const c_char) {
        if count < 2 {
            return;
        }
        // SAFETY: the C library gives `count` texts that end in NUL.
        let name = unsafe { CStr::from_ptr(*arguments.add(1)) };
        super::IS_ENGINE.store(name == c"engine", Ordering::Relaxed);
    }
}

// SAFETY: every call goes to one of two allocators, always to the same one.
unsafe impl GlobalAlloc for Allocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promises are passed on.
        unsafe {
            match IS_ENGINE.load(Ordering::Relaxed) {
                true => MiMalloc.alloc(layout),
                false => System.alloc(layout),
            }
        }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as above.
        unsafe {
            match IS_ENGINE.load(Ordering::Relaxed) {
                true => MiMalloc.alloc_zeroed(layout),
                false => System.alloc_zeroed(layout),
            }
        }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe {
            match IS_ENGINE.load(Ordering::Relaxed) {
                true => MiMalloc.dealloc(pointer, layout),
                false => System.dealloc(pointer, layout),
            }
        }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: as above.
        unsafe {
            match IS_ENGINE.load(Ordering::Relaxed) {
                true => MiMalloc.realloc(pointer, layout, size),
                false => System.realloc(pointer, layout, size),
            }
        }
    }
}
