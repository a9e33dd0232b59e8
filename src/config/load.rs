//! From a properties file and `--override`s to a checked [`BrokerConfig`].
//!
//! Invariants: 1. An override beats the file, the last of equals wins. 2. Nothing is refused silently and nothing that is
//! refused is half applied: the first fault ends the load. 3. No message shows the value of a password.
//! Deliberately absent: dynamic values, `${provider:key}` (refused by the schema), environment variables.
//! Source: Kafka's `KafkaConfig`, `AbstractConfig`.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use onrush_core::types::{BrokerConfigEntry, BrokerConfigView, ConfigKind, ConfigSource};

use super::listeners::ListenerError;
use super::properties::{self, PropertiesError};
use super::schema::{self, ConfigKey, Status};
use super::typed::BrokerConfig;
use super::validate;

/// Why the configuration cannot be used: one sentence that names key, value, bound and what to do.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration file {path}: {error}")]
    File {
        /// As given.
        path: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
    /// The file is not in properties syntax.
    #[error("the configuration file {path} is malformed: {error}")]
    Syntax {
        /// As given.
        path: PathBuf,
        /// Where and what.
        error: PropertiesError,
    },
    /// `--override` without `=`.
    #[error("--override {text:?} is not of the form key=value")]
    Override {
        /// As given.
        text: String,
    },
    /// Type or bound.
    #[error("{key}={value} {problem} ({origin})")]
    Value {
        /// The key.
        key: String,
        /// Its value, or `[hidden]`.
        value: String,
        /// What it must be.
        problem: String,
        /// Who set it.
        origin: Origin,
    },
    /// A key whose neglect would weaken security or durability.
    #[error(
        "{key}={value} ({origin}) cannot be honoured: {why}; take it out if that is acceptable, or keep Kafka here"
    )]
    Refused {
        /// The key.
        key: String,
        /// Its value, or `[hidden]`.
        value: String,
        /// Who set it.
        origin: Origin,
        /// How neglect would hurt.
        why: &'static str,
    },
    /// Two keys that do not go together, or a value that this version cannot serve.
    #[error("{0}")]
    Cross(String),
    /// Listeners.
    #[error(transparent)]
    Listeners(#[from] ListenerError),
}

/// Who set a value.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Origin {
    /// A line of the file.
    File {
        /// The file as given.
        path: Arc<Path>,
        /// Counted from 1.
        line: usize,
    },
    /// The command line.
    Override,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, line } => write!(f, "{} line {line}", path.display()),
            Self::Override => f.write_str("from --override"),
        }
    }
}

/// What is accepted but does less than someone may expect; listed once at start.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Notices {
    /// Known keys that are set and have no effect yet.
    pub no_effect: Vec<String>,
    /// Keys that nobody knows.
    pub unknown: Vec<String>,
    /// Keys of older Kafkas, with what became of them.
    pub removed: Vec<(String, &'static str)>,
    /// Sentences.
    pub others: Vec<String>,
}

/// One set value.
#[derive(Clone, Debug)]
pub(super) struct Setting {
    pub(super) value: String,
    pub(super) origin: Origin,
}

/// All checked values by key, defaults included.
#[derive(Debug)]
pub(super) struct Values {
    checked: BTreeMap<&'static str, (Option<String>, Option<Origin>)>,
}

impl Values {
    /// The value as set or its default; `None` is null.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let (value, _) = self
            .checked
            .get(name)
            .unwrap_or_else(|| panic!("{name} is not a key of the schema"));
        value.as_deref()
    }

    /// The value, if somebody set it and it is not empty.
    pub(super) fn set(&self, name: &str) -> Option<&str> {
        self.origin(name)?;
        self.get(name).filter(|value| !value.is_empty())
    }

    pub(super) fn origin(&self, name: &str) -> Option<&Origin> {
        self.checked.get(name)?.1.as_ref()
    }

    /// A number of a key that is never null.
    pub(super) fn number(&self, name: &str) -> i64 {
        self.number_or_null(name)
            .unwrap_or_else(|| panic!("{name} has no number for a value"))
    }

    pub(super) fn number_or_null(&self, name: &str) -> Option<i64> {
        self.get(name)?.parse().ok()
    }
}

/// Loads file (if any) and overrides (`key=value`), checks everything.
pub fn load(file: Option<&Path>, overrides: &[String]) -> Result<BrokerConfig, ConfigError> {
    let mut settings = BTreeMap::new();
    if let Some(path) = file {
        let bytes = std::fs::read(path).map_err(|error| ConfigError::File {
            path: path.to_owned(),
            error,
        })?;
        read_file(path, &bytes, &mut settings)?;
    }
    for text in overrides {
        let (key, value) = text
            .split_once('=')
            .filter(|(key, _)| !key.trim().is_empty())
            .ok_or_else(|| ConfigError::Override { text: text.clone() })?;
        let setting = Setting {
            value: value.to_owned(),
            origin: Origin::Override,
        };
        settings.insert(key.trim().to_owned(), setting);
    }
    from_settings(settings)
}

