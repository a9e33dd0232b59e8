//! What this shard does as the owner of partitions: asks served, completions of the disk, high watermarks that move.
//!
//! Invariants:
//! 1. Appends are taken in the order they come, from whichever core: one that waits for room keeps those behind it waiting.
//! 2. An append is answered when every batch in it is safe or lost; with acks=0 at once.
//! 3. Nothing here asks another core.

use bytes::Bytes;

use super::Shard;
use super::serving::{AckWait, Appending, Awaited, Caller, Task};
use crate::ask::{Answer, AppendAsk, AppendBatch, AppendOutcome, AppendResult, Ask, Follow};
use crate::effect::{DiskResult, Effect, Note};
use crate::fetch::{Look, OffsetSearch, Portion, Step, availability, epoch_ends};
use crate::input::{CoreMsg, Effects};
use crate::log::{ReadId, ScanId};
use crate::partition::PartitionEvent;
use crate::types::limits::{PARKED_FETCHES_MAX, WORK_BYTES_PER_STEP};
use crate::types::{ErrorCode, Now, Offset, OwnerId, Token, WorkId};
use crate::wire::validate::Prepared;

/// What an append did: its outcome, and where its last record lies if that is not safe yet.
type Attempt = (AppendOutcome, Option<(OwnerId, Offset)>);

impl Shard {
    /// Takes an ask in.
    pub(super) fn serve(&mut self, now: Now, caller: Caller, ask: Ask, out: &mut Effects) {
        match ask {
            Ask::Append(ask) => {
                if self.unwritten_bytes > self.config.unwritten_bytes_max
                    || !self.serving.stalled.is_empty()
                {
                    self.serving.stalled.push_back((caller, ask));
                } else {
                    self.append(now, caller, ask, out);
                }
            }
            Ask::Fetch(ask) => {
                let task = self.new_work();
                let portion = Task::Fetch(Portion::new(*ask));
                self.serving.insert(task, caller, portion);
                self.look_at_fetch(now, task, out);
            }
            Ask::Offsets(asks) => {
                let task = self.new_work();
                let search = Task::Offsets(OffsetSearch::new(&self.table, &asks));
                self.serving.insert(task, caller, search);
                self.search_offsets(now, task, out);
            }
            Ask::EpochEnds(asks) => {
                let ends = epoch_ends(&self.table, &asks);
                self.reply_to(now, caller, Answer::EpochEnds(ends), out);
            }
            Ask::Groups(ask) => self.serve_groups(now, caller, ask, out),
        }
    }

    /// Answers an ask.
    pub(super) fn reply_to(&mut self, now: Now, caller: Caller, answer: Answer, out: &mut Effects) {
        let Caller { core, id } = caller;
        if core == self.config.core {
            self.on_answer(now, core, id, answer, out);
        } else {
            let msg = CoreMsg::Answer { id, answer };
            out.push(Effect::Mesh { core, msg });
        }
    }

    /// More is said about a fetch.
    pub(super) fn follow(&mut self, now: Now, caller: Caller, follow: Follow, out: &mut Effects) {
        // It may have been answered meanwhile.
        let Some(task) = self.serving.find(caller) else {
            return;
        };
        if let Some(Task::Fetch(portion)) = self.serving.get_mut(task).map(|s| &mut s.task) {
            portion.follow(follow);
            self.look_at_fetch(now, task, out);
        }
    }

    /// Lets stalled appends in as far as there is room.
    fn unstall(&mut self, now: Now, out: &mut Effects) {
        while self.unwritten_bytes <= self.config.unwritten_bytes_max {
            let Some((caller, ask)) = self.serving.stalled.pop_front() else {
                break;
            };
            self.append(now, caller, ask, out);
        }
    }

    fn append(&mut self, now: Now, caller: Caller, ask: AppendAsk, out: &mut Effects) {
        let task = self.new_work();
        let mut outcomes = Vec::with_capacity(ask.batches.len());
        let mut waits = Vec::new();
        let mut events = Vec::new();
        for (at, batch) in ask.batches.into_iter().enumerate() {
            let (outcome, wait) = self.append_one(now, batch, &mut events, out);
            outcomes.push(outcome);
            if ask.wait
                && let Some((owner, last)) = wait
            {
                waits.push((owner, AckWait { last, task, at }));
            }
        }
        let waiting = waits.len();
        if waiting == 0 {
            self.reply_to(now, caller, Answer::Appended(outcomes), out);
        } else {
            let appending = Appending { outcomes, waiting };
            self.serving.insert(task, caller, Task::Append(appending));
            for (owner, wait) in waits {
                self.serving.await_ack(owner, wait);
            }
        }
        for (owner, event) in events {
            self.on_event(now, owner, event, out);
        }
    }

