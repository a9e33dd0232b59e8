//! Topics, replication and the broker itself.
//!
//! Names, types, defaults and bounds are those of Kafka 4.2 (its `ConfigDef`s) except where
//! `schema/mod.rs` says otherwise; the descriptions are our own.

use super::ConfigKey;
use super::Status::{Honoured, NoEffect, RefusedIfSet};
use super::Valid::{Any, AtLeast};

keys! {
    /// Class that may refuse changes of configs.
    "alter.config.policy.class.name": Class, None, Any, ReadOnly, RefusedIfSet("the policy is a Java class that cannot run here and would allow every change");
    /// Samples kept for the throttle of moves between directories.
    "alter.log.dirs.replication.quota.window.num": Int, Some("11"), AtLeast(1), ReadOnly, NoEffect;
    /// Length of a sample for the throttle of moves between directories.
    "alter.log.dirs.replication.quota.window.size.seconds": Int, Some("1"), AtLeast(1), ReadOnly, NoEffect;
    /// Whether a topic is created when a client first asks for it.
    "auto.create.topics.enable": Boolean, Some("true"), Any, ReadOnly, Honoured;
    /// Whether leadership returns to the preferred replicas by itself.
    "auto.leader.rebalance.enable": Boolean, Some("true"), Any, ReadOnly, NoEffect;
    /// Threads for background work in Kafka.
    "background.threads": Int, Some("10"), AtLeast(1), ClusterWide, NoEffect;
    /// How often a broker reports to the controller.
    "broker.heartbeat.interval.ms": Int, Some("2000"), Any, ReadOnly, NoEffect;
    /// Former name of node.id.
    "broker.id": Int, Some("-1"), Any, ReadOnly, Honoured;
    /// Where this broker stands, for spreading replicas.
    "broker.rack": String, None, Any, ReadOnly, Honoured;
    /// Silence after which the controller fences a broker.
    "broker.session.timeout.ms": Int, Some("9000"), Any, ReadOnly, NoEffect;
    /// Class that computes client quotas.
    "client.quota.callback.class": Class, None, Any, ReadOnly, RefusedIfSet("the quota callback is a Java class that cannot run here and no client would be limited");
    /// Sources of values written as ${provider:key}.
    "config.providers": List, Some(""), Any, ReadOnly, RefusedIfSet("values would not be looked up and ${provider:key} would be taken as it stands");
    /// Whether leaders move away before a broker stops.
    "controlled.shutdown.enable": Boolean, Some("true"), Any, ReadOnly, NoEffect;
    /// Class that may refuse topics.
    "create.topic.policy.class.name": Class, None, Any, ReadOnly, RefusedIfSet("the policy is a Java class that cannot run here and would allow every topic");
    /// Replicas of a topic created without a number.
    "default.replication.factor": Int, Some("1"), Any, ReadOnly, Honoured;
    /// When Kafka tidies its list of waiting DeleteRecords requests.
    "delete.records.purgatory.purge.interval.requests": Int, Some("1"), Any, ReadOnly, NoEffect;
    /// Whether topics may be deleted.
    "delete.topic.enable": Boolean, Some("true"), Any, ReadOnly, Honoured;
    /// Most bytes that one fetch answers.
    "fetch.max.bytes": Int, Some("57671680"), AtLeast(1024), ReadOnly, Honoured;
    /// When Kafka tidies its list of waiting fetches.
    "fetch.purgatory.purge.interval.requests": Int, Some("1000"), Any, ReadOnly, NoEffect;
    /// How often Kafka's metrics reporters poll.
    "kafka.metrics.polling.interval.secs": Int, Some("10"), AtLeast(1), ReadOnly, NoEffect;
    /// Java classes that report Kafka's older metrics.
    "kafka.metrics.reporters": List, Some(""), Any, ReadOnly, NoEffect;
    /// How often is looked for leaders away from their preferred replica.
    "leader.imbalance.check.interval.seconds": Long, Some("300"), AtLeast(1), ReadOnly, NoEffect;
    /// Incremental fetch sessions kept.
    "max.incremental.fetch.session.cache.slots": Int, Some("1000"), AtLeast(0), ReadOnly, NoEffect;
    /// Java classes that report metrics.
    "metric.reporters": List, Some("org.apache.kafka.common.metrics.JmxReporter"), Any, ClusterWide, NoEffect;
    /// Samples kept for a metric.
    "metrics.num.samples": Int, Some("2"), AtLeast(1), ReadOnly, NoEffect;
    /// How detailed metrics are.
    "metrics.recording.level": String, Some("INFO"), Any, ReadOnly, NoEffect;
    /// Length of a metric's sample.
    "metrics.sample.window.ms": Long, Some("30000"), AtLeast(1), ReadOnly, NoEffect;
    /// In-sync replicas that acks=all asks for; never more than a topic has replicas.
    "min.insync.replicas": Int, Some("1"), AtLeast(1), ClusterWide, Honoured;
    /// Partitions of a topic created without a number.
    "num.partitions": Int, Some("1"), AtLeast(1), ReadOnly, Honoured;
    /// Threads that move replicas between directories.
    "num.replica.alter.log.dirs.threads": Int, None, Any, ReadOnly, NoEffect;
    /// Threads that fetch from each other broker.
    "num.replica.fetchers": Int, Some("1"), AtLeast(1), ClusterWide, NoEffect;
    /// How often is looked for producers to forget.
    "producer.id.expiration.check.interval.ms": Int, Some("600000"), AtLeast(1), ReadOnly, NoEffect, internal;
    /// Silence after which a partition forgets an idempotent producer.
    "producer.id.expiration.ms": Int, Some("86400000"), AtLeast(1), ClusterWide, Honoured;
    /// When Kafka tidies its list of waiting produce requests.
    "producer.purgatory.purge.interval.requests": Int, Some("1000"), Any, ReadOnly, NoEffect;
    /// Samples kept for client quotas.
    "quota.window.num": Int, Some("11"), AtLeast(1), ReadOnly, NoEffect;
    /// Length of a sample for client quotas.
    "quota.window.size.seconds": Int, Some("1"), AtLeast(1), ReadOnly, NoEffect;
    /// Rest of a follower after a failed fetch.
    "replica.fetch.backoff.ms": Int, Some("1000"), AtLeast(0), ReadOnly, NoEffect;
    /// Bytes that a follower asks for per partition.
    "replica.fetch.max.bytes": Int, Some("1048576"), AtLeast(0), ReadOnly, NoEffect;
    /// Bytes that a follower's fetch waits for.
    "replica.fetch.min.bytes": Int, Some("1"), Any, ReadOnly, NoEffect;
    /// Bytes that a follower asks for per fetch.
    "replica.fetch.response.max.bytes": Int, Some("10485760"), AtLeast(0), ReadOnly, NoEffect;
    /// How long a follower's fetch waits.
    "replica.fetch.wait.max.ms": Int, Some("500"), Any, ReadOnly, NoEffect;
    /// How often high watermarks are written down.
    "replica.high.watermark.checkpoint.interval.ms": Long, Some("5000"), Any, ReadOnly, NoEffect;
    /// How long a follower may lag before it leaves the in-sync replicas.
    "replica.lag.time.max.ms": Long, Some("30000"), Any, ReadOnly, NoEffect;
    /// Class that chooses the replica that a consumer reads from.
    "replica.selector.class": String, None, Any, ReadOnly, NoEffect;
    /// SO_RCVBUF of connections to other brokers.
    "replica.socket.receive.buffer.bytes": Int, Some("65536"), Any, ReadOnly, NoEffect;
    /// How long a follower's request may take.
    "replica.socket.timeout.ms": Int, Some("30000"), Any, ReadOnly, NoEffect;
    /// Samples kept for the throttle of replication.
    "replication.quota.window.num": Int, Some("11"), AtLeast(1), ReadOnly, NoEffect;
    /// Length of a sample for the throttle of replication.
    "replication.quota.window.size.seconds": Int, Some("1"), AtLeast(1), ReadOnly, NoEffect;
    /// Largest push of client metrics.
    "telemetry.max.bytes": Int, Some("1048576"), AtLeast(1), ReadOnly, NoEffect;
    /// Whether a replica that is not in sync may lead, at the price of records. A single node never does.
    "unclean.leader.election.enable": Boolean, Some("false"), Any, ClusterWide, NoEffect;
    /// How often is looked for partitions that may elect uncleanly.
    "unclean.leader.election.interval.ms": Long, Some("300000"), AtLeast(1), ReadOnly, NoEffect, internal;
}
