//! Reading.

use std::ffi::c_char;
use std::sync::{Arc, Mutex, PoisonError, TryLockError};
use std::time::Duration;

use klog::sys::generation;
use klog::{Consumer, ConsumerConfig, ErrorCode, Start, Waker};

use crate::batch::klog_batch;
use crate::config::klog_config;
use crate::engine::klog_engine;
use crate::error::klog_error;
use crate::guard::{Failure, Life, enter, in_signal_handler, release};
use crate::handle::Handle;
use crate::rows::Kind::{Int, Text};
use crate::rows::{klog_rows, list};
use crate::status::klog_status;
use crate::timeout::timeout;
use crate::topic::{EARLIEST, LATEST};

/// Reads the partitions that are assigned to it.
#[derive(Debug)]
pub struct klog_consumer {
    /// `None` when closed. Never waited for: who finds it taken is told so.
    consumer: Mutex<Option<Consumer>>,
    waker: Waker,
    life: Arc<Life>,
    born: u32,
}

impl Handle for klog_consumer {
    const NAME: &'static str = "consumer";

    fn life(&self) -> Option<&Life> {
        Some(&self.life)
    }
}

impl klog_consumer {
    /// Does something with the consumer, if this thread and this process may.
    fn with<T>(&self, body: impl FnOnce(&mut Option<Consumer>) -> Result<T, Failure>) -> Result<T, Failure> {
        if self.born != generation() {
            let message = "the consumer belongs to the parent process; open one in this process";
            return Err(klog::Error::new(ErrorCode::Forked, message).into());
        }
        match self.consumer.try_lock() {
            Ok(mut consumer) => body(&mut consumer),
            Err(TryLockError::Poisoned(consumer)) => body(&mut consumer.into_inner()),
            Err(TryLockError::WouldBlock) => {
                Err(klog::Error::new(ErrorCode::Busy, "another thread is inside this consumer").into())
            }
        }
    }

    /// The same, with one that is open.
    fn with_open<T>(&self, body: impl FnOnce(&mut Consumer) -> klog::Result<T>) -> Result<T, Failure> {
        self.with(|consumer| {
            let closed = || klog::Error::new(ErrorCode::Closed, "the consumer is closed");
            Ok(body(consumer.as_mut().ok_or_else(closed)?)?)
        })
    }
}

impl Drop for klog_consumer {
    fn drop(&mut self) {
        if self.born != generation() {
            // A thread of the parent's may have been in the middle of changing it.
            std::mem::forget(self.consumer.get_mut().unwrap_or_else(PoisonError::into_inner).take());
        }
    }
}

fn start(offset: i64) -> Result<Start, Failure> {
    match offset {
        EARLIEST => Ok(Start::Earliest),
        LATEST => Ok(Start::Latest),
        0.. => Ok(Start::Offset(offset)),
        _ => Err(Failure::invalid(format!("offset is {offset}; it is KLOG_EARLIEST, KLOG_LATEST, 0 or more"))),
    }
}

/// Open a consumer with what config says: "auto.offset.reset", "isolation.level", "max.poll.records"... It has no
/// partitions yet. Free it with klog_consumer_free(). KLOG_E_UNSUPPORTED for what klog does not have yet, such as
/// "group.id".
#[unsafe(no_mangle)]
pub unsafe extern "C" fn klog_consumer_open(
    engine: *mut klog_engine,
    config: *const klog_config,
    out: *mut *mut klog_consumer,
    error: *mut *mut klog_error,
) -> klog_status {
    // SAFETY: the body hands on nothing but the arguments.
    unsafe {
        enter(error, |c| {
            let out = c.out(out, "out", std::ptr::null_mut())?;
            let life = c.handle(engine)?.life.clone();
            let consumer = life.engine.consumer_with(c.config(config).read::<ConsumerConfig>()?)?;
            let waker = consumer.waker()?;
            out.give(klog_consumer { consumer: Mutex::new(Some(consumer)), waker, life, born: generation() });
            Ok(())
        })
    }
}

/// Add one partition, to be read from an offset, KLOG_EARLIEST or KLOG_LATEST. One that is there already is moved to it.
/// KLOG_E_UNKNOWN_TOPIC; KLOG_E_INVALID for any other negative offset. An offset that is outside the log shows in the first
/// poll, as "auto.offset.reset" says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn klog_consumer_assign(
    consumer: *mut klog_consumer,
    topic: *const c_char,
    partition: i32,
    offset: i64,
    error: *mut *mut klog_error,
) -> klog_status {
    // SAFETY: the body hands on nothing but the arguments.
    unsafe {
        enter(error, |c| {
            let (topic, start) = (c.text(topic, "topic")?, start(offset)?);
            c.handle(consumer)?.with_open(|consumer| consumer.assign(topic, partition, start))
        })
    }
}

