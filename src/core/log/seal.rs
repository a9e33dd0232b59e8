//! How a segment becomes final, and how a log ends: closed, deleted or failed.
//!
//! A segment that was rolled, or the last one of a log that closes, goes through: all writes done → flush → cut to the exact size → index files.
//! Reads go on meanwhile: from memory until the flush is done, from the file once the cut is asked for (R4).

use super::checkpoint;
use super::layout::{self, Kind, Stage};
use super::segment::{Handle, Sealing};
use super::{Log, LogError, LogEvent, Next, State};
use crate::effect::{DiskError, DiskOk, DiskOp, DiskOut, DiskResult};
use crate::types::limits::{SEALED_FILES_MAX, SEALED_INDEXES_MAX};
use crate::types::{FileId, Now, Position, Token};

impl Log {
    /// Moves every unfinished segment on as far as it goes without waiting.
    pub(super) fn seal_on(&mut self, out: &mut DiskOut) {
        for segment in self.segments.iter_mut().skip(self.finished) {
            if segment.sealing != Sealing::Settle {
                continue;
            }
            let Some(writer) = &mut segment.writer else {
                continue;
            };
            if !writer.is_settled() || writer.is_flushing() {
                continue;
            }
            if !writer.is_durable() {
                writer.flush(out);
                continue;
            }
            writer.release_all(out);
            let (file, to) = (writer.file, Position(segment.bytes));
            segment.sealing = Sealing::Trim(out.push(DiskOp::Truncate { file, to }));
        }
    }

    /// A step of a segment's sealing completed. Returns false if the token is none of that.
    pub(super) fn on_seal_step(
        &mut self,
        token: Token,
        result: &DiskResult,
        out: &mut DiskOut,
        events: &mut Vec<LogEvent>,
    ) -> bool {
        let owns = |sealing: &Sealing| match sealing {
            Sealing::Trim(other) => *other == token,
            Sealing::Indexes(other) | Sealing::Times(other) => *other == Some(token),
            Sealing::No | Sealing::Settle => false,
        };
        let Some(segment) = self
            .segments
            .iter_mut()
            .find(|segment| owns(&segment.sealing))
        else {
            return false;
        };
        match (result, &segment.sealing) {
            // Nothing was replaced: the file is tried again when there may be space.
            (Err(DiskError::NoSpace(_)), Sealing::Indexes(_)) => {
                segment.sealing = Sealing::Indexes(None);
            }
            (Err(DiskError::NoSpace(_)), Sealing::Times(_)) => {
                segment.sealing = Sealing::Times(None);
            }
            (Err(error), _) => {
                let error = error.clone();
                self.fail_disk(error, out, events);
                return true;
            }
            (Ok(_), Sealing::Trim(_)) => {
                segment.writer = None;
                if let Some(indexes) = &mut segment.indexes {
                    indexes.seal();
                    segment.max_timestamp = Some(indexes.max_timestamp());
                }
                segment.sealing = Sealing::Indexes(None);
            }
            (Ok(_), Sealing::Indexes(_)) => segment.sealing = Sealing::Times(None),
            (Ok(_), _) => {
                segment.sealing = Sealing::No;
                segment.final_on_disk = true;
                let base = segment.base;
                self.use_clock += 1;
                segment.used = self.use_clock;
                events.push(LogEvent::Sealed { base });
            }
        }
        // A failure for want of space waits for the next tick.
        if result.is_ok() {
            self.write_indexes(out);
            self.trim_caches(out);
        }
        true
    }

    /// Starts the index files that are due.
    pub(super) fn write_indexes(&mut self, out: &mut DiskOut) {
        for segment in self.segments.iter_mut().skip(self.finished) {
            let Some(indexes) = &segment.indexes else {
                continue;
            };
            let (kind, bytes) = match segment.sealing {
                Sealing::Indexes(None) => (Kind::Index, indexes.encode_offsets()),
                Sealing::Times(None) => (Kind::TimeIndex, indexes.encode_times()),
                _ => continue,
            };
            let path = layout::segment_file(&self.dir, segment.base, kind, Stage::Live);
            let token = Some(out.push(DiskOp::WriteFile { path, bytes }));
            segment.sealing = match kind {
                Kind::Index => Sealing::Indexes(token),
                _ => Sealing::Times(token),
            };
        }
    }

