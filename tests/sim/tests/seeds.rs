//! The guard of the core: many histories pass, each repeats itself byte for byte, and every removed rule is missed.
//!
//! More seeds: `cargo run -p onrush-sim -- --seeds 10000`; one again: `… --seed S --trace`.

use onrush_sim::run::{MUTANTS, Options, run};

/// Histories that every test run goes through.
const SEEDS: u64 = 100;
/// Within so many seeds each mutant must be found.
const MUTANT_SEEDS: u64 = 40;

#[test]
fn every_promise_is_kept() {
    for seed in 0..SEEDS {
        match run(seed, Options::default()).result {
            Ok(report) => {
                assert!(report.operations >= 500, "seed {seed}: {report:?}");
                assert!(report.faults >= 3, "seed {seed}: {report:?}");
            }
            Err(what) => panic!(
                "seed {seed}: {what}\nagain: cargo run -p onrush-sim -- --seed {seed} --trace"
            ),
        }
    }
}

#[test]
fn a_seed_repeats_itself_byte_for_byte() {
    for seed in [1, 2, 3] {
        let options = Options {
            keep_trace: true,
            ..Options::default()
        };
        let (first, second) = (run(seed, options), run(seed, options));
        assert!(first.lines.len() > 1_000, "seed {seed}");
        for (number, (a, b)) in first.lines.iter().zip(&second.lines).enumerate() {
            assert_eq!(a, b, "seed {seed}, line {number}");
        }
        assert_eq!(first.lines.len(), second.lines.len(), "seed {seed}");
        assert_eq!(first.result, second.result, "seed {seed}");
    }
}

#[test]
fn every_mutant_is_found() {
    for mutant in MUTANTS {
        let options = Options {
            mutant: Some(mutant),
            ..Options::default()
        };
        let found = (0..MUTANT_SEEDS).find_map(|seed| {
            let what = run(seed, options).result.err()?;
            Some((seed, what))
        });
        let (seed, what) = found.unwrap_or_else(|| {
            panic!("{mutant} is not found within {MUTANT_SEEDS} seeds");
        });
        println!("{mutant}: found after {} seeds: {what}", seed + 1);
        // The same history with the rule in place keeps every promise: it was the rule.
        let healthy = run(seed, Options::default()).result;
        assert!(healthy.is_ok(), "seed {seed}: {healthy:?}");
    }
}
