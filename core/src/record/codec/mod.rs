//! Compression, in exactly the frames that Kafka writes and reads.
//!
//! A batch carries one compressed stream: its records, one behind the other. The header stays readable.
//!
//! Source: Kafka documentation, "Record Batch" (compression); `org.apache.kafka.common.compress`.

mod gzip;
mod lz4;
mod snappy;
mod zstd;

use std::fmt;
use std::io::Read;

use thiserror::Error;

/// The codecs, by their attribute bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
#[repr(u8)]
pub enum Codec {
    /// As they are.
    #[default]
    None = 0,
    /// RFC 1952.
    Gzip = 1,
    /// Blocks in xerial's framing.
    Snappy = 2,
    /// One LZ4 frame of independent blocks.
    Lz4 = 3,
    /// Zstandard frames.
    Zstd = 4,
}

/// Why a compressed stream cannot be read or written.
#[derive(Debug, Error, PartialEq, Eq, Clone)]
pub enum CodecError {
    /// Codec bits without a meaning.
    #[error("codec {0} does not exist")]
    Unknown(u8),
    /// The stream breaks its format.
    #[error("the {codec} stream is damaged: {what}")]
    Malformed {
        /// Which format.
        codec: Codec,
        /// What is wrong with it.
        what: String,
    },
    /// The stream holds more than the caller allows.
    #[error("the {codec} stream holds more than {limit} bytes")]
    TooLarge {
        /// Which format.
        codec: Codec,
        /// The caller's limit.
        limit: usize,
    },
}

impl Codec {
    /// All of them.
    pub const ALL: [Codec; 5] = [Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd];

    /// The codec of three attribute bits.
    ///
    /// # Errors
    /// `Unknown` for 5, 6 and 7.
    pub fn from_bits(bits: u8) -> Result<Codec, CodecError> {
        Codec::ALL.get(usize::from(bits)).copied().ok_or(CodecError::Unknown(bits))
    }

    /// Kafka's name for it.
    pub fn name(self) -> &'static str {
        match self {
            Codec::None => "none",
            Codec::Gzip => "gzip",
            Codec::Snappy => "snappy",
            Codec::Lz4 => "lz4",
            Codec::Zstd => "zstd",
        }
    }

    /// The codec of that name.
    pub fn by_name(name: &str) -> Option<Codec> {
        Codec::ALL.into_iter().find(|codec| codec.name() == name)
    }

    fn malformed(self, what: impl fmt::Display) -> CodecError {
        CodecError::Malformed { codec: self, what: what.to_string() }
    }
}

impl fmt::Display for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A codec and how hard it tries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compression {
    /// Which format.
    pub codec: Codec,
    /// gzip: −1 or 1 to 9; zstd: −131072 to 22. The others have one level: `compression.lz4.level` changes nothing,
    /// since `lz4_flex` has no high-compression mode.
    pub level: i32,
}

impl Compression {
    /// As they are.
    pub const NONE: Compression = Compression { codec: Codec::None, level: 0 };

    /// A codec at Kafka's default level.
    pub fn default_of(codec: Codec) -> Compression {
        let level = match codec {
            Codec::Gzip => -1,
            Codec::Zstd => 3,
            Codec::None | Codec::Snappy | Codec::Lz4 => 0,
        };
        Compression { codec, level }
    }
}

/// Appends `raw`, compressed, to `out`.
///
/// # Errors
/// What the codec reports; none is expected when writing to memory.
pub fn compress(compression: Compression, raw: &[u8], out: &mut Vec<u8>) -> Result<(), CodecError> {
    match compression.codec {
        Codec::None => out.extend_from_slice(raw),
        Codec::Gzip => gzip::compress(raw, compression.level, out)?,
        Codec::Snappy => snappy::compress(raw, out)?,
        Codec::Lz4 => lz4::compress(raw, out)?,
        Codec::Zstd => zstd::compress(raw, compression.level, out)?,
    }
    Ok(())
}

/// Appends what `compressed` holds to `out`, at most `most` bytes of it: a few bytes can stand for gigabytes.
///
/// # Errors
/// `Malformed` for a stream that Kafka would refuse, `TooLarge` at the limit; `out` then holds a part.
pub fn decompress(codec: Codec, compressed: &[u8], most: usize, out: &mut Vec<u8>) -> Result<(), CodecError> {
    match codec {
        Codec::None if compressed.len() > most => Err(CodecError::TooLarge { codec, limit: most }),
        Codec::None => {
            out.extend_from_slice(compressed);
            Ok(())
        }
        Codec::Gzip => gzip::decompress(compressed, most, out),
        Codec::Snappy => snappy::decompress(compressed, most, out),
        Codec::Lz4 => lz4::decompress(compressed, most, lz4::HeaderChecksum::Verified, out),
        Codec::Zstd => zstd::decompress(compressed, most, out),
    }
}

/// Format version 0 computed LZ4's header checksum over the wrong bytes; there it is not verified.
pub(super) fn decompress_lz4_magic_0(compressed: &[u8], most: usize, out: &mut Vec<u8>) -> Result<(), CodecError> {
    lz4::decompress(compressed, most, lz4::HeaderChecksum::Ignored, out)
}

/// Room that a decoder of unknown length gets at least at a time.
const PIECE: usize = 8 * 1024;

/// Reads a decoder to its end, up to `most` bytes.
fn read_bounded(codec: Codec, mut decoder: impl Read, most: usize, out: &mut Vec<u8>) -> Result<(), CodecError> {
    let before = out.len();
    let end = before.saturating_add(most).saturating_add(1); // the byte too many that shows there are more
    while out.len() < end {
        let left = end - out.len();
        make_room(out, PIECE.min(left), end);
        let room = left.min(out.capacity() - out.len());
        let got = decoder.by_ref().take(room as u64).read_to_end(out).map_err(|e| codec.malformed(e))?;
        if got < room {
            break;
        }
    }
    if out.len() - before > most { Err(CodecError::TooLarge { codec, limit: most }) } else { Ok(()) }
}

/// Makes room for `count` more bytes. Grows as a vector does, by doubling, but not beyond `end`: by itself a vector
/// would take twice of what the caller allows.
fn make_room(out: &mut Vec<u8>, count: usize, end: usize) {
    let needed = out.len() + count;
    if needed > out.capacity() {
        let doubled = out.capacity().saturating_mul(2).min(end);
        out.reserve_exact(doubled.max(needed) - out.len());
    }
}
