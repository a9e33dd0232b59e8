//! JoinGroup: who gets in, with what id, and who leads.

use super::{check, check_with};

#[test]
fn rule_6_2_a_dynamic_member_is_first_told_its_id() {
    check(
        "
        A join
        > A join error 79 a1
        A join
        > A joined 1 as a1 by range leader a1 a1=m
        A sync a1=x
        > A synced \"x\"
        # before v4 it joins at once; a rebalance waits for those who are in
        B join old
        A beat
        > A beat 27
        A join
        > A joined 2 as a1 by range leader a1 a1=m B=m
        > B joined 2 as b1 by range leader a1
        ",
    );
}

#[test]
fn rule_6_2_an_id_that_nobody_comes_back_with_lapses() {
    check(
        "
        A join session=6000
        > A join error 79 a1
        wait 5999
        A describe
        > A describe 0 Empty :
        wait 1
        A join
        > A join error 25 a1
        A join id=none
        > A join error 79 a2
        # a rebalance waits for it as long as it may come
        B join old
        > B joined 1 as b1 by range leader b1 b1=m
        ",
    );
}

#[test]
fn a_rebalance_waits_for_an_id_that_was_handed_out() {
    check(
        "
        A join old
        > A joined 1 as a1 by range leader a1 a1=m
        A sync
        > A synced \"\"
        B join session=6000
        > B join error 79 b1
        A join
        wait 5999
        wait 1
        > A joined 2 as a1 by range leader a1 a1=m
        B join
        > B join error 25 b1
        ",
    );
}

#[test]
fn rule_6_3_bad_group_ids_and_timeouts() {
    check(
        "
        A join group=
        > A join error 24 nobody
        A join session=5999
        > A join error 26 nobody
        A join session=1800001
        > A join error 26 nobody
        A join session=-1
        > A join error 26 nobody
        A sync group=
        > A sync error 24
        A beat group=
        > A beat 24
        A leave group=
        > A left 24
        A drop group= t-0
        > A dropped error 24
        # offsets and descriptions take it
        A describe group=
        > A describe 69 Dead :
        A commit group= gen=-1 t-0=1
        > A committed t-0:0
        A fetch group=
        > A fetched t-0=1
        A delete group=
        > A deleted 0
        ",
    );
}

#[test]
fn rule_6_4_unknown_members_and_protocols() {
    check(
        "
        A join id=stranger
        > A join error 25 stranger
        A join type=
        > A join error 23 nobody
        A join p=
        > A join error 23 nobody
        A list
        > A list
        A join old p=range/m,sticky/n
        > A joined 1 as a1 by range leader a1 a1=m
        B join id=stranger
        > B join error 25 stranger
        B join old id=none type=connect
        > B join error 23 nobody
        B join old id=none p=roundrobin/m
        > B join error 23 nobody
        B join old id=none p=sticky/k
        A join p=range/m,sticky/n
        > A joined 2 as a1 by sticky leader a1 a1=n B=k
        > B joined 2 as b1 by sticky leader a1
        ",
    );
}

#[test]
fn rule_6_6_the_assignor_with_the_most_votes_among_those_that_all_have() {
    check_with(
        |config| config.initial_rebalance_delay = crate::types::Millis(3000),
        "
        A join old p=one/a,two/b,three/c
        B join old p=two/d,three/e
        C join old p=three/f,two/g,four/h
        D join old p=three/i,two/j
        wait 9000
        > A joined 1 as a1 by three leader a1 a1=c B=e C=f D=i
        > B joined 1 as b1 by three leader a1
        > C joined 1 as c1 by three leader a1
        > D joined 1 as d1 by three leader a1
        ",
    );
}

#[test]
fn rule_6_11_members_that_come_again_without_a_change() {
    check(
        "
        A join old
        > A joined 1 as a1 by range leader a1 a1=m
        A sync a1=x
        > A synced \"x\"
        B join old
        A join
        > A joined 2 as a1 by range leader a1 a1=m B=m
        > B joined 2 as b1 by range leader a1
        # the answer may have been lost: both are told again
        A join
        > A joined 2 as a1 by range leader a1 a1=m b1=m
        B join
        > B joined 2 as b1 by range leader a1
        A sync a1=x b1=y
        > A synced \"x\"
        B sync
        > B synced \"y\"
        # a follower does not disturb
        B join
        > B joined 2 as b1 by range leader a1
        B sync
        > B synced \"y\"
        # what changes does
        B join p=range/other
        A beat
        > A beat 27
        A join
        > A joined 3 as a1 by range leader a1 a1=m b1=other
        > B joined 3 as b1 by range leader a1
        A sync
        > A synced \"\"
        B sync
        > B synced \"\"
        # and so does the leader: topics may have changed
        A join
        B join p=range/other
        > A joined 4 as a1 by range leader a1 a1=m b1=other
        > B joined 4 as b1 by range leader a1
        ",
    );
}

#[test]
fn a_change_before_the_assignment_begins_anew() {
    check(
        "
        A join old
        > A joined 1 as a1 by range leader a1 a1=m
        B join old
        A join
        > A joined 2 as a1 by range leader a1 a1=m B=m
        > B joined 2 as b1 by range leader a1
        B sync
        A join p=range/new
        > B sync error 27
        B join
        > A joined 3 as a1 by range leader a1 a1=new b1=m
        > B joined 3 as b1 by range leader a1
        ",
    );
}

#[test]
fn a_repeated_join_answers_the_former() {
    check(
        "
        A join old
        > A joined 1 as a1 by range leader a1 a1=m
        A sync
        > A synced \"\"
        B join old
        A join
        > A joined 2 as a1 by range leader a1 a1=m B=m
        > B joined 2 as b1 by range leader a1
        A sync
        > A synced \"\"
        B sync
        > B synced \"\"
        A join
        A join
        > A join error 27 a1
        B join
        > A joined 3 as a1 by range leader a1 a1=m b1=m
        > B joined 3 as b1 by range leader a1
        B sync
        B sync
        > B sync error 27
        A sync b1=y
        > A synced \"\"
        > B synced \"y\"
        ",
    );
}

#[test]
fn rule_6_12_a_group_has_a_largest_size() {
    check_with(
        |config| config.size_max = 2,
        "
        A join old
        > A joined 1 as a1 by range leader a1 a1=m
        A sync
        > A synced \"\"
        B join old
        A join
        > A joined 2 as a1 by range leader a1 a1=m B=m
        > B joined 2 as b1 by range leader a1
        C join old
        > C join error 81 nobody
        A sync
        > A synced \"\"
        B sync
        > B synced \"\"
        C join
        > C join error 81 nobody
        # a rebalance keeps those who come first
        A join
        C join old
        B join
        > A joined 3 as a1 by range leader a1 a1=m C=m
        > C joined 3 as c1 by range leader a1
        > B join error 81 nobody
        ",
    );
}

#[test]
fn a_leader_that_does_not_come_back_leads_no_more() {
    check(
        "
        A join old rebalance=5000
        > A joined 1 as a1 by range leader a1 a1=m
        A sync
        > A synced \"\"
        B join old rebalance=5000
        wait 4999
        A beat
        > A beat 27
        wait 1
        > B joined 2 as b1 by range leader b1 b1=m
        A beat
        > A beat 25
        A join
        > A join error 25 a1
        ",
    );
}
