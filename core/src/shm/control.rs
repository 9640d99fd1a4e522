//! `.klog.shm`: the memory that the processes of a directory share.
//!
//! ```text
//!     0  header, a page
//!  4096  1,024 slots of 64 bytes: who is attached
//! 69632  control blocks of 256 bytes, in the order in which partitions were opened
//! ```
//! It is true between the attaching of the first process and the detaching of the last one. Whoever comes first clears it
//! and begins another instance; it never becomes shorter, and is never given another name. docs/formats/klog-shm.md has the
//! layout.

#![allow(unsafe_code, reason = "saying that these structures may lie in shared memory, and pointing to them")]

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::ops::Deref;
use std::ptr::NonNull;
use std::sync::{Arc, Mutex, PoisonError};

use super::atomic::{AtomicU32, AtomicU64, Ordering};
use super::bell::Bell;
use super::block::{ControlBlock, State};
use super::lock::SlotToken;
use crate::sys::points::{Point, reached};
use crate::sys::{Mapping, Words};
use crate::types::Uuid;

/// How many handles may be attached at a time.
pub const SLOTS: u32 = 1024;
const SLOTS_AT: usize = 4096;
const BLOCKS_AT: usize = SLOTS_AT + SLOTS as usize * size_of::<SlotRecord>();
/// How many partitions a directory may have opened.
const MOST_BLOCKS: u32 = 1 << 18;
/// Bytes of the whole mapping; the file is as long as it has to be.
pub const MAPPED_BYTES: usize = BLOCKS_AT + MOST_BLOCKS as usize * size_of::<ControlBlock>();
/// As [`MAPPED_BYTES`], for memory that nobody shares: it counts as memory, where the system counts strictly.
pub const PRIVATE_BYTES: usize = BLOCKS_AT + (1 << 16) * size_of::<ControlBlock>();
/// Bytes that a new file has.
const FIRST_BYTES: u64 = 128 << 10;
/// A slot that somebody has, or had when it died.
const TAKEN: u32 = 1 << 31;
const MAGIC: u64 = u64::from_be_bytes(*b"klog-shm");
/// Rises with every change of the layout. Another one is refused and never guessed at.
pub const LAYOUT: u32 = 1;

/// The first page.
#[repr(C, align(4096))]
struct Header {
    magic: AtomicU64,
    layout: AtomicU32,
    /// 0 being built, 1 ready, 2 closed in order.
    init: AtomicU32,
    instance: AtomicU64,
    slots: AtomicU32,
    block_bytes: AtomicU32,
    directory_id: [AtomicU64; 2],
    blocks: AtomicU32,
    foreign: AtomicU32,
    was_clean: AtomicU32,
    writing: AtomicU32,
    failed: AtomicU32,
    metadata_epoch: AtomicU32,
    checkpoints: AtomicU32,
    housekeeper: AtomicU32,
    lock_kind: AtomicU32,
    metadata_holder: AtomicU32,
    metadata_since: AtomicU64,
    attached: AtomicU64,
    deaths: AtomicU64,
    /// What the slots' own counts are added to: nobody of this instance has a generation that one of another had.
    generations: AtomicU32,
    _line_2: [AtomicU32; 3],
    bell: Bell,
    _line_3: [AtomicU64; 7],
    turns: Bell,
    /// When the instance began, in ms since 1970; for people.
    began_ms: AtomicU64,
    _line_4: [AtomicU64; 6],
    _rest: [[AtomicU64; 60]; 8],
}

/// One who is attached, or was. No decision reads more of it than `generation`; the rest is for people.
#[repr(C)]
struct SlotRecord {
    generation: AtomicU32,
    /// [`TAKEN`] and the generation of whoever has it, as far as that is known here, or 0.
    state: AtomicU32,
    pid: AtomicU32,
    threads: AtomicU32,
    namespace: AtomicU64,
    since_ms: AtomicU64,
    program: [AtomicU64; 4],
}

