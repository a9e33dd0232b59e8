//! Serving: the directory put in order, publications, what shards say, decisions and their answers.
//!
//! Invariants:
//! 1. One decision at a time is being committed; answers leave in the order of decisions, each when every shard has applied it.
//! 2. After a publication that takes names away nothing is decided until every shard has given them up and the checkpoints have
//!    forgotten them: a successor, wherever it is placed, finds its name free.

use super::{Answer, Asked, Ctl, Fatal, Phase};
use crate::effect::{DiskResult, Effect};
use crate::input::{CoreMsg, Effects};
use crate::metadata::CtlReply;
use crate::metadata::controller::{self, Controller};
use crate::types::limits::CTL_REQUESTS_MAX;
use crate::types::{CoreId, ErrorCode, Now, Offset, Token};

impl Ctl {
    /// Puts the log directory in order, with the epochs raised if the process before did not stop in an orderly way: what is
    /// appended from now on must carry new ones. Then serves.
    pub(super) fn settle(&mut self, now: Now, out: &mut Effects) -> Result<(), Fatal> {
        let Phase::Settling(adopted) = &mut self.phase else {
            return Ok(());
        };
        if self.stop_wanted {
            self.phase = Phase::Serving;
            return self.go_on(now, out);
        }
        if !self.directory.is_read() {
            return Ok(());
        }
        if !std::mem::replace(adopted, true) {
            let (image, mut notes) = (self.replay.image(), Vec::new());
            let incarnation = self.config.incarnation;
            let unclean = self.directory.adopt(now, image, incarnation, &mut notes);
            out.extend(notes.into_iter().map(Effect::Note));
            if unclean {
                let records = controller::bump_records(image, self.config.node_id);
                self.journal.append_chunks(now, &records)?;
            }
        }
        if self.journal.is_committing() || self.directory.is_untidy() {
            return Ok(());
        }
        self.phase = Phase::Serving;
        let state = self.directory.state();
        self.tell_shards(out, || CoreMsg::Directory(state.clone()));
        self.publish(now, out);
        self.go_on(now, out)
    }

    pub(super) fn on_directory(
        &mut self,
        now: Now,
        token: Token,
        result: DiskResult,
        out: &mut Effects,
    ) -> Result<(), Fatal> {
        let mut notes = Vec::new();
        let done = self.directory.on_disk(now, token, result, &mut notes);
        out.extend(notes.into_iter().map(Effect::Note));
        done?;
        self.write_directory(now, out);
        self.settle(now, out)?;
        self.mark_on(now)?;
        self.go_on(now, out)
    }

    /// Writes the checkpoints if it is time.
    pub(super) fn write_directory(&mut self, now: Now, out: &mut Effects) {
        self.directory.write(now, self.replay.image());
        let wake = self.directory.wake_at().map(|at| Effect::Wake { at });
        out.extend(wake);
    }

    pub(super) fn tell_shards(&self, out: &mut Effects, msg: impl Fn() -> CoreMsg) {
        let shards = self.config.shards.iter();
        out.extend(shards.map(|core| Effect::Mesh {
            core: *core,
            msg: msg(),
        }));
    }

    pub(super) fn publish(&mut self, now: Now, out: &mut Effects) {
        let (image, delta) = self.replay.take();
        if !delta.topics_removed.is_empty() {
            self.removal = image.offset;
            let gone = delta.topics_removed.iter().map(|(id, ..)| *id).collect();
            self.directory.forget(now, &gone, &image);
        }
        self.tell_shards(out, || CoreMsg::Publish {
            image: image.clone(),
            delta: delta.clone(),
            offset: image.offset,
        });
    }

    /// The least that every shard has applied.
    fn applied_everywhere(&self) -> Offset {
        let shards = self.config.shards.iter();
        shards
            .map(|core| self.applied.get(core).copied().unwrap_or(Offset::NONE))
            .min()
            .unwrap_or(Offset::NONE)
    }

    /// True while names that were given up may be in use somewhere: nobody is given a name meanwhile.
    fn is_removing(&self) -> bool {
        self.removal > self.applied_everywhere() || self.directory.is_untidy()
    }

