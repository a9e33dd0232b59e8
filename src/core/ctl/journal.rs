//! The metadata log as the controller uses it: appends, and what of them is committed.
//!
//! Invariants: 1. Appended entries are handed back once, in order, when the log says that they are on stable storage.
//! 2. Nothing is appended while something is being committed but within the same call: one flush covers a decision.

use bytes::Bytes;

use super::Fatal;
use crate::effect::{DiskOut, DiskResult};
use crate::log::{AppendRefused, Durability, Log, LogConfig, LogEvent, LogSpec};
use crate::metadata::batch::{self, Entry};
use crate::metadata::control::ControlRecord;
use crate::metadata::layout;
use crate::metadata::record::Record;
use crate::types::limits::{BATCH_HEADER_BYTES, METADATA_RECORDS_PER_BATCH, RECOVERY_READ_BYTES};
use crate::types::{LeaderEpoch, Now, Offset, Token, TopicId};
use crate::wire::batch::BatchHeader;

/// Something happened to the log.
#[derive(Debug)]
pub(super) enum JournalEvent {
    /// It may be read and appended to.
    Opened {
        /// First offset.
        start: Offset,
        /// Exclusive end.
        end: Offset,
    },
    /// Whole batches, as asked for.
    Read(Bytes),
    /// Everything appended so far is on stable storage: these are new.
    Committed(Vec<(Offset, Entry)>),
    /// Closed cleanly.
    Closed,
}

/// Whether the log has space to grow into.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Space {
    Enough,
    NewlyLow,
    Low,
}

#[derive(Debug)]
pub(super) struct Journal {
    log: Option<Log>,
    disk: DiskOut,
    epoch: LeaderEpoch,
    pending: Vec<(Offset, Entry)>,
    space: Space,
}

impl Journal {
    pub(super) fn new(disk: DiskOut) -> Self {
        Self {
            log: None,
            disk,
            epoch: LeaderEpoch::NONE,
            pending: Vec::new(),
            space: Space::Enough,
        }
    }

    /// Where its disk operations are gathered.
    pub(super) fn disk(&mut self) -> &mut DiskOut {
        &mut self.disk
    }

    /// Opens the log; what lies below `snapshot_end` is in a snapshot and may be missing.
    ///
    /// As Kafka's metadata log it is always recovered as after an unclean stop: it is small and read whole anyway.
    pub(super) fn open(&mut self, now: Now, snapshot_end: Offset) {
        let spec = LogSpec {
            dir: layout::METADATA_DIR.into(),
            topic_id: TopicId::METADATA,
            config: LogConfig {
                durability: Durability::Flushed,
                ..LogConfig::default()
            },
            clean: false,
            recovery_point: Offset(0),
            log_start: (snapshot_end > Offset(0)).then_some(snapshot_end),
        };
        self.log = Some(Log::open(now, spec, &mut self.disk));
    }

    fn log(&mut self) -> (&mut Log, &mut DiskOut) {
        let log = self
            .log
            .as_mut()
            .expect("the log is used after it was opened");
        (log, &mut self.disk)
    }

    /// Asks for whole batches from `from` on.
    pub(super) fn read(&mut self, from: Offset) {
        let (log, disk) = self.log();
        let bytes_max = u32::try_from(RECOVERY_READ_BYTES).unwrap_or(u32::MAX);
        let end = log.log_end();
        log.read(from, bytes_max, end, disk);
    }

    /// The epoch of everything appended from here on.
    pub(super) fn lead(&mut self, epoch: LeaderEpoch) {
        self.epoch = epoch;
        self.log().0.assign_epoch(epoch);
    }

    /// Exclusive end of what was appended.
    pub(super) fn end(&mut self) -> Offset {
        self.log().0.log_end()
    }

