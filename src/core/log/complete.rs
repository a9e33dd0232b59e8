//! Completions and the passing of time.

use super::segment::{Handle, Segment};
use super::writer::{Writer, WriterOp};
use super::{Log, LogError, LogEvent, Next, State};
use crate::effect::{DiskError, DiskOk, DiskOp, DiskOut, DiskResult, RelPath};
use crate::log::layout::{self, Kind, Stage};
use crate::rule;
use crate::types::{Monotonic, Now, Offset, Token};

impl Log {
    /// Takes a completion of one of this log's operations. False if the token is none of its (any more).
    pub fn on_disk(
        &mut self,
        now: Now,
        token: Token,
        result: DiskResult,
        out: &mut DiskOut,
        events: &mut Vec<LogEvent>,
    ) -> bool {
        out.completed();
        if let State::Opening(recovery) = &self.state {
            let owned = recovery.owns(token);
            if owned {
                self.on_recovery(now, result, out, events);
            }
            return owned;
        }
        if self.on_delete_step(token, &result, out, events)
            || self.on_drained(token, &result, out, events)
        {
            return true;
        }
        if !matches!(self.state, State::Open | State::Closing) {
            return false;
        }
        if let Some(id) = self.search_tokens.remove(&token) {
            self.on_search(id, result, out, events);
            self.trim_caches(out);
            return true;
        }
        let owned = self.on_writer(token, &result, out, events)
            || self.on_closing_flush(token, &result, out, events)
            || self.on_seal_step(token, &result, out, events)
            || self.on_epochs_saved(token, &result, out, events)
            || self.on_segment_at_hand(token, result, out, events);
        if owned {
            self.progress(now.mono, out, events);
        }
        owned
    }

    fn on_recovery(
        &mut self,
        now: Now,
        result: DiskResult,
        out: &mut DiskOut,
        events: &mut Vec<LogEvent>,
    ) {
        let State::Opening(recovery) = &mut self.state else {
            return;
        };
        match recovery.on_disk(now, result, out) {
            Ok(None) => {}
            Err(LogError::Disk {
                dir,
                error: DiskError::NoSpace(_),
            }) => self.fail(LogError::NoSpace { dir }, out, events),
            Err(error) => self.fail(error, out, events),
            Ok(Some(mut recovered)) => {
                recovered.opened.took = now.mono.since(self.opened_at);
                self.segments = recovered.segments;
                self.epochs = recovered.epochs;
                self.log_start = recovered.opened.log_start;
                self.log_end = recovered.opened.log_end;
                self.promised = self.log_end;
                self.state = State::Open;
                assert!(
                    self.log_start <= self.log_end,
                    "the log starts before it ends"
                );
                events.push(LogEvent::Opened(recovered.opened));
                match self.next {
                    Next::Serve => {}
                    Next::Close => self.close_clean(out),
                    Next::Delete => self.delete(now, out),
                }
            }
        }
    }

    fn on_writer(
        &mut self,
        token: Token,
        result: &DiskResult,
        out: &mut DiskOut,
        events: &mut Vec<LogEvent>,
    ) -> bool {
        let owner = self.segments.iter_mut().rev().find_map(|segment| {
            let op = segment.writer.as_ref()?.owns(token)?;
            Some((segment, op))
        });
        let Some((segment, op)) = owner else {
            return false;
        };
        let base = segment.base;
        let serving = matches!(self.state, State::Open);
        let writer = segment.writer.as_mut().expect("it owns the token");
        match (op, result) {
            (WriterOp::Open, Ok(DiskOk::Opened { bytes: 0 })) => writer.on_opened(out),
            (WriterOp::Open, Ok(_)) => {
                let file = layout::segment_file(&self.dir, base, Kind::Log, Stage::Live);
                let what = "a new segment is not empty";
                self.fail(LogError::Corrupt { file, what }, out, events);
                return true;
            }
            (WriterOp::Reserve, Ok(_)) => writer.on_reserved(true),
            (WriterOp::Write, Ok(_)) => writer.on_written(),
            (WriterOp::Flush, Ok(_)) => writer.on_flushed(),
            // Nothing is lost yet: what was appended waits in memory, the next tick asks again.
            (WriterOp::Reserve, Err(DiskError::NoSpace(_)))
                if serving || writer.unwritten_bytes() == 0 =>
            {
                writer.on_reserved(false);
                self.set_space(false, events);
                return true;
            }
            (WriterOp::Open, Err(DiskError::NoSpace(_))) if serving => {
                writer.on_open_again(None);
                self.set_space(false, events);
                return true;
            }
            // R12: a failed write or flush is never taken for done and never tried again.
            (WriterOp::Write, Err(_)) if !rule!(IGNORE_FAILED_FLUSH) => writer.on_written(),
            (WriterOp::Flush, Err(_)) if !rule!(IGNORE_FAILED_FLUSH) => writer.on_flushed(),
            (_, Err(error)) => {
                self.fail_disk(error.clone(), out, events);
                return true;
            }
        }
        if matches!(op, WriterOp::Reserve | WriterOp::Open) {
            self.set_space(true, events);
        }
        if op == WriterOp::Open {
            // A search by time may have come to the segment before its file was there.
            self.go_on_in(base, None, out, events);
        }
        debug_assert!(base <= self.log_end, "a segment begins within the log");
        true
    }

