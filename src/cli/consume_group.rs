//! `onrush consume --group`: records of the partitions that the group gives us; what was printed is committed.
//!
//! Invariants: 1. An offset is committed only after everything below it was handed to stdout: who dies before repeats, and loses
//! nothing. 2. Ctrl-C, SIGTERM, an end of the output or an error: we leave the group, so that others go on at once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use onrush_core::wire::records::RecordView;

use super::CliError;
use super::client::consumer::{Consumer, Place};
use super::client::member::{Member, Standing};
use super::client::{Client, Leader};
use super::consume::{ConsumeArgs, EARLIEST, LATEST, print};
use super::output::{Out, Progress};
use crate::io::process::StopSignals;

/// How often is committed while records come.
const COMMIT_EVERY: Duration = Duration::from_secs(5);
/// Rest of a member that was given nothing.
const IDLE: Duration = Duration::from_millis(200);

/// Everything of one run.
struct Reader<'a> {
    args: &'a ConsumeArgs,
    group: &'a str,
    client: Client,
    leaders: BTreeMap<i32, Leader>,
    member: Member,
    /// With `--exit-at-end`: where each partition ended when we began.
    ends: Option<BTreeMap<i32, i64>>,
    progress: Progress,
    stop: mpsc::Receiver<()>,
    stopped: bool,
    committed: BTreeMap<i32, i64>,
    commit_at: Instant,
    last_record: Instant,
}

/// Runs the command.
pub(super) fn run(args: &ConsumeArgs, group: &str, out: &mut Out) -> Result<(), CliError> {
    let stop = listen()?;
    let mut client = args.connect.client();
    let leaders = client.retry(|c| c.leaders(&args.topic, false))?;
    let ends = if args.exit_at_end {
        Some(client.retry(|c| c.offsets(&args.topic, &leaders, LATEST))?)
    } else {
        None
    };
    let mut reader = Reader {
        args,
        group,
        client,
        leaders,
        member: Member::new(group, &args.topic),
        ends,
        progress: Progress::new(std::io::IsTerminal::is_terminal(&std::io::stdout())),
        stop,
        stopped: false,
        committed: BTreeMap::new(),
        commit_at: Instant::now() + COMMIT_EVERY,
        last_record: Instant::now(),
    };
    let result = reader.read(out);
    reader.progress.end();
    let left = reader.member.leave(&mut reader.client);
    result.and_then(|()| Ok(left?))
}

/// A message for the first signal to stop; the second one ends the process.
fn listen() -> Result<mpsc::Receiver<()>, CliError> {
    let signals = StopSignals::block();
    let (tell, told) = mpsc::channel();
    let thread = std::thread::Builder::new().name("signals".to_owned());
    let waiting = move || {
        let _first = signals.wait();
        if tell.send(()).is_ok() {
            let _second = signals.wait();
        }
        std::process::exit(1);
    };
    thread.spawn(waiting).map_err(CliError::Input)?;
    Ok(told)
}

