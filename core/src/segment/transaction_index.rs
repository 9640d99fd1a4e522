//! `.txnindex`: the aborted transactions whose marker is in this segment.
//!
//! ```text
//! entry := version:i16=0 producerId:i64 firstOffset:i64 lastOffset:i64 lastStableOffset:i64
//! ```
//! The file exists only where there was one. A torn last entry does not count.
//!
//! Source: `org.apache.kafka.storage.internals.log.TransactionIndex`.

use std::io;
use std::path::PathBuf;

use crate::sys::{Disk, File, Open, Sys, read_whole, write_all_at};
use crate::types::{Offset, ProducerId};

const ENTRY_BYTES: usize = 34;

/// A transaction that was given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AbortedTransaction {
    /// Whose it was.
    pub producer_id: ProducerId,
    /// Its first record; may be in an earlier segment.
    pub first_offset: Offset,
    /// Its marker.
    pub last_offset: Offset,
    /// The last stable offset once it was over.
    pub last_stable_offset: Offset,
}

/// The transaction index of a segment.
#[derive(Debug)]
pub struct TransactionIndex {
    sys: Sys,
    path: PathBuf,
}

impl TransactionIndex {
    /// The index in that file, which need not exist.
    pub fn new(sys: &Sys, path: PathBuf) -> Self {
        TransactionIndex { sys: sys.clone(), path }
    }

    /// All entries; none when there is no file.
    ///
    /// # Errors
    /// `InvalidData` for an entry of another version, besides those of reading.
    pub fn entries(&self) -> io::Result<Vec<AbortedTransaction>> {
        let bytes = match read_whole(&self.sys.disk, &self.path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            result => result?,
        };
        bytes.chunks_exact(ENTRY_BYTES).map(|entry| self.decode(entry)).collect()
    }

    fn decode(&self, entry: &[u8]) -> io::Result<AbortedTransaction> {
        let version = i16::from_be_bytes([entry[0], entry[1]]);
        if version != 0 {
            let what = format!("{} has an entry of version {version}", self.path.display());
            return Err(io::Error::new(io::ErrorKind::InvalidData, what));
        }
        let field = |at: usize| {
            let mut bytes = [0; 8];
            bytes.copy_from_slice(&entry[at..at + 8]);
            i64::from_be_bytes(bytes)
        };
        Ok(AbortedTransaction {
            producer_id: ProducerId(field(2)),
            first_offset: Offset(field(10)),
            last_offset: Offset(field(18)),
            last_stable_offset: Offset(field(26)),
        })
    }

    /// Appends an entry; makes the file when it is the first.
    pub fn push(&self, entry: &AbortedTransaction) -> io::Result<()> {
        let file = self.sys.disk.open(&self.path, Open::Create)?;
        let at = file.stat()?.len / ENTRY_BYTES as u64 * ENTRY_BYTES as u64;
        let mut bytes = Vec::with_capacity(ENTRY_BYTES);
        bytes.extend_from_slice(&0i16.to_be_bytes());
        for field in [entry.producer_id.0, entry.first_offset.0, entry.last_offset.0, entry.last_stable_offset.0] {
            bytes.extend_from_slice(&field.to_be_bytes());
        }
        write_all_at(&file, &bytes, at)
    }

    /// Drops the entries whose marker is at or above `offset`. An existing file stays, empty if need be.
    pub fn truncate_to(&self, offset: Offset) -> io::Result<()> {
        let keep = self.entries().map_or(0, |entries| entries.iter().take_while(|e| e.last_offset < offset).count());
        match self.sys.disk.open(&self.path, Open::ReadWrite) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
            file => {
                let file = file?;
                let len = (keep * ENTRY_BYTES) as u64;
                if file.stat()?.len == len { Ok(()) } else { file.set_len(len) }
            }
        }
    }

    /// Makes the entries durable.
    pub fn sync(&self) -> io::Result<()> {
        match self.sys.disk.open(&self.path, Open::ReadWrite) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
            file => file?.sync_data(),
        }
    }

    /// What is wrong with it, if anything: Kafka recovers a segment whose marker offsets lie below its base.
    pub fn complaint(&self, base: Offset) -> io::Result<Option<String>> {
        match self.entries() {
            Err(e) if e.kind() == io::ErrorKind::InvalidData => Ok(Some(e.to_string())),
            entries => {
                let entries = entries?;
                let mut last = Offset(base.0 - 1);
                for (index, entry) in entries.iter().enumerate() {
                    if entry.last_offset <= last || entry.first_offset > entry.last_offset {
                        return Ok(Some(format!("entry {index} (marker at {}) cannot be", entry.last_offset)));
                    }
                    last = entry.last_offset;
                }
                Ok(None)
            }
        }
    }
}
