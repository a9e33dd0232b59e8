//! Executes the core's disk operations: data on the ring, names and small files on a helper thread.
//!
//! Invariants:
//! 1. Every operation with a token is answered exactly once; a short write goes on with its rest, an error is reported and
//!    never tried again (except EINTR and EAGAIN, which are no errors of the disk).
//! 2. A write takes its bytes from the tail by reference, the open sector as a private copy: appends go on meanwhile.
//! 3. A file's descriptors stay open while an operation or a response uses them, on whatever core and whatever is closed,
//!    and are closed on a helper thread.
//! 4. Offsets, epochs and sequence numbers mean nothing here.
//!
//! Two descriptors per open file: writes go past the page cache, reads and splices through it (a read of what was written
//! directly sees it: the kernel drops cached pages of a range that is written directly).

mod helper;
mod loan;
#[cfg(test)]
mod tests;

use std::cell::Cell;
use std::collections::{HashMap, VecDeque};
use std::io;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use onrush_core::effect::{DiskOk, DiskOp, DiskResult, Note};
use onrush_core::input::Input;
use onrush_core::types::limits::SECTOR_BYTES;
use onrush_core::types::{FileId, Position, Token};

use self::helper::{Helper, Job, Reply, disk_error};
use crate::io::file::advise_readahead;
use crate::io::lent::{Lent, Vectors};
use crate::io::names::Opened;
use crate::io::pool::{Filling, Pool, Purpose};
use crate::io::ring::{Done, Keep, Ring};
use crate::io::shared::{self, Mark, SharedFd};
use crate::io::tail::Tail;
use crate::io::wake::Sleeper;

pub use loan::{Borrowed, borrowed};

pub use crate::io::probe::{FlushCost, measure_flush};

/// Names an operation of the store on the ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoreOp(usize);

/// What the store needs of the core's other parts for one call.
pub struct Cx<'a, T> {
    /// The core's ring.
    pub ring: &'a mut Ring<T>,
    /// The core's memory.
    pub pool: &'a mut Pool,
    /// What the machine is to be stepped with.
    pub inbox: &'a mut VecDeque<Input>,
    /// Events for people.
    pub notes: &'a mut Vec<Note>,
}

#[derive(Default)]
struct LogFile {
    tail: Tail,
    /// Below it everything is in the file and may be read from there.
    released: Mark,
    fds: Option<Fds>,
    /// Up to where blocks are allocated: what is allocated already need not be walked again.
    reserved: u64,
    /// End of the last sector that a write was asked for.
    begun: u64,
}

struct Fds {
    direct: Rc<SharedFd>,
    /// Other cores may hold it, too.
    buffered: Rc<SharedFd>,
    /// The file grows (space was reserved since it was opened or cut): no readahead past its end.
    grows: bool,
}

impl LogFile {
    fn on_truncated(&mut self, to: u64) {
        let cut_content = self.tail.end().is_some_and(|end| end > to);
        if cut_content {
            // What responses still hold of the bytes that are gone cannot be read from the file any more.
            self.released.set(0);
            self.released = Mark::default();
        } else {
            self.released.set(to);
        }
        self.tail = Tail::default();
        self.begun = 0;
        self.set_growing(false);
    }

    fn set_growing(&mut self, grows: bool) {
        if let Some(fds) = &mut self.fds
            && fds.grows != grows
        {
            fds.grows = grows;
            advise_readahead(&*fds.buffered, !grows);
        }
    }
}

enum Pending {
    /// Whatever it brings, `Done` or an error.
    Simple(Token, Retry),
    Write(Write),
    Read {
        token: Token,
        file: Rc<SharedFd>,
        position: u64,
        left: usize,
    },
}

/// A write on the ring: all of what a token asked for, or a piece.
struct Write {
    token: Token,
    file: Rc<SharedFd>,
    position: u64,
    durable: bool,
    /// Shared by the pieces of one token, the last of which to come back answers it: the first error, if any.
    error: Rc<Cell<Option<io::Error>>>,
}

