//! Bytes of files to sockets without a copy: file → pipe → socket.
//!
//! The file leg blocks when a page is not in the page cache, whatever flag it is given. So residency is asked first; pages that
//! are there are spliced at once (1 MiB: 21 µs), others by the ring on a worker thread. The socket leg never blocks.
//!
//! Invariants: 1. A pipe is empty when it is given back. 2. A socket is in non-blocking mode only inside `pipe_to_socket`: the
//! ring polls blocking sockets by itself, but would fail operations on non-blocking ones.
#![expect(
    unsafe_code,
    reason = "splice, cachestat and preadv2 have no safe form in std"
)]

use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::ptr;
use std::rc::Rc;

/// Size asked for each pipe.
const PIPE_BYTES: usize = 1 << 20;

/// A pipe that holds pages on their way.
#[derive(Debug)]
pub struct Pipe {
    read: Rc<OwnedFd>,
    write: Rc<OwnedFd>,
    capacity: usize,
    held: usize,
    /// Counts the pipes of a pool.
    _count: Rc<()>,
}

impl Pipe {
    fn new(count: Rc<()>) -> io::Result<Self> {
        let mut fds = [0; 2];
        // SAFETY: `fds` is room for the two descriptors.
        let result = unsafe { libc::pipe2(fds.as_mut_ptr(), libc::O_CLOEXEC | libc::O_NONBLOCK) };
        if result < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the kernel just gave us this descriptor and nobody else knows it.
        let read = unsafe { OwnedFd::from_raw_fd(fds[0]) };
        // SAFETY: as above.
        let write = unsafe { OwnedFd::from_raw_fd(fds[1]) };
        let wanted = libc::c_int::try_from(PIPE_BYTES).unwrap_or(libc::c_int::MAX);
        // SAFETY: F_SETPIPE_SZ takes an integer. Refused (pipe-user-pages-soft) it leaves the pipe as it is.
        unsafe { libc::fcntl(write.as_raw_fd(), libc::F_SETPIPE_SZ, wanted) };
        // SAFETY: F_GETPIPE_SZ takes nothing.
        let size = unsafe { libc::fcntl(write.as_raw_fd(), libc::F_GETPIPE_SZ) };
        Ok(Self {
            read: Rc::new(read),
            write: Rc::new(write),
            capacity: usize::try_from(size).unwrap_or(4096),
            held: 0,
            _count: count,
        })
    }

    /// Bytes it takes when empty (pages: fewer if the file range is not aligned).
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Bytes in it.
    #[must_use]
    pub fn held(&self) -> usize {
        self.held
    }

    /// The end that the ring splices into.
    #[must_use]
    pub fn write_end(&self) -> Rc<OwnedFd> {
        Rc::clone(&self.write)
    }

    /// The ring put so many bytes into it.
    pub fn filled(&mut self, bytes: usize) {
        self.held += bytes;
    }

    /// Moves resident pages of a file into the pipe. 0: the file ends at `position`.
    pub fn fill(&mut self, file: impl AsFd, position: u64, bytes: usize) -> io::Result<usize> {
        let mut offset = position.cast_signed();
        // SAFETY: both descriptors are open during the call; `offset` is a loff_t that the kernel reads and advances.
        let moved = unsafe {
            libc::splice(
                file.as_fd().as_raw_fd(),
                &raw mut offset,
                self.write.as_raw_fd(),
                ptr::null_mut(),
                bytes,
                libc::SPLICE_F_NONBLOCK,
            )
        };
        let moved = usize::try_from(moved).map_err(|_| io::Error::last_os_error())?;
        self.held += moved;
        Ok(moved)
    }

    /// Moves what the pipe holds into a socket, as much as it takes now. `WouldBlock`: nothing.
    pub fn drain(&mut self, socket: &OwnedFd, more: bool) -> io::Result<usize> {
        set_nonblocking(socket, true)?;
        let flags = libc::SPLICE_F_NONBLOCK | if more { libc::SPLICE_F_MORE } else { 0 };
        // SAFETY: both descriptors are open during the call; no pointers are passed.
        let moved = unsafe {
            libc::splice(
                self.read.as_raw_fd(),
                ptr::null_mut(),
                socket.as_raw_fd(),
                ptr::null_mut(),
                self.held,
                flags,
            )
        };
        let result = usize::try_from(moved).map_err(|_| io::Error::last_os_error());
        set_nonblocking(socket, false)?;
        let moved = result?;
        self.held -= moved;
        Ok(moved)
    }
}

/// Pipes for reuse.
#[derive(Debug)]
pub struct PipePool {
    idle: Vec<Pipe>,
    in_use_max: usize,
    count: Rc<()>,
}

