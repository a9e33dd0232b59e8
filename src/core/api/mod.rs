//! Kafka's APIs, one file each, numbered by key. A file decodes what is asked, decides or asks the layer below, and encodes the
//! answer for every version it serves; it never imports another `k*` file (an API in two files names its second file
//! after the first).

pub mod context;
pub mod encode;
pub mod k00_produce;
pub mod k00_produce_reply;
pub mod k01_fetch;
pub mod k01_fetch_reply;
pub mod k02_list_offsets;
pub mod k03_metadata;
pub mod k08_offset_commit;
pub mod k09_offset_fetch;
pub mod k10_find_coordinator;
pub mod k11_join_group;
pub mod k12_heartbeat;
pub mod k13_leave_group;
pub mod k14_sync_group;
pub mod k15_describe_groups;
pub mod k16_list_groups;
pub mod k18_api_versions;
pub mod k19_create_topics;
pub mod k20_delete_topics;
pub mod k22_init_producer_id;
pub mod k23_offset_for_leader_epoch;
pub mod k32_describe_configs;
pub mod k42_delete_groups;
pub mod k47_offset_delete;
pub mod k60_describe_cluster;
pub mod k75_describe_topic_partitions;

#[cfg(test)]
mod testing;