    /// True while something was appended that is not on stable storage.
    pub(super) fn is_committing(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Appends records that belong together as one batch. False: there is no space, nothing was done.
    pub(super) fn try_append(&mut self, now: Now, records: Vec<Record>) -> Result<bool, Fatal> {
        if records.is_empty() {
            return Ok(false);
        }
        let base = self.end();
        let bytes = batch::encode_records(base, self.epoch, now.wall, &records);
        let entries = records.into_iter().map(Entry::Data).collect();
        match self.append_bytes(now, base, &bytes, entries) {
            Ok(()) => Ok(true),
            Err(AppendRefused::NoSpace) => Ok(false),
            Err(other) => Err(format!("The metadata log refuses a batch: {other}.")),
        }
    }

    /// Appends records that belong together as one batch and must not fail.
    pub(super) fn append(&mut self, now: Now, records: Vec<Record>) -> Result<(), Fatal> {
        if records.is_empty() || self.try_append(now, records)? {
            Ok(())
        } else {
            Err("No space left for the metadata log.".to_owned())
        }
    }

    /// Appends independent records in batches of a bounded size.
    pub(super) fn append_chunks(&mut self, now: Now, records: &[Record]) -> Result<(), Fatal> {
        for chunk in records.chunks(METADATA_RECORDS_PER_BATCH) {
            self.append(now, chunk.to_vec())?;
        }
        Ok(())
    }

    /// Appends control records as one batch.
    pub(super) fn append_controls(
        &mut self,
        now: Now,
        records: Vec<ControlRecord>,
    ) -> Result<(), Fatal> {
        let base = self.end();
        let bytes = batch::encode_controls(base, self.epoch, now.wall, &records);
        let entries = records.into_iter().map(Entry::Control).collect();
        self.append_bytes(now, base, &bytes, entries)
            .map_err(|refused| format!("The metadata log refuses a batch: {refused}."))
    }

    fn append_bytes(
        &mut self,
        now: Now,
        base: Offset,
        bytes: &Bytes,
        entries: Vec<Entry>,
    ) -> Result<(), AppendRefused> {
        let header = BatchHeader::decode(bytes).expect("what was just encoded is a batch");
        let parts = [
            bytes.slice(..BATCH_HEADER_BYTES),
            bytes.slice(BATCH_HEADER_BYTES..),
        ];
        let (log, disk) = self.log();
        let mut events = Vec::new();
        log.append(now, parts, &header, disk, &mut events)?;
        if events.contains(&LogEvent::SpaceLow) {
            self.space = Space::NewlyLow;
        }
        let offsets = (0..).map(|delta| base.plus(delta));
        self.pending.extend(offsets.zip(entries));
        Ok(())
    }

    /// Takes a completion of one of the log's operations.
    pub(super) fn on_disk(
        &mut self,
        now: Now,
        token: Token,
        result: DiskResult,
    ) -> Result<Vec<JournalEvent>, Fatal> {
        let mut events = Vec::new();
        let (log, disk) = self.log();
        log.on_disk(now, token, result, disk, &mut events);
        let mut told = Vec::new();
        for event in events {
            match event {
                LogEvent::Opened(opened) => told.push(JournalEvent::Opened {
                    start: opened.log_start,
                    end: opened.log_end,
                }),
                LogEvent::ReadDone { result, .. } => {
                    let read = result
                        .map_err(|error| format!("The metadata log cannot be read: {error}."))?;
                    told.push(JournalEvent::Read(read));
                }
                LogEvent::Written { end } => {
                    // One flush may cover less than was appended; what counts together is committed together.
                    if self.is_committing() && end >= self.end() {
                        told.push(JournalEvent::Committed(std::mem::take(&mut self.pending)));
                    }
                }
                LogEvent::SpaceLow => self.space = Space::NewlyLow,
                LogEvent::SpaceOk => self.space = Space::Enough,
                LogEvent::Closed => told.push(JournalEvent::Closed),
                LogEvent::Failed(error) => {
                    return Err(format!("The metadata log failed: {error}."));
                }
                // Nobody here scans, walks or deletes; producer state does not exist in this log.
                LogEvent::ScanDone { .. }
                | LogEvent::Walked { .. }
                | LogEvent::Rolled { .. }
                | LogEvent::Sealed { .. }
                | LogEvent::Deleted
                | LogEvent::Removed => {}
            }
        }
        Ok(told)
    }

    /// Passing of time. True if it should pass again soon, because space is looked for.
    pub(super) fn on_tick(&mut self, now: Now) -> bool {
        if let Some(log) = &mut self.log {
            log.on_tick(now, &mut self.disk);
        }
        self.space != Space::Enough
    }

    /// True once after space ran out.
    pub(super) fn take_space_low(&mut self) -> bool {
        let news = self.space == Space::NewlyLow;
        if news {
            self.space = Space::Low;
        }
        news
    }

    /// Closes the log; `Closed` follows.
    pub(super) fn close(&mut self) {
        let (log, disk) = self.log();
        log.close_clean(disk);
    }
}
