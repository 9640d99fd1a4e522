//! Files in memory, with a record of what was written and what was synced.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use super::crash::SECTOR_BYTES;
use crate::sys::bugs::{Bug, is_made};
use crate::sys::{
    AnyClock, Clock, Disk, Entry, File, FileIdentity, LockKind, LockRange, Locks, Mapping, Open, RealClock, SimClock,
    Space, Stat,
};
use crate::types::TimestampMs;

/// A disk in memory. Clones are the same disk, as the same process has it.
#[derive(Clone)]
pub struct SimDisk(Arc<Shared>, Arc<Process>);

/// Who has files of a disk open, and shares memory with others.
#[derive(Default)]
struct Process {
    number: u64,
    is_dead: AtomicBool,
    /// What the memory held that it shared, when it died.
    remains: Mutex<Vec<(Arc<Mapping>, Vec<u64>)>>,
}

/// So much of a shared memory is kept from what a dead process still does to it.
const REMAINS_BYTES: usize = 128 << 10;

struct Shared {
    names: Mutex<Names>,
    /// Set once anything but plain storage is asked for, so that `:memory:` engines do not pay for it.
    watched: AtomicBool,
    watch: Mutex<Watch>,
    clock: AnyClock,
    next_owner: AtomicU64,
    next_process: AtomicU64,
    memory: Mutex<HashMap<PathBuf, Arc<Mapping>>>,
}

/// What is in each directory, by the directory's number. The root is 1.
struct Names {
    dirs: HashMap<u64, BTreeMap<String, Node>>,
    next_id: u64,
}

const ROOT: u64 = 1;

#[derive(Clone)]
enum Node {
    Dir(u64),
    File(Arc<Inode>),
}

struct Inode {
    id: u64,
    content: RwLock<Content>,
    locks: Mutex<Vec<HeldLock>>,
}

#[derive(Default)]
struct Content {
    /// What reads return: the page cache.
    cached: Vec<u8>,
    /// What a power cut would leave at least; kept only on a watched disk.
    synced: Vec<u8>,
    /// Sectors that the next successful sync will write.
    dirty: BTreeSet<u64>,
    modified: i64,
}

struct HeldLock {
    owner: u64,
    process: u64,
    range: LockRange,
    kind: LockKind,
}

#[derive(Default)]
struct Watch {
    record: Option<Vec<Event>>,
    faults: Vec<Fault>,
    calls: u64,
    capacity: Option<u64>,
    used: u64,
}

/// A change of the disk, in the order in which it was made.
#[derive(Clone, Debug)]
pub enum Event {
    /// Names of a directory were given or taken; all of them together or none.
    Names {
        /// The directory.
        dir: u64,
        /// Each name, with the file or directory (`true`) it now means.
        changes: Vec<(String, Option<(u64, bool)>)>,
    },
    /// Bytes were written.
    Write {
        /// The file.
        file: u64,
        /// Where.
        position: u64,
        /// What.
        bytes: Vec<u8>,
    },
    /// The file was cut or extended.
    SetLen {
        /// The file.
        file: u64,
        /// Its new size.
        len: u64,
    },
    /// The file's content was synced, or, with `false`, that failed.
    Sync {
        /// The file.
        file: u64,
        /// Whether it worked.
        ok: bool,
    },
    /// The names in a directory were synced.
    SyncDir {
        /// The directory.
        dir: u64,
    },
    /// Something that the test wants to find again: an acknowledgement.
    Note(u64),
}

/// A call that is to fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The number of the call, counted from 1 since the disk was first watched.
    pub call: u64,
    /// What happens to it.
    pub kind: FaultKind,
    /// Whether every later call fails as well.
    pub persistent: bool,
}

/// The ways in which a call fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// The system refuses with this `errno`.
    Errno(i32),
    /// Half of the bytes are read or written.
    Short,
    /// The thread panics, before anything is done: it dies in the middle of what it was at.
    Death,
    /// As [`SimDisk::kill`], and then the thread panics.
    Kill,
}

