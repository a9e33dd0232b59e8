//! Fetch of what is in memory: waiting, sizes, errors.

use super::check;

#[test]
fn rule_3_4_a_write_wakes_and_an_append_does_not() {
    check(
        "
        create t
        A fetch t-0@0 wait=500
        hold write
        B produce t-0:a
        release
        > A t-0 [0:a] hw 1
        > B t-0 at 0
        ",
    );
}

#[test]
fn rule_3_3_time_is_up() {
    check(
        "
        create t
        A fetch t-0@0 wait=500
        wait 499
        wait 1
        > A t-0 [] hw 0
        ",
    );
}

#[test]
fn rule_3_3_enough_bytes() {
    check(
        "
        create t
        A fetch t-0@0 wait=500 min=150
        B produce t-0:a
        > B t-0 at 0
        B produce t-0:b
        > B t-0 at 1
        B produce t-0:c
        > A t-0 [0:a 1:b 2:c] hw 3
        > B t-0 at 2
        ",
    );
}

#[test]
fn rule_3_21_one_byte_gives_one_batch() {
    check(
        "
        create t
        A produce t-0:a
        > A t-0 at 0
        A produce t-0:b
        > A t-0 at 1
        A fetch t-0@0 max=0
        > A t-0 [0:a] hw 2
        A fetch t-0@0 max=1
        > A t-0 [0:a] hw 2
        A fetch t-0@1 pmax=0
        > A t-0 [1:b] hw 2
        A fetch t-0@0 max=100
        > A t-0 [0:a +31 bytes] hw 2
        A fetch t-0@2 max=0 wait=500
        > A t-0 [] hw 2
        ",
    );
}

#[test]
fn rule_3_2_the_first_partition_with_data_gives_a_whole_batch() {
    check(
        "
        create t 3
        A produce t-0:a t-1:b t-2:c
        > A t-0 at 0
        > A t-1 at 0
        > A t-2 at 0
        A fetch t-0@1 t-1@0 t-2@0 max=1
        > A t-0 [] hw 1
        > A t-1 [0:b] hw 1
        > A t-2 [] hw 1
        A fetch t-2@0 t-1@0 pmax=1
        > A t-2 [0:c] hw 1
        > A t-1 [] hw 1
        A fetch t-0@0 t-1@0 t-2@0 max=80
        > A t-0 [0:a] hw 1
        > A t-1 [] hw 1
        > A t-2 [] hw 1
        ",
    );
}

#[test]
fn rule_3_6_out_of_range_and_rule_3_5_batches_are_whole() {
    check(
        "
        create t
        A produce t-0:a,b
        > A t-0 at 0
        A fetch t-0@3
        > A t-0 error 1
        A fetch t-0@-1
        > A t-0 error 1
        A fetch t-0@1
        > A t-0 [0:a b] hw 2
        A fetch t-0@2
        > A t-0 [] hw 2
        ",
    );
}

#[test]
fn rule_3_6_between_high_watermark_and_end() {
    check(
        "
        create t
        A produce t-0:a
        > A t-0 at 0
        hold write
        B produce t-0:b
        A fetch t-0@1
        > A t-0 [] hw 1
        A fetch t-0@2
        > A t-0 [] hw 1
        A fetch t-0@3
        > A t-0 error 1
        ",
    );
}

#[test]
fn rule_3_9_leader_epochs() {
    check(
        "
        create t
        epoch t 3
        A fetch t-0@0 epoch=2
        > A t-0 error 74
        A fetch t-0@0 epoch=4
        > A t-0 error 75
        A fetch t-0@0 epoch=3
        > A t-0 [] hw 0
        A fetch t-0@0
        > A t-0 [] hw 0
        A list t-0@-1 epoch=2
        > A t-0 error 74
        A list t-0@-1 epoch=4
        > A t-0 error 75
        A epochs t-0@0 epoch=2
        > A t-0 error 74
        A epochs t-0@0 epoch=4
        > A t-0 error 75
        ",
    );
}

#[test]
fn rule_3_10_logs_that_parted() {
    check(
        "
        create t
        A produce t-0:a
        > A t-0 at 0
        epoch t 5
        A produce t-0:b
        > A t-0 at 1
        A fetch t-0@2 last=0 v=12
        > A t-0 parts from epoch 0 at 1
        A fetch t-0@1 last=0 v=12
        > A t-0 [1:b] hw 2
        A fetch t-0@2 last=3 v=12
        > A t-0 parts from epoch 0 at 1
        A fetch t-0@2 last=9 v=12
        > A t-0 error 1
        A fetch t-0@2 last=5 v=12
        > A t-0 [] hw 2
        ",
    );
}

#[test]
fn rule_3_12_no_session_is_kept() {
    check(
        "
        create t
        A fetch t-0@0 session=7
        > A fetched nothing, error 70
        A fetch t-0@0 v=4
        > A t-0 [] hw 0
        A fetch t-0@0 v=18
        > A t-0 [] hw 0
        ",
    );
}

#[test]
fn rule_3_11_unknown_topics() {
    check(
        "
        create t
        A fetch nope-0@0 t-5@0 wait=500
        > A nope-0 error 3
        > A t-5 error 3
        A fetch nope-0@0 t-0@0 wait=500 v=13
        > A nope-0 error 100
        > A t-0 [] hw 0
        A fetch
        > A fetched nothing, error 0
        ",
    );
}

#[test]
fn rule_3_18_followers_are_sent_away() {
    check(
        "
        create t
        A fetch t-0@0 replica=2 wait=500
        > A t-0 error 6
        A fetch t-0@0 replica=2 v=15
        > A t-0 error 6
        ",
    );
}

#[test]
fn the_same_partition_twice_the_last_wins() {
    check(
        "
        create t 2
        A produce t-0:a t-1:b
        > A t-0 at 0
        > A t-1 at 0
        A fetch t-0@0 t-1@0 t-0@1
        > A t-0 [] hw 1
        > A t-1 [0:b] hw 1
        A fetch t-0@0 t-0@9
        > A t-0 error 1
        ",
    );
}

#[test]
fn rule_3_8_committed_alone_is_everything_here() {
    check(
        "
        create t
        A produce t-0:a
        > A t-0 at 0
        A fetch t-0@0 committed=1
        > A t-0 [0:a] hw 1
        ",
    );
}

#[test]
fn rule_3_3_a_deleted_topic_wakes() {
    check(
        "
        create t
        A fetch t-0@0 wait=5000
        B fetch t-0@0 wait=5000 v=13
        delete t
        > A t-0 error 3
        > B t-0 error 3
        A fetch t-0@0 v=13
        > A t-0 error 100
        ",
    );
}
