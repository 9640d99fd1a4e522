//! Snapshots of the metadata: when they are written, what is in them, and that a directory lives by them.

use std::collections::BTreeMap;

use klog::controller::{MetadataRecord, ResourceType};
use klog::record::ControlRecord;
use klog::sys::{Disk, File, Open};
use klog::types::Offset;
use klog::{ConfigResource, Engine, NewTopic, TopicDescription};

use crate::metadata_log::{DIR, append, fill, keys_and_values, log, records, setting, snapshots};
use crate::steps::{batches, create, names, offsets, read, send};
use crate::world::{NOW, World, on_both_disks};

on_both_disks!(
    a_snapshot_comes_after_512_records,
    a_snapshot_comes_at_a_close_after_64_records,
    a_snapshot_is_framed_as_kafkas_are,
    a_snapshot_holds_its_records_in_kafkas_order,
    a_directory_lives_by_its_snapshot_alone,
    a_snapshot_ahead_of_the_log_is_believed,
    a_log_that_begins_behind_its_snapshot_is_replayed_from_there,
    a_damaged_snapshot_is_passed_over,
    what_klog_does_not_model_stays_as_it_is,
    a_transaction_without_an_end_is_in_no_snapshot,
    a_transaction_that_could_not_be_given_up_is_given_up_by_the_next_change,
    a_log_that_begins_behind_every_usable_snapshot_is_not_changed,
    a_topic_removed_before_the_snapshot_is_still_known_as_removed,
    old_snapshots_go_in_directories_of_klog_only,
    reading_writes_no_snapshot,
);

/// Topics of all kinds, with records, and settings of the brokers.
fn prepare(world: &World) -> Engine {
    let engine = world.open();
    engine.admin().create_topic(&NewTopic::named("filled").partitions(1)).unwrap();
    engine.admin().create_topic(&NewTopic::named("orders").partitions(3).config("retention.ms", "86400000")).unwrap();
    create(&engine, "short", &[]);
    engine.admin().add_partitions("orders", 4).unwrap();
    create(&engine, "removed", &[("retention.ms", "1")]);
    engine.admin().delete_topic("removed").unwrap();
    let change = BTreeMap::from([("message.max.bytes".to_owned(), Some("77777".to_owned()))]);
    engine.admin().alter_configs(&ConfigResource::Brokers, &change).unwrap();
    for value in ["one", "two"] {
        send(&engine, "short", value);
    }
    engine
}

/// What a directory says of its topics, and its settings.
#[derive(Debug, PartialEq, Eq)]
struct Said {
    topics: Vec<TopicDescription>,
    settings: Vec<Vec<klog::ConfigEntry>>,
}

fn said(engine: &Engine) -> Said {
    let admin = engine.admin();
    let names: Vec<_> = admin.list_topics().unwrap().into_iter().map(|topic| topic.name).collect();
    let resources = names.iter().cloned().map(ConfigResource::Topic).chain([ConfigResource::Brokers]);
    Said {
        settings: resources.map(|resource| admin.describe_configs(&resource).unwrap()).collect(),
        topics: names.iter().map(|name| admin.describe_topic(name).unwrap()).collect(),
    }
}

/// As if the process had died: the next opener looks at everything.
fn unclean(world: &World) {
    let _ = world.sys.disk.remove_file(&world.dir.join(".kafka_cleanshutdown"));
}

fn a_snapshot_comes_after_512_records(world: &World) {
    let engine = prepare(world);
    let before = batches(&world.bytes(&log())).pop().unwrap().next_offset().0;
    fill(&engine, "filled", (511 - before as usize) / 8 * 8);
    assert_eq!(snapshots(world), [], "not before there are many records");
    fill(&engine, "filled", 8);
    let found = snapshots(world);
    assert_eq!(found.len(), 1);
    let end = batches(&world.bytes(&log())).pop().unwrap();
    assert!(end.next_offset() >= Offset(512));
    assert_eq!(world.list(DIR).iter().filter(|name| name.contains("checkpoint")).count(), 2, "and no other file");
    // The next one is as far again.
    fill(&engine, "filled", 500);
    assert_eq!(snapshots(world), found);
    fill(&engine, "filled", 16);
    assert_eq!(snapshots(world).len(), 2);
    engine.close().unwrap();
    assert_eq!(snapshots(world).len(), 2, "a close soon after one writes none");
}

