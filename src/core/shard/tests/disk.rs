//! A disk in memory whose operations complete when the script says so.
//!
//! Invariants, each asserted on the core: appends continue the tail; a write starts at a sector and lies in reserved space; two writes in
//! flight share no sector; a part to be sent names bytes that are there (memory not released, or a completed write).
//! Deliberately absent: crashes that lose or tear writes (`tests/sim` has them), time.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;

use crate::effect::{DirEntry, DiskError, DiskOk, DiskOp, DiskResult, Part};
use crate::types::limits::SECTOR_BYTES;
use crate::types::{FileId, Position, Token};

/// An operation in flight.
#[derive(Debug)]
pub(super) struct InFlight {
    pub(super) token: Token,
    pub(super) op: DiskOp,
    /// What a write found in memory when it was asked for.
    image: Vec<u8>,
    /// Operations on names take effect in the order given; only their completion can wait.
    done: Option<DiskResult>,
}

#[derive(Debug, Default)]
struct Handle {
    inode: u64,
    /// All bytes appended from `tail_base` on; what was released stays here and is guarded by `released`.
    tail: Vec<u8>,
    tail_base: u64,
    tail_started: bool,
    released: u64,
    writing: Option<(u64, u64)>,
    written: u64,
    /// Kept for operations that are still in flight.
    closed: bool,
}

/// See the module head.
#[derive(Debug, Default)]
pub(super) struct Disk {
    dirs: BTreeSet<String>,
    names: BTreeMap<String, u64>,
    inodes: BTreeMap<u64, Vec<u8>>,
    inode_next: u64,
    handles: BTreeMap<FileId, Handle>,
    pub(super) in_flight: VecDeque<InFlight>,
    /// Nothing can be allocated.
    pub(super) full: bool,
}

fn at(position: u64) -> usize {
    usize::try_from(position).expect("small files")
}

fn failed(why: &str) -> DiskResult {
    Err(DiskError::Io(why.to_string()))
}

impl Disk {
    /// Runs an immediate operation, or takes one in.
    pub(super) fn submit(&mut self, op: DiskOp, token: Token) {
        let mut image = Vec::new();
        if let Some(file) = file_of(&op) {
            assert!(!self.handle(file).closed, "{op:?} of a closed file");
        }
        match &op {
            DiskOp::Append {
                file,
                position,
                parts,
            } => return self.append(*file, position.0, parts),
            DiskOp::ReleaseTail { file, below } => {
                let handle = self.handle(*file);
                handle.released = handle.released.max(below.0);
                return;
            }
            DiskOp::Close { file } => {
                self.handle(*file).closed = true;
                return;
            }
            DiskOp::WriteTail { file, from, to, .. } => {
                image = self.begin_write(*file, from.0, to.0);
            }
            _ => {}
        }
        let by_name = file_of(&op).is_none();
        let done = by_name.then(|| self.execute(&op, &[]));
        self.in_flight.push_back(InFlight {
            token,
            op,
            image,
            done,
        });
    }

    fn append(&mut self, file: FileId, position: u64, parts: &[Bytes]) {
        let handle = self.handle(file);
        if !handle.tail_started {
            assert_eq!(position % SECTOR_BYTES, 0, "a tail starts at a sector");
            (handle.tail_base, handle.tail_started) = (position, true);
        }
        let end = handle.tail_base + handle.tail.len() as u64;
        assert_eq!(position, end, "an append continues the tail");
        for part in parts {
            handle.tail.extend_from_slice(part);
        }
    }

    fn begin_write(&mut self, file: FileId, from: u64, to: u64) -> Vec<u8> {
        let inode = self.handle(file).inode;
        let size = self.inodes[&inode].len() as u64;
        assert!(to <= size, "a write stays in reserved space");
        let handle = self.handle(file);
        assert_eq!(from % SECTOR_BYTES, 0, "a write starts at a sector");
        assert!(handle.writing.is_none(), "one write at a time");
        handle.writing = Some((from, to));
        handle.memory(from, to)
    }

    /// Completes the operation at this place among those in flight.
    pub(super) fn complete(&mut self, place: usize) -> (Token, DiskResult) {
        let one = self.in_flight.remove(place).expect("in flight");
        let result = (one.done).unwrap_or_else(|| self.execute(&one.op, &one.image));
        (one.token, result)
    }

