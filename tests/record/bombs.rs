//! Small streams that stand for a great deal: refused at the limit, and without making room for what they claim.

use std::io::Write;

use flate2::{Compression as Level, write::GzEncoder};
use klog::record::{Codec, CodecError, decompress};

use crate::vectors::hex;

/// The greatest piece that any of the formats is decoded in, LZ4's 4 MiB blocks apart.
const BLOCK: usize = 128 * 1024;

/// Decompresses up to `most` bytes of `bytes`, behind others that were there. The room taken is `most` and `block`.
fn decompressed(codec: Codec, bytes: &[u8], most: usize, block: usize) -> Result<Vec<u8>, CodecError> {
    let mut out = vec![0xee; 3];
    let result = decompress(codec, bytes, most, &mut out);
    let room = out.capacity();
    assert!(room <= 3 + most + block, "{codec}: {room} bytes of room for at most {most}");
    assert_eq!(out[..3], [0xee; 3]);
    result.map(|()| out.split_off(3))
}

/// A bomb of `holds` zeros: refused below that, whatever the limit, and read at it.
fn explodes_at(codec: Codec, bytes: &[u8], holds: usize, block: usize) {
    assert!(bytes.len() * 10 < holds, "{codec}: {} bytes are no bomb", bytes.len());
    for most in [0, 1, 1000, 32 * 1024, 65_536, 65_537, 1_000_000, 1 << 20, (1 << 20) + 1, holds - 1] {
        let too_large = Err(CodecError::TooLarge { codec, limit: most });
        assert_eq!(decompressed(codec, bytes, most, block), too_large, "{codec}");
    }
    let found = decompressed(codec, bytes, holds, block).unwrap();
    assert_eq!((found.len(), found.iter().all(|byte| *byte == 0)), (holds, true), "{codec}");
}

fn gzip(holds: usize) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Level::best());
    encoder.write_all(&vec![0; holds]).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn gzip_bombs_are_refused() {
    explodes_at(Codec::Gzip, &gzip(8 << 20), 8 << 20, BLOCK);
    let members = [gzip(4 << 20), gzip(3 << 20)].concat();
    explodes_at(Codec::Gzip, &members, 7 << 20, BLOCK);
}

/// A raw block of zeros: one literal, then copies of 64 bytes from one byte before. `holds` is a multiple of 64, plus 1.
fn snappy_block(holds: usize) -> Vec<u8> {
    let mut block = Vec::new();
    klog::record::write_uvarint(&mut block, holds as u32);
    block.extend_from_slice(&[0, 0]);
    for _ in 0..holds / 64 {
        block.extend_from_slice(&[(63 << 2) | 2, 1, 0]);
    }
    block
}

#[test]
fn snappy_bombs_are_refused() {
    // A bare block of any size, and blocks in xerial's frame.
    let holds = (2 << 20) + 1;
    explodes_at(Codec::Snappy, &snappy_block(holds), holds, BLOCK);
    let mut stream = hex("82534e4150505900 00000001 00000001");
    for _ in 0..100 {
        let block = snappy_block(32_769);
        stream.extend_from_slice(&(block.len() as i32).to_be_bytes());
        stream.extend_from_slice(&block);
    }
    explodes_at(Codec::Snappy, &stream, 3_276_900, BLOCK);
}

#[test]
fn a_snappy_block_that_lies_about_its_length_gets_no_room() {
    for claims in [i32::MAX as u32, u32::MAX] {
        let mut block = Vec::new();
        klog::record::write_uvarint(&mut block, claims);
        block.extend_from_slice(&[0, 0, (63 << 2) | 2, 1, 0]);
        let mut out = Vec::new();
        let result = decompress(Codec::Snappy, &block, u32::MAX as usize, &mut out);
        assert!(matches!(result, Err(CodecError::Malformed { codec: Codec::Snappy, .. })), "{result:?}");
        assert!(out.capacity() < 4096, "{}", out.capacity());
    }
}

