//! gzip: a member as Java writes it (time 0, no extra flags, unknown system); any number of members is read.

use std::io::Write;

use flate2::{Compression, GzBuilder, read::MultiGzDecoder};

use super::{Codec, CodecError, read_bounded};

const UNKNOWN_SYSTEM: u8 = 0xff;
/// Where a member says which level made it. Java leaves it 0.
const EXTRA_FLAGS_AT: usize = 8;

pub(super) fn compress(raw: &[u8], level: i32, out: &mut Vec<u8>) -> Result<(), CodecError> {
    let level = u32::try_from(level).map_or_else(|_| Compression::default(), Compression::new);
    let at = out.len();
    let mut encoder = GzBuilder::new().mtime(0).operating_system(UNKNOWN_SYSTEM).write(&mut *out, level);
    encoder.write_all(raw).and_then(|()| encoder.finish().map(|_| ())).map_err(|e| Codec::Gzip.malformed(e))?;
    out[at + EXTRA_FLAGS_AT] = 0;
    Ok(())
}

pub(super) fn decompress(compressed: &[u8], most: usize, out: &mut Vec<u8>) -> Result<(), CodecError> {
    read_bounded(Codec::Gzip, MultiGzDecoder::new(compressed), most, out)
}
