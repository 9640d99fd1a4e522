//! Taking a directory, so that nobody else writes into it.
//!
//! `.lock` is Kafka's: a broker locks it exclusively, klog shares it, so each refuses the other. `.klog.lck` is klog's own;
//! its bytes are roles. While klog has a directory to itself the MEMBER byte is held exclusively, and the file's text says by
//! whom. No decision reads that text.
//!
//! A reader shares `.lock` where that file exists, so that no broker starts below it, and asks whether the MEMBER byte is
//! held, without keeping it: it needs no right to write, and keeps no writer of klog's out. Beside a live writer or broker
//! it sees what the checkpoints say.

use std::io;
use std::mem::ManuallyDrop;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU32;
use std::time::Duration;

use crate::date::iso_date;
use crate::error::{Error, ErrorCode, Result};
use crate::sys::{
    AnyFile, Clock, Disk, File, LockKind, LockRange, Locks, Open, Sys, Wait, close_in_child, generation,
    keep_open_in_child, read_whole, write_all_at,
};

const BROKER_LOCK: &str = ".lock";
const KLOG_LOCK: &str = ".klog.lck";
/// Byte of `.klog.lck` that every attached handle holds.
const MEMBER: LockRange = LockRange::byte(1);
/// Room for the text that says who has the directory.
const HOLDER_BYTES: usize = 256;

/// The locks of an attached directory. They go with the files.
#[derive(Debug)]
pub(crate) struct Attachment {
    files: ManuallyDrop<Vec<AnyFile>>,
    generation: u32,
    /// Somebody else is writing: only what the checkpoints vouch for may be read.
    pub(crate) beside_writer: bool,
}

impl Attachment {
    /// Takes the directory for this process alone, waiting up to `timeout` for another to leave it.
    ///
    /// # Errors
    /// `Locked`, naming the holder.
    pub(crate) fn exclusive(sys: &Sys, dir: &Path, timeout: Duration) -> Result<Attachment> {
        let give_up_at = sys.clock.monotonic() + timeout;
        let never = AtomicU32::new(0);
        loop {
            let error = match Attachment::try_exclusive(sys, dir) {
                Err(error) if error.code() == ErrorCode::Locked => error,
                result => return result,
            };
            let left = give_up_at.saturating_sub(sys.clock.monotonic());
            if left.is_zero() {
                return Err(error);
            }
            sys.wait.wait(&never, 0, left.min(Duration::from_millis(20)));
        }
    }

    fn try_exclusive(sys: &Sys, dir: &Path) -> Result<Attachment> {
        let broker_lock = open_current(sys, dir.join(BROKER_LOCK))?;
        if !try_lock(&broker_lock, dir, LockRange::WHOLE, LockKind::Shared)? {
            return Err(Error::new(ErrorCode::Locked, format!("{} is in use by a Kafka broker", dir.display())));
        }
        let klog_lock = open_current(sys, dir.join(KLOG_LOCK))?;
        if !try_lock(&klog_lock, dir, MEMBER, LockKind::Exclusive)? {
            return Err(Error::new(ErrorCode::Locked, format!("{} is in use by {}", dir.display(), holder(sys, dir))));
        }
        write_holder(sys, &klog_lock)
            .map_err(|e| Error::io(format_args!("writing {}", dir.join(KLOG_LOCK).display()), e))?;
        for file in [&broker_lock, &klog_lock] {
            close_in_child(file);
        }
        let files = ManuallyDrop::new(vec![broker_lock, klog_lock]);
        Ok(Attachment { files, generation: generation(), beside_writer: false })
    }

    /// Attaches for reading, without changing anything.
    pub(crate) fn shared(sys: &Sys, dir: &Path) -> Result<Attachment> {
        let files = ManuallyDrop::new(Vec::new());
        let mut attachment = Attachment { files, generation: generation(), beside_writer: false };
        for (name, range) in [(BROKER_LOCK, LockRange::WHOLE), (KLOG_LOCK, MEMBER)] {
            let file = match sys.disk.open(&dir.join(name), Open::Read) {
                Ok(file) => file,
                Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
                // A file of another user that may not be opened cannot be locked; it says nothing either way.
                Err(e) if e.kind() == io::ErrorKind::PermissionDenied => continue,
                Err(e) => return Err(Error::io(format_args!("opening {}", dir.join(name).display()), e)),
            };
            if !try_lock(&file, dir, range, LockKind::Shared)? {
                attachment.beside_writer = true;
            } else if name == BROKER_LOCK {
                close_in_child(&file);
                attachment.files.push(file);
            }
        }
        Ok(attachment)
    }
}

/// Whether a process of klog's has the directory open for writing at this moment.
pub(crate) fn has_writer(sys: &Sys, dir: &Path) -> bool {
    let held = |file: AnyFile| try_lock(&file, dir, MEMBER, LockKind::Shared).map(|free| !free);
    sys.disk.open(&dir.join(KLOG_LOCK), Open::Read).is_ok_and(|file| held(file).unwrap_or(true))
}

impl Drop for Attachment {
    fn drop(&mut self) {
        if self.generation != generation() {
            return; // a child: the fork handler closed the descriptors, and their numbers may mean other files by now
        }
        for file in std::mem::take(&mut *self.files) {
            keep_open_in_child(&file);
        }
    }
}

/// Opens a lock file, made if need be, and makes sure that it is still the one that the name means: whoever held it may
/// have removed it just before.
fn open_current(sys: &Sys, path: PathBuf) -> Result<AnyFile> {
    let error = |e| Error::io(format_args!("opening {}", path.display()), e);
    for _ in 0..100 {
        let file = sys.disk.open(&path, Open::Create).map_err(error)?;
        let ours = file.stat().map_err(error)?;
        match sys.disk.stat(&path) {
            Ok(named) if named.inode == ours.inode && named.device == ours.device => return Ok(file),
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(error(e)),
            _ => {}
        }
    }
    Err(error(io::Error::other("it is replaced again and again")))
}

fn try_lock(file: &AnyFile, dir: &Path, range: LockRange, kind: LockKind) -> Result<bool> {
    file.try_lock(range, kind)
        .map_err(|e| Error::io(format_args!("locking {} (does the file system have locks?)", dir.display()), e))
}

fn write_holder(sys: &Sys, file: &AnyFile) -> io::Result<()> {
    let program = std::env::current_exe().ok();
    let program = program.as_ref().and_then(|path| path.file_name()).map_or("?".into(), |name| name.to_string_lossy());
    let text =
        format!("process {} ({program}), which opened it at {}\n", std::process::id(), iso_date(sys.clock.now()));
    let mut bytes = vec![b' '; HOLDER_BYTES];
    let len = text.len().min(HOLDER_BYTES);
    bytes[..len].copy_from_slice(&text.as_bytes()[..len]);
    write_all_at(file, &bytes, 0)
}

/// Who has the directory, for a message.
fn holder(sys: &Sys, dir: &Path) -> String {
    let content = read_whole(&sys.disk, &dir.join(KLOG_LOCK)).unwrap_or_default();
    let text = String::from_utf8_lossy(&content);
    match text.lines().next().map(str::trim) {
        Some(line) if line.starts_with(&format!("process {} ", std::process::id())) => {
            line.replacen("process", "this process,", 1)
        }
        Some(line) if !line.is_empty() => line.to_owned(),
        _ => "another process".to_owned(),
    }
}
