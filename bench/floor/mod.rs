//! The floor: the least honest work that leaves the files that klog leaves. It uses no code of klog.

mod batch;
mod log;
mod walk;

pub(crate) use batch::FloorBatch;
pub(crate) use log::FloorLog;
pub(crate) use walk::{walk, walk_copied, walk_mapped};

use klog::record::{BatchBuilder, BatchOptions};
use klog::types::TimestampMs;

use crate::Result;

/// Makes sure that the floor does the whole work: its batch is klog's, byte for byte.
pub(crate) fn check_encoding() -> Result<()> {
    let timestamp = 1_641_213_117_088;
    let mut floor = FloorBatch::with_capacity(1 << 16);
    let mut klog = BatchBuilder::with_capacity(1 << 16);
    floor.begin(timestamp);
    for len in [0, 1, 63, 64, 100, 1024, 8192].into_iter().cycle().take(200) {
        let value = vec![b'v'; len];
        floor.push(&value);
        klog.push(TimestampMs(timestamp), None, Some(&value), &[]);
    }
    floor.seal();
    match floor.bytes() == klog.finish(&BatchOptions::default())? {
        true => Ok(()),
        false => Err("the floor's batch is not the one that klog writes".into()),
    }
}
