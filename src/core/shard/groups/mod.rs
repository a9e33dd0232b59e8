//! Consumer groups: the coordinators of the partitions of `__consumer_offsets` that this shard owns, and who waits for them.
//!
//! Invariants:
//! 1. What a coordinator decides is appended, replayed and applied in one step: nothing comes between, and what the log refuses
//!    changes nothing.
//! 2. An answer that tells of state which must not be lost leaves when the partition's high watermark has reached the end that the log
//!    had after the decision (`COMMIT_BEFORE_DURABLE` takes this rule away).
//! 3. Each request gets one reply, each ask one answer with all of them, in the order asked.
//! 4. Requests that wait are bounded by the asks that may be open, and those by `ask`, invariant 3.
//! 5. A partition that goes away or offline takes its coordinator with it; who waits is told NOT_COORDINATOR.
//!
//! The parts: `load` (from the log to a coordinator), `decide` (requests, time, topics that go), this file (who waits).
//! Source: `CoordinatorRuntime`, `CoordinatorLoaderImpl`, `GroupCoordinatorService`.

mod decide;
mod load;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use super::Shard;
use super::serving::Caller;
use crate::ask::{Answer, GroupAsk};
use crate::group::{CallId, Coordinator, GroupConfig, Reply, Request};
use crate::input::Effects;
use crate::metadata::GROUP_METADATA_TOPIC;
use crate::types::{
    BrokerConfigView, ErrorCode, Millis, Monotonic, Now, Offset, OwnerId, PartitionIndex,
};
use load::Loading;

/// How long a coordinator rests after the log refused what time wanted it to write.
const REST: Millis = Millis(1000);

/// All coordinators of a shard.
#[derive(Debug, Default)]
pub(super) struct Groups {
    hosted: BTreeMap<OwnerId, Hosted>,
    calls: BTreeMap<CallId, Waiting>,
    asks: BTreeMap<u64, Open>,
    next: u64,
    /// Coordinators loaded by this process: part of the seed of member ids.
    loads: u64,
    /// When stored offsets are next looked through for expired ones.
    expire_at: Option<Monotonic>,
    /// Coordinators that have work left for the next step.
    busy: BTreeSet<OwnerId>,
    /// When the first coordinator has something to do, if that is known: every step asks.
    due: Option<Due>,
}

/// A deadline, or none.
type Due = Option<Monotonic>;

/// A coordinator and the partition it keeps.
#[derive(Debug)]
struct Hosted {
    partition: PartitionIndex,
    coordinator: Coordinator,
    stage: Stage,
    /// Answers that wait for the high watermark, and for which.
    held: VecDeque<(Offset, CallId, Reply)>,
    /// The log refused what time wanted: not before this.
    rests_until: Option<Monotonic>,
    chores: VecDeque<Chore>,
}

#[derive(Debug)]
enum Stage {
    Loading(Loading),
    Active,
    /// Its log could not be read.
    Failed,
}

/// What a coordinator is to do by itself, as many steps as it takes.
#[derive(Clone, Debug)]
struct Chore {
    what: What,
    /// The group to go on with.
    from: Option<Arc<str>>,
}

#[derive(Clone, Debug)]
enum What {
    /// These topics were deleted: stored offsets of theirs go.
    Forget(Arc<[Arc<str>]>),
    /// Old offsets go.
    Expire,
}

/// A request that is not answered yet.
#[derive(Debug)]
struct Waiting {
    owner: Option<OwnerId>,
    ask: u64,
    /// Its place in the ask.
    at: usize,
    request: Request,
}

/// An ask that is not answered yet.
#[derive(Debug)]
struct Open {
    caller: Caller,
    replies: Vec<Option<Reply>>,
    left: usize,
}

impl Groups {
    /// True while answers wait for the disk: a stop waits for them.
    pub(super) fn any_held(&self) -> bool {
        self.hosted.values().any(|hosted| !hosted.held.is_empty())
    }

    /// The first moment at which there is something to do.
    pub(super) fn first_deadline(&mut self, now: Now) -> Option<Monotonic> {
        if !self.busy.is_empty() {
            return Some(now.mono);
        }
        let hosted = &self.hosted;
        let due = *self.due.get_or_insert_with(|| {
            let hosted = hosted.values();
            let due = hosted.filter_map(|hosted| match hosted.stage {
                Stage::Active => {
                    let at = hosted.coordinator.deadline()?;
                    Some(at.max(hosted.rests_until.unwrap_or(at)))
                }
                Stage::Loading(_) | Stage::Failed => None,
            });
            due.min()
        });
        due.into_iter().chain(self.expire_at).min()
    }

    /// Coordinators that are served.
    fn active(&self) -> Vec<OwnerId> {
        let hosted = self.hosted.iter();
        let active = hosted.filter(|(_, hosted)| matches!(hosted.stage, Stage::Active));
        active.map(|(owner, _)| *owner).collect()
    }

    /// Starts to wait for the replies of an ask.
    fn open(&mut self, caller: Caller, count: usize) -> u64 {
        self.next += 1;
        let open = Open {
            caller,
            replies: vec![None; count],
            left: count,
        };
        self.asks.insert(self.next, open);
        self.next
    }

    fn call(&mut self, waiting: Waiting) -> CallId {
        self.next += 1;
        let id = CallId(self.next);
        self.calls.insert(id, waiting);
        id
    }

