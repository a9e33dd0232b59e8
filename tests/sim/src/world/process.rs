//! A process of the node: its machines are stepped and their effects carried out, as the edge would.

use std::collections::BTreeSet;

use onrush_core::effect::{DiskOp, Effect, Note};
use onrush_core::input::{CoreMsg, Effects, Input};
use onrush_core::types::{Monotonic, Now, Token, WallMillis};

use super::{BEGINNING_MS, Event, Process, World};
use crate::disk::Crash;
use crate::trace::{describe, describe_result};

impl Process {
    /// Every shard is ready: clients are let in.
    pub(super) fn is_ready(&self) -> bool {
        self.ready.len() + 1 == self.machines.len()
    }

    pub(super) fn shards(&self) -> usize {
        self.machines.len() - 1
    }
}

impl World {
    pub(super) fn start(&mut self) {
        if self.process.is_some() {
            return;
        }
        let mut incarnation = [0; 16];
        for half in incarnation.chunks_exact_mut(8) {
            half.copy_from_slice(&self.rng.bits().to_be_bytes());
        }
        // A topic id that prints with a leading dash is one that Kafka never draws.
        incarnation[0] &= 0x7f;
        let shards = *self.rng.pick(&self.swarm.shards);
        let machines = (self.boot)(incarnation, shards);
        let cores = machines.len();
        let mesh = self.new_mesh();
        self.process = Some(Process {
            machines,
            born: self.now,
            ready: BTreeSet::new(),
            stopped: vec![false; cores],
            wake: vec![None; cores],
            mesh,
            disk_faults: self.disk_faults(),
            cache_lost: false,
            wounded: false,
        });
        self.trace.add(
            self.now,
            format_args!("start {} of {cores} cores", self.life),
        );
        self.plan_start();
        self.expect_end(true);
        for core in 0..cores {
            self.step(core, Input::Start);
        }
    }

    pub(super) fn disk_faults(&self) -> u64 {
        self.disk.counts.io_errors + self.disk.counts.no_space
    }

    /// The time as the process knows it.
    fn process_now(&self) -> Now {
        let born = self.process.as_ref().map_or(0, |p| p.born);
        Now {
            mono: Monotonic(self.now - born),
            wall: WallMillis(self.wall()),
        }
    }

    pub(super) fn wall(&self) -> i64 {
        i64::try_from(BEGINNING_MS + self.now / 1_000_000).expect("before the end of time")
    }

    /// Steps a machine, if the process lives, and carries out what it wants.
    pub(super) fn step(&mut self, core: usize, input: Input) {
        let now = self.process_now();
        let Some(process) = &mut self.process else {
            return;
        };
        if process.stopped[core] {
            return;
        }
        let mut effects = Effects::new();
        process.machines[core].step(now, input, &mut effects);
        for effect in effects {
            if self.process.is_none() {
                // It died after the effect before.
                return;
            }
            self.carry_out(core, effect);
        }
    }

    fn carry_out(&mut self, core: usize, effect: Effect<CoreMsg>) {
        match effect {
            Effect::Disk { op, token } => self.submit(core, op, token),
            Effect::Send { conn, gather } => self.send(core, conn, &gather),
            Effect::ReadNext { conn } => self.credit(conn),
            Effect::Close { conn, why } => {
                self.trace
                    .add(self.now, format_args!("close {conn}: {why}"));
                self.close(conn);
            }
            Effect::Mesh { core: to, msg } => self.send_mesh(core, to, msg),
            Effect::Wake { at } => self.set_wake(core, at),
            Effect::Again { work } => {
                let life = self.life;
                let after = self.rng.between(1, 20_000);
                self.at(after, Event::Again { life, core, work });
            }
            Effect::Note(note) => self.on_note(core, &note),
            Effect::Halt(why) => self.on_halt(&why),
            Effect::Stopped => self.on_stopped(core),
        }
    }

