//! From one generation to the next.
//!
//! ```text
//!   Empty, Stable, CompletingRebalance ── a member comes, goes, changes ──► PreparingRebalance
//!   PreparingRebalance ── all have joined, or the time is up ──► CompletingRebalance, or Empty if nobody is left
//!   CompletingRebalance ── the leader's assignment is stored ──► Stable
//! ```
//!
//! The first rebalance of an empty group waits `group.initial.rebalance.delay.ms` for more members, again as often as
//! somebody new came meanwhile, but not longer than the members' rebalance timeout.
//!
//! Source: `GroupMetadataManager.prepareRebalance`, `completeClassicGroupJoin`, `tryCompleteInitialRebalanceElseSchedule`.

use std::sync::Arc;

use super::draft::Draft;
use super::live::JoinTimer;
use super::reply::SyncReply;
use super::types::GroupState;
use crate::types::{ErrorCode, Millis};

impl Draft<'_> {
    /// Something changed that asks for a new generation: one begins, or the one in preparation may be complete now.
    pub(super) fn rebalance_or_complete(&mut self) {
        if self.live.state == GroupState::PreparingRebalance {
            self.maybe_complete();
        } else {
            self.prepare_rebalance();
        }
    }

    /// A new generation begins: members are to join.
    pub(super) fn prepare_rebalance(&mut self) {
        if self.live.state == GroupState::CompletingRebalance {
            self.refuse_syncs(ErrorCode::RebalanceInProgress);
        }
        self.live.unsynced.clear();
        self.live.sync_ends = None;
        self.live.initial = self.live.state == GroupState::Empty;
        self.enter(GroupState::PreparingRebalance);
        if self.live.initial {
            let delay = self.config.initial_rebalance_delay;
            let timeout = self.live.rebalance_timeout();
            let remaining = Millis(timeout.0.saturating_sub(delay.0));
            self.live.join_timer = Some(JoinTimer {
                at: self.now.mono.after(delay),
                delay: Some((delay, remaining)),
            });
        } else if self.live.all_joined() {
            self.complete_join();
        } else {
            self.await_joins();
        }
    }

    /// Ends the preparation if there is nobody left to wait for. An initial rebalance lasts its delay.
    pub(super) fn maybe_complete(&mut self) {
        let preparing = self.live.state == GroupState::PreparingRebalance;
        if preparing && !self.live.initial && self.live.all_joined() {
            self.complete_join();
        }
    }

    fn await_joins(&mut self) {
        let timeout = self.live.rebalance_timeout();
        self.live.join_timer = Some(JoinTimer {
            at: self.now.mono.after(timeout),
            delay: None,
        });
    }

    /// The time for joining is up.
    pub(super) fn join_time_is_up(&mut self) {
        let timer = self.live.join_timer.take();
        let Some((delay, remaining)) = timer.and_then(|it| it.delay) else {
            return self.complete_join();
        };
        if !self.live.somebody_new || remaining == Millis(0) {
            return self.complete_join();
        }
        self.live.somebody_new = false;
        let next = self.config.initial_rebalance_delay.min(remaining);
        self.live.join_timer = Some(JoinTimer {
            at: self.now.mono.after(next),
            delay: Some((next, Millis(remaining.0.saturating_sub(delay.0)))),
        });
    }

    /// Ends the preparation. Who did not join is no member any more, unless it is static: such a one keeps its place
    /// until its session ends.
    pub(super) fn complete_join(&mut self) {
        self.live.join_timer = None;
        let members = self.live.members.values();
        let missing = members.filter(|it| it.joining.is_none() && !it.is_static());
        let missing: Vec<Arc<str>> = missing.map(|it| it.id.clone()).collect();
        for member_id in missing {
            self.remove(&member_id);
        }
        if !self.elect_leader() && !self.live.members.is_empty() {
            // Static members alone are left, and none of them came: their sessions decide.
            return self.await_joins();
        }
        self.live.somebody_new = false;
        self.live.unsynced.clear();
        self.live.generation = self.live.generation.checked_add(1).unwrap_or(1);
        self.live.protocol = self.live.elect_protocol();
        if self.live.members.is_empty() {
            self.enter(GroupState::Empty);
            self.store(|_| unreachable!("an empty group has no member to assign to"));
        } else {
            self.enter(GroupState::CompletingRebalance);
            self.answer_joins();
            let timeout = self.live.rebalance_timeout();
            self.live.sync_ends = Some(self.now.mono.after(timeout));
        }
    }

    /// The leader stays if it has joined, else the first that has leads. False if nobody has.
    fn elect_leader(&mut self) -> bool {
        let has_joined = |id: &Arc<str>| {
            let member = self.live.members.get(id);
            member.is_some_and(|it| it.joining.is_some())
        };
        if self.live.leader.as_ref().is_some_and(has_joined) {
            return true;
        }
        let mut members = self.live.members.values();
        let first = members.find(|it| it.joining.is_some());
        let Some(first) = first.map(|it| it.id.clone()) else {
            return false;
        };
        self.live.leader = Some(first);
        true
    }

    fn answer_joins(&mut self) {
        let member_ids: Vec<Arc<str>> = self.live.members.keys().cloned().collect();
        for member_id in member_ids {
            let reply = self.joined(&member_id);
            let now = self.now.mono;
            let Some(member) = self.live.member_mut(&member_id) else {
                continue;
            };
            member.renew(now);
            member.fresh = false;
            if let Some(call) = member.joining.take() {
                self.answer_join(call, reply);
            }
            self.live.unsynced.insert(member_id);
        }
    }

    /// Members that wait for an assignment get an error instead.
    fn refuse_syncs(&mut self, error: ErrorCode) {
        let members = self.live.members.values();
        let waiting = members.filter(|it| it.syncing.is_some());
        let waiting: Vec<Arc<str>> = waiting.map(|it| it.id.clone()).collect();
        for member_id in waiting {
            let now = self.now.mono;
            let Some(member) = self.live.member_mut(&member_id) else {
                continue;
            };
            member.renew(now);
            if let Some(call) = member.syncing.take() {
                self.answer_sync(call, SyncReply::error(error));
            }
        }
    }
}
