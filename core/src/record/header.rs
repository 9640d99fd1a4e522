//! The header of a batch.

use super::BatchError;
use super::codec::Codec;
use super::layout::{
    ATTRIBUTES_AT, BASE_OFFSET_AT, BASE_SEQUENCE_AT, BASE_TIMESTAMP_AT, CODEC_MASK, CONTROL, CRC_AT, DELETE_HORIZON,
    HEADER_BYTES, LAST_OFFSET_DELTA_AT, LEADER_EPOCH_AT, LENGTH_AT, LOG_APPEND_TIME, LOG_OVERHEAD, MAGIC_AT,
    MAX_TIMESTAMP_AT, MINIMUM_READ, PRODUCER_EPOCH_AT, PRODUCER_ID_AT, RECORDS_COUNT_AT, TRANSACTIONAL,
};
use crate::types::{LeaderEpoch, Offset, ProducerId, TimestampMs};

/// Whose clock a timestamp comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TimestampType {
    /// The producer's.
    CreateTime,
    /// The log's, when it appended the batch.
    LogAppendTime,
}

/// The fields of a batch header, of any version.
///
/// Versions 0 and 1 have no batches; there each entry counts as one, with the fields it lacks set to "none".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchHeader {
    /// Offset of the first record of the original batch. In a compressed entry of version 0 or 1, where only the last
    /// offset is known without decompressing, that one.
    pub base_offset: Offset,
    /// Bytes of the whole batch.
    pub size: usize,
    /// Epoch of the leader that appended it.
    pub leader_epoch: LeaderEpoch,
    /// Format version.
    pub magic: i8,
    /// The checksum as it is stored.
    pub crc: u32,
    /// The attribute bits.
    pub attributes: i16,
    /// Last offset minus base offset; stays when records are compacted away.
    pub last_offset_delta: i32,
    /// What timestamp deltas count from; the delete horizon when that bit is set.
    pub base_timestamp: TimestampMs,
    /// The greatest timestamp.
    pub max_timestamp: TimestampMs,
    /// Who sent it.
    pub producer_id: ProducerId,
    /// The epoch of that id.
    pub producer_epoch: i16,
    /// Sequence number of the first record, −1 for none.
    pub base_sequence: i32,
    /// Records that are present.
    pub records_count: i32,
}

#[inline]
fn i16_at(bytes: &[u8], at: usize) -> i16 {
    i16::from_be_bytes([bytes[at], bytes[at + 1]])
}