impl Default for SimDisk {
    fn default() -> Self {
        SimDisk::with_clock(AnyClock::Real(RealClock))
    }
}

impl fmt::Debug for SimDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimDisk").field("dirs", &self.names().dirs.len()).finish_non_exhaustive()
    }
}

fn os_error(code: i32) -> io::Error {
    io::Error::from_raw_os_error(code)
}

impl SimDisk {
    /// An empty disk whose files are dated by `clock`.
    pub fn new(clock: SimClock) -> Self {
        SimDisk::with_clock(AnyClock::Simulated(clock))
    }

    fn with_clock(clock: AnyClock) -> Self {
        let dirs = HashMap::from([(ROOT, BTreeMap::new())]);
        let shared = Arc::new(Shared {
            names: Mutex::new(Names { dirs, next_id: ROOT + 1 }),
            watched: AtomicBool::new(false),
            watch: Mutex::new(Watch::default()),
            clock,
            next_owner: AtomicU64::new(1),
            next_process: AtomicU64::new(1),
            memory: Mutex::default(),
        });
        SimDisk(shared, Arc::default())
    }

    /// The same disk as another process has it, which dies by itself.
    #[must_use]
    pub fn for_another_process(&self) -> SimDisk {
        let number = self.0.next_process.fetch_add(1, Ordering::Relaxed);
        SimDisk(self.0.clone(), Arc::new(Process { number, ..Process::default() }))
    }

    /// The process dies: its locks are free, and it changes no file any more. What its engines do while they are dropped is
    /// undone by [`bury`](Self::bury), before anybody else runs.
    pub fn kill(&self) {
        let process = &self.1;
        if process.is_dead.swap(true, Ordering::SeqCst) {
            return;
        }
        for inode in self.files() {
            let mut locks = inode.locks.lock().unwrap_or_else(PoisonError::into_inner);
            locks.retain(|held| held.process != process.number);
        }
        let shared = self.0.memory.lock().unwrap_or_else(PoisonError::into_inner);
        let words = |memory: &Mapping| {
            let places = (0..REMAINS_BYTES.min(memory.len())).step_by(8);
            places.map(|at| memory.word(at).load(Ordering::SeqCst)).collect()
        };
        let remains = shared.values().map(|memory| (memory.clone(), words(memory))).collect();
        *process.remains.lock().unwrap_or_else(PoisonError::into_inner) = remains;
    }

    /// Whether the process has died.
    pub fn is_dead(&self) -> bool {
        self.1.is_dead.load(Ordering::Relaxed)
    }

    /// Makes the memory that a dead process shared what it was when it died: nothing ran in it afterwards.
    pub fn bury(&self) {
        for (memory, words) in std::mem::take(&mut *self.1.remains.lock().unwrap_or_else(PoisonError::into_inner)) {
            for (index, word) in words.into_iter().enumerate() {
                memory.word(index * 8).store(word, Ordering::SeqCst);
            }
        }
    }

    /// Memory that processes share under a name, if any does: for tests that look into it.
    pub fn shared_memory(&self, path: &Path) -> Option<Arc<Mapping>> {
        self.0.memory.lock().unwrap_or_else(PoisonError::into_inner).get(path).cloned()
    }

    /// Begins to record changes. What is there counts as synced.
    pub fn record(&self) {
        self.watch_it().record = Some(Vec::new());
    }

