//! What the caller asks for.

use std::path::PathBuf;

use crate::Result;

const HELP: &str = "\
Compares klog with a floor: the least honest work that leaves the same file.

cargo bench -p klog-bench -- [OPTIONS] [FILTER]

  FILTER       only rows whose name contains this, for instance 'batched' or '1 KiB'
  --dir DIR    where to write; a directory on the disk that is to be measured (default: the build's target directory)
  --quick      fewer runs, and a tenth of the work in each
  --only SIDE  'floor' or 'klog' alone: for a profiler
  --raw        klog's figures alone, a line each, in full: for bench/compare";

/// The command line.
#[derive(Debug, Default)]
pub(crate) struct Options {
    pub(crate) dir: Option<PathBuf>,
    pub(crate) is_quick: bool,
    pub(crate) is_raw: bool,
    pub(crate) only: Option<Side>,
    filter: String,
}

/// Who runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Floor,
    Klog,
}

impl Options {
    /// Reads the command line; `None` when it asked for help, which was printed.
    pub(crate) fn from_command_line() -> Result<Option<Options>> {
        let mut options = Options::default();
        let mut arguments = std::env::args().skip(1);
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--bench" => {} // cargo says so to every benchmark
                "--quick" => options.is_quick = true,
                "--raw" => (options.is_raw, options.only) = (true, Some(Side::Klog)),
                "--dir" => options.dir = Some(arguments.next().ok_or("--dir needs a directory")?.into()),
                "--only" => {
                    options.only = Some(match arguments.next().as_deref() {
                        Some("floor") => Side::Floor,
                        Some("klog") => Side::Klog,
                        _ => return Err("--only needs 'floor' or 'klog'".into()),
                    });
                }
                "-h" | "--help" => {
                    println!("{HELP}");
                    return Ok(None);
                }
                unknown if unknown.starts_with('-') => {
                    return Err(format!("there is no option '{unknown}'; --help lists them").into());
                }
                filter => filter.clone_into(&mut options.filter),
            }
        }
        Ok(Some(options))
    }

    /// Whether the filter lets a row through.
    pub(crate) fn wants(&self, row: &str) -> bool {
        row.contains(&self.filter)
    }
}