/// A block of `holds` zeros: a literal, one match of nearly everything, and the five literals that end each block.
fn lz4_block(holds: usize) -> Vec<u8> {
    let mut block = vec![0x1f, 0, 1, 0];
    let more = holds - 6 - 19;
    block.resize(block.len() + more / 255, 255);
    block.push((more % 255) as u8);
    block.extend_from_slice(&[0x50, 0, 0, 0, 0, 0]);
    block
}

fn lz4_frame(header: &str, block: &[u8], count: usize) -> Vec<u8> {
    let mut frame = hex(header);
    for _ in 0..count {
        frame.extend_from_slice(&(block.len() as u32).to_le_bytes());
        frame.extend_from_slice(block);
    }
    frame.extend_from_slice(&[0; 4]);
    frame
}

const LZ4_64_KIB: &str = "04224d18 60 40 82";
const LZ4_4_MIB: &str = "04224d18 60 70 73";

#[test]
fn lz4_bombs_are_refused() {
    let frame = lz4_frame(LZ4_64_KIB, &lz4_block(65_536), 50);
    explodes_at(Codec::Lz4, &frame, 50 * 65_536, BLOCK);
    let frame = lz4_frame(LZ4_4_MIB, &lz4_block(4 << 20), 2);
    explodes_at(Codec::Lz4, &frame, 8 << 20, 4 << 20);
}

#[test]
fn an_lz4_block_above_the_block_size_of_its_frame_is_refused() {
    for (block, why) in [(lz4_block(65_537), "what it holds"), (vec![0; 65_537], "what is stored")] {
        let frame = lz4_frame(LZ4_64_KIB, &block, 1);
        let result = decompressed(Codec::Lz4, &frame, 1 << 20, BLOCK);
        assert!(matches!(result, Err(CodecError::Malformed { codec: Codec::Lz4, .. })), "{why}: {result:?}");
    }
    let mut stored = hex(LZ4_64_KIB);
    stored.extend_from_slice(&0x8001_0001u32.to_le_bytes());
    stored.extend_from_slice(&vec![0; 65_541]);
    let result = decompressed(Codec::Lz4, &stored, 1 << 20, BLOCK);
    assert!(matches!(result, Err(CodecError::Malformed { codec: Codec::Lz4, .. })), "{result:?}");
}

/// A frame of run-length blocks: four bytes for 128 KiB each.
fn zstd_frame(blocks: usize) -> Vec<u8> {
    let mut frame = hex("28b52ffd 00 58");
    for left in (0..blocks).rev() {
        let header = u32::from(left == 0) | 1 << 1 | (BLOCK as u32) << 3;
        frame.extend_from_slice(&header.to_le_bytes()[..3]);
        frame.push(0);
    }
    frame
}

#[test]
fn zstd_bombs_are_refused() {
    explodes_at(Codec::Zstd, &zstd_frame(40), 40 * BLOCK, BLOCK);
    let frames = [zstd_frame(20), zstd_frame(20)].concat();
    explodes_at(Codec::Zstd, &frames, 40 * BLOCK, BLOCK);
}

#[test]
fn a_zstd_frame_that_wants_an_absurd_window_is_refused() {
    let mut frame = zstd_frame(1);
    frame[5] = 0xf8; // 2 to the 41
    let result = decompressed(Codec::Zstd, &frame, 1 << 20, BLOCK);
    assert!(matches!(result, Err(CodecError::Malformed { codec: Codec::Zstd, .. })), "{result:?}");
}

#[test]
fn uncompressed_bytes_have_the_limit_too() {
    assert_eq!(decompressed(Codec::None, &[0; 10], 10, 0), Ok(vec![0; 10]));
    let too_large = Err(CodecError::TooLarge { codec: Codec::None, limit: 9 });
    assert_eq!(decompressed(Codec::None, &[0; 10], 9, 0), too_large);
}
