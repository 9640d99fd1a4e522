//! Whether everything around a directory is as it should be: what to look at when klog is refused, waits, or is slow.
//!
//! Nothing is changed, and nobody is kept waiting: the only lock that is taken is one that means nothing.

use std::io;
use std::path::Path;
use std::sync::atomic::AtomicU32;
use std::time::Duration;

use super::attach::{self, BROKER_LOCK, KLOG_LOCK, SHARED_MEMORY};
use super::attached::{Attached, AttachedHandle, Holding, Sharing, look};
use super::identity::META_PROPERTIES;
use super::open::partition_dirs;
use super::spare::{SPARE, SPARE_BYTES};
use crate::error::{Error, Result};
use crate::log::newest_checkpoint;
use crate::shm::MAPPED_BYTES;
use crate::sys::{Clock, Disk, File, Limit, LockKind, LockRange, Locks, Open, Sys, Wait};
use crate::types::{METADATA_TOPIC, TopicPartition, Uuid};

/// How one thing is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// What was looked at.
    pub name: &'static str,
    /// How it is.
    pub verdict: Verdict,
    /// What was found.
    pub found: String,
    /// What to do about it; empty where there is nothing to do.
    pub advice: String,
}

/// How something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// As it should be.
    Ok,
    /// It works, and may not always.
    Warning,
    /// Something will not work.
    Problem,
}