impl Reader<'_> {
    /// One generation after the other.
    fn read(&mut self, out: &mut Out) -> Result<(), CliError> {
        loop {
            let mine = self.member.join(&mut self.client, self.leaders.len())?;
            tracing::debug!("partitions of this generation: {mine:?}");
            let positions = self.begin(&mine)?;
            self.committed.clone_from(&positions);
            let leaders = self.leaders.clone();
            let mut consumer = Consumer::new(&self.args.topic, leaders, positions);
            let outcome = self.read_generation(&mut consumer, out);
            // Also after an error of the topic's or the output's: what was printed is not to be printed again.
            let committed = if !matches!(outcome, Ok(Standing::Lost)) && out.flush().is_ok() {
                self.commit(&consumer)
            } else {
                Ok(Standing::Lost)
            };
            match (outcome?, committed?) {
                (Standing::Good, Standing::Good | Standing::Rejoin) => return Ok(()),
                (Standing::Good, Standing::Lost) => {
                    let group = self.group;
                    let what = "was left before its offsets could be committed";
                    return Err(CliError::Usage(format!("group {group} {what}")));
                }
                (Standing::Rejoin | Standing::Lost, _) => {}
            }
        }
    }

    /// Reads until there is nothing more to do (`Good`) or the members come together again.
    fn read_generation(
        &mut self,
        consumer: &mut Consumer,
        out: &mut Out,
    ) -> Result<Standing, CliError> {
        loop {
            self.stopped |= self.stop.try_recv().is_ok();
            if self.stopped || self.is_done() || self.is_at_end(consumer) {
                return Ok(Standing::Good);
            }
            let count = self.poll(consumer, out)?;
            out.flush()?;
            self.progress.renew();
            if count > 0 {
                self.last_record = Instant::now();
            } else if let Some(limit) = self.args.timeout_ms
                && self.last_record.elapsed() > Duration::from_millis(limit)
            {
                return Err(CliError::Usage(format!("no record came for {limit} ms")));
            }
            let mut standing = self.member.heartbeat(&mut self.client)?;
            if standing == Standing::Good && Instant::now() >= self.commit_at {
                standing = self.commit(consumer)?;
            }
            if standing != Standing::Good {
                return Ok(standing);
            }
        }
    }

    fn poll(&mut self, consumer: &mut Consumer, out: &mut Out) -> Result<u64, CliError> {
        if consumer.positions().is_empty() {
            std::thread::sleep(IDLE);
            return Ok(0);
        }
        let (args, ends) = (self.args, &self.ends);
        let (progress, stop, stopped) = (&mut self.progress, &self.stop, &mut self.stopped);
        consumer.poll(
            &mut self.client,
            &mut |place: Place, record: &RecordView<'_>| {
                let beyond = ends.as_ref().and_then(|ends| ends.get(&place.partition));
                if beyond.is_some_and(|end| place.offset >= *end) {
                    return Ok(true);
                }
                print(args, place, record, out)?;
                progress.add(record.value.map_or(0, <[u8]>::len));
                *stopped |= stop.try_recv().is_ok();
                let enough = args.max_messages.is_some_and(|n| progress.records() >= n);
                Ok::<_, CliError>(!enough && !*stopped)
            },
        )
    }

    fn is_done(&self) -> bool {
        let max = self.args.max_messages;
        max.is_some_and(|n| self.progress.records() >= n)
    }

    fn is_at_end(&self, consumer: &Consumer) -> bool {
        self.ends.as_ref().is_some_and(|ends| {
            let mut positions = consumer.positions().iter();
            positions.all(|(partition, at)| ends.get(partition).is_none_or(|end| at >= end))
        })
    }

    /// Where to go on: what the group has committed, or, where it has not or that is gone, the first or the last record.
    fn begin(&mut self, mine: &BTreeSet<i32>) -> Result<BTreeMap<i32, i64>, CliError> {
        let mut leaders = self.leaders.clone();
        leaders.retain(|partition, _| mine.contains(partition));
        let (client, topic) = (&mut self.client, &self.args.topic);
        let firsts = client.retry(|c| c.offsets(topic, &leaders, EARLIEST))?;
        let lasts = client.retry(|c| c.offsets(topic, &leaders, LATEST))?;
        let committed = client.retry(|c| c.committed(self.group))?;
        let mut positions = BTreeMap::new();
        for (partition, first) in firsts {
            let last = lasts.get(&partition).copied().unwrap_or(first);
            let absent = if self.args.from_beginning {
                first
            } else {
                last
            };
            let known = committed.get(&(topic.clone(), partition)).copied();
            let known = known.filter(|offset| (first..=last).contains(offset));
            positions.insert(partition, known.unwrap_or(absent));
        }
        Ok(positions)
    }

    /// Commits what has moved since the last time.
    fn commit(&mut self, consumer: &Consumer) -> Result<Standing, CliError> {
        self.commit_at = Instant::now() + COMMIT_EVERY;
        let mut positions = consumer.positions().clone();
        if let Some(ends) = &self.ends {
            // What lies beyond was not printed.
            for (partition, position) in &mut positions {
                *position = ends
                    .get(partition)
                    .map_or(*position, |end| *end.min(position));
            }
        }
        let moved = positions.iter();
        let moved = moved.filter(|(partition, at)| self.committed.get(partition) != Some(at));
        let moved: BTreeMap<i32, i64> = moved.map(|(&partition, &at)| (partition, at)).collect();
        let standing = self.member.commit(&mut self.client, &moved)?;
        if standing == Standing::Good {
            self.committed = positions;
        }
        Ok(standing)
    }
}
