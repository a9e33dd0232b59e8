//! Sockets: listening ones shared by port between shards, and the options of accepted ones.
//!
//! Invariants:
//! 1. A port belongs to one process: the first socket is bound and listens *without* SO_REUSEPORT, which fails while anybody else
//!    listens there, and gets the option only then, for the sockets of the other shards to join. With the option from the start, two
//!    processes of one user would share the port in silence, each getting half of the clients; a probe that is closed again
//!    would let two that start at the same moment pass.
//! 2. Accepted sockets stay in blocking mode: the ring polls them; the one call that must not block (splice) sets O_NONBLOCK
//!    for its own duration ([`super::splice`]).
//! 3. Half-open peers are found by keepalive probes when idle, and by the connection's own deadlines while something is to be sent.
//!    TCP_USER_TIMEOUT is not for us: it also ends a peer that answers every probe but has not read for a while, as a consumer
//!    does that is busy with the records it got.
#![expect(
    unsafe_code,
    reason = "socket options and bind have no safe form in std"
)]

use std::io;
use std::mem;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// Connections the kernel completes before we accept them.
const BACKLOG: libc::c_int = 1024;
/// Seconds of silence before the first keepalive probe, between probes, and number of probes.
const KEEPALIVE: (libc::c_int, libc::c_int, libc::c_int) = (60, 10, 5);

/// A bound and listening socket of one shard.
#[derive(Debug)]
pub struct Listener {
    fd: OwnedFd,
    local: SocketAddr,
}

/// Buffer sizes of accepted sockets in bytes; `None` leaves the kernel's own tuning in place, which is nearly always better.
#[derive(Clone, Copy, Debug, Default)]
pub struct SocketBuffers {
    /// `socket.send.buffer.bytes`.
    pub send_bytes: Option<u32>,
    /// `socket.receive.buffer.bytes`.
    pub receive_bytes: Option<u32>,
}

impl Listener {
    /// Binds `count` sockets to one address, one per shard; the kernel spreads connections over them. With port 0 the
    /// kernel chooses a port once.
    ///
    /// Errors: whatever bind says; `AddrInUse` when any process listens on the port.
    pub fn bind_many(
        addr: SocketAddr,
        count: usize,
        buffers: SocketBuffers,
    ) -> io::Result<Vec<Self>> {
        let first = bind(addr, false, buffers)?;
        if count > 1 {
            set_option(&first, libc::SOL_SOCKET, libc::SO_REUSEPORT, 1)?;
        }
        let first = TcpListener::from(first);
        let local = first.local_addr()?;
        let mut listeners = vec![Self {
            fd: first.into(),
            local,
        }];
        for _ in 1..count {
            let fd = bind(local, true, buffers)?;
            listeners.push(Self { fd, local });
        }
        Ok(listeners)
    }

    /// Binds one socket; see [`Listener::bind_many`].
    pub fn bind(addr: SocketAddr, buffers: SocketBuffers) -> io::Result<Self> {
        let mut all = Self::bind_many(addr, 1, buffers)?;
        all.pop()
            .ok_or_else(|| io::Error::other("no socket was bound"))
    }

    /// The address it is bound to, the port filled in.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// The socket itself, for the ring.
    #[must_use]
    pub fn into_fd(self) -> OwnedFd {
        self.fd
    }
}

/// Sets what every accepted socket has and returns the peer's address.
pub fn prepare_accepted(fd: OwnedFd) -> io::Result<(OwnedFd, IpAddr)> {
    let stream = TcpStream::from(fd);
    let peer = stream.peer_addr()?.ip().to_canonical();
    stream.set_nodelay(true)?;
    let fd = OwnedFd::from(stream);
    let (idle, interval, count) = KEEPALIVE;
    set_option(&fd, libc::SOL_SOCKET, libc::SO_KEEPALIVE, 1)?;
    set_option(&fd, libc::IPPROTO_TCP, libc::TCP_KEEPIDLE, idle)?;
    set_option(&fd, libc::IPPROTO_TCP, libc::TCP_KEEPINTVL, interval)?;
    set_option(&fd, libc::IPPROTO_TCP, libc::TCP_KEEPCNT, count)?;
    Ok((fd, peer))
}

/// Ends both directions, so that operations in flight on the socket complete.
pub fn shutdown(fd: &OwnedFd) {
    // SAFETY: the descriptor is open for the length of the call; shutdown touches no memory of ours.
    // ENOTCONN: the peer was faster; there is nothing left to end.
    unsafe { libc::shutdown(fd.as_raw_fd(), libc::SHUT_RDWR) };
}

