//! How much is run, and where.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::Result;
use crate::options::{Options, Side};

/// How often each side runs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pairs(pub(crate) usize);

/// How much is run, and where. The directory goes with it.
#[derive(Debug)]
pub(crate) struct Plan {
    dir: PathBuf,
    pub(crate) pairs: Pairs,
    /// More, and short: a disk is in another mood every moment.
    pub(crate) durable_pairs: Pairs,
    /// Appends of a run that waits for each of them.
    pub(crate) single_appends: usize,
    /// Bytes of values of a run that appends or reads many records.
    pub(crate) bulk_bytes: usize,
    /// How long a run lasts that waits for the disk.
    pub(crate) durable_run: Duration,
    /// How long processes append at once.
    pub(crate) contended_run: Duration,
    /// Wake-ups of a run.
    pub(crate) wakes: usize,
    /// How often nothing is done, and for how long.
    pub(crate) idle_pairs: Pairs,
    pub(crate) idle_run: Duration,
    /// Processes that are killed.
    pub(crate) deaths: usize,
    pub(crate) only: Option<Side>,
}

impl Plan {
    /// Makes the directory.
    pub(crate) fn new(options: &Options) -> Result<Plan> {
        let parent = match &options.dir {
            Some(dir) => dir.clone(),
            None => target_dir()?,
        };
        let dir = parent.join(format!("klog-bench-{}", std::process::id()));
        fs::create_dir_all(&dir).map_err(|e| format!("creating {}: {e}", dir.display()))?;
        let (pairs, durable_pairs, share) = if options.is_quick { (3, 5, 10) } else { (11, 31, 1) };
        Ok(Plan {
            dir,
            pairs: Pairs(pairs),
            durable_pairs: Pairs(durable_pairs),
            single_appends: 200_000 / share,
            bulk_bytes: (256 << 20) / share,
            durable_run: Duration::from_millis(200),
            contended_run: Duration::from_millis(if options.is_quick { 100 } else { 300 }),
            wakes: if options.is_quick { 400 } else { 2000 },
            idle_pairs: Pairs(if options.is_quick { 1 } else { 3 }),
            idle_run: Duration::from_secs(if options.is_quick { 2 } else { 10 }),
            deaths: if options.is_quick { 20 } else { 200 },
            only: options.only,
        })
    }

    /// Where everything is written.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// A place in it that is empty.
    pub(crate) fn empty(&self, name: &str) -> Result<PathBuf> {
        let path = self.dir.join(name);
        if path.is_dir() {
            fs::remove_dir_all(&path)?;
        } else if path.exists() {
            fs::remove_file(&path)?;
        }
        Ok(path)
    }
}

impl Drop for Plan {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.dir); // what cannot be removed is in a directory of builds
    }
}

/// Where cargo puts what it builds: on a disk, unlike many a temporary directory.
pub(crate) fn target_dir() -> Result<PathBuf> {
    let program = std::env::current_exe()?; // <target>/<profile>/deps/speed-…
    program.ancestors().nth(3).map(Path::to_path_buf).ok_or_else(|| "the program is not in a target directory".into())
}
