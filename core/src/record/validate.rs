//! What a leader checks and changes before it appends a client's batch.
//!
//! Source: `org.apache.kafka.storage.internals.log.LogValidator`; `UnifiedLog#analyzeAndValidateRecords`.

use super::builder::{BatchBuilder, BatchOptions};
use super::codec::{Codec, Compression, decompress};
use super::header::{restamp, seal};
use super::layout::{ATTRIBUTES_AT, HEADER_BYTES, KNOWN_ATTRIBUTES, LOG_APPEND_TIME, MAX_TIMESTAMP_AT};
use super::reader::{RecordView, Records};
use super::{BatchError, BatchHeader, TimestampType};
use crate::types::{LeaderEpoch, Offset, TimestampMs};

/// The rules of a topic that concern a batch on its way in.
#[derive(Clone, Copy, Debug)]
pub struct LeaderRules {
    /// `max.message.bytes`: of the batch as stored, compressed.
    pub max_message_bytes: usize,
    /// `message.timestamp.type`.
    pub timestamp_type: TimestampType,
    /// `message.timestamp.before.max.ms`.
    pub timestamp_before_max_ms: i64,
    /// `message.timestamp.after.max.ms`.
    pub timestamp_after_max_ms: i64,
    /// `compression.type`: what to store; `None` keeps what the producer chose.
    pub compression: Option<Compression>,
    /// Whether every record must have a key: compacted topics.
    pub requires_keys: bool,
    /// Bytes that a batch may decompress to.
    pub max_decompressed_bytes: usize,
}

/// A batch that is ready to be appended.
#[derive(Debug)]
pub struct Assigned {
    /// Its header as it will be stored.
    pub header: BatchHeader,
    /// New bytes, where the old ones could not be changed in place.
    pub rebuilt: Option<Vec<u8>>,
}

/// Checks one batch that a client sent: structure, checksum, size, and the rules for clients.
///
/// # Errors
/// See [`BatchError`]; nothing is changed.
pub fn check_client_batch(batch: &[u8], rules: &LeaderRules) -> Result<BatchHeader, BatchError> {
    let (size, magic) = BatchHeader::peek(batch)?;
    if size > rules.max_message_bytes {
        return Err(BatchError::TooLarge { size, limit: rules.max_message_bytes });
    }
    if magic < 2 {
        return Err(BatchError::Magic(magic));
    }
    let header = BatchHeader::check(batch)?;
    let rule = |broken: bool, say: &dyn Fn() -> String| if broken { Err(BatchError::Rule(say())) } else { Ok(()) };
    rule(batch.len() != size, &|| {
        format!("{} bytes follow the batch; one append takes one batch", batch.len() - size)
    })?;
    rule(header.base_offset.0 != 0, &|| format!("a producer's batch begins at offset 0, not {}", header.base_offset))?;
    rule(header.records_count <= 0, &|| format!("a producer's batch cannot have {} records", header.records_count))?;
    rule(i64::from(header.last_offset_delta) + 1 != i64::from(header.records_count), &|| {
        format!("last offset delta {} does not fit {} records", header.last_offset_delta, header.records_count)
    })?;
    rule(header.is_control(), &|| "clients cannot write control batches".into())?;
    rule(header.producer_id.is_some() && header.base_sequence < 0, &|| {
        format!("producer id {} needs a sequence number, not {}", header.producer_id, header.base_sequence)
    })?;
    Ok(header)
}

/// Gives a checked batch its place: offsets, epoch, timestamps, codec. Changes `batch` in place when that is possible.
///
/// # Errors
/// `Record`, `Codec` for what cannot be decoded, `Timestamp` and `Rule` for records that the topic refuses, `TooLarge` when
/// it grew by another codec; `batch` is then as it was.
pub fn assign_offsets(
    batch: &mut [u8],
    header: &BatchHeader,
    rules: &LeaderRules,
    base_offset: Offset,
    leader_epoch: LeaderEpoch,
    now: TimestampMs,
) -> Result<Assigned, BatchError> {
    let source = header.codec()?;
    let target = rules.compression.unwrap_or(Compression::default_of(source));
    let mut decompressed = Vec::new();
    let records = match source {
        Codec::None => &batch[HEADER_BYTES..],
        codec => {
            decompress(codec, &batch[HEADER_BYTES..], rules.max_decompressed_bytes, &mut decompressed)?;
            &decompressed[..]
        }
    };
    let found = check_records(header, records, rules, now)?;
    let in_place = source == target.codec && found.is_dense;
    if !in_place {
        return rebuild(header, records, rules, base_offset, leader_epoch, now, target);
    }
    let max_timestamp = match rules.timestamp_type {
        TimestampType::LogAppendTime => now,
        TimestampType::CreateTime => found.max_timestamp,
    };
    if max_timestamp != header.max_timestamp || rules.timestamp_type != header.timestamp_type() {
        let mut attributes = header.attributes & KNOWN_ATTRIBUTES & !LOG_APPEND_TIME;
        if rules.timestamp_type == TimestampType::LogAppendTime {
            attributes |= LOG_APPEND_TIME;
        }
        batch[ATTRIBUTES_AT..ATTRIBUTES_AT + 2].copy_from_slice(&attributes.to_be_bytes());
        batch[MAX_TIMESTAMP_AT..MAX_TIMESTAMP_AT + 8].copy_from_slice(&max_timestamp.0.to_be_bytes());
        seal(batch);
    }
    restamp(batch, base_offset, leader_epoch);
    Ok(Assigned { header: BatchHeader::parse(batch)?, rebuilt: None })
}

