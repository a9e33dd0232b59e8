//! Power cuts under load, held against the ledger.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use onrush_lossy::disk::Faults;
use onrush_lossy::sectors::Loss;
use onrush_testkit::process;
use onrush_testkit::random::Random;

use super::{Run, Site};
use crate::ledger_process::{self, Down, Ledger, UNANSWERED_MIN};

/// Cuts that one disk lives through.
const CUTS_PER_DISK: u64 = 12;
/// Disks on which the broker that does not flush is cut off, until one of them shows it.
const WRITTEN_CUTS_MAX: u64 = 10;

/// When the power is cut.
#[derive(Clone, Copy, Debug)]
enum Moment {
    AnyTime,
    AtARoll,
    /// Under load, and again in the starts after that.
    InStart,
    /// After SIGTERM under load.
    InStop,
    /// Right after a kill -9 and a start: what was recovered and sent again is in the disk's cache only.
    AfterAKill,
}

const MOMENTS: [Moment; 5] = [
    Moment::InStop,
    Moment::InStart,
    Moment::AtARoll,
    Moment::AfterAKill,
    Moment::AnyTime,
];

/// One line for each cut.
struct Table {
    text: String,
    cuts: u64,
    records: u64,
}

impl Table {
    /// `ready` is how long the start after it took, if there was a whole one.
    fn add(&mut self, moment: Moment, loss: &Loss, down: Down, ready: Option<Duration>) {
        self.cuts += 1;
        let Loss {
            unflushed,
            kept,
            dropped,
            between,
            ..
        } = loss;
        let (moment, pattern) = (format!("{moment:?}"), format!("{:?}", loss.pattern));
        let ready = ready.map_or("-".to_owned(), |took| took.as_millis().to_string());
        let (cut, unanswered, acknowledged) = (self.cuts, down.unanswered, down.acknowledged);
        writeln!(
            self.text,
            "{cut:>4}  {moment:<10}  {unanswered:>10}  {acknowledged:>12}  {unflushed:>9}  {kept:>5}  {between:>7}  {dropped:>7}  {pattern:<10}  {ready:>8}"
        )
        .unwrap();
    }
}

/// At least `run.cuts` cuts with `flushed`: everything acknowledged is there, once and in order.
pub fn flushed_is_there(run: &Run) {
    let mut table = Table {
        text: " cut  moment      unanswered  acknowledged  unflushed   kept  between  dropped  pattern     ready ms\n".to_owned(),
        cuts: 0,
        records: 0,
    };
    let mut moments = MOMENTS.iter().cycle();
    moments.nth(usize::try_from(run.seed % MOMENTS.len() as u64).unwrap());
    let begun = Instant::now();
    let mut disks = 0;
    while table.cuts < run.cuts {
        disks += 1;
        one_disk(run, disks, &mut moments, &mut table);
    }
    print!("{}", table.text);
    println!(
        "  {}: {} cuts on {disks} disks in {:.1} min, {} records acknowledged, each there once and in order",
        run.file_system.name(),
        table.cuts,
        begun.elapsed().as_secs_f64() / 60.0,
        table.records
    );
}

fn one_disk<'a>(
    run: &Run,
    number: u64,
    moments: &mut impl Iterator<Item = &'a Moment>,
    table: &mut Table,
) {
    let mut random = run.random(number);
    let (mut site, mut ledger) = run.site_with_ledger(number, &["onrush.durability=flushed"]);
    let last = run.cuts.min(table.cuts + CUTS_PER_DISK);
    while table.cuts < last {
        slow_down(&site, &mut random);
        let moment = *moments.next().unwrap();
        ledger.connect();
        let began = reach(moment, &mut site, &mut ledger, &mut random);
        site.power_off(&mut random);
        let mut losses = vec![site.disk().last_loss().unwrap()];
        let down = ledger.down();
        let unanswered = down.unanswered;
        assert!(unanswered >= UNANSWERED_MIN, "only {unanswered} unanswered");
        other_shards(&mut site, &mut random);
        if let Moment::InStart = moment {
            for _ in 0..random.range(1, 4) {
                site.computer.power_on();
                site.start_until(random.range(0, began), &mut random);
                losses.push(site.disk().last_loss().unwrap());
            }
        }
        let ready = site.power_on();
        for (left, loss) in (0..losses.len()).rev().zip(&losses) {
            table.add(moment, loss, down, (left == 0).then_some(ready));
        }
    }
    let (records, _) = ledger.finish();
    table.records += records;
    site.end();
}

/// From the next start on another number of shards, unless the run sets one: what is on disk does not depend on it.
fn other_shards(site: &mut Site, random: &mut Random) {
    let shards = format!("onrush.shards={}", random.range(1, 4));
    let overrides = std::env::var("ONRUSH_TEST_OVERRIDES").unwrap_or_default();
    if !overrides.contains("onrush.shards=") {
        site.broker.setup().start_with(&[&shards]);
    }
}

/// A flush takes no time, or as long as on a drive for servers, or for desktops: the longer, the more is unflushed.
fn slow_down(site: &Site, random: &mut Random) {
    let delays_us = [0, 200, 2000];
    let delay = delays_us[usize::try_from(random.range(0, 3)).unwrap()];
    site.disk().set_faults(Faults {
        flush_delay: Duration::from_micros(delay),
        ..Faults::default()
    });
}

/// Waits until the power is cut at such a moment. Returns how many requests to the disk a start may take.
fn reach(moment: Moment, site: &mut Site, ledger: &mut Ledger, random: &mut Random) -> u64 {
    std::thread::sleep(Duration::from_millis(random.range(1, 300)));
    let disk = site.disk().clone();
    match moment {
        Moment::AnyTime | Moment::InStart => disk.cut_after(random.range(0, 200)),
        Moment::AtARoll => {
            let data = site.broker.data();
            let before = ledger_process::segments(&data);
            let begun = Instant::now();
            while ledger_process::segments(&data) == before {
                assert!(begun.elapsed() < Duration::from_mins(1), "no roll");
            }
            disk.cut_after(random.range(0, 20));
        }
        Moment::InStop => {
            process::signal(site.broker.pid(), "TERM");
            disk.cut_after(random.range(0, 60));
            while !disk.wait_for_cut(Duration::from_millis(2)) {
                if !site.broker.is_alive() {
                    disk.cut();
                }
            }
        }
        Moment::AfterAKill => {
            site.broker.kill();
            ledger.down();
            site.broker.start_again();
            ledger.connect();
            disk.cut_after(random.range(0, 30));
        }
    }
    site.wait_for_cut();
    // Recovery of a few partitions: more than it takes, so that some starts are cut off when they are done.
    120
}

/// A broker that acknowledges what it wrote and did not flush must fail this test: else it proves nothing.
pub fn written_is_lost(run: &Run) {
    for number in 1..=WRITTEN_CUTS_MAX {
        let mut random = run.random(number);
        let settings = ["onrush.durability=written"];
        let (mut site, mut ledger) = run.site_with_ledger(1000 + number, &settings);
        ledger.connect();
        std::thread::sleep(Duration::from_millis(random.range(1, 300)));
        site.power_off(&mut random);
        ledger.down();
        site.power_on();
        if let Err(broken) = ledger.try_connect() {
            println!("  written, cut {number}: {broken}");
            assert!(
                broken.contains("is lost"),
                "not what was expected: {broken}"
            );
            return;
        }
    }
    panic!("{WRITTEN_CUTS_MAX} cuts, and nothing was lost that nobody flushed");
}
