//! The checked configuration as values of their own types: what the rest of the edge reads.

use std::path::PathBuf;
use std::sync::Arc;

use onrush_core::types::{BrokerConfigView, Millis, NodeId};

use super::listeners::{self, ListenerKeys, Listeners};
use super::load::{ConfigError, Notices, Values};
use super::validate::{data_dirs, effective_node_id};

/// What acks=all promises.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Durability {
    /// On stable storage: survives a power cut.
    Flushed,
    /// Handed to the kernel: survives kill -9.
    Written,
}

/// Bounds on connections and requests.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NetConfig {
    /// `max.connections`; `None`: no limit.
    pub connections_max: Option<u32>,
    /// `max.connections.per.ip`; `None`: no limit.
    pub connections_per_ip_max: Option<u32>,
    /// `max.connections.per.ip.overrides`: host or address, and its limit.
    pub connections_per_ip_overrides: Vec<(String, u32)>,
    /// `connections.max.idle.ms`; `None`: never closed for idleness.
    pub idle_max: Option<Millis>,
    /// `socket.request.max.bytes`
    pub request_bytes_max: u32,
    /// `socket.receive.buffer.bytes`; `None` leaves it to the kernel.
    pub receive_buffer_bytes: Option<u32>,
    /// `socket.send.buffer.bytes`; `None` leaves it to the kernel.
    pub send_buffer_bytes: Option<u32>,
    /// `queued.max.request.bytes`; `None`: a bound of our own.
    pub queued_bytes_max: Option<u64>,
}

/// Everything a broker needs to start.
#[derive(Clone, PartialEq, Debug)]
pub struct BrokerConfig {
    /// `node.id`
    pub node_id: NodeId,
    /// `onrush.cluster.id`
    pub cluster_id: Option<String>,
    /// `broker.rack`
    pub rack: Option<Arc<str>>,
    /// Where to listen and what to tell.
    pub listeners: Listeners,
    /// The data directory as configured, perhaps relative.
    pub data_dir: PathBuf,
    /// `onrush.durability`
    pub durability: Durability,
    /// `onrush.shards`; `None`: one per CPU.
    pub shards: Option<usize>,
    /// `onrush.crash.loop.limit`
    pub crash_loop_limit: u32,
    /// `fetch.max.bytes`
    pub fetch_bytes_max: u64,
    /// `producer.id.expiration.ms`
    pub producer_id_expiration: Millis,
    /// Bounds on connections and requests.
    pub net: NetConfig,
    /// All keys, for the core and DescribeConfigs.
    pub view: BrokerConfigView,
    /// What to tell the operator once.
    pub notices: Notices,
}

impl BrokerConfig {
    pub(super) fn new(
        values: &Values,
        view: BrokerConfigView,
        mut notices: Notices,
    ) -> Result<Self, ConfigError> {
        let listeners = listeners::parse(
            &ListenerKeys {
                listeners: values.get("listeners").unwrap_or(""),
                advertised: values.set("advertised.listeners"),
                protocols: values.get("listener.security.protocol.map").unwrap_or(""),
                protocols_set: values.set("listener.security.protocol.map").is_some(),
                controller_names: values.get("controller.listener.names").unwrap_or(""),
                inter_broker: values.set("inter.broker.listener.name"),
            },
            &own_host(),
        )?;
        if listeners.controller.configured {
            notices.others.push(format!(
                "the controller listener {} is recorded but not opened: this node is its own only voter",
                listeners.controller.name
            ));
        }
        Ok(Self {
            node_id: NodeId(narrow(effective_node_id(values))),
            cluster_id: values.set("onrush.cluster.id").map(str::to_owned),
            rack: values.set("broker.rack").map(Arc::from),
            listeners,
            data_dir: PathBuf::from(data_dirs(values).1),
            durability: match values.get("onrush.durability") {
                Some("written") => Durability::Written,
                _ => Durability::Flushed,
            },
            shards: values.number_or_null("onrush.shards").map(narrow),
            crash_loop_limit: narrow(values.number("onrush.crash.loop.limit")),
            fetch_bytes_max: narrow(values.number("fetch.max.bytes")),
            producer_id_expiration: Millis(narrow(values.number("producer.id.expiration.ms"))),
            net: net(values)?,
            view,
            notices,
        })
    }
}

/// The schema's type already bounds these numbers.
fn narrow<T: TryFrom<i64>>(number: i64) -> T {
    T::try_from(number).unwrap_or_else(|_| panic!("{number} was checked to fit its type"))
}

fn net(values: &Values) -> Result<NetConfig, ConfigError> {
    // Kafka's default would switch off the kernel's own tuning, which is better; what is asked for is done.
    let buffer = |key| match values.set(key).map(|_| values.number(key)) {
        None | Some(-1) => None,
        Some(bytes) => Some(narrow(bytes)),
    };
    let idle = values.number("connections.max.idle.ms");
    // The largest number is Kafka's default, and means that there is none.
    let limit = |key| match values.number(key) {
        number if number >= i64::from(i32::MAX) => None,
        number => Some(narrow(number)),
    };
    Ok(NetConfig {
        connections_max: limit("max.connections"),
        connections_per_ip_max: limit("max.connections.per.ip"),
        connections_per_ip_overrides: overrides(values)?,
        idle_max: u64::try_from(idle).ok().map(Millis),
        request_bytes_max: narrow(values.number("socket.request.max.bytes")),
        receive_buffer_bytes: buffer("socket.receive.buffer.bytes"),
        send_buffer_bytes: buffer("socket.send.buffer.bytes"),
        queued_bytes_max: u64::try_from(values.number("queued.max.request.bytes"))
            .ok()
            .filter(|bytes| *bytes > 0),
    })
}

/// `host:count,host:count`; a host may be an IPv6 address.
fn overrides(values: &Values) -> Result<Vec<(String, u32)>, ConfigError> {
    let key = "max.connections.per.ip.overrides";
    let items = values
        .set(key)
        .unwrap_or_default()
        .split(',')
        .map(str::trim);
    items
        .filter(|item| !item.is_empty())
        .map(|item| {
            let parsed = item.rsplit_once(':').and_then(|(host, count)| {
                let count = count.trim().parse().ok()?;
                let host = host.trim().trim_start_matches('[').trim_end_matches(']');
                (!host.is_empty()).then(|| (host.to_owned(), count))
            });
            parsed.ok_or_else(|| {
                ConfigError::Cross(format!("{key}: {item:?} is not of the form address:count"))
            })
        })
        .collect()
}

/// This machine's name, for listeners without a host.
fn own_host() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    match name.trim() {
        "" => "localhost".to_owned(),
        name => name.to_owned(),
    }
}
