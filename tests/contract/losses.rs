//! Clauses 1 to 3: what may be missing, what may be there unasked, and what was seen.

use std::time::Duration;

use klog::record::{BatchBuilder, BatchOptions};
use klog::types::ProducerId;
use klog::{ConsumerConfig, Engine, ErrorCode, OffsetReset, Result, Start, TimestampMs};

use crate::lab::{Lab, NOW, count, die, kept, open, producer, read, send, value};

const OS: (&str, &str) = ("klog.durability", "os");
const ROLLING: (&str, &str) = ("segment.ms", "1000");

/// Sends records `from..to` as one batch.
fn send_batch(engine: &Engine, from: usize, to: usize, acks: &str) {
    let producer = producer(engine, &[("linger.ms", "100000"), ("acks", acks)]);
    let deliveries: Vec<_> =
        (from..to).map(|number| producer.send("t", None, Some(value(number).as_bytes())).unwrap()).collect();
    deliveries.iter().for_each(|delivery| drop(delivery.result().unwrap()));
}

#[test]
fn contract_01_what_is_lost_is_a_suffix_of_whole_batches() {
    for codec in ["producer", "zstd"] {
        let lab = Lab::with_topic(&[OS, ("segment.ms", "50"), ("compression.type", codec)]);
        let engine = lab.open();
        for batch in 0..5 {
            send_batch(&engine, batch * 3, batch * 3 + 3, "all");
            lab.clock.advance(Duration::from_millis(40));
            if batch == 2 {
                engine.flush().unwrap();
                lab.promise(9);
            }
        }
        assert_eq!(count(&engine), 15, "before the power is cut");
        assert!(engine.admin().describe_topic("t").unwrap().partitions[0].segments > 1);
        assert_eq!(kept(&lab.after_kill()), 15, "written batches survive the process");
        die(engine);
        lab.cut_everywhere("suffix", |disk, flushed| {
            let kept = kept(disk);
            assert!(kept >= flushed && kept.is_multiple_of(3), "{kept} are left, {flushed} were flushed, 3 to a batch");
        });
    }
}

#[test]
fn contract_02_an_unacknowledged_batch_is_there_whole_or_not_at_all() {
    let lab = Lab::with_topic(&[]);
    let engine = lab.open();
    send_batch(&engine, 0, 3, "all");
    lab.promise(3);
    // Written, and nobody was told that it is durable.
    send_batch(&engine, 3, 6, "1");
    assert_eq!(kept(&lab.after_kill()), 6);
    die(engine);
    let mut found = [0; 2];
    lab.cut_everywhere("unacknowledged", |disk, promised| {
        let kept = kept(disk);
        assert!(kept >= promised && kept.is_multiple_of(3), "{kept} are left");
        found[usize::from(kept == 6)] += 1;
    });
    assert!(found.iter().all(|found| *found > 0), "it must be missing at times and there at others: {found:?}");
}

/// Appends a batch of two records of a producer that numbers them.
fn append(engine: &Engine, sequence: i32) -> Result<i64> {
    let mut builder = BatchBuilder::with_capacity(100);
    for number in [sequence, sequence + 1] {
        builder.push(TimestampMs(NOW), None, Some(value(number as usize).as_bytes()), &[]);
    }
    let options = BatchOptions {
        producer_id: ProducerId(4711),
        producer_epoch: 1,
        base_sequence: sequence,
        ..BatchOptions::default()
    };
    let batch = builder.finish(&options).unwrap();
    producer(engine, &[]).append_batch("t", 0, &batch).map(|sent| sent.offset)
}

#[test]
fn contract_02_a_repeated_batch_is_there_once() {
    let lab = Lab::with_topic(&[]);
    let engine = lab.open();
    for sequence in [0, 2, 4] {
        assert_eq!(append(&engine, sequence).unwrap(), i64::from(sequence));
        lab.promise(sequence as usize + 2);
        assert_eq!(append(&engine, sequence).unwrap(), i64::from(sequence), "repeated in the same process");
    }
    assert_eq!(count(&engine), 6);
    die(engine);
    let repeat = |disk: &klog::sys::SimDisk, promised: usize| {
        let engine = open(disk);
        assert!(count(&engine) >= promised);
        // Whoever does not know what became of the last one sends it again, and what comes behind it.
        for sequence in (promised.saturating_sub(2)..6).step_by(2) {
            assert_eq!(append(&engine, sequence as i32).unwrap(), sequence as i64);
        }
        assert_eq!(count(&engine), 6, "each of them once");
    };
    repeat(&lab.after_kill(), 6);
    lab.cut_everywhere("repeated", repeat);
}

