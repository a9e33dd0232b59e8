//! The offset index and the time index of one segment, by Kafka's exact rules.
//!
//! Invariants: 1. Offsets and positions strictly increase in the offset index; timestamps strictly increase and offsets do not decrease in
//! the time index. 2. No entry points past the segment's end. 3. An entry of the offset index names a batch's last offset and that
//! batch's first byte. 4. An entry of the time index says: no batch up to and including this offset has a larger max timestamp.
//!
//! Sketch: 8 bytes in memory per index entry, that is per 4 KiB of log; 12 for the time index.
//! Deliberately absent: files. Both are kept in memory and written whole when a segment is closed or rolled.
//! Source: `OffsetIndex`, `TimeIndex`, `LogSegment.append` of Kafka 4.2.

use bytes::{BufMut, Bytes, BytesMut};

use crate::types::{Offset, Position};

/// Bytes of an entry of the offset index.
pub const OFFSET_ENTRY_BYTES: u64 = 8;
/// Bytes of an entry of the time index.
pub const TIME_ENTRY_BYTES: u64 = 12;
/// "No timestamp" on disk and wire.
pub const NO_TIMESTAMP: i64 = -1;

/// What an index has to know of a batch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Indexed {
    /// The batch's last offset.
    pub last_offset: Offset,
    /// Its first byte in the segment.
    pub position: Position,
    /// Its size in bytes.
    pub bytes: u64,
    /// Its max timestamp, -1 for none.
    pub max_timestamp: i64,
}

/// A timestamp and the last offset of the batch that brought it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TimePoint {
    /// Milliseconds since 1970, -1 for none.
    pub timestamp: i64,
    /// Last offset of the first batch with it.
    pub offset: Offset,
}

/// Both indexes of a segment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Indexes {
    base: Offset,
    offsets: Vec<(u32, u32)>,
    times: Vec<(i64, u32)>,
    bytes_since_entry: u64,
    max_seen: TimePoint,
}

impl Indexes {
    /// Empty indexes of a segment that starts at `base`.
    #[must_use]
    pub fn new(base: Offset) -> Self {
        Self {
            base,
            offsets: Vec::new(),
            times: Vec::new(),
            bytes_since_entry: 0,
            max_seen: TimePoint {
                timestamp: NO_TIMESTAMP,
                offset: base,
            },
        }
    }

    /// The segment's base offset.
    #[must_use]
    pub fn base(&self) -> Offset {
        self.base
    }

    /// True if a batch ending at `last_offset` can be told relative to the base.
    #[must_use]
    pub fn fits(&self, last_offset: Offset) -> bool {
        last_offset >= self.base && last_offset.0 - self.base.0 <= i64::from(i32::MAX)
    }

    /// True if one of them has no room for another entry within `bytes_max` (`segment.index.bytes`); the time index keeps one entry free.
    #[must_use]
    pub fn is_full(&self, bytes_max: u64) -> bool {
        let (offsets, times) = (self.offsets.len() as u64, self.times.len() as u64);
        offsets >= bytes_max / OFFSET_ENTRY_BYTES
            || times >= (bytes_max / TIME_ENTRY_BYTES).saturating_sub(1)
    }

    /// Takes note of an appended batch and adds entries when more than `interval_bytes` (`index.interval.bytes`) went by since the last one.
    ///
    /// Panics if the batch does not [fit](Self::fits): the caller rolls first.
    pub fn on_batch(&mut self, batch: Indexed, interval_bytes: u64) {
        assert!(self.fits(batch.last_offset), "batch beyond the index");
        if batch.max_timestamp > self.max_seen.timestamp {
            self.max_seen = TimePoint {
                timestamp: batch.max_timestamp,
                offset: batch.last_offset,
            };
        }
        // A position that four bytes do not hold is left out: Kafka's segments end below 2 GiB.
        if self.bytes_since_entry > interval_bytes
            && let Ok(position) = i32::try_from(batch.position.0)
        {
            self.offsets
                .push((self.relative(batch.last_offset), position.cast_unsigned()));
            self.note_time();
            self.bytes_since_entry = 0;
        }
        self.bytes_since_entry += batch.bytes;
    }

    /// Adds the entry that a time index ends with when its segment is closed, rolled or was recovered.
    pub fn seal(&mut self) {
        self.note_time();
    }

    fn note_time(&mut self) {
        if self.max_seen.timestamp > self.last_time().timestamp {
            let offset = self.relative(self.max_seen.offset);
            self.times.push((self.max_seen.timestamp, offset));
        }
    }

    fn relative(&self, offset: Offset) -> u32 {
        u32::try_from(offset.0 - self.base.0).expect("within 2^31 of the base")
    }

    fn absolute(&self, relative: u32) -> Offset {
        self.base.plus(i64::from(relative))
    }

    fn last_time(&self) -> TimePoint {
        self.times.last().map_or(
            TimePoint {
                timestamp: NO_TIMESTAMP,
                offset: self.base,
            },
            |&(timestamp, relative)| TimePoint {
                timestamp,
                offset: self.absolute(relative),
            },
        )
    }

