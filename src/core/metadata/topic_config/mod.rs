//! Topic configs: what may be set on a topic, what it comes to, and where each value is from.
//!
//! Invariants: 1. [`validate`] accepts exactly what Kafka 4.2 accepts on a node without tiered storage (and `onrush.durability`).
//! 2. A value that does not parse although it was once accepted (another program wrote the log) counts as not set.
//! Deliberately absent: changing configs of a living topic (its API is not served).
//! Source: Kafka's `LogConfig.validate`, `KafkaConfigSchema.resolveEffectiveTopicConfigs`, `ConfigHelper.createTopicConfigEntry`;
//! KIP-226 for layers and synonyms.

mod resolved;
mod table;
mod value;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use crate::log::Durability;
pub use crate::wire::batch::TimestampType;
pub use resolved::{Compression, TopicConfigs};
pub use table::{TOPIC_CONFIGS, TopicConfigDef, topic_config_def};
pub use value::{ConfigCheck, ConfigValue};

use super::EffectiveConfig;
use super::broker_config::{BrokerConfigs, LayeredValue};
use crate::types::ConfigSource;

/// A topic's own values: name → value as set.
pub type Overrides = BTreeMap<Arc<str>, Arc<str>>;

/// Checks what CreateTopics wants to set. The error is the sentence Kafka sends beside INVALID_CONFIG.
///
/// A name that stands twice counts with its last value, as in Kafka.
pub fn validate(
    configs: &[(String, Option<String>)],
    broker: &BrokerConfigs<'_>,
) -> Result<(), String> {
    let nulls: Vec<&str> = configs
        .iter()
        .filter(|(_, value)| value.is_none())
        .map(|(name, _)| name.as_str())
        .collect();
    if !nulls.is_empty() {
        let names = nulls.join(",");
        return Err(format!(
            "Null value not supported for topic configs: {names}"
        ));
    }
    let wanted: BTreeMap<&str, &str> = configs
        .iter()
        .filter_map(|(name, value)| Some((name.as_str(), value.as_deref()?)))
        .collect();
    if let Some(name) = wanted.keys().find(|name| topic_config_def(name).is_none()) {
        return Err(format!("Unknown topic config name: {name}"));
    }
    let mut overrides = Overrides::new();
    for (&name, &text) in &wanted {
        if let Some(def) = topic_config_def(name) {
            value::parse(name, text, def.kind, def.check)?;
            overrides.insert(name.into(), text.into());
        }
    }
    check_together(&overrides, broker)
}

/// Checks that single values cannot fail alone.
fn check_together(overrides: &Overrides, broker: &BrokerConfigs<'_>) -> Result<(), String> {
    let resolved = TopicConfigs::resolve(overrides, broker);
    let (min, max) = (resolved.min_compaction_lag, resolved.max_compaction_lag);
    if min > max {
        return Err(format!(
            "conflict topic config setting min.compaction.lag.ms ({}) > max.compaction.lag.ms ({})",
            min.0, max.0
        ));
    }
    // Kafka's further checks of tiered storage come after this one, which always fails here: there is no tiered storage.
    let remote = overrides.get("remote.storage.enable");
    if remote.is_some_and(|value| value.trim().eq_ignore_ascii_case("true")) {
        return Err("Tiered Storage functionality is disabled in the broker. \
                    Topic cannot be configured with remote log storage."
            .to_owned());
    }
    Ok(())
}

/// A topic config as DescribeConfigs shows it.
#[derive(Clone, Debug, PartialEq)]
pub struct DescribedConfig {
    /// What it is.
    pub def: &'static TopicConfigDef,
    /// Its value; `None` is null.
    pub value: Option<Arc<str>>,
    /// Where the value is from.
    pub source: ConfigSource,
    /// Every layer that holds a value, strongest first; the topic's own comes first under the topic config's name.
    pub synonyms: Vec<LayeredValue>,
}

/// All configs of a topic, sorted by name, in force with these overrides; internal ones only where set.
#[must_use]
pub fn describe(overrides: &Overrides, broker: &BrokerConfigs<'_>) -> Vec<DescribedConfig> {
    TOPIC_CONFIGS
        .iter()
        .filter(|def| !def.internal || overrides.contains_key(def.name))
        .map(|def| describe_one(def, overrides, broker))
        .collect()
}

fn describe_one(
    def: &'static TopicConfigDef,
    overrides: &Overrides,
    broker: &BrokerConfigs<'_>,
) -> DescribedConfig {
    let (value, source) = in_force(def, overrides, broker);
    let own = overrides.get(def.name).map(|_| LayeredValue {
        name: def.name.into(),
        value: value.clone().unwrap_or_default(),
        source: ConfigSource::Topic,
    });
    let synonyms = own.into_iter().chain(broker.layers(def.synonyms)).collect();
    DescribedConfig {
        def,
        value,
        source,
        synonyms,
    }
}

/// The value in force, as Kafka prints it, and its layer.
fn in_force(
    def: &TopicConfigDef,
    overrides: &Overrides,
    broker: &BrokerConfigs<'_>,
) -> (Option<Arc<str>>, ConfigSource) {
    match resolved::parsed(def, overrides, broker) {
        Some((value, source)) => (Some(value.to_string().into()), source),
        None => (None, ConfigSource::Default),
    }
}

/// All configs of a topic as CreateTopics v5+ answers them, sorted by name.
#[must_use]
pub fn effective(overrides: &Overrides, broker: &BrokerConfigs<'_>) -> Vec<EffectiveConfig> {
    TOPIC_CONFIGS
        .iter()
        .filter(|def| !def.internal || overrides.contains_key(def.name))
        .map(|def| {
            let (value, source) = in_force(def, overrides, broker);
            EffectiveConfig {
                name: def.name.into(),
                value,
                source: source.wire(),
                read_only: false,
                sensitive: false,
            }
        })
        .collect()
}

#[cfg(test)]
mod tests;
