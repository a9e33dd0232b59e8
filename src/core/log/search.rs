//! Searches in files: which batch holds an offset, which one reaches a timestamp, and reads into the core.
//!
//! A search goes segment by segment: open the file, have the indexes at hand, read heads from the index's position on until one
//! matches, then perhaps the batch itself. Searches share what they open; each has at most one read in flight.
//!
//! Invariants: 1. A search reads only below the last batch boundary that a completed write covers. 2. What is read is checked to be batches;
//! anything else ends the search with an error, never with a panic.
//! Source: `LogSegment.translateOffset`, `UnifiedLog.fetchOffsetByTimestamp`.

use bytes::Bytes;

use super::index::{Indexes, TimePoint};
use super::layout::{self, Kind, Stage};
use super::read::Cursor;
use super::segment::{Handle, Loading, Segment};
use super::writer::Placed;
use super::{Log, LogEvent, ReadError, ReadId, ScanId};
use crate::effect::{DiskOk, DiskOp, DiskOut, DiskResult};
use crate::types::limits::{
    BATCH_HEADER_BYTES, RECOVERY_READ_BYTES, SCAN_READ_BYTES, SMALL_FILE_BYTES_MAX,
};
use crate::types::{Offset, Position, Token};
use crate::wire::batch::BatchHeader;

/// What a search is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Want {
    /// Where the batch is that holds this offset.
    Position { offset: Offset },
    /// Whole batches from that one on.
    Batches {
        offset: Offset,
        bytes_max: u32,
        bound: Offset,
    },
    /// The heads of all batches from that one on.
    Heads { from: Offset },
    /// The first batch from `from` on that reaches this time.
    Time {
        timestamp: i64,
        from: Offset,
        bound: Offset,
    },
    /// The first batch with the largest timestamp.
    MaxTime { bound: Offset },
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Step {
    /// The segment's file or indexes come.
    Segment,
    /// Heads are being read from this position on.
    Heads { position: u64 },
    /// Batches are being read.
    Body { placed: Placed },
}

/// A search.
#[derive(Debug)]
pub(super) struct Search {
    want: Want,
    step: Step,
    /// The segment looked at.
    pub(super) segment: Offset,
    /// The best time found so far, for [`Want::MaxTime`]: its segment and the point.
    best: Option<(Offset, TimePoint)>,
    /// [`Want::MaxTime`] looked at every segment.
    chosen: bool,
}

/// What came out of looking at some heads.
enum Seen {
    Found(Placed),
    /// Go on reading here.
    More(u64),
    Corrupt(u64),
}

impl Log {
    /// Starts a search in the segment that holds `from`. `None` if it is known at once that there is nothing to find.
    pub(super) fn search(&mut self, want: Want, from: Offset, out: &mut DiskOut) -> Option<u64> {
        self.search_next += 1;
        let id = self.search_next;
        let at = match want {
            Want::MaxTime { .. } => 0,
            _ => self.segment_of(from),
        };
        let segment = self.segments.get(at)?.base;
        let step = Step::Segment;
        self.searches.insert(
            id,
            Search {
                want,
                step,
                segment,
                best: None,
                chosen: false,
            },
        );
        let mut events = Vec::new();
        self.drive(id, out, &mut events);
        // Whatever ends before the first operation found nothing.
        self.searches.contains_key(&id).then_some(id)
    }

    /// A read of a search completed.
    pub(super) fn on_search(
        &mut self,
        id: u64,
        result: DiskResult,
        out: &mut DiskOut,
        events: &mut Vec<LogEvent>,
    ) {
        let Some(search) = self.searches.get(&id) else {
            return;
        };
        let (step, segment) = (search.step, search.segment);
        let bytes = match result {
            Ok(DiskOk::Bytes(bytes)) => bytes,
            Ok(_) => panic!("a read is answered with bytes"),
            Err(error) => return self.end_search(id, Err(ReadError::Disk(error)), events),
        };
        match step {
            Step::Segment => {}
            Step::Heads { position } => self.on_heads(id, position, &bytes, out, events),
            Step::Body { placed } => {
                let corrupt = ReadError::Corrupt {
                    base: segment,
                    position: placed.position,
                };
                let whole = whole_batches(&bytes).filter(|whole| !whole.is_empty());
                self.end_search(id, whole.ok_or(corrupt), events);
            }
        }
    }

