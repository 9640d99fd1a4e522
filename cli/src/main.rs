//! The `klog` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(klog_cli::run(std::env::args_os()))
}
