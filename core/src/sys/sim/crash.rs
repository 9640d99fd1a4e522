//! Every state that a power cut may leave behind.
//!
//! The model is the pessimistic reading of POSIX. Of what was not synced, each 512-byte sector may hold any version that
//! it had since the last sync, each independently; the size may have any of its values, with zeros where no data came
//! down; each change of a directory may have reached the disk or not, independently, until the directory is synced; a
//! synced file does not have a synced name. After a failed sync the sectors concerned stay in doubt for ever, or until
//! they are written again.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::path::PathBuf;

use super::disk::{Event, SimDisk};
use super::time::SimRandom;

/// What a disk writes at once.
pub const SECTOR_BYTES: usize = 512;

/// The disk as it may be found, followed through a record of [`Event`]s.
#[derive(Clone, Debug)]
pub struct CrashModel {
    clock: crate::sys::AnyClock,
    files: HashMap<u64, ModelFile>,
    dirs: HashMap<u64, ModelDir>,
}

#[derive(Clone, Debug, Default)]
struct ModelFile {
    synced: Vec<u8>,
    current: Vec<u8>,
    /// Contents that a sector had since it was last synced, oldest first.
    versions: BTreeMap<u64, Vec<Vec<u8>>>,
    /// As `versions`, for sectors whose sync failed.
    doubtful: BTreeMap<u64, Vec<Vec<u8>>>,
    lens: Vec<u64>,
}

#[derive(Clone, Debug, Default)]
struct ModelDir {
    synced: BTreeMap<String, (u64, bool)>,
    pending: Vec<NameChanges>,
}

/// Names that are given, with the file or directory (`true`) they mean, or taken: all together or none.
type NameChanges = Vec<(String, Option<(u64, bool)>)>;

const ROOT: u64 = 1;

/// All states after one moment: every set of names that may have come down, with every content that each file in it may
/// have. Sets and contents that look alike count once.
#[derive(Debug)]
pub struct CrashStates {
    clock: crate::sys::AnyClock,
    trees: Vec<Tree>,
    /// How many states come before each tree.
    before: Vec<u128>,
    contents: HashMap<u64, Vec<Vec<u8>>>,
    total: u128,
    is_complete: bool,
}

/// Directories and files of one state: the index of the directory, the name, and the file's number.
type Tree = Vec<(usize, String, Option<u64>)>;

/// One state, as the choices that make it: the tree, then the content of each of its files. For messages of failing tests.
pub type Crash = Vec<usize>;

/// Beyond so many pending names, or so many contents of one file, only some are looked at.
const MOST_NAMES: usize = 12;
const MOST_CONTENTS: usize = 512;

impl CrashModel {
    /// Starts from what is on `disk`, all of it synced.
    pub fn of(disk: &SimDisk) -> Self {
        let mut model = CrashModel { clock: disk.clock(), files: HashMap::new(), dirs: HashMap::new() };
        let snapshot = disk.snapshot();
        let dir_ids: HashMap<PathBuf, u64> =
            snapshot.iter().filter(|(_, _, bytes)| bytes.is_none()).map(|(path, id, _)| (path.clone(), *id)).collect();
        for (path, id, bytes) in snapshot {
            let is_dir = bytes.is_none();
            match bytes {
                None => drop(model.dirs.entry(id).or_default()),
                Some(bytes) => {
                    let file = ModelFile { synced: bytes.clone(), current: bytes, ..ModelFile::default() };
                    model.files.insert(id, file);
                }
            }
            if let (Some(parent), Some(name)) = (path.parent(), path.file_name()) {
                let parent = model.dirs.entry(dir_ids[parent]).or_default();
                parent.synced.insert(name.to_string_lossy().into_owned(), (id, is_dir));
            }
        }
        model
    }

    /// Follows one change.
    pub fn apply(&mut self, event: &Event) {
        match event {
            Event::Note(_) => {}
            Event::Names { dir, changes } => {
                for (id, is_dir) in changes.iter().filter_map(|(_, node)| *node) {
                    if is_dir {
                        self.dirs.entry(id).or_default();
                    } else {
                        self.files.entry(id).or_default();
                    }
                }
                self.dirs.entry(*dir).or_default().pending.push(changes.clone());
            }
            Event::Write { file, position, bytes } => self.file(*file).write(*position as usize, bytes),
            Event::SetLen { file, len } => self.file(*file).set_len(*len as usize),
            Event::Sync { file, ok } => self.file(*file).sync(*ok),
            Event::SyncDir { dir } => {
                let dir = self.dirs.entry(*dir).or_default();
                for change in std::mem::take(&mut dir.pending) {
                    apply_names(&mut dir.synced, &change);
                }
            }
        }
    }

