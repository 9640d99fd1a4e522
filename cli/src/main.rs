//! The `klog` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    klog_cli::run(std::env::args_os())
}
