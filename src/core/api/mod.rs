//! Kafka's APIs, one file each, numbered by key. A file decodes what is asked, decides or asks the layer below, and encodes the
//! answer for every version it serves; it never imports another `k*` file (an API in two files names its second file
//! after the first).

pub mod encode;
pub mod k00_produce_reply;
pub mod k01_fetch_reply;
