//! From an offset to the places where its bytes are.
//!
//! A batch is looked for among those the tail remembers, then among the cursors that earlier searches left, then by a search in the background
//! (`search`). A read never leaves its segment and never passes the position of its bound (BEHAVIOUR 3.2, 3.5, 3.6, 3.21 of the project's notes).

use super::search::Want;
use super::segment::Handle;
use super::writer::Placed;
use super::{Log, ReadId, ReadPlan, ReadSpec, ScanId, State, TimeQuery};
use crate::effect::DiskOut;
use crate::types::Offset;
use crate::types::limits::CURSORS_MAX;

/// Where a search ended: the first batch that ends at or above any offset in `from..=placed.last`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cursor {
    pub(super) segment: Offset,
    pub(super) from: Offset,
    pub(super) placed: Placed,
}

impl Log {
    /// Where the bytes of a fetch are. [`ReadPlan::NeedScan`] starts a search.
    pub fn plan_read(&mut self, spec: &ReadSpec, out: &mut DiskOut) -> ReadPlan {
        if !matches!(self.state, State::Open | State::Closing) {
            return ReadPlan::Empty;
        }
        if spec.offset < self.log_start || spec.offset > self.log_end {
            return ReadPlan::OutOfRange;
        }
        let bound = spec.upper_bound.min(self.log_end);
        let mut target = spec.offset;
        while target < bound {
            let at = self.segment_of(target);
            let Some(segment) = self.segments.get(at) else {
                return ReadPlan::Empty;
            };
            if let Some((at, placed)) = self.locate(at, target) {
                return self.plan_parts(at, placed, bound, spec);
            }
            // Offsets that compaction removed at a segment's end are not there: the next one goes on.
            match self.segments.get(at + 1) {
                Some(next) if segment.bytes == 0 => target = next.base,
                _ => {
                    let id = self.search(Want::Position { offset: target }, target, out);
                    return id.map_or(ReadPlan::Empty, |id| ReadPlan::NeedScan(ScanId(id)));
                }
            }
        }
        ReadPlan::Empty
    }

    /// Index of the segment that holds `offset` or would.
    pub(super) fn segment_of(&self, offset: Offset) -> usize {
        let after = self
            .segments
            .partition_point(|segment| segment.base <= offset);
        after.saturating_sub(1)
    }

    /// The first batch that ends at or above `offset`, with its segment's index, if it is known where that is.
    fn locate(&self, at: usize, offset: Offset) -> Option<(usize, Placed)> {
        if let Some(placed) = self.segments.get(at)?.find_hot(offset) {
            return Some((at, placed));
        }
        // A cursor may lead into a segment after the one that should hold the offset: a gap lies between.
        let mut cursors = self.cursors.iter();
        let found = cursors.find(|cursor| cursor.from <= offset && offset <= cursor.placed.last)?;
        let at = self.segment_of(found.segment);
        let segment = self.segments.get(at)?;
        let readable = segment.base == found.segment && matches!(segment.handle, Handle::Open(_));
        readable.then_some((at, found.placed))
    }

    fn plan_parts(&self, at: usize, placed: Placed, bound: Offset, spec: &ReadSpec) -> ReadPlan {
        let segment = self.segments.get(at).expect("the caller found it");
        let Handle::Open(file) = segment.handle else {
            return ReadPlan::Empty;
        };
        // However roughly the bound's position is known: a batch that lies below it may be read whole.
        let whole = if placed.last < bound {
            placed.position + placed.bytes
        } else {
            0
        };
        let end_max = self.position_of_bound(at, bound).max(whole);
        let wanted = u64::from(spec.bytes_max);
        if wanted < placed.bytes && !spec.at_least_one_batch || placed.position >= end_max {
            return ReadPlan::Empty;
        }
        let end = end_max.min(placed.position + wanted.max(placed.bytes));
        let parts = segment.parts(file, placed.position, end);
        let bytes = u32::try_from(end - placed.position).expect("bounded by 32 bits");
        ReadPlan::Parts { parts, bytes }
    }

    /// Exclusive end, in the segment, of what lies below `bound`. If that is not known exactly it is a batch boundary below it.
    pub(super) fn position_of_bound(&self, at: usize, bound: Offset) -> u64 {
        let Some(segment) = self.segments.get(at) else {
            return 0;
        };
        let end = self
            .segments
            .get(at + 1)
            .map_or(self.log_end, |next| next.base);
        if bound >= end {
            return segment.bytes;
        }
        let known = segment
            .writer
            .as_ref()
            .and_then(|writer| writer.position_of(bound));
        known.unwrap_or_else(|| {
            let indexes = segment.indexes.as_ref();
            indexes.map_or(0, |indexes| indexes.position_before(bound).0)
        })
    }

    /// Reads whole batches into the core, the first one holding `offset`: at most `bytes_max` bytes but at least one batch, none at or above
    /// `upper_bound` or the written end. [`LogEvent::ReadDone`](super::LogEvent) follows; `None` if there is nothing to read.
    pub fn read(
        &mut self,
        offset: Offset,
        bytes_max: u32,
        upper_bound: Offset,
        out: &mut DiskOut,
    ) -> Option<ReadId> {
        let bound = upper_bound.min(self.promised);
        let in_range = offset >= self.log_start && offset < bound;
        if !in_range || !matches!(self.state, State::Open | State::Closing) {
            return None;
        }
        let want = Want::Batches {
            offset,
            bytes_max,
            bound,
        };
        self.search(want, offset, out).map(ReadId)
    }

    /// Reads the heads of all batches from the one that holds `from` to the written end. [`LogEvent::Walked`](super::LogEvent) follow;
    /// `None` if there are none.
    pub fn walk(&mut self, from: Offset, out: &mut DiskOut) -> Option<ReadId> {
        let from = from.max(self.log_start);
        if from >= self.promised || !matches!(self.state, State::Open | State::Closing) {
            return None;
        }
        self.search(Want::Heads { from }, from, out).map(ReadId)
    }

    /// Reads the one batch that a search by time wants. [`LogEvent::ReadDone`](super::LogEvent) follows; `None` if no batch below
    /// `upper_bound` and the written end matches.
    pub fn find_time(
        &mut self,
        query: TimeQuery,
        upper_bound: Offset,
        out: &mut DiskOut,
    ) -> Option<ReadId> {
        let bound = upper_bound.min(self.promised);
        if self.log_start >= bound || !matches!(self.state, State::Open | State::Closing) {
            return None;
        }
        let (want, from) = match query {
            TimeQuery::AtLeast { timestamp, from } => {
                let from = from.max(self.log_start);
                let want = Want::Time {
                    timestamp,
                    from,
                    bound,
                };
                (want, from)
            }
            TimeQuery::Max => (Want::MaxTime { bound }, self.log_start),
        };
        self.search(want, from, out).map(ReadId)
    }

    pub(super) fn keep_cursor(&mut self, cursor: Cursor) {
        self.cursors.push_front(cursor);
        self.cursors.truncate(CURSORS_MAX);
    }
}
