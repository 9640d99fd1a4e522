//! Frames that other writers make: Kafka reads some and refuses some, and so must klog.
//!
//! The LZ4 and Zstandard frames here were made with the `lz4` 1.9.4 and `zstd` 1.5.4 programs from the 1160 bytes of
//! records of the vector `codec-none-20`; the two halves of the frames that follow each other are 500 and 660 bytes.

use std::io::Write;

use flate2::{Compression as Level, write::GzEncoder};
use klog::record::{BatchError, CodecError};

use crate::vectors::{Decoded, batch, decode, hex, list, resize_and_seal, with_body};

/// `zstd -19 --check`: content size and checksum.
const ZSTD_SIZE_AND_CHECKSUM: &str = "
    28b52ffd648803c50500c2481f17109f03830e3ae808220000c0efa54355a14081020d2c037cdba248d32028cb9e07c3feafcb712cab69aa8a61
    286a597a5794a977532f9284c77cdb1044d38e23cb0c03c38ae2ba08c2b286a1aa0481a282a07700e02d9f9e64c3b76f2ffd7fc5997db855e5f3
    6b76fc9566dfef51d094dd17cb989b245b4409ce791b38a811906ea57db603f035038189b5e2fffffbaf1f7beee33ef6b18ffdd8472b9fa77a4a
    55ed866c62139bb0894d6c6233212e54894d56015521074b";

/// `zstd -19 --no-check`, twice.
const ZSTD_TWO_FRAMES: &str = "
    28b52ffd60f400d503006405700000000a6b65792d305a74686520717569636b2062726f776e20666f78206a756d7073206f766572206c617a79
    20646f672030007000020231310404323206063333080834340a0a35350c0c36360e0e373710103818a810b0ddaf3d03e03507a0a4e5ff7f9479
    32de78c61b6f78e38d78e03152e2ed1428b52ffd6094017d0400d206191840db015739a62cee2452581505501885cc1c1ee5701861528ef1b250
    94a24c539248d27f142108041dc7f31886e314c5bd04e1db9b6b35371806df8ebbfd664ef59fa4887ebfeaed47559bd8839987969fbb5d6186cd
    2020084e3af59cd69e6daff0731da810a0ab5cff33e03507a0246019e5ffdf0713ed769355ac63bf75ace63a5eeefaa73e997cec14";

/// The only block of all frames of the whole, as `lz4 -9` makes it: 330 bytes.
const LZ4_BLOCK: &str = "
    f01b700000000a6b65792d305a74686520717569636b2062726f776e20666f78206a756d7073206f766572201f00f1006c617a7920646f672030
    007000020239001f3139001a6131007000040439001f3239001a6132007000060639001f3339001a6133007000080839001f3439001a61340070
    000a0a39001f3539001a61350070000c0c39001f3639001a61360070000e0e39001f3739001a6137007000101039001f3839001a613800700012
    1239001f3939001a713900740014140c01022f305c02021a623000740016163b001f313b001b623100740018183b001f323b001b62320074001a
    1a3b001f333b001b62330074001c1c3b001f343b001b62340074001e1e3b001f353b001b623500740020203b001f363b001b623600740022223b
    001f373b001b623700740024243b001f383b001b623800740026263b001f393b0018506720313900";

/// `lz4 -9 --no-frame-crc`, twice.
const LZ4_TWO_FRAMES: &str = "
    04224d18604082ae000000f01b700000000a6b65792d305a74686520717569636b2062726f776e20666f78206a756d7073206f766572201f00f1
    006c617a7920646f672030007000020239001f3139001a6131007000040439001f3239001a6132007000060639001f3339001a61330070000808
    39001f3439001a61340070000a0a39001f3539001a61350070000c0c39001f3639001a61360070000e0e39001f3739001a613700700010103900
    1f3839000a5065722074680000000004224d18604082d3000000f72a65206c617a7920646f67203800700012120a6b65792d395a746865207175
    69636b2062726f776e20666f78206a756d7073206f7665722074683900703900740014140c39003f31305c3a001972313000740016163b001f31
    3b001b623100740018183b001f323b001b62320074001a1a3b001f333b001b62330074001c1c3b001f343b001b62340074001e1e3b001f353b00
    1b623500740020203b001f363b001b623600740022223b001f373b001b623700740024243b001f383b001b623800740026263b001f393b001850
    672031390000000000";

const GZIP: i16 = 1;
const SNAPPY: i16 = 2;
const LZ4: i16 = 3;
const ZSTD: i16 = 4;

fn plain() -> Vec<u8> {
    batch("codec-none-20")
}

fn records() -> Vec<u8> {
    plain().split_off(61)
}

/// A batch whose compressed part is `body`.
fn stored(codec: i16, body: &[u8]) -> Vec<u8> {
    with_body(&plain(), codec, body)
}

