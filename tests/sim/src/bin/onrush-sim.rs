//! Runs seeds and says what they found: `onrush-sim --seeds N`, `onrush-sim --seed S [--trace]`, each with `--mutant NAME`.
//!
//! Exit codes: 0 nothing found, 1 a promise was broken, 2 wrong arguments.

use std::io::Write;
use std::process::ExitCode;
use std::time::Instant;

use onrush_sim::run::{MUTANTS, Options, run};

#[derive(Debug, Default)]
struct Arguments {
    seed: Option<u64>,
    seeds: u64,
    from: u64,
    options: Options,
}

fn parse() -> Result<Arguments, String> {
    let mut parsed = Arguments {
        seeds: 100,
        ..Arguments::default()
    };
    let mut given = std::env::args().skip(1);
    while let Some(key) = given.next() {
        let mut value = || given.next().ok_or(format!("{key} needs a value"));
        let number = |text: String| text.parse().map_err(|_| format!("{text} is no number"));
        match key.as_str() {
            "--seed" => parsed.seed = Some(number(value()?)?),
            "--seeds" => parsed.seeds = number(value()?)?,
            "--from" => parsed.from = number(value()?)?,
            "--trace" => parsed.options.keep_trace = true,
            "--mutant" => {
                let name = value()?;
                let known = MUTANTS.iter().find(|&&known| known == name);
                let known = known.ok_or(format!("{name} is none of {MUTANTS:?}"))?;
                if cfg!(not(feature = "mutants")) {
                    return Err("a mutant needs `--features mutants`".to_owned());
                }
                parsed.options.mutant = Some(known);
            }
            _ => return Err(format!("{key} is not known")),
        }
    }
    Ok(parsed)
}

fn main() -> ExitCode {
    let arguments = match parse() {
        Ok(arguments) => arguments,
        Err(what) => {
            eprintln!(
                "{what}\nusage: onrush-sim [--seeds N] [--from S] | --seed S [--trace]; [--mutant NAME]"
            );
            return ExitCode::from(2);
        }
    };
    let seeds = match arguments.seed {
        Some(seed) => seed..seed + 1,
        None => arguments.from..arguments.from + arguments.seeds,
    };
    let mut out = std::io::stdout().lock();
    let begun = Instant::now();
    let (mut count, mut failed, mut operations, mut faults) = (0u32, 0u32, 0, 0);
    for seed in seeds {
        let outcome = run(seed, arguments.options);
        count += 1;
        for line in &outcome.lines {
            drop(writeln!(out, "{line}"));
        }
        match outcome.result {
            Ok(report) => {
                operations += report.operations;
                faults += report.faults;
                if arguments.seed.is_some() {
                    drop(writeln!(out, "seed {seed}: {report:?}"));
                }
            }
            Err(what) => {
                failed += 1;
                drop(writeln!(out, "seed {seed} FAILED: {what}"));
                let mutant = arguments.options.mutant;
                let with = mutant.map_or(String::new(), |m| format!(" --mutant {m}"));
                drop(writeln!(
                    out,
                    "  again: onrush-sim --seed {seed}{with} --trace"
                ));
            }
        }
    }
    let minutes = begun.elapsed().as_secs_f64() / 60.0;
    drop(writeln!(
        out,
        "{count} seeds, {failed} failed, {operations} operations, {faults} faults, {:.0} seeds a minute",
        f64::from(count) / minutes
    ));
    if failed > 0 {
        ExitCode::from(1)
    } else {
        ExitCode::SUCCESS
    }
}
