//! `.snapshot`: producer state up to an offset.
//!
//! ```text
//! version:i16=1 crc:u32 count:i32 ( producerId:i64 epoch:i16 lastSequence:i32 lastOffset:i64 offsetDelta:i32
//!                                   timestamp:i64 coordinatorEpoch:i32 currentTxnFirstOffset:i64 )*
//! ```
//! The CRC-32C covers what follows it. The file's name is the offset up to which batches are covered, exclusive. Only the
//! last batch of a producer is kept.
//!
//! Source: `org.apache.kafka.storage.internals.log.ProducerStateManager#readSnapshot`.

use std::collections::VecDeque;

use super::producers::{AppendedBatch, ProducerEntry, ProducerState};
use crate::record::{Reader, Writer};
use crate::types::{Offset, ProducerId, TimestampMs};

const CRC_AT: usize = 2;
const COUNT_AT: usize = 6;
const ENTRIES_AT: usize = 10;
const ENTRY_BYTES: usize = 46;

/// Reads a snapshot; the error says why it cannot be used.
pub fn parse_snapshot(bytes: &[u8]) -> Result<ProducerState, String> {
    let cut_off = || "it is cut off".to_owned();
    let mut reader = Reader::new(bytes);
    let version = reader.i16().ok_or_else(cut_off)?;
    if version != 1 {
        return Err(format!("its version is {version}, and 1 is known"));
    }
    let stored = reader.i32().ok_or_else(cut_off)? as u32;
    let computed = crc32c::crc32c(&bytes[COUNT_AT..]);
    if stored != computed {
        return Err(format!("CRC {stored:08x} is stored and {computed:08x} is computed"));
    }
    let count = reader.i32().ok_or_else(cut_off)?;
    let entries = bytes.len() - ENTRIES_AT;
    if usize::try_from(count).ok().and_then(|count| count.checked_mul(ENTRY_BYTES)) != Some(entries) {
        return Err(format!("it has {entries} bytes of producers and says {count} of {ENTRY_BYTES}"));
    }
    let mut state = ProducerState::default();
    for _ in 0..count {
        let (id, entry) = parse_entry(&mut reader).ok_or_else(cut_off)?;
        state.restore(id, entry);
    }
    Ok(state)
}

fn parse_entry(reader: &mut Reader<'_>) -> Option<(ProducerId, ProducerEntry)> {
    let id = ProducerId(reader.i64()?);
    let epoch = reader.i16()?;
    let last_sequence = reader.i32()?;
    let last_offset = Offset(reader.i64()?);
    let offset_delta = reader.i32()?;
    let timestamp = TimestampMs(reader.i64()?);
    let coordinator_epoch = reader.i32()?;
    let transaction_start = reader.i64()?;
    let mut batches = VecDeque::new();
    if last_offset.0 >= 0 {
        batches.push_back(AppendedBatch { last_sequence, last_offset, offset_delta, timestamp });
    }
    let transaction_start = (transaction_start >= 0).then_some(Offset(transaction_start));
    Some((id, ProducerEntry { epoch, batches, coordinator_epoch, last_timestamp: timestamp, transaction_start }))
}

/// The content of a snapshot; producers in the order of their ids.
pub fn format_snapshot(state: &ProducerState) -> Vec<u8> {
    let mut producers: Vec<_> = state.iter().collect();
    producers.sort_by_key(|(id, _)| *id);
    let mut writer = Writer::default();
    writer.put_i16(1).put_i32(0).put_i32(producers.len() as i32);
    for (id, entry) in producers {
        let last = entry.batches.back();
        writer
            .put_i64(id.0)
            .put_i16(entry.epoch)
            .put_i32(last.map_or(-1, |batch| batch.last_sequence))
            .put_i64(last.map_or(-1, |batch| batch.last_offset.0))
            .put_i32(last.map_or(0, |batch| batch.offset_delta))
            .put_i64(entry.last_timestamp.0)
            .put_i32(entry.coordinator_epoch)
            .put_i64(entry.transaction_start.map_or(-1, |offset| offset.0));
    }
    let mut bytes = writer.into_bytes();
    debug_assert_eq!((bytes.len() - ENTRIES_AT) % ENTRY_BYTES, 0);
    let crc = crc32c::crc32c(&bytes[COUNT_AT..]);
    bytes[CRC_AT..COUNT_AT].copy_from_slice(&crc.to_be_bytes());
    bytes
}
