//! When a produce is answered: writes held, failed and reordered, time-outs, overlap, back-pressure.

use super::check;

#[test]
fn acks_1_and_all_wait_alike_for_the_write() {
    check(
        "
        create t
        hold write
        A produce t-0:a acks=1
        B produce t-0:b acks=-1
        release
        > A t-0 at 0
        > B t-0 at 1
        ",
    );
}

#[test]
fn a_failed_write_ends_the_shard_and_every_waiting_produce() {
    check(
        "
        create t 2
        hold write
        A produce t-0:a
        B produce t-1:b t-0:c
        fail
        > A t-0 error 56 start -1
        > B t-1 error 56 start -1
        > B t-0 error 56 start -1
        > halt: the log directory is offline: t-0: EIO
        A produce t-0:d
        ",
    );
}

#[test]
fn a_failed_write_of_one_partition_takes_all_with_it() {
    check(
        "
        create t 2
        A produce t-0:a
        > A t-0 at 0
        hold write
        A produce t-1:b acks=0
        B produce t-1:c acks=1
        C fetch t-1@0 wait=60000
        fail
        > B t-1 error 56 start -1
        > halt: the log directory is offline: t-1: EIO
        ",
    );
}

#[test]
fn a_failed_reservation_is_no_better() {
    check(
        "
        create t
        hold reserve
        A produce t-0:a
        fail
        > A t-0 error 56 start -1
        > halt: the log directory is offline: t-0: EIO
        ",
    );
}

#[test]
fn rule_2_5_a_produce_that_takes_too_long_is_7_and_stays() {
    check(
        "
        create t
        hold write
        A produce t-0:a timeout=1500
        wait 1499
        wait 1
        > A t-0 error 7 start -1
        release
        A fetch t-0@0
        > A t-0 [0:a] hw 1
        ",
    );
}

#[test]
fn no_produce_has_less_than_a_second() {
    check(
        "
        create t
        hold write
        A produce t-0:a timeout=0
        wait 900
        release
        > A t-0 at 0
        hold write
        A produce t-0:b timeout=0
        wait 1000
        > A t-0 error 7 start -1
        ",
    );
}

#[test]
fn produces_of_a_connection_overlap_and_are_answered_in_order() {
    check(
        "
        create t 2
        hold write
        A produce t-0:a
        A produce t-1:b
        A produce t-0:c
        A list t-0@-1
        release newest
        release
        > A t-0 at 0
        > A t-1 at 0
        > A t-0 at 1
        > A t-0 at 2 ts -1 epoch 0
        ",
    );
}

#[test]
fn writes_completed_out_of_order_are_answered_in_order() {
    check(
        "
        create t 2
        hold write
        A produce t-0:a
        A produce t-1:b
        B produce t-1:c
        release newest
        release
        > A t-0 at 0
        > A t-1 at 0
        > B t-1 at 1
        ",
    );
}

#[test]
fn other_requests_wait_for_the_produces_before_them() {
    check(
        "
        create t
        hold write
        A produce t-0:a
        A fetch t-0@0
        A produce t-0:b
        release
        > A t-0 at 0
        > A t-0 [0:a] hw 1
        > A t-0 at 1
        ",
    );
}

#[test]
fn a_large_check_goes_on_later_and_lets_others_pass() {
    check(
        "
        create t
        hold again
        A produce t-0:bomb codec=gzip
        A produce t-0:b
        B produce t-0:c
        > B t-0 at 0
        B list t-0@-1
        > B t-0 at 1 ts -1 epoch 0
        release
        > A t-0 at 1
        > A t-0 at 1001
        C list t-0@-1
        > C t-0 at 1002 ts -1 epoch 0
        ",
    );
}

#[test]
fn a_produce_outlives_its_client() {
    check(
        "
        create t
        hold write
        A produce t-0:a
        A gone
        release
        B fetch t-0@0
        > B t-0 [0:a] hw 1
        ",
    );
}

#[test]
fn a_check_outlives_its_client() {
    check(
        "
        create t
        hold again
        A produce t-0:bomb codec=gzip
        A gone
        release
        B list t-0@-1
        > B t-0 at 1000 ts -1 epoch 0
        ",
    );
}

#[test]
fn rule_2_20_a_deleted_topic_answers_what_waits() {
    check(
        "
        create t
        hold write
        A produce t-0:a
        B produce t-0:b acks=0
        delete t
        > A t-0 error 3 start -1
        release
        ",
    );
}

#[test]
fn rule_2_20_a_batch_checked_meanwhile_does_not_land_in_the_next_topic() {
    check(
        "
        create t
        hold again
        A produce t-0:bomb codec=gzip v=13
        delete t
        create t
        release
        > A t-0 error 3 start -1
        B fetch t-0@0
        > B t-0 [] hw 0
        ",
    );
}

#[test]
fn what_is_unwritten_is_bounded_and_goes_on_in_order() {
    check(
        "
        create t 1 max.message.bytes=50000000
        hold write
        A produce t-0:x*45000000
        B produce t-0:x*45000000
        C produce t-0:x*45000000
        D produce t-0:d
        E produce t-0:e
        D list t-0@-1
        F fetch t-0@3
        > F t-0 [] hw 0
        F fetch t-0@4
        > F t-0 error 1
        release
        > A t-0 at 0
        > B t-0 at 1
        > C t-0 at 2
        > D t-0 at 3
        > D t-0 at 5 ts -1 epoch 0
        > E t-0 at 4
        F list t-0@-1
        > F t-0 at 5 ts -1 epoch 0
        ",
    );
}

#[test]
fn a_new_epoch_begins_behind_what_is_unwritten() {
    check(
        "
        create t
        hold write
        A produce t-0:a
        epoch t 4
        B produce t-0:b
        release
        > A t-0 at 0
        > B t-0 at 1
        A epochs t-0@0 t-0@4
        > A t-0 epoch 0 ends 1
        > A t-0 epoch 4 ends 2
        A list t-0@0 t-0@-3
        > A t-0 error 42
        > A t-0 error 42
        ",
    );
}

#[test]
fn a_write_in_flight_ends_in_the_deleted_directory() {
    check(
        "
        create t
        hold write
        A produce t-0:x*100000
        delete t
        > A t-0 error 3 start -1
        create t
        release
        A produce t-0:a
        > A t-0 at 0
        A fetch t-0@0
        > A t-0 [0:a] hw 1
        wait 70000
        A fetch t-0@0
        > A t-0 [0:a] hw 1
        ",
    );
}

#[test]
fn a_segment_being_created_ends_in_the_deleted_directory() {
    check(
        "
        create t 1 segment.bytes=1048576
        A produce t-0:x*1000000
        > A t-0 at 0
        hold open
        A produce t-0:y*500000
        delete t
        > A t-0 error 3 start -1
        release
        create t
        A produce t-0:a
        > A t-0 at 0
        ",
    );
}
