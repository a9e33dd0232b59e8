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
use std::os::fd::AsRawFd;
use std::path::Path;

/// Held as long as this lives.
#[derive(Debug)]
pub struct DirLock {
    _file: File,
}

impl DirLock {
    /// Locks `dir` through its file `.lock`, which is created if absent and never removed.
    ///
    /// Errors: `WouldBlock` if a running broker, Kafka's or ours, holds it; otherwise what open or fcntl says.
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
        Ok(Self { _file: file })
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
        drop(held);
        DirLock::acquire(dir.path()).expect("free again");
    }
}
