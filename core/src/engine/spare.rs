//! A file of 1 MiB whose release lets a full disk be cleaned up.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use crate::error::{ErrorCode, Result};
use crate::sys::{Disk, File, Open, Sys, write_all_at};

const SPARE: &str = ".klog.spare";
const SPARE_BYTES: usize = 1 << 20;

/// The reserve of a directory.
#[derive(Debug)]
pub(crate) struct Spare {
    sys: Sys,
    path: PathBuf,
    wanted: bool,
    held: AtomicBool,
}

impl Spare {
    pub(crate) fn new(sys: &Sys, dir: &Path, wanted: bool) -> Spare {
        let path = dir.join(SPARE);
        let held = sys.disk.stat(&path).is_ok();
        Spare { sys: sys.clone(), path, wanted, held: AtomicBool::new(held) }
    }

    /// Fills the reserve if it is empty. Every byte is written: a hole would reserve nothing.
    pub(crate) fn fill(&self) {
        if !self.wanted || self.held.load(Ordering::Acquire) {
            return;
        }
        let fill = || -> io::Result<()> {
            let file = self.sys.disk.open(&self.path, Open::CreateNew)?;
            write_all_at(&file, &vec![0x5a; SPARE_BYTES], 0)?;
            file.sync_data()
        };
        if fill().is_ok() {
            self.held.store(true, Ordering::Release);
        } else {
            let _ = self.sys.disk.remove_file(&self.path); // half a reserve only takes the room away
        }
    }

    /// Does something small that must succeed on a full disk: metadata, checkpoints, retention. If the disk is full, the
    /// reserve is given up and it is tried once more.
    pub(crate) fn allow<T>(&self, work: impl Fn() -> Result<T>) -> Result<T> {
        match work() {
            Err(error) if error.code() == ErrorCode::DiskFull && self.held.swap(false, Ordering::AcqRel) => {
                let _ = self.sys.disk.remove_file(&self.path);
                work()
            }
            result => result,
        }
    }
}
