//! The rows of the contract's table: what an acknowledgement means under each setting.

use std::time::Duration;

use klog::{Durability, ErrorCode, NewTopic, ProducerConfig, TopicConfig};

use crate::lab::{Lab, create, die, kept, open, producer, send};

/// Sends eight records over several segments, and promises each when it is acknowledged. Each time, the process dies.
fn acknowledge_eight(lab: &Lab, settings: &[(&str, &str)]) {
    let engine = lab.open();
    let producer = producer(&engine, settings);
    for number in 0..8 {
        assert_eq!(send(&producer, number).unwrap(), number as i64);
        lab.promise(number + 1);
        assert!(kept(&lab.after_kill()) > number, "record {number} was acknowledged and the process died");
    }
    let partition = engine.admin().describe_topic("t").unwrap().partitions.swap_remove(0);
    assert_eq!(partition.log_end_offset, 8, "before the power is cut");
    die((engine, producer));
}

const ROLLING: (&str, &str) = ("segment.ms", "1000");
const OS: (&str, &str) = ("klog.durability", "os");

/// The power is cut at every moment: what is there is what was sent, up to some record; at least `of(promised)`.
fn cut(what: &str, lab: &Lab, of: impl Fn(usize) -> usize) {
    let mut least = usize::MAX;
    lab.cut_everywhere(what, |disk, promised| {
        let kept = kept(disk);
        assert!(kept >= of(promised), "{kept} are left, {promised} were acknowledged");
        assert!(kept <= 8, "{kept} are there and 8 were sent");
        if promised == 8 {
            least = least.min(kept);
        }
    });
    println!("{what}: of 8 acknowledged records at least {least} were left");
}

#[test]
fn contract_row_01_what_is_handed_over_may_be_lost() {
    let lab = Lab::with_topic(&[ROLLING]);
    let engine = lab.open();
    let handed = producer(&engine, &[("acks", "0"), ("linger.ms", "100000")]);
    for number in 0..3 {
        assert_eq!(send(&handed, number).unwrap(), -1, "nobody knows its offset");
    }
    assert_eq!(kept(&lab.after_kill()), 0, "they were in the library, and died with it");
    handed.flush().unwrap();
    assert_eq!(kept(&lab.after_kill()), 3);
    for number in 3..8 {
        send(&handed, number).unwrap();
    }
    assert!((3..=8).contains(&kept(&lab.after_kill())));
    die((engine, handed));
    cut("acks=0", &lab, |_| 0);
}

/// `acks=1` is written, whatever the topic's durability is.
#[test]
fn contract_row_02_what_is_written_survives_the_process() {
    for configs in [&[ROLLING][..], &[ROLLING, OS]] {
        for settings in [&[("acks", "1")][..], &[("acks", "1"), OS]] {
            let lab = Lab::with_topic(configs);
            acknowledge_eight(&lab, settings);
            cut("acks=1", &lab, |_| 0);
        }
    }
}

#[test]
fn contract_row_03_what_one_replica_flushed_survives_a_power_cut() {
    for configs in [&[ROLLING][..], &[ROLLING, OS]] {
        let lab = Lab::with_topic(configs);
        acknowledge_eight(&lab, &[("acks", "1"), ("klog.durability", "fsync")]);
        cut("acks=1, fsync", &lab, |promised| promised);
    }
}

/// There is one replica so far. With several, the loss of disks comes into it, and the longest log that survives.
#[test]
fn contract_row_04_what_every_replica_has_written_survives_the_process() {
    let lab = Lab::with_topic(&[ROLLING, OS]);
    acknowledge_eight(&lab, &[("acks", "all")]);
    cut("acks=all, os", &lab, |_| 0);
    let lab = Lab::with_topic(&[ROLLING]);
    acknowledge_eight(&lab, &[("acks", "all"), OS]);
    cut("acks=all, the producer asks for os", &lab, |_| 0);
}

/// There is one replica so far. With several, it is kept when all their disks but one are lost.
#[test]
fn contract_row_05_by_default_nothing_acknowledged_is_lost() {
    assert_eq!(ProducerConfig::default().get("acks").as_deref(), Some("all"));
    assert_eq!(TopicConfig::default().klog_durability, Durability::Fsync);
    let lab = Lab::with_topic(&[ROLLING]);
    acknowledge_eight(&lab, &[]);
    assert!(open(&lab.after_kill()).admin().describe_topic("t").unwrap().partitions[0].segments > 1);
    cut("defaults", &lab, |promised| promised);
}

/// Topics that nobody made on purpose, and those of an engine whose default is os, are as their durability says.
#[test]
fn contract_row_05_a_topic_made_by_sending_is_as_durable() {
    let lab = Lab::new(|_| {});
    acknowledge_eight(&lab, &[]);
    lab.cut_everywhere("made by sending", |disk, promised| {
        let engine = open(disk);
        match engine.admin().describe_topic("t") {
            Ok(_) => assert!(crate::lab::count(&engine) >= promised),
            Err(error) => assert_eq!((error.code(), promised), (ErrorCode::UnknownTopicOrPartition, 0)),
        }
    });
}

#[test]
fn contract_row_06_at_most_so_many_records_are_lost() {
    for every in [1, 2, 3] {
        let lab = Lab::with_topic(&[ROLLING, OS, ("flush.messages", &every.to_string())]);
        acknowledge_eight(&lab, &[]);
        cut("flush.messages", &lab, |promised| promised / every * every);
    }
}

/// Without threads the interval is kept by the call that comes next.
#[test]
fn contract_row_06_at_most_the_interval_is_lost() {
    let lab = Lab::new(|engine| {
        engine.admin().create_topic(&NewTopic::named("other")).unwrap();
        create(engine, "t", &[ROLLING, OS, ("flush.ms", "100")]);
    });
    let engine = lab.open();
    let producer = producer(&engine, &[]);
    for number in 0..8 {
        send(&producer, number).unwrap();
        if number % 3 == 2 {
            lab.clock.advance(Duration::from_millis(100));
            engine.consumer().unwrap().poll(Duration::ZERO).unwrap();
            lab.promise(number + 1);
        }
    }
    die((engine, producer));
    cut("flush.ms", &lab, |promised| promised);
}
