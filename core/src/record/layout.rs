//! Where the fields of a batch header are.
//!
//! Everything from [`ATTRIBUTES_AT`] on is covered by the CRC; base offset, length, leader epoch, magic and the CRC
//! itself are not, so that a broker can place a batch without touching its checksum.

/// i64: offset of the first record of the original batch.
pub(crate) const BASE_OFFSET_AT: usize = 0;
/// i32: bytes that follow this field.
pub(crate) const LENGTH_AT: usize = 8;
/// i32: epoch of the leader that appended the batch.
pub(crate) const LEADER_EPOCH_AT: usize = 12;
/// i8: format version; at the same place in all versions.
pub(crate) const MAGIC_AT: usize = 16;
/// u32: CRC-32C of everything behind it.
pub(crate) const CRC_AT: usize = 17;
/// i16: codec, timestamp type, transactional, control, delete horizon.
pub(crate) const ATTRIBUTES_AT: usize = 21;
/// i32: last offset minus base offset.
pub(crate) const LAST_OFFSET_DELTA_AT: usize = 23;
/// i64: what timestamp deltas count from.
pub(crate) const BASE_TIMESTAMP_AT: usize = 27;
/// i64: the greatest timestamp of the batch.
pub(crate) const MAX_TIMESTAMP_AT: usize = 35;
/// i64: −1 for none.
pub(crate) const PRODUCER_ID_AT: usize = 43;
/// i16: −1 for none.
pub(crate) const PRODUCER_EPOCH_AT: usize = 51;
/// i32: −1 for none.
pub(crate) const BASE_SEQUENCE_AT: usize = 53;
/// i32: records that are present.
pub(crate) const RECORDS_COUNT_AT: usize = 57;

/// Bytes of a version 2 header; records, or the compressed stream of them, follow.
pub const HEADER_BYTES: usize = 61;
/// Bytes before what the length field counts.
pub const LOG_OVERHEAD: usize = 12;
/// Bytes that must be there for size and version to be known. Fewer at the end of a file are no batch.
pub const MINIMUM_READ: usize = 17;

const _: () = assert!(RECORDS_COUNT_AT + 4 == HEADER_BYTES);
const _: () = assert!(LENGTH_AT + 4 == LOG_OVERHEAD);
const _: () = assert!(MAGIC_AT + 1 == MINIMUM_READ);
const _: () = assert!(CRC_AT + 4 == ATTRIBUTES_AT);

/// Attribute bits 0 to 2: the codec.
pub(crate) const CODEC_MASK: i16 = 0x07;
/// Attribute bit 3: timestamps are those of the append.
pub(crate) const LOG_APPEND_TIME: i16 = 0x08;
/// Attribute bit 4: part of a transaction.
pub(crate) const TRANSACTIONAL: i16 = 0x10;
/// Attribute bit 5: for the log itself, not for its readers.
pub(crate) const CONTROL: i16 = 0x20;
/// Attribute bit 6: the base timestamp is the delete horizon.
pub(crate) const DELETE_HORIZON: i16 = 0x40;
/// The attribute bits that mean something. The others are ignored when read, and gone when klog writes the field anew.
pub(crate) const KNOWN_ATTRIBUTES: i16 = CODEC_MASK | LOG_APPEND_TIME | TRANSACTIONAL | CONTROL | DELETE_HORIZON;
