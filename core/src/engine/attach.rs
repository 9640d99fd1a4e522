//! Taking a directory, alone or beside others.
//!
//! `.lock` is Kafka's: a broker locks it exclusively, klog shares it, so each refuses the other. `.klog.lck` is klog's own;
//! its bytes are roles ([`Role`]). Whoever attaches or detaches does so alone, under the byte for it. The first one to come
//! clears the shared memory and rebuilds what it says from the files; the last one to go leaves everything in order. Where
//! the file system cannot be trusted with shared memory, the directory is taken by one process alone.
//!
//! A reader shares `.lock` where that file exists, so that no broker starts below it, and asks whether anybody writes,
//! without keeping the answer: it needs no right to write, and keeps nobody from coming first or from going last.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::time::Duration;

use super::OpenOptions;
use crate::config::LockKind as LockName;
use crate::date::iso_date;
use crate::error::{Error, ErrorCode, Result};
use crate::shm::{Control, MAPPED_BYTES, Member, PRIVATE_BYTES, Role, Visitor, slot_byte};
use crate::sys::points::{Point, reached};
use crate::sys::{
    AnyDisk, AnyFile, Clock, Disk, File, FileIdentity, LockFile, LockKind, LockRange, Locks, Mapping, Open, Sys, Wait,
    generation, read_whole, write_all_at,
};

pub(crate) const BROKER_LOCK: &str = ".lock";
pub(crate) const KLOG_LOCK: &str = ".klog.lck";
pub(crate) const SHARED_MEMORY: &str = ".klog.shm";
/// Room for the text that says who has the directory to itself.
const HOLDER_BYTES: usize = 256;
/// How long an opener waits at least for another one that is opening or closing the directory.
const PATIENCE: Duration = Duration::from_secs(30);

/// What keeps a directory: its locks, which go with the files.
#[derive(Debug)]
pub(crate) struct Attachment {
    files: Vec<LockFile>,
    generation: u32,
    member: Option<Arc<Member>>,
    directory: FileIdentity,
    /// `.lock`.
    broker_lock: FileIdentity,
    /// Nobody else may attach.
    pub(crate) is_exclusive: bool,
    /// For a reader: somebody is writing, and cannot be followed; only what the checkpoints vouch for may be read.
    pub(crate) beside_writer: bool,
}

/// Whoever has just taken a place, with everybody else kept out until [`admit`](Attaching::admit).
#[derive(Debug)]
pub(crate) struct Attaching {
    pub(crate) attachment: Attachment,
    pub(crate) member: Arc<Member>,
    /// Nobody else has the directory open.
    pub(crate) is_first: bool,
}

impl Attaching {
    /// Everything is in its place: others may come.
    ///
    /// # Errors
    /// Those of locking.
    pub(crate) fn admit(self) -> Result<Attachment> {
        if self.is_first {
            self.member.control().set_ready();
            reached(Point::AttachReady);
            if !self.attachment.is_exclusive {
                self.member.share()?;
            }
        }
        self.member.give_back(Role::Attach);
        Ok(self.attachment)
    }
}

