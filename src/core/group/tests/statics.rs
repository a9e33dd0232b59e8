//! Static members (KIP-345, KIP-814).

use super::check;

/// A leads and B follows, both static, generation 2.
const PAIR: &str = "
    A join static=i
    > A joined 1 as a1 by range leader a1 a1=m(i)
    A sync static=i
    > A synced \"\"
    B join static=j
    A join static=i
    > A joined 2 as a1 by range leader a1 a1=m(i) j=m(j)
    > B joined 2 as b1 by range leader a1
    B sync static=j
    A sync static=i a1=x b1=y
    > A synced \"x\"
    > B synced \"y\"
    ";

fn pair(text: &str) {
    let mut script = super::Script::new(super::config());
    script.run(PAIR);
    script.run(text);
}

#[test]
fn rule_6_10_a_static_member_that_comes_back_keeps_its_assignment() {
    pair(
        "
        show
        B join id=none static=j
        > + g gen 2 consumer:range leader a1 at 0 a1=x j=y
        > B joined 2 as b2 by range leader a1
        B sync static=j
        > B synced \"y\"
        A beat static=i
        > A beat 0
        # who was there before is fenced
        B beat id=b1 static=j
        > B beat 82
        B sync id=b1 static=j
        > B sync error 82
        B commit id=b1 static=j t-0=1
        > B committed t-0:82
        B join id=b1 static=j
        > B join error 82 b1
        B leave id=b1 static=j
        > B left 0 b1(j):82
        # without its instance id it is nobody
        B beat id=b1
        > B beat 25
        B beat id=b2 static=j
        > B beat 0
        reload
        B beat id=b2 static=j
        > B beat 0
        B sync id=b2 static=j
        > B synced \"y\"
        ",
    );
}

#[test]
fn rule_6_10_a_static_leader_that_comes_back_does_not_assign_anew() {
    pair(
        "
        # v9 is told so
        A join id=none static=i skip
        > A joined 2 as a2 by range leader a2 a2=m(i) b1=m(j) skip
        A sync static=i
        > A synced \"x\"
        # an older one is told that another leads
        A join id=none static=i
        > A joined 2 as a3 by range leader a2
        A sync static=i
        > A synced \"x\"
        # it leads all the same
        A join static=i
        B join static=j
        > A joined 3 as a3 by range leader a3 a3=m(i) b1=m(j)
        > B joined 3 as b1 by range leader a3
        ",
    );
}

#[test]
fn a_static_member_that_comes_back_with_another_assignor_makes_a_rebalance() {
    let mut script = super::Script::new(super::config());
    script.run(
        "
        A join static=i p=range/m,sticky/n
        > A joined 1 as a1 by range leader a1 a1=m(i)
        A sync static=i a1=x
        > A synced \"x\"
        A join id=none static=i p=sticky/n,range/m
        > A joined 2 as a2 by sticky leader a2 a2=n(i)
        ",
    );
}

#[test]
fn a_static_member_that_comes_back_before_the_assignment_makes_a_rebalance() {
    pair(
        "
        A join static=i
        B join static=j
        > A joined 3 as a1 by range leader a1 a1=m(i) b1=m(j)
        > B joined 3 as b1 by range leader a1
        B sync static=j
        C join static=j
        > B sync error 82
        A beat static=i
        > A beat 27
        A join static=i
        > A joined 4 as a1 by range leader a1 a1=m(i) j=m(j)
        > C joined 4 as c1 by range leader a1
        # and while all are joining, the one before is answered
        A join static=i
        > A joined 4 as a1 by range leader a1 a1=m(i) c1=m(j)
        A join static=i p=range/k
        D join static=i
        > A join error 82 a1
        C join static=j
        > D joined 5 as d1 by range leader d1 d1=m(i) c1=m(j)
        > C joined 5 as c1 by range leader d1
        ",
    );
}

#[test]
fn a_static_member_is_waited_for_until_its_session_ends() {
    pair(
        "
        # a dynamic member that does not come back is removed when the time is up, a static one stays
        A join static=i rebalance=2000
        wait 8000
        B beat static=j
        > B beat 27
        wait 9000
        B beat static=j
        > B beat 27
        wait 10000
        > A joined 3 as a1 by range leader a1 a1=m(i)
        ",
    );
}

#[test]
fn a_static_member_keeps_its_place_in_a_rebalance_that_it_missed() {
    let mut script = super::Script::new(super::config());
    script.run(
        "
        A join static=i rebalance=2000
        > A joined 1 as a1 by range leader a1 a1=m(i)
        A sync static=i
        > A synced \"\"
        B join static=j rebalance=2000
        A join static=i rebalance=2000
        > A joined 2 as a1 by range leader a1 a1=m(i) j=m(j)
        > B joined 2 as b1 by range leader a1
        A sync static=i a1=x b1=y
        > A synced \"x\"
        B sync static=j
        > B synced \"y\"
        A join static=i rebalance=2000
        wait 2000
        > A joined 3 as a1 by range leader a1 a1=m(i) b1=m(j)
        A sync static=i a1=x b1=y
        > A synced \"x\"
        # it does not ask for its assignment in time either
        wait 1999
        A beat static=i
        > A beat 0
        wait 1
        A beat static=i
        > A beat 27
        A describe
        > A describe 0 PreparingRebalance consumer: a1=/x
        B beat static=j
        > B beat 25
        ",
    );
}

#[test]
fn a_static_member_that_is_silent_leaves_its_instance_id() {
    pair(
        "
        wait 9999
        A beat static=i
        > A beat 0
        wait 1
        A beat static=i
        > A beat 27
        B beat static=j
        > B beat 25
        C join static=j
        A join static=i
        > A joined 3 as a1 by range leader a1 a1=m(i) j=m(j)
        > C joined 3 as c1 by range leader a1
        ",
    );
}

#[test]
fn an_administrator_takes_static_members_out() {
    pair(
        "
        C leave i:i i:j i:k
        > C left 0 nobody(i):0 nobody(j):0 nobody(k):25
        A beat static=i
        > A beat 25
        C describe
        > C describe 0 Empty consumer:
        ",
    );
}

#[test]
fn an_instance_id_is_not_for_an_id_that_was_handed_out() {
    check(
        "
        A join
        > A join error 79 a1
        A join static=i
        > A join error -1 a1
        ",
    );
}
