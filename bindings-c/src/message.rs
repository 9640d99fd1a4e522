//! What is sent, and what became of it: the one struct that C fills in, and the one it is answered with.

use std::ffi::c_char;
use std::mem::{MaybeUninit, offset_of};

use klog::ProducerRecord;

use crate::guard::{Caller, Failure};
use crate::status::klog_status;

/// A header of a record. A NULL value is a null value; an empty one has an address.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct klog_header {
    /// Not NUL-terminated when it comes from a batch.
    pub name: *const c_char,
    /// NULL: a null value.
    pub value: *const u8,
    /// On input, -1: name is NUL-terminated.
    pub name_len: i32,
    /// From a batch, -1 when value is NULL.
    pub value_len: i32,
}

/// What klog_message.flags may say.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum klog_message_flag {
    /// The field partition counts; else by key, and without one wherever the producer likes.
    KLOG_SET_PARTITION = 1,
    /// The field timestamp counts; else now.
    KLOG_SET_TIMESTAMP = 2,
}

/// A record to send: the one struct that a caller fills in. Zero it, set size to sizeof(klog_message), then the fields. All
/// messages of one call have the same size. Fields may be added at the end: a shorter struct is taken as if zeros followed,
/// and a library that is older than its caller refuses a field that it does not know and that is not zero.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct klog_message {
    /// sizeof(klog_message).
    pub size: u32,
    /// Of klog_message_flag.
    pub flags: u32,
    /// Must be there.
    pub topic: *const c_char,
    /// NULL: no key.
    pub key: *const u8,
    /// NULL: no value, a tombstone.
    pub value: *const u8,
    /// Bytes of key.
    pub key_len: usize,
    /// Bytes of value.
    pub value_len: usize,
    /// With KLOG_SET_TIMESTAMP.
    pub timestamp: i64,
    /// Comes back in klog_delivery; klog does not look at it.
    pub tag: u64,
    /// In this order; a name may come again.
    pub headers: *const klog_header,
    /// How many headers.
    pub header_count: u32,
    /// With KLOG_SET_PARTITION.
    pub partition: i32,
}

/// What became of a message. Frozen: 32 bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct klog_delivery {
    /// The message's.
    pub tag: u64,
    /// -1 on failure, and with acks=0.
    pub offset: i64,
    /// The record's: the log's own where the topic says so. -1 on failure.
    pub timestamp: i64,
    /// -1 on failure.
    pub partition: i32,
    /// KLOG_OK, or why not.
    pub status: klog_status,
}

const _: () = assert!(size_of::<klog_delivery>() == 32);
#[cfg(target_pointer_width = "64")]
const _: () = assert!(size_of::<klog_message>() == 80);
#[cfg(target_pointer_width = "64")]
const _: () = assert!(size_of::<klog_header>() == 24);
/// Bytes between the fields would be a caller's garbage on the day they become fields.
const _: () = assert!(offset_of!(klog_message, partition) + 4 == size_of::<klog_message>());

/// Up to topic: nothing shorter can be a message.
const SHORTEST: usize = offset_of!(klog_message, topic) + size_of::<usize>();
/// A size above this is one that nobody set.
const LONGEST: usize = 4096;
const ALL_FLAGS: u32 = klog_message_flag::KLOG_SET_PARTITION as u32 | klog_message_flag::KLOG_SET_TIMESTAMP as u32;

/// Headers as a record borrows them.
pub(crate) type Headers<'c> = Vec<(&'c str, Option<&'c [u8]>)>;

/// The messages of a call.
pub(crate) struct Messages<'c> {
    bytes: &'c [u8],
    stride: usize,
}

impl<'c> Caller<'c> {
    /// `count` messages, as long as the first one says that they are.
    pub(crate) fn messages(&self, pointer: *const klog_message, count: usize) -> Result<Messages<'c>, Failure> {
        let Some(first) = self.bytes(pointer.cast(), if count == 0 { 0 } else { size_of::<u32>() }, "messages")? else {
            return Ok(Messages { bytes: &[], stride: 1 });
        };
        let stride = if count == 0 { 1 } else { size_of_message(first, 0)? };
        let bytes = self.bytes(pointer.cast(), count.saturating_mul(stride), "messages")?.unwrap_or_default();
        Ok(Messages { bytes, stride })
    }
}

