//! Readers that may write nothing, beside those who write, come, go and die.

use std::time::Duration;

use klog::sys::{Disk, Open, SimDisk, Sys, read_whole, write_all_at};
use klog::{Consumer, Engine, ErrorCode, OpenOptions, Start};

use super::{alter, create_with, send_to};
use crate::steps::{
    bases, consumer, consumer_of, create, describe, drain, offsets, producer, read, refused, send, send_at, values,
};
use crate::world::{NOW, World, on_both_disks};

on_both_disks!(
    a_reader_follows_appends_rolls_and_deletions,
    a_reader_follows_through_the_end_of_one_writer_to_the_next,
    a_reader_follows_each_partition_in_whatever_order_the_next_writer_opens_them,
    a_reader_follows_from_a_clean_directory_to_its_first_writer,
    a_reader_finds_a_topic_that_was_made_later,
    a_reader_finds_a_partition_whose_directory_was_not_there,
    a_reader_goes_by_what_writers_set,
    a_reader_of_a_topic_that_was_deleted_is_told,
    a_reader_of_a_topic_that_was_made_anew_is_told,
    a_reader_keeps_nobody_from_being_first_or_last,
    a_reader_that_came_after_a_death_follows_the_next_writer,
);

/// A process that may die, which only a simulated one can while the test goes on; on the real disk it leaves the directory
/// as one does that dies: its locks go with its files, and nothing is said of a clean end.
pub(super) struct Process<'a> {
    world: &'a World,
    disk: Option<SimDisk>,
}

