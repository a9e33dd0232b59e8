//! Several shards and the queues between them, stepped by hand.
//!
//! The words are those of `script`, with `2:` before a line that is for one shard only (`2: A produce …` connects A to shard 2, `1: hold
//! write` holds the writes of shard 1); what ctl does is done to all. `hold mesh` keeps messages between shards in their queues, `show mesh`
//! tells them when they are sent. A topic's partitions go round the shards; of the first topic made partition 0 belongs to shard 1.
//!
//! Each shard has a disk of its own here, since they share no file but those of ctl, and is told to close as soon as it is drained itself.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Write as _;

use super::script::Script;
use crate::ask::{Answer, Ask, GroupAsk};
use crate::input::{CoreMsg, Input};
use crate::types::CoreId;

/// The shards of one broker.
struct Several {
    shards: Vec<Script>,
    queues: BTreeMap<(CoreId, CoreId), VecDeque<CoreMsg>>,
    held: bool,
    shown: BTreeSet<String>,
    told: Vec<String>,
}

/// Runs a script on a broker of so many shards that is serving.
fn check(shards: u16, text: &str) {
    let mut several = Several::new(shards);
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let (mut expected, mut said) = (String::new(), String::new());
    for line in lines {
        writeln!(expected, "{line}").expect("a String takes it");
        if line.starts_with('>') {
            continue;
        }
        writeln!(said, "{line}").expect("a String takes it");
        several.word(line);
        for told in several.told.drain(..) {
            writeln!(said, "> {told}").expect("a String takes it");
        }
    }
    assert!(
        said == expected,
        "this was expected:\n{expected}\nthis was said:\n{said}"
    );
}

impl Several {
    fn new(count: u16) -> Self {
        let shards = (1..=count).map(|n| Script::of(CoreId(n), count));
        let mut several = Self {
            shards: shards.collect(),
            queues: BTreeMap::new(),
            held: false,
            shown: BTreeSet::new(),
            told: Vec::new(),
        };
        several.word("boot");
        several.word("first");
        let ready = vec!["ready".to_string(); usize::from(count)];
        assert_eq!(std::mem::take(&mut several.told), ready);
        several
    }

    fn word(&mut self, line: &str) {
        let one = line.split_once(": ");
        let one = one.and_then(|(n, rest)| Some((n.parse::<usize>().ok()?, rest)));
        match (line, one) {
            (_, Some((n, rest))) => self.shards[n - 1].word(rest),
            ("hold mesh", _) => self.held = true,
            ("release mesh", _) => self.held = false,
            ("show mesh", _) => drop(self.shown.insert("mesh".to_string())),
            (line, None) => self.shards.iter_mut().for_each(|shard| shard.word(line)),
        }
        self.settle();
    }

    /// Delivers messages until there are none, or they are held.
    fn settle(&mut self) {
        loop {
            self.collect();
            if self.held {
                return;
            }
            let next = self.queues.iter_mut().find_map(|(&(from, to), queue)| {
                let msg = queue.pop_front()?;
                Some((from, to, msg))
            });
            let Some((from, to, msg)) = next else {
                return;
            };
            let shard = &mut self.shards[usize::from(to.0) - 1];
            shard.inbox.push_back(Input::Mesh { from, msg });
            shard.settle();
        }
    }

    fn collect(&mut self) {
        for (from, shard) in (1..).map(CoreId).zip(&mut self.shards) {
            self.told.append(&mut shard.told);
            for (to, msg) in shard.outbox.drain(..) {
                if self.shown.contains("mesh") {
                    self.told.push(format!("{from} to {to}: {}", text(&msg)));
                }
                self.queues.entry((from, to)).or_default().push_back(msg);
            }
        }
    }
}

fn text(msg: &CoreMsg) -> String {
    match msg {
        CoreMsg::Ask { ask, .. } => match ask {
            Ask::Append(ask) => format!("append {}", ask.batches.len()),
            Ask::Fetch(ask) if ask.announce => format!("announce {}", ask.partitions.len()),
            Ask::Fetch(ask) => format!("fetch {}", ask.partitions.len()),
            Ask::Offsets(asks) => format!("offsets {}", asks.len()),
            Ask::EpochEnds(asks) => format!("epochs {}", asks.len()),
            Ask::Groups(GroupAsk::Each { requests, .. }) => {
                format!("ask {} groups", requests.len())
            }
            Ask::Groups(GroupAsk::All(_)) => "ask all groups".to_string(),
        },
        CoreMsg::Answer { answer, .. } => match answer {
            Answer::Appended(all) => format!("appended {}", all.len()),
            Answer::Fetched(all) => format!("fetched {}", all.len()),
            Answer::Offsets(all) => format!("found {}", all.len()),
            Answer::EpochEnds(all) => format!("ends {}", all.len()),
            Answer::Groups(all) => format!("groups {}", all.len()),
        },
        CoreMsg::Follow { follow, .. } => format!("{follow:?}"),
        CoreMsg::Ready { bytes, urgent, .. } => {
            format!("ready {bytes}{}", if *urgent { " urgent" } else { "" })
        }
        other => format!("{other:?}"),
    }
}

