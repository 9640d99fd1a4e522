//! The values of KRaft's metadata records.
//!
//! The vectors are those that Kafka 4.3's own serializer decoded and encoded identically. Constants of them: the topic id
//! counts 00 to 0f, directories are d1 and d2 and an incarnation 1c, sixteen times each.

use klog::Uuid;
use klog::controller::{MetadataRecord, PartitionChange, PartitionRecord, RegisterBroker, ResourceType};
use proptest::prelude::*;

use crate::vectors::hex;

const TOPIC: Uuid = Uuid([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]);
const FIRST_DIRECTORY: Uuid = Uuid([0xd1; 16]);
const SECOND_DIRECTORY: Uuid = Uuid([0xd2; 16]);
const INCARNATION: Uuid = Uuid([0x1c; 16]);

fn feature(name: &str, level: i16) -> MetadataRecord {
    MetadataRecord::FeatureLevel { name: name.to_owned(), level }
}

fn config(resource: ResourceType, name: &str, key: &str, value: Option<&str>) -> MetadataRecord {
    let (name, key) = (name.to_owned(), key.to_owned());
    MetadataRecord::Config { resource, name, key, value: value.map(str::to_owned) }
}

/// Partition 0 of the only broker.
fn partition() -> PartitionRecord {
    PartitionRecord {
        partition: 0,
        topic_id: TOPIC,
        replicas: vec![1],
        isr: vec![1],
        removing_replicas: Vec::new(),
        adding_replicas: Vec::new(),
        leader: 1,
        leader_epoch: 5,
        partition_epoch: 0,
        directories: vec![FIRST_DIRECTORY],
        leader_recovery_state: 0,
        eligible_leader_replicas: None,
        last_known_elr: None,
    }
}

fn change(isr: Option<Vec<i32>>, leader: Option<i32>) -> MetadataRecord {
    MetadataRecord::PartitionChange(PartitionChange { topic_id: TOPIC, isr, leader, ..PartitionChange::default() })
}

fn registration_change(fenced: i8, in_controlled_shutdown: i8) -> MetadataRecord {
    let (broker_id, broker_epoch) = (1, 16);
    MetadataRecord::BrokerRegistrationChange { broker_id, broker_epoch, fenced, in_controlled_shutdown, log_dirs: None }
}

fn broker() -> RegisterBroker {
    RegisterBroker {
        broker_id: 1,
        incarnation_id: INCARNATION,
        is_migrating_zk_broker: false,
        broker_epoch: 16,
        endpoints: vec![("PLAINTEXT".to_owned(), "127.0.0.1".to_owned(), 9092, 0)],
        features: vec![("metadata.version".to_owned(), 7, 25)],
        rack: None,
        fenced: true,
        in_controlled_shutdown: false,
        log_dirs: vec![FIRST_DIRECTORY],
    }
}

/// Vectors that klog writes itself.
fn written() -> Vec<(&'static str, MetadataRecord)> {
    let recovering = PartitionRecord {
        partition: 2,
        replicas: vec![1, 2],
        leader_epoch: 7,
        partition_epoch: 3,
        directories: vec![FIRST_DIRECTORY, SECOND_DIRECTORY],
        leader_recovery_state: 1,
        eligible_leader_replicas: Some(vec![2]),
        last_known_elr: Some(Vec::new()),
        ..partition()
    };
    vec![
        ("010c00116d657461646174612e76657273696f6e001900", feature("metadata.version", 25)),
        ("010c000e67726f75702e76657273696f6e000100", feature("group.version", 1)),
        ("010c00147472616e73616374696f6e2e76657273696f6e000200", feature("transaction.version", 2)),
        (
            "010200076f7264657273000102030405060708090a0b0c0d0e0f00",
            MetadataRecord::Topic { name: "orders".to_owned(), id: TOPIC },
        ),
        (
            "01030200000000000102030405060708090a0b0c0d0e0f0200000001020000000101010000000100000005000000000
             2d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d100",
            MetadataRecord::Partition(partition()),
        ),
        (
            "01030200000002000102030405060708090a0b0c0d0e0f0300000001000000020200000001010100000001000000070
             000000303d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d2d2d2d2d2d2d2d2d2d2d2d2d2d2d2d20300010101050200000002020101",
            MetadataRecord::Partition(recovering),
        ),
        ("01050200000000000102030405060708090a0b0c0d0e0f0200050200000001010400000001", change(Some(vec![1]), Some(1))),
        ("01050200000000000102030405060708090a0b0c0d0e0f010104ffffffff", change(None, Some(-1))),
        (
            "01040002076f72646572730d726574656e74696f6e2e6d730a36303438303030303000",
            config(ResourceType::TOPIC, "orders", "retention.ms", Some("604800000")),
        ),
        (
            "01040002076f72646572730d726574656e74696f6e2e6d730000",
            config(ResourceType::TOPIC, "orders", "retention.ms", None),
        ),
        (
            "0104000401146d696e2e696e73796e632e7265706c69636173023100",
            config(ResourceType::BROKER, "", "min.insync.replicas", Some("1")),
        ),
        ("010900000102030405060708090a0b0c0d0e0f00", MetadataRecord::RemoveTopic { id: TOPIC }),
        (
            "010f0000000001ffffffffffffffff00000000000003e800",
            MetadataRecord::ProducerIds { broker_id: 1, broker_epoch: -1, next_producer_id: 1000 },
        ),
        (
            "01000300000001001c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c0000000000000010020a504c41494e544558540a3132372
             e302e302e31238400000002116d657461646174612e76657273696f6e000700190000010001001102d1d1d1d1d1d1d1
             d1d1d1d1d1d1d1d1d1",
            MetadataRecord::RegisterBroker(broker()),
        ),
        ("011100000000010000000000000010010001ff", registration_change(-1, 0)),
        ("01110000000001000000000000001001000101", registration_change(1, 0)),
        ("01110100000001000000000000001001010101", registration_change(0, 1)),
        ("01010000000001000000000000001000", MetadataRecord::UnregisterBroker { broker_id: 1, broker_epoch: 16 }),
        ("01180000", MetadataRecord::EndTransaction),
        ("01190000", MetadataRecord::AbortTransaction),
        ("01140000", MetadataRecord::NoOp),
        ("01070000000001000000000000001000", MetadataRecord::FenceBroker { broker_id: 1, broker_epoch: 16 }),
        ("01080000000001000000000000001000", MetadataRecord::UnfenceBroker { broker_id: 1, broker_epoch: 16 }),
        ("011c00027400", MetadataRecord::ClearElr { topic_name: "t".to_owned() }),
        ("011c000100", MetadataRecord::ClearElr { topic_name: String::new() }),
    ]
}

