//! DescribeConfigs (key 32): the configs of topics and brokers, with where each value is from.
//!
//! Versions 1–4, flexible from 4. 1: sources and synonyms. 2: as 1. 3: types and documentation.
//!
//! * Topic: every config but internal ones that nobody set, in force with the broker's values below.
//! * Broker: its id names this broker; the empty name means what is set at run time for all brokers.
//! * Client metrics: what the metadata holds, though telemetry itself is not served.
//! * Measured: success carries an empty message, not null; an empty list of keys means all.
//!
//! Gaps: broker loggers and groups are refused (docs/SKIPPED.md); no authorizer.
//! Source: KIP-133, KIP-226, KIP-569; Kafka's `ConfigHelper`.

use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResult, DescribeConfigsSynonym,
};
use kafka_protocol::messages::{DescribeConfigsRequest, DescribeConfigsResponse};
use kafka_protocol::protocol::StrBytes;

use super::context::{ApiContext, text};
use crate::metadata::topic_config::{self, DescribedConfig, Overrides};
use crate::metadata::{ConfigResource, LayeredValue, broker_synonyms, validate_topic_name};
use crate::types::{BrokerConfigEntry, ConfigDynamic, ConfigKind, ConfigSource, ErrorCode};

const TOPIC: i8 = 2;
const BROKER: i8 = 4;
const BROKER_LOGGER: i8 = 8;
const CLIENT_METRICS: i8 = 16;
const GROUP: i8 = 32;
/// Kafka's source of a client metrics config.
const SOURCE_CLIENT_METRICS: i8 = 7;
/// Kafka's type of a config that it does not know.
const KIND_UNKNOWN: i8 = 0;

type Rows = Vec<DescribeConfigsResourceResult>;

/// Why a resource is not described: code and sentence.
type Refusal = (ErrorCode, String);

/// Answers a request.
#[must_use]
pub fn handle(ctx: &ApiContext<'_>, request: &DescribeConfigsRequest) -> DescribeConfigsResponse {
    let known = [TOPIC, BROKER, BROKER_LOGGER, CLIENT_METRICS, GROUP];
    let mut types = request.resources.iter().map(|r| r.resource_type);
    // Kafka looks at all types before it describes anything.
    let strange = types.find(|kind| !known.contains(kind));
    let results = request.resources.iter().map(|resource| {
        let described = match strange {
            None => describe(ctx, resource, request),
            Some(kind) => Err(refuse(format!("Unexpected resource type {kind}"))),
        };
        let result = match described {
            Ok(rows) => DescribeConfigsResult::default()
                .with_error_message(Some(StrBytes::new()))
                .with_configs(rows),
            Err((error, message)) => DescribeConfigsResult::default()
                .with_error_code(error.code())
                .with_error_message(Some(text(&message))),
        };
        result
            .with_resource_type(resource.resource_type)
            .with_resource_name(resource.resource_name.clone())
    });
    DescribeConfigsResponse::default().with_results(results.collect())
}

fn refuse(message: impl Into<String>) -> Refusal {
    (ErrorCode::InvalidRequest, message.into())
}

fn describe(
    ctx: &ApiContext<'_>,
    resource: &DescribeConfigsResource,
    request: &DescribeConfigsRequest,
) -> Result<Rows, Refusal> {
    let name = resource.resource_name.as_str();
    let mut rows = match resource.resource_type {
        TOPIC => topic(ctx, name)?,
        BROKER if name.is_empty() => all_brokers(ctx),
        BROKER => own_broker(ctx, name)?,
        CLIENT_METRICS => client_metrics(ctx, name)?,
        BROKER_LOGGER => return Err(refuse("Broker loggers are not served")),
        _ => return Err(refuse("Group configs are not served")),
    };
    let keys = resource.configuration_keys.as_deref().unwrap_or_default();
    if !keys.is_empty() {
        rows.retain(|row| keys.contains(&row.name));
    }
    for row in &mut rows {
        if !request.include_synonyms {
            row.synonyms.clear();
        }
        if !request.include_documentation {
            row.documentation = None;
        }
    }
    Ok(rows)
}

fn topic(ctx: &ApiContext<'_>, name: &str) -> Result<Rows, Refusal> {
    validate_topic_name(name).map_err(|why| (ErrorCode::InvalidTopicException, why))?;
    if ctx.topic(name).is_none() {
        return Err((ErrorCode::UnknownTopicOrPartition, String::new()));
    }
    let none = Overrides::new();
    let own = ctx.image.configs.get(&ConfigResource::Topic(name.into()));
    let configs = topic_config::describe(own.unwrap_or(&none), &ctx.broker_configs());
    Ok(configs.iter().map(topic_row).collect())
}

