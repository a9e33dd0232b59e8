//! `onrush produce`: lines of stdin become records.
//!
//! Invariants: 1. Memory is bounded: a line longer than [`LINE_BYTES_MAX`] is an error, and few lines wait between reader and
//! sender. 2. The command succeeds only when every line was acknowledged.

use std::io::{BufRead, BufReader, Read};
use std::sync::mpsc;
use std::time::Duration;

use clap::{Args, ValueEnum};
use onrush_core::wire::codec::Codec;
use serde::Serialize;

use super::client::Client;
use super::client::producer::{NewRecord, Producer, ProducerOptions};
use super::output::{Out, Progress};
use super::{CliError, Connect, unescape};

/// Longest line that is taken.
const LINE_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Lines that wait between reader and sender.
const LINES_WAITING: usize = 1024;
/// With no line for so long, what is gathered is sent: a person typing sees each line arrive.
const LINGER: Duration = Duration::from_millis(5);

/// `onrush produce`
#[derive(Debug, Args)]
pub struct ProduceArgs {
    /// Where the records go. Created if the broker creates topics by itself.
    topic: String,
    /// Splits a line at its first occurrence into key and value. \t stands for a tab.
    #[arg(short = 'K', long, value_name = "TEXT", value_parser = unescape)]
    key_separator: Option<String>,
    /// Lines begin with headers, NAME:VALUE,NAME:VALUE and a tab.
    #[arg(long)]
    headers: bool,
    /// An empty value becomes a null one (a tombstone) where the line has a key.
    #[arg(long, requires = "key_separator")]
    null_empty: bool,
    /// Send everything to this partition.
    #[arg(short, long)]
    partition: Option<i32>,
    /// How records are compressed.
    #[arg(short = 'z', long, default_value = "none")]
    compression: Compression,
    /// Whose word counts: all (every in-sync replica), 1 (the leader), 0 (nobody).
    #[arg(short, long, default_value = "all")]
    acks: Acks,
    /// Say at the end how many records were sent, as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connect: Connect,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Compression {
    None,
    Gzip,
    Snappy,
    Lz4,
    Zstd,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Acks {
    #[value(name = "all", alias = "-1")]
    All,
    #[value(name = "1")]
    Leader,
    #[value(name = "0")]
    Nobody,
}

#[derive(Serialize)]
struct Sent {
    records: u64,
}

impl ProduceArgs {
    fn options(&self) -> ProducerOptions {
        ProducerOptions {
            acks: match self.acks {
                Acks::All => -1,
                Acks::Leader => 1,
                Acks::Nobody => 0,
            },
            codec: match self.compression {
                Compression::None => Codec::None,
                Compression::Gzip => Codec::Gzip,
                Compression::Snappy => Codec::Snappy,
                Compression::Lz4 => Codec::Lz4,
                Compression::Zstd => Codec::Zstd,
            },
            partition: self.partition,
        }
    }

    fn form(&self) -> LineForm<'_> {
        LineForm {
            key_separator: self.key_separator.as_deref().map(str::as_bytes),
            headers: self.headers,
            null_empty: self.null_empty,
        }
    }
}

/// Runs the command on stdin.
pub fn run(args: &ProduceArgs, out: &mut Out) -> Result<(), CliError> {
    let mut client = args.connect.client();
    let producer = Producer::new(&mut client, &args.topic, args.options())?;
    let mut progress = Progress::new(false);
    let result = pump(
        &mut client,
        producer,
        args.form(),
        std::io::stdin(),
        &mut progress,
    );
    progress.end();
    result?;
    if args.json {
        out.json(&Sent {
            records: progress.records(),
        })?;
    }
    Ok(())
}

/// Reads on a thread of its own, so that waiting for a line and waiting for an answer do not add up.
fn pump(
    client: &mut Client,
    mut producer: Producer,
    form: LineForm<'_>,
    input: impl Read + Send + 'static,
    progress: &mut Progress,
) -> Result<(), CliError> {
    let (lines, incoming) = mpsc::sync_channel(LINES_WAITING);
    std::thread::Builder::new()
        .name("stdin".to_owned())
        .spawn(move || read_lines(input, &lines))
        .map_err(CliError::Input)?;
    let mut number = 0u64;
    loop {
        let line = match incoming.recv_timeout(LINGER) {
            Ok(line) => line.map_err(CliError::Input)?,
            Err(mpsc::RecvTimeoutError::Timeout) => {
                producer.flush(client)?;
                progress.renew();
                incoming
                    .recv()
                    .unwrap_or_else(|_| Ok(Vec::new()))
                    .map_err(CliError::Input)?
            }
            Err(mpsc::RecvTimeoutError::Disconnected) => break,
        };
        // A line has its line feed still, unless it is the last; nothing at all is the end.
        if line.is_empty() {
            break;
        }
        number += 1;
        let text = line.strip_suffix(b"\n").unwrap_or(&line);
        let record = form.record(text).map_err(|why| {
            CliError::Usage(format!("line {number} of the input cannot be sent: {why}"))
        })?;
        progress.add(text.len());
        producer.push(client, &record)?;
    }
    Ok(producer.flush(client)?)
}

