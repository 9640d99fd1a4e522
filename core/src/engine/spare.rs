//! A file of 1 MiB whose release lets a full disk be cleaned up.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

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
    held: AtomicBool,
    /// It was given up, and has not been filled since.
    given_up: AtomicBool,
    filling: Mutex<()>,
}

impl Spare {
    pub(crate) fn new(sys: &Sys, dir: &Path, wanted: bool) -> Spare {
        let path = dir.join(SPARE);
        let held = sys.disk.stat(&path).is_ok();
        Spare {
            sys: sys.clone(),
            path,
            wanted,
            held: AtomicBool::new(held),
            given_up: AtomicBool::new(false),
            filling: Mutex::new(()),
        }
    }

    /// Fills the reserve if it is empty. Every byte is written: a hole would reserve nothing.
    pub(crate) fn fill(&self) {
        let _one_fills = self.filling.lock().unwrap_or_else(PoisonError::into_inner);
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
            self.given_up.store(false, Ordering::Release);
        } else {
            let _ = self.sys.disk.remove_file(&self.path); // half a reserve only takes the room away
        }
    }

    /// What the reserve gave back is for metadata, checkpoints and retention: records come after it is full again.
    ///
    /// # Errors
    /// `DiskFull` while it cannot be filled.
    pub(crate) fn require(&self) -> Result<()> {
        if !self.given_up.load(Ordering::Acquire) {
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
    /// reserve is given up and it is tried once more.
    pub(crate) fn allow<T>(&self, work: impl Fn() -> Result<T>) -> Result<T> {
        match work() {
            Err(error) if error.code() == ErrorCode::DiskFull && self.held.swap(false, Ordering::AcqRel) => {
                self.given_up.store(true, Ordering::Release);
                let _ = self.sys.disk.remove_file(&self.path);
                work()
            }
            result => result,
        }
    }
}
