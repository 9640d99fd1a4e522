//! Engines that only read: they change nothing, and need no right to.

use std::os::unix::fs::PermissionsExt;

use klog::{ConfigResource, Engine, ErrorCode, NewTopic};
use klog_tests::golden::fingerprints;

use crate::steps::{describe, offsets, read, refused, send};
use crate::world::{World, on_both_disks};

on_both_disks!(
    a_reader_changes_nothing,
    a_reader_refuses_every_change,
    a_reader_beside_the_writer_sees_nothing_that_could_be_lost,
);

fn a_reader_changes_nothing(world: &World) {
    let engine = world.open();
    send(&engine, "t", "one");
    engine.admin().delete_records("t", 0, Some(1)).unwrap();
    send(&engine, "t", "two");
    engine.close().unwrap();
    let before = (world.contents(), world.list(""));
    let times = world.simulated_disk().is_none().then(|| fingerprints(&world.dir, true));
    if let Some(disk) = world.simulated_disk() {
        disk.record();
    }
    let reader = world.open_for_reading();
    assert!(reader.is_read_only());
    look_at_everything(&reader);
    assert_eq!(read(&reader, "t"), [(1, "two".to_owned())]);
    reader.close().unwrap();
    assert_eq!((world.contents(), world.list("")), before);
    match (world.simulated_disk(), times) {
        (Some(disk), _) => assert_eq!(disk.recorded(), 0, "a change was written"),
        (None, times) => assert_eq!(Some(fingerprints(&world.dir, true)), times, "a time moved"),
    }
}

fn a_reader_refuses_every_change(world: &World) {
    let engine = world.open();
    send(&engine, "t", "one");
    engine.close().unwrap();
    let before = world.contents();
    let reader = world.open_for_reading();
    let admin = reader.admin();
    refused(reader.producer(), ErrorCode::ReadOnly);
    refused(admin.create_topic(&NewTopic::named("u")), ErrorCode::ReadOnly);
    refused(admin.delete_topic("t"), ErrorCode::ReadOnly);
    refused(admin.alter_configs(&ConfigResource::Topic("t".into()), &[].into()), ErrorCode::ReadOnly);
    refused(admin.delete_records("t", 0, None), ErrorCode::ReadOnly);
    refused(admin.delete_old_segments(), ErrorCode::ReadOnly);
    reader.close().unwrap();
    assert_eq!(world.contents(), before);
}

fn a_reader_beside_the_writer_sees_nothing_that_could_be_lost(world: &World) {
    let writer = world.open();
    send(&writer, "t", "one");
    writer.close().unwrap();
    let writer = world.open();
    let reader = world.open_for_reading();
    assert_eq!(offsets(&reader, "t"), [0]);
    let lazy = crate::steps::producer(&writer, &[("acks", "1")]);
    lazy.send("t", None, Some(b"not durable")).unwrap().result().unwrap();
    let later = world.open_for_reading();
    assert_eq!(offsets(&later, "t"), [0], "a record that is not durable is not visible, in no process");
}

/// Reads all that can be read.
fn look_at_everything(engine: &Engine) {
    for topic in engine.admin().list_topics().unwrap() {
        read(engine, &topic.name);
        describe(engine, &topic.name);
    }
    engine.admin().verify(None).unwrap();
    engine.report().unwrap();
}

#[test]
fn a_reader_needs_no_right_to_write() {
    let world = World::real();
    let engine = world.open();
    send(&engine, "t", "one");
    engine.close().unwrap();
    let chmod = |mode: u32| {
        for name in world.contents().keys().chain([&String::new()]) {
            let path = world.dir.join(name);
            let bits = if path.is_dir() { mode | 0o111 } else { mode };
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(bits)).unwrap();
        }
    };
    chmod(0o444);
    let before = fingerprints(&world.dir, false);
    let reader = world.open_for_reading();
    look_at_everything(&reader);
    assert_eq!(offsets(&reader, "t"), [0]);
    reader.close().unwrap();
    assert_eq!(fingerprints(&world.dir, false), before);
    chmod(0o644);
}

/// As above, where the rights are not asked but the disk itself refuses: a simulated disk that fails every write.
#[test]
fn a_reader_opens_nothing_for_writing() {
    let world = World::simulated();
    let engine = world.open();
    send(&engine, "t", "one");
    engine.close().unwrap();
    let disk = world.simulated_disk().unwrap();
    disk.record();
    let before = disk.fingerprint();
    look_at_everything(&world.open_for_reading());
    assert_eq!(disk.recorded(), 0);
    assert_eq!(disk.fingerprint(), before);
}