    /// Fails it instead.
    pub(super) fn fail(&mut self, place: usize, error: DiskError) -> (Token, DiskResult) {
        let InFlight { token, .. } = self.in_flight.remove(place).expect("in flight");
        (token, Err(error))
    }

    /// The process is gone; what completed stays.
    pub(super) fn crash(&mut self) {
        self.in_flight.clear();
        self.handles.clear();
    }

    /// The bytes of a part of an answer, and whether they come from the file.
    pub(super) fn bytes_of(&self, part: &Part) -> (Vec<u8>, bool) {
        match part {
            Part::Lent { .. } => panic!("a single core lends nothing"),
            Part::Head(bytes) => (bytes.to_vec(), false),
            Part::Tail {
                file,
                position,
                len,
            } => {
                let to = position.0 + u64::from(*len);
                (self.handles[file].memory(position.0, to), false)
            }
            Part::Extent {
                file,
                position,
                len,
            } => {
                let handle = &self.handles[file];
                let to = position.0 + u64::from(*len);
                assert!(to <= handle.written, "an extent is written");
                let inode = &self.inodes[&handle.inode];
                (inode[at(position.0)..at(to)].to_vec(), true)
            }
        }
    }

    /// Names of everything on the disk, directories with a slash at the end.
    pub(super) fn listing(&self) -> Vec<String> {
        let dirs = self.dirs.iter().map(|dir| format!("{dir}/"));
        let mut all: Vec<String> = dirs.chain(self.names.keys().cloned()).collect();
        all.sort();
        all
    }

    /// Puts a file there, with the directory it is in.
    pub(super) fn plant(&mut self, path: &str, bytes: &[u8]) {
        if let Some((dir, _)) = path.rsplit_once('/') {
            self.dirs.insert(dir.to_string());
        }
        self.put(path, bytes.to_vec());
    }

    /// A file's content, to look at or to damage.
    pub(super) fn content(&mut self, path: &str) -> &mut Vec<u8> {
        let inode = self.names.get(path).expect("the file is there");
        self.inodes.get_mut(inode).expect("named files exist")
    }

    fn handle(&mut self, file: FileId) -> &mut Handle {
        self.handles.get_mut(&file).expect("only open files")
    }

    fn put(&mut self, path: &str, bytes: Vec<u8>) -> u64 {
        self.inode_next += 1;
        self.names.insert(path.to_string(), self.inode_next);
        self.inodes.insert(self.inode_next, bytes);
        self.inode_next
    }

    fn execute(&mut self, op: &DiskOp, image: &[u8]) -> DiskResult {
        match op {
            DiskOp::List { path } => Ok(self.list(path)),
            DiskOp::MakeDir { path } => {
                self.dirs.insert(path.to_string());
                Ok(DiskOk::Done)
            }
            DiskOp::Rename { from, to } => self.rename(from, to),
            DiskOp::Remove { path } => {
                let below = format!("{path}/");
                self.dirs.remove(&**path);
                self.names
                    .retain(|name, _| **name != **path && !name.starts_with(&below));
                Ok(DiskOk::Done)
            }
            DiskOp::ReadFile { path, .. } => Ok(match self.names.get(&**path) {
                Some(inode) => DiskOk::Bytes(self.inodes[inode].clone().into()),
                None => DiskOk::Missing,
            }),
            DiskOp::WriteFile { path, bytes } => {
                self.space()?;
                self.put(path, bytes.to_vec());
                Ok(DiskOk::Done)
            }
            DiskOp::Open { path, file, create } => self.open(path, *file, *create),
            DiskOp::Reserve { file, to } => {
                self.space()?;
                let inode = self.handle(*file).inode;
                let bytes = self.inodes.get_mut(&inode).expect("open");
                let size = bytes.len().max(at(to.0));
                bytes.resize(size, 0);
                Ok(DiskOk::Done)
            }
            DiskOp::WriteTail { file, from, to, .. } => {
                self.write(*file, *from, *to, image);
                Ok(DiskOk::Done)
            }
            DiskOp::Flush { .. } => Ok(DiskOk::Done),
            DiskOp::Truncate { file, to } => {
                let handle = self.handle(*file);
                assert!(handle.writing.is_none(), "no cut under a write");
                handle.tail.clear();
                handle.tail_started = false;
                handle.written = handle.written.min(to.0);
                let inode = handle.inode;
                let bytes = self.inodes.get_mut(&inode).expect("open");
                bytes.truncate(at(to.0));
                Ok(DiskOk::Done)
            }
            DiskOp::Read {
                file,
                position,
                len,
            } => {
                let inode = self.handle(*file).inode;
                let bytes = &self.inodes[&inode];
                let from = at(position.0).min(bytes.len());
                let to = (from + at(u64::from(*len))).min(bytes.len());
                Ok(DiskOk::Bytes(bytes[from..to].to_vec().into()))
            }
            DiskOp::Append { .. } | DiskOp::ReleaseTail { .. } | DiskOp::Close { .. } => {
                unreachable!("immediate")
            }
        }
    }

