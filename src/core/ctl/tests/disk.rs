//! A disk in memory that does what it is told at once: enough to step the machine by hand. Crashes are the simulator's.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use crate::effect::{DirEntry, DiskError, DiskOk, DiskOp, DiskResult};
use crate::types::FileId;
use crate::types::limits::SECTOR_BYTES;

struct Open {
    path: String,
    /// The tail, by position in the file.
    memory: Vec<u8>,
}

#[derive(Default)]
pub(super) struct Disk {
    pub(super) files: BTreeMap<String, Vec<u8>>,
    dirs: BTreeSet<String>,
    open: BTreeMap<FileId, Open>,
    /// Every write of a log file fails from here on.
    pub(super) failing: bool,
    /// There is no space for small files.
    pub(super) full: bool,
    /// Operations on names and small files, as they came.
    pub(super) told: Vec<String>,
}

fn at(position: u64) -> usize {
    usize::try_from(position).unwrap()
}

impl Disk {
    /// Runs an operation; `None` for one without completion.
    pub(super) fn run(&mut self, op: DiskOp) -> Option<DiskResult> {
        Some(match op {
            DiskOp::List { path } => Ok(self.list(&path)),
            DiskOp::MakeDir { path } => {
                self.dirs.insert(path.to_string());
                Ok(DiskOk::Done)
            }
            DiskOp::Rename { from, to } => {
                self.told.push(format!("rename {from} {to}"));
                let below = format!("{from}/");
                let files = std::mem::take(&mut self.files).into_iter();
                self.files = files
                    .map(|(name, bytes)| match name.strip_prefix(&below) {
                        Some(rest) => (format!("{to}/{rest}"), bytes),
                        None => (name, bytes),
                    })
                    .collect();
                Ok(DiskOk::Done)
            }
            DiskOp::Remove { path } => {
                self.told.push(format!("remove {path}"));
                let below = format!("{path}/");
                self.files
                    .retain(|name, _| *name != *path && !name.starts_with(&below));
                Ok(DiskOk::Done)
            }
            DiskOp::ReadFile { path, bytes_max } => Ok(match self.files.get(&*path) {
                None => DiskOk::Missing,
                Some(bytes) => {
                    assert!(bytes.len() as u64 <= bytes_max);
                    DiskOk::Bytes(Bytes::copy_from_slice(bytes))
                }
            }),
            DiskOp::WriteFile { .. } if self.full => Err(DiskError::NoSpace("ENOSPC".to_owned())),
            DiskOp::WriteFile { path, bytes } => {
                self.told.push(format!("put {path}"));
                self.files.insert(path.to_string(), bytes.to_vec());
                Ok(DiskOk::Done)
            }
            DiskOp::Open { path, file, create } => Ok(self.open(&path, file, create)),
            DiskOp::Append {
                file,
                position,
                parts,
            } => {
                let memory = &mut self.open.get_mut(&file).unwrap().memory;
                memory.resize(at(position.0), 0);
                for part in &parts {
                    memory.extend_from_slice(part);
                }
                return None;
            }
            DiskOp::WriteTail { file, from, to, .. } => self.write(file, from.0, to.0),
            DiskOp::Reserve { file, to } => {
                let content = self.content(file);
                content.resize(content.len().max(at(to.0)), 0);
                Ok(DiskOk::Done)
            }
            DiskOp::Flush { .. } => Ok(DiskOk::Done),
            DiskOp::Truncate { file, to } => {
                self.content(file).resize(at(to.0), 0);
                Ok(DiskOk::Done)
            }
            DiskOp::Read {
                file,
                position,
                len,
            } => {
                let content = self.content(file);
                let from = at(position.0).min(content.len());
                let to = (from + at(len.into())).min(content.len());
                Ok(DiskOk::Bytes(Bytes::copy_from_slice(&content[from..to])))
            }
            DiskOp::ReleaseTail { .. } => return None,
            DiskOp::Close { file } => {
                self.open.remove(&file);
                return None;
            }
        })
    }

    /// The process is gone: handles and tails with it.
    pub(super) fn close_all(&mut self) {
        self.open.clear();
    }

    /// A file, with its directory, was there before.
    pub(super) fn plant(&mut self, path: &str) {
        self.files.insert(path.to_owned(), Vec::new());
    }

    fn list(&self, path: &str) -> DiskOk {
        let prefix = if path.is_empty() {
            String::new()
        } else {
            format!("{path}/")
        };
        let below = self.files.iter().filter_map(|(name, bytes)| {
            let rest = name.strip_prefix(&prefix)?;
            let (name, is_dir) = match rest.split_once('/') {
                Some((dir, _)) => (dir, true),
                None => (rest, false),
            };
            let bytes = if is_dir { 0 } else { bytes.len() as u64 };
            let entry = DirEntry {
                name: name.to_owned(),
                is_dir,
                bytes,
            };
            Some((name.to_owned(), entry))
        });
        let entries: BTreeMap<String, DirEntry> = below.collect();
        if entries.is_empty() && !self.dirs.contains(path) && !path.is_empty() {
            return DiskOk::Missing;
        }
        DiskOk::Names(entries.into_values().collect())
    }

    fn open(&mut self, path: &str, file: FileId, create: bool) -> DiskOk {
        if create {
            self.files.entry(path.to_owned()).or_default();
        }
        let Some(content) = self.files.get(path) else {
            return DiskOk::Missing;
        };
        let bytes = content.len() as u64;
        let open = Open {
            path: path.to_owned(),
            memory: Vec::new(),
        };
        assert!(self.open.insert(file, open).is_none());
        DiskOk::Opened { bytes }
    }

    fn content(&mut self, file: FileId) -> &mut Vec<u8> {
        self.files.get_mut(&self.open[&file].path).unwrap()
    }

    fn write(&mut self, file: FileId, from: u64, to: u64) -> DiskResult {
        assert!(from.is_multiple_of(SECTOR_BYTES));
        if self.failing {
            return Err(DiskError::Io("input/output error".to_owned()));
        }
        let tail = self.open[&file].memory[at(from)..at(to)].to_vec();
        let end = at(to.next_multiple_of(SECTOR_BYTES));
        let content = self.content(file);
        content.resize(content.len().max(end), 0);
        content[at(from)..end].fill(0);
        content[at(from)..at(to)].copy_from_slice(&tail);
        Ok(DiskOk::Done)
    }
}