fn a_snapshot_comes_at_a_close_after_64_records(world: &World) {
    let engine = prepare(world);
    let before = batches(&world.bytes(&log())).pop().unwrap().next_offset().0;
    assert!(before < 40, "{before} records are too many for this test");
    engine.close().unwrap();
    assert_eq!(snapshots(world), []);
    let engine = world.open();
    fill(&engine, "filled", 64);
    assert_eq!(snapshots(world), []);
    let expected = said(&engine);
    engine.close().unwrap();
    let end = batches(&world.bytes(&log())).pop().unwrap();
    let found = snapshots(world);
    assert_eq!(found.iter().map(|(_, o, e)| (*o, *e)).collect::<Vec<_>>(), [(end.next_offset(), end.leader_epoch.0)]);
    let engine = world.open();
    assert_eq!(said(&engine), expected);
    engine.close().unwrap();
    assert_eq!(snapshots(world), found, "who changes nothing writes nothing");
}

/// KIP-630: a header, then data, then a footer; the voters are in the first batch.
fn a_snapshot_is_framed_as_kafkas_are(world: &World) {
    let engine = prepare(world);
    world.advance(1234);
    fill(&engine, "filled", 540);
    let (name, offset, epoch) = snapshots(world).pop().unwrap();
    let (snapshot, log) = (world.bytes(&name), world.bytes(&log()));
    let starts: Vec<_> = batches(&log).iter().map(|batch| batch.base_offset).collect();
    let end = batches(&log).pop().unwrap();
    assert!(starts.contains(&offset) || offset == end.next_offset(), "{offset} is where no batch begins");
    assert_eq!(epoch, end.leader_epoch.0);
    let headers = batches(&snapshot);
    let mut next = Offset(0);
    for header in &headers {
        assert_eq!(header.base_offset, next, "offsets count from 0");
        next = header.next_offset();
        assert_eq!(header.leader_epoch.0, epoch);
        assert_eq!((header.producer_id.0, header.base_sequence), (-1, -1));
        assert_eq!(header.max_timestamp.0, NOW + 1234);
        assert!(header.size < 2 << 20);
    }
    let control: Vec<bool> = headers.iter().map(klog::record::BatchHeader::is_control).collect();
    assert_eq!(control.iter().filter(|is_control| **is_control).count(), 2);
    assert!(control[0] && control[control.len() - 1]);
    let found = keys_and_values(&snapshot);
    let control: Vec<_> = found.iter().filter(|(header, _, _)| header.is_control()).collect();
    let kinds: Vec<_> = control.iter().map(|(_, key, _)| key.clone()).collect();
    assert_eq!(kinds, [[0, 0, 0, 3], [0, 0, 0, 5], [0, 0, 0, 6], [0, 0, 0, 4]]);
    let header = ControlRecord::parse(Some(&control[0].1), Some(&control[0].2)).unwrap();
    let ControlRecord::SnapshotHeader { last_contained_log_timestamp } = header else { panic!("{header:?}") };
    assert_eq!(last_contained_log_timestamp.0, NOW + 1234);
    assert_eq!(control[3].2, [0, 0, 0], "version 0, and no tags");
    assert!(found.iter().all(|(header, key, _)| header.is_control() || key.is_empty()), "records have no keys");
    // The voters are those of the log.
    let of_log = keys_and_values(&log).into_iter().find(|(_, key, _)| *key == [0, 0, 0, 6]).unwrap();
    assert_eq!(control[2].2, of_log.2);
}

/// Source: `org.apache.kafka.image.MetadataImage#write`.
fn a_snapshot_holds_its_records_in_kafkas_order(world: &World) {
    let engine = prepare(world);
    fill(&engine, "filled", 540);
    let (name, _, _) = snapshots(world).pop().unwrap();
    let found = records(&world.bytes(&name));
    let MetadataRecord::FeatureLevel { name, level: 25 } = &found[0] else { panic!("{:?}", found[0]) };
    assert_eq!(name, "metadata.version");
    let rank = |record: &MetadataRecord| match record {
        MetadataRecord::FeatureLevel { .. } => 0,
        MetadataRecord::RegisterBroker(_) => 1,
        MetadataRecord::Topic { .. } | MetadataRecord::Partition(_) => 2,
        MetadataRecord::Config { .. } => 3,
        other => panic!("{other:?}"),
    };
    assert!(found.is_sorted_by_key(rank), "{found:?}");
    let mut topic = None;
    let (mut topics, mut partitions) = (0, 0);
    for record in &found {
        match record {
            MetadataRecord::Topic { id, .. } => (topic, topics) = (Some(*id), topics + 1),
            MetadataRecord::Partition(partition) => {
                assert_eq!(Some(partition.topic_id), topic, "a partition follows its topic");
                partitions += 1;
            }
            MetadataRecord::Config { value, .. } => assert!(value.is_some(), "there is nothing to take back"),
            _ => {}
        }
    }
    assert_eq!((topics, partitions), (3, 6), "what was removed is not there");
}

