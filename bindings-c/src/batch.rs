//! What a poll returns: records in place.

use std::ffi::{CString, c_char};
use std::ptr;

use klog::{Batch, Record};

use crate::error::c_text;
use crate::guard::{Failure, enter, look, release};
use crate::handle::Handle;
use crate::message::klog_header;
use crate::status::klog_status;

/// A record, in place: key and value point into klog_batch_data(). Frozen: 48 bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct klog_record {
    /// Its place in the partition.
    pub offset: i64,
    /// -1: none.
    pub timestamp: i64,
    /// NULL: no key.
    pub key: *const u8,
    /// NULL: no value, a tombstone.
    pub value: *const u8,
    /// -1 when key is NULL.
    pub key_len: i32,
    /// -1 when value is NULL.
    pub value_len: i32,
    /// For klog_batch_header().
    pub header_count: u32,
    /// 0 for now.
    pub flags: u32,
}

#[cfg(target_pointer_width = "64")]
const _: () = assert!(size_of::<klog_record>() == 48);

/// Records of one partition, and the memory that they are in. It outlives its consumer and its engine if need be.
#[derive(Debug)]
pub struct klog_batch {
    batch: Batch,
    topic: CString,
    records: Vec<klog_record>,
}

// SAFETY: the pointers of `records` lead into the memory of `batch`, which never changes and goes with it, on whatever thread.
unsafe impl Send for klog_batch {}
// SAFETY: as above; nothing in a batch changes after it was made.
unsafe impl Sync for klog_batch {}

impl Handle for klog_batch {
    const NAME: &'static str = "batch";
}

/// Where bytes are and how many; NULL and −1 for none.
fn place(bytes: Option<&[u8]>) -> (*const u8, i32) {
    bytes.map_or((ptr::null(), -1), |bytes| (bytes.as_ptr(), bytes.len() as i32))
}

impl klog_batch {
    pub(crate) fn new(batch: Batch) -> klog_batch {
        let counts = batch.spans().iter().map(|span| span.header_count);
        let records = batch.iter().zip(counts).map(|(record, headers)| in_place(&record, headers)).collect();
        klog_batch { topic: c_text(batch.topic()), records, batch }
    }

    fn header(&self, record: usize, header: usize) -> Option<klog_header> {
        let (name, value) = self.batch.get(record)?.headers().nth(header)?;
        // A name that is not UTF-8 is shown as empty, and then it is somewhere else.
        let name_at = if name.is_empty() { self.batch.data().as_ptr() } else { name.as_ptr() };
        let (value, value_len) = place(value);
        Some(klog_header { name: name_at.cast(), name_len: name.len() as i32, value, value_len })
    }
}

fn in_place(record: &Record<'_>, header_count: u32) -> klog_record {
    let ((key, key_len), (value, value_len)) = (place(record.key()), place(record.value()));
    let (offset, timestamp) = (record.offset(), record.timestamp());
    klog_record { offset, timestamp, key, value, key_len, value_len, header_count, flags: 0 }
}

/// The topic of the records. "" for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn klog_batch_topic(batch: *const klog_batch) -> *const c_char {
    // SAFETY: the body hands on nothing but the arguments.
    unsafe { look(c"".as_ptr(), |c| Some(c.handle(batch).ok()?.topic.as_ptr())) }
}

/// The partition of the records. -1 for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn klog_batch_partition(batch: *const klog_batch) -> i32 {
    // SAFETY: the body hands on nothing but the arguments.
    unsafe { look(-1, |c| Some(c.handle(batch).ok()?.batch.partition())) }
}

/// Where the consumer goes on: behind the last record, and behind what is not for its readers. -1 for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn klog_batch_next_offset(batch: *const klog_batch) -> i64 {
    // SAFETY: the body hands on nothing but the arguments.
    unsafe { look(-1, |c| Some(c.handle(batch).ok()?.batch.next_offset())) }
}

/// The partition's high watermark when the batch was read. -1 for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn klog_batch_high_watermark(batch: *const klog_batch) -> i64 {
    // SAFETY: the body hands on nothing but the arguments.
    unsafe { look(-1, |c| Some(c.handle(batch).ok()?.batch.high_watermark())) }
}

/// How many records. 0 for NULL, so that a loop over nothing needs no question.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn klog_batch_len(batch: *const klog_batch) -> usize {
    // SAFETY: the body hands on nothing but the arguments.
    unsafe { look(0, |c| Some(c.handle(batch).ok()?.records.len())) }
}

/// klog_batch_len() records in a row, in offset order. NULL for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn klog_batch_records(batch: *const klog_batch) -> *const klog_record {
    // SAFETY: the body hands on nothing but the arguments.
    unsafe { look(ptr::null(), |c| Some(c.handle(batch).ok()?.records.as_ptr())) }
}

/// The one range of memory that every key, value and header of the batch is in. len may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn klog_batch_data(batch: *const klog_batch, len: *mut usize) -> *const u8 {
    // SAFETY: the body hands on nothing but the arguments.
    unsafe {
        look(ptr::null(), |c| {
            let len = c.optional_out(len, 0);
            let data = c.handle(batch).ok()?.batch.data();
            if let Some(len) = len {
                len.set(data.len());
            }
            Some(data.as_ptr())
        })
    }
}

/// Fill *out with a header of a record, both counted from 0. Past the last header, and past the last record, it is
/// KLOG_E_INVALID. Name and value are in klog_batch_data().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn klog_batch_header(
    batch: *const klog_batch,
    record: usize,
    header: usize,
    out: *mut klog_header,
) -> klog_status {
    // SAFETY: the body hands on nothing but the arguments.
    unsafe {
        enter(ptr::null_mut(), |c| {
            let none = klog_header { name: ptr::null(), value: ptr::null(), name_len: 0, value_len: -1 };
            let out = c.out(out, "out", none)?;
            let found = c.handle(batch)?.header(record, header);
            out.set(found.ok_or_else(|| Failure::invalid("there is no such header"))?);
            Ok(())
        })
    }
}

/// Free a batch and its memory. NULL does nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn klog_batch_free(batch: *mut klog_batch) {
    // SAFETY: as the header says of every X_free.
    unsafe { release(batch) }
}
