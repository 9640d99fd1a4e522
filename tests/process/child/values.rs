//! What the processes write: every value says who wrote it and which of his it is, and can be made again from that.

/// The value of a writer's record number `sequence`.
pub(crate) fn value_of(writer: u64, sequence: u64) -> String {
    let filler = ((writer * 31 + sequence * 7) % 150) as usize;
    format!("{writer} {sequence} {:x<filler$}", "")
}

/// Who wrote a value, and which of his it is; nothing when nobody did.
pub(crate) fn parse(value: &[u8]) -> Option<(u64, u64)> {
    let text = std::str::from_utf8(value).ok()?;
    let mut words = text.split(' ');
    let (writer, sequence) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    (value_of(writer, sequence) == text).then_some((writer, sequence))
}

/// A number that changes when any value does, or their order.
pub(crate) fn fold(sum: u64, value: &[u8]) -> u64 {
    let step = |sum: u64, byte: &u8| (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    value.iter().fold(sum.rotate_left(7) ^ value.len() as u64, step)
}