fn read_lines(input: impl Read, lines: &mpsc::SyncSender<std::io::Result<Vec<u8>>>) {
    let mut input = BufReader::with_capacity(256 * 1024, input);
    loop {
        let mut line = Vec::new();
        let limit = LINE_BYTES_MAX as u64 + 1;
        let read = (&mut input).take(limit).read_until(b'\n', &mut line);
        let message = match read {
            Ok(0) => return,
            Ok(bytes) if bytes > LINE_BYTES_MAX => Err(std::io::Error::other(format!(
                "a line is longer than {LINE_BYTES_MAX} bytes"
            ))),
            Ok(_) => Ok(line),
            Err(error) => Err(error),
        };
        let last = message.is_err();
        if lines.send(message).is_err() || last {
            return;
        }
    }
}

/// How a line is a record.
#[derive(Clone, Copy, Debug)]
struct LineForm<'a> {
    key_separator: Option<&'a [u8]>,
    headers: bool,
    null_empty: bool,
}

impl LineForm<'_> {
    fn record(self, line: &[u8]) -> Result<NewRecord, String> {
        let mut record = NewRecord::default();
        let mut rest = line;
        if self.headers {
            let tab = rest.iter().position(|&b| b == b'\t');
            let tab = tab.ok_or("there is no tab after the headers")?;
            let (headers, after) = rest.split_at(tab);
            rest = after.get(1..).unwrap_or(&[]);
            for item in headers.split(|&b| b == b',').filter(|i| !i.is_empty()) {
                let colon = item.iter().position(|&b| b == b':');
                let colon = colon.ok_or("a header has no colon between name and value")?;
                let (name, value) = item.split_at(colon);
                let value = value.get(1..).unwrap_or(&[]);
                record.headers.push((name.to_vec(), value.to_vec()));
            }
        }
        if let Some(separator) = self.key_separator.filter(|s| !s.is_empty()) {
            let at = rest.windows(separator.len()).position(|w| w == separator);
            let at = at.ok_or("there is no key separator")?;
            let (key, value) = rest.split_at(at);
            record.key = Some(key.to_vec());
            rest = value.get(separator.len()..).unwrap_or(&[]);
        }
        let tombstone = self.null_empty && rest.is_empty();
        record.value = (!tombstone).then(|| rest.to_vec());
        Ok(record)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_become_records() {
        let plain = LineForm {
            key_separator: None,
            headers: false,
            null_empty: false,
        };
        assert_eq!(
            plain.record(b"a\tb").map(|r| r.value),
            Ok(Some(b"a\tb".to_vec()))
        );
        let keyed = LineForm {
            key_separator: Some(b"::"),
            null_empty: true,
            ..plain
        };
        let record = keyed.record(b"k::v::w").expect("fine");
        assert_eq!(record.key.as_deref(), Some(&b"k"[..]));
        assert_eq!(record.value.as_deref(), Some(&b"v::w"[..]));
        assert_eq!(keyed.record(b"k::").map(|r| r.value), Ok(None));
        assert!(keyed.record(b"k").is_err());
        let headed = LineForm {
            headers: true,
            ..plain
        };
        let record = headed.record(b"a:1,b:\tv").expect("fine");
        assert_eq!(
            record.headers,
            [(b"a".to_vec(), b"1".to_vec()), (b"b".to_vec(), Vec::new())]
        );
        assert_eq!(record.value.as_deref(), Some(&b"v"[..]));
        assert!(headed.record(b"no headers").is_err());
    }

    #[test]
    fn lines_are_read_whole_and_the_last_needs_no_feed() {
        let (sender, lines) = mpsc::sync_channel(10);
        read_lines(&b"a\n\nb"[..], &sender);
        drop(sender);
        let lines: Vec<_> = lines.iter().map(|l| l.expect("read")).collect();
        assert_eq!(lines, [b"a\n".to_vec(), b"\n".to_vec(), b"b".to_vec()]);
    }
}