    /// The largest timestamp seen so far and the last offset of the first batch that has it.
    #[must_use]
    pub fn max_timestamp(&self) -> TimePoint {
        self.max_seen
    }

    /// First byte of a batch that ends at or before `offset`, or of the segment: a search for `offset` starts there.
    #[must_use]
    pub fn position_before(&self, offset: Offset) -> Position {
        let Ok(target) = u32::try_from(offset.0 - self.base.0) else {
            let beyond = offset > self.base;
            return self
                .offsets
                .last()
                .filter(|_| beyond)
                .map_or(Position(0), |e| Position(e.1.into()));
        };
        let after = self
            .offsets
            .partition_point(|&(relative, _)| relative <= target);
        match after.checked_sub(1).and_then(|at| self.offsets.get(at)) {
            Some(&(_, position)) => Position(position.into()),
            None => Position(0),
        }
    }

    /// Where the search for the first record at or after `timestamp` may start: no batch that ends at or before the returned offset has it.
    /// Returns the base if nothing is known.
    #[must_use]
    pub fn offset_before_time(&self, timestamp: i64) -> Offset {
        // The entry before the first that reaches the timestamp: everything up to it is older.
        let reaching = self.times.partition_point(|&(at, _)| at < timestamp);
        match reaching.checked_sub(1).and_then(|at| self.times.get(at)) {
            Some(&(_, relative)) => self.absolute(relative),
            None => self.base,
        }
    }

    /// The last entry of the offset index: last offset and first byte of a batch.
    #[must_use]
    pub fn last_entry(&self) -> Option<(Offset, Position)> {
        let &(relative, position) = self.offsets.last()?;
        Some((self.absolute(relative), Position(position.into())))
    }

    /// Number of entries: offset index, time index.
    #[must_use]
    pub fn entries(&self) -> (usize, usize) {
        (self.offsets.len(), self.times.len())
    }

    /// The offset index as its file's content.
    #[must_use]
    pub fn encode_offsets(&self) -> Bytes {
        let mut bytes = BytesMut::with_capacity(self.offsets.len() * 8);
        for &(relative, position) in &self.offsets {
            bytes.put_u32(relative);
            bytes.put_u32(position);
        }
        bytes.freeze()
    }

    /// The time index as its file's content.
    #[must_use]
    pub fn encode_times(&self) -> Bytes {
        let mut bytes = BytesMut::with_capacity(self.times.len() * 12);
        for &(timestamp, relative) in &self.times {
            bytes.put_i64(timestamp);
            bytes.put_u32(relative);
        }
        bytes.freeze()
    }

    /// Reads both files of a segment of `segment_bytes` that ends before `end`. `None` if either is not what an index of this segment can be:
    /// the caller then scans the segment. Zeros behind the entries (a Kafka that was killed) are taken off. A time index that is missing is empty.
    #[must_use]
    pub fn decode(
        base: Offset,
        segment_bytes: u64,
        end: Option<Offset>,
        offsets: &[u8],
        times: &[u8],
    ) -> Option<Self> {
        let mut indexes = Self::new(base);
        indexes.offsets = decode_offsets(segment_bytes, offsets)?;
        indexes.times = decode_times(times)?;
        let end = end.map_or(i64::MAX, |end| end.0);
        let last = indexes.last_entry().map_or(base, |(offset, _)| offset);
        let last_time = indexes.last_time();
        if last.0 >= end && !indexes.offsets.is_empty()
            || last_time.offset.0 >= end && !indexes.times.is_empty()
        {
            return None;
        }
        indexes.max_seen = last_time;
        Some(indexes)
    }

    /// Continues after [`decode`](Self::decode) where the last entry stands: the next [`on_batch`](Self::on_batch) is the batch of that entry, which
    /// is in the index already.
    pub fn resume(&mut self, batch: Indexed) {
        if batch.max_timestamp > self.max_seen.timestamp {
            self.max_seen = TimePoint {
                timestamp: batch.max_timestamp,
                offset: batch.last_offset,
            };
        }
        self.bytes_since_entry += batch.bytes;
    }
}

fn decode_offsets(segment_bytes: u64, bytes: &[u8]) -> Option<Vec<(u32, u32)>> {
    let (entries, rest) = bytes.as_chunks::<8>();
    if !rest.is_empty() {
        return None;
    }
    let mut found: Vec<(u32, u32)> = Vec::with_capacity(entries.len());
    for (at, entry) in entries.iter().enumerate() {
        let value = u64::from_be_bytes(*entry);
        let relative = u32::try_from(value >> 32).ok()?;
        let position = u32::try_from(value & 0xffff_ffff).ok()?;
        if value == 0 {
            // The first batch is never indexed (nothing went before it), so zeros are what was never written.
            return entries
                .iter()
                .skip(at)
                .all(|e| *e == [0; 8])
                .then_some(found);
        }
        let grows = found
            .last()
            .is_none_or(|&(r, p)| relative > r && position > p);
        if !grows || relative > i32::MAX.cast_unsigned() || u64::from(position) >= segment_bytes {
            return None;
        }
        found.push((relative, position));
    }
    Some(found)
}

