//! The lock of a data directory, as Kafka takes it.
//!
//! Java's `FileChannel.tryLock` is an fcntl record lock on `.lock`; F_OFD_SETLK locks conflict with it in both directions and,
//! unlike the plain ones, belong to the descriptor and not to the process (closing another descriptor of the file does not
//! release it). flock(2) would not be seen by Kafka.
#![expect(
    unsafe_code,
    reason = "open file description locks have no safe form in std"
)]

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

/// Between two attempts.
const RETRY: Duration = Duration::from_millis(20);

/// Held as long as this lives.
#[derive(Debug)]
pub struct DirLock {
    file: File,
}

impl DirLock {
    /// Locks `dir` through its file `.lock`, which is created if absent and never removed.
    ///
    /// Errors: `WouldBlock` if a running broker, Kafka's or ours, holds it; otherwise what open or fcntl says.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "lock types are small constants"
    )]
    pub fn acquire(dir: &Path) -> io::Result<Self> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(dir.join(".lock"))?;
        let lock = libc::flock {
            l_type: libc::F_WRLCK as libc::c_short,
            l_whence: libc::SEEK_SET as libc::c_short,
            l_start: 0,
            l_len: 0,
            l_pid: 0,
        };
        // SAFETY: `lock` is a whole struct flock with l_pid 0, as F_OFD_SETLK demands, and lives during the call.
        let result = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_OFD_SETLK, &raw const lock) };
        if result < 0 {
            let error = io::Error::last_os_error();
            return Err(match error.raw_os_error() {
                Some(libc::EAGAIN | libc::EACCES) => io::Error::from(io::ErrorKind::WouldBlock),
                _ => error,
            });
        }
        Ok(Self { file })
    }
}

impl DirLock {
    /// As [`DirLock::acquire`], trying again for so long: writes of a killed process hold its lock until they are done.
    pub fn acquire_within(dir: &Path, patience: Duration) -> io::Result<Self> {
        let until = Instant::now() + patience;
        loop {
            match Self::acquire(dir) {
                Err(error)
                    if error.kind() == io::ErrorKind::WouldBlock && Instant::now() < until =>
                {
                    thread::sleep(RETRY);
                }
                result => return result,
            }
        }
    }

    /// Another holder of the same lock, which is released when all are gone.
    pub fn try_clone(&self) -> io::Result<Self> {
        Ok(Self {
            file: self.file.try_clone()?,
        })
    }
}

impl AsFd for DirLock {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_holder_at_a_time() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let held = DirLock::acquire(dir.path()).expect("free");
        let second = DirLock::acquire(dir.path()).expect_err("held");
        assert_eq!(second.kind(), io::ErrorKind::WouldBlock);
        let other = held.try_clone().expect("a descriptor is there");
        drop(held);
        assert!(DirLock::acquire(dir.path()).is_err(), "the clone holds it");
        let release = std::thread::spawn(move || drop(other));
        DirLock::acquire_within(dir.path(), Duration::from_secs(20)).expect("free in time");
        release.join().expect("released");
        DirLock::acquire(dir.path()).expect("free again");
    }
}