    fn space(&self) -> Result<(), DiskError> {
        if self.full {
            return Err(DiskError::NoSpace("the script says so".to_string()));
        }
        Ok(())
    }

    fn list(&self, path: &str) -> DiskOk {
        if !path.is_empty() && !self.dirs.contains(path) {
            return DiskOk::Missing;
        }
        let below = |name: &str| {
            let rest = match path {
                "" => Some(name),
                dir => name.strip_prefix(dir).and_then(|n| n.strip_prefix('/')),
            };
            rest.filter(|rest| !rest.contains('/')).map(str::to_string)
        };
        let dirs = self.dirs.iter().filter_map(|dir| {
            Some(DirEntry {
                name: below(dir)?,
                is_dir: true,
                bytes: 0,
            })
        });
        let files = self.names.iter().filter_map(|(name, inode)| {
            Some(DirEntry {
                name: below(name)?,
                is_dir: false,
                bytes: self.inodes[inode].len() as u64,
            })
        });
        let mut entries: Vec<DirEntry> = dirs.chain(files).collect();
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        DiskOk::Names(entries)
    }

    fn rename(&mut self, from: &str, to: &str) -> DiskResult {
        if self.dirs.remove(from) {
            assert!(self.dirs.insert(to.to_string()), "{to} is not taken");
            let names = std::mem::take(&mut self.names);
            let moved = names.into_iter().map(|(name, inode)| {
                match name.strip_prefix(from).filter(|n| n.starts_with('/')) {
                    Some(rest) => (format!("{to}{rest}"), inode),
                    None => (name, inode),
                }
            });
            self.names = moved.collect();
            return Ok(DiskOk::Done);
        }
        let Some(inode) = self.names.remove(from) else {
            return failed("nothing to rename");
        };
        self.names.insert(to.to_string(), inode);
        Ok(DiskOk::Done)
    }

    fn open(&mut self, path: &str, file: FileId, create: bool) -> DiskResult {
        let inode = match self.names.get(path) {
            Some(inode) => *inode,
            None if create => {
                self.space()?;
                let dir = path.rsplit_once('/').map_or("", |(dir, _)| dir);
                assert!(self.dirs.contains(dir), "{path} has a directory");
                self.put(path, Vec::new())
            }
            None => return Ok(DiskOk::Missing),
        };
        let bytes = self.inodes[&inode].len() as u64;
        let handle = Handle {
            inode,
            written: bytes,
            ..Handle::default()
        };
        let before = self.handles.insert(file, handle);
        assert!(before.is_none(), "a handle is used once");
        Ok(DiskOk::Opened { bytes })
    }

    fn write(&mut self, file: FileId, from: Position, to: Position, image: &[u8]) {
        let handle = self.handle(file);
        handle.writing = None;
        handle.written = handle.written.max(to.0);
        let inode = handle.inode;
        let bytes = self.inodes.get_mut(&inode).expect("open");
        bytes[at(from.0)..at(to.0)].copy_from_slice(image);
    }
}

fn file_of(op: &DiskOp) -> Option<FileId> {
    match op {
        DiskOp::Append { file, .. }
        | DiskOp::WriteTail { file, .. }
        | DiskOp::ReleaseTail { file, .. }
        | DiskOp::Reserve { file, .. }
        | DiskOp::Flush { file }
        | DiskOp::Truncate { file, .. }
        | DiskOp::Read { file, .. }
        | DiskOp::Close { file } => Some(*file),
        _ => None,
    }
}

impl Handle {
    /// Bytes of the tail in memory.
    fn memory(&self, from: u64, to: u64) -> Vec<u8> {
        let floor = self.tail_base.max(self.released);
        assert!(from >= floor, "{from} lies in released memory");
        let end = self.tail_base + self.tail.len() as u64;
        assert!(to <= end, "{to} was never appended");
        self.tail[at(from - self.tail_base)..at(to - self.tail_base)].to_vec()
    }
}
