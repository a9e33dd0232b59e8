//! A member of a consumer group: it joins, is given partitions, commits and fetches offsets for them, and leaves, crashes or just
//! falls silent; some are static. In the end one per group reads all its offsets.
//!
//! What members share out are partitions of the group's own topic, which is always there.
//! Now and then a member does what a slow thread of a real one does: it commits with the generation before.
//!
//! Deliberately absent: fetching records, patterns, cooperative rounds (the coordinator does not notice).

mod requests;

use bytes::Bytes;
use kafka_protocol::messages::{
    FindCoordinatorResponse, GroupId, HeartbeatResponse, JoinGroupResponse, LeaveGroupResponse,
    OffsetCommitResponse, OffsetFetchResponse, SyncGroupResponse,
};
use kafka_protocol::protocol::StrBytes;
use onrush_core::types::ErrorCode;

use super::{Action, Client, Context, Link, Phase};
use crate::frames;
use crate::groups::GroupNumber;

/// Partitions that a group shares out.
pub const PARTITIONS: u8 = 4;
const TOPIC: &str = "__consumer_offsets";
const FIND: i16 = 2;
const JOIN: i16 = 9;
const SYNC: i16 = 5;
const BEAT: i16 = 4;
const LEAVE: i16 = 5;
const COMMIT: i16 = 8;
const OFFSETS: i16 = 6;

/// How a member lives.
#[derive(Clone, Debug)]
pub struct Habits {
    /// Its group.
    pub group: GroupNumber,
    /// `group.instance.id`, for a static member.
    pub instance: Option<String>,
    /// In milliseconds.
    pub session_timeout: i32,
    /// Longest pause between two requests, in microseconds.
    pub pause_us_max: u64,
}

#[derive(Debug)]
enum Asked {
    Find,
    /// The newest generation known when it was sent.
    Join(i32),
    Sync(i32),
    Beat,
    Leave,
    /// Partition and name of each commit; generation; the newest one known.
    Commit(Vec<(i32, usize)>, i32, i32),
    Offsets(u64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// The coordinator is not known.
    Lost,
    /// Not a member, or one that must join again.
    Out,
    /// Joined: what it has to say to the others is still to be sent.
    Joined,
    /// Owns what it was given.
    Stable,
}

/// See the module.
#[derive(Debug)]
pub struct Member {
    habits: Habits,
    link: Link<Asked>,
    stage: Stage,
    id: StrBytes,
    generation: i32,
    /// The members to give partitions to, if this one leads.
    others: Option<Vec<StrBytes>>,
    owned: Vec<u8>,
    /// Generation and partitions before the present ones.
    before: Option<(i32, Vec<u8>)>,
    /// It wants to know where the group is: after a start of its own or of the node, and with a new assignment.
    looks: bool,
    /// A slow thread of it has a commit of the generation before.
    late: bool,
    /// Present if it only reads: whether it has.
    verified: Option<bool>,
}

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

impl Member {
    /// A member with these habits.
    #[must_use]
    pub fn new(habits: Habits) -> Self {
        Self {
            habits,
            link: Link::default(),
            stage: Stage::Lost,
            id: StrBytes::default(),
            generation: -1,
            others: None,
            owned: Vec::new(),
            before: None,
            looks: false,
            late: false,
            verified: None,
        }
    }

    /// One that reads all offsets of a group once.
    #[must_use]
    pub fn verifier(group: GroupNumber) -> Self {
        let habits = Habits {
            group,
            instance: None,
            session_timeout: 1_000,
            pause_us_max: 5_000,
        };
        Self {
            verified: Some(false),
            ..Self::new(habits)
        }
    }

    fn group_id(&self) -> GroupId {
        GroupId(text(&format!("group{}", self.habits.group)))
    }

    fn instance(&self) -> Option<StrBytes> {
        self.habits.instance.as_deref().map(text)
    }

