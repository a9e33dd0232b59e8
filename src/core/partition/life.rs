//! A partition's way from disk to service and out of it again: producer state, completions, ticks, close, delete.
//!
//! Producer state comes from the newest readable snapshot at or below the log's end and a replay of the batch heads above it. A log that was
//! stopped cleanly and has no snapshot had no producers.

use std::collections::BTreeSet;

use super::producers::Producers;
use super::{EXPIRE_EVERY, Partition, PartitionEvent, Phase};
use crate::effect::{DiskError, DiskOk, DiskOp, DiskOut, DiskResult};
use crate::log::layout::{self, Kind, Stage};
use crate::log::{LogError, LogEvent, Opened, ReadError};
use crate::rule;
use crate::types::limits::SMALL_FILE_BYTES_MAX;
use crate::types::{Now, Offset, Token};

impl Partition {
    /// Takes a completion of one of this partition's operations.
    pub fn on_disk(
        &mut self,
        now: Now,
        token: Token,
        result: DiskResult,
        out: &mut DiskOut,
        events: &mut Vec<PartitionEvent>,
    ) {
        if let Phase::Snapshot {
            token: other,
            at,
            torn,
        } = self.phase
            && other == token
        {
            out.completed();
            self.on_snapshot_read(now, at, torn, result, out, events);
        } else if let Some(at) = self.snapshots_writing.remove(&token) {
            out.completed();
            self.on_snapshot_written(at, &result, out, events);
        } else if self.removing.remove(&token) {
            out.completed();
            if let Err(error) = result {
                self.fail_disk(error, events);
            }
        } else {
            let mut told = Vec::new();
            self.log.on_disk(now, token, result, out, &mut told);
            self.on_log(now, told, out, events);
        }
        self.log.delete_on(out);
    }

    /// Passing of time: `flush.ms`, producers that expire, deleted directories. Once a second is often enough.
    pub fn on_tick(&mut self, now: Now, out: &mut DiskOut, events: &mut Vec<PartitionEvent>) {
        self.log.on_tick(now, out);
        if self.is_online() {
            self.raise_high_watermark(self.log.written_end(), events);
        }
        if now.mono >= self.expire_at {
            self.expire_at = now.mono.after(EXPIRE_EVERY);
            let expiration = self.config.producer_id_expiration_ms;
            self.producers.expire(now.wall, expiration);
        }
    }

    pub(super) fn on_log(
        &mut self,
        now: Now,
        told: Vec<LogEvent>,
        out: &mut DiskOut,
        events: &mut Vec<PartitionEvent>,
    ) {
        for event in told {
            match event {
                LogEvent::Opened(opened) => self.on_log_opened(now, opened, out, events),
                LogEvent::Written { end } => self.raise_high_watermark(end, events),
                LogEvent::ScanDone { scan, result } => {
                    events.push(PartitionEvent::ReadReady { scan, result });
                }
                LogEvent::ReadDone { read, result } => {
                    events.push(PartitionEvent::ReadDone { read, result });
                }
                LogEvent::Walked { headers, end, .. } => {
                    for header in &headers {
                        self.producers.apply(header);
                    }
                    self.on_walked(end, out, events);
                }
                LogEvent::Rolled { base } => self.write_snapshot(base, out),
                LogEvent::Sealed { .. } => {}
                LogEvent::SpaceLow => events.push(PartitionEvent::SpaceLow),
                LogEvent::SpaceOk => events.push(PartitionEvent::SpaceOk),
                LogEvent::Closed => self.on_log_closed(out, events),
                LogEvent::Deleted => events.push(PartitionEvent::Deleted),
                LogEvent::Removed => events.push(PartitionEvent::Removed),
                LogEvent::Failed(error) => self.fail(error, events),
            }
        }
    }

