//! Table tests of loading: what is accepted, what is refused, in which words.

use super::*;
use crate::config::Durability;

fn with(overrides: &[&str]) -> Result<BrokerConfig, ConfigError> {
    let overrides: Vec<String> = overrides.iter().map(|&s| s.to_owned()).collect();
    load(None, &overrides)
}

fn from_file(text: &str) -> Result<BrokerConfig, ConfigError> {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path().join("server.properties");
    std::fs::write(&path, text).expect("written");
    load(Some(&path), &[])
}

#[test]
fn defaults_start_a_single_node() {
    let config = with(&[]).expect("defaults are fine");
    assert_eq!(config.node_id.0, 1);
    assert_eq!(config.data_dir, Path::new("data"));
    assert_eq!(config.durability, Durability::Flushed);
    assert_eq!(
        config.listeners.clients[0].bind.to_string(),
        "127.0.0.1:9092"
    );
    assert_eq!(config.net.request_bytes_max, 104_857_600);
    assert_eq!(config.net.idle_max.map(|m| m.0), Some(600_000));
    assert_eq!(config.notices, Notices::default());
    let entry = config.view.get("offsets.topic.replication.factor");
    assert_eq!(entry.and_then(|e| e.value.as_deref()), Some("1"));
    assert_eq!(config.view.entries().count(), schema::all().count());
}

#[test]
fn the_file_that_kafka_ships_loads() {
    let config = from_file(
        "# as shipped with 4.2\nprocess.roles=broker,controller\nnode.id=1\n\
         controller.quorum.bootstrap.servers=localhost:9093\n\
         listeners=PLAINTEXT://:9092,CONTROLLER://:9093\ninter.broker.listener.name=PLAINTEXT\n\
         advertised.listeners=PLAINTEXT://localhost:9092,CONTROLLER://localhost:9093\n\
         controller.listener.names=CONTROLLER\n\
         listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT,SASL_SSL:SASL_SSL\n\
         num.network.threads=3\nnum.io.threads=8\nsocket.send.buffer.bytes=102400\n\
         socket.receive.buffer.bytes=102400\nsocket.request.max.bytes=104857600\n\
         log.dirs=/tmp/kraft-combined-logs\nnum.partitions=1\nnum.recovery.threads.per.data.dir=2\n\
         offsets.topic.replication.factor=1\nshare.coordinator.state.topic.replication.factor=1\n\
         share.coordinator.state.topic.min.isr=1\ntransaction.state.log.replication.factor=1\n\
         transaction.state.log.min.isr=1\nlog.retention.hours=168\nlog.segment.bytes=1073741824\n\
         log.retention.check.interval.ms=300000\n",
    )
    .expect("the shipped file is fine");
    assert_eq!(config.data_dir, Path::new("/tmp/kraft-combined-logs"));
    assert!(config.notices.unknown.is_empty());
    assert!(
        config
            .notices
            .no_effect
            .contains(&"num.io.threads".to_owned())
    );
    assert_eq!(config.notices.others.len(), 1, "the controller listener");
}

#[test]
fn overrides_beat_the_file_and_the_last_wins() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path().join("p");
    std::fs::write(&path, "num.partitions=2\nnum.partitions=3\n").expect("written");
    let config = load(Some(&path), &[]).expect("fine");
    assert_eq!(config.view.settings().num_partitions, 3);
    let overrides = ["num.partitions=4".to_owned(), "num.partitions=5".to_owned()];
    let config = load(Some(&path), &overrides).expect("fine");
    assert_eq!(config.view.settings().num_partitions, 5);
}

#[test]
fn what_has_no_effect_is_listed_and_not_refused() {
    let config = with(&[
        "zookeeper.connect=localhost:2181",
        "inter.broker.protocol.version=3.4",
        "my.own.key=x",
        "super.users=User:a",
        "log.retention.ms=1000",
        "rsm.config.a=b",
        "listener.name.plaintext.socket.send.buffer.bytes=1",
    ])
    .expect("accepted");
    let removed: Vec<_> = config
        .notices
        .removed
        .iter()
        .map(|r| r.0.as_str())
        .collect();
    assert_eq!(
        removed,
        ["inter.broker.protocol.version", "zookeeper.connect"]
    );
    assert_eq!(config.notices.unknown, ["my.own.key"]);
    assert_eq!(
        config.notices.no_effect,
        [
            "listener.name.plaintext.socket.send.buffer.bytes",
            "log.retention.ms",
            "rsm.config.a",
            "super.users"
        ]
    );
    assert_eq!(config.view.unknown().count(), 6);
}

