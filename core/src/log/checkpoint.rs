//! Checkpoint files: small texts of numbers.
//!
//! ```text
//! 0                       version
//! 2                       entries
//! topic-name 0 1234       offset checkpoint: topic, partition, offset
//! 3 100                   leader epoch checkpoint: epoch, start offset
//! ```
//! An empty file means no entries. Anything else that does not have the form is an error; what that costs depends on the
//! file, and is decided by whoever reads it.
//!
//! Source: `org.apache.kafka.server.common.CheckpointFile`.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::types::{LeaderEpoch, Offset, TopicPartition};

/// The four offset checkpoints of a log directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum CheckpointFile {
    /// Everything below is durable.
    RecoveryPoint,
    /// The first offset of logs that do not begin at their first segment.
    LogStart,
    /// High watermarks.
    HighWatermark,
    /// How far the cleaner has come.
    Cleaner,
}

impl CheckpointFile {
    /// All four.
    pub const ALL: [CheckpointFile; 4] = [
        CheckpointFile::RecoveryPoint,
        CheckpointFile::LogStart,
        CheckpointFile::HighWatermark,
        CheckpointFile::Cleaner,
    ];

    /// Kafka's name.
    pub fn name(self) -> &'static str {
        match self {
            CheckpointFile::RecoveryPoint => "recovery-point-offset-checkpoint",
            CheckpointFile::LogStart => "log-start-offset-checkpoint",
            CheckpointFile::HighWatermark => "replication-offset-checkpoint",
            CheckpointFile::Cleaner => "cleaner-offset-checkpoint",
        }
    }
}

/// Offsets by partition.
pub type Offsets = BTreeMap<TopicPartition, Offset>;

/// The lines behind version and count, split into `width` fields.
fn lines(content: &[u8], width: usize) -> Result<Vec<Vec<&str>>, String> {
    let text = std::str::from_utf8(content).map_err(|_| "it is not text".to_owned())?;
    let mut lines = text.lines();
    let Some(version) = lines.next() else {
        return Ok(Vec::new());
    };
    if version.trim() != "0" {
        return Err(format!("its version is '{version}', and 0 is known"));
    }
    let count = lines.next().ok_or("it ends after the version")?;
    let count: usize = count.trim().parse().map_err(|_| format!("its count is '{count}'"))?;
    let entries: Vec<Vec<&str>> = lines.map(|line| line.split_whitespace().collect()).collect();
    if let Some(bad) = entries.iter().find(|fields| fields.len() != width) {
        return Err(format!("line '{}' does not have {width} fields", bad.join(" ")));
    }
    if entries.len() != count {
        return Err(format!("it has {} entries and says {count}", entries.len()));
    }
    Ok(entries)
}

fn number<T: std::str::FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("'{text}' is not a number"))
}

/// Reads an offset checkpoint; the error says what is wrong with it.
pub fn parse_offsets(content: &[u8]) -> Result<Offsets, String> {
    let mut offsets = Offsets::new();
    for fields in lines(content, 3)? {
        let partition = TopicPartition::new(fields[0], number(fields[1])?);
        let offset: i64 = number(fields[2])?;
        if offset < 0 {
            return Err(format!("offset {offset} of {partition} is negative"));
        }
        offsets.insert(partition, Offset(offset));
    }
    Ok(offsets)
}

/// The content of an offset checkpoint.
pub fn format_offsets(offsets: &Offsets) -> Vec<u8> {
    let mut text = format!("0\n{}\n", offsets.len());
    for (partition, offset) in offsets {
        let _ = writeln!(text, "{} {} {offset}", partition.topic, partition.partition); // into memory
    }
    text.into_bytes()
}

/// Reads a leader epoch checkpoint: epochs ascend, start offsets do not fall.
pub fn parse_epochs(content: &[u8]) -> Result<Vec<(LeaderEpoch, Offset)>, String> {
    let mut epochs: Vec<(LeaderEpoch, Offset)> = Vec::new();
    for fields in lines(content, 2)? {
        let entry = (LeaderEpoch(number(fields[0])?), Offset(number(fields[1])?));
        let (epoch, start) = entry;
        if epoch.0 < 0 || start.0 < 0 || epochs.last().is_some_and(|last| last.0 >= epoch || last.1 > start) {
            return Err(format!("epoch {epoch} at offset {start} is out of order"));
        }
        epochs.push(entry);
    }
    Ok(epochs)
}

/// The content of a leader epoch checkpoint.
pub fn format_epochs(epochs: &[(LeaderEpoch, Offset)]) -> Vec<u8> {
    let mut text = format!("0\n{}\n", epochs.len());
    for (epoch, start) in epochs {
        let _ = writeln!(text, "{epoch} {start}"); // into memory
    }
    text.into_bytes()
}
