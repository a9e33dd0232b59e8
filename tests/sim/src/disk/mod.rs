//! The simulated disk: executes every `DiskOp`, in a random order among those in flight, and breaks as disks break.
//!
//! Invariants:
//! 1. An operation has its effect between its submission and its completion; a crash in between leaves it done, undone or in part.
//! 2. A kill keeps what completed; a power cut keeps what was flushed and a random part of the rest (see `inode`, `names`).
//! 3. A flush covers its own file, and of it only what completed before the flush was submitted.
//!
//! Deliberately absent: time (the world decides when an operation completes).

pub mod inode;
pub mod names;
pub mod tail;

use std::collections::BTreeMap;

use bytes::Bytes;
use onrush_core::effect::{DiskError, DiskOk, DiskOp, DiskResult, Part};
use onrush_core::types::{FileId, Token};

use crate::rng::Rng;
use inode::{Inode, SECTOR};
use names::{Change, Names, Node};
use tail::Tail;

/// How a process came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crash {
    /// kill -9, or a clean exit: what the kernel has stays.
    Kill,
    /// The machine lost power.
    Power,
}

/// What goes wrong next.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    /// So many next writes of log data fail with EIO.
    pub fail_writes: u32,
    /// So many next flushes (durable writes count) fail with EIO.
    pub fail_flushes: u32,
    /// Nothing can be allocated.
    pub full: bool,
}

/// Counts of what was done and broken.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    /// Operations completed.
    pub ops: u64,
    /// EIO answered.
    pub io_errors: u64,
    /// ENOSPC answered.
    pub no_space: u64,
}

/// An operation handed to the disk.
#[derive(Debug)]
struct InFlight {
    core: u16,
    token: Token,
    op: DiskOp,
    /// The file, for operations on an open one.
    inode: u64,
    /// Whole sectors, for a write.
    image: Bytes,
    /// What a flush covers.
    moment: u64,
}

#[derive(Debug)]
struct Handle {
    inode: u64,
    tail: Tail,
    in_flight: u32,
    closing: bool,
}

/// The disk of one node.
#[derive(Debug)]
pub struct Disk {
    rng: Rng,
    names: Names,
    inodes: BTreeMap<u64, Inode>,
    inode_next: u64,
    handles: BTreeMap<(u16, FileId), Handle>,
    in_flight: BTreeMap<u64, InFlight>,
    op_next: u64,
    /// What goes wrong next.
    pub faults: Faults,
    /// What was done.
    pub counts: Counts,
}

/// A piece of a response as the edge holds it until it is sent.
#[derive(Clone, Debug)]
pub enum Held {
    /// In memory.
    Bytes(Bytes),
    /// In a file, read when it is sent.
    Extent {
        /// The file's inode, kept alive.
        inode: u64,
        /// First byte.
        position: u64,
        /// How many.
        len: u64,
    },
}

impl Disk {
    /// An empty disk.
    #[must_use]
    pub fn new(rng: Rng) -> Self {
        Self {
            rng,
            names: Names::default(),
            inodes: BTreeMap::new(),
            inode_next: 1,
            handles: BTreeMap::new(),
            in_flight: BTreeMap::new(),
            op_next: 1,
            faults: Faults::default(),
            counts: Counts::default(),
        }
    }

    /// Runs an immediate operation at once, or takes one in and returns its number for [`Self::complete`].
    pub fn submit(&mut self, core: u16, op: DiskOp, token: Token) -> Option<u64> {
        let mut in_flight = InFlight {
            core,
            token,
            op,
            inode: 0,
            image: Bytes::new(),
            moment: 0,
        };
        match &in_flight.op {
            DiskOp::Append {
                file,
                position,
                parts,
            } => {
                self.handle(core, *file).tail.append(position.0, parts);
                return None;
            }
            DiskOp::ReleaseTail { file, below } => {
                self.handle(core, *file).tail.release(below.0);
                return None;
            }
            DiskOp::Close { file } => {
                self.handle(core, *file).closing = true;
                self.drop_if_done(core, *file);
                return None;
            }
            DiskOp::WriteTail { file, from, to, .. } => {
                in_flight.image = self.handle(core, *file).tail.begin_write(from.0, to.0);
            }
            DiskOp::Truncate { file, .. } => {
                let tail = &self.handle(core, *file).tail;
                assert!(!tail.is_writing(), "a file is cut under a write in flight");
            }
            DiskOp::Open { file, .. } => {
                let known = self.handles.contains_key(&(core, *file));
                assert!(!known, "a file handle is used twice");
            }
            _ => {}
        }
        if let Some(file) = file_of(&in_flight.op) {
            let handle = self.handle(core, file);
            handle.in_flight += 1;
            in_flight.inode = handle.inode;
            in_flight.moment = self.inode(in_flight.inode).moment();
        }
        let number = self.op_next;
        self.op_next += 1;
        self.in_flight.insert(number, in_flight);
        Some(number)
    }

