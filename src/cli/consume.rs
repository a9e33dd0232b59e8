//! `onrush consume`: records become lines on stdout.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use clap::Args;
use onrush_core::wire::records::RecordView;
use serde::Serialize;

use super::client::consumer::{Consumer, Place};
use super::client::{Client, Leader};
use super::output::{Out, Progress, text_or_hex};
use super::{CliError, Connect, consume_group, unescape};

/// Kafka's numbers for the first offset and the one after the last.
pub(super) const EARLIEST: i64 = -2;
pub(super) const LATEST: i64 = -1;

/// `onrush consume`
#[derive(Debug, Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of the command line"
)]
pub struct ConsumeArgs {
    /// Which topic to read.
    pub(super) topic: String,
    /// Read as a member of this consumer group: partitions are shared with its other members, and what was printed is committed.
    #[arg(short, long, conflicts_with_all = ["partition", "offset"])]
    group: Option<String>,
    /// Begin with the first record; otherwise with what comes from now on. A group goes on where it has committed.
    #[arg(short = 'f', long)]
    pub(super) from_beginning: bool,
    /// Read this partition only.
    #[arg(short, long)]
    partition: Option<i32>,
    /// Begin here: a number, or -N for the last N. Needs --partition.
    #[arg(
        short,
        long,
        allow_negative_numbers = true,
        requires = "partition",
        conflicts_with = "from_beginning"
    )]
    offset: Option<i64>,
    /// End after so many records.
    #[arg(short = 'n', long, value_name = "COUNT")]
    pub(super) max_messages: Option<u64>,
    /// End when the records are read that are there now.
    #[arg(short = 'e', long)]
    pub(super) exit_at_end: bool,
    /// End with an error when no record comes for so long.
    #[arg(long, value_name = "MS")]
    pub(super) timeout_ms: Option<u64>,
    /// Print keys too, with this between key and value. \t stands for a tab.
    #[arg(short = 'K', long, value_name = "TEXT", value_parser = unescape)]
    key_separator: Option<String>,
    /// Print headers too, NAME:VALUE,NAME:VALUE and a tab before the rest.
    #[arg(long)]
    headers: bool,
    /// Print each record as JSON, with its place and time.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    pub(super) connect: Connect,
}

#[derive(Serialize)]
struct JsonRecord<'a> {
    topic: &'a str,
    partition: i32,
    offset: i64,
    timestamp: i64,
    headers: Vec<(String, Option<String>)>,
    key: Option<String>,
    value: Option<String>,
}

/// Runs the command.
pub fn run(args: &ConsumeArgs, out: &mut Out) -> Result<(), CliError> {
    if let Some(group) = &args.group {
        return consume_group::run(args, group, out);
    }
    let mut client = args.connect.client();
    let mut leaders = client.retry(|c| c.leaders(&args.topic, false))?;
    if let Some(only) = args.partition {
        leaders.retain(|partition, _| *partition == only);
        if leaders.is_empty() {
            return Err(CliError::Usage(format!(
                "topic {} has no partition {only}",
                args.topic
            )));
        }
    }
    let begin = begin(&mut client, args, &leaders)?;
    let ends = if args.exit_at_end {
        Some(client.retry(|c| c.offsets(&args.topic, &leaders, LATEST))?)
    } else {
        None
    };
    let mut consumer = Consumer::new(&args.topic, leaders, begin);
    let mut progress = Progress::new(std::io::IsTerminal::is_terminal(&std::io::stdout()));
    let result = pump(
        &mut client,
        &mut consumer,
        args,
        ends.as_ref(),
        out,
        &mut progress,
    );
    progress.end();
    result
}

