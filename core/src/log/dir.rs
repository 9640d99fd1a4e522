//! A log directory: what all logs of a broker have in common.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use super::checkpoint::{CheckpointFile, Offsets, format_offsets, parse_offsets};
use super::open_segments::OpenSegments;
use super::report::Report;
use crate::error::{Error, ErrorCode, Result};
use crate::shm::{Control, ControlBlock, Member, Role};
use crate::sys::bugs::{Bug, is_made};
use crate::sys::points::{Point, reached};
use crate::sys::{Clock, Disk, FileIdentity, Sys, read_whole, write_atomically};
use crate::types::{METADATA_TOPIC, Offset, TimestampMs, TopicPartition};

/// Its presence says that everything was closed in order.
pub const CLEAN_SHUTDOWN: &str = ".kafka_cleanshutdown";

/// A broker's directory.
pub struct LogDir {
    sys: Sys,
    path: PathBuf,
    /// The handle on the directory of whoever may write it.
    member: Option<Arc<Member>>,
    /// For a reader: the memory of those who write, if there is any.
    shared: OnceLock<Control>,
    /// For a reader: whether the directory was closed in order when it was opened.
    was_clean: bool,
    /// The directory that was opened.
    identity: FileIdentity,
    /// What time it is as far as that is believed, and when on the monotonic clock that was.
    believed: Mutex<(TimestampMs, Duration)>,
    state: Mutex<State>,
    open_segments: OpenSegments,
    /// Held while checkpoints are gathered and written; the processes take turns by a lock of their own.
    writing_checkpoints: Mutex<()>,
}

/// A wall clock that goes faster than this, against the monotonic clock, has been set, and is followed no faster.
const MOST_SPEED: i64 = 12;
/// How far ahead of the files of a directory the clock may be at opening, in ms, to be believed at once.
const BELIEVED_AT_ONCE_MS: i64 = 3_600_000;

#[derive(Default)]
struct State {
    /// What the files say, as of the writing number `seen`, which begins anew with every instance.
    written: BTreeMap<CheckpointFile, Offsets>,
    seen: (u64, u32),
    /// What is to be written; `None` takes a partition out.
    noted: BTreeMap<CheckpointFile, BTreeMap<TopicPartition, Option<Offset>>>,
    /// Files that are not there and are to be made.
    missing: BTreeSet<CheckpointFile>,
}

impl State {
    fn offset(&self, file: CheckpointFile, partition: &TopicPartition) -> Option<Offset> {
        match self.noted.get(&file).and_then(|noted| noted.get(partition)) {
            Some(noted) => *noted,
            None => self.written.get(&file)?.get(partition).copied(),
        }
    }

    fn set(&mut self, file: CheckpointFile, partition: &TopicPartition, value: Option<Offset>) {
        if self.offset(file, partition) != value {
            self.noted.entry(file).or_default().insert(partition.clone(), value);
        }
    }
}

impl fmt::Debug for LogDir {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogDir").field("path", &self.path).field("was_clean", &self.was_clean()).finish_non_exhaustive()
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

impl Standings {
    /// What a control block says.
    pub fn of(block: &ControlBlock) -> Standings {
        Standings {
            recovery_point: block.flushed(),
            log_start: block.log_start(),
            first_base: block.first_base(),
            high_watermark: block.high_watermark(),
        }
    }
}

impl LogDir {
    /// Opens a directory that nobody else has. For whoever formats one, and for tests.
    ///
    /// # Errors
    /// Those of reading the checkpoints.
    pub fn open(sys: &Sys, path: &Path, read_only: bool, fresh: Fresh, report: &mut Report) -> Result<LogDir> {
        if read_only {
            return LogDir::open_to_read(sys, path, None, report);
        }
        let member = Member::alone(sys).map_err(|e| Error::io("making room for control blocks", e))?;
        LogDir::open_to_write(sys, path, Arc::new(member), fresh, report)
    }

