//! Checks over several keys, and values that this version cannot serve.
//!
//! Source: Kafka's `KafkaConfig.validateValues`, `GroupCoordinatorConfig`, `KafkaRaftServer.initializeLogDirs`.

use super::load::{ConfigError, Values};
use super::schema::items;

/// The first key must not be larger than the second.
const ORDERED: &[(&str, &str)] = &[
    ("replica.fetch.wait.max.ms", "replica.lag.time.max.ms"),
    ("replica.fetch.wait.max.ms", "replica.socket.timeout.ms"),
    (
        "group.min.session.timeout.ms",
        "group.max.session.timeout.ms",
    ),
    (
        "group.consumer.min.heartbeat.interval.ms",
        "group.consumer.max.heartbeat.interval.ms",
    ),
    (
        "group.consumer.min.session.timeout.ms",
        "group.consumer.max.session.timeout.ms",
    ),
    (
        "group.share.min.heartbeat.interval.ms",
        "group.share.max.heartbeat.interval.ms",
    ),
    (
        "group.share.min.session.timeout.ms",
        "group.share.max.session.timeout.ms",
    ),
    (
        "group.streams.min.heartbeat.interval.ms",
        "group.streams.max.heartbeat.interval.ms",
    ),
    (
        "group.streams.min.session.timeout.ms",
        "group.streams.max.session.timeout.ms",
    ),
    (
        "log.cleaner.min.compaction.lag.ms",
        "log.cleaner.max.compaction.lag.ms",
    ),
];

/// Largest memory of a cleaner thread's key map, for the check below.
const DEDUPE_BYTES_MIN: i64 = 1024 * 1024;

/// Everything that needs more than one key to judge, listeners aside.
pub(super) fn cross_checks(values: &Values) -> Result<(), ConfigError> {
    for (least, most) in ORDERED {
        let (low, high) = (values.number(least), values.number(most));
        if low > high {
            return cross(format!(
                "{least}={low} must not be larger than {most}={high}"
            ));
        }
    }
    node_id(values)?;
    roles_and_voters(values)?;
    directories(values)?;
    retention(values)?;
    network(values)?;
    let dedupe = values.number("log.cleaner.dedupe.buffer.size");
    let threads = values.number("log.cleaner.threads").max(1);
    if dedupe / threads <= DEDUPE_BYTES_MIN {
        return cross(format!(
            "log.cleaner.dedupe.buffer.size={dedupe} must be more than {DEDUPE_BYTES_MIN} for each of log.cleaner.threads={threads}"
        ));
    }
    Ok(())
}

fn cross(sentence: String) -> Result<(), ConfigError> {
    Err(ConfigError::Cross(sentence))
}

/// `node.id`, or `broker.id` where only that is set.
pub(super) fn effective_node_id(values: &Values) -> i64 {
    match (values.set("node.id"), values.set("broker.id")) {
        (None, Some(_)) => values.number("broker.id"),
        _ => values.number("node.id"),
    }
}

fn node_id(values: &Values) -> Result<(), ConfigError> {
    let (node, broker) = (values.number("node.id"), values.number("broker.id"));
    let both = values.set("node.id").is_some() && values.set("broker.id").is_some();
    if both && node != broker {
        return cross(format!(
            "node.id={node} and broker.id={broker} must be equal: they name the same thing, keep node.id"
        ));
    }
    let id = effective_node_id(values);
    if id < 0 {
        return cross(format!("broker.id={id} must be at least 0"));
    }
    Ok(())
}

fn roles_and_voters(values: &Values) -> Result<(), ConfigError> {
    let roles = values.get("process.roles").unwrap_or("");
    if !["broker,controller", "controller,broker"].contains(&roles) {
        return cross(format!(
            "process.roles={roles} is not served yet: onrush is broker and controller in one, set broker,controller"
        ));
    }
    let id = effective_node_id(values).to_string();
    let voters = values.get("controller.quorum.voters").unwrap_or("");
    for voter in items(voters) {
        if voter.split('@').next() != Some(id.as_str()) {
            return cross(format!(
                "controller.quorum.voters={voters} names other nodes than {id}, and clusters of several nodes are not served yet: leave only this node"
            ));
        }
    }
    let servers = values
        .get("controller.quorum.bootstrap.servers")
        .unwrap_or("");
    if items(servers).count() > 1 {
        return cross(format!(
            "controller.quorum.bootstrap.servers={servers} names several controllers, and clusters of several nodes are not served yet: leave only this node"
        ));
    }
    Ok(())
}

fn directories(values: &Values) -> Result<(), ConfigError> {
    // Set to nothing, perhaps by a variable that nobody set: the default would be a directory that nobody asked for.
    if values.origin("log.dirs").is_some() && values.set("log.dirs").is_none() {
        return cross(
            "log.dirs is set to nothing: set it to one directory, or take it out".to_owned(),
        );
    }
    let (key, dirs) = data_dirs(values);
    let count = items(dirs).count();
    if count != 1 {
        return cross(format!(
            "{key}={dirs} names {count} directories, and exactly one is served: set {key} to one directory"
        ));
    }
    match values.set("metadata.log.dir") {
        Some(other) if other != dirs => cross(format!(
            "metadata.log.dir={other} differs from {key}={dirs}, and the metadata log is kept in the data directory: take metadata.log.dir out"
        )),
        _ => Ok(()),
    }
}

/// The key that names the data directory, and its value.
pub(super) fn data_dirs(values: &Values) -> (&'static str, &str) {
    match values.set("log.dirs") {
        Some(dirs) => ("log.dirs", dirs),
        None => ("log.dir", values.get("log.dir").unwrap_or("")),
    }
}

fn retention(values: &Values) -> Result<(), ConfigError> {
    for key in [
        "log.retention.ms",
        "log.retention.minutes",
        "log.retention.hours",
    ] {
        match values.number_or_null(key) {
            Some(number) if number == 0 || number < -1 => {
                return cross(format!("{key}={number} must be at least 1, or -1 for ever"));
            }
            _ => {}
        }
    }
    Ok(())
}

fn network(values: &Values) -> Result<(), ConfigError> {
    let queued = values.number("queued.max.request.bytes");
    let request = values.number("socket.request.max.bytes");
    if queued > 0 && queued < request {
        return cross(format!(
            "queued.max.request.bytes={queued} must be at least socket.request.max.bytes={request}, or -1"
        ));
    }
    let delay = values.number("connection.failed.authentication.delay.ms");
    let idle = values.number("connections.max.idle.ms");
    if idle > 0 && delay >= idle {
        return cross(format!(
            "connection.failed.authentication.delay.ms={delay} must be less than connections.max.idle.ms={idle}"
        ));
    }
    for key in ["socket.send.buffer.bytes", "socket.receive.buffer.bytes"] {
        let bytes = values.number(key);
        if bytes < -1 {
            return cross(format!("{key}={bytes} must be at least -1"));
        }
    }
    let listeners = values.set("inter.broker.listener.name");
    if listeners.is_some() && values.set("security.inter.broker.protocol").is_some() {
        return cross(
            "inter.broker.listener.name and security.inter.broker.protocol exclude each other: keep the first"
                .to_owned(),
        );
    }
    Ok(())
}