const _: () = {
    use std::mem::offset_of;
    assert!(size_of::<Header>() == 4096);
    assert!(offset_of!(Header, blocks) == 48);
    assert!(offset_of!(Header, metadata_since) == 88);
    assert!(offset_of!(Header, generations) == 112);
    assert!(offset_of!(Header, bell) == 128);
    assert!(offset_of!(Header, turns) == 192);
};
const _: () = assert!(size_of::<SlotRecord>() == 64);

// SAFETY: both are `repr(C)` and made of atomics.
unsafe impl Words for Header {}
// SAFETY: as above.
unsafe impl Words for SlotRecord {}
// SAFETY: as above.
unsafe impl Words for ControlBlock {}

/// Something in shared memory, which it keeps alive. Found once, so that a look at it costs no more than a load.
struct Mapped<T> {
    map: Arc<Mapping>,
    at: NonNull<T>,
}

impl<T: Words> Mapped<T> {
    fn new(map: &Arc<Mapping>, at: usize) -> Mapped<T> {
        Mapped { at: NonNull::from(map.at::<T>(at)), map: map.clone() }
    }
}

impl<T> Clone for Mapped<T> {
    fn clone(&self) -> Self {
        Mapped { map: self.map.clone(), at: self.at }
    }
}

// SAFETY: it points into a mapping that it keeps alive, at atomics, which any thread may use.
unsafe impl<T: Words> Send for Mapped<T> {}
// SAFETY: as above.
unsafe impl<T: Words> Sync for Mapped<T> {}

impl<T> Deref for Mapped<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: `at` was made from a reference into `map`, which lives as long as `self`.
        unsafe { self.at.as_ref() }
    }
}

/// The shared memory of a directory.
pub struct Control {
    map: Arc<Mapping>,
    header: Mapped<Header>,
    found: Mutex<Places>,
    /// For a reader: an instance of which nobody is left, so that what it says means nothing. 0 for none.
    disregarded: AtomicU64,
}

/// Blocks that were found so far.
#[derive(Default)]
struct Places {
    /// In which instance. Another one has its blocks in another order.
    instance: u64,
    /// By whose they are.
    by_name: HashMap<(Uuid, i32), u32>,
    /// How many of the table were looked at.
    looked_at: u32,
}

impl fmt::Debug for Control {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Control").field("instance", &self.instance()).field("blocks", &self.count()).finish()
    }
}

/// What a process says of itself in its slot, for people.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Visitor {
    /// Its number, in its own namespace.
    pub pid: u32,
    /// Inode of that namespace; 0 where it is not known.
    pub namespace: u64,
    /// When it attached, in ms since 1970.
    pub since_ms: i64,
    /// The program, cut to 32 bytes.
    pub program: String,
}

impl Control {
    /// Takes memory into use. Nothing is read or written yet.
    pub fn new(map: Arc<Mapping>) -> Control {
        Control { header: Mapped::new(&map, 0), map, found: Mutex::default(), disregarded: AtomicU64::new(0) }
    }

    #[inline]
    fn header(&self) -> &Header {
        &self.header
    }

    fn slot(&self, slot: u32) -> &SlotRecord {
        self.map.at(SLOTS_AT + slot as usize * size_of::<SlotRecord>())
    }

    /// The memory itself.
    pub fn mapping(&self) -> &Mapping {
        &self.map
    }

    /// Begins an instance: everything is cleared, and every slot has a generation that nobody had. For whoever is alone.
    ///
    /// # Errors
    /// Those of writing; a full disk is one.
    pub fn begin(&self, instance: u64, directory_id: Uuid, generations: u32) -> io::Result<()> {
        let len = match self.map.is_private() {
            // Memory that no file limits is as long as it can ever be, and zero behind what was used.
            true => BLOCKS_AT as u64 + u64::from(self.count()) * size_of::<ControlBlock>() as u64,
            false => self.map.look()?,
        };
        let len = len.max(FIRST_BYTES);
        if self.map.reserved() >= BLOCKS_AT as u64 {
            // Before the rest: whoever reads beside us sees that there is nothing to be believed.
            self.header().init.store(0, Ordering::SeqCst);
        }
        self.map.clear(len)?;
        let header = self.header();
        header.layout.store(LAYOUT, Ordering::Release);
        header.slots.store(SLOTS, Ordering::Release);
        header.block_bytes.store(size_of::<ControlBlock>() as u32, Ordering::Release);
        self.set_directory_id(directory_id);
        header.generations.store(generations, Ordering::Release);
        header.instance.store(instance, Ordering::Release);
        header.magic.store(MAGIC, Ordering::Release);
        Ok(())
    }

