//! One goes and the other stays: what is left behind, and by whom.

use klog::sys::Disk;
use klog::{Engine, ErrorCode, Start};

use super::following::Process;
use super::{alter, create_with, send_to, two};
use crate::steps::{batches, consumer_of, create, describe, drain, offsets, producer, read, refused, send, values};
use crate::world::{World, on_both_disks};

on_both_disks!(
    only_the_last_to_go_leaves_the_mark_of_a_clean_shutdown,
    who_stays_sees_all_that_the_one_who_went_did,
    the_last_to_go_closes_what_only_the_other_had_open,
    checkpoints_say_what_both_did,
    checkpoints_say_nothing_of_a_topic_that_the_other_deleted,
    checkpoints_of_a_topic_that_was_made_anew_are_its_own,
    the_log_start_of_an_old_topic_is_not_that_of_a_new_one,
    after_an_unclean_end_the_epoch_rises_once,
    an_epoch_that_is_due_is_not_forgotten_when_the_one_who_knew_is_gone,
    a_snapshot_of_the_metadata_by_one_changes_nothing_for_the_other,
    a_delivery_of_a_topic_that_the_other_deleted_says_so,
    what_a_producer_holds_is_refused_when_the_other_deletes_the_topic,
    files_of_a_topic_go_though_the_one_who_deleted_it_has_gone,
    files_of_a_topic_go_though_the_one_who_deleted_it_has_died,
);

const MARK: &str = ".kafka_cleanshutdown";

fn has_mark(world: &World) -> bool {
    world.exists(&world.dir.join(MARK))
}

fn only_the_last_to_go_leaves_the_mark_of_a_clean_shutdown(world: &World) {
    let mut next = 0;
    for first_goes_first in [true, false] {
        for who_writes in 0..2 {
            let (a, b) = two(world);
            if next == 0 {
                create(&a, "t", &[]);
            }
            assert_eq!(send(if who_writes == 0 { &a } else { &b }, "t", "value"), next);
            next += 1;
            assert!(!has_mark(world));
            let (goes, stays) = if first_goes_first { (a, b) } else { (b, a) };
            goes.close().unwrap();
            assert!(!has_mark(world), "the other is still there");
            assert_eq!(offsets(&stays, "t").len() as i64, next);
            stays.close().unwrap();
            assert!(has_mark(world));
            let engine = world.open();
            assert!(engine.report().unwrap().is_empty());
            assert_eq!(offsets(&engine, "t").len() as i64, next);
            engine.close().unwrap();
        }
    }
    // Where nobody wrote the mark stays.
    let (a, b) = two(world);
    assert_eq!(offsets(&a, "t").len() as i64, next);
    a.close().unwrap();
    assert!(has_mark(world));
    b.close().unwrap();
    assert!(has_mark(world));
}

fn who_stays_sees_all_that_the_one_who_went_did(world: &World) {
    let (a, b) = two(world);
    create(&a, "t", &[]);
    let lazy = producer(&a, &[("acks", "1"), ("linger.ms", "100000")]);
    let _queued = lazy.send("t", None, Some(b"queued")).unwrap();
    a.close().unwrap();
    assert_eq!(values(&read(&b, "t")), ["queued"]);
    let c = world.open();
    assert_eq!(send(&c, "t", "c"), 1);
    b.close().unwrap();
    assert_eq!(send(&c, "t", "c again"), 2);
    let d = world.open();
    assert_eq!(values(&read(&d, "t")), ["queued", "c", "c again"]);
}

/// Whoever goes last closes every log that anybody had open: its indexes are whole, and no producer is forgotten.
fn the_last_to_go_closes_what_only_the_other_had_open(world: &World) {
    let (a, b) = two(world);
    create_with(&a, "t", 2);
    create_with(&a, "u", 1);
    send_to(&b, "t", 1, "one").unwrap();
    send_to(&b, "u", 0, "one").unwrap();
    b.close().unwrap();
    a.close().unwrap();
    for partition in ["t-1", "u-0"] {
        let index = world.bytes(&format!("{partition}/00000000000000000000.timeindex"));
        assert_eq!(index.len(), 12, "{partition}: the last entry, and nothing behind it");
    }
    let text = world.text("recovery-point-offset-checkpoint");
    assert!(text.contains("t 1 1\n") && text.contains("u 0 1\n"), "{text}");
}

fn checkpoint(world: &World) -> Vec<Vec<String>> {
    let names = ["recovery-point-offset-checkpoint", "replication-offset-checkpoint", "log-start-offset-checkpoint"];
    let lines = |name: &str| {
        let text = if world.exists(&world.dir.join(name)) { world.text(name) } else { String::new() };
        let mut lines: Vec<_> = text.lines().skip(2).map(str::to_owned).collect();
        lines.retain(|line| !line.starts_with("__cluster_metadata"));
        lines
    };
    names.map(lines).into()
}

/// A second and more goes by for both.
fn let_time_pass(world: &World, engines: &[&Engine]) {
    for _ in 0..3 {
        world.advance(1100);
        for engine in engines {
            // Whoever calls does what is due.
            let _ = engine.consumer().unwrap().poll(std::time::Duration::ZERO);
        }
    }
}

