//! Clause 13 says what is not promised. One thing of it is promised to be an error: use after fork without opening again.
//!
//! Media that lie, kernels with bugs, memory that flips and users who mean harm have no test: there is nothing that klog says
//! about them.

#![allow(unsafe_code, reason = "a test of fork forks")]

use std::time::Duration;

use klog::{Engine, Error, ErrorCode, Start};

use crate::lab::producer;

/// Runs `child` in a child process, and says whether it returned true.
fn in_a_child(child: impl FnOnce() -> bool) -> bool {
    // SAFETY: the child calls klog and `_exit` only; klog checks for a fork before it touches a lock, and glibc's allocator is
    // made fit for use by its own fork handlers.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0, "fork failed");
    if pid == 0 {
        let code = i32::from(!child());
        // SAFETY: ends the child without running the parent's destructors and test harness.
        unsafe { libc::_exit(code) };
    }
    let mut status = 0;
    // SAFETY: `pid` is a child of this process that nobody else waits for; `status` is a live int.
    let waited = unsafe { libc::waitpid(pid, &raw mut status, 0) };
    assert_eq!(waited, pid);
    assert!(libc::WIFEXITED(status), "the child died of a signal: {status}");
    libc::WEXITSTATUS(status) == 0
}

fn is_forked<T>(result: Result<T, Error>) -> bool {
    result.is_err_and(|error| error.code() == ErrorCode::Forked && error.is_fatal())
}

#[test]
fn contract_13_use_after_fork_is_an_error() {
    let engine = Engine::memory().unwrap();
    let lingering = producer(&engine, &[("linger.ms", "100000")]);
    lingering.send("t", None, Some(b"one")).unwrap().result().unwrap();
    let unresolved = lingering.send("t", None, Some(b"two")).unwrap();
    let mut consumer = engine.consumer().unwrap();
    consumer.assign("t", 0, Start::Earliest).unwrap();
    assert!(in_a_child(|| is_forked(engine.admin().list_topics())), "an engine in memory");
    assert!(in_a_child(|| is_forked(engine.producer())), "a producer of one");
    assert!(in_a_child(|| is_forked(lingering.send("t", None, None))), "a producer that was there");
    assert!(in_a_child(|| is_forked(consumer.poll(Duration::from_secs(3600)))), "a consumer");
    assert!(in_a_child(|| is_forked(unresolved.result())), "a delivery that was not decided");
    // The parent does not notice.
    assert_eq!(unresolved.result().unwrap().offset, 1);
    assert_eq!(consumer.poll(Duration::ZERO).unwrap().len(), 2);
}
