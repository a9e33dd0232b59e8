//! The files of the log directory: what is found, what is written, and in which order.

use super::*;
use crate::types::{Millis, PartitionIndex};

const MARKER: &str = ".kafka_cleanshutdown";
const RECOVERY: &str = "recovery-point-offset-checkpoint";
const STARTS: &str = "log-start-offset-checkpoint";
const HIGH: &str = "replication-offset-checkpoint";

impl Rig {
    /// Operations on names and small files since the last look, without the metadata log's own.
    fn told(&mut self) -> Vec<String> {
        let told = std::mem::take(&mut self.disk.told).into_iter();
        told.filter(|what| !what.contains("__cluster_metadata"))
            .collect()
    }

    fn text(&self, path: &str) -> String {
        String::from_utf8(self.disk.files[path].clone()).unwrap()
    }

    fn pass(&mut self, millis: u64) {
        self.now.mono = self.now.mono.after(Millis(millis));
        self.step(Input::Tick);
    }

    fn delete(&mut self, id: TopicId) {
        let topics = vec![TopicRef { name: None, id }];
        self.request(9, CtlRequest::DeleteTopics { topics });
    }

    fn report(&mut self, id: TopicId, partition: i32, offset: i64) {
        self.message(CoreMsg::Offsets(vec![moved(id, partition, offset)]));
    }
}

fn moved(id: TopicId, partition: i32, offset: i64) -> (PartitionKey, PartitionOffsets) {
    let offsets = PartitionOffsets {
        recovery_point: Offset(offset),
        high_watermark: Offset(offset + 1),
        log_start: (offset > 5).then_some(Offset(3)),
    };
    ((id, PartitionIndex(partition)), offsets)
}

#[test]
fn the_marker_goes_first_and_comes_last() {
    let mut rig = Rig::new(formatted(), 1);
    rig.start();
    assert_eq!(rig.told(), [format!("remove {MARKER}")]);
    assert!(!rig.state.as_ref().unwrap().clean);
    let (_, topic) = rig.create("a");
    let id = topic.topic_id;
    rig.report(id, 0, 4);
    let files = [RECOVERY, STARTS, HIGH].map(|file| format!("put {file}"));
    assert_eq!(rig.told(), files);
    let mut disk = rig.stop_with(vec![moved(id, 1, 7), moved(id, 0, 5)], true);
    let told = std::mem::take(&mut disk.told);
    assert_eq!(told[..3], files);
    assert_eq!(told[3], format!("put {MARKER}"));

    let mut rig = Rig::new(disk, 2);
    rig.start();
    let state = rig.state.as_ref().unwrap();
    assert!(state.clean);
    let known: Vec<_> = state.offsets.clone().into_iter().collect();
    assert_eq!(known, [moved(id, 0, 5), moved(id, 1, 7)]);
    assert_eq!(rig.told(), [format!("remove {MARKER}")]);
    // Nobody says that the first is open: what was known of it stays.
    let mut rig = Rig::new(rig.stop_with(vec![moved(id, 1, 9)], false), 3);
    rig.start();
    let state = rig.state.as_ref().unwrap();
    assert!(!state.clean);
    let known: Vec<_> = state.offsets.clone().into_iter().collect();
    assert_eq!(known, [moved(id, 0, 5), moved(id, 1, 9)]);
}

#[test]
fn reports_are_written_every_five_seconds() {
    let mut rig = Rig::new(formatted(), 1);
    rig.start();
    let (_, topic) = rig.create("a");
    rig.told();
    rig.report(topic.topic_id, 0, 1);
    assert_eq!(rig.told().len(), 3);
    rig.report(topic.topic_id, 0, 2);
    rig.report(topic.topic_id, 1, 2);
    rig.pass(4_900);
    assert!(rig.told().is_empty());
    rig.pass(100);
    assert_eq!(rig.told().len(), 3);
    assert_eq!(rig.text(RECOVERY), "0\n2\na 0 2\na 1 2\n");
    assert_eq!(rig.text(HIGH), "0\n2\na 0 3\na 1 3\n");
    rig.pass(60_000);
    assert!(rig.told().is_empty(), "nothing moved");
    // A full disk is harmless, and the next period tries again.
    rig.disk.full = true;
    rig.report(topic.topic_id, 0, 3);
    rig.disk.full = false;
    rig.pass(4_000);
    assert!(rig.told().is_empty());
    rig.pass(1_000);
    assert_eq!(rig.text(RECOVERY), "0\n2\na 0 3\na 1 2\n");
}

