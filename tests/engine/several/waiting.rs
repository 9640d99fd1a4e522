//! Consumers that sleep until there is something for them.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use klog::{Engine, Start};

use super::{create_with, send_to};

const LONG: Duration = Duration::from_secs(20);

#[test]
fn who_waits_for_one_partition_is_woken_for_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let (reader, writer) = (Engine::open(dir.path()).unwrap(), Engine::open(dir.path()).unwrap());
    create_with(&writer, "t", 2);
    let (tell, told) = mpsc::channel();
    thread::scope(|scope| {
        let mut consumer = reader.consumer().unwrap();
        consumer.assign("t", 0, Start::Earliest).unwrap();
        let waiting = scope.spawn(move || {
            tell.send(()).unwrap();
            consumer.poll(LONG).unwrap().iter().map(|record| record.value().unwrap().to_vec()).collect::<Vec<_>>()
        });
        told.recv().unwrap();
        for number in 0..500 {
            send_to(&writer, "t", 1, &number.to_string()).unwrap();
        }
        send_to(&writer, "t", 0, "for it").unwrap();
        assert_eq!(waiting.join().unwrap(), [b"for it"]);
    });
    let metrics = writer.admin().metrics().unwrap();
    let wakes = |partition| {
        let found = metrics.partitions.iter().find(|found| found.partition.to_string() == partition).unwrap();
        (found.counts.appends, found.counts.wakes)
    };
    assert_eq!(wakes("t-1"), (500, 0));
    let (appends, woken) = wakes("t-0");
    assert!(appends == 1 && woken <= 1, "{appends} appends, {woken} wake-ups");
}

#[test]
fn who_waits_for_more_than_one_partition_is_woken_for_each() {
    let dir = tempfile::tempdir().unwrap();
    let (reader, writer) = (Engine::open(dir.path()).unwrap(), Engine::open(dir.path()).unwrap());
    create_with(&writer, "t", 1);
    thread::scope(|scope| {
        let mut consumer = reader.consumer().unwrap();
        // The whole topic, which has one partition when the wait begins.
        consumer.assign_topics(&["t"], Start::Earliest).unwrap();
        let (tell, told) = mpsc::channel();
        scope.spawn(move || {
            for _ in 0..20 {
                let batch = consumer.poll(LONG).unwrap();
                let partition = batch.partition();
                tell.send(batch.iter().map(|record| (partition, record.offset())).collect::<Vec<_>>()).unwrap();
            }
        });
        let got = || told.recv_timeout(LONG).unwrap();
        send_to(&writer, "t", 0, "first").unwrap();
        assert_eq!(got(), [(0, 0)]);
        writer.admin().add_partitions("t", 3).unwrap();
        for number in 0..19 {
            let partition = number % 3;
            let offset = send_to(&writer, "t", partition, "more").unwrap();
            assert_eq!(got(), [(partition, offset)]);
        }
    });
}