#[inline]
fn i32_at(bytes: &[u8], at: usize) -> i32 {
    i32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

#[inline]
fn i64_at(bytes: &[u8], at: usize) -> i64 {
    let mut field = [0; 8];
    field.copy_from_slice(&bytes[at..at + 8]);
    i64::from_be_bytes(field)
}

impl BatchHeader {
    /// The size and version of the batch that begins `bytes`, of which [`MINIMUM_READ`] must be there.
    ///
    /// # Errors
    /// `Short` if they are not, `Length` and `Magic` for values that no batch can have.
    pub fn peek(bytes: &[u8]) -> Result<(usize, i8), BatchError> {
        if bytes.len() < MINIMUM_READ {
            return Err(BatchError::Short { needed: MINIMUM_READ as u64, available: bytes.len() as u64 });
        }
        let length = i32_at(bytes, LENGTH_AT);
        let magic = bytes[MAGIC_AT] as i8;
        let least = match magic {
            0 => 14,
            1 => 22,
            2 => (HEADER_BYTES - LOG_OVERHEAD) as i32,
            // An impossible length tells more than an impossible version: a zeroed tail has both.
            _ if length < 14 => return Err(BatchError::Length(i64::from(length))),
            other => return Err(BatchError::Magic(other)),
        };
        if length < least {
            return Err(BatchError::Length(i64::from(length)));
        }
        Ok((LOG_OVERHEAD + length as usize, magic))
    }

    /// Reads the header of the batch that begins `bytes`. The checksum is not checked and the batch need not be whole:
    /// 61 bytes suffice for version 2, 34 for the older ones.
    ///
    /// # Errors
    /// As [`peek`](Self::peek).
    pub fn parse(bytes: &[u8]) -> Result<BatchHeader, BatchError> {
        let (size, magic) = Self::peek(bytes)?;
        if magic < 2 {
            return super::legacy::header(bytes, size, magic);
        }
        let Some(bytes) = bytes.first_chunk::<HEADER_BYTES>() else {
            return Err(BatchError::Short { needed: HEADER_BYTES as u64, available: bytes.len() as u64 });
        };
        let header = BatchHeader {
            base_offset: Offset(i64_at(bytes, BASE_OFFSET_AT)),
            size,
            leader_epoch: LeaderEpoch(i32_at(bytes, LEADER_EPOCH_AT)),
            magic,
            crc: i32_at(bytes, CRC_AT) as u32,
            attributes: i16_at(bytes, ATTRIBUTES_AT),
            last_offset_delta: i32_at(bytes, LAST_OFFSET_DELTA_AT),
            base_timestamp: TimestampMs(i64_at(bytes, BASE_TIMESTAMP_AT)),
            max_timestamp: TimestampMs(i64_at(bytes, MAX_TIMESTAMP_AT)),
            producer_id: ProducerId(i64_at(bytes, PRODUCER_ID_AT)),
            producer_epoch: i16_at(bytes, PRODUCER_EPOCH_AT),
            base_sequence: i32_at(bytes, BASE_SEQUENCE_AT),
            records_count: i32_at(bytes, RECORDS_COUNT_AT),
        };
        Ok(header)
    }

    /// Reads and checks a whole batch: it is all there, its checksum holds, and its offsets can be.
    ///
    /// # Errors
    /// As [`peek`](Self::peek), and `Crc`.
    pub fn check(bytes: &[u8]) -> Result<BatchHeader, BatchError> {
        let (size, magic) = Self::peek(bytes)?;
        if bytes.len() < size {
            return Err(BatchError::Short { needed: size as u64, available: bytes.len() as u64 });
        }
        let header = Self::parse(bytes)?;
        let batch = &bytes[..size];
        let computed = if magic < 2 { super::legacy::crc(batch) } else { crc32c::crc32c(&batch[ATTRIBUTES_AT..]) };
        if computed != header.crc {
            return Err(BatchError::Crc { stored: header.crc, computed });
        }
        if header.base_offset.0 < 0 || header.last_offset_delta < 0 {
            return Err(BatchError::Rule(format!(
                "base offset {} and last offset delta {} are no place in a log",
                header.base_offset, header.last_offset_delta
            )));
        }
        header.base_offset.0.checked_add(i64::from(header.last_offset_delta)).map_or_else(
            || Err(BatchError::Rule(format!("base offset {} leaves no room for the batch", header.base_offset))),
            |_| Ok(header),
        )
    }

    /// Offset of the last record of the original batch.
    pub fn last_offset(&self) -> Offset {
        Offset(self.base_offset.0.saturating_add(i64::from(self.last_offset_delta)))
    }

    /// The offset after the batch: where reading goes on.
    pub fn next_offset(&self) -> Offset {
        Offset(self.last_offset().0.saturating_add(1))
    }

    /// The codec bits; 5 to 7 name none.
    pub fn codec(&self) -> Result<Codec, BatchError> {
        Codec::from_bits((self.attributes & CODEC_MASK) as u8).map_err(BatchError::from)
    }

    /// Whose clock the timestamps come from.
    pub fn timestamp_type(&self) -> TimestampType {
        if self.attributes & LOG_APPEND_TIME == 0 { TimestampType::CreateTime } else { TimestampType::LogAppendTime }
    }

    /// Whether the batch belongs to a transaction.
    pub fn is_transactional(&self) -> bool {
        self.attributes & TRANSACTIONAL != 0
    }

    /// Whether the batch is for the log itself: transaction markers and KRaft's control records.
    pub fn is_control(&self) -> bool {
        self.attributes & CONTROL != 0
    }

    /// When tombstones of a compacted batch may go; `None` when that was not decided yet.
    pub fn delete_horizon(&self) -> Option<TimestampMs> {
        (self.attributes & DELETE_HORIZON != 0).then_some(self.base_timestamp)
    }

    /// Sequence number of the last record, −1 for none. Sequences go from 2³¹−1 to 0.
    pub fn last_sequence(&self) -> i32 {
        if self.base_sequence < 0 { -1 } else { increment_sequence(self.base_sequence, self.last_offset_delta) }
    }
}

/// `sequence + by` modulo 2³¹, as Kafka counts.
///
/// Source: `org.apache.kafka.common.record.DefaultRecordBatch#incrementSequence`.
pub(crate) fn increment_sequence(sequence: i32, by: i32) -> i32 {
    ((i64::from(sequence) + i64::from(by)) & 0x7fff_ffff) as i32
}

/// Places a batch: writes base offset and leader epoch, which the checksum does not cover.
pub fn restamp(batch: &mut [u8], base_offset: Offset, leader_epoch: LeaderEpoch) {
    batch[BASE_OFFSET_AT..BASE_OFFSET_AT + 8].copy_from_slice(&base_offset.0.to_be_bytes());
    batch[LEADER_EPOCH_AT..LEADER_EPOCH_AT + 4].copy_from_slice(&leader_epoch.0.to_be_bytes());
}

/// Computes the checksum of a whole batch anew and stores it.
pub fn seal(batch: &mut [u8]) {
    let crc = crc32c::crc32c(&batch[ATTRIBUTES_AT..]);
    batch[CRC_AT..CRC_AT + 4].copy_from_slice(&crc.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequences_wrap_to_zero() {
        assert_eq!(increment_sequence(i32::MAX, 1), 0);
        assert_eq!(increment_sequence(i32::MAX - 1, 3), 1);
        assert_eq!(increment_sequence(5, 7), 12);
    }
}
