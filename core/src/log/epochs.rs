//! Which leader epoch began at which offset.
//!
//! Source: `org.apache.kafka.storage.internals.epoch.LeaderEpochFileCache`; KIP-101, KIP-279.

use crate::types::{LeaderEpoch, Offset};

/// The epochs of a log, ascending, each with the offset of its first record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Epochs(Vec<(LeaderEpoch, Offset)>);

impl Epochs {
    /// From the content of a checkpoint, which is in order.
    pub fn new(entries: Vec<(LeaderEpoch, Offset)>) -> Self {
        Epochs(entries)
    }

    /// The entries.
    pub fn entries(&self) -> &[(LeaderEpoch, Offset)] {
        &self.0
    }

    /// The latest epoch.
    pub fn latest(&self) -> Option<LeaderEpoch> {
        self.0.last().map(|(epoch, _)| *epoch)
    }

    /// Notes that `epoch` begins at `start`, dropping whatever contradicts that; says whether anything changed.
    pub fn assign(&mut self, epoch: LeaderEpoch, start: Offset) -> bool {
        if let Some((latest, latest_start)) = self.0.last()
            && *latest == epoch
            && start >= *latest_start
        {
            return false;
        }
        self.0.retain(|(other, other_start)| *other < epoch && *other_start < start);
        self.0.push((epoch, start));
        true
    }

    /// Forgets epochs that begin at or behind `end`; says whether there were any.
    pub fn truncate_from_end(&mut self, end: Offset) -> bool {
        let before = self.0.len();
        if end.0 >= 0 {
            self.0.retain(|(_, start)| *start < end);
        }
        self.0.len() != before
    }

    /// Forgets epochs that end before `start`; the one that contains it begins there. Says whether anything changed.
    pub fn truncate_from_start(&mut self, start: Offset) -> bool {
        let Some(last_before) = self.0.iter().rposition(|(_, begin)| *begin <= start) else {
            return false;
        };
        if last_before == 0 && self.0[0].1 == start {
            return false;
        }
        self.0.drain(..last_before);
        self.0[0].1 = start;
        true
    }

    /// The epoch at or below `requested`, and where it ends; `None` when nothing is known of it.
    pub fn end_offset_for(&self, requested: LeaderEpoch, log_end: Offset) -> Option<(LeaderEpoch, Offset)> {
        let latest = self.latest()?;
        if requested == LeaderEpoch::UNKNOWN || requested > latest {
            return None;
        }
        if requested == latest {
            return Some((latest, log_end));
        }
        let next = self.0.iter().position(|(epoch, _)| *epoch > requested)?;
        let end = self.0[next].1;
        Some(next.checked_sub(1).map_or((requested, end), |floor| (self.0[floor].0, end)))
    }

    /// The epoch of the record at `offset`.
    pub fn epoch_for(&self, offset: Offset) -> Option<LeaderEpoch> {
        self.0.iter().rev().find(|(_, start)| *start <= offset).map(|(epoch, _)| *epoch)
    }
}
