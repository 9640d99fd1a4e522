//! What opening and recovering found: said, never hidden.

use std::fmt;

use crate::error::Damage;
use crate::types::{Offset, TopicPartition};

/// Everything worth telling about a directory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Ends of logs that recovery cut off, and where the bytes are now.
    pub cuts: Vec<Cut>,
    /// Damaged batches that were left in place and can be stepped over.
    pub damage: Vec<Damage>,
    /// Anything else that did not agree.
    pub findings: Vec<Finding>,
}

/// The end of a log that was cut off because it was never acknowledged as durable and does not check out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    /// The log.
    pub partition: TopicPartition,
    /// File that was cut, relative to the log directory.
    pub file: String,
    /// Where.
    pub position: u64,
    /// How many bytes were cut off.
    pub bytes: u64,
    /// The log ends before this offset now.
    pub offset: Offset,
    /// Whole batches among the bytes.
    pub batches: u64,
    /// First and last offset of those, when there are any.
    pub offsets: Option<(Offset, Offset)>,
    /// Why.
    pub reason: String,
    /// File that holds the bytes now, relative to the log directory.
    pub kept_in: Option<String>,
}

/// Something that did not agree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The file, relative to the log directory.
    pub file: String,
    /// What about it.
    pub what: String,
}

impl Report {
    /// Whether there is nothing to tell.
    pub fn is_empty(&self) -> bool {
        self.cuts.is_empty() && self.damage.is_empty() && self.findings.is_empty()
    }

    pub(crate) fn finding(&mut self, file: impl Into<String>, what: impl Into<String>) {
        self.findings.push(Finding { file: file.into(), what: what.into() });
    }

    /// Takes in what another report tells and this one does not.
    pub fn append(&mut self, other: Report) {
        add_new(&mut self.cuts, other.cuts);
        add_new(&mut self.damage, other.damage);
        add_new(&mut self.findings, other.findings);
    }
}

fn add_new<T: PartialEq>(known: &mut Vec<T>, others: Vec<T>) {
    for other in others {
        if !known.contains(&other) {
            known.push(other);
        }
    }
}

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: cut {} bytes off {} at position {} ({}); the log ends at offset {} now; ",
            self.partition, self.bytes, self.file, self.position, self.reason, self.offset
        )?;
        match self.offsets {
            Some((first, last)) => {
                write!(f, "{} whole batches (offsets {first} to {last}) were among them", self.batches)?;
            }
            None => f.write_str("no whole batch was among them")?,
        }
        match &self.kept_in {
            Some(file) => write!(f, "; the bytes are kept in {file}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for cut in &self.cuts {
            writeln!(f, "{cut}")?;
        }
        for damage in &self.damage {
            writeln!(f, "{damage}")?;
        }
        for finding in &self.findings {
            writeln!(f, "{}: {}", finding.file, finding.what)?;
        }
        Ok(())
    }
}
