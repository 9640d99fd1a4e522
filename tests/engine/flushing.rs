//! When the disk is asked to keep what was written: `flush.messages`, `flush.ms`, and flushing by name.

use klog::Engine;
use klog::sys::Event;

use crate::steps::{create, describe, producer, send, send_at};
use crate::world::{NOW, World};

/// An engine on a simulated disk with a topic of these settings, recorded from now on.
fn recorded(configs: &[(&str, &str)]) -> (World, Engine) {
    let world = World::simulated();
    let engine = world.open();
    create(&engine, "t", configs);
    send(&engine, "t", "first");
    engine.flush().unwrap();
    world.simulated_disk().unwrap().record();
    (world, engine)
}

fn syncs(world: &World) -> usize {
    let events = world.simulated_disk().unwrap().take_record();
    events.iter().filter(|event| matches!(event, Event::Sync { ok: true, .. })).count()
}

const OS: (&str, &str) = ("klog.durability", "os");

#[test]
fn without_being_told_to_nothing_is_flushed_at_once() {
    let (world, engine) = recorded(&[OS]);
    for _ in 0..100 {
        send(&engine, "t", "value");
    }
    assert_eq!(syncs(&world), 0);
}

#[test]
fn flush_messages_flushes_after_so_many_records() {
    let (world, engine) = recorded(&[OS, ("flush.messages", "3")]);
    let found: Vec<_> = (0..9)
        .map(|_| {
            send(&engine, "t", "value");
            syncs(&world) > 0
        })
        .collect();
    assert_eq!(found, [false, false, true, false, false, true, false, false, true]);
}

#[test]
fn flush_messages_counts_records_and_not_batches() {
    let (world, engine) = recorded(&[OS, ("flush.messages", "3")]);
    crate::steps::send_batch(&engine, "t", &["a", "b"], &[]);
    assert_eq!(syncs(&world), 0);
    crate::steps::send_batch(&engine, "t", &["c", "d"], &[]);
    assert!(syncs(&world) > 0);
}

#[test]
fn flush_messages_of_one_flushes_each() {
    let (world, engine) = recorded(&[OS, ("flush.messages", "1")]);
    for _ in 0..5 {
        producer(&engine, &[("acks", "1")]).send("t", None, Some(b"v")).unwrap().result().unwrap();
        assert_eq!(syncs(&world), 1);
    }
}

/// Within `flush.ms`, which is 1,000 where os is enough; without threads, by the call that comes next.
#[test]
fn flush_ms_flushes_what_was_written_that_long_ago() {
    for (configs, ms) in [(&[OS, ("flush.ms", "70")][..], 70), (&[OS], 1000), (&[("flush.ms", "70")], 70), (&[], 10)] {
        let (world, engine) = recorded(configs);
        producer(&engine, &[("acks", "1")]).send("t", None, Some(b"v")).unwrap().result().unwrap();
        let any_call = || drop(engine.consumer().unwrap().poll(std::time::Duration::ZERO).unwrap());
        world.advance(ms - 1);
        any_call();
        assert_eq!(syncs(&world), 0, "{configs:?}");
        world.advance(1);
        any_call();
        assert!(syncs(&world) > 0, "{configs:?}");
        world.advance(ms);
        any_call();
        assert_eq!(syncs(&world), 0, "{configs:?}: there is nothing more to flush");
    }
}

#[test]
fn flushing_by_name_makes_everything_durable_once() {
    let (world, engine) = recorded(&[OS]);
    send(&engine, "t", "value");
    assert_eq!(syncs(&world), 0);
    engine.flush().unwrap();
    assert!(syncs(&world) > 0);
    engine.flush().unwrap();
    assert_eq!(syncs(&world), 0, "nothing was written since");
}

#[test]
fn a_flush_covers_the_segments_that_ended_before() {
    let world = World::simulated();
    let engine = world.open();
    create(&engine, "t", &[OS, ("segment.ms", "1000")]);
    world.simulated_disk().unwrap().record();
    for hour in 0..3 {
        send_at(&engine, "t", NOW - 100_000_000 + hour * 3_600_000, b"v").unwrap();
    }
    assert_eq!((describe(&engine, "t").segments, syncs(&world)), (3, 0));
    engine.flush().unwrap();
    let events = world.simulated_disk().unwrap().take_record();
    let synced = events.iter().filter(|event| matches!(event, Event::Sync { ok: true, .. })).count();
    let dirs = events.iter().filter(|event| matches!(event, Event::SyncDir { .. })).count();
    assert!(synced >= 3 && dirs >= 1, "{synced} files and {dirs} directories for 3 segments");
}