/// Add all partitions of a topic, in the same way, and those that it is given later, which are read from their first record.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn klog_consumer_assign_topic(
    consumer: *mut klog_consumer,
    topic: *const c_char,
    offset: i64,
    error: *mut *mut klog_error,
) -> klog_status {
    // SAFETY: the body hands on nothing but the arguments.
    unsafe {
        enter(error, |c| {
            let (topic, start) = (c.text(topic, "topic")?, start(offset)?);
            c.handle(consumer)?.with_open(|consumer| consumer.assign_topics(&[topic], start))
        })
    }
}

/// Drop every partition.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn klog_consumer_unassign(
    consumer: *mut klog_consumer,
    error: *mut *mut klog_error,
) -> klog_status {
    // SAFETY: the body hands on nothing but the arguments.
    unsafe {
        enter(error, |c| {
            c.handle(consumer)?.with_open(|consumer| {
                consumer.unassign();
                Ok(())
            })
        })
    }
}

/// The partitions that are assigned: topic, partition, position; in the order of assigning. Free it with
/// klog_rows_free().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn klog_consumer_assignment(
    consumer: *mut klog_consumer,
    out: *mut *mut klog_rows,
    error: *mut *mut klog_error,
) -> klog_status {
    // SAFETY: the body hands on nothing but the arguments.
    unsafe { list(out, error, |c| c.handle(consumer)?.with_open(assignment_rows)) }
}

fn assignment_rows(consumer: &mut Consumer) -> klog::Result<klog_rows> {
    let mut rows = klog_rows::new([("topic", Text), ("partition", Int), ("position", Int)]);
    for at in consumer.assignment() {
        let position = consumer.position(&at.topic, at.partition)?;
        rows.push([at.topic.as_str().into(), at.partition.into(), position.into()]);
    }
    Ok(rows)
}

/// The next records of one partition, waiting up to timeout_ms for the first. max_records 0 is "max.poll.records". Nothing
/// in time is KLOG_OK and *out NULL; an engine that only reads is not woken, and looks again every 20 to 50 ms. Free the batch
/// with klog_batch_free(). KLOG_E_INTERRUPTED after klog_consumer_wakeup(). KLOG_E_CORRUPT is damage at the position, which
/// stays; see klog_consumer_seek_past(). KLOG_E_OFFSET_OUT_OF_RANGE when the position is outside the log and
/// "auto.offset.reset" is none. KLOG_E_TIMED_OUT, whatever timeout_ms is, when another process has been flushing for longer
/// than "request.timeout.ms" what has to be durable before it is shown, or keeps the lock of a partition that is opened.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn klog_consumer_poll(
    consumer: *mut klog_consumer,
    timeout_ms: i32,
    max_records: usize,
    out: *mut *mut klog_batch,
    error: *mut *mut klog_error,
) -> klog_status {
    // SAFETY: the body hands on nothing but the arguments.
    unsafe {
        enter(error, |c| {
            let out = c.out(out, "out", std::ptr::null_mut())?;
            let timeout = timeout(timeout_ms)?.unwrap_or(Duration::MAX);
            let batch = c.handle(consumer)?.with_open(|consumer| match max_records {
                0 => consumer.poll(timeout),
                _ => consumer.poll_records(timeout, max_records),
            })?;
            if !batch.is_empty() {
                out.give(klog_batch::new(batch));
            }
            Ok(())
        })
    }
}

/// From any thread, or a signal handler: the poll that runs, or else the next one, is KLOG_E_INTERRUPTED. NULL does nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn klog_consumer_wakeup(consumer: *mut klog_consumer) {
    // SAFETY: the body hands on nothing but the argument.
    unsafe {
        in_signal_handler(|c| {
            if let Some(consumer) = c.optional(consumer) {
                consumer.waker.wake();
            }
        });
    }
}