    fn submit(&mut self, core: usize, op: DiskOp, token: Token) {
        self.trace.add(
            self.now,
            format_args!("core {core} {token:?} {}", describe(&op)),
        );
        let number = self
            .disk
            .submit(u16::try_from(core).expect("few cores"), op, token);
        if let Some(number) = number {
            let (typical, largest) = self.swarm.disk_us;
            let us = if self.rng.one_in(20) {
                largest
            } else {
                typical
            };
            let after = self.rng.between(1_000, us * 1_000);
            let life = self.life;
            self.at(after, Event::Disk { life, number });
            self.count_disk_op();
        }
    }

    pub(super) fn on_disk(&mut self, number: u64) {
        let flush_errors = self.disk.faults.fail_flushes;
        let (core, token, result) = self.disk.complete(number);
        if self.disk.faults.fail_flushes < flush_errors
            && let Some(process) = &mut self.process
        {
            process.cache_lost = true;
        }
        self.trace.add(
            self.now,
            format_args!("core {core} {token:?} -> {}", describe_result(&result)),
        );
        self.step(usize::from(core), Input::Disk { token, result });
    }

    fn set_wake(&mut self, core: usize, at: Monotonic) {
        let process = self.process.as_mut().expect("it just stepped");
        let at = process.born + at.0;
        if process.wake[core].is_some_and(|before| before <= at) {
            return;
        }
        process.wake[core] = Some(at);
        let life = self.life;
        let late = self.rng.below(50_000);
        let time = at.max(self.now) + late;
        self.at_time(time, Event::Wake { life, core, at });
    }

    pub(super) fn on_wake(&mut self, core: usize, at: u64) {
        let process = self.process.as_mut().expect("its life lasts");
        if process.wake[core] == Some(at) {
            process.wake[core] = None;
            self.trace.add(self.now, format_args!("core {core} tick"));
            self.step(core, Input::Tick);
        }
    }

    fn on_note(&mut self, core: usize, note: &Note) {
        self.trace.add(self.now, format_args!("{note:?}"));
        let process = self.process.as_mut().expect("it just stepped");
        match note {
            Note::Ready => {
                process.ready.insert(core);
            }
            Note::Error(_) => process.wounded = true,
            Note::Info(_) | Note::Warn(_) => {}
        }
    }

    fn on_halt(&mut self, why: &str) {
        self.trace.add(self.now, format_args!("halt: {why}"));
        let process = self.process.as_ref().expect("it just stepped");
        if process.disk_faults == self.disk_faults() {
            self.fail(format!("the node halted on a healthy disk: {why}"));
        }
        let crash = if self.rng.one_in(2) {
            Crash::Kill
        } else {
            Crash::Power
        };
        self.crash(crash);
    }

    fn on_stopped(&mut self, core: usize) {
        let process = self.process.as_mut().expect("it just stepped");
        process.stopped[core] = true;
        let all = process.stopped.iter().all(|stopped| *stopped);
        self.trace
            .add(self.now, format_args!("core {core} stopped"));
        if all {
            // What an orderly stop leaves must survive a power cut at once.
            let crash = if self.rng.one_in(2) {
                Crash::Kill
            } else {
                Crash::Power
            };
            self.end_process(crash, false);
        }
    }

    /// The process goes.
    pub(super) fn crash(&mut self, crash: Crash) {
        if self.process.is_some() {
            self.end_process(crash, true);
        }
    }

    fn end_process(&mut self, crash: Crash, broken: bool) {
        self.trace.add(self.now, format_args!("{crash:?}"));
        let process = self.process.take();
        let cache_lost = process.is_some_and(|p| p.cache_lost);
        self.life += 1;
        self.disk.crash(crash);
        self.deliver_last_words();
        self.ledger.groups.on_end_of_process();
        // A drive that fails a flush has lost what it held, too.
        if (crash == Crash::Power && broken) || cache_lost {
            self.ledger.on_power_cut();
        }
        self.connections.clear();
        for seat in 0..self.seats.len() {
            self.lose(seat);
        }
        self.plan_end(broken);
        let after = self.rng.between(1_000_000, 50_000_000);
        self.at(after, Event::Start);
    }
}