    /// Takes the record so far and goes on recording.
    pub fn take_record(&self) -> Vec<Event> {
        self.watch_it().record.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// How many changes are recorded.
    pub fn recorded(&self) -> usize {
        self.watch_it().record.as_ref().map_or(0, Vec::len)
    }

    /// Puts a note into the record.
    pub fn note(&self, note: u64) {
        self.write_down(|| Event::Note(note));
    }

    /// Plans a fault; those planned before stay.
    pub fn fail(&self, fault: Fault) {
        self.watch_it().faults.push(fault);
    }

    /// Forgets all planned faults.
    pub fn heal(&self) {
        self.watch_it().faults.clear();
    }

    /// How many calls were made since the disk was first watched.
    pub fn calls(&self) -> u64 {
        self.watch_it().calls
    }

    /// Lets the disk run full at so many bytes; `None` makes it endless again.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        let used = self.used();
        let mut watch = self.watch_it();
        watch.capacity = bytes;
        watch.used = used;
    }

    /// Bytes in all files.
    pub fn used(&self) -> u64 {
        self.files().iter().map(|inode| inode.read().cached.len() as u64).sum()
    }

    /// A number that differs, most likely, when names or contents differ.
    pub fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        let names = self.names();
        let mut dirs = vec![ROOT];
        while let Some(dir) = dirs.pop() {
            for (name, node) in &names.dirs[&dir] {
                name.hash(&mut hasher);
                match node {
                    Node::Dir(id) => dirs.push(*id),
                    Node::File(inode) => inode.read().cached.hash(&mut hasher),
                }
            }
        }
        hasher.finish()
    }

    /// An independent disk with the same names and contents, all of it synced.
    #[must_use]
    pub fn duplicate(&self) -> SimDisk {
        let copy = SimDisk::with_clock(self.0.clock.clone());
        let names = self.names();
        {
            let mut copied = copy.names();
            copied.next_id = names.next_id;
            for (dir, nodes) in &names.dirs {
                let copy_node = |(name, node): (&String, &Node)| match node {
                    Node::Dir(id) => (name.clone(), Node::Dir(*id)),
                    Node::File(inode) => {
                        let content = inode.read();
                        (name.clone(), Node::File(Inode::with(inode.id, content.cached.clone(), content.modified)))
                    }
                };
                copied.dirs.insert(*dir, nodes.iter().map(copy_node).collect());
            }
        }
        drop(names);
        copy
    }

    /// Changes a file behind everybody's back: bad media, or a person with an editor.
    pub fn tamper(&self, path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
        if let Ok(Some(Node::File(inode))) = self.names().find(path) {
            let mut content = inode.content.write().unwrap_or_else(PoisonError::into_inner);
            change(&mut content.cached);
            let content = &mut *content;
            content.synced.clone_from(&content.cached);
        }
    }

    /// Paths of all files.
    pub fn paths(&self) -> Vec<PathBuf> {
        let mut paths: Vec<_> =
            self.snapshot().into_iter().filter(|(_, _, bytes)| bytes.is_some()).map(|(path, _, _)| path).collect();
        paths.sort();
        paths
    }

    /// Puts a file there, with its directories, as synced content.
    pub fn put(&self, path: &Path, bytes: Vec<u8>) {
        let dir = self.put_dir(path.parent().unwrap_or(Path::new("/")));
        let now = self.0.clock.now().0;
        let mut names = self.names();
        let id = names.take_id();
        names.entries(dir).insert(file_name(path), Node::File(Inode::with(id, bytes, now)));
    }

    /// Makes a directory, with those above it, and says its number.
    pub fn put_dir(&self, path: &Path) -> u64 {
        let mut names = self.names();
        let mut dir = ROOT;
        for part in parts(path) {
            dir = match names.entries(dir).get(part) {
                Some(Node::Dir(id)) => *id,
                _ => {
                    let id = names.take_id();
                    names.entries(dir).insert(part.to_owned(), Node::Dir(id));
                    names.dirs.insert(id, BTreeMap::new());
                    id
                }
            };
        }
        dir
    }

    /// Puts a file into a directory whose number is known.
    pub(super) fn put_into(&self, dir: u64, name: &str, bytes: Vec<u8>) {
        let now = self.0.clock.now().0;
        let mut names = self.names();
        let id = names.take_id();
        names.entries(dir).insert(name.to_owned(), Node::File(Inode::with(id, bytes, now)));
    }

    /// Makes a directory in one whose number is known.
    pub(super) fn put_dir_into(&self, dir: u64, name: &str) -> u64 {
        let mut names = self.names();
        let id = names.take_id();
        names.entries(dir).insert(name.to_owned(), Node::Dir(id));
        names.dirs.insert(id, BTreeMap::new());
        id
    }

    /// Every directory and file with its number: what [`super::CrashModel`] starts from.
    pub(super) fn snapshot(&self) -> Vec<(PathBuf, u64, Option<Vec<u8>>)> {
        let names = self.names();
        let mut found = vec![(PathBuf::from("/"), ROOT, None)];
        let mut dirs = vec![(ROOT, PathBuf::from("/"))];
        while let Some((dir, path)) = dirs.pop() {
            for (name, node) in &names.dirs[&dir] {
                let path = path.join(name);
                match node {
                    Node::Dir(id) => {
                        dirs.push((*id, path.clone()));
                        found.push((path, *id, None));
                    }
                    Node::File(inode) => found.push((path, inode.id, Some(inode.read().cached.clone()))),
                }
            }
        }
        found
    }

    pub(super) fn clock(&self) -> AnyClock {
        self.0.clock.clone()
    }

    pub(super) fn of_clock(clock: AnyClock) -> SimDisk {
        SimDisk::with_clock(clock)
    }

    fn names(&self) -> MutexGuard<'_, Names> {
        self.0.names.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn files(&self) -> Vec<Arc<Inode>> {
        let names = self.names();
        let files = names.dirs.values().flat_map(BTreeMap::values).filter_map(|node| match node {
            Node::File(inode) => Some(inode.clone()),
            Node::Dir(_) => None,
        });
        files.collect()
    }

    fn watch_it(&self) -> MutexGuard<'_, Watch> {
        if !self.0.watched.swap(true, Ordering::SeqCst) {
            for inode in self.files() {
                let mut content = inode.content.write().unwrap_or_else(PoisonError::into_inner);
                let content = &mut *content;
                content.synced.clone_from(&content.cached);
            }
        }
        self.0.watch.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_watched(&self) -> bool {
        self.0.watched.load(Ordering::Relaxed)
    }

    fn write_down(&self, event: impl FnOnce() -> Event) {
        if self.is_watched()
            && let Some(record) = self.watch_it().record.as_mut()
        {
            record.push(event());
        }
    }

    /// As [`transfer`](Self::transfer), for calls that a signal does not interrupt: the real system repeats them itself.
    fn call(&self) -> io::Result<()> {
        match self.transfer() {
            Err(e) if e.kind() != io::ErrorKind::Interrupted => Err(e),
            _ => Ok(()),
        }
    }

    /// Counts a call; fails it if that was planned. `true`: do half of it.
    fn transfer(&self) -> io::Result<bool> {
        if self.is_dead() {
            return Err(os_error(libc::ESRCH));
        }
        if !self.is_watched() {
            return Ok(false);
        }
        let mut watch = self.watch_it();
        watch.calls += 1;
        let number = watch.calls;
        let hit = watch.faults.iter().find(|fault| fault.call == number || (fault.persistent && fault.call < number));
        match hit.map(|fault| fault.kind) {
            None => Ok(false),
            Some(FaultKind::Short) => Ok(true),
            Some(FaultKind::Errno(code)) => Err(os_error(code)),
            // A thread that dies already gives its locks back on the way.
            Some(FaultKind::Death | FaultKind::Kill) if std::thread::panicking() => Ok(false),
            Some(kind @ (FaultKind::Death | FaultKind::Kill)) => {
                drop(watch);
                if kind == FaultKind::Kill {
                    self.kill();
                }
                panic!("a planned death at call {number}");
            }
        }
    }

    /// How much of a growth by `bytes` fits on the disk.
    fn reserve(&self, bytes: u64) -> u64 {
        if !self.is_watched() {
            return bytes;
        }
        let mut watch = self.watch_it();
        let Some(capacity) = watch.capacity else { return bytes };
        let fits = bytes.min(capacity.saturating_sub(watch.used));
        watch.used += fits;
        fits
    }

    fn give_back(&self, bytes: u64) {
        if self.is_watched() {
            let mut watch = self.watch_it();
            watch.used = watch.used.saturating_sub(bytes);
        }
    }
}