    fn file(&mut self, id: u64) -> &mut ModelFile {
        self.files.entry(id).or_default()
    }

    /// What a power cut at this moment may leave. Where that is too much to list, a selection that `random` makes.
    pub fn states(&self, random: &SimRandom) -> CrashStates {
        let pending: Vec<(u64, usize)> = self.pending_names();
        let mut is_complete = pending.len() <= MOST_NAMES;
        let mut trees = HashSet::new();
        for subset in 0..1u64 << pending.len().min(MOST_NAMES) {
            let subset = if is_complete { subset } else { random.next() };
            let mut chosen: HashMap<u64, Vec<usize>> = HashMap::new();
            for (_, (dir, change)) in pending.iter().enumerate().filter(|(bit, _)| subset >> (bit % 64) & 1 == 1) {
                chosen.entry(*dir).or_default().push(*change);
            }
            trees.insert(self.tree(&chosen));
        }
        let mut trees: Vec<Tree> = trees.into_iter().collect();
        trees.sort();
        let mut contents = HashMap::new();
        for id in trees.iter().flatten().filter_map(|(_, _, file)| *file) {
            contents.entry(id).or_insert_with(|| match self.files.get(&id) {
                Some(file) => file.contents(random, &mut is_complete),
                None => vec![Vec::new()],
            });
        }
        let mut total = 0u128;
        let mut before = Vec::new();
        for tree in &trees {
            before.push(total);
            let files = tree.iter().filter_map(|(_, _, file)| *file);
            total =
                total.saturating_add(files.fold(1, |product, id| product.saturating_mul(contents[&id].len() as u128)));
        }
        CrashStates { clock: self.clock.clone(), trees, before, contents, total, is_complete }
    }

    /// Changes of names that may or may not have come down, in directories that may be there.
    fn pending_names(&self) -> Vec<(u64, usize)> {
        let mut pending = Vec::new();
        let mut dirs = vec![ROOT];
        let mut seen = BTreeSet::new();
        while let Some(id) = dirs.pop() {
            let Some(dir) = self.dirs.get(&id).filter(|_| seen.insert(id)) else { continue };
            pending.extend((0..dir.pending.len()).map(|change| (id, change)));
            let changed = dir.pending.iter().flatten().filter_map(|(_, node)| node.as_ref());
            dirs.extend(dir.synced.values().chain(changed).filter(|(_, is_dir)| *is_dir).map(|(child, _)| *child));
        }
        pending
    }

    fn tree(&self, chosen: &HashMap<u64, Vec<usize>>) -> Tree {
        let mut tree = Tree::new();
        let mut dirs = vec![(ROOT, 0)];
        let mut count = 1;
        while let Some((id, index)) = dirs.pop() {
            let Some(dir) = self.dirs.get(&id) else { continue };
            let mut names = dir.synced.clone();
            for change in chosen.get(&id).into_iter().flatten() {
                apply_names(&mut names, &dir.pending[*change]);
            }
            for (name, (child, is_dir)) in names {
                tree.push((index, name, (!is_dir).then_some(child)));
                if is_dir {
                    dirs.push((child, count));
                    count += 1;
                }
            }
        }
        tree
    }
}

fn apply_names(names: &mut BTreeMap<String, (u64, bool)>, change: &[(String, Option<(u64, bool)>)]) {
    for (name, node) in change {
        match node {
            Some(node) => drop(names.insert(name.clone(), *node)),
            None => drop(names.remove(name)),
        }
    }
}

impl ModelFile {
    fn touch(&mut self, from: usize, to: usize) {
        for sector in from / SECTOR_BYTES..to.div_ceil(SECTOR_BYTES) {
            let now = self.sector_now(sector);
            let versions = self.versions.entry(sector as u64).or_default();
            if let Some(doubtful) = self.doubtful.remove(&(sector as u64)) {
                versions.splice(0..0, doubtful);
            }
            if versions.last() != Some(&now) {
                versions.push(now);
            }
        }
    }

    fn sector_now(&self, sector: usize) -> Vec<u8> {
        let from = (sector * SECTOR_BYTES).min(self.current.len());
        let mut bytes = self.current[from..(from + SECTOR_BYTES).min(self.current.len())].to_vec();
        bytes.resize(SECTOR_BYTES, 0);
        bytes
    }

    fn note_len(&mut self) {
        let len = self.current.len() as u64;
        if self.lens.last().copied().unwrap_or(self.synced.len() as u64) != len {
            self.lens.push(len);
        }
    }