    /// Closes the files and drops the indexes of sealed segments that were used least recently.
    pub(super) fn trim_caches(&mut self, out: &mut DiskOut) {
        let final_ones = || {
            self.segments
                .iter()
                .filter(|segment| !segment.is_unfinished())
        };
        let files = final_ones().filter(|segment| matches!(segment.handle, Handle::Open(_)));
        let indexes = final_ones().filter(|segment| segment.indexes.is_some());
        if files.count() <= SEALED_FILES_MAX && indexes.count() <= SEALED_INDEXES_MAX {
            return;
        }
        let in_use: Vec<_> = self
            .searches
            .values()
            .map(|search| search.segment)
            .collect();
        let mut order: Vec<(u64, usize)> = self
            .segments
            .iter()
            .enumerate()
            .filter(|(_, segment)| !segment.is_unfinished() && !in_use.contains(&segment.base))
            .map(|(at, segment)| (segment.used, at))
            .collect();
        order.sort_unstable_by(|a, b| b.cmp(a));
        let (mut files, mut indexes) = (0, 0);
        for (_, at) in order {
            let segment = self.segments.get_mut(at).expect("just listed");
            if let Handle::Open(file) = segment.handle {
                files += 1;
                if files > SEALED_FILES_MAX {
                    out.push(DiskOp::Close { file });
                    segment.handle = Handle::Closed;
                }
            }
            if let Some(loaded) = &segment.indexes {
                indexes += 1;
                if indexes > SEALED_INDEXES_MAX {
                    segment.max_timestamp = Some(loaded.max_timestamp());
                    segment.indexes = None;
                }
            }
        }
    }

    /// Writes the file with the leader epochs if it does not know them all.
    pub(super) fn save_epochs(&mut self, out: &mut DiskOut) {
        if self.epochs.dirty_from().is_none() || self.epochs_saving.is_some() {
            return;
        }
        let entries = self.epochs.entries().to_vec();
        let path = layout::leader_epochs(&self.dir);
        let bytes = checkpoint::encode_epochs(&entries);
        let token = out.push(DiskOp::WriteFile { path, bytes });
        self.epochs_saving = Some((token, entries));
    }

    /// The file with the leader epochs was written, or was not. Returns false if the token is not its.
    pub(super) fn on_epochs_saved(
        &mut self,
        token: Token,
        result: &DiskResult,
        out: &mut DiskOut,
        events: &mut Vec<LogEvent>,
    ) -> bool {
        let Some((_, entries)) = self.epochs_saving.take_if(|(other, _)| *other == token) else {
            return false;
        };
        match result {
            Ok(_) if entries == self.epochs.entries() => self.epochs.on_saved(),
            Ok(_) => self.save_epochs(out),
            // Not replaced; the next append or tick tries again.
            Err(DiskError::NoSpace(_)) => {}
            Err(error) => self.fail_disk(error.clone(), out, events),
        }
        true
    }

    /// Asks for a flush of everything written so far; [`Log::recovery_point`] follows.
    pub fn flush(&mut self, out: &mut DiskOut) {
        if !matches!(self.state, State::Open) {
            return;
        }
        for segment in &mut self.segments {
            if let Some(writer) = &mut segment.writer {
                writer.flush(out);
            }
        }
    }

    /// Writes what is pending, flushes, trims and writes the index files. [`LogEvent::Closed`] follows.
    pub fn close_clean(&mut self, out: &mut DiskOut) {
        match self.state {
            State::Opening(_) => self.next = Next::Close,
            State::Open => {
                self.state = State::Closing;
                let last = self.segments.last_mut().expect("an open log has segments");
                if !last.final_on_disk {
                    last.sealing = Sealing::Settle;
                }
                // There is always something to wait for, so that an untouched log closes by a completion, too.
                if let Some(writer) = last.writer.as_ref().filter(|writer| writer.is_open()) {
                    self.closing_flush = Some(out.push(DiskOp::Flush { file: writer.file }));
                }
                if self.space_low {
                    self.try_for_space(out);
                }
                self.seal_on(out);
            }
            _ => {}
        }
    }

    /// The flush that a closing begins with completed. False if the token is not its.
    pub(super) fn on_closing_flush(
        &mut self,
        token: Token,
        result: &DiskResult,
        out: &mut DiskOut,
        events: &mut Vec<LogEvent>,
    ) -> bool {
        if self
            .closing_flush
            .take_if(|other| *other == token)
            .is_none()
        {
            return false;
        }
        if let Err(error) = result {
            self.fail_disk(error.clone(), out, events);
        }
        true
    }

    /// Ends the closing once every segment is final.
    pub(super) fn close_on(&mut self, out: &mut DiskOut, events: &mut Vec<LogEvent>) {
        if !matches!(self.state, State::Closing) {
            return;
        }
        let busy = self
            .segments
            .iter()
            .any(|segment| !segment.final_on_disk || segment.sealing != Sealing::No);
        if busy || self.closing_flush.is_some() {
            return;
        }
        self.save_epochs(out);
        if self.epochs_saving.is_some() {
            return;
        }
        assert_eq!(self.promised, self.log_end, "a closed log is written");
        self.recovery_point = self.log_end;
        self.state = State::Closed;
        self.close_files(out);
        events.push(LogEvent::Closed);
    }

    fn close_files(&mut self, out: &mut DiskOut) {
        self.searches.clear();
        self.search_tokens.clear();
        for segment in &mut self.segments {
            match std::mem::replace(&mut segment.handle, Handle::Closed) {
                Handle::Open(file)
                    if segment
                        .writer
                        .as_ref()
                        .is_none_or(|writer| writer.is_open()) =>
                {
                    out.push(DiskOp::Close { file });
                }
                _ => {}
            }
            segment.writer = None;
            segment.indexes = None;
            segment.sealing = Sealing::No;
        }
    }

