//! `meta.properties`: who a directory belongs to.
//!
//! Java's properties format: `key=value` lines, `#` and `!` begin comments, `\` escapes. Version 1 has `cluster.id`,
//! `node.id` and `directory.id`; version 0, of brokers with ZooKeeper, has `broker.id`.
//!
//! Source: `org.apache.kafka.metadata.properties.MetaProperties`; `java.util.Properties`.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use crate::controller::Identity;
use crate::date::java_date;
use crate::error::{Error, ErrorCode, Result};
use crate::sys::{Clock, Sys, read_whole, write_atomically};
use crate::types::Uuid;

/// The file's name.
pub(crate) const META_PROPERTIES: &str = "meta.properties";

/// What a directory says of itself, as far as it does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct MetaProperties {
    pub(crate) version: i32,
    pub(crate) cluster_id: Option<String>,
    /// `node.id`, or `broker.id` of a broker with ZooKeeper.
    pub(crate) node_id: Option<i32>,
    pub(crate) directory_id: Option<Uuid>,
}

impl MetaProperties {
    /// Reads the file; `None` when there is none.
    pub(crate) fn read(sys: &Sys, dir: &Path) -> Result<Option<Result<MetaProperties, String>>> {
        let path = dir.join(META_PROPERTIES);
        match read_whole(&sys.disk, &path) {
            Ok(content) => Ok(Some(MetaProperties::parse(&content))),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(Error::io(format_args!("reading {}", path.display()), e)),
        }
    }

    pub(crate) fn parse(content: &[u8]) -> Result<MetaProperties, String> {
        let properties = parse_properties(content);
        let number = |key: &str| match properties.get(key) {
            None => Ok(None),
            Some(text) => text.trim().parse::<i32>().map(Some).map_err(|_| format!("{key} is '{text}', not a number")),
        };
        let directory_id = match properties.get("directory.id") {
            None => None,
            Some(text) => Some(Uuid::parse(text.trim()).ok_or_else(|| format!("directory.id is '{text}', not an id"))?),
        };
        let version = number("version")?.unwrap_or(0);
        let node_id = if version == 0 { number("broker.id")?.or(number("node.id")?) } else { number("node.id")? };
        Ok(MetaProperties { version, cluster_id: properties.get("cluster.id").cloned(), node_id, directory_id })
    }

    /// The identity of a KRaft broker; the error names what is missing.
    pub(crate) fn identity(&self) -> Result<Identity, String> {
        if self.version != 1 {
            return Err(format!("version is {}, and 1 is needed", self.version));
        }
        Ok(Identity {
            cluster_id: self.cluster_id.clone().ok_or("cluster.id is missing")?,
            node_id: self.node_id.filter(|id| *id >= 0).ok_or("node.id is missing")?,
            directory_id: self.directory_id.ok_or("directory.id is missing")?,
        })
    }
}

/// Writes the file: the last step of making a directory, which exists for others from then on.
pub(crate) fn write_identity(sys: &Sys, dir: &Path, identity: &Identity) -> Result<()> {
    let content = format!(
        "#\n#{}\nnode.id={}\ndirectory.id={}\nversion=1\ncluster.id={}\n",
        java_date(sys.clock.now()),
        identity.node_id,
        identity.directory_id,
        identity.cluster_id
    );
    let path = dir.join(META_PROPERTIES);
    write_atomically(&sys.disk, &path, content.as_bytes())
        .map_err(|e| Error::io(format_args!("writing {}", path.display()), e))
}

/// The error of a directory whose `meta.properties` does not do.
pub(crate) fn bad_identity(dir: &Path, what: &str) -> Error {
    Error::new(
        ErrorCode::KafkaStorageError,
        format!("{}: {what}; the directory can still be opened for reading only", dir.join(META_PROPERTIES).display()),
    )
}

fn parse_properties(content: &[u8]) -> BTreeMap<String, String> {
    let text = String::from_utf8_lossy(content);
    let mut properties = BTreeMap::new();
    for line in text.lines().map(str::trim_start) {
        if line.is_empty() || line.starts_with(['#', '!']) {
            continue;
        }
        let mut key = String::new();
        let mut rest = line.chars();
        let mut found_end = false;
        while let Some(c) = rest.next() {
            match c {
                '\\' => key.extend(rest.next()),
                '=' | ':' | ' ' | '\t' => {
                    found_end = true;
                    break;
                }
                c => key.push(c),
            }
        }
        if !found_end {
            continue;
        }
        let mut value = String::new();
        let mut rest = rest.as_str().trim_start_matches([' ', '\t', '=', ':']).chars();
        while let Some(c) = rest.next() {
            match c {
                '\\' => value.extend(rest.next()),
                c => value.push(c),
            }
        }
        properties.insert(key, value);
    }
    properties
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn properties_of_java_are_read() {
        let text = b"#comment\r\n!another\r\n node.id = 7\nversion:1\ncluster.id=a\\=b\\:c\nbroken\ndirectory.id=_ty6mHZUMhABI0VniavN7w\n";
        let meta = MetaProperties::parse(text).expect("it has the form");
        assert_eq!(meta.node_id, Some(7));
        assert_eq!(meta.cluster_id.as_deref(), Some("a=b:c"));
        assert!(meta.identity().is_ok());
        assert_eq!(MetaProperties::parse(b"version=1\nnode.id=x\n"), Err("node.id is 'x', not a number".into()));
    }
}