/// Go on elsewhere in a partition that is assigned: at an offset, KLOG_EARLIEST or KLOG_LATEST. KLOG_E_NOT_ASSIGNED;
/// KLOG_E_INVALID for any other negative offset.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn klog_consumer_seek(
    consumer: *mut klog_consumer,
    topic: *const c_char,
    partition: i32,
    offset: i64,
    error: *mut *mut klog_error,
) -> klog_status {
    // SAFETY: the body hands on nothing but the arguments.
    unsafe {
        enter(error, |c| {
            let (topic, start) = (c.text(topic, "topic")?, start(offset)?);
            c.handle(consumer)?.with_open(|consumer| consumer.seek(topic, partition, start))
        })
    }
}

/// Go on behind the damage that a poll answered with damage. KLOG_E_INVALID when that is no error of damage in a partition
/// that is assigned.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn klog_consumer_seek_past(
    consumer: *mut klog_consumer,
    damage: *const klog_error,
    error: *mut *mut klog_error,
) -> klog_status {
    // SAFETY: the body hands on nothing but the arguments.
    unsafe {
        enter(error, |c| {
            let damage = c.optional(damage).ok_or_else(|| Failure::invalid("damage is NULL"))?.cause();
            let is_past =
                c.handle(consumer)?.with_open(|consumer| Ok(damage.is_some_and(|it| consumer.seek_past(it))))?;
            let other = || Failure::invalid("the error is not one of damage in a partition that is assigned");
            is_past.then_some(()).ok_or_else(other)
        })
    }
}

/// Leave a partition out of polls, or with paused 0 take it in again. KLOG_E_NOT_ASSIGNED.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn klog_consumer_pause(
    consumer: *mut klog_consumer,
    topic: *const c_char,
    partition: i32,
    paused: i32,
    error: *mut *mut klog_error,
) -> klog_status {
    // SAFETY: the body hands on nothing but the arguments.
    unsafe {
        enter(error, |c| {
            let topic = c.text(topic, "topic")?;
            c.handle(consumer)?.with_open(|consumer| match paused {
                0 => consumer.resume(topic, partition),
                _ => consumer.pause(topic, partition),
            })
        })
    }
}

/// The offset that is read next in a partition that is assigned. KLOG_E_NOT_ASSIGNED.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn klog_consumer_position(
    consumer: *mut klog_consumer,
    topic: *const c_char,
    partition: i32,
    offset: *mut i64,
    error: *mut *mut klog_error,
) -> klog_status {
    // SAFETY: the body hands on nothing but the arguments.
    unsafe {
        enter(error, |c| {
            let out = c.out(offset, "offset", -1)?;
            let topic = c.text(topic, "topic")?;
            out.set(c.handle(consumer)?.with_open(|consumer| consumer.position(topic, partition))?);
            Ok(())
        })
    }
}

/// Read every partition that is assigned only up to what is visible now: behind that, polls return at once without
/// records, and klog_consumer_is_finished() says so.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn klog_consumer_read_until_now(
    consumer: *mut klog_consumer,
    error: *mut *mut klog_error,
) -> klog_status {
    // SAFETY: the body hands on nothing but the arguments.
    unsafe {
        enter(error, |c| {
            c.handle(consumer)?.with_open(|consumer| {
                consumer.read_until_now();
                Ok(())
            })
        })
    }
}

/// *finished is 1 when every partition was read up to where klog_consumer_read_until_now() ends it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn klog_consumer_is_finished(
    consumer: *mut klog_consumer,
    finished: *mut i32,
    error: *mut *mut klog_error,
) -> klog_status {
    // SAFETY: the body hands on nothing but the arguments.
    unsafe {
        enter(error, |c| {
            let out = c.out(finished, "finished", 0)?;
            out.set(c.handle(consumer)?.with_open(|consumer| Ok(i32::from(consumer.is_finished())))?);
            Ok(())
        })
    }
}

/// End reading, and answer KLOG_E_CLOSED from now on. Batches stay valid; closing again is KLOG_OK.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn klog_consumer_close(
    consumer: *mut klog_consumer,
    timeout_ms: i32,
    error: *mut *mut klog_error,
) -> klog_status {
    // SAFETY: the body hands on nothing but the arguments.
    unsafe {
        enter(error, |c| {
            // There is no group to leave and nothing to commit, so there is nothing to wait for.
            timeout(timeout_ms)?;
            c.handle(consumer)?.with(|consumer| {
                consumer.take();
                Ok(())
            })
        })
    }
}

/// Free a consumer; batches stay valid. NULL does nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn klog_consumer_free(consumer: *mut klog_consumer) {
    // SAFETY: as the header says of every X_free.
    unsafe { release(consumer) }
}
