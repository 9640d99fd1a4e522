//! Directories that real Kafka brokers wrote, and what a reader must get back from them.
//!
//! The archives are copies of those in `data/golden`; its README says how each was made.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::read::GzDecoder;
use serde_json::Value;
use sha2::{Digest, Sha256};
use tempfile::TempDir;

/// An unpacked golden directory. Gone when dropped.
#[derive(Debug)]
pub struct Golden {
    _dir: TempDir,
    /// The log directory; of several nodes, that of the one that was asked for.
    pub path: PathBuf,
    /// What a reader must get back.
    pub expected: Value,
}

/// Unpacks `name`; `name/2` is node 2 of a case with several.
pub fn unpack(name: &str) -> Golden {
    let (case, node) = name.split_once('/').map_or((name, None), |(case, node)| (case, Some(node)));
    let data = super::data_dir().join("golden");
    let archive = fs::File::open(data.join(format!("{case}.tar.gz"))).unwrap();
    let dir = tempfile::tempdir().unwrap();
    tar::Archive::new(GzDecoder::new(archive)).unpack(dir.path()).unwrap();
    let text = fs::read_to_string(data.join(format!("{case}.json"))).unwrap();
    let mut expected: Value = serde_json::from_str(&text).unwrap();
    let mut path = dir.path().join(case);
    if let Some(node) = node {
        path = path.join(node);
        expected = expected["nodes"][node].take();
    }
    Golden { _dir: dir, path, expected }
}

/// A key, value or header value of the JSON: base64, null, or size and hash of a long one.
pub fn same_bytes(expected: &Value, found: Option<&[u8]>) -> bool {
    match (expected, found) {
        (Value::Null, None) => true,
        (Value::String(text), Some(bytes)) => STANDARD.decode(text).unwrap() == bytes,
        (Value::Object(long), Some(bytes)) => {
            long["size"].as_u64() == Some(bytes.len() as u64) && long["sha256"].as_str() == Some(&*sha256(bytes))
        }
        _ => false,
    }
}

/// The hash as text.
pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Everything that may not change when a directory is only read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fingerprint {
    size: u64,
    sha256: String,
    modified: (i64, i64),
    changed: (i64, i64),
    accessed: Option<(i64, i64)>,
    mode: u32,
}

/// The fingerprints of all files below `dir`. With `accessed`, access times as well.
pub fn fingerprints(dir: &Path, accessed: bool) -> BTreeMap<PathBuf, Fingerprint> {
    let mut found = BTreeMap::new();
    let mut dirs = vec![dir.to_path_buf()];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(dir).unwrap() {
            let entry = entry.unwrap();
            let metadata = entry.metadata().unwrap();
            if metadata.is_dir() {
                dirs.push(entry.path());
                continue;
            }
            let fingerprint = Fingerprint {
                size: metadata.size(),
                modified: (metadata.mtime(), metadata.mtime_nsec()),
                changed: (metadata.ctime(), metadata.ctime_nsec()),
                accessed: accessed.then(|| (metadata.atime(), metadata.atime_nsec())),
                mode: metadata.mode(),
                sha256: String::new(),
            };
            found.insert(entry.path(), fingerprint);
        }
    }
    for (path, fingerprint) in &mut found {
        fingerprint.sha256 = sha256(&read_quietly(path));
    }
    found
}

/// Reads a file without moving its access time, where that is allowed.
fn read_quietly(path: &Path) -> Vec<u8> {
    let quiet = fs::OpenOptions::new().read(true).custom_flags(libc::O_NOATIME).open(path);
    let mut content = Vec::new();
    quiet.or_else(|_| fs::File::open(path)).unwrap().read_to_end(&mut content).unwrap();
    content
}