    /// Reads what the directory says of its logs, beside those whose memory is `shared`.
    ///
    /// # Errors
    /// Those of [`open`](Self::open).
    pub fn open_to_read(sys: &Sys, path: &Path, shared: Option<Control>, report: &mut Report) -> Result<LogDir> {
        let was_clean = has_clean_mark(sys, path)?;
        let mut dir = LogDir::look(sys, path, Fresh::No, report)?;
        dir.was_clean = was_clean;
        dir.shared = shared.map_or_else(OnceLock::new, OnceLock::from);
        Ok(dir)
    }

    /// Reads what the directory says of its logs. A checkpoint that cannot be read is reported, and counts as empty:
    /// recovery then looks at everything. Whoever is first of those who have the directory open says in the shared memory
    /// whether it was closed in order; the others read it there.
    ///
    /// # Errors
    /// Those of [`open`](Self::open).
    pub fn open_to_write(
        sys: &Sys,
        path: &Path,
        member: Arc<Member>,
        fresh: Fresh,
        report: &mut Report,
    ) -> Result<LogDir> {
        let control = member.control();
        if !control.is_ready() {
            let was_clean = has_clean_mark(sys, path)?;
            control.set_was_clean(was_clean || fresh == Fresh::Yes);
            if !was_clean {
                control.set_writing();
            }
        }
        let seen = control.checkpoints(); // before the files are read
        let mut dir = LogDir::look(sys, path, fresh, report)?;
        dir.state.get_mut().unwrap_or_else(PoisonError::into_inner).seen = (0, seen);
        dir.member = Some(member);
        Ok(dir)
    }

    fn look(sys: &Sys, path: &Path, fresh: Fresh, report: &mut Report) -> Result<LogDir> {
        let mut state = State::default();
        read_checkpoints(sys, path, &mut state, report)?;
        let now = sys.clock.now();
        let believed = match fresh {
            Fresh::Yes => now,
            Fresh::No => newest_checkpoint(sys, path)
                .map_or(now, |newest| TimestampMs(now.0.min(newest.0.saturating_add(BELIEVED_AT_ONCE_MS)))),
        };
        let found = sys.disk.stat(path).map_err(|e| Error::io(format_args!("looking at {}", path.display()), e))?;
        Ok(LogDir {
            identity: found.identity,
            believed: Mutex::new((believed, sys.clock.monotonic())),
            sys: sys.clone(),
            path: path.to_path_buf(),
            member: None,
            shared: OnceLock::new(),
            was_clean: false,
            state: Mutex::new(state),
            open_segments: OpenSegments::new(sys),
            writing_checkpoints: Mutex::new(()),
        })
    }

    /// The system it lives in.
    pub fn sys(&self) -> &Sys {
        &self.sys
    }

