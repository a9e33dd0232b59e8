//! DescribeGroups, ListGroups, DeleteGroups.

use super::check;

#[test]
fn rule_6_16_what_a_group_is() {
    check(
        "
        A describe
        > A describe 69 Dead :
        A join old
        > A joined 1 as a1 by range leader a1 a1=m
        A describe
        > A describe 0 CompletingRebalance consumer: a1=/
        A sync a1=x
        > A synced \"x\"
        A describe
        > A describe 0 Stable consumer:range a1=m/x
        B join
        > B join error 79 b1
        B join
        A describe
        > A describe 0 PreparingRebalance consumer: a1=/x b1=/
        ",
    );
}

#[test]
fn rule_6_16_which_groups_there_are() {
    check(
        "
        A list
        > A list
        A join old group=stable
        > A joined 1 as a1 by range leader a1 a1=m
        A sync group=stable
        > A synced \"\"
        B commit group=empty gen=-1 t-0=1
        > B committed t-0:0
        C join old group=completing type=connect
        > C joined 1 as c1 by range leader c1 c1=m
        A list
        > A list completing:connect:CompletingRebalance empty::Empty stable:consumer:Stable
        A list Stable EMPTY
        > A list empty::Empty stable:consumer:Stable
        A list preparingrebalance
        > A list
        # none of the new protocol
        A list consumer
        > A list
        ",
    );
}

#[test]
fn rule_6_17_groups_are_deleted_when_empty() {
    check(
        "
        A delete
        > A deleted 69
        A join old
        > A joined 1 as a1 by range leader a1 a1=m
        A delete
        > A deleted 68
        A sync
        > A synced \"\"
        A delete
        > A deleted 68
        A commit t-0=1
        > A committed t-0:0
        A leave
        > A left 0 a1:0
        show
        A delete
        > - g t-0
        > - g
        > A deleted 0
        A describe
        > A describe 69 Dead :
        A fetch
        > A fetched
        reload
        A list
        > A list
        A join old id=none
        > + g gen 0 : leader nobody at 0
        > A joined 1 as a2 by range leader a2 a2=m
        ",
    );
}
