//! Metadata snapshots: an image, written down, so that opening need not replay the log from its beginning.
//!
//! A snapshot `<end offset>-<epoch>.checkpoint` is a run of batches like a log: a control batch that begins with
//! `SNAPSHOT_HEADER`, data batches, and a `SNAPSHOT_FOOTER` without which it is not complete. `0…0-0…0.checkpoint` is special:
//! it is written when a directory is formatted, and holds the voters.
//!
//! Source: KIP-630; `org.apache.kafka.snapshot.RecordsSnapshotReader`.

use std::io;
use std::path::Path;

use super::image::Image;
use super::{data_batches, replay_batch};
use crate::error::{Error, Result};
use crate::log::Report;
use crate::record::{BatchHeader, ControlRecord, HEADER_BYTES, Records, control_batch};
use crate::sys::{Disk, Entry, Sys, read_whole, write_atomically};
use crate::types::{LeaderEpoch, Offset};

/// How many snapshots are kept, the newest ones.
const KEPT: usize = 2;

/// Offset and epoch of a snapshot's name.
fn parse_name(name: &str) -> Option<(Offset, i32)> {
    let (offset, epoch) = name.strip_suffix(".checkpoint")?.split_once('-')?;
    let digits = |text: &str, count: usize| text.len() == count && text.bytes().all(|b| b.is_ascii_digit());
    (digits(offset, 20) && digits(epoch, 10)).then_some((Offset(offset.parse().ok()?), epoch.parse().ok()?))
}

/// The snapshots among `entries`, oldest first. The one that formatting wrote is not among them.
fn snapshots(entries: &[Entry]) -> Vec<((Offset, i32), &str)> {
    let named = |entry: &'_ Entry| parse_name(&entry.name).filter(|(offset, _)| *offset > Offset::ZERO);
    let mut found: Vec<_> = entries.iter().filter_map(|e| Some((named(e)?, e.name.as_str()))).collect();
    found.sort_by_key(|((offset, epoch), _)| (*epoch, *offset));
    found
}

/// What the newest snapshot covers.
pub(super) fn newest(sys: &Sys, path: &Path) -> io::Result<Option<Offset>> {
    Ok(snapshots(&sys.disk.list(path)?).last().map(|((offset, _), _)| *offset))
}

/// Fills `image` from the newest complete snapshot in `path`; its offset is then where the log goes on.
pub(super) fn load(sys: &Sys, path: &Path, image: &mut Image, report: &mut Report) -> Result<()> {
    let entries = sys.disk.list(path).map_err(|e| Error::io(format_args!("listing {}", path.display()), e))?;
    // The voters of the formatted directory count until a later snapshot or the log says otherwise.
    let formatted = entries.iter().find(|entry| parse_name(&entry.name).is_some_and(|name| name == (Offset::ZERO, 0)));
    let formatted = formatted.map(|entry| ((Offset::ZERO, 0), entry.name.as_str()));
    for ((offset, epoch), name) in snapshots(&entries).into_iter().rev().chain(formatted) {
        match read(sys, &path.join(name)) {
            Ok(found) => {
                *image = found;
                (image.offset, image.epoch) = (offset, image.epoch.max(epoch));
                return Ok(());
            }
            Err(what) => report.finding(format!("__cluster_metadata-0/{name}"), format!("{what}; it is not used")),
        }
    }
    Ok(())
}

/// Fills `image` from `bootstrap.checkpoint`, which counts while the metadata log is empty.
pub(super) fn load_bootstrap(sys: &Sys, dir: &Path, image: &mut Image, report: &mut Report) -> Result<()> {
    let path = dir.join("bootstrap.checkpoint");
    match sys.disk.stat(&path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(Error::io(format_args!("looking for {}", path.display()), e)),
        Ok(_) => {}
    }
    match read(sys, &path) {
        Ok(found) => {
            let log = std::mem::replace(image, found);
            (image.offset, image.epoch) = (log.offset, log.epoch);
            (image.voters, image.kraft_version) = (log.voters, log.kraft_version);
            image.static_voters = log.static_voters;
        }
        Err(what) => report.finding("bootstrap.checkpoint", format!("{what}; it is not used")),
    }
    Ok(())
}

/// Reads a snapshot; the error says why it cannot be used.
fn read(sys: &Sys, path: &Path) -> std::result::Result<Image, String> {
    let content = read_whole(&sys.disk, path).map_err(|e| format!("it cannot be read: {e}"))?;
    let mut image = Image::default();
    let mut at = 0;
    let mut is_complete = false;
    while at < content.len() {
        let header = BatchHeader::check(&content[at..]).map_err(|e| format!("at byte {at}: {e}"))?;
        let batch = &content[at..at + header.size];
        is_complete = header.is_control() && has_footer(batch, &header);
        replay_batch(batch, &header, &mut image);
        at += header.size;
    }
    if !is_complete {
        return Err("it has no footer".into());
    }
    match image.unreadable.first() {
        Some(what) => Err(what.clone()),
        None => Ok(image),
    }
}

/// Writes `image` down in `path`; durable on return. Where `may_remove`, older snapshots go, but for one.
///
/// Source: KIP-630; `org.apache.kafka.snapshot.RecordsSnapshotWriter`.
pub(super) fn write(sys: &Sys, path: &Path, image: &Image, may_remove: bool) -> io::Result<()> {
    let name = format!("{:020}-{:010}.checkpoint", image.offset.0, image.epoch);
    if let Err(e) = write_atomically(&sys.disk, &path.join(&name), &encode(image)) {
        let _ = sys.disk.remove_file(&path.join(name + ".tmp")); // half a snapshot only takes room away
        return Err(e);
    }
    if may_remove {
        remove_old(sys, path)?;
    }
    Ok(())
}

/// The bytes of a snapshot. Offsets in it count from 0 and mean nothing; the name says what it covers.
fn encode(image: &Image) -> Vec<u8> {
    let epoch = LeaderEpoch(image.epoch);
    let mut head = vec![ControlRecord::SnapshotHeader { last_contained_log_timestamp: image.appended_at }];
    if image.kraft_version > 0 {
        head.push(ControlRecord::KRaftVersion(image.kraft_version));
    }
    if !image.voters.is_empty() {
        head.push(ControlRecord::KRaftVoters(image.voters.clone()));
    }
    let mut content = control_batch(&head, image.appended_at, Offset::ZERO, epoch);
    let records = image.records();
    let first = Offset(head.len() as i64);
    content.extend(data_batches(&records, image.appended_at, first, epoch));
    let next = first.plus(records.len() as i64);
    content.extend(control_batch(&[ControlRecord::SnapshotFooter], image.appended_at, next, epoch));
    content
}

fn remove_old(sys: &Sys, path: &Path) -> io::Result<()> {
    let entries = sys.disk.list(path)?;
    let snapshots = snapshots(&entries);
    let old = &snapshots[..snapshots.len().saturating_sub(KEPT)];
    let unfinished = entries.iter().map(|entry| entry.name.as_str()).filter(|name| name.ends_with(".checkpoint.tmp"));
    old.iter().map(|(_, name)| *name).chain(unfinished).try_for_each(|name| sys.disk.remove_file(&path.join(name)))
}

fn has_footer(batch: &[u8], header: &BatchHeader) -> bool {
    Records::new(header, &batch[HEADER_BYTES..])
        .filter_map(std::result::Result::ok)
        .any(|record| ControlRecord::parse(record.key, record.value) == Ok(ControlRecord::SnapshotFooter))
}