impl Names {
    fn take_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id - 1
    }

    /// What is in a directory.
    fn entries(&mut self, dir: u64) -> &mut BTreeMap<String, Node> {
        self.dirs.entry(dir).or_default()
    }

    /// What a name means; the error when something on the way is no directory.
    fn find(&self, path: &Path) -> io::Result<Option<Node>> {
        let mut node = Node::Dir(ROOT);
        for part in parts(path) {
            let Node::Dir(dir) = node else { return Err(os_error(libc::ENOTDIR)) };
            match self.dirs.get(&dir).and_then(|entries| entries.get(part)) {
                Some(found) => node = found.clone(),
                None => return Ok(None),
            }
        }
        Ok(Some(node))
    }

    fn existing(&self, path: &Path) -> io::Result<Node> {
        self.find(path)?.ok_or_else(|| os_error(libc::ENOENT))
    }

    /// The directory that a name is in.
    fn parent(&self, path: &Path) -> io::Result<u64> {
        match self.existing(path.parent().unwrap_or(Path::new("/")))? {
            Node::Dir(id) => Ok(id),
            Node::File(_) => Err(os_error(libc::ENOTDIR)),
        }
    }

    fn is_empty(&self, dir: u64) -> bool {
        self.dirs.get(&dir).is_none_or(BTreeMap::is_empty)
    }
}

