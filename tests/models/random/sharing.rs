//! A partition that many share.

use std::sync::{Arc, Mutex};

use klog_models::mistake::{Mistake, SYMPTOMS, finds};
use klog_models::shuttled::check;
use klog_models::shuttled::checker::thread;
use klog_models::shuttled::file::Batch;
use klog_models::shuttled::lock::AppendLock;
use klog_models::shuttled::world::{Plan, World};
use shuttle::rand::{Rng, thread_rng};

use crate::live;

const WRITERS: usize = 3;
const APPENDS: usize = 3;
/// Effects of an append, of what makes it visible and of a flush, about, with a recovery before.
const EFFECTS: u32 = 50;

/// What writers were told.
type Acknowledged = Arc<Mutex<Vec<(u64, Batch)>>>;

/// The batches of a process, no two alike. What was not acknowledged may be there all the same, so it is not sent again.
struct Batches {
    slot: usize,
    next: u8,
}

impl Batches {
    fn next(&mut self) -> Batch {
        self.next += 1;
        Batch { id: (self.slot as u8) << 5 | self.next, len: 1 + self.next % 2 }
    }
}

/// Appends, lets everybody see it, and flushes some of it.
fn write(world: &Arc<World>, slot: usize, acknowledged: &Acknowledged) {
    let mut batches = Batches { slot, next: 0 };
    for _ in 0..APPENDS {
        live(world, slot, EFFECTS, |process| {
            let batch = batches.next();
            let offset = process.append(batch);
            acknowledged.lock().unwrap().push((offset, batch));
            process.make_visible();
            if thread_rng().gen_bool(0.3) {
                process.flush(offset as i64 + 1).unwrap();
                assert!(world.block.flushed().0 > offset as i64, "it was flushed and does not count so");
            }
        });
    }
}

/// Reads what is visible until everything that was acknowledged is. What was read once never changes.
fn follow(world: &Arc<World>, slot: usize) {
    let mut read = Vec::new();
    while read.len() < WRITERS * APPENDS {
        let next = read.len() as i64 + 1;
        live(world, slot, EFFECTS, |process| process.wait_for_visible(next));
        let reader = world.attach(slot);
        let visible = reader.read_visible();
        reader.leave();
        assert!(visible.starts_with(&read), "{read:?} was visible and {visible:?} is");
        read = visible;
    }
}

/// Three write, one flushes, and one reads.
fn write_and_read(lock: AppendLock) {
    let world = World::new(Plan { lock, naps: 1, cells: [32, 0], has_disk: true, ..Plan::of(WRITERS + 3) });
    let acknowledged = Acknowledged::default();
    let mut threads = Vec::new();
    for slot in 0..WRITERS {
        let (world, acknowledged) = (world.clone(), acknowledged.clone());
        threads.push(thread::spawn(move || write(&world, slot, &acknowledged)));
    }
    let shared = world.clone();
    threads.push(thread::spawn(move || follow(&shared, WRITERS)));
    let shared = world.clone();
    threads.push(thread::spawn(move || {
        for _ in 0..APPENDS {
            live(&shared, WRITERS + 1, EFFECTS, |process| process.flush(shared.block.log_end().0).unwrap());
        }
    }));
    for thread in threads {
        thread.join().unwrap();
    }
    let last = world.attach(WRITERS + 2);
    world.check(&last, &acknowledged.lock().unwrap());
    last.check_flushed();
}

/// Two append and flush, one truncates, one flushes, and one reads above the watermark. The device refuses a flush in some of
/// the worlds.
fn write_and_truncate() {
    let world = World::new(Plan { naps: 1, cells: [32, 0], has_disk: true, ..Plan::of(6) });
    if thread_rng().gen_bool(0.5) {
        world.segments[0].let_flush_fail();
    }
    let mut threads = Vec::new();
    for slot in 0..5 {
        let world = world.clone();
        let mut batches = Batches { slot, next: 0 };
        threads.push(thread::spawn(move || {
            for _ in 0..APPENDS {
                live(&world, slot, EFFECTS, |process| match slot {
                    0 | 1 => {
                        let offset = process.append(batches.next());
                        _ = process.flush(offset as i64 + 1); // the device may refuse
                    }
                    2 => process.truncate(thread_rng().gen_range(0..3)),
                    3 => _ = process.flush(world.block.log_end().0),
                    _ => drop(process.read_all_unless_cut()),
                });
            }
        }));
    }
    for thread in threads {
        thread.join().unwrap();
    }
    let last = world.attach(5);
    world.check(&last, &[]);
    last.check_flushed();
}

fn by_futex() {
    write_and_read(AppendLock::Futex);
}

fn by_kernel_lock() {
    write_and_read(AppendLock::Ofd);
}

#[test]
fn a_partition_is_shared_though_processes_die() {
    check(16_000, by_futex);
}

#[test]
fn a_partition_is_shared_by_the_kernel_lock_though_processes_die() {
    check(10_000, by_kernel_lock);
}

#[test]
fn a_partition_is_cut_and_flushed_though_processes_die() {
    check(24_000, write_and_truncate);
}

#[test]
fn mistakes_in_appends_are_found() {
    for mistake in [
        Mistake::PublishesBeforeWriting,
        Mistake::SetsDirtyLate,
        Mistake::ClearsDirtyEarly,
        Mistake::RecoversCleanFirst,
        Mistake::CutsNothing,
        Mistake::TrustsTheLogEnd,
        Mistake::MeasuresAfterTheFlush,
    ] {
        finds(mistake, SYMPTOMS, || check(10_000, by_futex));
    }
}

#[test]
fn mistakes_in_truncations_and_flushes_are_found() {
    for mistake in [
        Mistake::TruncatesWithoutTheFlushLock,
        Mistake::PublishesWithoutTheFlushLock,
        Mistake::CountsTruncationsLate,
        Mistake::CutsBeforeTheLogEnd,
        Mistake::MarksTheFlushLate,
        Mistake::ForgetsTheFlushEarly,
        Mistake::TrustsTheNextFlush,
        Mistake::FlushesAgain,
        Mistake::AsksBeforeTheFlushLock,
    ] {
        finds(mistake, SYMPTOMS, || check(16_000, write_and_truncate));
    }
}