fn bind(addr: SocketAddr, shared: bool, buffers: SocketBuffers) -> io::Result<OwnedFd> {
    let family = if addr.is_ipv4() {
        libc::AF_INET
    } else {
        libc::AF_INET6
    };
    // SAFETY: socket takes no pointers.
    let raw = unsafe { libc::socket(family, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, 0) };
    if raw < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel just gave us this descriptor and nobody else knows it.
    let fd = unsafe { OwnedFd::from_raw_fd(raw) };
    set_option(&fd, libc::SOL_SOCKET, libc::SO_REUSEADDR, 1)?;
    if shared {
        set_option(&fd, libc::SOL_SOCKET, libc::SO_REUSEPORT, 1)?;
    }
    // Buffers are set on the listener: the window scale is fixed when a connection is made.
    for (option, bytes) in [
        (libc::SO_SNDBUF, buffers.send_bytes),
        (libc::SO_RCVBUF, buffers.receive_bytes),
    ] {
        if let Some(bytes) = bytes {
            let bytes = libc::c_int::try_from(bytes).unwrap_or(libc::c_int::MAX);
            set_option(&fd, libc::SOL_SOCKET, option, bytes)?;
        }
    }
    bind_address(&fd, addr)?;
    // SAFETY: the descriptor is open; listen takes no pointers.
    let result = unsafe { libc::listen(fd.as_raw_fd(), BACKLOG) };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(fd)
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "address families are small constants"
)]
fn bind_address(fd: &OwnedFd, addr: SocketAddr) -> io::Result<()> {
    let result = match addr {
        SocketAddr::V4(v4) => {
            let raw = libc::sockaddr_in {
                sin_family: libc::AF_INET as libc::sa_family_t,
                sin_port: v4.port().to_be(),
                sin_addr: libc::in_addr {
                    s_addr: u32::from_ne_bytes(v4.ip().octets()),
                },
                sin_zero: [0; 8],
            };
            // SAFETY: `raw` is a whole sockaddr_in, alive during the call, and the length is its size.
            unsafe { libc::bind(fd.as_raw_fd(), (&raw const raw).cast(), size_of_value(&raw)) }
        }
        SocketAddr::V6(v6) => {
            let raw = libc::sockaddr_in6 {
                sin6_family: libc::AF_INET6 as libc::sa_family_t,
                sin6_port: v6.port().to_be(),
                sin6_flowinfo: v6.flowinfo(),
                sin6_addr: libc::in6_addr {
                    s6_addr: v6.ip().octets(),
                },
                sin6_scope_id: v6.scope_id(),
            };
            // SAFETY: `raw` is a whole sockaddr_in6, alive during the call, and the length is its size.
            unsafe { libc::bind(fd.as_raw_fd(), (&raw const raw).cast(), size_of_value(&raw)) }
        }
    };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

fn size_of_value<T>(value: &T) -> libc::socklen_t {
    libc::socklen_t::try_from(mem::size_of_val(value)).unwrap_or(0)
}

fn set_option(
    fd: &OwnedFd,
    level: libc::c_int,
    name: libc::c_int,
    value: libc::c_int,
) -> io::Result<()> {
    // SAFETY: `value` is a c_int, alive during the call, and the length is its size.
    let result = unsafe {
        libc::setsockopt(
            fd.as_raw_fd(),
            level,
            name,
            (&raw const value).cast(),
            size_of_value(&value),
        )
    };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Barrier};
    use std::thread;

    fn any() -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], 0))
    }

    #[test]
    fn a_port_in_use_is_found_in_spite_of_reuseport() {
        for count in [1, 3] {
            let first = Listener::bind_many(any(), count, SocketBuffers::default());
            let first = first.expect("binds");
            let again = Listener::bind_many(first[0].local_addr(), 2, SocketBuffers::default());
            let error = again.expect_err("is in use");
            assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        }
    }

    #[test]
    fn of_many_that_start_at_once_one_gets_the_port() {
        for _ in 0..20 {
            let address = Listener::bind(any(), SocketBuffers::default())
                .expect("binds")
                .local_addr();
            let start = Arc::new(Barrier::new(4));
            let racers: Vec<_> = (0..4)
                .map(|_| {
                    let start = Arc::clone(&start);
                    thread::spawn(move || {
                        start.wait();
                        let bound = Listener::bind_many(address, 3, SocketBuffers::default());
                        // Nobody lets go before all have tried.
                        start.wait();
                        bound.is_ok()
                    })
                })
                .collect();
            let winners = racers.into_iter().map(|r| r.join().expect("it ends"));
            assert_eq!(winners.filter(|won| *won).count(), 1);
        }
    }

    #[test]
    fn connections_are_spread_over_the_shards() {
        let all = Listener::bind_many(any(), 3, SocketBuffers::default()).expect("binds");
        assert_eq!(all.len(), 3);
        assert!(all.iter().all(|l| l.local_addr() == all[0].local_addr()));
        let address = all[0].local_addr();
        let clients: Vec<TcpStream> = (0..300)
            .map(|_| TcpStream::connect(address).expect("connects"))
            .collect();
        let mut accepted = 0;
        for listener in all {
            let listener = TcpListener::from(listener.into_fd());
            listener.set_nonblocking(true).expect("is set");
            let own = std::iter::from_fn(|| listener.accept().ok()).count();
            assert!(own > 50, "one of three shards got {own} of 300");
            accepted += own;
        }
        assert_eq!(accepted, clients.len());
    }
}
