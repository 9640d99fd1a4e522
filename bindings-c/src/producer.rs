//! Sending.

use std::ffi::c_void;
use std::mem::MaybeUninit;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use klog::sys::PerProcess;
use klog::{ErrorCode, Producer, ProducerConfig};

use crate::config::klog_config;
use crate::engine::klog_engine;
use crate::error::klog_error;
use crate::guard::{Caller, Failure, Life, enter, outside, release};
use crate::handle::Handle;
use crate::message::{Headers, klog_delivery, klog_message};
use crate::reports::{Report, Reports, delivery, failed, result_by};
use crate::status::klog_status;
use crate::timeout::{Deadline, timeout};

/// Sends records to topics.
#[derive(Debug)]
pub struct klog_producer {
    producer: Producer,
    life: Arc<Life>,
    reports: PerProcess<Reports>,
    closed: AtomicBool,
}

impl Handle for klog_producer {
    const NAME: &'static str = "producer";

    fn life(&self) -> Option<&Life> {
        Some(&self.life)
    }
}

impl klog_producer {
    fn check_open(&self) -> Result<(), Failure> {
        if self.closed.load(Ordering::Acquire) {
            return Err(klog::Error::new(ErrorCode::Closed, "the producer is closed").into());
        }
        Ok(())
    }

    fn reports(&self) -> Result<&Reports, Failure> {
        let forked = || klog::Error::new(ErrorCode::Forked, "the producer belongs to another process");
        Ok(self.reports.get_or_try(|| Ok::<_, Failure>(Reports::default()))?.ok_or_else(forked)?)
    }

    /// Queues messages up to the first that is refused.
    fn queue(&self, c: &Caller<'_>, messages: *const klog_message, count: usize) -> Result<Queued, Failure> {
        self.check_open()?;
        let mut queued = Queued { reports: Vec::new(), refusal: None };
        let mut headers = Headers::new();
        for message in c.messages(messages, count)?.iter() {
            let sent = message.and_then(|message| {
                let delivery = self.producer.send_record(&message.record(c, &mut headers)?)?;
                Ok(Report { tag: message.tag, delivery })
            });
            match sent {
                Ok(report) => queued.reports.push(report),
                Err(refusal) => {
                    queued.refusal = Some(refusal);
                    break;
                }
            }
        }
        Ok(queued)
    }

    /// Takes reports, waiting for the first.
    fn take(&self, timeout_ms: i32, most: usize) -> Result<Vec<klog_delivery>, Failure> {
        let (deadline, reports) = (Deadline::after(timeout_ms)?, self.reports()?);
        loop {
            // Also does, with threads=off, the work that is due.
            let alive = self.check_open().and_then(|()| Ok(self.producer.pending()?));
            let mut done = reports.take_done(most);
            if done.is_empty() && most > 0 {
                alive?; // what was known before the end was told
                if !deadline.is_over() {
                    done.extend(reports.wait(deadline)?);
                }
            }
            if !done.is_empty() || most == 0 || deadline.is_over() {
                return Ok(done);
            }
        }
    }
}

impl Caller<'_> {
    #[allow(clippy::unused_self, reason = "to have a caller is the proof that the pointers may be used")]
    fn call_back(&self, callback: klog_delivery_fn, delivery: &klog_delivery, user_data: *mut c_void) {
        if let Some(callback) = callback {
            // SAFETY: by the header it is a function of this type that returns, and takes the caller's own `user_data`.
            outside(|| unsafe { callback(delivery, user_data) });
        }
    }
}

/// What became of a call that queues.
struct Queued {
    reports: Vec<Report>,
    refusal: Option<Failure>,
}

/// Open a producer with what config says: "acks", "linger.ms" (ms), "batch.size" (bytes), "compression.type"... Free it
/// with klog_producer_free(). KLOG_E_READ_ONLY on an engine that only reads; KLOG_E_UNSUPPORTED for what klog does not have
/// yet, such as "transactional.id".
#[unsafe(no_mangle)]
pub unsafe extern "C" fn klog_producer_open(
    engine: *mut klog_engine,
    config: *const klog_config,
    out: *mut *mut klog_producer,
    error: *mut *mut klog_error,
) -> klog_status {
    // SAFETY: the body hands on nothing but the arguments.
    unsafe {
        enter(error, |c| {
            let out = c.out(out, "out", std::ptr::null_mut())?;
            let life = c.handle(engine)?.life.clone();
            let producer = life.engine.producer_with(c.config(config).read::<ProducerConfig>()?)?;
            out.give(klog_producer { producer, life, reports: PerProcess::default(), closed: AtomicBool::new(false) });
            Ok(())
        })
    }
}

/// Queue count messages, copied, in order, and return at once, or when a batch that they fill is written. They are
/// delivered whether anybody asks or not; klog_producer_poll() tells what became of each. *accepted, which may be NULL, is
/// how many were taken: on an error, those before the one that was refused. A message is refused with
/// KLOG_E_UNKNOWN_TOPIC, KLOG_E_MESSAGE_TOO_LARGE above "max.request.size", or KLOG_E_INVALID.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn klog_producer_send(
    producer: *mut klog_producer,
    messages: *const klog_message,
    count: usize,
    accepted: *mut usize,
    error: *mut *mut klog_error,
) -> klog_status {
    // SAFETY: the body hands on nothing but the arguments.
    unsafe {
        enter(error, |c| {
            let accepted = c.optional_out(accepted, 0);
            let producer = c.handle(producer)?;
            let Queued { reports, refusal } = producer.queue(c, messages, count)?;
            if let Some(accepted) = accepted {
                accepted.set(reports.len());
            }
            producer.reports()?.add(reports);
            refusal.map_or(Ok(()), Err)
        })
    }
}

