//! Dumps of directories that are made here, whole and damaged.

use std::fs;

use onrush_core::metadata::control::VoterEndpoint;
use onrush_core::metadata::format::{FormatSpec, plan_format};
use onrush_core::types::{DirectoryId, NodeId, Offset, ProducerEpoch, ProducerId, WallMillis};
use onrush_core::wire::build::BatchBuilder;
use onrush_core::wire::codec::Codec;
use tempfile::TempDir;

use super::*;

/// A partition with two batches (offsets 0..2 and 2..3), indexed exactly.
fn partition() -> TempDir {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let first = BatchBuilder::new()
        .codec(Codec::Zstd)
        .producer(ProducerId(7), ProducerEpoch(0), 0)
        .push(1000, Some(b"k"), Some(b"one"), &[(b"h", Some(b"x"))])
        .push(1005, None, Some(b"two"), &[])
        .build();
    let second = BatchBuilder::new()
        .base_offset(Offset(2))
        .push(1010, None, None, &[])
        .build();
    let position = u32::try_from(first.len()).expect("small");
    let mut log = [&first[..], &second[..]].concat();
    // Space reserved ahead of the writer.
    log.extend_from_slice(&[0; 4096]);
    let index = [2u32.to_be_bytes(), position.to_be_bytes()].concat();
    let mut times = 1005i64.to_be_bytes().to_vec();
    times.extend_from_slice(&1u32.to_be_bytes());
    let name = |end: &str| dir.path().join(format!("{:020}.{end}", 0));
    fs::write(name("log"), log).expect("written");
    fs::write(name("index"), index).expect("written");
    fs::write(name("timeindex"), times).expect("written");
    let mut producers = 1u32.to_be_bytes().to_vec();
    producers.extend_from_slice(&7i64.to_be_bytes());
    producers.extend_from_slice(&0i16.to_be_bytes());
    producers.extend_from_slice(&1i32.to_be_bytes());
    producers.extend_from_slice(&1i64.to_be_bytes());
    producers.extend_from_slice(&1i32.to_be_bytes());
    producers.extend_from_slice(&1005i64.to_be_bytes());
    producers.extend_from_slice(&(-1i32).to_be_bytes());
    producers.extend_from_slice(&(-1i64).to_be_bytes());
    let crc = crc32c::crc32c(&producers).to_be_bytes();
    let snapshot = [&1i16.to_be_bytes()[..], &crc, &producers].concat();
    let snapshot_name = dir.path().join(format!("{:020}.snapshot", 3));
    fs::write(snapshot_name, snapshot).expect("written");
    fs::write(dir.path().join("leader-epoch-checkpoint"), "0\n1\n0 0\n").expect("written");
    dir
}

fn dumped(path: &Path, flags: &[&str]) -> (String, Result<(), CliError>) {
    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        args: DumpArgs,
    }
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    let path = path.display().to_string();
    let line = ["dump-log", &path].into_iter().chain(flags.iter().copied());
    let line = <Line as clap::Parser>::try_parse_from(line).expect("parses");
    let mut out = Out::to(Box::new(file.reopen().expect("opens")));
    let result = run(&line.args, &mut out);
    out.flush().expect("flushed");
    (fs::read_to_string(file.path()).expect("text"), result)
}

#[test]
fn a_whole_partition_has_no_problems() {
    let dir = partition();
    let (text, result) = dumped(dir.path(), &["--print-data"]);
    result.expect(&text);
    for says in [
        "offsets 0..1, 2 records",
        "zstd",
        "producer 7 epoch 0 sequence 0..1",
        "offset 0, time 1000, key k, value one, header h=x",
        "offset 2, time 1010, key null, value null",
        "time 1005 offset 1",
        "producer 7 epoch 0, last sequence 1 at offset 1 (2 records)",
    ] {
        assert!(text.contains(says), "{says}: {text}");
    }
    let (json, result) = dumped(dir.path(), &["--deep", "--json"]);
    result.expect(&json);
    for line in json.lines() {
        serde_json::from_str::<serde_json::Value>(line).expect(line);
    }
}

#[test]
fn damage_is_found_wherever_it_is() {
    for (file, position, says) in [
        ("log", 70, "wrong checksum"),
        ("log", 11, "at position"),
        ("log", 4000, "zeros with something behind them"),
        ("index", 3, "no batch's last offset"),
        ("index", 7, "no batch's last offset"),
        ("timeindex", 7, "not that of the batch"),
    ] {
        let dir = partition();
        let path = dir.path().join(format!("{:020}.{file}", 0));
        let mut bytes = fs::read(&path).expect("read");
        bytes[position] ^= 1;
        fs::write(&path, bytes).expect("written");
        let (text, result) = dumped(dir.path(), &[]);
        assert!(text.contains(says), "{file} byte {position}: {text}");
        assert!(result.is_err(), "{file} byte {position}");
    }
}

#[test]
fn no_bytes_panic() {
    let dir = partition();
    let path = dir.path().join(format!("{:020}.log", 0));
    let whole = fs::read(&path).expect("read");
    for cut in 0..200 {
        fs::write(&path, &whole[..cut]).expect("written");
        let (_, _result) = dumped(dir.path(), &["--deep"]);
    }
}

#[test]
fn a_formatted_directory_is_understood() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let spec = FormatSpec {
        cluster_id: "VrTG-c28Qj2ZFzmW6S6MHg".into(),
        node_id: NodeId(1),
        directory_id: DirectoryId::METADATA,
        controller: VoterEndpoint {
            listener: "CONTROLLER".into(),
            host: "localhost".into(),
            port: 9093,
        },
        now: WallMillis(1),
    };
    for file in plan_format(&spec) {
        let path = dir.path().join(&*file.path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("made");
        fs::write(path, &file.bytes).expect("written");
    }
    let (text, result) = dumped(dir.path(), &["--deep"]);
    result.expect(&text);
    for says in ["metadata.version", "Voters", "SnapshotFooter", "cluster.id"] {
        assert!(text.contains(says), "{says}: {text}");
    }
}

#[test]
fn what_is_not_there_is_a_failure() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (_, result) = dumped(&dir.path().join("absent"), &[]);
    let error = result.expect_err("there is nothing").to_string();
    assert!(error.contains("absent"), "{error}");
}
