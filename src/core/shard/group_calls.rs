//! Requests about groups of this shard's clients: put to the coordinators' owners, and put together from their replies.
//!
//! Invariants: 1. Each owner is asked once, with everything that concerns it. 2. What no coordinator can be found for is refused here.
//! 3. A call that may wait for other members is not begun when so many asks are open that others might be kept out.
//! Source: `KafkaApis`, `GroupCoordinatorService`.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use super::Shard;
use super::calls::Op;
use super::dispatch::Asked;
use crate::api::{
    k08_offset_commit, k09_offset_fetch, k11_join_group, k12_heartbeat, k13_leave_group,
    k14_sync_group, k15_describe_groups, k16_list_groups, k42_delete_groups, k47_offset_delete,
};
use crate::ask::{Ask, GroupAsk};
use crate::group::{Reply, Request, partition_of};
use crate::input::Effects;
use crate::metadata::GROUP_METADATA_TOPIC;
use crate::placement;
use crate::types::{CoreId, ErrorCode, Now, PartitionIndex, TopicId};

/// What the answer needs beside the replies.
#[derive(Debug)]
pub(super) enum Kind {
    Commit(k08_offset_commit::Pending),
    Fetch(k09_offset_fetch::Pending),
    Join,
    Heartbeat,
    Leave,
    Sync,
    Describe(k15_describe_groups::Pending),
    List,
    Delete(Vec<Arc<str>>),
    OffsetDelete(k47_offset_delete::Pending),
}

/// A request about groups, under way.
#[derive(Debug)]
pub(super) struct GroupCall {
    kind: Kind,
    replies: Vec<Option<Reply>>,
    /// Which replies an owner gives, in the order it was asked.
    places: BTreeMap<CoreId, Vec<usize>>,
}

impl GroupCall {
    /// An owner has answered.
    pub(super) fn on_answer(&mut self, from: CoreId, replies: Vec<Reply>) {
        if let Kind::List = self.kind {
            self.replies.extend(replies.into_iter().map(Some));
            return;
        }
        let places = self.places.remove(&from).unwrap_or_default();
        for (place, reply) in places.into_iter().zip(replies) {
            if let Some(slot) = self.replies.get_mut(place) {
                *slot = Some(reply);
            }
        }
    }
}

impl Shard {
    /// Puts requests to the coordinators of their groups.
    pub(super) fn ask_groups(
        &mut self,
        now: Now,
        asked: Asked,
        kind: Kind,
        requests: Vec<Request>,
        out: &mut Effects,
    ) {
        let may_wait = matches!(kind, Kind::Join | Kind::Sync);
        let crowded = may_wait && self.calls.is_packed();
        let mut call = GroupCall {
            kind,
            replies: Vec::with_capacity(requests.len()),
            places: BTreeMap::new(),
        };
        let mut asks: BTreeMap<CoreId, (TopicId, Vec<(PartitionIndex, Request)>)> = BTreeMap::new();
        for (place, request) in requests.into_iter().enumerate() {
            let home = request.group_id().and_then(|group| self.home_of(group));
            let refusal = match home {
                None => ErrorCode::NotCoordinator,
                Some(_) if crowded => ErrorCode::CoordinatorNotAvailable,
                Some((core, topic, partition)) => {
                    call.replies.push(None);
                    call.places.entry(core).or_default().push(place);
                    let ask = asks.entry(core).or_insert_with(|| (topic, Vec::new()));
                    ask.1.push((partition, request));
                    continue;
                }
            };
            call.replies.push(Some(request.refuse(refusal)));
        }
        let asks = asks.into_iter().map(|(core, (topic, requests))| {
            let ask = GroupAsk::Each { topic, requests };
            (core, Ask::Groups(ask))
        });
        self.start_simple(now, asked, Op::Groups(asked, call), asks.collect(), out);
    }

    /// Puts a request to every coordinator of this broker.
    pub(super) fn ask_all_groups(
        &mut self,
        now: Now,
        asked: Asked,
        request: &Request,
        out: &mut Effects,
    ) {
        let call = GroupCall {
            kind: Kind::List,
            replies: Vec::new(),
            places: BTreeMap::new(),
        };
        let cores = placement::shards(self.config.shards);
        let asks = cores.map(|core| {
            let ask = GroupAsk::All(request.clone());
            (core, Ask::Groups(ask))
        });
        self.start_simple(now, asked, Op::Groups(asked, call), asks.collect(), out);
    }

