//! An attached handle: its slot, and how it sees that others live.

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::bell::Bell;
use super::control::{Block, Control, PRIVATE_BYTES, SLOTS, Seat, Visitor};
use super::lock::{AppendLock, Around, Held, Patience, Refused, SlotToken, Waiting, in_ns};
use super::slices;
use crate::error::{Error, ErrorCode, Result};
use crate::sys::points::{Point, reached};
use crate::sys::{
    AnyFile, Clock, Disk, File, FileIdentity, LockFile, LockKind, LockRange, Locks, Mapping, Open, SimDisk, Sys, Wait,
    Woken, generation,
};
use crate::types::Uuid;

/// Something that one handle of a directory does at a time. The byte of `.klog.lck` that stands for it is its number; the
/// kernel releases it when the process dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum Role {
    /// Attaching and detaching.
    Attach = 0,
    /// What every attached handle shares, and a handle that has the directory to itself does not.
    Member = 1,
    /// Looking after what dead processes left, checkpoints, retention.
    Housekeeper = 2,
    /// Adding to the table of blocks.
    Table = 4,
    /// Writing the checkpoints.
    Checkpoints = 5,
    /// Changing the metadata.
    Metadata = 6,
}

impl Role {
    /// The byte.
    pub const fn range(self) -> LockRange {
        LockRange::byte(self as u64)
    }
}

/// The bytes of the slots begin here, one for each.
const SLOTS_FROM: u64 = 4096;
/// The byte that whoever has a slot holds for as long as it lives.
pub fn slot_byte(slot: u32) -> LockRange {
    LockRange::byte(SLOTS_FROM + u64::from(slot))
}

/// The bytes of the partitions begin here: kernel locks, where those are used.
const PARTITIONS_FROM: u64 = 8192;
/// No wait by protocol is longer without another look.
const LONGEST_WAIT: Duration = Duration::from_millis(50);

/// A handle that is attached to a directory.
pub struct Member {
    sys: Sys,
    control: Control,
    /// `.klog.lck`.
    file: LockFile,
    /// That file, as it was opened.
    identity: FileIdentity,
    token: SlotToken,
    seat: Seat,
    /// The instance that it attached to; 0 once it left.
    instance: AtomicU64,
    lock: AppendLock,
    patience: Duration,
    /// A signal ends a wait for a lock.
    is_interruptible: bool,
    adding: Mutex<()>,
    /// The process that attached.
    generation: u32,
}

impl fmt::Debug for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Member").field("token", &self.token).field("lock", &self.lock).finish_non_exhaustive()
    }
}

/// A role that is held. Given back when it goes.
#[derive(Debug)]
pub struct RoleHeld<'a> {
    member: &'a Member,
    role: Role,
}

impl Drop for RoleHeld<'_> {
    fn drop(&mut self) {
        self.member.give_back(self.role);
    }
}

/// The lock of a block, held, and what its holder must know. Given back by [`release`](Self::release); a thread that unwinds
/// leaves it as a process that dies, for the next holder to recover.
#[derive(Debug)]
pub struct LockHeld<'a> {
    member: &'a Member,
    block: &'a Block,
    /// What was found.
    pub found: Held,
}

impl LockHeld<'_> {
    /// Gives it back.
    #[inline]
    pub fn release(self) {
        let Member { lock, token, .. } = *self.member;
        lock.release(self.block, self.block.index(), token, self.member);
        std::mem::forget(self);
    }

    /// Gives it back, where it could not be made out where the log is: whoever has it next does so, this handle too.
    pub fn release_unsettled(self) {
        self.block.note_holder(0, 0);
        self.release();
    }
}

impl Drop for LockHeld<'_> {
    fn drop(&mut self) {
        let Member { lock, token, .. } = *self.member;
        lock.abandon(self.block, self.block.index(), token, self.member);
    }
}