    /// Gives the directory its `-delete` name and removes it after the delay. [`LogEvent::Deleted`] and [`LogEvent::Removed`] follow; what
    /// was appended and not yet written is lost, as it should be. A failed log is removed at once, but a directory of another topic is set
    /// aside as a stray.
    pub fn delete(&mut self, now: Now, out: &mut DiskOut) {
        match self.state {
            State::Opening(_) => self.next = Next::Delete,
            State::Open | State::Closing | State::Closed => {
                let handles = self.segments.iter().map(|segment| segment.handle);
                let mut opening: Vec<(Token, FileId)> = handles
                    .filter_map(|handle| match handle {
                        Handle::Opening(token, file) => Some((token, file)),
                        Handle::Open(_) | Handle::Closed => None,
                    })
                    .collect();
                let writers = self.segments.iter().filter_map(|s| s.writer.as_ref());
                opening.extend(writers.filter_map(|writer| Some((writer.opening()?, writer.file))));
                let since = now.mono;
                self.state = State::Draining { opening, since };
                self.delete_on(out);
            }
            State::Failed { foreign } => {
                let path = self.dir.clone();
                let op = if foreign {
                    let to = layout::stray_dir(&path, self.topic_id);
                    DiskOp::Rename { from: path, to }
                } else {
                    // There may be no directory, if there was no space for it.
                    DiskOp::Remove { path }
                };
                self.state = State::Renaming {
                    token: out.push(op),
                    since: now.mono,
                    last: true,
                };
            }
            _ => {}
        }
    }

    /// Goes on with a deletion when nothing is in flight any more.
    pub fn delete_on(&mut self, out: &mut DiskOut) {
        if let State::Draining { since, .. } = self.state
            && !out.is_busy()
        {
            self.close_files(out);
            let from = self.dir.clone();
            let to = layout::deleted_dir(&self.dir, self.topic_id);
            self.state = State::Renaming {
                token: out.push(DiskOp::Rename { from, to }),
                since,
                last: false,
            };
        }
    }

    /// An operation of a log that is to be deleted completed: nobody wants it, but what it opened is closed.
    pub(super) fn on_drained(
        &mut self,
        token: Token,
        result: &DiskResult,
        out: &mut DiskOut,
        events: &mut Vec<LogEvent>,
    ) -> bool {
        let State::Draining { opening, .. } = &self.state else {
            return false;
        };
        let opened = opening.iter().find(|(other, _)| *other == token);
        match (result, opened) {
            (Ok(DiskOk::Opened { .. }), Some(&(_, file))) => {
                out.push(DiskOp::Close { file });
            }
            (Err(error @ DiskError::Io(_)), _) => {
                self.fail_disk(error.clone(), out, events);
                return true;
            }
            _ => {}
        }
        self.delete_on(out);
        true
    }

    /// A step of the deletion completed. Returns false if the token is none of that.
    pub(super) fn on_delete_step(
        &mut self,
        token: Token,
        result: &DiskResult,
        out: &mut DiskOut,
        events: &mut Vec<LogEvent>,
    ) -> bool {
        let renaming = match self.state {
            State::Renaming {
                token: other,
                since,
                last,
            } if other == token => Some((since, last)),
            State::Removing(other) if other == token => None,
            _ => return false,
        };
        if let Err(error) = result {
            self.fail_disk(error.clone(), out, events);
        } else if let Some((_, true)) = renaming {
            self.state = State::Removed;
            events.extend([LogEvent::Deleted, LogEvent::Removed]);
        } else if let Some((since, false)) = renaming {
            let path = layout::deleted_dir(&self.dir, self.topic_id);
            self.state = State::Deleted { path, since };
            events.push(LogEvent::Deleted);
        } else {
            self.state = State::Removed;
            events.push(LogEvent::Removed);
        }
        true
    }

    pub(super) fn remove_if_due(&mut self, now: Now, out: &mut DiskOut) {
        if let State::Deleted { path, since } = &self.state
            && now.mono.since(*since) >= self.config.file_delete_delay_ms
        {
            let path = path.clone();
            self.state = State::Removing(out.push(DiskOp::Remove { path }));
        }
    }

    pub(super) fn fail_disk(
        &mut self,
        error: DiskError,
        out: &mut DiskOut,
        events: &mut Vec<LogEvent>,
    ) {
        let dir = self.dir.clone();
        self.fail(LogError::Disk { dir, error }, out, events);
    }

    /// The end: nothing is written, promised or tried again (R12).
    pub(super) fn fail(&mut self, error: LogError, out: &mut DiskOut, events: &mut Vec<LogEvent>) {
        self.recovery_point = self.recovery_point();
        self.close_files(out);
        let foreign = matches!(error, LogError::InconsistentTopicId { .. });
        self.state = State::Failed { foreign };
        events.push(LogEvent::Failed(error));
    }
}