    fn append_one(
        &mut self,
        now: Now,
        batch: AppendBatch,
        events: &mut Vec<(OwnerId, PartitionEvent)>,
        out: &mut Effects,
    ) -> Attempt {
        let outcome = AppendOutcome {
            place: batch.place,
            log_start: Offset::NONE,
            result: AppendResult::Nothing,
        };
        let unknown = ErrorCode::UnknownTopicOrPartition;
        let refuse = |error| {
            let result = AppendResult::Lost(error);
            (AppendOutcome { result, ..outcome }, None)
        };
        let Some(owner) = self.table.find(batch.topic, batch.partition) else {
            return refuse(unknown);
        };
        if let Some(error) = self.table.get(owner).and_then(availability) {
            return refuse(error);
        }
        let mut mine = Vec::new();
        let appended = self.with_tenant(owner, out, |partition, disk| {
            let result = batch.batch.map(|prepared| {
                let Prepared { header, body, .. } = *prepared;
                partition.append(now, header, body, disk, &mut mine)
            });
            (result, partition.high_watermark(), partition.log_start())
        });
        events.extend(mine.into_iter().map(|event| (owner, event)));
        let Some((result, high_watermark, log_start)) = appended else {
            return refuse(unknown);
        };
        let (result, wait) = match result {
            None => (AppendResult::Nothing, None),
            Some(Err(error)) => (AppendResult::Refused(error), None),
            Some(Ok(appended)) => {
                let last = appended.last_offset;
                let unsafe_yet = last >= high_watermark;
                let wait = unsafe_yet.then_some((owner, last));
                (AppendResult::Appended(appended), wait)
            }
        };
        let outcome = AppendOutcome {
            log_start,
            result,
            ..outcome
        };
        (outcome, wait)
    }

    /// Looks at a task again: something it waits for may be there.
    pub(super) fn look(&mut self, now: Now, task: WorkId, out: &mut Effects) {
        match self.serving.get_mut(task).map(|served| &served.task) {
            Some(Task::Fetch(_)) => self.look_at_fetch(now, task, out),
            Some(Task::Offsets(_)) => self.search_offsets(now, task, out),
            Some(Task::Append(_)) | None => {}
        }
    }

    fn look_at_fetch(&mut self, now: Now, task: WorkId, out: &mut Effects) {
        if self.serving.is_waiting(task) {
            return;
        }
        let at_once = self.is_stopping() || self.serving.parked.count() >= PARKED_FETCHES_MAX;
        let Some(served) = self.serving.get_mut(task) else {
            return;
        };
        let caller = served.caller;
        let Task::Fetch(portion) = &mut served.task else {
            unreachable!("looked up as a fetch")
        };
        let look = portion.look(now, &mut self.table, at_once);
        let deadline = portion.deadline();
        match look {
            Look::Answer(fetched) => {
                self.serving.remove(task);
                self.reply_to(now, caller, Answer::Fetched(fetched), out);
            }
            Look::Ready { bytes, urgent } => {
                self.serving.parked.unpark(task);
                self.announce(now, caller, (bytes, urgent), out);
            }
            Look::Scanning(scans) => {
                for (owner, _) in &scans {
                    self.drain(*owner, out);
                }
                let scans: Vec<_> = scans
                    .into_iter()
                    .map(|(owner, scan)| (owner, Awaited::Scan(scan)))
                    .collect();
                self.serving.await_all(task, &scans);
            }
            Look::Park(owners) => {
                self.serving.parked.park(task, owners);
                if let Some(deadline) = deadline {
                    self.serving.set_deadline(task, deadline);
                }
            }
            Look::Idle => {}
        }
    }

    fn announce(&mut self, now: Now, caller: Caller, what: (u64, bool), out: &mut Effects) {
        let Caller { core, id } = caller;
        if core == self.config.core {
            self.on_ready(now, core, id, what, out);
        } else {
            let (bytes, urgent) = what;
            let msg = CoreMsg::Ready { id, bytes, urgent };
            out.push(Effect::Mesh { core, msg });
        }
    }

