//! Whole log directories on a simulated disk.

use std::collections::BTreeSet;
use std::time::Duration;

use klog::sys::{SimClock, SimDisk, Sys};
use klog::{ConsumerConfig, Engine, Error, Mode, NewTopic, OpenOptions, Start, TimestampMs};

use crate::MOST_BYTES;
use crate::owned::{OwnedRecord, owned};

/// Where the directory is on its disk.
pub const DIR: &str = "/data";
const NOW: TimestampMs = TimestampMs(1_700_000_000_000);

/// What a partition served.
#[derive(Debug, Default)]
pub struct Serving {
    /// Records, in the order in which they came.
    pub records: Vec<OwnedRecord>,
    /// First offsets of what was reported as damaged.
    pub damaged: BTreeSet<i64>,
}

/// Opens the directory on `disk`, without threads.
///
/// # Errors
/// Those of opening.
pub fn open(disk: &SimDisk, mode: Mode) -> Result<Engine, Error> {
    OpenOptions::new()
        .mode(mode)
        .set("threads", "off")?
        .set("klog.spare", "false")?
        .system(Sys::simulated(disk.clone(), SimClock::new(NOW), 1))
        .open(DIR)
}

/// A disk with a directory that was closed in order, and the empty topic `t` of one partition in it.
pub fn one_topic() -> SimDisk {
    let disk = SimDisk::new(SimClock::new(NOW));
    let engine = open(&disk, Mode::Create).expect("an empty disk takes a directory");
    engine.admin().create_topic(&NewTopic::named("t")).expect("a new directory takes a topic");
    engine.producer().and_then(|producer| producer.send("t", None, Some(b"1"))?.result()).expect("it takes a record");
    engine.close().expect("it can be closed");
    disk.duplicate()
}

/// Everything that partition 0 of `t` serves, from its beginning on, past all damage. Panics when that does not end.
///
/// # Errors
/// Those of reading, besides damage.
pub fn serve(engine: &Engine, bytes_there: usize) -> Result<Serving, Error> {
    let mut config = ConsumerConfig::default();
    config.set("klog.max.decompressed.bytes", &MOST_BYTES.to_string())?;
    let mut consumer = engine.consumer_with(config)?;
    consumer.assign("t", 0, Start::Earliest)?;
    consumer.read_until_now();
    let mut serving = Serving::default();
    // A batch has 26 bytes at least, and every poll steps over one or takes 500 records out of one.
    let mut polls_left = bytes_there + 1000;
    while !consumer.is_finished() {
        polls_left = polls_left.checked_sub(1).expect("reading comes to an end");
        let before = consumer.position("t", 0)?;
        match consumer.poll(Duration::ZERO) {
            Ok(batch) if batch.is_empty() => break,
            Ok(batch) => serving.records.extend(batch.iter().map(|record| owned(&record))),
            Err(error) => {
                let Some(damage) = error.damage() else { return Err(error) };
                serving.damaged.insert(damage.first_offset);
                assert!(consumer.seek_past(&error), "damage in an assigned partition can be stepped over");
                let after = consumer.position("t", 0)?;
                assert!(after > before, "stepping over damage leads on: {before} to {after} ({error})");
            }
        }
    }
    Ok(serving)
}
