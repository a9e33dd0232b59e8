//! What breaks and when, and how a history comes to its end.
//!
//! Stages: clients work until they were answered often enough and everything planned has broken; they finish what they began; the
//! node is stopped or crashes once more; everything is read and judged.

use std::collections::BTreeSet;

use onrush_core::input::Input;

use super::{Event, World};
use crate::client::{Consumer, Member};
use crate::disk::Crash;
use crate::swarm::Fault;

/// A stage of a history takes less than this.
const STAGE_NS_MAX: u64 = 200_000_000_000;
/// A start or an orderly stop takes less than this.
const START_OR_STOP_NS_MAX: u64 = 100_000_000_000;
/// An error that was armed and met by nothing is given up, and the process with it, after this.
const ARMED_NS_MAX: u64 = 3_000_000_000;
/// Requests answered while a fault is under way, before clients wait for it.
const OVERTAKE_MAX: u64 = 150;
/// Starts broken off one after the other, at most.
const BROKEN_STARTS_MAX: u32 = 4;

/// How far the history is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Work,
    Drain,
    LastStop,
    Verify,
    Done,
}

/// What is to come.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) phase: Stage,
    /// Still to come, the next one last.
    left: Vec<(u64, Fault)>,
    /// Under way: nothing else breaks on purpose before the process is new.
    under_way: bool,
    /// Requests answered when it began.
    begun_at: u64,
    /// The process goes after so many more disk operations.
    crash_after_ops: Option<(u64, Crash)>,
    broken_in_a_row: u32,
    /// Disk errors when the fault under way was armed.
    armed_at: Option<u64>,
    pub(super) faults: u64,
    pub(super) broken_starts: u64,
    stage: u32,
}

impl Plan {
    pub(super) fn new(mut faults: Vec<(u64, Fault)>) -> Self {
        faults.reverse();
        Self {
            phase: Stage::Work,
            left: faults,
            under_way: false,
            begun_at: 0,
            crash_after_ops: None,
            broken_in_a_row: 0,
            armed_at: None,
            faults: 0,
            broken_starts: 0,
            stage: 1,
        }
    }
}

impl Plan {
    /// Many more requests were answered since the fault under way began than it should take to bite.
    pub(super) fn is_overtaken(&self, answered: u64) -> bool {
        self.under_way && answered > self.begun_at + OVERTAKE_MAX
    }
}

impl World {
    pub(super) fn is_working(&self) -> bool {
        self.plan.phase == Stage::Work
    }

    fn is_ready(&self) -> bool {
        self.process.as_ref().is_some_and(super::Process::is_ready)
    }

    /// A new process began: it may not live to be ready.
    pub(super) fn plan_start(&mut self) {
        let percent = self.swarm.crash_in_recovery_percent;
        if self.plan.phase == Stage::Work
            && self.life > 1
            && self.plan.broken_in_a_row < BROKEN_STARTS_MAX
            && self.rng.percent(percent)
        {
            let crash = self.draw_crash();
            self.plan.crash_after_ops = Some((self.rng.between(1, 60), crash));
        }
    }

    /// The process is gone.
    pub(super) fn plan_end(&mut self, broken: bool) {
        if broken {
            self.plan.faults += 1;
        }
        if self.plan.crash_after_ops.take().is_some() {
            self.plan.broken_in_a_row += 1;
        }
        self.plan.under_way = false;
        self.plan.armed_at = None;
        if self.plan.phase == Stage::LastStop {
            self.begin_verify();
        }
    }

    fn draw_crash(&mut self) -> Crash {
        if self.rng.one_in(2) {
            Crash::Kill
        } else {
            Crash::Power
        }
    }

    pub(super) fn count_disk_op(&mut self) {
        let Some((left, crash)) = &mut self.plan.crash_after_ops else {
            return;
        };
        *left -= 1;
        if *left == 0 {
            let crash = *crash;
            self.plan.crash_after_ops = None;
            if !self.is_ready() {
                self.plan.broken_starts += 1;
                self.plan.broken_in_a_row += 1;
            }
            self.crash(crash);
        }
    }

    /// Looks whether something is due; called after every event.
    pub(super) fn advance(&mut self) {
        if !self.is_ready() {
            return;
        }
        self.plan.broken_in_a_row = 0;
        self.watch_armed_fault();
        match self.plan.phase {
            Stage::Work => {
                if self.plan.under_way {
                    return;
                }
                match self.plan.left.last() {
                    Some(&(after, fault)) if self.answered >= after => {
                        self.plan.left.pop();
                        self.begin_fault(fault);
                    }
                    None if self.answered >= self.swarm.operations => self.begin_drain(),
                    _ => {}
                }
            }
            Stage::Drain => {
                if self.seats.iter().all(|s| s.client.is_idle()) && !self.ledger.is_unsure() {
                    self.begin_last_stop();
                }
            }
            Stage::Verify => {
                if self.seats.iter().all(|s| s.client.is_idle()) {
                    self.plan.phase = Stage::Done;
                }
            }
            Stage::LastStop | Stage::Done => {}
        }
    }