#[test]
fn a_produce_goes_to_each_owner_once() {
    check(
        2,
        "
        create t 4
        show mesh
        1: A produce t-0:a t-1:b t-2:c t-3:d
        > 1 to 2: append 2
        > 2 to 1: appended 2
        > A t-0 at 0
        > A t-1 at 0
        > A t-2 at 0
        > A t-3 at 0
        2: B produce t-1:e
        > B t-1 at 1
        ",
    );
}

#[test]
fn an_answer_waits_for_every_owner() {
    check(
        2,
        "
        create t 2
        2: hold write
        1: A produce t-0:a t-1:b
        1: A produce t-0:c
        2: release
        > A t-0 at 0
        > A t-1 at 0
        > A t-0 at 1
        ",
    );
}

#[test]
fn answers_of_a_connection_stay_in_order_across_shards() {
    check(
        3,
        "
        create t 3
        3: hold write
        1: A produce t-2:a
        1: A produce t-1:b
        1: A produce t-0:c
        1: A fetch t-1@0
        3: release
        > A t-2 at 0
        > A t-1 at 0
        > A t-0 at 0
        > A t-1 [0:b] hw 1
        ",
    );
}

#[test]
fn a_produce_that_is_late_at_one_owner_times_out_there_alone() {
    check(
        2,
        "
        create t 2
        2: hold write
        1: A produce t-0:a t-1:b
        wait 1001
        > A t-0 at 0
        > A t-1 error 7 start -1
        2: release
        1: A list t-1@-1
        > A t-1 at 1 ts -1 epoch 0
        ",
    );
}

#[test]
fn a_fetch_of_several_owners_is_one_answer() {
    check(
        2,
        "
        create t 2
        1: A produce t-0:a t-1:b
        > A t-0 at 0
        > A t-1 at 0
        1: A fetch t-0@0 t-1@0
        > A t-0 [0:a] hw 1
        > A t-1 [0:b] hw 1
        2: B fetch t-0@0 t-1@0
        > B t-0 [0:a] hw 1
        > B t-1 [0:b] hw 1
        ",
    );
}

#[test]
fn a_fetch_waits_at_another_owner_until_there_is_data() {
    check(
        2,
        "
        create t 2
        show mesh
        1: A fetch t-1@0 wait=500
        > 1 to 2: fetch 1
        2: B produce t-1:b
        > B t-1 at 0
        > 2 to 1: fetched 1
        > A t-1 [0:b] hw 1
        1: A fetch t-1@1 wait=500
        > 1 to 2: fetch 1
        wait 501
        > 2 to 1: fetched 1
        > A t-1 [] hw 1
        ",
    );
}

#[test]
fn a_fetch_of_several_owners_wakes_for_any_of_them() {
    check(
        2,
        "
        create t 2
        1: A fetch t-0@0 t-1@0 wait=500
        2: B produce t-1:b
        > B t-1 at 0
        > A t-0 [] hw 0
        > A t-1 [0:b] hw 1
        1: A fetch t-0@0 t-1@1 wait=500
        2: B produce t-0:a
        > B t-0 at 0
        > A t-0 [0:a] hw 1
        > A t-1 [] hw 1
        2: C fetch t-0@1 t-1@1 wait=500
        wait 501
        > C t-0 [] hw 1
        > C t-1 [] hw 1
        ",
    );
}

#[test]
fn the_least_that_is_wanted_is_the_sum_over_owners() {
    check(
        2,
        "
        create t 2
        show mesh
        1: A fetch t-0@0 t-1@0 wait=500 min=200
        > 1 to 2: announce 1
        1: B produce t-0:a
        > B t-0 at 0
        2: C produce t-1:b
        > C t-1 at 0
        > 2 to 1: ready 69
        > 1 to 2: Wait { bytes: 69 }
        2: C produce t-1:c
        > C t-1 at 1
        > 2 to 1: ready 138
        > 1 to 2: Take
        > 2 to 1: fetched 1
        > A t-0 [0:a] hw 1
        > A t-1 [0:b 1:c] hw 2
        ",
    );
}

