//! Scripts that step a coordinator, random histories, and records that Kafka wrote.

mod admin;
mod bounds;
mod generations;
mod golden;
mod invariants;
mod joining;
mod leaving;
mod offsets;
mod random;
mod requests;
mod script;
mod statics;
mod telling;
mod timers;

use super::GroupConfig;
use crate::types::Millis;
use script::Script;

/// Kafka's defaults; the first rebalance waits for nobody.
fn config() -> GroupConfig {
    GroupConfig {
        initial_rebalance_delay: Millis(0),
        ..GroupConfig::default()
    }
}

/// Runs a script with a coordinator of `config`.
fn check(text: &str) {
    Script::new(config()).run(text);
}

/// Runs a script with another config.
fn check_with(change: impl FnOnce(&mut GroupConfig), text: &str) {
    let mut config = config();
    change(&mut config);
    Script::new(config).run(text);
}
