//! The simulated system: files in memory, time that stands still, chance from a seed.
//!
//! [`SimDisk`] is what `:memory:` engines live on. For tests it also records every change as an [`Event`], fails calls
//! on request ([`Fault`]), runs full, and keeps apart what was written and what was synced. From the record,
//! [`CrashModel`] derives every state that a power cut may leave behind.

mod crash;
mod disk;
mod time;

pub use crash::{Crash, CrashModel, CrashStates, SECTOR_BYTES};
pub use disk::{Event, Fault, FaultKind, SimDisk, SimFile};
pub use time::{SimClock, SimRandom, SimWait};
