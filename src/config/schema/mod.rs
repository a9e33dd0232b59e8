//! Every broker key: what Kafka 4.2 knows, and onrush's own.
//!
//! Purpose: the one place that says which keys there are, what values they take, and what onrush does with each.
//! Invariants: 1. Names are unique. 2. A default passes its own check (tests see to both).
//! 3. A key whose neglect would weaken security or durability is [`Status::RefusedIfSet`], never [`Status::NoEffect`].
//!
//! Defaults are those of Kafka's code, except where the file that Kafka ships for a single node differs: process.roles,
//! node.id, controller.listener.names and the replication factors of internal topics. Two are onrush's own: `listeners`
//! stay on 127.0.0.1, and `log.dir` is `data` in the working directory.
//! Deliberately absent: topic configs (in the core), dynamic values (in the metadata image).
//! Source: Kafka's `AbstractKafkaConfig.CONFIG_DEF` and its shipped `config/server.properties`.

use onrush_core::types::{ConfigDef, ConfigKind};

/// Writes a table of keys: `/// doc`, then `"name": Kind, default, valid, dynamic, status;`, with `internal` before the
/// semicolon for keys that Kafka hides.
macro_rules! keys {
    (@internal) => { false };
    (@internal internal) => { true };
    ($(#[doc = $doc:literal] $name:literal: $kind:ident, $default:expr, $valid:expr, $dynamic:ident, $status:expr $(, $internal:ident)?;)+) => {
        pub(super) static KEYS: &[ConfigKey] = &[$(ConfigKey {
            def: onrush_core::types::ConfigDef {
                name: $name,
                kind: onrush_core::types::ConfigKind::$kind,
                default: $default,
                dynamic: onrush_core::types::ConfigDynamic::$dynamic,
                internal: keys!(@internal $($internal)?),
                doc: $doc.trim_ascii(),
            },
            valid: $valid,
            status: $status,
        }),+];
    };
}

mod broker;
mod groups;
mod kraft;
mod log;
mod network;
mod own;
mod remote;
mod security;
mod transactions;

/// A broker key.
#[derive(Clone, Copy, Debug)]
pub struct ConfigKey {
    /// Name, type, default, description: what DescribeConfigs shows.
    pub def: ConfigDef,
    /// Which values are allowed.
    pub valid: Valid,
    /// What onrush does with it.
    pub status: Status,
}

/// Which values a key takes besides its type.
#[derive(Clone, Copy, Debug)]
pub enum Valid {
    /// Every value of the type.
    Any,
    /// A number not below this.
    AtLeast(i64),
    /// A number within these, both included.
    Between(i64, i64),
    /// A number within the first two, or the third.
    BetweenOr(i64, i64, i64),
    /// A real number within these, both included.
    BetweenReal(f64, f64),
    /// Text that is not blank.
    NonEmpty,
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// One of these words, in any case of letters.
    OneOfAnyCase(&'static [&'static str]),
    /// A list of these words only.
    EachOf(&'static [&'static str]),
}

/// What onrush does with a key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Status {
    /// It does what it says.
    Honoured,
    /// Accepted and checked, without effect; listed at start when set.
    NoEffect,
    /// Set to anything but its default (or nothing) the broker does not start, because neglect would weaken security or
    /// durability. The text says how.
    RefusedIfSet(&'static str),
}

/// Why a value is not allowed: the end of a sentence that begins with key and value.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0}")]
pub struct BadValue(String);

/// All keys, area by area.
pub fn all() -> impl Iterator<Item = &'static ConfigKey> {
    [
        own::KEYS,
        kraft::KEYS,
        network::KEYS,
        log::KEYS,
        broker::KEYS,
        groups::KEYS,
        transactions::KEYS,
        security::KEYS,
        remote::KEYS,
    ]
    .into_iter()
    .flatten()
}

/// The key of this name.
#[must_use]
pub fn find(name: &str) -> Option<&'static ConfigKey> {
    all().find(|key| key.def.name == name)
}

impl ConfigKey {
    /// Checks text against type and bounds and returns it in the form that Kafka prints: trimmed, lists without blanks,
    /// booleans in lower case. Passwords and texts are only trimmed.
    pub fn check(&self, text: &str) -> Result<String, BadValue> {
        let text = text.trim();
        let normal = match self.def.kind {
            ConfigKind::Boolean => match text.to_ascii_lowercase().as_str() {
                word @ ("true" | "false") => word.to_owned(),
                _ => return Err(BadValue("must be true or false".to_owned())),
            },
            ConfigKind::Short => whole::<i16>(text)?,
            ConfigKind::Int => whole::<i32>(text)?,
            ConfigKind::Long => whole::<i64>(text)?,
            ConfigKind::Double => match text.parse::<f64>() {
                Ok(number) if !number.is_nan() => text.to_owned(),
                _ => return Err(BadValue("must be a number".to_owned())),
            },
            ConfigKind::List => items(text).collect::<Vec<_>>().join(","),
            ConfigKind::String | ConfigKind::Class | ConfigKind::Password => text.to_owned(),
        };
        self.valid.check(&normal)?;
        Ok(normal)
    }

    /// True if this (checked) value asks for something other than the default or nothing.
    #[must_use]
    pub fn differs(&self, value: &str) -> bool {
        !value.is_empty() && self.def.default != Some(value)
    }
}