    pub(super) fn open_segments(&self) -> &OpenSegments {
        &self.open_segments
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether nothing may be changed.
    pub fn is_read_only(&self) -> bool {
        self.member.is_none()
    }

    /// The handle on the directory, for whoever may write it.
    pub fn member(&self) -> Option<&Arc<Member>> {
        self.member.as_ref()
    }

    /// For a reader: the memory of those who write, if there is any.
    pub fn shared_memory(&self) -> Option<&Control> {
        self.shared.get()
    }

    /// For a reader: somebody has come whose memory can be followed.
    pub fn begin_to_follow(&self, shared: Control) {
        let _ = self.shared.set(shared); // of two who found it, one is enough
    }

    /// Whether the directory was closed in order before those who have it open now opened it.
    pub fn was_clean(&self) -> bool {
        self.member.as_ref().map_or(self.was_clean, |member| member.control().was_clean())
    }

    /// Whether what the files say may be taken as it is: after an orderly end, or where a writer that lives looks after them.
    pub fn is_settled(&self) -> bool {
        self.was_clean() || self.is_followed()
    }

    /// For a reader: whether somebody writes and says where.
    pub fn is_followed(&self) -> bool {
        self.shared_memory().is_some_and(Control::is_ready)
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
        let Some(member) = &self.member else {
            return Err(Error::new(
                ErrorCode::ReadOnly,
                format!("{} was opened for reading only", self.path.display()),
            ));
        };
        // Acquire: whoever sees it set may write, and the mark is gone by then, whichever process took it away.
        if member.control().is_writing() || is_made(Bug::CleanMarkStays) {
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
        member.control().set_writing();
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
        if found.identity == self.identity {
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
        self.member.as_ref().is_some_and(|member| member.control().is_writing())
    }

    /// What a checkpoint says of a partition.
    pub fn checkpoint(&self, file: CheckpointFile, partition: &TopicPartition) -> Option<Offset> {
        let mut state = self.state();
        // What cannot be read now was reported when it was read first; an old answer costs time, and no records.
        let _ = self.catch_up(&mut state);
        state.offset(file, partition)
    }

    /// Reads the checkpoints again if another process has written them.
    fn catch_up(&self, state: &mut State) -> Result<()> {
        let control = self.member.as_ref().map(|member| member.control()).or(self.shared_memory());
        let Some(control) = control else { return Ok(()) };
        // A reader sees one instance after the other, each with its own count.
        let instance = if self.is_read_only() { control.instance() } else { 0 };
        let now = (instance, control.checkpoints());
        if state.seen != now {
            read_checkpoints(&self.sys, &self.path, state, &mut Report::default())?;
            state.seen = now;
        }
        Ok(())
    }

    /// Notes where a partition stands; written with the next [`write_checkpoints`](Self::write_checkpoints).
    pub fn note(&self, partition: &TopicPartition, standings: Standings) {
        let mut state = self.state();
        let known = state.offset(CheckpointFile::LogStart, partition).unwrap_or_default();
        // Never back: somebody may have raised it since these standings were taken.
        let log_start = known.max(standings.log_start);
        state.set(CheckpointFile::RecoveryPoint, partition, Some(standings.recovery_point));
        state.set(CheckpointFile::LogStart, partition, (log_start > standings.first_base).then_some(log_start));
        // A broker keeps no watermark of its metadata log there.
        let visible = (partition.topic != METADATA_TOPIC).then_some(standings.high_watermark);
        state.set(CheckpointFile::HighWatermark, partition, visible);
    }

    /// The log start `raised` of a partition could not be written: it is `before` again, unless somebody else has raised it.
    pub fn take_back_log_start(&self, partition: &TopicPartition, raised: Offset, before: Offset) {
        let mut state = self.state();
        if state.offset(CheckpointFile::LogStart, partition) == Some(raised) {
            state.set(CheckpointFile::LogStart, partition, Some(before));
        }
    }

    /// Forgets a partition that was deleted.
    pub fn forget(&self, partition: &TopicPartition) {
        let mut state = self.state();
        let _ = self.catch_up(&mut state);
        for file in CheckpointFile::ALL {
            state.set(file, partition, None);
        }
    }

    /// Writes the checkpoints if this process has noted something and not written it: a partition that it deleted.
    pub fn write_noted(&self) -> Result<()> {
        let has_noted = self.state().noted.values().any(|noted| !noted.is_empty());
        if has_noted { self.write_checkpoints() } else { Ok(()) }
    }

    /// Writes the checkpoints that changed, each whole or not at all.
    pub fn write_checkpoints(&self) -> Result<()> {
        self.write_checkpoints_of(|_| {})
    }

    /// As [`write_checkpoints`](Self::write_checkpoints); `note` says where the partitions stand, while no other process
    /// writes: so nothing is written of a partition that another process has deleted, and made anew, meanwhile.
    pub fn write_checkpoints_of(&self, note: impl FnOnce(&LogDir)) -> Result<()> {
        self.write_files(&CheckpointFile::ALL, note)
    }

    /// Writes one checkpoint if it changed.
    pub fn write_checkpoint(&self, file: CheckpointFile) -> Result<()> {
        self.write_files(&[file], |_| {})
    }

    fn write_files(&self, files: &[CheckpointFile], note: impl FnOnce(&LogDir)) -> Result<()> {
        let Some(member) = &self.member else { return Ok(()) };
        let _one_thread = self.writing_checkpoints.lock().unwrap_or_else(PoisonError::into_inner);
        let _one_process = member.role(Role::Checkpoints, "the checkpoints")?;
        // First: what another process has written since is what the standings are compared with.
        self.catch_up(&mut self.state())?;
        note(self);
        let mut state = self.state();
        let written = files.iter().try_for_each(|file| self.write_file(&mut state, *file));
        if written.is_err() {
            // These are said anew, as they are then; what they were may be of a topic that is gone.
            state.noted.remove(&CheckpointFile::RecoveryPoint);
            state.noted.remove(&CheckpointFile::HighWatermark);
        }
        written
    }

    fn write_file(&self, state: &mut State, file: CheckpointFile) -> Result<()> {
        let noted = state.noted.get(&file).filter(|noted| !noted.is_empty());
        if noted.is_none() && !state.missing.contains(&file) {
            return Ok(());
        }
        self.check_place()?;
        let mut offsets = state.written.get(&file).cloned().unwrap_or_default();
        for (partition, offset) in noted.into_iter().flatten() {
            match offset {
                Some(offset) => {
                    let known = offsets.get(partition).copied().filter(|_| file == CheckpointFile::LogStart);
                    offsets.insert(partition.clone(), known.map_or(*offset, |known| known.max(*offset)));
                }
                None => drop(offsets.remove(partition)),
            }
        }
        let path = self.path.join(file.name());
        reached(Point::Checkpoint);
        write_atomically(&self.sys.disk, &path, &format_offsets(&offsets))
            .map_err(|e| Error::io(format_args!("writing {}", path.display()), e))?;
        if let Some(member) = &self.member {
            state.seen = (0, member.control().count_checkpoints());
        }
        state.written.insert(file, offsets);
        state.noted.remove(&file);
        state.missing.remove(&file);
        Ok(())
    }

    /// Notes that a log could not be recovered, flushed or closed, so that the next opener looks at everything again.
    pub fn mark_failed(&self) {
        if let Some(member) = &self.member {
            member.control().set_failed();
        }
    }

    /// The last step of an orderly end: writes the checkpoints and, unless something failed, the mark of a clean
    /// shutdown. Does nothing when nothing was written. For the last one who has the directory open.
    pub fn finish(&self, broker_epoch: i64) -> Result<()> {
        let Some(member) = self.member.as_ref().filter(|_| self.is_writing()) else {
            return Ok(());
        };
        self.write_checkpoints()?;
        if member.control().is_failed() {
            return Ok(());
        }
        self.check_place()?;
        let mark = self.path.join(CLEAN_SHUTDOWN);
        let content = format!("{{\"version\":0,\"brokerEpoch\":{broker_epoch}}}");
        write_atomically(&self.sys.disk, &mark, content.as_bytes())
            .map_err(|e| Error::io(format_args!("writing {}", mark.display()), e))
    }
}

fn has_clean_mark(sys: &Sys, path: &Path) -> Result<bool> {
    match sys.disk.stat(&path.join(CLEAN_SHUTDOWN)) {
        Ok(_) => Ok(true),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(e) => Err(Error::io(format_args!("looking for {CLEAN_SHUTDOWN} in {}", path.display()), e)),
    }
}

fn read_checkpoints(sys: &Sys, path: &Path, state: &mut State, report: &mut Report) -> Result<()> {
    for file in CheckpointFile::ALL {
        let file_path = path.join(file.name());
        let offsets = match read_whole(&sys.disk, &file_path) {
            Ok(content) => parse_offsets(&content).unwrap_or_else(|what| {
                report.finding(file.name(), format!("{what}; it is not used"));
                Offsets::new()
            }),
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                state.missing.insert(file);
                Offsets::new()
            }
            Err(e) => return Err(Error::io(format_args!("reading {}", file_path.display()), e)),
        };
        state.written.insert(file, offsets);
    }
    Ok(())
}

/// When a checkpoint was last written: they are, within a second of every flush.
pub fn newest_checkpoint(sys: &Sys, path: &Path) -> Option<TimestampMs> {
    CheckpointFile::ALL.iter().filter_map(|file| Some(sys.disk.stat(&path.join(file.name())).ok()?.modified)).max()
}
