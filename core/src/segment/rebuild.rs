//! Checking a segment batch by batch, and writing its indexes anew.

use std::io;

use super::cadence::{Cadence, IndexRules};
use super::scan::{DamagedRange, Found, Scanner};
use super::{OffsetIndex, Segment, TimeIndex};
use crate::record::{BatchError, BatchHeader};
use crate::types::{Offset, Position};

/// What checking a segment found.
#[derive(Debug)]
pub struct Rebuilt {
    /// End of the last batch that is kept.
    pub end: Position,
    /// The offset after it.
    pub next_offset: Offset,
    /// Damage that was stepped over, in order.
    pub damage: Vec<DamagedRange>,
    /// Why the log ends here although bytes follow.
    pub cut: Option<BatchError>,
    /// Where index entries stand.
    pub cadence: Cadence,
}

/// Walks through the batches of `segment`, checks each, and gives it to `visit` with its position and bytes.
///
/// The offset that is expected first is `from`. Damage whose first offset is below `keep_below` is stepped over, since what
/// follows was known to be durable; if nothing valid follows it, it stays as the end of the segment. At or above
/// `keep_below` the first damage ends the log, as in Kafka.
pub fn scan_batches(
    segment: &Segment,
    from: Offset,
    keep_below: Offset,
    mut visit: impl FnMut(Position, &BatchHeader, &[u8]) -> io::Result<()>,
) -> io::Result<(Position, Offset, Vec<DamagedRange>, Option<BatchError>)> {
    let len = segment.log_len()?;
    let mut scanner = Scanner::new(segment.log(), Position::ZERO, Position(len)).in_segment(segment.base());
    let mut expected = from;
    let mut damage = Vec::new();
    let mut last_good = (Position::ZERO, from);
    loop {
        let (position, error) = match scanner.next_checked_in_order(expected)? {
            Found::End(_) => break,
            Found::Bad(position, error) => (position, error),
            Found::Batch(position, header) => {
                let bytes = scanner.batch(position, &header)?;
                visit(position, &header, bytes)?;
                expected = header.next_offset();
                last_good = (position.plus(header.size), expected);
                continue;
            }
        };
        if expected >= keep_below {
            return Ok((last_good.0, last_good.1, damage, Some(error)));
        }
        scanner.seek(position);
        damage.push(scanner.resync(position, expected, &error)?);
    }
    Ok((scanner.position().max(last_good.0), last_good.1, damage, None))
}

/// Checks a segment and fills `offsets` and `times`, which are empty, as a live log would have.
pub fn rebuild(
    segment: &Segment,
    keep_below: Offset,
    rules: &IndexRules,
    offsets: &OffsetIndex,
    times: &TimeIndex,
    mut visit: impl FnMut(Position, &BatchHeader, &[u8]) -> io::Result<()>,
) -> io::Result<Rebuilt> {
    let mut cadence = Cadence::new(segment.base());
    let (end, next_offset, damage, cut) =
        scan_batches(segment, segment.base(), keep_below, |position, header, bytes| {
            Cadence::write(cadence.advance(header, position, rules), offsets, times)?;
            visit(position, header, bytes)
        })?;
    times.push_if_later(cadence.greatest())?;
    Ok(Rebuilt { end, next_offset, damage, cut, cadence })
}
