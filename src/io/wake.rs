//! Waking a core that sleeps in its ring.
//!
//! A core with a ring wakes another by MSG_RING into the other's ring; a thread without one writes to the core's eventfd,
//! which the core's ring reads. Both leave a completion, so the sleeper needs to look at one place only.
//!
//! Invariant: the ring's descriptor number is published only while the ring is open.
#![expect(unsafe_code, reason = "eventfd has no safe form in std")]

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicI32, Ordering};

/// How to wake one core.
#[derive(Debug)]
pub struct Wake {
    event: Event,
    ring: AtomicI32,
}

impl Wake {
    /// Without a ring yet.
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            event: Event::new()?,
            ring: AtomicI32::new(-1),
        })
    }

    /// Says which ring the core sleeps in; `None` before that ring is closed.
    pub fn publish_ring(&self, ring: Option<RawFd>) {
        self.ring.store(ring.unwrap_or(-1), Ordering::Release);
    }

    /// The ring to send a message to, if the core has one.
    #[must_use]
    pub fn ring(&self) -> Option<RawFd> {
        let fd = self.ring.load(Ordering::Acquire);
        (fd >= 0).then_some(fd)
    }

    /// The event that a thread without a ring signals.
    #[must_use]
    pub fn event(&self) -> &Event {
        &self.event
    }
}

/// An eventfd.
#[derive(Debug)]
pub struct Event {
    fd: OwnedFd,
}

impl Event {
    /// A blocking one with count 0.
    pub fn new() -> io::Result<Self> {
        // SAFETY: eventfd takes no pointers.
        let raw = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC) };
        if raw < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the kernel just gave us this descriptor and nobody else knows it.
        let fd = unsafe { OwnedFd::from_raw_fd(raw) };
        Ok(Self { fd })
    }

    /// A second handle of the same event.
    pub fn try_clone(&self) -> io::Result<Self> {
        Ok(Self {
            fd: self.fd.try_clone()?,
        })
    }

    /// Signals. Never blocks in practice: the counter would have to reach 2^64 - 1.
    pub fn signal(&self) {
        let one: u64 = 1;
        loop {
            // SAFETY: `one` is 8 readable bytes, alive during the call.
            let n = unsafe { libc::write(self.fd.as_raw_fd(), (&raw const one).cast(), 8) };
            if n == 8 || io::Error::last_os_error().kind() != io::ErrorKind::Interrupted {
                return;
            }
        }
    }

    /// Blocks the calling thread until signalled; for helper threads only.
    pub fn wait(&self) {
        let mut count: u64 = 0;
        loop {
            // SAFETY: `count` is 8 writable bytes, alive during the call.
            let n = unsafe { libc::read(self.fd.as_raw_fd(), (&raw mut count).cast(), 8) };
            if n == 8 || io::Error::last_os_error().kind() != io::ErrorKind::Interrupted {
                return;
            }
        }
    }
}

impl AsFd for Event {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
