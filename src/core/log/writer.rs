//! The end of a segment that is being written: memory, reserved space, the one write in flight, what is safe.
//!
//! Invariants, all in positions of the file:
//! 1. `durable.position <= written.position <= write_done <= appended`; `write_done <= reserved` once anything was written.
//! 2. At most one write is in flight. It starts at the sector of the first unwritten byte and ends within reserved space.
//! 3. Memory holds everything from `tail_start`, a sector's first byte at or below the open sector's, until the file is about to be cut.
//! 4. Marks are batch boundaries.
//!
//! Source: STORAGE_FORMAT of this project; the rules R4, R11 and R16 named in `log`.

use std::collections::VecDeque;

use bytes::Bytes;

use super::{Durability, LogConfig};
use crate::effect::{DiskOp, DiskOut};
use crate::rule;
use crate::types::limits::{
    HOT_BATCHES_MAX, PREALLOCATE_BYTES_MAX, PREALLOCATE_BYTES_MIN, RELEASE_BYTES_MIN, SECTOR_BYTES,
    WRITE_BYTES_MAX,
};
use crate::types::{FileId, Offset, Position, Token};

/// A batch boundary: everything below `offset` lies below `position`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Mark {
    pub(super) offset: Offset,
    pub(super) position: u64,
}

/// Where a batch lies.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Placed {
    pub(super) first: Offset,
    pub(super) last: Offset,
    pub(super) position: u64,
    pub(super) bytes: u64,
}

impl Placed {
    fn end(&self) -> Mark {
        Mark {
            offset: self.last.plus(1),
            position: self.position + self.bytes,
        }
    }
}

/// The file is being created; what is appended meanwhile waits.
#[derive(Debug)]
struct Opening {
    /// `None` while a new try is due.
    token: Option<Token>,
    queue: Vec<(u64, [Bytes; 2])>,
}

#[derive(Debug)]
struct InFlight {
    token: Token,
    from: u64,
    to: u64,
    durable: bool,
}

/// What asked for an operation that completed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum WriterOp {
    Open,
    Write,
    Reserve,
    Flush,
}

/// The writing end of a segment.
#[derive(Debug)]
pub(super) struct Writer {
    pub(super) file: FileId,
    /// Appends made before the file was open.
    opening: Option<Opening>,
    appended: u64,
    tail_start: u64,
    reserved: u64,
    reserve_step: u64,
    reserving: Option<(Token, u64)>,
    in_flight: Option<InFlight>,
    /// Bytes whose write completed; may end within a batch.
    write_done: u64,
    written: Mark,
    durable: Mark,
    /// Bytes that are durable; may end within a batch.
    durable_bytes: u64,
    flushing: Option<(Token, Mark, u64)>,
    promised: Mark,
    batches: VecDeque<Placed>,
    last_active_bytes: u64,
}

pub(super) const fn sector_floor(position: u64) -> u64 {
    position / SECTOR_BYTES * SECTOR_BYTES
}

impl Writer {
    /// For a file whose creation is in flight.
    pub(super) fn creating(file: FileId, token: Token, base: Offset) -> Self {
        let mut writer = Self::at(
            file,
            Mark {
                offset: base,
                position: 0,
            },
        );
        writer.opening = Some(Opening {
            token: Some(token),
            queue: Vec::new(),
        });
        writer
    }

    /// For an open file whose content up to `end` is on stable storage and whose open sector was appended to its tail.
    pub(super) fn at(file: FileId, end: Mark) -> Self {
        Self {
            file,
            opening: None,
            appended: end.position,
            tail_start: sector_floor(end.position),
            // The file ends at its last byte: the rest of its last sector is not allocated as far as we know.
            reserved: sector_floor(end.position),
            reserve_step: PREALLOCATE_BYTES_MIN,
            reserving: None,
            in_flight: None,
            write_done: end.position,
            written: end,
            durable: end,
            durable_bytes: end.position,
            flushing: None,
            promised: end,
            batches: VecDeque::new(),
            last_active_bytes: end.position,
        }
    }

    pub(super) fn appended(&self) -> u64 {
        self.appended
    }

    pub(super) fn written(&self) -> Mark {
        self.written
    }

    pub(super) fn durable(&self) -> Mark {
        self.durable
    }

    pub(super) fn promised(&self) -> Mark {
        self.promised
    }

    pub(super) fn tail_start(&self) -> u64 {
        self.tail_start
    }

    /// The creation in flight.
    pub(super) fn opening(&self) -> Option<Token> {
        self.opening.as_ref()?.token
    }

    pub(super) fn is_open(&self) -> bool {
        self.opening.is_none()
    }

    /// Everything appended is written and nothing is in flight but possibly a flush.
    pub(super) fn is_settled(&self) -> bool {
        self.is_open()
            && self.in_flight.is_none()
            && self.reserving.is_none()
            && self.write_done == self.appended
    }

    pub(super) fn is_durable(&self) -> bool {
        self.durable_bytes == self.appended
    }

    pub(super) fn is_flushing(&self) -> bool {
        self.flushing.is_some()
    }