/// Versions that klog reads and does not write.
fn read_only() -> Vec<(&'static str, MetadataRecord)> {
    vec![
        (
            "01030100000000000102030405060708090a0b0c0d0e0f0200000001020000000101010000000100000005000000000
             2d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d100",
            MetadataRecord::Partition(partition()),
        ),
        (
            "01030000000000000102030405060708090a0b0c0d0e0f02000000010200000001010100000001000000050000000000",
            MetadataRecord::Partition(PartitionRecord { directories: Vec::new(), ..partition() }),
        ),
        ("011700010005056b6c6f67", MetadataRecord::BeginTransaction), // its name, "klog", is not kept
    ]
}

/// Records that klog does not model: type, version and value.
const OTHERS: [(u32, u32, &str); 2] = [
    (
        27,
        0,
        "011b00000000011c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c00020b434f4e54524f4c4c45520a3132372e302e302e3123850000
         00020e6b726166742e76657273696f6e000000010000",
    ),
    (14, 0, "010e0002057573657206616c696365001370726f64756365725f627974655f7261746541300000000000000000"),
];

#[test]
fn what_klog_writes_is_what_kafka_writes() {
    for (digits, record) in written() {
        assert_eq!(MetadataRecord::parse(&hex(digits)), Ok(record.clone()), "{digits}");
        assert_eq!(record.encode(), hex(digits), "{record:?}");
    }
}

#[test]
fn older_versions_are_read() {
    for (digits, record) in read_only() {
        assert_eq!(MetadataRecord::parse(&hex(digits)), Ok(record.clone()), "{digits}");
        if record != MetadataRecord::BeginTransaction {
            assert_eq!(MetadataRecord::parse(&record.encode()), Ok(record), "and say the same as klog writes them");
        }
    }
    assert_eq!(MetadataRecord::BeginTransaction.encode(), hex("01170000"), "without a name");
    assert_eq!(MetadataRecord::parse(&hex("01170000")), Ok(MetadataRecord::BeginTransaction));
}

#[test]
fn what_is_not_modelled_survives() {
    for (type_id, version, digits) in OTHERS {
        let value = hex(digits);
        let record = MetadataRecord::parse(&value).unwrap();
        assert_eq!(record, MetadataRecord::Other { type_id, version, value: value.clone() });
        assert_eq!(record.encode(), value);
    }
}

#[test]
fn versions_that_are_too_new_survive() {
    for (digits, record) in written() {
        let mut value = hex(digits);
        value[2] = 9;
        let kept = MetadataRecord::parse(&value).unwrap();
        assert!(matches!(kept, MetadataRecord::Other { version: 9, .. }), "{record:?}");
        assert_eq!(kept.encode(), value);
    }
    // The versions of Kafka 4.4 that klog reads: cordoned directories are tags that it passes over.
    let cordoned = hex("011103000000010000000000000010 01 03 01 01");
    assert_eq!(MetadataRecord::parse(&cordoned), Ok(registration_change(0, 0)));
    let (registered, _) = written().swap_remove(13);
    let mut value = hex(registered);
    value[2] = 4;
    assert_eq!(MetadataRecord::parse(&value), Ok(MetadataRecord::RegisterBroker(broker())));
}

