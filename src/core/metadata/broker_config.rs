//! A broker config's value through all its layers: set at run time for this broker, for all, in the file, by nobody.
//!
//! Invariants: the order of layers is Kafka's precedence, strongest first; within a layer, the order of the names given.
//! Deliberately absent: listener-prefixed keys as synonyms of their base keys (nothing in the core reads one).
//! Source: Kafka's `ConfigHelper.configSynonyms` and `DynamicBrokerConfig.brokerConfigSynonyms`.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{ConfigResource, Image};
use crate::types::{BrokerConfigView, ConfigSource, NodeId};

type Values = BTreeMap<Arc<str>, Arc<str>>;

/// One broker's configs in all layers.
#[derive(Clone, Copy, Debug)]
pub struct BrokerConfigs<'a> {
    file: &'a BrokerConfigView,
    own: Option<&'a Values>,
    all: Option<&'a Values>,
}

/// A value that some layer holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayeredValue {
    /// The broker key.
    pub name: Arc<str>,
    /// Its value as set.
    pub value: Arc<str>,
    /// The layer.
    pub source: ConfigSource,
}

impl<'a> BrokerConfigs<'a> {
    /// Of the broker `node`: its static configs and what the image holds for it and for all.
    #[must_use]
    pub fn new(file: &'a BrokerConfigView, image: &'a Image, node: NodeId) -> Self {
        Self {
            file,
            own: image.configs.get(&ConfigResource::Broker(Some(node))),
            all: image.configs.get(&ConfigResource::Broker(None)),
        }
    }

    /// The static configs alone, as before the first metadata.
    #[must_use]
    pub fn of_file(file: &'a BrokerConfigView) -> Self {
        Self {
            file,
            own: None,
            all: None,
        }
    }

    /// The static configs.
    #[must_use]
    pub fn file(&self) -> &'a BrokerConfigView {
        self.file
    }

    /// Values set at run time for this broker.
    pub fn dynamic_own(&self) -> impl Iterator<Item = (&'a Arc<str>, &'a Arc<str>)> {
        self.own.into_iter().flatten()
    }

    /// Values set at run time for all brokers.
    pub fn dynamic_all(&self) -> impl Iterator<Item = (&'a Arc<str>, &'a Arc<str>)> {
        self.all.into_iter().flatten()
    }

    /// Everything that is set under these names (synonyms, strongest first), strongest first.
    #[must_use]
    pub fn layers(&self, names: &[&str]) -> Vec<LayeredValue> {
        let mut found = Vec::new();
        for (values, source) in [
            (self.own, ConfigSource::DynamicBroker),
            (self.all, ConfigSource::DynamicDefaultBroker),
        ] {
            let Some(values) = values else { continue };
            found.extend(names.iter().filter_map(|&name| {
                let (name, value) = values.get_key_value(name)?;
                Some(LayeredValue {
                    name: name.clone(),
                    value: value.clone(),
                    source,
                })
            }));
        }
        for source in [ConfigSource::StaticBroker, ConfigSource::Default] {
            found.extend(names.iter().filter_map(|&name| {
                Some(LayeredValue {
                    name: name.into(),
                    value: self.static_value(name, source)?,
                    source,
                })
            }));
        }
        found
    }

    /// The value of one static layer.
    fn static_value(&self, name: &str, layer: ConfigSource) -> Option<Arc<str>> {
        let entry = self.file.get(name)?;
        if entry.source == layer {
            return entry.value.clone();
        }
        // A key set in the file still has its default below.
        (layer == ConfigSource::Default)
            .then_some(entry.def.default)
            .flatten()
            .map(Arc::from)
    }
}

/// The keys that decide a broker key's value, strongest first; itself alone for most.
#[must_use]
pub fn broker_synonyms(name: &str) -> Vec<&str> {
    const GROUPS: [&[&str]; 3] = [
        &["log.roll.ms", "log.roll.hours"],
        &["log.roll.jitter.ms", "log.roll.jitter.hours"],
        &[
            "log.retention.ms",
            "log.retention.minutes",
            "log.retention.hours",
        ],
    ];
    if name == "log.flush.interval.ms" {
        // One way only: the scheduler's interval is the default of the interval.
        return vec![name, "log.flush.scheduler.interval.ms"];
    }
    GROUPS
        .iter()
        .find(|group| group.contains(&name))
        .map_or_else(|| vec![name], |group| group.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{BrokerConfigEntry, ConfigDef, ConfigDynamic, ConfigKind};

    static HOURS: ConfigDef = ConfigDef {
        name: "log.retention.hours",
        kind: ConfigKind::Int,
        default: Some("168"),
        dynamic: ConfigDynamic::ReadOnly,
        internal: false,
        doc: "",
    };

    #[test]
    fn rule_10_12_layers_come_strongest_first() {
        let view = BrokerConfigView::new(
            vec![BrokerConfigEntry {
                def: &HOURS,
                value: Some("24".into()),
                source: ConfigSource::StaticBroker,
            }],
            BTreeMap::new(),
        );
        let mut image = Image::default();
        image.configs.insert(
            ConfigResource::Broker(Some(NodeId(1))),
            [("log.retention.ms".into(), "5".into())].into(),
        );
        image.configs.insert(
            ConfigResource::Broker(None),
            [("log.retention.ms".into(), "6".into())].into(),
        );
        let configs = BrokerConfigs::new(&view, &image, NodeId(1));
        let found: Vec<_> = configs
            .layers(&broker_synonyms("log.retention.hours"))
            .into_iter()
            .map(|l| (l.name.to_string(), l.value.to_string(), l.source.wire()))
            .collect();
        let row = |name: &str, value: &str, source| (name.to_owned(), value.to_owned(), source);
        assert_eq!(
            found,
            [
                row("log.retention.ms", "5", 2),
                row("log.retention.ms", "6", 3),
                row("log.retention.hours", "24", 4),
                row("log.retention.hours", "168", 5),
            ]
        );
    }
}
