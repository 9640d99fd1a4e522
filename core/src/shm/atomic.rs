//! The atomics of shared memory. klog's models put others in their place, which try every order.

pub(super) use std::hint::spin_loop;
pub(super) use std::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};