fn topic_row(config: &DescribedConfig) -> DescribeConfigsResourceResult {
    DescribeConfigsResourceResult::default()
        .with_name(text(config.def.name))
        .with_value(config.value.as_deref().map(text))
        .with_config_source(config.source.wire())
        .with_synonyms(config.synonyms.iter().map(|l| synonym(l, false)).collect())
        .with_config_type(config.def.kind.wire())
        .with_documentation(Some(text(config.def.doc)))
}

fn synonym(layer: &LayeredValue, sensitive: bool) -> DescribeConfigsSynonym {
    DescribeConfigsSynonym::default()
        .with_name(text(&layer.name))
        .with_value((!sensitive).then(|| text(&layer.value)))
        .with_source(layer.source.wire())
}

/// This broker, by its id.
fn own_broker(ctx: &ApiContext<'_>, name: &str) -> Result<Rows, Refusal> {
    let Ok(id) = name.parse::<i32>() else {
        return Err(refuse(format!(
            "Broker id must be an integer, but it is: {name}"
        )));
    };
    if id != ctx.node.0 {
        return Err(refuse(format!(
            "Unexpected broker id, expected {} or empty string, but received {name}",
            ctx.node
        )));
    }
    let shown =
        |entry: &&BrokerConfigEntry| !entry.def.internal || entry.source != ConfigSource::Default;
    let mut rows: Rows = ctx
        .config
        .entries()
        .filter(shown)
        .map(|entry| broker_row(ctx, entry.def.name, true))
        .collect();
    rows.extend(ctx.config.unknown().map(|name| unknown_row(name)));
    Ok(rows)
}

/// What is set at run time for all brokers.
fn all_brokers(ctx: &ApiContext<'_>) -> Rows {
    let configs = ctx.broker_configs();
    let set = configs.dynamic_all();
    set.map(|(name, _)| broker_row(ctx, name, false)).collect()
}

/// A broker config with its layers: all of them, or only those set for all brokers.
fn broker_row(ctx: &ApiContext<'_>, name: &str, own: bool) -> DescribeConfigsResourceResult {
    let entry = ctx.config.get(name);
    // What nobody knows may be a secret.
    let sensitive = entry.is_none_or(|entry| entry.def.kind == ConfigKind::Password);
    let mut layers = ctx.broker_configs().layers(&broker_synonyms(name));
    layers.retain(|layer| own || layer.source == ConfigSource::DynamicDefaultBroker);
    // Stronger synonyms are not this key's own value.
    let first = layers.iter().position(|layer| &*layer.name == name);
    let layers = layers.split_off(first.unwrap_or(layers.len()));
    let value = layers.first().map(|layer| text(&layer.value));
    let source = layers
        .first()
        .map_or(ConfigSource::Default, |layer| layer.source);
    let read_only = entry.is_none_or(|entry| entry.def.dynamic == ConfigDynamic::ReadOnly);
    DescribeConfigsResourceResult::default()
        .with_name(text(name))
        .with_value(value.filter(|_| !sensitive))
        .with_read_only(read_only)
        .with_config_source(source.wire())
        .with_is_sensitive(sensitive)
        .with_synonyms(layers.iter().map(|l| synonym(l, sensitive)).collect())
        .with_config_type(entry.map_or(KIND_UNKNOWN, |entry| entry.def.kind.wire()))
        .with_documentation(entry.map(|entry| text(entry.def.doc)))
}

/// A key of the file that nobody knows: its name is shown, its value may be a secret.
fn unknown_row(name: &str) -> DescribeConfigsResourceResult {
    let source = ConfigSource::StaticBroker.wire();
    let set = DescribeConfigsSynonym::default()
        .with_name(text(name))
        .with_value(None)
        .with_source(source);
    DescribeConfigsResourceResult::default()
        .with_name(text(name))
        .with_value(None)
        .with_read_only(true)
        .with_config_source(source)
        .with_is_sensitive(true)
        .with_synonyms(vec![set])
        .with_config_type(KIND_UNKNOWN)
        .with_documentation(None)
}

fn client_metrics(ctx: &ApiContext<'_>, name: &str) -> Result<Rows, Refusal> {
    if name.is_empty() {
        return Err(refuse("Client metrics subscription name must not be empty"));
    }
    let resource = ConfigResource::Other(CLIENT_METRICS, name.into());
    let set = ctx.image.configs.get(&resource).into_iter().flatten();
    let rows = set.map(|(name, value)| {
        DescribeConfigsResourceResult::default()
            .with_name(text(name))
            .with_value(Some(text(value)))
            .with_config_source(SOURCE_CLIENT_METRICS)
            .with_documentation(None)
    });
    Ok(rows.collect())
}

#[cfg(test)]
mod tests;
