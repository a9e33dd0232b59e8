//! Fetch of what has to be looked for or comes from a file, and while segments change.

use super::check;

#[test]
fn an_idle_tail_is_read_from_the_file() {
    check(
        "
        create t
        A produce t-0:x*3000
        > A t-0 at 0
        A produce t-0:y*3000
        > A t-0 at 1
        A fetch t-0@0
        > A t-0 [0:x*3000 1:y*3000] hw 2
        wait 3000
        A fetch t-0@0
        > A t-0 [0:x*3000 1:y*3000] hw 2 from file
        A fetch t-0@1
        > A t-0 [1:y*3000] hw 2 from file
        ",
    );
}

#[test]
fn after_a_restart_a_batch_is_looked_for() {
    check(
        "
        create t
        A produce t-0:a
        > A t-0 at 0
        A produce t-0:b,c
        > A t-0 at 1
        A produce t-0:d
        > A t-0 at 3
        stop
        > stopped
        kill
        boot
        first
        > ready
        hold read
        A fetch t-0@2 wait=500
        B list t-0@-1
        > B t-0 at 4 ts -1 epoch 0
        release
        > A t-0 [1:b c 3:d] hw 4
        A fetch t-0@0 max=1
        > A t-0 [0:a] hw 4
        A fetch t-0@4
        > A t-0 [] hw 4
        ",
    );
}

#[test]
fn after_a_restart_whole_batches_come_from_the_file() {
    check(
        "
        create t 1 index.interval.bytes=1
        A produce t-0:a*9000
        > A t-0 at 0
        A produce t-0:b*9000
        > A t-0 at 1
        A produce t-0:c*9000
        > A t-0 at 2
        stop
        > stopped
        kill
        boot
        first
        > ready
        hold read
        A fetch t-0@1
        release
        > A t-0 [1:b*9000 2:c*9000] hw 3 from file
        A fetch t-0@0 max=1
        > A t-0 [0:a*9000] hw 3 from file
        A fetch t-0@2
        > A t-0 [2:c*9000] hw 3 from file
        ",
    );
}

#[test]
fn rule_3_16_a_file_that_cannot_be_read() {
    check(
        "
        create t
        A produce t-0:a
        > A t-0 at 0
        stop
        > stopped
        kill
        boot
        first
        > ready
        hold read
        A fetch t-0@0 v=11
        B fetch t-0@0 v=5
        C list t-0@0
        fail
        > note: t-0: EIO
        > A t-0 error 56
        fail
        > note: t-0: EIO
        > B t-0 error 6
        fail
        > C t-0 error 56
        D list t-0@-1
        > D t-0 at 1 ts -1 epoch 0
        ",
    );
}

#[test]
fn checklist_24_reads_while_the_next_segment_is_created() {
    check(
        "
        create t 1 segment.bytes=1048576
        A produce t-0:x*1000000
        > A t-0 at 0
        hold open
        A produce t-0:y*500000
        B fetch t-0@0
        > B t-0 [0:x*1000000] hw 1 from file
        B fetch t-0@1 wait=60000
        release
        > B t-0 [1:y*500000] hw 2 from file
        > A t-0 at 1
        B fetch t-0@0
        > B t-0 [0:x*1000000] hw 2 from file
        B fetch t-0@1
        > B t-0 [1:y*500000] hw 2 from file
        ",
    );
}

#[test]
fn checklist_24_reads_while_the_old_segment_is_finished() {
    check(
        "
        create t 1 segment.bytes=1048576
        A produce t-0:x*1000000
        > A t-0 at 0
        hold truncate flush file write
        A produce t-0:y*500000
        B fetch t-0@0
        > B t-0 [0:x*1000000] hw 1 from file
        B fetch t-0@1 wait=60000
        release newest
        > B t-0 [1:y*500000] hw 2 from file
        > A t-0 at 1
        B fetch t-0@0
        > B t-0 [0:x*1000000] hw 2 from file
        release
        C fetch t-0@0
        > C t-0 [0:x*1000000] hw 2 from file
        C fetch t-0@1
        > C t-0 [1:y*500000] hw 2 from file
        ",
    );
}

#[test]
fn checklist_24_the_next_segment_is_written_first() {
    check(
        "
        create t 1 segment.bytes=1048576
        hold write
        A produce t-0:x*1000000
        A produce t-0:y*500000
        B fetch t-0@0 wait=50000
        release newest
        release
        > A t-0 at 0
        > A t-0 at 1
        > B t-0 [0:x*1000000] hw 2 from file
        B fetch t-0@1
        > B t-0 [1:y*500000] hw 2 from file
        ",
    );
}

#[test]
fn what_waits_for_a_search_is_told_of_the_deletion() {
    check(
        "
        create t
        A produce t-0:a
        > A t-0 at 0
        stop
        > stopped
        kill
        boot
        first
        > ready
        hold read
        A fetch t-0@0 wait=500
        B list t-0@0
        C fetch t-0@0
        C gone
        delete t
        > A t-0 error 3
        > B t-0 error 3
        release
        A versions
        > A versions: error 0, 23 keys
        ",
    );
}

#[test]
fn one_unreadable_partition_does_not_hide_the_other() {
    check(
        "
        create t 2
        A produce t-0:a t-1:b
        > A t-0 at 0
        > A t-1 at 0
        stop
        > stopped
        kill
        boot
        first
        > ready
        hold read
        A fetch t-0@0 t-1@0 wait=1000
        fail
        > note: t-0: EIO
        release
        > A t-0 error 56
        > A t-1 [0:b] hw 1
        ",
    );
}
