//! The protocol over a checker's atomics: klog's own sources, and around them the steps that klog takes with them.
//!
//! This folder is compiled twice, as [`loomed`](crate::loomed) and as [`shuttled`](crate::shuttled); each names what
//! `checker` is.

use super::checker;

pub mod append;
pub mod atomic;
#[path = "../../../../core/src/shm/bell.rs"]
pub mod bell;
#[path = "../../../../core/src/shm/block.rs"]
#[allow(dead_code, reason = "some of it is for modules that are not included")]
pub mod block;
pub mod cut;
pub mod file;
pub mod flush;
#[path = "../../../../core/src/shm/lock.rs"]
pub mod lock;
pub mod mortal;
pub mod raw;
pub mod sleep;
pub mod wait;
pub mod world;
