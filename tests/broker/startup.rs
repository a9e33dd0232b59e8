//! Configs that are obeyed, and brokers that cannot start: one sentence why, and an error's exit code.

use std::fs;

use kafka_protocol::messages::MetadataRequest;
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use onrush_testkit::broker::{Refusal, Setup};
use onrush_testkit::client::{self, Client};
use tempfile::TempDir;

use crate::BINARY;

#[track_caller]
fn assert_refused(refusal: &Refusal, words: &[&str]) {
    assert!(!refusal.status.success(), "{refusal:?}");
    assert!(refusal.status.code().is_some(), "no signal: {refusal:?}");
    assert!(!refusal.output.contains("panicked"), "{refusal:?}");
    let output = refusal.output.to_lowercase();
    for word in words {
        let said = output.contains(&word.to_lowercase());
        assert!(said, "`{word}` is missing: {refusal:?}");
    }
}

#[test]
fn a_port_in_use_is_refused() {
    let broker = Setup::new(BINARY).start();
    let dir = TempDir::new().unwrap();
    let port = broker.address().port();
    let refusal = Setup::new(BINARY).port(port).refuse(dir.path());
    assert_refused(&refusal, &[&port.to_string(), "in use"]);
}

#[test]
fn a_directory_in_use_is_refused() {
    let broker = Setup::new(BINARY).start();
    let refusal = Setup::new(BINARY).refuse(broker.dir());
    assert_refused(&refusal, &["lock"]);
}

#[test]
fn the_directory_of_another_node_is_refused() {
    let mut broker = Setup::new(BINARY).start();
    broker.kill();
    let path = broker.data().join("meta.properties");
    let text = fs::read_to_string(&path).unwrap();
    let own = text.lines().find(|line| line.starts_with("node.id="));
    assert!(own.is_some(), "{text}");
    let refusal = Setup::new(BINARY).set("node.id=4711").refuse(broker.dir());
    assert_refused(&refusal, &["4711"]);
}

#[test]
fn the_directory_of_another_cluster_is_refused() {
    let mut broker = Setup::new(BINARY).start();
    broker.kill();
    // The broker is told its cluster, and the directory was formatted for another one.
    let path = broker.data().join("meta.properties");
    let text = fs::read_to_string(&path).unwrap();
    let lines = text.lines().map(|line| {
        if line.starts_with("cluster.id=") {
            "cluster.id=AAAAAAAAAAAAAAAAAAAAAA"
        } else {
            line
        }
    });
    let other = lines.collect::<Vec<_>>().join("\n");
    fs::write(&path, other).unwrap();
    let cluster = text
        .lines()
        .find_map(|line| line.strip_prefix("cluster.id="));
    let refusal = Setup::new(BINARY)
        .set(&format!("onrush.cluster.id={}", cluster.unwrap()))
        .refuse(broker.dir());
    assert_refused(&refusal, &["cluster"]);
}

#[test]
fn a_value_out_of_range_is_refused_with_key_value_and_bound() {
    let dir = TempDir::new().unwrap();
    let refusal = Setup::new(BINARY)
        .set("num.partitions=0")
        .refuse(dir.path());
    assert_refused(&refusal, &["num.partitions", "0", "1"]);
}

#[test]
fn a_value_of_the_wrong_type_is_refused() {
    let dir = TempDir::new().unwrap();
    let refusal = Setup::new(BINARY)
        .set("num.partitions=many")
        .refuse(dir.path());
    assert_refused(&refusal, &["num.partitions", "many"]);
}

#[test]
fn what_would_weaken_security_is_refused() {
    for setting in [
        "listeners=SSL://127.0.0.1:0",
        "listeners=SASL_PLAINTEXT://127.0.0.1:0",
        "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer",
    ] {
        let dir = TempDir::new().unwrap();
        let refusal = Setup::new(BINARY).set(setting).refuse(dir.path());
        let key = setting.split('=').next().unwrap();
        assert_refused(&refusal, &[key]);
    }
}

#[test]
fn a_config_file_that_is_not_there_is_refused() {
    let dir = TempDir::new().unwrap();
    let refusal = Setup::new(BINARY)
        .argument("--config")
        .argument("/nonexistent/server.properties")
        .refuse(dir.path());
    assert_refused(&refusal, &["/nonexistent/server.properties"]);
}

#[test]
fn unknown_keys_are_accepted_and_listed() {
    let broker = Setup::new(BINARY)
        .set("some.plugin.setting=1")
        .set("num.network.threads=3")
        .start();
    let output = broker.output();
    assert!(output.contains("num.network.threads"), "{output}");
}

#[test]
fn no_topic_is_created_when_the_config_forbids_it() {
    let broker = Setup::new(BINARY)
        .set("auto.create.topics.enable=false")
        .start();
    let mut client = Client::connect(broker.address()).unwrap();
    let topic = MetadataRequestTopic::default().with_name(Some(client::topic_name("absent")));
    let request = MetadataRequest::default()
        .with_topics(Some(vec![topic]))
        .with_allow_auto_topic_creation(true);
    let response = client.call(&request, 12);
    assert_eq!(response.topics[0].error_code, 3);
    let all = client.call(&MetadataRequest::default().with_topics(None), 12);
    assert!(all.topics.is_empty());
}
