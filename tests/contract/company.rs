//! Clauses 8 to 10: replicas, processes, threads.

use std::mem::ManuallyDrop;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use klog::sys::{AnyDisk, Fault, FaultKind, SimClock, SimDisk, Sys};
use klog::{Engine, ErrorCode, NewTopic, OpenOptions, Start, TimestampMs};
use klog_tests::survive;

use crate::lab::{DIR, Lab, NOW, count, create, die, kept, open, options, producer, send};

/// There is one broker, so there is one replica, and min.insync.replicas counts no more than there are. The loss of replicas,
/// and what survives it, comes with the second one.
#[test]
fn contract_08_one_replica_is_all_there_is_and_is_said_to_be() {
    let lab = Lab::with_topic(&[("min.insync.replicas", "2")]);
    let engine = lab.open();
    let two = NewTopic { replication_factor: Some(2), ..NewTopic::named("two") };
    assert_eq!(engine.admin().create_topic(&two).unwrap_err().code(), ErrorCode::InvalidReplicationFactor);
    let partition = engine.admin().describe_topic("t").unwrap().partitions.swap_remove(0);
    assert_eq!((partition.leader, partition.replicas, partition.isr), (1, vec![1], vec![1]));
    let writer = producer(&engine, &[("acks", "all")]);
    for number in 0..3 {
        send(&writer, number).unwrap();
        lab.promise(number + 1);
    }
    assert_eq!(kept(&lab.after_kill()), 3);
    die((engine, writer));
    lab.cut_everywhere("one replica", |disk, promised| assert!(kept(disk) >= promised));
}

/// Who wants a directory for himself gets it, and the others are told.
#[test]
fn contract_09_a_second_process_is_kept_out_by_name() {
    let lab = Lab::with_topic(&[]);
    let engine = options(&lab.disk, &lab.clock).set("klog.exclusive", "true").unwrap().open(DIR).unwrap();
    let writer = producer(&engine, &[]);
    send(&writer, 0).unwrap();
    let before = lab.disk.fingerprint();
    let error = options(&lab.disk, &lab.clock).open(DIR).unwrap_err();
    assert_eq!((error.code(), error.is_retriable()), (ErrorCode::Locked, true));
    assert!(error.message().contains(&std::process::id().to_string()), "{error}");
    assert_eq!(lab.disk.fingerprint(), before, "it changed something");
    send(&writer, 1).unwrap();
    // The kernel takes the locks of the dead; nobody has to decide that they are.
    assert_eq!(kept(&lab.after_kill()), 2);
    drop(writer);
    engine.close().unwrap();
    assert_eq!(count(&lab.open()), 2);
}

/// The process dies in every call that it makes to the system while it sends, from opening on.
#[test]
fn contract_09_a_death_at_any_call_loses_nothing_acknowledged() {
    let script = |lab: &Lab, acknowledged: &mut usize| {
        // No destructor of theirs may run: the dead write nothing.
        let engine = ManuallyDrop::new(lab.open());
        let writer = ManuallyDrop::new(producer(&engine, &[]));
        for number in 0..4 {
            send(&writer, number).unwrap();
            *acknowledged = number + 1;
        }
    };
    let lab = Lab::with_topic(&[("segment.ms", "1000")]);
    script(&lab, &mut 0);
    let calls = lab.disk.calls();
    for call in 1..=calls {
        let lab = Lab::with_topic(&[("segment.ms", "1000")]);
        lab.disk.fail(Fault { call, kind: FaultKind::Death, persistent: false });
        let mut acknowledged = 0;
        assert!(survive(|| script(&lab, &mut acknowledged)).is_none(), "call {call} of {calls}");
        lab.disk.heal();
        let kept = kept(&lab.after_kill());
        assert!((acknowledged..=4).contains(&kept), "call {call}: {kept} are left, {acknowledged} were acknowledged");
    }
    println!("{calls} deaths");
}

const THREADS: usize = 4;
const EACH: usize = 50;

/// Threads of one process stand for processes, for now.
#[test]
fn contract_10_there_is_one_order_and_who_is_told_of_a_record_finds_it() {
    let clock = SimClock::new(TimestampMs(NOW));
    let disk = SimDisk::new(clock.clone());
    let prepare = options(&disk, &clock).open(DIR).unwrap();
    create(&prepare, "t", &[]);
    prepare.close().unwrap();
    let lab = Lab::of(disk.duplicate(), clock);
    let sys = Sys { disk: AnyDisk::Simulated(lab.disk.clone()), ..Sys::real() };
    let engine = OpenOptions::new().set("klog.spare", "false").unwrap().system(sys).open(DIR).unwrap();
    let (tell, told) = mpsc::channel::<(i64, String)>();
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let (engine, tell) = (&engine, tell.clone());
            scope.spawn(move || {
                let producer = producer(engine, &[]);
                for number in 0..EACH {
                    let value = format!("{thread} {number}");
                    let sent = producer.send("t", None, Some(value.as_bytes())).unwrap().result().unwrap();
                    tell.send((sent.offset, value)).unwrap();
                }
            });
        }
        drop(tell);
        let mut consumer = engine.consumer().unwrap();
        for (offset, value) in told {
            consumer.assign("t", 0, Start::Offset(offset)).unwrap();
            let batch = consumer.poll_records(Duration::ZERO, 1).unwrap();
            let record = batch.get(0).expect("it was acknowledged, and so it is there");
            assert_eq!((record.offset(), record.value()), (offset, Some(value.as_bytes())));
        }
    });
    let order = crate::lab::read(&engine);
    assert_eq!(order.len(), THREADS * EACH);
    assert!(order.iter().enumerate().all(|(at, (offset, _))| at as i64 == *offset), "one after the other, no hole");
    assert_eq!(crate::lab::read(&engine), order, "everybody sees the same");
    lab.promise(order.len());
    assert_eq!(crate::lab::read(&open(&lab.after_kill())), order);
    die::<Engine>(engine);
    let mut number = 0;
    lab.cut_everywhere("order", |disk, promised| {
        number += 1;
        if number % 10 == 1 || promised > 0 {
            let found = crate::lab::read(&open(disk));
            assert_eq!(found, order[..found.len()], "another order");
            assert!(found.len() >= promised);
        }
    });
}