    /// Completes an operation: its effect and its answer.
    pub fn complete(&mut self, number: u64) -> (u16, Token, DiskResult) {
        let op = self
            .in_flight
            .remove(&number)
            .expect("the world completes what it submitted");
        let result = self.execute(&op);
        self.counts.ops += 1;
        match &result {
            Err(DiskError::NoSpace(_)) => self.counts.no_space += 1,
            Err(DiskError::Io(_)) => self.counts.io_errors += 1,
            Ok(_) => {}
        }
        if let Some(file) = file_of(&op.op) {
            self.handle_any(op.core, file).in_flight -= 1;
            self.drop_if_done(op.core, file);
        }
        (op.core, op.token, result)
    }

    /// Takes hold of a part of a response when it is handed over.
    pub fn hold(&mut self, core: u16, part: &Part) -> Held {
        match part {
            Part::Lent { loan, .. } => {
                let held: &Held = loan.0.downcast_ref().expect("lent by this disk");
                held.clone()
            }
            Part::Head(bytes) => Held::Bytes(bytes.clone()),
            Part::Tail {
                file,
                position,
                len,
            } => Held::Bytes(
                self.handle(core, *file)
                    .tail
                    .slice(position.0, u64::from(*len)),
            ),
            Part::Extent {
                file,
                position,
                len,
            } => {
                let handle = self.handle(core, *file);
                handle.tail.check_extent(position.0, u64::from(*len));
                Held::Extent {
                    inode: handle.inode,
                    position: position.0,
                    len: u64::from(*len),
                }
            }
        }
    }

    /// The bytes of a held part, now that it is sent.
    #[must_use]
    pub fn bytes_of(&self, held: &Held) -> Bytes {
        match held {
            Held::Bytes(bytes) => bytes.clone(),
            Held::Extent {
                inode,
                position,
                len,
            } => {
                let bytes = self.inodes[inode].read(*position, *len);
                assert_eq!(bytes.len() as u64, *len, "an extent ends within its file");
                bytes
            }
        }
    }

    /// The process is gone, and the machine with it on [`Crash::Power`]. Operations in flight are done, undone or done in part.
    pub fn crash(&mut self, crash: Crash) {
        for (_, op) in std::mem::take(&mut self.in_flight) {
            self.abandon(&op);
        }
        self.handles.clear();
        self.faults = Faults::default();
        if crash == Crash::Power {
            self.names.power_cut(&mut self.rng);
            for inode in self.inodes.values_mut() {
                inode.power_cut(&mut self.rng);
            }
        }
        let named = self.names.inodes();
        self.inodes.retain(|number, _| named.contains(number));
    }

    /// Every file with its content, for a look from outside.
    #[must_use]
    pub fn files(&self) -> Vec<(String, Bytes)> {
        self.names
            .files()
            .map(|(name, inode)| {
                let inode = &self.inodes[&inode];
                (name.to_owned(), inode.read(0, inode.size()))
            })
            .collect()
    }

    /// Puts a file there, stable: what was on the disk before the node's first start.
    pub fn plant(&mut self, path: &str, content: &[u8]) {
        for (slash, _) in path.match_indices('/') {
            self.names
                .apply(Change::Put(path[..slash].to_owned(), Node::Dir));
        }
        self.put_file(path, content);
        self.names.flush();
    }

    fn handle(&mut self, core: u16, file: FileId) -> &mut Handle {
        let handle = self.handle_any(core, file);
        assert!(!handle.closing, "{file} is used after its close");
        handle
    }

    fn handle_any(&mut self, core: u16, file: FileId) -> &mut Handle {
        self.handles
            .get_mut(&(core, file))
            .expect("only open files are used")
    }

    fn drop_if_done(&mut self, core: u16, file: FileId) {
        let handle = self.handle_any(core, file);
        if handle.closing && handle.in_flight == 0 {
            self.handles.remove(&(core, file));
        }
    }

    fn inode(&mut self, number: u64) -> &mut Inode {
        self.inodes
            .get_mut(&number)
            .expect("inodes live as long as the process")
    }

