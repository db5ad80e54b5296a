//! The few socket options that no library wraps.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::net::{AddressFamily, SocketFlags, SocketType, ipproto, sockopt};

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
    Ok(read(&address))
}

fn read(address: &libc::sockaddr_in) -> SocketAddr {
    let ip = Ipv4Addr::from_bits(u32::from_be(address.sin_addr.s_addr));
    SocketAddrV4::new(ip, u16::from_be(address.sin_port)).into()
}

/// Lets one source address have as many connections as it has targets: the
/// port is chosen by `connect`, not by `bind` (`IP_BIND_ADDRESS_NO_PORT`).
pub(crate) fn choose_port_late(fd: BorrowedFd<'_>) -> io::Result<()> {
    switch_on(fd, libc::IP_BIND_ADDRESS_NO_PORT)
}

/// Returns a datagram socket that may have an address that is not ours
/// (`IP_TRANSPARENT`), bound to it.
pub(crate) fn transparent(address: SocketAddr) -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let kind = SocketType::DGRAM;
    let fd = rustix::net::socket_with(AddressFamily::INET, kind, flags, Some(ipproto::UDP))?;
    let fd = intercept(fd)?;
    // Several pods may speak with the same address at once.
    sockopt::set_socket_reuseaddr(&fd, true)?;
    rustix::net::bind(&fd, &address)?;
    Ok(fd)
}

/// Lets a datagram socket take in what goes elsewhere, and tell where to.
pub(crate) fn intercept(fd: OwnedFd) -> io::Result<OwnedFd> {
    switch_on(fd.as_fd(), libc::IP_TRANSPARENT)?;
    switch_on(fd.as_fd(), libc::IP_RECVORIGDSTADDR)?;
    Ok(fd)
}

fn switch_on(fd: BorrowedFd<'_>, option: i32) -> io::Result<()> {
    let on = 1i32;
    // SAFETY: pointer and length describe a live i32.
    let result = unsafe {
        libc::setsockopt(
            fd.as_raw_fd(),
            libc::SOL_IP,
            option,
            (&raw const on).cast(),
            size_of::<i32>() as libc::socklen_t,
        )
    };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// A datagram's length, who sent it, and where it was going.
pub(crate) type Intercepted = (usize, SocketAddr, SocketAddr);

/// Receives a datagram of a transparent socket with its destination.
pub(crate) fn receive_intercepted(
    fd: BorrowedFd<'_>,
    buffer: &mut [u8],
) -> io::Result<Intercepted> {
    // SAFETY: all-zero bytes are a valid sockaddr_in and msghdr.
    let (mut source, mut message) = unsafe {
        (
            std::mem::zeroed::<libc::sockaddr_in>(),
            std::mem::zeroed::<libc::msghdr>(),
        )
    };
    let mut part = libc::iovec {
        iov_base: buffer.as_mut_ptr().cast(),
        iov_len: buffer.len(),
    };
    // Aligned as control messages must be, and larger than the one expected.
    let mut control = [0u64; 16];
    message.msg_name = (&raw mut source).cast();
    message.msg_namelen = size_of::<libc::sockaddr_in>() as libc::socklen_t;
    message.msg_iov = &raw mut part;
    message.msg_iovlen = 1;
    message.msg_control = control.as_mut_ptr().cast();
    message.msg_controllen = size_of_val(&control) as _;
    // SAFETY: every pointer in `message` describes live, writable memory of
    // the length beside it.
    let length = unsafe { libc::recvmsg(fd.as_raw_fd(), &raw mut message, libc::MSG_DONTWAIT) };
    if length < 0 {
        return Err(io::Error::last_os_error());
    }
    let destination = destination(&message).ok_or_else(|| {
        io::Error::new(io::ErrorKind::InvalidData, "datagram without destination")
    })?;
    Ok((length as usize, read(&source), destination))
}

fn destination(message: &libc::msghdr) -> Option<SocketAddr> {
    // SAFETY: `message` was filled by recvmsg and its control buffer is alive;
    // the macros stay inside it.
    let mut header = unsafe { libc::CMSG_FIRSTHDR(message) };
    while !header.is_null() {
        // SAFETY: not null, so it points to a control message in the buffer.
        let found = unsafe { &*header };
        if found.cmsg_level == libc::SOL_IP && found.cmsg_type == libc::IP_ORIGDSTADDR {
            // SAFETY: a message of this type holds a sockaddr_in, which may
            // lie unaligned.
            let address: libc::sockaddr_in =
                unsafe { std::ptr::read_unaligned(libc::CMSG_DATA(header).cast()) };
            return Some(read(&address));
        }
        // SAFETY: as above.
        header = unsafe { libc::CMSG_NXTHDR(message, header) };
    }
    None
}