    /// Says whose memory it is.
    pub fn set_directory_id(&self, id: Uuid) {
        for (word, bytes) in self.header().directory_id.iter().zip(id.0.chunks(8)) {
            word.store(bytes.iter().fold(0, |word, byte| word << 8 | u64::from(*byte)), Ordering::Release);
        }
    }

    /// Whose memory it is.
    pub fn directory_id(&self) -> Uuid {
        let mut id = [0; 16];
        for (word, bytes) in self.header().directory_id.iter().zip(id.chunks_mut(8)) {
            bytes.copy_from_slice(&word.load(Ordering::Acquire).to_be_bytes());
        }
        Uuid(id)
    }

    /// Whether this is memory of the layout that this version knows; the error says what it is instead.
    ///
    /// # Errors
    /// A sentence.
    pub fn check(&self) -> Result<(), String> {
        let there = self.map.look().map_err(|e| format!("it cannot be looked at: {e}"))?;
        if there < BLOCKS_AT as u64 {
            return Err(format!("it has {there} bytes and the least is {BLOCKS_AT}"));
        }
        let header = self.header();
        if header.magic.load(Ordering::Acquire) != MAGIC {
            return Err("it does not begin as klog's memory does".into());
        }
        let layout = header.layout.load(Ordering::Acquire);
        if layout != LAYOUT {
            return Err(format!("it has layout {layout} and this version of klog knows layout {LAYOUT}"));
        }
        let (slots, bytes) = (header.slots.load(Ordering::Acquire), header.block_bytes.load(Ordering::Acquire));
        if (slots, bytes as usize) != (SLOTS, size_of::<ControlBlock>()) {
            return Err(format!("it has {slots} slots and blocks of {bytes} bytes, which layout {LAYOUT} has not"));
        }
        Ok(())
    }

    /// Says that everything is in its place.
    pub fn set_ready(&self) {
        self.header().init.store(1, Ordering::SeqCst);
    }

    /// Says that the last one has gone, in order.
    pub fn set_closed(&self) {
        self.header().init.store(2, Ordering::SeqCst);
    }

    /// Whether an instance is in use, as far as the memory says.
    pub fn is_ready(&self) -> bool {
        self.stage() == 1 && !self.is_disregarded()
    }

    /// Whether the blocks say something: an instance is in use, or its last user has gone in order and left them as they
    /// were then. For a reader.
    pub fn is_telling(&self) -> bool {
        matches!(self.stage(), 1 | 2) && !self.is_disregarded()
    }

    fn stage(&self) -> u32 {
        if self.map.reserved() < BLOCKS_AT as u64 { 0 } else { self.header().init.load(Ordering::SeqCst) }
    }

    /// Nobody is left of `instance`: what it says counts for nothing. For a reader that comes later.
    pub fn disregard(&self, instance: u64) {
        self.disregarded.store(instance, Ordering::SeqCst);
    }

    fn is_disregarded(&self) -> bool {
        let disregarded = self.disregarded.load(Ordering::Relaxed);
        disregarded != 0 && disregarded == self.instance()
    }

    /// Which instance it is.
    pub fn instance(&self) -> u64 {
        if self.map.reserved() < BLOCKS_AT as u64 {
            return 0;
        }
        self.header().instance.load(Ordering::SeqCst)
    }

    /// Whether `seat` is still of that generation, in `instance`, and the directory's files are those that were opened.
    /// For whoever is attached: the memory is there.
    #[inline]
    pub fn is_held(&self, seat: &Seat, generation: u32, instance: u64) -> bool {
        let header = self.header();
        let Seat(slot) = seat;
        header.foreign.load(Ordering::Acquire) == 0
            && header.instance.load(Ordering::Acquire) == instance
            && header.generations.load(Ordering::Acquire).wrapping_add(slot.generation.load(Ordering::Acquire))
                == generation
    }

