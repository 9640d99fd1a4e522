//! Hashes: what places keys and groups, and the two checksums.

use klog::Partitioner;
use klog::record::{crc32, fnv1a, java_string_hash, murmur2, partition_for_key, seal};
use serde_json::Value;

use crate::vectors::{golden, hex_of, int};

fn vectors(kind: &str) -> &'static [Value] {
    golden()["hashes"][kind].as_array().unwrap()
}

fn key(vector: &Value) -> Vec<u8> {
    vector["key_utf8"].as_str().map_or_else(|| hex_of(&vector["key_hex"]), |text| text.as_bytes().to_vec())
}

#[test]
fn murmur2_is_javas() {
    assert_eq!(vectors("murmur2").len(), 16);
    for vector in vectors("murmur2") {
        let key = key(vector);
        assert_eq!(i64::from(murmur2(&key)), int(&vector["hash_int32"]), "{vector}");
        assert_eq!(i64::from(murmur2(&key) & 0x7fff_ffff), int(&vector["masked"]), "{vector}");
        for (field, partitions) in [("partition_of_12", 12), ("partition_of_50", 50)] {
            let Some(expected) = vector[field].as_i64() else {
                continue;
            };
            for partitioner in [Partitioner::Murmur2, Partitioner::Murmur2Random, Partitioner::default()] {
                let found = partition_for_key(partitioner, Some(&key), partitions);
                assert_eq!(found.map(i64::from), Some(expected), "{vector}");
            }
        }
    }
}

#[test]
fn javas_string_hash_counts_utf_16_units() {
    assert_eq!(vectors("java_string_hash").len(), 10);
    for vector in vectors("java_string_hash") {
        let hash = java_string_hash(vector["string"].as_str().unwrap());
        assert_eq!(i64::from(hash), int(&vector["hash_int32"]), "{vector}");
        // Kafka's Utils.abs: the one number without a positive counterpart becomes 0.
        let absolute = if hash == i32::MIN { 0 } else { hash.abs() };
        assert_eq!(i64::from(absolute % 50), int(&vector["partition_of_50"]), "{vector}");
    }
}

#[test]
fn crc32_is_zlibs() {
    assert_eq!(vectors("librdkafka_crc32").len(), 7);
    for vector in vectors("librdkafka_crc32") {
        let key = key(vector);
        assert_eq!(i64::from(crc32(&key)), int(&vector["crc32"]), "{vector}");
        for partitioner in [Partitioner::Consistent, Partitioner::ConsistentRandom] {
            let found = partition_for_key(partitioner, Some(&key), 12);
            assert_eq!(found.map(i64::from), Some(int(&vector["partition_of_12"])), "{vector}");
        }
    }
    assert_eq!(crc32(b"123456789"), 0xcbf4_3926, "the check value of CRC-32");
    assert_eq!(crc32(b""), 0);
}

#[test]
fn fnv1a_is_as_published() {
    // "" "a" and "foobar" from the tables of its authors, the others computed with a few lines of Python.
    let cases: [(&[u8], u32, i32); 7] = [
        (b"", 0x811c_9dc5, 3),
        (b"a", 0xe40c_292c, 0),
        (b"foobar", 0xbf9c_f968, 0),
        (b"kafka", 0x0d33_c4e1, 5),
        (b"key-0", 0x58e0_35d9, 9),
        ("héllo".as_bytes(), 0x4aa4_8540, 0),
        (&[0xff, 0x00, 0x80, 0x01], 0xc352_83ed, 7),
    ];
    for (key, hash, partition_of_12) in cases {
        assert_eq!(fnv1a(key) as u32, hash, "{key:x?}");
        // librdkafka takes the absolute value of the signed hash.
        assert_eq!(partition_for_key(Partitioner::Fnv1a, Some(key), 12), Some(partition_of_12), "{key:x?}");
        assert_eq!(partition_for_key(Partitioner::Fnv1aRandom, Some(key), 12), Some(partition_of_12), "{key:x?}");
    }
}

#[test]
fn keys_that_are_missing_or_empty_go_where_each_partitioner_sends_them() {
    // Without a key; with an empty one. CRC-32 of nothing is 0.
    let (murmur2, fnv1a) = (Some(9), Some(3));
    let expected = [
        (Partitioner::Murmur2Random, None, murmur2),
        (Partitioner::Murmur2, murmur2, murmur2),
        (Partitioner::ConsistentRandom, None, None),
        (Partitioner::Consistent, Some(0), Some(0)),
        (Partitioner::Fnv1aRandom, None, fnv1a),
        (Partitioner::Fnv1a, fnv1a, fnv1a),
        (Partitioner::Random, None, None),
    ];
    for (partitioner, without, empty) in expected {
        assert_eq!(partition_for_key(partitioner, None, 12), without, "{partitioner:?}");
        assert_eq!(partition_for_key(partitioner, Some(b""), 12), empty, "{partitioner:?}");
        let one = partition_for_key(partitioner, Some(b"key"), 1);
        assert_eq!(one, (partitioner != Partitioner::Random).then_some(0), "{partitioner:?}");
    }
}

#[test]
fn batches_are_sealed_with_crc32c() {
    let check = &golden()["crc32c_check"];
    let sealed = |covered: &[u8]| {
        let mut bytes = [&[0xee; 21], covered].concat();
        seal(&mut bytes);
        assert_eq!(bytes[..17], [0xee; 17]);
        assert_eq!(&bytes[21..], covered);
        bytes[17..21].to_vec()
    };
    assert_eq!(sealed(check["input_ascii"].as_str().unwrap().as_bytes()), hex_of(&check["crc"]));
    assert_eq!(sealed(&[0; 4]), hex_of(&check["four_zero_bytes"]));
}
