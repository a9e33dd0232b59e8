//! What members of consumer groups were told, and whether it stays true.
//!
//! Invariants checked, by what members see alone:
//! 1. Generations never go back: once an assignment was told in one, no member joins an older one, also after crashes.
//! 2. No two generations own partitions: a commit sent after an assignment of a newer generation was told is refused.
//! 3. Within a generation a partition is told to one member.
//! 4. An offset whose commit was acknowledged is what is fetched later, unless a later commit took its place.
//!
//! A commit without a certain answer may have happened until the process it was sent to is gone.

use std::collections::BTreeMap;

/// A group, by its number.
pub type GroupNumber = usize;
/// A partition of a group, by the group's number and its own.
type Slot = (GroupNumber, i32);

/// A commit as it was sent.
#[derive(Clone, Copy, Debug)]
struct Commit {
    offset: i64,
    sent: u64,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Nothing certain came back.
    Open,
    /// It did not happen.
    Refused,
    /// It happened, or can happen no more, at this time.
    Over { acked: bool, at: u64 },
}

/// All groups.
#[derive(Debug, Default)]
pub struct Groups {
    /// Counts what happens, instead of a clock.
    time: u64,
    /// The newest generation in which an assignment was told.
    generations: BTreeMap<GroupNumber, i32>,
    /// Who was told a partition in a generation.
    owners: BTreeMap<(GroupNumber, i32, i32), String>,
    commits: BTreeMap<Slot, Vec<Commit>>,
    offset_next: i64,
    /// Commits acknowledged.
    pub committed: u64,
    /// Assignments told.
    pub assigned: u64,
}

impl Groups {
    fn tick(&mut self) -> u64 {
        self.time += 1;
        self.time
    }

    /// The newest generation in which an assignment was told, -1 for none.
    #[must_use]
    pub fn generation(&self, group: GroupNumber) -> i32 {
        self.generations.get(&group).copied().unwrap_or(-1)
    }

    /// A member joined; `known` is the newest generation when it asked to.
    pub fn on_joined(&self, group: GroupNumber, generation: i32, known: i32) -> Result<(), String> {
        if generation < known {
            return Err(format!(
                "group {group}: generation {generation} after {known}"
            ));
        }
        Ok(())
    }

    /// A member was told what it owns.
    pub fn on_assigned(
        &mut self,
        group: GroupNumber,
        generation: i32,
        member: &str,
        partitions: &[u8],
    ) -> Result<(), String> {
        self.assigned += 1;
        let newest = self.generations.entry(group).or_insert(generation);
        *newest = generation.max(*newest);
        for partition in partitions {
            let key = (group, generation, i32::from(*partition));
            let owner = self.owners.entry(key).or_insert_with(|| member.to_owned());
            if owner != member {
                return Err(format!(
                    "group {group}: {owner} and {member} own {partition} in {generation}"
                ));
            }
        }
        Ok(())
    }

    /// A member is about to commit: the offset that is its own, and what names the commit.
    pub fn begin_commit(&mut self, slot: Slot) -> (i64, usize) {
        self.offset_next += 1;
        let commit = Commit {
            offset: self.offset_next,
            sent: self.tick(),
            state: State::Open,
        };
        let list = self.commits.entry(slot).or_default();
        list.push(commit);
        (commit.offset, list.len() - 1)
    }

    /// A commit was acknowledged; `newest` is the newest generation when it was sent.
    pub fn on_committed(
        &mut self,
        slot: Slot,
        commit: usize,
        generation: i32,
        newest: i32,
    ) -> Result<(), String> {
        let at = self.tick();
        self.committed += 1;
        self.commits.entry(slot).or_default()[commit].state = State::Over { acked: true, at };
        if generation < newest {
            return Err(format!(
                "group {}: a commit of generation {generation} was accepted while {newest} owns partition {}",
                slot.0, slot.1
            ));
        }
        Ok(())
    }

    /// A commit surely did not happen.
    pub fn on_refused(&mut self, slot: Slot, commit: usize) {
        self.commits.entry(slot).or_default()[commit].state = State::Refused;
    }

    /// The process is gone: what it did not say it did can happen no more.
    pub fn on_end_of_process(&mut self) {
        let at = self.tick();
        for commit in self.commits.values_mut().flatten() {
            if commit.state == State::Open {
                commit.state = State::Over { acked: false, at };
            }
        }
    }

    /// A member is about to ask for offsets.
    pub fn begin_fetch(&mut self) -> u64 {
        self.tick()
    }

    /// What it was told.
    pub fn on_fetched(&mut self, slot: Slot, asked: u64, offset: i64) -> Result<(), String> {
        let none = Vec::new();
        let commits = self.commits.get(&slot).unwrap_or(&none);
        // The youngest one that surely was there when the question was asked, and everything that began after it had ended.
        let mut safe = commits
            .iter()
            .filter(|c| matches!(c.state, State::Over { acked: true, at } if at < asked));
        let told = commits.iter().find(|c| c.offset == offset);
        let wrong = match told {
            None => offset != -1 || safe.clone().next().is_some(),
            Some(told) => match told.state {
                State::Refused => true,
                State::Open => false,
                State::Over { at, .. } => safe.clone().any(|other| other.sent > at),
            },
        };
        if wrong {
            let last = safe.next_back();
            return Err(format!(
                "group {}, partition {}: offset {offset} ({told:?}) is told where {last:?} was acknowledged",
                slot.0, slot.1
            ));
        }
        Ok(())
    }
}
