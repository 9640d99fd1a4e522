//! LZ4: one frame of independent 64 KiB blocks, as Kafka writes it.
//!
//! ```text
//! 04 22 4d 18   magic
//! 60            flags: version 1, independent blocks, no checksums, no content size
//! 40            block size: 64 KiB
//! 82            second byte of xxHash32 over flags and block size
//! ( size:u32 LE (bit 31: stored as it is)  block )*
//! 00 00 00 00   end
//! ```
//! Kafka's reader is stricter than most: linked blocks and dictionaries are refused, and so is anything behind the end
//! of the first frame; block checksums are verified, content size and content checksum are skipped. The frame is read
//! and written here, because general libraries accept and produce more than that.

use std::hash::Hasher;

use twox_hash::XxHash32;

use super::{Codec, CodecError, make_room};

const MAGIC: [u8; 4] = [0x04, 0x22, 0x4d, 0x18];
const FLAGS: u8 = 0x60;
const BLOCK_SIZE_64_KIB: u8 = 0x40;
const BLOCK_BYTES: usize = 64 * 1024;
const STORED: u32 = 0x8000_0000;

/// Whether the header's checksum must hold.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum HeaderChecksum {
    Verified,
    Ignored,
}

fn xxhash32(bytes: &[u8]) -> u32 {
    let mut hasher = XxHash32::with_seed(0);
    hasher.write(bytes);
    hasher.finish() as u32
}

pub(super) fn compress(raw: &[u8], out: &mut Vec<u8>) -> Result<(), CodecError> {
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&[FLAGS, BLOCK_SIZE_64_KIB, (xxhash32(&[FLAGS, BLOCK_SIZE_64_KIB]) >> 8) as u8]);
    for block in raw.chunks(BLOCK_BYTES) {
        let at = out.len();
        out.resize(at + 4 + lz4_flex::block::get_maximum_output_size(block.len()), 0);
        let length = lz4_flex::block::compress_into(block, &mut out[at + 4..]).map_err(|e| Codec::Lz4.malformed(e))?;
        let size = if length < block.len() {
            length as u32
        } else {
            out[at + 4..at + 4 + block.len()].copy_from_slice(block);
            block.len() as u32 | STORED
        };
        out[at..at + 4].copy_from_slice(&size.to_le_bytes());
        out.truncate(at + 4 + (size & !STORED) as usize);
    }
    out.extend_from_slice(&[0; 4]);
    Ok(())
}

fn take<'a>(bytes: &'a [u8], at: &mut usize, count: usize) -> Result<&'a [u8], CodecError> {
    let end = at.checked_add(count).filter(|end| *end <= bytes.len());
    let end = end.ok_or_else(|| Codec::Lz4.malformed("the frame is cut off"))?;
    let taken = &bytes[*at..end];
    *at = end;
    Ok(taken)
}

fn take_u32(bytes: &[u8], at: &mut usize) -> Result<u32, CodecError> {
    let field = take(bytes, at, 4)?;
    Ok(u32::from_le_bytes([field[0], field[1], field[2], field[3]]))
}

struct Frame {
    block_bytes: usize,
    has_block_checksums: bool,
    has_content_checksum: bool,
}

fn read_header(bytes: &[u8], at: &mut usize, checksum: HeaderChecksum) -> Result<Frame, CodecError> {
    let refuse = |what: &str| Err(Codec::Lz4.malformed(what));
    if take(bytes, at, 4)? != MAGIC {
        return refuse("it does not begin with the frame magic");
    }
    let from = *at;
    let fields = take(bytes, at, 2)?;
    let (flags, descriptor) = (fields[0], fields[1]);
    if flags >> 6 != 1 {
        return refuse("the frame version is not 1");
    }
    if flags & 0x20 == 0 {
        return refuse("its blocks depend on each other");
    }
    if flags & 0x03 != 0 || descriptor & 0x8f != 0 {
        return refuse("reserved bits are set");
    }
    let block_bytes = match descriptor >> 4 {
        size @ 4..=7 => 1usize << (8 + 2 * size),
        _ => return refuse("the block size code is not 4 to 7"),
    };
    if flags & 0x08 != 0 {
        take(bytes, at, 8)?; // content size
    }
    let expected = (xxhash32(&bytes[from..*at]) >> 8) as u8;
    let stored = take(bytes, at, 1)?[0];
    if checksum == HeaderChecksum::Verified && stored != expected {
        return refuse("the header checksum does not hold");
    }
    Ok(Frame { block_bytes, has_block_checksums: flags & 0x10 != 0, has_content_checksum: flags & 0x04 != 0 })
}

pub(super) fn decompress(
    compressed: &[u8],
    most: usize,
    checksum: HeaderChecksum,
    out: &mut Vec<u8>,
) -> Result<(), CodecError> {
    let before = out.len();
    let end = before.saturating_add(most);
    let mut at = 0;
    let frame = read_header(compressed, &mut at, checksum)?;
    loop {
        let size = take_u32(compressed, &mut at)?;
        if size == 0 {
            break;
        }
        let length = (size & !STORED) as usize;
        if length > frame.block_bytes {
            return Err(Codec::Lz4.malformed(format!("a block of {length} bytes is above {}", frame.block_bytes)));
        }
        let block = take(compressed, &mut at, length)?;
        if frame.has_block_checksums && take_u32(compressed, &mut at)? != xxhash32(block) {
            return Err(Codec::Lz4.malformed("a block checksum does not hold"));
        }
        let left = most - (out.len() - before);
        if size & STORED == 0 {
            let start = out.len();
            let room = frame.block_bytes.min(left);
            make_room(out, room, end);
            out.resize(start + room, 0);
            let got = lz4_flex::block::decompress_into(block, &mut out[start..]).map_err(|e| match e {
                lz4_flex::block::DecompressError::OutputTooSmall { .. } if room < frame.block_bytes => {
                    CodecError::TooLarge { codec: Codec::Lz4, limit: most }
                }
                e => Codec::Lz4.malformed(e),
            })?;
            out.truncate(start + got);
        } else if length > left {
            return Err(CodecError::TooLarge { codec: Codec::Lz4, limit: most });
        } else {
            make_room(out, length, end);
            out.extend_from_slice(block);
        }
    }
    if frame.has_content_checksum {
        take(compressed, &mut at, 4)?;
    }
    if at == compressed.len() { Ok(()) } else { Err(Codec::Lz4.malformed("something follows the first frame")) }
}