impl PipePool {
    /// So many pipes may wait with pages in them for slow peers; a quarter as many empty ones are kept for the next response.
    #[must_use]
    pub fn new(in_use_max: usize) -> Self {
        Self {
            idle: Vec::new(),
            in_use_max,
            count: Rc::default(),
        }
    }

    /// An empty pipe.
    ///
    /// Errors: no more descriptors.
    pub fn take(&mut self) -> io::Result<Pipe> {
        match self.idle.pop() {
            Some(pipe) => Ok(pipe),
            None => Pipe::new(Rc::clone(&self.count)),
        }
    }

    /// True if so many pipes are in use that a blocked one should be given back.
    #[must_use]
    pub fn is_crowded(&self) -> bool {
        Rc::strong_count(&self.count) - 1 - self.idle.len() > self.in_use_max
    }

    /// Takes a pipe back; one that still holds pages is closed instead, which drops them.
    pub fn give_back(&mut self, pipe: Pipe) {
        if pipe.held == 0 && self.idle.len() < self.in_use_max / 4 {
            self.idle.push(pipe);
        }
    }
}

/// cachestat(2): one number on all architectures; libc does not know it everywhere.
const SYS_CACHESTAT: libc::c_long = 451;

/// What cachestat(2) reads; the kernel's `struct cachestat_range`.
#[repr(C)]
struct CacheRange {
    position: u64,
    bytes: u64,
}

/// What cachestat(2) writes; the kernel's `struct cachestat`.
#[repr(C)]
#[derive(Default)]
struct CacheStat {
    cached: u64,
    dirty: u64,
    writeback: u64,
    evicted: u64,
    recently_evicted: u64,
}

/// True if splicing this range will not wait for the disk. Asks twice: cachestat sees holes anywhere in the range but counts pages
/// whose readahead is still under way; a non-blocking read of one byte at both ends sees those.
#[must_use]
pub fn is_resident(file: impl AsFd, position: u64, bytes: u64) -> bool {
    if bytes == 0 {
        return true;
    }
    let fd = file.as_fd().as_raw_fd();
    let range = CacheRange { position, bytes };
    let mut stat = CacheStat::default();
    // SAFETY: `range` and `stat` have the kernel's layout and live during the call.
    let result = unsafe { libc::syscall(SYS_CACHESTAT, fd, &raw const range, &raw mut stat, 0) };
    let pages = (position + bytes).div_ceil(4096) - position / 4096;
    result == 0
        && stat.cached >= pages
        && can_read_now(fd, position)
        && can_read_now(fd, position + bytes - 1)
}

fn can_read_now(fd: libc::c_int, position: u64) -> bool {
    let mut byte = 0_u8;
    let vector = libc::iovec {
        iov_base: (&raw mut byte).cast(),
        iov_len: 1,
    };
    // SAFETY: `vector` names one writable byte that lives during the call.
    let read = unsafe {
        libc::preadv2(
            fd,
            &raw const vector,
            1,
            position.cast_signed(),
            libc::RWF_NOWAIT,
        )
    };
    read == 1
}

fn set_nonblocking(socket: &OwnedFd, on: bool) -> io::Result<()> {
    let mut value = libc::c_int::from(on);
    // SAFETY: FIONBIO reads one int, which lives during the call.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), libc::FIONBIO, &raw mut value) };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};

    #[test]
    fn a_files_range_reaches_the_socket() {
        let mut file = tempfile::tempfile().expect("a temporary file");
        let content: Vec<u8> = (0..300_000_u32)
            .map(|n| n.to_le_bytes()[n as usize % 3])
            .collect();
        file.write_all(&content).expect("written");
        assert!(is_resident(&file, 100, 200_000), "just written");
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("binds");
        let address = listener.local_addr().expect("bound");
        let mut client = std::net::TcpStream::connect(address).expect("connects");
        let (server, _) = listener.accept().expect("accepts");
        let server = OwnedFd::from(server);
        let mut pool = PipePool::new(4);
        let mut pipe = pool.take().expect("a pipe");
        let moved = pipe.fill(&file, 100, 200_000).expect("spliced");
        let mut received = vec![0; moved];
        let reader = std::thread::spawn(move || {
            client.read_exact(&mut received).expect("received");
            received
        });
        while pipe.held() > 0 {
            match pipe.drain(&server, false) {
                Ok(_) => {}
                Err(error) => assert_eq!(error.kind(), io::ErrorKind::WouldBlock),
            }
        }
        pool.give_back(pipe);
        let received = reader.join().expect("the reader ends");
        assert!(received == content[100..100 + moved]);
    }
}
