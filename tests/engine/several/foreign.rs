//! What a broker writes to the metadata log before it finds that it may not have the directory.

use klog::controller::MetadataRecord;
use klog::record::{BatchBuilder, BatchOptions, ControlRecord, LeaderChange, control_batch};
use klog::types::{LeaderEpoch, Offset};
use klog::{Engine, TimestampMs};

use super::{alter, two};
use crate::metadata_log::{log, records};
use crate::steps::{batches, create, offsets, send};
use crate::world::{NOW, World, on_both_disks};

on_both_disks!(
    what_a_broker_wrote_between_two_changes_stays,
    what_a_broker_wrote_of_topics_counts,
    half_a_batch_of_a_broker_is_written_over_by_nobody,
    a_damaged_batch_of_a_broker_is_written_over_by_nobody,
    a_batch_out_of_place_stops_every_change,
);

/// The end of the first segment of the metadata log: offset and epoch.
fn end(world: &World) -> (Offset, i32) {
    let last = batches(&world.bytes(&log())).pop().unwrap();
    (last.next_offset(), last.leader_epoch.0)
}

/// What a broker of one appends when it becomes the leader: a control batch of a new epoch, and a record that says nothing.
fn of_a_broker(world: &World, values: &[MetadataRecord]) -> Vec<u8> {
    let (next, epoch) = end(world);
    let epoch = LeaderEpoch(epoch + 1);
    let change = LeaderChange { leader_id: 1, voters: vec![1], granting_voters: vec![1] };
    let mut bytes = control_batch(&[ControlRecord::LeaderChange(change)], TimestampMs(NOW), next, epoch);
    let mut builder = BatchBuilder::with_capacity(0);
    for value in values {
        builder.push(TimestampMs(NOW), None, Some(&value.encode()), &[]);
    }
    let options = BatchOptions { base_offset: next.plus(1), leader_epoch: epoch, ..BatchOptions::default() };
    bytes.extend(builder.finish(&options).unwrap());
    bytes
}

fn write_behind(world: &World, tail: &[u8]) {
    let mut bytes = world.bytes(&log());
    bytes.extend(tail);
    world.put(&log(), &bytes);
}

fn settings(engine: &Engine) -> Option<String> {
    engine.admin().describe_topic("t").unwrap().configs.get("max.message.bytes").cloned()
}

/// All batches of the log, which must lie one behind the other in offsets and never go back in epochs.
fn check_order(world: &World) -> Vec<i32> {
    let mut next = Offset::ZERO;
    let mut epochs = Vec::new();
    for name in world.ls("__cluster_metadata-0").iter().filter(|name| name.strip_suffix(".log").is_some()) {
        for header in batches(&world.bytes(&format!("__cluster_metadata-0/{name}"))) {
            assert_eq!(header.base_offset, next);
            next = header.next_offset();
            epochs.push(header.leader_epoch.0);
        }
    }
    assert!(epochs.is_sorted(), "{epochs:?}");
    epochs
}

fn what_a_broker_wrote_between_two_changes_stays(world: &World) {
    let (a, b) = two(world);
    create(&a, "t", &[]);
    for round in 0..6_i32 {
        let tail = of_a_broker(world, &[MetadataRecord::NoOp]);
        let before = end(world).1;
        let place = world.bytes(&log()).len();
        write_behind(world, &tail);
        let (one, other) = if round % 2 == 0 { (&b, &a) } else { (&a, &b) };
        let value = (10_000 + round).to_string();
        if round == 4 {
            create(one, "u", &[]);
        }
        alter(one, "t", "max.message.bytes", &value);
        assert_eq!(settings(one).as_deref(), Some(&*value));
        assert_eq!(settings(other).as_deref(), Some(&*value));
        assert_eq!(world.bytes(&log())[place..place + tail.len()], tail, "nothing was written over it");
        assert!(end(world).1 > before + 1, "round {round}: whoever goes on has a higher epoch than the broker");
        check_order(world);
        assert_eq!(send(other, "t", "value"), i64::from(round));
    }
    let count = check_order(world).len();
    a.close().unwrap();
    b.close().unwrap();
    let engine = world.open();
    assert!(engine.report().unwrap().is_empty(), "{:?}", engine.report());
    assert_eq!(settings(&engine).unwrap(), "10005");
    assert_eq!(engine.admin().list_topics().unwrap().len(), 2);
    assert_eq!(offsets(&engine, "t").len(), 6);
    assert_eq!(check_order(world).len(), count);
}

