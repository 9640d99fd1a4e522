//! What processes share: a control block, a bell, a segment, the slots, and the kernel.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::Ordering::{AcqRel, Acquire};
use std::time::Duration;

use super::atomic::AtomicU32;
use super::bell::Bell;
use super::block::{ControlBlock, Dirty, Standing};
use super::file::{Batch, SegmentFile};
use super::lock::{AppendLock, Around, Held, Patience, Refused, SlotToken};
use super::mortal;
use super::raw::WatchedU32;
use super::sleep::Sleepers;
use crate::mistake::{Mistake, is_made};
use crate::types::{LeaderEpoch, Offset, Position};

/// One row of the slot table, and the byte that the kernel frees at death.
#[derive(Debug, Default)]
struct Slot {
    generation: WatchedU32,
    byte: WatchedU32,
}

/// How a world is made.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// How locks are taken.
    pub lock: AppendLock,
    /// How many slots there are.
    pub slots: usize,
    /// How many cells each segment has room for.
    pub cells: [usize; 2],
    /// How many sleeps of each process end by themselves.
    pub naps: u32,
    /// Whether it counts what is durable.
    pub has_disk: bool,
}

impl Plan {
    /// A world for so many processes, with the futex lock, where a lost wake-up is seen.
    pub fn of(slots: usize) -> Plan {
        Plan { lock: AppendLock::Futex, slots, cells: [4, 0], naps: 0, has_disk: false }
    }
}

/// What processes share.
#[derive(Debug)]
pub struct World {
    /// The words of the partition.
    pub block: ControlBlock,
    /// The word of the directory.
    pub bell: Bell,
    /// The first segment, and the one that a roll begins.
    pub segments: [SegmentFile; 2],
    lock: AppendLock,
    slots: Vec<Slot>,
    sleepers: Sleepers,
    /// The partition's lock in the kernel: slot + 1, or 0.
    kernel_lock: WatchedU32,
}

impl World {
    /// A world with an empty log.
    pub fn new(plan: Plan) -> Arc<World> {
        let world = World {
            block: ControlBlock::default(),
            bell: Bell::default(),
            segments: plan.cells.map(|cells| SegmentFile::new(cells, plan.has_disk)),
            lock: plan.lock,
            slots: (0..plan.slots).map(|_| Slot::default()).collect(),
            sleepers: Sleepers::new(plan.slots, plan.naps),
            kernel_lock: WatchedU32::default(),
        };
        world.segments[0].create(0);
        world.block.reset(&Standing {
            segment_base: Offset(0),
            position: Position::ZERO,
            log_end: Offset(0),
            high_watermark: Offset(0),
            log_start: Offset(0),
            first_unstable: None,
            flushed: Offset(0),
            leader_epoch: LeaderEpoch(0),
            first_base: Offset(0),
        });
        Arc::new(world)
    }

    /// Attaches a process at `slot`, which must be free.
    pub fn attach(self: &Arc<World>, slot: usize) -> Process {
        self.try_attach(slot).expect("the slot is free")
    }

    /// Attaches a process at `slot`, if its byte is free: the byte first, then the generation.
    pub fn try_attach(self: &Arc<World>, slot: usize) -> Option<Process> {
        let Slot { generation, byte } = &self.slots[slot];
        byte.compare_exchange(0, 1, AcqRel, Acquire).ok()?;
        let step = u32::from(!is_made(Mistake::KeepsTheGeneration));
        let token = SlotToken { slot: slot as u32, generation: generation.fetch_add(step, AcqRel) + step };
        let world = self.clone();
        Some(Process { world, token, caught_up: Cell::new(0), is_inside: Cell::new(false), patience: Duration::MAX })
    }

    /// The segment that is appended to. Under the lock.
    pub fn active(&self) -> &SegmentFile {
        &self.segments[usize::from(self.block.segment_base() > Offset(0))]
    }

    /// The batches below `end`.
    ///
    /// # Errors
    /// The first offset that cannot be read.
    pub fn read_to(&self, end: u64) -> Result<Vec<Batch>, u64> {
        let [first, second] = &self.segments;
        let border = second.base().unwrap_or(end).min(end);
        let mut batches = first.read_range(0..border)?.0;
        batches.extend(second.read_range(border..end)?.0);
        Ok(batches)
    }

    /// What must hold when all who live have come to rest, with the log as whoever comes next finds it. `acknowledged`
    /// batches are in it, each at its offset.
    pub fn check(self: &Arc<World>, next: &Process, acknowledged: &[(u64, Batch)]) -> Vec<Batch> {
        next.enter();
        let block = &self.block;
        let end = block.log_end().0 as u64;
        let commit = block.commit();
        assert_eq!(block.dirty(), Dirty::Clean, "dirty after recovery");
        assert_eq!(end, block.segment_base().0 as u64 + u64::from(commit.relative), "log end and commit word differ");
        assert_eq!(commit.position.0, self.active().size(), "bytes behind the commit");
        assert!(block.high_watermark() <= block.log_end(), "the watermark is above the log end");
        assert!(block.flushed() <= block.log_end(), "more is flushed than there is");
        let batches = self.read_to(end).unwrap_or_else(|at| panic!("offset {at} is torn"));
        next.check_boundary(commit);
        for (offset, batch) in acknowledged {
            assert_eq!(batches.get(*offset as usize), Some(batch), "offset {offset} was acknowledged and is lost");
        }
        for (offset, batch) in batches.iter().enumerate() {
            assert!(!batches[..offset].contains(batch), "batch {} is there twice", batch.id);
        }
        next.release();
        batches
    }
}

