//! Where a test runs: a directory on the real disk or on a simulated one, and a clock that stands still until it is moved.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use klog::sys::{AnyDisk, Disk, Open, RealDisk, SimClock, SimDisk, Sys, read_whole, write_all_at};
use klog::{Engine, Mode, OpenOptions, TimestampMs};
use tempfile::TempDir;

/// When every test begins.
pub(crate) const NOW: i64 = 1_700_000_000_000;

/// Files that say who has a directory, and hold no data.
const LOCK_FILES: [&str; 3] = [".lock", ".klog.lck", ".klog.shm"];

/// A disk, a clock, and a path on that disk where nothing is yet.
pub(crate) struct World {
    pub(crate) sys: Sys,
    pub(crate) clock: SimClock,
    pub(crate) dir: PathBuf,
    _temporary: Option<TempDir>,
}

impl World {
    /// A directory of this machine.
    pub(crate) fn real() -> World {
        let temporary = tempfile::tempdir().unwrap();
        let dir = temporary.path().join("data");
        let clock = SimClock::new(TimestampMs(NOW));
        let simulated = Sys::simulated(SimDisk::new(clock.clone()), clock.clone(), 1);
        let sys = Sys { disk: AnyDisk::Real(RealDisk), ..simulated };
        World { sys, clock, dir, _temporary: Some(temporary) }
    }

    /// A directory in memory.
    pub(crate) fn simulated() -> World {
        let clock = SimClock::new(TimestampMs(NOW));
        let sys = Sys::simulated(SimDisk::new(clock.clone()), clock.clone(), 1);
        World { sys, clock, dir: PathBuf::from("/data"), _temporary: None }
    }

    /// The same disk with this machine's clock and waits, for tests with several threads.
    pub(crate) fn real_time(&self) -> Sys {
        Sys { disk: self.sys.disk.clone(), ..Sys::real() }
    }

    /// The simulated disk, when it is one.
    pub(crate) fn simulated_disk(&self) -> Option<&SimDisk> {
        match &self.sys.disk {
            AnyDisk::Real(_) => None,
            AnyDisk::Simulated(disk) => Some(disk),
        }
    }

    pub(crate) fn options(&self) -> OpenOptions {
        let options = OpenOptions::new().set("threads", "off").unwrap().set("klog.spare", "false").unwrap();
        options.system(self.sys.clone())
    }

    pub(crate) fn open(&self) -> Engine {
        self.options().open(&self.dir).unwrap()
    }

    pub(crate) fn open_for_reading(&self) -> Engine {
        self.options().mode(Mode::ReadOnly).open(&self.dir).unwrap()
    }

    pub(crate) fn advance(&self, ms: u64) {
        self.clock.advance(Duration::from_millis(ms));
    }

    pub(crate) fn exists(&self, path: &Path) -> bool {
        self.sys.disk.stat(path).is_ok()
    }

    /// What is in a directory, sorted, `name` being relative to the log directory. With a `/` behind directories.
    pub(crate) fn list(&self, name: &str) -> Vec<String> {
        let mut names: Vec<String> = self
            .sys
            .disk
            .list(&self.dir.join(name))
            .unwrap()
            .into_iter()
            .map(|entry| if entry.is_dir { format!("{}/", entry.name) } else { entry.name })
            .collect();
        names.sort();
        names
    }

    /// As [`list`](Self::list), without dot files: what `ls` shows.
    pub(crate) fn ls(&self, name: &str) -> Vec<String> {
        self.list(name).into_iter().filter(|name| !name.starts_with('.')).collect()
    }

    pub(crate) fn bytes(&self, name: &str) -> Vec<u8> {
        read_whole(&self.sys.disk, &self.dir.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    pub(crate) fn text(&self, name: &str) -> String {
        String::from_utf8(self.bytes(name)).unwrap()
    }

    /// Writes a file as some other program would.
    pub(crate) fn put(&self, name: &str, bytes: &[u8]) {
        let file = self.sys.disk.open(&self.dir.join(name), Open::Create).unwrap();
        write_all_at(&file, bytes, 0).unwrap();
    }

    /// Every file below the log directory with its content, apart from those that hold locks only.
    pub(crate) fn contents(&self) -> BTreeMap<String, Vec<u8>> {
        let mut found = BTreeMap::new();
        let mut dirs = vec![String::new()];
        while let Some(dir) = dirs.pop() {
            for name in self.list(&dir).into_iter().filter(|name| !LOCK_FILES.contains(&&**name)) {
                let path = format!("{dir}{name}");
                if name.ends_with('/') {
                    found.insert(path.clone(), Vec::new());
                    dirs.push(path);
                } else {
                    let bytes = self.bytes(&path);
                    found.insert(path, bytes);
                }
            }
        }
        found
    }
}

/// Runs tests on both disks, each as a module of the test's name.
macro_rules! on_both_disks {
    ($($name:ident),* $(,)?) => {$(
        mod $name {
            #[test]
            fn on_the_real_disk() {
                super::$name(&crate::world::World::real());
            }

            #[test]
            fn on_a_simulated_disk() {
                super::$name(&crate::world::World::simulated());
            }
        }
    )*};
}
pub(crate) use on_both_disks;
