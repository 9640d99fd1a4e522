//! A bug on demand, for the tests of what becomes of one.

use crate::engine::klog_engine;
use crate::error::klog_error;
use crate::guard::enter;
use crate::status::klog_status;

/// Panics inside the call, or, with `in_background`, in a thread that is named as the engine's own.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn klog_test_panic(
    engine: *mut klog_engine,
    in_background: i32,
    error: *mut *mut klog_error,
) -> klog_status {
    // SAFETY: the body hands on nothing but the arguments.
    unsafe {
        enter(error, |c| {
            c.handle(engine)?;
            assert!(in_background != 0, "a bug on demand");
            let thread = std::thread::Builder::new().name("klog-worker".into());
            let bug = thread.spawn(|| panic!("a bug in the background")).map(std::thread::JoinHandle::join);
            assert!(bug.is_ok_and(|joined| joined.is_err()), "the thread panics");
            Ok(())
        })
    }
}
