//! A record batch, version 2, encoded in a buffer that is used again.

const LENGTH_AT: usize = 8;
const LEADER_EPOCH_AT: usize = 12;
const CRC_AT: usize = 17;
const ATTRIBUTES_AT: usize = 21;
const RECORDS_AT: usize = 61;
/// The bytes that the length does not count.
const OVERHEAD: usize = 12;

/// Records without keys and headers, all of one time.
pub(crate) struct FloorBatch {
    bytes: Vec<u8>,
    count: i32,
    timestamp: i64,
}

impl FloorBatch {
    pub(crate) fn with_capacity(capacity: usize) -> Self {
        FloorBatch { bytes: Vec::with_capacity(capacity), count: 0, timestamp: 0 }
    }

    /// Empties it.
    pub(crate) fn begin(&mut self, timestamp: i64) {
        self.bytes.clear();
        self.bytes.resize(RECORDS_AT, 0);
        (self.count, self.timestamp) = (0, timestamp);
    }

    /// The bytes that a record of so many bytes adds at most.
    pub(crate) fn bound(value_len: usize) -> usize {
        5 + 1 + 1 + 5 + 1 + 5 + value_len + 1
    }

    #[inline]
    pub(crate) fn push(&mut self, value: &[u8]) {
        let (offset, offset_len) = varint(self.count);
        let (len, len_len) = varint(value.len() as i32);
        let body = 1 + 1 + offset_len + 1 + len_len + value.len() + 1;
        let (size, size_len) = varint(body as i32);
        let out = &mut self.bytes;
        out.extend_from_slice(&size[..size_len]);
        out.extend_from_slice(&[0, 0]); // attributes, timestamp delta
        out.extend_from_slice(&offset[..offset_len]);
        out.push(1); // no key
        out.extend_from_slice(&len[..len_len]);
        out.extend_from_slice(value);
        out.push(0); // no headers
        self.count += 1;
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(crate) fn count(&self) -> i32 {
        self.count
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Writes the header and the checksum.
    pub(crate) fn seal(&mut self) {
        let length = (self.bytes.len() - OVERHEAD) as i32;
        let header = &mut self.bytes[..RECORDS_AT];
        header[..LENGTH_AT].fill(0); // the base offset
        header[LENGTH_AT..LEADER_EPOCH_AT].copy_from_slice(&length.to_be_bytes());
        header[LEADER_EPOCH_AT..16].copy_from_slice(&(-1i32).to_be_bytes());
        header[16] = 2;
        header[ATTRIBUTES_AT..23].fill(0);
        header[23..27].copy_from_slice(&(self.count - 1).to_be_bytes());
        header[27..35].copy_from_slice(&self.timestamp.to_be_bytes());
        header[35..43].copy_from_slice(&self.timestamp.to_be_bytes());
        header[43..57].fill(0xff); // no producer id, epoch, sequence number
        header[57..RECORDS_AT].copy_from_slice(&self.count.to_be_bytes());
        let crc = crc32c::crc32c(&self.bytes[ATTRIBUTES_AT..]);
        self.bytes[CRC_AT..ATTRIBUTES_AT].copy_from_slice(&crc.to_be_bytes());
    }

    /// Gives it its place, which the checksum does not cover.
    pub(super) fn place(&mut self, base_offset: u64, leader_epoch: i32) {
        self.bytes[..LENGTH_AT].copy_from_slice(&base_offset.to_be_bytes());
        self.bytes[LEADER_EPOCH_AT..16].copy_from_slice(&leader_epoch.to_be_bytes());
    }
}

/// A number in zigzag, seven bits to a byte, and how many bytes it takes.
#[inline]
fn varint(value: i32) -> ([u8; 5], usize) {
    let mut rest = ((value << 1) ^ (value >> 31)) as u32;
    let (mut bytes, mut len) = ([0; 5], 0);
    while rest > 0x7f {
        bytes[len] = rest as u8 | 0x80;
        rest >>= 7;
        len += 1;
    }
    bytes[len] = rest as u8;
    (bytes, len + 1)
}
