//! Order, fairness, back-pressure and wake-ups of the queues, with one thread and with many.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Barrier;
use std::thread;

use onrush_core::types::Offset;
use proptest::prelude::*;

use super::*;

fn number_msg(n: i64) -> CoreMsg {
    CoreMsg::Applied { offset: Offset(n) }
}

fn number(msg: &CoreMsg) -> i64 {
    match msg {
        CoreMsg::Applied { offset, .. } => offset.0,
        other => panic!("unexpected message {other:?}"),
    }
}

fn ends(count: u16, messages: usize) -> Vec<MeshEnd> {
    connect_with(count, messages).expect("descriptors are there")
}

/// Everything that waits at this end.
fn drain(end: &mut MeshEnd) -> Vec<(CoreId, i64)> {
    let mut all = Vec::new();
    end.receive(usize::MAX, |from, msg| all.push((from, number(&msg))));
    all
}

#[test]
fn order_survives_a_full_queue() {
    let [mut a, mut b] = <[MeshEnd; 2]>::try_from(ends(2, 64)).ok().expect("two");
    for n in 0..200 {
        a.send(CoreId(1), number_msg(n));
    }
    assert!(a.is_backed_up());
    let mut seen = Vec::new();
    while seen.len() < 200 {
        a.flush(|_| ());
        let got = drain(&mut b);
        assert!(got.len() <= 64, "a queue holds no more than that");
        seen.extend(got);
    }
    assert!(seen.into_iter().eq((0..200).map(|n| (CoreId(0), n))));
    assert!(!a.is_backed_up());
    assert!(b.is_empty());
}

#[test]
fn only_a_sleeper_is_woken_and_only_once() {
    let [mut a, b] = <[MeshEnd; 2]>::try_from(ends(2, 64)).ok().expect("two");
    let mut woken = 0;
    a.send(CoreId(1), number_msg(0));
    a.flush(|_| woken += 1);
    assert_eq!(woken, 0, "the peer is awake");
    b.own().fall_asleep();
    a.send(CoreId(1), number_msg(1));
    a.send(CoreId(1), number_msg(2));
    a.flush(|_| woken += 1);
    assert_eq!(woken, 1, "once for all of a round");
    a.send(CoreId(1), number_msg(3));
    a.flush(|_| woken += 1);
    assert_eq!(woken, 1, "woken already");
    b.own().fall_asleep();
    a.flush(|_| woken += 1);
    assert_eq!(woken, 1, "nothing new for it");
}

#[test]
fn a_full_queue_to_one_peer_does_not_stop_others() {
    let mut all = ends(3, 32);
    for n in 0..100 {
        all[0].send(CoreId(1), number_msg(n));
    }
    all[0].send(CoreId(2), number_msg(7));
    assert!(all[0].is_backed_up());
    assert_eq!(drain(&mut all[2]), [(CoreId(0), 7)]);
}

#[test]
fn a_busy_peer_does_not_keep_others_from_being_heard() {
    let mut all = ends(4, 1024);
    for n in 0..1000 {
        all[1].send(CoreId(0), number_msg(n));
    }
    all[3].send(CoreId(0), number_msg(-1));
    let mut from = Vec::new();
    all[0].receive(2 * TURN_MESSAGES, |core, _| from.push(core));
    assert!(from.contains(&CoreId(3)), "{from:?}");
    // The next call goes on where this one ended, and nothing is lost.
    assert_eq!(drain(&mut all[0]).len() + from.len(), 1001);
}

#[test]
fn a_bound_that_is_broken_is_our_own_fault() {
    let mut all = ends(3, 32);
    let bound = waiting_max(CoreId(1), CoreId(2)) + 32;
    for n in 0..bound {
        all[1].send(CoreId(2), number_msg(i64::try_from(n).expect("small")));
    }
    let more = std::panic::AssertUnwindSafe(|| all[1].send(CoreId(2), number_msg(0)));
    assert!(std::panic::catch_unwind(more).is_err());
}

