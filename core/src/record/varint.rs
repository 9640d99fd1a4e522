//! Variable-length integers.
//!
//! Record fields use zigzag over base 128, little end first, as Protocol Buffers do; messages of "flexible" versions
//! use the same without zigzag. Kafka writes the shortest form and reads any form within 5 or 10 bytes.
//!
//! Source: `org.apache.kafka.common.utils.ByteUtils`.

/// Appends a zigzag 32-bit integer.
#[inline]
pub fn write_varint(out: &mut Vec<u8>, value: i32) {
    write_u64(out, u64::from(((value << 1) ^ (value >> 31)) as u32));
}

/// Appends a zigzag 64-bit integer.
#[inline]
pub fn write_varlong(out: &mut Vec<u8>, value: i64) {
    write_u64(out, ((value << 1) ^ (value >> 63)) as u64);
}

/// Appends a plain unsigned integer.
pub fn write_uvarint(out: &mut Vec<u8>, value: u32) {
    write_u64(out, u64::from(value));
}

#[inline]
fn write_u64(out: &mut Vec<u8>, value: u64) {
    // Nearly every number of a record is below one of these.
    if value < 0x80 {
        return out.push(value as u8);
    }
    if value < 0x4000 {
        return out.extend_from_slice(&[value as u8 | 0x80, (value >> 7) as u8]);
    }
    write_longer(out, value);
}

#[cold]
fn write_longer(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Bytes that [`write_varint`] appends.
#[inline]
pub fn varint_len(value: i32) -> usize {
    len_of(u64::from(((value << 1) ^ (value >> 31)) as u32))
}

/// Bytes that [`write_varlong`] appends.
#[inline]
pub fn varlong_len(value: i64) -> usize {
    len_of(((value << 1) ^ (value >> 63)) as u64)
}

#[inline]
fn len_of(value: u64) -> usize {
    // ⌈bits / 7⌉, and one byte for zero. 9/64 is near enough to 1/7 for all 64 of them, and needs no division.
    let highest_bit = 63 - (value | 1).leading_zeros() as usize;
    (highest_bit * 9 + 73) / 64
}

/// Reads a zigzag 32-bit integer at `*at` and moves `*at` behind it. `None`: the bytes end, or it is too long.
#[inline]
pub fn read_varint(bytes: &[u8], at: &mut usize) -> Option<i32> {
    // Nearly every field of a record is one byte.
    if let Some(&first) = bytes.get(*at)
        && first < 0x80
    {
        *at += 1;
        let value = u32::from(first);
        return Some((value >> 1) as i32 ^ -((value & 1) as i32));
    }
    let value = read_uvarint(bytes, at)?;
    Some((value >> 1) as i32 ^ -((value & 1) as i32))
}

/// Reads a zigzag 64-bit integer; as [`read_varint`].
#[inline]
pub fn read_varlong(bytes: &[u8], at: &mut usize) -> Option<i64> {
    let value = read_limited(bytes, at, 10)?;
    Some((value >> 1) as i64 ^ -((value & 1) as i64))
}

/// Reads a plain unsigned integer; as [`read_varint`].
#[inline]
pub fn read_uvarint(bytes: &[u8], at: &mut usize) -> Option<u32> {
    read_limited(bytes, at, 5).map(|value| value as u32)
}

#[inline]
fn read_limited(bytes: &[u8], at: &mut usize, most: usize) -> Option<u64> {
    let mut value = 0u64;
    for i in 0..most {
        let byte = *bytes.get(*at + i)?;
        value |= u64::from(byte & 0x7f) << (7 * i);
        if byte & 0x80 == 0 {
            *at += i + 1;
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_those_that_are_written() {
        for shift in 0..64 {
            for value in [1i64 << shift, (1i64 << shift).wrapping_sub(1), (1i64 << shift).wrapping_neg()] {
                let mut out = Vec::new();
                write_varlong(&mut out, value);
                assert_eq!(out.len(), varlong_len(value), "{value}");
                assert_eq!(read_varlong(&out, &mut 0), Some(value));
                out.clear();
                write_varint(&mut out, value as i32);
                assert_eq!(out.len(), varint_len(value as i32), "{value}");
                assert_eq!(read_varint(&out, &mut 0), Some(value as i32));
            }
        }
    }

    #[test]
    fn over_long_forms_are_read_and_endless_ones_refused() {
        assert_eq!(read_varint(&[0x80, 0x80, 0x00], &mut 0), Some(0));
        assert_eq!(read_varint(&[0x80; 6], &mut 0), None);
        assert_eq!(read_varlong(&[0x80; 11], &mut 0), None);
        assert_eq!(read_varint(&[0x80], &mut 0), None);
    }
}