fn size_of_message(bytes: &[u8], index: usize) -> Result<usize, Failure> {
    // SAFETY: whoever calls has at least the four bytes of `size`, which may be unaligned.
    let size = unsafe { bytes.as_ptr().cast::<u32>().read_unaligned() } as usize;
    if (SHORTEST..=LONGEST).contains(&size) {
        return Ok(size);
    }
    Err(Failure::invalid(format!("messages[{index}].size is {size}; set it to sizeof(klog_message)")))
}

impl<'c> Messages<'c> {
    /// The messages, one by one, each with its own error.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Result<klog_message, Failure>> + use<'c> {
        let stride = self.stride;
        self.bytes.chunks_exact(stride).enumerate().map(move |(index, bytes)| message_at(bytes, index, stride))
    }
}

fn message_at(bytes: &[u8], index: usize, stride: usize) -> Result<klog_message, Failure> {
    let size = size_of_message(bytes, index)?;
    if size != stride {
        return Err(Failure::invalid(format!("messages[{index}].size is {size} and that of the first is {stride}")));
    }
    let (known, unknown) = bytes.split_at(size.min(size_of::<klog_message>()));
    if let Some(at) = unknown.iter().position(|byte| *byte != 0) {
        let at = known.len() + at;
        let message = format!("messages[{index}] has a field at byte {at} that this klog does not know; leave it zero");
        return Err(Failure::invalid(message));
    }
    let mut message = MaybeUninit::<klog_message>::zeroed();
    // SAFETY: `known` has at most as many bytes as `message`, which is apart from it.
    unsafe { known.as_ptr().copy_to_nonoverlapping(message.as_mut_ptr().cast(), known.len()) };
    // SAFETY: every field is a number or a raw pointer, of which all bit patterns are legal, and all bytes are there.
    Ok(unsafe { message.assume_init() })
}

impl klog_message {
    /// The record that it stands for. `headers` holds what the record borrows.
    pub(crate) fn record<'r, 'c: 'r>(
        &self,
        c: &Caller<'c>,
        headers: &'r mut Headers<'c>,
    ) -> Result<ProducerRecord<'r>, Failure> {
        if self.flags & !ALL_FLAGS != 0 {
            return Err(Failure::invalid(format!("flags is {:#x}; known are {ALL_FLAGS:#x}", self.flags)));
        }
        let has = |flag: klog_message_flag| self.flags & flag as u32 != 0;
        headers.clear();
        for header in c.array(self.headers, self.header_count as usize, "headers")? {
            headers.push((header.name(c)?, header.value(c)?));
        }
        Ok(ProducerRecord {
            topic: c.text(self.topic, "topic")?,
            partition: has(klog_message_flag::KLOG_SET_PARTITION).then_some(self.partition),
            timestamp: has(klog_message_flag::KLOG_SET_TIMESTAMP).then_some(self.timestamp),
            key: c.bytes(self.key, self.key_len, "key")?,
            value: c.bytes(self.value, self.value_len, "value")?,
            headers,
        })
    }
}

impl klog_header {
    fn name<'c>(&self, c: &Caller<'c>) -> Result<&'c str, Failure> {
        if self.name_len == -1 {
            return c.text(self.name, "the name of a header");
        }
        let bytes = c.bytes(self.name.cast(), length(self.name_len)?, "the name of a header")?;
        let text = std::str::from_utf8(bytes.ok_or_else(|| Failure::invalid("the name of a header is NULL"))?);
        text.map_err(|error| Failure::invalid(format!("the name of a header is not UTF-8: {error}")))
    }

    fn value<'c>(&self, c: &Caller<'c>) -> Result<Option<&'c [u8]>, Failure> {
        // What a batch gave may be sent as it is: there a NULL value has a length of -1.
        let len = if self.value.is_null() && self.value_len == -1 { 0 } else { length(self.value_len)? };
        c.bytes(self.value, len, "the value of a header")
    }
}

fn length(len: i32) -> Result<usize, Failure> {
    usize::try_from(len).map_err(|_| Failure::invalid(format!("a header has a length of {len}")))
}