    fn set_space(&mut self, ok: bool, events: &mut Vec<LogEvent>) {
        if self.space_low == ok {
            self.space_low = !ok;
            events.push(if ok {
                LogEvent::SpaceOk
            } else {
                LogEvent::SpaceLow
            });
        }
    }

    /// Starts whatever may start now and reports how far the promise reaches.
    pub(super) fn progress(
        &mut self,
        now: Monotonic,
        out: &mut DiskOut,
        events: &mut Vec<LogEvent>,
    ) {
        if !matches!(self.state, State::Open | State::Closing) {
            return;
        }
        let mut promised = self.promised;
        let mut unflushed = false;
        let mut reaches = true;
        let mut segments = self
            .segments
            .get_mut(self.finished..)
            .unwrap_or_default()
            .iter_mut()
            .peekable();
        while let Some(segment) = segments.next() {
            let next = segments.peek().map(|next| next.base);
            let Some(writer) = &mut segment.writer else {
                // Without a writer all of it is safe.
                if reaches {
                    promised = promised.max(next.unwrap_or(self.log_end));
                }
                continue;
            };
            if !self.space_low {
                // Another file's success brought the space back: this one's creation may still be wanted.
                create_again(&self.dir, segment.base, writer, out);
            }
            writer.pump(&self.config, !self.space_low, out);
            if writer.promise(&self.config) {
                writer.flush(out);
            }
            writer.release(self.hot_bytes_max, false, out);
            unflushed |= !writer.is_durable();
            // What lies in a later file counts only when all before it does (invariant 4).
            if reaches {
                promised = promised.max(writer.promised().offset);
                reaches = next.is_some_and(|next| next <= promised);
            }
        }
        self.unflushed_since = match (unflushed, self.unflushed_since) {
            (true, None) => Some(now),
            (true, since) => since,
            (false, _) => None,
        };
        if promised > self.promised {
            assert!(
                promised <= self.log_end,
                "only what was appended is promised"
            );
            self.promised = promised;
            events.push(LogEvent::Written { end: promised });
        }
        self.seal_on(out);
        let unfinished = self.segments.iter().skip(self.finished);
        self.finished += unfinished
            .take_while(|segment| !segment.is_unfinished())
            .count();
        self.close_on(out, events);
    }

    /// Passing of time: `flush.ms`, the removal of a deleted directory, another try for space, release of idle memory.
    /// Whatever comes of it is reported with a completion.
    pub fn on_tick(&mut self, now: Now, out: &mut DiskOut) {
        self.remove_if_due(now, out);
        if !matches!(self.state, State::Open | State::Closing) {
            return;
        }
        if self.space_low {
            self.try_for_space(out);
        }
        self.write_indexes(out);
        let due = self
            .unflushed_since
            .is_some_and(|since| now.mono.since(since) >= self.config.flush_ms);
        if due {
            self.unflushed_since = None;
            self.flush(out);
        }
        for segment in self.segments.iter_mut().skip(self.finished) {
            if let Some(writer) = &mut segment.writer {
                writer.release_if_idle(out);
            }
        }
        // An epoch without a record waits for its first one: a start alone writes nothing.
        let in_use = self
            .epochs
            .dirty_from()
            .is_some_and(|from| from < self.log_end);
        if in_use || matches!(self.state, State::Closing) {
            self.save_epochs(out);
        }
    }

    /// Asks again for what was refused for want of space.
    pub(super) fn try_for_space(&mut self, out: &mut DiskOut) {
        for segment in self.segments.iter_mut().skip(self.finished) {
            let Some(writer) = &mut segment.writer else {
                continue;
            };
            create_again(&self.dir, segment.base, writer, out);
            writer.pump(&self.config, true, out);
        }
        let active = self.segments.last_mut().and_then(|s| s.writer.as_mut());
        if let (Some(writer), State::Open) = (active, &self.state) {
            writer.probe_space(&self.config, out);
        }
    }

    /// True if a segment's file may be read.
    pub(super) fn is_readable(segment: &Segment) -> bool {
        matches!(segment.handle, Handle::Open(_))
            && segment
                .writer
                .as_ref()
                .is_none_or(|writer| writer.is_open())
    }
}

/// Asks once more for a segment's file whose creation found no space.
fn create_again(dir: &RelPath, base: Offset, writer: &mut Writer, out: &mut DiskOut) {
    if writer.wants_open() {
        let path = layout::segment_file(dir, base, Kind::Log, Stage::Live);
        let (file, create) = (writer.file, true);
        writer.on_open_again(Some(out.push(DiskOp::Open { path, file, create })));
    }
}
