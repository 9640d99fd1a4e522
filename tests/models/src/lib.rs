//! klog's protocol between processes, in every order that a small model can come to.
//!
//! [`protocol`](loomed) is `block.rs`, `bell.rs` and `lock.rs` of `klog::shm`, as they are, over other atomics, and around them
//! the steps that `klog::log` takes with their words: append, recovery, flush, truncation, roll, reading, waiting. A process is
//! a thread that can die before anything that others would see of it: a store to shared memory, a run of bytes written to a
//! file, a flush, a kernel lock given back. File bytes are `Relaxed` words, because a system call orders nothing by itself;
//! what the kernel promises is the byte of a slot, which it frees when its process has done its last write, and a futex.
//! Time does not pass, so that a wake-up that is lost is a deadlock, except when somebody dies; see [`loomed::sleep`].
//!
//! * [`loomed`] goes through every order of two to four threads with one or two steps each, and through every value that a
//!   load may see. Each model names its bound on preemptions, two to four of them; `None` is all orders. A model with a death
//!   is checked once for each effect of the process that dies.
//! * [`shuttled`] goes through some ten thousand schedules of four to six processes with several appends each, by chance and by
//!   random priorities (three preemptions), all accesses `SeqCst`. `KLOG_TEST_SEED` chooses others.
//! * [`mistake`] is the other half: mistakes that are made on purpose, each of which a model must find.
//!
//! What is not modelled: the files' formats, indexes, the ISR, the control file and how it is attached to; that is for the
//! tests with real processes. What is modelled is not klog's log itself but its steps, so whoever changes one there changes
//! it here.
//!
//! `build.rs` sets `cfg(loom)` for this crate alone, so `cargo test -p klog-models` needs nothing else.

#![allow(clippy::duplicate_mod, reason = "the protocol is compiled once for each checker")]
#![allow(clippy::print_stdout, reason = "tests say how many orders there were, and their seed")]

pub mod loomed;
pub mod mistake;
pub mod shuttled;
pub mod types;