    /// A slot, for whoever has it.
    ///
    /// # Panics
    /// Where there is no such slot.
    pub fn seat(&self, slot: u32) -> Seat {
        assert!(slot < SLOTS, "slot {slot} of {SLOTS}");
        Seat(Mapped::new(&self.map, SLOTS_AT + slot as usize * size_of::<SlotRecord>()))
    }

    /// What the file says of that, read past the mapping.
    ///
    /// # Errors
    /// Those of reading.
    pub fn instance_in_file(&self) -> io::Result<u64> {
        self.map.read_word(std::mem::offset_of!(Header, instance) as u64)
    }

    /// Rung with every change that readers may wait for.
    pub fn bell(&self) -> &Bell {
        &self.header().bell
    }

    /// Rung when somebody gives a role back.
    pub fn turns(&self) -> &Bell {
        &self.header().turns
    }

    /// A file of the directory was put in the place of another: nobody may write any more.
    pub fn set_foreign(&self) {
        self.header().foreign.store(1, Ordering::SeqCst);
    }

    /// Whether that is so.
    pub fn is_foreign(&self) -> bool {
        self.header().foreign.load(Ordering::Acquire) != 0
    }

    /// Whether the directory was closed in order before this instance.
    pub fn was_clean(&self) -> bool {
        self.header().was_clean.load(Ordering::Acquire) != 0
    }

    /// Says whether it was.
    pub fn set_was_clean(&self, clean: bool) {
        self.header().was_clean.store(u32::from(clean), Ordering::Release);
    }

    /// Whether the mark of a clean shutdown is gone, durably.
    pub fn is_writing(&self) -> bool {
        self.header().writing.load(Ordering::Acquire) != 0
    }

    /// Says that it is.
    pub fn set_writing(&self) {
        self.header().writing.store(1, Ordering::Release);
    }

    /// Whether something could not be recovered, flushed or closed.
    pub fn is_failed(&self) -> bool {
        self.header().failed.load(Ordering::Acquire) != 0
    }

    /// Says that it could not.
    pub fn set_failed(&self) {
        self.header().failed.store(1, Ordering::Release);
    }

    /// The epoch that the first change of the metadata in this instance began; 0 before.
    pub fn metadata_epoch(&self) -> i32 {
        self.header().metadata_epoch.load(Ordering::Acquire) as i32
    }

    /// Notes it; 0 has the next change begin another one.
    pub fn set_metadata_epoch(&self, epoch: i32) {
        self.header().metadata_epoch.store(epoch as u32, Ordering::Release);
    }

    /// Counts the writings of the checkpoints.
    pub fn checkpoints(&self) -> u32 {
        self.header().checkpoints.load(Ordering::Acquire)
    }

    /// Says that they were written. With the lock for it.
    pub fn count_checkpoints(&self) -> u32 {
        self.header().checkpoints.fetch_add(1, Ordering::AcqRel).wrapping_add(1)
    }

    /// Who changes the metadata, as a lock word, and since when in ns; for messages.
    pub fn changing(&self) -> (u32, u64) {
        let header = self.header();
        (header.metadata_holder.load(Ordering::Relaxed), header.metadata_since.load(Ordering::Relaxed))
    }

    /// Notes who does; 0 for nobody.
    pub fn set_changing(&self, holder: u32, now: u64) {
        self.header().metadata_since.store(now, Ordering::Relaxed);
        self.header().metadata_holder.store(holder, Ordering::Relaxed);
    }

    /// Which of the two ways of locking is used: 0 futex, 1 ofd.
    pub fn lock_kind(&self) -> u32 {
        self.header().lock_kind.load(Ordering::Acquire)
    }

    /// Says which. For whoever is first.
    pub fn set_lock_kind(&self, kind: u32) {
        self.header().lock_kind.store(kind, Ordering::Release);
    }

