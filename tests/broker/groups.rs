//! Consumer groups, as the command line and librdkafka use them.

use std::collections::BTreeMap;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use onrush_testkit::broker::{Broker, Setup};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::message::BorrowedMessage;
use rdkafka::{Message, Offset, TopicPartitionList};

use crate::librdkafka::{self, PATIENCE, create_topic, produce};
use crate::{BINARY, unique};

/// A broker whose groups come together at once.
fn broker() -> Broker {
    Setup::new(BINARY)
        .set("group.initial.rebalance.delay.ms=0")
        .start()
}

fn command(broker: &Broker, arguments: &[&str]) -> Command {
    let mut command = Command::new(BINARY);
    command.args(arguments).arg("-b");
    command.arg(broker.address().to_string());
    command.stdin(Stdio::null()).stderr(Stdio::piped());
    command.stdout(Stdio::piped());
    command
}

fn run(broker: &Broker, arguments: &[&str]) -> Output {
    command(broker, arguments).output().unwrap()
}

/// Lines of a command that succeeds.
fn lines(broker: &Broker, arguments: &[&str]) -> Vec<String> {
    let output = run(broker, arguments);
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{arguments:?}: {errors}");
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(str::to_owned).collect()
}

fn fill(broker: &Broker, topic: &str, values: std::ops::Range<u32>) -> Vec<String> {
    let values: Vec<String> = values.map(|n| format!("value-{n:04}")).collect();
    let records = values.iter().map(|v| (v.clone(), v.clone().into_bytes()));
    let sent = produce(broker.address(), &[], topic, &records.collect::<Vec<_>>());
    assert!(sent.iter().all(Result::is_ok), "{sent:?}");
    values
}

fn sorted(mut lines: Vec<String>) -> Vec<String> {
    lines.sort();
    lines
}

/// Which member reads each partition of a group, by `group describe --json`.
fn readers(broker: &Broker, group: &str) -> BTreeMap<i64, String> {
    let rows = run(broker, &["group", "describe", group, "--json"]).stdout;
    let rows = String::from_utf8(rows).unwrap();
    let rows = rows.lines().filter_map(|row| {
        let row: serde_json::Value = serde_json::from_str(row).unwrap();
        let member = row["member_id"].as_str()?.to_owned();
        Some((row["partition"].as_i64()?, member))
    });
    rows.collect()
}

/// Waits until `reached` holds of the readers.
fn await_readers(broker: &Broker, group: &str, reached: impl Fn(&BTreeMap<i64, String>) -> bool) {
    let begun = Instant::now();
    loop {
        let readers = readers(broker, group);
        if reached(&readers) {
            return;
        }
        assert!(begun.elapsed() < PATIENCE, "{readers:?}");
    }
}

fn signal(child: &Child, name: &str) {
    let pid = child.id().to_string();
    let status = Command::new("kill").args([name, &pid]).status().unwrap();
    assert!(status.success());
}

