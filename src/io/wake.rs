//! Waking a core that sleeps in its ring.
//!
//! A core with a ring wakes another by MSG_RING into the other's ring; a thread without one writes to the core's eventfd,
//! which the core's ring reads. Both leave a completion, so the sleeper needs to look at one place only.
//!
//! The protocol that loses no wake-up: a sender leaves its message, fences, and wakes the receiver only if it finds its sleeping flag
//! set (and clears it); a receiver sets its flag, fences, and looks at its queues once more before it sleeps. With a
//! sequentially consistent fence on both sides at least one of the two sees the other.
//!
//! Invariant: the ring's descriptor number is published only while the ring is open.
#![expect(unsafe_code, reason = "eventfd has no safe form in std")]

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering, fence};

/// What all cores share about one of them: whether it sleeps and how to wake it.
#[derive(Debug)]
pub struct Sleeper {
    sleeping: AtomicBool,
    stop_wanted: AtomicBool,
    open_wanted: AtomicBool,
    wake: Wake,
}

impl Sleeper {
    /// Awake, without a ring yet.
    ///
    /// Errors: no more descriptors.
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            sleeping: AtomicBool::new(false),
            stop_wanted: AtomicBool::new(false),
            open_wanted: AtomicBool::new(false),
            wake: Wake::new()?,
        })
    }

    /// The descriptor and ring that wake this core.
    #[must_use]
    pub fn wake(&self) -> &Wake {
        &self.wake
    }

    /// To be called by others after they left something for this core to find. True if it slept and must be woken.
    #[must_use]
    pub fn must_wake(&self) -> bool {
        fence(Ordering::SeqCst);
        self.sleeping.load(Ordering::Relaxed) && self.sleeping.swap(false, Ordering::SeqCst)
    }

    /// To be called by the core itself before it looks at its queues for the last time.
    pub fn fall_asleep(&self) {
        self.sleeping.store(true, Ordering::SeqCst);
        fence(Ordering::SeqCst);
    }

    /// To be called by the core itself once it is awake.
    pub fn rise(&self) {
        self.sleeping.store(false, Ordering::SeqCst);
    }

    /// Asks the core to stop and wakes it.
    pub fn ask_to_stop(&self) {
        self.stop_wanted.store(true, Ordering::SeqCst);
        self.wake.event().signal();
    }

    /// Lets the core accept connections once it is ready itself, and wakes it.
    pub fn let_open(&self) {
        self.open_wanted.store(true, Ordering::SeqCst);
        self.wake.event().signal();
    }

    /// True once it may accept connections.
    #[must_use]
    pub fn may_open(&self) -> bool {
        self.open_wanted.load(Ordering::SeqCst)
    }

    /// True once it was asked to stop.
    #[must_use]
    pub fn is_asked_to_stop(&self) -> bool {
        self.stop_wanted.load(Ordering::SeqCst)
    }
}

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