/// An attached handle.
#[derive(Debug)]
pub struct Process {
    pub(super) world: Arc<World>,
    pub(super) token: SlotToken,
    /// The offset up to which it has replayed the log into what it derives from it.
    pub(super) caught_up: Cell<i64>,
    is_inside: Cell<bool>,
    /// How long it waits for a lock.
    pub patience: Duration,
}

impl Process {
    /// The world it lives in.
    pub fn world(&self) -> &Arc<World> {
        &self.world
    }

    /// Lets time pass for those who sleep. Whoever asked after a dead process when this one had its slot, and not yet its
    /// generation, took it for living, and asks again.
    pub fn let_time_pass(&self) {
        self.world.sleepers.pass_time();
    }

    /// Does `work` and dies before effect number `doom` of it. `None` when it died: the kernel frees what it held, and lets
    /// go of its slot last.
    pub fn until_death<T>(&mut self, doom: u32, work: impl FnOnce(&mut Process) -> T) -> Option<T> {
        let done = mortal::until_death(doom, || work(self));
        if done.is_none() {
            self.leave_kernel_lock();
            self.leave();
            self.let_time_pass();
        }
        done
    }

    /// The kernel frees the lock that it had, unless it had given it back.
    pub fn leave_kernel_lock(&self) {
        let own = self.token.slot + 1;
        let _ = self.world.kernel_lock.compare_exchange(own, 0, AcqRel, Acquire);
    }

    /// Gives the slot back.
    pub fn leave(&self) {
        self.world.slots[self.token.slot as usize].byte.swap(0, AcqRel);
    }

    /// Takes the append lock, however long it takes.
    pub fn acquire(&self) -> Held {
        self.try_acquire().expect("it waits without limit")
    }

    /// Takes the append lock.
    ///
    /// # Errors
    /// Those of the lock.
    pub fn try_acquire(&self) -> Result<Held, Refused> {
        let held = self.world.lock.acquire(&self.world.block, 0, self.token, self)?;
        self.is_inside.set(true);
        Ok(held)
    }

    /// Takes the append lock, cleans up behind a holder that died, and catches up with what others appended.
    pub fn enter(&self) {
        let held = self.acquire();
        if held.must_recover {
            self.recover();
        }
        if held.must_recover || held.changed_hands {
            self.caught_up.set(self.world.block.log_end().0);
        }
    }

    /// Gives it back.
    pub fn release(&self) {
        self.world.lock.release(&self.world.block, 0, self.token, self);
        self.is_inside.set(false);
    }

    /// A thread of the handle unwinds with the lock.
    pub fn unwind(&self) {
        self.world.lock.abandon(&self.world.block, 0, self.token, self);
        self.is_inside.set(false);
        self.let_time_pass();
    }

    /// Sleeps while `word` is `expected`.
    pub fn sleep(&self, word: &AtomicU32, expected: u32) {
        self.world.sleepers.sleep(self.token.slot as usize, word, expected);
    }

    /// Wakes all who sleep on `word`.
    pub fn wake_all(&self, word: &AtomicU32) {
        let count = if is_made(Mistake::WakesOneReader) { 1 } else { usize::MAX };
        self.world.sleepers.wake(word, count);
    }
}

impl Around for Process {
    fn patience(&self) -> Patience {
        Patience { total: self.patience, waited_ns: 0, slice: None }
    }

    fn now(&self) -> u64 {
        // The impatient have no patience left after any sleep.
        u64::from(self.patience.is_zero())
    }

    fn park(&self, word: &AtomicU32, expected: u32, _: Duration) -> bool {
        if expected == 0 {
            // Nobody wakes those who wait for the kernel's lock alone: such a sleep is short, and ends by itself.
            super::atomic::spin_loop();
            return true;
        }
        self.sleep(word, expected);
        true
    }

    fn unpark(&self, word: &AtomicU32) {
        // Who is not inside gives up.
        let mistake = if self.is_inside.get() { Mistake::ReleasesWithoutWaking } else { Mistake::KeepsTheWakeUp };
        if is_made(mistake) {
            return;
        }
        self.world.sleepers.wake(word, 1);
    }

    fn is_dead(&self, holder: SlotToken) -> bool {
        let Slot { generation, byte } = &self.world.slots[holder.slot as usize];
        // Who has an odd slot lives in another namespace.
        if is_made(Mistake::StealsByTime)
            || is_made(Mistake::AsksForProcessIds) && (holder.slot ^ self.token.slot) & 1 != 0
        {
            return true;
        }
        if !holder.is_of(generation.load(Acquire)) && !is_made(Mistake::ForgetsGenerations) {
            return true;
        }
        // The kernel looks at its locks under a lock of its own.
        holder.slot != self.token.slot && byte.fetch_add(0, AcqRel) == 0
    }

    fn try_kernel_lock(&self, _: u32) -> bool {
        self.world.kernel_lock.compare_exchange(0, self.token.slot + 1, AcqRel, Acquire).is_ok()
    }

    fn kernel_unlock(&self, _: u32) {
        mortal::effect();
        self.leave_kernel_lock();
    }
}
