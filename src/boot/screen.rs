//! The start screen: what an operator wants to see at once, each warning with its fix.

use std::fmt::Write as _;
use std::time::Duration;

use crate::config::{Durability, Notices};

/// Everything that is shown.
#[derive(Debug)]
pub(super) struct Screen {
    /// `node.id`
    pub(super) node_id: i32,
    /// The cluster's id.
    pub(super) cluster_id: String,
    /// Name, bound address, advertised address of each listener.
    pub(super) listeners: Vec<(String, String, String)>,
    /// The data directory, absolute.
    pub(super) data: String,
    /// True if it was formatted just now.
    pub(super) is_new: bool,
    /// How many shards run where.
    pub(super) cores: String,
    /// What records under way may take.
    pub(super) memory: String,
    /// What acks=all promises.
    pub(super) durability: Durability,
    /// Median cost of making 4 KiB durable.
    pub(super) flush: Duration,
    /// The slowest flush measured.
    pub(super) flush_worst: Duration,
    /// One sentence each, with the fix.
    pub(super) warnings: Vec<String>,
    /// What is accepted and does less than someone may expect.
    pub(super) notices: Notices,
}

impl Screen {
    /// The screen, shown before recovery begins.
    #[must_use]
    pub(super) fn text(&self) -> String {
        let mut text = format!("onrush {}\n", env!("CARGO_PKG_VERSION"));
        let mut row = |name: &str, what: &str| {
            writeln!(text, "  {name:<11} {what}").expect("writing to a string does not fail");
        };
        row(
            "node",
            &format!("{} of cluster {}", self.node_id, self.cluster_id),
        );
        for (name, bound, advertised) in &self.listeners {
            let told = if bound == advertised {
                String::new()
            } else {
                format!(", clients are told {advertised}")
            };
            row("listener", &format!("{name} on {bound}{told}"));
        }
        let new = if self.is_new { " (new)" } else { "" };
        row("data", &format!("{}{new}", self.data));
        row("cores", &self.cores);
        row("memory", &self.memory);
        row("durability", &self.promise());
        for warning in &self.warnings {
            row("warning", warning);
        }
        for (key, hint) in &self.notices.removed {
            row("note", &format!("{key} is of an older Kafka: {hint}"));
        }
        for note in &self.notices.others {
            row("note", note);
        }
        if !self.notices.no_effect.is_empty() {
            let keys = self.notices.no_effect.join(", ");
            row("note", &format!("set, but without effect yet: {keys}"));
        }
        if !self.notices.unknown.is_empty() {
            let keys = self.notices.unknown.join(", ");
            row("note", &format!("unknown keys, ignored: {keys}"));
        }
        text
    }

    fn promise(&self) -> String {
        let (cost, worst) = (for_people(self.flush), for_people(self.flush_worst));
        match self.durability {
            Durability::Flushed => {
                format!(
                    "flushed: acks=all waits for stable storage; a flush costs {cost} here (at worst {worst})"
                )
            }
            Durability::Written => format!(
                "written: acks=all survives kill -9, not a power cut; a flush would cost {cost} here (at worst {worst})"
            ),
        }
    }
}

/// The last line, once clients are served; `program` is how this one was called, so that the command can be copied.
#[must_use]
pub(super) fn ready(took: Duration, address: &str, program: &str) -> String {
    let at = match address {
        "127.0.0.1:9092" => String::new(),
        other => format!(" -b {other}"),
    };
    format!(
        "ready after {}. A first record:\n  echo hello | {program} produce greetings{at} && {program} consume greetings --from-beginning -n 1{at}\n",
        for_people(took)
    )
}

/// `1.23 ms`, `45 µs`, `2.5 s`.
#[must_use]
pub(super) fn for_people(time: Duration) -> String {
    let micros = time.as_micros();
    match micros {
        0..1_000 => format!("{micros} µs"),
        1_000..1_000_000 => format!("{}.{:02} ms", micros / 1_000, micros % 1_000 / 10),
        _ => format!(
            "{}.{:02} s",
            micros / 1_000_000,
            micros % 1_000_000 / 10_000
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_for_people() {
        for (micros, text) in [
            (999, "999 µs"),
            (1_234, "1.23 ms"),
            (999_999, "999.99 ms"),
            (2_500_000, "2.50 s"),
        ] {
            assert_eq!(for_people(Duration::from_micros(micros)), text);
        }
    }

    #[test]
    fn everything_is_on_the_screen() {
        let screen = Screen {
            node_id: 1,
            cluster_id: "VrTG-c28Qj2ZFzmW6S6MHg".into(),
            listeners: vec![("PLAINTEXT".into(), "0.0.0.0:9092".into(), "box:9092".into())],
            data: "/data".into(),
            is_new: true,
            cores: "1 shard (CPU 1) of 2 CPUs".into(),
            memory: "at most 546 MiB of 4096 MiB".into(),
            durability: Durability::Flushed,
            flush: Duration::from_micros(1500),
            flush_worst: Duration::from_micros(2500),
            warnings: vec!["too few files: ulimit -n 100000".into()],
            notices: Notices {
                no_effect: vec!["num.io.threads".into()],
                unknown: vec!["my.key".into()],
                removed: vec![("zookeeper.connect".into(), "there is no ZooKeeper")],
                others: vec![],
            },
        };
        let text = screen.text();
        for says in [
            env!("CARGO_PKG_VERSION"),
            "1 of cluster VrTG-c28Qj2ZFzmW6S6MHg",
            "PLAINTEXT on 0.0.0.0:9092, clients are told box:9092",
            "/data (new)",
            "1 shard (CPU 1) of 2 CPUs",
            "at most 546 MiB",
            "costs 1.50 ms",
            "ulimit -n 100000",
            "num.io.threads",
            "my.key",
            "zookeeper.connect",
        ] {
            assert!(text.contains(says), "{says}:\n{text}");
        }
        assert!(text.lines().count() < 24, "one screen");
    }
}