    /// Who does the housekeeping, as a lock word; for people.
    pub fn housekeeper(&self) -> u32 {
        self.header().housekeeper.load(Ordering::Relaxed)
    }

    /// Notes who does.
    pub fn set_housekeeper(&self, word: u32) {
        self.header().housekeeper.store(word, Ordering::Relaxed);
    }

    /// When the instance began, in ms since 1970; for people.
    pub fn began_ms(&self) -> i64 {
        self.header().began_ms.load(Ordering::Relaxed) as i64
    }

    /// Says when.
    pub fn set_began_ms(&self, now: i64) {
        self.header().began_ms.store(now as u64, Ordering::Relaxed);
    }

    /// How many have attached, and how many of them were found dead.
    pub fn visits(&self) -> (u64, u64) {
        (self.header().attached.load(Ordering::Relaxed), self.header().deaths.load(Ordering::Acquire))
    }

    // ---- slots -----------------------------------------------------------------------------------------------------------

    /// Generation of a slot. A slot that there is not has none that anybody holds.
    pub fn generation(&self, slot: u32) -> Option<u32> {
        let base = self.header().generations.load(Ordering::Acquire);
        (slot < SLOTS).then(|| base.wrapping_add(self.slot(slot).generation.load(Ordering::Acquire)))
    }

    /// Takes a slot whose byte is held: nobody who had it before is it any more.
    pub fn enter(&self, slot: u32, visitor: &Visitor) -> u32 {
        let record = self.slot(slot);
        // AcqRel: whoever sees the new generation sees that the kernel had released the byte.
        let count = record.generation.fetch_add(1, Ordering::AcqRel).wrapping_add(1);
        let generation = self.header().generations.load(Ordering::Acquire).wrapping_add(count);
        record.pid.store(visitor.pid, Ordering::Relaxed);
        record.namespace.store(visitor.namespace, Ordering::Relaxed);
        record.since_ms.store(visitor.since_ms as u64, Ordering::Relaxed);
        let mut program = [0; 32];
        let name = visitor.program.as_bytes();
        let len = name.len().min(program.len());
        program[..len].copy_from_slice(&name[..len]);
        for (word, bytes) in record.program.iter().zip(program.chunks(8)) {
            word.store(bytes.iter().fold(0, |word, byte| word << 8 | u64::from(*byte)), Ordering::Relaxed);
        }
        // Before the slot counts, so that no slot in use is beyond: see `taken`.
        self.header().attached.fetch_add(1, Ordering::AcqRel);
        if record.state.swap(TAKEN | generation, Ordering::AcqRel) != 0 {
            // Whoever had the slot has died, and nobody has noticed yet.
            self.header().deaths.fetch_add(1, Ordering::AcqRel);
        }
        generation
    }

    /// Gives a slot back, in order.
    pub fn leave(&self, slot: u32) {
        self.slot(slot).state.store(0, Ordering::Release);
    }

    /// Notes that somebody has died, unless that is known, or another has his slot by now.
    pub fn bury(&self, who: SlotToken) {
        let taken = TAKEN | who.generation;
        if self.slot(who.slot).state.compare_exchange(taken, 0, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
            self.header().deaths.fetch_add(1, Ordering::AcqRel);
        }
    }

    /// Who has a slot, or had when he died. One who died as he took it goes by the name of whom he followed.
    pub fn taken(&self) -> Vec<SlotToken> {
        let who = |slot| match self.slot(slot).state.load(Ordering::Acquire) {
            0 => None,
            state => Some(SlotToken { slot, generation: state & !TAKEN }),
        };
        // Whoever attached had the lowest slot that was free, so none is beyond as many as ever did. All of them take longer to
        // look at than everything else that is done while nothing happens.
        let ever = self.visits().0.min(u64::from(SLOTS)) as u32;
        (0..ever).filter_map(who).collect()
    }

