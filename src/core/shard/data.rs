//! Produce, Fetch and ListOffsets on this shard's partitions, from the first check to the answer.

use bytes::Bytes;

use super::Shard;
use super::dispatch::Asked;
use super::waiting::{Awaited, Op, Open};
use crate::api::k00_produce::Produce;
use crate::api::k01_fetch::{Fetch, Look};
use crate::api::k02_list_offsets::{ListOffsets, Step};
use crate::effect::{Close, DiskResult, Effect, Note};
use crate::input::Effects;
use crate::log::{ReadId, ScanId};
use crate::partition::{AppendError, PartitionEvent};
use crate::session::ReplySlot;
use crate::types::limits::{PARKED_FETCHES_MAX, UNWRITTEN_BYTES_MAX, WORK_BYTES_PER_STEP};
use crate::types::{ErrorCode, Now, Offset, OwnerId, Token, WorkId};
use crate::wire::validate::Prepared;

impl Open {
    pub(super) fn is_produce(&self) -> bool {
        matches!(self.op, Some(Op::Produce(_)))
    }
}

impl Shard {
    /// Checks what fits this step; the rest goes on in later ones.
    pub(super) fn start_produce(
        &mut self,
        now: Now,
        slot: ReplySlot,
        produce: Produce,
        out: &mut Effects,
    ) {
        let work = self.waiting.insert(slot, Op::Produce(produce));
        self.go_on(now, work, out);
    }

    /// Goes on with work that asked for another step.
    pub(super) fn go_on(&mut self, now: Now, work: WorkId, out: &mut Effects) {
        let Some(open) = self.waiting.get_mut(work) else {
            return;
        };
        match &mut open.op {
            Some(Op::Produce(produce)) => {
                if produce.check(WORK_BYTES_PER_STEP) {
                    self.append_or_stall(now, work, out);
                } else {
                    out.push(Effect::Again { work });
                }
            }
            Some(Op::ListOffsets(..)) => self.search_offsets(work, out),
            Some(Op::Fetch(_)) | None => {}
        }
    }

    /// Appends unless too much is unwritten: then the produce waits in line, and with it its connection.
    fn append_or_stall(&mut self, now: Now, work: WorkId, out: &mut Effects) {
        if self.unwritten_bytes > UNWRITTEN_BYTES_MAX || !self.stalled.is_empty() {
            self.stalled.push_back(work);
        } else {
            self.append(now, work, out);
        }
    }

    /// Lets stalled produces in as far as there is room.
    fn unstall(&mut self, now: Now, out: &mut Effects) {
        while self.unwritten_bytes <= UNWRITTEN_BYTES_MAX {
            let Some(work) = self.stalled.pop_front() else {
                break;
            };
            self.append(now, work, out);
        }
    }

    fn append(&mut self, now: Now, work: WorkId, out: &mut Effects) {
        let Some((slot, op)) = self.waiting.take(work) else {
            return;
        };
        let Op::Produce(mut produce) = op else {
            unreachable!("only produces append")
        };
        let mut events = Vec::new();
        let waits = produce.append(|owner, prepared| {
            let mut mine = Vec::new();
            let result = self.with_tenant(owner, out, |partition, disk| {
                let Prepared { header, body, .. } = *prepared;
                partition
                    .append(now, header, body, disk, &mut mine)
                    .map(|appended| (appended, partition.high_watermark()))
                    .map_err(|error| (error, partition.log_start()))
            });
            events.extend(mine.into_iter().map(|event| (owner, event)));
            // Deleted while its records were being checked, and gone already.
            result.unwrap_or(Err((AppendError::Deleted, Offset::NONE)))
        });
        let deadline = produce.deadline;
        // acks=0 promises nothing: its client is owed no more than the order.
        let settled = produce.is_settled() || produce.is_silent();
        self.waiting.put_back(work, Op::Produce(produce));
        self.sessions.ordered(slot);
        self.touched.insert(slot.conn);
        if settled {
            self.finish_produce(work, out);
        } else {
            self.waiting.await_acks(work, &waits);
            self.waiting.set_deadline(work, deadline);
        }
        for (owner, event) in events {
            self.on_event(now, owner, event, out);
        }
    }

    fn finish_produce(&mut self, work: WorkId, out: &mut Effects) {
        let Some(Open {
            slot,
            op: Some(Op::Produce(produce)),
            ..
        }) = self.waiting.remove(work)
        else {
            return;
        };
        if !produce.is_silent() {
            self.sessions.reply(slot, produce.reply());
        } else if produce.any_failed() {
            self.sessions
                .close(slot.conn, Close::ProduceWithoutAckFailed, out);
        } else {
            self.sessions.silent(slot);
        }
        self.touched.insert(slot.conn);
    }

    pub(super) fn start_fetch(&mut self, slot: ReplySlot, fetch: Fetch) {
        let work = self.waiting.insert(slot, Op::Fetch(fetch));
        self.dirty.insert(work);
    }

