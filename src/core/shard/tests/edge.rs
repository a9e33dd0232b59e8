//! What stands around the shard in a script: it delivers inputs and carries effects out, in order.

use super::replies;
use super::script::Script;
use crate::ask::Answer;
use crate::effect::{DiskError, DiskOp, Effect, Note, Part};
use crate::input::{CoreMsg, Effects, Input};
use crate::metadata::CtlRequest;
use crate::types::{ConnId, CoreId, Millis, Monotonic};

impl Script {
    /// Runs until nothing more happens by itself.
    pub(super) fn settle(&mut self) {
        loop {
            if let Some(input) = self.inbox.pop_front() {
                self.step(input);
                continue;
            }
            let held = &self.held;
            let place = (self.disk.in_flight.iter())
                .position(|one| !held.contains("all") && !held.contains(kind(&one.op)));
            let ready = (self.clients.values_mut())
                .find(|client| client.credit && !client.frames.is_empty());
            if let Some(place) = place {
                self.complete(place);
            } else if let Some(client) = ready {
                client.credit = false;
                let (conn, frame) = (client.id, client.frames.pop_front());
                let frame = frame.expect("just looked");
                self.step(Input::Frame { conn, frame });
            } else if !self.held.contains("again")
                && let Some(work) = self.again.pop_front()
            {
                self.step(Input::Again { work });
            } else {
                return;
            }
        }
    }

    pub(super) fn complete(&mut self, place: usize) {
        let (token, result) = self.disk.complete(place);
        self.step(Input::Disk { token, result });
    }

    pub(super) fn fail(&mut self) {
        let error = DiskError::Io("EIO".to_string());
        let (token, result) = self.disk.fail(0, error);
        self.step(Input::Disk { token, result });
    }

    pub(super) fn wait(&mut self, millis: u64) {
        let until = self.now.mono.after(Millis(millis));
        while let Some(at) = self.wake.filter(|at| *at <= until) {
            self.wake = None;
            self.pass(at.max(self.now.mono));
            self.step(Input::Tick);
            self.settle();
        }
        self.pass(until);
    }

    fn pass(&mut self, to: Monotonic) {
        let millis = to.since(self.now.mono).0;
        self.now.wall.0 += i64::try_from(millis).expect("short");
        self.now.mono = to;
    }

    /// One step of the machine and all its effects.
    pub(super) fn step(&mut self, input: Input) {
        let mut out = Effects::new();
        self.shard.step(self.now, input, &mut out);
        for effect in out {
            self.effect(effect);
        }
    }

    fn effect(&mut self, effect: Effect<CoreMsg>) {
        match effect {
            Effect::Disk { op, token } => {
                if self.shown.contains("disk")
                    && let Some(text) = named(&op)
                {
                    self.told.push(text);
                }
                self.disk.submit(op, token);
            }
            Effect::Send { conn, gather } => {
                let parts: Vec<_> = gather.parts.iter().collect();
                let parts = parts.iter().map(|part| self.disk.bytes_of(part)).collect();
                self.sent(conn, parts);
            }
            Effect::ReadNext { conn } => {
                if let Some((_, client)) = self.client_of(conn) {
                    assert!(!client.credit, "one credit at a time");
                    client.credit = true;
                }
            }
            Effect::Close { conn, why } => {
                if let Some((name, _)) = self.client_of(conn) {
                    self.told.push(format!("{name} closed: {why}"));
                    self.clients.remove(&name);
                    self.inbox.push_back(Input::Closed { conn });
                }
            }
            Effect::Mesh {
                core: CoreId(0),
                msg,
            } => self.on_message(msg),
            Effect::Mesh { core, msg } => {
                let msg = self.lend(msg);
                self.outbox.push((core, msg));
            }
            Effect::Wake { at } => self.wake = Some(at),
            Effect::Again { work } => self.again.push_back(work),
            Effect::Note(Note::Ready) => self.told.push("ready".to_string()),
            Effect::Note(Note::Info(_)) => {}
            Effect::Note(Note::Warn(text) | Note::Error(text)) => {
                self.told.push(format!("note: {text}"));
            }
            Effect::Halt(why) => self.told.push(format!("halt: {why}")),
            Effect::Stopped => self.told.push("stopped".to_string()),
        }
    }

