//! Connections that ctl lets in, where a limit holds for all shards together.
//!
//! A limit of the process is exact only if one core counts. So a shard tells ctl of every connection that comes and goes, and
//! a connection is not read before ctl has let it in. Without a configured limit nobody is asked and nothing is kept here.
//!
//! Invariants:
//! 1. At most one message to ctl is unanswered; what comes meanwhile goes with the next. So what is kept here is bounded by the
//!    connections that are open. A message that only tells of ends is not answered.
//! 2. Ctl hears of the end of exactly those connections that it let in, once each.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::effect::Close;
use crate::input::CoreMsg;
use crate::types::ConnId;

/// What a shard knows about connections that ctl counts.
#[derive(Debug, Default)]
pub struct Admission {
    /// Not told to ctl yet.
    new: BTreeMap<ConnId, IpAddr>,
    /// Told, not answered; false where it is gone already.
    asked: BTreeMap<ConnId, (IpAddr, bool)>,
    /// Let in.
    inside: BTreeMap<ConnId, IpAddr>,
    /// Gone after having been let in, not told to ctl yet.
    gone: Vec<IpAddr>,
}

/// What ctl's answer means.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// To be read from now on.
    pub admitted: Vec<ConnId>,
    /// To be closed.
    pub refused: Vec<(ConnId, Close)>,
}

impl Admission {
    /// A client connected.
    pub fn opened(&mut self, conn: ConnId, peer: IpAddr) {
        self.new.insert(conn, peer);
    }

    /// A connection is gone, by whichever side. Those that were never told of here are no concern.
    pub fn closed(&mut self, conn: ConnId) {
        self.new.remove(&conn);
        if let Some((_, alive)) = self.asked.get_mut(&conn) {
            *alive = false;
        }
        self.gone.extend(self.inside.remove(&conn));
    }

    /// What ctl is to hear now, if anything.
    pub fn report(&mut self) -> Option<CoreMsg> {
        if !self.asked.is_empty() || (self.new.is_empty() && self.gone.is_empty()) {
            return None;
        }
        let opened: Vec<(ConnId, IpAddr)> = std::mem::take(&mut self.new).into_iter().collect();
        self.asked = opened
            .iter()
            .map(|(conn, peer)| (*conn, (*peer, true)))
            .collect();
        Some(CoreMsg::Connections {
            opened,
            closed: std::mem::take(&mut self.gone),
        })
    }

    /// Ctl's answer: all that were asked for are let in but these.
    pub fn on_answer(&mut self, refused: Vec<(ConnId, Close)>) -> Verdict {
        let mut verdict = Verdict::default();
        for (conn, why) in refused {
            let asked = self.asked.remove(&conn);
            let (_, alive) = asked.expect("ctl refuses what it was asked for");
            if alive {
                verdict.refused.push((conn, why));
            }
        }
        for (conn, (peer, alive)) in std::mem::take(&mut self.asked) {
            if alive {
                self.inside.insert(conn, peer);
                verdict.admitted.push(conn);
            } else {
                self.gone.push(peer);
            }
        }
        verdict
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(n: u8) -> IpAddr {
        IpAddr::from([127, 0, 0, n])
    }

    fn told(msg: Option<CoreMsg>) -> (Vec<(ConnId, IpAddr)>, Vec<IpAddr>) {
        match msg {
            Some(CoreMsg::Connections { opened, closed }) => (opened, closed),
            other => panic!("not about connections: {other:?}"),
        }
    }

    #[test]
    fn one_message_is_under_way_and_the_rest_goes_with_the_next() {
        let mut admission = Admission::default();
        assert!(admission.report().is_none(), "nothing happened");
        admission.opened(ConnId(1), peer(1));
        assert_eq!(
            told(admission.report()),
            (vec![(ConnId(1), peer(1))], vec![])
        );
        admission.opened(ConnId(2), peer(2));
        admission.opened(ConnId(3), peer(3));
        assert!(admission.report().is_none(), "one is under way");
        let verdict = admission.on_answer(Vec::new());
        assert_eq!(verdict.admitted, [ConnId(1)]);
        admission.closed(ConnId(1));
        admission.closed(ConnId(3));
        let (opened, closed) = told(admission.report());
        assert_eq!(opened, [(ConnId(2), peer(2))], "3 was never told of");
        assert_eq!(closed, [peer(1)]);
    }

    #[test]
    fn who_goes_before_the_answer_is_reported_if_it_was_let_in() {
        let mut admission = Admission::default();
        for n in 1..=3 {
            admission.opened(ConnId(u64::from(n)), peer(n));
        }
        assert!(admission.report().is_some());
        admission.closed(ConnId(1));
        admission.closed(ConnId(2));
        let full = Close::TooManyConnections { open: 1 };
        let verdict =
            admission.on_answer(vec![(ConnId(2), full.clone()), (ConnId(3), full.clone())]);
        assert_eq!(verdict.admitted, []);
        assert_eq!(verdict.refused, [(ConnId(3), full)]);
        assert_eq!(told(admission.report()), (vec![], vec![peer(1)]));
        // The refused one is closed by us, and was never inside; and what only tells of ends wants no answer.
        admission.closed(ConnId(3));
        assert!(admission.report().is_none());
    }
}