/// A combined broker may have done real work in that time. All of it counts for whoever changes something next.
fn what_a_broker_wrote_of_topics_counts(world: &World) {
    let (a, b) = two(world);
    create(&a, "t", &[]);
    let made = records(&world.bytes(&log()));
    let partition = made.iter().find_map(|record| match record {
        MetadataRecord::Partition(partition) => Some(partition.clone()),
        _ => None,
    });
    let id = klog::Uuid([7; 16]);
    let partition = klog::controller::PartitionRecord { topic_id: id, ..partition.unwrap() };
    let tail = of_a_broker(
        world,
        &[
            MetadataRecord::Topic { name: "of-the-broker".into(), id },
            MetadataRecord::Partition(partition),
            MetadataRecord::NoOp,
        ],
    );
    write_behind(world, &tail);
    let again = b.admin().create_topic(&klog::NewTopic::named("of-the-broker"));
    crate::steps::refused(again, klog::ErrorCode::TopicAlreadyExists);
    create(&b, "u", &[]);
    for engine in [&a, &b] {
        let names: Vec<_> = engine.admin().list_topics().unwrap().into_iter().map(|topic| topic.name).collect();
        assert_eq!(names, ["of-the-broker", "t", "u"]);
        assert_eq!(engine.admin().describe_topic("of-the-broker").unwrap().id, id);
    }
    assert_eq!(send(&a, "of-the-broker", "value"), 0);
    assert_eq!(send(&b, "of-the-broker", "value"), 1);
    check_order(world);
}

/// Whatever lies behind the end of the log is left as it is; whoever changes something goes on in another file, and so does
/// the other one, who had not seen any of it.
fn goes_on_elsewhere(world: &World, make: impl Fn(Vec<u8>) -> Vec<u8>) {
    let (a, b) = two(world);
    create(&a, "t", &[]);
    alter(&b, "t", "max.message.bytes", "9999");
    let tail = make(of_a_broker(world, &[MetadataRecord::NoOp, MetadataRecord::NoOp]));
    let place = world.bytes(&log()).len();
    write_behind(world, &tail);
    alter(&b, "t", "max.message.bytes", "10000");
    assert_eq!(world.bytes(&log())[place..], tail, "it is left as it is");
    assert_eq!(settings(&a).as_deref(), Some("10000"));
    alter(&a, "t", "max.message.bytes", "10001");
    assert_eq!(settings(&b).as_deref(), Some("10001"));
    create(&b, "u", &[]);
    create(&a, "v", &[]);
    assert_eq!(send(&a, "u", "value"), 0);
    for engine in [&a, &b] {
        assert_eq!(engine.admin().list_topics().unwrap().len(), 3);
    }
    // One who comes now, and one who only reads.
    for engine in [world.open(), world.open_for_reading()] {
        assert_eq!(settings(&engine).as_deref(), Some("10001"));
        assert_eq!(engine.admin().list_topics().unwrap().len(), 3);
    }
    a.close().unwrap();
    b.close().unwrap();
    let engine = world.open();
    assert_eq!(settings(&engine).as_deref(), Some("10001"));
    assert_eq!(engine.admin().list_topics().unwrap().len(), 3);
    alter(&engine, "t", "max.message.bytes", "10002");
    assert_eq!(settings(&world.open()).as_deref(), Some("10002"));
}

fn half_a_batch_of_a_broker_is_written_over_by_nobody(world: &World) {
    goes_on_elsewhere(world, |tail| tail[..40].to_vec());
}

fn a_damaged_batch_of_a_broker_is_written_over_by_nobody(world: &World) {
    goes_on_elsewhere(world, |mut tail| {
        *tail.last_mut().unwrap() ^= 1;
        let first = klog::BatchHeader::parse(&tail).unwrap().size;
        tail.split_off(first)
    });
}

/// Bytes at an offset that was given away are nobody's honest work: nothing is changed by guessing.
fn a_batch_out_of_place_stops_every_change(world: &World) {
    let (a, b) = two(world);
    create(&a, "t", &[]);
    send(&b, "t", "value");
    let (_, epoch) = end(world);
    let change = LeaderChange { leader_id: 1, voters: vec![1], granting_voters: vec![1] };
    let change = [ControlRecord::LeaderChange(change)];
    write_behind(world, &control_batch(&change, TimestampMs(NOW), Offset(2), LeaderEpoch(epoch + 1)));
    let before = world.bytes(&log());
    for engine in [&a, &b] {
        let error = engine.admin().create_topic(&klog::NewTopic::named("u")).unwrap_err();
        assert!(error.message().contains("somebody else wrote a batch at offset 2"), "{error}");
        assert_eq!(engine.admin().list_topics().unwrap().len(), 1);
        assert_eq!(offsets(engine, "t"), [0]);
    }
    assert_eq!(world.bytes(&log()), before);
}
