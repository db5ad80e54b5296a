//! Switches under `/proc/sys/net`, which belong to the thread's namespace.

use std::fs;

use crate::error::{Error, Result};

/// Sets a switch such as `ipv4/ip_forward`.
pub fn set(name: &str, value: &str) -> Result<()> {
    let path = format!("/proc/sys/net/{name}");
    fs::write(&path, value).map_err(|source| Error::Sysctl { path, source })
}

/// Sets a switch that an older or smaller kernel may not have.
pub fn set_where_present(name: &str, value: &str) -> Result<()> {
    match set(name, value) {
        Err(Error::Sysctl { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
            Ok(())
        }
        result => result,
    }
}