fn decode_times(bytes: &[u8]) -> Option<Vec<(i64, u32)>> {
    let (entries, rest) = bytes.as_chunks::<12>();
    if !rest.is_empty() {
        return None;
    }
    let mut found: Vec<(i64, u32)> = Vec::with_capacity(entries.len());
    for (at, entry) in entries.iter().enumerate() {
        // One entry of zeros may be real (timestamp 0 at the base); several are space that was never used.
        if *entry == [0; 12] && (at > 0 || entries.len() > 1) {
            let unused = entries.iter().skip(at).all(|e| *e == [0; 12]);
            return unused.then_some(found);
        }
        let (timestamp, relative) = entry.split_first_chunk::<8>()?;
        let timestamp = i64::from_be_bytes(*timestamp);
        let relative = u32::from_be_bytes(*relative.first_chunk::<4>()?);
        let grows = found
            .last()
            .is_none_or(|&(t, r)| timestamp > t && relative >= r);
        if !grows || relative > i32::MAX.cast_unsigned() {
            return None;
        }
        found.push((timestamp, relative));
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(last: i64, position: u64, bytes: u64, max_timestamp: i64) -> Indexed {
        Indexed {
            last_offset: Offset(last),
            position: Position(position),
            bytes,
            max_timestamp,
        }
    }

    /// Batches of ten records and 3,000 bytes from offset 1000 on; time goes up, stands still and falls back.
    fn filled() -> Indexes {
        let mut indexes = Indexes::new(Offset(1000));
        let times = [50, 60, 60, 55, 70, -1, 90, 80];
        for (number, time) in (0..).zip(times) {
            let last = 1009 + 10 * number;
            indexes.on_batch(batch(last, 3000 * number.unsigned_abs(), 3000, time), 4096);
        }
        indexes
    }

    #[test]
    fn an_entry_comes_when_more_than_the_interval_went_by() {
        let indexes = filled();
        assert_eq!(indexes.offsets, [(29, 6000), (49, 12000), (69, 18000)]);
        assert_eq!(indexes.times, [(60, 19), (70, 49), (90, 69)]);
        let point = indexes.max_timestamp();
        assert_eq!((point.timestamp, point.offset), (90, Offset(1069)));
    }

    #[test]
    fn searches_start_at_or_before_what_they_look_for() {
        let indexes = filled();
        let position = |offset| indexes.position_before(Offset(offset)).0;
        assert_eq!([position(0), position(1000), position(1028)], [0, 0, 0]);
        assert_eq!([position(1029), position(1048)], [6000, 6000]);
        assert_eq!(
            [position(1069), position(1079), position(i64::MAX)],
            [18000; 3]
        );
        let offset = |time| indexes.offset_before_time(time).0;
        assert_eq!([offset(0), offset(60)], [1000, 1000]);
        assert_eq!([offset(61), offset(70)], [1019, 1019]);
        assert_eq!([offset(90), offset(91)], [1049, 1069]);
    }

    #[test]
    fn files_go_there_and_back() {
        let mut indexes = filled();
        indexes.seal();
        let (offsets, times) = (indexes.encode_offsets(), indexes.encode_times());
        let decode = |offsets: &[u8], times: &[u8]| {
            Indexes::decode(Offset(1000), 24_000, Some(Offset(1080)), offsets, times)
        };
        let read = decode(&offsets, &times).expect("its own files");
        assert_eq!(
            (&read.offsets, &read.times),
            (&indexes.offsets, &indexes.times)
        );
        // Space that a killed Kafka had allocated.
        let padded = |bytes: &[u8], unit: usize| [bytes, &vec![0; unit * 5]].concat();
        assert_eq!(
            decode(&padded(&offsets, 8), &padded(&times, 12)),
            Some(read)
        );
        let empty = decode(&[0; 800], &[0; 1200]).expect("unused space");
        assert_eq!(empty.entries(), (0, 0));
        // Positions beyond the segment, order, sizes, offsets beyond the end.
        assert_eq!(decode(&[0, 0, 0, 1, 0, 0, 0x5d, 0xc0], &times), None);
        assert_eq!(
            decode(&[&offsets[8..], &offsets[..8]].concat(), &times),
            None
        );
        assert_eq!(decode(&offsets[..7], &times), None);
        assert_eq!(decode(&offsets, &times[..13]), None);
        assert_eq!(decode(&offsets, &[0xff; 24]), None);
        let early = Indexes::decode(Offset(1000), 24_000, Some(Offset(1069)), &offsets, &times);
        assert_eq!(early, None);
    }

    #[test]
    fn a_full_index_and_a_far_offset_end_a_segment() {
        let indexes = filled();
        assert!(indexes.is_full(8 * 3), "no room for another offset");
        assert!(
            indexes.is_full(12 * 4),
            "one entry of the time index stays free"
        );
        assert!(!indexes.is_full(12 * 5));
        assert!(indexes.fits(Offset(1000 + i64::from(i32::MAX))));
        assert!(!indexes.fits(Offset(1001 + i64::from(i32::MAX))));
        assert!(!indexes.fits(Offset(999)));
    }
}
