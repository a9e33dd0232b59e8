//! ListOffsets and OffsetForLeaderEpoch.

use super::check;

#[test]
fn special_timestamps_and_times() {
    check(
        "
        create t
        A list t-0@-1 t-0@-1
        > A t-0 error 42
        > A t-0 error 42
        A list t-0@-2
        > A t-0 at 0 ts -1 epoch 0
        A list t-0@-1
        > A t-0 at 0 ts -1 epoch 0
        A list t-0@-3 v=7
        > A t-0 at -1 ts -1 epoch -1
        A list t-0@-4 v=8
        > A t-0 at 0 ts -1 epoch 0
        A list t-0@-5 v=9
        > A t-0 at -1 ts -1 epoch -1
        A list t-0@0
        > A t-0 at -1 ts -1 epoch -1
        A produce t-0:a@5,b@7
        > A t-0 at 0
        A list t-0@-1
        > A t-0 at 2 ts -1 epoch 0
        A list t-0@-2
        > A t-0 at 0 ts -1 epoch 0
        A list t-0@-3
        > A t-0 at 1 ts 7 epoch 0
        A list t-0@-4 v=8
        > A t-0 at 0 ts -1 epoch 0
        A list t-0@-5 v=9
        > A t-0 at -1 ts -1 epoch -1
        A list t-0@6
        > A t-0 at 1 ts 7 epoch 0
        A list t-0@5
        > A t-0 at 0 ts 5 epoch 0
        A list t-0@8
        > A t-0 at -1 ts -1 epoch -1
        A list t-0@-1 v=1
        > A t-0 at 2 ts -1 epoch -1
        ",
    );
}

#[test]
fn rule_4_2_duplicates_are_42_and_unknown_ones_3() {
    check(
        "
        create t 2
        A list t-0@-1 t-1@-1 t-0@-2
        > A t-0 error 42
        > A t-1 at 0 ts -1 epoch 0
        > A t-0 error 42
        A list nope-0@-1 t-9@-1
        > A nope-0 error 3
        > A t-9 error 3
        ",
    );
}

#[test]
fn rule_4_1_versions_that_do_not_know_a_timestamp() {
    check(
        "
        create t
        A list t-0@-3 v=6
        > A t-0 error 35
        A list t-0@-4 v=7
        > A t-0 error 35
        A list t-0@-5 v=8
        > A t-0 error 35
        A list t-0@-6 v=9
        > A t-0 error 35
        A list t-0@-6 v=10
        > A t-0 error 35
        ",
    );
}

#[test]
fn rule_4_7_the_exact_record_in_a_compressed_batch() {
    check(
        "
        create t
        A produce t-0:a@5,b@9,c@7 codec=gzip
        > A t-0 at 0
        A produce t-0:d@8,e@9,f@9 codec=zstd
        > A t-0 at 3
        A list t-0@6
        > A t-0 at 1 ts 9 epoch 0
        A list t-0@9
        > A t-0 at 1 ts 9 epoch 0
        A list t-0@-3
        > A t-0 at 1 ts 9 epoch 0
        A list t-0@10
        > A t-0 at -1 ts -1 epoch -1
        ",
    );
}

#[test]
fn rule_4_4_nothing_above_the_high_watermark() {
    check(
        "
        create t
        A produce t-0:a@5
        > A t-0 at 0
        hold write
        B produce t-0:b@9
        A list t-0@-1
        > A t-0 at 1 ts -1 epoch 0
        A list t-0@8
        > A t-0 at -1 ts -1 epoch -1
        A list t-0@-3
        > A t-0 at -1 ts -1 epoch -1
        release
        > B t-0 at 1
        A list t-0@8
        > A t-0 at 1 ts 9 epoch 0
        ",
    );
}

#[test]
fn a_large_search_goes_on_later() {
    check(
        "
        create t
        A produce t-0:bomb codec=gzip
        > A t-0 at 0
        hold again
        A list t-0@-3
        > A t-0 at 0 ts 1700000000000 epoch 0
        B list t-0@-1
        > B t-0 at 1000 ts -1 epoch 0
        release
        ",
    );
}

#[test]
fn where_epochs_end() {
    check(
        "
        create t
        A epochs t-0@0
        > A t-0 epoch 0 ends 0
        A produce t-0:a,b
        > A t-0 at 0
        epoch t 5
        A produce t-0:c
        > A t-0 at 2
        A epochs t-0@0
        > A t-0 epoch 0 ends 2
        A epochs t-0@3
        > A t-0 epoch 0 ends 2
        A epochs t-0@5
        > A t-0 epoch 5 ends 3
        A epochs t-0@6
        > A t-0 epoch -1 ends -1
        A epochs t-9@0 nope-0@0
        > A t-9 error 3
        > A nope-0 error 3
        ",
    );
}