fn begin(
    client: &mut Client,
    args: &ConsumeArgs,
    leaders: &BTreeMap<i32, Leader>,
) -> Result<BTreeMap<i32, i64>, CliError> {
    let time = if args.from_beginning {
        EARLIEST
    } else {
        LATEST
    };
    match args.offset {
        Some(offset) if offset >= 0 => {
            let first = client.retry(|c| c.offsets(&args.topic, leaders, EARLIEST))?;
            let ends = client.retry(|c| c.offsets(&args.topic, leaders, LATEST))?;
            for (partition, end) in ends {
                let first = first.get(&partition).copied().unwrap_or(0);
                // Brokers do not say in their refusal what they have.
                if offset < first || offset > end {
                    return Err(CliError::Usage(format!(
                        "offset {offset} is not there: partition {}-{partition} goes from {first} to {end}",
                        args.topic
                    )));
                }
            }
            Ok(leaders
                .keys()
                .map(|&partition| (partition, offset))
                .collect())
        }
        Some(back) => {
            let first = client.retry(|c| c.offsets(&args.topic, leaders, EARLIEST))?;
            let mut found = client.retry(|c| c.offsets(&args.topic, leaders, LATEST))?;
            for (partition, offset) in &mut found {
                let first = first.get(partition).copied().unwrap_or(0);
                *offset = offset.saturating_add(back).max(first);
            }
            Ok(found)
        }
        None => Ok(client.retry(|c| c.offsets(&args.topic, leaders, time))?),
    }
}

fn pump(
    client: &mut Client,
    consumer: &mut Consumer,
    args: &ConsumeArgs,
    ends: Option<&BTreeMap<i32, i64>>,
    out: &mut Out,
    progress: &mut Progress,
) -> Result<(), CliError> {
    let mut last_record = Instant::now();
    loop {
        let is_done =
            |progress: &Progress| args.max_messages.is_some_and(|n| progress.records() >= n);
        let at_end = ends.is_some_and(|ends| {
            let positions = consumer.positions();
            positions
                .iter()
                .all(|(p, at)| ends.get(p).is_none_or(|end| at >= end))
        });
        if is_done(progress) || at_end {
            return out.flush();
        }
        let count = consumer.poll(client, &mut |place: Place, record: &RecordView<'_>| {
            // What was written after the command began is not "there now".
            let beyond = ends.and_then(|ends| ends.get(&place.partition));
            if beyond.is_some_and(|end| place.offset >= *end) {
                return Ok(true);
            }
            print(args, place, record, out)?;
            progress.add(record.value.map_or(0, <[u8]>::len));
            Ok::<_, CliError>(!is_done(progress))
        })?;
        out.flush()?;
        progress.renew();
        if count > 0 {
            last_record = Instant::now();
        } else if let Some(limit) = args.timeout_ms
            && last_record.elapsed() > Duration::from_millis(limit)
        {
            return Err(CliError::Usage(format!("no record came for {limit} ms")));
        }
    }
}

pub(super) fn print(
    args: &ConsumeArgs,
    place: Place,
    record: &RecordView<'_>,
    out: &mut Out,
) -> Result<(), CliError> {
    if args.json {
        return out.json(&JsonRecord {
            topic: &args.topic,
            partition: place.partition,
            offset: place.offset,
            timestamp: place.timestamp,
            headers: record
                .headers()
                .map(|(name, value)| (text_or_hex(name), value.map(text_or_hex)))
                .collect(),
            key: record.key.map(text_or_hex),
            value: record.value.map(text_or_hex),
        });
    }
    if args.headers {
        for (index, (name, value)) in record.headers().enumerate() {
            if index > 0 {
                out.bytes(b",")?;
            }
            out.bytes(name)?;
            out.bytes(b":")?;
            out.bytes(value.unwrap_or(b"null"))?;
        }
        out.bytes(b"\t")?;
    }
    if let Some(separator) = &args.key_separator {
        out.bytes(record.key.unwrap_or(b"null"))?;
        out.bytes(separator.as_bytes())?;
    }
    out.bytes(record.value.unwrap_or(b"null"))?;
    out.bytes(b"\n")
}
