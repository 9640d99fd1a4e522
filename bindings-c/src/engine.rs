//! The engine: a directory of logs, open in this process.

use std::ffi::{OsStr, c_char};
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;

use klog::{EngineConfig, OpenOptions};

use crate::config::{Opening, klog_config};
use crate::error::klog_error;
use crate::guard::{Failure, Life, enter, release};
use crate::handle::Handle;
use crate::rows::{klog_rows, list, report_rows};
use crate::status::klog_status;
use crate::timeout::timeout;

/// A directory of logs, open in this process: one broker's, as Apache Kafka keeps it.
#[derive(Debug)]
pub struct klog_engine {
    pub(crate) life: Arc<Life>,
}

impl Handle for klog_engine {
    const NAME: &'static str = "engine";

    fn life(&self) -> Option<&Life> {
        Some(&self.life)
    }
}

fn open(dir: &[u8], config: &klog_config) -> Result<klog::Engine, Failure> {
    let opening: Opening = config.read()?;
    let options = OpenOptions::new()
        .mode(opening.mode()?)
        .config(config.read::<EngineConfig>()?)
        .assume_lost(opening.assume_lost);
    Ok(if dir == b":memory:" { options.memory() } else { options.open(OsStr::from_bytes(dir)) }?)
}

/// dir is a path as the system takes it; ":memory:" is a directory that nobody else sees and that goes with its last
/// handle. It is made if it is not there, unless "mode" says otherwise. After an unclean end it is recovered first; see
/// klog_engine_report(). Of its options, "klog.exclusive" (false) takes the directory for this handle alone, as is done
/// anyway where the file system is not one that processes can share; "klog.lock" (futex; ofd is slower) is how processes take
/// turns, which whoever opens the directory first decides; "klog.lock.timeout.ms" (0) is how long to wait for a broker, or for
/// whoever has the directory to himself; "request.timeout.ms" (30000) is how long a call waits for a lock that another process
/// holds. Whoever is opening or closing the directory is waited for, 30 s at least. Free it with klog_engine_free().
/// KLOG_E_LOCKED names the broker or the process that nobody can share the directory with, or, where somebody has been opening
/// or closing it all that time, the process that opened it first; KLOG_E_IO when the system refuses, or when that is no
/// directory of logs; KLOG_E_UNSUPPORTED for one that klog only reads.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn klog_engine_open(
    dir: *const c_char,
    config: *const klog_config,
    out: *mut *mut klog_engine,
    error: *mut *mut klog_error,
) -> klog_status {
    // SAFETY: the body hands on nothing but the arguments.
    unsafe {
        enter(error, |c| {
            let out = c.out(out, "out", std::ptr::null_mut())?;
            let dir = c.optional_string(dir).ok_or_else(|| Failure::invalid("dir is NULL"))?;
            let engine = open(dir, c.config(config))?;
            out.give(klog_engine { life: Arc::new(Life::new(engine)) });
            Ok(())
        })
    }
}

/// Write what producers hold, and make durable what anybody has appended to the partitions that this engine has open. Fails
/// with the first error of any partition.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn klog_engine_flush(engine: *mut klog_engine, error: *mut *mut klog_error) -> klog_status {
    // SAFETY: the body hands on nothing but the arguments.
    unsafe { enter(error, |c| Ok(c.handle(engine)?.life.engine.flush()?)) }
}

/// What opening, recovering and reading found so far: ends that were cut off and where the bytes are now, damage, anything
/// that did not agree. kind (cut, damage or finding), topic, partition, file, position, bytes, first_offset, next_offset,
/// kept_in, message. position and bytes are in the file. No row is good news. Free it with
/// klog_rows_free().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn klog_engine_report(
    engine: *mut klog_engine,
    out: *mut *mut klog_rows,
    error: *mut *mut klog_error,
) -> klog_status {
    // SAFETY: the body hands on nothing but the arguments.
    unsafe { list(out, error, |c| Ok(report_rows(&c.handle(engine)?.life.engine.report()?))) }
}

/// Write what producers hold, make it durable, give the directory back, and say whether that worked. Handles that were
/// opened on it stay valid to free, and answer KLOG_E_CLOSED. Fails with the first error of any partition, and is
/// closed all the same; closing again is KLOG_OK.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn klog_engine_close(
    engine: *mut klog_engine,
    timeout_ms: i32,
    error: *mut *mut klog_error,
) -> klog_status {
    // SAFETY: the body hands on nothing but the arguments.
    unsafe {
        enter(error, |c| {
            let engine = c.handle(engine)?;
            // What closing waits for, other processes included, has a bound of its own: request.timeout.ms.
            timeout(timeout_ms)?;
            Ok(engine.life.engine.close()?)
        })
    }
}

/// Without klog_engine_close() the engine is closed with the last of its handles, and nobody learns whether that worked.
/// NULL does nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn klog_engine_free(engine: *mut klog_engine) {
    // SAFETY: as the header says of every X_free.
    unsafe { release(engine) }
}
