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
use crate::error::{Error, ErrorCode, Result};
use crate::sys::{Clock, Sys, read_whole, write_atomically};
use crate::types::{TimestampMs, Uuid};

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

/// Days since 1970 to year, month, day.
///
/// Source: H. Hinnant, "chrono-Compatible Low-Level Date Algorithms".
fn civil(days: i64) -> (i64, u32, u32) {
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let day_of_era = z.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month as u32, (day_of_year - (153 * shifted + 2) / 5 + 1) as u32)
}

fn clock_time(seconds: i64) -> (i64, i64, i64) {
    let of_day = seconds.rem_euclid(86_400);
    (of_day / 3600, of_day / 60 % 60, of_day % 60)
}

/// `Fri Oct 25 00:00:00 UTC 2024`, as `java.util.Properties` dates a file.
fn java_date(at: TimestampMs) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let seconds = at.0.div_euclid(1000);
    let days = seconds.div_euclid(86_400);
    let (year, month, day) = civil(days);
    let (hour, minute, second) = clock_time(seconds);
    let (weekday, month) = (DAYS[days.rem_euclid(7) as usize], MONTHS[month as usize - 1]);
    format!("{weekday} {month} {day:02} {hour:02}:{minute:02}:{second:02} UTC {year}")
}

/// `2024-10-25T00:00:00Z`.
pub(crate) fn iso_date(at: TimestampMs) -> String {
    let seconds = at.0.div_euclid(1000);
    let (year, month, day) = civil(seconds.div_euclid(86_400));
    let (hour, minute, second) = clock_time(seconds);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
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

    #[test]
    fn dates_are_those_of_the_calendar() {
        assert_eq!(java_date(TimestampMs(1_729_814_400_000)), "Fri Oct 25 00:00:00 UTC 2024");
        assert_eq!(iso_date(TimestampMs(951_782_399_999)), "2000-02-28T23:59:59Z");
        assert_eq!(iso_date(TimestampMs(-1)), "1969-12-31T23:59:59Z");
    }
}
