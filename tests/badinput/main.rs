//! What no client should send: closed or answered as Kafka does, while everyone else is served,
//! memory stays, and the process lives.
//!
//! `ONRUSH_TEST_BROKER=host:port` aims these at another broker, without the look at its memory. Apache
//! Kafka 4.2.0 passes all but `claimed_lengths_take_no_memory`: it allocates what is claimed, and a heap
//! of 512 MiB does not survive that.
#![allow(unreachable_pub, reason = "the modules of a test are its own")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod bytes_of_others;
mod frames;
mod peers;
mod witness;
