//! The few socket options that no library wraps.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::os::fd::{AsRawFd, BorrowedFd};

/// `SO_ORIGINAL_DST` of `linux/netfilter_ipv4.h`.
const SO_ORIGINAL_DST: i32 = 80;

/// Returns where a redirected connection was going.
pub(crate) fn original_destination(fd: BorrowedFd<'_>) -> io::Result<SocketAddr> {
    // SAFETY: all-zero bytes are a valid sockaddr_in.
    let mut address: libc::sockaddr_in = unsafe { std::mem::zeroed() };
    let mut length = size_of::<libc::sockaddr_in>() as libc::socklen_t;
    // SAFETY: pointer and length describe `address`, live and writable.
    let result = unsafe {
        libc::getsockopt(
            fd.as_raw_fd(),
            libc::SOL_IP,
            SO_ORIGINAL_DST,
            (&raw mut address).cast(),
            &raw mut length,
        )
    };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    let ip = Ipv4Addr::from_bits(u32::from_be(address.sin_addr.s_addr));
    let port = u16::from_be(address.sin_port);
    Ok(SocketAddrV4::new(ip, port).into())
}

/// Lets one source address have as many connections as it has targets: the
/// port is chosen by `connect`, not by `bind` (`IP_BIND_ADDRESS_NO_PORT`).
pub(crate) fn choose_port_late(fd: BorrowedFd<'_>) -> io::Result<()> {
    let on = 1i32;
    // SAFETY: pointer and length describe a live i32.
    let result = unsafe {
        libc::setsockopt(
            fd.as_raw_fd(),
            libc::SOL_IP,
            libc::IP_BIND_ADDRESS_NO_PORT,
            (&raw const on).cast(),
            size_of::<i32>() as libc::socklen_t,
        )
    };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}