    /// A file was opened or an index file read: searches that waited for it go on. False if the token is none of that.
    pub(super) fn on_segment_at_hand(
        &mut self,
        token: Token,
        result: DiskResult,
        out: &mut DiskOut,
        events: &mut Vec<LogEvent>,
    ) -> bool {
        let waits = |segment: &&mut Segment| {
            matches!(segment.handle, Handle::Opening(other, _) if other == token)
                || matches!(&segment.loading, Loading::Offsets(other) | Loading::Times(other, _) if *other == token)
        };
        let Some(segment) = self.segments.iter_mut().find(waits) else {
            return false;
        };
        let base = segment.base;
        let error = match result {
            Ok(ok) => take_in(&self.dir, segment, token, ok, out),
            Err(error) => {
                if let Handle::Opening(..) = segment.handle {
                    segment.handle = Handle::Closed;
                }
                segment.loading = Loading::No;
                Some(ReadError::Disk(error))
            }
        };
        self.go_on_in(base, error.as_ref(), out, events);
        true
    }

    /// Searches that waited for this segment go on, or end with what is wrong with it.
    pub(super) fn go_on_in(
        &mut self,
        base: Offset,
        error: Option<&ReadError>,
        out: &mut DiskOut,
        events: &mut Vec<LogEvent>,
    ) {
        let waiting: Vec<u64> = self
            .searches
            .iter()
            .filter(|(_, search)| search.segment == base && search.step == Step::Segment)
            .map(|(&id, _)| id)
            .collect();
        for id in waiting {
            match error {
                Some(error) => self.end_search(id, Err(error.clone()), events),
                None => self.drive(id, out, events),
            }
        }
    }

    /// Moves a search on until it waits for something or ends.
    fn drive(&mut self, id: u64, out: &mut DiskOut, events: &mut Vec<LogEvent>) {
        while let Some(search) = self.searches.get(&id) {
            let (want, base) = (search.want, search.segment);
            let at = self.segment_of(base);
            self.use_clock += 1;
            let clock = self.use_clock;
            let segment = self
                .segments
                .get_mut(at)
                .expect("segments stay while the log is open");
            assert_eq!(segment.base, base, "segments stay while the log is open");
            segment.used = clock;
            let by_time = matches!(want, Want::Time { .. } | Want::MaxTime { .. });
            if by_time && self.known_max(at).is_some() {
                match self.choose_segment(id, at) {
                    Chosen::Here => {}
                    Chosen::Next => continue,
                    Chosen::Nothing => return self.end_search(id, Ok(Bytes::new()), events),
                }
            }
            let segment = self.segments.get_mut(at).expect("just there");
            if !at_hand(&self.dir, segment, out) {
                return;
            }
            if by_time && self.searches.get(&id).is_some_and(|search| !search.chosen) {
                continue;
            }
            let position = self.start_of(want, at, id);
            self.read_heads(id, at, position, out, events);
            return;
        }
    }

    fn known_max(&self, at: usize) -> Option<TimePoint> {
        self.segments.get(at).and_then(Segment::known_max_timestamp)
    }

    /// Decides by its largest timestamp whether a search by time looks into this segment.
    fn choose_segment(&mut self, id: u64, at: usize) -> Chosen {
        let max = self.known_max(at).expect("the caller asked");
        let base = self
            .segments
            .get(at)
            .map_or(Offset(0), |segment| segment.base);
        let next = self.segments.get(at + 1).map(|segment| segment.base);
        let search = self.searches.get_mut(&id).expect("the caller has it");
        if search.chosen {
            return Chosen::Here;
        }
        if let Want::Time { timestamp, .. } = search.want {
            if max.timestamp >= timestamp {
                search.chosen = true;
                return Chosen::Here;
            }
        } else if search
            .best
            .is_none_or(|(_, best)| max.timestamp > best.timestamp)
        {
            search.best = Some((base, max));
        }
        match (next, search.best) {
            (Some(next), _) => {
                search.segment = next;
                Chosen::Next
            }
            (None, Some((base, _))) => {
                search.segment = base;
                search.chosen = true;
                Chosen::Next
            }
            (None, None) => Chosen::Nothing,
        }
    }

    /// Where in a segment the heads are to be read from.
    fn start_of(&self, want: Want, at: usize, id: u64) -> u64 {
        let segment = self.segments.get(at).expect("the caller has it");
        let Some(indexes) = &segment.indexes else {
            return 0;
        };
        let offset = match want {
            Want::Position { offset } | Want::Batches { offset, .. } => offset,
            Want::Heads { from } => from,
            Want::Time {
                timestamp, from, ..
            } => indexes.offset_before_time(timestamp).max(from),
            Want::MaxTime { .. } => {
                let search = self.searches.get(&id);
                let best = search.and_then(|search| search.best);
                best.map_or(segment.base, |(_, point)| point.offset)
            }
        };
        indexes.position_before(offset).0
    }

