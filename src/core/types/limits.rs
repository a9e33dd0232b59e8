//! Every bound of the system, in one place, with the relations between them checked at compile time.
//!
//! A bound that an operator may set is in the config schema; what stands here is fixed or the outer limit of it.

/// Shards of one process.
pub const SHARDS_MAX: usize = 128;
/// The unit of direct I/O: positions and lengths of writes are multiples of it, memory is aligned to it.
pub const SECTOR_BYTES: u64 = 4096;
/// Smallest batch that a length field may claim: the v2 header after the length.
pub const BATCH_LENGTH_MIN: u32 = 49;
/// A v2 batch header, from base offset to record count.
pub const BATCH_HEADER_BYTES: usize = 61;
/// base offset and length: what stands before the bytes that the length counts.
pub const BATCH_PREFIX_BYTES: usize = 12;
/// Batches of one producer kept for recognising duplicates (Kafka: `ProducerStateEntry.NUM_BATCHES_TO_RETAIN`).
pub const PRODUCER_BATCHES_KEPT: usize = 5;
/// Batches whose place in the tail a log remembers below its promise.
pub const HOT_BATCHES_MAX: usize = 4096;
/// Memory of a tail is let go in pieces of at least this, so that a busy log does not release with every write.
pub const RELEASE_BYTES_MIN: u64 = 16 * SECTOR_BYTES;
/// Positions found by searches that a log remembers.
pub const CURSORS_MAX: usize = 32;
/// Final segments of a log whose index files stay in memory.
pub const SEALED_INDEXES_MAX: usize = 2;
/// Final segments of a log whose files stay open.
pub const SEALED_FILES_MAX: usize = 8;
/// Producers a partition remembers; a new one beyond that takes the place of those that wrote longest ago.
pub const PRODUCERS_PER_PARTITION_MAX: usize = 100_000;
/// Bytes of decompressed records that one step may walk before it yields: below a millisecond at 300 MB/s.
pub const WORK_BYTES_PER_STEP: usize = 256 * 1024;
/// How far back a snappy copy may reach: history that one decoder holds at most.
pub const SNAPPY_WINDOW_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Records of one batch that are named in the answer when it is refused; further ones are only counted.
pub const RECORD_ERRORS_MAX: usize = 10_000;
/// Bytes appended but not yet written, per shard at most; beyond it produce waits.
pub const UNWRITTEN_BYTES_MAX: u64 = 128 * 1024 * 1024;
/// Written bytes kept in memory for readers of the tail, per shard at most.
pub const HOT_TAIL_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Of them, for one partition.
pub const HOT_TAIL_BYTES_EACH_MAX: u64 = 8 * 1024 * 1024;
/// Topics whose automatic creation may be under way per shard; further names are asked again by their clients.
pub const AUTO_CREATES_MAX: usize = 1000;
/// Produce requests of one connection that may be appended and unanswered.
pub const PRODUCE_IN_FLIGHT_PER_CONN_MAX: usize = 128;
/// Shortest time that a produce has to become durable, whatever its request says.
pub const PRODUCE_WAIT_MS_MIN: u64 = 1000;
/// Fetches parked per shard; one more is answered at once.
pub const PARKED_FETCHES_MAX: usize = 100_000;
/// Asks of one core to another that are not answered yet; beyond it the asking core takes in no new request.
pub const MESH_ASKS_MAX: usize = 4096;
/// From so many on a fetch that would wait at another core is answered with what is there, so that waiting fetches never keep
/// other requests out.
pub const MESH_FETCHES_WAITING_MAX: usize = 3 * MESH_ASKS_MAX / 4;
/// From so many on a member that would wait for others at another core is sent away to come again, for the same reason. More than
/// waiting fetches reach by themselves.
pub const MESH_GROUPS_WAITING_MAX: usize = 7 * MESH_ASKS_MAX / 8;
/// Decompressed bytes of one batch of `__consumer_offsets`; a larger one is not read.
pub const GROUP_BATCH_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Messages in flight of one ask, to its owner and back (see `ask`, invariant 4).
pub const MESH_MESSAGES_PER_ASK_MAX: usize = 5;
/// Partitions a single metadata change may create (Kafka: 10,000 in one request).
pub const PARTITIONS_PER_REQUEST_MAX: usize = 10_000;
/// A write handed to the kernel at once.
pub const WRITE_BYTES_MAX: u64 = 1024 * 1024;
/// A read of batch headers while a fetch looks for its first batch.
pub const SCAN_READ_BYTES: u64 = 16 * 1024;
/// A read during recovery.
pub const RECOVERY_READ_BYTES: u64 = 1024 * 1024;
/// Preallocation ahead of the writer: first step and largest step.
pub const PREALLOCATE_BYTES_MIN: u64 = 64 * 1024;
/// See [`PREALLOCATE_BYTES_MIN`].
pub const PREALLOCATE_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// A small file (checkpoint, snapshot, `meta.properties`) larger than this is not read.
pub const SMALL_FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// A request body that needs rewriting before it can be decoded (malformed texts) is not rewritten above this.
pub const REPAIR_BYTES_MAX: usize = 1024 * 1024;
/// Requests that wait for the controller; one more is answered with a time-out at once.
pub const CTL_REQUESTS_MAX: usize = 1024;
/// Independent records in one batch of the metadata log.
pub const METADATA_RECORDS_PER_BATCH: usize = 1000;
/// Elements that the arrays of one request may hold together.
pub const REQUEST_ELEMENTS_MAX: usize = 1_000_000;
/// Answers handed over and not yet taken by the kernel, per connection; beyond it the connection is not read.
pub const UNSENT_FRAMES_MAX: usize = 128;
/// Bytes of such answers.
pub const UNSENT_BYTES_MAX: u64 = 1024 * 1024;
/// Groups of one partition of `__consumer_offsets`; one more is told COORDINATOR_NOT_AVAILABLE.
pub const GROUPS_PER_COORDINATOR_MAX: usize = 100_000;
/// Members of a group, whatever `group.max.size` says, and ids handed out to members to be; GROUP_MAX_SIZE_REACHED.
pub const GROUP_MEMBERS_MAX: usize = 10_000;
/// Assignors that a member may name; INVALID_REQUEST.
pub const MEMBER_PROTOCOLS_MAX: usize = 100;
/// Bytes that a member may tell about itself, for all its assignors; INVALID_REQUEST.
pub const MEMBER_METADATA_BYTES_MAX: usize = 1024 * 1024;
/// Bytes of all members' metadata of one coordinator; beyond it a join is told COORDINATOR_NOT_AVAILABLE.
pub const GROUP_METADATA_BYTES_MAX: usize = 256 * 1024 * 1024;
/// Offsets that a group may store; one more is refused with INVALID_COMMIT_OFFSET_SIZE.
pub const OFFSETS_PER_GROUP_MAX: usize = 1_000_000;
/// Names and ids in requests to a coordinator: a record counts them with 15 bits, and a member id gets 37 more bytes.
pub const GROUP_TEXT_BYTES_MAX: usize = 32_000;
/// Groups that one decision of a sweep (expiry, a topic deleted) looks at, and tombstones that it writes, at most but for
/// those of its last group.
pub const SWEEP_GROUPS_MAX: usize = 1000;

const _: () = assert!(SECTOR_BYTES.is_power_of_two());
const _: () = assert!(WRITE_BYTES_MAX.is_multiple_of(SECTOR_BYTES));
const _: () = assert!(PREALLOCATE_BYTES_MIN.is_multiple_of(SECTOR_BYTES));
const _: () = assert!(PREALLOCATE_BYTES_MIN <= PREALLOCATE_BYTES_MAX);
const _: () = assert!(HOT_TAIL_BYTES_MAX < UNWRITTEN_BYTES_MAX);
const _: () = assert!(SCAN_READ_BYTES.is_multiple_of(SECTOR_BYTES));
const _: () = assert!(GROUP_TEXT_BYTES_MAX + 37 <= 32_767);
