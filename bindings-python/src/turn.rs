//! One caller at a time, in the order in which they came.

use std::collections::VecDeque;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};

use klog::ErrorCode;
use pyo3::prelude::*;

use crate::errors::refuse;
use crate::interrupt::{Deadline, SLICE};

/// Something that one thread at a time may have. Whoever has it has taken it out, so no lock is held while it is used, and
/// nothing here can hold up the interpreter.
pub(crate) struct Turn<T> {
    state: Mutex<State<T>>,
    given_back: Condvar,
    /// Changed with the lock held, and read without it where only this matters: a child of the process may find the lock
    /// taken by a thread that it does not have.
    is_closed: AtomicBool,
}

struct State<T> {
    /// `None` while somebody has it, and for good once it is closed.
    value: Option<T>,
    holder: Option<ThreadId>,
    waiting: VecDeque<u64>,
    next_ticket: u64,
}

impl<T> State<T> {
    /// Takes the value if it is there and it is the turn of `ticket`; `None` is somebody who just came.
    fn take(&mut self, ticket: Option<u64>) -> Option<T> {
        let is_next = match ticket {
            Some(_) => self.waiting.front() == ticket.as_ref(),
            None => self.waiting.is_empty(),
        };
        let value = if is_next { self.value.take() } else { None }?;
        if ticket.is_some() {
            self.waiting.pop_front();
        }
        self.holder = Some(thread::current().id());
        Some(value)
    }
}

/// What a caller gets that waits for its turn.
enum Outcome<T> {
    Mine(T),
    Wait(u64),
    Closed,
    MineAlready,
}

impl<T: Send> Turn<T> {
    pub(crate) fn new(value: T) -> Self {
        let state = State { value: Some(value), holder: None, waiting: VecDeque::new(), next_ticket: 0 };
        Turn { state: Mutex::new(state), given_back: Condvar::new(), is_closed: AtomicBool::new(false) }
    }

    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the turn; `None` when the deadline passes before.
    ///
    /// # Errors
    /// `ClosedError` after `close`; `BusyError` for the thread that has it already: a signal handler, say, that runs inside
    /// of a poll. Whatever a signal handler raises.
    pub(crate) fn take(&self, py: Python<'_>, deadline: Deadline) -> PyResult<Option<Held<'_, T>>> {
        let mut ticket = None;
        loop {
            match self.try_take(ticket) {
                Outcome::Mine(value) => return Ok(Some(Held { turn: self, value: Some(value) })),
                Outcome::Closed => return Err(refuse(py, ErrorCode::Closed, "the consumer is closed")),
                Outcome::MineAlready => {
                    let what =
                        "this thread is inside a call of the consumer; from a signal handler, only wakeup and close";
                    return Err(refuse(py, ErrorCode::Busy, what));
                }
                Outcome::Wait(number) => ticket = Some(number),
            }
            if deadline.is_over() {
                self.leave(ticket);
                return Ok(None);
            }
            py.detach(|| self.wait(deadline));
            if let Err(raised) = py.check_signals() {
                self.leave(ticket);
                return Err(raised);
            }
        }
    }

    fn try_take(&self, ticket: Option<u64>) -> Outcome<T> {
        let mut state = self.state();
        if self.is_closed() {
            return Outcome::Closed;
        }
        if let Some(value) = state.take(ticket) {
            return Outcome::Mine(value);
        }
        if state.holder == Some(thread::current().id()) {
            return Outcome::MineAlready;
        }
        Outcome::Wait(ticket.unwrap_or_else(|| {
            let number = state.next_ticket;
            state.next_ticket += 1;
            state.waiting.push_back(number);
            number
        }))
    }

    /// Sleeps until something was given back, or for a moment.
    fn wait(&self, deadline: Deadline) {
        let state = self.state();
        if state.value.is_none() && !self.is_closed() {
            let _ = self.given_back.wait_timeout(state, deadline.slice().min(SLICE));
        }
    }

    /// Gives a place in the queue up.
    fn leave(&self, ticket: Option<u64>) {
        self.state().waiting.retain(|waiting| Some(*waiting) != ticket);
        self.given_back.notify_all();
    }

    /// Closes it for everybody, whoever has it now included, and returns it if nobody has. Waits for nobody.
    pub(crate) fn close(&self) -> Option<T> {
        let mut state = self.state();
        self.is_closed.store(true, Ordering::Release);
        let value = state.value.take();
        drop(state);
        self.given_back.notify_all();
        value
    }

    /// Whether it was closed.
    pub(crate) fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Acquire)
    }
}

/// The value, for as long as this lives.
pub(crate) struct Held<'a, T> {
    turn: &'a Turn<T>,
    value: Option<T>,
}

impl<T> Deref for Held<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.value.as_ref().expect("it goes only when this is dropped")
    }
}

impl<T> DerefMut for Held<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.value.as_mut().expect("it goes only when this is dropped")
    }
}

impl<T> Drop for Held<'_, T> {
    fn drop(&mut self) {
        let mut state = self.turn.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.holder = None;
        if !self.turn.is_closed.load(Ordering::Acquire) {
            state.value = self.value.take();
        }
        drop(state);
        // What was closed meanwhile goes now, with the lock released.
        self.value = None;
        self.turn.given_back.notify_all();
    }
}