    fn read_heads(
        &mut self,
        id: u64,
        at: usize,
        position: u64,
        out: &mut DiskOut,
        events: &mut Vec<LogEvent>,
    ) {
        let segment = self.segments.get(at).expect("the caller has it");
        let limit = segment.readable_bytes();
        let search = self.searches.get_mut(&id).expect("the caller has it");
        let heads = matches!(search.want, Want::Heads { .. });
        if position >= limit {
            // Nothing in this segment (any more): the next one goes on.
            match self.segments.get(at + 1).map(|next| next.base) {
                Some(next) => {
                    search.segment = next;
                    search.step = Step::Segment;
                    self.drive(id, out, events);
                }
                None if heads => self.end_search(id, Ok(Bytes::new()), events),
                None => {
                    let base = segment.base;
                    let missing =
                        matches!(search.want, Want::Position { .. } | Want::Batches { .. });
                    let corrupt = ReadError::Corrupt { base, position };
                    let end = if missing {
                        Err(corrupt)
                    } else {
                        Ok(Bytes::new())
                    };
                    self.end_search(id, end, events);
                }
            }
            return;
        }
        let Handle::Open(file) = segment.handle else {
            return;
        };
        let piece = if heads {
            RECOVERY_READ_BYTES
        } else {
            SCAN_READ_BYTES
        };
        let len = u32::try_from(piece.min(limit - position)).expect("both pieces fit");
        search.step = Step::Heads { position };
        let op = DiskOp::Read {
            file,
            position: Position(position),
            len,
        };
        self.search_tokens.insert(out.push(op), id);
    }

    fn on_heads(
        &mut self,
        id: u64,
        position: u64,
        bytes: &Bytes,
        out: &mut DiskOut,
        events: &mut Vec<LogEvent>,
    ) {
        let search = self.searches.get(&id).expect("the caller has it");
        let (want, base) = (search.want, search.segment);
        let at = self.segment_of(base);
        let limit = self.segments.get(at).map_or(0, Segment::readable_bytes);
        let best = search.best.map(|(_, point)| point);
        let mut heads = Vec::new();
        let seen = look_at_heads(bytes, position, limit, |header| match want {
            Want::Position { offset } | Want::Batches { offset, .. } => {
                header.last_offset() >= offset
            }
            Want::Heads { from } => {
                if header.last_offset() >= from {
                    heads.push(*header);
                }
                false
            }
            Want::Time {
                timestamp, from, ..
            } => header.max_timestamp >= timestamp && header.last_offset() >= from,
            Want::MaxTime { .. } => best.is_some_and(|best| {
                header.max_timestamp >= best.timestamp && header.last_offset() >= best.offset
            }),
        });
        if !heads.is_empty() {
            let (read, end) = (ReadId(id), None);
            let headers = heads;
            events.push(LogEvent::Walked { read, headers, end });
        }
        match seen {
            Seen::More(next) => self.read_heads(id, at, next, out, events),
            Seen::Corrupt(position) => {
                self.end_search(id, Err(ReadError::Corrupt { base, position }), events);
            }
            Seen::Found(placed) => self.on_found(id, at, placed, out, events),
        }
    }

    fn on_found(
        &mut self,
        id: u64,
        at: usize,
        placed: Placed,
        out: &mut DiskOut,
        events: &mut Vec<LogEvent>,
    ) {
        let search = self.searches.get(&id).expect("the caller has it");
        let (want, base) = (search.want, search.segment);
        let (len, bound) = match want {
            Want::Position { offset } => {
                let from = offset.min(placed.first);
                self.keep_cursor(Cursor {
                    segment: base,
                    from,
                    placed,
                });
                return self.end_search(id, Ok(Bytes::new()), events);
            }
            Want::Heads { .. } => return,
            Want::Batches {
                bytes_max, bound, ..
            } => (u64::from(bytes_max).max(placed.bytes), bound),
            Want::Time { bound, .. } | Want::MaxTime { bound } => (placed.bytes, bound),
        };
        let segment = self.segments.get(at).expect("the caller has it");
        let end = self
            .position_of_bound(at, bound)
            .min(segment.readable_bytes());
        let Handle::Open(file) = segment.handle else {
            return;
        };
        if placed.last >= bound {
            return self.end_search(id, Ok(Bytes::new()), events);
        }
        // The batch lies below the bound, so the bound's position is not below the batch's end, however roughly it is known.
        let end = end.max(placed.position + placed.bytes);
        let len = u32::try_from(len.min(end - placed.position)).expect("bounded by 32 bits");
        let op = DiskOp::Read {
            file,
            position: Position(placed.position),
            len,
        };
        self.search_tokens.insert(out.push(op), id);
        let search = self.searches.get_mut(&id).expect("the caller has it");
        search.step = Step::Body { placed };
    }

