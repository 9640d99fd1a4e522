//! Which klog this is.

use std::ffi::{CStr, c_char};

/// The version of the library: "0.1.0". Compare with the header's KLOG_VERSION. Static.
#[unsafe(no_mangle)]
pub extern "C" fn klog_version() -> *const c_char {
    const VERSION: &CStr = text(concat!(env!("CARGO_PKG_VERSION"), "\0"));
    VERSION.as_ptr()
}

/// The same as a number, major * 10000 + minor * 100 + patch: compare with the header's KLOG_VERSION_NUMBER.
#[unsafe(no_mangle)]
pub extern "C" fn klog_version_number() -> i32 {
    const NUMBER: i32 = digits(env!("CARGO_PKG_VERSION_MAJOR")) * 10_000
        + digits(env!("CARGO_PKG_VERSION_MINOR")) * 100
        + digits(env!("CARGO_PKG_VERSION_PATCH"));
    NUMBER
}

/// What this library was built from, for which machine, and how. Static.
#[unsafe(no_mangle)]
pub extern "C" fn klog_build_info() -> *const c_char {
    const BUILD: &CStr = text(concat!(env!("KLOG_BUILD_INFO"), "\0"));
    BUILD.as_ptr()
}

const fn text(with_nul: &'static str) -> &'static CStr {
    match CStr::from_bytes_with_nul(with_nul.as_bytes()) {
        Ok(text) => text,
        Err(_) => panic!("a text without one NUL at its end"),
    }
}

const fn digits(text: &str) -> i32 {
    let mut number = 0;
    let mut rest = text.as_bytes();
    while let [digit, more @ ..] = rest {
        number = number * 10 + (*digit - b'0') as i32;
        rest = more;
    }
    number
}
