//! A full disk.

use super::check;

#[test]
fn a_full_disk_is_56_until_there_is_space() {
    check(
        "
        create t
        full
        A produce t-0:a timeout=5000
        > note: t-0: no space left: produce is refused
        B produce t-0:b
        > B t-0 error 56 start -1 (no space left)
        wait 5000
        > A t-0 error 7 start -1
        A produce t-0:c
        > A t-0 error 56 start -1 (no space left)
        wait 5000
        space
        wait 2000
        > note: t-0: space is back: produce goes on
        A produce t-0:d
        > A t-0 at 1
        A fetch t-0@0
        > A t-0 [0:a 1:d] hw 2
        ",
    );
}

#[test]
fn what_was_appended_waits_for_space() {
    check(
        "
        create t
        full
        A produce t-0:a timeout=50000
        > note: t-0: no space left: produce is refused
        wait 3000
        space
        wait 2000
        > note: t-0: space is back: produce goes on
        > A t-0 at 0
        ",
    );
}

#[test]
fn space_ahead_that_nobody_needs_yet() {
    check(
        "
        create t
        hold reserve
        A produce t-0:x*50000
        release
        > A t-0 at 0
        hold reserve write
        A produce t-0:y*40000
        full
        release newest
        > A t-0 at 1
        release
        > note: t-0: no space left: produce is refused
        A list t-0@-1
        > A t-0 at 2 ts -1 epoch 0
        A produce t-0:z
        > A t-0 error 56 start -1 (no space left)
        wait 1500
        A produce t-0:z
        > A t-0 error 56 start -1 (no space left)
        space
        wait 1500
        > note: t-0: space is back: produce goes on
        A produce t-0:d
        > A t-0 at 2
        ",
    );
}

#[test]
fn checkpoints_wait_for_space() {
    check(
        "
        create t
        A produce t-0:a
        > A t-0 at 0
        full
        wait 12000
        A produce t-0:b
        > A t-0 at 1
        ",
    );
}

#[test]
fn a_partition_without_space_is_offline_and_others_live() {
    check(
        "
        full
        create t
        > note: partition is offline: t-0: no space left to open it
        A produce t-0:a
        > A t-0 error 56 start -1
        space
        wait 3000
        A produce t-0:a
        > A t-0 error 56 start -1
        create u
        A produce u-0:a
        > A u-0 at 0
        ",
    );
}

#[test]
fn a_segment_waits_for_space_to_begin() {
    check(
        "
        create t 1 segment.bytes=1048576
        A produce t-0:x*1000000
        > A t-0 at 0
        full
        A produce t-0:y*500000 timeout=60000
        > note: t-0: no space left: produce is refused
        B produce t-0:z*500000
        > B t-0 error 56 start -1 (no space left)
        wait 3000
        B fetch t-0@0
        > B t-0 [0:x*1000000] hw 1 from file
        space
        wait 2000
        > note: t-0: space is back: produce goes on
        > A t-0 at 1
        B produce t-0:w
        > B t-0 at 2
        wait 6000
        B fetch t-0@1
        > B t-0 [1:y*500000 2:w] hw 3 from file
        show disk
        stop
        > put t-0/00000000000000000001.index
        > put t-0/00000000000000000001.timeindex
        > stopped
        ",
    );
}