impl Inode {
    fn with(id: u64, bytes: Vec<u8>, modified: i64) -> Arc<Inode> {
        let content = Content { synced: bytes.clone(), cached: bytes, modified, ..Content::default() };
        Arc::new(Inode { id, content: RwLock::new(content), locks: Mutex::default() })
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, Content> {
        self.content.read().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The names on the way from the root to `path`. klog asks for no path with dots in it.
fn parts(path: &Path) -> impl Iterator<Item = &str> {
    path.to_str().unwrap_or_default().split('/').filter(|part| !part.is_empty() && *part != ".")
}

fn file_name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

impl Disk for SimDisk {
    type File = SimFile;

    fn open(&self, path: &Path, how: Open) -> io::Result<SimFile> {
        self.call()?;
        let mut names = self.names();
        let inode = match names.find(path)? {
            Some(Node::Dir(_)) => return Err(os_error(libc::EISDIR)),
            Some(Node::File(_)) if how == Open::CreateNew => return Err(os_error(libc::EEXIST)),
            Some(Node::File(inode)) => inode,
            None if matches!(how, Open::Read | Open::ReadWrite) => return Err(os_error(libc::ENOENT)),
            None => {
                let dir = names.parent(path)?;
                let id = names.take_id();
                let inode = Inode::with(id, Vec::new(), self.0.clock.now().0);
                names.entries(dir).insert(file_name(path), Node::File(inode.clone()));
                self.write_down(|| Event::Names { dir, changes: vec![(file_name(path), Some((id, false)))] });
                inode
            }
        };
        let owner = self.0.next_owner.fetch_add(1, Ordering::Relaxed);
        Ok(SimFile { disk: self.clone(), inode, owner, writable: how != Open::Read })
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.call()?;
        let mut names = self.names();
        let dir = names.parent(from)?;
        if names.parent(to)? != dir {
            return Err(os_error(libc::EXDEV)); // klog never moves a file to another directory
        }
        let node = names.existing(from)?;
        match (&node, names.find(to)?) {
            (Node::Dir(_), Some(Node::File(_))) => return Err(os_error(libc::ENOTDIR)),
            (Node::File(_), Some(Node::Dir(_))) => return Err(os_error(libc::EISDIR)),
            (Node::Dir(_), Some(Node::Dir(other))) if !names.is_empty(other) => return Err(os_error(libc::ENOTEMPTY)),
            _ => {}
        }
        names.entries(dir).remove(&file_name(from));
        if let Some(Node::File(replaced)) = names.entries(dir).insert(file_name(to), node.clone()) {
            self.give_back(replaced.read().cached.len() as u64);
        }
        let meaning = match node {
            Node::Dir(id) => (id, true),
            Node::File(inode) => (inode.id, false),
        };
        self.write_down(|| Event::Names {
            dir,
            changes: vec![(file_name(from), None), (file_name(to), Some(meaning))],
        });
        Ok(())
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.call()?;
        let mut names = self.names();
        match names.existing(path)? {
            Node::File(inode) => self.give_back(inode.read().cached.len() as u64),
            Node::Dir(_) => return Err(os_error(libc::EISDIR)),
        }
        let dir = names.parent(path)?;
        names.entries(dir).remove(&file_name(path));
        self.write_down(|| Event::Names { dir, changes: vec![(file_name(path), None)] });
        Ok(())
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.call()?;
        let mut names = self.names();
        if names.find(path)?.is_some() {
            return Err(os_error(libc::EEXIST));
        }
        let dir = names.parent(path)?;
        let id = names.take_id();
        names.entries(dir).insert(file_name(path), Node::Dir(id));
        names.dirs.insert(id, BTreeMap::new());
        self.write_down(|| Event::Names { dir, changes: vec![(file_name(path), Some((id, true)))] });
        Ok(())
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        self.call()?;
        let mut names = self.names();
        match names.existing(path)? {
            Node::Dir(id) if !names.is_empty(id) => return Err(os_error(libc::ENOTEMPTY)),
            Node::Dir(_) => {}
            Node::File(_) => return Err(os_error(libc::ENOTDIR)),
        }
        let dir = names.parent(path)?;
        names.entries(dir).remove(&file_name(path));
        self.write_down(|| Event::Names { dir, changes: vec![(file_name(path), None)] });
        Ok(())
    }

    fn list(&self, path: &Path) -> io::Result<Vec<Entry>> {
        self.call()?;
        let names = self.names();
        let Node::Dir(id) = names.existing(path)? else { return Err(os_error(libc::ENOTDIR)) };
        let entry = |(name, node): (&String, &Node)| Entry { name: name.clone(), is_dir: matches!(node, Node::Dir(_)) };
        Ok(names.dirs.get(&id).into_iter().flatten().map(entry).collect())
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.call()?;
        match self.names().existing(path)? {
            Node::Dir(_) if is_made(Bug::NoDirectorySync) => Ok(()),
            Node::Dir(id) => {
                self.write_down(|| Event::SyncDir { dir: id });
                Ok(())
            }
            Node::File(_) => Err(os_error(libc::ENOTDIR)),
        }
    }

    fn space(&self, _path: &Path) -> io::Result<Space> {
        self.call()?;
        let used = self.used();
        let total = self.watch_it().capacity.unwrap_or(u64::MAX);
        Ok(Space { total, usable: total.saturating_sub(used) })
    }

    fn stat(&self, path: &Path) -> io::Result<Stat> {
        self.call()?;
        match self.names().existing(path)? {
            Node::Dir(id) => Ok(Stat { len: 0, modified: TimestampMs(0), identity: identity(id), is_dir: true }),
            Node::File(inode) => Ok(inode.stat()),
        }
    }

    fn file_system(&self, _path: &Path) -> io::Result<i64> {
        Ok(libc::TMPFS_MAGIC)
    }

    /// Memory beside the files: it is gone with a power cut, as its content is on a real disk for all that anybody may
    /// believe of it.
    fn share(&self, path: &Path, how: Open, len: usize) -> io::Result<Arc<Mapping>> {
        let mut shared = self.0.memory.lock().unwrap_or_else(PoisonError::into_inner);
        match shared.get(path) {
            Some(found) => Ok(found.clone()),
            None if matches!(how, Open::Read | Open::ReadWrite) => Err(os_error(libc::ENOENT)),
            None => {
                let made = Arc::new(Mapping::private(len)?);
                shared.insert(path.to_path_buf(), made.clone());
                Ok(made)
            }
        }
    }
}

fn identity(inode: u64) -> FileIdentity {
    FileIdentity { device: 1, inode }
}

impl Inode {
    fn stat(&self) -> Stat {
        let content = self.read();
        Stat {
            len: content.cached.len() as u64,
            modified: TimestampMs(content.modified),
            identity: identity(self.id),
            is_dir: false,
        }
    }
}

/// An open file of a [`SimDisk`].
pub struct SimFile {
    disk: SimDisk,
    inode: Arc<Inode>,
    owner: u64,
    writable: bool,
}

impl fmt::Debug for SimFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimFile").field("inode", &self.inode.id).finish_non_exhaustive()
    }
}

impl SimFile {
    fn change<T>(&self, change: impl FnOnce(&mut Content) -> T) -> io::Result<T> {
        if !self.writable {
            return Err(os_error(libc::EBADF));
        }
        let mut content = self.inode.content.write().unwrap_or_else(PoisonError::into_inner);
        content.modified = self.disk.0.clock.now().0;
        Ok(change(&mut content))
    }

