//! Connections: what closes them, and how much of them is taken in.

use super::check;
use super::script::Script;
use crate::types::limits::{PRODUCE_IN_FLIGHT_PER_CONN_MAX, UNSENT_FRAMES_MAX};

#[test]
fn rule_1_3_what_cannot_be_read_closes() {
    check(
        "
        create t
        A raw 0001000b00000001ffff00
        > A closed: malformed body of api key 1 version 11: a field goes beyond the end of the request
        B raw 00
        > B closed: request cut short: its header
        C raw 7fff0000000000010000
        > C closed: unsupported request: api key 32767 version -1
        D raw 000100630000000100 00
        > D closed: unsupported request: api key 1 version 99
        E list t-0@-1
        > E t-0 at 0 ts -1 epoch 0
        ",
    );
}

#[test]
fn rule_1_4_an_unknown_version_of_api_versions_is_answered() {
    check(
        "
        A versions
        > A versions: error 0, 23 keys
        A versions v=99
        > A versions: error 35, 1 keys
        A versions v=0
        > A versions: error 0, 23 keys
        A raw 0012006300000001ffff
        > A closed: request cut short: its header
        ",
    );
}

#[test]
fn a_peer_that_does_not_read_is_not_read_any_further() {
    let mut script = Script::serving();
    script.run("create t\nA deaf");
    (0..1000).for_each(|_| script.word("A list t-0@-1"));
    assert_eq!(script.told.len(), UNSENT_FRAMES_MAX);
    script.word("A hears");
    assert_eq!(script.told.len(), 1000);
}

#[test]
fn produces_in_flight_are_bounded_and_answered_in_order() {
    let mut script = Script::serving();
    script.run("create t\nhold write");
    (0..1000).for_each(|_| script.word("A produce t-0:a"));
    assert_eq!(script.told.len(), 0);
    assert_eq!(script.unread('A'), 1000 - PRODUCE_IN_FLIGHT_PER_CONN_MAX);
    script.word("release");
    let answers: Vec<String> = (0..1000).map(|at| format!("A t-0 at {at}")).collect();
    assert_eq!(script.told, answers);
}