    pub(super) fn unwritten_bytes(&self) -> u64 {
        self.appended - self.write_done
    }

    pub(super) fn hot_bytes(&self) -> u64 {
        self.appended - self.tail_start
    }

    /// Puts a batch at the end of memory. The caller [pumps](Self::pump) afterwards.
    pub(super) fn append(
        &mut self,
        first: Offset,
        last: Offset,
        parts: [Bytes; 2],
        out: &mut DiskOut,
    ) {
        let bytes = parts.iter().map(|part| part.len() as u64).sum();
        let position = self.appended;
        match &mut self.opening {
            Some(opening) => opening.queue.push((position, parts)),
            None => push_append(self.file, position, parts, out),
        }
        self.batches.push_back(Placed {
            first,
            last,
            position,
            bytes,
        });
        self.appended = position + bytes;
    }

    /// Starts what may start: a reservation ahead of the end, a write of what waits.
    pub(super) fn pump(&mut self, config: &LogConfig, may_reserve: bool, out: &mut DiskOut) {
        if !self.is_open() {
            return;
        }
        if may_reserve {
            self.reserve(config, out);
        }
        self.write(config, out);
    }

    fn reserve(&mut self, config: &LogConfig, out: &mut DiskOut) {
        let ahead = self.reserved.saturating_sub(self.appended);
        let to = self.reserve_to(config);
        if self.reserving.is_none()
            && self.write_done < self.appended
            && ahead < self.reserve_step / 4
            && to > self.reserved
        {
            self.ask_for_space(to, out);
        }
    }

    /// Asks for space although nothing waits for it: appends were refused for want of it, so that nothing will.
    pub(super) fn probe_space(&mut self, config: &LogConfig, out: &mut DiskOut) {
        if self.reserving.is_none() && self.is_open() {
            self.ask_for_space(self.reserve_to(config).max(self.reserved), out);
        }
    }

    fn reserve_to(&self, config: &LogConfig) -> u64 {
        let limit = config.segment_bytes.next_multiple_of(SECTOR_BYTES);
        let needed = self.appended.next_multiple_of(SECTOR_BYTES);
        (needed + self.reserve_step).min(limit).max(needed)
    }

    fn ask_for_space(&mut self, to: u64, out: &mut DiskOut) {
        let (file, to_position) = (self.file, Position(to));
        let token = out.push(DiskOp::Reserve {
            file,
            to: to_position,
        });
        self.reserving = Some((token, to));
        self.reserve_step = (self.reserve_step * 2).min(PREALLOCATE_BYTES_MAX);
    }

    fn write(&mut self, config: &LogConfig, out: &mut DiskOut) {
        let from = sector_floor(self.write_done);
        let to = self.appended.min(from + WRITE_BYTES_MAX).min(self.reserved);
        if self.in_flight.is_some() || to <= self.write_done {
            return;
        }
        let durable = config.durability == Durability::Flushed;
        let token = out.push(DiskOp::WriteTail {
            file: self.file,
            from: Position(from),
            to: Position(to),
            durable: durable && rule!(SKIP_FLUSH),
        });
        self.in_flight = Some(InFlight {
            token,
            from,
            to,
            durable,
        });
    }

    /// Everything is in the file and no write follows: readers go there from now on, whatever the cut of the file does to the tail and when.
    pub(super) fn release_all(&mut self, out: &mut DiskOut) {
        assert!(self.is_settled(), "memory goes after the last write");
        self.batches.clear();
        // A log that was opened at a sector's end and got nothing since has no memory to let go.
        if self.tail_start < self.appended {
            self.tail_start = self.appended;
            out.push(DiskOp::ReleaseTail {
                file: self.file,
                below: Position(self.appended),
            });
        }
    }

    /// Asks for a flush unless one is under way or nothing needs one.
    pub(super) fn flush(&mut self, out: &mut DiskOut) -> bool {
        if self.is_flushing() || !self.is_open() || self.durable_bytes >= self.write_done {
            return false;
        }
        let token = out.push(DiskOp::Flush { file: self.file });
        self.flushing = Some((token, self.written, self.write_done));
        true
    }

    /// Which of this writer's operations a token is.
    pub(super) fn owns(&self, token: Token) -> Option<WriterOp> {
        let is = |other: Option<Token>| other == Some(token);
        if is(self.in_flight.as_ref().map(|op| op.token)) {
            Some(WriterOp::Write)
        } else if is(self.reserving.map(|(token, _)| token)) {
            Some(WriterOp::Reserve)
        } else if is(self.flushing.map(|(token, _, _)| token)) {
            Some(WriterOp::Flush)
        } else if is(self.opening.as_ref().and_then(|opening| opening.token)) {
            Some(WriterOp::Open)
        } else {
            None
        }
    }

    /// The file exists: what waited goes into its tail.
    pub(super) fn on_opened(&mut self, out: &mut DiskOut) {
        let opening = self.opening.take().expect("an open was in flight");
        for (position, parts) in opening.queue {
            push_append(self.file, position, parts, out);
        }
    }

