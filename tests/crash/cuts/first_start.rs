//! Power cuts in the very first start and right after it: the next start makes do with whatever is there.
//!
//! An Apache Kafka does not start again then: it leaves an empty `bootstrap.checkpoint`.

use onrush_testkit::client::{Client, PRODUCE_VERSION, produce_request};
use onrush_testkit::records;

use super::{Run, Site};

const SETTINGS: [&str; 1] = ["onrush.durability=flushed"];
const TOPIC: &str = "first";

/// Cuts spread over all writes and flushes of a first start, then one when it is ready.
pub fn a_first_start_is_cut_off(run: &Run) {
    let mut random = run.random(7);
    let mut site = run.site(2000, &SETTINGS);
    let before = site.disk().counts().all();
    site.broker.start_again();
    let all = site.disk().counts().all() - before;
    site.power_off(&mut random);
    works(&mut site);
    let cuts = run.cuts;
    let mut ready = 0;
    for cut in 0..cuts {
        let mut site = run.site(2001 + cut, &SETTINGS);
        let after = all * cut / cuts + random.range(0, all / cuts + 1);
        ready += u32::from(site.start_until(after, &mut random));
        works(&mut site);
    }
    println!(
        "  a first start takes {all} writes and flushes; {cuts} cuts in it ({ready} when ready) and one after it"
    );
}

/// A topic that was created and a record that was acknowledged right before a cut are there.
pub fn the_first_topic_is_cut_off(run: &Run) {
    let mut random = run.random(8);
    for cut in 0..run.cuts.min(10) {
        let mut site = run.site(3000 + cut, &SETTINGS);
        site.broker.start_again();
        let mut client = Client::connect(site.broker.address()).unwrap();
        client.create_topic(TOPIC, 1, &[]);
        produce(&mut client);
        site.power_off(&mut random);
        site.power_on();
        let mut client = Client::connect(site.broker.address()).unwrap();
        let found = client.fetch_all(TOPIC, 0, 0);
        let values: Vec<_> = found.iter().flat_map(records::values).collect();
        assert_eq!(values.len(), 1, "{values:?}");
        site.end();
    }
}

fn works(site: &mut Site) {
    site.power_on();
    let mut client = Client::connect(site.broker.address()).unwrap();
    client.create_topic(TOPIC, 1, &[]);
    produce(&mut client);
    let (status, _) = site.broker.stop();
    assert_eq!(status.code(), Some(0), "{}", site.broker.output());
    site.computer.shut_down();
}

fn produce(client: &mut Client) {
    let batch = records::batch(records::NO_PRODUCER, &[b"one".to_vec()]);
    let response = client.call(&produce_request(TOPIC, 0, -1, batch), PRODUCE_VERSION);
    let answer = &response.responses[0].partition_responses[0];
    assert_eq!(answer.error_code, 0, "{answer:?}");
}