    fn mark_dirty(&self, content: &mut Content, from: u64, to: u64) {
        if self.disk.is_watched() && to > from {
            let sector = SECTOR_BYTES as u64;
            content.dirty.extend(from / sector..=(to - 1) / sector);
        }
    }
}

impl File for SimFile {
    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        let half = self.disk.transfer()?;
        let content = self.inode.read();
        let available = content.cached.get(position as usize..).unwrap_or_default();
        let mut count = available.len().min(buffer.len());
        if half && count > 1 {
            count /= 2;
        }
        buffer[..count].copy_from_slice(&available[..count]);
        Ok(count)
    }

    fn write_at(&self, bytes: &[u8], position: u64) -> io::Result<usize> {
        let half = self.disk.transfer()?;
        let mut bytes = if half && bytes.len() > 1 { &bytes[..bytes.len() / 2] } else { bytes };
        self.change(|content| {
            let old_len = content.cached.len() as u64;
            let growth = (position + bytes.len() as u64).saturating_sub(old_len);
            let fits = self.disk.reserve(growth);
            if fits < growth {
                let cut = (growth - fits) as usize;
                if cut >= bytes.len() {
                    self.disk.give_back(fits);
                    return Err(os_error(libc::ENOSPC));
                }
                bytes = &bytes[..bytes.len() - cut];
            }
            let end = position as usize + bytes.len();
            if content.cached.len() < end {
                content.cached.resize(end, 0);
            }
            content.cached[position as usize..end].copy_from_slice(bytes);
            self.mark_dirty(content, old_len.min(position), end as u64);
            self.disk.write_down(|| Event::Write { file: self.inode.id, position, bytes: bytes.to_vec() });
            Ok(bytes.len())
        })?
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.disk.call()?;
        self.change(|content| {
            let old = content.cached.len() as u64;
            if len > old {
                if self.disk.reserve(len - old) < len - old {
                    return Err(os_error(libc::ENOSPC));
                }
            } else {
                self.disk.give_back(old - len);
            }
            content.cached.resize(len as usize, 0);
            self.mark_dirty(content, old.min(len), old.max(len));
            self.disk.write_down(|| Event::SetLen { file: self.inode.id, len });
            Ok(())
        })?
    }