/// Send count messages, in order, and return once they are as acknowledged as "acks" asks (rule 7). deliveries, of count
/// entries, may be NULL. On an error it is the first one's, those before it were appended, and deliveries says what became of each;
/// those behind a message that was refused were not sent and have its status. After KLOG_E_TIMED_OUT they may still be
/// appended.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn klog_producer_send_wait(
    producer: *mut klog_producer,
    messages: *const klog_message,
    count: usize,
    timeout_ms: i32,
    deliveries: *mut klog_delivery,
    error: *mut *mut klog_error,
) -> klog_status {
    // SAFETY: the body hands on nothing but the arguments.
    unsafe {
        enter(error, |c| {
            let deadline = Deadline::after(timeout_ms)?;
            let places = if deliveries.is_null() { 0 } else { count };
            let mut places = c.out_array(deliveries, places, "deliveries")?.iter_mut();
            let producer = c.handle(producer)?;
            let Queued { reports, refusal } = producer.queue(c, messages, count)?;
            let mut first = None;
            for report in &reports {
                let result = result_by(&report.delivery, deadline);
                first = first.or_else(|| result.as_ref().err().cloned().map(Failure::from));
                set_next(&mut places, delivery(report.tag, result));
            }
            let failure = first.or(refusal);
            if let Some(failure) = &failure {
                for message in c.messages(messages, count)?.iter().skip(reports.len()) {
                    let tag = message.map_or(0, |message| message.tag);
                    set_next(&mut places, failed(tag, failure.status as klog_status));
                }
            }
            failure.map_or(Ok(()), Err)
        })
    }
}

fn set_next<'p>(places: &mut impl Iterator<Item = &'p mut MaybeUninit<klog_delivery>>, delivery: klog_delivery) {
    if let Some(place) = places.next() {
        place.write(delivery);
    }
}

/// Take up to capacity reports of messages that klog_producer_send() queued, in the order of sending, waiting for the first.
/// *count is how many; none in time is KLOG_OK and 0. KLOG_E_TIMED_OUT names who keeps the first from being acknowledged
/// (rule 6); its report is still to come. A report that nobody takes costs little and holds nothing up; of more than a
/// million the oldest are dropped. A closed producer gives the reports that are left, then KLOG_E_CLOSED.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn klog_producer_poll(
    producer: *mut klog_producer,
    timeout_ms: i32,
    out: *mut klog_delivery,
    capacity: usize,
    count: *mut usize,
    error: *mut *mut klog_error,
) -> klog_status {
    // SAFETY: the body hands on nothing but the arguments.
    unsafe {
        enter(error, |c| {
            let count = c.out(count, "count", 0)?;
            let mut places = c.out_array(out, capacity, "out")?.iter_mut();
            let reports = c.handle(producer)?.take(timeout_ms, capacity)?;
            count.set(reports.len());
            reports.into_iter().for_each(|report| set_next(&mut places, report));
            Ok(())
        })
    }
}

/// Receives a report; see klog_producer_dispatch().
pub type klog_delivery_fn = Option<unsafe extern "C" fn(delivery: *const klog_delivery, user_data: *mut c_void)>;

/// The same as a callback, which is run on the calling thread, inside the call, once for each report that is there. It may
/// call klog, and must return: it may neither throw nor longjmp().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn klog_producer_dispatch(
    producer: *mut klog_producer,
    timeout_ms: i32,
    callback: klog_delivery_fn,
    user_data: *mut c_void,
    error: *mut *mut klog_error,
) -> klog_status {
    // SAFETY: the body hands on nothing but the arguments.
    unsafe {
        enter(error, |c| {
            if callback.is_none() {
                return Err(Failure::invalid("callback is NULL"));
            }
            for delivery in c.handle(producer)?.take(timeout_ms, usize::MAX)? {
                c.call_back(callback, &delivery, user_data);
            }
            Ok(())
        })
    }
}

/// Write everything that is queued, and wait until it is as acknowledged as "acks" asks (rule 7). Fails with the first failure of a
/// message that no report has told of yet.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn klog_producer_flush(
    producer: *mut klog_producer,
    timeout_ms: i32,
    error: *mut *mut klog_error,
) -> klog_status {
    // SAFETY: the body hands on nothing but the arguments.
    unsafe {
        enter(error, |c| {
            let producer = c.handle(producer)?;
            producer.check_open()?;
            // Other processes that flushing waits for have a bound of their own: request.timeout.ms.
            timeout(timeout_ms)?;
            Ok(producer.producer.flush()?)
        })
    }
}

/// Flush, and take no more messages. Reports that are left can still be taken. Fails as klog_producer_flush() does, and is
/// closed all the same; closing again is KLOG_OK.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn klog_producer_close(
    producer: *mut klog_producer,
    timeout_ms: i32,
    error: *mut *mut klog_error,
) -> klog_status {
    // SAFETY: the body hands on nothing but the arguments.
    unsafe {
        enter(error, |c| {
            let producer = c.handle(producer)?;
            timeout(timeout_ms)?;
            if producer.closed.swap(true, Ordering::AcqRel) {
                return Ok(());
            }
            let flushed = producer.producer.flush();
            producer.reports()?.wake();
            Ok(flushed?)
        })
    }
}

/// What is queued is written all the same, in the process that queued it. NULL does nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn klog_producer_free(producer: *mut klog_producer) {
    // SAFETY: as the header says of every X_free.
    unsafe { release(producer) }
}
