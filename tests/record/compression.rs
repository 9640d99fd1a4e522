//! The four codecs: the frames that klog writes, and the way back.

use klog::record::{Codec, CodecError, Compression, compress, decompress};
use proptest::prelude::*;

use crate::vectors::{batch, hex};

const COMPRESSING: [Codec; 4] = [Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd];

fn compressed_at(codec: Codec, level: i32, raw: &[u8]) -> Vec<u8> {
    let mut out = vec![0xee; 3];
    compress(Compression { codec, level }, raw, &mut out).unwrap();
    assert_eq!(out[..3], [0xee; 3], "{codec} leaves alone what was there");
    out.split_off(3)
}

fn compressed(codec: Codec, raw: &[u8]) -> Vec<u8> {
    compressed_at(codec, Compression::default_of(codec).level, raw)
}

fn decompressed(codec: Codec, bytes: &[u8], most: usize) -> Result<Vec<u8>, CodecError> {
    let mut out = vec![0xee; 3];
    decompress(codec, bytes, most, &mut out)?;
    assert_eq!(out[..3], [0xee; 3], "{codec} leaves alone what was there");
    Ok(out.split_off(3))
}

/// Bytes that no codec makes smaller; always the same for a seed.
fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed | 1;
    let step = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 24) as u8
    };
    (0..length).map(step).collect()
}

/// The uncompressed records of a golden batch: 1160 bytes.
fn records() -> Vec<u8> {
    batch("codec-none-20").split_off(61)
}

#[test]
fn codecs_have_kafkas_numbers_and_names() {
    for (bits, name) in ["none", "gzip", "snappy", "lz4", "zstd"].into_iter().enumerate() {
        let codec = Codec::from_bits(bits as u8).unwrap();
        assert_eq!((codec as usize, codec.name(), codec.to_string().as_str()), (bits, name, name));
        assert_eq!(Codec::by_name(name), Some(codec));
    }
    for bits in 5..=7 {
        assert_eq!(Codec::from_bits(bits), Err(CodecError::Unknown(bits)));
    }
    assert_eq!(Codec::by_name("GZIP"), None);
    assert_eq!(Compression::default_of(Codec::Gzip).level, -1);
    assert_eq!(Compression::default_of(Codec::Zstd).level, 3);
}

#[test]
fn gzip_is_a_member_as_java_writes_it() {
    for level in [-1, 1, 2, 3, 4, 5, 6, 7, 8, 9] {
        let bytes = compressed_at(Codec::Gzip, level, &records());
        // Deflate, no flags, time 0, no extra flags, unknown system.
        assert_eq!(bytes[..10], hex("1f8b 08 00 00000000 00 ff"), "level {level}");
        let trailer = &bytes[bytes.len() - 8..];
        assert_eq!(trailer[..4], klog::record::crc32(&records()).to_le_bytes());
        assert_eq!(trailer[4..], 1160u32.to_le_bytes());
    }
}

/// Lengths of what follows a header of `from` bytes: a length as `read` reads it, and so many bytes, up to the end.
fn walk(bytes: &[u8], from: usize, read: impl Fn([u8; 4]) -> usize) -> Vec<(usize, &[u8])> {
    let (mut at, mut blocks) = (from, Vec::new());
    while at < bytes.len() {
        let size = read(bytes[at..at + 4].try_into().unwrap());
        let length = size & 0x7fff_ffff;
        blocks.push((size, &bytes[at + 4..at + 4 + length]));
        at += 4 + length;
    }
    assert_eq!(at, bytes.len());
    blocks
}

#[test]
fn snappy_is_in_xerials_frame() {
    let bytes = compressed(Codec::Snappy, &vec![7; 32_768 * 2 + 5]);
    assert_eq!(bytes[..16], hex("82534e4150505900 00000001 00000001"));
    let blocks = walk(&bytes, 16, |length| u32::from_be_bytes(length) as usize);
    // A raw block begins with the length of what it holds: 32768, 32768 and 5.
    let lengths: Vec<&[u8]> = blocks.iter().map(|(_, block)| &block[..if block[0] < 0x80 { 1 } else { 3 }]).collect();
    assert_eq!(lengths, [&[0x80, 0x80, 0x02][..], &[0x80, 0x80, 0x02], &[5]]);
}

#[test]
fn lz4_is_one_frame_of_independent_blocks() {
    let bytes = compressed(Codec::Lz4, &records());
    assert_eq!(bytes[..7], hex("04224d18 60 40 82"));
    assert_eq!(bytes[bytes.len() - 4..], [0; 4], "the end mark");
    let raw = [vec![7; 65_536], noise(1, 65_536), vec![9; 3], noise(2, 65_536)].concat();
    let bytes = compressed(Codec::Lz4, &raw);
    let blocks = walk(&bytes, 7, |size| u32::from_le_bytes(size) as usize);
    assert_eq!(blocks.len(), 5, "four of at most 64 KiB and the end");
    assert_eq!(blocks[0].0, blocks[0].1.len(), "the first is compressed");
    assert!(blocks[0].0 < 1000);
    for (at, range) in [(1, 65_536..131_072), (2, 131_072..196_608)] {
        assert_eq!(blocks[at].0, 0x8001_0000, "noise is stored as it is");
        assert_eq!(blocks[at].1, &raw[range]);
    }
    assert_eq!(blocks[3].1, &raw[196_608..], "so is a rest of three bytes of noise");
    assert_eq!(blocks[4].0, 0);
}

