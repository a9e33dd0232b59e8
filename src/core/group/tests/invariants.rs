//! What must be true of a coordinator at any time.

use crate::group::coordinator::{Coordinator, Group};
use crate::group::types::GroupState;

/// A decision has changed nothing.
pub(super) fn same(before: &Coordinator, after: &Coordinator) {
    assert_eq!(
        format!("{before:?}"),
        format!("{after:?}"),
        "deciding changes nothing"
    );
}

/// Both know the same of everything that is stored.
pub(super) fn same_stored(live: &Coordinator, reloaded: &Coordinator) {
    let mut live_groups = live.groups.iter().filter(|(_, group)| {
        // Who only begins to join is not stored.
        group.stored.is_some() || !group.offsets.is_empty()
    });
    for (group_id, reread) in &reloaded.groups {
        let (live_id, group) = live_groups.next().expect("as many groups");
        assert_eq!(live_id, group_id);
        assert_eq!(group.stored, reread.stored, "{group_id}");
        assert_eq!(group.assigned, reread.assigned, "{group_id}");
        assert_eq!(group.offsets, reread.offsets, "{group_id}");
        assert_eq!(group.offsets_count, reread.offsets_count, "{group_id}");
    }
    assert!(live_groups.next().is_none(), "no group more");
}

pub(super) fn hold(coordinator: &Coordinator) {
    for group in coordinator.groups.values() {
        hold_in_group(group);
    }
    let live = coordinator.groups.values().map(|it| it.live.bytes());
    assert_eq!(coordinator.metadata_bytes, live.sum::<usize>());
    let deadlines = coordinator
        .groups
        .values()
        .filter_map(|it| it.live.deadline());
    if let Some(first) = deadlines.min() {
        assert!(
            coordinator.deadline().is_some_and(|at| at <= first),
            "a timer is missing"
        );
    }
}

fn hold_in_group(group: &Group) {
    let live = &group.live;
    let moving = [
        GroupState::PreparingRebalance,
        GroupState::CompletingRebalance,
    ];
    assert_eq!(
        live.state == GroupState::Empty,
        live.members.is_empty() && !moving.contains(&live.state)
    );
    assert_ne!(live.state, GroupState::Dead);
    match &live.leader {
        Some(leader) => assert!(live.members.contains_key(leader), "the leader is a member"),
        None => assert!(live.members.is_empty(), "somebody leads"),
    }
    for (id, member) in &live.members {
        assert_eq!(*id, member.id);
        assert!(!live.pending.contains_key(id));
        if let Some(instance_id) = &member.instance_id {
            assert_eq!(live.statics.get(instance_id), Some(id));
        }
        assert!(member.joining.is_none() || live.state == GroupState::PreparingRebalance);
        assert!(member.syncing.is_none() || live.state == GroupState::CompletingRebalance);
    }
    let statics = live.members.values().filter(|it| it.is_static()).count();
    assert_eq!(live.statics.len(), statics);
    assert!(live.unsynced.iter().all(|id| live.members.contains_key(id)));
    assert_eq!(
        live.join_timer.is_some(),
        live.state == GroupState::PreparingRebalance
    );
    if moving.contains(&live.state) {
        return;
    }
    // What a group in peace does is what its last record says.
    match &group.stored {
        Some(stored) => {
            assert!(live.agrees(stored), "{live:?} {stored:?}");
            assert!(
                live.members.keys().eq(group.assigned.keys()),
                "each member has an assignment"
            );
        }
        None => assert_eq!(live.state, GroupState::Empty),
    }
}
