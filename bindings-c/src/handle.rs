//! How pointers of C become references, and the other way round.
//!
//! A [`Caller`] is the proof that the rules of the header hold for what it is asked to turn into references: only
//! [`enter`](crate::guard::enter) and [`look`](crate::guard::look) make one, and they are unsafe.

use std::ffi::{CStr, c_char};
use std::mem::MaybeUninit;

use crate::guard::{Caller, Failure, Life};

/// An object that C knows only by a pointer. C owns the box; whatever is shared is shared inside.
pub(crate) trait Handle: Send + Sync + 'static {
    /// What messages call it.
    const NAME: &'static str;

    /// The engine that it came from.
    fn life(&self) -> Option<&Life> {
        None
    }
}

/// A place for a result.
pub(crate) struct Out<'c, T>(&'c mut MaybeUninit<T>);

impl<T> Out<'_, T> {
    pub(crate) fn set(self, value: T) {
        self.0.write(value);
    }
}

impl<T: Handle> Out<'_, *mut T> {
    /// Gives a new object to C.
    pub(crate) fn give(self, object: T) {
        self.set(Box::into_raw(Box::new(object)));
    }
}

#[allow(clippy::unused_self, reason = "to have a caller is the proof that the pointer may be used")]
impl<'c> Caller<'c> {
    /// The object behind a handle.
    pub(crate) fn handle<T: Handle>(&self, pointer: *const T) -> Result<&'c T, Failure> {
        let handle = self.optional(pointer).ok_or_else(|| Failure::invalid(format!("{} is NULL", T::NAME)))?;
        if let Some(life) = handle.life() {
            self.concerns(life)?;
        }
        Ok(handle)
    }

    /// The object behind a handle that may be NULL. Asks nothing of its engine.
    pub(crate) fn optional<T: Handle>(&self, pointer: *const T) -> Option<&'c T> {
        // SAFETY: by the header it is NULL or a handle that was not freed, and stays so during the call. Handles are
        // boxes that were never borrowed mutably: what changes in them is behind locks and atomics.
        unsafe { pointer.as_ref() }
    }

    /// A place for a result, which must be there. Begins as `empty`.
    pub(crate) fn out<T>(&self, pointer: *mut T, name: &str, empty: T) -> Result<Out<'c, T>, Failure> {
        self.optional_out(pointer, empty).ok_or_else(|| Failure::invalid(format!("{name} is NULL")))
    }

    /// A place for a result that may be NULL. Begins as `empty`.
    pub(crate) fn optional_out<T>(&self, pointer: *mut T, empty: T) -> Option<Out<'c, T>> {
        // SAFETY: by the header it is NULL or points to a place for one T, aligned, which is the function's alone during
        // the call. It may be uninitialised, and is treated so.
        let place = unsafe { pointer.cast::<MaybeUninit<T>>().as_mut() }?;
        place.write(empty);
        Some(Out(place))
    }

    /// Text that must be there.
    pub(crate) fn text(&self, pointer: *const c_char, name: &str) -> Result<&'c str, Failure> {
        self.optional_text(pointer, name)?.ok_or_else(|| Failure::invalid(format!("{name} is NULL")))
    }

    /// Text that may be NULL.
    pub(crate) fn optional_text(&self, pointer: *const c_char, name: &str) -> Result<Option<&'c str>, Failure> {
        let Some(bytes) = self.optional_string(pointer) else {
            return Ok(None);
        };
        let text = std::str::from_utf8(bytes);
        text.map(Some).map_err(|error| Failure::invalid(format!("{name} is not UTF-8: {error}")))
    }

    /// A string of bytes that ends in NUL, without it.
    pub(crate) fn optional_string(&self, pointer: *const c_char) -> Option<&'c [u8]> {
        if pointer.is_null() {
            return None;
        }
        // SAFETY: by the header, strings end in NUL and do not change during the call.
        Some(unsafe { CStr::from_ptr(pointer) }.to_bytes())
    }

    /// `len` bytes. NULL is none at all, and then `len` must be 0.
    pub(crate) fn bytes(&self, pointer: *const u8, len: usize, name: &str) -> Result<Option<&'c [u8]>, Failure> {
        if pointer.is_null() {
            let message = || Failure::invalid(format!("{name} is NULL and its length is {len}"));
            return if len == 0 { Ok(None) } else { Err(message()) };
        }
        if isize::try_from(len).is_err() {
            return Err(Failure::invalid(format!("the length of {name} is {len}")));
        }
        // SAFETY: by the header, `len` bytes are there and do not change during the call.
        Ok(Some(unsafe { std::slice::from_raw_parts(pointer, len) }))
    }

    /// `count` things in a row. NULL is legal where there is none.
    pub(crate) fn array<T: Copy>(&self, pointer: *const T, count: usize, name: &str) -> Result<&'c [T], Failure> {
        let Some(bytes) = self.bytes(pointer.cast(), count.saturating_mul(size_of::<T>()), name)? else {
            return Ok(&[]);
        };
        // SAFETY: by the header these are `count` values of T, aligned; `bytes` has their size, which fits.
        Ok(unsafe { std::slice::from_raw_parts(bytes.as_ptr().cast(), count) })
    }

    /// Places for `count` results. NULL with a count is an error.
    pub(crate) fn out_array<T>(
        &self,
        pointer: *mut T,
        count: usize,
        name: &str,
    ) -> Result<&'c mut [MaybeUninit<T>], Failure> {
        let len = count.saturating_mul(size_of::<T>());
        if self.bytes(pointer.cast(), len, name)?.is_none() {
            return Ok(&mut []);
        }
        // SAFETY: by the header there is place for `count` values of T, aligned, which is the function's alone during the
        // call. It may be uninitialised, and is treated so.
        Ok(unsafe { std::slice::from_raw_parts_mut(pointer.cast(), count) })
    }
}