impl Member {
    /// Takes a slot. With the attach lock held.
    ///
    /// # Errors
    /// `Locked` when every slot is taken; those of locking.
    pub fn enter(
        sys: &Sys,
        control: Control,
        file: LockFile,
        visitor: &Visitor,
        patience: Duration,
        is_interruptible: bool,
    ) -> Result<Member> {
        let locking = |e| Error::io("locking a slot of .klog.lck", e);
        let identity = file.stat().map_err(locking)?.identity;
        for slot in 0..SLOTS {
            if !file.try_lock(slot_byte(slot), LockKind::Exclusive).map_err(locking)? {
                continue;
            }
            let number = control.enter(slot, visitor);
            let lock = if control.lock_kind() == 1 { AppendLock::Ofd } else { AppendLock::Futex };
            return Ok(Member {
                sys: sys.clone(),
                instance: AtomicU64::new(control.instance()),
                token: SlotToken { slot, generation: number },
                seat: control.seat(slot),
                control,
                identity,
                file,
                lock,
                patience,
                is_interruptible,
                adding: Mutex::new(()),
                generation: generation(),
            });
        }
        Err(Error::new(ErrorCode::Locked, format!("{SLOTS} handles are attached to the directory, which is the most")))
    }

    /// A handle on memory that nobody shares.
    ///
    /// # Errors
    /// Those of asking for memory.
    pub fn alone(sys: &Sys) -> io::Result<Member> {
        let control = Control::new(Arc::new(Mapping::private(PRIVATE_BYTES)?));
        control.begin(1, Uuid::ZERO, 0)?;
        let file = LockFile::open(|| SimDisk::default().open(Path::new("/lck"), Open::Create).map(AnyFile::Simulated))?;
        let patience = Duration::from_secs(30);
        Member::enter(sys, control, file, &Visitor::default(), patience, false)
            .map_err(|e| io::Error::other(e.message().to_owned()))
    }

    /// The shared memory.
    pub fn control(&self) -> &Control {
        &self.control
    }

    /// Who this handle is.
    pub fn token(&self) -> SlotToken {
        self.token
    }

    /// How locks are taken.
    pub fn lock(&self) -> AppendLock {
        self.lock
    }

    /// How long a call waits for a lock that somebody else holds.
    pub fn patience(&self) -> Duration {
        self.patience
    }

    /// The system it lives in.
    pub fn sys(&self) -> &Sys {
        &self.sys
    }

    /// Refuses a handle that is none any more: the directory's files were replaced, or somebody else has its slot. Four
    /// loads. To be asked after a lock was taken (I10).
    ///
    /// # Errors
    /// `Locked`.
    #[inline]
    pub fn check(&self) -> Result<()> {
        match self.control.is_held(&self.seat, self.token.generation, self.instance.load(Ordering::Relaxed)) {
            true => Ok(()),
            false => Err(self.fenced()),
        }
    }

    #[cold]
    fn fenced(&self) -> Error {
        let what = if self.control.is_foreign() {
            "a lock file or the shared memory of the directory was removed or replaced; close it everywhere and open it again"
        } else {
            "this handle lost its slot: its descriptors were closed behind its back, or the process was restored from a checkpoint; open the directory again"
        };
        Error::new(ErrorCode::Locked, what)
    }

    /// Whether the descriptor of the lock file is still the one that was opened: a program that closes what it did not open
    /// gives the slot away and does not know.
    pub fn has_lost_descriptors(&self) -> bool {
        self.generation != generation()
            || match self.file.stat() {
                Ok(found) => found.identity != self.identity,
                Err(e) => e.raw_os_error() == Some(libc::EBADF), // what the disk says of another kind says nothing of that
            }
    }

    /// To be called when a file was lost in that way: this handle leaves, and others recover what it was at.
    #[cold]
    pub fn give_up(&self) -> Error {
        self.abandon();
        self.fenced()
    }

    /// Leaves without order: what this handle left undone is looked after as that of a dead one.
    pub fn abandon(&self) {
        self.go(false);
    }

    /// The lock file.
    pub fn identity(&self) -> FileIdentity {
        self.identity
    }

