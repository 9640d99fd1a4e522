//! The handle of the verbs about topics and partitions.

use std::sync::Arc;

use crate::engine::klog_engine;
use crate::error::klog_error;
use crate::guard::{Life, enter, release};
use crate::handle::Handle;
use crate::status::klog_status;

/// Looks at topics and partitions, and changes them.
#[derive(Debug)]
pub struct klog_admin {
    life: Arc<Life>,
    pub(crate) admin: klog::Admin,
}

impl Handle for klog_admin {
    const NAME: &'static str = "admin";

    fn life(&self) -> Option<&Life> {
        Some(&self.life)
    }
}

/// Open the verbs about topics and partitions. Free it with klog_admin_free().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn klog_admin_open(
    engine: *mut klog_engine,
    out: *mut *mut klog_admin,
    error: *mut *mut klog_error,
) -> klog_status {
    // SAFETY: the body hands on nothing but the arguments.
    unsafe {
        enter(error, |c| {
            let out = c.out(out, "out", std::ptr::null_mut())?;
            let life = c.handle(engine)?.life.clone();
            out.give(klog_admin { admin: life.engine.admin(), life });
            Ok(())
        })
    }
}

/// Free the handle; the engine stays open. NULL does nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn klog_admin_free(admin: *mut klog_admin) {
    // SAFETY: as the header says of every X_free.
    unsafe { release(admin) }
}
