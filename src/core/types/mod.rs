//! Ids, offsets, epochs, time, error codes and limits: the words every other module speaks.

mod config;
mod error_code;
mod ids;
pub mod limits;
mod scramble;
mod time;

pub use config::{
    BrokerConfigEntry, BrokerConfigView, BrokerSettings, ConfigDef, ConfigDynamic, ConfigKind,
    ConfigSource, GroupSettings,
};
pub use error_code::ErrorCode;
pub use ids::{
    ConnId, CoreId, DirectoryId, FileId, LeaderEpoch, ListenerId, NodeId, Offset, OwnerId,
    PartitionIndex, Position, ProducerEpoch, ProducerId, Token, TopicId, TopicPartition, WorkId,
};
pub use scramble::scramble;
pub use time::{Millis, Monotonic, Now, WallMillis};
