//! A disk for the scripts that step a log by hand: every operation waits in a list until the script lets it happen.
//!
//! Each file has what the kernel has and what is stable. A power cut keeps the stable part. Misuse (two writes of a sector, a read of released
//! memory, an append that does not continue) is a panic.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use crate::effect::{DirEntry, DiskError, DiskOk, DiskOp, DiskOut, DiskResult, Part};
use crate::types::limits::SECTOR_BYTES;
use crate::types::{FileId, Token};

#[derive(Clone, Debug, Default)]
struct File {
    cache: Vec<u8>,
    stable: Vec<u8>,
}

#[derive(Debug)]
struct Handle {
    path: String,
    tail_from: usize,
    tail: Vec<u8>,
    started: bool,
    writing: bool,
}

/// The disk.
#[derive(Debug, Default)]
pub(crate) struct TestDisk {
    files: BTreeMap<String, File>,
    dirs: BTreeSet<String>,
    handles: BTreeMap<FileId, Handle>,
    /// Operations that have not happened, oldest first.
    pub(crate) pending: Vec<(Token, DiskOp)>,
    /// Names of operations since the last look, for scripts that care.
    pub(crate) trace: Vec<String>,
    /// Nothing can be allocated.
    pub(crate) full: bool,
}

fn at(position: u64) -> usize {
    usize::try_from(position).expect("small")
}

fn name(op: &DiskOp) -> String {
    let text = format!("{op:?}");
    text.split([' ', '{']).next().unwrap_or_default().to_owned()
}

impl TestDisk {
    /// Takes in what a machine asked for; immediate operations happen at once.
    pub(crate) fn take(&mut self, out: &mut DiskOut) {
        for (token, op) in out.drain() {
            match &op {
                DiskOp::Append {
                    file,
                    position,
                    parts,
                } => self.append(*file, at(position.0), parts),
                DiskOp::ReleaseTail { file, below } => self.release(*file, at(below.0)),
                DiskOp::Close { file } => {
                    self.handles.remove(file).expect("closed once, while open");
                }
                DiskOp::WriteTail { file, from, to, .. } => {
                    let handle = self.handles.get_mut(file).expect("open");
                    assert!(!handle.writing, "one write in flight per file");
                    assert!(from.0.is_multiple_of(SECTOR_BYTES) && from < to, "{op:?}");
                    let size = self.files[&handle.path].cache.len() as u64;
                    let end = to.0.next_multiple_of(SECTOR_BYTES);
                    assert!(
                        end <= size,
                        "written beyond what is reserved: {op:?} of {size}"
                    );
                    handle.writing = true;
                    self.push(token, op);
                }
                _ => self.push(token, op),
            }
        }
    }

    fn push(&mut self, token: Token, op: DiskOp) {
        self.trace.push(name(&op));
        self.pending.push((token, op));
    }

    fn append(&mut self, file: FileId, position: usize, parts: &[Bytes]) {
        let handle = self
            .handles
            .get_mut(&file)
            .expect("appended to an open file");
        if handle.started {
            assert_eq!(position, handle.tail_from + handle.tail.len(), "continues");
        } else {
            assert_eq!(at(SECTOR_BYTES) * (position / at(SECTOR_BYTES)), position);
            handle.tail_from = position;
            handle.started = true;
        }
        for part in parts {
            handle.tail.extend_from_slice(part);
        }
    }

    fn release(&mut self, file: FileId, below: usize) {
        let handle = self.handles.get_mut(&file).expect("open");
        assert!(!handle.writing || below <= handle.tail_from + handle.tail.len());
        if below > handle.tail_from {
            handle.tail.drain(..below - handle.tail_from);
            handle.tail_from = below;
        }
    }

    /// Lets the first pending operation whose name is `what` happen.
    pub(crate) fn complete(&mut self, what: &str) -> (Token, DiskResult) {
        let found = self.pending.iter().position(|(_, op)| name(op) == what);
        let (token, op) = self
            .pending
            .remove(found.unwrap_or_else(|| panic!("no {what} in {:?}", self.pending)));
        (token, self.execute(&op))
    }

    /// Lets the first pending operation of that name fail.
    pub(crate) fn fail(&mut self, what: &str) -> (Token, DiskResult) {
        let found = self.pending.iter().position(|(_, op)| name(op) == what);
        let (token, op) = self.pending.remove(found.expect("pending"));
        if let DiskOp::WriteTail { file, .. } = op {
            self.handles.get_mut(&file).expect("open").writing = false;
        }
        (token, Err(DiskError::Io("EIO".to_owned())))
    }