#[test]
fn refusals_name_key_value_and_reason() {
    for (overrides, says) in [
        (
            &["num.partitions=0"][..],
            "num.partitions=0 must be at least 1 (from --override)",
        ),
        (&["num.partitions=x"], "must be a whole number"),
        (&["log.segment.bytes=1024"], "must be at least 1048576"),
        (
            &["onrush.durability=maybe"],
            "must be one of flushed, written",
        ),
        (
            &["max.connections.per.ip.overrides=10.0.0.1:3,x"],
            "\"x\" is not of the form address:count",
        ),
        (&["onrush.shards=129"], "must be between 1 and 128"),
        (&["auto.create.topics.enable=1"], "must be true or false"),
        (
            &["authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer"],
            "every client could do everything",
        ),
        (&["ssl.client.auth=required"], "ssl.client.auth=required"),
        (&["ssl.keystore.location=/k"], "TLS is not served"),
        (&["sasl.enabled.mechanisms=PLAIN"], "SASL is not served"),
        (
            &["listener.name.plaintext.plain.sasl.jaas.config=secret"],
            "listener.name.plaintext.plain.sasl.jaas.config=[hidden]",
        ),
        (
            &["listener.name.x.ssl.keystore.location=/k"],
            "TLS is not served",
        ),
        (&["listeners=SSL://127.0.0.1:9093"], "asks for SSL"),
        (
            &["listeners=SASL_PLAINTEXT://127.0.0.1:9093"],
            "asks for SASL_PLAINTEXT",
        ),
        (
            &["create.topic.policy.class.name=x.Y"],
            "the policy is a Java class",
        ),
        (
            &["principal.builder.class=x.Y"],
            "all clients would be anonymous",
        ),
        (
            &["remote.log.storage.system.enable=true"],
            "tiered storage is not served",
        ),
        (&["config.providers=env"], "would not be looked up"),
        (&["log.dirs=/a,/b"], "names 2 directories"),
        (&["log.dirs="], "set to nothing"),
        (&["log.dir="], "names 0 directories"),
        (
            &["log.dir=/a", "metadata.log.dir=/b"],
            "take metadata.log.dir out",
        ),
        (&["process.roles=broker"], "broker and controller in one"),
        (&["node.id=1", "broker.id=2"], "must be equal"),
        (
            &["controller.quorum.voters=1@a:1,2@b:2"],
            "leave only this node",
        ),
        (
            &["controller.quorum.bootstrap.servers=a:1,b:2"],
            "leave only this node",
        ),
        (
            &["queued.max.request.bytes=5"],
            "at least socket.request.max.bytes=104857600",
        ),
        (
            &["replica.fetch.wait.max.ms=40000"],
            "replica.lag.time.max.ms=30000",
        ),
        (&["log.retention.ms=0"], "or -1 for ever"),
        (
            &["connections.max.idle.ms=50"],
            "connections.max.idle.ms=50",
        ),
        (&["nonsense"], "not of the form key=value"),
    ] {
        let error = with(overrides).expect_err(overrides[0]).to_string();
        assert!(error.contains(says), "{overrides:?}: {error}");
        assert!(!error.contains('\n'), "one sentence: {error}");
        assert!(!error.contains("secret"), "a password is shown: {error}");
    }
}

#[test]
fn values_equal_to_the_default_are_not_refused() {
    with(&[
        "authorizer.class.name=",
        "ssl.client.auth=none",
        "sasl.enabled.mechanisms=GSSAPI",
        "connections.max.reauth.ms=0",
        "remote.log.storage.system.enable=false",
        "security.inter.broker.protocol=PLAINTEXT",
        "controller.quorum.voters=1@localhost:9093",
    ])
    .expect("nothing is weakened");
}

#[test]
fn faults_of_the_file_are_named() {
    let error = load(Some(Path::new("/nowhere/x")), &[]).expect_err("absent");
    assert!(error.to_string().contains("/nowhere/x"), "{error}");
    let error = from_file("a=1\nb=\\u00\n").expect_err("malformed");
    assert!(error.to_string().contains("line 2"), "{error}");
    let error = from_file("\n\nnum.partitions=0\n").expect_err("bound");
    assert!(error.to_string().contains("line 3"), "{error}");
}

#[test]
fn old_names_still_count() {
    assert_eq!(with(&["broker.id=7"]).map(|c| c.node_id.0).ok(), Some(7));
}
