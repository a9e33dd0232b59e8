//! What coordinators decide, carried out: the log first, then the state, then the answers.
//!
//! Source: `CoordinatorRuntime.CoordinatorWriteEvent`, `GroupCoordinatorService.onPartitionsDeleted`.

use std::sync::Arc;

use super::{Chore, REST, Stage, What};
use crate::group::{CallId, Decision, Record, append_error};
use crate::input::Effects;
use crate::partition::AppendError;
use crate::rule;
use crate::shard::Shard;
use crate::types::{ErrorCode, Millis, Now, OwnerId};
use crate::wire::batch::{BatchHeader, body_of};
use crate::wire::build::BatchBuilder;
use crate::wire::codec::Codec;

/// Decisions that one step carries out for one coordinator by itself.
const DECISIONS_PER_STEP: usize = 64;

impl Shard {
    /// Puts a call to its coordinator.
    pub(super) fn ask_coordinator(&mut self, now: Now, call: CallId, out: &mut Effects) {
        let Some(waiting) = self.groups.calls.get(&call) else {
            return;
        };
        let hosted = waiting
            .owner
            .and_then(|owner| self.groups.hosted.get(&owner));
        let refusal = match hosted.map(|hosted| &hosted.stage) {
            _ if self.is_stopping() => ErrorCode::NotCoordinator,
            Some(Stage::Active) => ErrorCode::None,
            Some(Stage::Loading(_)) => ErrorCode::CoordinatorLoadInProgress,
            Some(Stage::Failed) | None => ErrorCode::NotCoordinator,
        };
        let (Some(hosted), Some(owner), ErrorCode::None) = (hosted, waiting.owner, refusal) else {
            return self.refuse_call(now, call, refusal, out);
        };
        let decision = hosted.coordinator.handle(now, call, &waiting.request);
        if let Err(error) = self.carry_out(now, owner, decision, out) {
            self.refuse_call(now, call, error, out);
        }
    }

    /// Appends, replays, applies and answers. If the log refuses nothing has happened, and the error is for the client.
    fn carry_out(
        &mut self,
        now: Now,
        owner: OwnerId,
        decision: Decision,
        out: &mut Effects,
    ) -> Result<(), ErrorCode> {
        let mut events = Vec::new();
        if !decision.records.is_empty() {
            let (header, body) = self.batch_of(now, &decision.records);
            let appended = self.with_tenant(owner, out, |partition, disk| {
                partition.append(now, header, body, disk, &mut events)
            });
            let appended = appended.unwrap_or(Err(AppendError::Deleted));
            appended.map_err(|error| append_error(code_of(error)))?;
        }
        let (Some(hosted), Some(partition)) =
            (self.groups.hosted.get_mut(&owner), self.table.get(owner))
        else {
            return Err(ErrorCode::NotCoordinator);
        };
        self.groups.due = None;
        for record in &decision.records {
            hosted
                .coordinator
                .replay(record)
                .expect("a coordinator reads what it wrote");
        }
        for event in &decision.events {
            hosted.coordinator.apply(event);
        }
        let until = partition.log_end();
        let is_safe = partition.high_watermark() >= until;
        let mut ready = Vec::new();
        for answer in decision.answers {
            if answer.waits && !rule!(COMMIT_BEFORE_DURABLE, is_safe) {
                hosted.held.push_back((until, answer.call, answer.reply));
            } else {
                ready.push((answer.call, answer.reply));
            }
        }
        for (call, reply) in ready {
            self.settle_call(now, call, reply, out);
        }
        for event in events {
            self.on_event(now, owner, event, out);
        }
        Ok(())
    }

    /// One batch, as Kafka's coordinator writes it.
    fn batch_of(&self, now: Now, records: &[Record]) -> (BatchHeader, bytes::Bytes) {
        let number = self.config.broker.settings().groups.topic_codec;
        let number = u16::try_from(number).unwrap_or_default();
        let mut builder = BatchBuilder::new();
        builder.codec(Codec::from_number(number).unwrap_or_default());
        for record in records {
            builder.push(now.wall.0, Some(&record.key), record.value.as_deref(), &[]);
        }
        let batch = builder.build();
        let header = BatchHeader::decode(&batch).expect("a built batch has a header");
        (header, body_of(&batch))
    }