    fn sync_data(&self) -> io::Result<()> {
        let result = self.disk.call();
        if !self.disk.is_watched() || self.disk.is_dead() {
            return result;
        }
        let mut content = self.inode.content.write().unwrap_or_else(PoisonError::into_inner);
        let content = &mut *content;
        let dirty = std::mem::take(&mut content.dirty);
        let ok = result.is_ok();
        if ok {
            content.synced.resize(content.cached.len(), 0);
            for sector in dirty {
                let from = (sector as usize * SECTOR_BYTES).min(content.cached.len());
                let to = (from + SECTOR_BYTES).min(content.cached.len());
                content.synced[from..to].copy_from_slice(&content.cached[from..to]);
            }
        }
        // After a failure the kernel calls the pages clean: a later sync will not write them.
        self.disk.write_down(|| Event::Sync { file: self.inode.id, ok });
        result
    }

    fn stat(&self) -> io::Result<Stat> {
        self.disk.call()?;
        Ok(self.inode.stat())
    }

    fn drop_cache(&self, position: u64, len: u64) -> io::Result<()> {
        self.disk.call()?;
        if !self.disk.is_watched() {
            return Ok(());
        }
        let mut content = self.inode.content.write().unwrap_or_else(PoisonError::into_inner);
        let content = &mut *content;
        let end = if len == 0 { content.cached.len() as u64 } else { position + len };
        for sector in position / SECTOR_BYTES as u64..end.div_ceil(SECTOR_BYTES as u64) {
            if content.dirty.contains(&sector) {
                continue;
            }
            let from = (sector as usize * SECTOR_BYTES).min(content.cached.len());
            let to = (from + SECTOR_BYTES).min(content.cached.len());
            for at in from..to {
                content.cached[at] = content.synced.get(at).copied().unwrap_or(0);
            }
        }
        Ok(())
    }
}