    fn put_file(&mut self, path: &str, content: &[u8]) -> u64 {
        let number = self.inode_next;
        self.inode_next += 1;
        self.inodes.insert(number, Inode::stable(content));
        self.names
            .apply(Change::Put(path.to_owned(), Node::File(number)));
        number
    }

    fn execute(&mut self, op: &InFlight) -> DiskResult {
        match &op.op {
            DiskOp::List { path } => {
                if self.names.get(path) != Some(Node::Dir) {
                    return Ok(DiskOk::Missing);
                }
                let inodes = &self.inodes;
                Ok(DiskOk::Names(
                    self.names.list(path, |inode| inodes[&inode].size()),
                ))
            }
            DiskOp::MakeDir { path } => self.make_dir(path),
            DiskOp::Rename { from, to } => self.rename(from, to),
            DiskOp::Remove { path } => {
                for name in self.names.below(path) {
                    self.names.apply(Change::Remove(name));
                }
                Ok(DiskOk::Done)
            }
            DiskOp::ReadFile { path, bytes_max } => match self.names.get(path) {
                None => Ok(DiskOk::Missing),
                Some(Node::Dir) => Err(DiskError::Io(format!("{path} is a directory"))),
                Some(Node::File(inode)) => {
                    let inode = self.inode(inode);
                    if inode.size() > *bytes_max {
                        return Err(DiskError::Io(format!("{path} is too large")));
                    }
                    Ok(DiskOk::Bytes(inode.read(0, inode.size())))
                }
            },
            DiskOp::WriteFile { path, bytes } => self.write_file(path, bytes),
            DiskOp::Open { path, file, create } => self.open(op.core, path, *file, *create),
            DiskOp::WriteTail { .. } => self.write_tail(op),
            DiskOp::Reserve { to, .. } => {
                if to.0 > self.inode(op.inode).size() {
                    self.allocate("reserve")?;
                    self.inode(op.inode).grow(to.0, false);
                }
                Ok(DiskOk::Done)
            }
            DiskOp::Flush { .. } => {
                if self.faults.fail_flushes > 0 {
                    self.faults.fail_flushes -= 1;
                    let mut rng = self.rng.fork();
                    self.inode(op.inode).fail_flush(&mut rng);
                    return Err(DiskError::Io("EIO of a flush".to_owned()));
                }
                self.inode(op.inode).flush(op.moment);
                Ok(DiskOk::Done)
            }
            DiskOp::Truncate { file, to } => {
                self.handle_any(op.core, *file).tail.truncate(to.0);
                let inode = self.inode(op.inode);
                inode.flush(inode.moment());
                inode.truncate(to.0);
                Ok(DiskOk::Done)
            }
            DiskOp::Read { position, len, .. } => Ok(DiskOk::Bytes(
                self.inode(op.inode).read(position.0, u64::from(*len)),
            )),
            DiskOp::Append { .. } | DiskOp::ReleaseTail { .. } | DiskOp::Close { .. } => {
                unreachable!("immediate operations never wait")
            }
        }
    }

    fn allocate(&self, what: &str) -> Result<(), DiskError> {
        if self.faults.full {
            return Err(DiskError::NoSpace(what.to_owned()));
        }
        Ok(())
    }

    fn make_dir(&mut self, path: &str) -> DiskResult {
        if self.names.get(path).is_none() {
            if !self.names.has_parent(path) {
                return Err(DiskError::Io(format!("no parent of {path}")));
            }
            self.allocate("mkdir")?;
            self.names.apply(Change::Put(path.to_owned(), Node::Dir));
        }
        self.names.flush();
        Ok(DiskOk::Done)
    }

    fn rename(&mut self, from: &str, to: &str) -> DiskResult {
        if self.names.get(from).is_none() || !self.names.has_parent(to) {
            return Err(DiskError::Io(format!("rename {from} to {to}: ENOENT")));
        }
        self.names
            .apply(Change::Move(from.to_owned(), to.to_owned()));
        self.names.flush();
        Ok(DiskOk::Done)
    }

    fn write_file(&mut self, path: &str, bytes: &[u8]) -> DiskResult {
        if !self.names.has_parent(path) {
            return Err(DiskError::Io(format!("no directory of {path}")));
        }
        self.allocate("write a file")?;
        self.put_file(path, bytes);
        self.names.flush();
        Ok(DiskOk::Done)
    }

