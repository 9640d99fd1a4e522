//! Mutations that keep a file of batches a file of batches.
//!
//! Bytes changed at random never get past a checksum, so three of four mutations change one batch and make its length and
//! checksum right again. The fourth changes the file as it is.

use klog::record::{BatchHeader, HEADER_BYTES, LOG_OVERHEAD, MINIMUM_READ, crc32, seal};
use libfuzzer_sys::fuzzer_mutate;

const LENGTH_AT: usize = 8;
const LEGACY_CRC_AT: usize = 12;
const MAGIC_AT: usize = 16;

/// Changes the first `size` bytes of `data`, which has room for `max_size`, and says how many there are now.
pub fn mutate_batches(data: &mut [u8], size: usize, max_size: usize, seed: u32) -> usize {
    let mut batches = split(&data[..size]);
    let count = batches.len();
    if seed.is_multiple_of(4) || count == 0 {
        return fuzzer_mutate(data, size, max_size);
    }
    let choice = (seed >> 8) as usize % count;
    match seed >> 2 & 7 {
        0 => drop(batches.remove(choice)),
        1 => batches.insert(choice, batches[choice].clone()),
        2 => batches.swap(choice, 0),
        3 => follow_each_other(&mut batches),
        _ => change(&mut batches[choice], max_size.saturating_sub(size)),
    }
    let file = batches.concat();
    let size = file.len().min(max_size);
    data[..size].copy_from_slice(&file[..size]);
    size
}

/// The batches of a file; what is no batch is one piece at the end.
fn split(mut bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut batches = Vec::new();
    while !bytes.is_empty() {
        let size = BatchHeader::peek(bytes).map_or(bytes.len(), |(size, _)| size.min(bytes.len()));
        let (batch, rest) = bytes.split_at(size);
        batches.push(batch.to_vec());
        bytes = rest;
    }
    batches
}

fn change(batch: &mut Vec<u8>, room: usize) {
    let size = batch.len();
    batch.resize(size + room, 0);
    let size = fuzzer_mutate(batch, size, size + room);
    batch.truncate(size);
    if size < MINIMUM_READ {
        return;
    }
    batch[LENGTH_AT..LENGTH_AT + 4].copy_from_slice(&((size - LOG_OVERHEAD) as i32).to_be_bytes());
    match batch[MAGIC_AT] {
        0 | 1 => {
            let crc = crc32(&batch[MAGIC_AT..]);
            batch[LEGACY_CRC_AT..LEGACY_CRC_AT + 4].copy_from_slice(&crc.to_be_bytes());
        }
        2 if size >= HEADER_BYTES => seal(batch),
        _ => {}
    }
}

/// Gives every batch of version 2 the offset behind the one before, which the checksum does not cover.
fn follow_each_other(batches: &mut [Vec<u8>]) {
    let mut next = 0;
    for batch in batches {
        if let Ok(header) = BatchHeader::parse(batch)
            && header.magic == 2
        {
            batch[..LENGTH_AT].copy_from_slice(&i64::to_be_bytes(next));
            next = next.saturating_add(i64::from(header.last_offset_delta.max(0)) + 1);
        }
    }
}
