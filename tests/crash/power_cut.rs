//! The power is cut at every write; every state that a disk may be left in is opened.

use std::sync::Mutex;

use klog::sys::bugs::{self, Bug};
use klog::sys::{SimDisk, SimRandom};
use klog_tests::power::{Counted, Effort, Op, base, base_with_long_metadata, chain, chain_of, check, random_ops, run};
use klog_tests::{in_parallel, seed};

/// Every workload of one to `most` of these steps.
fn workloads(ops: &[Op], most: usize) -> Vec<Vec<Op>> {
    let mut all = vec![Vec::new()];
    let mut last: Vec<Vec<Op>> = vec![Vec::new()];
    for _ in 0..most {
        last = last.iter().flat_map(|head| ops.iter().map(|op| [&head[..], &[*op]].concat())).collect();
        all.extend(last.iter().cloned());
    }
    all
}

/// Checks workloads on all processors, and adds up what was counted.
fn check_all(base: &SimDisk, workloads: &[Vec<Op>], effort: &Effort) -> Counted {
    let total = Mutex::new(Counted::default());
    in_parallel(1..=workloads.len() as u64, |number| {
        let ops = &workloads[number as usize - 1];
        let counted = check(&run(base, ops), effort).unwrap_or_else(|what| panic!("{ops:?}: {what}"));
        total.lock().unwrap().add(counted);
    });
    total.into_inner().unwrap()
}

fn survive(what: &str, workloads: &[Vec<Op>]) -> Counted {
    survive_on(&base(), what, workloads)
}

fn survive_on(base: &SimDisk, what: &str, workloads: &[Vec<Op>]) -> Counted {
    let effort = Effort { states_per_cut: 1 << 16, deeper_every: 256, seed: 1 };
    let counted = check_all(base, workloads, &effort);
    println!("{what}: {} workloads: {counted:?}", workloads.len());
    counted
}

#[test]
fn every_workload_of_up_to_three_steps_survives_every_power_cut() {
    let counted = survive("durable, up to 3 steps", &workloads(&Op::DURABLE, 3));
    assert_eq!(counted.sampled_cuts, 0, "some cuts had more states than were looked at");
}

#[test]
fn every_workload_of_up_to_two_written_steps_survives_every_power_cut() {
    let counted = survive("written, up to 2 steps", &workloads(&Op::WRITTEN, 2));
    // Much is not synced at once after a roll; a few cuts leave more states than can be looked at.
    assert!(counted.sampled_cuts * 100 < counted.cuts, "{} cuts were sampled", counted.sampled_cuts);
}

#[test]
fn every_workload_of_up_to_three_changes_of_metadata_survives_every_power_cut() {
    let counted = survive("metadata, up to 3 steps", &workloads(&Op::METADATA, 3));
    assert_eq!(counted.sampled_cuts, 0, "some cuts had more states than were looked at");
}

/// The metadata log is so long that the first change takes a snapshot, or the second or third, or closing.
#[test]
fn every_change_of_metadata_that_takes_a_snapshot_survives_every_power_cut() {
    let mut counted = Counted::default();
    let workloads = workloads(&Op::METADATA, 2);
    for records in [507, 511] {
        let base = base_with_long_metadata(records);
        for ops in workloads.iter().filter(|ops| !ops.is_empty()) {
            let (in_steps, in_all) = run(&base, ops).snapshots();
            assert!(in_steps == 1 || records < 511, "{ops:?}: {in_steps} snapshots before the end");
            assert_eq!(in_all, 1, "{ops:?}");
        }
        counted.add(survive_on(&base, &format!("{records} records"), &workloads));
    }
    // What the opener of a long log that was not closed rebuilds leaves more states than can be looked at, once each.
    assert!(counted.sampled_cuts <= 2 * workloads.len() as u64, "{} cuts were sampled", counted.sampled_cuts);
}

/// Runs `check` for so many seeds, on all processors. `KLOG_TEST_SEED` begins elsewhere.
fn for_seeds(count: u64, check: impl Fn(u64) -> Result<Counted, String> + Sync) -> Counted {
    let first = seed();
    let total = Mutex::new(Counted::default());
    in_parallel(first..=first + count - 1, |seed| {
        let counted = check(seed).unwrap_or_else(|what| panic!("KLOG_TEST_SEED={seed}: {what}"));
        total.lock().unwrap().add(counted);
    });
    total.into_inner().unwrap()
}

#[test]
fn longer_workloads_survive_sampled_power_cuts() {
    let base = base();
    let counted = for_seeds(150, |seed| {
        let ops = random_ops(&SimRandom::new(seed), 4 + seed as usize % 9);
        let effort = Effort { states_per_cut: 16, deeper_every: 256, seed };
        check(&run(&base, &ops), &effort).map_err(|what| format!("{ops:?}: {what}"))
    });
    println!("longer workloads: {counted:?}");
    assert!(counted.states >= 200_000, "{} states are too few", counted.states);
}

#[test]
fn what_one_power_cut_took_does_not_come_back_after_the_next() {
    let base = base();
    let counted = for_seeds(600, |seed| chain(&base, seed, 8));
    println!("lives that followed each other: {counted:?}");
}

/// A build with a mistake in it must be caught by workloads that the right build survives.
fn is_caught(bug: Bug, ops: &[Op]) {
    let base = base();
    let effort = Effort { states_per_cut: 1024, deeper_every: 16, seed: 1 };
    let mut caught = None;
    bugs::make(Some(bug));
    for ops in workloads(ops, 3) {
        if let Err(what) = check(&run(&base, &ops), &effort) {
            caught = Some(format!("{ops:?}: {what}"));
            break;
        }
    }
    bugs::make(None);
    println!("{bug:?} is caught by {}", caught.expect("the mistake must be noticed"));
}

#[test]
fn a_build_that_goes_on_behind_a_cut_that_is_not_synced_is_caught() {
    let base = base();
    bugs::make(Some(Bug::CutWithoutSync));
    // What was cut must be worth coming back: a whole batch behind a torn one, each of several sectors.
    let large = |random: &SimRandom| vec![Op::AppendLarge; 1 + random.next() as usize % 4];
    let caught = (7_600..11_600).find_map(|seed| chain_of(&base, seed, 6, large).err());
    bugs::make(None);
    println!("CutWithoutSync is caught by {}", caught.expect("the mistake must be noticed"));
}

#[test]
fn a_build_that_does_not_sync_directories_is_caught() {
    is_caught(Bug::NoDirectorySync, &Op::DURABLE);
}

#[test]
fn a_build_that_acknowledges_before_the_flush_is_caught() {
    is_caught(Bug::AcknowledgeBeforeFlush, &Op::DURABLE);
}

#[test]
fn a_build_whose_flush_skips_the_old_segment_after_a_roll_is_caught() {
    // Only where an append does not wait for its own flush can a flush find two segments to make durable.
    is_caught(Bug::FlushSkipsOldSegment, &[Op::AppendWritten, Op::RollWritten, Op::Flush]);
}

#[test]
fn a_build_that_leaves_the_mark_of_a_clean_shutdown_is_caught() {
    // Only where a later record can reach the disk without an earlier one is there anything to cut off.
    is_caught(Bug::CleanMarkStays, &[Op::AppendLarge, Op::AppendWritten]);
}