/// Removes what there is of the log, but for its snapshots and its name.
fn remove_log(world: &World) {
    for name in world.list(DIR) {
        if name.strip_suffix(".checkpoint").is_none() && name != "partition.metadata" {
            world.sys.disk.remove_file(&world.dir.join(DIR).join(name)).unwrap();
        }
    }
}

/// Changes something, and finds that and all else when it opens again, twice.
fn goes_on(world: &World, expected: &Said) {
    let engine = world.open();
    assert_eq!(&said(&engine), expected);
    assert_eq!(read(&engine, "short"), [(0, "one".to_owned()), (1, "two".to_owned())]);
    let id = engine.admin().create_topic(&NewTopic::named("later").partitions(2)).unwrap().id;
    engine.admin().delete_topic("orders").unwrap();
    send(&engine, "later", "three");
    engine.close().unwrap();
    for round in 0..2 {
        let engine = world.open();
        let mut found = said(&engine);
        assert_eq!(found.topics.len(), expected.topics.len(), "round {round}: {found:?}");
        found.topics.retain(|topic| !["later", "filled"].contains(&&*topic.name));
        let kept = expected.topics.iter().filter(|topic| !["orders", "filled"].contains(&&*topic.name));
        let kept: Vec<_> = kept.collect();
        assert_eq!(found.topics.iter().collect::<Vec<_>>(), kept, "round {round}");
        assert_eq!(engine.admin().describe_topic("later").unwrap().id, id, "round {round}");
        assert!(engine.admin().verify(Some("later")).unwrap().is_empty(), "round {round}");
        fill(&engine, "filled", 8);
        unclean(world);
        engine.close().unwrap();
        unclean(world);
    }
}

fn a_directory_lives_by_its_snapshot_alone(world: &World) {
    let engine = prepare(world);
    fill(&engine, "filled", 100);
    let expected = said(&engine);
    engine.close().unwrap();
    assert_eq!(snapshots(world).len(), 1);
    remove_log(world);
    goes_on(world, &expected);
}

fn a_snapshot_ahead_of_the_log_is_believed(world: &World) {
    let engine = prepare(world);
    fill(&engine, "filled", 100);
    let expected = said(&engine);
    engine.close().unwrap();
    let (_, offset, _) = snapshots(world).pop().unwrap();
    // A log that lacks its second half, as an observer's may.
    let bytes = world.bytes(&log());
    let headers = batches(&bytes);
    let half: usize = headers[..headers.len() / 2].iter().map(|header| header.size).sum();
    assert!(headers[headers.len() / 2].base_offset < offset);
    world.sys.disk.open(&world.dir.join(log()), Open::ReadWrite).unwrap().set_len(half as u64).unwrap();
    unclean(world);
    goes_on(world, &expected);
}

/// Kafka removes what is below a snapshot in whole segments. The log then begins at a later offset.
/// Takes the log below `offset` away, as a broker does that has a snapshot of it, and the mark of an orderly end.
fn begin_log_at(world: &World, offset: Offset) {
    let bytes = world.bytes(&log());
    let below: usize =
        batches(&bytes).iter().take_while(|header| header.base_offset < offset).map(|header| header.size).sum();
    remove_log(world);
    world.put(&format!("{DIR}/{:020}.log", offset.0), &bytes[below..]);
    unclean(world);
}

fn a_log_that_begins_behind_its_snapshot_is_replayed_from_there(world: &World) {
    let engine = prepare(world);
    fill(&engine, "filled", 100);
    engine.close().unwrap();
    let (_, offset, _) = snapshots(world).pop().unwrap();
    let engine = world.open();
    create(&engine, "behind", &[]);
    let expected = said(&engine);
    engine.close().unwrap();
    begin_log_at(world, offset);
    goes_on(world, &expected);
}