#[test]
fn a_group_goes_on_where_it_stopped_even_after_kill_9() {
    let mut broker = broker();
    let topic = unique("resumed");
    create_topic(broker.address(), &topic, 3, &[]).unwrap();
    let first = fill(&broker, &topic, 0..30);
    let consume = ["consume", &topic, "--group", "g", "-f", "-e"];
    assert_eq!(sorted(lines(&broker, &consume)), first);
    assert_eq!(lines(&broker, &consume), Vec::<String>::new());
    broker.kill();
    broker.spawn();
    broker.wait_until_ready();
    let second = fill(&broker, &topic, 30..36);
    assert_eq!(sorted(lines(&broker, &consume)), second);

    let listed = lines(&broker, &["group", "list", "--json"]);
    assert_eq!(
        listed,
        [r#"{"group":"g","protocol":"consumer","state":"Empty"}"#]
    );
    let rows = lines(&broker, &["group", "describe", "g", "--json"]);
    assert_eq!(rows.len(), 3);
    let mut read = 0;
    for row in rows {
        let row: serde_json::Value = serde_json::from_str(&row).unwrap();
        assert_eq!(row["lag"], 0, "{row}");
        assert_eq!(row["current_offset"], row["log_end_offset"]);
        read += row["current_offset"].as_i64().unwrap();
    }
    assert_eq!(read, 36);
    let table = lines(&broker, &["group", "describe", "g"]);
    assert_eq!(table[1], "State    Empty, 0 members");
    assert!(table[2].starts_with("TOPIC") && table[2].ends_with("CLIENT-ID"));

    lines(&broker, &["group", "delete", "g"]);
    assert_eq!(
        lines(&broker, &["group", "list", "--json"]),
        Vec::<String>::new()
    );
    for arguments in [["group", "delete", "g"], ["group", "describe", "g"]] {
        let output = run(&broker, &arguments);
        assert_eq!(output.status.code(), Some(1));
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(errors.contains("GROUP_ID_NOT_FOUND"), "{errors}");
    }
}

#[test]
fn members_share_partitions_and_leave_in_order() {
    let broker = broker();
    let topic = unique("shared");
    create_topic(broker.address(), &topic, 4, &[]).unwrap();
    let consume = ["consume", &topic, "--group", "g", "-f"];
    let mut one = command(&broker, &consume).spawn().unwrap();
    await_readers(&broker, "g", |readers| readers.len() == 4);
    let mut other = command(&broker, &consume).spawn().unwrap();
    await_readers(&broker, "g", |readers| {
        let members: std::collections::BTreeSet<_> = readers.values().collect();
        readers.len() == 4 && members.len() == 2
    });
    let sent = fill(&broker, &topic, 0..40);
    // A group with members is not deleted.
    assert_eq!(
        run(&broker, &["group", "delete", "g"]).status.code(),
        Some(1)
    );

    // Each record is printed by one of them.
    let begun = Instant::now();
    while lag(&broker, "g") > 0 {
        assert!(begun.elapsed() < PATIENCE);
    }
    signal(&other, "-INT");
    assert_eq!(other.wait().unwrap().code(), Some(0));
    await_readers(&broker, "g", |readers| {
        let members: std::collections::BTreeSet<_> = readers.values().collect();
        readers.len() == 4 && members.len() == 1
    });
    signal(&one, "-TERM");
    assert_eq!(one.wait().unwrap().code(), Some(0));
    let output = |child: Child| {
        let output = child.wait_with_output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let printed = format!("{}{}", output(one), output(other));
    let printed: Vec<String> = printed.lines().map(str::to_owned).collect();
    assert_eq!(sorted(printed), sent);
    let again = ["consume", &topic, "--group", "g", "-f", "-e"];
    assert_eq!(lines(&broker, &again), Vec::<String>::new());
}

/// Records that the group has not committed.
fn lag(broker: &Broker, group: &str) -> i64 {
    let rows = lines(broker, &["group", "describe", group, "--json"]);
    let lags = rows.iter().map(|row| {
        let row: serde_json::Value = serde_json::from_str(row).unwrap();
        row["lag"].as_i64().unwrap_or(i64::MAX / 100)
    });
    lags.sum()
}

/// The next record. A poll may also bring nothing but a rebalance.
fn next(consumer: &BaseConsumer) -> BorrowedMessage<'_> {
    let begun = Instant::now();
    loop {
        if let Some(message) = consumer.poll(Duration::from_secs(1)) {
            return message.unwrap();
        }
        assert!(begun.elapsed() < PATIENCE);
    }
}

#[test]
fn librdkafka_commits_and_finds_it_after_a_stop() {
    let mut broker = broker();
    let topic = unique("committed");
    create_topic(broker.address(), &topic, 1, &[]).unwrap();
    fill(&broker, &topic, 0..10);
    let options = [
        ("group.id", "r"),
        ("enable.auto.commit", "false"),
        ("auto.offset.reset", "earliest"),
    ];
    let consumer: BaseConsumer = librdkafka::config(broker.address(), &options)
        .create()
        .unwrap();
    consumer.subscribe(&[&topic]).unwrap();
    for _ in 0..4 {
        let message = next(&consumer);
        consumer.commit_message(&message, CommitMode::Sync).unwrap();
    }
    drop(consumer);
    broker.stop();
    broker.spawn();
    broker.wait_until_ready();
    let consumer: BaseConsumer = librdkafka::config(broker.address(), &options)
        .create()
        .unwrap();
    let mut asked = TopicPartitionList::new();
    asked.add_partition(&topic, 0);
    let found = consumer.committed_offsets(asked, PATIENCE).unwrap();
    assert_eq!(found.elements()[0].offset(), Offset::Offset(4));
    consumer.subscribe(&[&topic]).unwrap();
    let message = next(&consumer);
    assert_eq!(message.offset(), 4);
}

#[test]
fn a_stop_does_not_wait_for_members() {
    let mut broker = Setup::new(BINARY)
        .set("group.initial.rebalance.delay.ms=60000")
        .start();
    let topic = unique("waiting");
    create_topic(broker.address(), &topic, 1, &[]).unwrap();
    let consume = ["consume", &topic, "--group", "g", "-f"];
    let mut child = command(&broker, &consume).spawn().unwrap();
    let begun = Instant::now();
    loop {
        let listed = run(&broker, &["group", "list"]).stdout;
        if String::from_utf8_lossy(&listed).contains("PreparingRebalance") {
            break;
        }
        assert!(begun.elapsed() < PATIENCE);
    }
    let begun = Instant::now();
    broker.stop();
    assert!(
        begun.elapsed() < Duration::from_secs(20),
        "{:?}",
        begun.elapsed()
    );
    child.kill().unwrap();
    child.wait().unwrap();
}
