//! Appends, and when a new segment takes over.

use bytes::Bytes;

use super::index::{Indexed, Indexes};
use super::layout::{self, Kind, Stage};
use super::segment::{Sealing, Segment};
use super::writer::Writer;
use super::{AppendRefused, Log, LogEvent, State};
use crate::effect::{DiskOp, DiskOut};
use crate::types::{Now, Position};
use crate::wire::batch::BatchHeader;

impl Log {
    /// Appends one batch. `header` describes `parts`, which are its bytes (head and records), and starts at or above [`Log::log_end`].
    /// The batch is safe when [`LogEvent::Written`] passes its last offset.
    pub fn append(
        &mut self,
        now: Now,
        parts: [Bytes; 2],
        header: &BatchHeader,
        out: &mut DiskOut,
        events: &mut Vec<LogEvent>,
    ) -> Result<(), AppendRefused> {
        let bytes = header.total_bytes();
        let given: u64 = parts.iter().map(|part| part.len() as u64).sum();
        assert_eq!(given, bytes, "the parts are the batch");
        if !matches!(self.state, State::Open) {
            return Err(AppendRefused::NotOpen);
        }
        if self.space_low {
            return Err(AppendRefused::NoSpace);
        }
        if bytes > self.config.segment_bytes {
            return Err(AppendRefused::LargerThanSegment);
        }
        assert!(header.base_offset >= self.log_end, "offsets grow");
        assert!(header.last_offset_delta >= 0, "a batch has a last offset");
        if self.is_roll_due(now, header) {
            self.roll(now, out, events);
        }
        self.epochs.assign(header.leader_epoch, header.base_offset);
        let interval = self.config.index_interval_bytes;
        let active = self.segments.last_mut().expect("an open log has segments");
        let batch = Indexed {
            last_offset: header.last_offset(),
            position: Position(active.bytes),
            bytes,
            max_timestamp: header.max_timestamp,
        };
        if active.bytes == 0 {
            active.first_timestamp = Some(header.max_timestamp);
        }
        active.final_on_disk = false;
        let indexes = active.indexes.as_mut().expect("in memory while written");
        indexes.on_batch(batch, interval);
        let writer = active.writer.as_mut().expect("the last segment is written");
        writer.append(header.base_offset, batch.last_offset, parts, out);
        active.bytes = writer.appended();
        writer.pump(&self.config, true, out);
        self.log_end = header.next_offset();
        self.save_epochs(out);
        Ok(())
    }

    fn is_roll_due(&self, now: Now, header: &BatchHeader) -> bool {
        let active = self.segments.last().expect("an open log has segments");
        let config = &self.config;
        // An empty segment takes whatever comes: its successor would have the same base.
        if active.bytes == 0 {
            return false;
        }
        let indexes = active.indexes.as_ref().expect("in memory while written");
        let age_ms = match active.first_timestamp {
            Some(first) if first >= 0 => header.max_timestamp.saturating_sub(first),
            _ => now.wall.0.saturating_sub(active.created.0),
        };
        let age_ms_max = config
            .segment_ms
            .0
            .saturating_sub(config.segment_jitter_ms.0);
        let too_old = u64::try_from(age_ms).is_ok_and(|age| age > age_ms_max);
        let too_large = active.bytes > config.segment_bytes - header.total_bytes();
        too_large
            || too_old
            || indexes.is_full(config.index_bytes_max)
            || !indexes.fits(header.last_offset())
    }

    /// A new segment takes the appends; the old one is settled, flushed and cut in the background, readable all the while.
    fn roll(&mut self, now: Now, out: &mut DiskOut, events: &mut Vec<LogEvent>) {
        let base = self.log_end;
        let file = out.next_file();
        let path = layout::segment_file(&self.dir, base, Kind::Log, Stage::Live);
        let create = true;
        let token = out.push(DiskOp::Open { path, file, create });
        let old = self.segments.last_mut().expect("an open log has segments");
        assert!(old.base < base, "a roll follows an append");
        old.sealing = Sealing::Settle;
        let writer = Writer::creating(file, token, base);
        self.segments
            .push(Segment::active(Indexes::new(base), writer, now.wall));
        events.push(LogEvent::Rolled { base });
        self.progress(now.mono, out, events);
    }
}
