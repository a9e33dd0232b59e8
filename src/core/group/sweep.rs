//! What goes without being asked for: offsets that are too old, offsets of deleted topics, groups that hold nothing.
//!
//! Both sweeps go on where the last decision ended (`Decision::more`), so that a step stays bounded.
//!
//! Source: `OffsetMetadataManager.cleanupExpiredOffsets`, `onPartitionsDeleted`, `ClassicGroup.offsetExpirationCondition`.

use std::ops::Bound;
use std::sync::Arc;

use super::coordinator::{Coordinator, Group};
use super::offsets::tombstone;
use super::record::StoredOffset;
use super::subscription::Subscribed;
use super::types::{Decision, GroupConfig, GroupState, Record};
use crate::types::{Now, limits};

impl Coordinator {
    /// Decides what expires: offsets kept for `offsets.retention.minutes`, since the group lost its last member or since
    /// they were committed, and empty groups without offsets. For the host to ask every
    /// `offsets.retention.check.interval.ms`, from `None` on.
    #[must_use]
    pub fn expire(&self, now: Now, from: Option<&Arc<str>>) -> Decision {
        self.sweep(from, |group_id, group, decision| {
            group.expire(now, &self.config, group_id, decision);
        })
    }

    /// Decides what to forget when topics are deleted: their offsets. From `None` on.
    #[must_use]
    pub fn forget(&self, topics: &[Arc<str>], from: Option<&Arc<str>>) -> Decision {
        self.sweep(from, |group_id, group, decision| {
            for topic in topics {
                let partitions = group.offsets.get(topic).into_iter().flatten();
                let records = partitions.map(|(it, _)| tombstone(group_id, topic, *it));
                decision.records.extend(records);
            }
        })
    }

    fn sweep(
        &self,
        from: Option<&Arc<str>>,
        look: impl Fn(&Arc<str>, &Group, &mut Decision),
    ) -> Decision {
        let start = from.map_or(Bound::Unbounded, Bound::Included);
        let range = (start, Bound::Unbounded);
        let mut decision = Decision::default();
        for (seen, (group_id, group)) in self.groups.range::<Arc<str>, _>(range).enumerate() {
            let max = limits::SWEEP_GROUPS_MAX;
            if seen >= max || decision.records.len() >= max {
                decision.more = Some(group_id.clone());
                break;
            }
            look(group_id, group, &mut decision);
        }
        decision
    }
}

impl Group {
    fn expire(&self, now: Now, config: &GroupConfig, group_id: &Arc<str>, decision: &mut Decision) {
        let mut left = 0;
        let subscribed = self.expiring();
        for (topic, partitions) in &self.offsets {
            let kept = subscribed.as_ref().is_none_or(|it| it.contains(topic));
            for (partition, offset) in partitions {
                if kept || !self.is_expired(now, config, offset) {
                    left += 1;
                } else {
                    let record = tombstone(group_id, topic, *partition);
                    decision.records.push(record);
                }
            }
        }
        if left == 0 && self.is_deserted() && self.stored.is_some() {
            decision.records.push(Record::group(group_id, None));
        }
    }

    /// Topics whose offsets are kept whatever their age; `None` if all are.
    fn expiring(&self) -> Option<Subscribed> {
        let live = &self.live;
        let stable = live.state == GroupState::Stable && self.uses_consumer_protocol();
        (live.state == GroupState::Empty || stable).then(|| self.subscribed())
    }

    fn is_expired(&self, now: Now, config: &GroupConfig, offset: &StoredOffset) -> bool {
        if let Some(expires) = offset.expires {
            return now.wall >= expires;
        }
        let empty = self.live.state == GroupState::Empty && self.live.protocol_type.is_some();
        let since = self.live.since.filter(|_| empty);
        let kept = now
            .wall
            .0
            .saturating_sub(since.unwrap_or(offset.committed).0);
        u64::try_from(kept).is_ok_and(|kept| kept >= config.offsets_retention.0)
    }
}
