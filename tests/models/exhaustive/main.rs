//! Models that are checked in every order.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod deaths;
mod exclusion;
mod flushes;
mod orders;
mod rolls;
mod slots;
mod truncations;
mod visibility;
mod waits;

use klog_models::loomed::file::Batch;
use klog_models::loomed::world::Process;

/// The batch of the process that dies: two cells, so that it can be half written.
const LONG: Batch = Batch { id: 1, len: 2 };
/// Batches of one cell: one in the place of a longer one leaves something behind, unless that was cut.
const SHORT: Batch = Batch { id: 2, len: 1 };
const OTHER: Batch = Batch { id: 3, len: 1 };

/// Appends, and says what is acknowledged by that.
fn append(process: &Process, batch: Batch) -> (u64, Batch) {
    let offset = process.append(batch);
    process.make_visible();
    (offset, batch)
}
