//! A log directory: what all logs of a broker have in common.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::checkpoint::{CheckpointFile, Offsets, format_offsets, parse_offsets};
use super::report::Report;
use crate::error::{Error, ErrorCode, Result};
use crate::sys::bugs::{Bug, is_made};
use crate::sys::{Clock, Disk, Sys, read_whole, write_atomically};
use crate::types::{METADATA_TOPIC, Offset, TimestampMs, TopicPartition};

/// Its presence says that everything was closed in order.
pub const CLEAN_SHUTDOWN: &str = ".kafka_cleanshutdown";

/// A broker's directory.
pub struct LogDir {
    sys: Sys,
    path: PathBuf,
    read_only: bool,
    /// Whether the directory was closed in order when it was opened.
    was_clean: bool,
    /// Set before the first write; from then on a crash is unclean.
    writing: AtomicBool,
    /// Device and inode of the directory that was opened.
    place: (u64, u64),
    /// What time it is as far as that is believed, and when on the monotonic clock that was.
    believed: Mutex<(TimestampMs, Duration)>,
    state: Mutex<State>,
}

/// A wall clock that goes faster than this, against the monotonic clock, has been set, and is followed no faster.
const MOST_SPEED: i64 = 12;
/// How far ahead of the files of a directory the clock may be at opening, in ms, to be believed at once.
const BELIEVED_AT_ONCE_MS: i64 = 3_600_000;

#[derive(Default)]
struct State {
    checkpoints: BTreeMap<CheckpointFile, Offsets>,
    /// Which of them differ from their files.
    changed: BTreeMap<CheckpointFile, bool>,
    /// A log could not be recovered or closed: the next opener must look again.
    failed: bool,
}

impl fmt::Debug for LogDir {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogDir").field("path", &self.path).field("was_clean", &self.was_clean).finish_non_exhaustive()
    }
}

/// Where a partition stands, for the checkpoints.
#[derive(Clone, Copy, Debug)]
pub struct Standings {
    /// Everything below is durable.
    pub recovery_point: Offset,
    /// Where the log begins.
    pub log_start: Offset,
    /// Where its first segment does; a checkpoint speaks only of logs that begin behind that.
    pub first_base: Offset,
    /// Everything below is visible.
    pub high_watermark: Offset,
}

/// Whether a directory was made just now, so that there is nothing in it to recover.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fresh {
    /// It was.
    Yes,
    /// It was there before.
    No,
}

impl LogDir {
    /// Reads what the directory says of its logs. A checkpoint that cannot be read is reported, and counts as empty:
    /// recovery then looks at everything.
    pub fn open(sys: &Sys, path: &Path, read_only: bool, fresh: Fresh, report: &mut Report) -> Result<LogDir> {
        let mut state = State::default();
        for file in CheckpointFile::ALL {
            let file_path = path.join(file.name());
            let offsets = match read_whole(&sys.disk, &file_path) {
                Ok(content) => parse_offsets(&content).unwrap_or_else(|what| {
                    report.finding(file.name(), format!("{what}; it is not used"));
                    Offsets::new()
                }),
                Err(e) if e.kind() == io::ErrorKind::NotFound => {
                    state.changed.insert(file, true);
                    Offsets::new()
                }
                Err(e) => return Err(Error::io(format_args!("reading {}", file_path.display()), e)),
            };
            state.checkpoints.insert(file, offsets);
        }
        let was_clean = match sys.disk.stat(&path.join(CLEAN_SHUTDOWN)) {
            Ok(_) => true,
            Err(e) if e.kind() == io::ErrorKind::NotFound => false,
            Err(e) => {
                return Err(Error::io(format_args!("looking for {CLEAN_SHUTDOWN} in {}", path.display()), e));
            }
        };
        let now = sys.clock.now();
        let believed = match fresh {
            Fresh::Yes => now,
            Fresh::No => newest_checkpoint(sys, path)
                .map_or(now, |newest| TimestampMs(now.0.min(newest.0.saturating_add(BELIEVED_AT_ONCE_MS)))),
        };
        let place = sys.disk.stat(path).map_err(|e| Error::io(format_args!("looking at {}", path.display()), e))?;
        Ok(LogDir {
            place: (place.device, place.inode),
            believed: Mutex::new((believed, sys.clock.monotonic())),
            sys: sys.clone(),
            path: path.to_path_buf(),
            read_only,
            was_clean: was_clean || fresh == Fresh::Yes,
            writing: AtomicBool::new(!was_clean),
            state: Mutex::new(state),
        })
    }