    /// Takes the lock of a block.
    ///
    /// # Errors
    /// `RequestTimedOut`, naming who holds it; `Interrupted`, by a signal or the end of a [slice](super::Slices).
    #[inline]
    pub fn acquire<'a>(&'a self, block: &'a Block, what: &dyn fmt::Display) -> Result<LockHeld<'a>> {
        match self.lock.acquire(block, block.index(), self.token, self) {
            Ok(found) => Ok(LockHeld { member: self, block, found }),
            Err(refused) => Err(self.refused(what, refused)),
        }
    }

    /// The error of a lock that could not be had.
    #[cold]
    pub fn refused(&self, what: &dyn fmt::Display, refused: Refused) -> Error {
        match refused {
            Refused::Interrupted { waited_ns } => {
                slices::note(waited_ns);
                Error::new(ErrorCode::Interrupted, "the wait for a lock was interrupted")
            }
            Refused::TimedOut { holder, waited_ns } => {
                let who = holder.map_or("a handle that is unknown".into(), |holder| self.describe(holder));
                let waited = Duration::from_nanos(waited_ns);
                Error::held(format!(
                    "{what}: {who} has held the lock for {waited:.1?} or longer and is alive, perhaps stopped; nothing was taken from it"
                ))
            }
        }
    }

    /// Whoever has a slot, for a message.
    pub fn describe(&self, holder: SlotToken) -> String {
        let visitor = self.control.visitor(holder.slot);
        let elsewhere = match visitor.namespace {
            0 => String::new(),
            namespace => format!(" of pid namespace {namespace}"),
        };
        format!("process {}{elsewhere} ({}), slot {},", visitor.pid, visitor.program, holder.slot)
    }

    // ---- roles -----------------------------------------------------------------------------------------------------------

    /// Takes a role if nobody has it. For one thread at a time.
    pub fn try_role(&self, role: Role) -> Option<RoleHeld<'_>> {
        let taken = self.file.try_lock(role.range(), LockKind::Exclusive).unwrap_or(false);
        taken.then(|| RoleHeld { member: self, role })
    }

    /// Takes a role, waiting for whoever has it. For one thread at a time.
    ///
    /// # Errors
    /// `RequestTimedOut`; `Interrupted`; those of locking.
    pub fn role(&self, role: Role, what: &str) -> Result<RoleHeld<'_>> {
        let mut waiting = Waiting::begin(self);
        let turns = self.control.turns();
        loop {
            let word = turns.word().load(Ordering::SeqCst);
            turns.announce_waiter();
            let locking = |e| Error::io(format_args!("locking .klog.lck for {what}"), e);
            if self.file.try_lock(role.range(), LockKind::Exclusive).map_err(locking)? {
                return Ok(RoleHeld { member: self, role });
            }
            waiting.sleep(turns.word(), word, LONGEST_WAIT, self);
            let holder = SlotToken::of_word(self.control.changing().0).filter(|_| role == Role::Metadata);
            if let Some(refused) = waiting.refused(holder, self) {
                return Err(self.refused(&what, refused));
            }
        }
    }

    /// Gives a role back that was kept beyond its guard.
    pub fn give_back(&self, role: Role) {
        if self.generation != generation() {
            return; // the descriptor is the parent's
        }
        let _ = self.file.unlock(role.range()); // the kernel does it when the file is closed, at the latest
        self.ring(self.control.turns());
    }

    /// Moves the word of a bell and wakes whoever sleeps on it; whether anybody had said so.
    pub fn ring(&self, bell: &Bell) -> bool {
        let must_wake = bell.ring();
        if must_wake {
            self.sys.wait.wake_all(bell.word());
        }
        must_wake
    }

    /// Moves the word of a partition and wakes whoever sleeps on it.
    pub fn announce(&self, block: &Block) {
        if block.announce_data() {
            block.count_wake();
            self.sys.wait.wake_all(block.data_sequence());
        }
    }

    /// Tries to have the directory to itself: `true` when no other handle is attached.
    pub fn try_alone(&self) -> bool {
        self.file.try_lock(Role::Member.range(), LockKind::Exclusive).unwrap_or(false)
    }

    /// Lets others attach as well.
    ///
    /// # Errors
    /// Those of locking.
    pub fn share(&self) -> Result<()> {
        let shared = self.file.try_lock(Role::Member.range(), LockKind::Shared);
        shared.map(|_| ()).map_err(|e| Error::io("locking .klog.lck", e))
    }

    /// Gives the slot and every role back. What is done with this handle afterwards is refused.
    pub fn leave(&self) {
        self.go(true);
    }

    fn go(&self, is_orderly: bool) {
        if self.generation != generation() {
            return; // the parent's
        }
        if is_orderly && self.check().is_ok() {
            self.control.leave(self.token.slot);
        }
        if self.instance.swap(0, Ordering::SeqCst) != 0 {
            if !self.has_lost_descriptors() {
                let _ = self.file.unlock(LockRange::WHOLE);
            }
            self.ring(self.control.turns());
        }
    }

    /// Looks whose holders have died without leaving. Returns how many did in all, since the directory was opened.
    pub fn bury_dead(&self) -> u64 {
        for who in self.control.taken() {
            if self.is_dead(who) {
                self.control.bury(who);
            }
        }
        self.control.visits().1
    }

    /// Everybody who is attached, by slot.
    pub fn visitors(&self) -> Vec<(SlotToken, Visitor)> {
        let mut alive = Vec::new();
        for who in self.control.taken() {
            if !self.is_dead(who) {
                alive.push((who, self.control.visitor(who.slot)));
            }
        }
        alive
    }

    // ---- blocks ----------------------------------------------------------------------------------------------------------

    /// The block of a partition, made if nobody has asked for it before.
    ///
    /// # Errors
    /// Those of [`role`](Self::role), and of the disk.
    pub fn block(&self, topic_id: Uuid, partition: i32) -> Result<Block> {
        if let Some(block) = self.control.find(topic_id, partition) {
            return Ok(block);
        }
        let _one_thread: MutexGuard<'_, ()> = self.adding.lock().unwrap_or_else(PoisonError::into_inner);
        let _one_process = self.role(Role::Table, "a place in .klog.shm")?;
        if let Some(block) = self.control.find(topic_id, partition) {
            return Ok(block);
        }
        let added: io::Result<Block> = self.control.add(topic_id, partition);
        added.map_err(|e| Error::io("adding a partition to .klog.shm", e))
    }
}