fn read(batch: &[u8]) -> Result<Vec<Decoded>, BatchError> {
    decode(batch).map(|(_, records)| records)
}

/// A frame of one block; `flags` has the header from the flags on, `tail` what follows the block.
fn lz4(flags: &str, tail: &str) -> Vec<u8> {
    let block = hex(LZ4_BLOCK);
    assert_eq!(block.len(), 330);
    [&hex("04224d18")[..], &hex(flags), &330u32.to_le_bytes(), &block, &hex(tail)].concat()
}

const CONTENT_SIZE_AND_BLOCK_CHECKSUMS: (&str, &str) = ("78 40 8804000000000000 e2", "ea2dce15 00000000");
const CONTENT_CHECKSUM: (&str, &str) = ("64 40 a7", "00000000 1239ffd1");

/// A raw snappy block that holds `bytes` as literals.
fn snappy_block(bytes: &[u8]) -> Vec<u8> {
    let mut block = Vec::new();
    klog::record::write_uvarint(&mut block, bytes.len() as u32);
    for literal in bytes.chunks(256) {
        block.extend_from_slice(&[60 << 2, (literal.len() - 1) as u8]);
        block.extend_from_slice(literal);
    }
    block
}

fn xerial(bytes: &[u8], chunk: usize) -> Vec<u8> {
    let mut stream = hex("82534e4150505900 00000001 00000001");
    for chunk in bytes.chunks(chunk) {
        let block = snappy_block(chunk);
        stream.extend_from_slice(&(block.len() as i32).to_be_bytes());
        stream.extend_from_slice(&block);
    }
    stream
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Level::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// The batch of a case of the vectors.
fn made(case: &str) -> Vec<u8> {
    let records = records();
    let (first, second) = records.split_at(500);
    match case {
        "snappy, raw block without the xerial header" => stored(SNAPPY, &snappy_block(&records)),
        "snappy, xerial header with 300-byte chunks" => stored(SNAPPY, &xerial(&records, 300)),
        "snappy, two concatenated xerial streams" => {
            stored(SNAPPY, &[xerial(first, 32_768), xerial(second, 32_768)].concat())
        }
        "gzip, two concatenated members" => stored(GZIP, &[gzip(first), gzip(second)].concat()),
        "zstd, two concatenated frames" => stored(ZSTD, &hex(ZSTD_TWO_FRAMES)),
        "zstd, frame with content size and checksum" => stored(ZSTD, &hex(ZSTD_SIZE_AND_CHECKSUM)),
        "lz4, independent blocks with content size and block checksums" => {
            let (flags, tail) = CONTENT_SIZE_AND_BLOCK_CHECKSUMS;
            stored(LZ4, &lz4(flags, tail))
        }
        "lz4, content checksum present" => {
            let (flags, tail) = CONTENT_CHECKSUM;
            stored(LZ4, &lz4(flags, tail))
        }
        "lz4, two concatenated frames" => stored(LZ4, &hex(LZ4_TWO_FRAMES)),
        "lz4, dependent (linked) blocks flag" => stored(LZ4, &lz4("40 40 c0", "00000000")),
        "uncompressed, one byte left after the last record" => stored(0, &[&records[..], &[0]].concat()),
        "attribute bits 7 and 8 set" => stored(0x0180, &records),
        "codec id 5" => stored(5, &records),
        "magic 3 in a memory buffer" => {
            let mut bytes = plain();
            bytes[16] = 3;
            resize_and_seal(&mut bytes);
            bytes
        }
        other => panic!("'{other}' has no batch here"),
    }
}

#[test]
fn klog_reads_what_kafka_reads_and_refuses_what_kafka_refuses() {
    let expected = read(&plain()).unwrap();
    assert_eq!(list("compression_interop").len(), 14);
    for vector in list("compression_interop") {
        let case = vector["case"].as_str().unwrap();
        let result = read(&made(case));
        if vector["kafka_reader"].as_str().unwrap().starts_with("accepted") {
            assert_eq!(result.as_ref(), Ok(&expected), "{case}");
        } else {
            assert!(result.is_err(), "{case}");
        }
    }
}

#[test]
fn refusals_have_their_reasons() {
    let error = |case: &str| read(&made(case)).unwrap_err().to_string();
    let damaged = |what: &str| format!("the lz4 stream is damaged: {what}");
    assert_eq!(error("lz4, two concatenated frames"), damaged("something follows the first frame"));
    assert_eq!(error("lz4, dependent (linked) blocks flag"), damaged("its blocks depend on each other"));
    assert_eq!(error("uncompressed, one byte left after the last record"), "1 bytes follow the last record");
    assert_eq!(error("magic 3 in a memory buffer"), "format version (magic) 3 is unknown");
    let (header, unknown) = (plain(), BatchError::Codec(CodecError::Unknown(5)));
    assert_eq!(read(&made("codec id 5")), Err(unknown));
    // The header of such a batch can be read: only who needs the records needs the codec.
    let checked = klog::record::BatchHeader::check(&made("codec id 5")).unwrap();
    assert_eq!(checked.records_count, klog::record::BatchHeader::check(&header).unwrap().records_count);
}

#[test]
fn the_frame_of_this_file_without_extras_is_read() {
    assert_eq!(read(&stored(LZ4, &lz4("60 40 82", "00000000"))), read(&plain()));
}

#[test]
fn lz4_headers_that_do_not_hold_are_refused() {
    // Each has the header checksum of its own bytes, so that only the rule speaks.
    let cases = [
        ("60 40 83", "the header checksum does not hold"),
        ("a0 40 0f", "the frame version is not 1"),
        ("61 40 a1", "reserved bits are set"), // a dictionary
        ("62 40 f0", "reserved bits are set"),
        ("60 c0 2a", "reserved bits are set"),
        ("60 41 bd", "reserved bits are set"),
        ("60 30 d4", "the block size code is not 4 to 7"),
    ];
    for (flags, what) in cases {
        let error = read(&stored(LZ4, &lz4(flags, "00000000"))).unwrap_err();
        assert_eq!(error.to_string(), format!("the lz4 stream is damaged: {what}"), "{flags}");
    }
    let mut frame = lz4("60 40 82", "00000000");
    frame[0] ^= 1;
    read(&stored(LZ4, &frame)).unwrap_err();
    // Greater blocks than 64 KiB may be announced.
    assert_eq!(read(&stored(LZ4, &lz4("60 70 73", "00000000"))), read(&plain()));
}

#[test]
fn lz4_verifies_block_checksums_and_skips_the_one_of_the_content() {
    let (flags, tail) = CONTENT_SIZE_AND_BLOCK_CHECKSUMS;
    let mut frame = lz4(flags, tail);
    let at = frame.len() - 8; // the block's checksum
    frame[at] ^= 1;
    let error = read(&stored(LZ4, &frame)).unwrap_err();
    assert_eq!(error.to_string(), "the lz4 stream is damaged: a block checksum does not hold");

    let (flags, tail) = CONTENT_CHECKSUM;
    let mut frame = lz4(flags, tail);
    let at = frame.len() - 1;
    frame[at] ^= 1;
    assert_eq!(read(&stored(LZ4, &frame)), read(&plain()), "it is not verified");
    frame.truncate(at);
    read(&stored(LZ4, &frame)).unwrap_err(); // but it has to be there
    assert!(read(&stored(LZ4, &[lz4("60 40 82", "00000000"), vec![0]].concat())).is_err(), "a byte behind the frame");
}

#[test]
fn checksums_of_gzip_and_zstd_are_verified() {
    let mut member = gzip(&records());
    let at = member.len() - 8;
    member[at] ^= 1;
    assert!(matches!(read(&stored(GZIP, &member)), Err(BatchError::Codec(CodecError::Malformed { .. }))));
    let mut frame = hex(ZSTD_SIZE_AND_CHECKSUM);
    let at = frame.len() - 1;
    frame[at] ^= 1;
    assert!(matches!(read(&stored(ZSTD, &frame)), Err(BatchError::Codec(CodecError::Malformed { .. }))));
}

#[test]
fn versions_in_xerials_header_are_not_verified() {
    let mut stream = xerial(&records(), 32_768);
    stream[8..16].copy_from_slice(&hex("01000000 01000000")); // little-endian, as some wrote them
    assert_eq!(read(&stored(SNAPPY, &stream)), read(&plain()));
}

#[test]
fn snappy_chunks_that_do_not_fit_are_refused() {
    for length in [-1i32, i32::MIN, i32::MAX, 2000] {
        let mut stream = xerial(&records(), 32_768);
        stream[16..20].copy_from_slice(&length.to_be_bytes());
        let error = read(&stored(SNAPPY, &stream)).unwrap_err();
        assert!(matches!(error, BatchError::Codec(CodecError::Malformed { .. })), "{length}: {error}");
    }
    for extra in 1..20 {
        let stream = [xerial(&records(), 32_768), vec![0; extra]].concat();
        // Four zeros are a block of no bytes, which holds not even its length.
        assert!(read(&stored(SNAPPY, &stream)).is_err(), "{extra} zeros behind it");
    }
}

#[test]
fn compressed_records_must_end_where_the_stream_ends() {
    let one_more = [records(), vec![0]].concat();
    let one_less = &records()[..1159];
    for codec in [GZIP, SNAPPY] {
        let body = |bytes: &[u8]| if codec == GZIP { gzip(bytes) } else { xerial(bytes, 400) };
        assert_eq!(read(&stored(codec, &body(&one_more))), Err(BatchError::Trailing(1)));
        assert!(matches!(read(&stored(codec, &body(one_less))), Err(BatchError::Record { index: 19, .. })));
    }
}
