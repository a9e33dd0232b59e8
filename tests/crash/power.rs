//! Power cuts: the real process on a disk that forgets what was not flushed (`tests/lossy`), on ext4 and XFS.
//!
//! `cargo test --test power -- [--seed N] [--cuts N] [--fs ext4|xfs] [--only NAME]`; `ONRUSH_SEED` and
//! `ONRUSH_POWER_CUTS` do the same. As root, since it mounts; else it says SKIP. The seed decides moments, the number
//! of the disk's request that meets the cut, and what the disk keeps of each sector.
//!
//! Order: the disk is proved to lose what was not flushed, a broker that does not flush is proved to be caught, then
//! come faults, first starts and the ledger.
#![allow(unreachable_pub, reason = "the modules of a test are its own")]
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test")]

mod cuts;
mod ledger;
mod ledger_process;
mod producer;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::time::Instant;

use onrush_lossy::computer::FileSystem;
use onrush_testkit::random::Random;

use cuts::{Run, faults, first_start, proof, rounds};

/// Cuts under load and in first starts on each file system, unless told otherwise.
const CUTS: u64 = 5;

type Case = (&'static str, fn(&Run));

const CASES: [Case; 9] = [
    ("unflushed_bytes_are_lost", proof::unflushed_bytes_are_lost),
    ("unflushed_names_are_lost", proof::unflushed_names_are_lost),
    ("written_is_lost", rounds::written_is_lost),
    (
        "a_failed_request_ends_the_broker",
        faults::a_failed_request_ends_the_broker,
    ),
    ("a_slow_disk_delays", faults::a_slow_disk_delays),
    ("a_full_disk_refuses", faults::a_full_disk_refuses),
    (
        "a_first_start_is_cut_off",
        first_start::a_first_start_is_cut_off,
    ),
    (
        "the_first_topic_is_cut_off",
        first_start::the_first_topic_is_cut_off,
    ),
    ("flushed_is_there", rounds::flushed_is_there),
];

struct Options {
    seed: u64,
    cuts: u64,
    file_system: Option<String>,
    only: Option<String>,
}

fn options() -> Options {
    let cuts = std::env::var("ONRUSH_POWER_CUTS");
    let mut options = Options {
        seed: Random::seed_of_run(),
        cuts: cuts.map_or(CUTS, |count| count.parse().unwrap()),
        file_system: None,
        only: None,
    };
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        let mut value = || arguments.next().expect("an option has a value");
        match name.as_str() {
            "--seed" => options.seed = value().parse().unwrap(),
            "--cuts" => options.cuts = value().parse().unwrap(),
            "--fs" => options.file_system = Some(value()),
            "--only" => options.only = Some(value()),
            other => panic!("no such option: {other}"),
        }
    }
    options
}

fn main() -> ExitCode {
    if ledger_process::serve_if_asked() {
        return ExitCode::SUCCESS;
    }
    if let Err(why) = onrush_lossy::room::check() {
        println!("SKIP power cuts: {why}");
        return ExitCode::SUCCESS;
    }
    let options = options();
    println!("power cuts: seed {}", options.seed);
    let (mut passed, mut failed) = (0, 0);
    for file_system in [FileSystem::Ext4, FileSystem::Xfs] {
        let name = file_system.name();
        if options
            .file_system
            .as_ref()
            .is_some_and(|only| only != name)
        {
            continue;
        }
        let run = Run::new(options.seed, options.cuts, file_system);
        for (case, check) in CASES {
            if options.only.as_ref().is_some_and(|only| only != case) {
                continue;
            }
            let begun = Instant::now();
            let outcome = catch_unwind(AssertUnwindSafe(|| check(&run)));
            let word = if outcome.is_ok() { "PASS" } else { "FAIL" };
            passed += u32::from(outcome.is_ok());
            failed += u32::from(outcome.is_err());
            println!(
                "{word} {name} {case} {:.1} s",
                begun.elapsed().as_secs_f64()
            );
        }
    }
    println!("{passed} passed, {failed} failed");
    if failed > 0 || passed == 0 {
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
