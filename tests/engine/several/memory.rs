//! Shared memory that another version made, or that something wrote over.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use klog::sys::{Disk, Mapping, Open, SimDisk, SimRandom, write_all_at};
use klog::{Engine, ErrorCode, Start};
use klog_tests::{in_parallel, try_quietly};

use super::following::Process;
use crate::steps::{consumer_of, create, describe, drain, names, offsets, refused, send, send_at};
use crate::world::{NOW, World};

const MEMORY: &str = ".klog.shm";

/// Each with its place in the header, and what the refusal says.
const OTHERS: [(u64, u32, &str); 3] = [
    (8, 2, "layout 2 and this version of klog knows layout 1"),
    (24, 512, "512 slots"),
    (28, 512, "blocks of 512 bytes"),
];

#[test]
fn memory_of_another_layout_is_refused_while_somebody_uses_it() {
    let world = World::real();
    let holder = world.open();
    create(&holder, "t", &[]);
    send(&holder, "t", "value");
    holder.close().unwrap();
    let holder = world.open();
    let file = world.sys.disk.open(&world.dir.join(MEMORY), Open::ReadWrite).unwrap();
    for (place, value, says) in OTHERS {
        let before = world.bytes(MEMORY);
        let old: [u8; 4] = before[place as usize..place as usize + 4].try_into().unwrap();
        write_all_at(&file, &value.to_le_bytes(), place).unwrap();
        let message = refused(world.options().open(&world.dir), ErrorCode::Locked);
        names(&message, &["another version of klog", says, "close it everywhere"]);
        write_all_at(&file, &old, place).unwrap();
        assert_eq!(world.bytes(MEMORY), before, "nothing of it was changed");
        // One who only reads does not follow what it does not understand, and sees what is vouched for.
        write_all_at(&file, &value.to_le_bytes(), place).unwrap();
        assert_eq!(offsets(&world.open_for_reading(), "t"), [0]);
        write_all_at(&file, &old, place).unwrap();
    }
    // Not klog's at all.
    let before = world.bytes(MEMORY);
    write_all_at(&file, b"SQLite f", 0).unwrap();
    refused(world.options().open(&world.dir), ErrorCode::Locked);
    write_all_at(&file, &before[..8], 0).unwrap();
    let other = world.open();
    assert_eq!(send(&other, "t", "value"), 1);
    assert_eq!(send(&holder, "t", "value"), 2);
}

#[test]
fn memory_of_another_layout_is_made_anew_when_nobody_uses_it() {
    let world = World::real();
    let engine = world.open();
    create(&engine, "t", &[]);
    send(&engine, "t", "value");
    engine.close().unwrap();
    for bytes in [vec![0xff; 200_000], vec![0; 10], b"klog-shm".repeat(1000), Vec::new()] {
        std::fs::write(world.dir.join(MEMORY), &bytes).unwrap();
        let engine = world.open();
        assert_eq!(offsets(&engine, "t"), [0]);
        let other = world.open();
        assert_eq!(offsets(&other, "t"), [0]);
        assert!(world.bytes(MEMORY).len() >= bytes.len(), "it never becomes shorter");
    }
}

/// Once the next one was told of another version of klog, and left an empty file in the place of the memory.
#[test]
fn who_comes_after_the_memory_was_removed_is_told_so_and_makes_none() {
    let world = World::real();
    let holder = world.open();
    create(&holder, "t", &[]);
    std::fs::remove_file(world.dir.join(MEMORY)).unwrap();
    let message = refused(world.options().open(&world.dir), ErrorCode::Locked);
    names(&message, &[".klog.shm was removed or replaced while the directory is in use", "close it everywhere"]);
    assert!(!world.exists(&world.dir.join(MEMORY)));
    drop(holder);
    let engine = world.open();
    assert_eq!(send(&engine, "t", "value"), 0);
}