impl Around for Member {
    fn patience(&self) -> Patience {
        slices::patience(self.patience)
    }

    fn now(&self) -> u64 {
        in_ns(self.sys.clock.monotonic())
    }

    fn park(&self, word: &AtomicU32, expected: u32, timeout: Duration) -> bool {
        // What a signal's handler wants is asked by somebody who holds no lock.
        self.sys.wait.wait(word, expected, timeout) != Woken::Interrupted || !self.is_interruptible
    }

    fn unpark(&self, word: &AtomicU32) {
        reached(Point::Unlocked);
        self.sys.wait.wake_one(word);
    }

    fn is_dead(&self, holder: SlotToken) -> bool {
        match self.control.generation(holder.slot) {
            Some(generation) if holder.is_of(generation) => {}
            _ => return true, // somebody else has the slot, so the kernel had released it
        }
        if holder.slot == self.token.slot {
            return false;
        }
        let byte = slot_byte(holder.slot);
        // Where it cannot be told, it lives.
        self.file.is_locked(byte, LockKind::Exclusive).is_ok_and(|held| !held)
    }

    fn try_kernel_lock(&self, index: u32) -> bool {
        self.file.try_lock(LockRange::byte(PARTITIONS_FROM + u64::from(index)), LockKind::Exclusive).unwrap_or(false)
    }

    fn kernel_unlock(&self, index: u32) {
        let _ = self.file.unlock(LockRange::byte(PARTITIONS_FROM + u64::from(index)));
    }
}

impl Member {
    /// See [`Around::now`].
    pub fn now(&self) -> u64 {
        Around::now(self)
    }

    /// See [`Around::is_dead`].
    pub fn is_dead(&self, holder: SlotToken) -> bool {
        Around::is_dead(self, holder)
    }

    /// See [`Around::park`].
    pub fn park(&self, word: &AtomicU32, expected: u32, timeout: Duration) -> bool {
        Around::park(self, word, expected, timeout)
    }
}