#[test]
fn queues_share_their_memory() {
    let table: Vec<(usize, usize, usize)> = [2, 3, 9, 33, 129]
        .into_iter()
        .map(|cores| (cores, queue_messages(cores), queue_bytes(cores) >> 20))
        .collect();
    println!("{} bytes a message: {table:?}", size_of::<CoreMsg>());
    for (cores, messages, mib) in table {
        assert!(messages.is_power_of_two());
        assert!((QUEUE_MESSAGES_MIN..=QUEUE_MESSAGES_MAX).contains(&messages));
        assert!(mib <= 128, "{cores} cores: {mib} MiB");
    }
    assert_eq!(queue_messages(2), QUEUE_MESSAGES_MAX);
    assert!(queue_bytes(33) <= MESH_BYTES);
}

#[test]
fn threads_lose_nothing_and_keep_the_order_of_each_pair() {
    const CORES: u16 = 5;
    const EACH: i64 = 5_000;
    // Short queues: they are full most of the time.
    let start = Arc::new(Barrier::new(usize::from(CORES)));
    let threads: Vec<_> = ends(CORES, 32)
        .into_iter()
        .map(|mut end| {
            let start = Arc::clone(&start);
            thread::spawn(move || {
                start.wait();
                let mut next: BTreeMap<CoreId, i64> = BTreeMap::new();
                let (mut sent, mut heard) = (0, 0);
                let all = EACH * i64::from(CORES - 1);
                while sent < EACH || heard < all || end.is_backed_up() {
                    // As the pump does: nothing new is begun while something waits.
                    if sent < EACH && !end.is_backed_up() {
                        let own = end.core();
                        for to in (0..CORES).map(CoreId).filter(|to| *to != own) {
                            end.send(to, number_msg(sent));
                        }
                        sent += 1;
                    }
                    end.flush(|_| ());
                    let got = end.receive(1000, |from, msg| {
                        let expected = next.entry(from).or_default();
                        assert_eq!(number(&msg), *expected, "from {from}");
                        *expected += 1;
                        heard += 1;
                    });
                    if got == 0 {
                        thread::yield_now();
                    }
                }
                assert_eq!(heard, all);
            })
        })
        .collect();
    for thread in threads {
        thread.join().expect("no order was broken");
    }
}

/// What a core does in a round.
#[derive(Clone, Debug)]
enum Act {
    Send {
        from: usize,
        to: usize,
        count: usize,
    },
    Flush {
        core: usize,
    },
    Receive {
        core: usize,
        count_max: usize,
    },
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let send = (0..4_usize, 0..4_usize, 1..40_usize)
        .prop_filter("not to itself", |(from, to, _)| from != to)
        .prop_map(|(from, to, count)| Act::Send { from, to, count });
    let flush = (0..4_usize).prop_map(|core| Act::Flush { core });
    let receive =
        (0..4_usize, 0..100_usize).prop_map(|(core, count_max)| Act::Receive { core, count_max });
    prop::collection::vec(prop_oneof![4 => send, 2 => flush, 3 => receive], 1..200)
}

/// What is under way, by sender and receiver.
type Model = BTreeMap<(CoreId, CoreId), VecDeque<i64>>;

fn hear(end: &mut MeshEnd, count_max: usize, model: &mut Model) -> usize {
    let to = end.core();
    end.receive(count_max, |from, msg| {
        let expected = model.get_mut(&(from, to)).and_then(VecDeque::pop_front);
        assert_eq!(expected, Some(number(&msg)));
    })
}

proptest! {
    #[test]
    fn what_comes_out_is_what_went_in_pair_by_pair(acts in acts(), messages in 1..64_usize) {
        let mut all = ends(4, messages);
        let mut model = Model::new();
        let mut sent = 0;
        for act in acts {
            match act {
                Act::Send { from, to, count } => {
                    let (from_core, to_core) = (all[from].core(), all[to].core());
                    for _ in 0..count {
                        sent += 1;
                        all[from].send(to_core, number_msg(sent));
                        model.entry((from_core, to_core)).or_default().push_back(sent);
                    }
                }
                Act::Flush { core } => all[core].flush(|_| ()),
                Act::Receive { core, count_max } => {
                    prop_assert!(hear(&mut all[core], count_max, &mut model) <= count_max);
                }
            }
        }
        // Left alone, everything arrives.
        while all.iter().any(|end| end.is_backed_up() || !end.is_empty()) {
            for end in &mut all {
                end.flush(|_| ());
                hear(end, usize::MAX, &mut model);
            }
        }
        prop_assert!(model.values().all(VecDeque::is_empty));
    }
}
