//! A disk that fails, is slow or is full.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use onrush_lossy::disk::Faults;
use onrush_testkit::client::{Client, PRODUCE_VERSION, produce_request};
use onrush_testkit::records;

use super::Run;
use crate::ledger_process::{TOPIC, UNANSWERED_MIN};

const FLUSHED: [&str; 1] = ["onrush.durability=flushed"];
/// KAFKA_STORAGE_ERROR.
const STORAGE_ERROR: i16 = 56;

/// A write or a flush fails once and for all under load: the broker ends with a sentence, and no acknowledgement was wrong.
pub fn a_failed_request_ends_the_broker(run: &Run) {
    let (flush_error, write_error) = (Some(libc::EIO), Some(libc::EIO));
    let no_space = Some(libc::ENOSPC);
    let cases = [
        ("EIO of a flush", flush_error, None),
        ("EIO of a write", None, write_error),
        ("ENOSPC of a write (a thin disk)", None, no_space),
    ];
    for (number, (name, flush_error, write_error)) in (4000..).zip(cases) {
        let mut random = run.random(number);
        let (mut site, mut ledger) = run.site_with_ledger(number, &FLUSHED);
        ledger.connect();
        std::thread::sleep(Duration::from_millis(random.range(1, 200)));
        site.disk().set_faults(Faults {
            write_error,
            flush_error,
            ..Faults::default()
        });
        let status = site.broker.wait_for_end().expect("it ends by itself");
        assert_ne!(status.code(), Some(0));
        let output = site.broker.output();
        let sentence = output.lines().rfind(|line| line.starts_with("onrush: "));
        println!("  {name}: {}", sentence.expect("a last word"));
        assert!(!output.contains("panicked"), "{output}");
        let down = ledger.down();
        assert!(down.unanswered >= UNANSWERED_MIN, "{down:?}");
        println!("    connections that were told so: {}", down.refused);
        site.power_off(&mut random);
        site.power_on();
        ledger.finish();
        site.end();
    }
}

/// A slow disk delays acknowledgements, and a cut takes none back.
pub fn a_slow_disk_delays(run: &Run) {
    const DELAY: Duration = Duration::from_millis(50);
    let mut random = run.random(9);
    let (mut site, mut ledger) = run.site_with_ledger(5000, &FLUSHED);
    let mut client = Client::connect(site.broker.address()).unwrap();
    client.create_topic("slow", 1, &[]);
    site.disk().set_faults(Faults {
        flush_delay: DELAY,
        write_delay: Duration::from_micros(500),
        ..Faults::default()
    });
    for _ in 0..5 {
        let begun = Instant::now();
        assert_eq!(produce(&mut client, "slow", vec![b'x'; 100]), 0);
        let took = begun.elapsed();
        assert!(took >= DELAY, "acknowledged in {took:?}, before its flush");
    }
    ledger.connect();
    std::thread::sleep(Duration::from_millis(random.range(200, 600)));
    site.power_off(&mut random);
    let down = ledger.down();
    assert!(down.unanswered >= UNANSWERED_MIN, "{down:?}");
    site.power_on();
    ledger.finish();
    site.end();
}

/// A full file system refuses produce; what was acknowledged is there, and room makes it go on.
pub fn a_full_disk_refuses(run: &Run) {
    let mut random = run.random(10);
    let mut site = run.site(6000, &FLUSHED);
    site.broker.start_again();
    let mut client = Client::connect(site.broker.address()).unwrap();
    client.create_topic(TOPIC, 1, &[]);
    let mut full = Full::default();
    for _ in 0..20 {
        assert_eq!(full.produce(&mut client, 1000), 0);
    }
    let filler = fill(&site.computer.root());
    // What is reserved ahead of the writer still fits; the batch that finds no room waits for some until its time is up.
    let mut refused = Vec::new();
    while refused.last() != Some(&STORAGE_ERROR) {
        match full.produce(&mut client, 100_000) {
            0 => assert!(full.sent < 5000, "this disk is never full"),
            error => refused.push(error),
        }
        assert!(refused.len() < 5, "{refused:?}");
    }
    assert!(site.broker.is_alive(), "{}", site.broker.output());
    full.check(&mut client);
    for file in filler {
        fs::remove_file(file).unwrap();
    }
    let begun = Instant::now();
    while full.produce(&mut client, 1000) != 0 {
        assert!(begun.elapsed() < Duration::from_secs(30), "still refused");
    }
    full.check(&mut client);
    site.power_off(&mut random);
    site.power_on();
    let mut client = Client::connect(site.broker.address()).unwrap();
    full.check(&mut client);
    let acknowledged = full.acknowledged.len();
    println!("  {acknowledged} acknowledged before, beside and after the errors {refused:?}");
    site.end();
}

/// Numbered records of one plain producer.
#[derive(Default)]
struct Full {
    sent: usize,
    acknowledged: BTreeSet<usize>,
}

impl Full {
    fn produce(&mut self, client: &mut Client, bytes: usize) -> i16 {
        let mut value = format!("{}:", self.sent).into_bytes();
        value.resize(bytes, b'x');
        let error = produce(client, TOPIC, value);
        if error == 0 {
            self.acknowledged.insert(self.sent);
        }
        self.sent += 1;
        error
    }

    /// Acknowledged: there; the others at most once; all in order.
    fn check(&self, client: &mut Client) {
        let mut left = self.acknowledged.clone();
        let mut last = None;
        for bytes in client.fetch_all(TOPIC, 0, 0) {
            for (offset, value) in records::values(&bytes) {
                let text = String::from_utf8_lossy(&value);
                let number: usize = text.split_once(':').unwrap().0.parse().unwrap();
                assert!(
                    last < Some(number),
                    "offset {offset}: {number} behind {last:?}"
                );
                last = Some(number);
                left.remove(&number);
            }
        }
        assert!(left.is_empty(), "lost: {left:?}");
    }
}

/// Takes the room of the file system, in smaller and smaller files.
fn fill(root: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut bytes = 256 << 20;
    while bytes >= 4096 {
        let file = root.join(format!("filler-{}", files.len()));
        let taken = Command::new("fallocate")
            .args(["-l", &format!("{bytes}")])
            .arg(&file)
            .output();
        if !taken.unwrap().status.success() {
            bytes /= 2;
        }
        files.push(file);
    }
    files.retain(|file| file.exists());
    files
}

/// Produces one record; the error code of the answer.
fn produce(client: &mut Client, topic: &str, value: Vec<u8>) -> i16 {
    let batch = records::batch(records::NO_PRODUCER, &[value]);
    let request = produce_request(topic, 0, -1, batch).with_timeout_ms(2000);
    let response = client.call(&request, PRODUCE_VERSION);
    response.responses[0].partition_responses[0].error_code
}
