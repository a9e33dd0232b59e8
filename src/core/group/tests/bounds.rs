//! What is out of bounds, and what happens then.

use std::sync::Arc;

use bytes::Bytes;

use crate::group::coordinator::Group;
use crate::group::request::{Commit, CommitPartition, CommitTopic, Join, Protocol};
use crate::group::{CallId, Coordinator, Decision, Reply, Request};
use crate::types::{
    ErrorCode, LeaderEpoch, Monotonic, Now, Offset, PartitionIndex, TopicId, WallMillis, limits,
};

const NOW: Now = Now {
    mono: Monotonic(0),
    wall: WallMillis(0),
};

fn join() -> Join {
    Join {
        group_id: "g".into(),
        member_id: "".into(),
        instance_id: None,
        client_id: "c".into(),
        client_host: "/127.0.0.1".into(),
        session_timeout_ms: 10_000,
        rebalance_timeout_ms: 10_000,
        protocol_type: "consumer".into(),
        protocols: vec![Protocol {
            name: "range".into(),
            metadata: Bytes::new(),
        }],
        member_id_required: true,
        can_skip_assignment: false,
        reason: None,
    }
}

fn ask(coordinator: &Coordinator, request: Join) -> (ErrorCode, Decision) {
    let decision = coordinator.handle(NOW, CallId(1), &Request::Join(request));
    let Some(Reply::Join(reply)) = decision.answers.first().map(|it| it.reply.clone()) else {
        panic!("an answer");
    };
    (reply.error, decision)
}

fn take(coordinator: &mut Coordinator, decision: &Decision) {
    for record in &decision.records {
        coordinator.replay(record).expect("our own record");
    }
    for event in &decision.events {
        coordinator.apply(event);
    }
}

#[test]
fn texts_that_no_record_holds_are_refused() {
    let coordinator = Coordinator::new(super::config(), [1; 16]);
    let long: Arc<str> = "x".repeat(limits::GROUP_TEXT_BYTES_MAX + 1).into();
    let changes: [fn(&mut Join, Arc<str>); 7] = [
        |join, text| join.group_id = text,
        |join, text| join.member_id = text,
        |join, text| join.instance_id = Some(text),
        |join, text| join.client_id = text,
        |join, text| join.client_host = text,
        |join, text| join.protocol_type = text,
        |join, text| join.protocols[0].name = text,
    ];
    for change in changes {
        let mut request = join();
        change(&mut request, long.clone());
        let (error, decision) = ask(&coordinator, request);
        assert_eq!(error, ErrorCode::InvalidRequest);
        assert!(decision.records.is_empty() && decision.events.is_empty());
    }
}

#[test]
fn members_that_say_too_much_are_refused() {
    let coordinator = Coordinator::new(super::config(), [1; 16]);
    let mut request = join();
    request.protocols[0].metadata = vec![0; limits::MEMBER_METADATA_BYTES_MAX + 1].into();
    assert_eq!(ask(&coordinator, request).0, ErrorCode::InvalidRequest);
    let mut request = join();
    request.protocols = vec![request.protocols[0].clone(); limits::MEMBER_PROTOCOLS_MAX + 1];
    assert_eq!(ask(&coordinator, request).0, ErrorCode::InvalidRequest);
}

#[test]
fn ids_that_were_handed_out_are_counted() {
    let mut coordinator = Coordinator::new(super::config(), [1; 16]);
    let (error, decision) = ask(&coordinator, join());
    assert_eq!(error, ErrorCode::MemberIdRequired);
    take(&mut coordinator, &decision);
    let group = coordinator.groups.get_mut("g").expect("a group");
    let others = (1..limits::GROUP_MEMBERS_MAX)
        .map(|id| (Arc::from(format!("id-{id}")), Monotonic(u64::MAX)));
    group.live.pending.extend(others);
    assert_eq!(ask(&coordinator, join()).0, ErrorCode::GroupMaxSizeReached);
}

#[test]
fn groups_are_counted() {
    let mut coordinator = Coordinator::new(super::config(), [1; 16]);
    let groups = 0..limits::GROUPS_PER_COORDINATOR_MAX;
    let groups = groups.map(|id| (Arc::from(format!("group-{id}")), Group::default()));
    coordinator.groups.extend(groups);
    assert_eq!(
        ask(&coordinator, join()).0,
        ErrorCode::CoordinatorNotAvailable
    );
    let decision = coordinator.handle(NOW, CallId(1), &commit(0..1));
    assert!(decision.records.is_empty());
    assert_eq!(errors(&decision), [ErrorCode::CoordinatorNotAvailable]);
    // A group that is there is served.
    let mut request = join();
    request.group_id = "group-7".into();
    assert_eq!(ask(&coordinator, request).0, ErrorCode::MemberIdRequired);
}

#[test]
fn bytes_of_members_are_counted() {
    let mut coordinator = Coordinator::new(super::config(), [1; 16]);
    let mut request = join();
    request.member_id_required = false;
    request.protocols[0].metadata = vec![0; limits::MEMBER_METADATA_BYTES_MAX].into();
    let decision = coordinator.handle(NOW, CallId(1), &Request::Join(request));
    take(&mut coordinator, &decision);
    assert!(coordinator.metadata_bytes >= limits::MEMBER_METADATA_BYTES_MAX);
    coordinator.metadata_bytes = limits::GROUP_METADATA_BYTES_MAX;
    assert_eq!(
        ask(&coordinator, join()).0,
        ErrorCode::CoordinatorNotAvailable
    );
}

fn commit(partitions: std::ops::Range<i32>) -> Request {
    let partitions = partitions.map(|index| CommitPartition {
        partition: PartitionIndex(index),
        offset: Offset(1),
        leader_epoch: LeaderEpoch::NONE,
        metadata: None,
    });
    Request::Commit(Commit {
        group_id: "g".into(),
        generation: -1,
        member_id: "".into(),
        instance_id: None,
        retention_ms: None,
        topics: vec![CommitTopic {
            topic: "t".into(),
            topic_id: TopicId::ZERO,
            partitions: partitions.collect(),
        }],
    })
}

fn errors(decision: &Decision) -> Vec<ErrorCode> {
    let Reply::Commit(reply) = &decision.answers[0].reply else {
        panic!("a commit's answer");
    };
    let partitions = &reply.topics[0].partitions;
    partitions.iter().map(|(_, error)| *error).collect()
}

#[test]
fn offsets_of_a_group_are_counted() {
    let mut coordinator = Coordinator::new(super::config(), [1; 16]);
    let decision = coordinator.handle(NOW, CallId(1), &commit(0..2));
    take(&mut coordinator, &decision);
    let group = coordinator.groups.get_mut("g").expect("a group");
    assert_eq!(group.offsets_count, 2);
    group.offsets_count = limits::OFFSETS_PER_GROUP_MAX - 1;
    let decision = coordinator.handle(NOW, CallId(2), &commit(1..4));
    let full = ErrorCode::InvalidCommitOffsetSize;
    assert_eq!(errors(&decision), [ErrorCode::None, ErrorCode::None, full]);
}
