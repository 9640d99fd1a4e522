//! Metadata snapshots, read.
//!
//! A snapshot `<end offset>-<epoch>.checkpoint` is a run of batches like a log: a control batch that begins with
//! `SNAPSHOT_HEADER`, data batches, and a `SNAPSHOT_FOOTER` without which it is not complete. `0…0-0…0.checkpoint` is special:
//! it is written when a directory is formatted, and holds the voters.
//!
//! Source: KIP-630; `org.apache.kafka.snapshot.RecordsSnapshotReader`.

use std::io;
use std::path::Path;

use super::image::Image;
use super::replay_batch;
use crate::error::{Error, Result};
use crate::log::Report;
use crate::record::{BatchHeader, ControlRecord, HEADER_BYTES, Records};
use crate::sys::{Disk, Sys, read_whole};
use crate::types::Offset;

/// Offset and epoch of a snapshot's name.
fn parse_name(name: &str) -> Option<(Offset, i32)> {
    let (offset, epoch) = name.strip_suffix(".checkpoint")?.split_once('-')?;
    let digits = |text: &str, count: usize| text.len() == count && text.bytes().all(|b| b.is_ascii_digit());
    (digits(offset, 20) && digits(epoch, 10)).then_some((Offset(offset.parse().ok()?), epoch.parse().ok()?))
}

/// Fills `image` from the newest complete snapshot in `path`; its offset is then where the log goes on.
pub(super) fn load(sys: &Sys, path: &Path, image: &mut Image, report: &mut Report) -> Result<()> {
    let entries = sys.disk.list(path).map_err(|e| Error::io(format_args!("listing {}", path.display()), e))?;
    let mut snapshots: Vec<_> = entries.iter().filter_map(|e| Some((parse_name(&e.name)?, &e.name))).collect();
    snapshots.sort_by_key(|((offset, epoch), _)| (*epoch, *offset));
    // The voters of the formatted directory count until a later snapshot or the log says otherwise.
    let formatted = snapshots.iter().position(|((offset, epoch), _)| *offset == Offset::ZERO && *epoch == 0);
    let formatted = formatted.map(|index| snapshots.remove(index));
    for ((offset, _), name) in snapshots.iter().rev().copied().chain(formatted) {
        match read(sys, &path.join(name)) {
            Ok(found) => {
                *image = found;
                image.offset = offset;
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

fn has_footer(batch: &[u8], header: &BatchHeader) -> bool {
    Records::new(header, &batch[HEADER_BYTES..])
        .filter_map(std::result::Result::ok)
        .any(|record| ControlRecord::parse(record.key, record.value) == Ok(ControlRecord::SnapshotFooter))
}
