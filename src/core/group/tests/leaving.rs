//! LeaveGroup, in every state.

use super::check;
use super::generations::PAIR;

#[test]
fn rule_6_13_each_member_that_leaves_has_an_error_of_its_own() {
    let mut script = super::Script::new(super::config());
    script.run(
        "
        A leave x i:i
        > A left 0 x:25 nobody(i):25
        ",
    );
    script.run(PAIR);
    script.run(
        "
        C join
        > C join error 79 c1
        A leave stranger c1 b1 b1 i:none
        > A left 0 stranger:25 c1:0 b1:0 b1:25 nobody(none):25
        A beat
        > A beat 27
        A join
        > A joined 3 as a1 by range leader a1 a1=m
        A leave
        > A left 0 a1:0
        A describe
        > A describe 0 Empty consumer:
        ",
    );
}

#[test]
fn the_last_that_leaves_keeps_generation_and_offsets() {
    check(
        "
        A join old
        > A joined 1 as a1 by range leader a1 a1=m
        A sync
        > A synced \"\"
        A commit t-0=5
        > A committed t-0:0
        A leave
        > A left 0 a1:0
        A fetch
        > A fetched t-0=5
        A join old id=none
        > A joined 3 as a2 by range leader a2 a2=m
        ",
    );
}

#[test]
fn who_leaves_while_all_are_joining_is_not_waited_for() {
    let mut script = super::Script::new(super::config());
    script.run(PAIR);
    script.run(
        "
        C join old
        A join
        # the leader of those that wait
        B leave
        > A joined 3 as a1 by range leader a1 a1=m C=m
        > C joined 3 as c1 by range leader a1
        > B left 0 b1:0
        # one that waits for its assignment
        C sync
        A leave c1
        > C sync error 25
        > A left 0 c1:0
        A join
        > A joined 4 as a1 by range leader a1 a1=m
        ",
    );
    script.run(
        "
        A sync
        > A synced \"\"
        # one that waits to join
        B join old id=none
        A beat
        > A beat 27
        B join p=range/x id=none old
        A leave B
        > A left 0 B:25
        A join
        > A joined 5 as a1 by range leader a1 a1=m B=x B=m
        > B joined 5 as b2 by range leader a1
        > B joined 5 as b3 by range leader a1
        ",
    );
}

#[test]
fn a_leader_that_leaves_is_followed_by_another() {
    let mut script = super::Script::new(super::config());
    script.run(PAIR);
    script.run(
        "
        A leave
        > A left 0 a1:0
        B beat
        > B beat 27
        B join
        > B joined 3 as b1 by range leader b1 b1=m
        ",
    );
}
