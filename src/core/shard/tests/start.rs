//! Start, publications, topics that come and go.

use super::{check, check_from_nothing};

#[test]
fn the_marker_goes_first_and_comes_last() {
    check_from_nothing(
        "
        show disk ctl
        boot
        > remove .kafka_cleanshutdown
        first
        > applied 1
        > ready
        create t
        > mkdir t-0
        > put t-0/partition.metadata
        > applied 2
        stop
        > put t-0/00000000000000000000.index
        > put t-0/00000000000000000000.timeindex
        > put t-0/leader-epoch-checkpoint
        > put recovery-point-offset-checkpoint
        > put log-start-offset-checkpoint
        > put replication-offset-checkpoint
        > put .kafka_cleanshutdown
        > told ctl
        > stopped
        kill
        boot
        > remove .kafka_cleanshutdown
        first
        > applied 3
        > ready
        ls
        > log-start-offset-checkpoint
        > recovery-point-offset-checkpoint
        > replication-offset-checkpoint
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
fn nothing_is_served_before_the_marker_is_gone() {
    check_from_nothing(
        "
        boot
        first
        > ready
        create t
        stop
        > stopped
        kill
        show ctl
        hold remove
        boot
        first
        release
        > applied 3
        > ready
        ",
    );
}

#[test]
fn an_unclean_start_waits_for_the_next_epoch() {
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
        > remove .kafka_cleanshutdown
        first
        > applied 3, unclean
        epoch t 1
        > applied 4
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
fn strays_are_set_aside_and_deleted_ones_removed() {
    check_from_nothing(
        "
        plant gone-0/x
        plant other-1/y
        plant junk/z
        plant __cluster_metadata-0/q
        plant dead-0.0123456789abcdef0123456789abcdef-delete/x
        show disk ctl
        hold rename
        boot
        > remove .kafka_cleanshutdown
        > remove dead-0.0123456789abcdef0123456789abcdef-delete
        first
        > note: gone-0 is not in the metadata: renamed to gone-0.abababababababababababababababab-stray; remove it by hand
        > note: other-1 is not in the metadata: renamed to other-1.abababaaabababababababababababab-stray; remove it by hand
        > rename gone-0 gone-0.abababababababababababababababab-stray
        > rename other-1 other-1.abababaaabababababababababababab-stray
        release
        > put recovery-point-offset-checkpoint
        > put log-start-offset-checkpoint
        > put replication-offset-checkpoint
        > applied 1
        > ready
        ls
        > __cluster_metadata-0/
        > __cluster_metadata-0/q
        > gone-0.abababababababababababababababab-stray/
        > gone-0.abababababababababababababababab-stray/x
        > junk/
        > junk/z
        > log-start-offset-checkpoint
        > other-1.abababaaabababababababababababab-stray/
        > other-1.abababaaabababababababababababab-stray/y
        > recovery-point-offset-checkpoint
        > replication-offset-checkpoint
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
        > put recovery-point-offset-checkpoint
        > put log-start-offset-checkpoint
        > put replication-offset-checkpoint
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
        > put recovery-point-offset-checkpoint
        > put log-start-offset-checkpoint
        > put replication-offset-checkpoint
        > remove t-0.01010101010101010101010101010101-delete
        ls
        > log-start-offset-checkpoint
        > recovery-point-offset-checkpoint
        > replication-offset-checkpoint
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
        > put recovery-point-offset-checkpoint
        > put log-start-offset-checkpoint
        > put replication-offset-checkpoint
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
        > put recovery-point-offset-checkpoint
        > put log-start-offset-checkpoint
        > put replication-offset-checkpoint
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
        epoch t 1
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
        epoch t 1
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

#[test]
fn a_topic_waits_until_a_stray_has_left_its_name() {
    check_from_nothing(
        "
        plant t-0/x
        hold rename
        boot
        first
        > note: t-0 is not in the metadata: renamed to t-0.abababababababababababababababab-stray; remove it by hand
        create t
        A produce t-0:a
        > A t-0 error 3 start -1
        release
        > ready
        A produce t-0:b
        > A t-0 at 0
        ls
        > log-start-offset-checkpoint
        > recovery-point-offset-checkpoint
        > replication-offset-checkpoint
        > t-0.abababababababababababababababab-stray/
        > t-0.abababababababababababababababab-stray/x
        > t-0/
        > t-0/00000000000000000000.log
        > t-0/leader-epoch-checkpoint
        > t-0/partition.metadata
        ",
    );
}
