//! Whole reads and writes, made of the partial ones that a system really does.

use std::io;
use std::path::Path;

use super::{Disk, File, Open};

/// Writes all of `bytes`, going on after short writes and signals.
///
/// # Errors
/// The first error of the system; how much was written before it is not known to the caller.
#[inline]
pub fn write_all_at(file: &impl File, bytes: &[u8], position: u64) -> io::Result<()> {
    match file.write_at(bytes, position) {
        Ok(count) if count == bytes.len() => Ok(()),
        first => write_rest(file, bytes, position, first),
    }
}

/// What is left to do after the first call.
#[cold]
fn write_rest(file: &impl File, mut bytes: &[u8], mut position: u64, first: io::Result<usize>) -> io::Result<()> {
    let mut written = first;
    loop {
        match written {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => {
                bytes = &bytes[count..];
                position += count as u64;
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
        if bytes.is_empty() {
            return Ok(());
        }
        written = file.write_at(bytes, position);
    }
}

/// Reads until `buffer` is full or the file ends, and says how much that was.
pub fn read_exact_at(file: &impl File, buffer: &mut [u8], position: u64) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read_at(&mut buffer[filled..], position + filled as u64) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(filled)
}

/// The content of a small file.
pub fn read_whole(disk: &impl Disk, path: &Path) -> io::Result<Vec<u8>> {
    let file = disk.open(path, Open::Read)?;
    let mut content = vec![0; file.stat()?.len as usize];
    let read = read_exact_at(&file, &mut content, 0)?;
    content.truncate(read);
    Ok(content)
}

/// Replaces a small file so that after a power cut it holds the old bytes or the new ones, whole: a `.tmp` beside it,
/// synced, renamed over it, directory synced.
pub fn write_atomically(disk: &impl Disk, path: &Path, content: &[u8]) -> io::Result<()> {
    let mut name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_os_string();
    name.push(".tmp");
    let temporary = path.with_file_name(name);
    let file = disk.open(&temporary, Open::Create)?;
    file.set_len(0)?;
    write_all_at(&file, content, 0)?;
    file.sync_data()?;
    disk.rename(&temporary, path)?;
    disk.sync_dir(path.parent().ok_or(io::ErrorKind::InvalidInput)?)
}
