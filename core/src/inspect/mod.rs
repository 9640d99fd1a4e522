//! Looking at files of a log directory, one at a time, without opening the directory.
//!
//! `explain` accounts for every byte of a file: which field it belongs to, what its value is, what that means. `dump`
//! says what the file contains. Both read only, and a damaged file is what they are for: bytes that make no sense are
//! shown as such, and what follows is looked for. `doctor` looks at what is around the files.

mod dump;
mod explain;
mod explain_batch;
mod fields;

use std::path::Path;

pub use dump::{Dumped, DumpedBatch, DumpedProducer, dump};
pub use explain::explain;
pub use fields::{Field, Part, Value};

pub use crate::engine::{Check, Verdict, doctor};
use crate::log::CheckpointFile;
use crate::segment::{FileKind, parse_name};
use crate::types::{METADATA_TOPIC, Offset, TopicPartition};

/// What a file holds, as its name tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// Batches of records: a `.log`, or what recovery cut off one.
    Batches {
        /// Whether the records are changes of the metadata.
        is_metadata: bool,
    },
    /// A `.index` whose offsets count from `base`.
    OffsetIndex {
        /// The offset in the file's name.
        base: Offset,
    },
    /// A `.timeindex` whose offsets count from `base`.
    TimeIndex {
        /// The offset in the file's name.
        base: Offset,
    },
    /// A `.txnindex`.
    TransactionIndex,
    /// A `.snapshot`.
    Producers,
    /// A checkpoint of offsets.
    Offsets,
    /// A checkpoint of leader epochs.
    Epochs,
    /// Lines of `key=value` or `key: value`.
    Properties,
    /// Text that stands for itself.
    Text,
}

impl Content {
    /// What the file at `path` holds; `None` for a file that Kafka and klog do not have.
    pub fn of(path: &Path) -> Option<Content> {
        let name = path.file_name()?.to_str()?;
        let partition =
            path.parent().and_then(Path::file_name).and_then(|dir| TopicPartition::parse_dir(dir.to_str()?));
        let is_metadata = partition.is_some_and(|partition| partition.topic == METADATA_TOPIC);
        if let Some((base, kind, _)) = parse_name(name) {
            return Some(match kind {
                FileKind::Log | FileKind::Cut => Content::Batches { is_metadata },
                FileKind::Index => Content::OffsetIndex { base },
                FileKind::TimeIndex => Content::TimeIndex { base },
                FileKind::TxnIndex => Content::TransactionIndex,
                FileKind::Snapshot => Content::Producers,
            });
        }
        if CheckpointFile::ALL.iter().any(|file| file.name() == name) {
            return Some(Content::Offsets);
        }
        match name {
            "leader-epoch-checkpoint" => Some(Content::Epochs),
            "meta.properties" | "partition.metadata" => Some(Content::Properties),
            ".kafka_cleanshutdown" | ".klog.lck" | "quorum-state" => Some(Content::Text),
            _ if Path::new(name).extension()? == "checkpoint" => Some(Content::Batches { is_metadata: true }),
            // `.cut.2` and so on: set aside by a second recovery.
            _ if name.contains(".cut.") => Some(Content::Batches { is_metadata }),
            _ => Path::new(name).extension().is_some_and(|e| e == "log").then_some(Content::Batches { is_metadata }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_tells_what_a_file_holds() {
        let of = |path: &str| Content::of(Path::new(path));
        assert_eq!(of("t-0/00000000000000000007.index"), Some(Content::OffsetIndex { base: Offset(7) }));
        assert_eq!(of("t-0/00000000000000000007.log.deleted"), Some(Content::Batches { is_metadata: false }));
        assert_eq!(of("t-0/00000000000000000007.cut.2"), Some(Content::Batches { is_metadata: false }));
        assert_eq!(of("d/__cluster_metadata-0/00000000000000000000.log"), Some(Content::Batches { is_metadata: true }));
        assert_eq!(of("00000000000000000000-0000000000.checkpoint"), Some(Content::Batches { is_metadata: true }));
        assert_eq!(of("replication-offset-checkpoint"), Some(Content::Offsets));
        assert_eq!(of("copy.log"), Some(Content::Batches { is_metadata: false }));
        assert_eq!(of("README.md"), None);
    }
}
