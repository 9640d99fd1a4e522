//! The one way into klog: through which every function of the header is called.
//!
//! It clears `*error`, turns what went wrong into a status and an object, and ends panics. A panic closes its engine for
//! good: what was half done is never used, every later call says so, and the engine is kept as it is instead of being closed
//! in order, so that the next one to open the directory recovers it.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind};
use std::sync::{Mutex, Once, OnceLock};

use klog::ErrorCode;

use crate::error::klog_error;
use crate::handle::Handle;
use crate::status::klog_status_code::{KLOG_E_INTERRUPTED, KLOG_E_INVALID, KLOG_E_PANIC, KLOG_E_TIMED_OUT, KLOG_OK};
use crate::status::{code_of, klog_status, klog_status_code};

/// Why a call did not do what it was asked for.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    pub(crate) status: klog_status_code,
    pub(crate) message: String,
    /// The engine's error, where it is one.
    pub(crate) cause: Option<klog::Error>,
}

impl Failure {
    pub(crate) fn new(status: klog_status_code, message: impl Into<String>) -> Failure {
        Failure { status, message: message.into(), cause: None }
    }

    /// An argument that is not allowed.
    pub(crate) fn invalid(message: impl Into<String>) -> Failure {
        Failure::new(KLOG_E_INVALID, message)
    }
}

impl From<klog::Error> for Failure {
    fn from(error: klog::Error) -> Failure {
        Failure { status: code_of(error.code()), message: error.message().to_owned(), cause: Some(error) }
    }
}

/// What the handles of one engine share: the engine, and whether klog panicked in it.
#[derive(Debug)]
pub(crate) struct Life {
    pub(crate) engine: klog::Engine,
    panic: OnceLock<String>,
}

/// A panic of the engine's own thread. It knows no engine, so it is every engine's.
static PANIC_IN_BACKGROUND: OnceLock<String> = OnceLock::new();

/// Engines and handles that klog panicked in. They are never ended in order.
static ABANDONED: Mutex<Vec<Box<dyn Any + Send>>> = Mutex::new(Vec::new());

impl Life {
    pub(crate) fn new(engine: klog::Engine) -> Life {
        Life { engine, panic: OnceLock::new() }
    }

    fn panicked(&self) -> Option<&String> {
        self.panic.get().or_else(|| PANIC_IN_BACKGROUND.get())
    }

    fn check(&self) -> Result<(), Failure> {
        self.panicked().map_or(Ok(()), |panic| {
            let message = format!("the engine was closed when klog panicked: {panic}");
            Err(klog::Error::new(ErrorCode::Closed, message).into())
        })
    }

    fn end(&self, panic: &str) {
        if self.panic.set(panic.to_owned()).is_ok() {
            abandon(Box::new(self.engine.clone()));
        }
    }
}

fn abandon(what: Box<dyn Any + Send>) {
    match ABANDONED.try_lock() {
        Ok(mut abandoned) => abandoned.push(what),
        // Another thread is at it, perhaps one that a child does not have. Leaked is kept as well.
        Err(_) => std::mem::forget(what),
    }
}

/// A call from C that has not returned yet. Whoever has one may use what C handed over.
pub(crate) struct Caller<'c> {
    life: Cell<Option<&'c Life>>,
    _for_the_call: PhantomData<Cell<&'c ()>>,
}

impl<'c> Caller<'c> {
    /// Takes note of the engine that the call is about.
    pub(crate) fn concerns(&self, life: &'c Life) -> Result<(), Failure> {
        life.check()?;
        self.life.set(Some(life));
        Ok(())
    }
}