    /// A call's reply. The whole answer and who asked, if it was the last one missing.
    fn reply(&mut self, call: CallId, reply: Reply) -> Option<(Caller, Vec<Reply>)> {
        let waiting = self.calls.remove(&call)?;
        let open = self.asks.get_mut(&waiting.ask)?;
        let place = open.replies.get_mut(waiting.at)?;
        assert!(place.is_none(), "a call is answered once");
        *place = Some(reply);
        open.left -= 1;
        if open.left > 0 {
            return None;
        }
        let open = self.asks.remove(&waiting.ask)?;
        let replies = open.replies.into_iter().flatten().collect();
        Some((open.caller, replies))
    }

    /// The calls that wait for a coordinator, but for those whose answer waits for the disk.
    fn undecided(&self, owner: OwnerId) -> Vec<CallId> {
        let held: BTreeSet<CallId> = self
            .hosted
            .get(&owner)
            .map(|hosted| hosted.held.iter().map(|(_, call, _)| *call).collect())
            .unwrap_or_default();
        let calls = self.calls.iter();
        calls
            .filter(|(call, waiting)| waiting.owner == Some(owner) && !held.contains(call))
            .map(|(call, _)| *call)
            .collect()
    }
}

impl Shard {
    /// Asks coordinators of this shard. Every request is answered, by this step or a later one.
    pub(super) fn serve_groups(
        &mut self,
        now: Now,
        caller: Caller,
        ask: GroupAsk,
        out: &mut Effects,
    ) {
        let requests: Vec<(Option<OwnerId>, Request)> = match ask {
            GroupAsk::Each { topic, requests } => requests
                .into_iter()
                .map(|(partition, request)| (self.table.find(topic, partition), request))
                .collect(),
            GroupAsk::All(request) => {
                let owners = self.groups.hosted.keys();
                owners
                    .map(|owner| (Some(*owner), request.clone()))
                    .collect()
            }
        };
        if requests.is_empty() {
            self.reply_to(now, caller, Answer::Groups(Vec::new()), out);
            return;
        }
        let ask = self.groups.open(caller, requests.len());
        for (at, (owner, request)) in requests.into_iter().enumerate() {
            let call = self.groups.call(Waiting {
                owner,
                ask,
                at,
                request,
            });
            self.ask_coordinator(now, call, out);
        }
    }

    fn settle_call(&mut self, now: Now, call: CallId, reply: Reply, out: &mut Effects) {
        if let Some((caller, replies)) = self.groups.reply(call, reply) {
            self.reply_to(now, caller, Answer::Groups(replies), out);
        }
    }

    fn refuse_call(&mut self, now: Now, call: CallId, error: ErrorCode, out: &mut Effects) {
        if let Some(waiting) = self.groups.calls.get(&call) {
            let reply = waiting.request.refuse(error);
            self.settle_call(now, call, reply, out);
        }
    }

    /// The partition is safe up to its high watermark: answers that waited for that leave.
    pub(super) fn release_group_answers(
        &mut self,
        now: Now,
        owner: OwnerId,
        high_watermark: Offset,
        out: &mut Effects,
    ) {
        while let Some(hosted) = self.groups.hosted.get_mut(&owner)
            && let Some((until, ..)) = hosted.held.front()
            && *until <= high_watermark
            && let Some((_, call, reply)) = hosted.held.pop_front()
        {
            self.settle_call(now, call, reply, out);
        }
    }

    /// A partition is gone or offline, and its coordinator with it.
    pub(super) fn lose_groups(&mut self, now: Now, owner: OwnerId, out: &mut Effects) {
        if self.groups.hosted.remove(&owner).is_none() {
            return;
        }
        self.groups.busy.remove(&owner);
        self.groups.due = None;
        // What waited for the disk is not known to be there: its client asks again, too.
        for call in self.groups.undecided(owner) {
            self.refuse_call(now, call, ErrorCode::NotCoordinator, out);
        }
    }

    /// The shard stops: who waits for other members is told to look for another coordinator; who waits for the disk still gets
    /// what was decided.
    pub(super) fn stop_groups(&mut self, now: Now, out: &mut Effects) {
        self.groups.expire_at = None;
        self.groups.busy.clear();
        let owners: Vec<OwnerId> = self.groups.hosted.keys().copied().collect();
        for owner in owners {
            for call in self.groups.undecided(owner) {
                self.refuse_call(now, call, ErrorCode::NotCoordinator, out);
            }
        }
    }

    /// True for a partition that keeps groups.
    fn keeps_groups(&self, owner: OwnerId) -> bool {
        let partition = self.table.get(owner);
        partition.is_some_and(|p| &*p.name().topic == GROUP_METADATA_TOPIC)
    }
}

/// What coordinators read of the broker's configs.
fn config_of(view: &BrokerConfigView) -> GroupConfig {
    let groups = &view.settings().groups;
    let millis = |ms: i32| Millis(u64::try_from(ms).unwrap_or(0));
    let count = |number: i32| usize::try_from(number).unwrap_or(0);
    let minutes = u64::try_from(groups.offsets_retention_minutes).unwrap_or(0);
    GroupConfig {
        session_timeout_min: millis(groups.session_timeout_ms_min),
        session_timeout_max: millis(groups.session_timeout_ms_max),
        initial_rebalance_delay: millis(groups.initial_rebalance_delay_ms),
        size_max: count(groups.size_max),
        offset_metadata_bytes_max: count(groups.offset_metadata_bytes_max),
        offsets_retention: Millis(minutes * 60_000),
    }
}
