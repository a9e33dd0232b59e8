//! OffsetCommit, OffsetFetch, OffsetDelete, and offsets that go.

use super::generations::PAIR;
use super::{check, check_with};
use crate::types::Millis;

fn pair(text: &str) {
    let mut script = super::Script::new(super::config());
    script.run(PAIR);
    script.run(text);
}

#[test]
fn rule_7_1_who_is_no_member_commits_to_an_empty_group() {
    check(
        "
        show
        A commit gen=-1 t-0=5/mine t-1=6 u-0=7
        > + g t-0=5 at 0
        > + g t-1=6 at 0
        > + g u-0=7 at 0
        > A committed t-0:0 t-1:0 u-0:0
        A list
        > A list g::Empty
        A fetch t-0 t-2 v-0
        > A fetched t-0=5/mine t-2=-1 v-0=-1
        A fetch
        > A fetched t-0=5/mine t-1=6 u-0=7
        # back, and further on than anything
        A commit gen=-1 t-0=1 t-1=9999999
        > + g t-0=1 at 0
        > + g t-1=9999999 at 0
        > A committed t-0:0 t-1:0
        reload
        A fetch
        > A fetched t-0=1 t-1=9999999 u-0=7
        A fetch group=other t-0
        > A fetched t-0=-1
        A fetch group=other
        > A fetched
        ",
    );
}

#[test]
fn rule_7_1_who_is_no_member_does_not_commit_to_others() {
    check(
        "
        # API files tell this as 22 up to v8
        A commit gen=3 id=x t-0=1
        > A committed t-0:69
        ",
    );
    pair(
        "
        C commit gen=-1 t-0=1
        > C committed t-0:25
        C commit gen=-1 id=a1 t-0=1
        > C committed t-0:22
        C commit gen=2 id=stranger t-0=1
        > C committed t-0:25
        C commit gen=2 id=a1 static=i t-0=1
        > C committed t-0:25
        C commit gen=1 id=a1 t-0=1
        > C committed t-0:22
        C commit gen=2 id=a1 t-0=1
        > C committed t-0:0
        ",
    );
}

#[test]
fn rule_7_2_commits_during_a_rebalance() {
    pair(
        "
        B join p=range/n
        # to hand over what it read
        A commit t-0=5
        > A committed t-0:0
        A join
        > A joined 3 as a1 by range leader a1 a1=m b1=n
        > B joined 3 as b1 by range leader a1
        A commit t-0=6
        > A committed t-0:27
        A commit t-0=6 gen=2
        > A committed t-0:22
        A fetch t-0
        > A fetched t-0=5
        ",
    );
}

#[test]
fn rule_7_3_words_that_are_too_long_are_refused_each() {
    check_with(
        |config| config.offset_metadata_bytes_max = 4,
        "
        A commit gen=-1 t-0=5/12345 t-1=6/1234 t-2=7/üüüü t-3=8/üüüüü
        > A committed t-0:12 t-1:0 t-2:0 t-3:12
        A fetch
        > A fetched t-1=6/1234 t-2=7/üüüü
        ",
    );
}

#[test]
fn rule_7_8_offsets_of_topics_that_are_read_stay() {
    check(
        "
        A drop t-0
        > A dropped error 69
        A join old p=range/@t+u
        > A joined 1 as a1 by range leader a1 a1=\u{0}\u{1}\u{0}\u{0}\u{0}\u{2}\u{0}\u{1}t\u{0}\u{1}u\u{fffd}\u{fffd}\u{fffd}\u{fffd}
        A sync
        > A synced \"\"
        A commit t-0=1 u-0=2 v-0=3
        > A committed t-0:0 u-0:0 v-0:0
        show
        A drop t-0 v-0 v-1 w-0
        > - g v-0
        > A dropped t-0:86 v-0:0 v-1:0 w-0:0
        A fetch
        > A fetched t-0=1 u-0=2
        A leave
        > + g gen 2 consumer: leader nobody at 0
        > A left 0 a1:0
        A drop t-0
        > - g t-0
        > A dropped t-0:0
        ",
    );
    pair(
        "
        # a member's metadata that makes no sense: nobody knows what it reads
        A drop t-0
        > A dropped t-0:86
        ",
    );
    check(
        "
        A join old type=connect
        > A joined 1 as a1 by range leader a1 a1=m
        A drop t-0
        > A dropped error 68
        ",
    );
}

#[test]
fn rule_7_7_offsets_expire() {
    check_with(
        |config| config.offsets_retention = Millis(1000),
        "
        show
        A commit gen=-1 t-0=1
        > + g t-0=1 at 0
        > A committed t-0:0
        A commit gen=-1 t-1=1 keep=5000
        > + g t-1=1 at 0
        > A committed t-1:0
        wait 999
        expire
        wait 1
        expire
        > - g t-0
        wait 3999
        expire
        wait 1
        expire
        > - g t-1
        A list
        > A list
        ",
    );
}

#[test]
fn rule_7_7_offsets_of_a_group_expire_after_it_became_empty() {
    check_with(
        |config| config.offsets_retention = Millis(20_000),
        "
        A join old p=range/@t
        > A joined 1 as a1 by range leader a1 a1=\u{0}\u{1}\u{0}\u{0}\u{0}\u{1}\u{0}\u{1}t\u{fffd}\u{fffd}\u{fffd}\u{fffd}
        A commit t-0=1
        > A committed t-0:27
        A sync
        > A synced \"\"
        A commit t-0=1 u-0=1
        > A committed t-0:0 u-0:0
        wait 9000
        A beat
        > A beat 0
        wait 9000
        A beat
        > A beat 0
        wait 2000
        # u is not read any more
        show
        expire
        > - g u-0
        A leave
        > + g gen 2 consumer: leader nobody at 20000
        > A left 0 a1:0
        wait 19999
        expire
        wait 1
        expire
        > - g t-0
        > - g
        A describe
        > A describe 69 Dead :
        ",
    );
}

#[test]
fn an_empty_group_without_offsets_goes_with_the_next_sweep() {
    check(
        "
        A join
        > A join error 79 a1
        show
        # somebody is about to come
        expire
        wait 10000
        expire
        > - g
        A list
        > A list
        ",
    );
    pair(
        "
        expire
        A list
        > A list g:consumer:Stable
        ",
    );
}

#[test]
fn offsets_of_a_deleted_topic_are_forgotten() {
    check(
        "
        A commit gen=-1 t-0=1 t-1=2 u-0=3
        > A committed t-0:0 t-1:0 u-0:0
        A commit gen=-1 group=h t-0=1
        > A committed t-0:0
        show
        forget t
        > - g t-0
        > - g t-1
        > - h t-0
        A fetch
        > A fetched u-0=3
        # nothing is left of a group that was offsets alone
        A list
        > A list g::Empty
        reload
        A list
        > A list g::Empty
        ",
    );
}