impl<'a> Process<'a> {
    pub(super) fn of(world: &'a World) -> Process<'a> {
        Process { world, disk: world.simulated_disk().map(SimDisk::for_another_process) }
    }

    pub(super) fn options(&self) -> OpenOptions {
        let sys = match &self.disk {
            Some(disk) => Sys { disk: klog::sys::AnyDisk::Simulated(disk.clone()), ..self.world.sys.clone() },
            None => self.world.sys.clone(),
        };
        self.world.options().system(sys)
    }

    pub(super) fn open(&self) -> Engine {
        self.options().open(&self.world.dir).unwrap()
    }

    pub(super) fn dies(self, engine: Engine) {
        let Some(disk) = self.disk else {
            // What a handle of this process has open cannot be taken from it: it goes in order, and that is taken back.
            drop(engine);
            let _ = self.world.sys.disk.remove_file(&self.world.dir.join(".kafka_cleanshutdown"));
            return;
        };
        disk.kill();
        drop(engine);
        disk.bury();
    }
}

fn a_reader_follows_appends_rolls_and_deletions(world: &World) {
    let writer = world.open();
    create(&writer, "t", &[("segment.ms", "1000"), ("file.delete.delay.ms", "0")]);
    let reader = world.open_for_reading();
    let mut reading = consumer_of(&reader, "t", Start::Earliest);
    assert!(drain(&mut reading).is_empty());
    for number in 0..9 {
        let time = NOW - 10_000_000 + number / 2 * 5000;
        send_at(&writer, "t", time, number.to_string().as_bytes()).unwrap();
        assert_eq!(drain(&mut reading), [(number, number.to_string())]);
        assert_eq!(describe(&reader, "t"), describe(&writer, "t"));
        if number % 4 == 3 {
            assert_eq!(writer.admin().delete_records("t", 0, Some(number - 1)).unwrap(), number - 1);
            writer.admin().delete_old_segments().unwrap();
            assert_eq!(describe(&reader, "t").log_start_offset, number - 1);
            assert_eq!(offsets(&reader, "t"), [number - 1, number]);
            let mut strict = consumer(&reader, &[("auto.offset.reset", "none")]);
            strict.assign("t", 0, Start::Offset(number - 3)).unwrap();
            refused(strict.poll(Duration::ZERO), ErrorCode::OffsetOutOfRange);
        }
    }
    assert_eq!(bases(world, "t-0"), [6, 8]);
    assert_eq!(reader.admin().list_segments("t", 0).unwrap(), writer.admin().list_segments("t", 0).unwrap());
}

fn a_reader_follows_through_the_end_of_one_writer_to_the_next(world: &World) {
    let writer = world.open();
    create(&writer, "t", &[]);
    send(&writer, "t", "0");
    let reader = world.open_for_reading();
    let mut reading = consumer_of(&reader, "t", Start::Earliest);
    assert_eq!(values(&drain(&mut reading)), ["0"]);
    writer.close().unwrap();
    assert!(drain(&mut reading).is_empty());
    for number in 1..8 {
        let value = number.to_string();
        if number % 3 == 0 {
            let process = Process::of(world);
            let writer = process.open();
            assert_eq!(send(&writer, "t", &value), number);
            assert_eq!(values(&drain(&mut reading)), [&*value]);
            process.dies(writer);
        } else {
            let writer = world.open();
            assert_eq!(send(&writer, "t", &value), number);
            assert_eq!(values(&drain(&mut reading)), [&*value]);
        }
        assert!(drain(&mut reading).is_empty());
        assert_eq!(offsets(&reader, "t").len() as i64, number + 1);
    }
}

/// Each opening of the directory lists its partitions in the order in which they are used. A reader that stays must look for
/// them anew, or it takes what is said of one partition for another.
fn a_reader_follows_each_partition_in_whatever_order_the_next_writer_opens_them(world: &World) {
    let writer = world.open();
    let topics = ["a", "b", "c"];
    for (number, topic) in topics.into_iter().enumerate() {
        create(&writer, topic, &[]);
        for _ in 0..=number * 2 {
            send(&writer, topic, topic);
        }
    }
    let reader = world.open_for_reading();
    let mut counts = [1, 3, 5];
    let mut readings = topics.map(|topic| consumer_of(&reader, topic, Start::Earliest));
    for (reading, count) in readings.iter_mut().zip(counts) {
        assert_eq!(drain(reading).len(), count);
    }
    writer.close().unwrap();
    for order in [[2, 1, 0], [1, 0, 2], [0, 2, 1]] {
        let writer = world.open();
        for index in order {
            send(&writer, topics[index], "more");
            counts[index] += 1;
        }
        for (index, reading) in readings.iter_mut().enumerate() {
            assert_eq!(values(&drain(reading)), ["more"], "{}, opened in order {order:?}", topics[index]);
            assert_eq!(describe(&reader, topics[index]).log_end_offset, counts[index] as i64);
        }
        writer.close().unwrap();
    }
}

fn a_reader_follows_from_a_clean_directory_to_its_first_writer(world: &World) {
    let writer = world.open();
    create(&writer, "t", &[]);
    send(&writer, "t", "0");
    writer.close().unwrap();
    let reader = world.open_for_reading();
    let mut reading = consumer_of(&reader, "t", Start::Earliest);
    assert_eq!(values(&drain(&mut reading)), ["0"]);
    let writer = world.open();
    send(&writer, "t", "1");
    assert_eq!(values(&drain(&mut reading)), ["1"]);
    create(&writer, "u", &[]);
    send(&writer, "u", "u");
    assert_eq!(values(&read(&reader, "u")), ["u"]);
}

fn a_reader_finds_a_topic_that_was_made_later(world: &World) {
    let writer = world.open();
    create(&writer, "t", &[]);
    let reader = world.open_for_reading();
    refused(reader.admin().describe_topic("later"), ErrorCode::UnknownTopicOrPartition);
    create_with(&writer, "later", 2);
    assert_eq!(reader.admin().describe_topic("later").unwrap().partitions.len(), 2);
    send_to(&writer, "later", 1, "value").unwrap();
    let mut reading = consumer(&reader, &[]);
    reading.assign_topics(&["later"], Start::Earliest).unwrap();
    assert_eq!(values(&drain(&mut reading)), ["value"]);
    writer.admin().add_partitions("later", 4).unwrap();
    send_to(&writer, "later", 3, "added").unwrap();
    assert_eq!(values(&drain(&mut reading)), ["added"]);
    assert_eq!(reader.admin().list_topics().unwrap().len(), 2);
}

/// A topic exists before its directories do.
fn a_reader_finds_a_partition_whose_directory_was_not_there(world: &World) {
    let writer = world.open();
    create_with(&writer, "t", 2);
    writer.close().unwrap();
    for name in world.ls("t-1") {
        world.sys.disk.remove_file(&world.dir.join("t-1").join(name)).unwrap();
    }
    world.sys.disk.remove_dir(&world.dir.join("t-1")).unwrap();
    let reader = world.open_for_reading();
    let mut reading = consumer(&reader, &[]);
    reading.assign_topics(&["t"], Start::Earliest).unwrap();
    assert!(drain(&mut reading).is_empty());
    let writer = world.open();
    send_to(&writer, "t", 1, "value").unwrap();
    assert_eq!(values(&drain(&mut reading)), ["value"]);
    assert_eq!(reader.admin().describe_topic("t").unwrap().partitions[1].log_end_offset, 1);
}

fn a_reader_goes_by_what_writers_set(world: &World) {
    let writer = world.open();
    create(&writer, "t", &[]);
    let reader = world.open_for_reading();
    alter(&writer, "t", "max.message.bytes", "5000");
    assert_eq!(reader.admin().describe_topic("t").unwrap().configs["max.message.bytes"], "5000");
}

/// A writer, and a reader that has read one of its three records.
fn in_the_middle_of_three(world: &World) -> (Engine, Engine, Consumer) {
    let writer = world.open();
    create(&writer, "t", &[("file.delete.delay.ms", "0")]);
    for _ in 0..3 {
        send(&writer, "t", "old");
    }
    let reader = world.open_for_reading();
    let mut reading = consumer_of(&reader, "t", Start::Earliest);
    assert_eq!(reading.poll_records(Duration::ZERO, 1).unwrap().next_offset(), 1);
    (writer, reader, reading)
}

fn a_reader_of_a_topic_that_was_deleted_is_told(world: &World) {
    let (writer, reader, mut reading) = in_the_middle_of_three(world);
    writer.admin().delete_topic("t").unwrap();
    refused(reading.poll(Duration::ZERO), ErrorCode::UnknownTopicOrPartition);
    refused(reader.admin().describe_topic("t"), ErrorCode::UnknownTopicOrPartition);
}

fn a_reader_of_a_topic_that_was_made_anew_is_told(world: &World) {
    let (writer, reader, mut reading) = in_the_middle_of_three(world);
    writer.admin().delete_topic("t").unwrap();
    writer.close().unwrap();
    let writer = world.open();
    create(&writer, "t", &[]);
    for _ in 0..5 {
        send(&writer, "t", "new");
    }
    refused(reading.poll(Duration::ZERO), ErrorCode::UnknownTopicOrPartition);
    assert_eq!(values(&read(&reader, "t")), ["new"; 5]);
}

fn a_reader_keeps_nobody_from_being_first_or_last(world: &World) {
    let writer = world.open();
    create(&writer, "t", &[]);
    send(&writer, "t", "value");
    let reader = world.open_for_reading();
    assert_eq!(offsets(&reader, "t"), [0]);
    writer.close().unwrap();
    assert!(world.exists(&world.dir.join(".kafka_cleanshutdown")));
    let writer = world.open();
    assert_eq!(send(&writer, "t", "value"), 1);
    assert_eq!(offsets(&reader, "t"), [0, 1]);
}

/// The memory that a dead writer left says nothing that counts, until somebody begins it anew.
fn a_reader_that_came_after_a_death_follows_the_next_writer(world: &World) {
    let process = Process::of(world);
    let writer = process.open();
    create(&writer, "t", &[]);
    send(&writer, "t", "0");
    process.dies(writer);
    let reader = world.open_for_reading();
    let mut reading = consumer_of(&reader, "t", Start::Earliest);
    assert_eq!(values(&drain(&mut reading)), ["0"]);
    let writer = world.open();
    assert_eq!(send(&writer, "t", "1"), 1);
    assert_eq!(values(&drain(&mut reading)), ["1"]);
}

/// Records that were written and never flushed are lost with the power. A reader that lives on, as if it had been on another
/// machine, has read them: it is told that it stands behind the end, and is never given other records for offsets it has read.
#[test]
fn a_reader_of_records_that_an_unclean_end_took_away_is_told() {
    let world = World::simulated();
    let process = Process::of(&world);
    let writer = process.open();
    create(&writer, "t", &[("klog.durability", "os")]);
    for number in 0..3 {
        send(&writer, "t", &format!("old {number}"));
    }
    writer.flush().unwrap();
    let log = world.dir.join("t-0/00000000000000000000.log");
    let durable = read_whole(&world.sys.disk, &log).unwrap().len();
    for number in 3..6 {
        send(&writer, "t", &format!("old {number}"));
    }
    let reader = world.open_for_reading();
    let mut reading = consumer_of(&reader, "t", Start::Earliest);
    let mut strict = consumer(&reader, &[("auto.offset.reset", "none")]);
    strict.assign("t", 0, Start::Earliest).unwrap();
    assert_eq!(drain(&mut reading).len(), 6);
    assert_eq!(drain(&mut strict).len(), 6);
    process.dies(writer);
    world.simulated_disk().unwrap().tamper(&log, |bytes| bytes.truncate(durable));
    let writer = world.open();
    assert_eq!(send(&writer, "t", "new 3"), 3);
    refused(strict.poll(Duration::ZERO), ErrorCode::OffsetOutOfRange);
    assert_eq!(drain(&mut reading)[3], (3, "new 3".to_owned()), "it begins anew, as auto.offset.reset says");
    assert_eq!(values(&read(&reader, "t")), ["old 0", "old 1", "old 2", "new 3"]);
}

/// As above, where the new history is longer by the time the reader looks.
#[test]
fn a_reader_goes_on_at_the_right_place_in_another_history() {
    let world = World::simulated();
    let process = Process::of(&world);
    let writer = process.open();
    create(&writer, "t", &[("klog.durability", "os")]);
    send(&writer, "t", "old 0");
    writer.flush().unwrap();
    let log = world.dir.join("t-0/00000000000000000000.log");
    let durable = read_whole(&world.sys.disk, &log).unwrap().len();
    send(&writer, "t", "old 1");
    send(&writer, "t", "old 2");
    let reader = world.open_for_reading();
    let mut reading = consumer_of(&reader, "t", Start::Earliest);
    assert_eq!(drain(&mut reading).len(), 3);
    process.dies(writer);
    world.simulated_disk().unwrap().tamper(&log, |bytes| bytes.truncate(durable));
    let writer = world.open();
    // Records of another size, so that a place in the file that was remembered is none any more.
    for number in 1..6 {
        send(&writer, "t", &format!("new and longer {number}"));
    }
    let found = drain(&mut reading);
    assert_eq!(found.last(), Some(&(5, "new and longer 5".to_owned())));
    for (offset, value) in &found {
        assert!(*offset == 0 || *value == format!("new and longer {offset}"), "{found:?}");
    }
}

/// A reader that began where a batch ends in the middle of what a writer is at sees nothing of it.
#[test]
fn a_reader_sees_nothing_behind_the_watermark() {
    let world = World::simulated();
    let writer = world.open();
    create(&writer, "t", &[]);
    send(&writer, "t", "0");
    let lazy = producer(&writer, &[("acks", "1")]);
    lazy.send("t", None, Some(b"not durable")).unwrap().result().unwrap();
    let file = world.sys.disk.open(&world.dir.join("t-0/00000000000000000000.log"), Open::ReadWrite).unwrap();
    let len = klog::sys::File::stat(&file).unwrap().len;
    write_all_at(&file, &[7; 40], len).unwrap();
    let reader = world.open_for_reading();
    assert_eq!(values(&read(&reader, "t")), ["0"]);
    writer.flush().unwrap();
    assert_eq!(values(&read(&reader, "t")), ["0", "not durable"]);
}
