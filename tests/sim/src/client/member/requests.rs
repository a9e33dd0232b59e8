//! What a member asks: one function per request, each leaving with the link what its answer will be judged by.

use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::offset_fetch_request::OffsetFetchRequestTopic;
use kafka_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use kafka_protocol::messages::{
    ApiKey, FindCoordinatorRequest, HeartbeatRequest, JoinGroupRequest, LeaveGroupRequest,
    OffsetCommitRequest, OffsetFetchRequest, SyncGroupRequest, TopicName,
};

use super::{
    Asked, BEAT, COMMIT, Context, FIND, JOIN, LEAVE, Member, OFFSETS, PARTITIONS, SYNC, TOPIC, text,
};

impl Member {
    pub(super) fn find(&mut self, context: &mut Context) {
        let request = FindCoordinatorRequest::default().with_key(self.group_id().0);
        let asked = Some(Asked::Find);
        self.link
            .send(context, ApiKey::FindCoordinator, FIND, &request, asked);
    }

    pub(super) fn join(&mut self, context: &mut Context) {
        let protocol = JoinGroupRequestProtocol::default().with_name(text("range"));
        let request = JoinGroupRequest::default()
            .with_group_id(self.group_id())
            .with_session_timeout_ms(self.habits.session_timeout)
            .with_rebalance_timeout_ms(self.habits.session_timeout * 2)
            .with_member_id(self.id.clone())
            .with_group_instance_id(self.instance())
            .with_protocol_type(text("consumer"))
            .with_protocols(vec![protocol]);
        let known = context.ledger.groups.generation(self.habits.group);
        let asked = Some(Asked::Join(known));
        self.link
            .send(context, ApiKey::JoinGroup, JOIN, &request, asked);
    }

    pub(super) fn sync(&mut self, context: &mut Context) {
        let others = self.others.take().unwrap_or_default();
        let mut shares = vec![Vec::new(); others.len()];
        for partition in (0..PARTITIONS).filter(|_| !others.is_empty()) {
            shares[usize::from(partition) % others.len()].push(partition);
        }
        let assignments = others.into_iter().zip(shares).map(|(member, share)| {
            SyncGroupRequestAssignment::default()
                .with_member_id(member)
                .with_assignment(share.into())
        });
        let request = SyncGroupRequest::default()
            .with_group_id(self.group_id())
            .with_generation_id(self.generation)
            .with_member_id(self.id.clone())
            .with_group_instance_id(self.instance())
            .with_protocol_type(Some(text("consumer")))
            .with_protocol_name(Some(text("range")))
            .with_assignments(assignments.collect());
        let asked = Some(Asked::Sync(self.generation));
        self.link
            .send(context, ApiKey::SyncGroup, SYNC, &request, asked);
    }

    pub(super) fn beat(&mut self, context: &mut Context) {
        let request = HeartbeatRequest::default()
            .with_group_id(self.group_id())
            .with_generation_id(self.generation)
            .with_member_id(self.id.clone())
            .with_group_instance_id(self.instance());
        let asked = Some(Asked::Beat);
        self.link
            .send(context, ApiKey::Heartbeat, BEAT, &request, asked);
    }

    pub(super) fn leave(&mut self, context: &mut Context) {
        let member = MemberIdentity::default()
            .with_member_id(self.id.clone())
            .with_group_instance_id(self.instance());
        let request = LeaveGroupRequest::default()
            .with_group_id(self.group_id())
            .with_members(vec![member]);
        let asked = Some(Asked::Leave);
        self.link
            .send(context, ApiKey::LeaveGroup, LEAVE, &request, asked);
    }

    pub(super) fn commit(&mut self, context: &mut Context, generation: i32, owned: &[u8]) {
        if owned.is_empty() {
            self.beat(context);
            return;
        }
        let group = self.habits.group;
        let groups = &mut context.ledger.groups;
        let newest = groups.generation(group);
        let mut names = Vec::new();
        let mut partitions = Vec::new();
        for partition in owned.iter().map(|p| i32::from(*p)) {
            let (offset, name) = groups.begin_commit((group, partition));
            names.push((partition, name));
            partitions.push(
                OffsetCommitRequestPartition::default()
                    .with_partition_index(partition)
                    .with_committed_offset(offset),
            );
        }
        let topic = OffsetCommitRequestTopic::default()
            .with_name(TopicName(text(TOPIC)))
            .with_partitions(partitions);
        let request = OffsetCommitRequest::default()
            .with_group_id(self.group_id())
            .with_generation_id_or_member_epoch(generation)
            .with_member_id(self.id.clone())
            .with_group_instance_id(self.instance())
            .with_topics(vec![topic]);
        let asked = Some(Asked::Commit(names, generation, newest));
        self.link
            .send(context, ApiKey::OffsetCommit, COMMIT, &request, asked);
    }

    pub(super) fn fetch_offsets(&mut self, context: &mut Context) {
        let topic = OffsetFetchRequestTopic::default()
            .with_name(TopicName(text(TOPIC)))
            .with_partition_indexes((0..i32::from(PARTITIONS)).collect());
        let request = OffsetFetchRequest::default()
            .with_group_id(self.group_id())
            .with_topics(Some(vec![topic]));
        let asked = Some(Asked::Offsets(context.ledger.groups.begin_fetch()));
        self.link
            .send(context, ApiKey::OffsetFetch, OFFSETS, &request, asked);
    }
}