    pub(super) fn raise_high_watermark(&mut self, end: Offset, events: &mut Vec<PartitionEvent>) {
        assert!(
            end <= self.log.log_end(),
            "the high watermark stays in the log"
        );
        let serving = matches!(self.phase, Phase::Online | Phase::Closing);
        if serving && end > self.high_watermark {
            self.high_watermark = end;
            events.push(PartitionEvent::HighWatermark(end));
        }
    }

    // ---- the way in ----

    fn on_log_opened(
        &mut self,
        now: Now,
        opened: Opened,
        out: &mut DiskOut,
        events: &mut Vec<PartitionEvent>,
    ) {
        self.snapshots = opened.snapshots.into_iter().collect();
        if matches!(self.phase, Phase::Over | Phase::Deleted) {
            return;
        }
        if rule!(LOSE_PRODUCER_STATE) {
            self.load_snapshot(now, opened.torn, out, events);
        } else {
            self.serve(opened.torn, out, events);
        }
    }

    fn load_snapshot(
        &mut self,
        now: Now,
        torn: bool,
        out: &mut DiskOut,
        events: &mut Vec<PartitionEvent>,
    ) {
        let Some(&at) = self.snapshots.last() else {
            if self.clean {
                return self.serve(torn, out, events);
            }
            return self.replay(self.log.log_start(), torn, out, events);
        };
        debug_assert!(
            at <= self.log.log_end(),
            "later ones were removed at {now:?}"
        );
        let token = out.push(DiskOp::ReadFile {
            path: layout::segment_file(&self.dir, at, Kind::Snapshot, Stage::Live),
            bytes_max: SMALL_FILE_BYTES_MAX,
        });
        self.phase = Phase::Snapshot { token, at, torn };
    }

    fn on_snapshot_read(
        &mut self,
        now: Now,
        at: Offset,
        torn: bool,
        result: DiskResult,
        out: &mut DiskOut,
        events: &mut Vec<PartitionEvent>,
    ) {
        let bytes = match result {
            Ok(DiskOk::Bytes(bytes)) => bytes,
            Ok(_) => bytes::Bytes::new(),
            Err(error) => return self.fail_disk(error, events),
        };
        let expiration = self.config.producer_id_expiration_ms;
        if let Ok(producers) = Producers::decode(&bytes, now.wall, expiration) {
            self.producers = producers;
            self.replay(at, torn, out, events);
        } else {
            // An unreadable snapshot is worth nothing: the one before it and a longer replay give the same.
            self.remove_snapshot(at, out);
            self.clean &= !self.snapshots.is_empty();
            self.load_snapshot(now, torn, out, events);
        }
    }

    fn replay(
        &mut self,
        from: Offset,
        torn: bool,
        out: &mut DiskOut,
        events: &mut Vec<PartitionEvent>,
    ) {
        self.phase = Phase::Replay { torn };
        if self.log.walk(from, out).is_none() {
            self.serve(torn, out, events);
        }
    }

    fn on_walked(
        &mut self,
        end: Option<Result<(), ReadError>>,
        out: &mut DiskOut,
        events: &mut Vec<PartitionEvent>,
    ) {
        let Phase::Replay { torn } = self.phase else {
            return;
        };
        match end {
            None => {}
            Some(Ok(())) => self.serve(torn, out, events),
            Some(Err(ReadError::Disk(error))) => self.fail_disk(error, events),
            Some(Err(ReadError::Corrupt { base, .. })) => {
                let file = layout::segment_file(&self.dir, base, Kind::Log, Stage::Live);
                let what = "a batch is corrupt";
                self.fail(LogError::Corrupt { file, what }, events);
            }
        }
    }

    fn serve(&mut self, torn: bool, out: &mut DiskOut, events: &mut Vec<PartitionEvent>) {
        self.phase = Phase::Online;
        // The only replica: what is in its log is committed, and recovery made it safe.
        self.high_watermark = self.log.log_end();
        events.push(PartitionEvent::Opened {
            log_start: self.log.log_start(),
            log_end: self.log.log_end(),
            torn,
        });
        if self.close_wanted {
            self.close_clean(out);
        }
    }

