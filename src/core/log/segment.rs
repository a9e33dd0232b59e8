//! One segment as the log knows it: where it is, how large, whether its file and indexes are at hand, and its writing end if it has one.
//!
//! Invariants: 1. The last segment of a log has a writer; one before it has a writer only until it is sealed. 2. A segment with a writer has its
//! indexes in memory. 3. A segment without one is final: exact size, on stable storage.

use bytes::Bytes;

use super::index::{Indexes, TimePoint};
use super::writer::{Placed, Writer};
use crate::effect::Part;
use crate::types::{FileId, Offset, Position, Token, WallMillis};

/// A segment's file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Handle {
    Closed,
    Opening(Token, FileId),
    Open(FileId),
}

/// How far a segment that was rolled or is being closed has come on its way to be final.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Sealing {
    /// Not asked for.
    No,
    /// Waits for its writes, then for its flush.
    Settle,
    /// Cutting to the exact size.
    Trim(Token),
    /// Writing the index files; `None` while a new try is due.
    Indexes(Option<Token>),
    /// Writing the time index; `None` while a new try is due.
    Times(Option<Token>),
}

/// How far the reading of a sealed segment's index files has come.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Loading {
    No,
    Offsets(Token),
    Times(Token, Bytes),
}

/// A segment.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) base: Offset,
    /// Size without padding.
    pub(super) bytes: u64,
    pub(super) handle: Handle,
    pub(super) indexes: Option<Indexes>,
    /// Known once the time index was seen.
    pub(super) max_timestamp: Option<TimePoint>,
    pub(super) writer: Option<Box<Writer>>,
    pub(super) sealing: Sealing,
    /// Max timestamp of its first batch: the clock of `segment.ms`.
    pub(super) first_timestamp: Option<i64>,
    pub(super) created: WallMillis,
    /// The files on disk are exact: size, indexes. Only an untouched active segment is that.
    pub(super) final_on_disk: bool,
    /// The index files are being read.
    pub(super) loading: Loading,
    /// For choosing which file or index to let go.
    pub(super) used: u64,
}

impl Segment {
    /// A final segment.
    pub(super) fn sealed(base: Offset, bytes: u64) -> Self {
        Self {
            base,
            bytes,
            handle: Handle::Closed,
            indexes: None,
            max_timestamp: None,
            writer: None,
            sealing: Sealing::No,
            first_timestamp: None,
            created: WallMillis(0),
            final_on_disk: true,
            loading: Loading::No,
            used: 0,
        }
    }

    /// The segment that takes appends.
    pub(super) fn active(indexes: Indexes, writer: Writer, created: WallMillis) -> Self {
        let mut segment = Self::sealed(indexes.base(), writer.appended());
        segment.handle = Handle::Open(writer.file);
        segment.indexes = Some(indexes);
        segment.writer = Some(Box::new(writer));
        segment.created = created;
        segment.final_on_disk = false;
        segment
    }

    /// It is being written, or on its way to be final.
    pub(super) fn is_unfinished(&self) -> bool {
        self.writer.is_some() || self.sealing != Sealing::No
    }

    /// The largest timestamp, if it is known without reading.
    pub(super) fn known_max_timestamp(&self) -> Option<TimePoint> {
        let of_index = self.indexes.as_ref().map(Indexes::max_timestamp);
        match self.writer {
            Some(_) => of_index,
            None => self.max_timestamp.or(of_index),
        }
    }

    /// The batch that holds `offset`, if the tail remembers it.
    pub(super) fn find_hot(&self, offset: Offset) -> Option<Placed> {
        self.writer.as_ref()?.find(offset)
    }

    /// Where reads from the file must end: the last batch boundary that a completed write covers.
    pub(super) fn readable_bytes(&self) -> u64 {
        self.writer
            .as_ref()
            .map_or(self.bytes, |writer| writer.written().position)
    }

    /// The bytes [from, to) as parts: from memory where they are there, else from the file.
    pub(super) fn parts(&self, file: FileId, from: u64, to: u64) -> Vec<Part> {
        // Memory ends where nothing is kept: a sealed segment is all file.
        let split = match &self.writer {
            Some(writer) => writer.tail_start().clamp(from, to),
            None => to,
        };
        let mut parts = Vec::with_capacity(2);
        if from < split {
            parts.push(Part::Extent {
                file,
                position: Position(from),
                len: len_of(from, split),
            });
        }
        if split < to {
            parts.push(Part::Tail {
                file,
                position: Position(split),
                len: len_of(split, to),
            });
        }
        parts
    }
}

fn len_of(from: u64, to: u64) -> u32 {
    u32::try_from(to - from).expect("a read is bounded by 32 bits")
}
