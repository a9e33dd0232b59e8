//! Sessions, rebalances and assignments that take too long.

use super::check;
use super::generations::PAIR;

fn pair(text: &str) {
    let mut script = super::Script::new(super::config());
    script.run(PAIR);
    script.run(text);
}

#[test]
fn rule_6_9_a_silent_member_is_removed() {
    pair(
        "
        wait 6000
        A beat
        > A beat 0
        wait 3999
        A beat
        > A beat 0
        wait 1
        A beat
        > A beat 27
        A join
        > A joined 3 as a1 by range leader a1 a1=m
        B beat
        > B beat 25
        ",
    );
}

#[test]
fn rule_6_9_the_last_silent_member_leaves_an_empty_group() {
    check(
        "
        show
        A join old
        > + g gen 0 : leader nobody at 0
        > A joined 1 as a1 by range leader a1 a1=m
        A sync
        > + g gen 1 consumer:range leader a1 at 0 a1=
        > A synced \"\"
        wait 9999
        A describe
        > A describe 0 Stable consumer:range a1=m/
        wait 1
        > + g gen 2 consumer: leader nobody at 10000
        A describe
        > A describe 0 Empty consumer:
        ",
    );
}

#[test]
fn several_sessions_that_end_together_make_one_rebalance() {
    pair(
        "
        wait 10000
        A describe
        > A describe 0 Empty consumer:
        A join old id=none
        > A joined 4 as a2 by range leader a2 a2=m
        ",
    );
}

#[test]
fn rule_6_9_who_waits_for_an_answer_is_alive() {
    pair(
        "
        # B waits to join for longer than its session; A, which it waits for, shows that it lives
        B join p=range/n
        wait 8000
        A beat
        > A beat 27
        wait 8000
        A beat
        > A beat 27
        wait 8000
        A join
        > A joined 3 as a1 by range leader a1 a1=m b1=n
        > B joined 3 as b1 by range leader a1
        # then for its assignment
        B sync
        wait 8000
        A beat
        > A beat 0
        wait 8000
        A sync b1=z
        > A synced \"\"
        > B synced \"z\"
        wait 9999
        A describe
        > A describe 0 Stable consumer:range a1=m/ b1=n/z
        wait 1
        A describe
        > A describe 0 Empty consumer:
        ",
    );
}

#[test]
fn a_commit_shows_that_the_member_lives() {
    pair(
        "
        wait 9000
        A commit t-0=1
        > A committed t-0:0
        wait 9000
        A beat
        > A beat 27
        A commit t-0=2
        > A committed t-0:0
        wait 9000
        A join
        > A joined 3 as a1 by range leader a1 a1=m
        ",
    );
}

#[test]
fn who_does_not_join_again_in_time_is_removed() {
    let mut script = super::Script::new(super::config());
    script.run(
        "
        A join old rebalance=3000 session=30000
        > A joined 1 as a1 by range leader a1 a1=m
        A sync
        > A synced \"\"
        B join old rebalance=4000
        # the longest time that a member allows
        wait 3999
        wait 1
        > B joined 2 as b1 by range leader b1 b1=m
        B sync
        > B synced \"\"
        A beat
        > A beat 25
        ",
    );
}

#[test]
fn rule_6_7_who_does_not_ask_for_its_assignment_in_time_is_removed() {
    let mut script = super::Script::new(super::config());
    script.run(
        "
        A join old rebalance=3000
        > A joined 1 as a1 by range leader a1 a1=m
        A sync
        > A synced \"\"
        B join old rebalance=3000
        A join rebalance=3000
        > A joined 2 as a1 by range leader a1 a1=m B=m
        > B joined 2 as b1 by range leader a1
        # the leader does not
        B sync
        wait 2999
        A beat
        > A beat 0
        wait 1
        > B sync error 27
        A beat
        > A beat 25
        B join
        > B joined 3 as b1 by range leader b1 b1=m
        B sync b1=y
        > B synced \"y\"
        A join old id=none rebalance=3000
        B join rebalance=3000
        > A joined 4 as a2 by range leader b1
        > B joined 4 as b1 by range leader b1 a2=m b1=m
        B sync b1=y a2=x
        > B synced \"y\"
        # a follower does not
        wait 3000
        B beat
        > B beat 27
        A beat
        > A beat 25
        ",
    );
}

#[test]
fn a_first_join_is_given_up_after_five_minutes() {
    let mut script = super::Script::new(super::config());
    script.run(
        "
        A join old session=1800000 rebalance=1000000
        > A joined 1 as a1 by range leader a1 a1=m
        A sync
        > A synced \"\"
        B join old
        wait 299999
        wait 1
        > B join error 25 nobody
        A describe
        > A describe 0 PreparingRebalance consumer: a1=/
        A join rebalance=1000000
        > A joined 2 as a1 by range leader a1 a1=m
        ",
    );
}

#[test]
fn everybody_going_during_the_first_rebalance_leaves_an_empty_group() {
    super::check_with(
        |config| config.initial_rebalance_delay = crate::types::Millis(3000),
        "
        A join
        > A join error 79 a1
        A join
        B leave a1
        > A join error 25 nobody
        > B left 0 a1:0
        wait 3000
        A describe
        > A describe 0 Empty consumer:
        B join old
        wait 3000
        > B joined 2 as b1 by range leader b1 b1=m
        ",
    );
}