fn overlap(a: LockRange, b: LockRange) -> bool {
    let end = |range: LockRange| {
        if range.len == 0 { u64::MAX } else { range.start + range.len }
    };
    a.start < end(b) && b.start < end(a)
}

impl SimFile {
    fn conflict(&self, locks: &[HeldLock], range: LockRange, kind: LockKind) -> bool {
        locks.iter().any(|held| {
            held.owner != self.owner
                && overlap(held.range, range)
                && (held.kind == LockKind::Exclusive || kind == LockKind::Exclusive)
        })
    }
}

impl Locks for SimFile {
    fn try_lock(&self, range: LockRange, kind: LockKind) -> io::Result<bool> {
        self.disk.call()?;
        let mut locks = self.inode.locks.lock().unwrap_or_else(PoisonError::into_inner);
        if self.conflict(&locks, range, kind) {
            return Ok(false);
        }
        locks.retain(|held| held.owner != self.owner || held.range != range);
        locks.push(HeldLock { owner: self.owner, process: self.disk.1.number, range, kind });
        Ok(true)
    }

    fn unlock(&self, range: LockRange) -> io::Result<()> {
        // One may die there, but a lock is given back whatever the disk does.
        let called = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| self.disk.call()));
        let mut locks = self.inode.locks.lock().unwrap_or_else(PoisonError::into_inner);
        locks.retain(|held| held.owner != self.owner || !overlap(held.range, range));
        drop(locks);
        called.map_or_else(|death| std::panic::resume_unwind(death), |_| Ok(()))
    }

    fn is_locked(&self, range: LockRange, kind: LockKind) -> io::Result<bool> {
        self.disk.call()?;
        let locks = self.inode.locks.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(self.conflict(&locks, range, kind))
    }
}

impl Drop for SimFile {
    fn drop(&mut self) {
        let mut locks = self.inode.locks.lock().unwrap_or_else(PoisonError::into_inner);
        locks.retain(|held| held.owner != self.owner);
    }
}
