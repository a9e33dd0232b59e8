//! Log files: opening for direct I/O, advice, a durable write for measuring.
#![expect(unsafe_code, reason = "fadvise and RWF_DSYNC have no safe form in std")]

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use bytes::Bytes;

/// Opens a file for reading and writing past the page cache; `false` with it if the file system has no O_DIRECT and it
/// is an ordinary descriptor.
///
/// Errors: `NotFound` if absent and not to be created; whatever else open says.
pub fn open_direct(path: &Path, create: bool) -> io::Result<(File, bool)> {
    let mut options = OpenOptions::new();
    options
        .read(true)
        .write(true)
        .create(create)
        .truncate(false);
    match options.clone().custom_flags(libc::O_DIRECT).open(path) {
        Ok(file) => Ok((file, true)),
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {
            Ok((options.open(path)?, false))
        }
        Err(error) => Err(error),
    }
}

/// Tells the kernel whether to read ahead through this descriptor: what lies past the end of an active segment is not worth
/// reading. Advice only; it changes a flag of the descriptor and does no I/O.
pub fn advise_readahead(file: impl AsFd, on: bool) {
    let advice = if on {
        libc::POSIX_FADV_NORMAL
    } else {
        libc::POSIX_FADV_RANDOM
    };
    // SAFETY: the descriptor is open during the call; no pointers are passed.
    // A file system that takes no advice reads ahead, which costs memory and nothing else.
    unsafe { libc::posix_fadvise(file.as_fd().as_raw_fd(), 0, 0, advice) };
}

/// Writes `bytes` (aligned, whole sectors, if the file was opened for direct I/O) and waits until they are on stable storage.
pub fn write_durable(file: impl AsFd, position: u64, bytes: &Bytes) -> io::Result<usize> {
    let vector = libc::iovec {
        iov_base: bytes.as_ptr().cast_mut().cast(),
        iov_len: bytes.len(),
    };
    // SAFETY: `vector` names readable bytes that live during the call; the kernel does not write to them.
    let written = unsafe {
        libc::pwritev2(
            file.as_fd().as_raw_fd(),
            &raw const vector,
            1,
            position.cast_signed(),
            libc::RWF_DSYNC,
        )
    };
    usize::try_from(written).map_err(|_| io::Error::last_os_error())
}
