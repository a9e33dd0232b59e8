//! The parameters of a history, drawn from its seed: a different mixture of sizes, speeds and faults for every seed, so that
//! no combination is left out for good.
//!
//! Source: Groce et al., "Swarm Testing" (2012).

use uuid::Uuid;

use crate::client::{Habits, Style};
use crate::disk::Crash;
use crate::ledger::{Existence, Topic};
use crate::rng::Rng;

/// Something that breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The process or the machine goes, in the middle of something.
    Crash(Crash),
    /// An orderly stop and a start.
    Restart,
    /// A flush or durable write fails, then the process goes if it has not.
    FailFlush,
    /// A write fails, then the process goes if it has not.
    FailWrite,
    /// The disk is full for a while.
    Full,
}

/// A history's parameters.
#[derive(Clone, Debug)]
pub struct Swarm {
    /// Topics to work on.
    pub topics: Vec<Topic>,
    /// Producers.
    pub producers: Vec<Style>,
    /// Longest pause of each consumer, in µs.
    pub consumers: Vec<u64>,
    /// Members of consumer groups.
    pub members: Vec<Habits>,
    /// How many topics are deleted on the way.
    pub deletes: u32,
    /// How many shards a process has: one of these, drawn at every start.
    pub shards: Vec<u16>,
    /// One message between cores in so many is held for long, and those behind it; 0 for none.
    pub mesh_hold_one_in: u64,
    /// Typical and largest time of a disk operation, in µs.
    pub disk_us: (u64, u64),
    /// Largest time on the network or between cores, in µs.
    pub network_us: u64,
    /// One connection in so many answers is lost; 0 for none.
    pub connection_loss_one_in: u64,
    /// What breaks, each after so many answered requests.
    pub faults: Vec<(u64, Fault)>,
    /// Answered requests to reach.
    pub operations: u64,
    /// How often, in percent, a start is broken off by another crash.
    pub crash_in_recovery_percent: u64,
}

impl Swarm {
    /// Draws the parameters.
    #[must_use]
    pub fn draw(rng: &mut Rng) -> Self {
        let segment_bytes = *rng.pick(&[6_000, 20_000, 100_000, 1 << 20]);
        let topics = (0..rng.between(1, 3))
            .map(|index| draw_topic(rng, index, segment_bytes))
            .collect();
        let producers = (0..rng.between(2, 4))
            .map(|writer| draw_producer(rng, writer + 1, segment_bytes))
            .collect();
        let consumers = (0..rng.between(1, 3))
            .map(|_| *rng.pick(&[500, 5_000, 50_000]))
            .collect();
        let members = draw_members(rng);
        // Members are quick, and nobody else shall have less to do.
        let more = 100 * members.len() as u64;
        let operations = rng.between(520, 700) + more;
        let typical = *rng.pick(&[20, 200, 2_000]);
        let mut swarm = Self {
            topics,
            producers,
            consumers,
            members,
            deletes: *rng.pick(&[0, 0, 1, 3]),
            shards: draw_shards(rng),
            mesh_hold_one_in: *rng.pick(&[0, 100, 1_000]),
            disk_us: (typical, typical * *rng.pick(&[2, 10, 50])),
            network_us: *rng.pick(&[20, 300, 3_000]),
            connection_loss_one_in: *rng.pick(&[0, 40, 150]),
            faults: draw_faults(rng, operations),
            operations,
            crash_in_recovery_percent: *rng.pick(&[0, 30, 60]),
        };
        if swarm.deletes > 0 && swarm.mesh_hold_one_in > 0 {
            // A request that names its topic and is not heard for long may mean the topic's successor when it is: rightly so.
            for style in &mut swarm.producers {
                style.version = 13;
            }
        }
        swarm
    }
}

/// In most histories: one or two groups, whose members differ in pace, and some of whom are static.
fn draw_members(rng: &mut Rng) -> Vec<Habits> {
    let count = *rng.pick(&[0, 0, 2, 3, 5]);
    let groups = rng.between(1, 2);
    let members = (0..count).map(|number| Habits {
        group: usize::try_from(number % groups).expect("few groups"),
        instance: rng.one_in(3).then(|| format!("static{number}")),
        session_timeout: *rng.pick(&[100, 400, 2_000]),
        pause_us_max: *rng.pick(&[200, 2_000, 20_000]),
    });
    members.collect()
}