/// What was between is not known, so nothing is written that would pass for all there is.
fn a_log_that_begins_behind_every_usable_snapshot_is_not_changed(world: &World) {
    let engine = prepare(world);
    fill(&engine, "filled", 1040);
    engine.close().unwrap();
    let found = snapshots(world);
    begin_log_at(world, found[1].1);
    replace(world, &found[1].0, b"damaged");
    let engine = world.open();
    let report = engine.report().unwrap().to_string();
    names(&report, &["not used", "no usable snapshot"]);
    let refusal =
        crate::steps::refused(engine.admin().create_topic(&NewTopic::named("new")), klog::ErrorCode::Unsupported);
    names(&refusal, &["cannot be read", "no usable snapshot"]);
    send(&engine, "filled", "records can still be appended");
    engine.close().unwrap();
    let left: Vec<_> = snapshots(world).into_iter().map(|(name, _, _)| name).collect();
    assert_eq!(left, [found[0].0.clone(), found[1].0.clone()]);
}

fn a_damaged_snapshot_is_passed_over(world: &World) {
    let engine = prepare(world);
    fill(&engine, "filled", 1040);
    let expected = said(&engine);
    engine.close().unwrap();
    let found = snapshots(world);
    assert_eq!(found.len(), 2);
    let (older, good) = (world.bytes(&found[0].0), world.bytes(&found[1].0));
    let footer = batches(&good).pop().unwrap().size;
    let mut flipped = good.clone();
    flipped[good.len() / 2] ^= 1;
    let damaged =
        [Vec::new(), good[..good.len() - footer].to_vec(), good[..good.len() - 1].to_vec(), flipped, vec![0; 99]];
    for (number, bytes) in damaged.iter().enumerate() {
        for of in [&found[1..], &found[..]] {
            of.iter().for_each(|(name, _, _)| replace(world, name, bytes));
            let engine = world.open();
            assert_eq!(said(&engine), expected, "damage {number}");
            let report = engine.report().unwrap();
            assert_eq!(report.findings.len(), of.len(), "damage {number}: {report}");
            for (finding, (name, _, _)) in report.findings.iter().zip(of.iter().rev()) {
                assert_eq!(&finding.file, name);
                names(&finding.what, &["not used"]);
            }
            engine.close().unwrap();
        }
        replace(world, &found[0].0, &older);
    }
    // It goes on, and the next snapshot is good.
    let engine = world.open();
    fill(&engine, "filled", 1040);
    let expected = said(&engine);
    engine.close().unwrap();
    let engine = world.open();
    assert_eq!(said(&engine), expected);
    assert!(engine.report().unwrap().is_empty(), "{}", engine.report().unwrap());
}

fn replace(world: &World, name: &str, bytes: &[u8]) {
    let file = world.sys.disk.open(&world.dir.join(name), Open::ReadWrite).unwrap();
    file.set_len(0).unwrap();
    world.put(name, bytes);
}

fn hex(digits: &str) -> Vec<u8> {
    (0..digits.len() / 2).map(|at| u8::from_str_radix(&digits[2 * at..2 * at + 2], 16).unwrap()).collect()
}

/// Records that klog does not model: two ACLs and the end of one, SCRAM and its removal, quotas, a controller, a delegation
/// token and its removal, a kind that does not exist yet, and a version that does not exist yet.
fn foreign() -> Vec<Vec<u8>> {
    let acl = |id: u8| {
        let id: String = format!("{id:02x}").repeat(16);
        hex(&format!("011200{id}0207 6f7264657273 03 0b 557365723a616c696365 02 2a 03 03 00").replace(' ', ""))
    };
    let texts = [
        "010b0006616c69636501 03aabb 03ccdd 03eeff 00001000 00",
        "011b00000000011c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c00020b434f4e54524f4c4c45520a3132372e302e302e312385000000020e6b726166742e76657273696f6e000000010000",
        "010e0002057573657206616c696365001370726f64756365725f627974655f7261746541300000000000000000",
        "010a000b557365723a616c69636500",
        "01630001020304",
        "01020907 6f7264657273 00",
        "011600 06616c696365 01 00",
        "011a00 0b746f6b656e 00",
    ];
    let mut found: Vec<_> = texts.iter().map(|text| hex(&text.replace(' ', ""))).collect();
    found.insert(1, acl(1));
    found.insert(3, acl(2));
    found.push(hex(&format!("011300{}00", "01".repeat(16))));
    found.push(acl(1));
    found
}

