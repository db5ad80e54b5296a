//! Makes a release build small as it is linked: one of several equal functions
//! is kept, of which generic code leaves many, and no table for unwinding. Only
//! the linker that comes with Rust is asked: others may not know the words.

use std::env;
use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=no-unwinding.ld");
    println!("cargo::rustc-check-cfg=cfg(no_unwinding)");
    if env::var("PROFILE").is_ok_and(|profile| profile == "release") && linker_is_rusts() {
        let folder = env::var("CARGO_MANIFEST_DIR").expect("cargo names the package's folder");
        println!("cargo::rustc-link-arg-bins=-Wl,--icf=all");
        println!("cargo::rustc-link-arg-bins=-Wl,--no-eh-frame-hdr");
        println!("cargo::rustc-link-arg-bins=-Wl,-T,{folder}/no-unwinding.ld");
        println!("cargo::rustc-cfg=no_unwinding");
    }
}

/// Whether rustc links with the lld beside it, as it does on x86-64 since 1.90.
fn linker_is_rusts() -> bool {
    let target = env::var("TARGET").unwrap_or_default();
    if target != "x86_64-unknown-linux-gnu" || env::var_os("RUSTC_LINKER").is_some() {
        return false;
    }
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let Ok(output) = Command::new(rustc).args(["--print", "sysroot"]).output() else {
        return false;
    };
    let sysroot = String::from_utf8_lossy(&output.stdout).into_owned();
    let linker = Path::new(sysroot.trim()).join(format!("lib/rustlib/{target}/bin/gcc-ld/ld.lld"));
    linker.exists()
}
