//! Clauses 5 and 7: the disk refuses a write or a flush, or is full.

use std::time::Duration;

use klog::sys::{Event, Fault, FaultKind};
use klog::{Engine, ErrorCode};

use crate::lab::{DIR, Lab, count, die, kept, open, options, producer, send};

/// Calls that sending record 1 makes, when record 0 was sent before.
fn calls_of_a_send() -> u64 {
    let lab = Lab::with_topic(&[]);
    let engine = lab.open();
    let producer = producer(&engine, &[]);
    send(&producer, 0).unwrap();
    let before = lab.disk.calls();
    send(&producer, 1).unwrap();
    let calls = lab.disk.calls() - before;
    die((engine, producer));
    calls
}

/// Sends record 0; then record 1, whose call number `call` fails once with `errno`.
fn with_a_failing_call(call: u64, errno: i32) -> (Lab, Engine, klog::Result<i64>) {
    let lab = Lab::with_topic(&[]);
    let engine = lab.open();
    let producer = producer(&engine, &[]);
    send(&producer, 0).unwrap();
    lab.promise(1);
    lab.disk.fail(Fault { call: lab.disk.calls() + call, kind: FaultKind::Errno(errno), persistent: false });
    let result = send(&producer, 1);
    lab.disk.heal();
    (lab, engine, result)
}

#[test]
fn contract_05_a_failed_call_is_told_with_its_cause() {
    let calls = calls_of_a_send();
    let mut told = 0;
    for call in 1..=calls {
        let (lab, engine, result) = with_a_failing_call(call, libc::EIO);
        match result {
            Ok(offset) => {
                assert_eq!(offset, 1);
                lab.promise(2);
            }
            Err(error) => {
                told += 1;
                assert_eq!((error.code(), error.os_code()), (ErrorCode::KafkaStorageError, Some(libc::EIO)), "{error}");
                assert!(error.message().contains("t-0"), "'{error}' does not name the log");
            }
        }
        assert!((1..=2).contains(&count(&engine)), "what was acknowledged before can be read");
        assert!((1..=2).contains(&kept(&lab.after_kill())), "opening again is the check");
        die(engine);
        lab.cut_everywhere(&format!("call {call} of {calls}"), |disk, promised| {
            assert!(kept(disk) >= promised, "{promised} were acknowledged");
        });
    }
    println!("of {calls} failing calls {told} were told");
    assert!(told >= 2, "the write and the flush at least");
}

/// What a failed flush was to write may be gone although the next flush succeeds. So there is no next one.
#[test]
fn contract_05_a_failed_flush_is_never_followed_by_success() {
    let calls = calls_of_a_send();
    let mut failed_flushes = 0;
    for call in 1..=calls {
        let (lab, engine, result) = with_a_failing_call(call, libc::EIO);
        let events = lab.disk.take_record();
        let failed = events.iter().any(|event| matches!(event, Event::Sync { ok: false, .. }));
        if !failed {
            continue;
        }
        failed_flushes += 1;
        assert!(result.is_err(), "call {call}: acknowledged behind a failed flush");
        // Neither this producer's nor any other's, and no other way to be told that all is well.
        for acks in ["all", "1"] {
            let settings = [("acks", acks), ("klog.durability", "fsync")];
            let error = send(&producer(&engine, &settings), 2).unwrap_err();
            assert_eq!(error.code(), ErrorCode::KafkaStorageError, "{error}");
        }
        assert!(engine.flush().is_err(), "call {call}: a flush reports success");
        let syncs = lab.disk.take_record();
        let again = syncs.iter().filter(|event| matches!(event, Event::Sync { .. })).count();
        assert_eq!(again, 0, "call {call}: a failed flush is not tried again");
        assert_eq!(count(&engine), 1, "reading goes on, below what is durable");
        assert!(engine.close().is_err(), "call {call}: closing says that something is wrong");
        // Whoever opens it again checks it first.
        let engine = open(&lab.disk);
        let found = count(&engine);
        assert!((1..=2).contains(&found));
        assert_eq!(send(&producer(&engine, &[]), found).unwrap(), found as i64);
    }
    println!("{failed_flushes} of {calls} calls were flushes");
    assert!(failed_flushes > 0);
}

