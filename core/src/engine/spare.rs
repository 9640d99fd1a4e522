//! A file of 1 MiB whose release lets a full disk be cleaned up.
//!
//! Whether it is there says the directory, and nobody's memory: other processes fill it and give it up as well.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::error::{Error, ErrorCode, Result};
use crate::sys::{Disk, File, Open, Sys, write_all_at};

pub(super) const SPARE: &str = ".klog.spare";
pub(super) const SPARE_BYTES: usize = 1 << 20;

/// The reserve of a directory.
#[derive(Debug)]
pub(crate) struct Spare {
    sys: Sys,
    path: PathBuf,
    wanted: bool,
    /// This process gave it up, and has not found it there since.
    given_up: AtomicBool,
    /// One thread at a time fills it or gives it up.
    changing: Mutex<()>,
}

impl Spare {
    pub(crate) fn new(sys: &Sys, dir: &Path, wanted: bool) -> Spare {
        let (given_up, changing) = (AtomicBool::new(false), Mutex::new(()));
        Spare { sys: sys.clone(), path: dir.join(SPARE), wanted, given_up, changing }
    }

    fn change(&self) -> MutexGuard<'_, ()> {
        self.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Fills the reserve if it is not there. Every byte is written: a hole would reserve nothing. One that another process has
    /// filled, or is filling, is there.
    pub(crate) fn fill(&self) {
        let _alone = self.change();
        if !self.wanted {
            return;
        }
        let is_there = match self.sys.disk.open(&self.path, Open::CreateNew) {
            Ok(file) => {
                let filled = write_all_at(&file, &vec![0x5a; SPARE_BYTES], 0).and_then(|()| file.sync_data());
                if filled.is_err() {
                    let _ = self.sys.disk.remove_file(&self.path); // half a reserve only takes the room away
                }
                filled.is_ok()
            }
            Err(e) => e.kind() == io::ErrorKind::AlreadyExists,
        };
        if is_there {
            self.given_up.store(false, Ordering::Release);
        }
    }

    /// What the reserve gave back is for metadata, checkpoints and retention: records of whoever gave it up come after it is
    /// full again.
    ///
    /// # Errors
    /// `DiskFull` while it cannot be filled.
    pub(crate) fn require(&self) -> Result<()> {
        if !self.wanted || !self.given_up.load(Ordering::Acquire) {
            return Ok(());
        }
        self.fill();
        match self.given_up.load(Ordering::Acquire) {
            false => Ok(()),
            true => Err(Error::new(
                ErrorCode::DiskFull,
                format!("the disk is full: {SPARE_BYTES} bytes must be free for {} first", self.path.display()),
            )),
        }
    }

    /// Does something small that must succeed on a full disk: metadata, checkpoints, retention. If the disk is full, the
    /// reserve is given up, where there is one, and it is tried once more.
    pub(crate) fn allow<T>(&self, mut work: impl FnMut() -> Result<T>) -> Result<T> {
        match work() {
            Err(error) if error.code() == ErrorCode::DiskFull && self.give_up() => work(),
            result => result,
        }
    }

    /// Removes the reserve; `false` where there is none.
    fn give_up(&self) -> bool {
        let _alone = self.change();
        // Before there is room, which appends must not take.
        let before = self.given_up.swap(true, Ordering::AcqRel);
        let is_released = self.sys.disk.remove_file(&self.path).is_ok();
        self.given_up.store(is_released || before, Ordering::Release);
        is_released
    }
}
