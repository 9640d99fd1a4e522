//! The cache of leader epochs, operation by operation.

use klog::log::{Epochs, format_epochs, parse_epochs};
use klog::types::{LeaderEpoch, Offset};
use proptest::prelude::*;
use serde_json::Value;

use crate::vectors::{golden, int};

fn entry(epoch: i64, start: i64) -> (LeaderEpoch, Offset) {
    (LeaderEpoch(epoch as i32), Offset(start))
}

fn entries(pairs: &Value) -> Vec<(LeaderEpoch, Offset)> {
    pairs.as_array().unwrap().iter().map(|pair| entry(int(&pair[0]), int(&pair[1]))).collect()
}

/// Kafka's answer for "unknown" is (−1, −1).
fn known(pair: &Value) -> Option<(LeaderEpoch, Offset)> {
    let pair = (int(&pair[0]), int(&pair[1]));
    (pair != (-1, -1)).then(|| entry(pair.0, pair.1))
}

fn vectors(operation: &str, count: usize) -> &'static [Value] {
    let vectors = golden()["epoch_cache"][operation].as_array().unwrap();
    assert_eq!(vectors.len(), count);
    vectors
}

fn start() -> Epochs {
    Epochs::new(entries(&golden()["epoch_cache"]["start"]))
}

/// Does something to the cache, and checks that it says truly whether that changed anything.
fn after(operation: impl Fn(&mut Epochs) -> bool) -> Vec<(LeaderEpoch, Offset)> {
    let mut epochs = start();
    let has_changed = operation(&mut epochs);
    assert_eq!(has_changed, epochs != start(), "{epochs:?}");
    epochs.entries().to_vec()
}

#[test]
fn the_end_of_an_epoch_is_found() {
    for vector in vectors("endOffsetFor_leo_30", 8) {
        let requested = LeaderEpoch(int(&vector["epoch"]) as i32);
        assert_eq!(start().end_offset_for(requested, Offset(30)), known(&vector["result"]), "{vector}");
    }
    let vector = &golden()["epoch_cache"]["empty_cache_endOffsetFor"];
    let (requested, end) = (LeaderEpoch(int(&vector["epoch"]) as i32), Offset(int(&vector["leo"])));
    assert_eq!(Epochs::default().end_offset_for(requested, end), known(&vector["result"]));
    assert_eq!(Epochs::default().end_offset_for(LeaderEpoch::UNKNOWN, end), None);
}

#[test]
fn the_epoch_of_an_offset_is_found() {
    for vector in vectors("epochForOffset", 6) {
        let epoch = LeaderEpoch(int(&vector["epoch"]) as i32);
        assert_eq!(start().epoch_for(Offset(int(&vector["offset"]))), Some(epoch), "{vector}");
    }
    assert_eq!(Epochs::default().epoch_for(Offset(0)), None);
    assert_eq!(Epochs::new(vec![entry(3, 10)]).epoch_for(Offset(9)), None);
    assert_eq!((start().latest(), Epochs::default().latest()), (Some(LeaderEpoch(5)), None));
}

#[test]
fn an_epoch_that_begins_drops_what_contradicts_it() {
    for vector in vectors("assign", 11) {
        let (epoch, start) = entry(int(&vector["epoch"]), int(&vector["startOffset"]));
        assert_eq!(after(|epochs| epochs.assign(epoch, start)), entries(&vector["result"]), "{vector}");
    }
    let mut empty = Epochs::default();
    assert!(empty.assign(LeaderEpoch(0), Offset(0)));
    assert_eq!(empty.entries(), [entry(0, 0)]);
}

#[test]
fn epochs_behind_the_end_are_forgotten() {
    for vector in vectors("truncateFromEnd", 8) {
        let end = Offset(int(&vector["offset"]));
        assert_eq!(after(|epochs| epochs.truncate_from_end(end)), entries(&vector["result"]), "{vector}");
    }
}

#[test]
fn epochs_before_the_start_are_forgotten() {
    for vector in vectors("truncateFromStart", 7) {
        let offset = Offset(int(&vector["offset"]));
        assert_eq!(after(|epochs| epochs.truncate_from_start(offset)), entries(&vector["result"]), "{vector}");
    }
    // A log that begins before its first known epoch has nothing to forget.
    let mut late = Epochs::new(vec![entry(3, 10)]);
    assert!(!late.truncate_from_start(Offset(5)));
    assert_eq!(late.entries(), [entry(3, 10)]);
    assert!(!Epochs::default().truncate_from_start(Offset(5)));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever is done, the checkpoint that is written can be read: epochs ascend, starts do not fall.
    #[test]
    fn the_cache_stays_in_order(
        operations in proptest::collection::vec((0u8..3, 0i64..8, 0i64..40), 0..30),
    ) {
        let mut epochs = Epochs::default();
        for (operation, epoch, offset) in operations {
            let before = epochs.clone();
            let has_changed = match operation {
                0 => epochs.assign(LeaderEpoch(epoch as i32), Offset(offset)),
                1 => epochs.truncate_from_end(Offset(offset)),
                _ => epochs.truncate_from_start(Offset(offset)),
            };
            prop_assert_eq!(has_changed, epochs != before);
            let written = format_epochs(epochs.entries());
            prop_assert_eq!(parse_epochs(&written), Ok(epochs.entries().to_vec()));
            for offset in 0..40 {
                if let Some(found) = epochs.epoch_for(Offset(offset)) {
                    let end = epochs.end_offset_for(found, Offset(40));
                    prop_assert!(matches!(end, Some((same, end)) if same == found && end.0 > offset));
                }
            }
        }
    }
}
