//! Consumer groups: coordinators hosted, asked, loaded again.

use super::{Script, check};

/// A broker with the topic of groups and a topic to read.
fn check_groups(text: &str) {
    check(&format!("create __consumer_offsets 3\ncreate t 2\n{text}"));
}

#[test]
fn without_the_topic_there_is_no_coordinator() {
    check(
        "
        create t
        show ctl
        A commit g t-0@5
        > A t-0 error 16
        A committed g t-0@
        > A committed error 16
        A whois g
        > A whois error 16
        A groups
        > A groups []
        A beat g id=x
        > A beat error 16
        A commit g t-7@5 nope-0@1
        > A t-7 error 3
        > A nope-0 error 3
        ",
    );
}

#[test]
fn offsets_are_committed_and_told() {
    check_groups(
        "
        A commit g t-0@5 t-1@7
        > A t-0 committed
        > A t-1 committed
        B committed g t-0@ t-1@
        > B t-0 is at 5
        > B t-1 is at 7
        B committed other t-0@
        > B t-0 is at -1
        B committed g
        > B t-0 is at 5
        > B t-1 is at 7
        A commit g t-0@3 t-9@1
        > A t-9 error 3
        > A t-0 committed
        B committed g t-0@
        > B t-0 is at 3
        B groups
        > B groups [g Empty]
        B drop g
        > B dropped
        B drop g
        > B drop error 69
        B committed g
        > B committed nothing
        ",
    );
}

#[test]
fn a_commit_is_answered_when_it_is_safe() {
    check_groups(
        "
        hold write
        A commit g t-0@5
        # Nobody reads what may still be lost.
        B committed g t-0@
        # Another group of another partition does not wait.
        C committed x t-0@
        > C t-0 is at -1
        release
        > A t-0 committed
        > B t-0 is at 5
        ",
    );
}

#[test]
fn a_group_comes_together_and_comes_apart() {
    check_groups(
        "
        A join g
        > A join error 79 %A
        A join g id=%A
        B join g
        > B join error 79 %B
        B join g id=%B
        wait 5999
        wait 1
        > A joined 1 as %A led by %A with %B %A
        > B joined 1 as %B led by %A
        B sync g id=%B
        A sync g id=%A %A=t-0 %B=t-1
        > A given t-0
        > B given t-1
        A beat g id=%A
        > A beat
        A commit g id=%A gen=1 t-0@9
        > A t-0 committed
        A commit g id=%A gen=0 t-0@9
        > A t-0 error 22
        C whois g
        > C Stable [%B %A]
        C drop g
        > C drop error 68
        B leave g id=%B
        > B left
        A beat g id=%A
        > A beat error 27
        A join g id=%A
        > A joined 2 as %A led by %A with %A
        A sync g id=%A gen=2 %A=all
        > A given all
        wait 10000
        C whois g
        > C Empty []
        C committed g t-0@
        > C t-0 is at 9
        ",
    );
}

#[test]
fn groups_live_through_a_restart() {
    let orderly = "stop\n> stopped\nkill\nboot\nfirst\n> ready";
    let killed = "kill\nboot\nfirst\n> ready";
    for how in [orderly, killed] {
        check_groups(&format!(
            "
            A join g
            > A join error 79 %A
            A join g id=%A
            wait 3000
            > A joined 1 as %A led by %A with %A
            A sync g id=%A %A=all
            > A given all
            A commit g id=%A gen=1 t-0@9
            > A t-0 committed
            B commit other t-1@4
            > B t-1 committed
            {how}
            A committed g t-0@
            > A t-0 is at 9
            A committed other
            > A t-1 is at 4
            A beat g id=%A
            > A beat
            A whois g
            > A Stable [%A]
            A commit g id=%A gen=1 t-0@10
            > A t-0 committed
            wait 9999
            A beat g id=%A
            > A beat
            wait 10000
            A beat g id=%A
            > A beat error 25
            ",
        ));
    }
}

#[test]
fn while_the_log_is_read_nothing_is_served() {
    check_groups(
        "
        A commit g t-0@9
        > A t-0 committed
        stop
        > stopped
        kill
        boot
        hold read
        first
        release newest
        release newest
        > ready
        A committed g t-0@
        > A committed error 14
        A commit g t-0@1
        > A t-0 error 14
        A groups
        > A groups error 14
        # A member shall not believe that it was removed.
        A beat g id=x
        > A beat
        # Another partition of the topic is empty: there is nothing to read.
        A committed x t-0@
        > A t-0 is at -1
        release
        A committed g t-0@
        > A t-0 is at 9
        ",
    );
}

#[test]
fn a_log_that_cannot_be_read_serves_no_groups() {
    check_groups(
        "
        A commit g t-0@9
        > A t-0 committed
        stop
        > stopped
        kill
        boot
        hold read
        first
        release newest
        release newest
        > ready
        fail
        > note: the groups of __consumer_offsets-1 are not served: EIO
        release
        A committed g t-0@
        > A committed error 16
        A committed x t-0@
        > A t-0 is at -1
        ",
    );
}

#[test]
fn a_full_disk_changes_nothing() {
    check_groups(
        "
        full
        # The first batch of a log waits for room; what comes after it is refused.
        A commit g t-0@10
        > note: __consumer_offsets-1: no space left: produce is refused
        B commit g t-1@7
        > B t-1 error 16
        C join g
        > C join error 79 %C
        C join g id=%C
        # The rebalance ends and cannot be written: it is tried again, once a second.
        wait 3000
        wait 10
        space
        wait 2000
        > note: __consumer_offsets-1: space is back: produce goes on
        > A t-0 committed
        > C joined 1 as %C led by %C with %C
        A committed g
        > A t-0 is at 10
        ",
    );
}

#[test]
fn a_stop_sends_waiting_members_away() {
    check_groups(
        "
        hold write
        A commit other t-0@5
        B join g
        > B join error 79 %B
        B join g id=%B
        stop
        > B join error 16 %B
        release
        > A t-0 committed
        > stopped
        ",
    );
}

#[test]
fn offsets_of_a_deleted_topic_are_forgotten() {
    check_groups(
        "
        A commit g t-0@9
        > A t-0 committed
        delete t
        wait 1
        create t
        A committed g
        > A committed nothing
        stop
        > stopped
        kill
        boot
        first
        > ready
        A committed g
        > A committed nothing
        ",
    );
}

#[test]
fn a_deleted_topic_of_groups_takes_its_coordinators_along() {
    check_groups(
        "
        A join g
        > A join error 79 %A
        A join g id=%A
        hold write
        B commit other t-0@5
        delete __consumer_offsets
        > A join error 16 %A
        > B t-0 error 16
        release
        create __consumer_offsets
        A committed g t-0@
        > A t-0 is at -1
        ",
    );
}

#[test]
fn a_member_whose_client_is_gone_stays_until_its_session_ends() {
    check_groups(
        "
        A join g
        > A join error 79 %A
        A join g id=%A
        wait 3000
        > A joined 1 as %A led by %A with %A
        A sync g id=%A %A=all
        > A given all
        B join g
        > B join error 79 %B
        B join g id=%B
        A gone
        wait 10000
        > B joined 2 as %B led by %B with %B
        ",
    );
}

#[test]
fn the_topic_is_created_when_somebody_looks_for_a_coordinator() {
    let mut script = Script::serving();
    script.run(
        "
        show ctl
        A coordinator g
        > asks topic __consumer_offsets of 50 partitions
        > A coordinator error 15
        # That is under way.
        A coordinator g
        > A coordinator error 15
        ",
    );
}
