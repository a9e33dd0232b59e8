//! From queued frames to the socket: memory by send, files by splice.

use std::io;

use onrush_core::effect::Note;
use onrush_core::input::Input;
use onrush_core::types::ConnId;

use super::conn::{Life, Sending};
use super::outbound::Next;
use super::{Cx, Net, NetOp, is_transient};
use crate::io::ring::{Done, Keep};
use crate::io::splice::{Pipe, is_resident};

/// Bytes of files spliced for one connection before others have their turn.
const SPLICE_BYTES_PER_TURN: usize = 1 << 20;

impl Net {
    pub(super) fn on_sent<T: From<NetOp> + Clone>(
        &mut self,
        id: ConnId,
        done: Done<T>,
        cx: &mut Cx<'_, T>,
    ) {
        let Some(conn) = self.table.get(id) else {
            return;
        };
        if let Some(mut vectors) = done.lent.into_vectors() {
            vectors.clear();
            conn.vectors = vectors;
        }
        conn.sending = Sending::Idle;
        if !self.op_ended(id) {
            return;
        }
        match done.result {
            Ok(bytes) => {
                self.account_sent(id, u64::from(bytes), cx);
                self.write_on(id, cx);
            }
            Err(error) if is_transient(&error) => self.write_on(id, cx),
            Err(_) => self.kill(id, cx),
        }
    }

    pub(super) fn on_filled<T: From<NetOp> + Clone>(
        &mut self,
        id: ConnId,
        result: &io::Result<u32>,
        cx: &mut Cx<'_, T>,
    ) {
        let Some(conn) = self.table.get(id) else {
            return;
        };
        if let Sending::Filling(mut pipe) = std::mem::replace(&mut conn.sending, Sending::Idle) {
            pipe.filled(result.as_ref().map_or(0, |bytes| *bytes as usize));
            conn.sending = Sending::Blocked(pipe);
        }
        if !self.op_ended(id) {
            return;
        }
        match result {
            Ok(bytes) if *bytes > 0 => self.write_on(id, cx),
            Err(error) if is_transient(error) => self.write_on(id, cx),
            result => self.lost_file(id, result.as_ref().err(), cx),
        }
    }

    /// A range that a response names cannot be read: the peer must not get half a frame as if it were whole.
    fn lost_file<T: From<NetOp> + Clone>(
        &mut self,
        id: ConnId,
        error: Option<&io::Error>,
        cx: &mut Cx<'_, T>,
    ) {
        let why = error.map_or_else(|| String::from("the file ends"), ToString::to_string);
        cx.notes.push(Note::Error(format!(
            "a log file could not be read for a response: {why}"
        )));
        self.kill(id, cx);
    }

    pub(super) fn write_on<T: From<NetOp> + Clone>(&mut self, id: ConnId, cx: &mut Cx<'_, T>) {
        let mut spliced = 0;
        loop {
            let Some(conn) = self.table.get(id).filter(|c| c.life != Life::Dead) else {
                return;
            };
            if conn.polling {
                return;
            }
            match std::mem::replace(&mut conn.sending, Sending::Idle) {
                Sending::Idle => {}
                Sending::Blocked(pipe) if pipe.held() == 0 => self.pipes.give_back(pipe),
                Sending::Blocked(mut pipe) => {
                    let moved = pipe.drain(&conn.socket, false);
                    conn.sending = Sending::Blocked(pipe);
                    match moved {
                        Ok(bytes) => {
                            spliced += bytes;
                            self.account_sent(id, bytes as u64, cx);
                        }
                        Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                            if self.pipes.is_crowded()
                                && let Sending::Blocked(pipe) =
                                    std::mem::replace(&mut conn.sending, Sending::Idle)
                            {
                                // Its pages are dropped; the range is spliced again when there is room.
                                self.pipes.give_back(pipe);
                            }
                            conn.ops += 1;
                            conn.polling = true;
                            let socket = conn.socket.clone();
                            cx.ring.poll_writable(socket, NetOp::Writable(id).into());
                            return;
                        }
                        Err(_) => {
                            self.kill(id, cx);
                            return;
                        }
                    }
                    continue;
                }
                busy @ (Sending::Memory | Sending::Filling(_)) => {
                    conn.sending = busy;
                    return;
                }
            }
            if spliced >= SPLICE_BYTES_PER_TURN {
                self.make_runnable(id);
                return;
            }
            if !self.begin_next(id, cx) {
                return;
            }
        }
    }

    /// Begins with the next part. True if a pipe was filled and is to be drained at once.
    fn begin_next<T: From<NetOp> + Clone>(&mut self, id: ConnId, cx: &mut Cx<'_, T>) -> bool {
        let Some(conn) = self.table.get(id) else {
            return false;
        };
        match conn.outbound.next(&mut conn.vectors) {
            Next::Nothing => {
                if conn.life == Life::Flushing {
                    self.kill(id, cx);
                }
                false
            }
            Next::Memory { more } => {
                conn.sending = Sending::Memory;
                conn.ops += 1;
                let vectors = std::mem::take(&mut conn.vectors);
                let socket = conn.socket.clone();
                cx.ring.send(socket, vectors, more, NetOp::Send(id).into());
                false
            }
            Next::File {
                file,
                position,
                bytes,
            } => {
                let pipe = match self.pipes.take() {
                    Ok(pipe) => pipe,
                    Err(error) => {
                        cx.notes
                            .push(Note::Error(format!("no pipe for a response: {error}")));
                        self.kill(id, cx);
                        return false;
                    }
                };
                self.fill(id, pipe, &file, position, bytes, cx)
            }
        }
    }

    fn fill<T: From<NetOp> + Clone>(
        &mut self,
        id: ConnId,
        mut pipe: Pipe,
        file: &Keep,
        position: u64,
        bytes: u64,
        cx: &mut Cx<'_, T>,
    ) -> bool {
        let Some(conn) = self.table.get(id) else {
            return false;
        };
        // A range that begins inside a page needs one page more than its length says.
        let room = pipe.capacity() - usize::try_from(position % 4096).unwrap_or(0);
        let count = usize::try_from(bytes).unwrap_or(usize::MAX).min(room);
        if is_resident(file, position, count as u64) {
            let filled = pipe.fill(file, position, count);
            conn.sending = Sending::Blocked(pipe);
            return match filled {
                Ok(moved) if moved > 0 => true,
                result => {
                    self.lost_file(id, result.as_ref().err(), cx);
                    false
                }
            };
        }
        conn.ops += 1;
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        let tag = NetOp::Splice(id).into();
        cx.ring
            .splice(file.clone(), position, pipe.write_end(), count, tag);
        conn.sending = Sending::Filling(pipe);
        false
    }

    fn account_sent<T: From<NetOp> + Clone>(&mut self, id: ConnId, bytes: u64, cx: &mut Cx<'_, T>) {
        let Some(conn) = self.table.get(id) else {
            return;
        };
        if bytes > 0 {
            conn.active = cx.now;
        }
        for _ in 0..conn.outbound.sent(bytes) {
            cx.inbox.push_back(Input::Sent { conn: id });
        }
    }
}
