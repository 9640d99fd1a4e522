//! Reading: batch by batch through memory, checksums checked, every record found.

use std::fs::File;
use std::hint::black_box;
use std::os::unix::fs::FileExt;

use crate::Result;
use crate::system::MappedFile;

const LENGTH_AT: usize = 8;
const CRC_AT: usize = 17;
const ATTRIBUTES_AT: usize = 21;
const RECORDS_AT: usize = 61;
const COUNT_AT: usize = 57;
const OVERHEAD: usize = 12;

/// What is read at once: less than a processor's cache holds, more than a call costs.
const READ_BYTES: usize = 256 << 10;

/// Maps a segment and goes over every record; returns how many there are.
pub(crate) fn walk_mapped(file: &File) -> Result<usize> {
    Ok(walk(&MappedFile::new(file)?)?.0)
}

/// As [`walk_mapped`], with the segment copied piece by piece into one buffer.
pub(crate) fn walk_copied(file: &File) -> Result<usize> {
    let mut buffer = vec![0; READ_BYTES];
    let (mut records, mut position) = (0, 0);
    loop {
        let read = file.read_at(&mut buffer, position)?;
        let (found, bytes) = walk(&buffer[..read])?;
        if bytes == 0 {
            return Ok(records);
        }
        records += found;
        position += bytes as u64;
    }
}

/// Goes over every record of the batches that are there whole; returns how many, and where they end.
pub(crate) fn walk(bytes: &[u8]) -> Result<(usize, usize)> {
    let mut records = 0;
    let mut rest = bytes;
    while rest.len() > RECORDS_AT {
        let size = OVERHEAD + number_at(rest, LENGTH_AT) as usize;
        let Some((batch, behind)) = rest.split_at_checked(size) else { break };
        if crc32c::crc32c(&batch[ATTRIBUTES_AT..]) != number_at(batch, CRC_AT) {
            return Err("the floor read a batch that it did not write".into());
        }
        let count = number_at(batch, COUNT_AT);
        let mut at = RECORDS_AT;
        for _ in 0..count {
            at = walk_record(batch, at);
        }
        records += count as usize;
        rest = behind;
    }
    Ok((records, bytes.len() - rest.len()))
}

/// Finds the value of a record; returns where the next one begins.
#[inline]
fn walk_record(batch: &[u8], mut at: usize) -> usize {
    let body = varint(batch, &mut at);
    let next = at + body as usize;
    at += 1; // attributes
    let _timestamp_delta = varint(batch, &mut at);
    let _offset_delta = varint(batch, &mut at);
    let key_len = varint(batch, &mut at);
    at += key_len.max(0) as usize;
    let value_len = varint(batch, &mut at);
    black_box(&batch[at..at + value_len.max(0) as usize]);
    next
}

fn number_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

#[inline]
fn varint(bytes: &[u8], at: &mut usize) -> i32 {
    let (mut value, mut shift) = (0u32, 0);
    loop {
        let byte = bytes[*at];
        *at += 1;
        value |= u32::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return (value >> 1) as i32 ^ -((value & 1) as i32);
        }
        shift += 7;
    }
}