/// The items of a list value, trimmed, empty ones left out.
pub fn items(text: &str) -> impl Iterator<Item = &str> {
    text.split(',')
        .map(str::trim)
        .filter(|item| !item.is_empty())
}

fn whole<T>(text: &str) -> Result<String, BadValue>
where
    T: std::str::FromStr + ToString + Bounds,
{
    match text.parse::<T>() {
        Ok(number) => Ok(number.to_string()),
        Err(_) if text.parse::<i128>().is_ok() => Err(BadValue(format!(
            "must be a whole number between {} and {}",
            T::LEAST,
            T::MOST
        ))),
        Err(_) => Err(BadValue("must be a whole number".to_owned())),
    }
}

trait Bounds {
    const LEAST: i64;
    const MOST: i64;
}
impl Bounds for i16 {
    const LEAST: i64 = Self::MIN as i64;
    const MOST: i64 = Self::MAX as i64;
}
impl Bounds for i32 {
    const LEAST: i64 = Self::MIN as i64;
    const MOST: i64 = Self::MAX as i64;
}
impl Bounds for i64 {
    const LEAST: i64 = Self::MIN;
    const MOST: i64 = Self::MAX;
}

impl Valid {
    /// `value` is of the key's type already.
    fn check(self, value: &str) -> Result<(), BadValue> {
        let number = value.parse::<i64>().ok();
        let good = match self {
            Self::Any => true,
            Self::AtLeast(least) => number.is_some_and(|n| n >= least),
            Self::Between(least, most) => number.is_some_and(|n| least <= n && n <= most),
            Self::BetweenOr(least, most, other) => {
                number.is_some_and(|n| n == other || (least <= n && n <= most))
            }
            Self::BetweenReal(least, most) => {
                value.parse::<f64>().is_ok_and(|n| least <= n && n <= most)
            }
            Self::NonEmpty => !value.is_empty(),
            Self::OneOf(words) => words.contains(&value),
            Self::OneOfAnyCase(words) => words.iter().any(|word| word.eq_ignore_ascii_case(value)),
            Self::EachOf(words) => items(value).all(|item| words.contains(&item)),
        };
        if good {
            return Ok(());
        }
        Err(BadValue(match self {
            Self::Any | Self::NonEmpty => "must not be empty".to_owned(),
            Self::AtLeast(least) => format!("must be at least {least}"),
            Self::Between(least, most) => format!("must be between {least} and {most}"),
            Self::BetweenOr(least, most, other) => {
                format!("must be between {least} and {most}, or {other}")
            }
            Self::BetweenReal(least, most) => format!("must be between {least} and {most}"),
            Self::OneOf(words) | Self::OneOfAnyCase(words) => {
                format!("must be one of {}", words.join(", "))
            }
            Self::EachOf(words) => format!("must be a list of {}", words.join(", ")),
        }))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_unique_and_all_of_kafka_is_there() {
        let names: BTreeSet<_> = all().map(|key| key.def.name).collect();
        assert_eq!(names.len(), all().count());
        let kafka = names.iter().filter(|n| !n.starts_with("onrush.")).count();
        assert_eq!(kafka, 341, "336 of Kafka 4.1 and five that came with 4.2");
    }

    #[test]
    fn every_default_passes_its_own_check_unchanged() {
        for key in all() {
            if let Some(default) = key.def.default {
                assert_eq!(
                    key.check(default).as_deref(),
                    Ok(default),
                    "{}",
                    key.def.name
                );
            }
            assert!(!key.def.doc.trim().is_empty(), "{}", key.def.name);
        }
    }

    #[test]
    fn values_are_checked_by_type_and_bound() {
        let table: &[(&str, &str, Result<&str, &str>)] = &[
            ("num.partitions", " 3 ", Ok("3")),
            ("num.partitions", "0", Err("must be at least 1")),
            ("num.partitions", "three", Err("must be a whole number")),
            (
                "offsets.topic.replication.factor",
                "40000",
                Err("must be a whole number between -32768 and 32767"),
            ),
            ("auto.create.topics.enable", "TRUE", Ok("true")),
            (
                "auto.create.topics.enable",
                "yes",
                Err("must be true or false"),
            ),
            (
                "log.cleanup.policy",
                "compact , delete",
                Ok("compact,delete"),
            ),
            ("log.cleanup.policy", "", Ok("")),
            (
                "log.cleanup.policy",
                "forget",
                Err("must be a list of compact, delete"),
            ),
            ("compression.gzip.level", "-1", Ok("-1")),
            (
                "compression.gzip.level",
                "0",
                Err("must be between 1 and 9, or -1"),
            ),
            (
                "log.cleaner.min.cleanable.ratio",
                "1.5",
                Err("must be between 0 and 1"),
            ),
            (
                "log.message.timestamp.type",
                "createtime",
                Err("must be one of CreateTime, LogAppendTime"),
            ),
            (
                "onrush.durability",
                "hope",
                Err("must be one of flushed, written"),
            ),
        ];
        for (name, text, expected) in table {
            let got = find(name).expect("a known key").check(text);
            let got = got.map_err(|e| e.to_string());
            assert_eq!(
                got.as_deref().map_err(String::as_str),
                *expected,
                "{name}={text}"
            );
        }
    }
}