    pub(super) fn start_list_offsets(&mut self, asked: Asked, list: ListOffsets) {
        let work = self
            .waiting
            .insert(asked.slot, Op::ListOffsets(asked, list));
        self.dirty.insert(work);
    }

    /// Looks at an operation again: something it waits for may be there.
    pub(super) fn look(&mut self, now: Now, work: WorkId, out: &mut Effects) {
        match self.waiting.get_mut(work).and_then(|open| open.op.as_ref()) {
            Some(Op::Fetch(_)) => self.look_at_fetch(now, work, out),
            Some(Op::ListOffsets(..)) => self.search_offsets(work, out),
            Some(Op::Produce(_)) | None => {}
        }
    }

    fn look_at_fetch(&mut self, now: Now, work: WorkId, out: &mut Effects) {
        let Some((slot, op)) = self.waiting.take(work) else {
            return;
        };
        let Op::Fetch(fetch) = &op else {
            unreachable!("looked up as a fetch")
        };
        let at_once = self.is_stopping() || self.waiting.parked.count() >= PARKED_FETCHES_MAX;
        let look = fetch.look(now, &mut self.table, at_once);
        let deadline = fetch.deadline;
        self.waiting.put_back(work, op);
        match look {
            Look::Answer(gather) => {
                self.waiting.remove(work);
                self.sessions.reply(slot, gather);
                // Sent before anything else changes: its parts name memory as it is now.
                self.sessions.send_ready(slot.conn, out);
                self.touched.insert(slot.conn);
            }
            Look::Scanning(scans) => {
                for (owner, _) in &scans {
                    self.drain(*owner, out);
                }
                let scans: Vec<_> = scans
                    .into_iter()
                    .map(|(owner, scan)| (owner, Awaited::Scan(scan)))
                    .collect();
                self.waiting.await_all(work, &scans);
            }
            Look::Park(owners) => {
                self.waiting.parked.park(work, owners);
                self.waiting.set_deadline(work, deadline);
            }
        }
    }

    fn search_offsets(&mut self, work: WorkId, out: &mut Effects) {
        let Some((_, op)) = self.waiting.take(work) else {
            return;
        };
        let Op::ListOffsets(asked, mut list) = op else {
            unreachable!("looked up as a search")
        };
        let step = list.step(&mut self.table, WORK_BYTES_PER_STEP);
        match step {
            Step::Answer(response) => {
                self.waiting.remove(work);
                self.answer(asked, &response, out);
                return;
            }
            Step::More => out.push(Effect::Again { work }),
            Step::Reading(reads) => {
                let mut awaited = Vec::with_capacity(reads.len());
                for (owner, read) in reads {
                    self.drain(owner, out);
                    awaited.push((owner, Awaited::Read(read)));
                }
                self.waiting.await_all(work, &awaited);
            }
        }
        self.waiting.put_back(work, Op::ListOffsets(asked, list));
    }

    /// Hands over what a partition asked for outside of `with_tenant`: reads, which change no count.
    pub(super) fn drain(&mut self, owner: OwnerId, out: &mut Effects) {
        if let Some(tenant) = self.table.get_mut(owner) {
            out.extend(
                tenant
                    .disk
                    .drain()
                    .map(|(token, op)| Effect::Disk { op, token }),
            );
        }
    }

    pub(super) fn on_deadline(&mut self, work: WorkId, out: &mut Effects) {
        match self.waiting.get_mut(work).and_then(|open| open.op.as_mut()) {
            Some(Op::Produce(produce)) => {
                produce.on_deadline();
                self.finish_produce(work, out);
            }
            Some(Op::Fetch(_)) => {
                self.dirty.insert(work);
            }
            Some(Op::ListOffsets(..)) | None => {}
        }
    }

    pub(super) fn on_partition_disk(
        &mut self,
        now: Now,
        token: Token,
        result: DiskResult,
        out: &mut Effects,
    ) {
        if self.table.by_token(token).is_none() {
            return;
        }
        let mut events = Vec::new();
        self.with_tenant(token.owner, out, |partition, disk| {
            partition.on_disk(now, token, result, disk, &mut events);
        });
        for event in events {
            self.on_event(now, token.owner, event, out);
        }
        self.unstall(now, out);
    }