/// Byte for byte and in their order, through snapshots of snapshots.
fn what_klog_does_not_model_stays_as_it_is(world: &World) {
    prepare(world).close().unwrap();
    let foreign = foreign();
    append(world, &foreign[..5]);
    let engine = world.open();
    fill(&engine, "filled", 8);
    engine.close().unwrap();
    append(world, &foreign[5..]);
    // Settings of resources that klog does not have, and of topics and brokers by names that it does not know.
    let settings = [
        setting(ResourceType(16), "clients", "metrics", Some("*")),
        setting(ResourceType(32), "group", "consumer.session.timeout.ms", Some("45000")),
        setting(ResourceType(8), "1", "kafka.server", Some("DEBUG")),
        setting(ResourceType::BROKER, "", "ssl.keystore.location", Some("/secret")),
        setting(ResourceType::BROKER, "7", "log.retention.ms", Some("5")),
        setting(ResourceType::TOPIC, "orders", "new.in.kafka.9", Some("ja")),
        setting(ResourceType::TOPIC, "orders", "compression.gzip.level", Some("eleven")),
    ];
    append(world, &settings);
    let check = |when: &str| {
        let (name, _, _) = snapshots(world).pop().unwrap();
        let values: Vec<_> = keys_and_values(&world.bytes(&name)).into_iter().map(|(_, _, value)| value).collect();
        let others: Vec<_> = values.iter().filter(|value| foreign.contains(value)).cloned().collect();
        assert!(others == foreign, "{when}: {} of {} records", others.len(), foreign.len());
        for setting in &settings {
            assert_eq!(values.iter().filter(|value| *value == setting).count(), 1, "{when}");
        }
    };
    for round in 0..3 {
        let engine = world.open();
        fill(&engine, "filled", 600);
        let entries = engine.admin().describe_configs(&ConfigResource::Topic("orders".into())).unwrap();
        let entry = entries.iter().find(|entry| entry.name == "new.in.kafka.9").unwrap();
        assert_eq!((entry.value.as_deref(), entry.source), (Some("ja"), klog::ConfigSource::Topic));
        check(&format!("round {round}"));
        engine.close().unwrap();
        match round {
            0 => unclean(world),
            _ => remove_log(world),
        }
    }
    // What another program left can be taken back by its name, and no other name can.
    let engine = world.open();
    let change = BTreeMap::from([("new.in.kafka.9".to_owned(), None)]);
    let orders = ConfigResource::Topic("orders".into());
    engine.admin().alter_configs(&orders, &change).unwrap();
    assert!(engine.admin().alter_configs(&orders, &change).is_err());
}

/// Two records of a transaction that never ends: the next controller gives them up.
fn a_transaction_without_an_end_is_in_no_snapshot(world: &World) {
    prepare(world).close().unwrap();
    let id = klog::Uuid([7; 16]);
    let never = |name: &str| MetadataRecord::Topic { name: name.to_owned(), id }.encode();
    append(world, &[MetadataRecord::BeginTransaction.encode(), never("never"), foreign()[0].clone()]);
    let engine = world.open();
    assert_eq!(engine.admin().list_topics().unwrap().len(), 3);
    fill(&engine, "filled", 530);
    let expected = said(&engine);
    let (name, _, _) = snapshots(world).pop().unwrap();
    let found = records(&world.bytes(&name));
    for record in &found {
        let of_transaction = matches!(
            record,
            MetadataRecord::BeginTransaction | MetadataRecord::EndTransaction | MetadataRecord::Other { .. }
        );
        assert!(!of_transaction && *record != (MetadataRecord::Topic { name: "never".into(), id }), "{record:?}");
    }
    // Whoever replays the log sees it given up, before the first change behind it.
    let log = records(&world.bytes(&log()));
    let begin = log.iter().position(|record| *record == MetadataRecord::BeginTransaction).unwrap();
    assert_eq!(log[begin + 3], MetadataRecord::AbortTransaction);
    engine.close().unwrap();
    assert_eq!(said(&world.open()), expected);
}