    pub(super) fn on_message(
        &mut self,
        now: Now,
        from: CoreId,
        msg: CoreMsg,
        out: &mut Effects,
    ) -> Result<(), Fatal> {
        match msg {
            CoreMsg::Request { id, request } => {
                let asked = Asked {
                    core: from,
                    id,
                    request,
                };
                if self.queue.len() >= CTL_REQUESTS_MAX {
                    let code = ErrorCode::RequestTimedOut;
                    let reply = controller::refuse(&asked.request, code, "The request timed out.");
                    out.push(reply_to(&asked, reply));
                } else {
                    self.queue.push_back(asked);
                }
            }
            CoreMsg::Applied { offset } => {
                let before = self.applied.insert(from, offset);
                assert!(before <= Some(offset), "shards apply in order");
            }
            CoreMsg::Offsets(offsets) => {
                self.directory.learn(offsets, self.replay.image());
                self.write_directory(now, out);
            }
            CoreMsg::Connections { opened, closed } => {
                let answered = !opened.is_empty();
                let refused = self.admissions.count(opened, closed);
                if answered {
                    let msg = CoreMsg::Admitted { refused };
                    out.push(Effect::Mesh { core: from, msg });
                }
            }
            CoreMsg::Drained => self.on_drained(from, out),
            CoreMsg::Stopped { offsets, well } => self.on_shard_stopped(from, offsets, well),
            // Sent by ctl, or from shard to shard.
            CoreMsg::Reply { .. }
            | CoreMsg::Admitted { .. }
            | CoreMsg::Directory(_)
            | CoreMsg::Publish { .. }
            | CoreMsg::Stop
            | CoreMsg::Close
            | CoreMsg::Ask { .. }
            | CoreMsg::Answer { .. }
            | CoreMsg::Follow { .. }
            | CoreMsg::Ready { .. } => {}
        }
        self.go_on(now, out)
    }

    /// Does what can be done now: answers, the next decision, the stop.
    pub(super) fn go_on(&mut self, now: Now, out: &mut Effects) -> Result<(), Fatal> {
        if !matches!(
            self.phase,
            Phase::Serving | Phase::Draining(_) | Phase::Stopping(_)
        ) {
            return Ok(());
        }
        while !self.journal.is_committing()
            && !self.is_removing()
            && let Some(asked) = self.queue.pop_front()
        {
            self.decide(now, asked)?;
        }
        self.send_answers(out);
        self.stop_on(now, out)
    }

    fn decide(&mut self, now: Now, asked: Asked) -> Result<(), Fatal> {
        let controller = Controller {
            image: self.replay.image(),
            configs: &self.config.configs,
            node: self.config.node_id,
        };
        let decision = controller.handle(&asked.request, &mut self.ids);
        if decision.records.is_empty() {
            self.answer(&asked, decision.reply);
        } else if self.journal.try_append(now, decision.records)? {
            self.committing = Some((asked, decision.reply));
        } else {
            let message = "No space left for the metadata log.";
            let code = ErrorCode::KafkaStorageError;
            let reply = controller::refuse(&asked.request, code, message);
            self.answer(&asked, reply);
        }
        Ok(())
    }

    pub(super) fn answer(&mut self, asked: &Asked, reply: CtlReply) {
        self.answers.push_back(Answer {
            applied: self.replay.image().offset,
            core: asked.core,
            id: asked.id,
            reply,
        });
    }

    fn send_answers(&mut self, out: &mut Effects) {
        let mut everywhere = self.applied_everywhere();
        if self.is_removing() {
            everywhere = everywhere.min(Offset(self.removal.0 - 1));
        }
        while let Some(answer) = self.answers.pop_front_if(|a| a.applied <= everywhere) {
            out.push(Effect::Mesh {
                core: answer.core,
                msg: CoreMsg::Reply {
                    id: answer.id,
                    reply: answer.reply,
                },
            });
        }
    }
}

fn reply_to(asked: &Asked, reply: CtlReply) -> Effect<CoreMsg> {
    Effect::Mesh {
        core: asked.core,
        msg: CoreMsg::Reply {
            id: asked.id,
            reply,
        },
    }
}
