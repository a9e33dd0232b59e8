//! Listeners, sockets and bounds on connections and requests.
//!
//! Names, types, defaults and bounds are those of Kafka 4.2 (its `ConfigDef`s) except where
//! `schema/mod.rs` says otherwise; the descriptions are our own.

use super::ConfigKey;
use super::Status::{Honoured, NoEffect, RefusedIfSet};
use super::Valid::{Any, AtLeast};

keys! {
    /// Addresses that clients are told to connect to; the listeners themselves when not set.
    "advertised.listeners": List, None, Any, ReadOnly, Honoured;
    /// How long a connection that failed to authenticate is kept before it is closed.
    "connection.failed.authentication.delay.ms": Int, Some("100"), AtLeast(0), ReadOnly, NoEffect;
    /// A connection without a request for this long is closed.
    "connections.max.idle.ms": Long, Some("600000"), Any, ReadOnly, Honoured;
    /// Life of a SASL session before the client must authenticate again; 0 is for ever.
    "connections.max.reauth.ms": Long, Some("0"), Any, ReadOnly, RefusedIfSet("SASL sessions are not served, so they would never have to authenticate again");
    /// Listeners that open before the authorizer has loaded its rules.
    "early.start.listeners": List, None, Any, ReadOnly, NoEffect;
    /// Name of the listener that other brokers use.
    "inter.broker.listener.name": String, None, Any, ReadOnly, Honoured;
    /// Which security protocol each listener name speaks.
    "listener.security.protocol.map": String, Some("SASL_SSL:SASL_SSL,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT"), Any, PerBroker, Honoured;
    /// Addresses to accept connections on, as NAME://host:port.
    "listeners": List, Some("PLAINTEXT://127.0.0.1:9092"), Any, PerBroker, Honoured;
    /// New connections a second that the broker accepts.
    "max.connection.creation.rate": Int, Some("2147483647"), AtLeast(0), ClusterWide, NoEffect;
    /// Open connections that the broker allows in total.
    "max.connections": Int, Some("2147483647"), AtLeast(0), ClusterWide, Honoured;
    /// Open connections that one client address may have.
    "max.connections.per.ip": Int, Some("2147483647"), AtLeast(0), ClusterWide, Honoured;
    /// Limits for single addresses, as address:count.
    "max.connections.per.ip.overrides": String, Some(""), Any, ClusterWide, Honoured;
    /// Partitions in one answer to DescribeTopicPartitions.
    "max.request.partition.size.limit": Int, Some("2000"), AtLeast(1), ReadOnly, Honoured;
    /// Request threads in Kafka; onrush has one thread per core.
    "num.io.threads": Int, Some("8"), AtLeast(1), ClusterWide, NoEffect;
    /// Network threads in Kafka; onrush has one thread per core.
    "num.network.threads": Int, Some("3"), AtLeast(1), ClusterWide, NoEffect;
    /// Memory for requests that are being received; when it is used up, sockets are not read. -1 is a bound of our own.
    "queued.max.request.bytes": Long, Some("-1"), Any, ReadOnly, Honoured;
    /// Requests that may wait for a request thread in Kafka.
    "queued.max.requests": Int, Some("500"), AtLeast(1), ReadOnly, NoEffect;
    /// How long a request to another broker may take.
    "request.timeout.ms": Int, Some("30000"), Any, ReadOnly, NoEffect;
    /// Longest wait for a connection to another broker.
    "socket.connection.setup.timeout.max.ms": Long, Some("30000"), Any, ReadOnly, NoEffect;
    /// First wait for a connection to another broker.
    "socket.connection.setup.timeout.ms": Long, Some("10000"), Any, ReadOnly, NoEffect;
    /// Connections that the kernel holds until they are accepted; onrush asks for 1024.
    "socket.listen.backlog.size": Int, Some("50"), AtLeast(1), ReadOnly, NoEffect;
    /// SO_RCVBUF of client connections; -1 leaves it to the kernel.
    "socket.receive.buffer.bytes": Int, Some("102400"), Any, ReadOnly, Honoured;
    /// Largest request; a longer one closes the connection.
    "socket.request.max.bytes": Int, Some("104857600"), AtLeast(1), ReadOnly, Honoured;
    /// SO_SNDBUF of client connections; -1 leaves it to the kernel.
    "socket.send.buffer.bytes": Int, Some("102400"), Any, ReadOnly, Honoured;
}