fn read_file(
    path: &Path,
    bytes: &[u8],
    settings: &mut BTreeMap<String, Setting>,
) -> Result<(), ConfigError> {
    let entries = properties::parse(bytes).map_err(|error| ConfigError::Syntax {
        path: path.to_owned(),
        error,
    })?;
    let path: Arc<Path> = Arc::from(path);
    for entry in entries {
        let origin = Origin::File {
            path: path.clone(),
            line: entry.line,
        };
        let setting = Setting {
            value: entry.value,
            origin,
        };
        settings.insert(entry.key, setting);
    }
    Ok(())
}

fn from_settings(settings: BTreeMap<String, Setting>) -> Result<BrokerConfig, ConfigError> {
    let mut checked: BTreeMap<_, _> = schema::all()
        .map(|key| (key.def.name, (key.def.default.map(str::to_owned), None)))
        .collect();
    let mut notices = Notices::default();
    let mut unknown: BTreeMap<Arc<str>, Arc<str>> = BTreeMap::new();
    for (name, setting) in settings {
        if let Some(key) = schema::find(&name) {
            let value = check(key, &name, &setting)?;
            if key.status == Status::NoEffect {
                notices.no_effect.push(name);
            }
            checked.insert(key.def.name, (Some(value), Some(setting.origin)));
            continue;
        }
        if let Some(key) = base_of_listener_key(&name) {
            check(key, &name, &setting)?;
            notices.no_effect.push(name.clone());
        } else if let Some(hint) = removed_hint(&name) {
            notices.removed.push((name.clone(), hint));
        } else if is_passed_on(&name) {
            notices.no_effect.push(name.clone());
        } else {
            notices.unknown.push(name.clone());
        }
        unknown.insert(name.into(), setting.value.into());
    }
    let values = Values { checked };
    validate::cross_checks(&values)?;
    let view = BrokerConfigView::new(entries(&values), unknown);
    BrokerConfig::new(&values, view, notices)
}

fn check(key: &ConfigKey, name: &str, setting: &Setting) -> Result<String, ConfigError> {
    let shown = |value: &str| match key.def.kind {
        ConfigKind::Password => "[hidden]".to_owned(),
        _ => value.to_owned(),
    };
    let value = key
        .check(&setting.value)
        .map_err(|problem| ConfigError::Value {
            key: name.to_owned(),
            value: shown(setting.value.trim()),
            problem: problem.to_string(),
            origin: setting.origin.clone(),
        })?;
    match key.status {
        Status::RefusedIfSet(why) if key.differs(&value) => Err(ConfigError::Refused {
            key: name.to_owned(),
            value: shown(&value),
            origin: setting.origin.clone(),
            why,
        }),
        _ => Ok(value),
    }
}

/// `listener.name.<listener>.<key>` and `listener.name.<listener>.<mechanism>.<key>` are `<key>` for one listener.
fn base_of_listener_key(name: &str) -> Option<&'static ConfigKey> {
    let (_, rest) = name.strip_prefix("listener.name.")?.split_once('.')?;
    let by_mechanism = || schema::find(rest.split_once('.')?.1);
    schema::find(rest).or_else(by_mechanism)
}

/// Keys that Kafka hands to plug-ins: nobody reads them here.
fn is_passed_on(name: &str) -> bool {
    let prefixes = ["rsm.config.", "rlmm.config.", "metrics.context."];
    let authorizer = ["super.users", "allow.everyone.if.no.acl.found"];
    authorizer.contains(&name) || prefixes.iter().any(|p| name.starts_with(p))
}

/// Keys that Kafka 4 no longer knows, which old files still carry.
fn removed_hint(name: &str) -> Option<&'static str> {
    if name.starts_with("zookeeper.") {
        return Some("there is no ZooKeeper: the metadata is in this node's own log");
    }
    if name.starts_with("password.encoder.") {
        return Some("passwords are no longer encoded by the broker");
    }
    match name {
        "inter.broker.protocol.version" => Some("metadata.version says what brokers speak"),
        "log.message.format.version" | "log.message.downconversion.enable" => {
            Some("there is one message format, version 2")
        }
        "log.message.timestamp.difference.max.ms" => {
            Some("use log.message.timestamp.before.max.ms and log.message.timestamp.after.max.ms")
        }
        "offsets.commit.required.acks" => Some("offsets are always committed with acks=all"),
        "control.plane.listener.name" => Some("use controller.listener.names"),
        "reserved.broker.max.id" | "broker.id.generation.enable" => {
            Some("set node.id: ids are not made up any more")
        }
        "delegation.token.master.key" => Some("it became delegation.token.secret.key"),
        _ => None,
    }
}

fn entries(values: &Values) -> Vec<BrokerConfigEntry> {
    schema::all()
        .map(|key| BrokerConfigEntry {
            def: &key.def,
            value: values.get(key.def.name).map(Arc::from),
            source: match values.origin(key.def.name) {
                Some(_) => ConfigSource::StaticBroker,
                None => ConfigSource::Default,
            },
        })
        .collect()
}

#[cfg(test)]
#[path = "load_tests.rs"]
mod tests;
