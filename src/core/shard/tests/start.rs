//! Start, publications, topics that come and go.

use super::{check, check_from_nothing};

#[test]
fn an_unclean_start_has_the_next_epoch() {
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
        boot
        first
        > applied 3
        > ready
        A epochs t-0@0
        > A t-0 epoch 0 ends 1
        A produce t-0:b
        > put t-0/leader-epoch-checkpoint
        > A t-0 at 1
        A epochs t-0@0
        > A t-0 epoch 0 ends 1
        A epochs t-0@1
        > A t-0 epoch 1 ends 2
        ",
    );
}

#[test]
fn publications_are_applied_in_order() {
    check(
        "
        show ctl disk
        hold all
        create t
        create u
        release
        > mkdir t-0
        > put t-0/partition.metadata
        > applied 2
        > mkdir u-0
        > put u-0/partition.metadata
        > applied 3
        ",
    );
}

#[test]
fn topics_are_created_while_others_are_served() {
    check(
        "
        create t
        A fetch t-0@0 wait=60000
        hold open
        create u
        A produce u-0:a
        B produce t-0:b
        > A t-0 [0:b] hw 1
        > B t-0 at 0
        > A u-0 error 3 start -1
        C produce u-0:c
        > C u-0 error 3 start -1
        release
        C produce u-0:d
        > C u-0 at 0
        ",
    );
}

#[test]
fn a_deleted_topic_makes_room_for_its_successor() {
    check(
        "
        show ctl disk
        create t
        > mkdir t-0
        > put t-0/partition.metadata
        > applied 2
        A produce t-0:a v=13
        > put t-0/leader-epoch-checkpoint
        > A t-0 at 0
        delete t
        > rename t-0 t-0.01010101010101010101010101010101-delete
        > applied 3
        A produce t-0:b
        > A t-0 error 3 start -1
        create t
        > mkdir t-0
        > put t-0/partition.metadata
        > applied 4
        A produce t-0:c
        > put t-0/leader-epoch-checkpoint
        > A t-0 at 0
        wait 70000
        > offsets of 1
        > remove t-0.01010101010101010101010101010101-delete
        ls
        > t-0/
        > t-0/00000000000000000000.log
        > t-0/leader-epoch-checkpoint
        > t-0/partition.metadata
        ",
    );
}

#[test]
fn a_partition_that_is_offline_can_be_deleted() {
    check_from_nothing(
        "
        boot
        first
        > ready
        create t
        stop
        > stopped
        kill
        plant t-0/partition.metadata
        boot
        first
        > note: partition is offline: t-0/partition.metadata: version is not 0
        > ready
        A produce t-0:a
        > A t-0 error 56 start -1
        A fetch t-0@0
        > A t-0 error 56
        show disk ctl
        delete t
        > remove t-0
        > applied 4
        ",
    );
}

#[test]
fn a_directory_of_another_topic_is_set_aside() {
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
        reborn t
        boot
        first
        > note: partition is offline: t-0: topic id AQEBAQEBAQEBAQEBAQEBAQ on disk, d3d3d3d3d3d3d3d3d3d3dw in the metadata
        > ready
        show disk ctl
        delete t
        > rename t-0 t-0.77777777777777777777777777777777-stray
        > applied 4
        create t
        > mkdir t-0
        > put t-0/partition.metadata
        > applied 5
        ",
    );
}

#[test]
fn more_partitions_than_are_opened_at_a_time() {
    check(
        "
        create t 100
        A produce t-99:a
        > A t-99 at 0
        stop
        > stopped
        kill
        boot
        first
        > ready
        A fetch t-99@0
        > A t-99 [0:a] hw 1
        delete t
        A fetch t-99@0
        > A t-99 error 3
        ",
    );
}

#[test]
fn a_kill_while_a_segment_is_finished() {
    check(
        "
        create t 1 segment.bytes=1048576
        A produce t-0:x*1000000
        > A t-0 at 0
        hold truncate flush
        A produce t-0:y*500000 pid=5 seq=0
        > A t-0 at 1
        kill
        boot
        first
        > ready
        A produce t-0:y*500000 pid=5 seq=0
        > A t-0 at 1 time 1700000000000
        A fetch t-0@0
        > A t-0 [0:x*1000000] hw 2 from file
        A fetch t-0@1
        > A t-0 [1:y*500000] hw 2 from file
        A produce t-0:z*600000
        > A t-0 at 2
        A fetch t-0@2
        > A t-0 [2:z*600000] hw 3 from file
        stop
        > stopped
        kill
        boot
        first
        > ready
        A fetch t-0@0 max=1
        > A t-0 [0:x*1000000] hw 3 from file
        A fetch t-0@1 max=1
        > A t-0 [1:y*500000] hw 3 from file
        A fetch t-0@2 max=1
        > A t-0 [2:z*600000] hw 3 from file
        ",
    );
}

#[test]
fn a_kill_while_a_segment_is_created() {
    check(
        "
        create t 1 segment.bytes=1048576
        A produce t-0:x*1000000
        > A t-0 at 0
        hold open
        A produce t-0:y*500000
        kill
        boot
        first
        > ready
        A fetch t-0@0
        > A t-0 [0:x*1000000] hw 1 from file
        A fetch t-0@1
        > A t-0 [] hw 1
        A produce t-0:y*500000
        > A t-0 at 1
        ",
    );
}