    fn next(&mut self, context: &mut Context) {
        if !self.link.up || !self.link.waiting.is_empty() {
            return;
        }
        match (self.verified, context.phase) {
            (Some(true), _) | (None, Phase::Drain | Phase::Verify) => {}
            (Some(false), _) if self.stage == Stage::Lost => self.find(context),
            (Some(false), _) => self.fetch_offsets(context),
            (None, Phase::Work) => match self.stage {
                Stage::Lost => self.find(context),
                Stage::Out | Stage::Stable if std::mem::take(&mut self.looks) => {
                    self.fetch_offsets(context);
                }
                Stage::Stable if std::mem::take(&mut self.late) && self.before.is_some() => {
                    let (generation, owned) = self.before.take().unwrap_or_default();
                    self.commit(context, generation, &owned);
                }
                Stage::Out => self.join(context),
                Stage::Joined => self.sync(context),
                Stage::Stable => self.live(context),
            },
        }
    }

    /// What a member does while nothing changes.
    fn live(&mut self, context: &mut Context) {
        match context.rng.below(40) {
            0 => self.leave(context),
            // A crash, or a client that starts anew without a word.
            1 => {
                self.forget();
                self.join(context);
            }
            2..=5 => self.beat(context),
            6..=8 => self.fetch_offsets(context),
            _ => {
                let owned = self.owned.clone();
                self.commit(context, self.generation, &owned);
            }
        }
    }

    fn forget(&mut self) {
        self.id = StrBytes::default();
        self.before = None;
        self.owned.clear();
        self.stage = Stage::Out;
    }

    /// What an error means to a member; one that a member does not expect is a failure.
    fn on_error(&mut self, code: i16) -> Result<(), String> {
        match ErrorCode::from_code(code) {
            ErrorCode::RebalanceInProgress | ErrorCode::IllegalGeneration => {
                self.stage = Stage::Out;
            }
            ErrorCode::UnknownMemberId | ErrorCode::FencedInstanceId => self.forget(),
            // The node is starting, stopping or failing.
            ErrorCode::CoordinatorLoadInProgress
            | ErrorCode::CoordinatorNotAvailable
            | ErrorCode::NotCoordinator
            | ErrorCode::RequestTimedOut
            | ErrorCode::KafkaStorageError
            | ErrorCode::UnknownServerError => self.stage = Stage::Lost,
            other => return Err(format!("{}: {other:?}", self.group_id().0)),
        }
        Ok(())
    }

    fn on_joined(
        &mut self,
        context: &mut Context,
        known: i32,
        response: &JoinGroupResponse,
    ) -> Result<(), String> {
        if ErrorCode::from_code(response.error_code) == ErrorCode::MemberIdRequired {
            self.id = response.member_id.clone();
            return Ok(());
        }
        if response.error_code != 0 {
            return self.on_error(response.error_code);
        }
        let groups = &context.ledger.groups;
        groups.on_joined(self.habits.group, response.generation_id, known)?;
        if response.generation_id != self.generation {
            self.before = Some((self.generation, std::mem::take(&mut self.owned)));
        }
        self.id = response.member_id.clone();
        self.generation = response.generation_id;
        let leads = response.leader == response.member_id && !response.skip_assignment;
        let others = response.members.iter().map(|m| m.member_id.clone());
        self.others = leads.then(|| others.collect());
        self.stage = Stage::Joined;
        Ok(())
    }

    fn on_synced(
        &mut self,
        context: &mut Context,
        generation: i32,
        response: &SyncGroupResponse,
    ) -> Result<(), String> {
        if response.error_code != 0 {
            return self.on_error(response.error_code);
        }
        self.owned = response.assignment.to_vec();
        self.stage = Stage::Stable;
        self.looks = true;
        self.late = context.rng.one_in(2);
        // A static member that comes back takes its own place, in the same generation and with a new id; the old id is fenced.
        let name = self.habits.instance.as_deref().unwrap_or(&self.id);
        let groups = &mut context.ledger.groups;
        groups.on_assigned(self.habits.group, generation, name, &self.owned)
    }