    /// What whoever has a slot said of itself.
    pub fn visitor(&self, slot: u32) -> Visitor {
        let record = self.slot(slot);
        let bytes: Vec<u8> =
            record.program.iter().flat_map(|word| word.load(Ordering::Relaxed).to_be_bytes()).collect();
        let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
        Visitor {
            pid: record.pid.load(Ordering::Relaxed),
            namespace: record.namespace.load(Ordering::Relaxed),
            since_ms: record.since_ms.load(Ordering::Relaxed) as i64,
            program: String::from_utf8_lossy(&bytes[..end]).into_owned(),
        }
    }

    // ---- blocks ----------------------------------------------------------------------------------------------------------

    /// How many blocks there are.
    pub fn count(&self) -> u32 {
        if self.map.reserved() < BLOCKS_AT as u64 {
            return 0;
        }
        self.header().blocks.load(Ordering::Acquire).min(MOST_BLOCKS)
    }

    /// Block number `index`, which is below [`count`](Self::count).
    pub fn block(&self, index: u32) -> Block {
        Block::at(&self.map, BLOCKS_AT + index as usize * size_of::<ControlBlock>(), index)
    }

    /// All blocks. Where the file is shorter than they are, those that are there.
    pub fn blocks(&self) -> Vec<Block> {
        let there = self.map.look().unwrap_or(0).saturating_sub(BLOCKS_AT as u64) / size_of::<ControlBlock>() as u64;
        (0..self.count().min(there as u32)).map(|index| self.block(index)).collect()
    }

    /// The block of a partition, if somebody has asked for it.
    pub fn find(&self, topic_id: Uuid, partition: i32) -> Option<Block> {
        let mut places = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        let instance = self.instance();
        if places.instance != instance {
            *places = Places { instance, ..Places::default() };
        }
        if places.looked_at < self.count() {
            for block in self.blocks().into_iter().skip(places.looked_at as usize) {
                places.by_name.insert(block.named(), block.index());
                places.looked_at = block.index() + 1;
            }
        }
        places.by_name.get(&(topic_id, partition)).map(|index| self.block(*index))
    }

    /// Makes a block for a partition that has none. One at a time.
    ///
    /// # Errors
    /// Those of making the file longer, and `ENOSPC` when there are as many blocks as there can be.
    pub fn add(&self, topic_id: Uuid, partition: i32) -> io::Result<Block> {
        let index = self.count();
        let most = (self.map.len() - BLOCKS_AT) / size_of::<ControlBlock>();
        if index as usize >= most {
            return Err(io::Error::other(format!(
                "{most} partitions were opened since the directory was, which is the most; close it everywhere first"
            )));
        }
        self.map.reserve((BLOCKS_AT + (index as usize + 1) * size_of::<ControlBlock>()) as u64)?;
        let block = self.block(index);
        if block.state() != State::Unopened {
            return Err(io::Error::other(format!("place {index} is in use and not counted")));
        }
        block.name(topic_id, partition);
        reached(Point::BlockNamed);
        // Release: whoever counts it finds its name.
        self.header().blocks.store(index + 1, Ordering::Release);
        Ok(block)
    }
}

/// A slot, where whoever has it looks whether he still does.
pub struct Seat(Mapped<SlotRecord>);

impl fmt::Debug for Seat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Seat").field(&self.0.generation).finish()
    }
}

/// A control block, wherever it lies.
#[derive(Clone)]
pub struct Block {
    words: Mapped<ControlBlock>,
    index: u32,
}

impl Block {
    fn at(map: &Arc<Mapping>, at: usize, index: u32) -> Block {
        Block { words: Mapped::new(map, at), index }
    }

    /// A block that nobody shares.
    pub fn private() -> io::Result<Block> {
        Ok(Block::at(&Arc::new(Mapping::private(4096)?), 0, 0))
    }

    /// Its number in the table.
    pub fn index(&self) -> u32 {
        self.index
    }
}

impl Deref for Block {
    type Target = ControlBlock;

    #[inline]
    fn deref(&self) -> &ControlBlock {
        &self.words
    }
}

impl fmt::Debug for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        debug_assert!(!self.words.map.is_empty());
        fmt::Debug::fmt(&**self, f)
    }
}