    fn open(&mut self, core: u16, path: &str, file: FileId, create: bool) -> DiskResult {
        let inode = match self.names.get(path) {
            Some(Node::Dir) => return Err(DiskError::Io(format!("{path} is a directory"))),
            Some(Node::File(inode)) => inode,
            None if !create => return Ok(DiskOk::Missing),
            None if !self.names.has_parent(path) => {
                return Err(DiskError::Io(format!("no directory of {path}")));
            }
            None => {
                self.allocate("create")?;
                let inode = self.put_file(path, &[]);
                self.names.flush();
                inode
            }
        };
        let bytes = self.inode(inode).size();
        let handle = Handle {
            inode,
            tail: Tail::of_file(bytes),
            in_flight: 0,
            closing: false,
        };
        self.handles.insert((core, file), handle);
        Ok(DiskOk::Opened { bytes })
    }

    fn write_tail(&mut self, op: &InFlight) -> DiskResult {
        let DiskOp::WriteTail {
            file,
            from,
            to,
            durable,
        } = op.op
        else {
            unreachable!("called for writes only")
        };
        let end = from.0 + op.image.len() as u64;
        let grows = end > self.inode(op.inode).size();
        let result = if self.faults.fail_writes > 0 {
            self.faults.fail_writes -= 1;
            Err(DiskError::Io("EIO of a write".to_owned()))
        } else if durable && self.faults.fail_flushes > 0 {
            self.faults.fail_flushes -= 1;
            Err(DiskError::Io("EIO of a durable write".to_owned()))
        } else if grows {
            self.allocate("write")
        } else {
            Ok(())
        };
        self.handle_any(op.core, file)
            .tail
            .end_write(from.0, to.0, result.is_ok());
        match result {
            Ok(()) => {
                self.store(op, durable, 100);
                Ok(DiskOk::Done)
            }
            Err(error) => {
                let percent = *self.rng.pick(&[0, 50, 100]);
                self.store(op, false, percent);
                Err(error)
            }
        }
    }

    /// Writes each sector of an operation's image with this probability.
    fn store(&mut self, op: &InFlight, durable: bool, percent: u64) {
        let DiskOp::WriteTail { from, .. } = op.op else {
            unreachable!("called for writes only")
        };
        let count = op.image.len() as u64 / SECTOR;
        for index in 0..count {
            if !self.rng.percent(percent) {
                continue;
            }
            let start = inode::at(index * SECTOR);
            let image = op.image.slice(start..start + inode::at(SECTOR));
            let position = from.0 + index * SECTOR;
            let inode = self.inode(op.inode);
            inode.write_sector(position / SECTOR, image, durable);
            inode.grow(position + SECTOR, durable);
        }
    }

    /// What becomes of an operation whose process died.
    fn abandon(&mut self, op: &InFlight) {
        match &op.op {
            DiskOp::WriteTail { .. } => {
                let percent = *self.rng.pick(&[0, 30, 70, 100]);
                self.store(op, false, percent);
            }
            DiskOp::Remove { path } => {
                let all = self.names.below(path);
                let done = self.rng.index(all.len() + 1);
                for name in all.into_iter().take(done) {
                    self.names.apply(Change::Remove(name));
                }
            }
            // The temporary file stays behind, in part.
            DiskOp::WriteFile { path, bytes }
                if self.rng.one_in(3) && self.names.has_parent(path) && !self.faults.full =>
            {
                let part = self.rng.index(bytes.len() + 1);
                self.put_file(&format!("{path}.tmp"), &bytes[..part]);
            }
            DiskOp::Open { create: false, .. }
            | DiskOp::List { .. }
            | DiskOp::ReadFile { .. }
            | DiskOp::Read { .. } => {}
            _ if self.rng.percent(50) => {
                // Nobody hears the answer.
                drop(self.execute(op));
            }
            _ => {}
        }
    }
}

/// The open file that an operation with a completion works on.
fn file_of(op: &DiskOp) -> Option<FileId> {
    match op {
        DiskOp::WriteTail { file, .. }
        | DiskOp::Reserve { file, .. }
        | DiskOp::Flush { file }
        | DiskOp::Truncate { file, .. }
        | DiskOp::Read { file, .. } => Some(*file),
        DiskOp::List { .. }
        | DiskOp::MakeDir { .. }
        | DiskOp::Rename { .. }
        | DiskOp::Remove { .. }
        | DiskOp::ReadFile { .. }
        | DiskOp::WriteFile { .. }
        | DiskOp::Open { .. }
        | DiskOp::Append { .. }
        | DiskOp::ReleaseTail { .. }
        | DiskOp::Close { .. } => None,
    }
}

#[cfg(test)]
mod tests;