impl Attachment {
    /// Attaches for writing, waiting for somebody who must leave first as long as the options say.
    ///
    /// # Errors
    /// `Locked`, naming who has the directory.
    pub(crate) fn begin(sys: &Sys, dir: &Path, options: &OpenOptions) -> Result<Attaching> {
        let began = sys.clock.monotonic();
        let give_up_at = began.saturating_add(Duration::from_millis(options.config.lock_timeout_ms as u64));
        let never = AtomicU32::new(0);
        loop {
            let error = match Attachment::try_begin(sys, dir, options) {
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

    fn try_begin(sys: &Sys, dir: &Path, options: &OpenOptions) -> Result<Attaching> {
        let is_exclusive = options.config.exclusive || file_system(sys, dir)?.1.is_none();
        let broker_lock = open_current(sys, dir.join(BROKER_LOCK))?;
        if !try_lock(&broker_lock, dir, LockRange::WHOLE, LockKind::Shared)? {
            return Err(Error::new(ErrorCode::Locked, format!("{} is in use by a Kafka broker", dir.display())));
        }
        let klog_lock = open_current(sys, dir.join(KLOG_LOCK))?;
        wait_for_attach(sys, dir, &klog_lock)?;
        let is_first = try_lock(&klog_lock, dir, Role::Member.range(), LockKind::Exclusive)?;
        if !is_first && (is_exclusive || !try_lock(&klog_lock, dir, Role::Member.range(), LockKind::Shared)?) {
            return Err(taken(sys, dir, is_exclusive && !options.config.exclusive));
        }
        let control = if is_exclusive {
            let memory = Mapping::private(PRIVATE_BYTES);
            Control::new(Arc::new(memory.map_err(|e| Error::io("making room for control blocks", e))?))
        } else {
            // Whoever has the directory open has made it.
            let how = if is_first { Open::Create } else { Open::ReadWrite };
            open_memory(sys, dir, how).map_err(|e| match e.kind() {
                io::ErrorKind::NotFound if !is_first => replaced(dir),
                _ => mapping_error(dir, e),
            })?
        };
        if is_first {
            begin_instance(sys, dir, &control, options)?;
            reached(Point::AttachBegun);
            write_holder(sys, &klog_lock, options)
                .map_err(|e| Error::io(format_args!("writing {}", dir.join(KLOG_LOCK).display()), e))?;
        } else {
            check_instance(sys, dir, &control)?;
        }
        check_coherent(dir, &control)?;
        let looked = broker_lock.stat().map_err(|e| Error::io(format_args!("looking at {}", dir.display()), e))?;
        let patience = Duration::from_millis(options.config.request_timeout_ms as u64);
        let visitor = visitor(sys, options);
        let member = Member::enter(sys, control, klog_lock, &visitor, patience, options.on_interrupt.is_some())?;
        let member = Arc::new(member);
        let attachment = Attachment {
            files: vec![broker_lock],
            generation: generation(),
            member: Some(member.clone()),
            directory: sys.disk.stat(dir).map_or(FileIdentity::default(), |found| found.identity),
            broker_lock: looked.identity,
            is_exclusive,
            beside_writer: false,
        };
        Ok(Attaching { attachment, member, is_first })
    }

    /// Attaches for reading, without changing anything. The second value is the memory of those who write, if there is any.
    ///
    /// # Errors
    /// Those of opening what is there.
    pub(crate) fn shared(sys: &Sys, dir: &Path) -> Result<(Attachment, Option<Control>)> {
        let mut attachment = Attachment {
            files: Vec::new(),
            generation: generation(),
            member: None,
            directory: FileIdentity::default(),
            broker_lock: FileIdentity::default(),
            is_exclusive: false,
            beside_writer: false,
        };
        if let Some(file) = open_lock(sys, dir, BROKER_LOCK)? {
            if try_lock(&file, dir, LockRange::WHOLE, LockKind::Shared)? {
                attachment.files.push(file);
            } else {
                attachment.beside_writer = true;
            }
        }
        let (shared, writers) = follow(sys, dir)?;
        let can_follow = shared.as_ref().is_some_and(Control::is_ready);
        attachment.beside_writer |= writers != Writers::None && !can_follow;
        Ok((attachment, shared))
    }

    /// Whether `.lock`, `.klog.lck` and the memory are still the files that their names mean. One who cannot look, after a
    /// `chroot` for example, or from whom the directory was moved away, cannot tell, and says nothing against them.
    pub(crate) fn is_current(&self, sys: &Sys, dir: &Path) -> bool {
        let Some(member) = &self.member else { return true };
        let look = |path: &Path| sys.disk.stat(path).map(|found| found.identity);
        if !look(dir).is_ok_and(|found| found == self.directory) {
            return true;
        }
        let is_named = |name: &str, ours: FileIdentity| match look(&dir.join(name)) {
            Ok(found) => found == ours,
            Err(e) => e.kind() != io::ErrorKind::NotFound,
        };
        let memory = member.control().mapping().identity().ok().flatten();
        is_named(BROKER_LOCK, self.broker_lock)
            && is_named(KLOG_LOCK, member.identity())
            && memory.is_none_or(|memory| is_named(SHARED_MEMORY, memory))
    }
}

impl Drop for Attachment {
    fn drop(&mut self) {
        if self.generation != generation() {
            return; // a child
        }
        if let Some(member) = &self.member {
            member.leave();
        }
    }
}

/// The memory that handles of the directory share. As much is mapped as its file may grow to, and of a disk in memory what
/// one process needs.
pub(crate) fn open_memory(sys: &Sys, dir: &Path, how: Open) -> io::Result<Control> {
    let len = match sys.disk {
        AnyDisk::Real(_) => MAPPED_BYTES,
        AnyDisk::Simulated(_) => PRIVATE_BYTES,
    };
    sys.disk.share(&dir.join(SHARED_MEMORY), how, len).map(Control::new)
}

/// A lock file, for those who only look; nothing where it is not there. One of another user that may not be opened cannot be
/// asked; it says nothing either way.
fn open_lock(sys: &Sys, dir: &Path, name: &str) -> Result<Option<LockFile>> {
    match LockFile::open(|| sys.disk.open(&dir.join(name), Open::Read).map(AnyFile::lifted)) {
        Ok(file) => Ok(Some(file)),
        Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied) => Ok(None),
        Err(e) => Err(Error::io(format_args!("opening {}", dir.join(name).display()), e)),
    }
}

/// Which handles of klog's have a directory open for writing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Writers {
    /// None.
    None,
    /// Any number, who share it.
    Sharing,
    /// One that lets nobody else in: for good, or until it has everything in its place.
    Alone,
}

/// Who has the directory open for writing at this moment, without keeping the answer.
pub(crate) fn writers(sys: &Sys, dir: &Path) -> Result<Writers> {
    let Some(file) = open_lock(sys, dir, KLOG_LOCK)? else { return Ok(Writers::None) };
    let is_held = |kind| file.is_locked(Role::Member.range(), kind).map_err(|e| locking_error(dir, e));
    Ok(match (is_held(LockKind::Shared)?, is_held(LockKind::Exclusive)?) {
        (true, _) => Writers::Alone,
        (false, true) => Writers::Sharing,
        (false, false) => Writers::None,
    })
}

/// The memory of those who write, for a reader, and who they are. One that is not of this version's making cannot be
/// followed; what somebody left who has gone counts for nothing until somebody comes.
pub(crate) fn follow(sys: &Sys, dir: &Path) -> Result<(Option<Control>, Writers)> {
    /// Whoever comes first is not alone with memory of before for longer than this.
    const OPENING: Duration = Duration::from_millis(100);
    let Some(control) = open_memory(sys, dir, Open::Read).ok().filter(|control| control.check().is_ok()) else {
        return Ok((None, writers(sys, dir)?));
    };
    let give_up_at = sys.clock.monotonic().saturating_add(OPENING);
    let never = AtomicU32::new(0);
    loop {
        // Before the look at who writes: an instance that was there, and has nobody then, is over.
        let instance = control.instance();
        match writers(sys, dir)? {
            Writers::Sharing => return Ok((Some(control), Writers::Sharing)),
            Writers::None => {
                control.disregard(instance);
                return Ok((Some(control), Writers::None));
            }
            // He is about to clear it, or uses no shared memory at all.
            Writers::Alone if control.is_telling() => {
                if sys.clock.monotonic() >= give_up_at {
                    control.disregard(instance);
                    return Ok((Some(control), Writers::Alone));
                }
                sys.wait.wait(&never, 0, Duration::from_millis(1));
            }
            Writers::Alone => return Ok((Some(control), Writers::Alone)),
        }
    }
}

/// Whether a process of klog's has the directory open for writing at this moment.
pub(crate) fn has_writer(sys: &Sys, dir: &Path) -> bool {
    writers(sys, dir).map_or(true, |writers| writers != Writers::None)
}

/// Those of the slots whose holders live.
pub(crate) fn held_slots(sys: &Sys, dir: &Path, slots: impl IntoIterator<Item = u32>) -> Result<Vec<u32>> {
    let Some(file) = open_lock(sys, dir, KLOG_LOCK)? else { return Ok(Vec::new()) };
    let mut held = Vec::new();
    for slot in slots {
        let is_held = file.is_locked(slot_byte(slot), LockKind::Exclusive);
        // Where it cannot be told, it lives.
        if is_held.unwrap_or(true) {
            held.push(slot);
        }
    }
    Ok(held)
}

/// Whether a Kafka broker has the directory.
pub(crate) fn has_broker(sys: &Sys, dir: &Path) -> Result<bool> {
    let Some(file) = open_lock(sys, dir, BROKER_LOCK)? else { return Ok(false) };
    file.is_locked(LockRange::WHOLE, LockKind::Shared).map_err(|e| locking_error(dir, e))
}

/// What is wrong with memory that cannot be followed.
pub(crate) fn what_memory(sys: &Sys, dir: &Path) -> String {
    match open_memory(sys, dir, Open::Read) {
        Ok(control) => control.check().err().unwrap_or_else(|| "it has just been made".into()),
        Err(e) => format!("it cannot be opened: {e}"),
    }
}

/// File systems on which several processes may share memory and locks. Others are known to lose one or the other.
const LOCAL: [(i64, &str); 9] = [
    (0xef53, "ext2, ext3 or ext4"),
    (0x5846_5342, "xfs"),
    (0x9123_683e, "btrfs"),
    (0xf2f5_2010, "f2fs"),
    (0x0102_1994, "tmpfs"),
    (0x8584_58f6, "ramfs"),
    (0x794c_7630, "overlayfs"),
    (0x2fc1_2fc1, "zfs"),
    (0xca45_1a4e, "bcachefs"),
];

/// The file system that a directory is on: its magic number, and its name where processes may share it.
pub(crate) fn file_system(sys: &Sys, dir: &Path) -> Result<(i64, Option<&'static str>)> {
    let found = sys.disk.file_system(dir);
    let found = found.map_err(|e| Error::io(format_args!("looking at the file system of {}", dir.display()), e))?;
    let magic = found & 0xffff_ffff;
    Ok((magic, LOCAL.iter().find(|(known, _)| *known == magic).map(|(_, name)| *name)))
}

/// Waits until nobody else attaches or detaches.
fn wait_for_attach(sys: &Sys, dir: &Path, klog_lock: &AnyFile) -> Result<()> {
    let give_up_at = sys.clock.monotonic().saturating_add(PATIENCE);
    let never = AtomicU32::new(0);
    let mut sleep = Duration::from_micros(200);
    while !try_lock(klog_lock, dir, Role::Attach.range(), LockKind::Exclusive)? {
        if sys.clock.monotonic() >= give_up_at {
            return Err(Error::new(
                ErrorCode::Locked,
                format!(
                    "{} has been opened or closed by another process for {PATIENCE:?} ({} opened it first); it may be stopped, or have much to recover",
                    dir.display(),
                    holder(sys, dir)
                ),
            ));
        }
        sys.wait.wait(&never, 0, sleep);
        sleep = (sleep * 2).min(Duration::from_millis(10));
    }
    Ok(())
}

fn begin_instance(sys: &Sys, dir: &Path, control: &Control, options: &OpenOptions) -> Result<()> {
    let chance = || sys.random_below(u64::MAX - 1) + 1;
    let begun = control.begin(chance(), crate::types::Uuid::ZERO, chance() as u32);
    begun.map_err(|e| mapping_error(dir, e))?;
    control.set_began_ms(sys.clock.now().0);
    control.set_lock_kind(match options.config.lock {
        LockName::Futex => 0,
        LockName::Ofd => 1,
    });
    Ok(())
}

/// Others have the directory open: their memory must be of this version, and the file that its name means.
fn check_instance(sys: &Sys, dir: &Path, control: &Control) -> Result<()> {
    let path = dir.join(SHARED_MEMORY);
    control.check().map_err(|what| {
        Error::new(
            ErrorCode::Locked,
            format!(
                "{} is in use by another version of klog: {} cannot be used, because {what}; close it everywhere, or use the same version",
                dir.display(),
                path.display()
            ),
        )
    })?;
    let named = sys.disk.stat(&path).map(|found| found.identity).ok();
    let ours = control.mapping().identity().ok().flatten();
    if !control.is_ready() || (ours.is_some() && named != ours) {
        return Err(replaced(dir));
    }
    Ok(())
}

fn replaced(dir: &Path) -> Error {
    let path = dir.join(SHARED_MEMORY);
    Error::new(
        ErrorCode::Locked,
        format!(
            "{} was removed or replaced while the directory is in use; close it everywhere and open it again",
            path.display()
        ),
    )
}

/// What is stored must be seen by who reads the file: there are file systems on which it is not.
fn check_coherent(dir: &Path, control: &Control) -> Result<()> {
    let seen = control.instance_in_file().map_err(|e| mapping_error(dir, e))?;
    if seen == control.instance() {
        return Ok(());
    }
    Err(Error::new(
        ErrorCode::Unsupported,
        format!(
            "the file system of {} does not keep mapped memory and files together; open it with klog.exclusive=true",
            dir.display()
        ),
    ))
}

fn mapping_error(dir: &Path, cause: io::Error) -> Error {
    Error::io(format_args!("preparing {}", dir.join(SHARED_MEMORY).display()), cause)
}

/// The error of a directory that somebody has to himself, or that cannot be shared.
fn taken(sys: &Sys, dir: &Path, cannot_share: bool) -> Error {
    let why = match cannot_share {
        true => "; its file system is not one on which klog shares a directory between processes",
        false => "",
    };
    Error::new(ErrorCode::Locked, format!("{} is in use by {}{why}", dir.display(), holder(sys, dir)))
}

/// Opens a lock file, made if need be, and makes sure that it is still the one that the name means: whoever held it may
/// have removed it just before.
fn open_current(sys: &Sys, path: PathBuf) -> Result<LockFile> {
    let error = |e| Error::io(format_args!("opening {}", path.display()), e);
    for _ in 0..100 {
        let file = LockFile::open(|| sys.disk.open(&path, Open::Create).map(AnyFile::lifted)).map_err(error)?;
        let ours = file.stat().map_err(error)?;
        match sys.disk.stat(&path) {
            Ok(named) if named.identity == ours.identity => return Ok(file),
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(error(e)),
            _ => {}
        }
    }
    Err(error(io::Error::other("it is replaced again and again")))
}

fn try_lock(file: &AnyFile, dir: &Path, range: LockRange, kind: LockKind) -> Result<bool> {
    file.try_lock(range, kind).map_err(|e| locking_error(dir, e))
}

fn locking_error(dir: &Path, cause: io::Error) -> Error {
    Error::io(format_args!("locking {} (does the file system have locks?)", dir.display()), cause)
}

/// What this process says of itself.
fn visitor(sys: &Sys, options: &OpenOptions) -> Visitor {
    Visitor {
        pid: std::process::id(),
        namespace: sys.pid_namespace(),
        since_ms: sys.clock.now().0,
        program: options.program.clone().unwrap_or_else(program),
    }
}

fn program() -> String {
    let program = std::env::current_exe().ok();
    let name = program.as_ref().and_then(|path| path.file_name());
    name.map_or("?".into(), |name| name.to_string_lossy().into_owned())
}

fn write_holder(sys: &Sys, file: &AnyFile, options: &OpenOptions) -> io::Result<()> {
    let program = options.program.clone().unwrap_or_else(program);
    let text =
        format!("process {} ({program}), which opened it at {}\n", std::process::id(), iso_date(sys.clock.now()));
    let mut bytes = vec![b' '; HOLDER_BYTES];
    let len = text.len().min(HOLDER_BYTES);
    bytes[..len].copy_from_slice(&text.as_bytes()[..len]);
    write_all_at(file, &bytes, 0)
}

/// Who has the directory, for a message.
pub(crate) fn holder(sys: &Sys, dir: &Path) -> String {
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