#[test]
fn a_client_that_leaves_is_waited_for_by_nobody() {
    check(
        2,
        "
        create t 2
        show mesh
        1: A fetch t-0@0 t-1@0 wait=5000
        > 1 to 2: fetch 1
        1: A gone
        > 1 to 2: Drop
        > 2 to 1: fetched 0
        1: B produce t-0:a
        > B t-0 at 0
        2: C produce t-1:b
        > C t-1 at 0
        ",
    );
}

#[test]
fn offsets_and_epochs_are_asked_of_their_owners() {
    check(
        2,
        "
        create t 2
        1: A produce t-0:a t-1:b,c
        > A t-0 at 0
        > A t-1 at 0
        1: A list t-0@-1 t-1@-1
        > A t-0 at 1 ts -1 epoch 0
        > A t-1 at 2 ts -1 epoch 0
        2: B list t-0@1699999999999 t-1@1699999999999
        > B t-0 at 0 ts 1700000000000 epoch 0
        > B t-1 at 0 ts 1700000000000 epoch 0
        1: A epochs t-0@0 t-1@0
        > A t-0 epoch 0 ends 1
        > A t-1 epoch 0 ends 2
        ",
    );
}

#[test]
fn a_refusal_names_the_log_start_of_another_core() {
    check(
        2,
        "
        create t 2
        1: A produce t-1:bomb codec=gzip
        > A t-1 at 0
        1: A produce t-0:broken t-1:broken
        > A t-0 error 2 start -1
        > A t-1 error 2 start -1
        ",
    );
}

#[test]
fn acks_0_across_shards_leaves_no_gap() {
    check(
        2,
        "
        create t 2
        2: hold write
        1: A produce t-1:a acks=0
        1: A produce t-0:b
        > A t-0 at 0
        2: release
        1: A list t-1@-1
        > A t-1 at 1 ts -1 epoch 0
        ",
    );
}

#[test]
fn a_deleted_topic_is_lost_on_every_shard() {
    check(
        2,
        "
        create t 2
        2: hold write
        1: A produce t-0:a t-1:b
        1: B fetch t-0@1 t-1@0 wait=5000
        delete t
        > A t-0 at 0
        > A t-1 error 3 start -1
        > B t-0 error 3
        > B t-1 error 3
        2: release
        ",
    );
}

#[test]
fn messages_that_wait_in_full_queues_lose_nothing() {
    check(
        3,
        "
        create t 3
        hold mesh
        1: A produce t-1:a
        1: A produce t-1:b
        1: A produce t-0:c t-2:d
        2: B produce t-0:e
        3: C fetch t-0@0 t-1@0 t-2@0 wait=500
        release mesh
        > B t-0 at 1
        > A t-1 at 0
        > A t-1 at 1
        > A t-0 at 0
        > A t-2 at 0
        > C t-0 [0:c 1:e] hw 2
        > C t-1 [0:a 1:b] hw 2
        > C t-2 [0:d] hw 1
        ",
    );
}

#[test]
fn the_stop_answers_what_waits_on_other_shards() {
    check(
        2,
        "
        create t 2
        1: A fetch t-0@0 t-1@0 wait=5000
        1: B fetch t-1@0 wait=5000
        2: hold write
        1: C produce t-1:x
        stop
        > A t-0 [] hw 0
        > A t-1 [] hw 0
        > B t-1 [] hw 0
        2: release
        > stopped
        > C t-1 at 0
        > stopped
        ",
    );
}

#[test]
fn a_group_is_asked_where_its_partition_is() {
    check(
        2,
        "
        create __consumer_offsets 2
        create t
        show mesh
        1: A commit g t-0@5
        > 1 to 2: ask 1 groups
        > 2 to 1: groups 1
        > A t-0 committed
        2: B commit g t-0@6
        > B t-0 committed
        1: A committed g t-0@
        > 1 to 2: ask 1 groups
        > 2 to 1: groups 1
        > A t-0 is at 6
        2: B committed g t-0@
        > B t-0 is at 6
        1: A commit x t-0@7
        > A t-0 committed
        1: A groups
        > 1 to 2: ask all groups
        > 2 to 1: groups 1
        > A groups [g Empty, x Empty]
        2: B beat g id=nobody
        > B beat error 25
        ",
    );
}

#[test]
fn members_wait_at_another_core_whose_stop_sends_them_away() {
    check(
        2,
        "
        create __consumer_offsets 2
        create t
        1: B join g v=3
        1: B gone
        wait 3000
        1: A groups
        > A groups [g CompletingRebalance]
        1: C join g v=3
        1: A groups
        > A groups [g PreparingRebalance]
        stop
        > stopped
        > C join error 16
        > stopped
        ",
    );
}
