//! Which partition a key belongs to.
//!
//! Source: `org.apache.kafka.common.utils.Utils#murmur2`; librdkafka `rdkafka_partition.c`.

/// The ways to place a record by its key, by librdkafka's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Partitioner {
    /// Java's: murmur2 of the key, an empty key included; records without a key go where the producer likes.
    #[default]
    Murmur2Random,
    /// As above, but records without a key are placed as if it were empty.
    Murmur2,
    /// librdkafka's default: CRC-32 of the key; no key and an empty key go where the producer likes.
    ConsistentRandom,
    /// CRC-32 of the key, no key counting as empty.
    Consistent,
    /// FNV-1a; no key goes where the producer likes.
    Fnv1aRandom,
    /// FNV-1a, no key counting as empty.
    Fnv1a,
    /// Never by key.
    Random,
}

/// MurmurHash2 with Kafka's seed.
pub fn murmur2(bytes: &[u8]) -> i32 {
    const M: u32 = 0x5bd1_e995;
    let mut h = 0x9747_b28c ^ bytes.len() as u32;
    let mut groups = bytes.chunks_exact(4);
    for group in groups.by_ref() {
        let mut k = u32::from_le_bytes([group[0], group[1], group[2], group[3]]);
        k = k.wrapping_mul(M);
        k ^= k >> 24;
        k = k.wrapping_mul(M);
        h = h.wrapping_mul(M) ^ k;
    }
    let tail = groups.remainder();
    for (i, byte) in tail.iter().enumerate() {
        h ^= u32::from(*byte) << (8 * i);
    }
    if !tail.is_empty() {
        h = h.wrapping_mul(M);
    }
    h ^= h >> 13;
    h = h.wrapping_mul(M);
    (h ^ (h >> 15)) as i32
}

/// CRC-32 (IEEE, as in zlib).
pub fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    crc.sum()
}

/// FNV-1a, 32 bits.
pub fn fnv1a(bytes: &[u8]) -> i32 {
    let step = |h: u32, byte: &u8| (h ^ u32::from(*byte)).wrapping_mul(0x0100_0193);
    bytes.iter().fold(0x811c_9dc5, step) as i32
}

/// Java's `String.hashCode`, over UTF-16 units: what places groups and transactional ids.
pub fn java_string_hash(text: &str) -> i32 {
    text.encode_utf16().fold(0i32, |h, unit| h.wrapping_mul(31).wrapping_add(i32::from(unit)))
}

/// The partition of `key` among `partitions` (at least 1), or `None` when the producer may choose.
pub fn partition_for_key(partitioner: Partitioner, key: Option<&[u8]>, partitions: i32) -> Option<i32> {
    let bytes = key.unwrap_or_default();
    match partitioner {
        Partitioner::Random => None,
        Partitioner::Murmur2Random | Partitioner::Fnv1aRandom if key.is_none() => None,
        Partitioner::ConsistentRandom if bytes.is_empty() => None,
        Partitioner::Murmur2 | Partitioner::Murmur2Random => Some((murmur2(bytes) & 0x7fff_ffff) % partitions),
        Partitioner::Consistent | Partitioner::ConsistentRandom => Some((crc32(bytes) % partitions as u32) as i32),
        Partitioner::Fnv1a | Partitioner::Fnv1aRandom => Some((fnv1a(bytes).unsigned_abs() % partitions as u32) as i32),
    }
}