/// How to start a simple operation again after EINTR.
#[derive(Clone)]
enum Retry {
    /// Which file, its descriptor, first byte, end.
    Reserve(FileId, Rc<SharedFd>, u64, u64),
    Flush(Rc<SharedFd>),
}

/// One core's files.
pub struct Store {
    files: HashMap<FileId, LogFile>,
    pending: Vec<Option<Pending>>,
    free: Vec<usize>,
    helper: Helper,
    warned: bool,
}

impl Store {
    /// For the log directory `dir`, which exists; `cpus` is where its helper thread may run.
    ///
    /// Errors: the thread could not be started.
    pub fn start(
        name: &str,
        dir: PathBuf,
        cpus: Vec<usize>,
        sleeper: Arc<Sleeper>,
    ) -> io::Result<Self> {
        shared::keep_graveyard();
        Ok(Self {
            files: HashMap::new(),
            pending: Vec::new(),
            free: Vec::new(),
            helper: Helper::start(name, dir, cpus, sleeper)?,
            warned: false,
        })
    }

    /// Executes one operation.
    ///
    /// Panics if it names a file that is not open: handles are the core's own.
    pub fn execute<T: From<StoreOp> + Clone>(
        &mut self,
        token: Token,
        op: DiskOp,
        cx: &mut Cx<'_, T>,
    ) {
        match op {
            DiskOp::List { path } => self.helper.push(Job::List(token, path)),
            DiskOp::MakeDir { path } => self.helper.push(Job::MakeDir(token, path)),
            DiskOp::Rename { from, to } => self.helper.push(Job::Rename(token, from, to)),
            DiskOp::Remove { path } => self.helper.push(Job::Remove(token, path)),
            DiskOp::ReadFile { path, bytes_max } => {
                self.helper.push(Job::ReadFile(token, path, bytes_max));
            }
            DiskOp::WriteFile { path, bytes } => {
                self.helper.push(Job::WriteFile(token, path, bytes));
            }
            DiskOp::Open { path, file, create } => {
                let before = self.files.insert(file, LogFile::default());
                assert!(before.is_none(), "a handle is used once");
                self.helper.push(Job::Open(token, path, file, create));
            }
            DiskOp::Append {
                file,
                position,
                parts,
            } => self.append(file, position, &parts, cx),
            DiskOp::WriteTail {
                file,
                from,
                to,
                durable,
            } => self.write_tail(token, file, from.0..to.0, durable, cx),
            DiskOp::ReleaseTail { file, below } => {
                // Without memory for the smaller block the larger one stays: nothing is lost but room.
                let entry = self.file(file);
                entry.released.set(below.0 - below.0 % SECTOR_BYTES);
                drop(entry.tail.release(cx.pool, below.0));
            }
            DiskOp::Reserve { file, to } => self.reserve(token, file, to, cx),
            DiskOp::Flush { file } => {
                let fd = Rc::clone(&self.fds(file).direct);
                self.simple(token, Retry::Flush(fd), cx);
            }
            DiskOp::Truncate { file, to } => self.truncate(token, file, to, cx),
            DiskOp::Read {
                file,
                position,
                len,
            } => self.read(token, file, position, len, cx),
            DiskOp::Close { file } => {
                // One that was absent when it was to be opened is not there, and need not be.
                self.files.remove(&file);
            }
        }
    }

    /// Bytes of a file's tail by reference, for a response.
    pub fn tail_slices(&mut self, file: FileId, position: Position, len: u32) -> Vec<Bytes> {
        self.file(file).tail.slices(position.0, u64::from(len))
    }

    /// Below the mark a file's bytes are in the file and may be read from there; it moves as the tail is released.
    pub fn released(&mut self, file: FileId) -> Mark {
        self.file(file).released.clone()
    }

    /// The descriptor to splice a file's bytes from.
    pub fn splice_source(&mut self, file: FileId) -> Keep {
        Rc::<SharedFd>::clone(&self.fds(file).buffered)
    }

