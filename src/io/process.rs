//! What the process asks of the system once: limits and the signals that stop it.
#![expect(unsafe_code, reason = "limits and signals have no safe form in std")]

use std::io;

/// A resource limit: what is in force and how far the process may raise it. `u64::MAX` is unlimited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// In force.
    pub soft: u64,
    /// The most it may be raised to.
    pub hard: u64,
}

/// Raises the limit of open files as far as allowed; returns it.
pub fn raise_open_files() -> io::Result<Limit> {
    raise(libc::RLIMIT_NOFILE)
}

/// Raises the limit of bytes locked in memory as far as allowed; returns it. Rings of old kernels count against it.
pub fn raise_locked_memory() -> io::Result<Limit> {
    raise(libc::RLIMIT_MEMLOCK)
}

fn raise(resource: libc::__rlimit_resource_t) -> io::Result<Limit> {
    let limit = get(resource)?;
    let raised = libc::rlimit {
        rlim_cur: limit.hard,
        rlim_max: limit.hard,
    };
    // SAFETY: `raised` is a whole rlimit and lives during the call.
    let result = unsafe { libc::setrlimit(resource, &raw const raised) };
    if result == 0 {
        get(resource)
    } else {
        Ok(limit)
    }
}

fn get(resource: libc::__rlimit_resource_t) -> io::Result<Limit> {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: `limit` is room for a whole rlimit and lives during the call.
    let result = unsafe { libc::getrlimit(resource, &raw mut limit) };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(Limit {
        soft: limit.rlim_cur,
        hard: limit.rlim_max,
    })
}

/// SIGTERM and SIGINT, taken by a thread that waits for them.
#[derive(Clone, Copy)]
pub struct StopSignals {
    set: libc::sigset_t,
}

impl StopSignals {
    /// Blocks both signals on this thread and those it starts: call it first of all in the process.
    #[must_use]
    pub fn block() -> Self {
        // SAFETY: a sigset_t is integers, for which zero is a value; it is initialised properly by the next call.
        let mut set: libc::sigset_t = unsafe { std::mem::zeroed() };
        // SAFETY: `set` is a whole sigset_t.
        unsafe { libc::sigemptyset(&raw mut set) };
        for signal in [libc::SIGTERM, libc::SIGINT] {
            // SAFETY: `set` is initialised and the signal's number is valid.
            unsafe { libc::sigaddset(&raw mut set, signal) };
        }
        // SAFETY: `set` is initialised; the old mask is not asked for.
        unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut()) };
        Self { set }
    }

    /// Blocks the calling thread until one of them comes; returns its name.
    #[must_use]
    pub fn wait(&self) -> &'static str {
        loop {
            let mut signal = 0;
            // SAFETY: the set is initialised and `signal` is room for an int.
            let result = unsafe { libc::sigwait(&raw const self.set, &raw mut signal) };
            match (result, signal) {
                (0, libc::SIGTERM) => return "SIGTERM",
                (0, libc::SIGINT) => return "SIGINT",
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_raised_to_what_is_allowed() {
        for limit in [raise_open_files(), raise_locked_memory()] {
            let limit = limit.expect("limits can be read");
            assert_eq!(limit.soft, limit.hard);
        }
    }
}
