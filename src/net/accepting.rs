//! Letting connections in.

use std::os::fd::OwnedFd;
use std::rc::Rc;

use onrush_core::effect::Note;
use onrush_core::input::Input;
use onrush_core::types::ListenerId;

use super::conn::Conn;
use super::{Cx, Net, NetOp, SCAN_MS};
use crate::io::lent::Lent;
use crate::io::ring::Done;
use crate::io::socket::prepare_accepted;

impl Net {
    pub(super) fn arm_accept<T: From<NetOp> + Clone>(&mut self, index: u16, cx: &mut Cx<'_, T>) {
        if let Some(listener) = self.listeners.get(usize::from(index)) {
            let listener: Rc<OwnedFd> = Rc::clone(listener);
            cx.ring.accept(listener, NetOp::Accept(index).into());
        }
    }

    pub(super) fn on_accept<T: From<NetOp> + Clone>(
        &mut self,
        index: u16,
        done: Done<T>,
        cx: &mut Cx<'_, T>,
    ) {
        match done.result {
            Ok(_) => {
                if let Lent::Accepted(socket) = done.lent {
                    self.let_in(index, socket, cx);
                }
                if !done.more {
                    self.arm_accept(index, cx);
                }
            }
            Err(error) => {
                if matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE)) {
                    cx.notes.push(Note::Warn(String::from(
                        "no descriptor is left for a new connection: raise the limit with `ulimit -n 100000` or \
                         LimitNOFILE=100000",
                    )));
                }
                if !done.more {
                    // Tried again at the next scan: at once it would only fail again.
                    self.to_accept.push(index);
                }
            }
        }
    }

    fn let_in<T: From<NetOp> + Clone>(&mut self, index: u16, socket: OwnedFd, cx: &mut Cx<'_, T>) {
        // An error here means that the peer is gone already.
        let Ok((socket, peer)) = prepare_accepted(socket) else {
            return;
        };
        if self.table.alive() >= self.limits.connections_max {
            self.counts.refused += 1;
            return;
        }
        let Some(id) = self.table.reserve() else {
            self.counts.refused += 1;
            return;
        };
        if self.table.alive() == 0 {
            self.scan_at = cx.now.after(SCAN_MS);
        }
        self.counts.accepted += 1;
        let credit = u32::from(!self.limits.asks_admission);
        self.table
            .insert(Conn::new(id, socket, peer, credit, cx.now));
        cx.inbox.push_back(Input::Opened {
            conn: id,
            peer,
            listener: ListenerId(index),
        });
        self.read_on(id, cx);
    }
}