struct Found {
    max_timestamp: TimestampMs,
    is_dense: bool,
}

fn check_records(
    header: &BatchHeader,
    records: &[u8],
    rules: &LeaderRules,
    now: TimestampMs,
) -> Result<Found, BatchError> {
    let mut found = Found { max_timestamp: TimestampMs::NONE, is_dense: true };
    for (index, record) in Records::new(header, records).enumerate() {
        let record = record?;
        if rules.requires_keys && record.key.is_none() {
            return Err(BatchError::Rule(format!("record {index} has no key, and the topic is compacted")));
        }
        check_timestamp(header, &record, index, rules, now)?;
        found.max_timestamp = found.max_timestamp.max(record.timestamp);
        found.is_dense &= record.offset == header.base_offset.plus(index as i64);
    }
    Ok(found)
}

fn check_timestamp(
    header: &BatchHeader,
    record: &RecordView<'_>,
    index: usize,
    rules: &LeaderRules,
    now: TimestampMs,
) -> Result<(), BatchError> {
    let timestamp = record.timestamp.0;
    if rules.timestamp_type == TimestampType::LogAppendTime || timestamp == TimestampMs::NONE.0 {
        if header.timestamp_type() == TimestampType::LogAppendTime {
            return Err(BatchError::Timestamp("a producer's batch cannot claim LogAppendTime".into()));
        }
        return Ok(());
    }
    let age = i128::from(now.0) - i128::from(timestamp);
    if age > i128::from(rules.timestamp_before_max_ms) {
        return Err(BatchError::Timestamp(format!(
            "timestamp {timestamp} of record {index} is {age} ms old and message.timestamp.before.max.ms is {}",
            rules.timestamp_before_max_ms
        )));
    }
    if -age > i128::from(rules.timestamp_after_max_ms) {
        return Err(BatchError::Timestamp(format!(
            "timestamp {timestamp} of record {index} is {} ms ahead and message.timestamp.after.max.ms is {}",
            -age, rules.timestamp_after_max_ms
        )));
    }
    Ok(())
}

fn rebuild(
    header: &BatchHeader,
    records: &[u8],
    rules: &LeaderRules,
    base_offset: Offset,
    leader_epoch: LeaderEpoch,
    now: TimestampMs,
    compression: Compression,
) -> Result<Assigned, BatchError> {
    let mut builder = BatchBuilder::with_capacity(HEADER_BYTES + records.len());
    for record in Records::new(header, records) {
        let record = record?;
        let headers: Vec<_> = record.headers().collect();
        builder.push(record.timestamp, record.key, record.value, &headers);
    }
    let mut bytes = builder.finish(&BatchOptions {
        base_offset,
        leader_epoch,
        compression,
        timestamp_type: rules.timestamp_type,
        producer_id: header.producer_id,
        producer_epoch: header.producer_epoch,
        base_sequence: header.base_sequence,
        is_transactional: header.is_transactional(),
        is_control: false,
    })?;
    if rules.timestamp_type == TimestampType::LogAppendTime {
        bytes[MAX_TIMESTAMP_AT..MAX_TIMESTAMP_AT + 8].copy_from_slice(&now.0.to_be_bytes());
        seal(&mut bytes);
    }
    if bytes.len() > rules.max_message_bytes {
        return Err(BatchError::TooLarge { size: bytes.len(), limit: rules.max_message_bytes });
    }
    Ok(Assigned { header: BatchHeader::parse(&bytes)?, rebuilt: Some(bytes) })
}
