//! Counts the connections of all shards against the limits of the process.
//!
//! Invariant: a connection is counted from the moment it is let in until its shard says that it is gone, so that at no time
//! more are let in than a limit says. Source: Kafka's `ConnectionQuotas`, which counts under a lock and refuses by the same
//! limits; with `max.connections` it lets a connection wait where we refuse it.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::effect::Close;
use crate::types::ConnId;

/// Limits of connections; `None` is none.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ConnectionLimits {
    /// `max.connections`.
    pub total: Option<u32>,
    /// `max.connections.per.ip`.
    pub per_address: Option<u32>,
    /// `max.connections.per.ip.overrides`.
    pub overrides: BTreeMap<IpAddr, u32>,
}

impl ConnectionLimits {
    /// True if there is a limit: then shards ask for each connection.
    #[must_use]
    pub fn any(&self) -> bool {
        self.total.is_some() || self.per_address.is_some() || !self.overrides.is_empty()
    }
}

/// The connections that were let in.
#[derive(Debug)]
pub(super) struct Admissions {
    limits: ConnectionLimits,
    total: u32,
    by_address: BTreeMap<IpAddr, u32>,
}

impl Admissions {
    /// None yet.
    pub(super) fn new(limits: ConnectionLimits) -> Self {
        Self {
            limits,
            total: 0,
            by_address: BTreeMap::new(),
        }
    }

    /// A shard tells of connections that went and came; returns those that may not stay.
    pub(super) fn count(
        &mut self,
        opened: Vec<(ConnId, IpAddr)>,
        closed: Vec<IpAddr>,
    ) -> Vec<(ConnId, Close)> {
        for peer in closed {
            let count = self.by_address.get_mut(&peer);
            let count = count.expect("only what was let in goes");
            *count -= 1;
            if *count == 0 {
                self.by_address.remove(&peer);
            }
            self.total -= 1;
        }
        opened
            .into_iter()
            .filter_map(|(conn, peer)| self.let_in(peer).err().map(|why| (conn, why)))
            .collect()
    }

    fn let_in(&mut self, peer: IpAddr) -> Result<(), Close> {
        let limits = &self.limits;
        let of_address = limits.overrides.get(&peer).copied().or(limits.per_address);
        let open = self.by_address.get(&peer).copied().unwrap_or(0);
        if of_address.is_some_and(|most| open >= most) {
            return Err(Close::TooManyFromAddress { open });
        }
        if limits.total.is_some_and(|most| self.total >= most) {
            return Err(Close::TooManyConnections { open: self.total });
        }
        self.by_address.insert(peer, open + 1);
        self.total += 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(n: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, n])
    }

    /// Connections of these addresses, as many of them as are refused.
    fn refused(admissions: &mut Admissions, peers: &[u8], closed: &[u8]) -> Vec<u64> {
        let opened = peers.iter().zip(0..).map(|(n, id)| (ConnId(id), peer(*n)));
        let refused = admissions.count(opened.collect(), closed.iter().map(|n| peer(*n)).collect());
        refused.into_iter().map(|(conn, _)| conn.0).collect()
    }

    #[test]
    fn the_total_holds_and_room_is_given_again() {
        let mut admissions = Admissions::new(ConnectionLimits {
            total: Some(3),
            ..ConnectionLimits::default()
        });
        assert_eq!(refused(&mut admissions, &[1, 2, 3, 4], &[]), [3]);
        assert_eq!(refused(&mut admissions, &[5], &[]), [0]);
        // What goes with the same message makes room first.
        assert_eq!(refused(&mut admissions, &[5, 6], &[2]), [1]);
    }

    #[test]
    fn each_address_has_its_limit() {
        let mut admissions = Admissions::new(ConnectionLimits {
            per_address: Some(2),
            overrides: BTreeMap::from([(peer(9), 3), (peer(8), 0)]),
            ..ConnectionLimits::default()
        });
        assert_eq!(refused(&mut admissions, &[1, 1, 1, 2], &[]), [2]);
        assert_eq!(refused(&mut admissions, &[9, 9, 9, 9, 8], &[]), [3, 4]);
        assert_eq!(refused(&mut admissions, &[1, 1], &[1]), [1]);
    }
}
