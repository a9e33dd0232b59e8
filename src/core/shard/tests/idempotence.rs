//! Idempotent producers: duplicates, gaps, epochs, restarts.

use super::{check, check_from_nothing};

#[test]
fn rule_2_8_a_duplicate_has_its_first_offset_and_time() {
    check(
        "
        create t
        A produce t-0:a,b@9 pid=5 seq=0
        > A t-0 at 0
        A produce t-0:c pid=5 seq=2
        > A t-0 at 2
        A produce t-0:a,b@9 pid=5 seq=0
        > A t-0 at 0 time 1700000000000
        A produce t-0:c pid=5 seq=2
        > A t-0 at 2 time 1700000000000
        A produce t-0:q pid=5 seq=1
        > A t-0 error 45 start 0 (sequence 1 of producer 5 does not follow Some(2))
        A produce t-0:q pid=5 seq=5
        > A t-0 error 45 start 0 (sequence 5 of producer 5 does not follow Some(2))
        A fetch t-0@0
        > A t-0 [0:a b 2:c] hw 3
        ",
    );
}

#[test]
fn rule_2_8_five_batches_are_remembered() {
    check(
        "
        create t
        A produce t-0:a pid=5 seq=0
        > A t-0 at 0
        A produce t-0:b pid=5 seq=1
        > A t-0 at 1
        A produce t-0:c pid=5 seq=2
        > A t-0 at 2
        A produce t-0:d pid=5 seq=3
        > A t-0 at 3
        A produce t-0:e pid=5 seq=4
        > A t-0 at 4
        A produce t-0:a pid=5 seq=0
        > A t-0 at 0 time 1700000000000
        A produce t-0:f pid=5 seq=5
        > A t-0 at 5
        A produce t-0:a pid=5 seq=0
        > A t-0 error 45 start 0 (sequence 0 of producer 5 does not follow Some(5))
        A produce t-0:b pid=5 seq=1
        > A t-0 at 1 time 1700000000000
        ",
    );
}

#[test]
fn an_old_epoch_is_47_and_a_new_one_starts_at_0() {
    check(
        "
        create t
        A produce t-0:a pid=5 seq=7
        > A t-0 at 0
        A produce t-0:a pid=6 epoch=3 seq=0
        > A t-0 at 1
        A produce t-0:a pid=6 epoch=2 seq=1
        > A t-0 error 47 start 0 (epoch 2 of producer 6 is older than 3)
        A produce t-0:a pid=6 epoch=4 seq=1
        > A t-0 error 45 start 0 (sequence 1 of producer 6 does not follow Some(0))
        A produce t-0:a pid=6 epoch=4 seq=0
        > A t-0 at 2
        ",
    );
}

#[test]
fn a_duplicate_waits_for_the_write_of_the_first() {
    check(
        "
        create t
        hold write
        A produce t-0:a pid=5 seq=0
        B produce t-0:a pid=5 seq=0
        release
        > A t-0 at 0
        > B t-0 at 0 time 1700000000000
        ",
    );
}

#[test]
fn each_partition_knows_its_producers() {
    check(
        "
        create t 2
        A produce t-0:a t-1:a pid=5 seq=0
        > A t-0 at 0
        > A t-1 at 0
        A produce t-0:a t-1:a pid=5 seq=0
        > A t-0 at 0 time 1700000000000
        > A t-1 at 0 time 1700000000000
        ",
    );
}

#[test]
fn a_clean_restart_keeps_producers() {
    check(
        "
        create t
        A produce t-0:a pid=5 seq=0
        > A t-0 at 0
        A produce t-0:b pid=5 seq=1
        > A t-0 at 1
        stop
        > stopped
        kill
        boot
        first
        > ready
        A produce t-0:b pid=5 seq=1
        > A t-0 at 1 time 1700000000000
        A produce t-0:d pid=5 seq=3
        > A t-0 error 45 start 0 (sequence 3 of producer 5 does not follow Some(1))
        A produce t-0:c pid=5 seq=2
        > A t-0 at 2
        ",
    );
}

#[test]
fn a_kill_keeps_producers() {
    check(
        "
        create t
        A produce t-0:a pid=5 seq=0
        > A t-0 at 0
        A produce t-0:b pid=5 seq=1
        > A t-0 at 1
        kill
        boot
        first
        > ready
        A produce t-0:b pid=5 seq=1
        > A t-0 at 1 time 1700000000000
        A produce t-0:c pid=5 seq=2
        > A t-0 at 2
        ",
    );
}

#[test]
fn a_retry_after_a_time_out_is_not_written_twice() {
    check(
        "
        create t
        A produce t-0:a pid=5 seq=0
        > A t-0 at 0
        hold write
        A produce t-0:b pid=5 seq=1 timeout=1000
        wait 1000
        > A t-0 error 7 start -1
        A produce t-0:b pid=5 seq=1 timeout=9000
        release
        > A t-0 at 1 time 1700000000000
        ",
    );
}

#[test]
fn two_clean_restarts_keep_producers() {
    check_from_nothing(
        "
        boot
        first
        > ready
        create t 3
        A produce t-0:a t-1:b t-2:c pid=9 seq=0
        > A t-0 at 0
        > A t-1 at 0
        > A t-2 at 0
        stop
        > stopped
        kill
        boot
        first
        > ready
        stop
        > stopped
        kill
        boot
        first
        > ready
        A produce t-0:a t-1:b t-2:c pid=9 seq=0
        > A t-0 at 0 time 1700000000000
        > A t-1 at 0 time 1700000000000
        > A t-2 at 0 time 1700000000000
        A produce t-0:a t-1:b t-2:c pid=9 seq=1
        > A t-0 at 1
        > A t-1 at 1
        > A t-2 at 1
        A fetch t-0@0 t-1@0 t-2@0
        > A t-0 [0:a 1:a] hw 2
        > A t-1 [0:b 1:b] hw 2
        > A t-2 [0:c 1:c] hw 2
        ",
    );
}