    /// The oldest pending operation happens.
    pub(crate) fn complete_any(&mut self) -> Option<(Token, DiskResult)> {
        if self.pending.is_empty() {
            return None;
        }
        let (token, op) = self.pending.remove(0);
        Some((token, self.execute(&op)))
    }

    fn space(&self) -> Result<(), DiskError> {
        if self.full {
            return Err(DiskError::NoSpace("full".to_owned()));
        }
        Ok(())
    }

    fn execute(&mut self, op: &DiskOp) -> DiskResult {
        match op {
            DiskOp::List { path } => Ok(self.list(path)),
            DiskOp::MakeDir { path } => {
                self.dirs.insert(path.to_string());
                Ok(DiskOk::Done)
            }
            DiskOp::Rename { from, to } => {
                self.rename(from, to);
                Ok(DiskOk::Done)
            }
            DiskOp::Remove { path } => {
                let below = format!("{path}/");
                self.files
                    .retain(|name, _| name != &**path && !name.starts_with(&below));
                self.dirs.remove(&**path);
                Ok(DiskOk::Done)
            }
            DiskOp::ReadFile { path, .. } => {
                Ok(self.files.get(&**path).map_or(DiskOk::Missing, |file| {
                    DiskOk::Bytes(Bytes::copy_from_slice(&file.cache))
                }))
            }
            DiskOp::WriteFile { path, bytes } => {
                self.space()?;
                self.put(path, bytes);
                Ok(DiskOk::Done)
            }
            DiskOp::Open { path, file, create } => self.open(path, *file, *create),
            DiskOp::WriteTail {
                file,
                from,
                to,
                durable,
            } => {
                self.write(*file, at(from.0), at(to.0), *durable, None);
                Ok(DiskOk::Done)
            }
            DiskOp::Reserve { file, to } => {
                self.space()?;
                let content = self.file(*file);
                if content.cache.len() < at(to.0) {
                    content.cache.resize(at(to.0), 0);
                }
                Ok(DiskOk::Done)
            }
            DiskOp::Flush { file } => {
                let content = self.file(*file);
                content.stable = content.cache.clone();
                Ok(DiskOk::Done)
            }
            DiskOp::Truncate { file, to } => {
                let handle = self.handles.get_mut(file).expect("open");
                assert!(!handle.writing, "cut under a write");
                handle.started = false;
                handle.tail.clear();
                handle.tail_from = 0;
                let content = self.file(*file);
                content.cache.truncate(at(to.0));
                content.stable = content.cache.clone();
                Ok(DiskOk::Done)
            }
            DiskOp::Read {
                file,
                position,
                len,
            } => {
                let content = &self.file(*file).cache;
                let from = at(position.0).min(content.len());
                let to = (from + at(u64::from(*len))).min(content.len());
                Ok(DiskOk::Bytes(Bytes::copy_from_slice(&content[from..to])))
            }
            DiskOp::Append { .. } | DiskOp::ReleaseTail { .. } | DiskOp::Close { .. } => {
                unreachable!("immediate")
            }
        }
    }

    fn file(&mut self, file: FileId) -> &mut File {
        let path = &self.handles.get(&file).expect("open").path;
        self.files.get_mut(path).expect("present")
    }

    fn list(&self, path: &str) -> DiskOk {
        if !self.dirs.contains(path) {
            return DiskOk::Missing;
        }
        let below = format!("{path}/");
        let entries = self.files.iter().filter_map(|(name, file)| {
            Some(DirEntry {
                name: name.strip_prefix(&below)?.to_owned(),
                is_dir: false,
                bytes: file.cache.len() as u64,
            })
        });
        DiskOk::Names(entries.collect())
    }

    fn rename(&mut self, from: &str, to: &str) {
        let below = format!("{from}/");
        for (name, file) in std::mem::take(&mut self.files) {
            let renamed = match name.strip_prefix(&below) {
                Some(rest) => format!("{to}/{rest}"),
                None if name == from => to.to_owned(),
                None => name,
            };
            self.files.insert(renamed, file);
        }
        if self.dirs.remove(from) {
            self.dirs.insert(to.to_owned());
        }
    }