/// The leader's record fits on the disk, the one that gives the transaction up does not: what follows must not become a part
/// of the transaction.
fn a_transaction_that_could_not_be_given_up_is_given_up_by_the_next_change(world: &World) {
    let Some(disk) = world.simulated_disk() else { return };
    prepare(world).close().unwrap();
    append(world, &[MetadataRecord::BeginTransaction.encode()]);
    let engine = world.open();
    let mut failed = 0;
    for room in 0..400 {
        disk.set_capacity(Some(disk.used() + room));
        if engine.admin().create_topic(&NewTopic::named("late")).is_ok() {
            break;
        }
        failed += 1;
    }
    disk.set_capacity(None);
    assert!(failed > 0, "the disk was never full");
    create(&engine, "last", &[]);
    let expected = said(&engine);
    engine.close().unwrap();
    assert_eq!(said(&world.open()), expected);
    assert!(world.open().admin().describe_topic("last").is_ok());
}

fn a_topic_removed_before_the_snapshot_is_still_known_as_removed(world: &World) {
    let engine = prepare(world);
    create(&engine, "old", &[("file.delete.delay.ms", "0")]);
    send(&engine, "old", "must not come back");
    let left: Vec<_> = world.contents().into_iter().filter(|(name, _)| name.starts_with("old-0/")).collect();
    let bring_back = || {
        for (name, bytes) in &left {
            match name.strip_suffix('/') {
                Some(dir) => world.sys.disk.create_dir(&world.dir.join(dir)).unwrap(),
                None => world.put(name, bytes),
            }
        }
    };
    engine.admin().delete_topic("old").unwrap();
    fill(&engine, "filled", 1100);
    engine.close().unwrap();
    assert_eq!(snapshots(world).len(), 2);
    // What an interruption left is removed at the next opening, which looks because there was no orderly end.
    bring_back();
    unclean(world);
    let engine = world.open();
    assert!(!world.exists(&world.dir.join("old-0")));
    assert!(world.ls("").iter().all(|name| !name.starts_with("old")), "{:?}", world.ls(""));
    engine.close().unwrap();
    // After an orderly end it is in nobody's way.
    bring_back();
    let engine = world.open();
    create(&engine, "old", &[]);
    assert_eq!(send(&engine, "old", "new"), 0);
    assert_eq!(offsets(&engine, "old"), [0]);
}

fn old_snapshots_go_in_directories_of_klog_only(world: &World) {
    let engine = prepare(world);
    world.put(&format!("{DIR}/00000000000000000007-0000000001.checkpoint.tmp"), b"unfinished");
    fill(&engine, "filled", 1600);
    assert_eq!(snapshots(world).len(), 2, "two are kept");
    assert!(!world.exists(&world.dir.join(DIR).join("00000000000000000007-0000000001.checkpoint.tmp")));
    engine.close().unwrap();
    let kept = snapshots(world);
    assert_eq!(kept.len(), 2);
    // Another program takes back that anything may be deleted, so klog deletes nothing.
    append(world, &[setting(ResourceType::BROKER, "", "klog.retention.enable", None)]);
    let part = format!("{DIR}/00000000000000000007-0000000001-123.checkpoint.part");
    let deleted = format!("{DIR}/00000000000000000007-0000000001.checkpoint.deleted");
    [&part, &deleted].iter().for_each(|name| world.put(name, b"Kafka's"));
    let engine = world.open();
    fill(&engine, "filled", 1600);
    let found = snapshots(world);
    assert_eq!(found.len(), 5, "{found:?}");
    assert_eq!(found[..2], kept[..]);
    let expected = said(&engine);
    engine.close().unwrap();
    assert_eq!((world.bytes(&part), world.bytes(&deleted)), (b"Kafka's".to_vec(), b"Kafka's".to_vec()));
    assert_eq!(said(&world.open()), expected);
}

fn reading_writes_no_snapshot(world: &World) {
    prepare(world).close().unwrap();
    // Many records that klog did not write itself.
    let many: Vec<_> =
        (0..1500).map(|n| setting(ResourceType::TOPIC, "filled", "segment.ms", Some(&(n + 1).to_string()))).collect();
    append(world, &many);
    let before = (world.contents(), world.list(""));
    let reader = world.open_for_reading();
    let read_only = said(&reader);
    reader.close().unwrap();
    assert_eq!((world.contents(), world.list("")), before);
    // Neither does an engine that could.
    let engine = world.open();
    let found = said(&engine);
    assert_eq!(found.topics, read_only.topics);
    assert_eq!(read(&engine, "short").len(), 2);
    engine.close().unwrap();
    assert_eq!(snapshots(world), []);
    assert!(world.bytes(&log()) == before.0[&log()]);
    // The first change behind them does.
    let engine = world.open();
    fill(&engine, "filled", 1);
    assert_eq!(snapshots(world).len(), 1);
}