/// What a look found, and what to do.
type Finding = (Verdict, String, &'static str);

fn ok(found: impl Into<String>) -> Finding {
    (Verdict::Ok, found.into(), "")
}

/// The byte whose lock means nothing.
const NOBODYS_BYTE: LockRange = LockRange::byte(1 << 40);
/// A lock that is held for longer than this is spoken of.
const LONG: Duration = Duration::from_secs(1);
/// With less room than this something will fail soon.
const LITTLE_ROOM: u64 = 64 << 20;

/// Looks at everything around a directory.
pub fn doctor(sys: &Sys, dir: &Path) -> Vec<Check> {
    type Look = fn(&Sys, &Path) -> Result<Finding>;
    let looks: [(&'static str, Look); 10] = [
        ("directory", directory),
        ("permissions", permissions),
        ("file system", file_system),
        ("locks", locks),
        ("lock files", lock_files),
        ("shared memory", shared_memory),
        ("processes", processes),
        ("clock", clock),
        ("limits", limits),
        ("room", room),
    ];
    let mut checks = Vec::new();
    for (name, look) in looks {
        let (verdict, found, advice) = look(sys, dir).unwrap_or_else(|error| {
            (Verdict::Problem, error.message().to_owned(), "See what the system refuses, and why.")
        });
        checks.push(Check { name, verdict, found, advice: advice.to_owned() });
        if name == "directory" && verdict == Verdict::Problem {
            break; // there is nothing to look at
        }
    }
    checks
}

fn looking(dir: &Path, name: &str) -> impl Fn(io::Error) -> Error {
    let path = dir.join(name);
    move |e| Error::io(format_args!("looking at {}", path.display()), e)
}

fn exists(sys: &Sys, path: &Path) -> bool {
    sys.disk.stat(path).is_ok()
}

fn directory(sys: &Sys, dir: &Path) -> Result<Finding> {
    super::open::check_dir(dir, sys)?;
    let is_users = |partition: &TopicPartition| partition.topic != METADATA_TOPIC;
    let partitions = partition_dirs(dir, sys)?.into_iter().filter(is_users).count();
    if !exists(sys, &dir.join(META_PROPERTIES)) {
        let found = format!("{} has no {META_PROPERTIES} and {partitions} partitions", dir.display());
        return Ok((Verdict::Problem, found, "Name a log directory, or make one with 'klog init'."));
    }
    Ok(ok(format!("{} has {partitions} partitions", dir.display())))
}

#[allow(clippy::unnecessary_wraps, reason = "one of a list of checks, others of which may fail")]
fn permissions(sys: &Sys, dir: &Path) -> Result<Finding> {
    for name in [META_PROPERTIES, KLOG_LOCK, SHARED_MEMORY] {
        let path = dir.join(name);
        let denied = |how| sys.disk.open(&path, how).err().is_some_and(|e| e.kind() == io::ErrorKind::PermissionDenied);
        if denied(Open::Read) {
            let found = format!("this user may not read {}", path.display());
            return Ok((Verdict::Problem, found, "Run as the user that the directory belongs to."));
        }
        if exists(sys, &path) && sys.disk.open(&path, Open::ReadWrite).is_err() {
            let found = format!("this user may read the directory and not write {}", path.display());
            return Ok((Verdict::Warning, found, "That is enough to read; to write, run as the directory's user."));
        }
    }
    Ok(ok("this user may read and write"))
}

fn file_system(sys: &Sys, dir: &Path) -> Result<Finding> {
    Ok(match attach::file_system(sys, dir)? {
        (_, Some(name)) => ok(format!("{name}, on which processes share a directory")),
        (magic, None) => (
            Verdict::Warning,
            format!("number {magic:#x}, which is not one of those on which klog shares a directory between processes"),
            "One process at a time may write there; use a local file system to share it.",
        ),
    })
}

/// Locks of the open file are what everything rests on: one that is taken through one descriptor must be seen through another.
fn locks(sys: &Sys, dir: &Path) -> Result<Finding> {
    let path = dir.join(META_PROPERTIES);
    let open = || sys.disk.open(&path, Open::Read).map_err(looking(dir, META_PROPERTIES));
    let (ours, other) = (open()?, open()?);
    let taken = ours.try_lock(NOBODYS_BYTE, LockKind::Shared);
    let seen = other.is_locked(NOBODYS_BYTE, LockKind::Exclusive);
    Ok(match (taken, seen) {
        (Ok(true), Ok(true)) => ok("a lock of one open file is seen by another"),
        (Err(e), _) | (_, Err(e)) => (
            Verdict::Problem,
            format!("the file system refuses locks of open files: {e}"),
            "Mount it with locks, or use a local file system.",
        ),
        _ => (
            Verdict::Problem,
            "a lock of one open file is not seen by another".into(),
            "Two processes would write at once there: use a local file system.",
        ),
    })
}

fn lock_files(sys: &Sys, dir: &Path) -> Result<Finding> {
    let mut missing = Vec::new();
    for name in [BROKER_LOCK, KLOG_LOCK, SHARED_MEMORY] {
        match sys.disk.stat(&dir.join(name)) {
            Ok(stat) if stat.is_dir => {
                let found = format!("{} is a directory", dir.join(name).display());
                return Ok((Verdict::Problem, found, "Remove it: klog makes a file of that name."));
            }
            Ok(_) => {}
            Err(e) if e.kind() == io::ErrorKind::NotFound => missing.push(name),
            Err(e) => return Err(looking(dir, name)(e)),
        }
    }
    if missing.is_empty() {
        return Ok(ok(format!("{BROKER_LOCK}, {KLOG_LOCK} and {SHARED_MEMORY} are there")));
    }
    Ok(ok(format!("{} not there yet; whoever opens the directory for writing makes them", missing.join(" and "))))
}

fn shared_memory(sys: &Sys, dir: &Path) -> Result<Finding> {
    let path = dir.join(SHARED_MEMORY);
    if !exists(sys, &path) {
        return Ok(ok("there is none yet"));
    }
    let control = attach::open_memory(sys, dir, Open::Read).map_err(looking(dir, SHARED_MEMORY))?;
    if let Err(what) = control.check() {
        return Ok(match attach::writers(sys, dir)? {
            attach::Writers::None => ok(format!("{what}; whoever opens the directory next makes it anew")),
            _ => (
                Verdict::Problem,
                format!("{}: {what}", path.display()),
                "Another version of klog has the directory: close it everywhere, or use that version.",
            ),
        });
    }
    if control.instance_in_file().map_err(looking(dir, SHARED_MEMORY))? != control.instance() {
        return Ok((
            Verdict::Problem,
            "what is stored in mapped memory is not seen by who reads the file".into(),
            "The file system cannot be shared: open the directory with klog.exclusive=true, or move it.",
        ));
    }
    if control.is_foreign() && attach::writers(sys, dir)? != attach::Writers::None {
        return Ok((
            Verdict::Problem,
            "a lock file or the shared memory was removed or replaced while the directory is open".into(),
            "Nobody can write any more: close the directory everywhere, then open it again.",
        ));
    }
    Ok(ok(format!("layout {}, {} partitions in use since it was opened", crate::shm::LAYOUT, control.count())))
}

fn processes(sys: &Sys, dir: &Path) -> Result<Finding> {
    let name_of = |id: Uuid, number| TopicPartition::new(id.to_string(), number);
    let named = super::OpenOptions::new().mode(super::Mode::ReadOnly).system(sys.clone()).open(dir);
    let look = || match &named {
        Ok(engine) => engine.cluster().and_then(|cluster| cluster.attached()),
        Err(_) => look(sys, dir, &name_of),
    };
    let first = look()?;
    match &first.sharing {
        Sharing::Nobody => return Ok(ok("nobody has the directory open for writing")),
        Sharing::Shared => {}
        Sharing::Broker => return Ok(ok("a Kafka broker has the directory; klog only reads it meanwhile")),
        Sharing::Alone(who) => {
            let found = format!("the directory is not shared at the moment: {who}");
            return Ok((
                Verdict::Warning,
                found,
                "It is being opened or closed, or was opened with klog.exclusive=true.",
            ));
        }
        Sharing::OtherVersion(what) => {
            let found = format!("another version of klog has the directory: {what}");
            return Ok((Verdict::Problem, found, "Close it everywhere, or use that version."));
        }
    }
    if let Some(stopped) = first.handles.iter().find(|handle| is_stopped(sys, handle)) {
        let verdict = if keeps_others(stopped).next().is_some() { Verdict::Problem } else { Verdict::Warning };
        let found = format!("{} is stopped{}", who(stopped), holding(stopped));
        return Ok((
            verdict,
            found,
            "Let it go on (kill -CONT), or end it: nothing is ever taken from one that lives.",
        ));
    }
    let mut handles = first.handles.iter();
    if handles.any(|handle| keeps_others(handle).next().is_some()) {
        sys.wait.wait(&AtomicU32::new(0), 0, LONG);
        let second = look()?;
        if let Some((holder, what)) = held_since(&first, &second) {
            let found = format!("{} has held {} for a second or longer", who(holder), what.what);
            return Ok((Verdict::Problem, found, "It is stuck, or its disk is: look at it, or end it."));
        }
    }
    let alive = first.handles.iter().filter(|handle| !handle.is_dead).count();
    let programs: Vec<_> = first.handles.iter().filter(|handle| !handle.is_dead).map(who).collect();
    Ok(ok(format!("{alive} attached: {}", programs.join(", "))))
}

fn who(handle: &AttachedHandle) -> String {
    format!("process {} ({})", handle.pid, handle.program)
}

fn holding(handle: &AttachedHandle) -> String {
    let held: Vec<_> = handle.holds.iter().map(|holding| holding.what.to_string()).collect();
    if held.is_empty() { String::new() } else { format!(" and holds {}", held.join(", ")) }
}

/// What it holds that others may wait for.
fn keeps_others(handle: &AttachedHandle) -> impl Iterator<Item = &Holding> {
    handle.holds.iter().filter(|holding| holding.what != super::HeldLock::Housekeeping)
}

/// Numbers of processes mean something in their own namespace only.
fn is_stopped(sys: &Sys, handle: &AttachedHandle) -> bool {
    !handle.is_dead && handle.pid_namespace == sys.pid_namespace() && sys.is_stopped(handle.pid).unwrap_or(false)
}

/// Something that the same handle held at both looks, without having given it back in between as far as can be told.
fn held_since<'a>(first: &Attached, second: &'a Attached) -> Option<(&'a AttachedHandle, &'a Holding)> {
    for handle in second.handles.iter().filter(|handle| !handle.is_dead) {
        let before = first.handles.iter().find(|b| (b.slot, b.generation) == (handle.slot, handle.generation));
        let Some(before) = before else { continue };
        for held in keeps_others(handle) {
            let was_held = before.holds.iter().any(|other| other.what == held.what && other.turn == held.turn);
            if was_held && held.held_ms.is_none_or(|ms| ms >= LONG.as_millis() as i64) {
                return Some((handle, held));
            }
        }
    }
    None
}

#[allow(clippy::unnecessary_wraps, reason = "one of a list of checks, others of which may fail")]
fn clock(sys: &Sys, dir: &Path) -> Result<Finding> {
    const YEAR_2020: i64 = 1_577_836_800_000;
    let now = sys.clock.now();
    let shown = crate::date::iso_date(now);
    if now.0 < YEAR_2020 {
        let found = format!("it is {shown}, says the clock");
        return Ok((Verdict::Problem, found, "Set the clock: records get its time, and retention goes by it."));
    }
    Ok(match newest_checkpoint(sys, dir) {
        Some(newest) if newest.0 > now.0 + 2_000 => (
            Verdict::Problem,
            format!("it is {shown}, and a checkpoint was written at {}", crate::date::iso_date(newest)),
            "The clock went back: set it right before more records get its time.",
        ),
        Some(newest) => ok(format!("it is {shown}; the newest checkpoint is of {}", crate::date::iso_date(newest))),
        None => ok(format!("it is {shown}; there is no checkpoint yet")),
    })
}

fn limits(sys: &Sys, dir: &Path) -> Result<Finding> {
    let shown = |limit: Option<u64>| limit.map_or("no limit".into(), |limit| limit.to_string());
    let partitions = partition_dirs(dir, sys)?.len() as u64;
    let (files, locked, addresses) =
        (sys.limit(Limit::Files), sys.limit(Limit::LockedMemory), sys.limit(Limit::Addresses));
    let found = format!("open files {}, locked memory {}, addresses {}", shown(files), shown(locked), shown(addresses));
    // A log, its two indexes, and one segment that is read; klog's own files; what else a program has.
    if files.is_some_and(|files| files < partitions * 4 + 64) {
        let found = format!("{found}; {partitions} partitions may take {} open files", partitions * 4 + 64);
        return Ok((Verdict::Problem, found, "Raise the limit of open files (ulimit -n)."));
    }
    if addresses.is_some_and(|addresses| addresses < 4 * MAPPED_BYTES as u64) {
        return Ok((Verdict::Problem, found, "Raise the limit of addresses (ulimit -v): the shared memory is mapped."));
    }
    let memory = sys.disk.stat(&dir.join(SHARED_MEMORY)).map_or(0, |stat| stat.len);
    if locked.is_some_and(|locked| locked < memory) {
        let found = format!("{found}; the shared memory has {memory} bytes");
        return Ok((
            Verdict::Warning,
            found,
            "Raise the limit of locked memory (ulimit -l), so that a failing disk cannot take it away.",
        ));
    }
    Ok(ok(found))
}

fn room(sys: &Sys, dir: &Path) -> Result<Finding> {
    let space = sys.disk.space(dir).map_err(looking(dir, ""))?;
    let percent = space.usable * 100 / space.total.max(1);
    let spare = sys.disk.open(&dir.join(SPARE), Open::Read).and_then(|file| file.stat()).map_or(0, |stat| stat.len);
    let has_spare = spare == SPARE_BYTES as u64;
    let reserve = if has_spare { "the reserve is there" } else { "there is no reserve" };
    let found = format!("{} MiB are free ({percent} %), and {reserve}", space.usable >> 20);
    Ok(match space.usable {
        usable if usable < SPARE_BYTES as u64 => (Verdict::Problem, found, "The disk is full: free some space."),
        usable if usable < LITTLE_ROOM => (Verdict::Warning, found, "The disk is nearly full: free some space."),
        _ => ok(found),
    })
}