    fn end_search(
        &mut self,
        id: u64,
        result: Result<Bytes, ReadError>,
        events: &mut Vec<LogEvent>,
    ) {
        let Some(search) = self.searches.remove(&id) else {
            return;
        };
        let read = ReadId(id);
        events.push(match search.want {
            Want::Position { .. } => LogEvent::ScanDone {
                scan: ScanId(id),
                result: result.map(drop),
            },
            Want::Heads { .. } => LogEvent::Walked {
                read,
                headers: Vec::new(),
                end: Some(result.map(drop)),
            },
            Want::Batches { .. } | Want::Time { .. } | Want::MaxTime { .. } => {
                LogEvent::ReadDone { read, result }
            }
        });
    }
}

enum Chosen {
    Here,
    Next,
    Nothing,
}

/// True if file and indexes of a segment are there; else asks for what is missing.
fn at_hand(dir: &str, segment: &mut Segment, out: &mut DiskOut) -> bool {
    match segment.handle {
        Handle::Closed => {
            let file = out.next_file();
            let path = layout::segment_file(dir, segment.base, Kind::Log, Stage::Live);
            let create = false;
            let token = out.push(DiskOp::Open { path, file, create });
            segment.handle = Handle::Opening(token, file);
            return false;
        }
        Handle::Opening(..) => return false,
        Handle::Open(_) if !Log::is_readable(segment) => return false,
        Handle::Open(_) => {}
    }
    if segment.indexes.is_some() {
        return true;
    }
    if segment.loading == Loading::No {
        let token = out.push(read_small(dir, segment.base, Kind::Index));
        segment.loading = Loading::Offsets(token);
    }
    false
}

/// Takes in a segment's opened file or one of its index files. What it is if that cannot be.
fn take_in(
    dir: &str,
    segment: &mut Segment,
    token: Token,
    ok: DiskOk,
    out: &mut DiskOut,
) -> Option<ReadError> {
    let base = segment.base;
    if let Handle::Opening(other, file) = segment.handle
        && other == token
    {
        let opened = matches!(ok, DiskOk::Opened { bytes } if bytes >= segment.bytes);
        segment.handle = Handle::Open(file);
        let position = segment.bytes;
        return (!opened).then_some(ReadError::Corrupt { base, position });
    }
    let bytes = match ok {
        DiskOk::Bytes(bytes) => bytes,
        _ => Bytes::new(),
    };
    segment.loading = match std::mem::replace(&mut segment.loading, Loading::No) {
        Loading::Offsets(_) => {
            Loading::Times(out.push(read_small(dir, base, Kind::TimeIndex)), bytes)
        }
        Loading::Times(_, offsets) => {
            let decoded = Indexes::decode(base, segment.bytes, None, &offsets, &bytes);
            if decoded.is_none() {
                // Useless index files: every search goes over the whole segment, whatever its timestamps may be.
                segment.max_timestamp = Some(TimePoint {
                    timestamp: i64::MAX,
                    offset: base,
                });
            }
            segment.indexes = Some(decoded.unwrap_or_else(|| Indexes::new(base)));
            Loading::No
        }
        Loading::No => Loading::No,
    };
    None
}

fn read_small(dir: &str, base: Offset, kind: Kind) -> DiskOp {
    DiskOp::ReadFile {
        path: layout::segment_file(dir, base, kind, Stage::Live),
        bytes_max: SMALL_FILE_BYTES_MAX,
    }
}

/// Heads in the bytes read at `position`, up to the first that matches.
fn look_at_heads(
    bytes: &[u8],
    position: u64,
    limit: u64,
    mut matches: impl FnMut(&BatchHeader) -> bool,
) -> Seen {
    let mut here = position;
    loop {
        if here >= limit {
            return Seen::More(here);
        }
        let head = usize::try_from(here - position)
            .ok()
            .and_then(|skip| bytes.get(skip..));
        let Some(head) = head.filter(|head| head.len() >= BATCH_HEADER_BYTES) else {
            // Going on at the same place would never end: the file gave less than a head where the log has a batch.
            let stuck = here == position;
            return if stuck {
                Seen::Corrupt(here)
            } else {
                Seen::More(here)
            };
        };
        let Ok(header) = BatchHeader::decode(head) else {
            return Seen::Corrupt(here);
        };
        let bytes = header.total_bytes();
        if header.last_offset_delta < 0 || bytes > limit - here {
            return Seen::Corrupt(here);
        }
        if matches(&header) {
            return Seen::Found(Placed {
                first: header.base_offset,
                last: header.last_offset(),
                position: here,
                bytes,
            });
        }
        here += bytes;
    }
}

/// The whole batches at the start of some bytes. `None` if they begin with none.
fn whole_batches(bytes: &Bytes) -> Option<Bytes> {
    let mut end = 0usize;
    while let Some(rest) = bytes.get(end..)
        && let Ok(header) = BatchHeader::decode(rest)
        && let Ok(len) = usize::try_from(header.total_bytes())
        && len <= rest.len()
    {
        end += len;
    }
    (end > 0).then(|| bytes.slice(..end))
}