    fn write(&mut self, position: usize, bytes: &[u8]) {
        let end = position + bytes.len();
        if self.current.len() < end {
            self.current.resize(end, 0);
        }
        self.current[position..end].copy_from_slice(bytes);
        self.touch(position, end);
        self.note_len();
    }

    fn set_len(&mut self, len: usize) {
        let old = self.current.len();
        self.current.resize(len, 0);
        if len < old && !len.is_multiple_of(SECTOR_BYTES) {
            self.touch(len, len + 1);
        }
        self.note_len();
    }

    fn sync(&mut self, ok: bool) {
        if !ok {
            let versions = std::mem::take(&mut self.versions);
            self.doubtful.extend(versions);
            return;
        }
        self.synced.resize(self.current.len(), 0);
        for (sector, _) in std::mem::take(&mut self.versions) {
            let from = (sector as usize * SECTOR_BYTES).min(self.current.len());
            let to = (from + SECTOR_BYTES).min(self.current.len());
            self.synced[from..to].copy_from_slice(&self.current[from..to]);
        }
        self.lens.clear();
    }

    /// Every content that the file may be found with; a selection, and `is_complete` false, where there are too many.
    fn contents(&self, random: &SimRandom, is_complete: &mut bool) -> Vec<Vec<u8>> {
        let sectors: Vec<(u64, &Vec<Vec<u8>>)> =
            self.versions.iter().chain(&self.doubtful).map(|(sector, versions)| (*sector, versions)).collect();
        let lens: Vec<usize> =
            std::iter::once(self.synced.len()).chain(self.lens.iter().map(|len| *len as usize)).collect();
        let options = |versions: &Vec<Vec<u8>>| versions.len() as u128 + 1;
        let count = sectors.iter().fold(lens.len() as u128, |n, (_, versions)| n.saturating_mul(options(versions)));
        let all = count <= MOST_CONTENTS as u128;
        *is_complete &= all;
        let mut found = HashSet::new();
        for index in 0..count.min(MOST_CONTENTS as u128) {
            let mut rest = index;
            let mut choose = |options: u128| {
                let choice = if all { rest % options } else { u128::from(random.next()) % options };
                rest /= options;
                choice as usize
            };
            let len = lens[choose(lens.len() as u128)];
            let mut bytes = self.synced.clone();
            bytes.resize(len, 0);
            for (sector, versions) in &sectors {
                let Some(version) = choose(options(versions)).checked_sub(1) else { continue };
                let from = (*sector as usize * SECTOR_BYTES).min(len);
                let to = (from + SECTOR_BYTES).min(len);
                bytes[from..to].copy_from_slice(&versions[version][..to - from]);
            }
            found.insert(bytes);
        }
        let mut found: Vec<_> = found.into_iter().collect();
        found.sort();
        found
    }
}

impl CrashStates {
    /// How many there are (at most `u128::MAX`).
    pub fn count(&self) -> u128 {
        self.total
    }

    /// Whether these are all there can be, and not a selection.
    pub fn is_complete(&self) -> bool {
        self.is_complete
    }

    /// The choices of state `index`, below [`count`](Self::count).
    pub fn nth(&self, index: u128) -> Crash {
        let tree = self.before.partition_point(|before| *before <= index) - 1;
        let mut rest = index - self.before[tree];
        let mut crash = vec![tree];
        for id in self.trees[tree].iter().filter_map(|(_, _, file)| *file) {
            let options = self.contents[&id].len() as u128;
            crash.push((rest % options) as usize);
            rest /= options;
        }
        crash
    }

    /// The choices of any state.
    pub fn sample(&self, random: &SimRandom) -> Crash {
        let tree = random.next() as usize % self.trees.len();
        let files = self.trees[tree].iter().filter_map(|(_, _, file)| *file);
        let choices = files.map(|id| random.next() as usize % self.contents[&id].len());
        std::iter::once(tree).chain(choices).collect()
    }

    /// The disk that is found after the power is back.
    pub fn disk(&self, crash: &Crash) -> SimDisk {
        let disk = SimDisk::of_clock(self.clock.clone());
        let mut choices = crash.iter().copied();
        let tree = &self.trees[choices.next().unwrap_or(0)];
        let mut dirs = vec![ROOT];
        for (parent, name, file) in tree {
            match file {
                None => dirs.push(disk.put_dir_into(dirs[*parent], name)),
                Some(id) => {
                    let content = &self.contents[id][choices.next().unwrap_or(0)];
                    disk.put_into(dirs[*parent], name, content.clone());
                }
            }
        }
        disk
    }
}
