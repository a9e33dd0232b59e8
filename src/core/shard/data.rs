//! Produce, Fetch, ListOffsets and OffsetForLeaderEpoch of this shard's clients: taken apart into asks, put together from answers.
//!
//! Invariants:
//! 1. Everything is asked before any answer is looked at, the own core last: what it answers comes at once.
//! 2. A produce's order is fixed when its owners were asked, since messages between two cores keep their order and an owner
//!    takes appends in the order they come; then the connection may go on.
//! 3. An answer that names memory of this core is sent in the step, and before anything else, that planned it.

use std::collections::BTreeMap;

use super::Shard;
use super::calls::{Call, Op};
use super::dispatch::Asked;
use super::serving::Caller;
use crate::api::k00_produce::Produce;
use crate::api::k01_fetch::{Fetch, Next};
use crate::api::k02_list_offsets::ListOffsets;
use crate::api::k23_offset_for_leader_epoch::EpochEnds;
use crate::ask::{Answer, Ask, EpochAsk, FetchAsk, Follow, OffsetAsk};
use crate::effect::{Close, Effect};
use crate::input::{CoreMsg, Effects};
use crate::session::ReplySlot;
use crate::types::limits::WORK_BYTES_PER_STEP;
use crate::types::{CoreId, Now, WorkId};

impl Shard {
    /// A name for a new call or task; unique on this core.
    pub(super) fn new_work(&mut self) -> WorkId {
        self.works += 1;
        WorkId(self.works)
    }

    /// Sends asks, the own core's last.
    fn ask_all(
        &mut self,
        now: Now,
        id: WorkId,
        mut asks: BTreeMap<CoreId, Ask>,
        out: &mut Effects,
    ) {
        let own = asks.remove(&self.config.core);
        for (core, ask) in asks {
            self.calls.on_ask(core);
            let msg = CoreMsg::Ask { id, ask };
            out.push(Effect::Mesh { core, msg });
        }
        if let Some(ask) = own {
            let core = self.config.core;
            self.serve(now, Caller { core, id }, ask, out);
        }
    }

    /// An owner has answered, this core itself or another.
    pub(super) fn on_answer(
        &mut self,
        now: Now,
        from: CoreId,
        id: WorkId,
        answer: Answer,
        out: &mut Effects,
    ) {
        if from != self.config.core {
            self.calls.on_answer(from);
            self.touched.append(&mut self.crowded);
        }
        // The client may be gone, or was answered without this.
        let Some(call) = self.calls.get_mut(id) else {
            return;
        };
        match (&mut call.op, answer) {
            (Op::Produce(produce), Answer::Appended(outcomes)) => {
                if produce.on_answer(outcomes) {
                    self.finish_produce(id, out);
                }
            }
            (Op::Fetch(fetch), Answer::Fetched(fetched)) => {
                fetch.on_answer(from, fetched);
                self.advance_fetch(now, id, out);
            }
            (Op::ListOffsets(_, list), Answer::Offsets(found)) => {
                list.on_answer(found);
                self.finish_if_last(id, out);
            }
            (Op::EpochEnds(_, ends), Answer::EpochEnds(found)) => {
                ends.on_answer(found);
                self.finish_if_last(id, out);
            }
            (Op::Groups(_, call), Answer::Groups(replies)) => {
                call.on_answer(from, replies);
                self.finish_if_last(id, out);
            }
            (op, answer) => unreachable!("{op:?} is not answered by {answer:?}"),
        }
    }

    /// Checks what fits this step; the rest goes on in later ones.
    pub(super) fn start_produce(
        &mut self,
        now: Now,
        slot: ReplySlot,
        produce: Produce,
        out: &mut Effects,
    ) {
        let id = self.new_work();
        self.calls.insert(id, slot, Op::Produce(produce), 0);
        self.check_produce(now, id, out);
    }

    /// Goes on with work that asked for another step.
    pub(super) fn go_on(&mut self, now: Now, work: WorkId, out: &mut Effects) {
        if self.calls.get_mut(work).is_some() {
            self.check_produce(now, work, out);
        } else {
            self.dirty.insert(work);
        }
    }

    /// Checks a share of the records; when all are checked the owners are asked to append them.
    fn check_produce(&mut self, now: Now, id: WorkId, out: &mut Effects) {
        let Some(call) = self.calls.get_mut(id) else {
            return;
        };
        let slot = call.slot;
        let Op::Produce(produce) = &mut call.op else {
            return;
        };
        if !produce.check(WORK_BYTES_PER_STEP) {
            out.push(Effect::Again { work: id });
            return;
        }
        let asks = produce.asks();
        let deadline = produce.deadline;
        let settled = produce.is_settled();
        self.sessions.ordered(slot);
        self.touched.insert(slot.conn);
        if settled {
            self.finish_produce(id, out);
            return;
        }
        self.calls.set_deadline(id, deadline);
        let asks = asks.into_iter();
        let asks = asks.map(|(core, ask)| (core, Ask::Append(ask))).collect();
        self.ask_all(now, id, asks, out);
    }