/// Runs the body of an exported function that can fail.
///
/// # Safety
/// * The exported function was called as the rules at the top of the header say.
/// * `body` hands to the [`Caller`] nothing but the arguments of that function, each as what the header says it is.
pub(crate) unsafe fn enter(
    error: *mut *mut klog_error,
    body: impl for<'c> FnOnce(&Caller<'c>) -> Result<(), Failure>,
) -> klog_status {
    install_hook();
    if !error.is_null() {
        // SAFETY: by the header, `error` is NULL or points to a place for one pointer; what is there is not read.
        unsafe { error.write(std::ptr::null_mut()) };
    }
    let caller = Caller { life: Cell::new(None), _for_the_call: PhantomData };
    let failure = match caught(|| body(&caller)) {
        Ok(Ok(())) => return KLOG_OK as klog_status,
        Ok(Err(failure)) => failure,
        Err(panic) => {
            if let Some(life) = caller.life.get() {
                life.end(&panic);
            }
            Failure::new(KLOG_E_PANIC, format!("klog panicked: {panic}"))
        }
    };
    let status = failure.status;
    // These are ordinary life and say all there is to say, but for whom one waits; a loop over them asks for no memory.
    let has_holder = failure.cause.as_ref().is_some_and(klog::Error::has_holder);
    let says_it_all = matches!(status, KLOG_E_TIMED_OUT | KLOG_E_INTERRUPTED) && !has_holder;
    if !error.is_null() && !says_it_all {
        let object = Box::into_raw(Box::new(klog_error::new(failure)));
        // SAFETY: as above.
        unsafe { error.write(object) };
    }
    status as klog_status
}

/// Runs the body of an exported function that only looks: `fallback` is the answer where there is none.
///
/// # Safety
/// As for [`enter`].
pub(crate) unsafe fn look<T>(fallback: T, body: impl for<'c> FnOnce(&Caller<'c>) -> Option<T>) -> T {
    let caller = Caller { life: Cell::new(None), _for_the_call: PhantomData };
    caught(|| body(&caller)).ok().flatten().unwrap_or(fallback)
}

/// Ends a handle that C gives back.
///
/// # Safety
/// `pointer` is NULL, or came from [`give`](crate::handle::give) and was not given back yet.
pub(crate) unsafe fn release<T: Handle>(pointer: *mut T) {
    if pointer.is_null() {
        return;
    }
    // SAFETY: the caller promises that this is what `give` made of a box, and that nobody uses it any more.
    let handle = unsafe { Box::from_raw(pointer) };
    if handle.life().is_some_and(|life| life.panicked().is_some()) {
        abandon(handle);
        return;
    }
    // A panic while a handle ends has nobody to be told to.
    let _ = caught(move || drop(handle));
}

thread_local! {
    /// Whether this thread is inside klog.
    static INSIDE: Cell<bool> = const { Cell::new(false) };
    /// What the last panic of this thread said, and where it was.
    static LAST_PANIC: RefCell<Option<String>> = const { RefCell::new(None) };
}

fn caught<T>(body: impl FnOnce() -> T) -> Result<T, String> {
    let was_inside = INSIDE.replace(true);
    let result = catch_unwind(AssertUnwindSafe(body));
    INSIDE.set(was_inside);
    let last_panic = || LAST_PANIC.try_with(RefCell::take).ok().flatten();
    result.map_err(|payload| last_panic().unwrap_or_else(|| text_of(&*payload)))
}

/// Runs the body of the one function that signal handlers may call. It touches no memory of the thread's, which the first
/// touch may have to allocate.
///
/// # Safety
/// As for [`enter`].
pub(crate) unsafe fn in_signal_handler(body: impl for<'c> FnOnce(&Caller<'c>)) {
    let caller = Caller { life: Cell::new(None), _for_the_call: PhantomData };
    let _ = catch_unwind(AssertUnwindSafe(|| body(&caller)));
}

/// Runs code of the caller's in the middle of a call.
pub(crate) fn outside<T>(body: impl FnOnce() -> T) -> T {
    let was_inside = INSIDE.replace(false);
    let result = body();
    INSIDE.set(was_inside);
    result
}

fn text_of(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("for no given reason").to_owned()
}

/// Keeps panics of klog's off the program's stderr. Every other panic goes the way it went before: a program that is linked
/// to the static library may be Rust itself, and shares the hook.
fn install_hook() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        let previous = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if INSIDE.get() {
                // A thread that is ending may not have the place any more; then the payload has to do.
                let _ = LAST_PANIC.try_with(|last| last.replace(Some(describe(panic))));
            } else if std::thread::current().name().is_some_and(|name| name.starts_with("klog-")) {
                let _ = PANIC_IN_BACKGROUND.set(describe(panic));
            } else {
                previous(panic);
            }
        }));
    });
}

fn describe(panic: &PanicHookInfo<'_>) -> String {
    let place = panic.location().map(|place| format!(" ({}:{})", place.file(), place.line())).unwrap_or_default();
    format!("{}{place}", text_of(panic.payload()))
}
