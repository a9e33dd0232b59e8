//! A deterministic simulator of an onrush node: it links the core alone and plays everything around it.
//!
//! One seed decides a whole history: the swarm of parameters, what the clients ask, how long everything takes, what breaks and
//! when. The core cannot tell the difference; the checkers judge only by what clients saw and what is there in the end.
//!
//! Deliberately absent: threads, clocks, hash order, every source of chance but `rng`.

pub mod batch;
pub mod client;
pub mod disk;
pub mod frames;
pub mod groups;
pub mod ledger;
pub mod node;
pub mod rng;
pub mod run;
pub mod swarm;
pub mod trace;
pub mod world;
