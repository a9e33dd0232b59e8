//! From one generation to the next: SyncGroup, Heartbeat, and what is fenced.

use super::{check, check_with};
use crate::types::Millis;

/// A leads, B follows, generation 2, both have an assignment.
pub(super) const PAIR: &str = "
    A join old
    > A joined 1 as a1 by range leader a1 a1=m
    A sync
    > A synced \"\"
    B join old
    A join
    > A joined 2 as a1 by range leader a1 a1=m B=m
    > B joined 2 as b1 by range leader a1
    B sync
    A sync a1=x b1=y
    > A synced \"x\"
    > B synced \"y\"
    ";

#[test]
fn rule_6_5_the_first_rebalance_waits_for_more_members() {
    check_with(
        |config| config.initial_rebalance_delay = Millis(3000),
        "
        A join old rebalance=10000
        wait 2999
        B join old rebalance=10000
        # somebody new: three seconds more
        wait 1
        wait 2999
        C join old rebalance=10000
        wait 2999
        D join old rebalance=10000
        # ten seconds in all
        wait 2
        wait 999
        wait 1
        > A joined 1 as a1 by range leader a1 a1=m B=m C=m D=m
        > B joined 1 as b1 by range leader a1
        > C joined 1 as c1 by range leader a1
        > D joined 1 as d1 by range leader a1
        ",
    );
}

#[test]
fn the_first_rebalance_of_one_member_takes_the_delay() {
    check_with(
        |config| config.initial_rebalance_delay = Millis(3000),
        "
        A join
        > A join error 79 a1
        A join
        wait 2999
        wait 1
        > A joined 1 as a1 by range leader a1 a1=m
        ",
    );
}

#[test]
fn rule_6_7_an_assignment_is_stored_and_told() {
    check(
        "
        show
        A join old
        > + g gen 0 : leader nobody at 0
        > A joined 1 as a1 by range leader a1 a1=m
        wait 100
        A sync a1=x
        > + g gen 1 consumer:range leader a1 at 0 a1=x
        > A synced \"x\"
        B join old
        wait 50
        A join
        > A joined 2 as a1 by range leader a1 a1=m B=m
        > B joined 2 as b1 by range leader a1
        B sync
        # nobody was forgotten: b1 has an empty one; a stranger's does not count
        A sync a1=x c1=z
        > + g gen 2 consumer:range leader a1 at 150 a1=x b1=
        > A synced \"x\"
        > B synced \"\"
        A sync
        > A synced \"x\"
        A leave
        > A left 0 a1:0
        B join
        > B joined 3 as b1 by range leader b1 b1=m
        B leave
        > + g gen 4 consumer: leader nobody at 150
        > B left 0 b1:0
        ",
    );
}

#[test]
fn rule_6_7_who_may_ask_for_an_assignment() {
    let mut script = super::Script::new(super::config());
    script.run(
        "
        A sync id=x gen=1
        > A sync error 25
        ",
    );
    script.run(PAIR);
    script.run(
        "
        A sync gen=1
        > A sync error 22
        A sync gen=3
        > A sync error 22
        A sync id=stranger
        > A sync error 25
        A sync type=connect
        > A sync error 23
        A sync name=sticky
        > A sync error 23
        A sync type=consumer name=range
        > A synced \"x\"
        C join old
        A sync
        > A sync error 27
        ",
    );
}

#[test]
fn rule_6_8_heartbeats() {
    let mut script = super::Script::new(super::config());
    script.run(
        "
        A beat id=x gen=1
        > A beat 25
        A join
        > A join error 79 a1
        A beat
        > A beat 25
        A join
        > A joined 1 as a1 by range leader a1 a1=m
        # before the assignment, too
        A beat
        > A beat 0
        A leave
        > A left 0 a1:0
        A beat
        > A beat 25
        ",
    );
    let mut script = super::Script::new(super::config());
    script.run(PAIR);
    script.run(
        "
        A beat
        > A beat 0
        A beat gen=1
        > A beat 22
        A beat id=stranger
        > A beat 25
        A beat static=none
        > A beat 25
        C join old
        A beat
        > A beat 27
        ",
    );
}

#[test]
fn members_of_an_old_generation_are_fenced() {
    let mut script = super::Script::new(super::config());
    script.run(PAIR);
    script.run(
        "
        # B misses a rebalance and comes back with what it knew
        A join rebalance=2000
        wait 9999
        B beat
        > B beat 27
        wait 9999
        B beat
        > B beat 27
        wait 9999
        B beat
        > B beat 27
        wait 9999
        B beat
        > B beat 27
        wait 9999
        B beat
        > B beat 27
        wait 9999
        B beat
        > B beat 27
        wait 6
        > A joined 3 as a1 by range leader a1 a1=m
        A sync a1=xy
        > A synced \"xy\"
        B beat
        > B beat 25
        B sync
        > B sync error 25
        B commit t-0=1
        > B committed t-0:25
        # the same for one that is a member again
        B join old id=none
        A join
        > A joined 4 as a1 by range leader a1 a1=m B=m
        > B joined 4 as b2 by range leader a1
        A sync a1=x b2=y
        > A synced \"x\"
        B beat gen=2
        > B beat 22
        B sync gen=2
        > B sync error 22
        B commit t-0=1 gen=2
        > B committed t-0:22
        B sync
        > B synced \"y\"
        ",
    );
}

#[test]
fn rule_6_15_members_go_on_after_a_restart() {
    let mut script = super::Script::new(super::config());
    script.run(PAIR);
    script.run(
        "
        A commit t-0=5
        > A committed t-0:0
        wait 9000
        reload
        wait 9999
        A beat
        > A beat 0
        B beat
        > B beat 0
        A sync
        > A synced \"x\"
        B fetch t-0
        > B fetched t-0=5
        # a rebalance that was under way is forgotten with those that waited
        B join p=range/other
        A beat
        > A beat 27
        wait 5000
        reload
        A beat
        > A beat 0
        B describe
        > B describe 0 Stable consumer:range a1=m/x b1=m/y
        B join p=range/other
        A join
        > A joined 3 as a1 by range leader a1 a1=m b1=other
        > B joined 3 as b1 by range leader a1
        ",
    );
}

#[test]
fn a_restart_gives_each_member_a_whole_session() {
    let mut script = super::Script::new(super::config());
    script.run(PAIR);
    script.run(
        "
        reload
        wait 5000
        A beat
        > A beat 0
        wait 5000
        A beat
        > A beat 27
        A join
        > A joined 3 as a1 by range leader a1 a1=m
        ",
    );
}

#[test]
fn a_log_that_refuses_changes_nothing() {
    check(
        "
        refuse
        A join
        > A join error 15 nobody
        A list
        > A list
        A join old
        > A joined 1 as a1 by range leader a1 a1=m
        refuse
        A sync a1=x
        > A sync error 15
        A describe
        > A describe 0 CompletingRebalance consumer: a1=/
        A sync a1=x
        > A synced \"x\"
        refuse
        A commit t-0=1
        > A committed t-0:15
        A fetch t-0
        > A fetched t-0=-1
        refuse
        A leave
        > A left 15
        A beat
        > A beat 0
        A leave
        > A left 0 a1:0
        refuse
        A delete
        > A deleted 15
        A delete
        > A deleted 0
        ",
    );
}
