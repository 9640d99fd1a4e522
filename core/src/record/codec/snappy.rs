//! Snappy blocks in xerial's framing, not in Snappy's own.
//!
//! ```text
//! 82 53 4e 41 50 50 59 00   magic
//! 00 00 00 01 00 00 00 01   version, lowest compatible version
//! ( length:i32  block[length] )*
//! ```

use super::{Codec, CodecError, make_room};

const MAGIC: [u8; 8] = *b"\x82SNAPPY\0";
const HEADER_BYTES: usize = 16;
/// Uncompressed bytes of a block, as xerial's Java library makes them.
const BLOCK_BYTES: usize = 32 * 1024;

pub(super) fn compress(raw: &[u8], out: &mut Vec<u8>) -> Result<(), CodecError> {
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&[0, 0, 0, 1, 0, 0, 0, 1]);
    let mut encoder = snap::raw::Encoder::new();
    for block in raw.chunks(BLOCK_BYTES) {
        let at = out.len();
        out.resize(at + 4 + snap::raw::max_compress_len(block.len()), 0);
        let length = encoder.compress(block, &mut out[at + 4..]).map_err(|e| Codec::Snappy.malformed(e))?;
        out[at..at + 4].copy_from_slice(&(length as i32).to_be_bytes());
        out.truncate(at + 4 + length);
    }
    Ok(())
}

pub(super) fn decompress(compressed: &[u8], most: usize, out: &mut Vec<u8>) -> Result<(), CodecError> {
    let before = out.len();
    if !compressed.starts_with(&MAGIC) {
        return block(compressed, before, most, out); // some producers send a bare block
    }
    let mut at = 0;
    while at < compressed.len() {
        if compressed[at..].starts_with(&MAGIC) {
            at += HEADER_BYTES; // streams may follow each other; versions are not checked, some wrote them little-endian
            if at > compressed.len() {
                return Err(Codec::Snappy.malformed("a stream header is cut off"));
            }
            continue;
        }
        let length = compressed.get(at..at + 4).ok_or_else(|| Codec::Snappy.malformed("a block length is cut off"))?;
        let length = i32::from_be_bytes([length[0], length[1], length[2], length[3]]);
        at += 4;
        let end = usize::try_from(length).ok().and_then(|length| at.checked_add(length));
        let bytes = end.and_then(|end| compressed.get(at..end));
        let bytes = bytes.ok_or_else(|| Codec::Snappy.malformed(format!("a block of {length} bytes is cut off")))?;
        at += bytes.len();
        block(bytes, before, most, out)?;
    }
    Ok(())
}

/// Appends what one block holds. The stream began at `before` and may hold `most` bytes.
fn block(bytes: &[u8], before: usize, most: usize, out: &mut Vec<u8>) -> Result<(), CodecError> {
    let length = snap::raw::decompress_len(bytes).map_err(|e| Codec::Snappy.malformed(e))?;
    if length > most - (out.len() - before) {
        return Err(CodecError::TooLarge { codec: Codec::Snappy, limit: most });
    }
    // A block cannot stand for more than 64 bytes a byte or so; a length far beyond is a lie, not a reason to allocate.
    if length > bytes.len().saturating_mul(64) + 64 {
        return Err(Codec::Snappy.malformed(format!("{} bytes cannot hold {length}", bytes.len())));
    }
    let at = out.len();
    make_room(out, length, before.saturating_add(most));
    out.resize(at + length, 0);
    let got = snap::raw::Decoder::new().decompress(bytes, &mut out[at..]).map_err(|e| Codec::Snappy.malformed(e))?;
    out.truncate(at + got);
    Ok(())
}
