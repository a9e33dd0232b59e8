//! One history from one seed: run it, and say how to see it again.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::node;
use crate::world::{Report, World};

/// What may vary between runs of a seed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Keep the lines of the trace.
    pub keep_trace: bool,
    /// The safety rule to take away; needs the feature `mutants`.
    pub mutant: Option<&'static str>,
}

/// How a run ended.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// What was done, or the first promise that was broken.
    pub result: Result<Report, String>,
    /// The trace's lines, if they were kept.
    pub lines: Vec<String>,
}

/// The rules that a mutant can take away: each must be missed by the checkers.
pub const MUTANTS: [&str; 7] = [
    "ACK_BEFORE_DURABLE",
    "SKIP_FLUSH",
    "IGNORE_FAILED_FLUSH",
    "LOSE_PRODUCER_STATE",
    "COMMIT_BEFORE_DURABLE",
    "TWO_GENERATIONS",
    LOSE_MESH_MESSAGE,
];

/// The one that is the world's own: a message between two shards is lost.
const LOSE_MESH_MESSAGE: &str = "LOSE_MESH_MESSAGE";

/// Runs a seed's history. A panic of the core is a broken promise too (in builds that unwind); its message is in the result.
#[must_use]
pub fn run(seed: u64, options: Options) -> Outcome {
    let lost = options.mutant == Some(LOSE_MESH_MESSAGE);
    remove_rule(options.mutant.filter(|_| !lost));
    let mut world = World::new(seed, node::boot, options.keep_trace);
    if lost {
        world.lose_messages();
    }
    node::format(world.disk());
    let ran = catch_unwind(AssertUnwindSafe(|| world.run()));
    remove_rule(None);
    let result = ran.unwrap_or_else(|panic| {
        let text = panic
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| panic.downcast_ref::<&str>().copied())
            .unwrap_or("no message");
        Err(format!("panic: {text}"))
    });
    Outcome {
        result,
        lines: world.into_lines(),
    }
}

#[cfg(feature = "mutants")]
fn remove_rule(name: Option<&'static str>) {
    onrush_core::rule::remove(name);
}

#[cfg(not(feature = "mutants"))]
fn remove_rule(name: Option<&'static str>) {
    assert!(name.is_none(), "this build has no mutants");
}
