//! What went wrong, as an object that C owns.

use std::ffi::{CString, c_char};

use crate::guard::{Failure, look, release};
use crate::handle::Handle;
use crate::status::klog_status;
use crate::status::klog_status_code::KLOG_OK;

/// What went wrong. Free it with klog_error_free().
#[derive(Debug)]
pub struct klog_error {
    status: klog_status,
    message: CString,
    cause: Option<klog::Error>,
}

impl Handle for klog_error {
    const NAME: &'static str = "error";
}

impl klog_error {
    pub(crate) fn new(failure: Failure) -> klog_error {
        klog_error { status: failure.status as klog_status, message: c_text(&failure.message), cause: failure.cause }
    }

    /// The engine's error, where it is one.
    pub(crate) fn cause(&self) -> Option<&klog::Error> {
        self.cause.as_ref()
    }
}

/// Text for C. A NUL in the middle, which would end it, becomes U+FFFD.
pub(crate) fn c_text(text: &str) -> CString {
    CString::new(text.replace('\0', "\u{fffd}")).unwrap_or_default()
}

/// The status that the call returned with it. KLOG_OK for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn klog_error_code(error: *const klog_error) -> klog_status {
    // SAFETY: the body hands on nothing but the arguments.
    unsafe { look(KLOG_OK as klog_status, |c| Some(c.handle(error).ok()?.status)) }
}

/// One sentence for a person, naming the file, topic, key... concerned. "" for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn klog_error_message(error: *const klog_error) -> *const c_char {
    // SAFETY: the body hands on nothing but the arguments.
    unsafe { look(c"".as_ptr(), |c| Some(c.handle(error).ok()?.message.as_ptr())) }
}

/// errno of the system call that failed, or 0 where none did.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn klog_error_os_code(error: *const klog_error) -> i32 {
    // SAFETY: the body hands on nothing but the arguments.
    unsafe { look(0, |c| c.handle(error).ok()?.cause.as_ref()?.os_code()) }
}

/// The Kafka protocol's error code for it (3 for an unknown topic...), or -1 where Kafka has none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn klog_error_kafka_code(error: *const klog_error) -> i32 {
    // SAFETY: the body hands on nothing but the arguments.
    unsafe { look(-1, |c| Some(i32::from(c.handle(error).ok()?.cause.as_ref()?.code().kafka_code()))) }
}

/// 1 when the same call may succeed later, else 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn klog_error_is_retriable(error: *const klog_error) -> i32 {
    // SAFETY: the body hands on nothing but the arguments.
    unsafe { look(0, |c| Some(i32::from(c.handle(error).ok()?.cause.as_ref()?.is_retriable()))) }
}

/// Free an error. NULL does nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn klog_error_free(error: *mut klog_error) {
    // SAFETY: as the header says of every X_free.
    unsafe { release(error) }
}
