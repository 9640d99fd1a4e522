//! The choice between the real system and a simulated one.

use std::io;
use std::os::fd::RawFd;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::time::Duration;

use super::real;
use super::{
    Clock, Disk, Entry, File, Limit, LockKind, LockRange, Locks, Mapping, Open, Random, RealClock, RealDisk, RealFile,
    RealRandom, RealWait, SimClock, SimDisk, SimFile, SimRandom, SimWait, Space, Stat, Wait, Woken,
};
use crate::types::{TimestampMs, Uuid};

/// A whole system: what an engine is given to live in. Cloning gives another handle on the same one.
#[derive(Clone, Debug)]
pub struct Sys {
    /// Directories and files.
    pub disk: AnyDisk,
    /// What time it is.
    pub clock: AnyClock,
    /// Sleeping and waking.
    pub wait: AnyWait,
    /// Chance.
    pub random: AnyRandom,
}

impl Sys {
    /// This machine.
    pub fn real() -> Self {
        Sys {
            disk: AnyDisk::Real(RealDisk),
            clock: AnyClock::Real(RealClock),
            wait: AnyWait::Real(RealWait),
            random: AnyRandom::Real(RealRandom),
        }
    }

    /// This machine with files that live in memory only: `:memory:` engines.
    pub fn memory() -> Self {
        Sys { disk: AnyDisk::Simulated(SimDisk::default()), ..Sys::real() }
    }

    /// Nothing real: time moves only when somebody waits or a test says so, and chance comes from a seed. For one thread.
    pub fn simulated(disk: SimDisk, clock: SimClock, seed: u64) -> Self {
        Sys {
            disk: AnyDisk::Simulated(disk),
            clock: AnyClock::Simulated(clock.clone()),
            wait: AnyWait::Simulated(SimWait::new(clock)),
            random: AnyRandom::Simulated(Arc::new(SimRandom::new(seed))),
        }
    }

    /// The inode of the namespace that this process's number is in; 0 where that is not known.
    pub fn pid_namespace(&self) -> u64 {
        match &self.disk {
            AnyDisk::Real(disk) => disk.stat(Path::new("/proc/self/ns/pid")).map_or(0, |at| at.identity.inode),
            AnyDisk::Simulated(_) => 0,
        }
    }

    /// A limit of this process; `None` where there is none.
    pub fn limit(&self, which: Limit) -> Option<u64> {
        match &self.disk {
            AnyDisk::Real(_) => real::limit(which),
            AnyDisk::Simulated(_) => None,
        }
    }

    /// Whether a process of this one's namespace is stopped; `None` where that cannot be told.
    pub fn is_stopped(&self, pid: u32) -> Option<bool> {
        let file = self.disk.open(Path::new(&format!("/proc/{pid}/stat")), Open::Read).ok()?;
        let mut line = [0; 512];
        let len = super::read_exact_at(&file, &mut line, 0).ok()?;
        // `pid (program) state …`; the program may have any letters.
        let behind = line[..len].iter().rposition(|byte| *byte == b')')?;
        line.get(behind + 2).map(|state| matches!(state, b'T' | b't'))
    }

    /// A fresh random id.
    pub fn new_uuid(&self) -> Uuid {
        loop {
            let mut bytes = [0; 16];
            self.random.fill(&mut bytes);
            if let Some(id) = Uuid::from_random(bytes) {
                return id;
            }
        }
    }

    /// A random number below `bound`, which is at least 1.
    pub fn random_below(&self, bound: u64) -> u64 {
        let mut bytes = [0; 8];
        self.random.fill(&mut bytes);
        u64::from_be_bytes(bytes) % bound
    }
}

/// A real or a simulated disk.
#[derive(Clone, Debug)]
pub enum AnyDisk {
    /// This machine's.
    Real(RealDisk),
    /// One in memory.
    Simulated(SimDisk),
}

/// An open file of either.
#[derive(Debug)]
pub enum AnyFile {
    /// This machine's.
    Real(RealFile),
    /// One in memory.
    Simulated(SimFile),
}

impl AnyFile {
    /// The descriptor, where there is one.
    pub fn descriptor(&self) -> Option<RawFd> {
        match self {
            AnyFile::Real(file) => Some(file.descriptor()),
            AnyFile::Simulated(_) => None,
        }
    }

    /// The same open file under a high descriptor: see [`RealFile::lifted`].
    #[must_use]
    pub fn lifted(self) -> Self {
        match self {
            AnyFile::Real(file) => AnyFile::Real(file.lifted()),
            simulated @ AnyFile::Simulated(_) => simulated,
        }
    }
}