    fn search_offsets(&mut self, now: Now, task: WorkId, out: &mut Effects) {
        let Some(served) = self.serving.get_mut(task) else {
            return;
        };
        let caller = served.caller;
        let Task::Offsets(search) = &mut served.task else {
            unreachable!("looked up as a search")
        };
        match search.step(&mut self.table, WORK_BYTES_PER_STEP) {
            Step::Answer(found) => {
                self.serving.remove(task);
                self.reply_to(now, caller, Answer::Offsets(found), out);
            }
            Step::More => out.push(Effect::Again { work: task }),
            Step::Reading(reads) => {
                let mut awaited = Vec::with_capacity(reads.len());
                for (owner, read) in reads {
                    self.drain(owner, out);
                    awaited.push((owner, Awaited::Read(read)));
                }
                self.serving.await_all(task, &awaited);
            }
        }
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

    /// The time of a task is up.
    pub(super) fn on_task_deadline(&mut self, task: WorkId) {
        self.dirty.insert(task);
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
                self.load_groups(now, owner, out);
            }
            PartitionEvent::HighWatermark(high_watermark) => {
                self.checkpoints.on_moved();
                self.on_high_watermark(now, owner, high_watermark, out);
            }
            PartitionEvent::ReadReady { scan, result } => {
                if let Err(error) = &result {
                    self.note_read_error(owner, &error.to_string(), out);
                }
                self.on_scan(owner, scan, result.is_err());
            }
            PartitionEvent::ReadDone { read, result } => {
                if self.on_group_read(now, owner, read, &result, out) {
                    return;
                }
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
                    self.lose_everything(now, out);
                    self.halt(format!("the log directory is offline: {error}"), out);
                } else {
                    Self::note(out, Note::Error(format!("partition is offline: {error}")));
                    self.lose(now, owner, ErrorCode::KafkaStorageError, out);
                    self.on_opened(now, owner, out);
                    self.on_partition_closed(owner, false);
                }
            }
        }
    }

    fn on_high_watermark(
        &mut self,
        now: Now,
        owner: OwnerId,
        high_watermark: Offset,
        out: &mut Effects,
    ) {
        while let Some(wait) = self.serving.pop_safe(owner, high_watermark) {
            self.settle_append(now, wait, None, out);
        }
        self.release_group_answers(now, owner, high_watermark, out);
        self.dirty.extend(self.serving.parked.readers(owner));
    }

    /// A batch is safe, or lost.
    fn settle_append(
        &mut self,
        now: Now,
        wait: AckWait,
        lost: Option<ErrorCode>,
        out: &mut Effects,
    ) {
        let Some(served) = self.serving.get_mut(wait.task) else {
            return;
        };
        let Task::Append(appending) = &mut served.task else {
            unreachable!("only appends wait for acks")
        };
        if let Some(error) = lost {
            appending.outcomes[wait.at].result = AppendResult::Lost(error);
        }
        appending.waiting -= 1;
        if appending.waiting > 0 {
            return;
        }
        if let Some(served) = self.serving.remove(wait.task)
            && let Task::Append(appending) = served.task
        {
            let answer = Answer::Appended(appending.outcomes);
            self.reply_to(now, served.caller, answer, out);
        }
    }

    /// A partition is gone: what waits for it is answered so.
    pub(super) fn lose(&mut self, now: Now, owner: OwnerId, error: ErrorCode, out: &mut Effects) {
        for wait in self.serving.take_acks(owner) {
            self.settle_append(now, wait, Some(error), out);
        }
        self.lose_groups(now, owner, out);
        self.dirty.extend(self.serving.parked.readers(owner));
        for what in self.serving.owed_by(owner) {
            match what {
                Awaited::Scan(scan) => self.on_scan(owner, scan, true),
                Awaited::Read(read) => self.on_read(owner, read, Err(error)),
            }
        }
    }

    /// The log directory failed: every produce that waits learns it before the process ends.
    fn lose_everything(&mut self, now: Now, out: &mut Effects) {
        for owner in self.table.owners() {
            self.lose(now, owner, ErrorCode::KafkaStorageError, out);
        }
        for conn in std::mem::take(&mut self.touched) {
            self.sessions.send_ready(conn, out);
        }
    }

    /// A partition looked for a batch: the fetches that wait for it plan again, knowing if the disk would not be read.
    fn on_scan(&mut self, owner: OwnerId, scan: ScanId, failed: bool) {
        for (task, last) in self.serving.done(owner, Awaited::Scan(scan)) {
            if failed
                && let Some(Task::Fetch(portion)) =
                    self.serving.get_mut(task).map(|served| &mut served.task)
            {
                portion.on_read_failed(owner);
            }
            if last {
                self.dirty.insert(task);
            }
        }
    }

    /// A batch for a search by time is there.
    fn on_read(&mut self, owner: OwnerId, read: ReadId, batch: Result<&Bytes, ErrorCode>) {
        for (task, last) in self.serving.done(owner, Awaited::Read(read)) {
            if let Some(Task::Offsets(search)) =
                self.serving.get_mut(task).map(|served| &mut served.task)
            {
                search.on_read(owner, read, batch);
            }
            if last {
                self.dirty.insert(task);
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
