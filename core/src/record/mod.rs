//! Record batches: bytes in, bytes out.
//!
//! The layout is Kafka's, format version ("magic") 2, written and read; versions 0 and 1 are read only. Nothing here
//! knows of files, locks or clocks.
//!
//! Source: Kafka documentation, "Message Format"; `org.apache.kafka.common.record`.

mod builder;
mod codec;
mod control;
mod header;
mod layout;
mod legacy;
mod partitioner;
mod reader;
mod spans;
mod validate;
mod varint;
mod wire;

pub use builder::{BatchBuilder, BatchOptions};
pub use codec::{Codec, CodecError, Compression, compress, decompress};
pub use control::{ControlRecord, LeaderChange, Voter, VoterEndpoint, control_batch, end_transaction_marker};
pub use header::{BatchHeader, TimestampType, restamp, seal};
pub use layout::{HEADER_BYTES, LOG_OVERHEAD, MINIMUM_READ};
pub use legacy::LegacyMessages;
pub use partitioner::{Partitioner, crc32, fnv1a, java_string_hash, murmur2, partition_for_key};
pub use reader::{Headers, RecordView, Records, headers_of};
pub use spans::{Record, Span, SpanLimits, decode_spans};
pub use validate::{Assigned, LeaderRules, assign_offsets, check_client_batch};
pub use varint::{
    read_uvarint, read_varint, read_varlong, varint_len, varlong_len, write_uvarint, write_varint, write_varlong,
};
pub use wire::{Reader, TaggedFields, Writer};

use thiserror::Error;

use codec::CodecError as Codecs;

/// Why bytes are not a batch, or a batch not allowed.
#[derive(Debug, Error, PartialEq, Eq, Clone)]
pub enum BatchError {
    /// The bytes end before the batch does.
    #[error("the batch is cut off: {needed} bytes are needed and {available} are there")]
    Short {
        /// Bytes the batch claims to have.
        needed: u64,
        /// Bytes that are there.
        available: u64,
    },
    /// The size field cannot be right.
    #[error("batch length {0} is impossible")]
    Length(i64),
    /// A format version that does not exist.
    #[error("format version (magic) {0} is unknown")]
    Magic(i8),
    /// The checksum does not match.
    #[error("CRC {stored:08x} is stored and {computed:08x} is computed")]
    Crc {
        /// What the header says.
        stored: u32,
        /// What the bytes give.
        computed: u32,
    },
    /// A record does not keep to its layout.
    #[error("record {index}: {what}")]
    Record {
        /// Which record of the batch, from 0.
        index: u32,
        /// What is wrong with it.
        what: &'static str,
    },
    /// Bytes follow the last record.
    #[error("{0} bytes follow the last record")]
    Trailing(usize),
    /// The compressed part cannot be read.
    #[error(transparent)]
    Codec(#[from] Codecs),
    /// A rule about what clients may send is broken.
    #[error("{0}")]
    Rule(String),
    /// A timestamp outside the window that the topic allows.
    #[error("{0}")]
    Timestamp(String),
    /// A batch above a size limit.
    #[error("the batch has {size} bytes and max.message.bytes is {limit}")]
    TooLarge {
        /// Bytes of the batch.
        size: usize,
        /// The limit.
        limit: usize,
    },
}