fn checkpoints_say_what_both_did(world: &World) {
    let (a, b) = two(world);
    create_with(&a, "t", 2);
    for round in 1..4 {
        send_to(&a, "t", 0, "value").unwrap();
        send_to(&b, "t", 1, "value").unwrap();
        let order = if round % 2 == 0 { [&a, &b] } else { [&b, &a] };
        let_time_pass(world, &order);
        let expected = vec![format!("t 0 {round}"), format!("t 1 {round}")];
        assert_eq!(checkpoint(world), [expected.clone(), expected, vec![]]);
    }
    a.admin().delete_records("t", 1, Some(2)).unwrap();
    b.admin().delete_records("t", 0, Some(1)).unwrap();
    a.admin().delete_records("t", 1, Some(1)).unwrap();
    assert_eq!(checkpoint(world)[2], ["t 0 1", "t 1 2"]);
}

fn checkpoints_say_nothing_of_a_topic_that_the_other_deleted(world: &World) {
    for a_deletes in [true, false] {
        let (a, b) = two(world);
        create_with(&a, "t", 1);
        send(&a, "t", "one");
        send(&b, "t", "two");
        a.admin().delete_records("t", 0, Some(1)).unwrap();
        let_time_pass(world, &[&a, &b]);
        assert_eq!(checkpoint(world), [["t 0 2"], ["t 0 2"], ["t 0 1"]]);
        let (deletes, goes_on) = if a_deletes { (&a, &b) } else { (&b, &a) };
        deletes.admin().delete_topic("t").unwrap();
        create(goes_on, "other", &[]);
        send(goes_on, "other", "value");
        let_time_pass(world, &[&a, &b]);
        let _ = (a.close(), b.close());
        let left = checkpoint(world);
        assert!(left.iter().flatten().all(|line| !line.starts_with("t ")), "{left:?}");
        world.open().admin().delete_topic("other").unwrap();
    }
}

fn checkpoints_of_a_topic_that_was_made_anew_are_its_own(world: &World) {
    for a_makes in [true, false] {
        let (a, b) = two(world);
        create(&a, "t", &[]);
        for _ in 0..4 {
            send(&a, "t", "old");
            send(&b, "t", "old");
        }
        let_time_pass(world, &[&a, &b]);
        assert_eq!(checkpoint(world), [vec!["t 0 8"], vec!["t 0 8"], vec![]]);
        let (makes, other) = if a_makes { (&a, &b) } else { (&b, &a) };
        makes.admin().delete_topic("t").unwrap();
        create(makes, "t", &[]);
        // As far as the old one went, so that what is known of that looks right.
        for _ in 0..8 {
            send(other, "t", "new");
        }
        let_time_pass(world, &[&a, &b]);
        assert_eq!(checkpoint(world), [vec!["t 0 8"], vec!["t 0 8"], vec![]]);
        drop(a);
        drop(b);
        let engine = world.open();
        assert!(engine.report().unwrap().is_empty(), "{:?}", engine.report());
        assert_eq!(offsets(&engine, "t").len(), 8);
        engine.admin().delete_topic("t").unwrap();
    }
}

fn the_log_start_of_an_old_topic_is_not_that_of_a_new_one(world: &World) {
    for a_makes in [true, false] {
        let (a, b) = two(world);
        let (makes, other) = if a_makes { (&a, &b) } else { (&b, &a) };
        create(makes, "t", &[]);
        for _ in 0..5 {
            send(other, "t", "old");
        }
        assert_eq!(other.admin().delete_records("t", 0, Some(4)).unwrap(), 4);
        makes.admin().delete_topic("t").unwrap();
        create(makes, "t", &[]);
        for _ in 0..3 {
            send(other, "t", "new");
        }
        assert_eq!(other.admin().delete_records("t", 0, Some(1)).unwrap(), 1);
        let_time_pass(world, &[&a, &b]);
        assert_eq!(checkpoint(world)[2], ["t 0 1"]);
        drop(a);
        drop(b);
        let engine = world.open();
        assert_eq!(offsets(&engine, "t"), [1, 2]);
        engine.admin().delete_topic("t").unwrap();
    }
}

/// The directory as an unclean end leaves it: nobody said that all is in order.
fn end_badly(world: &World) {
    world.sys.disk.remove_file(&world.dir.join(MARK)).unwrap();
}

fn epoch(engine: &Engine) -> i32 {
    describe(engine, "t").leader_epoch
}

fn after_an_unclean_end_the_epoch_rises_once(world: &World) {
    let engine = world.open();
    create(&engine, "t", &[("klog.durability", "os")]);
    send(&engine, "t", "before");
    let before = epoch(&engine);
    engine.close().unwrap();
    end_badly(world);
    let (a, b) = two(world);
    assert_eq!(send(&b, "t", "b"), 1);
    assert_eq!(send(&a, "t", "a"), 2);
    assert_eq!(send(&b, "t", "b"), 3);
    assert_eq!((epoch(&a), epoch(&b)), (before + 1, before + 1));
    let epochs: Vec<_> =
        batches(&world.bytes("t-0/00000000000000000000.log")).iter().map(|batch| batch.leader_epoch.0).collect();
    assert_eq!(epochs, [before, before + 1, before + 1, before + 1]);
    a.close().unwrap();
    b.close().unwrap();
    let (a, _b) = two(world);
    assert_eq!(send(&a, "t", "again"), 4);
    assert_eq!(epoch(&a), before + 1, "the end was in order");
}