#[test]
fn contract_07_a_full_disk_refuses_and_changes_nothing() {
    for room in 0..100 {
        let lab = Lab::with_topic(&[("segment.ms", "1000")]);
        let engine = lab.open();
        let producer = producer(&engine, &[]);
        for number in 0..3 {
            send(&producer, number).unwrap();
            lab.promise(number + 1);
        }
        let before = engine.admin().describe_topic("t").unwrap();
        lab.disk.set_capacity(Some(lab.disk.used() + room));
        let refused = send(&producer, 3);
        let acknowledged = match &refused {
            Ok(_) => 4,
            Err(error) => {
                assert_eq!((error.code(), error.is_retriable()), (ErrorCode::DiskFull, true), "{error}");
                let after = engine.admin().describe_topic("t").unwrap();
                assert_eq!(after, before, "with {room} bytes left something of it is there");
                3
            }
        };
        assert_eq!(count(&engine), acknowledged, "reading goes on");
        assert_eq!(kept(&lab.after_kill()), acknowledged);
        lab.promise(acknowledged);
        lab.disk.set_capacity(None);
        for number in acknowledged..6 {
            assert_eq!(send(&producer, number).unwrap(), number as i64, "without opening again");
            lab.promise(number + 1);
        }
        die((engine, producer));
        if room % 25 == 0 {
            lab.cut_everywhere(&format!("{room} bytes left"), |disk, promised| assert!(kept(disk) >= promised));
        }
    }
}

/// The reserve lets records be deleted, retention run and the engine close on a disk without a byte left.
#[test]
fn contract_07_a_full_disk_can_be_cleaned_up_and_closed() {
    let configs = [("segment.ms", "1000"), ("retention.bytes", "1"), ("file.delete.delay.ms", "0")];
    let lab = Lab::with_topic(&configs).looking_at(4); // the reserve is a megabyte
    let options = options(&lab.disk, &lab.clock).set("klog.spare", "true").unwrap();
    let engine = options.open(DIR).unwrap();
    let producer = producer(&engine, &[]);
    for number in 0..6 {
        send(&producer, number).unwrap();
        lab.promise(number + 1);
    }
    lab.disk.set_capacity(Some(lab.disk.used()));
    assert_eq!(send(&producer, 6).unwrap_err().code(), ErrorCode::DiskFull);
    assert_eq!(count(&engine), 6);
    assert_eq!(engine.admin().delete_records("t", 0, Some(1)).unwrap(), 1);
    assert!(engine.admin().delete_old_segments().unwrap() > 0);
    engine.consumer().unwrap().poll(Duration::ZERO).unwrap();
    let start = engine.admin().describe_topic("t").unwrap().partitions[0].log_start_offset;
    engine.close().unwrap();
    let engine = open(&lab.disk.duplicate());
    let found = crate::lab::read(&engine);
    let expected: Vec<_> = (start..6).map(|offset| (offset, crate::lab::value(offset as usize))).collect();
    assert_eq!(found, expected);
    assert!(engine.report().unwrap().is_empty(), "it was closed in order: {}", engine.report().unwrap());
    die((engine, producer));
    lab.cut_everywhere("full", |disk, promised| {
        let engine = open(disk);
        let found = crate::lab::read(&engine);
        let first = found.first().map_or(promised as i64, |(offset, _)| *offset);
        assert!(first <= start, "offset {first} is the first, and {start} is where deleting ended");
        for (at, (offset, value)) in found.iter().enumerate() {
            assert_eq!((*offset, value), (first + at as i64, &crate::lab::value(*offset as usize)));
        }
        assert!(first + found.len() as i64 >= promised as i64, "{promised} were acknowledged");
    });
}
