//! C22: a flush fails, the kernel tells only him who asked, and he dies before he has told anybody.

use std::path::Path;

use klog::shm::{Control, MAPPED_BYTES};
use klog::sys::{AnyDisk, CrashModel, Disk, Fault, FaultKind, File, Open, SimDisk, SimRandom, Sys};
use klog::{Engine, NewTopic, OpenOptions, ProducerConfig, ProducerRecord, Result};

const DIR: &str = "/data";
/// More than one sector, so that one record does not save another.
const SECTORS: [u8; 2_000] = [7; 2_000];

fn open(disk: &SimDisk) -> Engine {
    let sys = Sys { disk: AnyDisk::Simulated(disk.clone()), ..Sys::real() };
    let options = OpenOptions::new().set("threads", "off").unwrap().set("klog.spare", "false").unwrap();
    options.system(sys).open(DIR).unwrap()
}

fn send(engine: &Engine, acks: &str) -> Result<i64> {
    let mut config = ProducerConfig::default();
    config.set("acks", acks).unwrap();
    let record = ProducerRecord { topic: "t", value: Some(&SECTORS), ..ProducerRecord::default() };
    Ok(engine.producer_with(config)?.send_record(&record)?.result()?.offset)
}

/// How many records a power cut leaves at least, after the last of four was acknowledged behind a flush that failed; whether
/// the dead flusher `has_said` that it was at it.
fn left_after_a_power_cut(has_said: bool) -> i64 {
    let disk = SimDisk::default();
    let engine = open(&disk);
    engine.admin().create_topic(&NewTopic::named("t")).unwrap();
    assert_eq!(send(&engine, "all").unwrap(), 0);
    engine.close().unwrap();
    let disk = disk.duplicate();
    let base = disk.duplicate();
    disk.record();

    let (first, second) = (open(&disk), open(&disk));
    assert_eq!(send(&first, "1").unwrap(), 1);
    assert_eq!(send(&first, "1").unwrap(), 2);
    // What the first one does, up to its death: it says that it flushes, and is refused by the disk.
    let memory = disk.share(&Path::new(DIR).join(".klog.shm"), Open::ReadWrite, MAPPED_BYTES).unwrap();
    let id = second.admin().describe_topic("t").unwrap().id;
    let block = Control::new(memory).find(id, 0).unwrap();
    assert_eq!((block.flushed().0, block.log_end().0), (1, 3));
    block.set_flushing(has_said);
    let log = disk.open(&Path::new(DIR).join("t-0/00000000000000000000.log"), Open::ReadWrite).unwrap();
    disk.fail(Fault { call: disk.calls() + 1, kind: FaultKind::Errno(libc::EIO), persistent: false });
    log.sync_data().unwrap_err();
    // The second one's flush succeeds.
    assert_eq!(send(&second, "all").unwrap(), 3);
    assert_eq!(block.flushed().0, 4);
    assert!(!block.is_flushing());
    let mut model = CrashModel::of(&base);
    disk.take_record().iter().for_each(|event| model.apply(event));
    std::mem::forget((first, second));
    let random = SimRandom::new(klog_tests::seed());
    let states = model.states(&random);
    let kept = (0..200).map(|_| {
        let engine = open(&states.disk(&states.sample(&random)));
        engine.admin().describe_topic("t").unwrap().partitions[0].high_watermark
    });
    kept.min().unwrap()
}

#[test]
fn the_death_of_a_flusher_hides_no_failure() {
    assert_eq!(left_after_a_power_cut(true), 4, "all of them were said to be durable");
    // Without the word that it leaves, they would be gone: so the test can fail.
    assert!(left_after_a_power_cut(false) < 4);
}