    /// The system it lives in.
    pub fn sys(&self) -> &Sys {
        &self.sys
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether nothing may be changed.
    pub fn is_read_only(&self) -> bool {
        self.read_only
    }

    /// Whether the directory was closed in order when it was opened.
    pub fn was_clean(&self) -> bool {
        self.was_clean
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What time it is for those who delete what is old. A clock that jumps ahead is followed slowly, so that there is time
    /// to set it right before anything is gone; so is one that is far ahead of the directory's own files at opening.
    pub fn believed_time(&self) -> TimestampMs {
        let (wall, monotonic) = (self.sys.clock.now(), self.sys.clock.monotonic());
        let mut believed = self.believed.lock().unwrap_or_else(PoisonError::into_inner);
        let passed_ms = monotonic.saturating_sub(believed.1).as_millis() as i64;
        let most = believed.0.0.saturating_add(passed_ms.saturating_mul(MOST_SPEED));
        *believed = (TimestampMs(wall.0.min(most)), monotonic);
        believed.0
    }

    /// Must be called before anything in the directory is written: takes the mark of a clean shutdown away, durably, so
    /// that a crash behind it is noticed. Cheap after the first time.
    ///
    /// # Errors
    /// `ReadOnly`, and those of the disk.
    pub fn begin_writing(&self) -> Result<()> {
        if self.writing.load(Ordering::Acquire) && !self.read_only {
            return Ok(());
        }
        if self.read_only {
            return Err(Error::new(
                ErrorCode::ReadOnly,
                format!("{} was opened for reading only", self.path.display()),
            ));
        }
        let _state = self.state(); // one at a time
        if self.writing.load(Ordering::Acquire) {
            return Ok(());
        }
        if is_made(Bug::CleanMarkStays) {
            return Ok(());
        }
        let mark = self.path.join(CLEAN_SHUTDOWN);
        let removed = match self.sys.disk.remove_file(&mark) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
            result => result,
        };
        removed
            .and_then(|()| self.sys.disk.sync_dir(&self.path))
            .map_err(|e| Error::io(format_args!("removing {}", mark.display()), e))?;
        // Release: whoever sees it set may write, and the mark is gone by then.
        self.writing.store(true, Ordering::Release);
        Ok(())
    }

    /// Must be called before a name in the directory is made, changed or removed: whoever moved the directory away may have
    /// put another in its place, which is none of ours.
    ///
    /// # Errors
    /// `KafkaStorageError` when the path does not lead to the directory that was opened.
    pub fn check_place(&self) -> Result<()> {
        let found = self.sys.disk.stat(&self.path);
        let found = found.map_err(|e| Error::io(format_args!("looking at {}", self.path.display()), e))?;
        if (found.device, found.inode) == self.place {
            return Ok(());
        }
        Err(Error::new(
            ErrorCode::KafkaStorageError,
            format!(
                "{} is not the directory that was opened: it was moved, and another is in its place; open it where it is now",
                self.path.display()
            ),
        ))
    }

    /// Whether something was written since the last clean shutdown.
    pub fn is_writing(&self) -> bool {
        self.writing.load(Ordering::Acquire)
    }

    /// What a checkpoint says of a partition.
    pub fn checkpoint(&self, file: CheckpointFile, partition: &TopicPartition) -> Option<Offset> {
        self.state().checkpoints.get(&file)?.get(partition).copied()
    }

    /// Notes where a partition stands; written with the next [`write_checkpoints`](Self::write_checkpoints).
    pub fn note(&self, partition: &TopicPartition, standings: Standings) {
        let mut state = self.state();
        let starts = state.checkpoints.entry(CheckpointFile::LogStart).or_default();
        let log_start = starts.get(partition).copied().unwrap_or_default().max(standings.log_start);
        let mut set = |file: CheckpointFile, value: Option<Offset>| {
            let offsets = state.checkpoints.entry(file).or_default();
            let before = match value {
                Some(value) => offsets.insert(partition.clone(), value),
                None => offsets.remove(partition),
            };
            if before != value {
                state.changed.insert(file, true);
            }
        };
        set(CheckpointFile::RecoveryPoint, Some(standings.recovery_point));
        // Never back: somebody may have raised it since these standings were taken.
        set(CheckpointFile::LogStart, (log_start > standings.first_base).then_some(log_start));
        // A broker keeps no watermark of its metadata log there.
        set(CheckpointFile::HighWatermark, (partition.topic != METADATA_TOPIC).then_some(standings.high_watermark));
    }

    /// The log start `raised` of a partition could not be written: it is `before` again, unless somebody else has raised it.
    pub fn take_back_log_start(&self, partition: &TopicPartition, raised: Offset, before: Offset) {
        let mut state = self.state();
        let starts = state.checkpoints.entry(CheckpointFile::LogStart).or_default();
        if starts.get(partition) == Some(&raised) {
            starts.insert(partition.clone(), before);
        }
    }

    /// Forgets a partition that was deleted.
    pub fn forget(&self, partition: &TopicPartition) {
        let mut state = self.state();
        for file in CheckpointFile::ALL {
            if state.checkpoints.entry(file).or_default().remove(partition).is_some() {
                state.changed.insert(file, true);
            }
        }
    }

    /// Whether [`write_checkpoints`](Self::write_checkpoints) has something to write.
    pub fn has_changed_checkpoints(&self) -> bool {
        self.state().changed.values().any(|changed| *changed)
    }

    /// Writes the checkpoints that changed, each whole or not at all.
    pub fn write_checkpoints(&self) -> Result<()> {
        for file in CheckpointFile::ALL {
            self.write_checkpoint(file)?;
        }
        Ok(())
    }

    /// Writes one checkpoint if it changed.
    pub fn write_checkpoint(&self, file: CheckpointFile) -> Result<()> {
        let mut state = self.state();
        if !state.changed.get(&file).copied().unwrap_or(false) {
            return Ok(());
        }
        self.check_place()?;
        let content = format_offsets(state.checkpoints.entry(file).or_default());
        let path = self.path.join(file.name());
        write_atomically(&self.sys.disk, &path, &content)
            .map_err(|e| Error::io(format_args!("writing {}", path.display()), e))?;
        state.changed.insert(file, false);
        Ok(())
    }

    /// Notes that a log could not be recovered, flushed or closed, so that the next opener looks at everything again.
    pub fn mark_failed(&self) {
        self.state().failed = true;
    }

    /// The last step of an orderly end: writes the checkpoints and, unless something failed, the mark of a clean
    /// shutdown. Does nothing when nothing was written.
    pub fn finish(&self, broker_epoch: i64) -> Result<()> {
        if self.read_only || !self.is_writing() {
            return Ok(());
        }
        self.write_checkpoints()?;
        if self.state().failed {
            return Ok(());
        }
        self.check_place()?;
        let mark = self.path.join(CLEAN_SHUTDOWN);
        let content = format!("{{\"version\":0,\"brokerEpoch\":{broker_epoch}}}");
        write_atomically(&self.sys.disk, &mark, content.as_bytes())
            .map_err(|e| Error::io(format_args!("writing {}", mark.display()), e))
    }
}

/// When a checkpoint was last written: they are, within a second of every flush.
fn newest_checkpoint(sys: &Sys, path: &Path) -> Option<TimestampMs> {
    CheckpointFile::ALL.iter().filter_map(|file| Some(sys.disk.stat(&path.join(file.name())).ok()?.modified)).max()
}
