//! Produce: what is refused and how, and what an answer says.

use super::check;

#[test]
fn rule_2_1_acks_0_is_silent_and_closes_on_error() {
    check(
        "
        create t
        A produce t-0:a acks=0
        A produce t-0:b acks=1
        > A t-0 at 1
        A produce t-9:c acks=0
        > A closed: a produce with acks=0 failed
        B produce t-0:broken acks=0
        > B closed: a produce with acks=0 failed
        ",
    );
}

#[test]
fn rule_2_1_acks_0_waits_for_no_write() {
    check(
        "
        create t
        hold write
        A produce t-0:a acks=0
        A list t-0@-1
        > A t-0 at 0 ts -1 epoch 0
        release
        A list t-0@-1
        > A t-0 at 1 ts -1 epoch 0
        ",
    );
}

#[test]
fn rule_2_2_bad_acks_are_21_but_3_without_the_partition() {
    check(
        "
        create t
        A produce t-0:a acks=2
        > A t-0 error 21 start -1
        A produce t-0:a t-7:a nope-0:a acks=-2
        > A t-0 error 21 start -1
        > A t-7 error 3 start -1
        > A nope-0 error 3 start -1
        ",
    );
}

#[test]
fn rule_2_12_unknown_topics_are_3_or_100_by_version() {
    check(
        "
        create t
        A produce nope-0:a t-5:a
        > A nope-0 error 3 start -1
        > A t-5 error 3 start -1
        A produce nope-0:a t-5:a v=13
        > A nope-0 error 100 start -1
        > A t-5 error 3 start -1
        A produce t-0:a v=13
        > A t-0 at 0
        A produce nope-0:a v=3
        > A nope-0 error 3 start -1
        ",
    );
}

#[test]
fn rule_2_16_internal_topics_are_written_by_the_admin_client_alone() {
    check(
        "
        create __consumer_offsets
        A produce __consumer_offsets-0:a
        > A __consumer_offsets-0 error 17 start -1
        A produce __consumer_offsets-0:a client=__admin_client
        > A __consumer_offsets-0 at 0
        A produce __cluster_metadata-0:a
        > A __cluster_metadata-0 error 3 start -1
        ",
    );
}

#[test]
fn rule_2_19_no_records_are_answered_with_an_error() {
    check(
        "
        create t
        A produce t-0:null
        > A t-0 error 87 start -1 (the partition has no records)
        A produce t-0:none
        > A t-0 error 87 start -1
        A produce t-0:a
        > A t-0 at 0
        ",
    );
}

#[test]
fn rule_2_19_no_topics_give_an_empty_answer() {
    check(
        "
        create t
        A produce v=9
        > A produced nothing
        A produce acks=0
        A produce t-0:a acks=0
        A produce t-0:b
        > A t-0 at 1
        ",
    );
}

#[test]
fn the_same_partition_twice_the_last_wins() {
    check(
        "
        create t 2
        A produce t-0:a t-1:x t-0:b
        > A t-0 at 0
        > A t-1 at 0
        A fetch t-0@0
        > A t-0 [0:b] hw 1
        ",
    );
}

#[test]
fn rule_2_10_records_at_fault_are_named_from_v8_on() {
    check(
        "
        create t 1 cleanup.policy=compact
        A produce t-0:a,b
        > A t-0 error 87 start 0 (One or more records have been rejected: invalid record, 2 in total) 0: a compacted topic takes no record without a key 1: a compacted topic takes no record without a key
        A produce t-0:a v=7
        > A t-0 error 87 start 0
        ",
    );
}

#[test]
fn rule_2_10_timestamps_at_fault_win() {
    check(
        "
        create t 1 message.timestamp.after.max.ms=1000 message.timestamp.before.max.ms=1000
        A produce t-0:a@1700000000000,b@1700000009000,c@5
        > A t-0 error 32 start 0 (One or more records have been rejected: invalid timestamp, 2 in total) 1: timestamp 1700000009000 is not within [1699999999000, 1700000001000] 2: timestamp 5 is not within [1699999999000, 1700000001000]
        ",
    );
}

#[test]
fn rule_2_17_a_batch_may_be_as_large_as_the_topic_says() {
    check(
        "
        create t 1 max.message.bytes=200
        A produce t-0:x*300
        > A t-0 error 10 start -1
        A produce t-0:x*100
        > A t-0 at 0
        ",
    );
}

#[test]
fn a_batch_fits_a_segment() {
    check(
        "
        create t 1 segment.bytes=1048576 max.message.bytes=2000000
        A produce t-0:a
        > A t-0 at 0
        A produce t-0:x*1100000
        > A t-0 error 18 start -1 (the batch is larger than segment.bytes)
        ",
    );
}

#[test]
fn a_corrupt_batch_is_2_and_two_batches_are_87() {
    check(
        "
        create t
        A produce t-0:a
        > A t-0 at 0
        A produce t-0:broken
        > A t-0 error 2 start -1
        A produce t-0:twice
        > A t-0 error 87 start -1
        A produce t-0:b
        > A t-0 at 1
        ",
    );
}

#[test]
fn rule_2_9_log_append_time_is_answered() {
    check(
        "
        create t 1 message.timestamp.type=LogAppendTime
        A produce t-0:a@5,b@6
        > A t-0 at 0 time 1700000000000
        wait 10
        A produce t-0:c@7
        > A t-0 at 2 time 1700000000010
        A list t-0@1700000000001
        > A t-0 at 2 ts 1700000000010 epoch 0
        ",
    );
}

#[test]
fn zstd_from_v7_on() {
    check(
        "
        create t
        A produce t-0:a codec=zstd v=6
        > A t-0 error 76 start -1
        A produce t-0:a codec=zstd v=7
        > A t-0 at 0
        ",
    );
}

#[test]
fn transactional_batches_have_no_transaction_to_belong_to() {
    check(
        "
        create t
        A produce t-0:a txn=x pid=5 v=9
        > A t-0 error 48 start -1
        A produce t-0:a txn=x pid=5 v=11
        > A t-0 error 120 start -1
        A produce t-0:a txn=x pid=5 v=12
        > A t-0 error 49 start -1
        ",
    );
}

#[test]
fn a_config_holds_from_the_next_batch_on() {
    check(
        "
        create t
        A produce t-0:x*300
        > A t-0 at 0
        config t max.message.bytes=200
        A produce t-0:x*300
        > A t-0 error 10 start -1
        ",
    );
}