/// A directory on which two engines of two processes have been at work, and what was acknowledged there.
struct Scene {
    world: World,
    disk: SimDisk,
    memory: Arc<Mapping>,
    acknowledged: Vec<(i64, String)>,
}

/// Where the block of `t-0` begins: the metadata log has the first one.
const BLOCK_AT: usize = 69_632 + 256;

impl Scene {
    fn new() -> (Scene, Process<'static>, Engine, Engine) {
        let world: &'static World = Box::leak(Box::new(World::simulated()));
        let disk = world.simulated_disk().unwrap().clone();
        let process = Process::of(world);
        let (a, b) = (process.open(), world.open());
        create(&a, "t", &[("segment.ms", "1000")]);
        let memory = disk.shared_memory(&world.dir.join(MEMORY)).unwrap();
        let mut scene = Scene { world: World::simulated(), disk, memory, acknowledged: Vec::new() };
        scene.world.dir.clone_from(&world.dir);
        for number in 0..6 {
            let engine = if number % 2 == 0 { &a } else { &b };
            scene.append(engine, number / 2 * 5000).unwrap();
        }
        (scene, process, a, b)
    }

    fn append(&mut self, engine: &Engine, later: i64) -> klog::Result<i64> {
        let value = format!("value {}", self.acknowledged.len());
        let offset = send_at(engine, "t", NOW - 1_000_000 + later, value.as_bytes())?;
        self.acknowledged.push((offset, value));
        Ok(offset)
    }

    /// What an opener finds to whom the memory means nothing, as after everybody has died.
    fn left(&self) -> Vec<(i64, String)> {
        let options = klog::OpenOptions::new().set("threads", "off").unwrap().set("klog.spare", "false").unwrap();
        let clock = klog::sys::SimClock::new(klog::TimestampMs(NOW));
        let sys = klog::sys::Sys::simulated(self.disk.duplicate(), clock, 1);
        let engine = options.system(sys).open(&self.world.dir).unwrap();
        drain(&mut consumer_of(&engine, "t", Start::Earliest))
    }
}

/// The words that say how far the log goes can be wrong in ways that nobody can tell from being right: a log start below the
/// watermark is one that somebody may have meant. Such values are left out.
fn is_plausible(word: usize, value: u64) -> bool {
    const LOG_START: usize = 64 + 32;
    word == LOG_START && value <= 6
}

fn at_random(random: &SimRandom) -> u64 {
    random.next() >> (random.next() % 64)
}

/// One call after the other, as programs make them; each may fail. A panic in one of them is told of, and not more.
fn use_both(scene: &mut Scene, a: &Engine, b: &Engine) -> Vec<String> {
    let mut panics = Vec::new();
    let mut attempt = |what: &str, work: &mut dyn FnMut()| {
        if let Err(panic) = try_quietly(work) {
            panics.push(format!("{what}: {panic}"));
        }
    };
    attempt("append", &mut || drop(scene.append(b, 20_000)));
    attempt("append by the other", &mut || drop(scene.append(a, 20_001)));
    attempt("read", &mut || {
        let consumer =
            b.consumer().and_then(|mut consumer| consumer.assign("t", 0, Start::Earliest).map(|()| consumer));
        let Ok(mut consumer) = consumer else { return };
        for _ in 0..20 {
            let Ok(batch) = consumer.poll(std::time::Duration::ZERO) else { return };
            for record in &batch {
                let known = scene.acknowledged.iter().find(|(offset, _)| *offset == record.offset());
                let value = String::from_utf8_lossy(record.value().unwrap()).into_owned();
                assert_eq!(known.map(|(_, value)| value), Some(&value), "offset {}", record.offset());
            }
        }
    });
    attempt("describe", &mut || drop(a.admin().describe_topic("t")));
    attempt("roll", &mut || drop(scene.append(a, 40_000)));
    attempt("append behind it", &mut || drop(scene.append(b, 40_001)));
    attempt("flush", &mut || drop(b.flush()));
    attempt("retention", &mut || drop(b.admin().delete_old_segments()));
    attempt("open", &mut || {
        let options = klog::OpenOptions::new().set("threads", "off").unwrap().set("klog.spare", "false").unwrap();
        let clock = klog::sys::SimClock::new(klog::TimestampMs(NOW));
        let sys = klog::sys::Sys::simulated(scene.disk.clone(), clock, 1);
        if let Ok(third) = options.system(sys).open(&scene.world.dir) {
            drop(scene.append(&third, 40_002));
        }
    });
    panics
}

