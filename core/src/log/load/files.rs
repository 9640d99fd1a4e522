//! Which files of a partition directory count.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use super::Loader;
use crate::error::Result;
use crate::log::Slot;
use crate::segment::{FileKind, Found, Scanner, Segment, Suffix, file_name, parse_name};
use crate::sys::{Disk, Entry, Open};
use crate::types::{Offset, Position};

impl Loader<'_> {
    /// The segments that count, after leftovers of deletions and swaps are settled.
    pub(super) fn list_segments(&mut self) -> Result<BTreeMap<Offset, Arc<Slot>>> {
        let entries = self.entries().map_err(|e| self.error("listing the files", e))?;
        let has_leftovers =
            entries.iter().any(|entry| parse_name(&entry.name).is_some_and(|(_, _, s)| s != Suffix::None));
        let entries = if has_leftovers && !self.read_only {
            self.dir.begin_writing()?;
            self.settle_leftovers(&entries).map_err(|e| self.error("settling leftovers", e))?;
            self.sys.disk.list(self.path).map_err(|e| self.error("listing the files", e))?
        } else {
            entries
        };
        let swapped = if self.read_only { self.pending_swaps(&entries)? } else { Vec::new() };
        let mut segments = BTreeMap::new();
        for entry in &entries {
            let Some((base, FileKind::Log, suffix)) = parse_name(&entry.name) else {
                continue;
            };
            let replaced = swapped.iter().any(|(range, _)| range.contains(&base));
            let counts = match suffix {
                Suffix::None => !replaced,
                Suffix::Swap => swapped.iter().any(|(_, swap)| *swap == base),
                Suffix::Deleted | Suffix::Cleaned => false,
            };
            if counts {
                segments.insert(base, Slot::new(base, suffix, self.how()));
            }
        }
        if !self.read_only {
            self.drop_orphan_indexes(&entries, &segments)?;
        }
        Ok(segments)
    }

    /// What is in the directory. A reader finds nothing where the making of a partition was interrupted.
    pub(super) fn entries(&self) -> io::Result<Vec<Entry>> {
        match self.sys.disk.list(self.path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound && self.read_only => Ok(Vec::new()),
            entries => entries,
        }
    }

    /// `.swap` logs that a reader must use in place of the segments in their range.
    fn pending_swaps(&self, entries: &[Entry]) -> Result<Vec<(std::ops::Range<Offset>, Offset)>> {
        let names: Vec<_> = entries.iter().filter_map(|entry| parse_name(&entry.name)).collect();
        let cleaned = names.iter().filter(|(_, _, suffix)| *suffix == Suffix::Cleaned).map(|(base, _, _)| *base).min();
        let mut swaps = Vec::new();
        for (base, kind, suffix) in names {
            if kind != FileKind::Log || suffix != Suffix::Swap || cleaned.is_some_and(|cleaned| base >= cleaned) {
                continue;
            }
            let next = self.end_of_swap(base).map_err(|e| self.error("reading a swap file", e))?;
            swaps.push((base..next.max(base.plus(1)), base));
        }
        Ok(swaps)
    }

    fn end_of_swap(&self, base: Offset) -> io::Result<Offset> {
        let segment = Segment::open(self.sys, self.path, base, Suffix::Swap, Open::Read)?;
        let mut next = base;
        let mut scanner = Scanner::new(segment.log(), Position::ZERO, Position(segment.log_len()?));
        while let Found::Batch(_, header) = scanner.next_header()? {
            next = header.next_offset();
        }
        Ok(next)
    }

    /// Finishes what was begun: removes `.deleted` and `.cleaned`, completes or undoes swaps.
    fn settle_leftovers(&mut self, entries: &[Entry]) -> io::Result<()> {
        let remove = |name: &str| match self.sys.disk.remove_file(&self.path.join(name)) {
            // Whoever took it out of the log was faster.
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed,
        };
        let named: Vec<_> = entries.iter().filter_map(|e| Some((e.name.as_str(), parse_name(&e.name)?))).collect();
        let of = |wanted: Suffix| named.iter().filter(move |(_, (_, _, suffix))| *suffix == wanted);
        for (name, _) in of(Suffix::Deleted) {
            remove(name)?;
        }
        let first_cleaned = of(Suffix::Cleaned).map(|(_, (base, _, _))| *base).min();
        let undone = |base: Offset| first_cleaned.is_some_and(|cleaned| base >= cleaned);
        for (name, _) in of(Suffix::Swap).filter(|(_, (base, _, _))| undone(*base)) {
            remove(name)?;
        }
        for (name, _) in of(Suffix::Cleaned) {
            remove(name)?;
        }
        let kept: Vec<_> = of(Suffix::Swap).filter(|(_, (base, _, _))| !undone(*base)).collect();
        let mut range: Option<(Offset, Offset)> = None;
        for (_, (base, kind, _)) in &kept {
            if *kind == FileKind::Log {
                let next = self.end_of_swap(*base)?;
                let (low, high) = range.unwrap_or((*base, next));
                range = Some((low.min(*base), high.max(next)));
            }
        }
        if let Some((low, high)) = range {
            for (name, (base, kind, suffix)) in &named {
                if *suffix == Suffix::None && *kind != FileKind::Cut && *base >= low && *base < high {
                    remove(name)?;
                }
            }
        }
        for (name, (base, kind, _)) in kept {
            let to = self.path.join(file_name(*base, *kind, Suffix::None));
            self.sys.disk.rename(&self.path.join(name), &to)?;
        }
        self.sys.disk.sync_dir(self.path)
    }

    fn drop_orphan_indexes(&mut self, entries: &[Entry], segments: &BTreeMap<Offset, Arc<Slot>>) -> Result<()> {
        for entry in entries {
            if let Some((base, FileKind::Index | FileKind::TimeIndex | FileKind::TxnIndex, Suffix::None)) =
                parse_name(&entry.name)
                && !segments.contains_key(&base)
            {
                self.dir.begin_writing()?;
                let file = format!("{}/{}", self.partition, entry.name);
                self.report.finding(&file, "an index without its log was removed");
                self.sys
                    .disk
                    .remove_file(&self.path.join(&entry.name))
                    .map_err(|e| self.error("removing an index", e))?;
            }
        }
        Ok(())
    }
}