    /// The creation failed for want of space (`None`), or is tried again under a new token.
    pub(super) fn on_open_again(&mut self, token: Option<Token>) {
        if let Some(opening) = &mut self.opening {
            opening.token = token;
        }
    }

    /// The creation is to be tried again.
    pub(super) fn wants_open(&self) -> bool {
        self.opening
            .as_ref()
            .is_some_and(|opening| opening.token.is_none())
    }

    /// The reservation ended.
    pub(super) fn on_reserved(&mut self, success: bool) {
        let (_, to) = self.reserving.take().expect("a reservation was in flight");
        if success {
            self.reserved = self.reserved.max(to);
        } else {
            self.reserve_step = PREALLOCATE_BYTES_MIN;
        }
    }

    /// The write completed.
    pub(super) fn on_written(&mut self) {
        let done = self.in_flight.take().expect("a write was in flight");
        assert!(done.to > self.write_done, "a write brings something new");
        self.write_done = done.to;
        self.written = self.boundary(done.to, self.written);
        // The write covers from its sector on: what lies before it is safe only if it was so already.
        if done.durable && done.from <= self.durable_bytes {
            self.durable_bytes = done.to;
            self.durable = self.written;
        }
    }

    /// The flush completed: it covers what was written when it was asked for.
    pub(super) fn on_flushed(&mut self) {
        let (_, mark, bytes) = self.flushing.take().expect("a flush was in flight");
        if bytes > self.durable_bytes {
            self.durable_bytes = bytes;
            self.durable = mark;
        }
    }

    /// Moves the promise as far as the config allows. Returns true if a flush must come before it can move on.
    pub(super) fn promise(&mut self, config: &LogConfig) -> bool {
        let unflushed = self.written.offset.0 - self.durable.offset.0;
        let flush_due =
            u64::try_from(unflushed).is_ok_and(|records| records >= config.flush_messages);
        let (mark, wants_flush) = match config.durability {
            // After a change from `written` the bytes before the first durable write still need their flush.
            Durability::Flushed => (self.durable, self.durable_bytes < self.write_done),
            Durability::Written if flush_due => (self.durable, true),
            Durability::Written => (self.written, false),
        };
        if mark.offset > self.promised.offset {
            self.promised = mark;
        }
        wants_flush
    }

    fn boundary(&self, position: u64, from: Mark) -> Mark {
        let after = self
            .batches
            .partition_point(|batch| batch.position + batch.bytes <= position);
        let last = after.checked_sub(1).and_then(|at| self.batches.get(at));
        last.map(Placed::end)
            .filter(|mark| mark.offset > from.offset)
            .unwrap_or(from)
    }

    /// Lets go of memory beyond what readers of the tail are meant to find, and of the list of batches in it.
    pub(super) fn release(&mut self, hot_bytes_max: u64, now_or_never: bool, out: &mut DiskOut) {
        if !self.is_open() {
            return;
        }
        let keep_from = sector_floor(self.appended.saturating_sub(hot_bytes_max));
        let below = keep_from.min(sector_floor(self.write_done));
        let gain = below.saturating_sub(self.tail_start);
        if gain >= RELEASE_BYTES_MIN || (now_or_never && gain > 0) {
            self.tail_start = below;
            out.push(DiskOp::ReleaseTail {
                file: self.file,
                below: Position(below),
            });
        }
        while self.batches.len() > 1
            && let Some(first) = self.batches.front()
        {
            let end = first.end();
            let useful = end.position > self.tail_start && self.batches.len() <= HOT_BATCHES_MAX;
            let needed = end.offset > self.promised.offset || end.offset > self.written.offset;
            if useful || needed {
                break;
            }
            self.batches.pop_front();
        }
    }

    /// Lets go of all but the open sector if nothing was appended since the last call.
    pub(super) fn release_if_idle(&mut self, out: &mut DiskOut) {
        if self.last_active_bytes == self.appended && self.is_settled() {
            self.release(0, true, out);
        }
        self.last_active_bytes = self.appended;
    }

    /// The batch that holds `offset`, or the first one above it, if it is among those remembered.
    pub(super) fn find(&self, offset: Offset) -> Option<Placed> {
        let at = self.batches.partition_point(|batch| batch.last < offset);
        let found = *self.batches.get(at)?;
        // Below the first remembered batch there may be others that end above the offset.
        (at > 0 || found.first <= offset).then_some(found)
    }

    /// The position before which exactly the batches below `bound` lie, if it is known here.
    pub(super) fn position_of(&self, bound: Offset) -> Option<u64> {
        for mark in [self.promised, self.written, self.durable] {
            if mark.offset == bound {
                return Some(mark.position);
            }
        }
        let at = self.batches.partition_point(|batch| batch.first < bound);
        match self.batches.get(at) {
            Some(batch) if at > 0 || batch.first == bound => Some(batch.position),
            Some(_) => None,
            None => self.batches.back().map(|last| last.end().position),
        }
    }
}

fn push_append(file: FileId, position: u64, parts: [Bytes; 2], out: &mut DiskOut) {
    out.push(DiskOp::Append {
        file,
        position: Position(position),
        parts: parts.into_iter().filter(|part| !part.is_empty()).collect(),
    });
}