    /// Where a group's coordinator is.
    fn home_of(&self, group: &str) -> Option<(CoreId, TopicId, PartitionIndex)> {
        let owners = self.owners();
        let topic = owners.topic_id(GROUP_METADATA_TOPIC)?;
        let partitions = self.image.topics.get(&topic)?.partitions.len();
        let count = u32::try_from(partitions).ok().filter(|count| *count > 0)?;
        let partition = partition_of(group, count);
        Some((owners.find(topic, partition)?, topic, partition))
    }

    /// Every owner has answered.
    pub(super) fn finish_groups(&mut self, asked: Asked, call: GroupCall, out: &mut Effects) {
        let version = asked.version;
        let replies = call.replies.into_iter();
        let mut replies = replies.map(|reply| reply.expect("each request has its reply"));
        match call.kind {
            Kind::Commit(pending) => {
                let reply = take(replies.next(), commit_of);
                let response = k08_offset_commit::finish(version, pending, reply);
                self.answer(asked, &response, out);
            }
            Kind::Fetch(pending) => {
                let replies = replies.map(|reply| take(Some(reply), fetch_of)).collect();
                let response = k09_offset_fetch::finish(version, pending, replies);
                self.answer(asked, &response, out);
            }
            Kind::Join => {
                let reply = take(replies.next(), join_of);
                self.answer(asked, &k11_join_group::finish(version, reply), out);
            }
            Kind::Heartbeat => {
                let error = take(replies.next(), heartbeat_of);
                self.answer(asked, &k12_heartbeat::finish(error), out);
            }
            Kind::Leave => {
                let reply = take(replies.next(), leave_of);
                self.answer(asked, &k13_leave_group::finish(version, &reply), out);
            }
            Kind::Sync => {
                let reply = take(replies.next(), sync_of);
                self.answer(asked, &k14_sync_group::finish(reply), out);
            }
            Kind::Describe(pending) => {
                let replies = replies
                    .map(|reply| take(Some(reply), describe_of))
                    .collect();
                let response = k15_describe_groups::finish(version, &pending, replies);
                self.answer(asked, &response, out);
            }
            Kind::List => {
                let replies = replies.map(|reply| take(Some(reply), list_of)).collect();
                self.answer(asked, &k16_list_groups::finish(version, replies), out);
            }
            Kind::Delete(groups) => {
                let errors: Vec<_> = replies.map(|reply| take(Some(reply), delete_of)).collect();
                let response = k42_delete_groups::finish(&groups, &errors);
                self.answer(asked, &response, out);
            }
            Kind::OffsetDelete(pending) => {
                let reply = take(replies.next(), offset_delete_of);
                let response = k47_offset_delete::finish(pending, reply);
                self.answer(asked, &response, out);
            }
        }
    }
}

/// The reply of the kind that was asked for.
fn take<T>(reply: Option<Reply>, of: impl FnOnce(Reply) -> Option<T>) -> T {
    let taken = reply.and_then(of);
    taken.expect("a coordinator answers in kind")
}

macro_rules! kinds {
    ($($name:ident: $variant:ident -> $of:ty;)*) => {
        $(fn $name(reply: Reply) -> Option<$of> {
            match reply {
                Reply::$variant(it) => Some(it),
                _ => None,
            }
        })*
    };
}

kinds! {
    commit_of: Commit -> crate::group::reply::CommitReply;
    fetch_of: Fetch -> crate::group::reply::FetchReply;
    join_of: Join -> crate::group::reply::JoinReply;
    heartbeat_of: Heartbeat -> ErrorCode;
    leave_of: Leave -> crate::group::reply::LeaveReply;
    sync_of: Sync -> crate::group::reply::SyncReply;
    describe_of: Describe -> crate::group::reply::DescribeReply;
    list_of: List -> Result<Vec<crate::group::reply::ListedGroup>, ErrorCode>;
    delete_of: Delete -> ErrorCode;
    offset_delete_of: OffsetDelete -> crate::group::reply::OffsetDeleteReply;
}

/// An address as Java writes it: `/127.0.0.1`, `/0:0:0:0:0:0:0:1`.
pub(super) fn java_address(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(v4) => format!("/{v4}"),
        IpAddr::V6(v6) => {
            let words = v6.segments().map(|word| format!("{word:x}"));
            format!("/{}", words.join(":"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_written_as_in_java() {
        for (address, text) in [
            ("127.0.0.1", "/127.0.0.1"),
            ("::ffff:10.0.0.7", "/10.0.0.7"),
            ("::1", "/0:0:0:0:0:0:0:1"),
            ("fe80::a:1", "/fe80:0:0:0:0:0:a:1"),
        ] {
            let address: IpAddr = address.parse().unwrap();
            assert_eq!(java_address(address), text);
        }
    }
}
