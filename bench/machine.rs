//! What the figures were measured on.

use std::fs;
use std::path::Path;
use std::thread;

use crate::Result;

/// Prints it.
pub(crate) fn describe(dir: &Path) -> Result<()> {
    let cores = thread::available_parallelism()?;
    let model = field("/proc/cpuinfo", "model name").unwrap_or_else(|| std::env::consts::ARCH.into());
    let memory = field("/proc/meminfo", "MemTotal").and_then(|text| text.strip_suffix(" kB")?.parse::<u64>().ok());
    let kernel = line("/proc/sys/kernel/osrelease");
    let (kind, device) = file_system(dir).unwrap_or_else(|| ("unknown".into(), "an unknown device".into()));
    println!("processor    {cores} cores of {model}");
    println!("memory       {:.1} GiB", memory.unwrap_or(0) as f64 / f64::from(1 << 20));
    println!("kernel       Linux {kernel}");
    println!("directory    {} on {kind} ({device})", dir.display());
    println!("load         {} when this began", line("/proc/loadavg"));
    if kind == "tmpfs" {
        println!("note         that is memory and no disk: the durable rows mean nothing");
    }
    Ok(())
}

fn line(path: &str) -> String {
    fs::read_to_string(path).map_or_else(|_| "unknown".into(), |text| text.trim().to_owned())
}

/// The value of the first line `name: value` of a file of `/proc`.
fn field(path: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.trim_start().strip_prefix(':'))?;
    Some(value.trim().to_owned())
}

/// Kind and device of the file system that a directory is on: the mount with the longest path above it.
fn file_system(dir: &Path) -> Option<(String, String)> {
    let dir = dir.canonicalize().ok()?;
    let mounts = fs::read_to_string("/proc/self/mounts").ok()?;
    let mounts = mounts.lines().filter_map(|line| {
        let mut words = line.split(' ');
        let (device, at, kind) = (words.next()?, words.next()?, words.next()?);
        dir.starts_with(at).then_some((at.len(), kind.to_owned(), device.to_owned()))
    });
    mounts.max_by_key(|(len, ..)| *len).map(|(_, kind, device)| (kind, device))
}
