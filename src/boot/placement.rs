//! Which CPUs the shards run on, and which are left for their helpers.
//!
//! Invariants: 1. Two shards are never pinned to one CPU. 2. With more shards than CPUs, or a single CPU, nothing is pinned: the
//! kernel's scheduler knows better who waits.

use onrush_core::types::limits::SHARDS_MAX;

/// Where everything runs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Placement {
    /// CPUs that the process may use.
    pub(super) cpus: Vec<usize>,
    /// The CPU of each shard, `None` where it is not pinned. At least one.
    pub(super) shards: Vec<Option<usize>>,
    /// CPUs for helper threads and the kernel's workers; anywhere if empty.
    pub(super) helpers: Vec<usize>,
}

impl Placement {
    /// For a process that may use `cpus` (ascending; empty if the kernel does not say). One shard per CPU unless `wanted` says
    /// otherwise. With fewer shards than CPUs they get the last ones, since interrupts and other processes prefer the first.
    pub(super) fn plan(cpus: Vec<usize>, wanted: Option<usize>) -> Self {
        let count = wanted.unwrap_or(cpus.len()).clamp(1, SHARDS_MAX);
        let pinned = cpus.len() > 1 && count <= cpus.len();
        let (shards, rest) = if pinned {
            let (rest, own) = cpus.split_at(cpus.len() - count);
            (own.iter().copied().map(Some).collect(), rest.to_vec())
        } else {
            (vec![None; count], Vec::new())
        };
        Self {
            helpers: if rest.is_empty() { cpus.clone() } else { rest },
            shards,
            cpus,
        }
    }

    /// For people.
    pub(super) fn text(&self) -> String {
        let count = self.shards.len();
        let plural = |count: usize| if count == 1 { "" } else { "s" };
        let pinned: Vec<usize> = self.shards.iter().copied().flatten().collect();
        let pins = if pinned.is_empty() && count > self.cpus.len() {
            "not pinned: more shards than CPUs".to_owned()
        } else if pinned.is_empty() {
            "the only CPU".to_owned()
        } else {
            format!("CPU{} {}", plural(count), ranges(&pinned))
        };
        let cpus = self.cpus.len();
        format!(
            "{count} shard{} ({pins}) of {cpus} CPU{}",
            plural(count),
            plural(cpus)
        )
    }
}

/// `0-3, 6` for an ascending list.
fn ranges(numbers: &[usize]) -> String {
    let mut runs: Vec<(usize, usize)> = Vec::new();
    for number in numbers.iter().copied() {
        match runs.last_mut() {
            Some((_, last)) if *last + 1 == number => *last = number,
            _ => runs.push((number, number)),
        }
    }
    let texts: Vec<String> = runs
        .iter()
        .map(|(first, last)| {
            if first == last {
                first.to_string()
            } else {
                format!("{first}-{last}")
            }
        })
        .collect();
    texts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_are_placed_and_told() {
        let cases: &[(&[usize], Option<usize>, &str)] = &[
            (&[0, 1], None, "2 shards (CPUs 0-1) of 2 CPUs"),
            (&[0, 1], Some(1), "1 shard (CPU 1) of 2 CPUs"),
            (&[3], None, "1 shard (the only CPU) of 1 CPU"),
            (
                &[3],
                Some(2),
                "2 shards (not pinned: more shards than CPUs) of 1 CPU",
            ),
            (
                &[0, 2, 3, 4, 7],
                Some(4),
                "4 shards (CPUs 2-4, 7) of 5 CPUs",
            ),
            (
                &[0, 1],
                Some(5),
                "5 shards (not pinned: more shards than CPUs) of 2 CPUs",
            ),
        ];
        for (cpus, wanted, text) in cases {
            assert_eq!(Placement::plan(cpus.to_vec(), *wanted).text(), *text);
        }
    }

    #[test]
    fn helpers_keep_off_the_shards_where_they_can() {
        let helpers = |cpus: &[usize], wanted| Placement::plan(cpus.to_vec(), wanted).helpers;
        assert_eq!(helpers(&[0, 1, 2, 3], Some(3)), [0]);
        assert_eq!(helpers(&[0, 1], None), [0, 1]);
        assert_eq!(helpers(&[5], Some(3)), [5]);
        assert!(helpers(&[], None).is_empty());
    }

    #[test]
    fn there_are_never_more_than_the_bound() {
        let many: Vec<usize> = (0..192).collect();
        let placement = Placement::plan(many, None);
        assert_eq!(placement.shards.len(), SHARDS_MAX);
        assert_eq!(placement.shards[0], Some(64));
        assert_eq!(Placement::plan(Vec::new(), None).shards, [None]);
    }
}