    // ---- snapshots ----

    fn write_snapshot(&mut self, at: Offset, out: &mut DiskOut) {
        let token = out.push(DiskOp::WriteFile {
            path: layout::segment_file(&self.dir, at, Kind::Snapshot, Stage::Live),
            bytes: self.producers.encode(),
        });
        self.snapshots_writing.insert(token, at);
    }

    fn on_snapshot_written(
        &mut self,
        at: Offset,
        result: &DiskResult,
        out: &mut DiskOut,
        events: &mut Vec<PartitionEvent>,
    ) {
        let closing = matches!(self.phase, Phase::Closing);
        match result {
            Ok(_) => {
                self.snapshots.insert(at);
                self.remove_old_snapshots(out);
            }
            // An older one and a longer replay give the same.
            Err(DiskError::NoSpace(_)) if !closing => {}
            Err(error) => return self.fail_disk(error.clone(), events),
        }
        self.finish_close(events);
    }

    /// Kept: those where a segment begins, and the newest.
    fn remove_old_snapshots(&mut self, out: &mut DiskOut) {
        let bases: BTreeSet<Offset> = self.log.segment_bases().collect();
        let newest = self.snapshots.last().copied();
        let stale: Vec<Offset> = self
            .snapshots
            .iter()
            .copied()
            .filter(|at| Some(*at) != newest && !bases.contains(at))
            .collect();
        for at in stale {
            self.remove_snapshot(at, out);
        }
    }

    fn remove_snapshot(&mut self, at: Offset, out: &mut DiskOut) {
        self.snapshots.remove(&at);
        let path = layout::segment_file(&self.dir, at, Kind::Snapshot, Stage::Live);
        self.removing.insert(out.push(DiskOp::Remove { path }));
    }

    // ---- the way out ----

    /// Finishes: pending writes, flush, exact sizes, index files, producer snapshot, epochs. [`PartitionEvent::Closed`] follows. A
    /// partition that is still being opened is opened first.
    pub fn close_clean(&mut self, out: &mut DiskOut) {
        match self.phase {
            Phase::Log | Phase::Snapshot { .. } | Phase::Replay { .. } => self.close_wanted = true,
            Phase::Online => {
                self.phase = Phase::Closing;
                self.log.close_clean(out);
            }
            Phase::Closing | Phase::Over | Phase::Deleted => {}
        }
    }

    fn on_log_closed(&mut self, out: &mut DiskOut, events: &mut Vec<PartitionEvent>) {
        self.log_closed = true;
        let end = self.log.log_end();
        let nothing_to_say = self.producers.is_empty() && self.snapshots.is_empty();
        if !nothing_to_say && !self.snapshots.contains(&end) {
            self.write_snapshot(end, out);
        }
        self.finish_close(events);
    }

    fn finish_close(&mut self, events: &mut Vec<PartitionEvent>) {
        if self.log_closed
            && self.snapshots_writing.is_empty()
            && matches!(self.phase, Phase::Closing)
        {
            self.phase = Phase::Over;
            events.push(PartitionEvent::Closed);
        }
    }

    /// The topic is deleted: renames the directory ([`PartitionEvent::Deleted`]), removes it after the delay ([`PartitionEvent::Removed`]).
    pub fn delete(&mut self, now: Now, out: &mut DiskOut) {
        self.phase = Phase::Deleted;
        self.log.delete(now, out);
    }

    fn fail_disk(&mut self, error: DiskError, events: &mut Vec<PartitionEvent>) {
        let dir = self.dir.clone();
        self.fail(LogError::Disk { dir, error }, events);
    }

    fn fail(&mut self, error: LogError, events: &mut Vec<PartitionEvent>) {
        self.phase = Phase::Over;
        events.push(PartitionEvent::Offline(error));
    }
}
