//! Random histories: appends, completions in any order, kills and power cuts. Whatever was promised is there, byte for byte, once.

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Act {
    Append { count: i32, bytes: usize },
    Complete(usize),
    Settle,
    Tick(u64),
    Fetch(u16),
    Hot(u64),
    Kill(usize),
    Power,
    Stop,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        8 => (1..4i32, prop_oneof![Just(1usize), 10..300usize, 2000..7000usize])
            .prop_map(|(count, bytes)| Act::Append { count, bytes }),
        16 => (0..8usize).prop_map(Act::Complete),
        2 => Just(Act::Settle),
        1 => (1..3000u64).prop_map(Act::Tick),
        3 => any::<u16>().prop_map(Act::Fetch),
        1 => prop_oneof![Just(0u64), Just(5000), Just(100_000)].prop_map(Act::Hot),
        1 => (0..3usize).prop_map(Act::Kill),
        1 => Just(Act::Power),
        1 => Just(Act::Stop),
    ]
}

fn run(durability: Durability, acts: Vec<Act>) {
    let mut world = World::open(LogConfig {
        segment_bytes: 25_000,
        durability,
        ..config()
    });
    // What survives the next crash: everything promised, or everything there was at the last start.
    let mut promised = 0;
    for act in acts {
        promised = promised.max(world.log.written_end().0);
        let point = world.log.recovery_point().0;
        match act {
            Act::Append { count, bytes } => {
                let timestamp = 1_000_000 + world.log.log_end().0;
                world.append(count, bytes, timestamp).expect("accepted");
            }
            Act::Complete(at) => {
                if !world.disk.pending.is_empty() {
                    let at = at % world.disk.pending.len();
                    let op = world.disk.pending.remove(at);
                    world.disk.pending.insert(0, op);
                    let completion = world.disk.complete_any().expect("pending");
                    world.step(completion);
                }
            }
            Act::Settle => world.settle(),
            Act::Tick(ms) => world.tick(ms),
            Act::Fetch(pick) => {
                let end = world.log.written_end().0;
                if end > 0 {
                    let offset = i64::from(pick) % end;
                    let got = world.fetch_at(offset);
                    let header = BatchHeader::decode(&got).expect("a batch");
                    assert!(header.base_offset.0 <= offset && offset <= header.last_offset().0);
                }
            }
            Act::Hot(bytes) => {
                world.log.set_hot_bytes(bytes, &mut world.out);
                world.disk.take(&mut world.out);
            }
            Act::Kill(sectors) => {
                world.disk.kill(sectors);
                restart(&mut world, false, point, promised);
            }
            Act::Power if durability == Durability::Flushed => {
                world.disk.power_cut();
                restart(&mut world, false, point, promised);
            }
            Act::Power => {}
            Act::Stop => {
                world.close();
                let end = world.log.log_end().0;
                assert_eq!(world.log.recovery_point().0, end);
                restart(&mut world, true, end, end);
            }
        }
    }
    world.settle();
    world.check_reads();
}

fn restart(world: &mut World, clean: bool, recovery_point: i64, promised: i64) {
    world.restart(clean, recovery_point, None);
    let end = world.opened().log_end.0;
    assert!(end >= promised, "{end} of {promised}");
    world.appended.retain(|(base, _)| base.0 < end);
    world.check_reads();
}

proptest! {
    // proptest prints the seed and the smallest history of a failure.
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn promised_batches_survive_in_flushed_mode(acts in proptest::collection::vec(act(), 1..120)) {
        run(Durability::Flushed, acts);
    }

    #[test]
    fn promised_batches_survive_kills_in_written_mode(acts in proptest::collection::vec(act(), 1..120)) {
        run(Durability::Written, acts);
    }
}