    fn begin_fault(&mut self, fault: Fault) {
        self.trace.add(self.now, format_args!("fault {fault:?}"));
        self.plan.under_way = true;
        self.plan.begun_at = self.answered;
        match fault {
            Fault::Crash(crash) => {
                self.plan.crash_after_ops = Some((self.rng.between(1, 30), crash));
                self.end_at_last(crash, 200_000_000);
            }
            Fault::Restart => {
                self.expect_end(false);
                if self.rng.one_in(3) {
                    let crash = self.draw_crash();
                    self.plan.crash_after_ops = Some((self.rng.between(1, 40), crash));
                }
                self.step(0, Input::Stop);
            }
            Fault::FailFlush | Fault::FailWrite => {
                if fault == Fault::FailFlush {
                    self.disk.faults.fail_flushes = 1;
                } else {
                    self.disk.faults.fail_writes = 1;
                }
                self.plan.armed_at = Some(self.disk_faults());
                let crash = self.draw_crash();
                self.end_at_last(crash, ARMED_NS_MAX);
            }
            Fault::Full => {
                self.disk.faults.full = true;
                self.plan.faults += 1;
                let life = self.life;
                let after = self.rng.between(1_000_000, 2_000_000_000);
                self.at(after, Event::Space { life });
                // A full disk alone ends nothing; the plan goes on.
                self.plan.under_way = false;
            }
        }
    }

    /// Once an armed error has happened the process goes soon, by itself or by its operator.
    fn watch_armed_fault(&mut self) {
        if let Some(before) = self.plan.armed_at
            && self.disk_faults() > before
        {
            self.plan.armed_at = None;
            self.plan.faults += 1;
            let crash = self.draw_crash();
            let after = self.rng.between(1_000_000, 400_000_000);
            self.end_at_last(crash, after);
        }
    }

    fn end_at_last(&mut self, crash: Crash, after: u64) {
        let life = self.life;
        self.at(after, Event::Crash { life, crash });
    }

    fn begin_drain(&mut self) {
        self.trace.add(self.now, format_args!("drain"));
        self.plan.phase = Stage::Drain;
        self.disk.faults = crate::disk::Faults::default();
        self.next_deadline();
        if self.process.as_ref().is_some_and(|p| p.wounded) {
            self.expect_end(false);
            self.step(0, Input::Stop);
        }
    }

    /// The stage that begins must end in time.
    pub(super) fn next_deadline(&mut self) {
        self.plan.stage += 1;
        let stage = self.plan.stage;
        self.at(STAGE_NS_MAX, Event::Deadline { stage });
    }

    fn begin_last_stop(&mut self) {
        self.trace.add(self.now, format_args!("last stop"));
        self.plan.phase = Stage::LastStop;
        self.next_deadline();
        match self.rng.below(3) {
            0 => {
                self.expect_end(false);
                self.step(0, Input::Stop);
            }
            1 => self.crash(Crash::Kill),
            _ => self.crash(Crash::Power),
        }
    }

    fn begin_verify(&mut self) {
        self.plan.phase = Stage::Verify;
        self.next_deadline();
        let places = self.ledger.live_places();
        self.seat(Box::new(Consumer::verifier(&places)), false);
        let groups = self.swarm.members.iter().map(|habits| habits.group);
        for group in groups.collect::<BTreeSet<_>>() {
            self.seat(Box::new(Member::verifier(group)), false);
        }
    }

    /// From now on the start or the orderly stop of the process must come to its end.
    pub(super) fn expect_end(&mut self, starting: bool) {
        let life = self.life;
        self.at(START_OR_STOP_NS_MAX, Event::Overdue { life, starting });
    }

    pub(super) fn on_overdue(&mut self, starting: bool) {
        let over = self.process.is_none() || (starting && self.is_ready());
        if !over {
            let what = if starting { "start" } else { "stop" };
            self.fail(format!("a {what} does not come to its end"));
        }
    }

    pub(super) fn on_deadline(&mut self, stage: u32) {
        if stage == self.plan.stage {
            let busy: Vec<usize> = (0..self.seats.len())
                .filter(|&s| !self.seats[s].client.is_idle())
                .collect();
            let stage = self.plan.phase;
            self.fail(format!("{stage:?} does not end: clients {busy:?} wait"));
        }
    }
}
