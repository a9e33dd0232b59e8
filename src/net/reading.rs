//! From received bytes to delivered frames, within the bounds of memory and credit.

use onrush_core::effect::Note;
use onrush_core::input::Input;
use onrush_core::types::ConnId;

use super::conn::Life;
use super::inbound::Room;
use super::{Cx, Net, NetOp, SCAN_STARVED_MS, is_transient};
use crate::io::pool::{BLOCK_BYTES_MIN, Purpose};
use crate::io::ring::Done;

impl Net {
    pub(super) fn on_received<T: From<NetOp> + Clone>(
        &mut self,
        id: ConnId,
        done: Done<T>,
        cx: &mut Cx<'_, T>,
    ) {
        let Some(conn) = self.table.get(id) else {
            return;
        };
        conn.receiving = false;
        if let Some(block) = done.lent.into_filling() {
            conn.inbound.give_back(block);
        }
        if !self.op_ended(id) {
            return;
        }
        match done.result {
            Ok(0) => self.kill(id, cx),
            Ok(_) => {
                if let Some(conn) = self.table.get(id) {
                    conn.active = cx.now;
                }
                self.read_on(id, cx);
            }
            Err(error) if is_transient(&error) => self.read_on(id, cx),
            Err(_) => self.kill(id, cx),
        }
    }

    /// Delivers what is whole and has a credit, then receives more.
    pub(super) fn read_on<T: From<NetOp> + Clone>(&mut self, id: ConnId, cx: &mut Cx<'_, T>) {
        let Some(conn) = self.table.get(id).filter(|c| c.life == Life::Open) else {
            return;
        };
        if !conn.admitted || conn.receiving || conn.starved || conn.deferred {
            return;
        }
        while conn.credit > 0 && !self.held_back {
            match conn.inbound.next_frame(self.limits.request_bytes_max) {
                Ok(Some(frame)) => {
                    conn.credit -= 1;
                    conn.frame_since = None;
                    cx.inbox.push_back(Input::Frame { conn: id, frame });
                }
                Ok(None) => break,
                Err(bad) => {
                    cx.notes.push(Note::Info(format!(
                        "connection of {} closed: {bad}",
                        conn.peer
                    )));
                    self.kill(id, cx);
                    return;
                }
            }
        }
        if self.held_back {
            conn.deferred = true;
            self.deferred.push(id);
            return;
        }
        if conn.inbound.has_frame(self.limits.request_bytes_max) {
            return;
        }
        if self.granted == Some(id) && conn.inbound.pending() == 0 {
            self.granted = None;
        }
        self.receive(id, cx);
    }

    fn receive<T: From<NetOp> + Clone>(&mut self, id: ConnId, cx: &mut Cx<'_, T>) {
        let Some(conn) = self.table.get(id) else {
            return;
        };
        if let Room::Needs(bytes) = conn.inbound.room() {
            let beyond =
                cx.pool.in_use(Purpose::Receive) + bytes as u64 > self.limits.queued_bytes_max;
            if bytes > BLOCK_BYTES_MIN && beyond && self.granted != Some(id) {
                conn.starved = true;
                conn.frame_since = None;
                self.counts.starved += 1;
                self.starved.push_back(id);
                self.scan_at = self.scan_at.min(cx.now.after(SCAN_STARVED_MS));
                return;
            }
            if let Err(error) = conn.inbound.replace(cx.pool, bytes) {
                cx.notes
                    .push(Note::Error(format!("no memory for a request: {error}")));
                self.kill(id, cx);
                return;
            }
        }
        if conn.inbound.pending() > 0 && conn.frame_since.is_none() {
            conn.frame_since = Some(cx.now);
        }
        conn.frame_bytes = conn.inbound.pending();
        if let Some(block) = conn.inbound.lend() {
            conn.receiving = true;
            conn.ops += 1;
            cx.ring
                .receive(conn.socket.clone(), block, NetOp::Receive(id).into());
        }
    }

    /// Lets those go on that wait for receive memory, as far as there is some.
    pub(super) fn feed<T: From<NetOp> + Clone>(&mut self, cx: &mut Cx<'_, T>) {
        if self.starved.is_empty() {
            return;
        }
        cx.pool.collect();
        for _ in 0..self.starved.len() {
            if cx.pool.in_use(Purpose::Receive) >= self.limits.queued_bytes_max {
                break;
            }
            let Some(id) = self.starved.pop_front() else {
                break;
            };
            self.wake_starved(id, cx);
        }
    }

    fn wake_starved<T: From<NetOp> + Clone>(&mut self, id: ConnId, cx: &mut Cx<'_, T>) {
        if let Some(conn) = self.table.get(id) {
            conn.starved = false;
            self.read_on(id, cx);
        }
    }

    /// Who waits while nothing comes free may be waiting for himself: the first in line goes on beyond the budget.
    pub(super) fn unstick<T: From<NetOp> + Clone>(&mut self, cx: &mut Cx<'_, T>) {
        let Some(first) = self.starved.front().copied() else {
            self.stuck_at = None;
            return;
        };
        if let Some(id) = self.granted
            && self.table.get(id).is_none_or(|c| c.life == Life::Dead)
        {
            self.granted = None;
        }
        let held = cx.pool.in_use(Purpose::Receive);
        if self.granted.is_none() && self.stuck_at == Some(held) {
            self.granted = Some(first);
            self.starved.pop_front();
            self.wake_starved(first, cx);
        }
        self.stuck_at = Some(held);
    }
}