    fn shared(&mut self, file: FileId) -> SharedFd {
        SharedFd::clone(&self.fds(file).buffered)
    }

    /// Handles a completion.
    pub fn on_done<T: From<StoreOp> + Clone>(
        &mut self,
        op: StoreOp,
        done: Done<T>,
        cx: &mut Cx<'_, T>,
    ) {
        let pending = self.pending.get_mut(op.0).and_then(Option::take);
        self.free.push(op.0);
        match pending.expect("a completion belongs to an operation") {
            Pending::Simple(token, retry) => match done.result {
                Err(error) if is_transient(&error) => self.simple(token, retry, cx),
                result => {
                    if let (Err(_), Retry::Reserve(file, _, from, _)) = (&result, &retry)
                        && let Some(entry) = self.files.get_mut(file)
                    {
                        entry.reserved = *from;
                    }
                    answer(token, result.map(|_| DiskOk::Done), cx);
                }
            },
            Pending::Write(write) => self.on_written(write, done.result, done.lent, cx),
            Pending::Read {
                token,
                file,
                position,
                left,
            } => self.on_read(token, (file, position, left), done.result, done.lent, cx),
        }
    }

    /// Takes what the helper has done and gives it what waits. Returns how many replies there were.
    pub fn poll<T>(&mut self, cx: &mut Cx<'_, T>) -> usize {
        let mut count = 0;
        while let Some(reply) = self.helper.reply() {
            count += 1;
            match reply {
                Reply::Disk(token, result) => cx.inbox.push_back(Input::Disk { token, result }),
                Reply::NotOpened(token, file, result) => {
                    self.files.remove(&file);
                    cx.inbox.push_back(Input::Disk { token, result });
                }
                Reply::Truncated(token, file, to, result) => {
                    if result.is_ok()
                        && let Some(entry) = self.files.get_mut(&file)
                    {
                        entry.on_truncated(to.0);
                    }
                    cx.inbox.push_back(Input::Disk { token, result });
                }
                Reply::Opened {
                    token,
                    file,
                    opened,
                } => self.on_opened(token, file, opened, cx),
            }
        }
        count
    }

    /// Hands queued jobs to the helper; to be called once the effects of a round are executed.
    pub fn flush(&mut self) {
        let buried = shared::take_buried();
        if !buried.is_empty() {
            self.helper.push(Job::Close(buried));
        }
        self.helper.flush();
    }