    fn finish_produce(&mut self, id: WorkId, out: &mut Effects) {
        let Some(Call {
            slot,
            op: Op::Produce(produce),
            ..
        }) = self.calls.remove(id)
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

    pub(super) fn start_fetch(
        &mut self,
        now: Now,
        slot: ReplySlot,
        (fetch, asks): (Fetch, BTreeMap<CoreId, FetchAsk>),
        out: &mut Effects,
    ) {
        let id = self.new_work();
        let deadline = fetch.has_deadline().then_some(fetch.deadline);
        self.calls.insert(id, slot, Op::Fetch(fetch), 0);
        if let Some(deadline) = deadline {
            self.calls.set_deadline(id, deadline);
        }
        let asks = asks.into_iter();
        let asks = asks.map(|(core, ask)| (core, Ask::Fetch(Box::new(ask))));
        self.ask_all(now, id, asks.collect(), out);
        self.advance_fetch(now, id, out);
    }

    /// Tells owners what they wait for, or answers the client.
    pub(super) fn advance_fetch(&mut self, now: Now, id: WorkId, out: &mut Effects) {
        let Some(Call {
            op: Op::Fetch(fetch),
            ..
        }) = self.calls.get_mut(id)
        else {
            return;
        };
        match fetch.advance() {
            Next::Tell(told) => {
                for (core, follow) in told {
                    self.tell(now, core, id, follow, out);
                }
            }
            Next::Reply => {
                let Some(Call {
                    slot,
                    op: Op::Fetch(fetch),
                    ..
                }) = self.calls.remove(id)
                else {
                    return;
                };
                self.sessions.reply(slot, fetch.reply());
                // Sent before anything else changes: its parts name memory as it is now.
                self.sessions.send_ready(slot.conn, out);
                self.touched.insert(slot.conn);
            }
        }
    }

    fn tell(&mut self, now: Now, core: CoreId, id: WorkId, follow: Follow, out: &mut Effects) {
        if core == self.config.core {
            self.follow(now, Caller { core, id }, follow, out);
        } else {
            let msg = CoreMsg::Follow { id, follow };
            out.push(Effect::Mesh { core, msg });
        }
    }

    /// An owner announces what it has for a fetch.
    pub(super) fn on_ready(
        &mut self,
        now: Now,
        from: CoreId,
        id: WorkId,
        (bytes, urgent): (u64, bool),
        out: &mut Effects,
    ) {
        if let Some(Call {
            op: Op::Fetch(fetch),
            ..
        }) = self.calls.get_mut(id)
        {
            fetch.on_ready(from, bytes, urgent);
            self.advance_fetch(now, id, out);
        }
    }

    pub(super) fn start_list_offsets(
        &mut self,
        now: Now,
        asked: Asked,
        (list, asks): (ListOffsets, BTreeMap<CoreId, Vec<OffsetAsk>>),
        out: &mut Effects,
    ) {
        let op = Op::ListOffsets(asked, list);
        let asks = asks.into_iter();
        let asks = asks.map(|(core, ask)| (core, Ask::Offsets(ask))).collect();
        self.start_simple(now, asked, op, asks, out);
    }

    pub(super) fn start_epoch_ends(
        &mut self,
        now: Now,
        asked: Asked,
        (ends, asks): (EpochEnds, BTreeMap<CoreId, Vec<EpochAsk>>),
        out: &mut Effects,
    ) {
        let op = Op::EpochEnds(asked, ends);
        let asks = asks.into_iter();
        let asks = asks.map(|(core, ask)| (core, Ask::EpochEnds(ask)));
        self.start_simple(now, asked, op, asks.collect(), out);
    }

    /// Starts a call that is answered when every owner has answered.
    pub(super) fn start_simple(
        &mut self,
        now: Now,
        asked: Asked,
        op: Op,
        asks: BTreeMap<CoreId, Ask>,
        out: &mut Effects,
    ) {
        let id = self.new_work();
        // One more than there are owners: a request without any is answered, too.
        self.calls.insert(id, asked.slot, op, asks.len() + 1);
        self.ask_all(now, id, asks, out);
        self.finish_if_last(id, out);
    }

    fn finish_if_last(&mut self, id: WorkId, out: &mut Effects) {
        let Some(call) = self.calls.get_mut(id) else {
            return;
        };
        call.left -= 1;
        if call.left > 0 {
            return;
        }
        match self.calls.remove(id).map(|call| call.op) {
            Some(Op::ListOffsets(asked, list)) => self.answer(asked, &list.response(), out),
            Some(Op::EpochEnds(asked, ends)) => self.answer(asked, &ends.response(), out),
            Some(Op::Groups(asked, call)) => self.finish_groups(asked, call, out),
            Some(Op::Produce(_) | Op::Fetch(_)) | None => {
                unreachable!("a call that counts its owners")
            }
        }
    }

    /// The time of a call is up.
    pub(super) fn on_call_deadline(&mut self, now: Now, id: WorkId, out: &mut Effects) {
        match self.calls.get_mut(id).map(|call| &mut call.op) {
            Some(Op::Produce(produce)) => {
                produce.on_deadline();
                self.finish_produce(id, out);
            }
            Some(Op::Fetch(fetch)) => {
                fetch.take();
                self.advance_fetch(now, id, out);
            }
            Some(Op::ListOffsets(..) | Op::EpochEnds(..) | Op::Groups(..)) | None => {}
        }
    }

    /// The client of these calls is gone.
    pub(super) fn abandon(&mut self, now: Now, id: WorkId, out: &mut Effects) {
        match self.calls.get_mut(id).map(|call| &call.op) {
            // A produce goes on without its client: its records are in the log already or will be.
            Some(Op::Produce(_)) | None => {}
            Some(Op::Fetch(fetch)) => {
                let cores: Vec<CoreId> = fetch.unanswered().collect();
                self.calls.remove(id);
                for core in cores {
                    self.tell(now, core, id, Follow::Drop, out);
                }
            }
            // What a coordinator was asked it does all the same; its reply finds nobody.
            Some(Op::ListOffsets(..) | Op::EpochEnds(..) | Op::Groups(..)) => {
                self.calls.remove(id);
            }
        }
    }
}
