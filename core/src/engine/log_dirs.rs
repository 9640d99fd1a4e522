//! What a log directory holds, by its files: nothing is opened, and so nothing recovered.

use std::io;
use std::path::{Path, PathBuf};

use super::cluster::Cluster;
use crate::error::{Error, Result};
use crate::segment::{FileKind, Suffix, parse_name};
use crate::sys::{Disk, Space};
use crate::types::{METADATA_TOPIC, TopicPartition};

/// A log directory.
///
/// Source: Kafka protocol, DescribeLogDirs; KIP-113, KIP-827.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogDirDescription {
    /// Where it is.
    pub path: PathBuf,
    /// Bytes of the file system that it is on.
    pub total_bytes: u64,
    /// Bytes of that which are left.
    pub usable_bytes: u64,
    /// The partitions in it, those on their way out among them; by name.
    pub replicas: Vec<ReplicaDescription>,
}

/// A partition in a log directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplicaDescription {
    /// Name of its directory.
    pub directory: String,
    /// The partition; `None` for a directory that waits for its removal, or that a broker set aside.
    pub partition: Option<TopicPartition>,
    /// Bytes of its `.log` files.
    pub log_bytes: u64,
    /// Bytes of all its files.
    pub bytes: u64,
    /// How many segments it has.
    pub segments: usize,
}

impl Cluster {
    /// What the directory holds, without the metadata log.
    pub(crate) fn describe_log_dir(&self) -> Result<LogDirDescription> {
        self.check_open()?;
        let look = || -> io::Result<LogDirDescription> {
            let Space { total, usable } = self.sys.disk.space(self.path())?;
            let mut replicas = Vec::new();
            for entry in self.sys.disk.list(self.path())?.into_iter().filter(|entry| entry.is_dir) {
                let partition = TopicPartition::parse_dir(&entry.name);
                if partition.as_ref().is_some_and(|partition| partition.topic == METADATA_TOPIC) {
                    continue;
                }
                let mut replica =
                    ReplicaDescription { partition, log_bytes: 0, bytes: 0, segments: 0, directory: entry.name };
                self.measure(&mut replica)?;
                replicas.push(replica);
            }
            Ok(LogDirDescription {
                path: self.path().to_path_buf(),
                total_bytes: total,
                usable_bytes: usable,
                replicas,
            })
        };
        look().map_err(|e| Error::io(format_args!("measuring {}", self.path().display()), e))
    }

    fn measure(&self, replica: &mut ReplicaDescription) -> io::Result<()> {
        let directory = self.path().join(&replica.directory);
        let entries = match self.sys.disk.list(&directory) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()), // it was removed meanwhile
            entries => entries?,
        };
        for entry in entries.iter().filter(|entry| !entry.is_dir) {
            let bytes = match self.sys.disk.stat(&directory.join(Path::new(&entry.name))) {
                Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
                stat => stat?.len,
            };
            replica.bytes += bytes;
            if matches!(parse_name(&entry.name), Some((_, FileKind::Log, Suffix::None))) {
                replica.log_bytes += bytes;
                replica.segments += 1;
            }
        }
        Ok(())
    }
}