    pub(super) fn on_event(
        &mut self,
        now: Now,
        owner: OwnerId,
        event: PartitionEvent,
        out: &mut Effects,
    ) {
        match event {
            PartitionEvent::Opened { log_end, torn, .. } => {
                self.note_torn(owner, torn, log_end, out);
                self.on_opened(now, owner, out);
            }
            PartitionEvent::HighWatermark(high_watermark) => {
                self.checkpoints.on_moved();
                self.on_high_watermark(owner, high_watermark, out);
            }
            PartitionEvent::ReadReady { scan, result } => {
                if let Err(error) = &result {
                    self.note_read_error(owner, &error.to_string(), out);
                }
                self.on_scan(owner, scan, result.is_err());
            }
            PartitionEvent::ReadDone { read, result } => {
                let batch = result.as_ref().map_err(|_| ErrorCode::KafkaStorageError);
                self.on_read(owner, read, batch);
            }
            PartitionEvent::SpaceLow => {
                self.note_space(owner, "no space left: produce is refused", out);
            }
            PartitionEvent::SpaceOk => {
                self.note_space(owner, "space is back: produce goes on", out);
            }
            PartitionEvent::Closed => self.on_partition_closed(owner, true),
            PartitionEvent::Deleted => self.on_set_aside(now, owner, out),
            PartitionEvent::Removed => self.table.vacate(owner),
            PartitionEvent::Offline(error) => {
                if error.is_disk() {
                    // The only log directory: Kafka stops, too, when its last one fails.
                    self.lose_everything(out);
                    self.halt(format!("the log directory is offline: {error}"), out);
                } else {
                    Self::note(out, Note::Error(format!("partition is offline: {error}")));
                    self.lose(owner, ErrorCode::KafkaStorageError, out);
                    self.on_opened(now, owner, out);
                    self.on_partition_closed(owner, false);
                }
            }
        }
    }

    fn on_high_watermark(&mut self, owner: OwnerId, high_watermark: Offset, out: &mut Effects) {
        while let Some(wait) = self.waiting.pop_safe(owner, high_watermark) {
            let open = self.waiting.get_mut(wait.op);
            if let Some(Op::Produce(produce)) = open.and_then(|open| open.op.as_mut())
                && produce.on_safe(wait.place)
            {
                self.finish_produce(wait.op, out);
            }
        }
        self.dirty.extend(self.waiting.parked.readers(owner));
    }

    /// A partition is gone: what waits for it is answered so.
    pub(super) fn lose(&mut self, owner: OwnerId, error: ErrorCode, out: &mut Effects) {
        for wait in self.waiting.take_acks(owner) {
            let open = self.waiting.get_mut(wait.op);
            if let Some(Op::Produce(produce)) = open.and_then(|open| open.op.as_mut())
                && produce.on_lost(wait.place, error)
            {
                self.finish_produce(wait.op, out);
            }
        }
        self.dirty.extend(self.waiting.parked.readers(owner));
        for what in self.waiting.owed_by(owner) {
            match what {
                Awaited::Scan(scan) => self.on_scan(owner, scan, true),
                Awaited::Read(read) => self.on_read(owner, read, Err(error)),
            }
        }
    }

    /// The log directory failed: every produce that waits learns it before the process ends.
    fn lose_everything(&mut self, out: &mut Effects) {
        for owner in self.table.owners() {
            self.lose(owner, ErrorCode::KafkaStorageError, out);
        }
        for conn in std::mem::take(&mut self.touched) {
            self.sessions.send_ready(conn, out);
        }
    }

    /// A partition looked for a batch: the fetches that wait for it plan again, knowing if the disk would not be read.
    fn on_scan(&mut self, owner: OwnerId, scan: ScanId, failed: bool) {
        for (work, last) in self.waiting.done(owner, Awaited::Scan(scan)) {
            if failed
                && let Some(Op::Fetch(fetch)) =
                    self.waiting.get_mut(work).and_then(|open| open.op.as_mut())
            {
                fetch.on_read_failed(owner);
            }
            if last {
                self.dirty.insert(work);
            }
        }
    }

    /// A batch for a search by time is there.
    fn on_read(&mut self, owner: OwnerId, read: ReadId, batch: Result<&Bytes, ErrorCode>) {
        for (work, last) in self.waiting.done(owner, Awaited::Read(read)) {
            if let Some(Op::ListOffsets(_, list)) =
                self.waiting.get_mut(work).and_then(|open| open.op.as_mut())
            {
                list.on_read(owner, read, batch);
            }
            if last {
                self.dirty.insert(work);
            }
        }
    }

    fn name_of(&self, owner: OwnerId) -> String {
        self.table
            .get(owner)
            .map_or_else(String::new, |p| p.name().to_string())
    }

    fn note_torn(&self, owner: OwnerId, torn: bool, log_end: Offset, out: &mut Effects) {
        if torn {
            let name = self.name_of(owner);
            let text = format!("{name}: a torn end was cut off, the log now ends at {log_end}");
            Self::note(out, Note::Warn(text));
        }
    }

    fn note_read_error(&self, owner: OwnerId, error: &str, out: &mut Effects) {
        Self::note(
            out,
            Note::Error(format!("{}: {error}", self.name_of(owner))),
        );
    }

    fn note_space(&self, owner: OwnerId, what: &str, out: &mut Effects) {
        Self::note(out, Note::Warn(format!("{}: {what}", self.name_of(owner))));
    }
}
