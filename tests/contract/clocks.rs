//! Clause 11: the wall clock moves.

use std::time::Duration;

use klog::{Start, TimestampMs};

use crate::lab::{Lab, NOW, count, die, kept, open, producer, value};

const DAY: i64 = 86_400_000;

#[test]
fn contract_11_clock_changes_touch_timestamps_only() {
    let lab = Lab::with_topic(&[]);
    let engine = lab.open();
    let writer = producer(&engine, &[]);
    let times = [NOW, NOW - 400 * DAY, NOW + 4000 * DAY, 1, NOW - 1, NOW];
    for (number, time) in times.into_iter().enumerate() {
        lab.clock.set_wall(TimestampMs(time));
        let sent = writer.send("t", None, Some(value(number).as_bytes())).unwrap().result().unwrap();
        assert_eq!((sent.offset, sent.timestamp), (number as i64, time));
        lab.promise(number + 1);
    }
    assert_eq!(count(&engine), 6);
    let mut consumer = engine.consumer().unwrap();
    consumer.assign("t", 0, Start::Earliest).unwrap();
    let mut found = Vec::new();
    while found.len() < 6 {
        found.extend(consumer.poll(Duration::ZERO).unwrap().iter().map(|record| record.timestamp()));
    }
    assert_eq!(found, times, "in the order in which they were sent");
    assert_eq!(kept(&lab.after_kill()), 6);
    die((engine, writer));
    lab.cut_everywhere("clock", |disk, promised| assert!(kept(disk) >= promised));
}

/// A wait is as long as it is, whatever the wall clock does meanwhile.
#[test]
fn contract_11_waits_do_not_go_by_the_wall_clock() {
    let lab = Lab::with_topic(&[]);
    let engine = lab.open();
    let mut consumer = engine.consumer().unwrap();
    consumer.assign("t", 0, Start::Earliest).unwrap();
    for wall in [NOW + 4000 * DAY, 0] {
        lab.clock.set_wall(TimestampMs(wall));
        let before = klog::sys::Clock::monotonic(&lab.clock);
        assert!(consumer.poll(Duration::from_secs(3)).unwrap().is_empty());
        assert_eq!(klog::sys::Clock::monotonic(&lab.clock), before + Duration::from_secs(3));
    }
    let lingering = producer(&engine, &[("linger.ms", "1000")]);
    lingering.send("t", None, Some(value(0).as_bytes())).unwrap();
    lab.clock.set_wall(TimestampMs(NOW + 4000 * DAY));
    assert_eq!(lingering.pending().unwrap(), 1, "it lingers for a second and not for years");
    lab.clock.set_wall(TimestampMs(0));
    lab.clock.advance(Duration::from_secs(1));
    assert_eq!(lingering.pending().unwrap(), 0);
}

/// A topic that was told to keep its records for a week keeps them when the clock jumps, and not when a week goes by.
#[test]
fn contract_11_a_jump_of_the_clock_deletes_nothing() {
    let configs = [("retention.ms", "604800000"), ("segment.ms", "3600000"), ("file.delete.delay.ms", "0")];
    let lab = Lab::with_topic(&configs);
    let engine = lab.open();
    let writer = producer(&engine, &[]);
    for number in 0..3 {
        writer.send("t", None, Some(value(number).as_bytes())).unwrap().result().unwrap();
        lab.promise(number + 1);
        lab.clock.advance(Duration::from_secs(2 * 3600));
    }
    let now = klog::sys::Clock::now(&lab.clock).0;
    lab.clock.set_wall(TimestampMs(now + 365 * DAY));
    engine.admin().delete_old_segments().unwrap();
    // And what runs by itself.
    lab.clock.advance(Duration::from_secs(600));
    engine.consumer().unwrap().poll(Duration::ZERO).unwrap();
    assert_eq!(count(&engine), 3, "the clock jumped a year, and no year went by");
    die((engine, writer));
    lab.cut_everywhere("jump", |disk, promised| assert!(kept(disk) >= promised));
}

#[test]
fn contract_11_time_that_goes_by_deletes_what_is_old() {
    let lab = Lab::with_topic(&[("retention.ms", "604800000"), ("file.delete.delay.ms", "0")]);
    let engine = lab.open();
    producer(&engine, &[]).send("t", None, Some(b"old")).unwrap().result().unwrap();
    for _ in 0..8 * 24 {
        lab.clock.advance(Duration::from_secs(3600));
        engine.consumer().unwrap().poll(Duration::ZERO).unwrap();
    }
    engine.admin().delete_old_segments().unwrap();
    assert!(crate::lab::read(&engine).is_empty(), "a week and a day went by, hour by hour");
    engine.close().unwrap();
    assert!(crate::lab::read(&open(&lab.disk)).is_empty());
}