    fn open(&mut self, path: &str, file: FileId, create: bool) -> DiskResult {
        if !self.files.contains_key(path) {
            if !create {
                return Ok(DiskOk::Missing);
            }
            self.space()?;
            self.put(path, &[]);
        }
        let bytes = self.files[path].cache.len() as u64;
        let handle = Handle {
            path: path.to_owned(),
            tail_from: 0,
            tail: Vec::new(),
            started: false,
            writing: false,
        };
        assert!(self.handles.insert(file, handle).is_none(), "used twice");
        Ok(DiskOk::Opened { bytes })
    }

    /// Writes sectors of a tail, only the first `sectors` of them if that is given.
    fn write(
        &mut self,
        file: FileId,
        from: usize,
        to: usize,
        durable: bool,
        sectors: Option<usize>,
    ) {
        let handle = self.handles.get_mut(&file).expect("open");
        handle.writing = false;
        assert!(from >= handle.tail_from, "released memory is written");
        let mut image = handle.tail[from - handle.tail_from..to - handle.tail_from].to_vec();
        image.resize(image.len().next_multiple_of(at(SECTOR_BYTES)), 0);
        image.truncate(sectors.map_or(image.len(), |count| count * at(SECTOR_BYTES)));
        let content = self.file(file);
        content.cache[from..from + image.len()].copy_from_slice(&image);
        if durable {
            let size = content.stable.len().max(from + image.len());
            content.stable.resize(size, 0);
            content.stable[from..from + image.len()].copy_from_slice(&image);
        }
    }

    /// Puts a stable file there.
    pub(crate) fn put(&mut self, path: &str, bytes: &[u8]) {
        let file = File {
            cache: bytes.to_vec(),
            stable: bytes.to_vec(),
        };
        self.files.insert(path.to_owned(), file);
    }

    /// A file's content as the kernel has it.
    pub(crate) fn get(&self, path: &str) -> Option<&[u8]> {
        self.files.get(path).map(|file| &file.cache[..])
    }

    /// Changes a file's content.
    pub(crate) fn edit(&mut self, path: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let file = self.files.get_mut(path).expect("present");
        change(&mut file.cache);
        file.stable = file.cache.clone();
    }

    /// Removes a file.
    pub(crate) fn remove(&mut self, path: &str) {
        self.files.remove(path).expect("present");
    }

    /// Names of all files.
    pub(crate) fn names(&self) -> Vec<&str> {
        self.files.keys().map(String::as_str).collect()
    }

    /// The process is gone; of a write in flight the first `sectors` sectors arrived.
    pub(crate) fn kill(&mut self, sectors: usize) {
        for (_, op) in std::mem::take(&mut self.pending) {
            if let DiskOp::WriteTail { file, from, to, .. } = op {
                self.write(file, at(from.0), at(to.0), false, Some(sectors));
            }
        }
        self.handles.clear();
    }

    /// The machine is gone, and what was not flushed.
    pub(crate) fn power_cut(&mut self) {
        self.pending.clear();
        self.handles.clear();
        for file in self.files.values_mut() {
            file.cache = file.stable.clone();
        }
    }

    /// The bytes of a planned read, checked as the edge would take them.
    pub(crate) fn gather(&mut self, parts: &[Part]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for part in parts {
            match part {
                Part::Lent { .. } => panic!("a log lends nothing"),
                Part::Head(head) => bytes.extend_from_slice(head),
                Part::Tail {
                    file,
                    position,
                    len,
                } => {
                    let handle = self.handles.get(file).expect("open");
                    let from = at(position.0).checked_sub(handle.tail_from).expect("held");
                    bytes.extend_from_slice(&handle.tail[from..from + at(u64::from(*len))]);
                }
                Part::Extent {
                    file,
                    position,
                    len,
                } => {
                    let handle = self.handles.get(file).expect("open");
                    let end = at(position.0) + at(u64::from(*len));
                    let held = handle.tail_from + handle.tail.len();
                    let open = held / at(SECTOR_BYTES) * at(SECTOR_BYTES);
                    let released = handle.tail.is_empty();
                    assert!(released || end <= open, "the open sector is not stable");
                    let content = &self.file(*file).cache;
                    bytes.extend_from_slice(&content[at(position.0)..end]);
                }
            }
        }
        bytes
    }
}
