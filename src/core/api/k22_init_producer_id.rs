//! InitProducerId (key 22): an id for an idempotent producer.
//!
//! Versions 0–5, flexible from 2.
//! * 3: the producer may tell the id and epoch it had; without a transactional id it gets a fresh id all the same.
//! * 4: PRODUCER_FENCED, 5: TRANSACTION_ABORTABLE, both for transactions only.
//!
//! Ids come from blocks that the controller hands out; nothing is written per producer.
//! Gaps: transactional ids are refused with UNSUPPORTED_VERSION, which every client takes as final (docs/SKIPPED.md);
//! version 6 (two-phase commit) is unstable in Kafka.
//! Source: KIP-98, KIP-360; Kafka's `TransactionCoordinator.handleInitProducerId`, `RPCProducerIdManager`.

use std::collections::VecDeque;

use kafka_protocol::messages::{InitProducerIdRequest, InitProducerIdResponse};

use super::context::Plan;
use crate::metadata::{CtlReply, CtlRequest, ProducerIdBlock};
use crate::types::{ErrorCode, ProducerEpoch, ProducerId};

/// Producer ids that this core may hand out. Each is handed out once.
#[derive(Debug, Default)]
pub struct ProducerIdPool {
    /// Ids not handed out: first and one past the last.
    ranges: VecDeque<(i64, i64)>,
}

impl ProducerIdPool {
    /// Adds a block. Blocks never overlap: the controller sees to that.
    pub fn refill(&mut self, block: ProducerIdBlock) {
        let end = block.first.0.saturating_add(i64::from(block.count));
        if end > block.first.0 {
            self.ranges.push_back((block.first.0, end));
        }
    }

    /// The next id, or nothing if a block is needed.
    pub fn take(&mut self) -> Option<ProducerId> {
        let (next, end) = self.ranges.pop_front()?;
        if next + 1 < end {
            self.ranges.push_front((next + 1, end));
        }
        Some(ProducerId(next))
    }
}

/// A request that waits for a block.
#[derive(Debug)]
pub struct Pending(());

/// Answers from the pool, or asks for a block.
#[must_use]
pub fn plan(
    request: &InitProducerIdRequest,
    pool: &mut ProducerIdPool,
) -> Plan<InitProducerIdResponse, CtlRequest, Pending> {
    if let Some(error) = refused(request) {
        return Plan::Reply(failure(error));
    }
    match pool.take() {
        Some(id) => Plan::Reply(success(id)),
        None => Plan::Ask(CtlRequest::ProducerIds, Pending(())),
    }
}

/// The answer once the controller has answered; the rest of the block stays in the pool. Another kind of reply is our own fault.
#[must_use]
pub fn finish(
    _pending: Pending,
    reply: &CtlReply,
    pool: &mut ProducerIdPool,
) -> InitProducerIdResponse {
    match reply {
        CtlReply::ProducerIds(Ok(block)) => {
            pool.refill(*block);
            match pool.take() {
                Some(id) => success(id),
                None => failure(ErrorCode::CoordinatorLoadInProgress),
            }
        }
        CtlReply::ProducerIds(Err(error)) => failure(*error),
        other => panic!("the controller answered ProducerIds with {other:?}"),
    }
}

fn refused(request: &InitProducerIdRequest) -> Option<ErrorCode> {
    let no_id = request.producer_id.0 == ProducerId::NONE.0;
    let no_epoch = request.producer_epoch == -1;
    if no_id != no_epoch {
        return Some(ErrorCode::InvalidRequest);
    }
    match &request.transactional_id {
        None => None,
        Some(id) if id.is_empty() => Some(ErrorCode::InvalidRequest),
        // Anything retriable would have the producer ask for ever.
        Some(_) => Some(ErrorCode::UnsupportedVersion),
    }
}

fn success(id: ProducerId) -> InitProducerIdResponse {
    InitProducerIdResponse::default()
        .with_producer_id(id.0.into())
        .with_producer_epoch(ProducerEpoch::default().0)
}

fn failure(error: ErrorCode) -> InitProducerIdResponse {
    InitProducerIdResponse::default()
        .with_error_code(error.code())
        .with_producer_id(ProducerId::NONE.0.into())
        .with_producer_epoch(-1)
}

#[cfg(test)]
mod tests {
    use kafka_protocol::messages::TransactionalId;

    use super::*;
    use crate::api::context::text;
    use crate::api::testing::through_wire;

    fn block(first: i64, count: i32) -> CtlReply {
        CtlReply::ProducerIds(Ok(ProducerIdBlock {
            first: ProducerId(first),
            count,
        }))
    }

    /// Answers; the controller grants blocks of two from `next` on.
    fn ask(
        version: i16,
        request: &InitProducerIdRequest,
        pool: &mut ProducerIdPool,
        next: &mut i64,
    ) -> (i16, i64, i16) {
        let got = through_wire(version, request, |request| match plan(&request, pool) {
            Plan::Reply(reply) => reply,
            Plan::Ask(CtlRequest::ProducerIds, pending) => {
                *next += 2;
                finish(pending, &block(*next - 2, 2), pool)
            }
            Plan::Ask(other, _) => panic!("{other:?}"),
        });
        (got.error_code, got.producer_id.0, got.producer_epoch)
    }

    #[test]
    fn rule_9_1_every_version_gets_fresh_ids() {
        let mut pool = ProducerIdPool::default();
        let mut next = 1000;
        for version in 0..=5 {
            let request = InitProducerIdRequest::default().with_transactional_id(None);
            let want = (0, 1000 + i64::from(version), 0);
            assert_eq!(ask(version, &request, &mut pool, &mut next), want);
        }
        assert_eq!(next, 1006, "three blocks of two");
    }

    #[test]
    fn rule_9_1_measured_timeout_is_not_looked_at_and_a_known_id_changes_nothing() {
        let mut pool = ProducerIdPool::default();
        let mut next = 0;
        for timeout in [0, i32::MAX] {
            let request = InitProducerIdRequest::default()
                .with_transactional_id(None)
                .with_transaction_timeout_ms(timeout)
                .with_producer_id(77.into())
                .with_producer_epoch(3);
            let (error, id, epoch) = ask(3, &request, &mut pool, &mut next);
            assert_eq!((error, epoch), (0, 0));
            assert_ne!(id, 77);
        }
    }

    #[test]
    fn half_an_identity_is_refused() {
        let mut pool = ProducerIdPool::default();
        for (id, epoch) in [(-1, 0), (5, -1)] {
            let request = InitProducerIdRequest::default()
                .with_transactional_id(None)
                .with_producer_id(id.into())
                .with_producer_epoch(epoch);
            assert_eq!(ask(4, &request, &mut pool, &mut 0), (42, -1, -1));
        }
    }

    #[test]
    fn transactional_ids_are_refused_for_good() {
        let mut pool = ProducerIdPool::default();
        for version in 0..=5 {
            for (id, code) in [("", 42), ("t", 35)] {
                let request = InitProducerIdRequest::default()
                    .with_transactional_id(Some(TransactionalId(text(id))));
                assert_eq!(ask(version, &request, &mut pool, &mut 0), (code, -1, -1));
            }
        }
    }

    #[test]
    fn a_controller_that_cannot_answer_is_passed_on() {
        let mut pool = ProducerIdPool::default();
        let reply = CtlReply::ProducerIds(Err(ErrorCode::KafkaStorageError));
        let got = finish(Pending(()), &reply, &mut pool);
        assert_eq!((got.error_code, got.producer_id.0), (56, -1));
        assert_eq!(pool.take(), None);
    }
}