    fn on_committed(
        &mut self,
        context: &mut Context,
        (names, generation, newest): (Vec<(i32, usize)>, i32, i32),
        response: &OffsetCommitResponse,
    ) -> Result<(), String> {
        let answers = response.topics.iter().flat_map(|topic| &topic.partitions);
        for answer in answers {
            let partition = answer.partition_index;
            let mut asked = names.iter().filter(|(p, _)| *p == partition);
            let (_, name) = asked
                .next()
                .ok_or("an answer to a commit that was not sent")?;
            let slot = (self.habits.group, partition);
            let groups = &mut context.ledger.groups;
            match ErrorCode::from_code(answer.error_code) {
                ErrorCode::None => groups.on_committed(slot, *name, generation, newest)?,
                ErrorCode::RebalanceInProgress
                | ErrorCode::IllegalGeneration
                | ErrorCode::UnknownMemberId
                | ErrorCode::FencedInstanceId => {
                    groups.on_refused(slot, *name);
                    if generation == self.generation {
                        self.on_error(answer.error_code)?;
                    }
                }
                // It may have been appended.
                _ => self.on_error(answer.error_code)?,
            }
        }
        Ok(())
    }

    fn on_offsets(
        &mut self,
        context: &mut Context,
        asked: u64,
        response: &OffsetFetchResponse,
    ) -> Result<(), String> {
        if response.error_code != 0 {
            return self.on_error(response.error_code);
        }
        let answers = response.topics.iter().flat_map(|topic| &topic.partitions);
        for answer in answers {
            if answer.error_code != 0 {
                return self.on_error(answer.error_code);
            }
            let slot = (self.habits.group, answer.partition_index);
            let groups = &mut context.ledger.groups;
            groups.on_fetched(slot, asked, answer.committed_offset)?;
        }
        if let Some(verified) = &mut self.verified {
            *verified = true;
        }
        Ok(())
    }
}

impl Client for Member {
    fn on_connected(&mut self, context: &mut Context) {
        self.link.up = true;
        self.next(context);
    }

    fn on_lost(&mut self, _: &mut Context) {
        self.link.lose();
        self.looks = true;
        if self.stage == Stage::Joined {
            self.stage = Stage::Out;
        }
    }

    fn on_response(&mut self, context: &mut Context, frame: Bytes) -> Result<(), String> {
        let (asked, frame) = self.link.receive(context, frame)?;
        match asked {
            Asked::Find => {
                let found: FindCoordinatorResponse = frames::decode(frame, FIND)?;
                if found.error_code == 0 {
                    self.stage = Stage::Out;
                }
            }
            Asked::Join(known) => {
                let response = frames::decode(frame, JOIN)?;
                self.on_joined(context, known, &response)?;
            }
            Asked::Sync(generation) => {
                let response = frames::decode(frame, SYNC)?;
                self.on_synced(context, generation, &response)?;
            }
            Asked::Beat => {
                let response: HeartbeatResponse = frames::decode(frame, BEAT)?;
                if response.error_code != 0 {
                    self.on_error(response.error_code)?;
                }
            }
            Asked::Leave => {
                let _: LeaveGroupResponse = frames::decode(frame, LEAVE)?;
                self.forget();
            }
            Asked::Commit(names, generation, newest) => {
                let response = frames::decode(frame, COMMIT)?;
                self.on_committed(context, (names, generation, newest), &response)?;
            }
            Asked::Offsets(asked) => {
                let response = frames::decode(frame, OFFSETS)?;
                self.on_offsets(context, asked, &response)?;
            }
        }
        // Now and then it says nothing for so long that its session ends.
        let silent = self.verified.is_none() && context.rng.one_in(30);
        let session = self.habits.session_timeout.unsigned_abs();
        let us = if silent {
            u64::from(session) * 1_000 + 20_000
        } else {
            context.rng.between(1, self.habits.pause_us_max)
        };
        context.actions.push(Action::Wake(us * 1_000));
        Ok(())
    }

    fn on_timer(&mut self, context: &mut Context) {
        self.next(context);
        if self.link.up && self.link.waiting.is_empty() {
            context.actions.push(Action::Wake(10_000_000));
        }
    }

    fn is_idle(&self) -> bool {
        self.link.waiting.is_empty() && self.verified != Some(false)
    }
}