    /// Bytes of this shard's files travel as bytes.
    fn lend(&self, mut msg: CoreMsg) -> CoreMsg {
        if let CoreMsg::Answer {
            answer: Answer::Fetched(all),
            ..
        } = &mut msg
        {
            for part in all.iter_mut().flat_map(|one| &mut one.records) {
                *part = Part::Head(self.disk.bytes_of(part).0.into());
            }
        }
        msg
    }

    fn on_message(&mut self, msg: CoreMsg) {
        match &msg {
            CoreMsg::Offsets(offsets) => self.directory.offsets.extend(offsets.iter().copied()),
            CoreMsg::Drained => {
                let (from, msg) = (CoreId(0), CoreMsg::Close);
                self.inbox.push_back(Input::Mesh { from, msg });
            }
            CoreMsg::Stopped { offsets, well } => {
                self.directory.offsets.extend(offsets.iter().copied());
                self.directory.clean = *well;
            }
            _ => {}
        }
        if !self.shown.contains("ctl") {
            return;
        }
        self.told.push(match msg {
            CoreMsg::Applied { offset } => format!("applied {offset}"),
            CoreMsg::Drained => "drained".to_string(),
            CoreMsg::Offsets(offsets) => format!("offsets of {}", offsets.len()),
            CoreMsg::Request {
                request: CtlRequest::CreateTopics { topics, .. },
                ..
            } => {
                let topics = topics.iter();
                let topics =
                    topics.map(|t| format!("topic {} of {} partitions", t.name, t.partitions));
                format!("asks {}", topics.collect::<Vec<_>>().join(", "))
            }
            CoreMsg::Request { request, .. } => format!("asks {request:?}"),
            CoreMsg::Stopped { well: true, .. } => "closed well".to_string(),
            CoreMsg::Stopped { .. } => "closed, not well".to_string(),
            other => format!("{other:?}"),
        });
    }

    fn sent(&mut self, conn: ConnId, parts: Vec<(Vec<u8>, bool)>) {
        let Some((name, client)) = self.client_of(conn) else {
            return;
        };
        let due = client.due.pop_front().expect("only requests are answered");
        client.untaken += usize::from(client.deaf);
        let deaf = client.deaf;
        let from_file = parts.iter().any(|(_, from_file)| *from_file);
        let frame: Vec<u8> = parts.into_iter().flat_map(|(bytes, _)| bytes).collect();
        let texts = replies::render(&due, frame.into(), from_file);
        // Member ids look random: a script knows them by their connections.
        let mut words = texts.iter().flat_map(|text| text.split(' '));
        let told = ["error 79", "joined"]
            .iter()
            .any(|how| texts.iter().any(|t| t.contains(how)));
        let id = words.find(|word| word.starts_with("test-"));
        if let Some(id) = id.filter(|_| told) {
            self.members.insert(name, id.to_owned());
        }
        let members = self.members.clone();
        let texts = texts.into_iter().map(|text| {
            let known = members.iter();
            let text = known.fold(text, |text, (member, id)| {
                text.replace(id, &format!("%{member}"))
            });
            format!("{name} {text}")
        });
        self.told.extend(texts);
        if !deaf {
            self.inbox.push_back(Input::Sent { conn });
        }
    }
}

/// What `hold` calls an operation.
fn kind(op: &DiskOp) -> &'static str {
    match op {
        DiskOp::WriteTail { .. } => "write",
        DiskOp::Read { .. } => "read",
        DiskOp::Open { .. } => "open",
        DiskOp::Reserve { .. } => "reserve",
        DiskOp::Flush { .. } => "flush",
        DiskOp::Truncate { .. } => "truncate",
        DiskOp::Rename { .. } => "rename",
        DiskOp::Remove { .. } => "remove",
        DiskOp::WriteFile { .. } => "file",
        _ => "other",
    }
}

/// Operations on names, for `show disk`.
fn named(op: &DiskOp) -> Option<String> {
    Some(match op {
        DiskOp::Remove { path } => format!("remove {path}"),
        DiskOp::Rename { from, to } => format!("rename {from} {to}"),
        DiskOp::WriteFile { path, .. } => format!("put {path}"),
        DiskOp::MakeDir { path } => format!("mkdir {path}"),
        _ => return None,
    })
}
