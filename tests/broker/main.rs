//! The real binary on a free port, spoken to by librdkafka and by raw frames.
//!
//! Every test has a broker of its own. `ONRUSH_TEST_BROKER=host:port` aims those that need no process
//! (`produce_fetch`, `errors`, `topics`) at another broker: they pass on Apache Kafka 4.2.0 too.
#![allow(unreachable_pub, reason = "the modules of a test are its own")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod errors;
mod groups;
mod librdkafka;
mod produce_fetch;
mod resources;
mod shards;
mod startup;
mod stop;
mod topics;

/// The binary under test.
const BINARY: &str = env!("CARGO_BIN_EXE_onrush");

/// A topic name that no other test, and no earlier run on an outside broker, has used.
fn unique(name: &str) -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    format!("{name}-{}", now.unwrap().as_nanos())
}