/// With fsync nothing that a consumer has seen can be lost, not even where nobody waited for it to be durable.
#[test]
fn contract_03_what_was_seen_is_not_lost() {
    let lab = Lab::with_topic(&[ROLLING]);
    let engine = lab.open();
    let mut consumer = engine.consumer().unwrap();
    consumer.assign("t", 0, Start::Earliest).unwrap();
    let lazy = producer(&engine, &[("acks", "1")]);
    let mut seen = 0;
    for number in 0..8 {
        send(&lazy, number).unwrap();
        let partition = engine.admin().describe_topic("t").unwrap().partitions.swap_remove(0);
        assert_eq!(partition.high_watermark, seen as i64, "written is not visible");
        if number % 3 == 1 {
            seen += consumer.poll(Duration::ZERO).unwrap().len();
            seen += consumer.poll(Duration::ZERO).unwrap().len();
            assert_eq!(consumer.position("t", 0).unwrap(), seen as i64);
            lab.promise(seen);
        }
    }
    assert!(seen >= 6);
    die((engine, lazy, consumer));
    lab.cut_everywhere("seen", |disk, seen| {
        let kept = kept(disk);
        assert!(kept >= seen, "{kept} are left, {seen} were seen");
    });
}

/// With os what was seen may be lost; offsets are then given away again, under another leader epoch.
#[test]
fn contract_03_after_a_loss_the_leader_epoch_is_another() {
    let lab = Lab::with_topic(&[OS]);
    let engine = lab.open();
    let producer_of_lost = producer(&engine, &[]);
    for number in 0..3 {
        send(&producer_of_lost, number).unwrap();
        lab.promise(number + 1);
    }
    let before = read_epochs(&engine);
    assert_eq!(before.len(), 3, "seen");
    die((engine, producer_of_lost));
    let mut losses = 0;
    lab.cut_everywhere("leader epoch", |disk, seen| {
        let engine = open(disk);
        let kept = count(&engine);
        let offset = send(&producer(&engine, &[]), kept).unwrap();
        assert_eq!(offset, kept as i64);
        let after = read_epochs(&engine);
        assert_eq!(after[..kept], before[..kept], "what survived stays as it was");
        if kept < seen {
            losses += 1;
            assert!(after[kept] > before[kept], "offset {offset} was given away twice in epoch {}", before[kept]);
        }
        assert_eq!(engine.admin().describe_topic("t").unwrap().partitions[0].leader_epoch, after[kept]);
    });
    assert!(losses > 0, "no state lost anything");
}

fn read_epochs(engine: &Engine) -> Vec<i32> {
    let mut consumer = engine.consumer().unwrap();
    consumer.assign("t", 0, Start::Earliest).unwrap();
    let mut epochs = Vec::new();
    loop {
        let batch = consumer.poll(Duration::ZERO).unwrap();
        if batch.is_empty() {
            return epochs;
        }
        epochs.extend(batch.iter().map(|record| record.leader_epoch()));
    }
}

/// A reader that goes on behind the end of what is left is told so. The check of the epoch, for a reader whose position was
/// given away again, comes with committed offsets.
#[test]
fn contract_03_a_reader_of_what_was_lost_is_told() {
    let lab = Lab::with_topic(&[OS]);
    let engine = lab.open();
    let sender = producer(&engine, &[]);
    for number in 0..3 {
        send(&sender, number).unwrap();
    }
    assert_eq!(read(&engine).len(), 3);
    die((engine, sender));
    lab.cut_everywhere("told", |disk, _| {
        let engine = open(disk);
        let kept = count(&engine);
        let config = ConsumerConfig { auto_offset_reset: OffsetReset::None, ..ConsumerConfig::default() };
        let mut consumer = engine.consumer_with(config).unwrap();
        let polled = consumer
            .assign("t", 0, Start::Offset(3))
            .and_then(|()| consumer.poll(Duration::ZERO))
            .map(|batch| batch.len());
        match kept {
            3 => assert_eq!(polled.unwrap(), 0),
            _ => assert_eq!(polled.unwrap_err().code(), ErrorCode::OffsetOutOfRange, "{kept} are left"),
        }
    });
}