#[test]
fn zstd_is_one_frame_without_size_or_checksum() {
    for level in [-131_072, -5, -1, 1, 3, 19, 22] {
        let bytes = compressed_at(Codec::Zstd, level, &records());
        assert_eq!(bytes[..4], hex("28b52ffd"));
        assert_eq!(bytes[4], 0, "a window, no content size, no checksum, no dictionary");
        assert_eq!(decompressed(Codec::Zstd, &bytes, 1160), Ok(records()), "level {level}");
    }
}

#[test]
fn compression_makes_records_smaller() {
    for codec in COMPRESSING {
        let bytes = compressed(codec, &records());
        assert!(bytes.len() < 500, "{codec}: {}", bytes.len());
    }
    assert_eq!(compressed(Codec::None, &records()), records());
}

#[test]
fn nothing_is_compressed_to_something_that_holds_nothing() {
    for codec in Codec::ALL {
        assert_eq!(decompressed(codec, &compressed(codec, &[]), 0), Ok(Vec::new()), "{codec}");
    }
    assert_eq!(compressed(Codec::Lz4, &[]), hex("04224d18 60 40 82 00000000"));
    assert_eq!(compressed(Codec::Snappy, &[]).len(), 16);
}

#[test]
fn streams_that_are_cut_off_are_refused() {
    for codec in COMPRESSING {
        let bytes = compressed(codec, &records());
        for length in 1..bytes.len() {
            let result = decompressed(codec, &bytes[..length], 1 << 20);
            // A snappy stream has no end mark: cut between blocks it is a shorter one, and the records are missed later.
            if codec == Codec::Snappy && length == 16 {
                assert_eq!(result, Ok(Vec::new()));
            } else {
                assert!(matches!(result, Err(CodecError::Malformed { .. })), "{codec} cut to {length}: {result:?}");
            }
        }
        let _ = decompressed(codec, &[], 1 << 20);
    }
}

#[test]
fn another_codecs_stream_is_refused() {
    for written in COMPRESSING {
        let bytes = compressed(written, &records());
        for read in COMPRESSING {
            let result = decompressed(read, &bytes, 1 << 20);
            assert_eq!(result.is_ok(), read == written, "{written} read as {read}: {result:?}");
        }
    }
}

#[test]
fn errors_say_which_stream_and_what() {
    let cut = decompressed(Codec::Lz4, &compressed(Codec::Lz4, &records())[..40], 1 << 20).unwrap_err();
    assert_eq!(cut.to_string(), "the lz4 stream is damaged: the frame is cut off");
    let large = decompressed(Codec::Zstd, &compressed(Codec::Zstd, &records()), 100).unwrap_err();
    assert_eq!(large.to_string(), "the zstd stream holds more than 100 bytes");
    assert_eq!(Codec::from_bits(7).unwrap_err().to_string(), "codec 7 does not exist");
}

fn raw(seed: u64, length: usize, run: usize) -> Vec<u8> {
    let noise = noise(seed, length / run + 1);
    noise.iter().flat_map(|byte| std::iter::repeat_n(*byte, run)).take(length).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_was_compressed_comes_back(
        seed in any::<u64>(),
        length in prop_oneof![0usize..300, 32_700usize..32_800, 65_500usize..65_600, 0usize..200 * 1024],
        run in prop_oneof![Just(1usize), 2usize..9, 100usize..5000],
    ) {
        let raw = raw(seed, length, run);
        for codec in Codec::ALL {
            let bytes = compressed(codec, &raw);
            prop_assert!(decompressed(codec, &bytes, length).as_ref() == Ok(&raw), "{} of {} bytes", codec, length);
            if length > 0 {
                let too_large = Err(CodecError::TooLarge { codec, limit: length - 1 });
                prop_assert!(decompressed(codec, &bytes, length - 1) == too_large, "{} of {} bytes", codec, length);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn garbage_never_panics(garbage in proptest::collection::vec(any::<u8>(), 0..200), kept in 0usize..30) {
        for codec in COMPRESSING {
            // Once from the first byte, once behind a beginning that makes sense.
            let bytes = compressed(codec, b"some records, some records");
            let beginning = &bytes[..kept.min(bytes.len())];
            for bytes in [garbage.clone(), [beginning, &garbage].concat()] {
                if let Ok(found) = decompressed(codec, &bytes, 10_000) {
                    prop_assert!(found.len() <= 10_000);
                }
            }
        }
    }

    #[test]
    fn changed_bytes_never_panic(at in 0usize..500, byte in any::<u8>(), most in 0usize..2000) {
        for codec in COMPRESSING {
            let mut bytes = compressed(codec, &records());
            let at = at % bytes.len();
            bytes[at] = byte;
            if let Ok(found) = decompressed(codec, &bytes, most) {
                prop_assert!(found.len() <= most);
            }
        }
    }
}
