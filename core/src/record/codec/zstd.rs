//! Zstandard: one frame without content size or checksum, as Kafka writes it; any number of any frames is read.

use zstd::stream::{read::Decoder, write::Encoder};

use super::{Codec, CodecError, read_bounded};

pub(super) fn compress(raw: &[u8], level: i32, out: &mut Vec<u8>) -> Result<(), CodecError> {
    let write = || {
        let mut encoder = Encoder::new(out, level)?;
        encoder.include_contentsize(false)?;
        encoder.include_checksum(false)?;
        std::io::Write::write_all(&mut encoder, raw)?;
        encoder.finish()
    };
    write().map(|_| ()).map_err(|e| Codec::Zstd.malformed(e))
}

pub(super) fn decompress(compressed: &[u8], most: usize, out: &mut Vec<u8>) -> Result<(), CodecError> {
    let decoder = Decoder::with_buffer(compressed).map_err(|e| Codec::Zstd.malformed(e))?;
    read_bounded(Codec::Zstd, decoder, most, out)
}