    /// Time has passed: sessions and rebalances end, old offsets go.
    pub(in crate::shard) fn tick_groups(&mut self, now: Now, out: &mut Effects) {
        if self.is_stopping() {
            return;
        }
        self.groups.due = None;
        if self.groups.expire_at.is_some_and(|at| at <= now.mono) {
            let every = self
                .config
                .broker
                .settings()
                .groups
                .offsets_retention_check_ms;
            let every = Millis(u64::try_from(every).unwrap_or(u64::MAX));
            self.groups.expire_at = Some(now.mono.after(every));
            for owner in self.groups.active() {
                self.add_chore(owner, What::Expire);
            }
        }
        for owner in self.groups.active() {
            self.tick_coordinator(now, owner, out);
        }
        for owner in std::mem::take(&mut self.groups.busy) {
            self.do_chores(now, owner, out);
        }
    }

    fn tick_coordinator(&mut self, now: Now, owner: OwnerId, out: &mut Effects) {
        for _ in 0..DECISIONS_PER_STEP {
            let Some(hosted) = self.groups.hosted.get_mut(&owner) else {
                return;
            };
            if hosted.rests_until.is_some_and(|until| now.mono < until) {
                return;
            }
            hosted.rests_until = None;
            let decision = hosted.coordinator.tick(now);
            if decision.is_empty() {
                return;
            }
            if self.carry_out(now, owner, decision, out).is_err() {
                self.rest(now, owner);
                return;
            }
        }
    }

    /// Topics were deleted: what groups have stored of them goes.
    pub(in crate::shard) fn forget_topics(&mut self, topics: Vec<Arc<str>>) {
        if topics.is_empty() {
            return;
        }
        let topics: Arc<[Arc<str>]> = topics.into();
        let owners: Vec<OwnerId> = self.groups.hosted.keys().copied().collect();
        for owner in owners {
            self.add_chore(owner, What::Forget(topics.clone()));
        }
    }

    fn add_chore(&mut self, owner: OwnerId, what: What) {
        if let Some(hosted) = self.groups.hosted.get_mut(&owner) {
            hosted.chores.push_back(Chore { what, from: None });
            if matches!(hosted.stage, Stage::Active) {
                self.groups.busy.insert(owner);
            }
        }
    }

    /// Goes on with the first chore of a coordinator, one decision at a time.
    fn do_chores(&mut self, now: Now, owner: OwnerId, out: &mut Effects) {
        let Some(hosted) = self.groups.hosted.get(&owner) else {
            return;
        };
        let Some(Chore { what, from }) = hosted.chores.front() else {
            return;
        };
        let coordinator = &hosted.coordinator;
        let decision = match what {
            What::Forget(topics) => coordinator.forget(topics, from.as_ref()),
            What::Expire => coordinator.expire(now, from.as_ref()),
        };
        let more = decision.more.clone();
        // What the log does not take now is left: an offset of a topic that is gone, or one that the next look finds again.
        let refused = self.carry_out(now, owner, decision, out).is_err();
        let Some(hosted) = self.groups.hosted.get_mut(&owner) else {
            return;
        };
        match hosted.chores.front_mut() {
            Some(chore) if more.is_some() && !refused => chore.from = more,
            _ => drop(hosted.chores.pop_front()),
        }
        if !hosted.chores.is_empty() {
            self.groups.busy.insert(owner);
        }
    }

    fn rest(&mut self, now: Now, owner: OwnerId) {
        if let Some(hosted) = self.groups.hosted.get_mut(&owner) {
            hosted.rests_until = Some(now.mono.after(REST));
            self.groups.due = None;
        }
    }
}

/// What Kafka's log would have said.
fn code_of(error: AppendError) -> ErrorCode {
    match error {
        AppendError::Offline | AppendError::NoSpace => ErrorCode::KafkaStorageError,
        AppendError::Deleted => ErrorCode::UnknownTopicOrPartition,
        AppendError::LargerThanSegment => ErrorCode::RecordListTooLarge,
        AppendError::OutOfOrderSequence { .. } | AppendError::OldProducerEpoch { .. } => {
            unreachable!("a coordinator's batch has no producer")
        }
    }
}
