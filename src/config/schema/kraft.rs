//! This node's identity, the metadata log and the quorum.
//!
//! Names, types, defaults and bounds are those of Kafka 4.2 (its `ConfigDef`s) except where
//! `schema/mod.rs` says otherwise; the descriptions are our own.

use super::ConfigKey;
use super::Status::{Honoured, NoEffect};
use super::Valid::{Any, AtLeast, EachOf};

keys! {
    /// Names of the listeners that controllers speak on. onrush records their address and does not open them yet.
    "controller.listener.names": List, Some("CONTROLLER"), Any, ReadOnly, Honoured;
    /// Controller events slower than this are logged.
    "controller.performance.always.log.threshold.ms": Long, Some("2000"), AtLeast(0), ReadOnly, NoEffect, internal;
    /// How often the controller logs how fast it is.
    "controller.performance.sample.period.ms": Long, Some("60000"), AtLeast(100), ReadOnly, NoEffect, internal;
    /// How long the controller gathers records before it writes.
    "controller.quorum.append.linger.ms": Int, Some("25"), AtLeast(0), ReadOnly, NoEffect;
    /// Whether a new controller joins the voters by itself.
    "controller.quorum.auto.join.enable": Boolean, Some("false"), Any, ReadOnly, NoEffect;
    /// Controllers to ask for the quorum; this node alone makes one up.
    "controller.quorum.bootstrap.servers": List, Some(""), Any, ReadOnly, Honoured;
    /// Longest rest between elections of the controller.
    "controller.quorum.election.backoff.max.ms": Int, Some("1000"), AtLeast(0), ReadOnly, NoEffect;
    /// How long a vote may take.
    "controller.quorum.election.timeout.ms": Int, Some("1000"), AtLeast(0), ReadOnly, NoEffect;
    /// How long a voter waits for the leader before it calls an election.
    "controller.quorum.fetch.timeout.ms": Int, Some("2000"), AtLeast(0), ReadOnly, NoEffect;
    /// How long a request in the quorum may take.
    "controller.quorum.request.timeout.ms": Int, Some("2000"), AtLeast(0), ReadOnly, NoEffect;
    /// Rest between requests in the quorum.
    "controller.quorum.retry.backoff.ms": Int, Some("20"), AtLeast(0), ReadOnly, NoEffect;
    /// The voters as id@host:port; onrush is its own and only voter.
    "controller.quorum.voters": List, Some(""), Any, ReadOnly, Honoured;
    /// Samples kept for quotas of topic changes.
    "controller.quota.window.num": Int, Some("11"), AtLeast(1), ReadOnly, NoEffect;
    /// Length of a sample for quotas of topic changes.
    "controller.quota.window.size.seconds": Int, Some("1"), AtLeast(1), ReadOnly, NoEffect;
    /// How long a request to the controller may take.
    "controller.socket.timeout.ms": Int, Some("30000"), Any, ReadOnly, NoEffect;
    /// How long a broker may try to register before it exits.
    "initial.broker.registration.timeout.ms": Int, Some("60000"), Any, ReadOnly, NoEffect;
    /// Delay of the removal of old metadata segments.
    "internal.metadata.delete.delay.millis": Long, Some("60000"), Any, ReadOnly, NoEffect, internal;
    /// Metadata segment size for tests.
    "internal.metadata.log.segment.bytes": Int, None, Any, ReadOnly, NoEffect, internal;
    /// Largest batch of metadata records.
    "internal.metadata.max.batch.size.in.bytes": Int, Some("8388608"), Any, ReadOnly, NoEffect, internal;
    /// Largest fetch of metadata records.
    "internal.metadata.max.fetch.size.in.bytes": Int, Some("8388608"), Any, ReadOnly, NoEffect, internal;
    /// Directory of the metadata log; onrush keeps it in the data directory.
    "metadata.log.dir": String, None, Any, ReadOnly, Honoured;
    /// Bytes of metadata records after which a snapshot is taken.
    "metadata.log.max.record.bytes.between.snapshots": Long, Some("20971520"), AtLeast(1), ReadOnly, NoEffect;
    /// Time after which a metadata snapshot is taken.
    "metadata.log.max.snapshot.interval.ms": Long, Some("3600000"), AtLeast(0), ReadOnly, NoEffect;
    /// Size at which a metadata segment is closed.
    "metadata.log.segment.bytes": Int, Some("1073741824"), AtLeast(8_388_608), ReadOnly, NoEffect;
    /// Age at which a metadata segment is closed.
    "metadata.log.segment.ms": Long, Some("604800000"), Any, ReadOnly, NoEffect;
    /// How often an idle controller writes a record to show that it lives.
    "metadata.max.idle.interval.ms": Int, Some("500"), AtLeast(0), ReadOnly, NoEffect;
    /// Bytes of metadata log kept.
    "metadata.max.retention.bytes": Long, Some("104857600"), Any, ReadOnly, NoEffect;
    /// Time that metadata log is kept.
    "metadata.max.retention.ms": Long, Some("604800000"), Any, ReadOnly, NoEffect;
    /// This node's number in the cluster.
    "node.id": Int, Some("1"), AtLeast(0), ReadOnly, Honoured;
    /// What this process does: onrush is broker and controller in one.
    "process.roles": List, Some("broker,controller"), EachOf(&["broker", "controller"]), ReadOnly, Honoured;
    /// Longest time that a start may take.
    "server.max.startup.time.ms": Long, Some("9223372036854775807"), AtLeast(0), ReadOnly, NoEffect, internal;
    /// Whether unreleased versions of requests are served.
    "unstable.api.versions.enable": Boolean, Some("false"), Any, ReadOnly, NoEffect, internal;
    /// Whether unreleased features may be switched on.
    "unstable.feature.versions.enable": Boolean, Some("false"), Any, ReadOnly, NoEffect, internal;
}