macro_rules! either {
    ($self:expr, $kind:ident, $it:ident => $call:expr) => {
        match $self {
            $kind::Real($it) => $call,
            $kind::Simulated($it) => $call,
        }
    };
}

impl Disk for AnyDisk {
    type File = AnyFile;

    fn open(&self, path: &Path, how: Open) -> io::Result<AnyFile> {
        match self {
            AnyDisk::Real(disk) => disk.open(path, how).map(AnyFile::Real),
            AnyDisk::Simulated(disk) => disk.open(path, how).map(AnyFile::Simulated),
        }
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        either!(self, AnyDisk, it => it.rename(from, to))
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        either!(self, AnyDisk, it => it.remove_file(path))
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        either!(self, AnyDisk, it => it.create_dir(path))
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        either!(self, AnyDisk, it => it.remove_dir(path))
    }

    fn list(&self, path: &Path) -> io::Result<Vec<Entry>> {
        either!(self, AnyDisk, it => it.list(path))
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        either!(self, AnyDisk, it => it.sync_dir(path))
    }

    fn space(&self, path: &Path) -> io::Result<Space> {
        either!(self, AnyDisk, it => it.space(path))
    }

    fn stat(&self, path: &Path) -> io::Result<Stat> {
        either!(self, AnyDisk, it => it.stat(path))
    }

    fn file_system(&self, path: &Path) -> io::Result<i64> {
        either!(self, AnyDisk, it => it.file_system(path))
    }

    fn share(&self, path: &Path, how: Open, len: usize) -> io::Result<Arc<Mapping>> {
        either!(self, AnyDisk, it => it.share(path, how, len))
    }
}

impl File for AnyFile {
    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        either!(self, AnyFile, it => it.read_at(buffer, position))
    }

    #[inline]
    fn write_at(&self, bytes: &[u8], position: u64) -> io::Result<usize> {
        either!(self, AnyFile, it => it.write_at(bytes, position))
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        either!(self, AnyFile, it => it.set_len(len))
    }

    fn sync_data(&self) -> io::Result<()> {
        either!(self, AnyFile, it => it.sync_data())
    }

    fn stat(&self) -> io::Result<Stat> {
        either!(self, AnyFile, it => it.stat())
    }

    fn drop_cache(&self, position: u64, len: u64) -> io::Result<()> {
        either!(self, AnyFile, it => it.drop_cache(position, len))
    }
}

impl Locks for AnyFile {
    fn try_lock(&self, range: LockRange, kind: LockKind) -> io::Result<bool> {
        either!(self, AnyFile, it => it.try_lock(range, kind))
    }

    fn unlock(&self, range: LockRange) -> io::Result<()> {
        either!(self, AnyFile, it => it.unlock(range))
    }

    fn is_locked(&self, range: LockRange, kind: LockKind) -> io::Result<bool> {
        either!(self, AnyFile, it => it.is_locked(range, kind))
    }
}

/// A real or a simulated clock.
#[derive(Clone, Debug)]
pub enum AnyClock {
    /// This machine's.
    Real(RealClock),
    /// One that stands still until it is moved.
    Simulated(SimClock),
}

impl Clock for AnyClock {
    fn now(&self) -> TimestampMs {
        either!(self, AnyClock, it => it.now())
    }

    fn monotonic(&self) -> Duration {
        either!(self, AnyClock, it => it.monotonic())
    }
}

/// Real or simulated sleep.
#[derive(Clone, Debug)]
pub enum AnyWait {
    /// Futexes.
    Real(RealWait),
    /// Moves the simulated clock instead of sleeping.
    Simulated(SimWait),
}

impl Wait for AnyWait {
    fn wait(&self, word: &AtomicU32, expected: u32, timeout: Duration) -> Woken {
        either!(self, AnyWait, it => it.wait(word, expected, timeout))
    }

    fn wake_all(&self, word: &AtomicU32) {
        either!(self, AnyWait, it => it.wake_all(word));
    }

    fn wake_one(&self, word: &AtomicU32) {
        either!(self, AnyWait, it => it.wake_one(word));
    }
}

/// Real or repeatable chance.
#[derive(Clone, Debug)]
pub enum AnyRandom {
    /// The kernel's.
    Real(RealRandom),
    /// From a seed.
    Simulated(Arc<SimRandom>),
}

impl Random for AnyRandom {
    fn fill(&self, bytes: &mut [u8]) {
        either!(self, AnyRandom, it => it.fill(bytes));
    }
}