/// One word is wrong, and then: what was acknowledged before is there when the memory is gone, and so is what was acknowledged
/// afterwards.
fn garbage_in(place: usize, value: u64, ends: End) -> Vec<String> {
    let (mut scene, process, a, b) = Scene::new();
    scene.memory.word(place).store(value, Ordering::SeqCst);
    let mut panics = use_both(&mut scene, &a, &b);
    match ends {
        End::Death => process.dies(a),
        End::Close => {
            if let Err(panic) = try_quietly(|| a.close()) {
                panics.push(format!("close: {panic}"));
            }
        }
    }
    if let Err(panic) = try_quietly(|| b.close()) {
        panics.push(format!("close by the other: {panic}"));
    }
    let left = scene.left();
    for acknowledged in &scene.acknowledged {
        assert!(left.contains(acknowledged), "{acknowledged:?} is lost; there is {left:?}");
    }
    panics
}

#[derive(Clone, Copy, Debug)]
enum End {
    Death,
    Close,
}

/// Every word of a control block and of the header, with values of all kinds.
#[test]
fn garbage_in_the_memory_costs_no_record() {
    const VALUES: [u64; 12] =
        [0, 1, 2, 5, 7, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff, 1 << 32, 1 << 62, 1 << 63, u64::MAX];
    let seed = klog_tests::seed();
    println!("KLOG_TEST_SEED={seed}");
    let block = (0..32).map(|word| BLOCK_AT + word * 8);
    let places: Vec<usize> = (0..32).map(|word| word * 8).chain(block).collect();
    let panicked = std::sync::Mutex::new(Vec::new());
    in_parallel(0..=places.len() as u64 - 1, |number| {
        let place = places[number as usize];
        let random = SimRandom::new(seed.wrapping_mul(1000).wrapping_add(number));
        let chosen = (0..6).map(|_| at_random(&random));
        for value in VALUES.into_iter().chain(chosen) {
            if place >= BLOCK_AT && is_plausible(place - BLOCK_AT, value) {
                continue;
            }
            for ends in [End::Death, End::Close] {
                let when = format!("word at {place} (block at {BLOCK_AT}) is {value:#x}, {ends:?}");
                match try_quietly(|| garbage_in(place, value, ends)) {
                    Ok(panics) => {
                        let mut panicked = panicked.lock().unwrap();
                        panicked.extend(panics.into_iter().map(|panic| format!("{when}: {panic}")));
                    }
                    Err(what) => panic!("{when}: {what}"),
                }
            }
        }
    });
    let panicked = panicked.into_inner().unwrap();
    assert!(panicked.is_empty(), "{} panics:\n{}", panicked.len(), panicked.join("\n"));
}

/// The same without a mistake: the scene itself loses nothing.
#[test]
fn the_memory_as_it_is_costs_no_record() {
    for ends in [End::Death, End::Close] {
        let (mut scene, process, a, b) = Scene::new();
        assert_eq!(use_both(&mut scene, &a, &b), [""; 0]);
        assert_eq!(scene.acknowledged.len(), 11);
        match ends {
            End::Death => process.dies(a),
            End::Close => a.close().unwrap(),
        }
        b.close().unwrap();
        assert_eq!(scene.left(), scene.acknowledged);
        assert_eq!(describe(&Scene::new().2, "t").log_end_offset, 6);
    }
}