fn draw_shards(rng: &mut Rng) -> Vec<u16> {
    let counts: [&[u16]; 5] = [&[1], &[2], &[2, 3], &[1, 2, 3, 4, 5], &[4, 5]];
    rng.pick(&counts).to_vec()
}

fn draw_topic(rng: &mut Rng, index: u64, segment_bytes: u64) -> Topic {
    let flushed = rng.percent(70);
    let mut configs = vec![
        ("internal.segment.bytes", segment_bytes.to_string()),
        (
            "onrush.durability",
            if flushed { "flushed" } else { "written" }.to_owned(),
        ),
        (
            "index.interval.bytes",
            rng.pick(&[0, 100, 1_000, 4_096]).to_string(),
        ),
        (
            "file.delete.delay.ms",
            rng.pick(&[0, 50, 60_000]).to_string(),
        ),
    ];
    if rng.one_in(3) {
        configs.push(("segment.ms", rng.pick(&[5, 100, 1_000]).to_string()));
    }
    if rng.one_in(4) {
        configs.push(("flush.messages", rng.pick(&[1, 20]).to_string()));
    }
    if rng.one_in(4) {
        configs.push(("flush.ms", rng.pick(&[1, 30]).to_string()));
    }
    if rng.one_in(3) {
        configs.push((
            "segment.index.bytes",
            rng.pick(&[24, 120, 4_096]).to_string(),
        ));
    }
    Topic {
        name: format!("topic{index}"),
        partitions: i32::try_from(rng.between(1, 4)).expect("small"),
        flushed,
        configs: configs
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value))
            .collect(),
        existence: Existence::Absent,
        id: Uuid::nil(),
        life: 0,
    }
}

fn draw_producer(rng: &mut Rng, writer: u64, segment_bytes: u64) -> Style {
    let idempotent = writer == 1 || rng.percent(60);
    let value_bytes_max = *rng.pick(&[40, 300, 1_500, 9_000, 60_000]);
    // Headers and lengths of records and batch add less than this; a batch must fit a segment.
    let value_bytes_max = value_bytes_max.min(segment_bytes / 4);
    let records_max = ((segment_bytes - 200) / (value_bytes_max + 40)).min(*rng.pick(&[1, 5, 30]));
    Style {
        writer,
        idempotent,
        acks: if idempotent {
            -1
        } else {
            *rng.pick(&[-1, 1, 0])
        },
        version: i16::try_from(rng.between(3, 13)).expect("small"),
        in_flight_max: usize::try_from(rng.between(1, 5)).expect("small"),
        value_bytes_max,
        records_max: records_max.max(1),
        pause_us_max: *rng.pick(&[50, 1_000, 20_000]),
        gzip: rng.one_in(3),
    }
}

fn draw_faults(rng: &mut Rng, operations: u64) -> Vec<(u64, Fault)> {
    let count = rng.between(3, 6);
    let kinds = [
        Fault::Crash(Crash::Kill),
        Fault::Crash(Crash::Kill),
        Fault::Crash(Crash::Power),
        Fault::Crash(Crash::Power),
        Fault::Crash(Crash::Power),
        Fault::Restart,
        Fault::FailFlush,
        Fault::FailFlush,
        Fault::FailWrite,
        Fault::Full,
    ];
    let mut faults: Vec<(u64, Fault)> = (0..count)
        .map(|_| (rng.between(30, operations), *rng.pick(&kinds)))
        .collect();
    // An orderly restart breaks nothing: it does not count.
    let real = |faults: &[(u64, Fault)]| faults.iter().filter(|f| f.1 != Fault::Restart).count();
    while real(&faults) < 3 {
        faults.push((rng.between(30, operations), Fault::Crash(Crash::Power)));
    }
    faults.sort_unstable_by_key(|&(after, _)| after);
    faults
}