#[test]
fn strays_are_set_aside_and_deleted_ones_removed() {
    let mut disk = formatted();
    let dead = "dead-0.0123456789abcdef0123456789abcdef-delete";
    for dir in ["gone-0", "other-1", "junk", dead] {
        disk.plant(&format!("{dir}/x"));
    }
    let mut rig = Rig::new(disk, 0xab);
    rig.start();
    let first = "gone-0 gone-0.abababababababababababababababab-stray";
    let second = "other-1 other-1.abababaaabababababababababababab-stray";
    let told = [
        format!("remove {MARKER}"),
        format!("remove {dead}"),
        format!("rename {first}"),
        format!("rename {second}"),
    ];
    assert_eq!(rig.told(), told);
    let note = "gone-0 is not in the metadata: renamed to \
                gone-0.abababababababababababababababab-stray; remove it by hand";
    assert_eq!(rig.notes[0], Note::Warn(note.to_owned()));
    assert!(rig.disk.files.contains_key("junk/x"));
    // Strays alone do not make a start unclean, and leave their names to others.
    let mut rig = Rig::new(rig.kill(), 2);
    rig.start();
    assert_eq!(rig.told(), [format!("remove {MARKER}")]);
}

#[test]
fn a_name_is_forgotten_before_it_is_taken_again() {
    let mut rig = Rig::new(formatted(), 1);
    rig.start();
    let (_, topic) = rig.create("a");
    let id = topic.topic_id;
    rig.report(id, 0, 100);
    rig.told();
    rig.delete(id);
    rig.request(10, create("a"));
    let (image, _) = rig.published();
    assert!(
        rig.seen.is_empty(),
        "no successor before the shard has let go"
    );
    assert_eq!(rig.told().len(), 3);
    assert_eq!(rig.text(RECOVERY), "0\n0\n");
    // A late report.
    rig.report(id, 0, 100);
    rig.apply(image.offset);
    assert!(matches!(rig.seen.pop_front(), Some(Seen::Reply(9, _))));
    let (image, _) = rig.published();
    rig.report(id, 1, 100);
    rig.apply(image.offset);
    rig.pass(5_000);
    assert_eq!(rig.text(RECOVERY), "0\n0\n");
}

#[test]
fn forgetting_waits_for_space() {
    let mut rig = Rig::new(formatted(), 1);
    rig.start();
    let (_, topic) = rig.create("a");
    rig.report(topic.topic_id, 0, 100);
    rig.disk.full = true;
    rig.delete(topic.topic_id);
    let (image, _) = rig.published();
    rig.apply(image.offset);
    rig.pass(1_000);
    assert!(rig.seen.is_empty(), "the files still have the name");
    rig.disk.full = false;
    rig.pass(1_000);
    assert_eq!(rig.text(RECOVERY), "0\n0\n");
    assert!(matches!(rig.seen.pop_front(), Some(Seen::Reply(9, _))));
}

/// The process was killed between the deletion's commit and the write that forgets.
#[test]
fn a_start_forgets_what_the_metadata_does_not_know() {
    let mut rig = Rig::new(formatted(), 1);
    rig.start();
    let (_, topic) = rig.create("a");
    rig.create("b");
    rig.report(topic.topic_id, 0, 100);
    let old = rig.disk.files[RECOVERY].clone();
    rig.delete(topic.topic_id);
    let mut disk = rig.kill();
    disk.files.insert(RECOVERY.to_owned(), old);
    let mut rig = Rig::new(disk, 2);
    rig.start();
    assert_eq!(rig.text(RECOVERY), "0\n0\n");
    assert!(rig.state.as_ref().unwrap().offsets.is_empty());
}

#[test]
fn a_directory_that_fails_halts() {
    let mut rig = Rig::new(formatted(), 1);
    rig.step(Input::Start);
    let (image, _) = rig.published();
    rig.apply(image.offset);
    rig.disk.full = true;
    rig.step(Input::Stop);
    rig.message(CoreMsg::Drained);
    let (offsets, well) = (Vec::new(), true);
    rig.message(CoreMsg::Stopped { offsets, well });
    let why = rig.halted();
    assert_eq!(
        why,
        "the log directory is offline: FinalCheckpoint: no space left (ENOSPC)"
    );
}