#[test]
fn only_frame_version_1_is_known() {
    for frame in [0, 2] {
        let mut value = hex("01140000");
        value[0] = frame;
        assert!(MetadataRecord::parse(&value).unwrap_err().contains(&format!("frame version {frame} is not 1")));
    }
}

#[test]
fn every_truncation_is_refused() {
    let modelled = written().into_iter().chain(read_only()).map(|(digits, _)| hex(digits));
    for value in modelled {
        for length in 0..value.len() {
            let error = MetadataRecord::parse(&value[..length]).unwrap_err();
            let sentence = if length < 3 { "has no header" } else { "is cut off" };
            assert!(error.contains(sentence), "{length} of {}: {error}", value.len());
        }
    }
    for (_, _, digits) in OTHERS {
        let value = hex(digits);
        for length in 0..value.len() {
            // Nothing is known of the body, so what there is survives.
            let result = MetadataRecord::parse(&value[..length]).map(|record| record.encode());
            assert_eq!(result.ok(), (length >= 3).then(|| value[..length].to_vec()));
        }
    }
}

#[test]
fn bytes_behind_a_record_are_refused() {
    for (digits, record) in written().into_iter().chain(read_only()) {
        let value = [hex(digits), vec![0]].concat();
        assert!(MetadataRecord::parse(&value).is_err(), "{record:?}");
    }
}

#[test]
fn tags_that_are_not_known_are_passed_over() {
    // An empty record with tag 100, then with a tag that is cut off.
    assert_eq!(MetadataRecord::parse(&hex("011400 01 64 02 aabb")), Ok(MetadataRecord::NoOp));
    MetadataRecord::parse(&hex("011400 01 64 03 aabb")).unwrap_err();
    MetadataRecord::parse(&hex("011400 02 64 02 aabb")).unwrap_err();
    MetadataRecord::parse(&hex("011400 ffffffff0f")).unwrap_err();
}

#[test]
fn every_part_of_a_change_goes_both_ways() {
    let whole = PartitionChange {
        partition: 3,
        topic_id: TOPIC,
        isr: Some(vec![1, 2]),
        leader: Some(2),
        replicas: Some(vec![1, 2, 3]),
        removing_replicas: Some(vec![3]),
        adding_replicas: Some(Vec::new()),
        leader_recovery_state: Some(0),
        eligible_leader_replicas: Some(vec![3]),
        last_known_elr: Some(vec![1]),
        directories: Some(vec![FIRST_DIRECTORY, SECOND_DIRECTORY, FIRST_DIRECTORY]),
    };
    let record = MetadataRecord::PartitionChange(whole);
    assert_eq!(MetadataRecord::parse(&record.encode()), Ok(record));
    // Kafka's ways to say "no change": a leader of −2, a recovery state of −1.
    let defaults = hex("01050200000000000102030405060708090a0b0c0d0e0f 02 01 04 fffffffe 05 01 ff");
    assert_eq!(MetadataRecord::parse(&defaults), Ok(change(None, None)));
    let moved = MetadataRecord::BrokerRegistrationChange {
        broker_id: 1,
        broker_epoch: 16,
        fenced: -1,
        in_controlled_shutdown: 1,
        log_dirs: Some(vec![SECOND_DIRECTORY]),
    };
    assert_eq!(moved.encode()[..3], [1, 17, 2], "directories came with version 2");
    assert_eq!(MetadataRecord::parse(&moved.encode()), Ok(moved));
}

#[test]
fn a_length_that_lies_gets_no_room() {
    // A list of 2³²−2 replicas, and a name of as many bytes.
    MetadataRecord::parse(&hex("01030200000000000102030405060708090a0b0c0d0e0f ffffffff0f 00000001")).unwrap_err();
    MetadataRecord::parse(&hex("010200 ffffffff0f 6f7264657273")).unwrap_err();
    MetadataRecord::parse(&hex("010200 03 ff00 000102030405060708090a0b0c0d0e0f 00")).unwrap_err(); // no UTF-8
    MetadataRecord::parse(&hex("010200 00 000102030405060708090a0b0c0d0e0f 00")).unwrap_err(); // a name of null
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes_never_panic(
        kind in 0u8..30,
        version in 0u8..5,
        body in proptest::collection::vec(prop_oneof![any::<u8>(), 0u8..4], 0..80),
    ) {
        let _ = MetadataRecord::parse(&body);
        if let Ok(record) = MetadataRecord::parse(&[&[1, kind, version], &body[..]].concat()) {
            // Whatever was understood is understood again.
            let encoded = record.encode();
            prop_assert_eq!(MetadataRecord::parse(&encoded).map(|again| again.encode()), Ok(encoded));
        }
    }

    #[test]
    fn changed_bytes_never_panic(at in 0usize..200, byte in any::<u8>()) {
        for (digits, _) in written().into_iter().chain(read_only()) {
            let mut value = hex(digits);
            let at = at % value.len();
            value[at] = byte;
            let _ = MetadataRecord::parse(&value);
        }
    }
}