    /// True if the helper has nothing to tell.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        self.helper.is_empty()
    }

    /// Files open now.
    #[must_use]
    pub fn open_files(&self) -> usize {
        self.files.len()
    }

    fn file(&mut self, file: FileId) -> &mut LogFile {
        self.files
            .get_mut(&file)
            .expect("the core names open files")
    }

    fn fds(&mut self, file: FileId) -> &Fds {
        self.file(file)
            .fds
            .as_ref()
            .expect("the core waits until a file is open")
    }

    fn append<T>(&mut self, file: FileId, position: Position, parts: &[Bytes], cx: &mut Cx<'_, T>) {
        let tail = &mut self.file(file).tail;
        // The core bounds what is unwritten; without the memory for that much the process cannot keep its promises.
        tail.append(cx.pool, position.0, parts)
            .expect("memory for the bounded tails is there");
    }

    /// Without a flush, the open sector that was written before and the new ones behind it are two writes: a range that lies partly in
    /// blocks never written sends ext4 and xfs to a worker thread and takes the file's exclusive lock there, while either piece
    /// alone is submitted at once. A durable write stays whole, since each piece would flush the disk.
    fn write_tail<T: From<StoreOp> + Clone>(
        &mut self,
        token: Token,
        file: FileId,
        range: std::ops::Range<u64>,
        durable: bool,
        cx: &mut Cx<'_, T>,
    ) {
        let fd = Rc::clone(&self.fds(file).direct);
        let entry = self.file(file);
        let begun = entry.begun;
        entry.begun = range.end.next_multiple_of(SECTOR_BYTES);
        let first = Write {
            token,
            file: fd,
            position: range.start,
            durable,
            error: Rc::default(),
        };
        if !durable && range.start < begun && begun < range.end {
            let second = Write {
                position: begun,
                file: Rc::clone(&first.file),
                error: Rc::clone(&first.error),
                ..first
            };
            self.write_from_tail(file, first, begun, cx);
            self.write_from_tail(file, second, range.end, cx);
        } else {
            self.write_from_tail(file, first, range.end, cx);
        }
    }

    /// Starts a write that reaches to `to`.
    fn write_from_tail<T: From<StoreOp> + Clone>(
        &mut self,
        file: FileId,
        write: Write,
        to: u64,
        cx: &mut Cx<'_, T>,
    ) {
        match self.file(file).tail.sectors(cx.pool, write.position, to) {
            Ok(parts) => self.write(write, Box::new(Vectors::new(parts)), cx),
            Err(error) => write.end(Some(error), cx),
        }
    }

    fn write<T: From<StoreOp> + Clone>(
        &mut self,
        write: Write,
        vectors: Box<Vectors>,
        cx: &mut Cx<'_, T>,
    ) {
        let (file, position, durable) = (Rc::clone(&write.file), write.position, write.durable);
        let op = self.add(Pending::Write(write));
        cx.ring.write(file, position, vectors, durable, op.into());
    }

    fn on_written<T: From<StoreOp> + Clone>(
        &mut self,
        mut write: Write,
        result: io::Result<u32>,
        lent: Lent,
        cx: &mut Cx<'_, T>,
    ) {
        let Some(mut vectors) = lent.into_vectors() else {
            let error = io::Error::other("a write came back without its memory");
            return write.end(Some(error), cx);
        };
        let written = match result {
            Ok(bytes) => u64::from(bytes),
            Err(error) if is_transient(&error) => return self.write(write, vectors, cx),
            Err(error) => return write.end(Some(error), cx),
        };
        if written == vectors.bytes() {
            return write.end(None, cx);
        }
        // The rest begins at a sector, as a direct write must; the sector that was cut is written again as a whole.
        let whole = written - written % SECTOR_BYTES;
        if whole == 0 {
            let error = io::Error::new(io::ErrorKind::WriteZero, "the disk takes no whole sector");
            return write.end(Some(error), cx);
        }
        vectors.consume(usize::try_from(whole).expect("writes fit memory"));
        write.position += whole;
        self.write(write, vectors, cx);
    }

    fn reserve<T: From<StoreOp> + Clone>(
        &mut self,
        token: Token,
        file: FileId,
        to: Position,
        cx: &mut Cx<'_, T>,
    ) {
        let fd = Rc::clone(&self.fds(file).direct);
        let entry = self.file(file);
        let from = entry.reserved - entry.reserved % SECTOR_BYTES;
        if to.0 <= entry.reserved {
            return answer(token, Ok(DiskOk::Done), cx);
        }
        entry.reserved = to.0;
        entry.set_growing(true);
        self.simple(token, Retry::Reserve(file, fd, from, to.0), cx);
    }

    fn simple<T: From<StoreOp> + Clone>(&mut self, token: Token, what: Retry, cx: &mut Cx<'_, T>) {
        let op = self.add(Pending::Simple(token, what.clone()));
        match what {
            Retry::Reserve(_, fd, from, to) => cx.ring.allocate(fd, from, to - from, op.into()),
            Retry::Flush(fd) => cx.ring.flush(fd, op.into()),
        }
    }

    fn truncate<T>(&mut self, token: Token, file: FileId, to: Position, cx: &mut Cx<'_, T>) {
        let entry = self.file(file);
        entry.reserved = entry.reserved.min(to.0);
        match self.fds(file).direct.as_fd().try_clone_to_owned() {
            Ok(fd) => self.helper.push(Job::Truncate(token, file, fd, to)),
            Err(error) => answer(token, Err(error), cx),
        }
    }

    fn read<T: From<StoreOp> + Clone>(
        &mut self,
        token: Token,
        file: FileId,
        position: Position,
        len: u32,
        cx: &mut Cx<'_, T>,
    ) {
        let fd = Rc::clone(&self.fds(file).buffered);
        let left = len as usize;
        match cx.pool.take(left, Purpose::Disk) {
            Ok(into) => self.read_on(token, (fd, position.0, left), into, cx),
            Err(error) => answer(token, Err(error), cx),
        }
    }

    fn read_on<T: From<StoreOp> + Clone>(
        &mut self,
        token: Token,
        (file, position, left): (Rc<SharedFd>, u64, usize),
        into: Filling,
        cx: &mut Cx<'_, T>,
    ) {
        let op = self.add(Pending::Read {
            token,
            file: Rc::clone(&file),
            position,
            left,
        });
        cx.ring.read(file, position, into, left, op.into());
    }

    fn on_read<T: From<StoreOp> + Clone>(
        &mut self,
        token: Token,
        (file, position, left): (Rc<SharedFd>, u64, usize),
        result: io::Result<u32>,
        memory: Lent,
        cx: &mut Cx<'_, T>,
    ) {
        let Some(into) = memory.into_filling() else {
            let error = io::Error::other("a read came back without its memory");
            return answer(token, Err(error), cx);
        };
        let count = match result {
            Ok(bytes) => bytes as usize,
            Err(error) if is_transient(&error) => {
                return self.read_on(token, (file, position, left), into, cx);
            }
            Err(error) => return answer(token, Err(error), cx),
        };
        if count == 0 || count == left {
            let bytes = into.bytes(0, into.filled());
            return answer(token, Ok(DiskOk::Bytes(bytes)), cx);
        }
        self.read_on(
            token,
            (file, position + count as u64, left - count),
            into,
            cx,
        );
    }

    fn on_opened<T>(&mut self, token: Token, file: FileId, opened: Opened, cx: &mut Cx<'_, T>) {
        if !opened.is_direct && !std::mem::replace(&mut self.warned, true) {
            cx.notes.push(Note::Warn(String::from(
                "the file system of the log directory has no direct I/O: writes go through the page cache; put log.dirs \
                 on ext4 or xfs",
            )));
        }
        let fds = Fds {
            direct: Rc::new(SharedFd::new(opened.direct)),
            buffered: Rc::new(SharedFd::new(opened.buffered)),
            grows: false,
        };
        // Closed while it was being opened: then nobody will use it.
        if let Some(entry) = self.files.get_mut(&file) {
            entry.fds = Some(fds);
            entry.reserved = opened.bytes;
        }
        let bytes = opened.bytes;
        cx.inbox.push_back(Input::Disk {
            token,
            result: Ok(DiskOk::Opened { bytes }),
        });
    }

    fn add(&mut self, pending: Pending) -> StoreOp {
        let index = self.free.pop().unwrap_or_else(|| {
            self.pending.push(None);
            self.pending.len() - 1
        });
        self.pending[index] = Some(pending);
        StoreOp(index)
    }
}

impl Write {
    /// This piece came back. The token is answered with the last one.
    fn end<T>(self, error: Option<io::Error>, cx: &mut Cx<'_, T>) {
        let error = self.error.take().or(error);
        if Rc::strong_count(&self.error) > 1 {
            self.error.set(error);
        } else {
            answer(self.token, error.map_or(Ok(DiskOk::Done), Err), cx);
        }
    }
}

fn answer<T>(token: Token, result: io::Result<DiskOk>, cx: &mut Cx<'_, T>) {
    let result: DiskResult = result.map_err(|error| disk_error(&error));
    cx.inbox.push_back(Input::Disk { token, result });
}

fn is_transient(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EAGAIN | libc::EINTR))
}
