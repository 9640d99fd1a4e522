//! Every state that a power cut may leave behind.
//!
//! The model is the pessimistic reading of POSIX. Of what was not synced, each 512-byte sector may hold any version that
//! it had since the last sync, each independently; the size may have any of its values, with zeros where no data came
//! down; each change of a directory may have reached the disk or not, independently, until the directory is synced; a
//! synced file does not have a synced name. After a failed sync the sectors concerned stay in doubt for ever, or until
//! they are written again.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};

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

/// One thing that the power cut decides.
#[derive(Clone, Copy, Debug)]
enum Axis {
    Name { dir: u64, change: usize },
    Sector { file: u64, sector: u64 },
    Len { file: u64 },
}

/// All states after one moment.
#[derive(Debug)]
pub struct CrashStates<'a> {
    model: &'a CrashModel,
    axes: Vec<(Axis, usize)>,
}

/// One of them, as the choices that make it: for messages of failing tests.
pub type Crash = Vec<usize>;

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

    /// What a power cut at this moment may leave.
    pub fn states(&self) -> CrashStates<'_> {
        let mut axes = Vec::new();
        let mut reachable = BTreeSet::new();
        let mut dirs = vec![ROOT];
        let mut seen = BTreeSet::new();
        while let Some(id) = dirs.pop() {
            let Some(dir) = self.dirs.get(&id).filter(|_| seen.insert(id)) else {
                continue;
            };
            axes.extend((0..dir.pending.len()).map(|change| (Axis::Name { dir: id, change }, 2)));
            let pending = dir.pending.iter().flatten().filter_map(|(_, node)| node.as_ref());
            for (child, is_dir) in dir.synced.values().chain(pending) {
                if *is_dir {
                    dirs.push(*child);
                } else {
                    reachable.insert(*child);
                }
            }
        }
        for id in reachable {
            let Some(file) = self.files.get(&id) else { continue };
            if !file.lens.is_empty() {
                axes.push((Axis::Len { file: id }, file.lens.len() + 1));
            }
            for (sector, versions) in file.versions.iter().chain(&file.doubtful) {
                axes.push((Axis::Sector { file: id, sector: *sector }, versions.len() + 1));
            }
        }
        CrashStates { model: self, axes }
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

    fn found(&self, len: usize, sectors: &[(u64, usize)]) -> Vec<u8> {
        let mut bytes = self.synced.clone();
        bytes.resize(len, 0);
        for (sector, version) in sectors {
            let Some(version) = version.checked_sub(1) else {
                continue;
            };
            let content = self.versions.get(sector).or_else(|| self.doubtful.get(sector)).map(|all| &all[version]);
            let from = (*sector as usize * SECTOR_BYTES).min(len);
            let to = (from + SECTOR_BYTES).min(len);
            if let Some(content) = content {
                bytes[from..to].copy_from_slice(&content[..to - from]);
            }
        }
        bytes
    }
}

impl CrashStates<'_> {
    /// How many there are (at most `u128::MAX`).
    pub fn count(&self) -> u128 {
        self.axes.iter().fold(1u128, |product, (_, options)| product.saturating_mul(*options as u128))
    }

    /// The choices of state `index`, below [`count`](Self::count).
    pub fn nth(&self, mut index: u128) -> Crash {
        let choose = |(_, options): &(Axis, usize)| {
            let choice = (index % *options as u128) as usize;
            index /= *options as u128;
            choice
        };
        self.axes.iter().map(choose).collect()
    }

    /// The choices of any state.
    pub fn sample(&self, random: &SimRandom) -> Crash {
        self.axes.iter().map(|(_, options)| (random.next() % *options as u64) as usize).collect()
    }

    /// The disk that is found after the power is back.
    pub fn disk(&self, crash: &Crash) -> SimDisk {
        let mut names: HashMap<u64, BTreeSet<usize>> = HashMap::new();
        let mut sectors: HashMap<u64, Vec<(u64, usize)>> = HashMap::new();
        let mut lens: HashMap<u64, usize> = HashMap::new();
        for ((axis, _), choice) in self.axes.iter().zip(crash) {
            match axis {
                Axis::Name { dir, change } if *choice == 1 => drop(names.entry(*dir).or_default().insert(*change)),
                Axis::Name { .. } => {}
                Axis::Sector { file, sector } => sectors.entry(*file).or_default().push((*sector, *choice)),
                Axis::Len { file } => drop(lens.insert(*file, *choice)),
            }
        }
        let disk = SimDisk::of_clock(self.model.clock.clone());
        let mut dirs = vec![(ROOT, PathBuf::from("/"))];
        while let Some((id, path)) = dirs.pop() {
            disk.put_dir(&path);
            for (name, (child, is_dir)) in self.names_of(id, names.get(&id)) {
                let path = path.join(name);
                if is_dir {
                    dirs.push((child, path));
                } else {
                    self.put_file(&disk, &path, child, lens.get(&child), sectors.get(&child));
                }
            }
        }
        disk
    }

    fn names_of(&self, dir: u64, chosen: Option<&BTreeSet<usize>>) -> BTreeMap<String, (u64, bool)> {
        let Some(dir) = self.model.dirs.get(&dir) else {
            return BTreeMap::new();
        };
        let mut names = dir.synced.clone();
        for change in chosen.into_iter().flatten() {
            apply_names(&mut names, &dir.pending[*change]);
        }
        names
    }

    fn put_file(&self, disk: &SimDisk, path: &Path, id: u64, len: Option<&usize>, sectors: Option<&Vec<(u64, usize)>>) {
        let Some(file) = self.model.files.get(&id) else { return };
        let len = match len {
            Some(choice) if *choice > 0 => file.lens[choice - 1] as usize,
            _ => file.synced.len(),
        };
        disk.put(path, file.found(len, sectors.map_or(&[][..], |list| list)));
    }
}