/// Readers may have seen what an unclean end took away. Whoever opened the directory first knows that, and if that one is
/// gone before it appended anything, the last one to go must not say that all was in order.
fn an_epoch_that_is_due_is_not_forgotten_when_the_one_who_knew_is_gone(world: &World) {
    let engine = world.open();
    create(&engine, "t", &[("klog.durability", "os")]);
    create(&engine, "u", &[]);
    send(&engine, "t", "before");
    let before = epoch(&engine);
    engine.close().unwrap();
    end_badly(world);
    let other = Process::of(world);
    let a = other.open();
    let b = world.open();
    assert_eq!(send(&b, "u", "another topic"), 0);
    other.dies(a);
    b.close().unwrap();
    let engine = world.open();
    assert_eq!(send(&engine, "t", "after"), 1);
    assert_eq!(epoch(&engine), before + 1);
}

fn a_snapshot_of_the_metadata_by_one_changes_nothing_for_the_other(world: &World) {
    let (a, b) = two(world);
    create(&a, "t", &[]);
    let snapshots = || world.ls("__cluster_metadata-0").iter().filter(|name| name.ends_with(".checkpoint")).count();
    let mut value = 1_000_000;
    while snapshots() == 0 {
        value += 1;
        alter(&a, "t", "max.message.bytes", &value.to_string());
        assert!(value < 1_001_000, "no snapshot was taken");
    }
    assert_eq!(b.admin().describe_topic("t").unwrap().configs["max.message.bytes"], value.to_string());
    alter(&b, "t", "max.message.bytes", "5000");
    create(&b, "u", &[]);
    assert_eq!(snapshots(), 1, "the other knows of it");
    assert_eq!(a.admin().describe_topic("u").unwrap().partitions.len(), 1);
    a.close().unwrap();
    b.close().unwrap();
    let engine = world.open();
    assert_eq!(engine.admin().describe_topic("t").unwrap().configs["max.message.bytes"], "5000");
    assert!(engine.report().unwrap().is_empty());
}

fn a_delivery_of_a_topic_that_the_other_deleted_says_so(world: &World) {
    let (a, b) = two(world);
    create(&a, "t", &[]);
    // Written, and not yet durable, when the topic goes.
    let sent = producer(&a, &[]).send("t", None, Some(b"value")).unwrap();
    b.admin().delete_topic("t").unwrap();
    if let Err(error) = sent.result() {
        assert_eq!(error.code(), ErrorCode::UnknownTopicOrPartition, "{error}");
    }
    refused(a.admin().describe_topic("t"), ErrorCode::UnknownTopicOrPartition);
    let_time_pass(world, &[&a, &b]);
    a.close().unwrap();
    b.close().unwrap();
    assert!(has_mark(world), "nothing failed");
}

fn what_a_producer_holds_is_refused_when_the_other_deletes_the_topic(world: &World) {
    let (a, b) = two(world);
    create(&a, "t", &[]);
    let holding = producer(&a, &[("linger.ms", "100000")]);
    let held = holding.send("t", None, Some(b"value")).unwrap();
    b.admin().delete_topic("t").unwrap();
    refused(holding.flush(), ErrorCode::UnknownTopicOrPartition);
    refused(held.result(), ErrorCode::UnknownTopicOrPartition);
    // What is sent to a topic made anew goes there.
    let held = holding.send("t", None, Some(b"value")).unwrap();
    assert_eq!(held.result().unwrap().offset, 0);
    let mut reading = consumer_of(&b, "t", Start::Earliest);
    assert_eq!(values(&drain(&mut reading)), ["value"]);
    a.close().unwrap();
    b.close().unwrap();
    assert!(has_mark(world), "nothing failed");
}

fn files_of_a_topic_go_though_the_one_who_deleted_it_has_gone(world: &World) {
    let (a, b) = two(world);
    create(&a, "t", &[]);
    send(&b, "t", "value");
    a.admin().delete_topic("t").unwrap();
    a.close().unwrap();
    create(&b, "u", &[]);
    b.close().unwrap();
    let left: Vec<_> = world.ls("").into_iter().filter(|name| name.contains("-delete")).collect();
    assert_eq!(left, [""; 0]);
}

fn files_of_a_topic_go_though_the_one_who_deleted_it_has_died(world: &World) {
    let process = Process::of(world);
    let (a, b) = (process.open(), world.open());
    create(&a, "t", &[]);
    send(&b, "t", "value");
    a.admin().delete_topic("t").unwrap();
    process.dies(a);
    create(&b, "u", &[]);
    b.close().unwrap();
    let left: Vec<_> = world.ls("").into_iter().filter(|name| name.contains("-delete")).collect();
    assert_eq!(left, [""; 0]);
}
