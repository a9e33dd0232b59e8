//! The orderly stop.

use super::{check, check_from_nothing};

#[test]
fn the_order_of_a_stop() {
    check(
        "
        create t 2
        show disk ctl
        hold write
        A produce t-0:a
        > put t-0/leader-epoch-checkpoint
        B fetch t-1@0 wait=60000
        stop
        > B t-1 [] hw 0
        C produce t-0:b
        release
        > A t-0 at 0
        > drained
        > put t-0/00000000000000000000.index
        > put t-1/00000000000000000000.index
        > put t-0/00000000000000000000.timeindex
        > put t-1/00000000000000000000.timeindex
        > put t-1/leader-epoch-checkpoint
        > closed well
        > stopped
        ",
    );
}

#[test]
fn ctl_is_told_when_every_partition_is_closed() {
    check(
        "
        create t
        A produce t-0:a
        > A t-0 at 0
        show disk ctl
        hold truncate
        stop
        > drained
        release
        > put t-0/00000000000000000000.index
        > put t-0/00000000000000000000.timeindex
        > closed well
        > stopped
        ls
        > t-0/
        > t-0/00000000000000000000.index
        > t-0/00000000000000000000.log
        > t-0/00000000000000000000.timeindex
        > t-0/leader-epoch-checkpoint
        > t-0/partition.metadata
        ",
    );
}

#[test]
fn a_stop_during_recovery_is_not_clean() {
    check_from_nothing(
        "
        boot
        first
        > ready
        create t
        A produce t-0:a
        > A t-0 at 0
        kill
        hold read open
        boot
        first
        show disk ctl
        stop
        > drained
        > note: stopped before recovery was complete: the next start recovers
        > closed, not well
        > stopped
        release
        ls
        > t-0/
        > t-0/00000000000000000000.log
        > t-0/leader-epoch-checkpoint
        > t-0/partition.metadata
        ",
    );
}

#[test]
fn a_stop_before_the_first_publication_is_not_clean() {
    check_from_nothing(
        "
        boot
        first
        > ready
        create t
        A produce t-0:a
        > A t-0 at 0
        kill
        show disk ctl
        hold all
        boot
        stop
        > drained
        > note: stopped before recovery was complete: the next start recovers
        > closed, not well
        > stopped
        release
        first
        ",
    );
}

#[test]
fn partitions_being_created_are_closed_too() {
    check(
        "
        create t 2
        hold open
        create u 3
        show disk ctl
        stop
        > drained
        > put t-0/00000000000000000000.index
        > put t-1/00000000000000000000.index
        > put t-0/00000000000000000000.timeindex
        > put t-1/00000000000000000000.timeindex
        > put t-0/leader-epoch-checkpoint
        > put t-1/leader-epoch-checkpoint
        release
        > applied 3
        > put u-0/00000000000000000000.index
        > put u-1/00000000000000000000.index
        > put u-2/00000000000000000000.index
        > put u-0/00000000000000000000.timeindex
        > put u-1/00000000000000000000.timeindex
        > put u-2/00000000000000000000.timeindex
        > closed well
        > stopped
        ",
    );
}

#[test]
fn an_offline_partition_is_told() {
    check_from_nothing(
        "
        boot
        first
        > ready
        create t
        A produce t-0:a
        > A t-0 at 0
        stop
        > stopped
        kill
        plant t-0/partition.metadata
        boot
        first
        > note: partition is offline: t-0/partition.metadata: version is not 0
        > ready
        show ctl
        stop
        > drained
        > note: a partition is offline: the stop is not marked as clean
        > closed, not well
        > stopped
        ls
        > t-0/
        > t-0/00000000000000000000.index
        > t-0/00000000000000000000.log
        > t-0/00000000000000000000.timeindex
        > t-0/leader-epoch-checkpoint
        > t-0/partition.metadata
        ",
    );
}

#[test]
fn a_check_under_way_is_finished() {
    check(
        "
        create t
        hold again
        A produce t-0:bomb codec=gzip
        stop
        release
        > A t-0 at 0
        > stopped
        ",
    );
}

#[test]
fn a_second_stop_changes_nothing() {
    check(
        "
        create t
        hold truncate
        stop
        stop
        release
        > stopped
        ",
    );
}
